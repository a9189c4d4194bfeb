//! The rings of a reader, and which of them a turn reads: only those that have something, however many CPUs there
//! are.
//!
//! Reading an empty ring is a wasted system call, and a machine with 512 CPUs has 512 rings of which few are written
//! to in the same millisecond. So a ring is in one of two states:
//!
//! - *watched*: it is read only after epoll has reported it, and then until it is empty (`EPOLLET`: epoll would not
//!   report what is left). Reporting it has armed it (`ring_buffer_poll_wait`), so the CPU that commits to it next
//!   wakes epoll, through an interrupt of its own (`irq_work`, see `rb_wakeups`): an event that comes too late for
//!   a read is reported later;
//! - *busy*: it had something while the reader follows the tick. It is read with each tick without asking, and is not
//!   in epoll, so no CPU has anybody to wake. After some ticks without anything, or at the end of the busy time, it
//!   is watched again.
//!
//! So a turn costs two system calls for each reported ring, one for each busy ring, and one for epoll.

use std::io;
use std::ops::ControlFlow;
use std::os::fd::{AsRawFd, RawFd};
use std::sync::Arc;
use std::time::Duration;

use byteorder::ByteOrder;
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};

use super::pace::Wait;
use crate::format::HeaderPage;
use crate::ring::{Feed, Merge, Record, Times};

/// The token of the first ring; lower ones are for whatever else wakes a reader.
const FIRST_RING: usize = 16;
/// Ticks in a row without anything from a busy ring before it is watched again.
const QUIET_TICKS: u32 = 16;
/// How long to wait for epoll at most while there is a ring to read that epoll will not report.
const UNREAD: Duration = Duration::from_millis(1);

/// A ring that epoll can watch, read in turns.
pub(super) trait Ring: Feed + AsRawFd {
    /// A new turn, with its quota.
    fn begin_turn(&mut self);
    /// Whether the turn found something.
    fn brought(&self) -> bool;
    /// Whether the turn ended because of the quota, so that there is probably more.
    fn quota_used(&self) -> bool;
}

#[derive(Debug)]
struct State {
    fd: RawFd,
    watched: bool,
    /// Whether the next turn reads it.
    due: bool,
    /// Ticks in a row that found nothing.
    quiet: u32,
}

/// See the [module](self).
pub(super) struct Rings<F> {
    pub(super) poll: Poll,
    events: Events,
    merge: Merge<F>,
    states: Vec<State>,
    due: Vec<usize>,
    busy: usize,
    /// Whether epoll reported something other than a ring.
    others: bool,
}

impl<F: Ring> Rings<F> {
    /// Watches `feeds`, whose sub-buffers have the layout `header`.
    pub(super) fn new(header: HeaderPage, feeds: Vec<(u32, F)>) -> io::Result<Rings<F>> {
        let poll = Poll::new()?;
        let state = |(_, feed): &(u32, F)| State { fd: feed.as_raw_fd(), watched: false, due: false, quiet: 0 };
        let states: Vec<_> = feeds.iter().map(state).collect();
        let events = Events::with_capacity(states.len() + FIRST_RING);
        let busy = states.len();
        let mut rings =
            Rings { poll, events, merge: Merge::new(header, feeds), states, due: Vec::new(), busy, others: false };
        for index in 0..rings.states.len() {
            rings.watch(index)?;
        }
        Ok(rings)
    }

    /// Sets how times are converted to ns.
    pub(super) fn set_times(&mut self, times: Arc<Times>) {
        self.merge.set_times(Some(times));
    }

    /// Sleeps until a ring has something, something else wakes the reader, or `most` is over. Returns whether a ring
    /// has something.
    pub(super) fn wait(&mut self, most: Duration) -> io::Result<bool> {
        let some = !self.due.is_empty();
        let named = self.ask(if some { most.min(UNREAD) } else { most })?;
        Ok(named || some)
    }

    /// Asks epoll, without waiting, which of the watched rings have something, and whether something else does. Also
    /// done when every ring is busy, so that commands are received under full load.
    pub(super) fn look(&mut self) -> io::Result<()> {
        self.ask(Duration::ZERO).map(drop)
    }

