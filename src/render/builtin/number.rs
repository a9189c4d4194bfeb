//! A number at a fixed place in a record.

use byteorder::ByteOrder;

use crate::{decode::unsigned, format::EventFormat};

/// The place of a number, from its field in the format file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Number {
    pub(crate) offset: usize,
    /// Bytes: 1, 2, 4 or 8.
    pub(crate) size: usize,
    pub(crate) signed: bool,
}

impl Number {
    /// The field `name` of `format`, if it exists and is a number.
    pub(crate) fn of(format: &EventFormat, name: &str) -> Option<Number> {
        let field = format.fields.iter().find(|f| f.name == name)?;
        let (offset, size) = (field.offset as usize, field.size as usize);
        matches!(size, 1 | 2 | 4 | 8).then_some(Number { offset, size, signed: field.signed.unwrap_or(false) })
    }

    /// Its value, zero-extended; 0 if the record is too short.
    #[inline]
    pub(crate) fn unsigned<E: ByteOrder>(self, record: &[u8]) -> u64 {
        record.get(self.offset..).and_then(|rest| rest.get(..self.size)).map_or(0, unsigned::<E>)
    }

    /// Its value, sign-extended.
    #[inline]
    pub(crate) fn signed<E: ByteOrder>(self, record: &[u8]) -> i64 {
        let unused = 64 - 8 * self.size as u32;
        ((self.unsigned::<E>(record) << unused) as i64) >> unused
    }
}

/// The offset of the field `name`, from which a tail runs to the end of the record.
pub(crate) fn offset_of(format: &EventFormat, name: &str) -> Option<usize> {
    format.fields.iter().find(|f| f.name == name).map(|f| f.offset as usize)
}
