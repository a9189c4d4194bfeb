//! Turns on a clock that a test moves, at rings that it fills.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::os::fd::OwnedFd;

use rustix::thread::current_timer_slack;

use super::super::rings::tests::{Double, rings};
use super::*;
use crate::ring::Scale;

const TICK: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
/// KiB of a ring that takes longer to fill than any rest is.
const ROOMY: u64 = 1 << 20;
/// The clock when the turns begin, ns.
const START: u64 = 10_000_000;

/// Moves by each sleep, and before a reading by what the test says.
struct Simulated {
    now: Cell<u64>,
    before_reading: RefCell<VecDeque<u64>>,
    slept: RefCell<Vec<(&'static str, Duration)>>,
    /// The bell of a ring that is written to in the next sleep.
    rung: RefCell<Option<OwnedFd>>,
    began: Instant,
    readable: bool,
}

impl Simulated {
    fn sleep(&self, how: &'static str, time: Duration) {
        self.now.set(self.now.get() + time.as_nanos() as u64);
        self.slept.borrow_mut().push((how, time));
        if let Some(bell) = self.rung.take() {
            rustix::io::write(&bell, &1u64.to_ne_bytes()).unwrap();
        }
    }
}

impl Clock for Simulated {
    fn now_ns(&self) -> u64 {
        self.now.set(self.now.get() + self.before_reading.borrow_mut().pop_front().unwrap_or(0));
        if self.readable { self.now.get() } else { 0 }
    }

    fn instant(&self) -> Instant {
        self.began + Duration::from_nanos(self.now.get() - START)
    }

    fn rest(&self, time: Duration) {
        self.sleep("rest", time);
    }

    fn doze(&self, time: Duration) {
        self.sleep("doze", time);
    }
}

fn turns(readable: bool) -> Turns<Double, Simulated> {
    let clock = Simulated {
        now: Cell::new(START),
        before_reading: RefCell::default(),
        slept: RefCell::default(),
        rung: RefCell::default(),
        began: Instant::now(),
        readable,
    };
    Turns::new(rings(2), clock, TICK, ROOMY)
}

impl Turns<Double, Simulated> {
    fn write(&mut self, cpu: usize, time: u64) {
        self.rings.feed_mut(cpu).write(time);
    }

    /// An event that comes in the next sleep.
    fn write_in_the_sleep(&mut self, cpu: usize, time: u64) {
        let ring = self.rings.feed_mut(cpu);
        ring.hold(time);
        *self.clock.rung.borrow_mut() = Some(ring.bell());
    }

    /// How long it slept since the last call, and how.
    fn slept(&mut self) -> Vec<(&'static str, Duration)> {
        self.clock.slept.take()
    }

