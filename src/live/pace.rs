//! When to read next: at once, with the tick, or later, so that the loop does not react to its own echo.
//!
//! Each time we wake and go back to sleep, the kernel does things that may themselves be traced: a timer expires, an
//! interrupt comes, the idle task is left and entered again. These events carry the pid of the idle task, so no pid
//! filter removes them, and with `-e timer power irq_vectors` each read would find just the events that the read
//! before has caused, forever. They are distinguished from others by *when* they happen:
//!
//! ```text
//!        asleep                 awake      asleep                awake
//!  ──────┬──┬────────────────┬──┬──────────┬──┬───────────────┬──┬────
//!        └──┘   apart        └──┘          └──┘    apart      └──┘
//!       around going to sleep  around waking        └ events that are nobody's echo
//! ```
//!
//! Events *apart* from our own waking earn credit, events *around* it cost credit. With credit, we read as soon as
//! anything comes; without, we rest until time has earned some. So the events that our reading adds to the trace stay
//! below [`SHARE`] of the others, plus [`ECHO_PER_SECOND`], and the gain of the feedback loop stays below one.

use std::time::Duration;

/// At least this many events a tick apart from our own waking mean that many come: the next turn follows one tick later,
/// whatever epoll reports. As many after a long rest do not: one tick later there would be nothing.
const MANY: u64 = 16;
/// Events this soon after we go to sleep, and before the timer wakes us, count as caused by us, ns.
pub(super) const AFTER_SLEEP_NS: u64 = 100_000;
/// See [`AFTER_SLEEP_NS`].
pub(super) const BEFORE_WAKE_NS: u64 = 120_000;
/// Events caused by us that one event of the machine pays for.
const SHARE: f64 = 0.1;
/// Events caused by us that a second pays for.
const ECHO_PER_SECOND: f64 = 25.0;
/// The most credit that can be saved: a burst of echo after a busy time is paid from it.
const MOST_CREDIT: f64 = 64.0;
/// The most that is owed: what a few turns have caused is paid by the rests after them, a misjudged burst is not.
const MOST_DEBT: f64 = 16.0;
/// More events than this are no echo, whenever they come.
const MOST_ECHO: u64 = 256;
/// The longest rest, if the ring is large enough for it.
const LONGEST_REST: Duration = Duration::from_millis(250);
/// What a core can write at most, bytes per ms: a rest must not be longer than a ring takes to fill, since a burst
/// may start during it.
const BYTES_A_MS: u64 = 160_000;

/// How to wait for the next turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wait {
    /// Not at all: there is more to read.
    No,
    /// Until an event comes.
    Event,
    /// This long, whatever comes.
    Rest(Duration),
}

/// The result of a turn.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Turn {
    /// Events apart from our own waking.
    pub(super) apart: u64,
    /// Events around it.
    pub(super) around: u64,
    /// How long the times that count as apart and as around were, ns.
    pub(super) apart_ns: u64,
    /// See [`Turn::apart_ns`].
    pub(super) around_ns: u64,
    /// The quota was used: there is more to be read.
    pub(super) more: bool,
}

/// Decides how to wait.
#[derive(Debug)]
pub(super) struct Pace {
    tick: Duration,
    longest: Duration,
    /// Credit, in events of echo that we may still cause.
    credit: f64,
    wait: Wait,
}

impl Pace {
    /// For rings of `ring_kib` KiB each.
    pub(super) fn new(tick: Duration, ring_kib: u64) -> Pace {
        let longest = Duration::from_millis(ring_kib.saturating_mul(1024) / BYTES_A_MS);
        Pace { tick, longest: longest.clamp(tick, LONGEST_REST.max(tick)), credit: MOST_CREDIT, wait: Wait::Event }
    }

    /// How to wait for the next turn.
    pub(super) fn wait(&self) -> Wait {
        self.wait
    }

