//! The replay's clock: the machine's own, which signals end and pause, or one that a test controls.

use std::io;
use std::num::NonZeroU64;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use signal_hook::consts::{SIGCONT, SIGHUP, SIGINT, SIGTERM, SIGTSTP};
use signal_hook::low_level::emulate_default_handler;

use crate::osc::timetag;
use crate::wall;

/// The time, and waiting for it.
pub trait Time {
    /// ns since 1970.
    fn now(&mut self) -> u64;

    /// Waits until about `unix_ns`, at most `longest`; may return earlier.
    fn sleep_until(&mut self, unix_ns: u64, longest: Duration);

    /// How long a signal had stopped the replay since the last call, ns: the rest is played that much later.
    fn paused(&mut self) -> u64;

    /// Whether a signal has asked for the end.
    fn ended(&mut self) -> bool;
}

/// A clock that jumps to the time that is waited for, and otherwise stands still: for output that is not played in
/// real time.
#[derive(Debug, Clone, Copy)]
pub struct JumpingTime(u64);

impl Default for JumpingTime {
    /// Always the same beginning.
    fn default() -> JumpingTime {
        JumpingTime(1_000_000_000_000_000_000)
    }
}

impl Time for JumpingTime {
    fn now(&mut self) -> u64 {
        self.0
    }

    fn sleep_until(&mut self, unix_ns: u64, _: Duration) {
        self.0 = self.0.max(unix_ns);
    }

    fn paused(&mut self) -> u64 {
        0
    }

    fn ended(&mut self) -> bool {
        false
    }
}

/// The machine's own time, with signals: Ctrl-C ends, SIGTSTP (Ctrl-Z) and SIGCONT (`fg`) pause.
pub struct RealTime {
    ended: Arc<AtomicBool>,
    /// SIGTSTP has arrived: stopping the process is our own task.
    to_stop: Arc<AtomicBool>,
    continued: Arc<AtomicBool>,
    /// The same moment on the monotonic clock, which does not jump, and in the time of day.
    start: (Instant, u64),
    fell_asleep: u64,
    /// The time of day is taken from another machine, and does not jump either.
    follows: bool,
}

impl RealTime {
    /// Installs handlers for SIGINT, SIGTERM, SIGHUP, SIGTSTP and SIGCONT.
    pub fn new() -> io::Result<RealTime> {
        let flag = || Arc::new(AtomicBool::new(false));
        let (ended, to_stop, continued) = (flag(), flag(), flag());
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            signal_hook::flag::register(signal, ended.clone())?;
        }
        signal_hook::flag::register(SIGTSTP, to_stop.clone())?;
        signal_hook::flag::register(SIGCONT, continued.clone())?;
        // By default the kernel may wake a sleeper 50 µs late, to wake several at once. If it refuses to change that,
        // events are that much later.
        let _ = rustix::thread::set_current_timer_slack(NonZeroU64::new(1));
        let now = timetag::unix_now_ns();
        let follows = wall::followed().is_some();
        Ok(RealTime { ended, to_stop, continued, start: (Instant::now(), now), fell_asleep: now, follows })
    }
}

impl Time for RealTime {
    fn now(&mut self) -> u64 {
        if self.follows {
            return wall::now_ns();
        }
        let (start, unix_ns) = self.start;
        unix_ns.saturating_add(start.elapsed().as_nanos() as u64)
    }

    fn sleep_until(&mut self, unix_ns: u64, longest: Duration) {
        let now = self.now();
        self.fell_asleep = now;
        std::thread::sleep(Duration::from_nanos(unix_ns.saturating_sub(now)).min(longest));
    }

    fn paused(&mut self) -> u64 {
        if self.to_stop.swap(false, Ordering::Relaxed) {
            let stopped = self.now();
            // Returns after SIGCONT.
            if emulate_default_handler(SIGTSTP).is_ok() {
                self.continued.store(false, Ordering::Relaxed);
                return self.now().saturating_sub(stopped);
            }
        }
        if !self.continued.swap(false, Ordering::Relaxed) {
            return 0;
        }
        // SIGSTOP cannot be caught. It practically always arrives during a sleep, and a sleep is short compared with
        // a pause.
        self.now().saturating_sub(self.fell_asleep)
    }

    fn ended(&mut self) -> bool {
        self.ended.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Without the signal handlers, which would be the whole test program's.
    fn real_time() -> RealTime {
        let flag = || Arc::new(AtomicBool::new(false));
        let start = (Instant::now(), 1_000);
        RealTime { ended: flag(), to_stop: flag(), continued: flag(), start, fell_asleep: 1_000, follows: false }
    }

    #[test]
    fn a_sleep_is_no_longer_than_the_longest_however_far_the_next_event_is() {
        let (began, minute) = (Instant::now(), Duration::from_secs(60));
        let mut time = real_time();
        let far = time.now() + minute.as_nanos() as u64;
        time.sleep_until(far, Duration::from_millis(1));
        assert!(began.elapsed() < minute, "a signal would be noticed a minute late");
        time.sleep_until(0, minute);
        assert!(began.elapsed() < minute, "what is due is not waited for");
    }

    #[test]
    fn a_sleep_lasts_until_what_it_waits_for_and_a_signal_asks_for_the_end() {
        let mut time = real_time();
        let due = time.now() + 2_000_000;
        time.sleep_until(due, Duration::from_secs(60));
        assert!(time.now() >= due, "no sleep is shorter than it was asked to be");
        assert!(!time.ended());
        time.ended.store(true, Ordering::Relaxed);
        assert!(time.ended());
    }

    #[test]
    fn a_pause_is_told_once() {
        let mut time = real_time();
        assert_eq!(time.paused(), 0);
        time.continued.store(true, Ordering::Relaxed);
        std::thread::sleep(Duration::from_millis(1));
        assert!(time.paused() >= 1_000_000);
        assert_eq!(time.paused(), 0);
    }

    #[test]
    fn a_jumping_clock_is_at_the_time_that_is_waited_for_and_never_goes_back() {
        let mut time = JumpingTime::default();
        let begin = time.now();
        time.sleep_until(begin + 5, Duration::ZERO);
        time.sleep_until(begin, Duration::ZERO);
        assert_eq!((time.now(), time.paused(), time.ended()), (begin + 5, 0, false));
    }
}