    /// The times of the events that a turn reads, and what it says of them.
    fn times(&mut self, apart: Range<u64>) -> (Vec<u64>, Turn) {
        let mut times = Vec::new();
        let turn = self.read(apart, |record| times.push(record.time));
        (times, turn)
    }
}

/// Turns whose pace rests for a tick next.
fn resting_for_a_tick() -> Turns<Double, Simulated> {
    let mut turns = turns(true);
    turns.pace.turned(&Turn { apart: 1000, apart_ns: 1_000_000, around_ns: 200_000, ..Turn::default() });
    assert_eq!(turns.pace.wait(), Wait::Rest(TICK));
    turns
}

#[test]
fn in_a_rest_all_but_its_first_100_and_its_last_120_us_are_apart() {
    let mut turns = resting_for_a_tick();
    turns.write_in_the_sleep(1, 77);
    assert_eq!(turns.sleep(SECOND, SECOND).unwrap(), START + 100_000..START + 880_000);
    assert_eq!(turns.slept(), [("rest", TICK)]);
    // Nobody was woken by the event, and it is read all the same.
    assert_eq!(turns.times(0..0).0, [77]);
    // Something else is due in 0.4 ms.
    let now = START + 1_000_000;
    assert_eq!(turns.sleep(Duration::from_micros(400), SECOND).unwrap(), now + 100_000..now + 280_000);
    assert_eq!(turns.slept(), [("rest", Duration::from_micros(400))]);
    // In a rest so short nothing is apart.
    let now = now + 400_000;
    assert_eq!(turns.sleep(Duration::from_micros(200), SECOND).unwrap(), now + 100_000..now + 100_000);
}

#[test]
fn a_rest_of_more_than_a_tick_is_a_doze() {
    let mut turns = turns(true);
    turns.pace.turned(&Turn { around: 250, apart_ns: 1_000_000, around_ns: 200_000, ..Turn::default() });
    let longest = Duration::from_millis(250);
    assert_eq!(turns.pace.wait(), Wait::Rest(longest));
    assert_eq!(turns.sleep(SECOND, Duration::ZERO).unwrap(), START + 100_000..START + 249_880_000);
    assert_eq!(turns.slept(), [("doze", longest)]);
    turns.sleep(TICK, SECOND).unwrap();
    assert_eq!(turns.slept(), [("doze", TICK)]);
}

#[test]
fn where_there_is_more_to_read_nothing_is_slept_and_nothing_is_apart() {
    let mut turns = turns(true);
    turns.pace.turned(&Turn { more: true, ..Turn::default() });
    turns.write(0, 5);
    assert_eq!(turns.sleep(SECOND, SECOND).unwrap(), START..START);
    assert_eq!(turns.slept(), []);
    assert_eq!(turns.times(0..0).0, [5]);
}

#[test]
fn an_event_ends_the_wait_at_once_unless_the_tick_is_not_over() {
    let wait = |since_the_last: u64, asleep: u64| {
        let mut turns = turns(true);
        turns.write(0, 5);
        turns.write_in_the_sleep(1, 6);
        *turns.clock.before_reading.borrow_mut() = [since_the_last, asleep].into();
        let apart = turns.sleep(SECOND, SECOND).unwrap();
        (apart.start - START..apart.end - START, turns.slept(), turns.times(0..0).0)
    };
    // 5 ms after the last turn, and 0.3 ms after it went to sleep.
    assert_eq!(wait(5_000_000, 300_000), (5_100_000..5_300_000, vec![], vec![5]));
    // 0.05 ms after it went to sleep: going to sleep may have caused it. Nothing is apart.
    assert_eq!(wait(5_000_000, 50_000), (5_150_000..5_150_000, vec![], vec![5]));
    // The same with 0.95 ms of the tick left: they are waited for, with whatever comes in them.
    let rest = vec![("rest", Duration::from_micros(950))];
    assert_eq!(wait(0, 50_000), (150_000..880_000, rest, vec![5, 6]));
    // A tick to the ns is over.
    assert_eq!(wait(700_000, 300_000), (800_000..1_000_000, vec![], vec![5]));
}

#[test]
fn a_wait_that_no_event_ends_is_no_longer_than_the_idle_time() {
    let mut turns = turns(true);
    *turns.clock.before_reading.borrow_mut() = [0, 400_000].into();
    assert_eq!(turns.sleep(SECOND * 60, Duration::ZERO).unwrap(), START + 100_000..START + 400_000);
    *turns.clock.before_reading.borrow_mut() = [0, 20_000].into();
    let began = START + 400_000;
    assert_eq!(turns.sleep(Duration::ZERO, SECOND * 60).unwrap(), began + 100_000..began + 100_000);
    assert_eq!(turns.slept(), []);
}

#[test]
fn apart_are_the_events_from_the_first_ns_to_before_the_end() {
    let mut turns = turns(true);
    [99, 100, 199, 200].into_iter().for_each(|time| turns.write(0, time));
    turns.rings.all();
    let (times, turn) = turns.times(100..200);
    assert_eq!((times, turn.apart, turn.apart_ns), (vec![99, 100, 199, 200], 2, 100));
    turns.rings.settle(Wait::Event);
    turns.write(1, 200);
    turns.rings.all();
    assert_eq!(turns.times(200..200).1.apart, 0);
}

#[test]
fn around_are_the_other_events_and_the_other_time_since_the_last_turn() {
    let mut turns = turns(true);
    let turn = |apart, apart_ns| Turn { apart, apart_ns, more: true, ..Turn::default() };
    let said = |turn: Turn| (turn.apart, turn.around, turn.apart_ns, turn.around_ns, turn.more);
    turns.clock.now.set(START + 1_000_000);
    assert_eq!(said(turns.complete(turn(3, 780_000), 10)), (3, 7, 780_000, 220_000, true));
    turns.clock.now.set(START + 1_500_000);
    assert_eq!(said(turns.complete(turn(3, 0), 3)), (3, 0, 0, 500_000, true));
    // The tick counts from then, too.
    assert_eq!(turns.last, turns.clock.instant());
    // Hidden events are read and not counted.
    assert_eq!(turns.complete(turn(3, 0), 1).around, 0);
}

#[test]
fn on_a_clock_that_cannot_be_read_each_event_is_the_machines_own() {
    let mut turns = turns(false);
    let turn = turns.complete(Turn { apart: 1, ..Turn::default() }, 10);
    assert_eq!((turn.apart, turn.around, turn.around_ns), (10, 0, 0));
}

#[test]
fn the_end_of_a_turn_decides_how_the_next_is_waited_for() {
    let mut turns = turns(true);
    (0..4).for_each(|_| turns.write(1, START));
    turns.rings.all();
    let (times, turn) = turns.times(0..0);
    assert_eq!(times.len(), 4);
    turns.end(Turn { apart: 1000, apart_ns: 1_000_000, ..turn }, 1000);
    // The quota of a double is four.
    assert_eq!(turns.pace.wait(), Wait::No);
    let (times, turn) = turns.times(0..0);
    turns.end(Turn { apart: 1000, apart_ns: 1_000_000, ..turn }, 1000);
    assert_eq!((times.len(), turns.pace.wait()), (0, Wait::Rest(TICK)));
}

#[test]
fn the_times_of_events_are_those_that_were_set() {
    let mut turns = turns(true);
    turns.set_times(Arc::new(Times::new(Vec::new(), false, Scale::of_tick(10, 1))));
    turns.write(0, 7);
    turns.rings.all();
    assert_eq!(turns.times(0..0).0, [70]);
}

#[test]
fn the_machines_clock_is_the_trace_clock_and_a_sleep_takes_its_time() {
    let clock = TraceClock::Mono;
    let mono = || rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    let ns = |time: rustix::time::Timespec| time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64;
    let (before, now, after) = (ns(mono()), clock.now_ns(), ns(mono()));
    assert!((before..=after).contains(&now), "{before} {now} {after}");
    assert_eq!(TraceClock::Other("local".to_owned()).now_ns(), 0);
    // No sleep is shorter than it was asked to be; after a doze timers are as exact as before.
    let began = clock.instant();
    clock.rest(TICK);
    assert!(began.elapsed() >= TICK);
    let (began, slack) = (clock.instant(), current_timer_slack().unwrap());
    clock.doze(TICK * 4);
    assert!(began.elapsed() >= TICK * 3);
    assert_eq!(current_timer_slack().unwrap(), slack);
    assert_eq!(least_and_slack(TICK * 4), (TICK * 3, TICK));
}

#[test]
fn what_a_writer_finishes_after_the_stop_is_read() {
    // What is done: T is a turn, P a pause.
    let done = |turns: &[(u64, bool)]| {
        let (mut left, done) = (turns.iter(), RefCell::new(String::new()));
        let turn = || {
            done.borrow_mut().push('T');
            left.next().copied().expect("it was quiet twice")
        };
        until_quiet_with(turn, || done.borrow_mut().push('P'));
        done.into_inner()
    };
    assert_eq!(done(&[(0, false), (0, false), (9, false)]), "TPT");
    assert_eq!(done(&[(0, false), (3, false), (0, false), (0, false)]), "TPTTPT");
    assert_eq!(done(&[(5, true), (0, true), (0, false), (0, false)]), "TTTPT");
    let mut turns = 0;
    until_quiet(|| {
        turns += 1;
        (0, false)
    });
    assert_eq!(turns, 2);
}
