//! Event → message: the address, type tags and argument operations of one event, compiled once.
//!
//! A signature is fixed by the event's format and the options, never by a value. The hot path is [`MessagePlan::encode`]:
//! it copies a prebuilt prefix (address and type tags), then runs a flat list of operations, each of which reads one value
//! from the record and appends one argument. Nothing is allocated and nothing is formatted there.

use std::cell::RefCell;

use byteorder::ByteOrder;

use super::comms::Comm;
use super::schema::{Argument, Omitted, Schema};
use super::text;
use super::types::Types;
use super::write::{Full, Writer};
use crate::decode::{DecodeError, Element, FieldPlan, Plan, Read, Value, located, until_nul, zero_bytes};
use crate::format::{Abi, EventFormat, Field};
use crate::names::{Constants, NoNames};
use crate::render::{FieldText, Meaning, TextPlan};

/// The version of addresses and signatures, sent in `/ftrace/start`. It changes when one of them does.
pub const SCHEMA_VERSION: i32 = 1;

/// What stands between the prefix and the system in the address of an aggregate.
pub const AGGREGATE: &str = "agg";

/// The longest fixed array that is sent number by number.
const MAX_FLAT: u32 = 8;

/// Which strings are sent; the others are empty, in their place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Strings {
    /// All.
    #[default]
    All,
    /// Task names only.
    Comm,
    /// None.
    None,
}

/// What decides the form of every message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessageOptions {
    /// The level of type tags.
    pub types: Types,
    /// What every address begins with: `/ftrace`.
    pub prefix: String,
    /// Send pointers where the level leaves them out.
    pub pointers: bool,
    /// Which strings are sent.
    pub strings: Strings,
    /// The longest string, bytes.
    pub string_limit: usize,
    /// Send enums and flags as the kernel's own words.
    pub names: bool,
    /// Arrays stand in brackets at the level [`Types::Full`]; else they are flattened there too.
    pub brackets: bool,
}

impl Default for MessageOptions {
    fn default() -> Self {
        let prefix = "/ftrace".to_owned();
        let (pointers, strings, string_limit) = (false, Strings::All, 64);
        MessageOptions { types: Types::Double, prefix, pointers, strings, string_limit, names: false, brackets: true }
    }
}

/// How one number goes over the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wire {
    /// `i`; what does not fit saturates.
    Int,
    /// `h`; what does not fit saturates.
    Long,
    /// `f`.
    Float,
    /// `d`.
    Double,
}

impl Wire {
    const fn tag(self) -> char {
        match self {
            Wire::Int => 'i',
            Wire::Long => 'h',
            Wire::Float => 'f',
            Wire::Double => 'd',
        }
    }
}

/// Appends one argument. Offsets are bytes in the record. The common pairs of stored form and wire form have an operation
/// of their own, so that the loop takes one branch for each argument; the rest goes through a [`Value`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Op {
    /// 4 bytes as they are → `i`.
    Word(u32),
    /// 8 bytes as they are → `h`.
    LongWord(u32),
    /// The low half of 8 bytes → `i`.
    LowWord(u32),
    /// u8 → `i`.
    Byte(u32),
    /// u16 → `i`.
    Half(u32),
    /// u32 → `h`.
    UnsignedToLong(u32),
    /// u32 → `d`.
    UnsignedToDouble(u32),
    /// i64 → `d`.
    SignedLongToDouble(u32),
    /// u64 → `d`.
    UnsignedLongToDouble(u32),
    /// u64 → `h`, saturating.
    UnsignedLong(u32),
    /// Any number.
    Number(u32, Element, Wire),
    /// A pointer → `s`, hexadecimal.
    Hexadecimal(u32, Element),
    /// `char[16]` → `s`: a task name, mostly.
    Text16(u32),
    /// Any text → `s`: the field's number.
    Text(u16),
    /// A number or bytes as the kernel's own words → `s`: the number of the text.
    Words(u16),
    /// `""`.
    NoText,
    /// The n-th of several texts → `s`.
    TextOf(u32),
    /// Bytes or numbers → `b`, numbers in network order: the field's number.
    Blob(u16),
    /// The number of elements → `i`: the field's number.
    Count(u16),
}

