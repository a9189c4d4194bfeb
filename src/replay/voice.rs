//! One of the captures that are played: the pipeline of its events, and what has been reported about it.

use byteorder::ByteOrder;

use super::part::Part;
use super::{ReplayError, is_among, pipeline_of, play_record, prepare};
use crate::capture::select::Select;
use crate::control::Switched;
use crate::decode::EventTable;
use crate::output::{Outputs, Window};
use crate::pipeline::{Counts, Pipeline};
use crate::ring::Record;

/// See the [module](self).
pub(super) struct Voice {
    pub(super) pipeline: Pipeline<Outputs>,
    /// All events of the capture's kernel. The pipeline adds those that occur when they first do: a capture may
    /// describe thousands.
    pub(super) table: EventTable,
    /// Added to a time of its trace clock, it gives that of the common clock.
    pub(super) offset: u64,
    last: Counts,
}

impl Voice {
    /// The voice of a part. `offset` is `None` if it is played alone, by its own clock, whatever that counts.
    pub(super) fn new(
        part: &mut Part,
        outputs: Outputs,
        offset: Option<u64>,
        select: &Select,
    ) -> Result<Voice, ReplayError> {
        let capture = &mut part.capture;
        let mut pipeline = pipeline_of(capture, outputs);
        if !part.silent {
            prepare(pipeline.outputs(), capture, select)?;
        }
        match (offset, capture.clock_pair) {
            (Some(offset), _) => pipeline.pair_clocks(0, offset),
            (None, Some(pair)) => pipeline.pair_clocks(pair.trace_ns, pair.realtime_ns),
            (None, None) => {}
        }
        if offset.is_none() && capture.counts_ticks() {
            pipeline.count_ticks();
        }
        let table = EventTable::new(std::mem::take(&mut capture.events));
        Ok(Voice { pipeline, table, offset: offset.unwrap_or(0), last: Counts::default() })
    }

    #[inline]
    pub(super) fn record<E: ByteOrder>(&mut self, record: Record<'_>, play_ns: Option<u64>, switched: &Switched) {
        let silent = &switched.silent;
        play_record::<E, _>(&mut self.pipeline, &self.table, record, play_ns, |pipeline| {
            if !silent.is_empty() {
                pipeline.mute(|format| is_among(silent, format));
            }
        });
    }

    /// Sends the statistics since the last call to its receivers.
    pub(super) fn stat(&mut self, seconds: f32) {
        let counts = self.pipeline.counts().clone();
        let window = Window {
            read: counts.read - self.last.read,
            kernel_lost: 0,
            malformed: counts.malformed + counts.unknown - self.last.malformed - self.last.unknown,
            seconds,
        };
        self.last = counts;
        let outputs = self.pipeline.outputs();
        let counts: Vec<_> = outputs.stream_counts().collect();
        outputs.stat(&window, &counts, |_| 0);
    }

    /// Whether its output consists of lines, which must be in the order of all captures.
    pub(super) fn has_lines(&mut self) -> bool {
        let outputs = self.pipeline.outputs();
        outputs.prints() || outputs.mapped.is_some()
    }
}
