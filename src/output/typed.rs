//! Typed messages in datagrams: the [`Stream`] as an [`Output`].

use std::sync::Arc;

use byteorder::ByteOrder;

use super::{Event, Output};
use crate::format::EventFormat;
use crate::names::Kernel;
use crate::osc::EncodeError;
use crate::osc::stream::Stream;

impl Output for Stream {
    fn add(&mut self, format: &Arc<EventFormat>, kernel: &Kernel) {
        Stream::add(self, format, kernel);
    }

    #[inline(always)]
    fn event<E: ByteOrder>(&mut self, event: &Event<'_>) -> Result<(), EncodeError> {
        Stream::event::<E>(self, event.id, event.record.bytes, &event.moment)
    }

    fn flush(&mut self) {
        Stream::flush(self);
    }
}
