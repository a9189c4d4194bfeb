//! Seeking to a sub-buffer: by its number, or to the first one of the last chunk.

use std::sync::Arc;

use super::{
    CpuData,
    bytes::Bytes,
    chunk_index::{ChunkIndex, Mark},
    shared::{CHUNK_HEAD, allowance},
};
use crate::capture::trace_dat::{DatError, Problem};

/// Bytes at the end of compressed data that are searched for the last chunk: more than one chunk takes.
const TAIL: u64 = 1 << 20;

/// Places that are tried as the last chunk's.
const TRIES: usize = 8;

impl Bytes {
    /// Another reader of the run, at its beginning. `None` if the two could get different results: if damaged chunks
    /// are skipped, or a chunk is larger than every reader's share.
    pub(super) fn twin(&mut self, unit: u64) -> Option<Bytes> {
        let fits = !self.compressed || self.index(unit).ok()?.largest <= self.shared.share;
        let data = CpuData { cpu: 0, offset: self.start, size: 0, compressed: self.compressed };
        let mut twin = Bytes::new(Arc::new(self.shared.twin()), &data, self.part);
        (twin.end, twin.allowance, twin.index) = (self.end, allowance(self.start, self.end), self.index.clone());
        (fits && !self.shared.salvage).then_some(twin)
    }

    /// Builds the index of chunks from their headers.
    pub(super) fn index(&mut self, unit: u64) -> Result<&ChunkIndex, DatError> {
        if self.index.is_none() {
            let (next, chunks) = (self.next, self.chunks);
            self.next = self.start;
            let count = self.chunk_count();
            (self.next, self.chunks) = (next, chunks);
            let count = count?;
            let mut index = ChunkIndex::new();
            let mut offset = self.start.saturating_add(4);
            for chunk in 0..count {
                let Some((stored, size)) = self.chunk_head(offset)? else { break };
                index.push(chunk, offset, size, unit);
                offset += CHUNK_HEAD + stored;
            }
            self.index = Some(Arc::new(index));
        }
        self.index.as_deref().ok_or_else(|| self.error(Problem::Missing))
    }

    /// The number of sub-buffers of `unit` bytes.
    pub(super) fn count(&mut self, unit: u64) -> Result<u64, DatError> {
        if self.compressed {
            return Ok(self.index(unit)?.sub_buffers);
        }
        Ok(self.end.saturating_sub(self.start).div_ceil(unit))
    }

    /// Makes sub-buffer `wanted` the next one.
    pub(super) fn seek(&mut self, wanted: u64, unit: u64) -> Result<(), DatError> {
        if let Some((first, end, next)) = self.piece_is
            && (first..end).contains(&wanted)
            && next == self.next
            && !self.piece.is_empty()
        {
            // In the current chunk, as at the end of a binary search.
            (self.at, self.in_row) = (((wanted - first) * unit) as usize, 1);
            self.ahead.clear();
            return Ok(());
        }
        self.piece_is = None;
        self.at = 0;
        self.clear();
        self.ahead.clear();
        self.in_row = 0;
        self.allowance = allowance(self.start, self.end);
        if wanted == 0 {
            (self.next, self.chunks) = (self.start, None);
            return Ok(());
        }
        if !self.compressed {
            self.next = self.start.saturating_add(wanted.saturating_mul(unit)).min(self.end);
            return Ok(());
        }
        let mark = self.index(unit)?.mark_before(wanted);
        self.next = self.start;
        let count = self.chunk_count()?;
        let Some(Mark { mut chunk, mut offset, mut first, mut before }) = mark else { return Ok(()) };
        while chunk < count {
            let Some((stored, size)) = self.chunk_head(offset)? else { break };
            let sub_buffers = size.div_ceil(unit);
            if wanted < first + sub_buffers {
                (self.next, self.chunks) = (offset, Some(count - chunk));
                self.piece_is = Some((first, first + sub_buffers, offset + CHUNK_HEAD + stored));
                // What is left of it if all chunks before were read.
                self.allowance = self.allowance.saturating_sub(before);
                if wanted > first && self.load(unit)? {
                    self.at = ((wanted - first) * unit) as usize;
                }
                return Ok(());
            }
            first += sub_buffers;
            offset += CHUNK_HEAD + stored;
            before = before.saturating_add(size);
            chunk += 1;
        }
        // Past the end.
        self.chunks = Some(0);
        Ok(())
    }

    /// Makes the first sub-buffer of the last chunk the next one, without walking over all chunks, of which a large
    /// file has millions: the last chunk is found by a header whose chunk ends with the data. Returns `false` if none
    /// is found.
    pub(super) fn seek_last_chunk(&mut self, unit: u64) -> Result<bool, DatError> {
        let from = self.start.saturating_add(4).max(self.end.saturating_sub(TAIL));
        let mut tail = vec![0; self.end.saturating_sub(from) as usize];
        self.shared.source.read(from, &mut tail, self.part)?;
        let shared = self.shared.clone();
        let number = |at: usize| Some(u64::from(shared.u32(*tail.get(at..)?.first_chunk()?)));
        let is_last = |at: usize| {
            let (Some(stored), Some(size)) = (number(at), number(at + 4)) else { return false };
            // If the size includes the chunk count, the data end four bytes before the allowed end.
            let behind = (tail.len() as u64).checked_sub(at as u64 + CHUNK_HEAD + stored);
            matches!(behind, Some(0 | 4)) && size > 0 && size.is_multiple_of(unit)
        };
        // The first one found is nearly always right, and a few thousand bytes from the end: no more are looked at.
        for place in (0..tail.len()).rev().filter(|&at| is_last(at)).take(TRIES) {
            self.seek(0, unit)?;
            self.next = from + place as u64;
            if self.decompress_chunk().is_ok() {
                self.chunks = Some(0);
                return Ok(true);
            }
        }
        self.seek(0, unit)?;
        Ok(false)
    }
}
