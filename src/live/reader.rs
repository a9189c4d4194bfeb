//! A reader: reads the rings of some CPUs in turns, and sends to its own output.
//!
//! With `--readers N` there are N of them, each in its own thread with its own poll, pipeline and sockets, so that
//! the path of an event has nothing shared: no lock, no channel. The CPUs are dealt out in contiguous blocks
//! ([`deal`]): with 64 CPUs and 4 readers the first has 0 to 15. What concerns other readers (a task's name, the end)
//! goes through [`Shared`], which is checked once a turn.

use std::convert::Infallible;
use std::io;
use std::ops::{ControlFlow, Range};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use mio::{Token, Waker};

use super::SECOND;
use super::feed::InstanceFeed;
use super::pace::{AFTER_SLEEP_NS, BEFORE_WAKE_NS, Pace, Turn, Wait};
use super::record::Tap;
use super::rings::Rings;
use super::unknown::Unknown;
use crate::control::Switched;
use crate::format::{EventFormat, EventId, HeaderPage, LongSize};
use crate::names::Kernel;
use crate::osc::aggregate::AggregateOptions;
use crate::osc::timetag;
use crate::osc::transport::SendCounts;
use crate::output::Outputs;
use crate::pipeline::{Counts, Outcome, Pipeline};
use crate::ring::Times;
use crate::tracefs::{EventName, Noted, RawBuffer, Timeline, TraceClock, Tracefs};
use crate::wall;

/// The kernel's byte order: that of this machine.
type Native = byteorder::NativeEndian;

pub(super) const SIGNALS: Token = Token(1);
const END: Token = Token(2);

/// What the readers exchange.
pub(super) struct Shared {
    ended: AtomicBool,
    /// By reader.
    mailboxes: Vec<Mailbox>,
    /// The conversion of a trace clock that no process can read.
    timeline: Option<Mutex<Timeline>>,
}

/// What every reader does differently from now on.
#[derive(Debug, Clone)]
pub(super) enum Change {
    /// New events, with the kernel's names that they need.
    Add(Vec<Arc<EventFormat>>, Option<Arc<Kernel>>),
    /// Which events are output.
    Silence(Arc<Switched>),
    /// The most messages per second.
    Rate(Option<u32>),
    /// Whether enums and flags are sent as words or as numbers.
    Names(bool, Option<Arc<Kernel>>),
    /// Numbers for each window, or single events.
    Aggregate(Option<AggregateOptions>),
}

/// What the others have sent to one reader.
#[derive(Default)]
struct Mailbox {
    /// Whether there is anything in it; checked once a turn.
    some: AtomicBool,
    names: Mutex<Vec<(i32, Vec<u8>)>>,
    changes: Mutex<Vec<Change>>,
    report: Mutex<Report>,
}

/// What one reader has done so far.
#[derive(Debug, Clone, Default)]
pub(super) struct Report {
    pub(super) counts: Counts,
    pub(super) sent: SendCounts,
    pub(super) thinned: u64,
    /// Messages sent and left out, by stream.
    pub(super) streams: Vec<(u64, u64)>,
    /// The count of each event.
    pub(super) events: Vec<(EventId, u64)>,
    pub(super) malformed_sub_buffers: u64,
    /// Records in the sub-buffers, including hidden ones.
    pub(super) records: u64,
}

impl Report {
    /// Adds another report.
    pub(super) fn add(&mut self, other: &Report) {
        self.counts.read += other.counts.read;
        self.counts.malformed += other.counts.malformed;
        self.counts.unknown += other.counts.unknown;
        if self.counts.first_error.is_none() {
            self.counts.first_error.clone_from(&other.counts.first_error);
        }
        self.sent = self.sent + other.sent;
        self.thinned += other.thinned;
        for (sum, more) in self.streams.iter_mut().zip(&other.streams) {
            (sum.0, sum.1) = (sum.0 + more.0, sum.1 + more.1);
        }
        for (id, more) in &other.events {
            match self.events.iter_mut().find(|(known, _)| known == id) {
                Some((_, sum)) => *sum += more,
                None => self.events.push((*id, *more)),
            }
        }
        self.malformed_sub_buffers += other.malformed_sub_buffers;
        self.records += other.records;
    }
}

impl Shared {
    pub(super) fn new(readers: usize, timeline: Option<Timeline>) -> Arc<Shared> {
        let mailboxes = std::iter::repeat_with(Mailbox::default).take(readers).collect();
        Arc::new(Shared { ended: AtomicBool::new(false), mailboxes, timeline: timeline.map(Mutex::new) })
    }

    /// The timeline, as a recording stores it.
    pub(super) fn noted(&self) -> Option<Noted> {
        Some(self.timeline.as_ref()?.lock().unwrap_or_else(PoisonError::into_inner).noted())
    }

