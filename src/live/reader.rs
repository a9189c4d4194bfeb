//! A reader: reads the rings of some CPUs in turns, and sends to its own output.
//!
//! With `--readers N` there are N of them, each in its own thread with its own poll, pipeline and sockets, so that
//! the path of an event has nothing shared: no lock, no channel. The CPUs are dealt out in contiguous blocks
//! ([`deal`]): with 64 CPUs and 4 readers the first has 0 to 15. What concerns other readers (a task's name, the end)
//! goes through [`Shared`], which is checked once a turn.

use std::io;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use mio::{Token, Waker};

use super::SECOND;
use super::feed::{Limited, LiveFeed};
use super::rings::Rings;
use super::turns::{Native, Turns, until_quiet};
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
use crate::tracefs::{EventName, Noted, Timeline, TraceClock, Tracefs};
use crate::wall;

pub(super) const SIGNALS: Token = Token(1);
pub(super) const END: Token = Token(2);

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
    pub(super) fn times(&self, refresh: bool) -> Option<Arc<Times>> {
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

    /// Whether recording has stopped.
    pub(super) fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
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
    pub(super) pipeline: Pipeline<Outputs>,
    pub(super) turns: Turns<Limited<LiveFeed>>,
    /// For readers with a thread of their own; signals wake the first one.
    waker: Option<Arc<Waker>>,
    /// Ids that even a second reading of the formats did not explain.
    unknown: Unknown,
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
    pub(super) rings: Vec<(u32, Limited<LiveFeed>)>,
}

impl Reader {
    pub(super) fn new(parts: Parts) -> io::Result<Reader> {
        let Parts { index, shared, tracefs, header, clock, tick, ring_kib, mut pipeline, rings } = parts;
        let long = header.long_size();
        let rings = Rings::new(header, rings)?;
        if shared.mailboxes.len() > 1 {
            let shared = shared.clone();
            pipeline.tell_names(Box::new(move |pid, name| shared.tell(index, pid, name)));
        }
        let waker = if parts.index == 0 { None } else { Some(Arc::new(Waker::new(rings.poll.registry(), END)?)) };
        let turns = Turns::new(rings, clock, tick, ring_kib);
        let mut reader = Reader { index, shared, tracefs, long, pipeline, turns, waker, unknown: Unknown::default() };
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
        while !self.shared.has_ended() {
            let asleep = self.sleep(reported + SECOND)?;
            self.turn(asleep);
            if reported.elapsed() >= SECOND {
                reported = Instant::now();
                self.each_second();
                let report = self.report(true);
                if let Some(mailbox) = self.shared.mailboxes.get(self.index) {
                    *mailbox.report.lock().unwrap_or_else(PoisonError::into_inner) = report;
                }
            }
        }
        self.drain();
        Ok(self)
    }

    /// Sleeps until there is something to read or to send, but no longer than until `due`. Returns the time span in which
    /// events are no echo.
    pub(super) fn sleep(&mut self, due: Instant) -> io::Result<Range<u64>> {
        let left = due.saturating_duration_since(Instant::now());
        let outputs = self.pipeline.outputs();
        let (due, exactly) = (outputs.due(), outputs.due_exactly());
        let until = |due: Option<u64>| {
            let until = |due: u64| Duration::from_nanos(due.saturating_sub(timetag::unix_now_ns()));
            due.map_or(left, |due| left.min(until(due)))
        };
        self.turns.sleep(until(exactly), until(due))
    }

    /// Reads the rings that have something, up to their quota, and sends the records. Events in the time span `apart`
    /// are no echo. Returns the number of events, and whether there is more.
    pub(super) fn turn(&mut self, apart: Range<u64>) -> (u64, bool) {
        self.read_mailbox();
        let before = self.pipeline.counts().read;
        let Reader { turns, pipeline, tracefs, long, unknown, .. } = self;
        let turn = turns.read(apart, |record| {
            if let Outcome::Unknown(id) = pipeline.record::<Native>(record, None)
                && let Some(format) = unknown.look(tracefs, *long, id)
            {
                pipeline.add(&Arc::new(format), false);
                pipeline.offer_again();
                pipeline.record::<Native>(record, None);
            }
        });
        let now = timetag::unix_now_ns();
        self.pipeline.outputs().tick(now);
        self.pipeline.outputs().announce(now);
        self.pipeline.flush();
        let (read, more) = (self.pipeline.counts().read - before, turn.more);
        self.turns.end(turn, read);
        (read, more)
    }

