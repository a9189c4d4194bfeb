//! Statistics of a capture: events by count and rate, losses, CPUs, clock, span, kernel.

use std::fmt::Write as _;
use std::ops::ControlFlow;

use byteorder::ByteOrder;
use serde::Serialize;

use super::{
    Capture, RingFeed,
    parts::{self, Jobs, Read, Told, Work},
    select::{Select, SelectError, Selector},
    window::Span,
};
use crate::{
    escape::Escaped,
    format::{Endian, EventId},
    ring::{Lost, Merge, Record},
    tracefs::CpuStats,
};

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
/// The most intervals of the activity.
const MAX_INTERVALS: usize = 100_000;

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

/// Counting, as work for several threads.
struct Count<'a> {
    /// A state with nothing counted.
    empty: &'a Counting,
    selector: &'a Selector,
}

impl Work for Count<'_> {
    type Hand = ();
    type Carry = ();
    type Done = Counting;

    /// Every part has counters for all events, and nothing to write.
    fn part_size(&self) -> u64 {
        4 << 20
    }

    fn hand(&self) {}

    fn work<E: ByteOrder>(
        &self,
        (): &mut (),
        merge: &mut Merge<RingFeed>,
        (): &(),
        out: &mut dyn FnMut(Told<'_>) -> ControlFlow<()>,
    ) -> (Counting, ControlFlow<()>) {
        const LOOK_EVERY: u64 = 1 << 16;
        let mut counting = self.empty.clone();
        let mut read = 0u64;
        let flow = merge.for_each::<E, ()>(|record| {
            if self.selector.is_past(record.time) {
                return ControlFlow::Break(());
            }
            if self.selector.takes::<E>(&record) {
                counting.record::<E>(&record);
            }
            read += 1;
            if read.is_multiple_of(LOOK_EVERY) { out(Told::Time(record.time)) } else { ControlFlow::Continue(()) }
        });
        (counting, flow)
    }
}

/// The state of counting.
#[derive(Debug, Clone)]
struct Counting {
    /// By event id.
    events: Vec<Option<Counted>>,
    systems: Vec<SystemActivity>,
    start: u64,
    interval: u64,
    intervals: usize,
    count: u64,
    unknown: u64,
    span: Option<Span>,
    silence: Option<Silence>,
    losses: Vec<Loss>,
    cpus: Vec<CpuStat>,
    problems: Vec<String>,
}

#[derive(Debug, Clone)]
struct Counted {
    system: usize,
    /// The index of its format.
    format: usize,
    count: u64,
    first: u64,
    last: u64,
}

impl Counting {
    fn new(capture: &Capture, span: Option<Span>, intervals: usize) -> Counting {
        let intervals = intervals.clamp(1, MAX_INTERVALS);
        let mut systems: Vec<SystemActivity> = Vec::new();
        let mut events: Vec<Option<Counted>> = Vec::new();
        for (index, format) in capture.events.iter().enumerate() {
            let system = systems.iter().position(|known| known.system == format.system);
            let system = system.unwrap_or_else(|| {
                systems.push(SystemActivity { system: format.system.clone(), counts: Vec::new() });
                systems.len() - 1
            });
            let id = format.id.index();
            if events.len() <= id {
                events.resize_with(id + 1, || None);
            }
            events[id] = Some(Counted { system, format: index, count: 0, first: 0, last: 0 });
        }
        Counting {
            events,
            systems,
            start: span.map_or(0, |span| span.first),
            interval: span.map_or(1, |span| span.length() / intervals as u64 + 1),
            intervals,
            count: 0,
            unknown: 0,
            span: None,
            silence: None,
            losses: Vec::new(),
            cpus: Vec::new(),
            problems: capture.problems.clone(),
        }
    }

    /// Adds the counts of all records that were read, selected or not.
    fn read(&mut self, read: &[Read], kernel_lost: Vec<Option<u64>>) {
        for (Read { cpu, counts, .. }, kernel_lost) in read.iter().zip(kernel_lost) {
            self.cpus.push(CpuStat {
                cpu: *cpu,
                events: counts.records,
                sub_buffers: counts.sub_buffers,
                lost: counts.lost,
                gaps: counts.gaps,
                malformed: counts.malformed,
                kernel_lost,
            });
            self.problems.extend(counts.first_error.iter().map(|error| format!("CPU {cpu}: {error}")));
        }
        self.problems.extend(read.iter().filter_map(|read| read.skipped.clone()));
        let error = |Read { cpu, error, .. }: &Read| Some(format!("CPU {cpu}: {}", error.as_ref()?));
        self.problems.extend(read.iter().filter_map(error));
    }