/// Why a record makes no message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// It does not fit into what is left of the datagram.
    #[error("no room left in the datagram")]
    Full,
    /// The record is not what its format says.
    #[error(transparent)]
    Malformed(#[from] DecodeError),
}

impl From<Full> for EncodeError {
    fn from(_: Full) -> Self {
        EncodeError::Full
    }
}

/// What stands before an event's own fields.
#[derive(Debug, Clone, Copy)]
pub struct Head {
    /// The event's wall-clock time: a timetag, or with [`Types::Portable`] seconds and microseconds as two `i`.
    pub time: u64,
    /// Milliseconds since the event's last occurrence on any CPU.
    pub dt: f32,
    /// The CPU.
    pub cpu: u32,
    /// The running thread.
    pub pid: i32,
    /// Its name.
    pub comm: Comm,
}

/// Chunk in which the prefix is copied: see [`Writer::put_part`].
const CHUNK: usize = 32;

/// How the records of one event become messages.
#[derive(Debug, Clone)]
pub struct MessagePlan {
    decode: Plan,
    /// Address and type tags as OSC strings, in whole chunks; the last is zero-filled.
    prefix: Box<[[u8; CHUNK]]>,
    /// Bytes of the prefix in its last chunk.
    last_chunk: usize,
    ops: Box<[Op]>,
    /// Makes the words of [`Op::Words`].
    texts: Option<Box<TextPlan>>,
    send_comm: bool,
    string_limit: usize,
}

impl MessagePlan {
    /// Works out the message of `format`'s records, and describes it.
    ///
    /// `constants` names the values of enums, for [`MessageOptions::names`].
    pub fn compile(
        format: &EventFormat,
        options: &MessageOptions,
        abi: Abi,
        constants: &dyn Constants,
    ) -> (MessagePlan, Schema) {
        let decode = Plan::compile(format);
        // What a field is beyond its C type, only the print format says.
        let wanted = |meaning: Meaning| meaning.is_text() || options.names && meaning.is_name();
        let texts = TextPlan::compile_fields(format, abi.long, abi.endian, constants, &wanted);
        let mut signature = Signature::new(options);
        for field in decode.fields() {
            let words = |text: &FieldText| text.field == field.index;
            match texts.fields().iter().position(words) {
                Some(text) => signature.text(
                    &format.fields[field.index].name,
                    &format.fields[field.index],
                    Op::Words(text as u16),
                ),
                None => signature.field(field, &format.fields[field.index]),
            }
        }
        let Signature { tags, arguments, omitted, ops, .. } = signature;
        let address = address(&options.prefix, &format.system, &format.name);
        let mut prefix = Vec::new();
        text::push(&mut prefix, &address);
        text::push(&mut prefix, &format!(",{tags}"));
        let last_chunk = (prefix.len() - 1) % CHUNK + 1;
        prefix.resize(prefix.len().next_multiple_of(CHUNK), 0);
        let plan = MessagePlan {
            texts: ops.iter().any(|op| matches!(op, Op::Words(_))).then(|| Box::new(texts)),
            decode,
            prefix: prefix.as_chunks().0.into(),
            last_chunk,
            ops: ops.into(),
            send_comm: options.strings != Strings::None,
            string_limit: options.string_limit,
        };
        let (system, event) = (format.system.clone(), format.name.clone());
        (plan, Schema { address, tags, arguments, omitted, system, event })
    }

    /// The plan that reads the record's fields.
    pub fn decode(&self) -> &Plan {
        &self.decode
    }