    /// How times are converted to ns, if they are not ns already; measured again with `refresh`.
    fn times(&self, refresh: bool) -> Option<Arc<Times>> {
        let mut timeline = self.timeline.as_ref()?.lock().unwrap_or_else(PoisonError::into_inner);
        if refresh {
            // If this fails, the old conversion is used for a while longer.
            let _ = timeline.refresh();
        }
        Some(Arc::new(Times::new(Vec::new(), false, Some(timeline.scale()))))
    }

    /// Says that recording has stopped: readers read what is left, and end.
    pub(super) fn end(&self) {
        self.ended.store(true, Ordering::Release);
    }

    /// The last reports of all readers but `index`.
    pub(super) fn reports_of_others(&self, index: usize) -> Vec<Report> {
        let others = self.mailboxes.iter().enumerate().filter(|(at, _)| *at != index);
        others.map(|(_, mailbox)| mailbox.report.lock().unwrap_or_else(PoisonError::into_inner).clone()).collect()
    }

    /// Sends a change to all readers but the first, which is the one that calls this.
    pub(super) fn change(&self, change: &Change) {
        for mailbox in self.mailboxes.iter().skip(1) {
            mailbox.changes.lock().unwrap_or_else(PoisonError::into_inner).push(change.clone());
            mailbox.some.store(true, Ordering::Release);
        }
    }

    /// Sends the name of a task to all readers but `index`.
    fn tell(&self, index: usize, pid: i32, name: &[u8]) {
        for (_, mailbox) in self.mailboxes.iter().enumerate().filter(|(at, _)| *at != index) {
            mailbox.names.lock().unwrap_or_else(PoisonError::into_inner).push((pid, name.to_vec()));
            mailbox.some.store(true, Ordering::Release);
        }
    }
}

/// Deals `items` out to `readers`, in contiguous blocks whose sizes differ by at most one.
pub(super) fn deal<T>(items: Vec<T>, readers: usize) -> Vec<Vec<T>> {
    let (count, mut items) = (items.len(), items.into_iter());
    let block = |at: usize| (at + 1) * count / readers - at * count / readers;
    (0..readers).map(|at| items.by_ref().take(block(at)).collect()).collect()
}

/// See the [module](self).
pub(super) struct Reader {
    index: usize,
    shared: Arc<Shared>,
    tracefs: Tracefs,
    long: LongSize,
    clock: TraceClock,
    tick: Duration,
    pub(super) pipeline: Pipeline<Outputs>,
    pub(super) rings: Rings<InstanceFeed>,
    /// For readers with a thread of their own; signals wake the first one.
    waker: Option<Arc<Waker>>,
    pace: Pace,
    unknown: Unknown,
    last_turn: Instant,
    /// The same moment on the trace clock.
    turn_ended_ns: u64,
}

/// What a reader is made of.
pub(super) struct Parts {
    pub(super) index: usize,
    pub(super) shared: Arc<Shared>,
    pub(super) tracefs: Tracefs,
    pub(super) header: HeaderPage,
    pub(super) clock: TraceClock,
    pub(super) tick: Duration,
    pub(super) ring_kib: u64,
    pub(super) pipeline: Pipeline<Outputs>,
    pub(super) rings: Vec<RawBuffer>,
    pub(super) recording: Option<Tap>,
}

impl Reader {
    pub(super) fn new(parts: Parts) -> io::Result<Reader> {
        let Parts { index, shared, tracefs, header, clock, tick, ring_kib, mut pipeline, rings, recording } = parts;
        let long = header.long_size();
        let feed = |raw: RawBuffer| (raw.cpu(), InstanceFeed::new(raw, header.sub_buffer_size(), recording.clone()));
        let feeds = rings.into_iter().map(feed).collect();
        let rings = Rings::new(header, feeds)?;
        if shared.mailboxes.len() > 1 {
            let shared = shared.clone();
            pipeline.tell_names(Box::new(move |pid, name| shared.tell(index, pid, name)));
        }
        let waker = if parts.index == 0 { None } else { Some(Arc::new(Waker::new(rings.poll.registry(), END)?)) };
        let mut reader = Reader {
            index,
            shared,
            tracefs,
            long,
            clock,
            tick,
            pipeline,
            rings,
            waker,
            pace: Pace::new(tick, ring_kib),
            unknown: Unknown::default(),
            last_turn: Instant::now(),
            turn_ended_ns: 0,
        };
        reader.turn_ended_ns = reader.now_ns();
        reader.pair_clocks();
        Ok(reader)
    }

    /// Wakes it from its sleep.
    pub(super) fn waker(&self) -> Option<Arc<Waker>> {
        self.waker.clone()
    }

