//! Where the chunks of compressed data lie, as their heads say.

/// The most marks kept: then every other one goes, and so on.
const MAX_MARKS: usize = 4096;

/// Where some of the chunks of a run are: enough to find any one in a few steps, and never more than a few thousand.
#[derive(Debug)]
pub(super) struct ChunkIndex {
    marks: Vec<Mark>,
    /// Every which chunk has a mark.
    stride: u32,
    /// Sub-buffers in all chunks.
    pub(super) sub_buffers: u64,
    /// Bytes of all chunks, decompressed.
    size: u64,
    /// The size of the largest chunk, decompressed.
    pub(super) largest: u64,
}

/// One chunk.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mark {
    /// Its number.
    pub(super) chunk: u32,
    /// Its offset in the file.
    pub(super) offset: u64,
    /// Number of its first sub-buffer.
    pub(super) first: u64,
    /// Bytes of all chunks before it, decompressed.
    pub(super) before: u64,
}

impl ChunkIndex {
    /// The index of no chunks.
    pub(super) fn new() -> ChunkIndex {
        ChunkIndex { marks: Vec::new(), stride: 1, sub_buffers: 0, size: 0, largest: 0 }
    }

    /// Adds the next chunk, number `chunk`: where in the file it is, and its size decompressed, in sub-buffers of `unit`
    /// bytes.
    pub(super) fn push(&mut self, chunk: u32, offset: u64, size: u64, unit: u64) {
        if chunk.is_multiple_of(self.stride) && self.marks.len() == MAX_MARKS {
            self.stride = self.stride.saturating_mul(2);
            self.marks.retain(|mark| mark.chunk.is_multiple_of(self.stride));
        }
        if chunk.is_multiple_of(self.stride) {
            self.marks.push(Mark { chunk, offset, first: self.sub_buffers, before: self.size });
        }
        self.sub_buffers += size.div_ceil(unit);
        self.size = self.size.saturating_add(size);
        self.largest = self.largest.max(size);
    }

    /// The last mark at or before sub-buffer `wanted`.
    pub(super) fn mark_before(&self, wanted: u64) -> Option<Mark> {
        let after = self.marks.partition_point(|mark| mark.first <= wanted);
        after.checked_sub(1).and_then(|at| self.marks.get(at)).copied()
    }
}
