//! A capture read by several threads, each a part of its time, with the same result as reading it in one thread.
//!
//! A cut is a time T. On every CPU the records before the first one that is not before T belong to the part before
//! the cut, the rest to the part behind it. A merge gives out the first half of every CPU before anything of the
//! second half: as long as one CPU has a record of its first half, the earliest head is before T. So the records of
//! the parts, one after the other, are the merged stream, whatever the times in the rings are.
//!
//! ```text
//! cpu0  ──1────4──5─┊────────9──      part 0 │ part 1        T = 6
//! cpu1  ────2──3────┊──7──8─────     1 2 3 4 5 │ 7 8 9
//! ```
//!
//! The beginning of a part is found by binary search, which assumes that the sub-buffers of a ring are in order. So
//! the end of each part is compared with the beginning of the next ([`Position`]); where they differ, one thread
//! reads everything from there on.
//!
//! State that events before a cut have left for those behind it (names of tasks, times of last occurrences) is
//! [carried](Work::Carry) over: each thread first looks through its part, and does its work when all earlier parts
//! have been looked through.

mod board;
mod cut;

use std::io;
use std::ops::ControlFlow;
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use byteorder::{BigEndian, ByteOrder, LittleEndian};

use super::select::Selector;
use super::window::Clock;
use super::{Capture, RingFeed};
use crate::format::Endian;
use crate::ring::{Counts, Merge, Position};
use board::Board;
use cut::Reader;

/// Parts that each thread may read before the first of them is written.
const AHEAD: usize = 2;
/// Blocks of a part that may wait to be written: as many as a part has, so that a thread never waits for the writer
/// of an earlier part, unless its lines are more than six times as long as its events.
const BLOCKS: usize = 64;
/// Bytes of a block that is handed on, 128 KiB: small enough to stay in a processor's cache, large enough not to wake the
/// writer all the time.
pub(crate) const BLOCK: usize = 131_072;
/// How often a waiting thread checks whether it should stop.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// How many threads read a capture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Jobs {
    /// One for each processor, if the capture is large enough.
    Processors,
    /// This many.
    Number(usize),
}

/// What is done with the records of a capture.
pub trait Work: Sync {
    /// What a thread keeps from one part to the next.
    type Hand;
    /// The state that a part needs from the events before it.
    type Carry: Clone + Default + Send;
    /// The result of a part.
    type Done: Send;

    /// The bytes of sub-buffers that a part should have.
    fn part_size(&self) -> u64 {
        cut::PART
    }

    /// Makes the state of a thread.
    fn hand(&self) -> Self::Hand;

    /// Whether a part needs state from the events before it; if not, [`look`](Work::look) is not called.
    fn carries(&self) -> bool {
        false
    }

    /// Adds to `carry` the state that the records of `merge` leave for later parts.
    fn look<E: ByteOrder>(&self, merge: &mut Merge<RingFeed>, carry: &mut Self::Carry) {
        let _ = (merge, carry);
    }

    /// Adds the state that [`look`](Work::look) found in a part to the state of all parts before it.
    fn carry(&self, before: &mut Self::Carry, part: Self::Carry) {
        let _ = (before, part);
    }

    /// Works on the records of one part. Output goes to `out`, which may also be given the time, and breaks when
    /// nothing more is needed; the work stops then, or when it needs no later record.
    fn work<E: ByteOrder>(
        &self,
        hand: &mut Self::Hand,
        merge: &mut Merge<RingFeed>,
        before: &Self::Carry,
        out: &mut dyn FnMut(Told<'_>) -> ControlFlow<()>,
    ) -> (Self::Done, ControlFlow<()>);
}

/// What was read of one CPU.
#[derive(Debug, Clone, Default)]
pub struct Read {
    /// The CPU.
    pub cpu: u32,
    /// The counts.
    pub counts: Counts,
    /// The damaged pieces that were skipped, as text.
    pub skipped: Option<String>,
    /// Why it was not read to its end.
    pub error: Option<String>,
}

/// The result of a capture, part by part.
#[derive(Debug)]
pub struct Total<D> {
    /// The parts.
    pub parts: Vec<D>,
    /// What was read of every CPU, summed over all parts.
    pub read: Vec<Read>,
    /// The number of threads.
    pub jobs: usize,
}

impl<D> Total<D> {
    /// A count, over all CPUs.
    pub fn sum(&self, of: fn(&Counts) -> u64) -> u64 {
        self.read.iter().map(|read| of(&read.counts)).fold(0, u64::saturating_add)
    }

