//! The sub-buffers of all CPUs as one stream of records in order of time.
//!
//! Each CPU's ring is in order by itself; a k-way merge keeps the stream in order across them. The merge stays with one
//! CPU for as long as that CPU's next record is not later than any other's, which costs one comparison a record; a change
//! of CPU costs as many as the number of CPUs has digits to the base of four (`tournament`).
//!
//! ```text
//! cpu0  ──1──────4──5─────────9──      current = cpu0 while its head ≤ limit,
//! cpu1  ─────2──3───────7──8─────      limit   = the earliest head among the others
//! out     1  2  3  4  5  7  8  9
//! ```
//!
//! Guarantee: records are given out in order of time, and for equal times the lower CPU's first, as long as every
//! feed has a sub-buffer whenever it is asked. A live feed that runs dry is left out until [`Merge::resume`]; what it
//! gets later may then be older than what has already been given out.

use std::io;
use std::ops::ControlFlow;
use std::sync::Arc;

use byteorder::ByteOrder;

pub use super::feed::Feed;
use super::sub_buffer::{Lost, RingError, Walk};
use super::times::Times;
use super::tournament::{NONE, Tournament};
use crate::format::HeaderPage;

/// One record of the merged stream.
#[derive(Debug, Clone, Copy)]
pub struct Record<'a> {
    /// The CPU it was written on.
    pub cpu: u32,
    /// Trace-clock time, ns if the unit is known.
    pub time: u64,
    /// The time as it is in the ring, in the unit of the trace clock.
    pub ticks: u64,
    /// What the ring lost on this CPU right before this record.
    pub lost: Lost,
    /// Its payload, from `common_type` on; up to three bytes of padding may follow the last field.
    pub bytes: &'a [u8],
}

/// What was read on one CPU, and its errors.
#[derive(Debug, Clone, Default)]
pub struct Counts {
    /// Sub-buffers read.
    pub sub_buffers: u64,
    /// Records found.
    pub records: u64,
    /// Events that were overwritten before they were read, according to sub-buffer flags.
    pub lost: u64,
    /// Gaps of unknown size, each at least one event and not in `lost`.
    pub gaps: u64,
    /// Sub-buffers, or remainders of them, that could not be parsed.
    pub malformed: u64,
    /// The first such error.
    pub first_error: Option<RingError>,
}

#[derive(Debug)]
struct Cursor<F> {
    cpu: u32,
    feed: F,
    /// The sub-buffer that `walk` is in.
    page: Vec<u8>,
    walk: Walk,
    start: usize,
    end: usize,
    lost: Lost,
    /// The feed has nothing now, or has failed.
    dry: bool,
    /// The time of the head as it is in the ring.
    ticks: u64,
    /// The feed has failed and is not asked again.
    failed: bool,
    counts: Counts,
    /// Sub-buffers that were read and are not counted.
    skipped: u64,
    error: Option<io::Error>,
}

impl<F: Feed> Cursor<F> {
    /// Steps to the next record and returns its time, or [`NONE`].
    #[inline]
    fn step<E: ByteOrder>(&mut self, layout: &HeaderPage, times: Option<&Times>) -> u64 {
        loop {
            match self.walk.next_in::<E>(&self.page) {
                Some(Ok(found)) => {
                    self.start = found.payload.start;
                    self.end = found.payload.end;
                    self.counts.records += 1;
                    self.ticks = found.time;
                    let time = times.map_or(found.time, |times| times.ns(self.cpu, found.time));
                    // A time of all ones would be taken for "no head".
                    return time.min(NONE - 1);
                }
                Some(Err(error)) => self.malformed(error),
                None => {}
            }
            if !self.load::<E>(layout) {
                return NONE;
            }
        }
    }

