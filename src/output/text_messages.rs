//! The kernel's own text in addition to the messages of streams: `/ftrace/text`.
//!
//! Only events that a stream has sent within its rate cap are formatted, and only while it has a receiver.

use std::sync::Arc;

use byteorder::ByteOrder;

use super::Event;
use super::kernel_text::KernelText;
use crate::format::EventFormat;
use crate::names::Kernel;
use crate::osc::stream::Stream;
use crate::osc::text_message::TextMessage;
use crate::render::Settings;

/// Formats the texts and passes them to the streams.
pub struct TextMessages {
    text: KernelText,
    message: TextMessage,
    scratch: Vec<u8>,
}

impl TextMessages {
    /// Text with these settings, sent with `prefix`.
    pub fn new(settings: Settings, prefix: &str) -> TextMessages {
        let scratch = Vec::with_capacity(1 << 12);
        TextMessages { text: KernelText::new(settings), message: TextMessage::new(prefix), scratch }
    }

    pub(super) fn add(&mut self, format: &Arc<EventFormat>, kernel: &Kernel) {
        self.text.add(format, kernel);
    }

    #[inline(never)]
    pub(super) fn event<E: ByteOrder>(&mut self, event: Event<'_>, streams: &mut [Stream]) {
        let Some((text, names)) = self.text.of(event.id) else { return };
        let mut wanting = streams.iter_mut().filter(|stream| stream.wants_text()).peekable();
        if wanting.peek().is_none() {
            return;
        }
        self.scratch.clear();
        text.write_text::<E>(&mut self.scratch, &event.record, names);
        if let Ok(bytes) = self.message.encode(event.moment.event_ns, &self.scratch) {
            wanting.for_each(|stream| stream.message(bytes, event.moment.play_ns));
        }
    }
}