    /// The damaged pieces that were skipped, and why a CPU was not read to its end, as text.
    pub fn errors(&self) -> Vec<String> {
        let of = |what: fn(&Read) -> Option<&String>| {
            self.read.iter().filter_map(move |read| Some(format!("CPU {}: {}", read.cpu, what(read)?)))
        };
        of(|read| read.skipped.as_ref()).chain(of(|read| read.error.as_ref())).collect()
    }
}

/// What is reported during the work.
pub enum Told<'b> {
    /// The next bytes to write. The block is empty afterwards and is reused.
    Block(&'b mut Vec<u8>),
    /// Everything before this time of the trace clock is done.
    Time(u64),
    /// Nothing new.
    Nothing,
}

/// The result of a part.
struct End<W: Work> {
    done: W::Done,
    read: Vec<Read>,
    positions: Vec<Position>,
    before: W::Carry,
    /// No later part is needed.
    ended: bool,
}

/// What a thread reports about its part.
enum Said<W: Work> {
    Begin(Vec<Position>),
    Block(Vec<u8>),
    End(Box<End<W>>),
}

/// Does the work on the records of `capture` that `selector` takes, in `jobs` threads. `take` gets the output in
/// order, and may break.
///
/// # Errors
/// The capture cannot be positioned at the first selected time.
/// Long: readers of all threads are made here, and lent to them.
pub fn work<W: Work>(
    capture: &mut Capture,
    selector: Option<&Selector>,
    jobs: Jobs,
    work: &W,
    take: &mut dyn FnMut(Told<'_>) -> ControlFlow<()>,
) -> io::Result<Total<W::Done>> {
    let (from, last) = selector.map_or((0, u64::MAX), Selector::window);
    // Where it cannot be searched, one thread finds out how far it can be read.
    let cuts = cut::cuts(capture, jobs, work.part_size(), (from, last)).unwrap_or_default();
    let Capture { header, endian, times, rings, .. } = capture;
    let clock = Clock { header, endian: *endian, times };
    let mut twins = Vec::new();
    while twins.len() < jobs.number().min(cuts.len() + 1) && !cuts.is_empty() {
        let twin = rings.iter_mut().map(|ring| Some((ring.cpu, ring.feed.twin()?))).collect::<Option<Vec<_>>>();
        let Some(twin) = twin else { break };
        twins.push(Reader::new(clock, twin));
    }
    let own = std::mem::take(rings).into_iter().map(|ring| (ring.cpu, ring.feed)).collect();
    let mut all =
        All { work, cuts: &cuts, from, own: Reader::new(clock, own), take, total: Vec::new(), read: Vec::new() };
    let jobs = twins.len().max(1);
    // Some feed cannot be read twice. Fewer readers than asked for are not worth it.
    if twins.len() < 2 {
        all.alone(0, W::Carry::default(), 0)?;
    } else {
        match endian {
            Endian::Little => all.together::<LittleEndian>(twins)?,
            Endian::Big => all.together::<BigEndian>(twins)?,
        }
    }
    Ok(Total { parts: all.total, read: all.read, jobs })
}

struct All<'a, W: Work> {
    work: &'a W,
    cuts: &'a [u64],
    /// The time to which the first part is positioned.
    from: u64,
    own: Reader<'a>,
    take: &'a mut dyn FnMut(Told<'_>) -> ControlFlow<()>,
    total: Vec<W::Done>,
    read: Vec<Read>,
}

