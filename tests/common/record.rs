//! Records made by hand, from a format and the values of its fields.

use ftrace_live::format::{Endian, EventFormat, Field, Place};

/// A record of an event: zero except for what is set.
pub struct Record<'f> {
    format: &'f EventFormat,
    endian: Endian,
    bytes: Vec<u8>,
}

impl<'f> Record<'f> {
    /// All fields zero, the common ones too.
    pub fn new(format: &'f EventFormat, endian: Endian) -> Self {
        let end = format.fields.iter().map(|f| f.offset + f.size).max().unwrap_or(8).max(8);
        Record { format, endian, bytes: vec![0; end as usize] }
    }

    /// Whether it is big-endian.
    pub fn is_big(&self) -> bool {
        self.endian == Endian::Big
    }

    fn field(&self, name: &str) -> &'f Field {
        self.format.field(name).unwrap_or_else(|| panic!("{} has no field {name}", self.format.full_name()))
    }

    fn put(&mut self, offset: u32, size: u32, value: i128) {
        let le = value.to_le_bytes();
        let mut bytes = le[..size as usize].to_vec();
        if self.endian == Endian::Big {
            bytes.reverse();
        }
        self.bytes[offset as usize..][..size as usize].copy_from_slice(&bytes);
    }

    /// Sets a scalar.
    pub fn set(mut self, name: &str, value: i128) -> Self {
        let field = self.field(name);
        self.put(field.offset, field.size, value);
        self
    }

    /// Sets an element of an array of numbers.
    pub fn set_at(mut self, name: &str, index: u32, value: i128) -> Self {
        let field = self.field(name);
        self.put(field.offset + index * field.ctype.size, field.ctype.size, value);
        self
    }

    /// Sets the first bytes of a fixed array, or appends the value of a dynamic one and sets its location.
    pub fn bytes(mut self, name: &str, value: &[u8]) -> Self {
        let field = self.field(name);
        let at = field.offset as usize;
        match field.place {
            Place::DataLoc | Place::RelLoc => {
                let base = if field.place == Place::RelLoc { at + 4 } else { 0 };
                let word = (value.len() << 16 | (self.bytes.len() - base)) as i128;
                self.put(field.offset, 4, word);
                self.bytes.extend_from_slice(value);
            }
            _ => self.bytes[at..at + value.len()].copy_from_slice(value),
        }
        self
    }

    /// Like [`bytes`](Self::bytes), with a NUL.
    pub fn text(self, name: &str, value: &str) -> Self {
        self.bytes(name, &[value.as_bytes(), b"\0"].concat())
    }

    /// The record's bytes.
    pub fn done(self) -> Vec<u8> {
        self.bytes
    }
}
