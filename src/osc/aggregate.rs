//! Aggregates: how often each event occurred in a window of time, and mean, minimum and maximum of one of its fields.
//!
//! Above some thirty onsets a second the ear hears a texture, and numbers per window are more useful than events.
//! Each event sends its numbers in every window, even if they are zero.

use std::str::FromStr;
use std::time::Duration;

use byteorder::ByteOrder;
use rosc::{OscMessage, OscType};

use super::plan::AGGREGATE;
use crate::decode::{Element, FieldPlan, Plan, Read, Value};
use crate::duration::nanoseconds;
use crate::format::{EventFormat, EventId};

/// The shortest window: below it most windows contain no event.
pub const MIN_WINDOW: Duration = Duration::from_millis(1);
/// The longest window.
pub const MAX_WINDOW: Duration = Duration::from_secs(3600);
/// Windows in a row that are sent late after time has jumped; more are skipped.
const MAX_CATCH_UP: u64 = 100;

/// The arguments of an aggregate.
pub const NAMES: [&str; 5] = ["count", "rate", "mean", "min", "max"];

/// Parses a window, from [`MIN_WINDOW`] to [`MAX_WINDOW`]: `50ms`, `0.1s`, `2m`, or seconds without a unit.
pub fn window(text: &str) -> Option<Duration> {
    let window = Duration::from_nanos(nanoseconds(text, 1_000_000_000)?);
    (MIN_WINDOW..=MAX_WINDOW).contains(&window).then_some(window)
}

/// The field that is aggregated for an event: `irq:softirq_entry=vec`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AggregateField {
    /// The event's system, if given.
    pub system: Option<String>,
    /// The event's name.
    pub event: String,
    /// The field's name.
    pub field: String,
}

/// Why a field cannot be aggregated.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AggregateError {
    /// The text has another form.
    #[error("--aggregate-field {0:?}: write EVENT=FIELD, such as irq:softirq_entry=vec")]
    Form(String),
    /// No traced event has this name.
    #[error("--aggregate-field: {0} is not traced: select it with -e as well")]
    NoEvent(String),
    /// The event has no such numeric field.
    #[error("--aggregate-field: {event} has no numeric field {field:?}; it has {known}")]
    NoField {
        /// The event.
        event: String,
        /// The field asked for.
        field: String,
        /// The numeric fields of the event.
        known: String,
    },
}

impl FromStr for AggregateField {
    type Err = AggregateError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let form = || AggregateError::Form(text.to_owned());
        let (event, field) = text.split_once('=').ok_or_else(form)?;
        let (system, event) = match event.split_once(':') {
            Some((system, event)) => (Some(system.to_owned()), event),
            None => (None, event),
        };
        if event.is_empty() || field.is_empty() || system.as_deref() == Some("") {
            return Err(form());
        }
        Ok(AggregateField { system, event: event.to_owned(), field: field.to_owned() })
    }
}

impl AggregateField {
    fn is_of(&self, format: &EventFormat) -> bool {
        self.event == format.name && self.system.as_ref().is_none_or(|system| *system == format.system)
    }

    /// Checks that a traced event has the field.
    pub fn check<'f>(&self, mut formats: impl Iterator<Item = &'f EventFormat>) -> Result<(), AggregateError> {
        let name =
            self.system.iter().map(|system| format!("{system}:")).chain([self.event.clone()]).collect::<String>();
        let format = formats.find(|format| self.is_of(format)).ok_or(AggregateError::NoEvent(name))?;
        let known: Vec<_> = numbers(format).map(|(name, _)| name.to_owned()).collect();
        if known.contains(&self.field) {
            return Ok(());
        }
        let known = if known.is_empty() { "no numeric field".to_owned() } else { known.join(", ") };
        Err(AggregateError::NoField { event: format.full_name(), field: self.field.clone(), known })
    }
}

/// The numeric fields of an event.
fn numbers(format: &EventFormat) -> impl Iterator<Item = (&str, FieldPlan)> {
    let plan = Plan::compile(format);
    let numeric =
        |field: &&FieldPlan| matches!(field.read, Read::Scalar(Element::Integer { .. } | Element::Bool { .. }));
    let fields: Vec<_> = plan.fields().iter().filter(numeric).copied().collect();
    fields.into_iter().filter_map(|field| Some((format.fields.get(field.index)?.name.as_str(), field)))
}

/// What is aggregated and how.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct AggregateOptions {
    /// The length of a window.
    pub window: Duration,
    /// The fields to aggregate. An event that is not listed uses its first numeric field.
    pub fields: Vec<AggregateField>,
    /// Whether the events themselves are sent too.
    pub events_too: bool,
}

impl AggregateOptions {
    /// Windows of this length, of the first number of each event, instead of the events.
    pub fn new(window: Duration) -> AggregateOptions {
        AggregateOptions { window, fields: Vec::new(), events_too: false }
    }
}

#[derive(Debug)]
struct Tally {
    address: String,
    plan: Plan,
    field: Option<FieldPlan>,
    count: u64,
    numbers: u64,
    sum: f64,
    min: f64,
    max: f64,
}

