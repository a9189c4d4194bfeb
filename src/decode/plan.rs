//! The plan of an event: how to read each of its fields.

use byteorder::ByteOrder;

use super::number::Number;
use super::value::{DecodeError, Value, read_value};
use crate::format::{Base, EventFormat, EventId, Field, Place};

/// One element of a field, as it is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Element {
    /// An integer stored in `size` bytes (1, 2, 4 or 8) of which the low `bits` count.
    Integer {
        /// Bytes stored.
        size: u8,
        /// Bits that count, at most `8 * size`.
        bits: u8,
        /// Whether the top one of these is the sign.
        signed: bool,
    },
    /// A truth value stored in `size` bytes.
    Bool {
        /// Bytes stored.
        size: u8,
    },
    /// A pointer stored in `size` bytes (4 or 8).
    Pointer {
        /// Bytes stored.
        size: u8,
    },
    /// A character of a text.
    Char,
    /// A byte, or a byte of something whose form is not known.
    Byte,
}

impl Element {
    /// Bytes one element takes in the record.
    pub const fn size(self) -> u32 {
        match self {
            Element::Integer { size, .. } | Element::Bool { size } | Element::Pointer { size } => size as u32,
            Element::Char | Element::Byte => 1,
        }
    }
}

/// How to read a field: what is stored, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Read {
    /// One element at the field's offset.
    Scalar(Element),
    /// `count` elements from the field's offset on. For [`Element::Char`]: text up to the first NUL.
    Array(Element, u32),
    /// Elements at the place a `__data_loc` word names.
    DataLoc(Element),
    /// Elements at the place a `__rel_loc` word names.
    RelLoc(Element),
    /// Elements from a two-byte offset to the end of the record.
    DataLocShort(Element),
    /// Several texts, each with a `__data_loc` word of its own.
    DataLocTexts(u32),
    /// Elements from the field's offset to the end of the record.
    Tail(Element),
}

impl Read {
    /// Bytes of the record, from the field's offset on, that must be there.
    pub const fn fixed_size(self) -> u32 {
        match self {
            Read::Scalar(element) => element.size(),
            Read::Array(element, count) => element.size().saturating_mul(count),
            Read::DataLoc(_) | Read::RelLoc(_) => 4,
            Read::DataLocShort(_) => 2,
            Read::DataLocTexts(count) => 4 * count,
            Read::Tail(_) => 0,
        }
    }

    fn of(field: &Field) -> Read {
        let size = field.ctype.size as u8;
        let element = match &field.ctype.base {
            Base::Integer { signed, bits } => Element::Integer { size, bits: *bits, signed: *signed },
            // The kernel's enums are `int`s unless a value needs more; -1 must stay -1.
            Base::Enum(_) => Element::Integer { size, bits: if size == 8 { 32 } else { size * 8 }, signed: size >= 4 },
            Base::Bool => Element::Bool { size },
            Base::Pointer => Element::Pointer { size },
            Base::CpuMask => Element::Integer { size, bits: size * 8, signed: false },
            Base::Char if field.place == Place::Scalar => Element::Integer {
                size: 1,
                bits: 8,
                // `char` is what the compiler made of it; only the file knows.
                signed: field.signed.unwrap_or(true),
            },
            Base::Char => Element::Char,
            Base::Opaque => Element::Byte,
        };
        match field.place {
            Place::Scalar if element == Element::Byte => Read::Array(Element::Byte, field.size),
            Place::Scalar => Read::Scalar(element),
            Place::Array { .. } if element == Element::Byte => Read::Array(Element::Byte, field.size),
            Place::Array { count } => Read::Array(bytes_as_bytes(element), count),
            Place::DataLoc => Read::DataLoc(bytes_as_bytes(element)),
            Place::RelLoc => Read::RelLoc(bytes_as_bytes(element)),
            Place::DataLocShort => Read::DataLocShort(bytes_as_bytes(element)),
            Place::DataLocArray { count } => Read::DataLocTexts(count),
            Place::Tail => Read::Tail(bytes_as_bytes(element)),
        }
    }
}

/// Several one-byte integers are bytes, not numbers: MAC addresses, UUIDs, packet data.
fn bytes_as_bytes(element: Element) -> Element {
    match element {
        Element::Integer { size: 1, .. } => Element::Byte,
        other => other,
    }
}

/// The forms that most fields have, each with a quick way of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Quick {
    /// Any integer.
    Number(Number),
    /// Any pointer.
    Pointer(Number),
    /// `char[16]` at this offset: a task name, mostly.
    Text16(u32),
    /// The text that the `__data_loc` word at this offset names.
    LocatedText(u32),
    /// None: the field goes by its [`Read`].
    None,
}

