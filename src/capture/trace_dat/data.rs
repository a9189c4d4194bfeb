//! The ring data: one CPU's sub-buffers, read through a window and decompressed piece by piece.
//!
//! Nothing is mapped and nothing is read ahead beyond one window or one compressed chunk per CPU, so a file of any size
//! replays in the same memory. What all CPUs together hold decompressed is bounded too: a chunk states its own size,
//! and a hostile one states a large one.

use std::{
    collections::VecDeque,
    io,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use super::{
    Compression, DatError, Part, Problem,
    ahead::{Ahead, Chunk, Job},
    compression::Decompressor,
    source::Source,
};
use crate::{format::Endian, ring::Feed};

/// Bytes of uncompressed data read at once, per CPU: as much as of a folder's file.
const WINDOW: u64 = 48 << 10;

/// What the readers of one file share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) source: Arc<Source>,
    pub(super) endian: Endian,
    pub(super) decompressor: Decompressor,
    /// Unpacks what readers come to next; `None` where they are several threads themselves.
    ahead: Option<Ahead>,
    /// Decompressed bytes that all readers hold.
    held: AtomicU64,
    /// The most they may.
    limit: u64,
    /// What each of them may, whatever the others do.
    share: u64,
    /// Whether damaged pieces are passed over.
    salvage: bool,
}

/// Decompressed bytes that all CPUs together may hold. trace-cmd's chunks are ten pages.
const HELD: u64 = 64 << 20;
/// What each CPU may hold in any case, so that a machine of thousands of CPUs can be read.
const HELD_PER_CPU: u64 = 64 << 10;

/// Chunks of a CPU that are unpacked ahead.
const DEPTH: usize = 3;

/// The two sizes that a chunk begins with: compressed and decompressed.
const CHUNK_HEAD: u64 = 8;
/// The most that a CPU's data may expand to, times its size in the file. Sub-buffers of 64 KiB with a few events each
/// are nearly all zeros and do expand a thousandfold.
const MAX_EXPANSION: u64 = 4096;

impl Shared {
    /// The same for other readers, which hold as much as these may.
    fn twin(&self) -> Shared {
        let decompressor = Decompressor::new(self.decompressor.algorithm);
        let source = self.source.clone();
        Shared { source, decompressor, ahead: None, held: AtomicU64::new(0), ..*self }
    }

    /// The shared part of a file with `cpus` CPUs.
    pub(super) fn new(
        source: Arc<Source>,
        endian: Endian,
        compression: Compression,
        cpus: usize,
        salvage: bool,
    ) -> Shared {
        let limit = HELD.max(HELD_PER_CPU * cpus as u64);
        let (decompressor, share) = (Decompressor::new(compression), limit / cpus.max(1) as u64);
        let ahead = (compression != Compression::None).then(|| Ahead::new(source.clone(), compression));
        Shared { source, endian, decompressor, ahead, held: AtomicU64::new(0), limit, share, salvage }
    }

    fn u32(&self, bytes: [u8; 4]) -> u32 {
        if self.endian == Endian::Big { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) }
    }

    fn u32_at(&self, offset: u64, part: Part) -> Result<u32, DatError> {
        let mut bytes = [0; 4];
        self.source.read(offset, &mut bytes, part)?;
        Ok(self.u32(bytes))
    }

    /// The head of a chunk: its sizes, stored and decompressed.
    fn head_at(&self, offset: u64, part: Part) -> Result<(u64, u64), DatError> {
        let mut bytes = [0; CHUNK_HEAD as usize];
        self.source.read(offset, &mut bytes, part)?;
        let [a, b, c, d, e, f, g, h] = bytes;
        Ok((self.u32([a, b, c, d]).into(), self.u32([e, f, g, h]).into()))
    }
}

