//! The kernel's own text of events, and the names it needs: for `text` and `words`.
//!
//! An event's text is compiled when it first occurs, since few of the two thousand events do.

use std::sync::Arc;

use crate::format::{Endian, EventFormat, EventId};
use crate::names::{Kernel, Names};
use crate::render::{Settings, TraceText};

/// See the [module](self).
pub(super) struct KernelText {
    settings: Settings,
    /// Created with the first event, when the kernel is known.
    text: Option<TraceText>,
    endian: Endian,
    /// The kernel's names, except that live task names change.
    names: Names,
    /// Events that have not occurred yet, by id.
    waiting: Vec<Option<Arc<EventFormat>>>,
}

impl KernelText {
    /// Text with these settings.
    pub(super) fn new(settings: Settings) -> KernelText {
        KernelText { settings, text: None, endian: Endian::NATIVE, names: Names::default(), waiting: Vec::new() }
    }

    /// Adds an event.
    pub(super) fn add(&mut self, format: &Arc<EventFormat>, kernel: &Kernel) {
        self.begin(Some(format), kernel);
        let index = format.id.index();
        if self.waiting.len() <= index {
            self.waiting.resize(index + 1, None);
        }
        self.waiting[index] = Some(format.clone());
    }

    /// Sets the kernel, with its first event or with a record of an unknown event; later calls do nothing.
    pub(super) fn begin(&mut self, format: Option<&EventFormat>, kernel: &Kernel) {
        let abi = kernel.abi;
        if self.text.is_none() {
            (self.names, self.endian) = (kernel.names.clone(), abi.endian);
            self.text = Some(self.settings.text(format, abi.long, abi.endian, &kernel.names));
        }
    }

    /// The settings.
    pub(super) fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The text, once there was an event, and the names.
    pub(super) fn parts(&mut self) -> Option<(&mut TraceText, &mut Names)> {
        Some((self.text.as_mut()?, &mut self.names))
    }

    /// The text, with the event `id` compiled, and the names.
    #[inline]
    pub(super) fn of(&mut self, id: EventId) -> Option<(&mut TraceText, &mut Names)> {
        if self.waiting.get(id.index()).is_some_and(Option::is_some) {
            self.compile(id);
        }
        self.parts()
    }

    #[cold]
    fn compile(&mut self, id: EventId) {
        let format = self.waiting.get_mut(id.index()).and_then(Option::take);
        if let (Some(text), Some(format)) = (&mut self.text, format) {
            text.insert(&format, self.endian, &self.names, &self.settings.dynamic_events);
        }
    }
}

#[cfg(test)]
mod tests {
    use byteorder::LittleEndian;

    use super::*;
    use crate::format::{Abi, LongSize};
    use crate::ring::{Lost, Record};

    #[test]
    fn the_text_of_an_event_is_compiled_at_its_first_occurrence() {
        let abi = Abi { endian: Endian::Little, long: LongSize::Eight };
        let kernel = Kernel { abi, names: Names::default() };
        let mut text = KernelText::new(Settings::default());
        for (name, id) in [("a", 1), ("b", 2), ("c", 3)] {
            let common = "\tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;\n";
            let format = format!("name: {name}\nID: {id}\nformat:\n{common}\nprint fmt: \"of {name}\"\n");
            text.add(&Arc::new(EventFormat::parse("s", &format, abi.long).unwrap()), &kernel);
        }
        let waiting = |text: &KernelText| text.waiting.iter().flatten().map(|format| format.id.0).collect::<Vec<_>>();
        assert_eq!(waiting(&text), [1, 2, 3]);
        let record = Record { cpu: 0, time: 0, ticks: 0, lost: Lost::Nothing, bytes: &[2, 0, 0, 0, 0, 0, 0, 0] };
        for _ in 0..2 {
            let mut out = Vec::new();
            let (compiled, names) = text.of(EventId(2)).unwrap();
            compiled.write_text::<LittleEndian>(&mut out, &record, names);
            assert_eq!(out, b"b: of b");
        }
        assert_eq!(waiting(&text), [1, 3]);
        assert!(text.of(EventId(9)).is_some());
    }
}
