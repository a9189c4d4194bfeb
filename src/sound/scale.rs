//! The notes: a minor pentatonic scale on A, in which no two notes clash, and the position of each event in it.
//!
//! Notes are counted in steps of the scale above A2 (110 Hz, MIDI 45); five steps are an octave.

/// Steps in an octave.
pub const OCTAVE: f32 = 5.0;
/// Steps over which magnitudes are spread: three octaves.
pub const MAGNITUDE_STEPS: f32 = 15.0;
/// MIDI note of step 0: A2, 110 Hz.
const ROOT: f32 = 45.0;
/// A, C, D, E, G: semitones above the root.
const SEMITONES: [f32; 5] = [0.0, 3.0, 5.0, 7.0, 10.0];
/// Lower notes are inaudible on small loudspeakers, higher ones piercing. C2 and C7.
const LOWEST: f32 = 36.0;
const HIGHEST: f32 = 96.0;

/// The MIDI note of the nearest step, transposed by octaves into the audible range.
pub fn note(step: f32) -> f32 {
    let step = step.round() as i32;
    let note = ROOT + 12.0 * step.div_euclid(5) as f32 + SEMITONES[step.rem_euclid(5) as usize];
    if note < LOWEST {
        note + 12.0 * ((LOWEST - note) / 12.0).ceil()
    } else if note > HIGHEST {
        note - 12.0 * ((note - HIGHEST) / 12.0).ceil()
    } else {
        note
    }
}

/// FNV-1a: the same on every machine and in every version of Rust, unlike the standard library's hashes.
pub fn hash(text: &str) -> u32 {
    text.bytes().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

/// The centre of an event's notes, in steps: the middle octave of three, moved by a hash of its name.
pub fn home(name: &str) -> f32 {
    // The low bits of FNV are weak.
    let hash = hash(name);
    MAGNITUDE_STEPS / 2.0 - 2.5 + ((hash ^ hash >> 15) % 5) as f32
}

/// Random numbers that are the same on every machine: xorshift32.
#[derive(Debug, Clone)]
pub struct Random(u32);

impl Random {
    /// Random numbers with this seed.
    pub fn new(seed: u64) -> Random {
        // Zero is the only invalid state; the multiplication spreads similar seeds.
        Random(((seed ^ seed >> 32) as u32).wrapping_mul(0x9e37_79b9) | 1)
    }

    /// From 0 to 1, 1 not included.
    pub fn unit(&mut self) -> f32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 17;
        self.0 ^= self.0 << 5;
        (self.0 >> 8) as f32 / (1 << 24) as f32
    }

    /// From −1 to 1.
    pub fn signed(&mut self) -> f32 {
        2.0 * self.unit() - 1.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_steps_are_an_octave_and_every_note_is_of_the_scale() {
        assert_eq!((note(0.0), note(5.0), note(15.0)), (45.0, 57.0, 81.0));
        for step in -40..60 {
            let of = note(step as f32);
            assert!((LOWEST..=HIGHEST).contains(&of), "step {step}: note {of}");
            assert!([9, 0, 2, 4, 7].contains(&(of as i32 % 12)), "step {step}: note {of}");
        }
    }

    #[test]
    fn a_name_has_its_note_on_every_machine() {
        // FNV-1a's published test vectors.
        assert_eq!((hash(""), hash("a"), hash("foobar")), (0x811c_9dc5, 0xe40c_292c, 0xbf9c_f968));
        let homes: std::collections::BTreeSet<i32> =
            (0..100).map(|k| (2.0 * home(&format!("sys:event{k}"))) as i32).collect();
        assert_eq!(homes.len(), 5, "{homes:?}");
    }
}
