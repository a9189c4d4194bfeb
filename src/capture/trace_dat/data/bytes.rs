//! A range of bytes of the file, loaded piece by piece: through a window, or one decompressed chunk after another.

use std::{collections::VecDeque, sync::Arc};

use super::{
    CpuData,
    chunk_index::ChunkIndex,
    shared::{CHUNK_HEAD, Shared, allowance},
};
use crate::capture::trace_dat::{
    DatError, Part, Problem,
    ahead::{Chunk, Job},
};

/// Bytes of uncompressed data read at once, per CPU: as much as of a folder's file.
const WINDOW: u64 = 48 << 10;

/// Chunks of a CPU that are unpacked ahead.
const DEPTH: usize = 3;

/// A run of bytes of the file, in order: through a window, or one decompressed chunk after another.
#[derive(Debug)]
pub(super) struct Bytes {
    pub(super) shared: Arc<Shared>,
    pub(super) part: Part,
    /// The bytes at hand; others may read the same ones ([`Kept`](super::kept::Kept)).
    pub(super) piece: Arc<Vec<u8>>,
    /// Memory for the next ones.
    spare: Option<Arc<Vec<u8>>>,
    /// Next byte of `piece`.
    pub(super) at: usize,
    /// File offset of what follows.
    pub(super) next: u64,
    /// File offset where the run must have ended.
    pub(super) end: u64,
    pub(super) compressed: bool,
    /// Chunks left, in a compressed run; `None` before their count was read.
    pub(super) chunks: Option<u32>,
    /// Bytes that decompression may still yield.
    pub(super) allowance: u64,
    /// Bytes that [`Shared`] counts as held.
    pub(super) held: u64,
    /// Damaged pieces passed over.
    pub(super) skipped: u64,
    pub(super) first_skipped: Option<DatError>,
    /// Where the run begins.
    pub(super) start: u64,
    /// The chunk that was sought: its sub-buffers, and where in the file it ends. It is at hand while nothing behind it was read.
    pub(super) piece_is: Option<(u64, u64, u64)>,
    /// Chunks (and windows, up to one) read one after the other, without a search between them.
    pub(super) in_row: u32,
    /// The next chunks, as far as they are unpacked ahead: where in the file they end, and how long they are together.
    pub(super) ahead: VecDeque<Arc<Job>>,
    pub(super) ahead_end: u64,
    pub(super) ahead_size: u64,
    /// Where chunks are, once someone asked.
    pub(super) index: Option<Arc<ChunkIndex>>,
}

impl Bytes {
    pub(super) fn new(shared: Arc<Shared>, data: &CpuData, part: Part) -> Bytes {
        let end = data.end(shared.source.len());
        Bytes {
            part,
            piece: Arc::default(),
            spare: None,
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

    pub(super) fn error(&self, problem: Problem) -> DatError {
        DatError { offset: self.next, part: self.part, problem }
    }

    fn left(&self) -> u64 {
        self.end.saturating_sub(self.next)
    }

    /// What is at hand and not yet taken.
    pub(super) fn rest(&self) -> &[u8] {
        self.piece.get(self.at..).unwrap_or_default()
    }

    /// Loads the next piece; `false` at the end. Windows are a multiple of `unit`.
    #[cold]
    pub(super) fn load(&mut self, unit: u64) -> Result<bool, DatError> {
        self.at = 0;
        let loaded = if self.compressed { self.load_chunk() } else { self.load_window(unit) };
        if !matches!(loaded, Ok(true)) {
            self.release();
        }
        loaded
    }

    fn load_window(&mut self, unit: u64) -> Result<bool, DatError> {
        let unit = unit.max(1);
        // A search looks at one sub-buffer here and one there; more is read when they are read one after the other.
        let window = if self.in_row == 0 { unit } else { (WINDOW / unit * unit).max(unit) };
        self.in_row = 1;
        let size = self.left().min(window);
        let piece = room(&mut self.piece, &mut self.spare);
        piece.resize(size as usize, 0);
        let read = self.shared.source.read(self.next, piece, self.part);
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
    pub(super) fn chunk_count(&mut self) -> Result<u32, DatError> {
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
    pub(super) fn decompress_chunk(&mut self) -> Result<(), DatError> {
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
        // The capacity of `piece` only grows.
        self.shared.hold(&mut self.held, size).map_err(at_head)?;
        self.allowance -= size;
        let chunk = Chunk { offset: head + CHUNK_HEAD, stored, size, part };
        self.in_row = self.in_row.saturating_add(1);
        let job = self.ahead.pop_front();
        self.ahead_size = self.ahead_size.saturating_sub(size);
        self.unpack_next();
        let shared = &self.shared;
        if let Some(kept) = shared.kept.as_ref().and_then(|kept| kept.get(chunk.offset, size)) {
            self.piece = kept;
            return Ok(());
        }
        let unpacked = job.zip(shared.ahead.as_ref());
        let unpacked = unpacked.and_then(|(job, ahead)| ahead.take(&job, &chunk));
        let done = match unpacked {
            Some(unpacked) => unpacked.map(|piece| self.piece = Arc::new(piece)),
            None => {
                let piece = room(&mut self.piece, &mut self.spare);
                piece.reserve_exact((size as usize).saturating_sub(piece.len()));
                piece.resize(size as usize, 0);
                shared.decompressor.read(&shared.source, chunk.offset, stored, piece, part)
            }
        };
        match &shared.kept {
            _ if done.is_err() => self.clear(),
            Some(kept) => self.spare = kept.put(chunk.offset, self.piece.clone()),
            None => {}
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
    pub(super) fn chunk_head(&self, offset: u64) -> Result<Option<(u64, u64)>, DatError> {
        let left = self.end.saturating_sub(offset);
        if left < CHUNK_HEAD {
            return Ok(None);
        }
        let (stored, size) = self.shared.head_at(offset, self.part)?;
        Ok((stored <= left - CHUNK_HEAD).then_some((stored, size)))
    }

    /// Nothing is at hand.
    pub(super) fn clear(&mut self) {
        match Arc::get_mut(&mut self.piece) {
            Some(piece) => piece.clear(),
            None => self.piece = Arc::default(),
        }
    }

    /// Gives the memory back.
    fn release(&mut self) {
        (self.piece, self.spare) = (Arc::default(), None);
        self.shared.release(&mut self.held);
    }
}

/// Memory for the next bytes at hand. What was in it is overwritten, so that it need not be zeroed each time.
fn room<'a>(piece: &'a mut Arc<Vec<u8>>, spare: &mut Option<Arc<Vec<u8>>>) -> &'a mut Vec<u8> {
    if Arc::get_mut(piece).is_none() {
        *piece = spare.take().unwrap_or_default();
    }
    Arc::make_mut(piece)
}

impl Drop for Bytes {
    fn drop(&mut self) {
        self.release();
    }
}