    fn ask(&mut self, most: Duration) -> io::Result<bool> {
        if !answered(self.poll.poll(&mut self.events, Some(most)))? {
            return Ok(false);
        }
        let mut named = false;
        for event in &self.events {
            let Some(index) = event.token().0.checked_sub(FIRST_RING) else {
                self.others = true;
                continue;
            };
            named = true;
            if let Some(state) = self.states.get_mut(index).filter(|state| !state.due) {
                state.due = true;
                self.due.push(index);
            }
        }
        Ok(named)
    }

    /// Whether epoll has reported something other than a ring since the last call.
    pub(super) fn take_others(&mut self) -> bool {
        std::mem::take(&mut self.others)
    }

    /// Makes the next turn read every ring.
    pub(super) fn all(&mut self) {
        for (index, state) in self.states.iter_mut().enumerate().filter(|(_, state)| !state.due) {
            state.due = true;
            self.due.push(index);
        }
    }

    /// Reads the rings that have something, up to their quota, in order of time. Returns whether there is more.
    pub(super) fn read<E: ByteOrder, B>(&mut self, each: impl FnMut(Record<'_>) -> ControlFlow<B>) -> bool {
        for &index in &self.due {
            self.merge.feed_mut(index).into_iter().for_each(Ring::begin_turn);
            self.merge.resume_one(index);
        }
        let _ = self.merge.for_each::<E, B>(each);
        let merge = &mut self.merge;
        self.due.iter().any(|&index| merge.feed_mut(index).is_some_and(|feed| feed.quota_used()))
    }

    /// After a turn: decides what the next one reads without asking, which depends on how it is waited for.
    pub(super) fn settle(&mut self, wait: Wait) {
        let due = std::mem::take(&mut self.due);
        for &index in &due {
            let brought = self.merge.feed_mut(index).is_some_and(|feed| feed.brought());
            let Some(state) = self.states.get_mut(index) else { continue };
            state.quiet = if brought { 0 } else { state.quiet.saturating_add(1) };
            let busy = match wait {
                Wait::Event => false,
                Wait::Rest(_) | Wait::No => brought || !state.watched && state.quiet < QUIET_TICKS,
            };
            let watched = state.watched;
            if busy && watched {
                self.unwatch(index);
            } else if !busy && !watched {
                // A ring that cannot be watched stays busy.
                let _ = self.watch(index);
            }
            if let Some(state) = self.states.get_mut(index) {
                state.due = !state.watched;
                if state.due {
                    self.due.push(index);
                }
            }
        }
    }

    fn watch(&mut self, index: usize) -> io::Result<()> {
        let Some(state) = self.states.get_mut(index) else { return Ok(()) };
        // If it holds something already, epoll reports it at once (`ep_insert`).
        self.poll.registry().register(&mut SourceFd(&state.fd), Token(FIRST_RING + index), Interest::READABLE)?;
        (state.watched, state.quiet) = (true, 0);
        self.busy -= 1;
        Ok(())
    }

    fn unwatch(&mut self, index: usize) {
        let Some(state) = self.states.get_mut(index) else { return };
        if self.poll.registry().deregister(&mut SourceFd(&state.fd)).is_ok() {
            state.watched = false;
            self.busy += 1;
        }
    }

    /// The rings' counts.
    pub(super) fn merge(&self) -> &Merge<F> {
        &self.merge
    }
}

/// Whether epoll has answered, rather than a signal interrupted it.
fn answered(asked: io::Result<()>) -> io::Result<bool> {
    match asked {
        Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(false),
        answer => answer.map(|()| true),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::convert::Infallible;

    use byteorder::LittleEndian;
    use rustix::event::{EventfdFlags, eventfd};

    use super::*;
    use crate::format::LongSize;
    use crate::ring::page::{Page, layout};

    /// A ring whose content a test decides; its file is an eventfd, which epoll reports like a ring's.
    pub(in super::super) struct Double {
        file: std::os::fd::OwnedFd,
        /// Sub-buffers written and not read yet, as the times of their events.
        held: std::collections::VecDeque<u64>,
        /// System calls: reads, including those that found nothing.
        reads: u64,
        brought: bool,
        quota: u32,
    }

    impl Double {
        fn new() -> Double {
            let file = eventfd(0, EventfdFlags::NONBLOCK).unwrap();
            Double { file, held: Default::default(), reads: 0, brought: false, quota: 0 }
        }

        /// Holds an event of this time, of which epoll is not told.
        pub(in super::super) fn hold(&mut self, time: u64) {
            self.held.push_back(time);
        }

        /// What tells epoll, to be written to.
        pub(in super::super) fn bell(&self) -> std::os::fd::OwnedFd {
            self.file.try_clone().unwrap()
        }

        pub(in super::super) fn write(&mut self, time: u64) {
            self.hold(time);
            rustix::io::write(&self.file, &1u64.to_ne_bytes()).unwrap();
        }
    }

    impl AsRawFd for Double {
        fn as_raw_fd(&self) -> RawFd {
            self.file.as_raw_fd()
        }
    }

    impl Feed for Double {
        fn advance(&mut self, page: &mut Vec<u8>) -> io::Result<bool> {
            if self.quota == 0 {
                return Ok(false);
            }
            self.reads += 1;
            let Some(time) = self.held.pop_front() else {
                let _ = rustix::io::read(&self.file, &mut [0; 8]);
                return Ok(false);
            };
            *page = Page::<LittleEndian>::new(LongSize::Eight, time).data(0, &[0; 8]).build();
            (self.brought, self.quota) = (true, self.quota - 1);
            Ok(true)
        }
    }

    impl Ring for Double {
        fn begin_turn(&mut self) {
            (self.brought, self.quota) = (false, 4);
        }

        fn brought(&self) -> bool {
            self.brought
        }

        fn quota_used(&self) -> bool {
            self.quota == 0
        }
    }

    impl Rings<Double> {
        pub(in super::super) fn feed_mut(&mut self, cpu: usize) -> &mut Double {
            self.merge.feed_mut(cpu).unwrap()
        }
    }

    pub(in super::super) fn rings(count: u32) -> Rings<Double> {
        let feeds = (0..count).map(|cpu| (cpu, Double::new())).collect();
        Rings::new(layout(LongSize::Eight, 4096), feeds).unwrap()
    }

    /// A turn; returns the CPUs and times of its events, and whether there is more.
    fn turn(rings: &mut Rings<Double>, next: Wait) -> (Vec<(u32, u64)>, bool) {
        let mut read = Vec::new();
        let more = rings.read::<LittleEndian, Infallible>(|record| {
            read.push((record.cpu, record.time));
            ControlFlow::Continue(())
        });
        rings.settle(next);
        (read, more)
    }

    /// Reads so far of all rings together.
    fn reads(rings: &mut Rings<Double>) -> u64 {
        rings.merge.feeds_mut().map(|(_, feed)| feed.reads).sum()
    }

    fn write(rings: &mut Rings<Double>, cpu: usize, time: u64) {
        rings.feed_mut(cpu).write(time);
    }

    const TICK: Wait = Wait::Rest(Duration::from_millis(1));

    #[test]
    fn of_512_rings_only_those_that_epoll_reports_are_read() {
        let mut rings = rings(512);
        assert!(!rings.wait(Duration::ZERO).unwrap());
        assert_eq!(turn(&mut rings, Wait::Event), (vec![], false));
        assert_eq!(reads(&mut rings), 0);
        for (cpu, time) in [(500, 20), (3, 10), (77, 30)] {
            write(&mut rings, cpu, time);
        }
        assert!(rings.wait(Duration::ZERO).unwrap());
        assert_eq!(turn(&mut rings, Wait::Event).0, [(3, 10), (500, 20), (77, 30)]);
        // Once for the content, and once to find it empty.
        assert_eq!(reads(&mut rings), 6);
        assert!(!rings.wait(Duration::ZERO).unwrap());
        assert_eq!(turn(&mut rings, Wait::Event).0, []);
        assert_eq!(reads(&mut rings), 6);
    }

    #[test]
    fn a_busy_ring_is_read_with_each_tick_and_wakes_nobody() {
        let mut rings = rings(512);
        write(&mut rings, 9, 1);
        rings.look().unwrap();
        assert_eq!(turn(&mut rings, TICK).0, [(9, 1)]);
        assert!(!rings.states[9].watched && rings.busy == 1);
        for tick in 2..100 {
            let before = reads(&mut rings);
            write(&mut rings, 9, tick);
            rings.look().unwrap();
            assert_eq!(turn(&mut rings, TICK).0, [(9, tick)]);
            assert_eq!(reads(&mut rings) - before, 2);
        }
        // It is watched again when ticks find nothing, and from then on not read.
        for _ in 0..QUIET_TICKS {
            assert!(!rings.states[9].watched);
            assert_eq!(turn(&mut rings, TICK).0, []);
        }
        assert!(rings.states[9].watched && rings.busy == 0);
        let before = reads(&mut rings);
        rings.look().unwrap();
        assert_eq!(turn(&mut rings, TICK).0, []);
        assert_eq!(reads(&mut rings), before);
    }

    #[test]
    fn what_a_busy_ring_holds_when_the_busy_time_ends_is_reported() {
        let mut rings = rings(4);
        write(&mut rings, 2, 1);
        rings.look().unwrap();
        turn(&mut rings, TICK);
        turn(&mut rings, Wait::Event);
        assert!(rings.states[2].watched);
        // Written while it was not watched.
        rings.unwatch(2);
        write(&mut rings, 2, 5);
        rings.watch(2).unwrap();
        assert!(rings.wait(Duration::ZERO).unwrap());
        assert_eq!(turn(&mut rings, Wait::Event).0, [(2, 5)]);
    }

    #[test]
    fn records_over_the_quota_are_read_in_the_next_turn() {
        let mut rings = rings(2);
        (1..=6).for_each(|time| write(&mut rings, 1, time));
        rings.look().unwrap();
        let (read, more) = turn(&mut rings, Wait::No);
        assert_eq!((read.len(), more), (4, true));
        // epoll is not asked for it.
        let (read, more) = turn(&mut rings, Wait::Event);
        assert_eq!((read, more), (vec![(1, 5), (1, 6)], false));
    }

    #[test]
    fn a_command_is_received_although_every_ring_is_busy() {
        let mut rings = rings(1);
        let command = Double::new();
        let fd = command.as_raw_fd();
        rings.poll.registry().register(&mut SourceFd(&fd), Token(3), Interest::READABLE).unwrap();
        write(&mut rings, 0, 1);
        rings.look().unwrap();
        turn(&mut rings, TICK);
        assert!(rings.busy == 1 && !rings.take_others());
        rustix::io::write(&command.file, &1u64.to_ne_bytes()).unwrap();
        rings.look().unwrap();
        assert!(rings.take_others());
    }

    #[test]
    fn what_epoll_will_not_report_is_not_waited_for() {
        let mut rings = rings(2);
        (1..=6).for_each(|time| write(&mut rings, 1, time));
        rings.look().unwrap();
        assert!(turn(&mut rings, Wait::No).1);
        let (began, far) = (std::time::Instant::now(), Duration::from_secs(60));
        assert!(rings.wait(far).unwrap(), "there is something, though epoll does not know it");
        assert!(began.elapsed() < far);
        assert_eq!(turn(&mut rings, Wait::Event).0, [(1, 5), (1, 6)]);
    }

    #[test]
    fn a_ring_is_read_once_however_often_it_is_named() {
        let mut rings = rings(3);
        write(&mut rings, 1, 1);
        rings.look().unwrap();
        write(&mut rings, 1, 2);
        rings.look().unwrap();
        rings.all();
        rings.all();
        let mut due = rings.due.clone();
        due.sort_unstable();
        assert_eq!(due, [0, 1, 2]);
    }

    #[test]
    fn a_signal_is_no_answer_of_epoll_and_no_error() {
        let failed = |kind: io::ErrorKind| answered(Err(kind.into())).map_err(|error| error.kind());
        assert_eq!(failed(io::ErrorKind::Interrupted), Ok(false));
        assert_eq!(failed(io::ErrorKind::InvalidInput), Err(io::ErrorKind::InvalidInput));
        assert!(answered(Ok(())).unwrap());
    }

    #[test]
    fn at_the_end_all_rings_are_read() {
        let mut rings = rings(8);
        (0..8).for_each(|cpu| write(&mut rings, cpu, 8 - cpu as u64));
        rings.all();
        assert_eq!(turn(&mut rings, Wait::Event).0.len(), 8);
    }
}
