//! Bounded reading: positioned reads of the file, and a cursor over the numbers and texts in its metadata.
//!
//! Every length comes from the file and is checked twice before it is used: against the rest of the section (or
//! file), and against a limit for that kind of part. So no more is allocated than the file contains.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::{DatError, Part, Problem};
use crate::format::Endian;

/// Bytes the cursor reads ahead.
const READ_AHEAD: u64 = 64 << 10;

/// An open file and its length when it was last checked.
#[derive(Debug)]
pub(in crate::capture) struct Source {
    pub(in crate::capture) file: File,
    len: AtomicU64,
}

impl Source {
    /// Takes over an open file.
    pub(in crate::capture) fn new(file: File) -> io::Result<Source> {
        let source = Source { file, len: AtomicU64::new(0) };
        source.look_again()?;
        Ok(source)
    }

    /// The file's length, bytes.
    pub(in crate::capture) fn len(&self) -> u64 {
        self.len.load(Ordering::Relaxed)
    }

    /// Updates the length: a file being recorded is extended before its table is written, so the table must be
    /// compared with a length that was read later.
    pub(in crate::capture) fn look_again(&self) -> io::Result<()> {
        self.len.store(self.file.metadata()?.len(), Ordering::Relaxed);
        Ok(())
    }

    /// Fills `out` from `offset`; the caller has checked the range against [`Source::len`], but a file can shrink.
    pub(in crate::capture) fn read(&self, offset: u64, out: &mut [u8], part: Part) -> Result<(), DatError> {
        self.file.read_exact_at(out, offset).map_err(|error| {
            let problem = match error.kind() {
                io::ErrorKind::UnexpectedEof => {
                    Problem::Truncated { needed: out.len() as u64, left: self.len().saturating_sub(offset) }
                }
                _ => Problem::Io(error),
            };
            DatError { offset, part, problem }
        })
    }
}

/// Reads numbers and texts in order, from a range of the file or from a decompressed section.
#[derive(Debug, Clone)]
pub(in crate::capture) struct Cursor {
    source: Arc<Source>,
    endian: Endian,
    part: Part,
    /// The current bytes; in a decompressed section all of them.
    buffer: Vec<u8>,
    /// The next byte of `buffer`.
    at: usize,
    /// File offset of the byte after `buffer`.
    after: u64,
    /// The file offset of the end of the part.
    end: u64,
    /// In a decompressed section: its offset in the file, which errors refer to.
    section: Option<u64>,
}

impl Cursor {
    /// A cursor over the file from `offset` to `end`, or to the end of the file.
    pub(in crate::capture) fn over_file(
        source: Arc<Source>,
        endian: Endian,
        part: Part,
        offset: u64,
        end: u64,
    ) -> Cursor {
        let end = end.min(source.len());
        Cursor { source, endian, part, buffer: Vec::new(), at: 0, after: offset, end, section: None }
    }

    /// A cursor over a decompressed section at `offset` in the file.
    pub(in crate::capture) fn over_bytes(
        source: Arc<Source>,
        endian: Endian,
        part: Part,
        offset: u64,
        bytes: Vec<u8>,
    ) -> Cursor {
        Cursor { source, endian, part, buffer: bytes, at: 0, after: offset, end: offset, section: Some(offset) }
    }

    /// Sets the part that is read from here on, for errors.
    pub(in crate::capture) fn enter(&mut self, part: Part) {
        self.part = part;
    }

    /// Sets the byte order, once it is known.
    pub(in crate::capture) fn set_endian(&mut self, endian: Endian) {
        self.endian = endian;
    }

    /// The offset of the next byte in the file (in a decompressed section: that of the section).
    pub(in crate::capture) fn offset(&self) -> u64 {
        self.section.unwrap_or_else(|| self.after.saturating_sub((self.buffer.len() - self.at) as u64))
    }

    /// Bytes left in the part.
    pub(in crate::capture) fn left(&self) -> u64 {
        (self.buffer.len() - self.at) as u64 + self.end.saturating_sub(self.after)
    }

    /// An error at this place.
    pub(in crate::capture) fn error(&self, problem: Problem) -> DatError {
        DatError { offset: self.offset(), part: self.part, problem }
    }

    /// Ensures that `needed` bytes are in the buffer.
    fn fill(&mut self, needed: usize) -> Result<(), DatError> {
        let at_hand = self.buffer.len() - self.at;
        if at_hand >= needed {
            return Ok(());
        }
        if self.left() < needed as u64 {
            return Err(self.error(Problem::Truncated { needed: needed as u64, left: self.left() }));
        }
        let more = ((needed - at_hand) as u64).max(READ_AHEAD.min(self.end - self.after));
        self.buffer.drain(..self.at);
        self.at = 0;
        self.buffer.resize(at_hand + more as usize, 0);
        let read = self.source.read(self.after, &mut self.buffer[at_hand..], self.part);
        if read.is_err() {
            self.buffer.truncate(at_hand);
        } else {
            self.after += more;
        }
        read
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], DatError> {
        self.fill(N)?;
        let mut out = [0; N];
        out.copy_from_slice(&self.buffer[self.at..self.at + N]);
        self.at += N;
        Ok(out)
    }

