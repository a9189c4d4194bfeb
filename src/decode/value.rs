//! Typed values, borrowed from the record.

use std::ops::Range;

use byteorder::ByteOrder;

use super::element::Element;
use super::error::DecodeError;
use super::field::{FieldPlan, Quick, Read};
use super::short_text::ShortText;
use crate::format::Endian;

/// The value of a field. Which variant it is follows from the field's [`Read`] and never from the record, so that the
/// type of a column is known before the first record: see [`Plan::fields`](super::Plan::fields).
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum Value<'r> {
    /// A signed integer.
    Signed(i64),
    /// An unsigned integer.
    Unsigned(u64),
    /// A truth value.
    Bool(bool),
    /// An address.
    Pointer(u64),
    /// Text up to its NUL; the bytes need not be UTF-8.
    Text(&'r [u8]),
    /// Bytes.
    Bytes(&'r [u8]),
    /// Several numbers.
    Array(Array<'r>),
    /// Several strings.
    Texts(Texts<'r>),
}

/// Several strings, each with its own `__data_loc` word.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Texts<'r> {
    record: &'r [u8],
    /// The offset of the first location word.
    at: u32,
    count: u32,
}

impl<'r> Texts<'r> {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.count as usize
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The texts, each up to its NUL. `E` is the byte order of the record.
    pub fn iter<E: ByteOrder>(&self) -> impl Iterator<Item = Result<&'r [u8], DecodeError>> + use<'r, E> {
        let Texts { record, at, count } = *self;
        (0..count as usize).map(move |index| located::<E>(record, at as usize + 4 * index, 0).map(until_nul))
    }
}

/// Several numbers of one type, as they are stored.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Array<'r> {
    bytes: &'r [u8],
    element: Element,
    endian: Endian,
}

impl<'r> Array<'r> {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.bytes.len() / self.element.size() as usize
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The bytes of the numbers as they are stored.
    pub fn bytes(&self) -> &'r [u8] {
        self.bytes
    }

    /// The type of one number.
    pub fn element(&self) -> Element {
        self.element
    }

    /// The numbers.
    pub fn iter(&self) -> impl Iterator<Item = Value<'r>> + use<'r> {
        let (element, endian) = (self.element, self.endian);
        self.bytes.chunks_exact(element.size() as usize).map(move |bytes| match endian {
            Endian::Little => scalar::<byteorder::LittleEndian>(element, bytes),
            Endian::Big => scalar::<byteorder::BigEndian>(element, bytes),
        })
    }
}

/// The text up to its NUL, or all of it: `char comm[16]` may be full.
#[inline]
pub(crate) fn until_nul(bytes: &[u8]) -> &[u8] {
    memchr::memchr(0, bytes).map_or(bytes, |end| &bytes[..end])
}

/// The byte order `E` as a value.
#[inline(always)]
fn endian<E: ByteOrder>() -> Endian {
    if E::read_u16(&[0, 1]) == 1 { Endian::Big } else { Endian::Little }
}

/// An integer of 1, 2, 4 or 8 bytes, zero-extended.
#[inline(always)]
pub(crate) fn unsigned<E: ByteOrder>(bytes: &[u8]) -> u64 {
    match *bytes {
        [a] => u64::from(a),
        [a, b] => u64::from(E::read_u16(&[a, b])),
        [a, b, c, d] => u64::from(E::read_u32(&[a, b, c, d])),
        [a, b, c, d, e, f, g, h] => E::read_u64(&[a, b, c, d, e, f, g, h]),
        _ => 0,
    }
}

/// One element, whose bytes are `bytes`.
#[inline(always)]
fn scalar<'r, E: ByteOrder>(element: Element, bytes: &[u8]) -> Value<'r> {
    let raw = unsigned::<E>(bytes);
    match element {
        Element::Integer { bits, signed, .. } => {
            let unused = 64 - u32::from(bits.clamp(1, 64));
            if signed {
                Value::Signed(((raw << unused) as i64) >> unused)
            } else {
                Value::Unsigned((raw << unused) >> unused)
            }
        }
        Element::Bool { .. } => Value::Bool(raw != 0),
        Element::Pointer { .. } => Value::Pointer(raw),
        Element::Char | Element::Byte => Value::Unsigned(raw),
    }
}

