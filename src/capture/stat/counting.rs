//! Counts a capture's records, in one thread or several, part after part.

use std::ops::ControlFlow;

use byteorder::ByteOrder;

use super::{Activity, CpuStat, EventStat, Loss, MAX_LOSSES, Silence, Stat, SystemActivity};
use crate::{
    capture::{
        Capture, RingFeed,
        parts::{Read, Told, Work},
        select::Selector,
        window::Span,
    },
    format::{Endian, EventId},
    ring::{Lost, Merge, Record},
};

/// The most intervals of the activity.
const MAX_INTERVALS: usize = 100_000;

/// Counting, as work for several threads.
pub(super) struct Count<'a> {
    /// A state with nothing counted.
    pub(super) empty: &'a Counting,
    pub(super) selector: &'a Selector,
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
pub(super) struct Counting {
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
    pub(super) fn new(capture: &Capture, span: Option<Span>, intervals: usize) -> Counting {
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
    pub(super) fn read(&mut self, read: &[Read], kernel_lost: Vec<Option<u64>>) {
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
    pub(super) fn then(mut self, next: Counting) -> Counting {
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
        let id = EventId::of::<E>(record.bytes);
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

    pub(super) fn finish(self, capture: Capture) -> Stat {
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

#[cfg(test)]
mod tests;
