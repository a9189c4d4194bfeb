//! The time from one event to another: `irq_handler_entry..irq_handler_exit`.
//!
//! A begin is paired with the next end of the same key: interrupt number, vector or pid. Only the latest begin of a
//! key is open: one without an end is counted as unpaired when the key begins again.

use std::{collections::HashMap, ops::ControlFlow, str::FromStr};

use byteorder::{BigEndian, ByteOrder, LittleEndian};
use hdrhistogram::Histogram;
use serde::Serialize;

use super::{
    Capture,
    moment::Moment,
    select::{Select, SelectError, Selector},
};
use crate::{
    decode::{FieldPlan, Filter, Matcher, Plan, Value, filter::Surroundings},
    format::{Endian, EventFormat, EventId},
    ring::Record,
    tracefs::{Among, EventName, Selection, TracefsError},
};

/// Fields that relate an end to its begin, in order of preference: both events must have them.
const KEYS: [&[&str]; 7] = [&["irq"], &["vec"], &["vector"], &["dev", "sector"], &["work"], &["timer"], &["pid"]];
/// These are separate for each CPU: softirqs of one vector run on several CPUs at a time.
const PER_CPU: [&str; 3] = ["irq", "vec", "vector"];
/// The most fields of a key.
const MAX_FIELDS: usize = 3;
/// The most begins open at a time: more than a machine has interrupts, tasks and requests.
const MAX_OPEN: usize = 1 << 20;

/// Two events, and the fields by which they are paired: `A..B`, each an event with an optional condition, followed by
/// `@FIELD` or `@FIELD_OF_A,FIELD_OF_B`; several fields are joined by `+`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pair {
    begin: Moment,
    end: Moment,
    key: Option<(Fields, Fields)>,
}

/// The fields of a key.
type Fields = Vec<String>;

impl std::fmt::Display for Pair {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}..{}", self.begin, self.end)?;
        match &self.key {
            Some((begin, end)) if begin == end => write!(f, "@{}", begin.join("+")),
            Some((begin, end)) => write!(f, "@{},{}", begin.join("+"), end.join("+")),
            None => Ok(()),
        }
    }
}

/// Why two events cannot be paired.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PairError {
    /// The text has another form.
    #[error(
        "{0:?} is not a pair of events: write BEGIN..END, such as irq_handler_entry..irq_handler_exit, or BEGIN..END@pid"
    )]
    Syntax(String),
    /// An event does not exist in the capture.
    #[error(transparent)]
    Select(#[from] SelectError),
    /// An event or a condition cannot be parsed.
    #[error(transparent)]
    Language(#[from] TracefsError),
    /// An event is not traced, or not replayed.
    #[error("{0} is not traced: select it with -e as well")]
    Untraced(String),
    /// An event has no such field.
    #[error("{event} has no field {field:?} to pair it by; it has {known}")]
    Field {
        /// The event.
        event: String,
        /// The field.
        field: String,
        /// Its fields.
        known: String,
    },
}

impl PairError {
    /// Whether the command line is at fault rather than the machine: exit code 2 instead of 1.
    pub fn is_usage(&self) -> bool {
        match self {
            PairError::Select(error) => error.is_usage(),
            PairError::Language(error) => error.is_usage(),
            PairError::Syntax(_) | PairError::Untraced(_) | PairError::Field { .. } => true,
        }
    }
}

impl FromStr for Pair {
    type Err = PairError;

    fn from_str(text: &str) -> Result<Pair, PairError> {
        let bad = || PairError::Syntax(text.chars().take(128).collect());
        let (events, key) = match text.rsplit_once('@') {
            Some((events, key)) => (events, Some(key.split_once(',').unwrap_or((key, key)))),
            None => (text, None),
        };
        let (begin, end) = events.split_once("..").ok_or_else(bad)?;
        let moment = |text: &str| text.parse::<Moment>().map_err(|_| bad());
        let fields = |text: &str| text.split('+').map(|field| field.trim().to_owned()).collect::<Fields>();
        let key = key.map(|(of_begin, of_end)| (fields(of_begin), fields(of_end)));
        let usable = |(a, b): &(Fields, Fields)| {
            a.len() == b.len() && a.len() <= MAX_FIELDS && a.iter().chain(b).all(|field| !field.is_empty())
        };
        if !key.as_ref().is_none_or(usable) {
            return Err(bad());
        }
        Ok(Pair { begin: moment(begin)?, end: moment(end)?, key })
    }
}

/// The latencies in a capture. Times are ns of the trace clock.
#[derive(Debug, Clone, Serialize)]
pub struct Latency {
    /// The event that begins it.
    pub begin: String,
    /// The event that ends it.
    pub end: String,
    /// The fields by which they are paired, of either event.
    pub key: (Vec<String>, Vec<String>),
    /// Pairs found.
    pub pairs: u64,
    /// Begins without an end.
    pub unended: u64,
    /// Ends without a begin.
    pub unbegun: u64,
    /// The shortest.
    pub min: u64,
    /// Half are shorter; exact to three digits, like the next ones.
    pub p50: u64,
    /// Nine in ten are shorter.
    pub p90: u64,
    /// 99 in a hundred are shorter.
    pub p99: u64,
    /// The longest.
    pub max: u64,
    /// When the longest began.
    pub max_at: u64,
    /// Pairs by latency, in buckets from one power of two ns to the next.
    pub histogram: Vec<Bucket>,
}

/// Pairs with similar latencies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Bucket {
    /// The shortest latency, ns.
    pub from: u64,
    /// The end of the bucket, exclusive.
    pub below: u64,
    /// The number of pairs.
    pub count: u64,
}

