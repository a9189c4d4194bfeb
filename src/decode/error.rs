//! What can be wrong with a record.

/// What is wrong with a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// Shorter than its fixed fields.
    #[error("a record of {len} bytes, shorter than the {needs} of its fixed fields")]
    Short {
        /// Bytes there are.
        len: u32,
        /// Bytes needed.
        needs: u32,
    },
    /// A location word points outside of the record.
    #[error("the location word at {word} names {len} bytes at {offset}, outside of a record of {record} bytes")]
    Location {
        /// Offset of the location word.
        word: u32,
        /// Where it points.
        offset: u32,
        /// How many bytes it names.
        len: u32,
        /// Bytes there are.
        record: u32,
    },
}

impl DecodeError {
    /// [`DecodeError::Short`]; lengths beyond 4 GiB, which no record has, are cut to it.
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
