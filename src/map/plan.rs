//! Compiles a message of a map for one event to flat operations: constant bytes, and values between them.

use byteorder::ByteOrder;

use super::expression::{Expression, HitValue, Source, Step};
use super::parse::{Argument, Constant, MessageRule, Trigger, is_text};
use super::values::{From, Number, OfHit, OfRecord};
use crate::decode::{Element, FieldPlan, Plan, Read};
use crate::format::EventFormat;
use crate::osc::osc_string::{address_part, push, repair};
use crate::osc::stream::Moment;
use crate::osc::{self, EncodeError, Full, Schema, Writer};
use crate::sound::{Form, Hit};

/// The longest text sent, bytes.
const TEXT: usize = 64;

/// Size of the copy for constant bytes, however many of them are used: the compiler knows its length.
const CHUNK: usize = 64;

/// An operation on a number; [`Step::Unit`] keeps the range it has seen.
#[derive(Debug, Clone, Copy)]
enum Motion {
    Unit(Unit),
    Lin {
        from: f64,
        factor: f64,
    },
    /// `scale` is 1 / LO: the logarithm of the ratio is exact to a float's last bits for any LO.
    Log {
        scale: f64,
        factor: f32,
    },
    Add(f64),
    Mul(f64),
}

/// The least and the greatest number so far, and 1 / their distance.
#[derive(Debug, Clone, Copy)]
struct Unit {
    least: f64,
    greatest: f64,
    factor: f64,
}

/// The type in which a number is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wire {
    Int,
    Long,
    Float,
    Double,
}

/// One operation.
#[derive(Debug, Clone)]
enum Op {
    /// Constant bytes (address, type tags, arguments); the second number says how many are used.
    Bytes([u8; CHUNK], u8),
    /// More constant bytes than fit above.
    Long(Box<[u8]>),
    /// The CPU, the running thread, the time since the last event: unchanged.
    Cpu,
    Pid,
    Dt,
    /// The three, and the thread's name behind them, as typed messages begin: one operation for four.
    Moment,
    Number(Number, Option<Motion>, Wire),
    /// A logarithm as a float: it is worked out in one.
    Log(Number, f64, f32),
    /// A number's place between the least and the greatest so far, as a float.
    Unit(Number, Unit),
    /// A number with several operations.
    Moved(Number, Box<[Motion]>, Wire),
    /// A field's text.
    Text(FieldPlan),
    Comm,
    /// One of several texts, each an OSC string.
    Pick(Number, Box<[Motion]>, Box<[Box<[u8]>]>),
}

/// A message made from an event.
#[derive(Debug, Clone)]
pub struct RecordPlan {
    ops: Box<[Op]>,
    fields: Plan,
}

/// A message made from a hit.
#[derive(Debug, Clone)]
pub struct HitPlan {
    ops: Box<[Op]>,
    forms: u8,
}

/// What a map makes of one event.
#[derive(Debug, Clone, Default)]
pub struct Mapping {
    /// The messages for each event.
    pub records: Vec<RecordPlan>,
    /// The messages for each of its hits.
    pub hits: Vec<HitPlan>,
    /// The messages' signatures, in the order of the map.
    pub schemas: Vec<Schema>,
}

impl Mapping {
    /// Compiles the messages for one event. What was not [checked](super::Map::check), such as a missing field, is
    /// left out.
    pub fn compile<'m>(messages: impl IntoIterator<Item = &'m MessageRule>, format: &EventFormat) -> Mapping {
        let mut mapping = Mapping::default();
        for message in messages {
            if !message.takes(format) || message.check_fields(format).is_err() {
                continue;
            }
            let (ops, schema) = compile(message, format);
            mapping.schemas.push(schema);
            match &message.trigger {
                Trigger::Event => mapping.records.push(RecordPlan { ops, fields: Plan::compile(format) }),
                Trigger::Hit(forms) => {
                    let forms = forms.iter().fold(0, |bits, form| bits | 1 << form.number());
                    mapping.hits.push(HitPlan { ops, forms });
                }
            }
        }
        mapping
    }
}

