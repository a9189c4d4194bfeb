//! Datagrams for receivers of this process, which another thread sends as WebSocket frames.
//!
//! The sending side neither waits nor allocates: it copies datagrams into one of two buffers, which the other side
//! swaps for the empty one. Datagrams that find no room are counted and dropped. With nobody connected nothing is
//! copied. What a receiver needs if it connects later is kept too: the start of the stream and the schema of every
//! address.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rosc::{OscMessage, OscPacket, encoder};

use super::schema::Schema;

/// The most bytes waiting for the other thread.
pub const CAPACITY: usize = 1 << 20;

/// Datagrams, concatenated.
#[derive(Debug, Default)]
pub struct Batch {
    bytes: Vec<u8>,
    /// The end of each.
    ends: Vec<usize>,
}

impl Batch {
    /// A batch with all the memory that it will need.
    pub fn new() -> Batch {
        Batch { bytes: Vec::with_capacity(CAPACITY), ends: Vec::with_capacity(CAPACITY / 64) }
    }

    fn push(&mut self, datagram: &[u8]) -> bool {
        let room = self.bytes.len() + datagram.len() <= CAPACITY && self.ends.len() < CAPACITY / 64;
        if room {
            self.bytes.extend_from_slice(datagram);
            self.ends.push(self.bytes.len());
        }
        room
    }

    /// The datagrams in the order in which they were sent.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).filter_map(|(start, &end)| self.bytes.get(start..end))
    }

    /// Removes them and keeps the memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
    }
}

/// What a receiver that connects later needs.
#[derive(Debug, Default, Clone)]
pub struct Known {
    /// `/ftrace/start`, as it was sent.
    pub start: Option<OscMessage>,
    /// The addresses, each with its signature.
    pub schemas: BTreeMap<String, Schema>,
    /// The beginning of every address.
    pub prefix: String,
}

/// Wakes the thread that takes the datagrams.
type Wake = Box<dyn Fn() + Send + Sync>;

struct Shared {
    connected: AtomicUsize,
    waiting: Mutex<Batch>,
    known: Mutex<Known>,
    wake: Wake,
}

/// The channel from the stream to the thread that sends WebSocket frames.
#[derive(Clone)]
pub struct Frames(Arc<Shared>);

impl std::fmt::Debug for Frames {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Frames").field("connected", &self.0.connected).finish_non_exhaustive()
    }
}

/// If the other thread panicked, the data are still consistent.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Frames {
    /// An empty channel with nobody connected. `wake` is called when the first datagram is queued.
    pub fn new(wake: impl Fn() + Send + Sync + 'static) -> Frames {
        let (waiting, known) = (Mutex::new(Batch::new()), Mutex::new(Known::default()));
        Frames(Arc::new(Shared { connected: AtomicUsize::new(0), waiting, known, wake: Box::new(wake) }))
    }

    /// Sets how many receivers are connected.
    pub fn set_connected(&self, count: usize) {
        self.0.connected.store(count, Ordering::Relaxed);
    }

    /// How many receivers are connected.
    pub fn connected(&self) -> usize {
        self.0.connected.load(Ordering::Relaxed)
    }

    /// Queues datagrams, each given with its number of messages, for the other thread; `done` is called for each with
    /// whether there was room. With nobody connected they are dropped without calling `done`.
    pub fn send<'d>(&self, datagrams: impl Iterator<Item = (&'d [u8], u64)>, mut done: impl FnMut(u64, bool)) {
        if self.connected() == 0 {
            return;
        }
        let mut waiting = lock(&self.0.waiting);
        let empty = waiting.ends.is_empty();
        for (datagram, messages) in datagrams {
            done(messages, waiting.push(datagram));
        }
        let wake = empty && !waiting.ends.is_empty();
        drop(waiting);
        if wake {
            (self.0.wake)();
        }
    }

    /// Empties `batch` and swaps it for the queued datagrams.
    pub fn take(&self, batch: &mut Batch) {
        batch.clear();
        std::mem::swap(&mut *lock(&self.0.waiting), batch);
    }

    /// Stores the start of the stream for receivers that connect later.
    pub fn started(&self, prefix: &str, start: OscMessage) {
        let mut known = lock(&self.0.known);
        (known.start, known.prefix) = (Some(start), prefix.to_owned());
    }

    /// Stores the signature of an address for receivers that connect later.
    pub fn add(&self, schema: &Schema) {
        lock(&self.0.known).schemas.insert(schema.address.clone(), schema.clone());
    }

    /// The beginning of every address; `/ftrace` before the stream has started.
    pub fn prefix(&self) -> String {
        let known = lock(&self.0.known);
        if known.prefix.is_empty() { "/ftrace".to_owned() } else { known.prefix.clone() }
    }

    /// What a receiver that connects later needs.
    pub fn known(&self) -> Known {
        lock(&self.0.known).clone()
    }
}

