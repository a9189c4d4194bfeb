//! One CPU's ring of an instance that somebody else reads, mapped to read it without consuming it.
//!
//! A read of `trace_pipe_raw` consumes what it returns. Since Linux 6.10 the file can be mapped instead
//! (Documentation/trace/ring-buffer-map.rst): all sub-buffers are visible in memory, and reading them has no effect
//! on others. They are written meanwhile, so each is copied between two reads of its header.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::ptr;

use crate::format::HeaderPage;
use crate::ring::Walk;
use crate::ring::sub_buffer::COMMIT_MASK;

/// The offsets of `struct trace_buffer_meta` (include/uapi/linux/trace_mmap.h), and its length.
const META_PAGE_SIZE: usize = 0;
const SUB_BUFFER_SIZE: usize = 8;
const SUB_BUFFERS: usize = 12;
const READER_ID: usize = 24;
const READER_READ: usize = 28;
const META: usize = 64;

/// How often copying a sub-buffer is tried while it is being overwritten, before it is skipped.
const TRIES: usize = 16;
/// A limit above the size of any ring.
const MOST: usize = 1 << 40;

/// One CPU's ring, mapped.
#[derive(Debug)]
pub struct MappedRing {
    // The mapping does not need it any more, but the open file keeps the instance.
    _file: File,
    memory: *mut libc::c_void,
    length: usize,
    sub_buffer: usize,
    first: usize,
    count: usize,
}

impl MappedRing {
    /// Maps the `trace_pipe_raw` at `path`.
    ///
    /// # Errors
    /// The errors of open(2) and mmap(2): ENODEV or EINVAL if the kernel does not support it, EBUSY if a tracer uses
    /// a second ring.
    pub fn open(path: &Path) -> io::Result<MappedRing> {
        let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path)?;
        let head = MappedRing::map(file.try_clone()?, rustix::param::page_size())?;
        let word = |offset| head.word(offset) as usize;
        let (first, sub_buffer, count) = (word(META_PAGE_SIZE), word(SUB_BUFFER_SIZE), word(SUB_BUFFERS));
        let length = sub_buffer.checked_mul(count).and_then(|all| all.checked_add(first));
        let length = length.filter(|&length| length < MOST && first >= META && sub_buffer > 16);
        let length = length.ok_or_else(|| io::Error::other("the ring's description makes no sense"))?;
        let mut ring = MappedRing::map(file, length)?;
        (ring.sub_buffer, ring.first, ring.count) = (sub_buffer, first, count);
        Ok(ring)
    }

    fn map(file: File, length: usize) -> io::Result<MappedRing> {
        // SAFETY: mmap(2) of a file of ours at an address that the kernel chooses; it returns `length` bytes that may
        // be read until they are unmapped, or MAP_FAILED.
        let memory =
            unsafe { libc::mmap(ptr::null_mut(), length, libc::PROT_READ, libc::MAP_SHARED, file.as_raw_fd(), 0) };
        match memory == libc::MAP_FAILED {
            true => Err(io::Error::last_os_error()),
            false => Ok(MappedRing { _file: file, memory, length, sub_buffer: 0, first: 0, count: 0 }),
        }
    }

    /// The current value of eight bytes; 0 past the end.
    fn long(&self, offset: usize) -> u64 {
        if !offset.is_multiple_of(8) || offset.saturating_add(8) > self.length {
            return 0;
        }
        // SAFETY: aligned and within the mapping, which lives as long as `self`. The kernel writes there
        // concurrently, so the read is volatile.
        unsafe { self.memory.cast::<u8>().add(offset).cast::<u64>().read_volatile() }
    }

    fn word(&self, offset: usize) -> u32 {
        let bytes = self.long(offset & !7).to_ne_bytes();
        let (low, high) = bytes.split_at(4);
        let half = if offset & 4 == 0 { low } else { high };
        half.try_into().map_or(0, u32::from_ne_bytes)
    }

    /// The size of a sub-buffer, bytes.
    pub fn sub_buffer_size(&self) -> usize {
        self.sub_buffer
    }

    /// A copy of every non-empty sub-buffer, the oldest first. `header` is their layout.
    pub fn sub_buffers(&self, header: &HeaderPage) -> Vec<Vec<u8>> {
        let (reader, read) = (self.word(READER_ID) as usize, self.word(READER_READ) as usize);
        // Sub-buffers that were read stay in memory until they are overwritten (`rb_get_reader_page`): all that are
        // older than the reader's.
        let oldest = if reader < self.count { self.long(self.first + reader * self.sub_buffer) } else { 0 };
        let mut found: Vec<(u64, Vec<u8>)> = Vec::new();
        for id in 0..self.count {
            let Some((time, page)) = self.copy(self.first + id * self.sub_buffer) else { continue };
            match id == reader && read > 0 {
                true => found.extend(behind(header, page, read)),
                false if time < oldest => {}
                false => found.push((time, page)),
            }
        }
        found.sort_by_key(|(time, _)| *time);
        found.into_iter().map(|(_, page)| page).collect()
    }

    /// The sub-buffer at `offset`, with its time, in a consistent state; `None` if it is empty, or changes all the
    /// time.
    fn copy(&self, offset: usize) -> Option<(u64, Vec<u8>)> {
        let head = || (self.long(offset), self.commit(offset));
        for _ in 0..TRIES {
            let (time, commit) = head();
            let end = (DATA + commit as usize).min(self.sub_buffer);
            if commit == 0 {
                return None;
            }
            let mut page = Vec::with_capacity(self.sub_buffer);
            let words = (offset..offset + end.next_multiple_of(8).min(self.sub_buffer)).step_by(8);
            words.for_each(|at| page.extend_from_slice(&self.long(at).to_ne_bytes()));
            page.truncate(end);
            page.resize(self.sub_buffer, 0);
            // A writer that reuses it resets its commit first (`rb_tail_page_update`).
            let (still, now) = head();
            if still == time && now >= commit {
                set_head(&mut page, time, commit);
                return Some((time, page));
            }
        }
        None
    }

    fn commit(&self, offset: usize) -> u64 {
        let word = if cfg!(target_pointer_width = "64") { self.long(offset + 8) } else { self.word(offset + 8).into() };
        word & COMMIT_MASK
    }
}

