//! Selects events of a capture by the same expressions that select live events.

use std::fmt;

use byteorder::ByteOrder;

use super::{
    Capture,
    window::{Span, Window, skip_to},
};
use crate::{
    decode::{Element, FieldPlan, Filter, FilterError, Matcher, Plan, Read, Traced, Value, filter::Surroundings},
    format::{EventFormat, EventId},
    names::Names,
    ring::{CpuList, Record},
    tracefs::{Among, EventFilter, EventName, Selection, TracefsError},
};

/// The part of a capture to use. By default, all.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Select {
    /// These events, in the form of `-e`.
    pub events: Option<Selection>,
    /// These processes with all their threads, and these threads; if empty, all.
    pub pids: Vec<i32>,
    /// These CPUs.
    pub cpus: Option<CpuList>,
    /// Conditions on events, in the form of the kernel's filters.
    pub filters: Vec<EventFilter>,
    /// This part of the time.
    pub window: Window,
}

/// Why a selection cannot be applied to a capture.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SelectError {
    /// The expressions match nothing.
    #[error(transparent)]
    Events(#[from] TracefsError),
    /// The event of a filter does not exist.
    #[error("filter {0:?}: the capture has no such event")]
    NoEvent(String),
    /// A filter does not suit its event.
    #[error(transparent)]
    Filter(#[from] FilterError),
    /// The capture has none of the given CPUs.
    #[error("the capture has events of none of these CPUs; it has {0}: leave out --cpu, or give some of them")]
    NoCpu(String),
    /// The window ends before it begins, or contains no events.
    #[error("no event is between --from and --until: {why}; the capture is {} s long", *.length as f64 / 1e9)]
    NoTime {
        /// The reason.
        why: &'static str,
        /// The capture's length, ns.
        length: u64,
    },
    /// The capture cannot be read.
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

impl SelectError {
    /// Whether the command line is at fault rather than the machine: exit code 2 instead of 1.
    pub fn is_usage(&self) -> bool {
        match self {
            SelectError::Events(error) => error.is_usage(),
            SelectError::NoEvent(_) | SelectError::Filter(_) | SelectError::NoCpu(_) | SelectError::NoTime { .. } => {
                true
            }
            SelectError::Io(_) => false,
        }
    }
}

/// A selection bound to one capture.
pub struct Selector {
    /// By event id. Events without a rule are selected only if there is no selection by event.
    rules: Vec<Option<Rule>>,
    takes_unknown: bool,
    cpus: Option<CpuList>,
    /// Threads, ascending; `None`: all.
    threads: Option<Vec<i32>>,
    /// The given processes.
    processes: Vec<i32>,
    names: Names,
    /// CPUs of the traced kernel, as far as the capture shows.
    cpu_count: u32,
    first: u64,
    last: u64,
    warnings: Vec<String>,
}

struct Rule {
    taken: bool,
    pid: FieldPlan,
    /// The field with the other task that an event concerns.
    other: Option<FieldPlan>,
    matchers: Vec<Matcher>,
}

impl Select {
    /// Whether everything is selected.
    pub fn is_all(&self) -> bool {
        let Select { events, pids, cpus, filters, window } = self;
        events.is_none() && pids.is_empty() && cpus.is_none() && filters.is_empty() && window.is_all()
    }

    /// Binds the selection to `capture`, and seeks to the beginning of its window.
    pub fn bind(&self, capture: &mut Capture) -> Result<Selector, SelectError> {
        let cpu_count = capture.rings.iter().map(|ring| ring.cpu.saturating_add(1)).max().unwrap_or(0);
        if let Some(cpus) = &self.cpus
            && !capture.rings.iter().any(|ring| cpus.contains(ring.cpu))
        {
            let there: CpuList = capture.rings.iter().map(|ring| ring.cpu).collect();
            return Err(SelectError::NoCpu(there.to_string()));
        }
        // Only filters need task names, and only pids need thread groups; both are small compared to kallsyms.
        let needs_names = !self.pids.is_empty() || !self.filters.is_empty();
        let names_of = if needs_names { capture.names().0 } else { Names::default() };
        let traced = Traced { kallsyms: Some(&names_of.kallsyms), cpus: Some(cpu_count) };
        let (rules, warnings) = self.rules(&capture.events, &traced)?;
        let (first, last) = self.seek(capture)?;
        let mut threads = self.pids.clone();
        threads.sort_unstable();
        Ok(Selector {
            rules,
            takes_unknown: self.events.is_none(),
            cpus: self.cpus.clone(),
            threads: (!threads.is_empty()).then_some(threads),
            processes: self.pids.clone(),
            names: names_of,
            cpu_count,
            first,
            last,
            warnings,
        })
    }

    /// The rule of each event, and warnings about the expressions that select events.
    fn rules(
        &self,
        formats: &[EventFormat],
        traced: &Traced<'_>,
    ) -> Result<(Vec<Option<Rule>>, Vec<String>), SelectError> {
        let names: Vec<_> = formats.iter().map(|f| EventName::new(f.system.as_str(), f.name.as_str())).collect();
        let mut warnings = Vec::new();
        let mut rules: Vec<Option<Rule>> = Vec::new();
        for format in formats {
            let index = format.id.index();
            if rules.len() <= index {
                rules.resize_with(index + 1, || None);
            }
            rules[index] = Rule::of(format, self.events.is_none());
        }
        if let Some(events) = &self.events {
            let selected = events.resolve_among(&names, Among::Capture)?;
            warnings.extend(selected.unmatched.iter().map(|unmatched| unmatched.to_string()));
            for (format, name) in formats.iter().zip(&names) {
                if selected.events.contains(name)
                    && let Some(rule) = rules.get_mut(format.id.index()).and_then(Option::as_mut)
                {
                    rule.taken = true;
                }
            }
        }
        for filter in &self.filters {
            let events = filter.events().resolve_among(&names, Among::Capture);
            let events = events.map_err(|_| SelectError::NoEvent(filter.text().to_owned()))?.events;
            let condition = Filter::parse(filter.condition())?;
            for (format, name) in formats.iter().zip(&names) {
                if events.contains(name)
                    && let Some(rule) = rules.get_mut(format.id.index()).and_then(Option::as_mut)
                {
                    rule.matchers.push(condition.compile_for(format, traced)?);
                }
            }
        }
        Ok((rules, warnings))
    }

    /// Seeks to the beginning of the window; returns its first and last time.
    fn seek(&self, capture: &mut Capture) -> Result<(u64, u64), SelectError> {
        let span = if self.window.is_all() { None } else { Span::of(capture)? };
        let (first, last) = self.window.within(span);
        if first > 0 {
            skip_to(capture, first)?;
        }
        if let Some(span) = span {
            let why = match () {
                () if first > last => Some("--from is after --until"),
                () if first > span.last => Some("--from is after the last event"),
                () if last < span.first => Some("--until is before the first event"),
                () => None,
            };
            if let Some(why) = why {
                return Err(SelectError::NoTime { why, length: span.length() });
            }
        }
        Ok((first, last))
    }
}

impl Rule {
    fn of(format: &EventFormat, taken: bool) -> Option<Rule> {
        let pid = FieldPlan::common(format.common.iter().find(|field| field.name == "common_pid")?);
        // As `event_filter_pid_sched_switch_probe_pre` and the like: an event between two tasks concerns both.
        let other = match (format.system.as_str(), format.name.as_str()) {
            ("sched", "sched_switch") => Some("next_pid"),
            ("sched", "sched_wakeup" | "sched_wakeup_new" | "sched_waking") => Some("pid"),
            _ => None,
        };
        let plan = Plan::compile(format);
        let other = other.and_then(|name| format.fields.iter().position(|field| field.name == name));
        let other = other.and_then(|index| plan.fields().get(index).copied());
        let other = other.filter(|field| matches!(field.read, Read::Scalar(Element::Integer { .. })));
        Some(Rule { taken, pid, other, matchers: Vec::new() })
    }
}

impl Selector {
    /// Whether `record` is selected.
    #[inline]
    pub fn takes<E: ByteOrder>(&self, record: &Record<'_>) -> bool {
        if record.time < self.first || record.time > self.last {
            return false;
        }
        if self.cpus.as_ref().is_some_and(|cpus| !cpus.contains(record.cpu)) {
            return false;
        }
        let id = EventId::of::<E>(record.bytes);
        let Some(rule) = id.and_then(|id| self.rules.get(id.index())).and_then(Option::as_ref) else {
            return self.takes_unknown && self.threads.is_none();
        };
        rule.taken && self.takes_task::<E>(rule, record.bytes) && self.filters_take::<E>(rule, record)
    }

    /// Whether no later record is selected.
    #[inline]
    pub fn is_past(&self, time: u64) -> bool {
        time > self.last
    }

    /// The first and the last time selected; 0 and the maximum if there is no limit.
    pub(super) fn window(&self) -> (u64, u64) {
        (self.first, self.last)
    }

    /// The parts of the selection that match nothing, in words.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    fn takes_task<E: ByteOrder>(&self, rule: &Rule, record: &[u8]) -> bool {
        let Some(threads) = &self.threads else { return true };
        let wanted = |field: &FieldPlan| match field.value::<E>(record) {
            Ok(Value::Signed(pid)) => i32::try_from(pid).is_ok_and(|pid| {
                threads.binary_search(&pid).is_ok()
                    || self.names.tgids.get(pid).is_some_and(|group| self.processes.contains(&group))
            }),
            _ => false,
        };
        wanted(&rule.pid) || rule.other.as_ref().is_some_and(wanted)
    }

    fn filters_take<E: ByteOrder>(&self, rule: &Rule, record: &Record<'_>) -> bool {
        let around = Around { cpu: record.cpu, cpus: self.cpu_count, names: &self.names };
        rule.matchers.iter().all(|matcher| matcher.matches::<E>(record.bytes, &around))
    }
}

impl fmt::Debug for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rules = self.rules.iter().flatten().filter(|rule| rule.taken).count();
        f.debug_struct("Selector")
            .field("events", &rules)
            .field("first", &self.first)
            .field("last", &self.last)
            .finish()
    }
}

struct Around<'a> {
    cpu: u32,
    cpus: u32,
    names: &'a Names,
}

impl Surroundings for Around<'_> {
    fn cpu(&self) -> u32 {
        self.cpu
    }

    fn comm(&self, pid: i32) -> &[u8] {
        self.names.comms.shown(pid)
    }

    fn cpus(&self) -> u32 {
        self.cpus
    }
}

#[cfg(test)]
mod tests;
