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

/// See the [module](self).
pub(super) struct Turns<F> {
    pub(super) rings: Rings<F>,
    pub(super) clock: TraceClock,
    tick: Duration,
    pace: Pace,
    last: Instant,
    /// The same moment on the trace clock.
    ended_ns: u64,
}

impl<F: Ring> Turns<F> {
    /// Turns at `rings`, whose times are those of `clock` and which hold `ring_kib` KiB each.
    pub(super) fn new(rings: Rings<F>, clock: TraceClock, tick: Duration, ring_kib: u64) -> Turns<F> {
        let ended_ns = clock.now().unwrap_or(0);
        Turns { rings, clock, tick, pace: Pace::new(tick, ring_kib), last: Instant::now(), ended_ns }
    }

    /// Sets how times become ns.
    pub(super) fn set_times(&mut self, times: Arc<Times>) {
        self.rings.set_times(times);
    }

    /// The trace clock's time; 0 for a clock that only the kernel can read.
    fn now_ns(&self) -> u64 {
        self.clock.now().unwrap_or(0)
    }

    /// Sleeps as the [pace](Pace) says, but no longer than for `left`, and while it waits for events no longer than for `idle`.
    /// Returns the time between, in which what happens is nobody's echo.
    pub(super) fn sleep(&mut self, left: Duration, idle: Duration) -> io::Result<Range<u64>> {
        let began = self.now_ns();
        // In a rest nobody asks epoll, so the kernel wakes nobody.
        let rest = |time: Duration| std::thread::sleep(time.min(left));
        let mut asked = false;
        let quiet = match self.pace.wait() {
            Wait::No => began..began,
            Wait::Rest(time) => {
                if time > self.tick {
                    doze(time.min(left))
                } else {
                    rest(time)
                }
                began + AFTER_SLEEP_NS..self.now_ns().saturating_sub(BEFORE_WAKE_NS)
            }
            Wait::Event => {
                let rung = self.rings.wait(left.min(idle))?;
                let woken = self.now_ns();
                let early = self.tick.saturating_sub(self.last.elapsed());
                if rung && !early.is_zero() {
                    // The second event within a tick waits for its end, together with those that follow it.
                    rest(early);
                } else {
                    asked = true;
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
    pub(super) fn end(&mut self, mut turn: Turn, read: u64) {
        turn.around = read.saturating_sub(turn.apart);
        let now = self.now_ns();
        turn.around_ns = now.saturating_sub(self.ended_ns).saturating_sub(turn.apart_ns);
        if now == 0 {
            // A clock that we cannot read: every event counts as the machine's own.
            (turn.apart, turn.around) = (read, 0);
        }
        self.ended_ns = now;
        self.last = Instant::now();
        self.pace.turned(&turn);
        self.rings.settle(self.pace.wait());
    }
}

/// Sleeps for `time` at most. In the last quarter of it the kernel may wake us together with another timer of this CPU
/// (`__hrtimer_run_queues`): to leave the idle state only for us is eight events of `timer`, to be one more of those that are
/// woken is two.
fn doze(time: Duration) {
    let slack = time / 4;
    let lax = NonZeroU64::new(slack.as_nanos() as u64).filter(|lax| set_current_timer_slack(Some(*lax)).is_ok());
    std::thread::sleep(if lax.is_some() { time - slack } else { time });
    if lax.is_some() {
        // Back to what it was when the thread began, for what must not be late.
        let _ = set_current_timer_slack(None);
    }
}

/// Takes turns, each with its number of events and whether there is more, until two in a row bring nothing.
pub(super) fn until_quiet(mut turn: impl FnMut() -> (u64, bool)) {
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
}