impl Drop for MappedRing {
    fn drop(&mut self) {
        // SAFETY: the mapping is ours, of this length, and nothing refers to it any more.
        unsafe { libc::munmap(self.memory, self.length) };
    }
}

/// The offset of the data: after the time stamp and the commit word, a `long`.
const DATA: usize = 8 + size_of::<usize>();

fn set_head(page: &mut [u8], time: u64, commit: u64) {
    let head = [&time.to_ne_bytes()[..], &(commit as usize).to_ne_bytes()].concat();
    page.iter_mut().zip(head).for_each(|(byte, new)| *byte = new);
}

/// The part of the current sub-buffer after the `read` bytes that the reader has already read.
fn behind(header: &HeaderPage, page: Vec<u8>, read: usize) -> Option<(u64, Vec<u8>)> {
    let (mut walk, _) = Walk::open::<byteorder::NativeEndian>(header, &page).ok()?;
    let (mut last, mut commit) = (None, 0);
    while let Some(Ok(found)) = walk.next_in::<byteorder::NativeEndian>(&page) {
        commit = found.payload.end.saturating_sub(DATA);
        if found.payload.end <= DATA + read {
            last = Some(found.time);
        }
    }
    let rest = page.get(DATA + read..DATA + commit).filter(|rest| !rest.is_empty())?;
    let time = last?;
    let mut cut = vec![0; DATA];
    cut.extend_from_slice(rest);
    cut.resize(page.len(), 0);
    set_head(&mut cut, time, (commit - read) as u64);
    Some((time, cut))
}