impl<W: Work> All<'_, W> {
    /// Does all parts from `part` on in this thread, without the first `written` bytes of output.
    fn alone(&mut self, part: usize, before: W::Carry, mut written: usize) -> io::Result<()> {
        let begin = part.checked_sub(1).and_then(|cut| self.cuts.get(cut)).copied();
        self.own.seek(begin.unwrap_or(self.from))?;
        let take = &mut self.take;
        let mut out = |told: Told<'_>| {
            let Told::Block(block) = told else { return take(told) };
            let over = written.min(block.len());
            written -= over;
            block.drain(..over);
            let flow = take(if block.is_empty() { Told::Nothing } else { Told::Block(block) });
            block.clear();
            flow
        };
        let mut hand = self.work.hand();
        let (done, mut merge) = match self.own.clock.endian {
            Endian::Little => {
                let mut merge = self.own.merge::<LittleEndian>(begin, None);
                (self.work.work::<LittleEndian>(&mut hand, &mut merge, &before, &mut out), merge)
            }
            Endian::Big => {
                let mut merge = self.own.merge::<BigEndian>(begin, None);
                (self.work.work::<BigEndian>(&mut hand, &mut merge, &before, &mut out), merge)
            }
        };
        let read = read_of(&mut merge);
        self.add(done.0, read);
        Ok(())
    }

    fn add(&mut self, done: W::Done, read: Vec<Read>) {
        self.total.push(done);
        if self.read.is_empty() {
            self.read = read;
            return;
        }
        for (all, part) in self.read.iter_mut().zip(read) {
            let Counts { sub_buffers, records, lost, gaps, malformed, first_error } = part.counts;
            all.counts.sub_buffers += sub_buffers;
            all.counts.records += records;
            all.counts.lost = all.counts.lost.saturating_add(lost);
            all.counts.gaps += gaps;
            all.counts.malformed += malformed;
            all.counts.first_error = all.counts.first_error.or(first_error);
            all.skipped = part.skipped.or(all.skipped.take());
            all.error = all.error.take().or(part.error);
        }
    }

    /// Does all parts, in as many threads as there are readers; this thread writes.
    fn together<E: ByteOrder>(&mut self, readers: Vec<Reader<'_>>) -> io::Result<()> {
        let board = Board::new(self.cuts.len() + 1, AHEAD * readers.len());
        let (work, cuts, from) = (self.work, self.cuts, self.from);
        thread::scope(|scope| {
            // If what takes the output panics, the threads must not wait for this one, which would wait for them.
            let _ends = board.ends_all();
            for mut reader in readers {
                let board = &board;
                scope.spawn(move || {
                    // However this thread ends, the others stop waiting for it.
                    let _ends = board.ends_all();
                    let mut hand = work.hand();
                    while let Some(part) = board.take_part() {
                        let (to, said) = sync_channel(BLOCKS);
                        board.hand_out(part, said);
                        let begin = part.checked_sub(1).and_then(|cut| cuts.get(cut)).copied();
                        let piece = Piece { begin, until: cuts.get(part).copied(), from, part };
                        if piece.work::<E, W>(work, &mut hand, &mut reader, board, &to).is_none() {
                            break;
                        }
                    }
                });
            }
            let written = self.write(&board);
            board.stop();
            written
        })
    }

    /// Takes what the threads report, part after part.
    /// Long: one arm for each thing that a thread reports.
    fn write(&mut self, board: &Board<W>) -> io::Result<()> {
        let mut last: Option<Box<End<W>>> = None;
        let mut written = 0;
        for part in 0..=self.cuts.len() {
            let Some(said) = board.part(part) else { break };
            loop {
                match said.recv_timeout(LOOK_EVERY) {
                    Err(RecvTimeoutError::Timeout) => {
                        if (self.take)(Told::Nothing).is_break() {
                            return Ok(());
                        }
                    }
                    // The thread could not start. Doing its work here finds the reason.
                    Err(RecvTimeoutError::Disconnected) => {
                        board.stop();
                        return match last.take() {
                            Some(end) => self.alone(part - 1, end.before, written),
                            None if part == 0 => self.alone(0, W::Carry::default(), 0),
                            None => Ok(()),
                        };
                    }
                    Ok(Said::Begin(positions)) => {
                        if let Some(end) = last.take() {
                            if end.positions != positions {
                                // The ring is not in order here: the parts do not fit together.
                                board.stop();
                                drop(said);
                                return self.alone(part - 1, end.before, written);
                            }
                            self.add(end.done, end.read);
                        }
                        written = 0;
                    }
                    Ok(Said::Block(mut block)) => {
                        written += block.len();
                        if (self.take)(Told::Block(&mut block)).is_break() {
                            return Ok(());
                        }
                        board.written(block);
                    }
                    Ok(Said::End(end)) => {
                        let ended = end.ended;
                        last = Some(end);
                        board.done(part);
                        let time = self.cuts.get(part).copied();
                        if ended || (self.take)(time.map_or(Told::Nothing, Told::Time)).is_break() {
                            if let Some(end) = last.take() {
                                self.add(end.done, end.read);
                            }
                            return Ok(());
                        }
                        break;
                    }
                }
            }
        }
        if let Some(end) = last {
            self.add(end.done, end.read);
        }
        Ok(())
    }
}