/// One side of a pair: its events by id, with the fields of the key.
struct Keys {
    by_id: HashMap<EventId, Vec<FieldPlan>>,
    per_cpu: bool,
}

/// The values of a key's fields, and the CPU if the key is per CPU.
type Key = ([u64; MAX_FIELDS], u32);

impl Keys {
    fn of(formats: &[&EventFormat], key: &[String]) -> Result<Keys, PairError> {
        let mut by_id = HashMap::new();
        for format in formats {
            let plan = |name: &String| {
                field(format, name).ok_or_else(|| PairError::Field {
                    event: format.full_name(),
                    field: name.clone(),
                    known: format.fields.iter().map(|field| field.name.as_str()).collect::<Vec<_>>().join(", "),
                })
            };
            by_id.insert(format.id, key.iter().map(plan).collect::<Result<_, _>>()?);
        }
        Ok(Keys { by_id, per_cpu: key.iter().any(|name| PER_CPU.contains(&name.as_str())) })
    }

    /// The key of a record that is one of these events, if `takes` accepts it.
    fn key<E: ByteOrder>(&self, record: &Record<'_>, takes: impl FnOnce(EventId) -> bool) -> Option<Key> {
        let id = EventId::of::<E>(record.bytes)?;
        let fields = self.by_id.get(&id)?;
        if !takes(id) {
            return None;
        }
        let mut key = [0; MAX_FIELDS];
        for (field, value) in fields.iter().zip(&mut key) {
            *value = match field.value::<E>(record.bytes).ok()? {
                Value::Signed(value) => value as u64,
                Value::Unsigned(value) => value,
                _ => return None,
            };
        }
        Some((key, if self.per_cpu { record.cpu } else { 0 }))
    }
}

/// One side of a pair, bound to a capture.
struct Side {
    selector: Selector,
    keys: Keys,
}

impl Side {
    fn bind(moment: &Moment, key: &[String], select: &Select, capture: &mut Capture) -> Result<Side, PairError> {
        let select = moment.within(select)?;
        let keys = Keys::of(&formats(moment, &capture.events)?, key)?;
        Ok(Side { selector: select.bind(capture)?, keys })
    }

    /// The key of a record that belongs to this side.
    fn key<E: ByteOrder>(&self, record: &Record<'_>) -> Option<Key> {
        self.keys.key::<E>(record, |_| self.selector.takes::<E>(record))
    }
}

/// The begins without an end so far, ns of the trace clock.
#[derive(Default)]
struct Open {
    began: HashMap<Key, u64>,
    unended: u64,
    unbegun: u64,
}

impl Open {
    fn begin(&mut self, key: Key, at: u64) {
        if (self.began.len() < MAX_OPEN || self.began.contains_key(&key)) && self.began.insert(key, at).is_some() {
            self.unended += 1;
        }
    }

    /// The time at which the latency that ends now began.
    fn end(&mut self, key: &Key) -> Option<u64> {
        let began = self.began.remove(key);
        self.unbegun += u64::from(began.is_none());
        began
    }
}

/// Pairs events as they occur.
pub struct Pairing {
    begin: Events,
    end: Events,
    open: Open,
}

/// One side of it, bound to the events that may occur.
struct Events {
    keys: Keys,
    conditions: HashMap<EventId, Matcher>,
}

/// What a condition needs besides the record. No more is known of the kernel here.
struct Running<'a> {
    cpu: u32,
    comm: &'a [u8],
}

impl Surroundings for Running<'_> {
    fn cpu(&self) -> u32 {
        self.cpu
    }

    fn comm(&self, _: i32) -> &[u8] {
        self.comm
    }
}