impl Known {
    /// The same as packets: the start, then every address.
    pub fn packets(&self) -> Vec<Vec<u8>> {
        let schemas = self.schemas.values().map(|schema| super::about::schema(&self.prefix, schema));
        let messages = self.start.iter().cloned().chain(schemas);
        messages.filter_map(|message| encoder::encode(&OscPacket::Message(message)).ok()).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU32;

    use super::*;

    fn frames() -> (Frames, Arc<AtomicU32>) {
        let woken = Arc::new(AtomicU32::new(0));
        let count = woken.clone();
        let frames = Frames::new(move || {
            count.fetch_add(1, Ordering::Relaxed);
        });
        frames.set_connected(1);
        (frames, woken)
    }

    #[test]
    fn datagrams_arrive_in_order_and_wake_once_until_they_are_taken() {
        let (frames, woken) = frames();
        for datagram in [&b"one"[..], b"two", b""] {
            frames.send([(datagram, 1)].into_iter(), |_, taken| assert!(taken));
        }
        let mut batch = Batch::new();
        frames.take(&mut batch);
        assert_eq!(batch.iter().collect::<Vec<_>>(), [&b"one"[..], b"two", b""]);
        assert_eq!(woken.load(Ordering::Relaxed), 1);
        frames.send([(&b"three"[..], 1)].into_iter(), |_, _| {});
        frames.take(&mut batch);
        assert_eq!(batch.iter().collect::<Vec<_>>(), [b"three"]);
        assert_eq!(woken.load(Ordering::Relaxed), 2);
    }

    #[test]
    fn datagrams_without_room_are_counted_and_the_others_kept() {
        let (frames, _) = frames();
        let (datagram, mut counts) = (vec![7; 1 << 16], [0; 2]);
        for _ in 0..20 {
            frames.send([(&datagram[..], 3)].into_iter(), |messages, taken| counts[usize::from(taken)] += messages);
        }
        assert_eq!(counts, [4 * 3, 16 * 3], "16 × 64 KiB are a MiB");
        let mut batch = Batch::new();
        frames.take(&mut batch);
        assert_eq!(batch.iter().count(), 16);
    }

    #[test]
    fn small_datagrams_are_limited_by_their_number() {
        let (frames, _) = frames();
        let mut counts = [0; 2];
        for _ in 0..CAPACITY / 64 + 5 {
            frames.send([(&b"x"[..], 1)].into_iter(), |messages, taken| counts[usize::from(taken)] += messages);
        }
        assert_eq!(counts, [5, CAPACITY as u64 / 64]);
    }

    #[test]
    fn with_nobody_connected_nothing_is_queued() {
        let (frames, woken) = frames();
        frames.set_connected(0);
        frames.send([(&b"one"[..], 1)].into_iter(), |_, _| panic!("kept"));
        let mut batch = Batch::new();
        frames.take(&mut batch);
        assert_eq!((batch.iter().count(), woken.load(Ordering::Relaxed)), (0, 0));
    }
}