fn compile(message: &MessageRule, format: &EventFormat) -> (Box<[Op]>, Schema) {
    let part = |name: &str| address_part(name);
    let address = message.address.replace("{event}", &part(&format.name)).replace("{system}", &part(&format.system));
    let fields = Plan::compile(format);
    let field = |name: &str| {
        let index = format.fields.iter().position(|field| field.name == name)?;
        Some((index, *fields.fields().get(index)?))
    };
    let (mut tags, mut arguments, mut values) = (String::new(), Vec::new(), Vec::new());
    for argument in &message.arguments {
        let (tag, name, kind, op) = match argument {
            Argument::Constant(Constant::Int(number)) => {
                ('i', number.to_string(), "always", Op::Long(number.to_be_bytes().into()))
            }
            Argument::Constant(Constant::Float(number)) => {
                ('f', number.to_string(), "always", Op::Long(number.to_be_bytes().into()))
            }
            Argument::Constant(Constant::Text(text)) => ('s', text.clone(), "always", Op::Long(osc_string(text))),
            Argument::Expression(expression, _) => value(expression, format, &field),
        };
        tags.push(tag);
        values.push(op);
        arguments.push(osc::Argument { name, tag, kernel_type: kind.to_owned(), note: None });
    }
    let mut head = Vec::new();
    push(&mut head, &address);
    push(&mut head, &format!(",{tags}"));
    let mut ops = vec![Op::Long(head.into())];
    for op in values {
        match (ops.last_mut(), op) {
            // Adjacent constants are copied at once.
            (Some(Op::Long(bytes)), Op::Long(more)) => *bytes = [&**bytes, &*more].concat().into(),
            (_, op) => ops.push(op),
        }
    }
    let ops = fused(ops.into_iter().map(Op::short));
    let (system, event) = (format.system.clone(), format.name.clone());
    (ops.into(), Schema { address, tags, arguments, omitted: vec![], system, event })
}

impl Op {
    /// The same in the fast form, if there is one.
    fn short(self) -> Op {
        match self {
            Op::Long(bytes) if bytes.len() <= CHUNK => {
                let mut chunk = [0; CHUNK];
                chunk.iter_mut().zip(&*bytes).for_each(|(to, from)| *to = *from);
                Op::Bytes(chunk, bytes.len() as u8)
            }
            Op::Number(Number::Cpu, None, Wire::Int) => Op::Cpu,
            Op::Number(Number::Pid, None, Wire::Int) => Op::Pid,
            Op::Number(Number::Dt, None, Wire::Float) => Op::Dt,
            Op::Number(number, Some(Motion::Unit(unit)), Wire::Float) => Op::Unit(number, unit),
            Op::Number(number, Some(Motion::Log { scale, factor }), Wire::Float) => Op::Log(number, scale, factor),
            op => op,
        }
    }
}

/// The same operations, with one for those that often stand together.
fn fused(ops: impl Iterator<Item = Op>) -> Vec<Op> {
    let mut fused = Vec::new();
    for op in ops {
        fused.push(op);
        if let [.., Op::Dt, Op::Cpu, Op::Pid, Op::Comm] = fused[..] {
            fused.truncate(fused.len() - 4);
            fused.push(Op::Moment);
        }
    }
    fused
}

fn osc_string(text: &str) -> Box<[u8]> {
    let mut bytes = Vec::new();
    push(&mut bytes, text);
    bytes.into()
}