/// Aggregates the events of one stream.
#[derive(Debug)]
pub struct Aggregator {
    options: AggregateOptions,
    prefix: String,
    by_id: Vec<Option<Box<Tally>>>,
    /// The end of the current window, ns since 1970; none before the first event or tick.
    end: Option<u64>,
    /// The latest time it was given.
    now: u64,
}

impl Aggregator {
    /// An empty aggregator. Addresses begin with `prefix`.
    pub fn new(options: AggregateOptions, prefix: &str) -> Aggregator {
        Aggregator { options, prefix: prefix.to_owned(), by_id: vec![], end: None, now: 0 }
    }

    /// Whether the events themselves are sent too.
    pub fn events_too(&self) -> bool {
        self.options.events_too
    }

    /// Checks that traced events have the fields.
    pub fn check(&self, formats: &[EventFormat]) -> Result<(), AggregateError> {
        self.options.fields.iter().try_for_each(|field| field.check(formats.iter()))
    }

    /// The end of the current window, ns since 1970.
    pub fn due(&self) -> Option<u64> {
        self.end
    }

    /// Adds an event, whose own messages go to `address`.
    pub fn add(&mut self, format: &EventFormat, address: &str) {
        let index = format.id.index();
        if self.by_id.len() <= index {
            self.by_id.resize_with(index + 1, || None);
        }
        let named = self.options.fields.iter().find(|field| field.is_of(format));
        // A system call's number is already in its address.
        let wanted = |name: &str| named.map_or(name != "__syscall_nr", |named| named.field == name);
        let field = numbers(format).find(|(name, _)| wanted(name)).map(|(_, field)| field);
        let own = address.strip_prefix(&self.prefix).unwrap_or(address);
        let address = format!("{}/{AGGREGATE}{own}", self.prefix);
        let plan = Plan::compile(format);
        let (sum, min, max) = (0.0, 0.0, 0.0);
        self.by_id[index] = Some(Box::new(Tally { address, plan, field, count: 0, numbers: 0, sum, min, max }));
    }

    /// Counts an event.
    pub fn event<E: ByteOrder>(&mut self, id: EventId, record: &[u8]) {
        let Some(Some(tally)) = self.by_id.get_mut(id.index()) else { return };
        tally.count += 1;
        let value = tally.field.and_then(|field| tally.plan.value::<E>(&field, record).ok());
        let number = match value {
            Some(Value::Signed(v)) => v as f64,
            Some(Value::Unsigned(v)) => v as f64,
            Some(Value::Bool(v)) => f64::from(u8::from(v)),
            _ => return,
        };
        (tally.min, tally.max) = match tally.numbers {
            0 => (number, number),
            _ => (tally.min.min(number), tally.max.max(number)),
        };
        tally.numbers += 1;
        tally.sum += number;
    }

    /// Passes the messages of all windows that ended by `now` (ns since 1970) to `send`.
    pub fn tick(&mut self, now: u64, mut send: impl FnMut(OscMessage)) {
        let window = self.options.window.as_nanos() as u64;
        self.now = self.now.max(now);
        let mut end = *self.end.get_or_insert(now.saturating_add(window));
        for _ in 0..MAX_CATCH_UP {
            if now < end {
                break;
            }
            self.close_after(self.options.window.as_secs_f64(), &mut send);
            end = end.saturating_add(window);
        }
        if now >= end {
            // The clock was set, or the machine was suspended.
            end = now.saturating_add(window);
        }
        self.end = Some(end);
    }

    /// Sends the messages of the last window, which is over before its end; rates are those of the time it had. Returns
    /// when that was, ns since 1970.
    pub fn close(&mut self, send: &mut impl FnMut(OscMessage)) -> u64 {
        if let Some(end) = self.end.take() {
            let window = self.options.window;
            let had = window.saturating_sub(Duration::from_nanos(end.saturating_sub(self.now)));
            // A single moment has no rate: that of the window is the best there is.
            self.close_after(if had.is_zero() { window } else { had }.as_secs_f64(), send);
        }
        self.now
    }

    /// Sends the messages of the current window, which lasted `seconds`.
    fn close_after(&mut self, seconds: f64, send: &mut impl FnMut(OscMessage)) {
        for tally in self.by_id.iter_mut().flatten() {
            let mean = if tally.numbers == 0 { 0.0 } else { tally.sum / tally.numbers as f64 };
            let floats = [tally.count as f64 / seconds, mean, tally.min, tally.max];
            let mut args = vec![OscType::Int(i32::try_from(tally.count).unwrap_or(i32::MAX))];
            args.extend(floats.map(|number| OscType::Float(number as f32)));
            send(OscMessage { addr: tally.address.clone(), args });
            (tally.count, tally.numbers, tally.sum, tally.min, tally.max) = (0, 0, 0.0, 0.0, 0.0);
        }
    }
}

#[cfg(test)]
mod tests {
    use byteorder::LittleEndian;

    use super::*;
    use crate::format::LongSize;