    /// Appends the message of `record`. After an error the writer's bytes behind its first position are of no use.
    #[inline]
    pub fn encode<E: ByteOrder>(&self, record: &[u8], head: &Head, out: &mut Writer<'_>) -> Result<(), EncodeError> {
        self.decode.fits(record)?;
        if let Some((last, chunks)) = self.prefix.split_last() {
            for chunk in chunks {
                out.put(*chunk)?;
            }
            out.put_part(*last, self.last_chunk)?;
        }
        let mut fixed = [0; 20];
        fixed[..8].copy_from_slice(&head.time.to_be_bytes());
        fixed[8..12].copy_from_slice(&head.dt.to_be_bytes());
        fixed[12..16].copy_from_slice(&head.cpu.to_be_bytes());
        fixed[16..].copy_from_slice(&head.pid.to_be_bytes());
        out.put(fixed)?;
        let comm = if self.send_comm { &head.comm } else { &Comm::EMPTY };
        out.put_part(*comm.bytes(), comm.padded())?;
        for op in &self.ops {
            self.append::<E>(op, record, out)?;
        }
        Ok(())
    }

    #[inline(always)]
    fn append<E: ByteOrder>(&self, op: &Op, record: &[u8], out: &mut Writer<'_>) -> Result<(), EncodeError> {
        match *op {
            Op::Word(at) => out.put(u32_at::<E>(record, at)?.to_be_bytes())?,
            Op::LongWord(at) => out.put(u64_at::<E>(record, at)?.to_be_bytes())?,
            Op::LowWord(at) => out.put((u64_at::<E>(record, at)? as u32).to_be_bytes())?,
            Op::Byte(at) => out.put(u32::from(chunk::<1>(record, at)?[0]).to_be_bytes())?,
            Op::Half(at) => out.put(u32::from(E::read_u16(&chunk::<2>(record, at)?)).to_be_bytes())?,
            Op::UnsignedToLong(at) => out.put(u64::from(u32_at::<E>(record, at)?).to_be_bytes())?,
            Op::UnsignedToDouble(at) => out.put(f64::from(u32_at::<E>(record, at)?).to_be_bytes())?,
            Op::SignedLongToDouble(at) => out.put((u64_at::<E>(record, at)? as i64 as f64).to_be_bytes())?,
            Op::UnsignedLongToDouble(at) => out.put((u64_at::<E>(record, at)? as f64).to_be_bytes())?,
            Op::UnsignedLong(at) => out.put(u64_at::<E>(record, at)?.min(i64::MAX as u64).to_be_bytes())?,
            Op::Text16(at) => put_text16(&chunk::<16>(record, at)?, self.string_limit, out)?,
            ref other => self.append_other::<E>(other, record, out)?,
        }
        Ok(())
    }

    /// The operations that are not worth a place in the hot loop.
    fn append_other<E: ByteOrder>(&self, op: &Op, record: &[u8], out: &mut Writer<'_>) -> Result<(), EncodeError> {
        let value = |field: &FieldPlan| self.decode.value::<E>(field, record);
        let numbered = |number: u16| self.decode.fields().get(usize::from(number)).map(value).transpose();
        let scalar = |at: u32, element| FieldPlan::new(0, at as usize, Read::Scalar(element));
        match *op {
            Op::Number(at, element, wire) => put_number(&value(&scalar(at, element))?, wire, out)?,
            Op::Hexadecimal(at, element) => {
                if let Value::Pointer(address) = value(&scalar(at, element))? {
                    put_hexadecimal(address, out)?;
                }
            }
            Op::Text(number) => match numbered(number)? {
                Some(Value::Text(text)) => put_text(text, self.string_limit, out)?,
                _ => out.put_string(b"")?,
            },
            Op::TextOf(at) => put_text(until_nul(located::<E>(record, at as usize, 0)?), self.string_limit, out)?,
            Op::NoText => out.put([0; 4])?,
            Op::Words(number) => WORDS.with_borrow_mut(|words| {
                words.clear();
                if let Some(texts) = &self.texts
                    && let Some(text) = texts.fields().get(usize::from(number))
                {
                    texts.render_field(text, record, &NoNames, words);
                }
                put_text(until_nul(words), self.string_limit, out)
            })?,
            Op::Blob(number) => put_blob(numbered(number)?, out)?,
            Op::Count(number) => {
                let count = match numbered(number)? {
                    Some(Value::Bytes(bytes)) => bytes.len(),
                    Some(Value::Array(array)) => array.len(),
                    _ => 0,
                };
                out.put((count as u32).to_be_bytes())?;
            }
            _ => {}
        }
        Ok(())
    }
}

