//! Packs messages into datagrams: one OSC bundle each, not nested, at most as long as the MTU, without splitting
//! messages.
//!
//! Receivers are limited by the number of datagrams, not by bytes, and a datagram costs a hundred times as much as a
//! message; so messages that are due together are packed together. A bundle's timetag is the time of its first event;
//! events more than [`SPAN_NS`] apart never share a bundle.

use super::timetag;
use super::write::{EncodeError, Full};

/// The longest time between the first and the last event of a bundle, ns.
pub const SPAN_NS: u64 = 1_000_000;
/// The longest UDP payload over IPv4.
pub const MAX_MTU: usize = 65_507;
/// The default for the largest datagram, in bytes: fits an Ethernet frame with room for IPv6 and a tunnel.
pub const DEFAULT_MTU: usize = 1432;
/// The shortest MTU accepted: every message of a plain event fits.
pub const MIN_MTU: usize = 256;

/// Size of `#bundle` and the timetag.
const BUNDLE_HEADER: usize = 16;
/// Size of the length before each message.
const SIZE: usize = 4;
/// The most datagrams that are kept to be sent together.
const DATAGRAMS: usize = 32;
/// Room after the MTU, so that a short string can be written as a whole word: see [`Writer`].
const SLACK: usize = 64;

/// The timetag of a bundle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Tag {
    /// The event's real time, shifted by this many ns.
    Event {
        /// Forward, for receivers that schedule.
        latency_ns: u64,
    },
    /// The time of sending, for receivers whose clock differs from ours.
    Now,
}

/// One datagram in the arena.
#[derive(Debug, Clone, Copy)]
struct Datagram {
    start: usize,
    end: usize,
    messages: u64,
}

/// Packs messages into datagrams.
///
/// The messages may be of any kind: [`MessagePlan`](super::MessagePlan) encodes records, [`Writer`](super::Writer)
/// writes a message by hand, and the bytes of any OSC encoder can be copied.
///
/// ```
/// use std::net::UdpSocket;
///
/// use ftrace_live::osc::datagram::{DEFAULT_MTU, Packer, Tag};
/// use ftrace_live::osc::{Writer, timetag};
///
/// let receiver = UdpSocket::bind("127.0.0.1:0")?;
/// let socket = UdpSocket::bind("127.0.0.1:0")?;
/// let mut packer = Packer::new(DEFAULT_MTU, Tag::Event { latency_ns: 0 });
/// for door in 0..100_i32 {
///     let now = timetag::unix_now_ns();
///     packer.push(now, |room| {
///         let mut out = Writer::new(room);
///         out.put_string(b"/house/door")?;
///         out.put_string(b",if")?;
///         out.put(door.to_be_bytes())?;
///         out.put(0.5_f32.to_be_bytes())?;
///         Ok(out.written())
///     })?;
///     // A program that sends rarely takes the datagrams after each push.
///     if packer.is_full() || door == 99 {
///         for (datagram, _messages) in packer.take() {
///             socket.send_to(datagram, receiver.local_addr()?)?;
///         }
///     }
/// }
/// let mut datagram = [0; DEFAULT_MTU];
/// let len = receiver.recv(&mut datagram)?;
/// assert!(datagram[..len].starts_with(b"#bundle\0"));
/// assert_eq!(datagram[20..44], *b"/house/door\0,if\0\0\0\0\0?\0\0\0");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Packer {
    mtu: usize,
    tag: Tag,
    /// The datagrams, one after the other, so that what was just written is sent from the cache.
    arena: Box<[u8]>,
    /// The complete datagrams.
    complete: Vec<Datagram>,
    /// The datagrams that were taken last.
    taken: Vec<Datagram>,
    /// The datagram being filled, or an empty one.
    current: Datagram,
    /// The earliest event time that may share it: [`SPAN_NS`] before that of its first event.
    earliest: u64,
}

impl Packer {
    /// Makes datagrams of at most `mtu` bytes, which is clamped to [`MIN_MTU`] and [`MAX_MTU`].
    pub fn new(mtu: usize, tag: Tag) -> Packer {
        let mtu = mtu.clamp(MIN_MTU, MAX_MTU);
        Packer {
            mtu,
            tag,
            arena: vec![0; DATAGRAMS * mtu + SLACK].into(),
            complete: Vec::with_capacity(DATAGRAMS),
            taken: Vec::with_capacity(DATAGRAMS),
            current: Datagram { start: 0, end: 0, messages: 0 },
            earliest: 0,
        }
    }

