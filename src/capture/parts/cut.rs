//! Where a capture is cut, and how a part of it is read.

use std::io;
use std::sync::Arc;

use byteorder::ByteOrder;

use super::Jobs;
use crate::capture::window::{Begins, Clock};
use crate::capture::{Capture, RingFeed};
use crate::ring::{Feed, Merge};

/// Bytes of sub-buffers in a part: some ten thousand events. What is made of them is as long as they are, or several times as
/// long, and waits in memory until the parts before it are written.
pub(super) const PART: u64 = 1 << 20;
/// Sub-buffers of a ring in a part, on average, at the least: each part reads the one in which it begins, and searches for it.
const SUB_BUFFERS: u64 = 32;
/// Bytes of sub-buffers in a capture that threads are begun for.
const WORTH: u64 = 4 << 20;
/// The most parts there are.
const MAX_PARTS: u64 = 1 << 14;

/// The times to cut `capture` at, ascending; none where it is read as a whole. `window` is the first and the last time that is
/// taken of it, `part` the bytes of sub-buffers that a part has. The rings are afterwards where they have to be for that.
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
    // Of less, threads cost more than they save. Who asks for them gets them, of whatever length.
    if jobs == Jobs::Processors && bytes < WORTH {
        return Ok(Vec::new());
    }
    let least = size.saturating_mul(SUB_BUFFERS).saturating_mul(capture.rings.len() as u64);
    let parts = (bytes / least.max(part)).max(4 * jobs.number() as u64);
    let Capture { header, endian, times, rings, .. } = capture;
    let clock = Clock { header, endian: *endian, times };
    let (mut cuts, mut known) = (Vec::new(), Begins::new());
    if let Some(ring) = rings.get_mut(longest.1) {
        let begin = if from > 0 { clock.skip_to(ring.cpu, &mut ring.feed, from, &mut known)? } else { 0 };
        let end =
            if last < u64::MAX { clock.skip_to(ring.cpu, &mut ring.feed, last, &mut known)? + 1 } else { longest.0 };
        let length = end.saturating_sub(begin);
        let parts = parts.min(length).clamp(1, MAX_PARTS);
        for part in 1..parts {
            let at = begin + (u128::from(length) * u128::from(part) / u128::from(parts)) as u64;
            let time = clock.begin_of(ring.cpu, &mut ring.feed, at)?;
            cuts.extend(time.filter(|time| *time > from && *time <= last && cuts.last().is_none_or(|cut| cut < time)));
        }
        // Where it was.
        ring.feed.seek(begin)?;
    }
    Ok(cuts)
}

/// The rings of a capture, as one thread reads them.
pub(super) struct Reader<'c> {
    pub(super) clock: Clock<'c>,
    times: Option<Arc<crate::ring::Times>>,
    rings: Vec<(u32, RingFeed)>,
    /// The number of the sub-buffer that each ring was sought at.
    begins: Vec<u64>,
    /// What was found out of each ring, searching.
    known: Vec<Begins>,
}

impl<'c> Reader<'c> {
    pub(super) fn new(clock: Clock<'c>, rings: Vec<(u32, RingFeed)>) -> Reader<'c> {
        let times = (!clock.times.is_plain()).then(|| Arc::new(clock.times.clone()));
        let (begins, known) = (vec![0; rings.len()], vec![Begins::new(); rings.len()]);
        Reader { clock, times, rings, begins, known }
    }

    /// Goes to where events from `time` on begin; 0 is the beginning.
    pub(super) fn seek(&mut self, time: u64) -> io::Result<()> {
        for (((cpu, feed), begin), known) in self.rings.iter_mut().zip(&mut self.begins).zip(&mut self.known) {
            *begin = if time > 0 {
                self.clock.skip_to(*cpu, feed, time, known)?
            } else {
                feed.seek(0)?;
                0
            };
        }
        Ok(())
    }

    /// Goes to where the last search has led.
    pub(super) fn seek_again(&mut self) -> io::Result<()> {
        for ((_, feed), begin) in self.rings.iter_mut().zip(&self.begins) {
            feed.seek(*begin)?;
        }
        Ok(())
    }

    /// The records from there on, but not those before `begin` or from `until` on.
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

    /// The rings again, for another part.
    pub(super) fn take_back(&mut self, merge: Merge<RingFeed>) {
        self.rings = merge.into_feeds().collect();
    }

    pub(super) fn begins(&self) -> &[u64] {
        &self.begins
    }
}