/// Where one CPU's data lie in the file.
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
    /// The end in the file. trace-cmd leaves the four bytes of the chunk count out of the size of compressed data
    /// (bug 217367 of the kernel's bug tracker), so they are allowed for.
    pub(super) fn end(&self, file_len: u64) -> u64 {
        let slack = if self.compressed { 4 } else { 0 };
        self.offset.saturating_add(self.size).saturating_add(slack).min(file_len)
    }
}

/// A run of bytes of the file, in order: through a window, or one decompressed chunk after another.
#[derive(Debug)]
struct Bytes {
    shared: Arc<Shared>,
    part: Part,
    /// The bytes at hand.
    piece: Vec<u8>,
    /// Next byte of `piece`.
    at: usize,
    /// File offset of what follows.
    next: u64,
    /// File offset where the run must have ended.
    end: u64,
    compressed: bool,
    /// Chunks left, in a compressed run; `None` before their count was read.
    chunks: Option<u32>,
    /// Bytes that decompression may still yield.
    allowance: u64,
    /// Bytes counted in [`Shared::held`].
    held: u64,
    /// Damaged pieces passed over.
    skipped: u64,
    first_skipped: Option<DatError>,
    /// Where the run begins.
    start: u64,
    /// The chunk that was sought: its sub-buffers, and where in the file it ends. It is at hand while nothing behind it was read.
    piece_is: Option<(u64, u64, u64)>,
    /// Chunks read one after the other, without a search between them.
    in_row: u32,
    /// The next chunks, as far as they are unpacked ahead: where in the file they end, and how long they are together.
    ahead: VecDeque<Arc<Job>>,
    ahead_end: u64,
    ahead_size: u64,
    /// Where chunks are, once someone asked.
    index: Option<Arc<ChunkIndex>>,
}

/// Where some of the chunks of a run are: enough to find any one in a few steps, and never more than a few thousand.
#[derive(Debug)]
struct ChunkIndex {
    marks: Vec<Mark>,
    /// Sub-buffers in all chunks.
    sub_buffers: u64,
    /// The size of the largest chunk, decompressed.
    largest: u64,
}

/// One chunk.
#[derive(Debug, Clone, Copy)]
struct Mark {
    /// Its number.
    chunk: u32,
    /// Its offset in the file.
    offset: u64,
    /// Number of its first sub-buffer.
    first: u64,
    /// Bytes of all chunks before it, decompressed.
    before: u64,
}

/// Bytes at the end of compressed data that are searched for the last chunk: more than one takes.
const TAIL: u64 = 1 << 20;
/// Places that are tried as the last chunk's.
const TRIES: usize = 8;

/// The most marks kept: then every other one goes, and so on.
const MAX_MARKS: usize = 4096;

impl Bytes {
    fn new(shared: Arc<Shared>, data: &CpuData, part: Part) -> Bytes {
        let end = data.end(shared.source.len());
        Bytes {
            part,
            piece: Vec::new(),
            at: 0,
            next: data.offset,
            end,
            compressed: data.compressed,
            chunks: None,
            allowance: allowance(data.offset, end),
            held: 0,
            skipped: 0,
            first_skipped: None,
            start: data.offset,
            piece_is: None,
            in_row: 0,
            ahead: VecDeque::new(),
            ahead_end: 0,
            ahead_size: 0,
            index: None,
            shared,
        }
    }

    fn error(&self, problem: Problem) -> DatError {
        DatError { offset: self.next, part: self.part, problem }
    }

    fn left(&self) -> u64 {
        self.end.saturating_sub(self.next)
    }

    /// Another reader of the run, at its beginning. `None` where that one could be refused what this one is not, or the
    /// other way round: where damaged chunks are passed over, and where a chunk is larger than every reader's share.
    fn twin(&mut self, unit: u64) -> Option<Bytes> {
        let fits = !self.compressed || self.index(unit).ok()?.largest <= self.shared.share;
        let data = CpuData { cpu: 0, offset: self.start, size: 0, compressed: self.compressed };
        let mut twin = Bytes::new(Arc::new(self.shared.twin()), &data, self.part);
        (twin.end, twin.allowance, twin.index) = (self.end, allowance(self.start, self.end), self.index.clone());
        (fits && !self.shared.salvage).then_some(twin)
    }