/// The elements in `bytes`; an incomplete one at the end is padding.
#[inline]
fn elements<E: ByteOrder>(element: Element, bytes: &[u8]) -> Value<'_> {
    match element {
        Element::Char => Value::Text(until_nul(bytes)),
        Element::Byte => Value::Bytes(bytes),
        _ => {
            let whole = bytes.len() - bytes.len() % element.size() as usize;
            Value::Array(Array { bytes: &bytes[..whole], element, endian: endian::<E>() })
        }
    }
}

/// The bytes given by the location word at `word`, whose offset counts from `base`.
#[inline]
pub(crate) fn located<E: ByteOrder>(record: &[u8], word: usize, base: usize) -> Result<&[u8], DecodeError> {
    place::<E>(record, word, base).map(|place| &record[place])
}

/// The range of these bytes, which is always within the record.
#[inline(always)]
pub(crate) fn place<E: ByteOrder>(record: &[u8], word: usize, base: usize) -> Result<Range<usize>, DecodeError> {
    let location = record.get(word..).and_then(|rest| rest.first_chunk::<4>()).map(|b| E::read_u32(b));
    let location = location.ok_or_else(|| DecodeError::short(record, word.saturating_add(4)))?;
    let (offset, len) = (base.saturating_add((location & 0xffff) as usize), (location >> 16) as usize);
    // An empty value may have offset 0 and length 0.
    if len == 0 {
        return Ok(0..0);
    }
    let end = offset.saturating_add(len);
    if end > record.len() {
        return Err(DecodeError::location(record, word, offset, len));
    }
    Ok(offset..end)
}

/// The value of a field of `record`. The most frequent forms have a fast path; the rest is read as [`Read`] says.
#[inline(always)]
pub(super) fn read_value<'r, E: ByteOrder>(field: &FieldPlan, record: &'r [u8]) -> Result<Value<'r>, DecodeError> {
    Ok(match field.quick {
        Quick::Number(number) => {
            let value = number.read::<E>(record)?;
            if number.is_signed() { Value::Signed(value as i64) } else { Value::Unsigned(value) }
        }
        Quick::Pointer(number) => Value::Pointer(number.read::<E>(record)?),
        Quick::Text16(at) => {
            let at = at as usize;
            let text = ShortText::at(record, at).ok_or_else(|| DecodeError::short(record, at.saturating_add(16)))?;
            Value::Text(&record[at..at + text.len()])
        }
        Quick::LocatedText(at) => {
            let place = place::<E>(record, at as usize, 0)?;
            let short = ShortText::of(record, &place);
            let bytes = &record[place];
            Value::Text(short.map_or_else(|| until_nul(bytes), |text| &bytes[..text.len().min(bytes.len())]))
        }
        Quick::None => return read_other::<E>(field, record),
    })
}

#[inline(never)]
fn read_other<'r, E: ByteOrder>(field: &FieldPlan, record: &'r [u8]) -> Result<Value<'r>, DecodeError> {
    let at = field.offset;
    let fixed = |len: u32| {
        let needs = at.saturating_add(len as usize);
        record.get(at..needs).ok_or_else(|| DecodeError::short(record, needs))
    };
    Ok(match field.read {
        Read::Scalar(element) => scalar::<E>(element, fixed(element.size())?),
        Read::Array(element, _) => elements::<E>(element, fixed(field.read.fixed_size())?),
        Read::DataLoc(element) => elements::<E>(element, located::<E>(record, at, 0)?),
        Read::RelLoc(element) => elements::<E>(element, located::<E>(record, at, at.saturating_add(4))?),
        Read::DataLocShort(element) => {
            let offset = usize::from(E::read_u16(fixed(2)?));
            let bytes = record.get(offset..).ok_or_else(|| DecodeError::location(record, at, offset, 0))?;
            elements::<E>(element, bytes)
        }
        Read::DataLocTexts(count) => {
            fixed(4 * count)?;
            Value::Texts(Texts { record, at: at as u32, count })
        }
        Read::Tail(element) => elements::<E>(element, record.get(at..).ok_or_else(|| DecodeError::short(record, at))?),
    })
}