/// Compiles an expression for an event: its type tag, its name and kind for the schema, and the operation.
fn value(
    expression: &Expression,
    format: &EventFormat,
    field: &dyn Fn(&str) -> Option<(usize, FieldPlan)>,
) -> (char, String, &'static str, Op) {
    let zero = Number::Cpu;
    let (number, name, kind, int) = match &expression.source {
        Source::Field(name) => match field(name) {
            Some((index, plan)) if is_text(format, index) => return ('s', name.clone(), "field", Op::Text(plan)),
            Some((_, plan)) => {
                let narrow = match plan.read {
                    Read::Scalar(Element::Integer { bits, signed, .. }) => bits < 32 || bits == 32 && signed,
                    Read::Scalar(Element::Bool { .. }) => true,
                    _ => false,
                };
                (Number::of(&plan), name.clone(), "field", narrow)
            }
            // This was checked before.
            None => (zero, name.clone(), "field", true),
        },
        Source::Hit(value) => {
            let int = matches!(value, HitValue::Form | HitValue::Timbre);
            (Number::Hit(*value), format!("hit.{}", value.name()), "of the hit", int)
        }
        Source::Cpu => (Number::Cpu, "cpu".to_owned(), "of the event", true),
        Source::Pid => (Number::Pid, "pid".to_owned(), "of the event", true),
        Source::Dt => (Number::Dt, "dt".to_owned(), "of the event", false),
        Source::Latency(pair, index) => {
            (Number::Latency(*index), format!("latency({pair})"), "ms between events", false)
        }
        Source::Comm => return ('s', "comm".to_owned(), "of the event", Op::Comm),
        Source::Event => return ('s', format.name.clone(), "the event", Op::Long(osc_string(&format.name))),
        Source::System => return ('s', format.system.clone(), "its group", Op::Long(osc_string(&format.system))),
    };
    let motions: Box<[Motion]> = expression.steps.iter().map(|step| Motion::of(*step)).collect();
    if !expression.words.is_empty() {
        let words = expression.words.iter().map(|word| osc_string(word)).collect();
        return ('s', name, "a word selected by the number", Op::Pick(number, motions, words));
    }
    let (tag, wire) = match expression.tag {
        Some('d') => ('d', Wire::Double),
        Some('h') => ('h', Wire::Long),
        Some('i') => ('i', Wire::Int),
        Some('f') => ('f', Wire::Float),
        _ if int && motions.is_empty() => ('i', Wire::Int),
        _ => ('f', Wire::Float),
    };
    let op = match &*motions {
        [] => Op::Number(number, None, wire),
        [motion] => Op::Number(number, Some(*motion), wire),
        _ => Op::Moved(number, motions, wire),
    };
    (tag, name, kind, op)
}

impl Unit {
    #[inline]
    fn of(&mut self, number: f64) -> f64 {
        let Unit { least, greatest, .. } = *self;
        if number < least || number > greatest {
            let (least, greatest) = (least.min(number), greatest.max(number));
            let span = greatest - least;
            *self = Unit { least, greatest, factor: if span > 0.0 { 1.0 / span } else { 0.0 } };
        }
        ((number - self.least) * self.factor).min(1.0)
    }
}

impl Motion {
    fn of(step: Step) -> Motion {
        match step {
            Step::Unit => Motion::Unit(Unit { least: f64::INFINITY, greatest: f64::NEG_INFINITY, factor: 0.0 }),
            Step::Lin(lo, hi) => Motion::Lin { from: lo, factor: 1.0 / (hi - lo) },
            Step::Log(lo, hi) => Motion::Log { scale: 1.0 / lo, factor: (1.0 / (hi / lo).ln()) as f32 },
            Step::Add(number) => Motion::Add(number),
            Step::Mul(number) => Motion::Mul(number),
        }
    }

    #[inline]
    fn apply(&mut self, number: f64) -> f64 {
        match self {
            Motion::Unit(unit) => unit.of(number),
            Motion::Lin { from, factor } => ((number - *from) * *factor).clamp(0.0, 1.0),
            // Zero and negative numbers are below the range.
            Motion::Log { scale, factor } => f64::from(logarithm(number, *scale, *factor)),
            Motion::Add(more) => number + *more,
            Motion::Mul(factor) => number * *factor,
        }
    }
}

/// What has no logarithm is below all.
#[inline]
fn logarithm(number: f64, scale: f64, factor: f32) -> f32 {
    let ratio = (number.max(f64::MIN_POSITIVE) * scale) as f32;
    (ratio.max(f32::MIN_POSITIVE).ln() * factor).clamp(0.0, 1.0)
}

/// `as` saturates.
#[inline(always)]
fn put(out: &mut Writer<'_>, value: f64, wire: Wire) -> Result<(), Full> {
    match wire {
        Wire::Int => out.put((value as i32).to_be_bytes()),
        Wire::Long => out.put((value as i64).to_be_bytes()),
        Wire::Float => out.put((value as f32).to_be_bytes()),
        Wire::Double => out.put(value.to_be_bytes()),
    }
}

