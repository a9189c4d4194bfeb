//! Lines for people at a terminal: few, and easy to read.
//!
//! The format of `listen` is exact and meant for pipes; nobody reads 30 000 lines a second. Here every kind of event
//! gets a line a few times a second; the time of day is printed once, followed by seconds from there; addresses are
//! in hex, and numbers with a name in the print format have it appended: `vec=3 (TIMER)`.

use std::io::{self, Write};
use std::ops::Div;

use byteorder::ByteOrder;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use rosc::OscType;
use terminal_size::terminal_size;

use super::Event;
use crate::escape::Escaped;
use crate::format::EventFormat;
use crate::names::Kernel;
use crate::osc::message::{Argument, Message};
use crate::osc::schema::{BITS, Schema};
use crate::osc::stream::Messages;
use crate::osc::{EncodeError, MessageOptions, Types};
use crate::sound::Signal;

/// The default for lines a second.
pub const LINES_A_SECOND: u32 = 5;
/// The arguments before an event's own fields: time, dt, cpu, pid, comm.
const HEADER: usize = 5;
/// The longest message.
const LONGEST: usize = 1 << 17;

/// Decides which events get a line: each kind gets as many as the others, and a rare one its first at once.
///
/// The rate cap of a stream works otherwise ([`thin`](crate::osc::thin)): it passes each kind in every window of 50
/// ms, which is more than anybody reads.
#[derive(Debug, Clone)]
pub struct Turns {
    max_rate: u32,
    /// When each event had its last line, by id; ns.
    last: Vec<Option<u64>>,
    kinds: u64,
    passed: u64,
}

impl Turns {
    /// Allows this many lines a second, or a few more.
    pub fn new(max_rate: u32) -> Turns {
        Turns { max_rate: max_rate.max(1), last: Vec::new(), kinds: 0, passed: 0 }
    }

    /// Whether an event gets a line; `now` is its time, ns.
    pub fn admit(&mut self, index: usize, now: u64) -> bool {
        if self.last.len() <= index {
            self.last.resize(index + 1, None);
        }
        let interval = self.kinds.saturating_mul(1_000_000_000) / u64::from(self.max_rate);
        match self.last.get_mut(index) {
            Some(Some(last)) if now < last.saturating_add(interval) => {
                self.passed += 1;
                return false;
            }
            Some(last) => self.kinds += u64::from(last.replace(now).is_none()),
            None => {}
        }
        true
    }

    /// How many events got no line.
    pub fn passed(&self) -> u64 {
        self.passed
    }
}

/// Prints lines for people.
pub struct Calm {
    /// Without and with names for numbers.
    plain: Messages,
    named: Messages,
    turns: Option<Turns>,
    /// For signals, which are not events.
    signals: Option<Turns>,
    /// For other messages computed from events, and the addresses of these.
    computed: Option<Turns>,
    addresses: Vec<String>,
    first_ns: Option<u64>,
    buffers: [Vec<u8>; 2],
}

impl Calm {
    /// At most `max_rate` lines a second; `None`: no limit.
    pub fn new(options: &MessageOptions, max_rate: Option<u32>) -> Calm {
        let options = MessageOptions { types: Types::Full, pointers: true, names: false, ..options.clone() };
        let named = MessageOptions { names: true, ..options.clone() };
        Calm {
            plain: Messages::new(options),
            named: Messages::new(named),
            turns: max_rate.map(Turns::new),
            signals: max_rate.map(Turns::new),
            computed: max_rate.map(Turns::new),
            addresses: vec![],
            first_ns: None,
            buffers: [vec![0; LONGEST], vec![0; LONGEST]],
        }
    }

    pub(super) fn add(&mut self, format: &EventFormat, kernel: &Kernel) {
        self.plain.add(format, kernel);
        self.named.add(format, kernel);
    }

    /// Events without a line so far.
    pub(super) fn not_shown(&self) -> u64 {
        self.turns.as_ref().map_or(0, Turns::passed)
    }

    /// Prints the signal of the event `number` at the end of a tick.
    pub(super) fn signal(
        &mut self,
        number: u16,
        end_ns: u64,
        schema: &Schema,
        signal: Signal,
        out: &mut impl Write,
    ) -> io::Result<()> {
        if self.signals.as_mut().is_some_and(|turns| !turns.admit(usize::from(number), end_ns)) {
            return Ok(());
        }
        let since = end_ns.saturating_sub(*self.first_ns.get_or_insert(end_ns));
        let (system, event) = (Escaped(&schema.system), Escaped(&schema.event));
        let Signal { rate, density, number } = signal;
        let (seconds, micros) = (since / 1_000_000_000, since / 1000 % 1_000_000);
        writeln!(
            out,
            "{seconds:>4}.{micros:06} {system}/{event} rate={rate:.2} density={density:.2} number={number:.2}"
        )
    }

    /// Prints a message computed from events, whose arguments have these names.
    pub(super) fn message(
        &mut self,
        message: &Message<'_>,
        names: &[&str],
        at_ns: u64,
        out: &mut impl Write,
    ) -> io::Result<()> {
        let address = String::from_utf8_lossy(message.address);
        let known = self.addresses.iter().position(|known| *known == address);
        let index = known.unwrap_or_else(|| {
            self.addresses.push(address.clone().into_owned());
            self.addresses.len() - 1
        });
        if self.computed.as_mut().is_some_and(|turns| !turns.admit(index, at_ns)) {
            return Ok(());
        }
        let since = at_ns.saturating_sub(*self.first_ns.get_or_insert(at_ns));
        let mut line =
            format!("{:>4}.{:06} {}", since / 1_000_000_000, since / 1000 % 1_000_000, Escaped(address.as_ref()));
        for (argument, name) in message.arguments.iter().zip(names) {
            let value = match argument {
                Argument::Text(text) => Escaped(text).to_string(),
                Argument::Value(OscType::Int(value)) => value.to_string(),
                // Six digits are enough for people.
                Argument::Value(OscType::Float(value)) => (f64::from(*value) * 1e3).round().div(1e3).to_string(),
                Argument::Value(_) | Argument::Array(_) => continue,
            };
            line.push_str(&format!(" {name}={value}"));
        }
        writeln!(out, "{line}")
    }

