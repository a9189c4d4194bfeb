//! Fields of the record: their places, and elements of arrays.

use super::{
    super::{
        text::{SymbolTable, Text},
        value::{Bytes, Int, Location, Num},
    },
    Compiled, Compiler, Pointed, Value,
};
use crate::format::{Base, Field, Place, print_fmt::Expr};

impl<'a> Compiler<'a> {
    pub(super) fn field(&mut self, name: &str) -> Compiled<Value> {
        if let Some(field) = self.format.field(name) {
            return Ok(self.field_value(field));
        }
        let located = name.strip_prefix("__data_loc_").or(name.strip_prefix("__rel_loc_"));
        match located.and_then(|name| self.format.field(name)) {
            Some(field) => Ok(Value::Number(Num::Load { offset: field.offset, size: 4, int: Int::U32 }, Int::U32)),
            None => Err(format!("REC->{name}")),
        }
    }

    pub(super) fn field_value(&self, field: &Field) -> Value {
        let pointed = self.pointed(field);
        let bytes = match field.place {
            Place::Scalar => {
                let load = |int| Num::Load { offset: field.offset, size: field.ctype.size as u8, int };
                return match (&field.ctype.base, pointed.int) {
                    (Base::Pointer, Some(int)) => {
                        Value::Address { value: load(int), size: self.pointee_size(&field.ctype.name) }
                    }
                    (_, Some(int)) => Value::Number(load(int), int),
                    (_, None) => Value::Bytes(Bytes::At { offset: field.offset, len: field.size }, pointed),
                };
            }
            Place::Array { .. } => Bytes::At { offset: field.offset, len: field.size },
            Place::Tail => Bytes::Tail { offset: field.offset },
            Place::DataLoc | Place::RelLoc | Place::DataLocShort | Place::DataLocArray { .. } => {
                Bytes::Located(location(field, 0))
            }
        };
        Value::Bytes(bytes, pointed)
    }

    /// One element of a field.
    pub(super) fn pointed(&self, field: &Field) -> Pointed {
        let size = field.ctype.size;
        let column = field.signed.unwrap_or(false);
        let stored = (size.min(8) * 8) as u8;
        let int = match &field.ctype.base {
            _ if !matches!(size, 1 | 2 | 4 | 8) => None,
            Base::Integer { signed, bits } => Some(Int { bits: *bits, signed: *signed }),
            Base::Bool => Some(Int { bits: stored, signed: false }),
            // The compiler decides whether `char` is signed; only the file says.
            Base::Char => Some(Int { bits: 8, signed: field.signed.unwrap_or(true) }),
            Base::Pointer => Some(Int { bits: stored, signed: false }),
            Base::Enum(_) => Some(Int { bits: stored.min(32), signed: column }),
            Base::CpuMask | Base::Opaque => None,
        };
        Pointed { size, int }
    }

    pub(super) fn index(&mut self, base: &'a Expr, index: &'a Expr) -> Compiled<Value> {
        match self.row(base, index)? {
            Row { bytes, pointed, inner: None } => element(bytes, pointed),
            Row { bytes, pointed, .. } => Ok(Value::Bytes(bytes, pointed)),
        }
    }

    /// `base[index]`: an element, or a row of a multidimensional array.
    fn row(&mut self, base: &'a Expr, index: &'a Expr) -> Compiled<Row> {
        let (bytes, pointed, inner) = match base {
            Expr::Index(outer, index) => {
                let Row { bytes, pointed, inner } = self.row(outer, index)?;
                (bytes, pointed, inner.ok_or("[]")?)
            }
            _ => match self.value(base)? {
                Value::Bytes(bytes, pointed) => (bytes, pointed, self.inner_dimensions(base)),
                Value::Text(Text::Literal(span)) => (Bytes::Literal(span), Pointed::BYTE, vec![]),
                _ => return Err("[]".into()),
            },
        };
        let (index, _) = self.number(index)?;
        let elements = inner.iter().try_fold(1u32, |product, count| product.checked_mul((*count)?));
        let size = elements.and_then(|elements| elements.checked_mul(pointed.size)).ok_or("[]")?;
        let bytes = match offset(bytes, index, size) {
            Bytes::At { offset, len } if !inner.is_empty() => Bytes::At { offset, len: len.min(size) },
            bytes => bytes,
        };
        let inner = inner.split_first().map(|(_, rest)| rest.to_vec());
        Ok(Row { bytes, pointed, inner })
    }

    /// The number of type `int` that a pointer into the record points to.
    pub(super) fn pointed_to(&mut self, expr: &'a Expr, int: Int) -> Compiled<(Num, Int)> {
        let (bytes, _) = self.bytes(expr)?;
        let element = element(bytes, Pointed { size: u32::from(int.bits / 8), int: Some(int) })?;
        self.as_number(element)
    }