impl Events {
    fn of(moment: &Moment, formats: &[&EventFormat], key: &[String]) -> Result<Events, PairError> {
        let mut conditions = HashMap::new();
        if let Some(condition) = moment.condition() {
            let condition = Filter::parse(condition).map_err(SelectError::from)?;
            for format in formats {
                conditions.insert(format.id, condition.compile(format).map_err(SelectError::from)?);
            }
        }
        Ok(Events { keys: Keys::of(formats, key)?, conditions })
    }

    fn key<E: ByteOrder>(&self, record: &Record<'_>, comm: &[u8]) -> Option<Key> {
        let running = Running { cpu: record.cpu, comm };
        let holds = |id| self.conditions.get(&id).is_none_or(|matcher| matcher.matches::<E>(record.bytes, &running));
        self.keys.key::<E>(record, holds)
    }
}

impl Pairing {
    /// Binds the pair to the events that may occur.
    ///
    /// # Errors
    /// One of its events is not among them, lacks a field, or does not suit the condition.
    pub fn of(pair: &Pair, events: &[EventFormat]) -> Result<Pairing, PairError> {
        let among =
            |moment: &Moment| formats(moment, events).map_err(|_| PairError::Untraced(moment.event().to_owned()));
        let (begin, end) = (among(&pair.begin)?, among(&pair.end)?);
        let key = pair.key.clone().unwrap_or_else(|| default_key(&begin, &end));
        Ok(Pairing {
            begin: Events::of(&pair.begin, &begin, &key.0)?,
            end: Events::of(&pair.end, &end, &key.1)?,
            open: Open::default(),
        })
    }

    /// Processes an event; `comm` is the name of the running task. Returns the latency, ns of the trace clock, if
    /// this ends a pair.
    pub fn take<E: ByteOrder>(&mut self, record: &Record<'_>, comm: &[u8]) -> Option<u64> {
        // An event that is both begin and end first ends what the one before began.
        let began = self.end.key::<E>(record, comm).and_then(|key| self.open.end(&key));
        if let Some(key) = self.begin.key::<E>(record, comm) {
            self.open.begin(key, record.time);
        }
        began.map(|began| record.time.saturating_sub(began))
    }
}

/// The formats of the events that a moment matches.
fn formats<'a>(moment: &Moment, events: &'a [EventFormat]) -> Result<Vec<&'a EventFormat>, PairError> {
    let names: Vec<_> = events.iter().map(|f| EventName::new(f.system.as_str(), f.name.as_str())).collect();
    let chosen = Selection::parse(&[moment.event()])?.resolve_among(&names, Among::Capture)?;
    Ok(events.iter().zip(&names).filter(|(_, name)| chosen.events.contains(name)).map(|(format, _)| format).collect())
}

/// The plan of an event's own or common field.
fn field(format: &EventFormat, name: &str) -> Option<FieldPlan> {
    if let Some(common) = format.common.iter().find(|field| field.name == name) {
        return Some(FieldPlan::common(common));
    }
    let index = format.fields.iter().position(|field| field.name == name)?;
    Plan::compile(format).fields().get(index).copied()
}

/// The default key: the first of [`KEYS`] that both events have, otherwise the running thread.
fn default_key(begin: &[&EventFormat], end: &[&EventFormat]) -> (Fields, Fields) {
    let names = |fields: &[&str]| fields.iter().map(|&field| field.to_owned()).collect::<Fields>();
    // A task is woken by one event and begins to run with another.
    let switched_to = |format: &&EventFormat| format.name == "sched_switch";
    if end.iter().all(switched_to) && begin.iter().all(|format| format.field("pid").is_some()) {
        return (names(&["pid"]), names(&["next_pid"]));
    }
    let both = |fields: &&&[&str]| {
        begin.iter().chain(end).all(|format| fields.iter().all(|field| format.field(field).is_some()))
    };
    let key = names(KEYS.iter().find(both).unwrap_or(&&["common_pid"][..]));
    (key.clone(), key)
}

impl Latency {
    /// Pairs the events of `capture` within `select`.
    pub fn of(mut capture: Capture, pair: &Pair, select: &Select) -> Result<Latency, PairError> {
        let key = match &pair.key {
            Some(key) => key.clone(),
            None => default_key(&formats(&pair.begin, &capture.events)?, &formats(&pair.end, &capture.events)?),
        };
        let begin = Side::bind(&pair.begin, &key.0, select, &mut capture)?;
        let end = Side::bind(&pair.end, &key.1, select, &mut capture)?;
        let endian = capture.endian;
        let mut merge = capture.merge();
        let mut pairing = Lengths::new();
        // The loop is never left early: a record past the window can end what began within it.
        let _: ControlFlow<()> = match endian {
            Endian::Little => {
                merge.for_each::<LittleEndian, ()>(|record| pairing.take::<LittleEndian>(&begin, &end, &record))
            }
            Endian::Big => merge.for_each::<BigEndian, ()>(|record| pairing.take::<BigEndian>(&begin, &end, &record)),
        };
        Ok(pairing.finish(pair, key))
    }

