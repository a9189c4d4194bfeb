//! Where events go, as the options say: typed streams, the text stream, lines on standard output.

use std::io::Write;
use std::net::SocketAddr;
use std::sync::Arc;

use byteorder::ByteOrder;

use crate::format::EventFormat;
use crate::osc::EncodeError;
use crate::osc::about::Stat;
use crate::osc::stream::Stream;
use crate::osc::transport::SendCounts;
use crate::pipeline::{Event, Output};

/// All outputs of one run.
#[derive(Default)]
pub struct Outputs {
    /// One typed stream for each form of messages.
    pub streams: Vec<Stream>,
}

impl Output for Outputs {
    fn add(&mut self, format: &Arc<EventFormat>) {
        self.streams.iter_mut().for_each(|stream| Output::add(stream, format));
    }

    #[inline]
    fn event<E: ByteOrder>(&mut self, event: &Event<'_>) -> Result<(), EncodeError> {
        for stream in &mut self.streams {
            Output::event::<E>(stream, event)?;
        }
        Ok(())
    }

    fn flush(&mut self) {
        self.streams.iter_mut().for_each(Output::flush);
    }
}
