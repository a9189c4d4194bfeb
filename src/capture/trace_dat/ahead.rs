//! Decompresses chunks ahead of their readers in separate threads.
//!
//! A reader that has taken a chunk announces the next ones, and finds them decompressed when it gets there; results
//! and errors are the same as if it had done so itself. Memory for this has a limit of its own ([`AHEAD`]), so a
//! reader is never refused memory because of it. A chunk that no thread has begun is decompressed by the reader.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::thread;

use super::compression::Decompressor;
use super::source::Source;
use super::{DatError, Part};

/// Threads that decompress for the readers of a file.
const MOST_THREADS: usize = 4;
/// The most bytes of all chunks decompressed ahead, besides those that the readers hold. trace-cmd's chunks have ten
/// pages.
const AHEAD: u64 = 32 << 20;

/// A chunk, as described by its header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Chunk {
    /// The file offset of its compressed bytes.
    pub(super) offset: u64,
    /// Its compressed size.
    pub(super) stored: u64,
    /// Its decompressed size.
    pub(super) size: u64,
    /// For errors.
    pub(super) part: Part,
}

/// A chunk that is decompressed ahead.
#[derive(Debug)]
pub(super) struct Job {
    chunk: Chunk,
    state: Mutex<State>,
    done: Condvar,
    _held: Held,
}

#[derive(Debug)]
enum State {
    /// No thread has begun.
    Waiting,
    /// A thread works on it.
    Begun,
    Done(Result<Vec<u8>, DatError>),
    /// The reader has taken it, or skipped it.
    Taken,
}

/// The threads of one file, and their queue.
#[derive(Debug)]
pub(super) struct Ahead {
    /// The waiting jobs, in the order in which they were requested.
    queue: Arc<Queue>,
    held: Arc<AtomicU64>,
    /// Set with the first chunk: whether a thread could be started.
    begun: OnceLock<bool>,
    decompressor: Arc<Decompressor>,
    source: Arc<Source>,
}

#[derive(Debug, Default)]
struct Queue {
    jobs: Mutex<(VecDeque<Weak<Job>>, bool)>,
    changed: Condvar,
}

/// Bytes that are counted until this is dropped.
#[derive(Debug)]
struct Held(Arc<AtomicU64>, u64);