    /// The dimensions after the first: 6 for `u8 mac[4][6]`. None for a dimension whose size is not known.
    fn inner_dimensions(&self, base: &Expr) -> Vec<Option<u32>> {
        let Expr::Field(name) = base else { return vec![] };
        let Some(field) = self.format.field(name) else { return vec![] };
        let behind = field.declaration.rsplit_once(&*field.name).map_or("", |(_, behind)| behind);
        let count = |text: &str| {
            let text = text.trim_end_matches(']').trim();
            text.parse().ok().or_else(|| u32::try_from(self.constants.value(text)?).ok())
        };
        behind.split('[').skip(2).map(count).collect()
    }

    /// `&REC->field`, `&REC->field[1]`, `&__get_str(x)[1]`
    pub(super) fn address_of(&mut self, operand: &'a Expr) -> Compiled<Value> {
        match operand {
            Expr::Field(name) => {
                let field = self.format.field(name).ok_or_else(|| format!("REC->{name}"))?;
                let pointed = self.pointed(field);
                match self.field_value(field) {
                    Value::Bytes(bytes, pointed) => Ok(Value::Bytes(bytes, pointed)),
                    _ => Ok(Value::Bytes(Bytes::At { offset: field.offset, len: field.size }, pointed)),
                }
            }
            Expr::Index(base, index) => {
                let Row { bytes, pointed, .. } = self.row(base, index)?;
                Ok(Value::Bytes(bytes, pointed))
            }
            Expr::Name(name) => Err(format!("&{name}")),
            _ => Err("&".into()),
        }
    }

    /// The location word of the field that a `__get_*` helper refers to; `sa[1]` refers to one of an array of
    /// strings.
    pub(super) fn location(&mut self, expr: &'a Expr) -> Compiled<Location> {
        let (name, index) = match expr {
            Expr::Name(name) => (name, 0),
            Expr::Index(base, index) => match (&**base, &**index) {
                (Expr::Name(name), Expr::Integer(n)) => (name, n.value),
                _ => return Err("__get_…()".into()),
            },
            _ => return Err("__get_…()".into()),
        };
        let field = self.format.field(name).ok_or_else(|| format!("REC->{name}"))?;
        let index = u32::try_from(index).ok().filter(|i| match field.place {
            Place::DataLocArray { count } => *i < count,
            Place::DataLoc | Place::RelLoc | Place::DataLocShort => *i == 0,
            _ => false,
        });
        Ok(location(field, index.ok_or_else(|| format!("REC->{name}"))?))
    }

    /// The name of the enum constant in `field`; `None` if the enum is not known.
    pub(in crate::render) fn enum_text(&mut self, field: &Field) -> Option<Text> {
        let (Base::Enum(name), Place::Scalar) = (&field.ctype.base, field.place) else { return None };
        let members = self.constants.enumerators(name);
        let Value::Number(num, int) = self.field_value(field) else { return None };
        let rows: Vec<_> =
            members.iter().map(|(name, value)| (int.wrap(*value as u64), self.intern(name.as_bytes()))).collect();
        (!rows.is_empty()).then(|| Text::Symbolic(num, SymbolTable::new(rows)))
    }
}

/// An element or row of an array.
struct Row {
    bytes: Bytes,
    pointed: Pointed,
    /// The dimensions after the first; none for an element.
    inner: Option<Vec<Option<u32>>>,
}

/// The location word of `field`: number `index` if it has several.
pub(super) fn location(field: &Field, index: u32) -> Location {
    let word = field.offset.saturating_add(index.saturating_mul(4));
    match field.place {
        Place::RelLoc => Location { word, base: word.saturating_add(4), short: false },
        Place::DataLocShort => Location { word, base: 0, short: true },
        _ => Location { word, base: 0, short: false },
    }
}

/// The value at `bytes`.
pub(super) fn element(bytes: Bytes, pointed: Pointed) -> Compiled<Value> {
    let Some(int) = pointed.int else { return Err("[]".into()) };
    let size = pointed.size as u8;
    let num = match bytes {
        Bytes::At { offset, .. } => Num::Load { offset, size, int },
        bytes => Num::Element { bytes: Box::new(bytes), size, int },
    };
    Ok(Value::Number(num, int))
}

/// `bytes + index`
pub(super) fn offset(bytes: Bytes, index: Num, size: u32) -> Bytes {
    if let (Bytes::At { offset, len }, Some(index)) = (&bytes, index.constant()) {
        let skip = u32::try_from(index).ok().and_then(|i| i.checked_mul(size));
        if let Some((skip, offset)) = skip.and_then(|skip| Some((skip, offset.checked_add(skip)?))) {
            return Bytes::At { offset, len: len.saturating_sub(skip) };
        }
    }
    Bytes::Offset { base: Box::new(bytes), index: Box::new(index), size }
}