    /// Reads what is left after recording has stopped.
    pub(super) fn drain(&mut self) {
        until_quiet(|| {
            self.turns.rings.all();
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
        self.turns.rings.all();
    }

    fn pair_clocks(&mut self) {
        if let Some(times) = self.shared.times(self.index == 0) {
            self.turns.set_times(times);
        }
        if let Some(pair) = wall::pair(&self.turns.clock) {
            self.pipeline.pair_clocks(pair.trace_ns, pair.realtime_ns);
        }
    }

    /// What it has done so far, event by event only where `events`: of all of a kernel's that is work for each second.
    pub(super) fn report(&mut self, events: bool) -> Report {
        let outputs = self.pipeline.outputs();
        let (sent, thinned, streams) = (outputs.counts(), outputs.thinned(), outputs.stream_counts().collect());
        Report {
            counts: self.pipeline.counts().clone(),
            sent,
            thinned,
            streams,
            events: match events {
                true => self.pipeline.event_counts().map(|(format, count)| (format.id, count)).collect(),
                false => Vec::new(),
            },
            malformed_sub_buffers: self.turns.rings.merge().counts().map(|(_, counts)| counts.malformed).sum(),
            records: self.turns.rings.merge().counts().map(|(_, counts)| counts.records).sum(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ring::page::{Page, layout};

    /// The sub-buffer is in the ring, and epoll is not told: the bell is taken back.
    #[test]
    fn what_epoll_was_not_told_of_is_read_within_a_second_and_the_clocks_are_paired_again() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("events")).unwrap();
        let kernel = Kernel {
            abi: crate::format::Abi { endian: crate::format::Endian::Little, long: LongSize::Eight },
            names: crate::names::Names::default(),
        };
        let (mut hand, feed) = super::super::queue::queue().unwrap();
        let bell = feed.bell();
        let mut reader = Reader::new(Parts {
            index: 0,
            shared: Shared::new(1, None),
            tracefs: Tracefs::at(folder.path()).unwrap(),
            header: layout(LongSize::Eight, 4096),
            clock: TraceClock::Mono,
            tick: Duration::from_millis(1),
            ring_kib: 1024,
            pipeline: Pipeline::new(Arc::new(kernel), Outputs::default(), Box::new(|_| None)),
            rings: vec![(0, Limited::new(LiveFeed::Queue(feed)))],
        })
        .unwrap();
        hand.push(&Page::<Native>::new(LongSize::Eight, 5).data(0, &[0; 8]).build());
        rustix::io::read(&bell, &mut [0; 8]).unwrap();
        reader.turns.rings.look().unwrap();
        assert_eq!(reader.turn(0..0), (0, false));
        reader.pipeline.pair_clocks(0, 0);
        reader.each_second();
        assert_eq!(reader.turn(0..0), (1, false));
        assert_eq!(reader.report(true).records, 1);
        let (trace, unix) = (reader.turns.clock.now().unwrap(), timetag::unix_now_ns());
        let apart = reader.pipeline.unix_ns(trace).abs_diff(unix);
        assert!(apart < 3_600_000_000_000, "{apart} ns between the two");
    }

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
    fn the_reports_of_all_readers_are_one_sum() {
        let counts = |read, malformed, unknown| Counts { read, malformed, unknown, ..Counts::default() };
        let sent = |datagrams| SendCounts { datagrams, ..SendCounts::default() };
        let mut sum = Report {
            counts: counts(10, 1, 2),
            sent: sent(5),
            thinned: 7,
            streams: vec![(3, 4), (5, 6)],
            events: vec![(EventId(1), 8), (EventId(2), 2)],
            malformed_sub_buffers: 1,
            records: 11,
        };
        let other = Report {
            counts: counts(100, 10, 20),
            sent: sent(50),
            thinned: 70,
            streams: vec![(30, 40), (50, 60)],
            events: vec![(EventId(2), 20), (EventId(3), 80)],
            malformed_sub_buffers: 10,
            records: 110,
        };
        sum.add(&other);
        assert_eq!((sum.counts.read, sum.counts.malformed, sum.counts.unknown), (110, 11, 22));
        assert_eq!((sum.sent.datagrams, sum.thinned, sum.streams), (55, 77, vec![(33, 44), (55, 66)]));
        assert_eq!(sum.events, [(EventId(1), 8), (EventId(2), 22), (EventId(3), 80)]);
        assert_eq!((sum.malformed_sub_buffers, sum.records), (11, 121));
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