    /// Loads sub-buffers until one can be parsed.
    #[cold]
    fn load<E: ByteOrder>(&mut self, layout: &HeaderPage) -> bool {
        while !self.dry {
            match self.feed.advance(&mut self.page) {
                Ok(true) => {}
                Ok(false) => {
                    self.dry = true;
                    break;
                }
                Err(error) => {
                    (self.dry, self.failed) = (true, true);
                    self.error.get_or_insert(error);
                    break;
                }
            }
            self.counts.sub_buffers += 1;
            match Walk::open::<E>(layout, &self.page) {
                Ok((walk, lost)) => {
                    self.walk = walk;
                    match lost {
                        Lost::Nothing => {}
                        Lost::Unknown => self.counts.gaps += 1,
                        Lost::Count(n) => self.counts.lost = self.counts.lost.saturating_add(n),
                    }
                    if lost != Lost::Nothing {
                        self.lost = lost;
                    }
                    return true;
                }
                Err(error) => self.malformed(error),
            }
        }
        self.walk = Walk::default();
        false
    }

    #[cold]
    fn malformed(&mut self, error: RingError) {
        self.counts.malformed += 1;
        self.counts.first_error.get_or_insert(error);
    }
}

/// The merge over all CPUs.
#[derive(Debug)]
pub struct Merge<F> {
    layout: HeaderPage,
    cursors: Vec<Cursor<F>>,
    /// The time of each cursor's head.
    heads: Tournament,
    current: usize,
    /// The time of the head of `current`.
    time: u64,
    /// A time up to which `current` stays ahead of all others.
    limit: u64,
    /// Whether the head of `current` has been given out.
    taken: bool,
    /// Whether `current` is ahead of all others.
    settled: bool,
    /// The cursors without a head whose feeds are asked next.
    asked: Vec<usize>,
    /// How times are converted to ns, if they are not ns already.
    times: Option<Arc<Times>>,
    /// Records from this time on are not given out.
    until: u64,
}

/// The position of a merge on one CPU: from equal positions, merges continue equally.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Position {
    /// Sub-buffers read.
    pub(super) sub_buffers: u64,
    walk: Walk,
    /// The next record; `None`: there is none.
    head: Option<(usize, usize, u64)>,
    lost: Lost,
    failed: bool,
}

impl<F: Feed> Merge<F> {
    /// A merge over `(cpu, feed)` pairs, whose sub-buffers all have the layout `layout`. Reads nothing yet.
    pub fn new(layout: HeaderPage, feeds: impl IntoIterator<Item = (u32, F)>) -> Merge<F> {
        let cursors: Vec<_> = feeds
            .into_iter()
            .map(|(cpu, feed)| Cursor {
                cpu,
                feed,
                page: Vec::with_capacity(layout.sub_buffer_size()),
                walk: Walk::default(),
                start: 0,
                end: 0,
                lost: Lost::Nothing,
                dry: true,
                ticks: 0,
                failed: false,
                counts: Counts::default(),
                skipped: 0,
                error: None,
            })
            .collect();
        let heads = Tournament::new(cursors.len());
        let mut merge = Merge {
            layout,
            cursors,
            heads,
            current: 0,
            time: NONE,
            limit: 0,
            taken: false,
            settled: false,
            asked: Vec::new(),
            times: None,
            until: NONE,
        };
        merge.resume();
        merge
    }

    /// Sets how times are converted to ns, for all records that have not been looked at yet.
    pub fn set_times(&mut self, times: Option<Arc<Times>>) {
        self.times = times;
    }

    /// Leaves out records from the time `until` on: the merge ends when every CPU has reached one.
    pub fn set_until(&mut self, until: u64) {
        self.until = until;
    }

    /// Skips the records of every CPU up to its first one that is not before `time`, and starts counting there: the
    /// counts of a merge with [`set_until`](Merge::set_until) of the same time are not repeated.
    pub fn skip_before<E: ByteOrder>(&mut self, time: u64) {
        self.refill::<E>();
        for (index, cursor) in self.cursors.iter_mut().enumerate() {
            let mut head = self.heads.of(index);
            while head < time {
                cursor.lost = Lost::Nothing;
                head = cursor.step::<E>(&self.layout, self.times.as_deref());
            }
            self.heads.set(index, head);
            let sub_buffers = cursor.skipped + cursor.counts.sub_buffers;
            (cursor.counts, cursor.error, cursor.skipped) = (Counts::default(), None, sub_buffers);
        }
        (self.limit, self.settled, self.taken) = (0, false, false);
    }

