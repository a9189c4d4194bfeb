//! Lines for people at a terminal: few of them, and each to be read at a glance.
//!
//! The form of `listen` is exact and meant for pipes: at 30 000 lines a second nobody reads it. Here every kind of event has
//! its turn a few times a second; the time of day stands once, then seconds from there; addresses are in hex, and numbers
//! that the print format names have their name beside them: `vec=3 (TIMER)`.

use std::io::{self, Write};

use byteorder::ByteOrder;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use rosc::OscType;
use terminal_size::terminal_size;

use super::Event;
use crate::format::EventFormat;
use crate::names::Kernel;
use crate::osc::message::{Argument, Message};
use crate::osc::schema::BITS;
use crate::osc::stream::Messages;
use crate::osc::thin::Thinner;
use crate::osc::{EncodeError, MessageOptions, Types};
use crate::terminal::Escaped;

/// Lines a second where nobody asks for another rate.
pub const LINES_A_SECOND: u32 = 10;
/// Arguments before an event's own fields: time, dt, cpu, pid, comm.
const HEADER: usize = 5;
/// The longest message.
const LONGEST: usize = 1 << 17;

/// Lines for people.
pub struct Calm {
    /// With numbers, and with names for them.
    plain: Messages,
    named: Messages,
    thinner: Option<Thinner>,
    first_ns: Option<u64>,
    buffers: [Vec<u8>; 2],
}

impl Calm {
    /// At most `max_rate` lines a second; `None`: all.
    pub fn new(options: &MessageOptions, max_rate: Option<u32>) -> Calm {
        let options = MessageOptions { types: Types::Full, pointers: true, names: false, ..options.clone() };
        let named = MessageOptions { names: true, ..options.clone() };
        Calm {
            plain: Messages::new(options),
            named: Messages::new(named),
            thinner: max_rate.map(Thinner::new),
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
        self.thinner.as_ref().map_or(0, Thinner::thinned)
    }

    pub(super) fn event<E: ByteOrder>(
        &mut self,
        event: &Event<'_>,
        out: &mut impl Write,
    ) -> Result<io::Result<()>, EncodeError> {
        if let Some(thinner) = &mut self.thinner
            && !thinner.admit(event.id.index(), event.moment.play_ns)
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

/// ` name=value`; of an array, each element has its name.
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