thread_local! {
    /// Where [`Op::Words`] makes its words; kept, so that it allocates once.
    static WORDS: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// `/ftrace/<system>/<event>`.
pub fn address(prefix: &str, system: &str, event: &str) -> String {
    format!("{prefix}/{}/{}", text::address_part(system), text::address_part(event))
}

/// A signature under construction.
struct Signature<'a> {
    options: &'a MessageOptions,
    tags: String,
    arguments: Vec<Argument>,
    omitted: Vec<Omitted>,
    ops: Vec<Op>,
}

impl<'a> Signature<'a> {
    /// The arguments every event's message begins with.
    fn new(options: &'a MessageOptions) -> Self {
        let mut signature =
            Signature { options, tags: String::new(), arguments: vec![], omitted: vec![], ops: Vec::new() };
        let time: &[_] = match options.types {
            Types::Portable => &[('i', "sec", "wall-clock seconds since 1970"), ('i', "usec", "microseconds")],
            Types::Full | Types::Double => &[('t', "time", "wall-clock time")],
        };
        let rest = [
            ('f', "dt", "ms since this event last occurred"),
            ('i', "cpu", "CPU number"),
            ('i', "pid", "running thread"),
            ('s', "comm", "its name"),
        ];
        for (tag, name, what) in time.iter().chain(&rest) {
            signature.argument(*tag, name, what);
        }
        signature
    }

    fn argument(&mut self, tag: char, name: &str, kernel_type: &str) {
        self.tags.push(tag);
        self.arguments.push(Argument { name: name.to_owned(), tag, kernel_type: kernel_type.to_owned() });
    }

    /// An argument that is one element of a field, or a whole one of one element.
    fn push(&mut self, tag: char, name: &str, field: &Field, op: Op) {
        self.argument(tag, name, &if name == field.name { field.type_name() } else { field.ctype.name.clone() });
        self.ops.push(op);
    }

    fn omit(&mut self, field: &Field, why: &'static str) {
        let kernel_type = field.type_name();
        self.omitted.push(Omitted { name: field.name.clone(), kernel_type, why });
    }

    fn field(&mut self, plan: &FieldPlan, field: &Field) {
        let name = &field.name;
        let (at, number) = (plan.offset as u32, plan.index as u16);
        match plan.read {
            Read::Scalar(element @ Element::Pointer { .. }) => self.pointer(name, field, at, element),
            Read::Scalar(element) => self.number(name, field, at, element),
            Read::Array(Element::Char, count) => {
                let op = if count == 16 { Op::Text16(at) } else { Op::Text(number) };
                self.text(name, field, op);
            }
            Read::DataLoc(Element::Char)
            | Read::RelLoc(Element::Char)
            | Read::DataLocShort(Element::Char)
            | Read::Tail(Element::Char) => self.text(name, field, Op::Text(number)),
            Read::DataLocTexts(count) => self.array(name, count, |s, name, index| {
                s.text(name, field, Op::TextOf(at.saturating_add(4 * index)));
            }),
            Read::Array(Element::Byte, _) if field.ctype.base == crate::format::Base::Opaque => {
                match self.options.types {
                    Types::Full => self.push('b', name, field, Op::Blob(number)),
                    Types::Double | Types::Portable => self.omit(field, "a structure by value"),
                }
            }
            Read::Array(Element::Pointer { .. }, _) if self.options.types != Types::Full && !self.options.pointers => {
                self.omit(field, "pointers");
            }
            Read::Array(element, count) if element != Element::Byte && count <= MAX_FLAT => {
                self.array(name, count, |s, name, index| {
                    // A place beyond any record is none, wherever an element of it would be.
                    let at = at.saturating_add(element.size() * index);
                    match element {
                        Element::Pointer { .. } => s.pointer(name, field, at, element),
                        _ => s.number(name, field, at, element),
                    }
                });
            }
            _ => match self.options.types {
                Types::Full | Types::Double => self.push('b', name, field, Op::Blob(number)),
                Types::Portable => self.push('i', name, field, Op::Count(number)),
            },
        }
    }