    /// One byte.
    pub(in crate::capture) fn u8(&mut self) -> Result<u8, DatError> {
        Ok(self.array::<1>()?[0])
    }

    /// Two bytes in the file's order.
    pub(in crate::capture) fn u16(&mut self) -> Result<u16, DatError> {
        let bytes = self.array()?;
        Ok(if self.endian == Endian::Big { u16::from_be_bytes(bytes) } else { u16::from_le_bytes(bytes) })
    }

    /// Four bytes in the file's order.
    pub(in crate::capture) fn u32(&mut self) -> Result<u32, DatError> {
        let bytes = self.array()?;
        Ok(if self.endian == Endian::Big { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) })
    }

    /// Eight bytes in the file's order.
    pub(in crate::capture) fn u64(&mut self) -> Result<u64, DatError> {
        let bytes = self.array()?;
        Ok(if self.endian == Endian::Big { u64::from_be_bytes(bytes) } else { u64::from_le_bytes(bytes) })
    }

    /// The next `size` bytes, which may be at most `limit`.
    pub(in crate::capture) fn bytes(&mut self, size: u64, limit: u64) -> Result<Vec<u8>, DatError> {
        if size > self.left() {
            return Err(self.error(Problem::Truncated { needed: size, left: self.left() }));
        }
        if size > limit {
            return Err(self.error(Problem::TooLarge { size, limit }));
        }
        let size = size as usize;
        let at_hand = (self.buffer.len() - self.at).min(size);
        let mut out = Vec::with_capacity(size);
        out.extend_from_slice(&self.buffer[self.at..self.at + at_hand]);
        out.resize(size, 0);
        // Long texts (kallsyms has megabytes) are read in place, not through the buffer.
        if at_hand < size {
            self.source.read(self.after, &mut out[at_hand..], self.part)?;
            self.after += (size - at_hand) as u64;
        }
        self.at += at_hand;
        Ok(out)
    }

    /// Reads the next `size` bytes into `out`, whose capacity is kept from call to call. `size` is that of a record:
    /// at most 64 KiB.
    pub(in crate::capture) fn bytes_into(&mut self, out: &mut Vec<u8>, size: u64) -> Result<(), DatError> {
        let size = size as usize;
        self.fill(size)?;
        out.clear();
        out.extend_from_slice(&self.buffer[self.at..self.at + size]);
        self.at += size;
        Ok(())
    }

    /// Seeks to `offset` in the file. The buffer is kept if it contains that place.
    pub(in crate::capture) fn seek(&mut self, offset: u64) {
        let begin = self.after.saturating_sub(self.buffer.len() as u64);
        match offset.checked_sub(begin) {
            Some(at) if offset <= self.after => self.at = at as usize,
            _ => {
                self.buffer.clear();
                (self.at, self.after) = (0, offset.min(self.end));
            }
        }
    }

    /// A cursor over exactly the next `size` bytes.
    pub(in crate::capture) fn part_of(&mut self, size: u64, limit: u64) -> Result<Cursor, DatError> {
        let offset = self.offset();
        let bytes = self.bytes(size, limit)?;
        Ok(Cursor::over_bytes(self.source.clone(), self.endian, self.part, offset, bytes))
    }

    /// Skips `size` bytes.
    pub(in crate::capture) fn skip(&mut self, size: u64) -> Result<(), DatError> {
        if size > self.left() {
            return Err(self.error(Problem::Truncated { needed: size, left: self.left() }));
        }
        let at_hand = ((self.buffer.len() - self.at) as u64).min(size);
        self.at += at_hand as usize;
        self.after += size - at_hand;
        Ok(())
    }

    /// Text up to a NUL byte, which is consumed; of at most `limit` bytes.
    pub(in crate::capture) fn cstr(&mut self, limit: u64) -> Result<String, DatError> {
        let mut wanted = 32usize;
        loop {
            let wanted_now = (wanted as u64).min(self.left()).min(limit + 1) as usize;
            self.fill(wanted_now)?;
            let seen = &self.buffer[self.at..self.at + wanted_now];
            if let Some(length) = memchr::memchr(0, seen) {
                let text = String::from_utf8_lossy(&seen[..length]).into_owned();
                self.at += length + 1;
                return Ok(text);
            }
            if wanted_now as u64 == self.left() {
                return Err(self.error(Problem::Truncated { needed: self.left() + 1, left: self.left() }));
            }
            if wanted_now as u64 > limit {
                return Err(self.error(Problem::TooLarge { size: wanted_now as u64, limit }));
            }
            wanted *= 2;
        }
    }

    /// Expects a fixed word of the format; consumes it only if it is there.
    pub(in crate::capture) fn expect(&mut self, expected: &'static str) -> Result<(), DatError> {
        let len = expected.len();
        self.fill(len)?;
        let found = &self.buffer[self.at..self.at + len];
        if found != expected.as_bytes() {
            let found = String::from_utf8_lossy(found).into_owned();
            return Err(self.error(Problem::Expected { expected, found }));
        }
        self.at += len;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