    /// The position on every CPU, where `begins` are the numbers of the sub-buffers at which their feeds were.
    pub fn positions<E: ByteOrder>(&mut self, begins: &[u64]) -> Vec<Position> {
        self.peek::<E>();
        let position = |(index, cursor): (usize, &Cursor<F>)| {
            let read = cursor.skipped + cursor.counts.sub_buffers;
            let there = self.heads.of(index) != NONE;
            Position {
                sub_buffers: begins.get(index).copied().unwrap_or(0).saturating_add(read),
                walk: if there { cursor.walk } else { Walk::default() },
                head: there.then_some((cursor.start, cursor.end, cursor.ticks)),
                lost: cursor.lost,
                failed: cursor.failed,
            }
        };
        self.cursors.iter().enumerate().map(position).collect()
    }

    /// Returns the feeds.
    pub fn into_feeds(self) -> impl Iterator<Item = (u32, F)> {
        self.cursors.into_iter().map(|cursor| (cursor.cpu, cursor.feed))
    }

    /// Asks every feed that has run dry again.
    pub fn resume(&mut self) {
        (0..self.cursors.len()).for_each(|index| self.resume_one(index));
    }

    /// Asks one feed again if it has run dry: number `index`, in the order in which they were given.
    pub fn resume_one(&mut self, index: usize) {
        let Some(cursor) = self.cursors.get_mut(index).filter(|cursor| cursor.dry && !cursor.failed) else { return };
        cursor.dry = false;
        self.asked.push(index);
        // Its head may be earlier than that of `current`.
        (self.limit, self.settled) = (0, false);
    }

    /// The time of the next record, which is not taken; `None` when every feed is dry.
    #[inline]
    pub fn peek<E: ByteOrder>(&mut self) -> Option<u64> {
        if std::mem::take(&mut self.taken) {
            self.time = self.cursors.get_mut(self.current)?.step::<E>(&self.layout, self.times.as_deref());
            if self.time > self.limit {
                self.set_head(self.time);
            }
        }
        if !self.settled {
            self.select::<E>()?;
        }
        Some(self.time)
    }