    /// A turn has ended.
    pub(super) fn turned(&mut self, turn: &Turn) {
        let many = turn.apart + turn.around > MOST_ECHO;
        // Events that come all the time also come around our waking. Without a sleep there is no way to tell.
        let chance = turn.apart as f64 * turn.around_ns as f64 / turn.apart_ns.max(1) as f64;
        let judged = !many && turn.apart_ns > 0;
        let echo = if judged { (turn.around as f64 - chance).max(0.0) } else { 0.0 };
        let seconds = (turn.apart_ns + turn.around_ns) as f64 / 1e9;
        let credit = self.credit + SHARE * turn.apart as f64 + ECHO_PER_SECOND * seconds - echo;
        self.credit = credit.clamp(-MOST_DEBT, MOST_CREDIT);
        let ticks = (turn.apart_ns as f64 / self.tick.as_nanos() as f64).max(1.0);
        self.wait = if turn.more {
            Wait::No
        } else if self.credit < 0.0 && !self.tick.is_zero() && !many {
            Wait::Rest(Duration::from_secs_f64(-self.credit / ECHO_PER_SECOND).clamp(self.tick, self.longest))
        } else if many || turn.apart as f64 >= MANY as f64 * ticks {
            Wait::Rest(self.tick)
        } else {
            Wait::Event
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TICK: Duration = Duration::from_millis(1);
    const ROOMY: u64 = 1 << 20;

    /// A turn after `ms` of sleep.
    fn turn(apart: u64, around: u64, ms: u64) -> Turn {
        Turn { apart, around, apart_ns: ms * 1_000_000, around_ns: 200_000, more: false }
    }

    #[test]
    fn single_events_are_waited_for_and_many_are_read_with_the_tick() {
        let mut pace = Pace::new(TICK, ROOMY);
        assert_eq!(pace.wait(), Wait::Event);
        pace.turned(&turn(3, 0, 100));
        assert_eq!(pace.wait(), Wait::Event);
        pace.turned(&turn(1000, 200, 1));
        assert_eq!(pace.wait(), Wait::Rest(TICK));
        pace.turned(&Turn { more: true, ..turn(100_000, 20_000, 1) });
        assert_eq!(pace.wait(), Wait::No);
        pace.turned(&turn(0, 0, 1));
        assert_eq!(pace.wait(), Wait::Event);
    }

    #[test]
    fn many_after_a_long_rest_are_not_many_a_tick() {
        let mut pace = Pace::new(TICK, ROOMY);
        pace.turned(&turn(MANY, 0, 1));
        assert_eq!(pace.wait(), Wait::Rest(TICK));
        pace.turned(&turn(10 * MANY, 0, 50));
        assert_eq!(pace.wait(), Wait::Event);
        pace.turned(&turn(50 * MANY, 0, 50));
        assert_eq!(pace.wait(), Wait::Rest(TICK));
    }

    /// Simulates a second in which the machine makes `own` events and each turn causes `echo`; returns the number of
    /// echo events.
    fn second(pace: &mut Pace, own: u64, echo: u64) -> u64 {
        let (mut ns, mut made, mut due) = (0, 0, 0.0);
        while ns < 1_000_000_000 {
            let slept = match pace.wait() {
                // The echo of going to sleep comes at once; without echo, the machine's next event.
                Wait::Event if echo > 0 => 50_000,
                Wait::Event => 1_000_000_000 / own.max(1),
                Wait::Rest(rest) => rest.as_nanos() as u64,
                Wait::No => 0,
            };
            ns += slept + 200_000;
            due += own as f64 * slept as f64 / 1e9;
            let apart = due as u64;
            due -= apart as f64;
            pace.turned(&Turn { apart, around: echo, apart_ns: slept, around_ns: 200_000, more: false });
            made += echo;
        }
        made
    }

    #[test]
    fn a_quiet_machine_stays_quiet_though_each_read_makes_events() {
        let mut pace = Pace::new(TICK, ROOMY);
        second(&mut pace, 0, 8);
        for echo in [1, 8, 100] {
            second(&mut pace, 0, echo);
            let made = second(&mut pace, 0, echo);
            assert!(made <= 30.max(echo * 6), "{made} events of our own doing, {echo} each");
        }
    }

    #[test]
    fn the_echo_stays_a_share_of_the_machines_own_events() {
        let mut pace = Pace::new(TICK, ROOMY);
        for own in [100, 1000, 5000] {
            second(&mut pace, own, 8);
            let made = second(&mut pace, own, 8);
            assert!(made as f64 <= 0.15 * own as f64 + 40.0, "{made} for {own}");
        }
    }

    #[test]
    fn a_busy_machine_never_makes_us_rest_longer_than_the_tick() {
        let mut pace = Pace::new(TICK, ROOMY);
        for _ in 0..1000 {
            // 100 thousand a second, evenly.
            pace.turned(&turn(100, 20, 1));
            assert_eq!(pace.wait(), Wait::Rest(TICK));
        }
    }

    #[test]
    fn a_load_that_leaves_no_time_to_sleep_is_no_echo() {
        let mut pace = Pace::new(TICK, ROOMY);
        for _ in 0..100 {
            pace.turned(&Turn { apart: 0, around: 20_000, apart_ns: 0, around_ns: 10_000_000, more: true });
            assert_eq!(pace.wait(), Wait::No);
        }
        pace.turned(&Turn { apart: 0, around: 20_000, apart_ns: 0, around_ns: 10_000_000, more: false });
        assert_eq!(pace.wait(), Wait::Rest(TICK));
    }

    #[test]
    fn no_rest_is_longer_than_a_ring_takes_to_fill() {
        for (kib, most) in [(64, 1), (1408, 9), (8192, 52), (1 << 20, 250)] {
            let mut pace = Pace::new(TICK, kib);
            for _ in 0..100 {
                pace.turned(&turn(0, 100, 1));
            }
            assert_eq!(pace.wait(), Wait::Rest(Duration::from_millis(most)), "{kib}");
        }
    }

    #[test]
    fn with_a_tick_of_zero_no_event_is_late() {
        let mut pace = Pace::new(Duration::ZERO, ROOMY);
        for _ in 0..100 {
            pace.turned(&turn(0, 100, 0));
            assert_eq!(pace.wait(), Wait::Event);
        }
    }

    #[test]
    fn steady_events_around_our_waking_are_no_echo() {
        let mut pace = Pace { credit: 0.0, ..Pace::new(TICK, ROOMY) };
        // 100 in 10 ms apart: 2 are to be expected in the 0.2 ms around.
        pace.turned(&turn(100, 2, 10));
        let earned = SHARE * 100.0 + ECHO_PER_SECOND * 0.0102;
        assert!((pace.credit - earned).abs() < 1e-9, "{}", pace.credit);
        pace.turned(&turn(100, 5, 10));
        assert!((pace.credit - (2.0 * earned - 3.0)).abs() < 1e-9, "{}", pace.credit);
    }

    #[test]
    fn more_than_an_echo_can_be_is_none_and_leaves_no_debt() {
        let mut pace = Pace::new(TICK, ROOMY);
        pace.turned(&turn(0, MOST_ECHO + 1, 1));
        assert_eq!(pace.wait(), Wait::Rest(TICK));
        pace.turned(&turn(0, 0, 1));
        assert_eq!(pace.wait(), Wait::Event);
        pace.turned(&turn(0, MOST_ECHO, 1));
        assert_eq!(pace.wait(), Wait::Rest(LONGEST_REST));
    }

    #[test]
    fn what_comes_without_a_sleep_before_it_is_no_echo() {
        let mut pace = Pace { credit: 0.0, ..Pace::new(TICK, ROOMY) };
        pace.turned(&Turn::default());
        assert_eq!(pace.wait(), Wait::Event);
        pace.turned(&Turn { around: 100, around_ns: 200_000, ..Turn::default() });
        assert_eq!(pace.wait(), Wait::Event);
    }

    #[test]
    fn a_rest_is_as_long_as_it_takes_to_earn_what_is_owed() {
        let mut pace = Pace { credit: 0.0, ..Pace::new(TICK, ROOMY) };
        pace.turned(&turn(0, 5, 1));
        // 5 events, less 25 a second for 1.2 ms: 4.97 are owed, which 198.8 ms earn.
        let Wait::Rest(rest) = pace.wait() else { panic!("{:?}", pace.wait()) };
        assert_eq!(rest.as_micros(), 198_800);
    }

    #[test]
    fn three_of_the_longest_rests_pay_for_any_amount_of_echo() {
        let mut pace = Pace::new(TICK, ROOMY);
        pace.turned(&turn(0, 250, 1));
        // 16 events, at 25 a second: 640 ms.
        for rest in [250, 250, 140] {
            let Wait::Rest(time) = pace.wait() else { panic!("{:?}", pace.wait()) };
            assert!((rest - 1..=rest).contains(&time.as_millis()), "{time:?}");
            pace.turned(&turn(0, 0, 250));
        }
        assert_eq!(pace.wait(), Wait::Event);
    }
}
