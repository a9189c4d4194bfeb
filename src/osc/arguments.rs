//! The arguments of an event's own fields: from the record's bytes to the datagram's.
//!
//! [`Arguments::append`] is the hot path. It runs a flat list of operations, each of which reads a value or two and
//! appends as many arguments; it neither allocates nor formats. The number of instructions determines its speed, so
//! the most frequent kinds of fields have operations of their own, and all other integers share one, a [`Number`].
//! Short texts are read and written as one word of 16 bytes.

use std::cell::RefCell;
use std::ops::Range;

use byteorder::ByteOrder;

use super::osc_string;
use super::types::Types;
use super::write::{EncodeError, Full, Writer};
use crate::decode::{DecodeError, Element, FieldPlan, Number, Plan, Read, ShortText, Value, located, place, until_nul};
use crate::names::NoNames;
use crate::render::TextPlan;

/// The type in which a number is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wire {
    /// `i`, saturating.
    Int,
    /// `h`, saturating.
    Long,
    /// `h`: the 64 bits unchanged, in two's complement.
    Bits,
    /// `f`.
    Float,
    /// `d`.
    Double,
}

impl Wire {
    pub(super) const fn tag(self) -> char {
        match self {
            Wire::Int => 'i',
            Wire::Long | Wire::Bits => 'h',
            Wire::Float => 'f',
            Wire::Double => 'd',
        }
    }
}

/// Appends one argument. Offsets are bytes in the record. The most frequent kinds of fields have operations of their
/// own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Op {
    /// Four bytes unchanged → `i`.
    Word(u32),
    /// An integer → `i`.
    Int(Number),
    /// An integer → `i`, limited to this value: larger ones saturate; a `bool` other than 0 becomes 1.
    IntUpTo(Number, u32),
    /// u32 → the wide tag of the level of types.
    WideWord(u32),
    /// i64 → the same.
    WideLong(u32),
    /// u64 → the same; saturates with `h`.
    WideUnsigned(u32),
    /// Two [`Op::Word`]s: a loop iteration costs as much as an argument.
    Words(u32, u32),
    /// Two [`Op::WideLong`]s.
    WideLongs(u32, u32),
    /// Two [`Op::WideUnsigned`]s.
    WideUnsigneds(u32, u32),
    /// Any other integer, which fits an `i64` → the same.
    Wide(Number),
    /// `char[16]` → `s`: usually a task name.
    Text16(u32),
    /// The text given by a `__data_loc` word → `s`.
    LocatedText(u32),
    /// Anything else.
    Other(Other),
}

/// Operations too rare for the hot loop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Other {
    /// Any number.
    Number(u32, Element, Wire),
    /// A pointer → `s`, hexadecimal.
    Hexadecimal(u32, Element),
    /// Any text → `s`: the index of the field.
    Text(u16),
    /// A number or bytes in the kernel's own words → `s`: the index of the text.
    Words(u16),
    /// `""`.
    NoText,
    /// The text given by one of several location words → `s`.
    TextOf(u32),
    /// Bytes or numbers → `b`, numbers in network order: the index of the field.
    Blob(u16),
    /// The number of elements → `i`: the index of the field.
    Count(u16),
}

impl Op {
    /// One operation for both, if there is one.
    fn joined(first: Op, second: Op) -> Option<Op> {
        match (first, second) {
            (Op::Word(a), Op::Word(b)) => Some(Op::Words(a, b)),
            (Op::WideLong(a), Op::WideLong(b)) => Some(Op::WideLongs(a, b)),
            (Op::WideUnsigned(a), Op::WideUnsigned(b)) => Some(Op::WideUnsigneds(a, b)),
            _ => None,
        }
    }