    /// The next record, the earliest of all CPUs'; `None` when every feed is dry or has failed:
    /// [`take_errors`](Merge::take_errors) says which failed.
    #[inline]
    pub fn next_record<E: ByteOrder>(&mut self) -> Option<Record<'_>> {
        self.peek::<E>()?;
        self.taken = true;
        let cursor = self.cursors.get_mut(self.current)?;
        let lost = std::mem::take(&mut cursor.lost);
        let bytes = cursor.page.get(cursor.start..cursor.end)?;
        Some(Record { cpu: cursor.cpu, time: self.time, ticks: cursor.ticks, lost, bytes })
    }

    /// Gives every record to `each`, the earliest of all CPUs' first, until every feed is dry or `each` breaks.
    ///
    /// The order is that of [`next_record`](Merge::next_record), and it is several times as fast: as long as one CPU
    /// is ahead, its state stays in registers.
    // Long: the loop over the records of one ring, which must keep its state in registers.
    #[inline]
    pub fn for_each<E: ByteOrder, B>(&mut self, mut each: impl FnMut(Record<'_>) -> ControlFlow<B>) -> ControlFlow<B> {
        if self.times.is_some() {
            while let Some(record) = self.next_record::<E>() {
                each(record)?;
            }
            return ControlFlow::Continue(());
        }
        if std::mem::take(&mut self.taken)
            && let Some(cursor) = self.cursors.get_mut(self.current)
        {
            let time = cursor.step::<E>(&self.layout, None);
            self.set_head(time);
        }
        if self.select::<E>().is_none() {
            return ControlFlow::Continue(());
        }
        // The state of `current` is in local variables from here on; the next call selects again.
        self.settled = false;
        let (mut current, mut time, mut limit) = (self.current, self.time, self.limit);
        while let Some(cursor) = self.cursors.get_mut(current) {
            // The records of this CPU, up to the first one that is later than another CPU's.
            loop {
                let page = cursor.page.as_slice();
                let mut run = cursor.walk.run(page);
                let mut bytes = page.get(cursor.start..cursor.end).unwrap_or_default();
                let mut lost = std::mem::take(&mut cursor.lost);
                let mut records = 0;
                // Within one sub-buffer nothing but `run` changes.
                let (flow, end) = loop {
                    let flow = each(Record { cpu: cursor.cpu, time, ticks: time, lost, bytes });
                    lost = Lost::Nothing;
                    if let Some(short) = run.next::<E>() {
                        (time, bytes) = (run.time, short);
                        records += 1;
                        if flow.is_continue() && time <= limit {
                            continue;
                        }
                        cursor.walk.follow(&run);
                        (cursor.start, cursor.end) = (cursor.walk.at() - bytes.len(), cursor.walk.at());
                        break (flow, None);
                    }
                    cursor.walk.follow(&run);
                    let found = cursor.walk.next_in::<E>(page);
                    run = cursor.walk.run(page);
                    let Some(Ok(found)) = found else { break (flow, Some(found)) };
                    time = found.time;
                    records += 1;
                    if flow.is_break() || time > limit {
                        (cursor.start, cursor.end) = (found.payload.start, found.payload.end);
                        break (flow, None);
                    }
                    bytes = page.get(found.payload).unwrap_or_default();
                };
                cursor.counts.records += records;
                time = match end {
                    // A time of all ones would be taken for "no head".
                    None => time.min(NONE - 1),
                    Some(end) => {
                        if let Some(Err(error)) = end {
                            cursor.malformed(error);
                        }
                        if cursor.load::<E>(&self.layout) { cursor.step::<E>(&self.layout, None) } else { NONE }
                    }
                };
                cursor.ticks = time;
                let first = self.heads.set(current, time);
                if flow.is_break() {
                    return flow;
                }
                let Some(first) = first.filter(|first| first.time < self.until) else {
                    return ControlFlow::Continue(());
                };
                limit = first.limit.min(self.until - 1);
                if first.ring != current {
                    (current, time) = (first.ring, first.time);
                    break;
                }
            }
        }
        ControlFlow::Continue(())
    }

    /// Gives `current` another head.
    fn set_head(&mut self, time: u64) {
        match self.heads.set(self.current, time) {
            Some(first) if first.ring == self.current && time < self.until => {
                self.limit = first.limit.min(self.until - 1);
            }
            _ => self.settled = false,
        }
    }

    /// Makes the CPU with the earliest head current; `None` when there is no head.
    #[inline]
    fn select<E: ByteOrder>(&mut self) -> Option<()> {
        if !self.asked.is_empty() {
            self.refill::<E>();
        }
        self.settled = false;
        let first = self.heads.first().filter(|first| first.time < self.until)?;
        // How far it stays ahead is computed when it has stepped that far: with many rings, one seldom does.
        (self.current, self.time, self.limit, self.settled) = (first.ring, first.time, first.limit, true);
        Some(())
    }

    /// Asks the feeds that are marked for it.
    #[inline(never)]
    fn refill<E: ByteOrder>(&mut self) {
        for index in self.asked.drain(..) {
            if let Some(cursor) = self.cursors.get_mut(index) {
                self.heads.set(index, cursor.step::<E>(&self.layout, self.times.as_deref()));
            }
        }
    }

    /// The counts so far, by CPU.
    pub fn counts(&self) -> impl Iterator<Item = (u32, &Counts)> {
        self.cursors.iter().map(|c| (c.cpu, &c.counts))
    }

    /// The feeds, by CPU.
    pub fn feeds_mut(&mut self) -> impl Iterator<Item = (u32, &mut F)> {
        self.cursors.iter_mut().map(|c| (c.cpu, &mut c.feed))
    }

    /// One feed: number `index`, in the order in which they were given.
    pub fn feed_mut(&mut self, index: usize) -> Option<&mut F> {
        self.cursors.get_mut(index).map(|cursor| &mut cursor.feed)
    }

    /// The feeds that failed since the last call, and why. A feed that failed is not asked again.
    pub fn take_errors(&mut self) -> impl Iterator<Item = (u32, io::Error)> + '_ {
        self.cursors.iter_mut().filter_map(|c| c.error.take().map(|error| (c.cpu, error)))
    }

    /// The layout of the sub-buffers.
    pub fn layout(&self) -> &HeaderPage {
        &self.layout
    }
}
