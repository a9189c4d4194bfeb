//! How to read one field of an event: the type of its elements, and their place.

use super::element::Element;
use super::number::Number;
use crate::format::{Base, Field, Place};

/// How to read a field: the type of its elements, and their place. Both determine the [`Value`](super::Value):
///
/// | place | element | value |
/// |---|---|---|
/// | [`Scalar`](Read::Scalar) | [`Integer`](Element::Integer) | `Signed` or `Unsigned` |
/// | | [`Bool`](Element::Bool), [`Pointer`](Element::Pointer) | `Bool`, `Pointer` |
/// | [`DataLocTexts`](Read::DataLocTexts) | | `Texts` |
/// | any other | [`Char`](Element::Char) | `Text` |
/// | | [`Byte`](Element::Byte) | `Bytes` |
/// | | `Integer`, `Bool`, `Pointer` | `Array`, whose values are as in the first two rows |
///
/// ```
/// use ftrace_live::decode::{Element, Plan, Read};
/// use ftrace_live::format::{EventFormat, LongSize};
///
/// let text = "name: key\nID: 1\nformat:\n\
///             \tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;\n\n\
///             \tfield:u32 note;\toffset:4;\tsize:4;\tsigned:0;\n\
///             \tfield:char player[8];\toffset:8;\tsize:8;\tsigned:0;\n\n";
/// let format = EventFormat::parse("piano", text, LongSize::Eight)?;
/// let column = |read| match read {
///     Read::Scalar(Element::Integer { bits, signed: false, .. }) => format!("uint{bits}"),
///     Read::Array(Element::Char, _) => "utf8".to_owned(),
///     other => panic!("{other:?}"),
/// };
/// let plan = Plan::compile(&format);
/// let columns = plan.fields().iter().map(|field| (&*format.fields[field.index].name, column(field.read)));
/// assert!(columns.eq([("note", "uint32".to_owned()), ("player", "utf8".to_owned())]));
/// # Ok::<(), ftrace_live::format::FormatError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Read {
    /// One element at the field's offset.
    Scalar(Element),
    /// `count` elements from the field's offset on. For [`Element::Char`]: text up to the first NUL.
    Array(Element, u32),
    /// Elements at the place given by a `__data_loc` word.
    DataLoc(Element),
    /// Elements at the place given by a `__rel_loc` word.
    RelLoc(Element),
    /// Elements from a two-byte offset to the end of the record.
    DataLocShort(Element),
    /// Several texts, each with a `__data_loc` word of its own.
    DataLocTexts(u32),
    /// Elements from the field's offset to the end of the record.
    Tail(Element),
}

impl Read {
    /// Bytes that the record must have from the field's offset on.
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

    pub(super) fn of(field: &Field) -> Read {
        let size = field.ctype.size as u8;
        let element = match &field.ctype.base {
            Base::Integer { signed, bits } => Element::Integer { size, bits: *bits, signed: *signed },
            // The kernel's enums are `int`s unless a value needs more bits; -1 must stay -1.
            Base::Enum(_) => Element::Integer { size, bits: if size == 8 { 32 } else { size * 8 }, signed: size >= 4 },
            Base::Bool => Element::Bool { size },
            Base::Pointer => Element::Pointer { size },
            Base::CpuMask => Element::Integer { size, bits: size * 8, signed: false },
            Base::Char if field.place == Place::Scalar => Element::Integer {
                size: 1,
                bits: 8,
                // The compiler decides whether `char` is signed; only the file says.
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

/// An array of one-byte integers is binary data, not numbers: MAC addresses, UUIDs, packet data.
fn bytes_as_bytes(element: Element) -> Element {
    match element {
        Element::Integer { size: 1, .. } => Element::Byte,
        other => other,
    }
}

/// The most frequent forms of fields, each with a fast path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Quick {
    /// Any integer.
    Number(Number),
    /// Any pointer.
    Pointer(Number),
    /// `char[16]` at this offset: usually a task name.
    Text16(u32),
    /// The text at the place given by the `__data_loc` word at this offset.
    LocatedText(u32),
    /// None: the field is read as [`Read`] says.
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
    /// Its index in [`EventFormat::fields`](crate::format::EventFormat::fields).
    pub index: usize,
    /// Its offset in the record, bytes.
    pub offset: usize,
    /// How it is read.
    pub read: Read,
    pub(super) quick: Quick,
}

impl FieldPlan {
    /// A field that is read as `read` at `offset`.
    pub fn new(index: usize, offset: usize, read: Read) -> FieldPlan {
        FieldPlan { index, offset, read, quick: Quick::of(read, offset) }
    }

    /// How to read a common field; it has no index among the event's own.
    pub(crate) fn common(field: &Field) -> FieldPlan {
        FieldPlan::new(0, field.offset as usize, Read::of(field))
    }
}
