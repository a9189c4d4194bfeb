//! The positions of the chunks of compressed data, from their headers.

/// The most marks kept; when there are more, every other one is dropped.
const MAX_MARKS: usize = 4096;

/// The places of some chunks: enough to find any one in a few steps, and at most a few thousand.
#[derive(Debug)]
pub(super) struct ChunkIndex {
    pub(super) marks: Vec<Mark>,
    /// Every which chunk has a mark.
    stride: u32,
    /// The number of sub-buffers in all chunks.
    pub(super) sub_buffers: u64,
    /// Bytes of all chunks, decompressed.
    size: u64,
    /// The decompressed size of the largest chunk.
    pub(super) largest: u64,
}

/// One chunk.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mark {
    /// Its number.
    pub(super) chunk: u32,
    /// Its offset in the file.
    pub(super) offset: u64,
    /// The number of its first sub-buffer.
    pub(super) first: u64,
    /// The decompressed size of all chunks before it.
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