    /// Combines the counts of this part with those of the next, later one.
    fn then(mut self, next: Counting) -> Counting {
        self.count += next.count;
        self.unknown += next.unknown;
        // As in `record`, which proceeds event by event: the first of two equal silences wins.
        let between = self
            .span
            .zip(next.span)
            .map(|(before, after)| Silence { from: before.last, length: after.first.saturating_sub(before.last) });
        for silence in between.into_iter().chain(next.silence) {
            if self.silence.is_none_or(|longest| silence.length > longest.length) {
                self.silence = Some(silence);
            }
        }
        self.span = match (self.span, next.span) {
            (Some(before), Some(after)) => Some(Span { first: before.first, last: before.last.max(after.last) }),
            (before, after) => before.or(after),
        };
        let room = MAX_LOSSES - self.losses.len();
        self.losses.extend(next.losses.into_iter().take(room));
        for (all, part) in self.events.iter_mut().zip(next.events) {
            if let (Some(all), Some(part)) = (all, part)
                && part.count > 0
            {
                all.first = if all.count == 0 { part.first } else { all.first };
                all.last = part.last;
                all.count += part.count;
            }
        }
        for (all, part) in self.systems.iter_mut().zip(next.systems) {
            if all.counts.is_empty() {
                all.counts = part.counts;
            } else {
                all.counts.iter_mut().zip(part.counts).for_each(|(all, part)| *all += part);
            }
        }
        self
    }

    #[inline]
    fn record<E: ByteOrder>(&mut self, record: &Record<'_>) {
        let time = record.time;
        self.count += 1;
        match &mut self.span {
            Some(span) => {
                let length = time.saturating_sub(span.last);
                if self.silence.is_none_or(|longest| length > longest.length) {
                    self.silence = Some(Silence { from: span.last, length });
                }
                span.last = span.last.max(time);
            }
            None => self.span = Some(Span { first: time, last: time }),
        }
        if record.lost != Lost::Nothing && self.losses.len() < MAX_LOSSES {
            let count = if let Lost::Count(count) = record.lost { Some(count) } else { None };
            self.losses.push(Loss { cpu: record.cpu, time, count });
        }
        let id = record.bytes.first_chunk::<2>().map(|bytes| EventId(E::read_u16(bytes)));
        let Some(counted) = id.and_then(|id| self.events.get_mut(id.index())).and_then(Option::as_mut) else {
            self.unknown += 1;
            return;
        };
        if counted.count == 0 {
            counted.first = time;
        }
        counted.count += 1;
        counted.last = time;
        if let Some(SystemActivity { counts, .. }) = self.systems.get_mut(counted.system) {
            if counts.is_empty() {
                counts.resize(self.intervals, 0);
            }
            let at = (time.saturating_sub(self.start) / self.interval) as usize;
            if let Some(count) = counts.get_mut(at.min(self.intervals - 1)) {
                *count += 1;
            }
        }
    }

    fn finish(self, capture: Capture) -> Stat {
        let nanoseconds = !capture.counts_ticks();
        let seconds = self.span.filter(|_| nanoseconds).map_or(0.0, |span| span.length() as f64 / 1e9);
        let mut by_event: Vec<EventStat> = self
            .events
            .into_iter()
            .flatten()
            .filter(|counted| counted.count > 0)
            .filter_map(|Counted { format, count, first, last, .. }| {
                let format = capture.events.get(format)?;
                let rate = if seconds > 0.0 { count as f64 / seconds } else { 0.0 };
                Some(EventStat { system: format.system.clone(), name: format.name.clone(), count, rate, first, last })
            })
            .collect();
        by_event.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| (&a.system, &a.name).cmp(&(&b.system, &b.name))));
        let mut systems = self.systems;
        systems.retain(|system| !system.counts.is_empty());
        systems.sort_by_key(|system| std::cmp::Reverse(system.counts.iter().sum::<u64>()));
        let order = if capture.endian == Endian::Big { "big" } else { "little" };
        let bits = capture.header.long_size().bytes() * 8;
        let recorded = self.span.zip(capture.clock_pair).and_then(|(span, pair)| pair.realtime_of(span.first));
        Stat {
            kernel: capture.uname,
            clock: capture.clock,
            nanoseconds,
            machine: format!("{order}-endian, {bits} bits"),
            recorded_unix_ns: recorded,
            span: self.span,
            seconds,
            events: self.count,
            longest_silence: self.silence,
            by_event,
            cpus: self.cpus,
            losses: self.losses,
            unknown: self.unknown,
            activity: Activity { start: self.start, interval: self.interval, systems },
            problems: self.problems,
        }
    }
}