    /// The operation for a number, in its fast form if it has one.
    pub(super) fn number(at: u32, element: Element, wire: Wire) -> Op {
        let Some(number) = Number::new(at as usize, element) else {
            return Op::Other(Other::Number(at, element, wire));
        };
        match (wire, element) {
            (Wire::Int, Element::Integer { size: 4, bits: 32, signed: true }) => Op::Word(at),
            (Wire::Int, Element::Integer { bits: 32, signed: false, .. }) => Op::IntUpTo(number, i32::MAX as u32),
            (Wire::Int, Element::Integer { bits: 0..=32, .. }) => Op::Int(number),
            (Wire::Int, Element::Bool { size: 0..=4 }) => Op::IntUpTo(number, 1),
            (Wire::Int, _) => Op::Other(Other::Number(at, element, wire)),
            (_, Element::Integer { size: 4, bits: 32, signed: false }) => Op::WideWord(at),
            (_, Element::Integer { size: 8, bits: 64, signed: true }) => Op::WideLong(at),
            (Wire::Bits, _) if !number.fits_i64() => Op::WideLong(at),
            _ if !number.fits_i64() => Op::WideUnsigned(at),
            _ => Op::Wide(number),
        }
    }
}

/// How an event's own fields are encoded.
#[derive(Debug, Clone)]
pub(super) struct Arguments {
    ops: Box<[Op]>,
    fields: Plan,
    /// Formats the words of [`Other::Words`].
    texts: Option<Box<TextPlan>>,
    types: Types,
    string_limit: usize,
}

/// A level of types at compile time: its wide tag.
trait Level {
    /// Size of a wide argument.
    const LEN: usize;

    /// The argument's bytes, the first one highest.
    fn signed(value: i64) -> u64;

    /// The same for an unsigned number.
    fn unsigned(value: u64) -> u64;
}

/// `h`, saturating.
struct Longs;
/// `d`.
struct Doubles;
/// `f`. Not through f64: rounding twice would differ in the last bit.
struct Floats;

impl Level for Longs {
    const LEN: usize = 8;

    #[inline(always)]
    fn signed(value: i64) -> u64 {
        value as u64
    }

    #[inline(always)]
    fn unsigned(value: u64) -> u64 {
        value.min(i64::MAX as u64)
    }
}

impl Level for Doubles {
    const LEN: usize = 8;

    #[inline(always)]
    fn signed(value: i64) -> u64 {
        (value as f64).to_bits()
    }

    #[inline(always)]
    fn unsigned(value: u64) -> u64 {
        (value as f64).to_bits()
    }
}

impl Level for Floats {
    const LEN: usize = 4;

    #[inline(always)]
    fn signed(value: i64) -> u64 {
        u64::from((value as f32).to_bits()) << 32
    }

    #[inline(always)]
    fn unsigned(value: u64) -> u64 {
        u64::from((value as f32).to_bits()) << 32
    }
}

impl Arguments {
    pub(super) fn new(ops: Vec<Op>, fields: Plan, texts: TextPlan, types: Types, string_limit: usize) -> Arguments {
        let texts = ops.iter().any(|op| matches!(op, Op::Other(Other::Words(_)))).then(|| Box::new(texts));
        let mut joined: Vec<Op> = Vec::with_capacity(ops.len());
        for op in ops {
            match joined.last_mut() {
                Some(last) if let Some(both) = Op::joined(*last, op) => *last = both,
                _ => joined.push(op),
            }
        }
        Arguments { ops: joined.into(), fields, texts, types, string_limit }
    }

    /// The smallest size of the arguments, bytes: with every text empty.
    pub(super) fn least_len(&self) -> usize {
        let wide = if self.types == Types::Portable { 4 } else { 8 };
        let least = |op: &Op| match op {
            Op::Wide(_) | Op::WideWord(_) | Op::WideLong(_) | Op::WideUnsigned(_) => wide,
            Op::WideUnsigneds(..) | Op::WideLongs(..) => 2 * wide,
            Op::Words(..) => 8,
            Op::Other(Other::Number(_, _, Wire::Long | Wire::Bits | Wire::Double)) => 8,
            _ => 4,
        };
        self.ops.iter().map(least).sum()
    }

    /// The plan that reads the record's fields.
    pub(super) fn fields(&self) -> &Plan {
        &self.fields
    }