impl Quick {
    fn of(read: Read, at: usize) -> Quick {
        let number = |element| Number::new(at, element);
        let offset = u32::try_from(at).unwrap_or(u32::MAX);
        match read {
            Read::Scalar(element @ Element::Integer { .. }) => number(element).map_or(Quick::None, Quick::Number),
            Read::Scalar(element @ Element::Pointer { .. }) => number(element).map_or(Quick::None, Quick::Pointer),
            Read::Array(Element::Char, 16) => Quick::Text16(offset),
            Read::DataLoc(Element::Char) => Quick::LocatedText(offset),
            _ => Quick::None,
        }
    }
}

/// How to read one field of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FieldPlan {
    /// Its index in [`EventFormat::fields`].
    pub index: usize,
    /// Its offset in the record, bytes.
    pub offset: usize,
    /// How it is read.
    pub read: Read,
    pub(super) quick: Quick,
}

impl FieldPlan {
    /// A field read as `read` from `offset` on.
    pub fn new(index: usize, offset: usize, read: Read) -> FieldPlan {
        FieldPlan { index, offset, read, quick: Quick::of(read, offset) }
    }

    /// How to read a field that every event begins with; it has no index among the event's own.
    pub(crate) fn common(field: &Field) -> FieldPlan {
        FieldPlan::new(0, field.offset as usize, Read::of(field))
    }

    /// The value of the field in `record`.
    #[inline]
    pub fn value<'r, E: ByteOrder>(&self, record: &'r [u8]) -> Result<Value<'r>, DecodeError> {
        read_value::<E>(self, record)
    }
}

/// Where in an event's records `common_pid` stands: the thread that was running.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PidPlace(u32);

impl PidPlace {
    /// Where `format` says.
    pub fn of(format: &EventFormat) -> PidPlace {
        let pid = format.common.iter().find(|f| f.name == "common_pid" && f.size == 4);
        PidPlace(pid.map_or(u32::MAX, |f| f.offset))
    }

    /// The pid; 0 in a record without one.
    #[inline(always)]
    pub fn read<E: ByteOrder>(self, record: &[u8]) -> i32 {
        let at = self.0 as usize;
        record.get(at..at + 4).map_or(0, |bytes| E::read_i32(bytes))
    }
}

/// How to read the records of one event.
#[derive(Debug, Clone)]
pub struct Plan {
    id: EventId,
    pid: PidPlace,
    min_len: usize,
    fields: Box<[FieldPlan]>,
}

impl Plan {
    /// Works out how to read the records that `format` describes.
    pub fn compile(format: &EventFormat) -> Plan {
        let field = |(index, field): (usize, &Field)| {
            let mut read = Read::of(field);
            if (format.system.as_str(), format.name.as_str()) == ("ftrace", "raw_data")
                && read == Read::Tail(Element::Char)
            {
                // What is written to trace_marker_raw is no text, whatever its declaration says.
                read = Read::Tail(Element::Byte);
            }
            FieldPlan::new(index, field.offset as usize, read)
        };
        let fields: Box<[_]> = format.fields.iter().enumerate().map(field).collect();
        let common_end = format.common.iter().map(|f| f.offset.saturating_add(f.size)).max().unwrap_or(0);
        let end = |f: &FieldPlan| f.offset.saturating_add(f.read.fixed_size() as usize);
        let min_len = fields.iter().map(end).max().unwrap_or(0).max(common_end as usize);
        Plan { id: format.id, pid: PidPlace::of(format), min_len, fields }
    }

    /// The id of the event's records.
    pub fn id(&self) -> EventId {
        self.id
    }

    /// How each field is read, in the order of the format file.
    pub fn fields(&self) -> &[FieldPlan] {
        &self.fields
    }

    /// The length in bytes that a record must have for all fields of fixed place.
    pub fn min_len(&self) -> usize {
        self.min_len
    }

    /// Checks the length of `record` once, for all fields of fixed place.
    #[inline]
    pub fn fits(&self, record: &[u8]) -> Result<(), DecodeError> {
        if record.len() < self.min_len {
            return Err(DecodeError::short(record, self.min_len));
        }
        Ok(())
    }

    /// `common_pid`: the thread that was running.
    #[inline]
    pub fn pid<E: ByteOrder>(&self, record: &[u8]) -> i32 {
        self.pid.read::<E>(record)
    }

    /// The value of one field of `record`.
    #[inline(always)]
    pub fn value<'r, E: ByteOrder>(&self, field: &FieldPlan, record: &'r [u8]) -> Result<Value<'r>, DecodeError> {
        read_value::<E>(field, record)
    }

    /// The values of `record`, in the order of the format file.
    #[inline(always)]
    pub fn values<'r, E: ByteOrder>(&self, record: &'r [u8]) -> impl Iterator<Item = Result<Value<'r>, DecodeError>> {
        self.fields.iter().map(move |field| read_value::<E>(field, record))
    }
}