    /// What is at hand and not yet taken.
    fn rest(&self) -> &[u8] {
        self.piece.get(self.at..).unwrap_or_default()
    }

    /// Loads the next piece; `false` at the end. Windows are a multiple of `unit`.
    #[cold]
    fn load(&mut self, unit: u64) -> Result<bool, DatError> {
        self.at = 0;
        self.piece.clear();
        let loaded = if self.compressed { self.load_chunk() } else { self.load_window(unit) };
        if !matches!(loaded, Ok(true)) {
            self.release();
        }
        loaded
    }

    fn load_window(&mut self, unit: u64) -> Result<bool, DatError> {
        let unit = unit.max(1);
        let size = self.left().min((WINDOW / unit * unit).max(unit));
        self.piece.resize(size as usize, 0);
        let read = self.shared.source.read(self.next, &mut self.piece, self.part);
        // After an error this CPU is at its end: no caller can be caught in a loop of errors.
        self.next = if read.is_ok() { self.next + size } else { self.end };
        read.map(|()| size > 0)
    }

    fn load_chunk(&mut self) -> Result<bool, DatError> {
        loop {
            let chunks = match self.chunks {
                Some(chunks) => chunks,
                None => self.chunk_count()?,
            };
            if chunks == 0 {
                return Ok(false);
            }
            self.chunks = Some(chunks - 1);
            match self.decompress_chunk() {
                Ok(()) if self.piece.is_empty() => {}
                Ok(()) => return Ok(true),
                Err(error) if self.shared.salvage => {
                    self.skipped += 1;
                    self.first_skipped.get_or_insert(error);
                }
                Err(error) => {
                    self.chunks = Some(0);
                    return Err(error);
                }
            }
        }
    }

    /// The count that compressed data begin with.
    fn chunk_count(&mut self) -> Result<u32, DatError> {
        self.chunks = Some(0);
        if self.left() == 0 {
            return Ok(0);
        }
        if self.left() < 4 {
            return Err(self.error(Problem::Truncated { needed: 4, left: self.left() }));
        }
        let count = self.shared.u32_at(self.next, self.part)?;
        self.next += 4;
        let needed = u64::from(count) * CHUNK_HEAD;
        if needed > self.left() && !self.shared.salvage {
            return Err(self.error(Problem::Truncated { needed, left: self.left() }));
        }
        Ok(count)
    }

    /// Decompresses the chunk at `next` into `piece` and steps beyond it, also if it is damaged.
    fn decompress_chunk(&mut self) -> Result<(), DatError> {
        if self.left() < CHUNK_HEAD {
            let error = self.error(Problem::Truncated { needed: CHUNK_HEAD, left: self.left() });
            self.chunks = Some(0);
            return Err(error);
        }
        let head = self.next;
        let (stored, size) = self.shared.head_at(head, self.part)?;
        if stored > self.left() - CHUNK_HEAD {
            let error = self.error(Problem::Truncated { needed: stored, left: self.left() - CHUNK_HEAD });
            self.chunks = Some(0);
            return Err(error);
        }
        self.next = head + CHUNK_HEAD + stored;
        let part = self.part;
        let at_head = |problem| DatError { offset: head, part, problem };
        if size > self.allowance {
            let limit = self.allowance;
            self.chunks = Some(0);
            return Err(at_head(Problem::TooLarge { size, limit }));
        }
        self.hold(size).map_err(at_head)?;
        self.allowance -= size;
        let chunk = Chunk { offset: head + CHUNK_HEAD, stored, size, part };
        self.in_row = self.in_row.saturating_add(1);
        let job = self.ahead.pop_front();
        self.ahead_size = self.ahead_size.saturating_sub(size);
        self.unpack_next();
        let shared = &self.shared;
        let unpacked = job.zip(shared.ahead.as_ref());
        let unpacked = unpacked.and_then(|(job, ahead)| ahead.take(&job, &chunk, &shared.decompressor));
        let done = match unpacked {
            Some(unpacked) => unpacked.map(|piece| self.piece = piece),
            None => {
                self.piece.reserve_exact(size as usize);
                self.piece.resize(size as usize, 0);
                shared.decompressor.read(&shared.source, chunk.offset, stored, &mut self.piece, part)
            }
        };
        if done.is_err() {
            self.piece.clear();
        }
        done
    }