    /// Appends all arguments. The record's length must have been checked with [`Plan::fits`].
    ///
    /// The writer is passed by value and returned, not by reference: its position is what each argument waits for,
    /// and through a reference it would live in memory.
    #[inline(always)]
    pub(super) fn append<'w, E: ByteOrder>(&self, record: &[u8], out: Writer<'w>) -> Result<Writer<'w>, EncodeError> {
        match self.types {
            Types::Full => self.append_at::<E, Longs>(record, out),
            Types::Double => self.append_at::<E, Doubles>(record, out),
            Types::Portable => self.append_at::<E, Floats>(record, out),
        }
    }

    #[inline(always)]
    fn append_at<'w, E: ByteOrder, L: Level>(
        &self,
        record: &[u8],
        mut out: Writer<'w>,
    ) -> Result<Writer<'w>, EncodeError> {
        for op in &self.ops {
            match *op {
                Op::Word(at) => out.put(E::read_u32(chunk::<4>(record, at)?).to_be_bytes())?,
                Op::Int(ref number) => out.put((number.read::<E>(record)? as u32).to_be_bytes())?,
                Op::IntUpTo(ref number, limit) => {
                    out.put((number.read::<E>(record)? as u32).min(limit).to_be_bytes())?;
                }
                Op::WideWord(at) => put_wide::<L>(L::signed(E::read_u32(chunk::<4>(record, at)?).into()), &mut out)?,
                Op::WideLong(at) => put_wide::<L>(L::signed(E::read_i64(chunk::<8>(record, at)?)), &mut out)?,
                Op::WideUnsigned(at) => put_wide::<L>(L::unsigned(E::read_u64(chunk::<8>(record, at)?)), &mut out)?,
                Op::Words(first, second) => {
                    let words = out.window::<8>()?;
                    words[..4].copy_from_slice(&E::read_u32(chunk::<4>(record, first)?).to_be_bytes());
                    words[4..].copy_from_slice(&E::read_u32(chunk::<4>(record, second)?).to_be_bytes());
                    out.skip(8)?;
                }
                Op::WideLongs(first, second) => {
                    let (first, second) = (chunk::<8>(record, first)?, chunk::<8>(record, second)?);
                    let both = out.window::<16>()?;
                    both[..8].copy_from_slice(&L::signed(E::read_i64(first)).to_be_bytes());
                    both[L::LEN..L::LEN + 8].copy_from_slice(&L::signed(E::read_i64(second)).to_be_bytes());
                    out.skip(2 * L::LEN)?;
                }
                Op::WideUnsigneds(first, second) => {
                    let (first, second) = (chunk::<8>(record, first)?, chunk::<8>(record, second)?);
                    let both = out.window::<16>()?;
                    both[..8].copy_from_slice(&L::unsigned(E::read_u64(first)).to_be_bytes());
                    both[L::LEN..L::LEN + 8].copy_from_slice(&L::unsigned(E::read_u64(second)).to_be_bytes());
                    out.skip(2 * L::LEN)?;
                }
                Op::Wide(ref number) => put_wide::<L>(L::signed(number.read::<E>(record)? as i64), &mut out)?,
                Op::Text16(at) => match self.short(ShortText::at(record, at as usize)) {
                    Some(text) => out.put_part(text.zero_filled(), osc_string::padded(text.len()))?,
                    None => out = self.append_text(record, at as usize..at as usize + 16, out)?,
                },
                Op::LocatedText(at) => {
                    let place = place::<E>(record, at as usize, 0)?;
                    match self.short(ShortText::of(record, &place)) {
                        Some(text) => out.put_part(text.zero_filled(), osc_string::padded(text.len()))?,
                        None => out = self.append_text(record, place, out)?,
                    }
                }
                Op::Other(ref other) => out = self.append_other::<E>(other, record, out)?,
            }
        }
        Ok(out)
    }

    /// The text, if it can be sent unchanged: short ASCII, as nearly all are.
    #[inline(always)]
    fn short(&self, text: Option<ShortText>) -> Option<ShortText> {
        // A text of 16 bytes has no NUL here; with padding it takes 20 bytes.
        text.filter(|text| text.len() < 16 && text.len() <= self.string_limit && text.is_ascii())
    }

    #[inline(never)]
    fn append_text<'w>(&self, record: &[u8], place: Range<usize>, mut out: Writer<'w>) -> Result<Writer<'w>, Full> {
        put_text(until_nul(record.get(place).unwrap_or_default()), self.string_limit, &mut out)?;
        Ok(out)
    }

    #[inline(never)]
    fn append_other<'w, E: ByteOrder>(
        &self,
        op: &Other,
        record: &[u8],
        mut out: Writer<'w>,
    ) -> Result<Writer<'w>, EncodeError> {
        self.put_other::<E>(op, record, &mut out)?;
        Ok(out)
    }

    fn put_other<E: ByteOrder>(&self, op: &Other, record: &[u8], out: &mut Writer<'_>) -> Result<(), EncodeError> {
        let value = |field: &FieldPlan| self.fields.value::<E>(field, record);
        let numbered = |number: u16| self.fields.fields().get(usize::from(number)).map(value).transpose();
        let scalar = |at: u32, element| FieldPlan::new(0, at as usize, Read::Scalar(element));
        match *op {
            Other::Number(at, element, wire) => put_number(&value(&scalar(at, element))?, wire, out)?,
            Other::Hexadecimal(at, element) => {
                if let Value::Pointer(address) = value(&scalar(at, element))? {
                    put_hexadecimal(address, out)?;
                }
            }
            Other::Text(number) => match numbered(number)? {
                Some(Value::Text(text)) => put_text(text, self.string_limit, out)?,
                _ => out.put_string(b"")?,
            },
            Other::TextOf(at) => put_text(until_nul(located::<E>(record, at as usize, 0)?), self.string_limit, out)?,
            Other::NoText => out.put([0; 4])?,
            Other::Words(number) => WORDS.with_borrow_mut(|words| {
                words.clear();
                if let Some(texts) = &self.texts
                    && let Some(text) = texts.fields().get(usize::from(number))
                {
                    texts.render_field(text, record, &NoNames, words);
                }
                put_text(until_nul(words), self.string_limit, out)
            })?,
            Other::Blob(number) => put_blob(numbered(number)?, out)?,
            Other::Count(number) => {
                let count = match numbered(number)? {
                    Some(Value::Bytes(bytes)) => bytes.len(),
                    Some(Value::Array(array)) => array.len(),
                    _ => 0,
                };
                out.put((count as u32).to_be_bytes())?;
            }
        }
        Ok(())
    }
}

