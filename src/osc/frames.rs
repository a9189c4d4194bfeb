//! Datagrams for receivers of this process's own, which another thread sends on as WebSocket frames.
//!
//! The one that sends never waits and allocates nothing: it copies datagrams into one of two buffers, which the other
//! side swaps for the empty one. What finds no room is counted and left. Where nobody is connected nothing is copied.
//! Beside the datagrams stands what a receiver that comes late must know first: the beginning of the stream and the
//! schema of every address.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rosc::{OscMessage, OscPacket, encoder};

use super::schema::Schema;

/// Bytes that wait for the other thread at most.
pub const CAPACITY: usize = 1 << 20;

/// Datagrams, one behind the other.
#[derive(Debug, Default)]
pub struct Batch {
    bytes: Vec<u8>,
    /// Where each ends.
    ends: Vec<usize>,
}

impl Batch {
    /// One with all the room it will ever need.
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

    /// The datagrams, in the order in which they were sent.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).filter_map(|(start, &end)| self.bytes.get(start..end))
    }

    /// Throws them away and keeps the room.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
    }
}

/// What a receiver that comes late must know.
#[derive(Debug, Default, Clone)]
pub struct Known {
    /// `/ftrace/start`, as it was sent.
    pub start: Option<OscMessage>,
    /// The addresses, each with its signature.
    pub schemas: BTreeMap<String, Schema>,
    /// What every address begins with.
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

/// Both ends of the way from the stream to the thread that sends WebSocket frames.
#[derive(Clone)]
pub struct Frames(Arc<Shared>);

impl std::fmt::Debug for Frames {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Frames").field("connected", &self.0.connected).finish_non_exhaustive()
    }
}

/// A panic of the other thread leaves nothing half done here.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Frames {
    /// Nothing waits, nobody is connected. `wake` is called when datagrams wait where none did.
    pub fn new(wake: impl Fn() + Send + Sync + 'static) -> Frames {
        let (waiting, known) = (Mutex::new(Batch::new()), Mutex::new(Known::default()));
        Frames(Arc::new(Shared { connected: AtomicUsize::new(0), waiting, known, wake: Box::new(wake) }))
    }

    /// Says how many receivers are connected.
    pub fn set_connected(&self, count: usize) {
        self.0.connected.store(count, Ordering::Relaxed);
    }

    /// How many receivers are connected.
    pub fn connected(&self) -> usize {
        self.0.connected.load(Ordering::Relaxed)
    }

    /// Leaves datagrams for the other thread, each given with its number of messages; `done` hears of each whether there
    /// was room. With nobody connected they are for nobody, and `done` hears of none.
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

    /// Swaps what waits for `batch`, which is emptied first.
    pub fn take(&self, batch: &mut Batch) {
        batch.clear();
        std::mem::swap(&mut *lock(&self.0.waiting), batch);
    }

    /// Keeps the stream's beginning for those who come later.
    pub fn started(&self, prefix: &str, start: OscMessage) {
        let mut known = lock(&self.0.known);
        (known.start, known.prefix) = (Some(start), prefix.to_owned());
    }

    /// Keeps an address's signature for those who come later.
    pub fn add(&self, schema: &Schema) {
        lock(&self.0.known).schemas.insert(schema.address.clone(), schema.clone());
    }

    /// What every address begins with; `/ftrace` before anything is known.
    pub fn prefix(&self) -> String {
        let known = lock(&self.0.known);
        if known.prefix.is_empty() { "/ftrace".to_owned() } else { known.prefix.clone() }
    }

    /// What one who comes late must know.
    pub fn known(&self) -> Known {
        lock(&self.0.known).clone()
    }
}

impl Known {
    /// It all as packets: the beginning, then every address.
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
    fn what_finds_no_room_is_counted_and_the_rest_is_kept() {
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
    fn with_nobody_connected_nothing_is_kept() {
        let (frames, woken) = frames();
        frames.set_connected(0);
        frames.send([(&b"one"[..], 1)].into_iter(), |_, _| panic!("kept"));
        let mut batch = Batch::new();
        frames.take(&mut batch);
        assert_eq!((batch.iter().count(), woken.load(Ordering::Relaxed)), (0, 0));
    }
}