    pub(super) fn event<E: ByteOrder>(
        &mut self,
        event: &Event<'_>,
        out: &mut impl Write,
    ) -> Result<io::Result<()>, EncodeError> {
        if let Some(turns) = &mut self.turns
            && !turns.admit(event.id.index(), event.moment.play_ns)
        {
            return Ok(Ok(()));
        }
        let (Some(plain), Some(named)) = (self.plain.plan(event.id), self.named.plan(event.id)) else {
            return Ok(Ok(()));
        };
        let head = event.moment.head(Types::Full);
        let [numbers, names] = &mut self.buffers;
        let len = plain.encode::<E>(event.record.bytes, &head, numbers)?;
        let numbers = Message::read(numbers.get(..len).unwrap_or_default());
        let len = named.encode::<E>(event.record.bytes, &head, names)?;
        let names = Message::read(names.get(..len).unwrap_or_default());
        let Some(schema) = self.plain.schema(event.id) else { return Ok(Ok(())) };
        let first = self.first_ns.is_none();
        let since = event.moment.event_ns.saturating_sub(*self.first_ns.get_or_insert(event.moment.event_ns));
        let (moment, comm) = (&event.moment, Escaped(event.moment.comm.as_str()));
        let task = if moment.pid == 0 { "idle".to_owned() } else { format!("{comm}-{}", moment.pid) };
        let mut line = format!(
            "{:>4}.{:06} {}/{} cpu={} {task}",
            since / 1_000_000_000,
            since / 1000 % 1_000_000,
            Escaped(&schema.system),
            Escaped(&schema.event),
            moment.cpu,
        );
        let mut arguments = schema.arguments.iter().skip(HEADER);
        for (number, name) in numbers.arguments.iter().zip(&names.arguments).skip(HEADER) {
            push(&mut line, &mut arguments, number, name);
        }
        let width = terminal_size().map_or(80, |(width, _)| usize::from(width.0));
        if line.chars().count() >= width {
            line = line.chars().take(width.saturating_sub(2)).chain(['…']).collect();
        }
        let began = if first { format!("{}\n", time_of_day(moment.event_ns)) } else { String::new() };
        Ok(writeln!(out, "{began}{line}"))
    }
}

/// Appends ` name=value`; each element of an array has its name.
fn push<'s>(
    line: &mut String,
    schema: &mut impl Iterator<Item = &'s crate::osc::schema::Argument>,
    number: &Argument<'_>,
    name: &Argument<'_>,
) {
    if let (Argument::Array(numbers), Argument::Array(names)) = (number, name) {
        numbers.iter().zip(names).for_each(|(number, name)| push(line, schema, number, name));
        return;
    }
    let Some(argument) = schema.next() else { return };
    let bits = argument.note == Some(BITS) || argument.kernel_type.contains('*');
    let value = match number {
        Argument::Text(text) => Escaped(text).to_string(),
        Argument::Value(OscType::Int(value)) if bits => format!("{value:#x}"),
        Argument::Value(OscType::Long(value)) if bits => format!("{value:#x}"),
        Argument::Value(OscType::Int(value)) => value.to_string(),
        Argument::Value(OscType::Long(value)) => value.to_string(),
        Argument::Value(OscType::Float(value)) => value.to_string(),
        Argument::Value(OscType::Double(value)) => value.to_string(),
        Argument::Value(OscType::Blob(bytes)) => format!("{} bytes", bytes.len()),
        Argument::Value(_) | Argument::Array(_) => return,
    };
    line.push_str(&format!(" {}={value}", Escaped(&argument.name)));
    match (number, name) {
        (Argument::Value(_), Argument::Text(name)) if !name.is_empty() => {
            line.push_str(&format!(" ({})", Escaped(name)))
        }
        _ => {}
    }
}

/// `from 2026-11-30 14:10:10.324773 on:`
fn time_of_day(ns: u64) -> String {
    let time = Timestamp::from_nanosecond(i128::from(ns)).map(|time| time.to_zoned(TimeZone::system()));
    match time {
        Ok(time) => format!("from {} on, in seconds:", time.strftime("%F %T%.6f")),
        Err(_) => "in seconds from the first event on:".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_gets_lines_and_the_total_is_small() {
        let mut turns = Turns::new(5);
        let mut lines = [0; 8];
        // Ten seconds of seven kinds with 1000 events a second each, and one that occurs once.
        for ms in 0..10_000_u64 {
            for (kind, lines) in lines.iter_mut().enumerate().take(if ms == 7777 { 8 } else { 7 }) {
                *lines += u32::from(turns.admit(kind, ms * 1_000_000));
            }
        }
        assert_eq!(lines[7], 1);
        let (least, most) = (lines[..7].iter().min().unwrap(), lines[..7].iter().max().unwrap());
        assert!(most - least <= 2, "{lines:?}");
        assert!((45..60).contains(&lines.iter().sum::<u32>()), "{lines:?}");
        assert_eq!(turns.passed(), 70_001 - u64::from(lines.iter().sum::<u32>()));
    }
}