impl Stat {
    /// The statistics as text, with the `top` most frequent events.
    pub fn text(&self, top: usize) -> String {
        let mut out = String::new();
        let mut line = |name: &str, value: &str| {
            let _ = writeln!(out, "{name:<10} {}", Escaped(value));
        };
        line("kernel", self.kernel.as_deref().unwrap_or("not noted"));
        line("machine", &self.machine);
        line("clock", &self.clock);
        if let (false, Some(span)) = (self.nanoseconds, self.span) {
            let Span { first, last } = span;
            line("span", &format!("{} ticks of unknown length, from {first} to {last}", span.length()));
        } else if let Some(Span { first, last }) = self.span {
            let span = format!("{} s, from {} to {}", fixed(self.seconds, 6), seconds(first), seconds(last));
            line("span", &span);
        }
        let rate = if self.seconds > 0.0 { self.events as f64 / self.seconds } else { 0.0 };
        let kinds = self.by_event.len();
        let a_second = if self.nanoseconds { format!(", {} a second", fixed(rate, 0)) } else { String::new() };
        line("events", &format!("{} of {kinds} kinds{a_second}", self.events));
        if let (false, Some(Silence { from, length })) = (self.nanoseconds, self.longest_silence) {
            line("silence", &format!("{length} ticks at most, from {from} on"));
        } else if let Some(Silence { from, length }) = self.longest_silence {
            line("silence", &format!("{} ms at most, from {} on", fixed(length as f64 / 1e6, 3), seconds(from)));
        }
        let gaps: u64 = self.cpus.iter().map(|cpu| cpu.gaps).sum();
        line(
            "lost",
            &match (self.lost(), gaps) {
                (0, 0) => "nothing".to_owned(),
                (lost, 0) => format!("{lost} events"),
                (lost, gaps) => format!("{lost} events, and {gaps} gaps of unknown size"),
            },
        );
        if self.unknown > 0 {
            line("unknown", &format!("{} events of unknown ids", self.unknown));
        }
        let _ = writeln!(out);
        let _ = writeln!(out, "{:>4} {:>12} {:>12} {:>12} {:>10}", "CPU", "events", "sub-buffers", "lost", "malformed");
        for cpu in &self.cpus {
            let lost = cpu.lost.max(cpu.kernel_lost.unwrap_or(0));
            let CpuStat { cpu, events, sub_buffers, malformed, .. } = cpu;
            let _ = writeln!(out, "{cpu:>4} {events:>12} {sub_buffers:>12} {lost:>12} {malformed:>10}");
        }
        let _ = writeln!(out, "\n{:>12} {:>12}  event", "count", "per second");
        for event in self.by_event.iter().take(top) {
            let EventStat { system, name, count, rate, .. } = event;
            let _ = writeln!(out, "{count:>12} {:>12}  {}:{}", fixed(*rate, 1), Escaped(system), Escaped(name));
        }
        if let Some(more) = self.by_event.len().checked_sub(top).filter(|&more| more > 0) {
            let _ = writeln!(out, "{:>12} {:>12}  {more} more kinds", "", "");
        }
        for problem in &self.problems {
            let _ = writeln!(out, "problem: {}", Escaped(problem));
        }
        out
    }

    /// The activity over time, one line per system, `width` characters wide. Each line has its own scale: its maximum
    /// is the number at its beginning.
    pub fn plot(&self, width: usize) -> String {
        const BARS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
        let names = self
            .activity
            .systems
            .iter()
            .map(|system| Escaped(&system.system).to_string().chars().count())
            .max()
            .unwrap_or(0);
        let columns = width.saturating_sub(names + 15).clamp(10, 1000);
        let mut out = String::new();
        for SystemActivity { system, counts } in &self.activity.systems {
            let bars: Vec<u64> = (0..columns).map(|column| share(counts, column, columns)).collect();
            let highest = bars.iter().copied().max().unwrap_or(0).max(1);
            // Rounded up, so that a single event is visible.
            let bar = |count: &u64| BARS.get((count * 8).div_ceil(highest) as usize).copied().unwrap_or('█');
            let drawn: String = bars.iter().map(bar).collect();
            let length = self.activity.interval as f64 * counts.len() as f64 / columns as f64 / 1e9;
            let rate = if length > 0.0 { highest as f64 / length } else { 0.0 };
            let highest = if self.nanoseconds { format!("{}/s", fixed(rate, 0)) } else { highest.to_string() };
            let _ = writeln!(out, "{:>names$} {highest:>12} │{drawn}", Escaped(system));
        }
        let length = match (self.nanoseconds, self.span) {
            (false, Some(span)) => format!("{} ticks", span.length()),
            _ => format!("{} s", fixed(self.seconds, 3)),
        };
        let _ = writeln!(out, "{:names$} {:>12} └0{:─>rest$}", "", "", length, rest = columns - 1);
        out
    }
}

/// The events of one column: those of the intervals that begin in it.
fn share(counts: &[u64], column: usize, columns: usize) -> u64 {
    let (start, end) = (column * counts.len() / columns, (column + 1) * counts.len() / columns);
    // With fewer intervals than columns, several columns show the same one.
    counts.get(start..end.max(start + 1)).unwrap_or_default().iter().sum()
}

/// A time of the trace clock in the kernel's format.
fn seconds(time: u64) -> String {
    format!("{}.{:06}", time / 1_000_000_000, time % 1_000_000_000 / 1000)
}

fn fixed(number: f64, places: usize) -> String {
    format!("{number:.places$}")
}
