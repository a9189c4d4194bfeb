//! Why a field could not be read from a record.

/// Why a field could not be read from a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// The record is shorter than its fixed fields.
    #[error("a record of {len} bytes, shorter than the {needs} of its fixed fields")]
    Short {
        /// Its length.
        len: u32,
        /// The length of the fixed fields.
        needs: u32,
    },
    /// A location word points outside of the record.
    #[error("the location word at {word} names {len} bytes at {offset}, outside of a record of {record} bytes")]
    Location {
        /// Offset of the location word.
        word: u32,
        /// The offset in it.
        offset: u32,
        /// The length in it.
        len: u32,
        /// The length of the record.
        record: u32,
    },
}

impl DecodeError {
    /// [`DecodeError::Short`]; lengths above 4 GiB, which no record has, are clamped.
    #[cold]
    pub(crate) fn short(record: &[u8], needs: usize) -> DecodeError {
        DecodeError::Short { len: small(record.len()), needs: small(needs) }
    }

    #[cold]
    pub(super) fn location(record: &[u8], word: usize, offset: usize, len: usize) -> DecodeError {
        DecodeError::Location { word: small(word), offset: small(offset), len: small(len), record: small(record.len()) }
    }
}

fn small(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}