    /// The longest datagram.
    pub fn mtu(&self) -> usize {
        self.mtu
    }

    /// Appends the message of an event at `unix_ns`. `write` writes it to the given room and returns its length.
    ///
    /// # Errors
    /// [`EncodeError::Full`] means that the message does not fit even into an empty datagram, [`EncodeError::Untaken`]
    /// that the packer [is full](Packer::is_full). After any error nothing of the message is kept.
    pub fn push(
        &mut self,
        unix_ns: u64,
        mut write: impl FnMut(&mut [u8]) -> Result<usize, EncodeError>,
    ) -> Result<(), EncodeError> {
        if self.is_full() {
            return Err(EncodeError::Untaken);
        }
        let mut least = 0;
        loop {
            let done = write(self.reserve(unix_ns, least)).and_then(|len| Ok(self.commit(len)?));
            if done != Err(EncodeError::Full) || self.current.messages == 0 {
                return done;
            }
            // Only an empty datagram has that much room: open a new one.
            least = self.mtu;
        }
    }

    /// Room for a message of at least `least` bytes, of an event at `unix_ns`: the rest of the datagram, or a new
    /// one. The message is part of the datagram once it is [committed](Packer::commit). [`push`](Packer::push) is
    /// both in one call, and also checks that the packer is not [full](Packer::is_full): then a new datagram here
    /// replaces the last one.
    ///
    /// The room is longer than the message may be, so that a short string can be written as a whole word: see
    /// [`Writer`](super::Writer).
    #[inline(always)]
    pub fn reserve(&mut self, unix_ns: u64, least: usize) -> &mut [u8] {
        let full = self.current.end + SIZE + least > self.current.start + self.mtu;
        if full || self.current.messages == 0 || unix_ns.wrapping_sub(self.earliest) > 2 * SPAN_NS {
            self.open(unix_ns);
        }
        // Bytes past the MTU may be written, but not committed.
        self.arena.get_mut(self.current.end + SIZE..).unwrap_or_default()
    }

    /// Appends the first `len` bytes of the room that was reserved last as a message.
    ///
    /// # Errors
    /// [`Full`] if the datagram has less room.
    #[inline(always)]
    pub fn commit(&mut self, len: usize) -> Result<(), Full> {
        let Datagram { start, end, .. } = self.current;
        let next = end + SIZE + len;
        if next > start + self.mtu {
            return Err(Full);
        }
        let size = self.arena.get_mut(end..end + SIZE).ok_or(Full)?;
        size.copy_from_slice(&(len as u32).to_be_bytes());
        self.current.end = next;
        self.current.messages += 1;
        Ok(())
    }

    /// Opens a datagram after the current one.
    #[inline(never)]
    fn open(&mut self, unix_ns: u64) {
        // `is_full` leaves room for one more datagram.
        if self.current.messages > 0 && self.complete.len() + 1 < DATAGRAMS {
            self.complete.push(self.current);
            self.current.start = self.current.end;
        }
        self.earliest = unix_ns.wrapping_sub(SPAN_NS);
        let unix_ns = match self.tag {
            Tag::Event { latency_ns } => unix_ns.saturating_add(latency_ns),
            Tag::Now => timetag::unix_now_ns(),
        };
        let start = self.current.start;
        self.current = Datagram { start, end: start + BUNDLE_HEADER, messages: 0 };
        let header = &mut self.arena[start..start + BUNDLE_HEADER];
        header[..8].copy_from_slice(b"#bundle\0");
        header[8..].copy_from_slice(&timetag::from_unix_ns(unix_ns).to_be_bytes());
    }

    /// Whether the datagrams must be [taken](Packer::take) before the next message: there are 32.
    #[inline(always)]
    pub fn is_full(&self) -> bool {
        self.complete.len() + 1 >= DATAGRAMS
    }

    /// Takes the datagrams so far, each with its number of messages.
    pub fn take(&mut self) -> impl ExactSizeIterator<Item = (&[u8], u64)> + Clone {
        if self.current.messages > 0 {
            self.complete.push(self.current);
        }
        self.current = Datagram { start: 0, end: 0, messages: 0 };
        std::mem::swap(&mut self.complete, &mut self.taken);
        self.complete.clear();
        let arena = &self.arena;
        self.taken.iter().map(move |datagram| (&arena[datagram.start..datagram.end], datagram.messages))
    }
}

