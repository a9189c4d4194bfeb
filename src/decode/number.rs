//! Reads an integer of any width and sign without a branch.
//!
//! All integers are read alike: eight bytes of the record, a shift that keeps the significant bits, and the sign.
//! There is no branch on a field's width and sign, which would be mispredicted where events come in any order.
//!
//! ```text
//! little-endian  ·· ·· ·· ·· f0 f1 f2 f3    the bytes that end with those that count: shifted down
//! big-endian     ·· ·· ·· ·· f3 f2 f1 f0    the bytes that end with the field: shifted up, then down
//! ```
//!
//! Reading eight bytes is always possible, since every record begins with eight bytes of common fields.

use byteorder::ByteOrder;

use super::element::Element;
use super::error::DecodeError;

/// The place of an integer in a record, and its significant bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Number {
    /// Offset of the eight bytes in a little-endian record.
    little: u16,
    /// The same in a big-endian record.
    big: u16,
    /// How many of the 64 bits are not significant.
    unused: u8,
    /// The mask of the sign bit; 0 for an unsigned integer.
    sign: u64,
}

impl Number {
    /// How to read `element` at offset `at`; `None` if it is not an integer, or ends within the record's first eight
    /// bytes.
    pub(crate) fn new(at: usize, element: Element) -> Option<Number> {
        let size = element.size();
        let (bits, signed) = match element {
            Element::Integer { bits, signed, .. } => (u32::from(bits), signed),
            Element::Pointer { .. } | Element::Bool { .. } => (size.saturating_mul(8), false),
            Element::Char | Element::Byte => return None,
        };
        // A format file may claim any size.
        if !matches!(size, 1 | 2 | 4 | 8) || !matches!(bits, 8 | 16 | 32 | 64) || bits > 8 * size {
            return None;
        }
        let window = |len: u32| at.checked_add(len as usize)?.checked_sub(8)?.try_into().ok();
        let (little, big) = (window(bits / 8)?, window(size)?);
        Some(Number { little, big, unused: 64 - bits as u8, sign: u64::from(signed) << (bits - 1) })
    }

    /// Whether the integer is read as signed.
    #[inline(always)]
    pub(crate) fn is_signed(&self) -> bool {
        self.sign != 0
    }

    /// Whether all its values fit into an `i64`.
    pub(crate) fn fits_i64(&self) -> bool {
        self.is_signed() || self.unused > 0
    }

    /// The integer, sign- or zero-extended to 64 bits.
    #[inline(always)]
    pub(crate) fn read<E: ByteOrder>(&self, record: &[u8]) -> Result<u64, DecodeError> {
        // A constant to the optimizer.
        let is_big = E::read_u16(&[0, 1]) == 1;
        let at = usize::from(if is_big { self.big } else { self.little });
        let Some(bytes) = record.get(at..at + 8).and_then(|bytes| bytes.first_chunk::<8>()) else {
            return Err(DecodeError::short(record, at + 8));
        };
        let (word, unused) = (E::read_u64(bytes), self.unused & 63);
        let value = if is_big { word << unused >> unused } else { word >> unused };
        // Sign extension: Hacker's Delight, 2-5.
        Ok((value ^ self.sign).wrapping_sub(self.sign))
    }
}
