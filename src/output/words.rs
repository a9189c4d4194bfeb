//! The kernel's own text beside the messages of the streams that have it: `/ftrace/text`.
//!
//! Text is made of those events alone that a stream has sent, within its rate cap, and only while somebody receives it.

use std::sync::Arc;

use byteorder::ByteOrder;

use super::Event;
use crate::format::EventFormat;
use crate::names::{Kernel, Names};
use crate::osc::stream::Stream;
use crate::osc::words::TextMessage;
use crate::render::{Settings, TraceText};

/// Makes the texts and hands them to the streams.
pub struct Words {
    settings: Settings,
    /// Made with the first event: only then the kernel is known.
    text: Option<TraceText>,
    names: Names,
    message: TextMessage,
    scratch: Vec<u8>,
}

impl Words {
    /// Text as `settings` say it looks, sent below `prefix`.
    pub fn new(settings: Settings, prefix: &str) -> Words {
        let scratch = Vec::with_capacity(1 << 12);
        Words { settings, text: None, names: Names::default(), message: TextMessage::new(prefix), scratch }
    }

    pub(super) fn add(&mut self, format: &Arc<EventFormat>, kernel: &Kernel) {
        let (abi, settings) = (kernel.abi, &self.settings);
        let text = self.text.get_or_insert_with(|| {
            self.names = kernel.names.clone();
            settings.text([&**format], abi.long, abi.endian, &kernel.names)
        });
        text.insert(format, abi.endian, &kernel.names, &settings.dynamic_events);
    }

    #[inline(never)]
    pub(super) fn event<E: ByteOrder>(&mut self, event: Event<'_>, streams: &mut [Stream]) {
        let Some(text) = &self.text else { return };
        let mut wanting = streams.iter_mut().filter(|stream| stream.wants_text()).peekable();
        if wanting.peek().is_none() {
            return;
        }
        self.scratch.clear();
        text.write_text::<E>(&mut self.scratch, &event.record, &self.names);
        if let Ok(bytes) = self.message.encode(event.moment.event_ns, &self.scratch) {
            wanting.for_each(|stream| stream.message(bytes, event.moment.play_ns));
        }
    }
}
