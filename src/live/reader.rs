//! One reader: the rings of some CPUs, read in turns, to outputs of its own.
//!
//! With `--readers N` there are N of them, each in a thread of its own with its own poll, pipeline and sockets, so that
//! nothing on the way of an event is shared: no lock, no channel. The CPUs are dealt out in blocks of neighbours
//! ([`deal`]): of 64 CPUs and 4 readers, the first has 0 to 15. What one reader learns that concerns another (a task's
//! name, when it is time to end) goes through [`Shared`], which is looked at once a turn.

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

/// What readers tell each other.
pub(super) struct Shared {
    ended: AtomicBool,
    /// By reader.
    mailboxes: Vec<Mailbox>,
    /// How a trace clock goes that no process can read.
    timeline: Option<Mutex<Timeline>>,
}

/// What every reader is to do differently from here on.
#[derive(Debug, Clone)]
pub(super) enum Change {
    /// There are these events too; with what their numbers are called.
    Add(Vec<Arc<EventFormat>>, Option<Arc<Kernel>>),
    /// Which events are heard.
    Silence(Arc<Switched>),
    /// Messages a second at most.
    Rate(Option<u32>),
    /// Enums and flags are words, or numbers.
    Names(bool, Option<Arc<Kernel>>),
    /// Numbers for each window, or events.
    Aggregate(Option<AggregateOptions>),
}

/// What the others have to tell one reader.
#[derive(Default)]
struct Mailbox {
    /// Whether there are names or changes: looked at once a turn.
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
    /// How often each event occurred.
    pub(super) events: Vec<(EventId, u64)>,
    pub(super) malformed_sub_buffers: u64,
    /// Records that sub-buffers held, hidden ones included.
    pub(super) records: u64,
}

impl Report {
    /// Both together.
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

    /// What a recording notes of the timeline.
    pub(super) fn noted(&self) -> Option<Noted> {
        Some(self.timeline.as_ref()?.lock().unwrap_or_else(PoisonError::into_inner).noted())
    }

    /// How times become ns, where they are not as they are; looked at anew where `refresh`.
    fn times(&self, refresh: bool) -> Option<Arc<Times>> {
        let mut timeline = self.timeline.as_ref()?.lock().unwrap_or_else(PoisonError::into_inner);
        if refresh {
            // What was known goes on to hold for a while.
            let _ = timeline.refresh();
        }
        Some(Arc::new(Times::new(Vec::new(), false, Some(timeline.scale()))))
    }

    /// Says that recording has stopped: what is left is to be read, and that is the end.
    pub(super) fn end(&self) {
        self.ended.store(true, Ordering::Release);
    }

    /// What all readers but `index` have last reported.
    pub(super) fn reports_of_others(&self, index: usize) -> Vec<Report> {
        let others = self.mailboxes.iter().enumerate().filter(|(at, _)| *at != index);
        others.map(|(_, mailbox)| mailbox.report.lock().unwrap_or_else(PoisonError::into_inner).clone()).collect()
    }

    /// Tells all readers but the first, who tells them, to do something differently.
    pub(super) fn change(&self, change: &Change) {
        for mailbox in self.mailboxes.iter().skip(1) {
            mailbox.changes.lock().unwrap_or_else(PoisonError::into_inner).push(change.clone());
            mailbox.some.store(true, Ordering::Release);
        }
    }

    /// Tells all but `index` the name of a task.
    fn tell(&self, index: usize, pid: i32, name: &[u8]) {
        for (_, mailbox) in self.mailboxes.iter().enumerate().filter(|(at, _)| *at != index) {
            mailbox.names.lock().unwrap_or_else(PoisonError::into_inner).push((pid, name.to_vec()));
            mailbox.some.store(true, Ordering::Release);
        }
    }
}

/// Deals `items` out to `readers`, in blocks of neighbours that differ by one at most.
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
    /// Of those that are threads; the first one is woken by signals.
    waker: Option<Arc<Waker>>,
    pace: Pace,
    unknown: Unknown,
    last_turn: Instant,
    /// The same moment on the trace clock.
    turn_ended_ns: u64,
}

/// What a reader is made with.
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

    /// Wakes it when it sleeps.
    pub(super) fn waker(&self) -> Option<Arc<Waker>> {
        self.waker.clone()
    }

    /// Reads and sends until recording has stopped, and then what is left: the life of a reader in a thread of its own.
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

    /// Sleeps as the [pace](Pace) says, but no longer than until `due`. Returns the time between, in which what happens is
    /// nobody's echo.
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
                    // The second event within a tick waits for its end, together with those that follow it.
                    rest(early);
                }
                match woken.saturating_sub(began) {
                    // Woken by what going to sleep does.
                    0..AFTER_SLEEP_NS if rung => {
                        woken + AFTER_SLEEP_NS..self.now_ns().saturating_sub(BEFORE_WAKE_NS).max(woken)
                    }
                    _ => began + AFTER_SLEEP_NS..self.now_ns(),
                }
            }
        };
        // Of the others, those that were written to meanwhile.
        self.rings.look()?;
        Ok(quiet.start..quiet.end.max(quiet.start))
    }

    /// Reads the rings that have something, up to their quota, and sends what was read. Events in the time `apart` are
    /// nobody's echo. Returns the number of events, and whether there is more.
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
            // A clock that we cannot read: every event counts as the machine's own.
            (turn.apart, turn.around) = (read, 0);
        }
        self.turn_ended_ns = now;
        self.last_turn = Instant::now();
        self.pace.turned(&turn);
        self.rings.settle(self.pace.wait());
        (read, turn.more)
    }

    /// How long until the outputs have something to say though no event comes.
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

    /// Takes the names that other readers have learned, and what is to be done differently.
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

    /// Does something differently from here on.
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

    /// What is due about once a second: NTP moves the time of day against the trace clock, so their pair is taken anew;
    /// and all rings are read, named or not, so that a wake-up that a kernel forgets costs a second at most.
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

/// Takes turns, each with its number of events and whether there is more, until two in a row bring nothing.
fn until_quiet(mut turn: impl FnMut() -> (u64, bool)) {
    let mut quiet = 0;
    // A writer that was in the middle of an event finishes it after the stop.
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
    fn what_a_writer_finishes_after_the_stop_is_read() {
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
    fn a_reader_hears_the_names_that_others_learned_and_not_its_own() {
        let shared = Shared::new(3, None);
        shared.tell(1, 77, b"cat");
        let heard: Vec<_> = shared.mailboxes.iter().map(|mailbox| mailbox.names.lock().unwrap().clone()).collect();
        assert_eq!(heard, [vec![(77, b"cat".to_vec())], vec![], vec![(77, b"cat".to_vec())]]);
        assert!(shared.mailboxes[0].some.load(Ordering::Relaxed) && !shared.mailboxes[1].some.load(Ordering::Relaxed));
    }
}
