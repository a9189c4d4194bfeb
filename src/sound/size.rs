//! How large an event is relative to earlier ones, from 0 to 1: by its duration, by its most informative field, or by
//! the time since the last one.

use byteorder::ByteOrder;

use super::When;
use super::range::Range;
use super::scale::{MAGNITUDE_STEPS, OCTAVE};
use super::telling::{Part, Telling};

/// The most operations tracked at once; beyond it, an older begin is forgotten.
const SLOTS: usize = 1024;

/// When operations began, by a hash of their key. It is shared by all events: what one begins, another ends.
pub struct Begun(Box<[(u64, u64)]>);

impl Begun {
    /// No operation has begun.
    pub fn new() -> Begun {
        Begun(vec![(0, 0); SLOTS].into())
    }

    fn slot(&mut self, key: u64) -> &mut (u64, u64) {
        // Fibonacci hashing: Knuth, volume 3, 6.4.
        let slot = (key.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 54) as usize % SLOTS;
        &mut self.0[slot]
    }
}

/// The sizes of one event so far.
pub struct Size {
    telling: Telling,
    range: Range,
    last_event_ns: Option<u64>,
}

impl Size {
    /// No event yet.
    pub fn new(telling: Telling) -> Size {
        Size { telling, range: Range::new(), last_event_ns: None }
    }

    /// How its records are interpreted.
    pub fn telling(&self) -> &Telling {
        &self.telling
    }

    /// Adds an event and returns how large it is among those of the last minute.
    pub fn rank<E: ByteOrder>(&mut self, record: &[u8], when: &When, begun: &mut Begun) -> f32 {
        let since = when.event_ns.saturating_sub(self.last_event_ns.unwrap_or(when.event_ns));
        let first = self.last_event_ns.is_none();
        self.last_event_ns = Some(when.event_ns);
        let now = when.play_ns;
        let key = |pair: u32| self.telling.key::<E>(record, when.pid, when.cpu) ^ u64::from(pair) << 32;
        match self.telling.part {
            Part::Begin(pair) => {
                let key = key(pair);
                *begun.slot(key) = (key, when.event_ns);
            }
            Part::End(pair) => {
                let key = key(pair);
                let slot = begun.slot(key);
                if slot.0 == key && slot.1 > 0 {
                    let lasted = when.event_ns.saturating_sub(slot.1);
                    slot.1 = 0;
                    return self.range.rank(lasted as f64, now);
                }
                // Its begin was not seen: assume medium length.
                return 0.5;
            }
            Part::Whole => {}
        }
        match self.telling.number::<E>(record) {
            Some(number) => self.range.rank(number, now),
            None if first => 0.5,
            // Only its time is known: stay within an octave, so that it keeps its own note.
            None => 0.5 + (self.range.rank(since as f64, now) - 0.5) / (MAGNITUDE_STEPS / OCTAVE),
        }
    }
}