    fn format(id: u16, name: &str) -> EventFormat {
        let text = format!(
            "name: {name}\nID: {id}\nformat:\n\tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;\n\n\
             \tfield:const void * ptr;\toffset:8;\tsize:8;\tsigned:0;\n\
             \tfield:int vec;\toffset:16;\tsize:4;\tsigned:1;\n\
             \tfield:int other;\toffset:20;\tsize:4;\tsigned:1;\n\nprint fmt: \"\"\n"
        );
        EventFormat::parse("irq", &text, LongSize::Eight).unwrap()
    }

    fn record(vec: i32, other: i32) -> Vec<u8> {
        [&[0; 16][..], &vec.to_le_bytes(), &other.to_le_bytes()].concat()
    }

    fn aggregator(fields: &[&str]) -> Aggregator {
        let fields = fields.iter().map(|field| field.parse().unwrap()).collect();
        let options = AggregateOptions { window: Duration::from_millis(50), fields, events_too: false };
        let mut aggregator = Aggregator::new(options, "/ftrace");
        aggregator.add(&format(3, "entry"), "/ftrace/irq/entry");
        aggregator.add(&format(4, "exit"), "/ftrace/irq/exit");
        aggregator
    }

    fn ticked(aggregator: &mut Aggregator, now_ms: u64) -> Vec<(String, Vec<OscType>)> {
        let mut messages = vec![];
        aggregator.tick(now_ms * 1_000_000, |message| messages.push((message.addr, message.args)));
        messages
    }

    fn message(event: &str, count: i32, floats: [f32; 4]) -> (String, Vec<OscType>) {
        let floats = floats.map(OscType::Float);
        (format!("/ftrace/agg/irq/{event}"), [OscType::Int(count)].into_iter().chain(floats).collect())
    }

    #[test]
    fn each_window_sends_count_rate_mean_min_and_max_and_zeros_when_idle() {
        let mut aggregator = aggregator(&[]);
        assert_eq!(ticked(&mut aggregator, 1000), []);
        for vec in [3, -1, 7, 3] {
            aggregator.event::<LittleEndian>(EventId(3), &record(vec, 100));
        }
        assert_eq!(ticked(&mut aggregator, 1049), []);
        let zeros = [0.0; 4];
        let entry = message("entry", 4, [80.0, 3.0, -1.0, 7.0]);
        assert_eq!(ticked(&mut aggregator, 1050), [entry, message("exit", 0, zeros)]);
        assert_eq!(ticked(&mut aggregator, 1100), [message("entry", 0, zeros), message("exit", 0, zeros)]);
        // Two windows late: the messages of two windows.
        assert_eq!(ticked(&mut aggregator, 1210).len(), 4);
    }

    #[test]
    fn the_last_window_is_sent_with_the_rate_of_the_time_it_had() {
        let mut aggregator = aggregator(&[]);
        ticked(&mut aggregator, 1000);
        aggregator.event::<LittleEndian>(EventId(3), &record(5, 0));
        aggregator.event::<LittleEndian>(EventId(3), &record(7, 0));
        assert_eq!(ticked(&mut aggregator, 1020), []);
        let closed = |aggregator: &mut Aggregator| {
            let mut messages = vec![];
            let at = aggregator.close(&mut |message| messages.push((message.addr, message.args)));
            (at, messages)
        };
        let last = vec![message("entry", 2, [100.0, 6.0, 5.0, 7.0]), message("exit", 0, [0.0; 4])];
        assert_eq!(closed(&mut aggregator), (1_020_000_000, last));
        assert_eq!(closed(&mut aggregator).1, []);
    }

    #[test]
    fn the_field_can_be_named() {
        let mut aggregator = aggregator(&["irq:entry=other"]);
        ticked(&mut aggregator, 0);
        aggregator.event::<LittleEndian>(EventId(3), &record(1, 9));
        aggregator.event::<LittleEndian>(EventId(4), &record(1, 9));
        let messages = ticked(&mut aggregator, 50);
        assert_eq!(messages, [message("entry", 1, [20.0, 9.0, 9.0, 9.0]), message("exit", 1, [20.0, 1.0, 1.0, 1.0])]);
    }

    #[test]
    fn an_unknown_field_is_refused_with_the_list_of_fields() {
        let formats = [format(3, "entry")];
        let check =
            |text: &str| text.parse::<AggregateField>()?.check(formats.iter()).map_err(|e| e.to_string().into());
        let error =
            |text: &str| -> String { Result::<(), Box<dyn std::error::Error>>::unwrap_err(check(text)).to_string() };
        assert!(check("irq:entry=vec").is_ok());
        assert!(error("entry=ptr").ends_with("irq:entry has no numeric field \"ptr\"; it has vec, other"));
        assert!(error("sched:entry=vec").contains("sched:entry is not traced"));
        assert!(error("entry").contains("write EVENT=FIELD"));
    }

    #[test]
    fn a_jump_of_the_clock_does_not_cause_a_flood() {
        let mut aggregator = aggregator(&[]);
        ticked(&mut aggregator, 0);
        assert_eq!(ticked(&mut aggregator, 86_400_000).len(), 2 * MAX_CATCH_UP as usize);
        assert_eq!(ticked(&mut aggregator, 86_400_049), []);
    }
}
