//! A capture read in parts of its time by several threads, with the result of one that reads all of it.
//!
//! A cut is a time T: what every CPU has before its first record that is not before T belongs to the part before the cut, and
//! the rest to the part behind it. A merge gives out the first half of every CPU before anything of the second, since as long
//! as one has a record of the first half, the earliest head is before T; so the parts' records one after the other are the
//! merged stream, whatever the times in the rings are.
//!
//! ```text
//! cpu0  ──1────4──5─┊────────9──      part 0 │ part 1        T = 6
//! cpu1  ────2──3────┊──7──8─────     1 2 3 4 5 │ 7 8 9
//! ```
//!
//! Where a part begins is searched by halving, which trusts that a ring's sub-buffers are in order. So the end of a part and
//! the beginning of the next are compared ([`Position`]), and where they differ all from there on is read by one thread.
//!
//! What events before a cut mean for those behind it (names of tasks, times of last occurrences) is [carried](Work::Carry)
//! over: each thread looks through its part first, and works when the parts before have been looked through.

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

/// Parts that may be read before the first of them is written, for each thread.
const AHEAD: usize = 2;
/// Blocks of a part that wait to be written: as many as a part has, so that its thread never waits for who writes an earlier
/// one, unless its lines are more than six times as long as its events.
const BLOCKS: usize = 64;
/// Bytes of a block to hand on at once: few enough to stay in a processor's cache, enough not to wake who writes all the time.
pub(crate) const BLOCK: usize = 128 << 10;
/// How often a thread that waits looks around.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// How many threads read a capture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Jobs {
    /// One for each processor, where the capture is worth it.
    Processors,
    /// So many.
    Number(usize),
}

/// What is done with the records.
pub trait Work: Sync {
    /// What a thread keeps from one part to the next.
    type Hand;
    /// What must be known of the events before a part.
    type Carry: Clone + Default + Send;
    /// What a part comes to.
    type Done: Send;

    /// Bytes of sub-buffers that a part should have.
    fn part_size(&self) -> u64 {
        cut::PART
    }

    /// Begins a thread.
    fn hand(&self) -> Self::Hand;

    /// Whether anything is to be known of the events before a part: else nothing is [looked](Work::look) at.
    fn carries(&self) -> bool {
        false
    }

    /// Adds to `carry` what later parts must know of the records of `merge`.
    fn look<E: ByteOrder>(&self, merge: &mut Merge<RingFeed>, carry: &mut Self::Carry) {
        let _ = (merge, carry);
    }

    /// Adds what was found [looking](Work::look) at a part to that of all parts before it.
    fn carry(&self, before: &mut Self::Carry, part: Self::Carry) {
        let _ = (before, part);
    }

    /// Does its work with the records of one part. What is to be written goes to `out`, which may be told the time as well and
    /// breaks off where nothing is wanted any more; the work breaks off for that reason, or when it needs no later record.
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
    /// How much.
    pub counts: Counts,
    /// Pieces that were damaged and passed over, in words.
    pub skipped: Option<String>,
    /// Why it was not read to its end.
    pub error: Option<String>,
}

/// What a capture came to, part by part.
#[derive(Debug)]
pub struct Total<D> {
    /// The parts.
    pub parts: Vec<D>,
    /// What was read of every CPU, over all parts.
    pub read: Vec<Read>,
    /// How many threads there were.
    pub jobs: usize,
}

/// What is told on the way.
pub enum Told<'b> {
    /// The next bytes to be written. The block is empty afterwards, and has room for others.
    Block(&'b mut Vec<u8>),
    /// All before this time of the trace clock is done.
    Time(u64),
    /// Nothing is new.
    Nothing,
}

/// What a part comes to.
struct End<W: Work> {
    done: W::Done,
    read: Vec<Read>,
    positions: Vec<Position>,
    before: W::Carry,
    /// It needs no later part.
    ended: bool,
}

/// What a thread says of its part.
enum Said<W: Work> {
    Begin(Vec<Position>),
    Block(Vec<u8>),
    End(Box<End<W>>),
}

/// Has the records of `capture`, at the beginning of what `selector` takes, worked with by `jobs` threads. `take` takes what is
/// to be written, in order, and may break off.
///
/// # Errors
/// If the capture cannot be searched for places to cut it at.
pub fn work<W: Work>(
    capture: &mut Capture,
    selector: Option<&Selector>,
    jobs: Jobs,
    work: &W,
    take: &mut dyn FnMut(Told<'_>) -> ControlFlow<()>,
) -> io::Result<Total<W::Done>> {
    let (from, last) = selector.map_or((0, u64::MAX), Selector::window);
    let cuts = cut::cuts(capture, jobs, work.part_size(), (from, last))?;
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
    // Fewer readers than were asked for, where some feed cannot be read twice, are as good as none.
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
    /// The time that the first part is searched by.
    from: u64,
    own: Reader<'a>,
    take: &'a mut dyn FnMut(Told<'_>) -> ControlFlow<()>,
    total: Vec<W::Done>,
    read: Vec<Read>,
}

impl<W: Work> All<'_, W> {
    /// All from part `part` on, in this thread, but for the first `written` bytes.
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

    /// All parts, each in one of as many threads as there are readers; this one writes.
    fn together<E: ByteOrder>(&mut self, readers: Vec<Reader<'_>>) -> io::Result<()> {
        let board = Board::new(self.cuts.len() + 1, AHEAD * readers.len());
        let (work, cuts, from) = (self.work, self.cuts, self.from);
        thread::scope(|scope| {
            for mut reader in readers {
                let board = &board;
                scope.spawn(move || {
                    // Whatever becomes of this thread, the others do not wait for it.
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

    /// Takes what the threads say, part after part.
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
                    // The thread could not begin: why, is found out here.
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
                                // The ring is not in order here: what was cut does not fit together.
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
    /// `None`: it is not wanted any more, or cannot be read.
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
            // Where this one is means nothing before those before it are written.
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
        read.skipped = feed.skipped().map(|(count, first)| format!("{count} pieces passed over: {first}"));
    }
    for (cpu, error) in merge.take_errors() {
        if let Some(read) = read.iter_mut().find(|read| read.cpu == cpu && read.error.is_none()) {
            read.error = Some(error.to_string());
        }
    }
    read
}

impl Jobs {
    /// How many threads that are.
    pub fn number(self) -> usize {
        match self {
            Jobs::Processors => thread::available_parallelism().map_or(1, usize::from),
            Jobs::Number(number) => number,
        }
    }
}
