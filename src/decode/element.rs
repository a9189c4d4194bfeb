//! One element of a field, as it is stored in a record.

/// One element of a field, as it is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Element {
    /// An integer stored in `size` bytes (1, 2, 4 or 8), of which the low `bits` are significant.
    Integer {
        /// Bytes stored.
        size: u8,
        /// Significant bits, at most `8 * size`.
        bits: u8,
        /// Whether the highest significant bit is the sign.
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
    /// A byte of binary data, or of a type that is not known.
    Byte,
}

impl Element {
    /// Bytes that one element takes in the record.
    pub const fn size(self) -> u32 {
        match self {
            Element::Integer { size, .. } | Element::Bool { size } | Element::Pointer { size } => size as u32,
            Element::Char | Element::Byte => 1,
        }
    }
}