/// One part.
struct Piece {
    begin: Option<u64>,
    until: Option<u64>,
    from: u64,
    part: usize,
}

impl Piece {
    /// `None`: the part is no longer needed, or cannot be read.
    fn work<E: ByteOrder, W: Work>(
        &self,
        work: &W,
        hand: &mut W::Hand,
        reader: &mut Reader<'_>,
        board: &Board<W>,
        to: &SyncSender<Said<W>>,
    ) -> Option<()> {
        let begin = self.begin.unwrap_or(self.from);
        let mut before = W::Carry::default();
        if work.carries() {
            let mut carry = W::Carry::default();
            reader.seek(begin).ok()?;
            let mut merge = reader.merge::<E>(self.begin, self.until);
            work.look::<E>(&mut merge, &mut carry);
            reader.take_back(merge);
            before = board.carry(self.part, |all| work.carry(all, carry))?;
            reader.seek_again().ok()?;
        } else {
            reader.seek(begin).ok()?;
        }
        let mut merge = reader.merge::<E>(self.begin, self.until);
        to.send(Said::Begin(merge.positions::<E>(reader.begins()))).ok()?;
        let mut out = |told: Told<'_>| {
            // The progress of this part means nothing before the earlier ones are written.
            let Told::Block(block) = told else { return ControlFlow::Continue(()) };
            let block = std::mem::replace(block, board.block());
            if to.send(Said::Block(block)).is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        };
        let (done, flow) = work.work::<E>(hand, &mut merge, &before, &mut out);
        let ended = flow.is_break();
        let positions = if ended { Vec::new() } else { merge.positions::<E>(reader.begins()) };
        let read = read_of(&mut merge);
        reader.take_back(merge);
        to.send(Said::End(Box::new(End { done, read, positions, before, ended }))).ok()
    }
}

fn read_of(merge: &mut Merge<RingFeed>) -> Vec<Read> {
    let mut read: Vec<_> =
        merge.counts().map(|(cpu, counts)| Read { cpu, counts: counts.clone(), ..Read::default() }).collect();
    for (read, (_, feed)) in read.iter_mut().zip(merge.feeds_mut()) {
        read.skipped =
            feed.skipped().map(|(count, first)| format!("{count} damaged pieces skipped; the first: {first}"));
    }
    for (cpu, error) in merge.take_errors() {
        if let Some(read) = read.iter_mut().find(|read| read.cpu == cpu && read.error.is_none()) {
            read.error = Some(error.to_string());
        }
    }
    read
}

impl Jobs {
    /// The number of threads.
    pub fn number(self) -> usize {
        match self {
            Jobs::Processors => thread::available_parallelism().map_or(1, usize::from),
            Jobs::Number(number) => number,
        }
    }
}

#[cfg(test)]
mod tests;