#[cfg(test)]
mod tests {
    use super::super::write::Writer;
    use super::*;
    use rosc::{OscPacket, decoder};

    /// A message of `len` bytes: `/x` and a blob.
    fn message(len: usize) -> impl FnMut(&mut [u8]) -> Result<usize, EncodeError> {
        move |room| {
            let mut out = Writer::new(room);
            out.put(*b"/x\0\0,b\0\0")?;
            out.put(((len - 12) as u32).to_be_bytes())?;
            out.put_slice(&vec![7; len - 12])?;
            Ok(out.written())
        }
    }

    /// Each datagram as (length, timetag in ns, number of messages), read by rosc.
    fn taken(packer: &mut Packer) -> Vec<(usize, u64, usize)> {
        let read = |(datagram, count): (&[u8], u64)| {
            let Ok((rest, OscPacket::Bundle(bundle))) = decoder::decode_udp(datagram) else { panic!("no bundle") };
            assert!(rest.is_empty());
            assert_eq!(bundle.content.len() as u64, count);
            let tag = u64::from(bundle.timetag.seconds) << 32 | u64::from(bundle.timetag.fractional);
            (datagram.len(), timetag::to_unix_ns(tag), bundle.content.len())
        };
        packer.take().map(read).collect()
    }

    const EVENT: Tag = Tag::Event { latency_ns: 0 };

    #[test]
    fn messages_are_packed_up_to_the_mtu_and_never_split() {
        let mut packer = Packer::new(300, EVENT);
        for _ in 0..5 {
            packer.push(1000, message(100)).unwrap();
        }
        // 16 + 2 × 104 = 224; a third would make 328.
        assert_eq!(taken(&mut packer), [(224, 1000, 2), (224, 1000, 2), (120, 1000, 1)]);
        assert_eq!(taken(&mut packer), []);
    }

    #[test]
    fn a_message_may_fill_the_datagram_to_the_last_byte_and_not_beyond() {
        let mut packer = Packer::new(300, EVENT);
        packer.push(1, message(280)).unwrap();
        assert_eq!(packer.push(1, message(284)), Err(EncodeError::Full));
        packer.push(2, message(100)).unwrap();
        assert_eq!(taken(&mut packer), [(300, 1, 1), (120, 2, 1)]);
    }

    #[test]
    fn events_more_than_a_millisecond_apart_do_not_share_a_timetag() {
        let mut packer = Packer::new(1432, EVENT);
        for time in [10_000_000, 11_000_000, 11_000_001, 10_500_000] {
            packer.push(time, message(20)).unwrap();
        }
        assert_eq!(taken(&mut packer), [(64, 10_000_000, 2), (64, 11_000_001, 2)]);
    }

    #[test]
    fn latency_shifts_the_timetag_and_off_sends_now() {
        let mut packer = Packer::new(1432, Tag::Event { latency_ns: 20_000_000 });
        packer.push(5_000_000, message(20)).unwrap();
        assert_eq!(taken(&mut packer)[0].1, 25_000_000);
        let before = timetag::unix_now_ns();
        let mut packer = Packer::new(1432, Tag::Now);
        packer.push(5_000_000, message(20)).unwrap();
        assert!((before..=timetag::unix_now_ns()).contains(&taken(&mut packer)[0].1));
    }

    #[test]
    fn a_malformed_event_leaves_no_bytes() {
        let mut packer = Packer::new(1432, EVENT);
        let short = EncodeError::Malformed(crate::decode::DecodeError::Short { len: 1, needs: 2 });
        let broken = |room: &mut [u8]| {
            room[..8].fill(1);
            Err(short)
        };
        assert_eq!(packer.push(1, broken), Err(short));
        assert_eq!(taken(&mut packer), []);
        packer.push(1, message(20)).unwrap();
        assert_eq!(packer.push(1, broken), Err(short));
        packer.push(1, message(20)).unwrap();
        assert_eq!(taken(&mut packer), [(64, 1, 2)]);
    }

    #[test]
    fn a_full_packer_reports_it_before_anything_is_lost() {
        let mut packer = Packer::new(256, EVENT);
        let mut pushed = 0;
        while !packer.is_full() {
            packer.push(1, message(200)).unwrap();
            pushed += 1;
        }
        assert_eq!(packer.push(1, message(200)), Err(EncodeError::Untaken));
        assert_eq!(taken(&mut packer).len(), pushed);
        assert!(!packer.is_full());
    }
}
