//! Statistics of a capture: events by count and rate, losses, CPUs, clock, span, kernel.

use std::ops::ControlFlow;

use serde::Serialize;

use super::{
    Capture,
    parts::{self, Jobs, Told},
    select::{Select, SelectError},
    window::Span,
};
use crate::tracefs::CpuStats;
use counting::{Count, Counting};

mod counting;
mod text;

/// Statistics of a capture. Times are of the trace clock, in its unit (ns for all but the counters).
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct Stat {
    /// The kernel, as far as stored: name, release, version, machine.
    pub kernel: Option<String>,
    /// The trace clock.
    pub clock: String,
    /// Whether its times are ns; otherwise they are ticks of unknown length, and all durations and rates are 0.
    pub nanoseconds: bool,
    /// Byte order and width of a `long` of the traced kernel, as `little-endian, 64 bits`.
    pub machine: String,
    /// When the first event occurred, ns since 1970, if known.
    pub recorded_unix_ns: Option<u64>,
    /// The times of the first and the last event counted.
    pub span: Option<Span>,
    /// Length of the span, seconds.
    pub seconds: f64,
    /// Events counted.
    pub events: u64,
    /// The longest time without an event.
    pub longest_silence: Option<Silence>,
    /// The events, the most frequent first.
    pub by_event: Vec<EventStat>,
    /// The CPUs.
    pub cpus: Vec<CpuStat>,
    /// The places where events were lost, the first [`MAX_LOSSES`].
    pub losses: Vec<Loss>,
    /// Events of unknown ids.
    pub unknown: u64,
    /// Activity over time, by system.
    pub activity: Activity,
    /// The errors found in the capture.
    pub problems: Vec<String>,
}

/// One event's numbers.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct EventStat {
    /// The group.
    pub system: String,
    /// The event.
    pub name: String,
    /// How many.
    pub count: u64,
    /// Events per second, over the whole span.
    pub rate: f64,
    /// The first one's time.
    pub first: u64,
    /// The last one's time.
    pub last: u64,
}

/// One CPU's numbers. They include all records that were read, whatever is selected.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct CpuStat {
    /// The CPU.
    pub cpu: u32,
    /// Events read.
    pub events: u64,
    /// Sub-buffers read.
    pub sub_buffers: u64,
    /// Events that the sub-buffers say were overwritten before they were read.
    pub lost: u64,
    /// Gaps of unknown size.
    pub gaps: u64,
    /// Sub-buffers, or rests of them, that could not be walked.
    pub malformed: u64,
    /// Events that the kernel counted as lost up to the end of the recording (`stats`: overrun, commit overrun,
    /// dropped).
    pub kernel_lost: Option<u64>,
}

/// A gap in a ring.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Loss {
    /// The CPU.
    pub cpu: u32,
    /// The time of the first event after it.
    pub time: u64,
    /// How many events are missing; unknown if the kernel did not say.
    pub count: Option<u64>,
}

/// A time without an event on any CPU.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Silence {
    /// When it began.
    pub from: u64,
    /// Its length.
    pub length: u64,
}

/// Numbers of events over time.
#[derive(Debug, Clone, Default, Serialize)]
#[non_exhaustive]
pub struct Activity {
    /// The beginning of the first interval.
    pub start: u64,
    /// Length of an interval.
    pub interval: u64,
    /// By system: the events of each interval.
    pub systems: Vec<SystemActivity>,
}

/// The activity of one system.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct SystemActivity {
    /// The system.
    pub system: String,
    /// Events of each interval.
    pub counts: Vec<u64>,
}

/// The most losses that are listed.
pub const MAX_LOSSES: usize = 1000;

impl Stat {
    /// Counts the events that `select` selects in `capture`, with the activity in `intervals` parts, using `jobs`
    /// threads. `progress` is called with the time reached, now and then.
    pub fn of(
        mut capture: Capture,
        select: &Select,
        intervals: usize,
        jobs: Jobs,
        progress: &mut dyn FnMut(u64),
    ) -> Result<Stat, SelectError> {
        let whole = Span::of(&mut capture)?;
        let selector = select.bind(&mut capture)?;
        let span = whole.map(|Span { first, last }| {
            let (from, until) = select.window.within(whole);
            Span { first: first.max(from), last: last.min(until) }
        });
        let kernel_lost = |stats: &Option<String>| stats.as_ref().map(|text| CpuStats::parse(text).lost());
        let noted: Vec<_> = capture.rings.iter().map(|ring| kernel_lost(&ring.stats)).collect();
        let counting = Counting::new(&capture, span, intervals);
        let count = Count { empty: &counting, selector: &selector };
        let total = parts::work(&mut capture, Some(&selector), jobs, &count, &mut |told| {
            if let Told::Time(time) = told {
                progress(time);
            }
            ControlFlow::Continue(())
        })?;
        let mut counting = total.parts.into_iter().reduce(Counting::then).unwrap_or(counting);
        counting.read(&total.read, noted);
        Ok(counting.finish(capture))
    }

    /// Events lost, as far as their number is known: in the rings, or as counted by the kernel if that is more.
    pub fn lost(&self) -> u64 {
        self.cpus.iter().map(|cpu| cpu.lost.max(cpu.kernel_lost.unwrap_or(0))).sum()
    }
}