    /// Reads and sends until recording has stopped, then reads what is left: what a reader's own thread runs.
    pub(super) fn follow(mut self) -> io::Result<Reader> {
        let mut reported = Instant::now();
        while !self.shared.ended.load(Ordering::Acquire) {
            let asleep = self.sleep(reported + SECOND)?;
            self.turn(asleep);
            if reported.elapsed() >= SECOND {
                reported = Instant::now();
                self.each_second();
                let report = self.report();
                if let Some(mailbox) = self.shared.mailboxes.get(self.index) {
                    *mailbox.report.lock().unwrap_or_else(PoisonError::into_inner) = report;
                }
            }
        }
        self.drain();
        Ok(self)
    }

    /// Sleeps as [`Pace`] says, but no longer than until `due`. Returns the time span in which events are no echo.
    pub(super) fn sleep(&mut self, due: Instant) -> io::Result<Range<u64>> {
        let began = self.now_ns();
        let left = due.saturating_duration_since(Instant::now());
        let left = self.outputs_due().map_or(left, |outputs| left.min(outputs));
        let rest = |rest: Duration| {
            // Nobody asks epoll, so the kernel wakes nobody.
            std::thread::sleep(rest.min(left));
        };
        let quiet = match self.pace.wait() {
            Wait::No => began..began,
            Wait::Rest(time) => {
                rest(time);
                began + AFTER_SLEEP_NS..self.now_ns().saturating_sub(BEFORE_WAKE_NS)
            }
            Wait::Event => {
                let rung = self.rings.wait(left)?;
                let woken = self.now_ns();
                let early = self.tick.saturating_sub(self.last_turn.elapsed());
                if rung && !early.is_zero() {
                    // The second event within a tick waits for the end of the tick, together with those that follow
                    // it.
                    rest(early);
                }
                match woken.saturating_sub(began) {
                    // Woken by an event that going to sleep has caused.
                    0..AFTER_SLEEP_NS if rung => {
                        woken + AFTER_SLEEP_NS..self.now_ns().saturating_sub(BEFORE_WAKE_NS).max(woken)
                    }
                    _ => began + AFTER_SLEEP_NS..self.now_ns(),
                }
            }
        };
        // Of the other rings, those that were written to meanwhile.
        self.rings.look()?;
        Ok(quiet.start..quiet.end.max(quiet.start))
    }

    /// Reads the rings that have something, up to their quota, and sends the records. Events in the time span `apart`
    /// are no echo. Returns the number of events, and whether there is more.
    pub(super) fn turn(&mut self, apart: Range<u64>) -> (u64, bool) {
        self.read_mailbox();
        let before = self.pipeline.counts().read;
        let mut turn = Turn { apart_ns: apart.end - apart.start, ..Turn::default() };
        let Reader { rings, pipeline, tracefs, long, unknown, .. } = self;
        turn.more = rings.read::<Native, Infallible>(|record| {
            turn.apart += u64::from(record.time.wrapping_sub(apart.start) < turn.apart_ns);
            if let Outcome::Unknown(id) = pipeline.record::<Native>(record, None)
                && let Some(format) = unknown.look(tracefs, *long, id)
            {
                pipeline.add(&Arc::new(format), false);
                pipeline.offer_again();
                pipeline.record::<Native>(record, None);
            }
            ControlFlow::Continue(())
        });
        let now = timetag::unix_now_ns();
        self.pipeline.outputs().tick(now);
        self.pipeline.outputs().announce(now);
        self.pipeline.flush();
        let read = self.pipeline.counts().read - before;
        turn.around = read.saturating_sub(turn.apart);
        let now = self.now_ns();
        turn.around_ns = now.saturating_sub(self.turn_ended_ns).saturating_sub(turn.apart_ns);
        if now == 0 {
            // With a clock that we cannot read, every event counts as the machine's own.
            (turn.apart, turn.around) = (read, 0);
        }
        self.turn_ended_ns = now;
        self.last_turn = Instant::now();
        self.pace.turned(&turn);
        self.rings.settle(self.pace.wait());
        (read, turn.more)
    }

    /// How long until the outputs have something to send without an event.
    fn outputs_due(&mut self) -> Option<Duration> {
        let due = self.pipeline.outputs().due()?;
        Some(Duration::from_nanos(due.saturating_sub(timetag::unix_now_ns())))
    }

    /// The trace clock's time; 0 for a clock that only the kernel can read.
    fn now_ns(&self) -> u64 {
        self.clock.now().unwrap_or(0)
    }

    /// Reads what is left after recording has stopped.
    pub(super) fn drain(&mut self) {
        until_quiet(|| {
            self.rings.all();
            self.turn(0..0)
        });
    }