/// Executes the operations. Long: one arm for each of them.
#[inline(always)]
fn run<E: ByteOrder>(ops: &mut [Op], from: &impl From, room: &mut [u8]) -> Result<usize, EncodeError> {
    let mut out = Writer::new(room);
    for op in ops {
        match op {
            Op::Bytes(bytes, len) => {
                // Written in place: passed by value, it would be copied twice.
                out.window::<CHUNK>()?.copy_from_slice(bytes);
                out.skip(usize::from(*len))?;
            }
            Op::Long(bytes) => out.put_slice(bytes)?,
            Op::Cpu => out.put(from.cpu().min(i32::MAX as u32).to_be_bytes())?,
            Op::Pid => out.put(from.pid().to_be_bytes())?,
            Op::Dt => out.put(from.dt().to_be_bytes())?,
            Op::Moment => {
                let (bytes, padded) = (from.comm().bytes(), from.comm().padded());
                let window = out.window::<28>()?;
                window[..4].copy_from_slice(&from.dt().to_be_bytes());
                window[4..8].copy_from_slice(&from.cpu().min(i32::MAX as u32).to_be_bytes());
                window[8..12].copy_from_slice(&from.pid().to_be_bytes());
                window[12..].copy_from_slice(bytes);
                out.skip(12 + padded)?;
            }
            Op::Log(number, scale, factor) => {
                out.put(logarithm(from.number::<E>(number)?, *scale, *factor).to_be_bytes())?;
            }
            Op::Unit(number, unit) => {
                out.put((unit.of(from.number::<E>(number)?) as f32).to_be_bytes())?;
            }
            Op::Number(number, motion, wire) => {
                let value = from.number::<E>(number)?;
                let value = motion.as_mut().map_or(value, |motion| motion.apply(value));
                put(&mut out, value, *wire)?;
            }
            Op::Moved(number, motions, wire) => {
                let mut value = from.number::<E>(number)?;
                for motion in motions {
                    value = motion.apply(value);
                }
                put(&mut out, value, *wire)?;
            }
            Op::Text(field) => {
                let text = from.text::<E>(field)?;
                let mut len = 0;
                repair(text, TEXT, |piece| {
                    len += piece.len();
                    out.put_slice(piece)
                })?;
                out.pad(len, true)?;
            }
            Op::Comm => out.put_part(*from.comm().bytes(), from.comm().padded())?,
            Op::Pick(number, motions, words) => {
                let mut value = from.number::<E>(number)?;
                for motion in motions {
                    value = motion.apply(value);
                }
                // Past the last word the selection wraps around.
                let index = (value.max(0.0) as usize).checked_rem(words.len()).unwrap_or(0);
                out.put_slice(words.get(index).ok_or(Full)?)?;
            }
        }
    }
    Ok(out.written())
}

impl RecordPlan {
    /// Writes the message for `record` to the beginning of `room`; returns its length, bytes. `lengths` are the last
    /// latencies of the map's [pairs](super::Map::pairs), ms.
    ///
    /// # Errors
    /// If there is no room, or the record does not match its format.
    #[inline(never)]
    pub fn encode<E: ByteOrder>(
        &mut self,
        record: &[u8],
        (moment, lengths): (&Moment<'_>, &[f64]),
        room: &mut [u8],
    ) -> Result<usize, EncodeError> {
        self.fields.fits(record)?;
        run::<E>(&mut self.ops, &OfRecord(record, moment, lengths), room)
    }
}

impl HitPlan {
    /// Whether it is made from hits of this form.
    pub fn takes(&self, form: Form) -> bool {
        self.forms & 1 << form.number() != 0
    }

    /// Writes the message for a hit to the beginning of `room`; returns its length, bytes.
    ///
    /// # Errors
    /// If there is no room.
    pub fn encode(&mut self, hit: &Hit, room: &mut [u8]) -> Result<usize, EncodeError> {
        run::<byteorder::NativeEndian>(&mut self.ops, &OfHit(hit), room)
    }
}

#[cfg(test)]
mod tests;
