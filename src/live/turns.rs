//! The turns of a thread that reads rings: how long it sleeps before each, and what in each is nobody's echo.

use std::io;
use std::num::NonZeroU64;
use std::ops::{ControlFlow, Range};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::thread::set_current_timer_slack;

use super::pace::{AFTER_SLEEP_NS, BEFORE_WAKE_NS, Pace, Turn, Wait};
use super::rings::{Ring, Rings};
use crate::ring::{Record, Times};
use crate::tracefs::TraceClock;

/// The kernel's byte order: that of this machine.
pub(super) type Native = byteorder::NativeEndian;

/// A thread's time and its sleep: the machine's, or that of a test.
pub(super) trait Clock {
    /// The trace clock's time; 0 for a clock that only the kernel can read.
    fn now_ns(&self) -> u64;
    /// The same moment on a clock that every process can read.
    fn instant(&self) -> Instant;
    /// Sleeps for `time`.
    fn rest(&self, time: Duration);
    /// Sleeps for `time` at most, and for three quarters of it at least.
    fn doze(&self, time: Duration);
}

impl Clock for TraceClock {
    fn now_ns(&self) -> u64 {
        self.now().unwrap_or(0)
    }

    fn instant(&self) -> Instant {
        Instant::now()
    }

    fn rest(&self, time: Duration) {
        std::thread::sleep(time);
    }

    fn doze(&self, time: Duration) {
        doze(time);
    }
}

/// See the [module](self).
pub(super) struct Turns<F, C = TraceClock> {
    pub(super) rings: Rings<F>,
    pub(super) clock: C,
    tick: Duration,
    pace: Pace,
    last: Instant,
    /// The same moment on the trace clock.
    ended_ns: u64,
}

impl<F: Ring, C: Clock> Turns<F, C> {
    /// Turns at `rings`, whose times are those of `clock` and which hold `ring_kib` KiB each.
    pub(super) fn new(rings: Rings<F>, clock: C, tick: Duration, ring_kib: u64) -> Turns<F, C> {
        let (last, ended_ns) = (clock.instant(), clock.now_ns());
        Turns { rings, clock, tick, pace: Pace::new(tick, ring_kib), last, ended_ns }
    }

    /// Sets how times become ns.
    pub(super) fn set_times(&mut self, times: Arc<Times>) {
        self.rings.set_times(times);
    }

    /// Sleeps as the [pace](Pace) says, but no longer than for `left`, and while it waits for events no longer than for `idle`.
    /// Returns the time between, in which what happens is nobody's echo.
    pub(super) fn sleep(&mut self, left: Duration, idle: Duration) -> io::Result<Range<u64>> {
        let began = self.clock.now_ns();
        let mut asked = false;
        let quiet = match self.pace.wait() {
            Wait::No => began..began,
            Wait::Rest(time) => {
                // Nobody asks epoll meanwhile, so the kernel wakes nobody.
                if time > self.tick {
                    self.clock.doze(time.min(left))
                } else {
                    self.clock.rest(time.min(left))
                }
                began + AFTER_SLEEP_NS..self.clock.now_ns().saturating_sub(BEFORE_WAKE_NS)
            }
            Wait::Event => {
                let rung = self.rings.wait(left.min(idle))?;
                let woken = self.clock.now_ns();
                let early = self.tick.saturating_sub(self.clock.instant().saturating_duration_since(self.last));
                if rung && !early.is_zero() {
                    // The second event within a tick waits for its end, together with those that follow it.
                    self.clock.rest(early.min(left));
                } else {
                    asked = true;
                }
                match woken.saturating_sub(began) {
                    // Woken by what going to sleep does.
                    0..AFTER_SLEEP_NS if rung => {
                        woken + AFTER_SLEEP_NS..self.clock.now_ns().saturating_sub(BEFORE_WAKE_NS).max(woken)
                    }
                    _ => began + AFTER_SLEEP_NS..self.clock.now_ns(),
                }
            }
        };
        if !asked {
            // Of the others, those that were written to meanwhile.
            self.rings.look()?;
        }
        Ok(quiet.start..quiet.end.max(quiet.start))
    }

    /// Reads the rings that have something, up to their quota. Events in the time `apart` are nobody's echo. The turn is to be
    /// [ended](Turns::end), when what was read is sent.
    pub(super) fn read(&mut self, apart: Range<u64>, mut each: impl FnMut(Record<'_>)) -> Turn {
        let mut turn = Turn { apart_ns: apart.end - apart.start, ..Turn::default() };
        turn.more = self.rings.read::<Native, ()>(|record| {
            turn.apart += u64::from(record.time.wrapping_sub(apart.start) < turn.apart_ns);
            each(record);
            ControlFlow::Continue(())
        });
        turn
    }

    /// Ends a turn that brought `read` events, and decides how to wait for the next.
    pub(super) fn end(&mut self, turn: Turn, read: u64) {
        let turn = self.complete(turn, read);
        self.pace.turned(&turn);
        self.rings.settle(self.pace.wait());
    }

    /// The turn with what its end says of it: how many events came around our waking, and how long that was.
    fn complete(&mut self, mut turn: Turn, read: u64) -> Turn {
        turn.around = read.saturating_sub(turn.apart);
        let now = self.clock.now_ns();
        turn.around_ns = now.saturating_sub(self.ended_ns).saturating_sub(turn.apart_ns);
        if now == 0 {
            // A clock that we cannot read: every event counts as the machine's own.
            (turn.apart, turn.around) = (read, 0);
        }
        self.ended_ns = now;
        self.last = self.clock.instant();
        turn
    }
}

/// Sleeps for `time` at most. In the last quarter of it the kernel may wake us together with another timer of this CPU
/// (`__hrtimer_run_queues`): to leave the idle state only for us is eight events of `timer`, to be one more of those that are
/// woken is two.
fn doze(time: Duration) {
    let (least, slack) = least_and_slack(time);
    let lax = NonZeroU64::new(slack.as_nanos() as u64).filter(|lax| set_current_timer_slack(Some(*lax)).is_ok());
    std::thread::sleep(if lax.is_some() { least } else { time });
    if lax.is_some() {
        // Back to what it was when the thread began, for what must not be late.
        let _ = set_current_timer_slack(None);
    }
}

/// The time that a doze takes at least, and how much later than that the kernel may end it.
fn least_and_slack(time: Duration) -> (Duration, Duration) {
    let slack = time / 4;
    (time - slack, slack)
}

/// Takes turns, each with its number of events and whether there is more, until two in a row bring nothing.
pub(super) fn until_quiet(turn: impl FnMut() -> (u64, bool)) {
    until_quiet_with(turn, || std::thread::sleep(Duration::from_millis(1)));
}

/// [`until_quiet`], with a `pause` between a turn that brings nothing and the next.
fn until_quiet_with(mut turn: impl FnMut() -> (u64, bool), mut pause: impl FnMut()) {
    let mut quiet = 0;
    // A writer that was in the middle of an event finishes it after the stop.
    while quiet < 2 {
        let (read, more) = turn();
        quiet = if read == 0 && !more { quiet + 1 } else { 0 };
        if quiet == 1 {
            pause();
        }
    }
}

#[cfg(test)]
mod tests;