impl Held {
    fn new(all: &Arc<AtomicU64>, size: u64) -> Option<Held> {
        let held = Held(all.clone(), size);
        let before = all.fetch_add(size, Ordering::Relaxed);
        (before.saturating_add(size) <= AHEAD).then_some(held)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.0.fetch_sub(self.1, Ordering::Relaxed);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Ahead {
    /// For the readers of `source`.
    pub(super) fn new(source: Arc<Source>, decompressor: Arc<Decompressor>) -> Ahead {
        Ahead { queue: Arc::default(), held: Arc::default(), begun: OnceLock::new(), decompressor, source }
    }

    /// Requests `chunk`. `None` if there is no thread or no memory for it: then its reader decompresses it.
    pub(super) fn unpack(&self, chunk: Chunk) -> Option<Arc<Job>> {
        if !self.begun.get_or_init(|| self.begin()) {
            return None;
        }
        let held = Held::new(&self.held, chunk.size)?;
        let job = Arc::new(Job { chunk, state: Mutex::new(State::Waiting), done: Condvar::new(), _held: held });
        lock(&self.queue.jobs).0.push_back(Arc::downgrade(&job));
        self.queue.changed.notify_one();
        Some(job)
    }

    /// The decompressed `chunk`; `None` if the job is for another chunk, or no thread has begun it. While a thread
    /// works on it, other waiting jobs are done here, so that the reader's processor takes its share of the work.
    pub(super) fn take(&self, job: &Job, chunk: &Chunk) -> Option<Result<Vec<u8>, DatError>> {
        if job.chunk != *chunk {
            return None;
        }
        while job.is_begun() {
            let other = lock(&self.queue.jobs).0.pop_front();
            match other {
                Some(other) => other.upgrade().iter().for_each(|other| other.work(&self.source, &self.decompressor)),
                None => break,
            }
        }
        let mut state = lock(&job.state);
        while matches!(*state, State::Begun) {
            state = job.done.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        match std::mem::replace(&mut *state, State::Taken) {
            State::Done(unpacked) => Some(unpacked),
            _ => None,
        }
    }

    /// Starts the [threads]; whether there are any.
    fn begin(&self) -> bool {
        let threads = thread::available_parallelism().map_or(0, |all| threads(all.get()));
        let begin = || {
            let (queue, source, decompressor) = (self.queue.clone(), self.source.clone(), self.decompressor.clone());
            let thread = thread::Builder::new().name("unpack".to_owned());
            thread.spawn(move || queue.work(&source, &decompressor)).is_ok()
        };
        (0..threads).filter(|_| begin()).count() != 0
    }
}

/// One for each of `processors` besides the reader's.
fn threads(processors: usize) -> usize {
    (processors - 1).min(MOST_THREADS)
}

impl Drop for Ahead {
    fn drop(&mut self) {
        lock(&self.queue.jobs).1 = true;
        self.queue.changed.notify_all();
    }
}

impl Queue {
    fn work(&self, source: &Source, decompressor: &Decompressor) {
        while let Some(job) = self.next() {
            // A reader that continued elsewhere has dropped its job.
            job.upgrade().iter().for_each(|job| job.work(source, decompressor));
        }
    }

    /// The next job; `None` when the file has no readers any more.
    fn next(&self) -> Option<Weak<Job>> {
        let mut jobs = lock(&self.jobs);
        loop {
            if jobs.1 {
                return None;
            }
            if let Some(job) = jobs.0.pop_front() {
                return Some(job);
            }
            jobs = self.changed.wait(jobs).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Job {
    fn work(&self, source: &Source, decompressor: &Decompressor) {
        {
            let mut state = lock(&self.state);
            if !matches!(*state, State::Waiting) {
                return;
            }
            *state = State::Begun;
        }
        let Chunk { offset, stored, size, part } = self.chunk;
        let mut out = vec![0; size as usize];
        let unpacked = decompressor.read(source, offset, stored, &mut out, part).map(|()| out);
        *lock(&self.state) = State::Done(unpacked);
        self.done.notify_all();
    }

    fn is_begun(&self) -> bool {
        matches!(*lock(&self.state), State::Begun)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::trace_dat::Compression;

    fn ahead(bytes: &[u8]) -> Ahead {
        use std::io::Write;
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        let decompressor = Decompressor::new(Compression::None);
        Ahead::new(Arc::new(Source::new(file).unwrap()), Arc::new(decompressor))
    }

    #[test]
    fn a_chunk_is_decompressed_or_left_to_the_reader_and_never_confused() {
        let ahead = ahead(b"some bytes");
        let part = Part::Data { cpu: 0 };
        let chunk = Chunk { offset: 5, stored: 5, size: 5, part };
        let alone = thread::available_parallelism().map_or(1, usize::from) == 1;
        let Some(job) = ahead.unpack(chunk) else { return assert!(alone, "there are threads") };
        assert!(ahead.take(&job, &Chunk { offset: 4, ..chunk }).is_none());
        // Either the thread was first, or the chunk is ours.
        match ahead.take(&job, &chunk) {
            Some(unpacked) => assert_eq!(unpacked.unwrap(), b"bytes"),
            None => assert!(ahead.take(&job, &chunk).is_none()),
        }
        let wrong = Chunk { size: 6, ..chunk };
        let job = ahead.unpack(wrong).unwrap();
        while matches!(*lock(&job.state), State::Waiting) {
            thread::yield_now();
        }
        assert!(ahead.take(&job, &wrong).unwrap().is_err());
    }

    #[test]
    fn the_reader_keeps_a_processor_and_the_threads_end_with_the_last_reader() {
        assert_eq!([1, 2, 5, 6, 512].map(threads), [0, 1, 4, 4, 4]);
        let ahead = ahead(b"some bytes");
        ahead.unpack(Chunk { offset: 0, stored: 4, size: 4, part: Part::Data { cpu: 0 } });
        let queue = Arc::downgrade(&ahead.queue);
        drop(ahead);
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(30);
        while queue.strong_count() > 0 {
            assert!(std::time::Instant::now() < deadline, "a thread still waits for work");
            thread::sleep(std::time::Duration::from_millis(1));
        }
    }

    #[test]
    fn memory_for_decompression_ahead_is_bounded() {
        let ahead = ahead(&[]);
        // Pretend that there are threads, which do nothing.
        ahead.begun.set(true).unwrap();
        let chunk = Chunk { offset: 0, stored: 0, size: AHEAD / 2, part: Part::Data { cpu: 0 } };
        let first = ahead.unpack(chunk).unwrap();
        let _second = ahead.unpack(chunk).unwrap();
        assert!(ahead.unpack(Chunk { size: 1, ..chunk }).is_none());
        drop(first);
        assert!(ahead.unpack(chunk).is_some());
    }
}