thread_local! {
    /// Buffer for [`Other::Words`], kept so that it is allocated once.
    static WORDS: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Appends a wide argument.
#[inline(always)]
fn put_wide<L: Level>(word: u64, out: &mut Writer<'_>) -> Result<(), Full> {
    out.put_part(word.to_be_bytes(), L::LEN)
}

/// `N` bytes of the record. The record's length was checked, so the error never occurs.
#[inline(always)]
fn chunk<const N: usize>(record: &[u8], at: u32) -> Result<&[u8; N], DecodeError> {
    let at = at as usize;
    let found = record.get(at..at + N).and_then(|bytes| bytes.first_chunk());
    found.ok_or_else(|| DecodeError::short(record, at + N))
}

fn put_number(value: &Value<'_>, wire: Wire, out: &mut Writer<'_>) -> Result<(), Full> {
    let (signed, unsigned) = match *value {
        Value::Signed(v) => (v, None),
        Value::Unsigned(v) | Value::Pointer(v) => (v.min(i64::MAX as u64) as i64, Some(v)),
        Value::Bool(v) => (i64::from(v), None),
        _ => (0, None),
    };
    let double = unsigned.map_or(signed as f64, |v| v as f64);
    // Not through f64: rounding twice would differ in the last bit.
    let float = unsigned.map_or(signed as f32, |v| v as f32);
    match wire {
        Wire::Int => out.put((signed.clamp(i32::MIN.into(), i32::MAX.into()) as i32).to_be_bytes()),
        Wire::Long => out.put(signed.to_be_bytes()),
        Wire::Bits => out.put(unsigned.unwrap_or(signed as u64).to_be_bytes()),
        Wire::Float => out.put(float.to_be_bytes()),
        Wire::Double => out.put(double.to_be_bytes()),
    }
}

/// Appends an address as `0x` and hexadecimal digits.
fn put_hexadecimal(address: u64, out: &mut Writer<'_>) -> Result<(), Full> {
    let mut digits = *b"0x0000000000000000";
    for (index, digit) in digits[2..].iter_mut().enumerate() {
        *digit = b"0123456789abcdef"[(address >> (60 - 4 * index)) as usize & 15];
    }
    out.put_string(&digits)
}

/// Appends any text, repaired if it is not ASCII, and cut at the limit.
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
    osc_string::repair(bytes, limit, |piece| out.put_slice(piece))?;
    out.pad(out.written() - start, true)
}

/// Appends a blob: its length, its bytes (numbers in network order), padding.
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
