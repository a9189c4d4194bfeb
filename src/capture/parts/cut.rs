//! Where a capture is cut into parts, and how one part is read.

use std::io;
use std::sync::Arc;

use byteorder::ByteOrder;

use super::Jobs;
use crate::capture::window::{Begins, Clock};
use crate::capture::{Capture, RingFeed};
use crate::ring::{Feed, Merge};

/// Bytes of sub-buffers in a part: some ten thousand events. The output for them is as long or several times as long,
/// and waits in memory until the earlier parts are written.
pub(super) const PART: u64 = 1 << 20;
/// The average number of sub-buffers of a ring in a part, at least: each part searches for the sub-buffer in which it
/// begins, and reads it.
const SUB_BUFFERS: u64 = 32;
/// The size of a capture, in bytes of sub-buffers, from which threads are worth starting.
const WORTH: u64 = 4 << 20;
/// The largest number of parts.
const MAX_PARTS: u64 = 1 << 14;

/// The times at which `capture` is cut, ascending; none if it is read as a whole. `window` is the first and the last
/// selected time, `part` the bytes of sub-buffers in a part. Afterwards the rings are positioned for that.
pub(super) fn cuts(capture: &mut Capture, jobs: Jobs, part: u64, window: (u64, u64)) -> io::Result<Vec<u64>> {
    let (from, last) = window;
    let size = capture.header.sub_buffer_size() as u64;
    if jobs.number() < 2 {
        return Ok(Vec::new());
    }
    let mut bytes = 0u64;
    let mut longest = (0, 0);
    for (index, ring) in capture.rings.iter_mut().enumerate() {
        let Some(count) = ring.feed.sub_buffers()? else { return Ok(Vec::new()) };
        bytes = bytes.saturating_add(count.saturating_mul(size));
        longest = longest.max((count, index));
    }
    // For less, threads cost more than they save. With an explicit `--jobs N` they are used for any size.
    if jobs == Jobs::Processors && bytes < WORTH {
        return Ok(Vec::new());
    }
    let least = size.saturating_mul(SUB_BUFFERS).saturating_mul(capture.rings.len() as u64);
    let parts = (bytes / least.max(part)).max(4 * jobs.number() as u64);
    let Capture { header, endian, times, rings, .. } = capture;
    let clock = Clock { header, endian: *endian, times };
    let (mut cuts, mut known) = (Vec::new(), Begins::new());
    if let Some(ring) = rings.get_mut(longest.1) {
        let begin = if from == 0 { 0 } else { clock.skip_to(ring.cpu, &mut ring.feed, from, &mut known)? };
        let end =
            if last < u64::MAX { clock.skip_to(ring.cpu, &mut ring.feed, last, &mut known)? + 1 } else { longest.0 };
        let length = end.saturating_sub(begin);
        let parts = parts.min(length).clamp(1, MAX_PARTS);
        for part in 1..parts {
            let at = begin + (u128::from(length) * u128::from(part) / u128::from(parts)) as u64;
            let time = clock.begin_of(ring.cpu, &mut ring.feed, at)?;
            cuts.extend(time.filter(|time| *time > from && *time <= last && cuts.last().is_none_or(|cut| cut < time)));
        }
        // Back to the previous position.
        ring.feed.seek(begin)?;
    }
    Ok(cuts)
}

/// The rings of a capture, as read by one thread.
pub(super) struct Reader<'c> {
    pub(super) clock: Clock<'c>,
    times: Option<Arc<crate::ring::Times>>,
    rings: Vec<(u32, RingFeed)>,
    /// The number of the sub-buffer to which each ring was positioned.
    begins: Vec<u64>,
    /// What the searches have found out about each ring.
    known: Vec<Begins>,
}

impl<'c> Reader<'c> {
    pub(super) fn new(clock: Clock<'c>, rings: Vec<(u32, RingFeed)>) -> Reader<'c> {
        let times = (!clock.times.is_plain()).then(|| Arc::new(clock.times.clone()));
        let (begins, known) = (vec![0; rings.len()], vec![Begins::new(); rings.len()]);
        Reader { clock, times, rings, begins, known }
    }

    /// Goes to the first events from `time` on; 0 is the beginning.
    pub(super) fn seek(&mut self, time: u64) -> io::Result<()> {
        for (((cpu, feed), begin), known) in self.rings.iter_mut().zip(&mut self.begins).zip(&mut self.known) {
            *begin = if time == 0 {
                feed.seek(0)?;
                0
            } else {
                self.clock.skip_to(*cpu, feed, time, known)?
            };
        }
        Ok(())
    }

    /// Goes to the position that the last search found.
    pub(super) fn seek_again(&mut self) -> io::Result<()> {
        for ((_, feed), begin) in self.rings.iter_mut().zip(&self.begins) {
            feed.seek(*begin)?;
        }
        Ok(())
    }

    /// The records from there on, without those before `begin` and those from `until` on.
    pub(super) fn merge<E: ByteOrder>(&mut self, begin: Option<u64>, until: Option<u64>) -> Merge<RingFeed> {
        let mut merge = Merge::new(self.clock.header.clone(), std::mem::take(&mut self.rings));
        merge.set_times(self.times.clone());
        if let Some(until) = until {
            merge.set_until(until);
        }
        if let Some(begin) = begin {
            merge.skip_before::<E>(begin);
        }
        merge
    }

    /// Takes the rings back, for another part.
    pub(super) fn take_back(&mut self, merge: Merge<RingFeed>) {
        self.rings = merge.into_feeds().collect();
    }

    pub(super) fn begins(&self) -> &[u64] {
        &self.begins
    }
}

#[cfg(test)]
mod tests;
