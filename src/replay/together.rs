//! Several captures played together, ordered by the time of day. Each has its own outputs, so that each keeps its
//! host name.

use std::ops::ControlFlow;

use byteorder::{BigEndian, ByteOrder, LittleEndian};

use super::part::Part;
use super::voice::Voice;
use super::{Player, Stop, Time};
use crate::capture::{Capture, RingFeed};
use crate::format::Endian;
use crate::output::Outputs;
use crate::ring::Merge;

/// One of several captures.
pub struct Machine {
    /// What is played.
    pub capture: Capture,
    /// Added to a time of its trace clock, it gives the time of day, or that of the common clock. `None`: it is
    /// played alone, by its own clock.
    pub offset: Option<u64>,
    /// The host name, for `/ftrace/start`.
    pub host: String,
    /// Where its events go.
    pub outputs: Outputs,
}

/// When the next event happened, on the trace clock.
fn peek(merge: &mut Merge<RingFeed>, part: &Part) -> Option<u64> {
    match part.capture.endian {
        Endian::Little => merge.peek::<LittleEndian>(),
        Endian::Big => merge.peek::<BigEndian>(),
    }
}

impl<T: Time> Player<'_, T> {
    /// Plays the events of all `parts` in one order.
    pub(super) fn run_together(&mut self, merges: &mut [Merge<RingFeed>], parts: &[Part]) -> ControlFlow<Stop> {
        const LOOK_EVERY: u32 = 4096;
        let offsets: Vec<u64> = self.voices.iter().map(|voice| voice.offset).collect();
        let lines = self.voices.iter_mut().any(Voice::has_lines);
        let next = |merge: &mut Merge<RingFeed>, part: &Part, offset: u64| {
            peek(merge, part).filter(|_| !part.silent).map(|time| time.wrapping_add(offset))
        };
        let mut heads: Vec<Option<u64>> = merges
            .iter_mut()
            .zip(parts)
            .zip(&offsets)
            .map(|((merge, part), offset)| next(merge, part, *offset))
            .collect();
        let (mut last, mut turns, mut now) = (0, 0u32, self.time.now());
        // There are few: looking at all of them costs less than keeping them in order.
        while let Some((index, _)) =
            heads.iter().enumerate().filter_map(|(index, head)| Some((index, (*head)?))).min_by_key(|&(_, at)| at)
        {
            let (Some(merge), Some(part), Some(head)) = (merges.get_mut(index), parts.get(index), heads.get_mut(index))
            else {
                break;
            };
            if index != last && lines {
                // Each has a buffer of its own; the lines must be in the order of the events.
                self.voices.get_mut(last).into_iter().for_each(|voice| voice.pipeline.outputs().flush_lines());
            }
            last = index;
            turns = turns.wrapping_add(1);
            if turns.is_multiple_of(LOOK_EVERY) {
                now = self.look()?;
            }
            let more = match part.capture.endian {
                Endian::Little => self.one::<LittleEndian>((index, part), merge, &mut now)?,
                Endian::Big => self.one::<BigEndian>((index, part), merge, &mut now)?,
            };
            let offset = offsets.get(index).copied().unwrap_or(0);
            *head = if more { next(merge, part, offset) } else { None };
        }
        self.flush();
        ControlFlow::Continue(())
    }

    /// Plays or skips the next event of one part; returns whether more may come.
    fn one<E: ByteOrder>(
        &mut self,
        (index, part): (usize, &Part),
        merge: &mut Merge<RingFeed>,
        now: &mut u64,
    ) -> ControlFlow<Stop, bool> {
        let Some(record) = merge.next_record::<E>() else { return ControlFlow::Continue(false) };
        if let Some(selector) = &part.selector {
            if selector.is_past(record.time) {
                return ControlFlow::Continue(false);
            }
            if !selector.takes::<E>(&record) {
                return ControlFlow::Continue(true);
            }
        }
        let at = record.time.wrapping_add(self.voices.get(index).map_or(0, |voice| voice.offset));
        if !self.pace.is_before(at) {
            let due = self.until_due(at, now)?;
            self.at = at.saturating_sub(self.pace.origin.unwrap_or(at));
            self.record::<E>(index, record, due);
        }
        ControlFlow::Continue(true)
    }
}
