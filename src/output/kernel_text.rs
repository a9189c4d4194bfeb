//! The kernel's own text of events, and the names that stand in it: for `text` and `words`.

use std::sync::Arc;

use crate::format::EventFormat;
use crate::names::{Kernel, Names};
use crate::render::{Settings, TraceText};

/// See the [module](self).
pub(super) struct KernelText {
    settings: Settings,
    /// Made with the first event: only then the kernel is known.
    text: Option<TraceText>,
    /// As the kernel has them, but for task names: live, these change.
    names: Names,
}

impl KernelText {
    /// Text as `settings` say it looks.
    pub(super) fn new(settings: Settings) -> KernelText {
        KernelText { settings, text: None, names: Names::default() }
    }

    /// Learns an event.
    pub(super) fn add(&mut self, format: &Arc<EventFormat>, kernel: &Kernel) {
        self.begin(Some(format), kernel);
        let Some(text) = &mut self.text else { return };
        text.insert(format, kernel.abi.endian, &kernel.names, &self.settings.dynamic_events);
    }

    /// Learns the kernel, unless that is done: with its first event, or with a record of none.
    pub(super) fn begin(&mut self, format: Option<&EventFormat>, kernel: &Kernel) {
        let (abi, settings) = (kernel.abi, &self.settings);
        self.text.get_or_insert_with(|| {
            self.names = kernel.names.clone();
            settings.text(format, abi.long, abi.endian, &kernel.names)
        });
    }

    /// How it looks.
    pub(super) fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The text, once there is an event, and the names.
    pub(super) fn parts(&mut self) -> Option<(&mut TraceText, &mut Names)> {
        Some((self.text.as_mut()?, &mut self.names))
    }
}
