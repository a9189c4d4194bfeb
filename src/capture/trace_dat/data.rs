//! The ring data: one CPU's sub-buffers, read through a window and decompressed piece by piece.
//!
//! Nothing is mapped, and at most one window or compressed chunk per CPU is read ahead, so memory does not depend on
//! the file's size. The decompressed bytes of all CPUs together are limited too, since a chunk states its own size
//! and a hostile one states a large one.

use std::{io, sync::Arc};

use self::bytes::Bytes;
use super::{DatError, Part};
use crate::ring::Feed;

mod bytes;
mod chunk_index;
mod kept;
mod seek;
mod shared;

pub(super) use shared::Shared;

/// The place of one CPU's data in the file.
#[derive(Debug, Clone)]
pub struct CpuData {
    /// The CPU.
    pub cpu: u32,
    /// Offset in the file, bytes.
    pub offset: u64,
    /// Size in the file, bytes; compressed if the file is.
    pub size: u64,
    pub(super) compressed: bool,
}

impl CpuData {
    /// The end in the file. trace-cmd omits the four bytes of the chunk count from the size of compressed data (bug
    /// 217367 of the kernel's bug tracker), so they are allowed.
    pub(super) fn end(&self, file_len: u64) -> u64 {
        let slack = if self.compressed { 4 } else { 0 };
        self.offset.saturating_add(self.size).saturating_add(slack).min(file_len)
    }
}

/// One CPU's sub-buffers in order.
///
/// A last piece shorter than a sub-buffer is returned as it is: the walk over it reports what is missing.
#[derive(Debug)]
pub struct SubBuffers {
    bytes: Bytes,
    sub_buffer_size: usize,
}

impl SubBuffers {
    pub(super) fn new(shared: Arc<Shared>, data: &CpuData, sub_buffer_size: usize) -> SubBuffers {
        SubBuffers { bytes: Bytes::new(shared, data, Part::Data { cpu: data.cpu }), sub_buffer_size }
    }

    /// Puts the next sub-buffer into `page`; `false` at the end.
    pub fn next_into(&mut self, page: &mut Vec<u8>) -> Result<bool, DatError> {
        if self.bytes.rest().is_empty() && !self.bytes.load(self.sub_buffer_size as u64)? {
            return Ok(false);
        }
        let rest = self.bytes.rest();
        let taken = rest.get(..self.sub_buffer_size).unwrap_or(rest);
        page.clear();
        page.extend_from_slice(taken);
        self.bytes.at += page.len();
        Ok(true)
    }

    fn unit(&self) -> u64 {
        (self.sub_buffer_size as u64).max(1)
    }
}

impl Feed for SubBuffers {
    fn advance(&mut self, page: &mut Vec<u8>) -> io::Result<bool> {
        self.next_into(page).map_err(io::Error::other)
    }

    fn sub_buffers(&mut self) -> io::Result<Option<u64>> {
        self.bytes.count(self.unit()).map(Some).map_err(io::Error::other)
    }

    fn seek(&mut self, index: u64) -> io::Result<bool> {
        let unit = self.unit();
        self.bytes.seek(index, unit).map_err(io::Error::other)?;
        Ok(true)
    }

    fn seek_near_end(&mut self) -> io::Result<bool> {
        let unit = self.unit();
        Ok(self.bytes.compressed && self.bytes.seek_last_chunk(unit).map_err(io::Error::other)?)
    }

    fn twin(&mut self) -> Option<Box<dyn Feed + Send>> {
        let bytes = self.bytes.twin(self.unit())?;
        Some(Box::new(SubBuffers { bytes, sub_buffer_size: self.sub_buffer_size }))
    }

    fn skipped(&self) -> Option<(u64, String)> {
        let first = self.bytes.first_skipped.as_ref()?;
        Some((self.bytes.skipped, first.to_string()))
    }
}

/// The text in a latency tracer's file, as a [`Read`](io::Read).
#[derive(Debug)]
pub struct TextData {
    bytes: Bytes,
}

impl TextData {
    pub(super) fn new(shared: Arc<Shared>, data: &CpuData) -> TextData {
        TextData { bytes: Bytes::new(shared, data, Part::Text) }
    }
}

impl io::Read for TextData {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.bytes.rest().is_empty() && !self.bytes.load(1).map_err(io::Error::other)? {
            return Ok(0);
        }
        let size = self.bytes.rest().len().min(out.len());
        if let (Some(out), Some(rest)) = (out.get_mut(..size), self.bytes.rest().get(..size)) {
            out.copy_from_slice(rest);
        }
        self.bytes.at += size;
        Ok(size)
    }
}

#[cfg(test)]
mod tests;