    /// The latencies as text for the user.
    pub fn text(&self) -> String {
        use std::fmt::Write;
        let mut text = String::new();
        let Latency { begin, end, key: (a, b), pairs, unended, unbegun, .. } = self;
        let (a, b) = (a.join("+"), b.join("+"));
        let by = if a == b { a } else { format!("{a} and {b}") };
        // Writing to a String cannot fail.
        let _ =
            writeln!(text, "{begin}..{end}, paired by {by}: {pairs} pairs, {unended} not ended, {unbegun} not begun");
        if *pairs == 0 {
            return text;
        }
        let _ = writeln!(
            text,
            "min {}  p50 {}  p90 {}  p99 {}  max {} (begun at {}.{:09})",
            time(self.min),
            time(self.p50),
            time(self.p90),
            time(self.p99),
            time(self.max),
            self.max_at / 1_000_000_000,
            self.max_at % 1_000_000_000
        );
        let most = self.histogram.iter().map(|bucket| bucket.count).max().unwrap_or(1).max(1);
        for Bucket { from, below, count } in &self.histogram {
            let bar = "#".repeat((count * 40).div_ceil(most) as usize);
            let _ = writeln!(text, "{:>9} – {:<9} {count:>9} {bar}", time(*from), time(*below));
        }
        text
    }
}

/// A duration with its unit, to three digits.
fn time(ns: u64) -> String {
    match ns {
        0..1000 => format!("{ns} ns"),
        1000..1_000_000 => format!("{:.3} µs", ns as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.3} ms", ns as f64 / 1e6),
        _ => format!("{:.3} s", ns as f64 / 1e9),
    }
}

struct Lengths {
    open: Open,
    lengths: Histogram<u64>,
    powers: [u64; 65],
    min: u64,
    max: u64,
    max_at: u64,
}

impl Lengths {
    fn new() -> Lengths {
        // Three digits are valid: this constructor fails only for more than five.
        let lengths = Histogram::new(3).unwrap_or_else(|_| unreachable!("three digits are within 0 to 5"));
        Lengths { open: Open::default(), lengths, powers: [0; 65], min: u64::MAX, max: 0, max_at: 0 }
    }

    fn take<E: ByteOrder>(&mut self, begin: &Side, end: &Side, record: &Record<'_>) -> ControlFlow<()> {
        // An event that is both begin and end first ends what the one before began.
        if let Some(began) = end.key::<E>(record).and_then(|key| self.open.end(&key)) {
            self.pair(began, record.time);
        }
        if let Some(key) = begin.key::<E>(record) {
            self.open.begin(key, record.time);
        }
        ControlFlow::Continue(())
    }

    fn pair(&mut self, began: u64, ended: u64) {
        let length = ended.saturating_sub(began);
        // A histogram that grows by itself accepts every number.
        let _ = self.lengths.record(length);
        self.powers[(u64::BITS - length.leading_zeros()) as usize] += 1;
        self.min = self.min.min(length);
        if length >= self.max {
            (self.max, self.max_at) = (length, began);
        }
    }

    fn finish(self, pair: &Pair, key: (Fields, Fields)) -> Latency {
        let pairs = self.lengths.len();
        let of = |quantile: f64| self.lengths.value_at_quantile(quantile).min(self.max);
        // Bucket `n` holds the latencies of `n` bits.
        let bounds = |bits: usize| (if bits == 0 { 0 } else { 1 << (bits - 1) }, 1u64.checked_shl(bits as u32));
        let histogram = self.powers.iter().enumerate().filter(|(_, count)| **count > 0).map(|(bits, &count)| {
            let (from, below) = bounds(bits);
            Bucket { from, below: below.unwrap_or(u64::MAX), count }
        });
        Latency {
            begin: pair.begin.to_string(),
            end: pair.end.to_string(),
            key,
            pairs,
            unended: self.open.unended + self.open.began.len() as u64,
            unbegun: self.open.unbegun,
            min: if pairs == 0 { 0 } else { self.min },
            p50: of(0.5),
            p90: of(0.9),
            p99: of(0.99),
            max: self.max,
            max_at: self.max_at,
            histogram: histogram.collect(),
        }
    }
}

#[cfg(test)]
mod tests;