    /// `count` arguments named `name[0]` …, in brackets where the level and the receiver have them.
    fn array(&mut self, name: &str, count: u32, mut element: impl FnMut(&mut Self, &str, u32)) {
        let brackets = self.options.types == Types::Full && self.options.brackets;
        self.tags.extend(brackets.then_some('['));
        for index in 0..count {
            element(self, &format!("{name}[{index}]"), index);
        }
        self.tags.extend(brackets.then_some(']'));
    }

    fn text(&mut self, name: &str, field: &Field, op: Op) {
        let sent = match self.options.strings {
            Strings::All => true,
            Strings::Comm => field.name.ends_with("comm"),
            Strings::None => false,
        };
        self.push('s', name, field, if sent { op } else { Op::NoText });
    }

    fn pointer(&mut self, name: &str, field: &Field, at: u32, element: Element) {
        match (self.options.types, self.options.pointers) {
            (Types::Full, _) => {
                let op = if element.size() == 8 { Op::UnsignedLong(at) } else { Op::UnsignedToLong(at) };
                self.push('h', name, field, op);
            }
            (Types::Double, true) => self.push('d', name, field, Op::Number(at, element, Wire::Double)),
            (Types::Portable, true) => self.push('s', name, field, Op::Hexadecimal(at, element)),
            (_, false) => self.omit(field, "a pointer"),
        }
    }

    fn number(&mut self, name: &str, field: &Field, at: u32, element: Element) {
        let types = self.options.types;
        let wire = match element {
            Element::Integer { bits: 0..=16, .. } | Element::Bool { .. } => Wire::Int,
            Element::Integer { bits: 17..=32, signed: true, .. } => Wire::Int,
            Element::Integer { bits: 17..=32, .. } => match types {
                Types::Full => Wire::Long,
                Types::Double => Wire::Double,
                Types::Portable => Wire::Int,
            },
            _ => match types {
                Types::Full => Wire::Long,
                Types::Double => Wire::Double,
                Types::Portable => Wire::Float,
            },
        };
        let op = match (element, wire) {
            (Element::Integer { size: 1, signed: false, .. }, Wire::Int) => Op::Byte(at),
            (Element::Integer { size: 2, bits: 16, signed: false }, Wire::Int) => Op::Half(at),
            (Element::Integer { size: 4, bits: 32, signed: true }, Wire::Int) => Op::Word(at),
            (Element::Integer { size: 8, bits: 32, signed: true }, Wire::Int) => Op::LowWord(at),
            (Element::Integer { size: 4, bits: 32, signed: false }, Wire::Long) => Op::UnsignedToLong(at),
            (Element::Integer { size: 4, bits: 32, signed: false }, Wire::Double) => Op::UnsignedToDouble(at),
            (Element::Integer { size: 8, bits: 64, signed: true }, Wire::Long) => Op::LongWord(at),
            (Element::Integer { size: 8, bits: 64, signed: true }, Wire::Double) => Op::SignedLongToDouble(at),
            (Element::Integer { size: 8, bits: 64, signed: false }, Wire::Long) => Op::UnsignedLong(at),
            (Element::Integer { size: 8, bits: 64, signed: false }, Wire::Double) => Op::UnsignedLongToDouble(at),
            _ => Op::Number(at, element, wire),
        };
        self.push(wire.tag(), name, field, op);
    }
}

/// `N` bytes of the record. The record's length was checked, so that the error is never met.
#[inline(always)]
fn chunk<const N: usize>(record: &[u8], at: u32) -> Result<[u8; N], DecodeError> {
    let at = at as usize;
    let found = record.get(at..).and_then(|rest| rest.first_chunk::<N>()).copied();
    found.ok_or_else(|| DecodeError::short(record, at.saturating_add(N)))
}

#[inline(always)]
fn u32_at<E: ByteOrder>(record: &[u8], at: u32) -> Result<u32, DecodeError> {
    Ok(E::read_u32(&chunk::<4>(record, at)?))
}

