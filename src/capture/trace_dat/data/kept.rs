//! Decompressed chunks that are kept for other readers of the file, where several threads read it.
//!
//! A part of a capture is searched for, looked through and then worked on, and the chunk in which one part ends is the one in
//! which the next begins: without this each would be decompressed two to four times.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

/// The most bytes kept for each processor: some parts of its thread. More would only be more memory to be given by the kernel.
const FOR_EACH: usize = 4 << 20;
/// The most bytes kept in all.
const MOST: usize = 64 << 20;
/// The largest chunk that is kept. A chunk may be as large as a file says; one that takes the place of all others is of no use.
const LARGEST: usize = 1 << 20;

/// See the [module](self).
#[derive(Debug)]
pub(in crate::capture::trace_dat) struct Kept {
    state: Mutex<State>,
    most: usize,
}

#[derive(Debug, Default)]
struct State {
    /// By the chunk's offset in the file.
    chunks: HashMap<u64, Arc<Vec<u8>>>,
    /// The offsets, the chunk that was decompressed first in front. Threads proceed through the file, so it is also the one
    /// that is wanted least.
    order: VecDeque<u64>,
    bytes: usize,
}

impl Kept {
    pub(super) fn new() -> Kept {
        let most = thread::available_parallelism().map_or(1, usize::from).saturating_mul(FOR_EACH).min(MOST);
        Kept { state: Mutex::default(), most }
    }

    /// The chunk at `offset`, of `size` bytes, if it is kept.
    pub(super) fn get(&self, offset: u64, size: u64) -> Option<Arc<Vec<u8>>> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.chunks.get(&offset).filter(|chunk| chunk.len() as u64 == size).cloned()
    }

    /// Keeps a chunk. One that gives way for it and that nobody reads is returned, so that its memory is used again.
    pub(super) fn put(&self, offset: u64, chunk: Arc<Vec<u8>>) -> Option<Arc<Vec<u8>>> {
        if chunk.len() > LARGEST {
            return None;
        }
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let State { chunks, order, bytes } = &mut *state;
        *bytes += chunk.len();
        let mut free = None;
        match chunks.insert(offset, chunk) {
            // Another thread was faster.
            Some(other) => {
                *bytes -= other.len();
                free = Some(other);
            }
            None => order.push_back(offset),
        }
        while *bytes > self.most {
            let Some(gone) = order.pop_front().and_then(|first| chunks.remove(&first)) else { break };
            *bytes -= gone.len();
            free = Some(gone);
        }
        free.filter(|free| Arc::strong_count(free) == 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: usize = 1 << 20;

    #[test]
    fn the_newest_chunks_are_kept_up_to_a_limit() {
        let kept = Kept { state: Mutex::default(), most: 16 * SIZE };
        let chunk = |byte| Arc::new(vec![byte; SIZE]);
        let room = 16;
        for at in 0..room {
            assert!(kept.put(at as u64, chunk(at as u8)).is_none(), "{at}");
        }
        assert!((0..room).all(|at| kept.get(at as u64, SIZE as u64).is_some_and(|kept| kept == chunk(at as u8))));
        // Not if the file says something else of it now.
        assert!(kept.get(3, SIZE as u64 + 1).is_none() && kept.get(room as u64, SIZE as u64).is_none());
        // The first gives way, and is given back; the second is being read.
        let read = kept.get(1, SIZE as u64).unwrap();
        assert_eq!(kept.put(room as u64, chunk(200)), Some(chunk(0)));
        assert_eq!(kept.put(room as u64 + 1, chunk(201)), None);
        assert!(kept.get(0, SIZE as u64).is_none() && kept.get(1, SIZE as u64).is_none());
        assert_eq!(read, chunk(1));
        // Twice the same one counts once.
        for _ in 0..2 * room {
            kept.put(room as u64, chunk(200));
        }
        assert!((2..room + 2).all(|at| kept.get(at as u64, SIZE as u64).is_some()));
        // One that is too large.
        assert!(kept.put(9999, Arc::new(vec![0; LARGEST + 1])).is_none());
        assert!(kept.get(9999, LARGEST as u64 + 1).is_none());
        assert_eq!(kept.state.lock().unwrap().bytes, 16 * SIZE);
    }
}
