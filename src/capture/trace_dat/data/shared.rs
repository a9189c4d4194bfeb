//! What the readers of all CPUs of a file share: the file, its byte order and compression, and the limit on how much
//! decompressed data all of them together hold.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use super::kept::Kept;
use crate::{
    capture::trace_dat::{
        Compression, DatError, Part, Problem, ahead::Ahead, compression::Decompressor, source::Source,
    },
    format::Endian,
};

/// State shared by the readers of one file.
#[derive(Debug)]
pub(in crate::capture::trace_dat) struct Shared {
    pub(in crate::capture::trace_dat) source: Arc<Source>,
    pub(in crate::capture::trace_dat) endian: Endian,
    pub(in crate::capture::trace_dat) decompressor: Arc<Decompressor>,
    /// Decompresses the next chunks of the readers; `None` if these run in several threads themselves.
    pub(super) ahead: Option<Ahead>,
    /// Keeps chunks for these threads; `None` for a reader that is alone.
    pub(super) kept: Option<Arc<Kept>>,
    /// What is kept by the twins of these readers.
    kept_by_twins: Arc<Kept>,
    /// Decompressed bytes held by all readers.
    pub(super) held: AtomicU64,
    /// The limit for all readers.
    pub(super) limit: u64,
    /// What each of them may hold in any case.
    pub(super) share: u64,
    /// Whether damaged pieces are skipped.
    pub(super) salvage: bool,
}

/// Decompressed bytes that all CPUs together may hold. trace-cmd's chunks have ten pages.
const HELD: u64 = 64 << 20;

/// What each CPU may hold in any case, so that captures with thousands of CPUs can be read.
const HELD_PER_CPU: u64 = 64 << 10;

/// A chunk begins with two sizes: compressed and decompressed.
pub(super) const CHUNK_HEAD: u64 = 8;

/// The largest ratio between a CPU's data and its size in the file. Sub-buffers of 64 KiB with a few events each are
/// nearly all zeros and do expand a thousandfold.
const MAX_EXPANSION: u64 = 4096;

impl Shared {
    /// The same for other readers, with the same limits.
    pub(super) fn twin(&self) -> Shared {
        Shared {
            source: self.source.clone(),
            decompressor: self.decompressor.clone(),
            ahead: None,
            kept: Some(self.kept_by_twins.clone()),
            kept_by_twins: self.kept_by_twins.clone(),
            held: AtomicU64::new(0),
            ..*self
        }
    }

    /// The shared state of a file with `cpus` CPUs.
    pub(in crate::capture::trace_dat) fn new(
        source: Arc<Source>,
        endian: Endian,
        compression: Compression,
        cpus: usize,
        salvage: bool,
    ) -> Shared {
        let limit = HELD.max(HELD_PER_CPU * cpus as u64);
        let (decompressor, share) = (Arc::new(Decompressor::new(compression)), limit / cpus.max(1) as u64);
        let ahead = (compression != Compression::None).then(|| Ahead::new(source.clone(), decompressor.clone()));
        let (held, kept_by_twins) = (AtomicU64::new(0), Arc::new(Kept::new()));
        Shared { source, endian, decompressor, ahead, kept: None, kept_by_twins, held, limit, share, salvage }
    }

    pub(super) fn u32(&self, bytes: [u8; 4]) -> u32 {
        if self.endian == Endian::Big { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) }
    }

    pub(super) fn u32_at(&self, offset: u64, part: Part) -> Result<u32, DatError> {
        let mut bytes = [0; 4];
        self.source.read(offset, &mut bytes, part)?;
        Ok(self.u32(bytes))
    }

    /// The sizes in the header of a chunk: stored and decompressed.
    pub(super) fn head_at(&self, offset: u64, part: Part) -> Result<(u64, u64), DatError> {
        let mut bytes = [0; CHUNK_HEAD as usize];
        self.source.read(offset, &mut bytes, part)?;
        let [a, b, c, d, e, f, g, h] = bytes;
        Ok((self.u32([a, b, c, d]).into(), self.u32([e, f, g, h]).into()))
    }

    /// Counts `size` bytes as held by a reader, if they are more than the `held` that are counted now.
    pub(super) fn hold(&self, held: &mut u64, size: u64) -> Result<(), Problem> {
        if size <= *held {
            return Ok(());
        }
        let more = size - *held;
        let others = self.held.fetch_add(more, Ordering::Relaxed);
        if others.saturating_add(more) > self.limit {
            self.held.fetch_sub(more, Ordering::Relaxed);
            return Err(Problem::TooLarge { size, limit: self.limit.saturating_sub(others) });
        }
        *held = size;
        Ok(())
    }

    /// Counts none as held by a reader any more.
    pub(super) fn release(&self, held: &mut u64) {
        self.held.fetch_sub(std::mem::take(held), Ordering::Relaxed);
    }
}

/// The largest decompressed size of the data between these offsets.
pub(super) fn allowance(start: u64, end: u64) -> u64 {
    HELD.saturating_add(end.saturating_sub(start).saturating_mul(MAX_EXPANSION))
}