    /// Takes the names and changes that other readers have sent.
    fn read_mailbox(&mut self) {
        let Some(mailbox) = self.shared.mailboxes.get(self.index) else { return };
        if mailbox.some.swap(false, Ordering::Acquire) {
            for (pid, name) in mailbox.names.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
                self.pipeline.name(pid, &name);
            }
            let changes = std::mem::take(&mut *mailbox.changes.lock().unwrap_or_else(PoisonError::into_inner));
            changes.iter().for_each(|change| self.change(change));
        }
    }

    /// Applies a change.
    pub(super) fn change(&mut self, change: &Change) {
        let pipeline = &mut self.pipeline;
        match change {
            Change::Add(formats, kernel) => {
                if kernel.is_some() {
                    pipeline.add_again(kernel.clone());
                }
                formats.iter().for_each(|format| pipeline.add(format, false));
            }
            Change::Silence(switched) => {
                pipeline.mute(|format| {
                    switched.silent.contains(&EventName::new(format.system.as_str(), format.name.as_str()))
                });
            }
            Change::Rate(rate) => pipeline.outputs().set_max_rate(*rate),
            Change::Names(names, kernel) => {
                pipeline.outputs().set_names(*names);
                pipeline.add_again(kernel.clone());
            }
            Change::Aggregate(options) => {
                pipeline.outputs().set_aggregate(options.as_ref());
                pipeline.add_again(None);
            }
        }
    }

    /// What is due about once a second. NTP moves the time of day against the trace clock, so the pair of both is
    /// measured again; and all rings are read, whether epoll named them or not, so that a lost wake-up costs a second
    /// at most.
    pub(super) fn each_second(&mut self) {
        self.pair_clocks();
        self.rings.all();
    }

    fn pair_clocks(&mut self) {
        if let Some(times) = self.shared.times(self.index == 0) {
            self.rings.set_times(times);
        }
        if let Some(pair) = wall::pair(&self.clock) {
            self.pipeline.pair_clocks(pair.trace_ns, pair.realtime_ns);
        }
    }

    /// What it has done so far.
    pub(super) fn report(&mut self) -> Report {
        let outputs = self.pipeline.outputs();
        let (sent, thinned, streams) = (outputs.counts(), outputs.thinned(), outputs.stream_counts().collect());
        Report {
            counts: self.pipeline.counts().clone(),
            sent,
            thinned,
            streams,
            events: self.pipeline.event_counts().map(|(format, count)| (format.id, count)).collect(),
            malformed_sub_buffers: self.rings.merge().counts().map(|(_, counts)| counts.malformed).sum(),
            records: self.rings.merge().counts().map(|(_, counts)| counts.records).sum(),
        }
    }
}

/// Takes turns, each with its number of events and whether there is more, until two in a row find nothing.
fn until_quiet(mut turn: impl FnMut() -> (u64, bool)) {
    let mut quiet = 0;
    // A writer that was in the middle of an event finishes it after recording has stopped.
    while quiet < 2 {
        let (read, more) = turn();
        quiet = if read == 0 && !more { quiet + 1 } else { 0 };
        if quiet == 1 {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpus_are_dealt_out_in_blocks_of_neighbours() {
        let dealt = |cpus: u32, readers| deal((0..cpus).collect(), readers);
        assert_eq!(dealt(2, 1), [vec![0, 1]]);
        assert_eq!(dealt(5, 2), [vec![0, 1], vec![2, 3, 4]]);
        let of_64 = dealt(64, 4);
        assert_eq!(of_64[0], (0..16).collect::<Vec<_>>());
        assert_eq!(of_64[3], (48..64).collect::<Vec<_>>());
        for readers in 1..=64 {
            assert!(dealt(64, readers).iter().all(|block| !block.is_empty()));
        }
    }

    #[test]
    fn an_event_finished_after_the_stop_is_read() {
        let turns_taken = |turns: &[(u64, bool)]| {
            let mut left = turns.iter();
            until_quiet(|| left.next().copied().expect("it was quiet twice"));
            turns.len() - left.len()
        };
        assert_eq!(turns_taken(&[(0, false), (0, false), (9, false)]), 2);
        assert_eq!(turns_taken(&[(0, false), (3, false), (0, false), (0, false)]), 4);
        assert_eq!(turns_taken(&[(5, true), (0, true), (0, false), (0, false)]), 4);
    }

    #[test]
    fn a_reader_gets_the_names_of_other_readers_and_not_its_own() {
        let shared = Shared::new(3, None);
        shared.tell(1, 77, b"cat");
        let heard: Vec<_> = shared.mailboxes.iter().map(|mailbox| mailbox.names.lock().unwrap().clone()).collect();
        assert_eq!(heard, [vec![(77, b"cat".to_vec())], vec![], vec![(77, b"cat".to_vec())]]);
        assert!(shared.mailboxes[0].some.load(Ordering::Relaxed) && !shared.mailboxes[1].some.load(Ordering::Relaxed));
    }
}
