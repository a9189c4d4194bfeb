//! Messages → datagrams: one OSC bundle each, never nested, never longer than the MTU, never with a split message.
//!
//! Receivers overflow by the number of datagrams, not by bytes, and a datagram costs a hundred times what a message does;
//! so messages that are due together are packed together. A bundle's timetag is the first event's time; events more than
//! [`SPAN_NS`] apart never share one.

use super::plan::EncodeError;
use super::timetag;
use super::write::{Full, Writer};

/// The longest time between the first and the last event of a bundle, ns.
pub const SPAN_NS: u64 = 1_000_000;
/// The longest UDP payload over IPv4.
pub const MAX_MTU: usize = 65_507;
/// The shortest MTU taken: every message of a plain event fits.
pub const MIN_MTU: usize = 256;

/// `#bundle`, timetag.
const BUNDLE_HEADER: usize = 16;
/// Datagrams kept until they are sent together.
const SLOTS: usize = 32;
/// Room behind the MTU in which a short string may be written as a whole word: see [`Writer`].
const SLACK: usize = 64;

/// What a bundle's timetag says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tag {
    /// The event's real time, shifted by this many ns.
    Event {
        /// Forward, for receivers that schedule.
        latency_ns: u64,
    },
    /// The time of sending, for receivers on machines whose clock is not ours.
    Now,
}

#[derive(Debug)]
struct Slot {
    bytes: Box<[u8]>,
    len: usize,
    messages: u64,
}

/// Packs messages into datagrams.
#[derive(Debug)]
pub struct Packer {
    mtu: usize,
    tag: Tag,
    slots: Vec<Slot>,
    /// Slots before this one are complete.
    current: usize,
    /// Whether the current slot has messages in it.
    filling: bool,
    /// Time of the current datagram's first event.
    first: u64,
}

impl Packer {
    /// Datagrams of at most `mtu` bytes, which is kept within [`MIN_MTU`] and [`MAX_MTU`].
    pub fn new(mtu: usize, tag: Tag) -> Packer {
        let mtu = mtu.clamp(MIN_MTU, MAX_MTU);
        let slot = || Slot { bytes: vec![0; mtu + SLACK].into(), len: 0, messages: 0 };
        Packer {
            mtu,
            tag,
            slots: std::iter::repeat_with(slot).take(SLOTS).collect(),
            current: 0,
            filling: false,
            first: 0,
        }
    }

    /// The longest datagram.
    pub fn mtu(&self) -> usize {
        self.mtu
    }

    /// Appends the message that `write` writes, of an event at `unix_ns`.
    ///
    /// # Errors
    /// [`EncodeError::Full`] means that the message does not even fit into a datagram of its own. After any error
    /// nothing of the message is left.
    #[inline]
    pub fn push(
        &mut self,
        unix_ns: u64,
        mut write: impl FnMut(&mut Writer<'_>) -> Result<(), EncodeError>,
    ) -> Result<(), EncodeError> {
        if self.filling {
            if unix_ns.abs_diff(self.first) <= SPAN_NS {
                match self.append(&mut write) {
                    Err(EncodeError::Full) => {}
                    done => return done,
                }
            }
            self.close();
        }
        self.open(unix_ns);
        let done = self.append(&mut write);
        self.filling = done.is_ok();
        done
    }

    #[inline]
    fn append(
        &mut self,
        write: &mut impl FnMut(&mut Writer<'_>) -> Result<(), EncodeError>,
    ) -> Result<(), EncodeError> {
        let slot = &mut self.slots[self.current];
        let (size, message) =
            slot.bytes.get_mut(slot.len..).and_then(|b| b.split_first_chunk_mut::<4>()).ok_or(Full)?;
        let mut writer = Writer::new(message);
        write(&mut writer)?;
        let written = writer.written();
        let end = slot.len + 4 + written;
        // The slack behind the MTU is for writing whole words, not for sending.
        if end > self.mtu {
            return Err(EncodeError::Full);
        }
        *size = (written as u32).to_be_bytes();
        slot.len = end;
        slot.messages += 1;
        Ok(())
    }

    fn open(&mut self, unix_ns: u64) {
        self.first = unix_ns;
        let unix_ns = match self.tag {
            Tag::Event { latency_ns } => unix_ns.saturating_add(latency_ns),
            Tag::Now => timetag::unix_now_ns(),
        };
        let slot = &mut self.slots[self.current];
        slot.bytes[..8].copy_from_slice(b"#bundle\0");
        slot.bytes[8..BUNDLE_HEADER].copy_from_slice(&timetag::from_unix_ns(unix_ns).to_be_bytes());
        slot.len = BUNDLE_HEADER;
        slot.messages = 0;
    }

    fn close(&mut self) {
        // `is_full` leaves a slot for the datagram after this one.
        self.current = (self.current + 1).min(self.slots.len() - 1);
        self.filling = false;
    }

    /// Whether the datagrams must be taken before the next push.
    #[inline]
    pub fn is_full(&self) -> bool {
        self.current + 1 >= self.slots.len()
    }

    /// The datagrams so far, each with its number of messages; the packer starts anew.
    pub fn take(&mut self) -> impl ExactSizeIterator<Item = (&[u8], u64)> + Clone {
        let used = self.current + usize::from(self.filling);
        (self.current, self.filling) = (0, false);
        self.slots[..used].iter().map(|slot| (&slot.bytes[..slot.len], slot.messages))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rosc::{OscPacket, decoder};

    /// A message of `len` bytes: `/x` and a blob.
    fn message(len: usize) -> impl FnMut(&mut Writer<'_>) -> Result<(), EncodeError> {
        move |out| {
            out.put(*b"/x\0\0,b\0\0")?;
            out.put(((len - 12) as u32).to_be_bytes())?;
            out.put_slice(&vec![7; len - 12])?;
            Ok(())
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
    fn latency_shifts_the_timetag_and_off_says_now() {
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
        let broken = |out: &mut Writer<'_>| out.put([1; 8]).map_err(EncodeError::from).and(Err(short));
        assert_eq!(packer.push(1, broken), Err(short));
        assert_eq!(taken(&mut packer), []);
        packer.push(1, message(20)).unwrap();
        assert_eq!(packer.push(1, broken), Err(short));
        packer.push(1, message(20)).unwrap();
        assert_eq!(taken(&mut packer), [(64, 1, 2)]);
    }

    #[test]
    fn a_full_packer_says_so_before_anything_is_lost() {
        let mut packer = Packer::new(256, EVENT);
        let mut pushed = 0;
        while !packer.is_full() {
            packer.push(1, message(200)).unwrap();
            pushed += 1;
        }
        assert_eq!(taken(&mut packer).len(), pushed);
        assert!(!packer.is_full());
    }
}