#[inline(always)]
fn u64_at<E: ByteOrder>(record: &[u8], at: u32) -> Result<u64, DecodeError> {
    Ok(E::read_u64(&chunk::<8>(record, at)?))
}

fn put_number(value: &Value<'_>, wire: Wire, out: &mut Writer<'_>) -> Result<(), Full> {
    let (signed, unsigned) = match *value {
        Value::Signed(v) => (v, None),
        Value::Unsigned(v) | Value::Pointer(v) => (v.min(i64::MAX as u64) as i64, Some(v)),
        Value::Bool(v) => (i64::from(v), None),
        _ => (0, None),
    };
    let double = unsigned.map_or(signed as f64, |v| v as f64);
    // Not by way of f64: rounding twice would differ in the last bit.
    let float = unsigned.map_or(signed as f32, |v| v as f32);
    match wire {
        Wire::Int => out.put((signed.clamp(i32::MIN.into(), i32::MAX.into()) as i32).to_be_bytes()),
        Wire::Long => out.put(signed.to_be_bytes()),
        Wire::Float => out.put(float.to_be_bytes()),
        Wire::Double => out.put(double.to_be_bytes()),
    }
}

/// `0x` and the digits of an address.
fn put_hexadecimal(address: u64, out: &mut Writer<'_>) -> Result<(), Full> {
    let mut digits = *b"0x0000000000000000";
    for (index, digit) in digits[2..].iter_mut().enumerate() {
        *digit = b"0123456789abcdef"[(address >> (60 - 4 * index)) as usize & 15];
    }
    out.put_string(&digits)
}

/// Text of 16 bytes at most, as a task name is stored. ASCII, which it mostly is, needs no look at single bytes.
#[inline(always)]
fn put_text16(bytes: &[u8; 16], limit: usize, out: &mut Writer<'_>) -> Result<(), Full> {
    const TOPS: u128 = u128::from_ne_bytes([0x80; 16]);
    let word = u128::from_le_bytes(*bytes);
    let zeros = zero_bytes(word);
    if zeros == 0 || limit < 16 {
        return put_text(until_nul(bytes), limit, out);
    }
    let len = zeros.trailing_zeros() as usize / 8;
    let text = word & ((1u128 << (8 * len)) - 1);
    if text & TOPS != 0 {
        return put_text(until_nul(bytes), limit, out);
    }
    out.put_part(text.to_le_bytes(), text::padded(len))
}

/// Any text, repaired where it is not ASCII and cut at the limit.
#[inline]
fn put_text(text: &[u8], limit: usize, out: &mut Writer<'_>) -> Result<(), Full> {
    if text.len() <= limit && text.is_ascii() {
        return out.put_string(text);
    }
    put_repaired(text, limit, out)
}

#[cold]
fn put_repaired(bytes: &[u8], limit: usize, out: &mut Writer<'_>) -> Result<(), Full> {
    let start = out.written();
    text::repair(bytes, limit, |piece| out.put_slice(piece))?;
    out.pad(out.written() - start, true)
}

/// A blob: its length, its bytes (numbers in network order), padding.
fn put_blob(value: Option<Value<'_>>, out: &mut Writer<'_>) -> Result<(), Full> {
    match value {
        Some(Value::Bytes(bytes)) => {
            out.put((bytes.len() as u32).to_be_bytes())?;
            out.put_slice(bytes)?;
            out.pad(bytes.len(), false)
        }
        Some(Value::Array(array)) => {
            let size = array.element().size() as usize;
            out.put((array.bytes().len() as u32).to_be_bytes())?;
            for value in array.iter() {
                let raw = match value {
                    Value::Signed(v) => v as u64,
                    Value::Unsigned(v) | Value::Pointer(v) => v,
                    Value::Bool(v) => u64::from(v),
                    _ => 0,
                };
                out.put_slice(&raw.to_be_bytes()[8 - size..])?;
            }
            out.pad(array.bytes().len(), false)
        }
        _ => out.put([0; 4]),
    }
}