    /// Has the next chunks unpacked, once it shows that they are wanted one after the other: at a search they are not.
    fn unpack_next(&mut self) {
        let Some(ahead) = self.shared.ahead.as_ref().filter(|_| self.in_row > 1) else { return };
        if self.ahead.is_empty() {
            (self.ahead_end, self.ahead_size) = (self.next, 0);
        }
        while self.ahead.len() < DEPTH && self.chunks.is_some_and(|left| self.ahead.len() < left as usize) {
            let Ok(Some((stored, size))) = self.chunk_head(self.ahead_end) else { break };
            // What is beyond these is found out when it is read.
            if size == 0 || size > self.allowance.saturating_sub(self.ahead_size) {
                break;
            }
            let chunk = Chunk { offset: self.ahead_end + CHUNK_HEAD, stored, size, part: self.part };
            let Some(job) = ahead.unpack(chunk) else { break };
            self.ahead.push_back(job);
            self.ahead_end += CHUNK_HEAD + stored;
            self.ahead_size += size;
        }
    }

    /// Sizes of the chunk at `offset`, stored and decompressed; `None` where the run ends before it does.
    fn chunk_head(&self, offset: u64) -> Result<Option<(u64, u64)>, DatError> {
        let left = self.end.saturating_sub(offset);
        if left < CHUNK_HEAD {
            return Ok(None);
        }
        let (stored, size) = self.shared.head_at(offset, self.part)?;
        Ok((stored <= left - CHUNK_HEAD).then_some((stored, size)))
    }

    /// Finds out where the chunks are, by their heads alone.
    fn index(&mut self, unit: u64) -> Result<&ChunkIndex, DatError> {
        if self.index.is_none() {
            let (next, chunks) = (self.next, self.chunks);
            self.next = self.start;
            let count = self.chunk_count();
            (self.next, self.chunks) = (next, chunks);
            let count = count?;
            let mut marks = Vec::new();
            let (mut offset, mut first, mut stride) = (self.start.saturating_add(4), 0u64, 1u32);
            let (mut before, mut largest) = (0u64, 0);
            for chunk in 0..count {
                let Some((stored, size)) = self.chunk_head(offset)? else { break };
                if chunk.is_multiple_of(stride) {
                    if marks.len() == MAX_MARKS {
                        stride = stride.saturating_mul(2);
                        marks.retain(|mark: &Mark| mark.chunk.is_multiple_of(stride));
                    }
                    if chunk.is_multiple_of(stride) {
                        marks.push(Mark { chunk, offset, first, before });
                    }
                }
                offset += CHUNK_HEAD + stored;
                first += size.div_ceil(unit);
                (before, largest) = (before.saturating_add(size), size.max(largest));
            }
            self.index = Some(Arc::new(ChunkIndex { marks, sub_buffers: first, largest }));
        }
        self.index.as_deref().ok_or_else(|| self.error(Problem::Missing))
    }

    /// How many sub-buffers of `unit` bytes there are.
    fn count(&mut self, unit: u64) -> Result<u64, DatError> {
        if self.compressed {
            return Ok(self.index(unit)?.sub_buffers);
        }
        Ok(self.end.saturating_sub(self.start).div_ceil(unit))
    }

