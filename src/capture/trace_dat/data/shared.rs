//! What the readers of one file's CPUs share: the file, its byte order and compression, and the bound on what all of them
//! together hold decompressed.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use crate::{
    capture::trace_dat::{
        Compression, DatError, Part, Problem, ahead::Ahead, compression::Decompressor, source::Source,
    },
    format::Endian,
};

/// What the readers of one file share.
#[derive(Debug)]
pub(in crate::capture::trace_dat) struct Shared {
    pub(in crate::capture::trace_dat) source: Arc<Source>,
    pub(in crate::capture::trace_dat) endian: Endian,
    pub(in crate::capture::trace_dat) decompressor: Decompressor,
    /// Unpacks what readers come to next; `None` where they are several threads themselves.
    pub(super) ahead: Option<Ahead>,
    /// Decompressed bytes that all readers hold.
    held: AtomicU64,
    /// The most they may.
    limit: u64,
    /// What each of them may, whatever the others do.
    pub(super) share: u64,
    /// Whether damaged pieces are passed over.
    pub(super) salvage: bool,
}

/// Decompressed bytes that all CPUs together may hold. trace-cmd's chunks are ten pages.
const HELD: u64 = 64 << 20;

/// What each CPU may hold in any case, so that a machine of thousands of CPUs can be read.
const HELD_PER_CPU: u64 = 64 << 10;

/// The two sizes that a chunk begins with: compressed and decompressed.
pub(super) const CHUNK_HEAD: u64 = 8;

/// The most that a CPU's data may expand to, times its size in the file. Sub-buffers of 64 KiB with a few events each
/// are nearly all zeros and do expand a thousandfold.
const MAX_EXPANSION: u64 = 4096;

impl Shared {
    /// The same for other readers, which hold as much as these may.
    pub(super) fn twin(&self) -> Shared {
        let decompressor = Decompressor::new(self.decompressor.algorithm);
        let source = self.source.clone();
        Shared { source, decompressor, ahead: None, held: AtomicU64::new(0), ..*self }
    }

    /// The shared part of a file with `cpus` CPUs.
    pub(in crate::capture::trace_dat) fn new(
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

    pub(super) fn u32(&self, bytes: [u8; 4]) -> u32 {
        if self.endian == Endian::Big { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) }
    }

    pub(super) fn u32_at(&self, offset: u64, part: Part) -> Result<u32, DatError> {
        let mut bytes = [0; 4];
        self.source.read(offset, &mut bytes, part)?;
        Ok(self.u32(bytes))
    }

    /// The head of a chunk: its sizes, stored and decompressed.
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

/// What the data between these offsets may expand to, bytes.
pub(super) fn allowance(start: u64, end: u64) -> u64 {
    HELD.saturating_add(end.saturating_sub(start).saturating_mul(MAX_EXPANSION))
}
