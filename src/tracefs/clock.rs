//! Trace clocks: their names, and their relation to the time of day.
//!
//! The kernel's clocks `mono`, `mono_raw`, `boot` and `tai` are the ones that clock_gettime(2) reads (`trace_clocks`
//! in kernel/trace/trace.c), so a trace time becomes a time of day by one addition. `local` and `global` (the
//! scheduler's clock) and the counters cannot be read that way.

use std::fmt;

use super::time_namespace;
use crate::ring::counts_nanoseconds;
use libc::{CLOCK_BOOTTIME, CLOCK_MONOTONIC, CLOCK_MONOTONIC_RAW, CLOCK_REALTIME, CLOCK_TAI, clockid_t};

/// A trace clock of the kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum TraceClock {
    /// CLOCK_MONOTONIC: our default.
    Mono,
    /// CLOCK_MONOTONIC_RAW.
    MonoRaw,
    /// CLOCK_BOOTTIME: like `mono`, but includes suspends.
    Boot,
    /// CLOCK_TAI.
    Tai,
    /// Any other, by its name in `trace_clock`: `local`, `global`, `counter`, `uptime`, `perf`, `x86-tsc`, …
    Other(String),
}

impl TraceClock {
    /// The clock with this name.
    pub fn from_name(name: &str) -> TraceClock {
        match name {
            "mono" => TraceClock::Mono,
            "mono_raw" => TraceClock::MonoRaw,
            "boot" => TraceClock::Boot,
            "tai" => TraceClock::Tai,
            other => TraceClock::Other(other.to_string()),
        }
    }

    /// The clock in use, from the text of a `trace_clock` file: see [`TraceClocks::parse`].
    pub fn in_use(text: &str) -> Option<TraceClock> {
        TraceClocks::parse(text).map(|clocks| clocks.current)
    }

    /// The name in `trace_clock`.
    pub fn name(&self) -> &str {
        match self {
            TraceClock::Mono => "mono",
            TraceClock::MonoRaw => "mono_raw",
            TraceClock::Boot => "boot",
            TraceClock::Tai => "tai",
            TraceClock::Other(name) => name,
        }
    }

    /// Whether its times are nanoseconds: [`counts_nanoseconds`].
    pub fn is_nanoseconds(&self) -> bool {
        counts_nanoseconds(self.name())
    }

    /// The clock's time now, ns. `None` for a clock that clock_gettime(2) cannot read.
    pub fn now(&self) -> Option<u64> {
        self.twin().map(nanoseconds)
    }

    fn twin(&self) -> Option<clockid_t> {
        match self {
            TraceClock::Mono => Some(CLOCK_MONOTONIC),
            TraceClock::MonoRaw => Some(CLOCK_MONOTONIC_RAW),
            TraceClock::Boot => Some(CLOCK_BOOTTIME),
            TraceClock::Tai => Some(CLOCK_TAI),
            TraceClock::Other(_) => None,
        }
    }
}

impl fmt::Display for TraceClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The contents of a `trace_clock` file: `local global [mono] …`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceClocks {
    /// The one in brackets.
    pub current: TraceClock,
    /// All of them, in the kernel's order.
    pub available: Vec<TraceClock>,
}

impl TraceClocks {
    /// Parses the text of a `trace_clock` file, or what a capture has stored of one. `None` if the clock in use is
    /// not known: several names and none in brackets.
    ///
    /// ```
    /// use ftrace_live::tracefs::{TraceClock, TraceClocks};
    /// let clocks = TraceClocks::parse("local global counter [mono] boot\n").unwrap();
    /// assert_eq!(clocks.current, TraceClock::Mono);
    /// assert_eq!(clocks.available.len(), 5);
    /// assert_eq!(TraceClocks::parse("mono").unwrap().current, TraceClock::Mono);
    /// ```
    pub fn parse(text: &str) -> Option<TraceClocks> {
        let mut current = None;
        let mut available = Vec::new();
        for word in text.split_whitespace() {
            let bracketed =
                word.strip_prefix('[').and_then(|word| word.strip_suffix(']')).filter(|word| !word.is_empty());
            let clock = TraceClock::from_name(bracketed.unwrap_or(word));
            if bracketed.is_some() {
                current = Some(clock.clone());
            }
            available.push(clock);
        }
        // A single name needs no brackets.
        let current = current.or_else(|| available.first().filter(|_| available.len() == 1).cloned())?;
        Some(TraceClocks { current, available })
    }
}