    /// Makes sub-buffer `wanted` the next one.
    fn seek(&mut self, wanted: u64, unit: u64) -> Result<(), DatError> {
        if let Some((first, end, next)) = self.piece_is
            && (first..end).contains(&wanted)
            && next == self.next
            && !self.piece.is_empty()
        {
            // In the chunk at hand, as a search by halving ends.
            (self.at, self.in_row) = (((wanted - first) * unit) as usize, 1);
            self.ahead.clear();
            return Ok(());
        }
        self.piece_is = None;
        self.at = 0;
        self.piece.clear();
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
        let index = self.index(unit)?;
        let after = index.marks.partition_point(|mark| mark.first <= wanted);
        let mark = after.checked_sub(1).and_then(|at| index.marks.get(at)).copied();
        self.next = self.start;
        let count = self.chunk_count()?;
        let Some(Mark { mut chunk, mut offset, mut first, mut before }) = mark else { return Ok(()) };
        while chunk < count {
            let Some((stored, size)) = self.chunk_head(offset)? else { break };
            let sub_buffers = size.div_ceil(unit);
            if wanted < first + sub_buffers {
                (self.next, self.chunks) = (offset, Some(count - chunk));
                self.piece_is = Some((first, first + sub_buffers, offset + CHUNK_HEAD + stored));
                // As much as is left of it where all chunks up to here were read.
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
        // Beyond the end.
        self.chunks = Some(0);
        Ok(())
    }

    /// Makes the first sub-buffer of the last chunk the next one, without a walk over all chunks, of which a large file has
    /// millions: the last one is where a head says that its chunk ends with the data. `false` where none is found.
    fn seek_last_chunk(&mut self, unit: u64) -> Result<bool, DatError> {
        let from = self.start.saturating_add(4).max(self.end.saturating_sub(TAIL));
        let mut tail = vec![0; self.end.saturating_sub(from) as usize];
        self.shared.source.read(from, &mut tail, self.part)?;
        let number = |at: usize| Some(u64::from(self.shared.u32(*tail.get(at..)?.first_chunk()?)));
        let is_last = |at: usize| {
            let (Some(stored), Some(size)) = (number(at), number(at + 4)) else { return false };
            // Where the chunk count is not left out of the size, the data end four bytes before the end allowed for.
            let behind = (tail.len() as u64).checked_sub(at as u64 + CHUNK_HEAD + stored);
            size > 0 && size.is_multiple_of(unit) && matches!(behind, Some(0 | 4))
        };
        let places: Vec<_> = (0..tail.len()).rev().filter(|&at| is_last(at)).take(TRIES).collect();
        for place in places {
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

    /// Counts `size` bytes as held instead of what is counted now.
    fn hold(&mut self, size: u64) -> Result<(), Problem> {
        // The capacity of `piece` only grows.
        if size <= self.held {
            return Ok(());
        }
        let more = size - self.held;
        let others = self.shared.held.fetch_add(more, Ordering::Relaxed);
        if others.saturating_add(more) > self.shared.limit {
            self.shared.held.fetch_sub(more, Ordering::Relaxed);
            return Err(Problem::TooLarge { size, limit: self.shared.limit.saturating_sub(others) });
        }
        self.held = size;
        Ok(())
    }

    /// Gives the memory back.
    fn release(&mut self) {
        self.piece = Vec::new();
        self.shared.held.fetch_sub(std::mem::take(&mut self.held), Ordering::Relaxed);
    }
}

/// What the data between these offsets may expand to, bytes.
fn allowance(start: u64, end: u64) -> u64 {
    HELD.saturating_add(end.saturating_sub(start).saturating_mul(MAX_EXPANSION))
}

impl Drop for Bytes {
    fn drop(&mut self) {
        self.release();
    }
}

/// One CPU's sub-buffers, one after the other.
///
/// A last piece that is shorter than a sub-buffer is given as it is: the walk over it tells what is missing.
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

/// The text of a latency tracer's file, as a [`Read`](io::Read).
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