/// One moment on two clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClockPair {
    /// The moment on the trace clock, ns.
    pub trace_ns: u64,
    /// The same moment in the time of day (CLOCK_REALTIME), ns since 1970.
    pub realtime_ns: u64,
    /// How far the two may be apart: half of the time that the reading took, ns.
    pub uncertainty_ns: u64,
}

/// How many readings are taken; the tightest is kept. An interrupt within one is rare, within all of them very
/// unlikely.
const READINGS: usize = 8;

impl ClockPair {
    /// Reads both clocks now. `None` for a clock that clock_gettime(2) cannot read.
    ///
    /// The time of day is read between two readings of the trace clock and paired with their middle.
    pub fn take(clock: &TraceClock) -> Option<ClockPair> {
        ClockPair::take_with(clock, CLOCK_REALTIME)
    }

    /// The same with CLOCK_MONOTONIC in place of the time of day.
    pub(crate) fn take_with_mono(clock: &TraceClock) -> Option<ClockPair> {
        ClockPair::take_with(clock, CLOCK_MONOTONIC)
    }

    fn take_with(clock: &TraceClock, other: clockid_t) -> Option<ClockPair> {
        let twin = clock.twin()?;
        let mut best: Option<ClockPair> = None;
        for _ in 0..READINGS {
            let before = nanoseconds(twin);
            let realtime_ns = nanoseconds(other);
            let after = nanoseconds(twin);
            let width = after.saturating_sub(before);
            let pair = ClockPair {
                trace_ns: before.saturating_add(width / 2),
                realtime_ns,
                uncertainty_ns: width.div_ceil(2),
            };
            if best.is_none_or(|best| pair.uncertainty_ns < best.uncertainty_ns) {
                best = Some(pair);
            }
        }
        best
    }

    /// The time of day of a moment on the trace clock, ns since 1970. `None` if it is before 1970.
    pub fn realtime_of(&self, trace_ns: u64) -> Option<u64> {
        let realtime = i128::from(self.realtime_ns) + i128::from(trace_ns) - i128::from(self.trace_ns);
        u64::try_from(realtime).ok()
    }
}

/// The kernel's time of a clock.
fn nanoseconds(clock: clockid_t) -> u64 {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: clock_gettime(2) writes one timespec to the given address, which is valid. For a clock that the kernel
    // does not know it fails and writes nothing; the time is then 0.
    unsafe { libc::clock_gettime(clock, &mut now) };
    let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
    let ours = seconds.saturating_mul(1_000_000_000).saturating_add(u64::try_from(now.tv_nsec).unwrap_or(0));
    time_namespace::kernels(clock, ours)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_in_brackets_is_the_current_one() {
        let text = "local global counter uptime perf mono mono_raw boot [tai] x86-tsc\n";
        let clocks = TraceClocks::parse(text).unwrap();
        assert_eq!(clocks.current, TraceClock::Tai);
        let names: Vec<_> = clocks.available.iter().map(TraceClock::name).collect();
        assert_eq!(names.join(" "), text.trim().replace(['[', ']'], ""));
        assert_eq!(TraceClocks::parse("mono boot"), None);
        assert_eq!(TraceClocks::parse(""), None);
        assert_eq!(TraceClocks::parse("[] mono"), None);
        assert_eq!(TraceClock::in_use("[boot]"), Some(TraceClock::Boot));
        assert_eq!(TraceClock::in_use("boot\n"), Some(TraceClock::Boot));
    }

    #[test]
    fn only_clocks_of_clock_gettime_can_be_paired() {
        for clock in [TraceClock::Mono, TraceClock::MonoRaw, TraceClock::Boot, TraceClock::Tai] {
            let earlier = nanoseconds(clock.twin().unwrap());
            let pair = ClockPair::take(&clock).unwrap();
            let later = nanoseconds(clock.twin().unwrap());
            assert!((earlier..=later).contains(&pair.trace_ns), "{clock}");
        }
        assert_eq!(ClockPair::take(&TraceClock::from_name("local")), None);
        assert_eq!(ClockPair::take(&TraceClock::from_name("x86-tsc")), None);
    }

    #[test]
    fn a_trace_time_becomes_a_time_of_day_by_one_addition() {
        let pair = ClockPair { trace_ns: 1_000, realtime_ns: 5_000, uncertainty_ns: 1 };
        assert_eq!(pair.realtime_of(1_500), Some(5_500));
        assert_eq!(pair.realtime_of(0), Some(4_000));
        let pair = ClockPair { trace_ns: 9_000, realtime_ns: 5_000, uncertainty_ns: 1 };
        assert_eq!(pair.realtime_of(0), None);
    }
}
