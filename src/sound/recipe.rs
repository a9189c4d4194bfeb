//! How each timbre is synthesized, in terms that every synthesizer has: for our own voices and for the patches.

use super::Timbre;

/// The parts of a timbre: a sine with phase modulation by another one, and noise in a band around the note.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct Recipe {
    /// Amplitude of the tone.
    pub tone: f32,
    /// Amplitude of the noise; 1 is as loud as a tone of 0.7.
    pub noise: f32,
    /// The narrowness of the noise's band: Q.
    pub narrow: f32,
    /// The frequency of the modulating sine relative to the note's.
    pub ratio: f32,
    /// The depth of the phase modulation, periods, at middle brightness.
    pub bend: f32,
    /// How much sooner than the sound itself the modulation decays: 1 is at the same time.
    pub dulls: f32,
    /// How far above the note the sound begins, relative to its frequency: like a drum's skin.
    pub drop: f32,
    /// Attack, s.
    pub attack: f32,
}

/// The shortest attack, s: a faster one clicks.
const ATTACK: f32 = 0.002;

impl Timbre {
    /// Its recipe.
    pub const fn recipe(self) -> Recipe {
        let plain = Recipe {
            tone: 0.9,
            noise: 0.0,
            narrow: 8.0,
            ratio: 2.0,
            bend: 0.08,
            dulls: 1.0,
            drop: 0.0,
            attack: ATTACK * 2.0,
        };
        match self {
            Timbre::Irq => Recipe { ratio: 3.0, bend: 0.25, dulls: 6.0, attack: ATTACK, ..plain },
            Timbre::Sched => Recipe { tone: 1.0, ratio: 4.0, bend: 0.18, dulls: 14.0, attack: ATTACK, ..plain },
            Timbre::Block => {
                Recipe { tone: 0.95, ratio: 0.5, bend: 0.15, dulls: 3.0, drop: 1.2, attack: ATTACK, ..plain }
            }
            Timbre::Net => Recipe { tone: 0.85, ratio: 5.0, bend: 0.22, dulls: 2.0, attack: ATTACK, ..plain },
            Timbre::Syscalls => Recipe { tone: 0.35, noise: 1.0, narrow: 14.0, attack: ATTACK * 5.0, ..plain },
            Timbre::Mm => Recipe { tone: 0.3, noise: 0.95, narrow: 5.0, ratio: 0.5, bend: 0.2, ..plain },
            Timbre::Fs => Recipe { tone: 0.75, ratio: 1.0, bend: 0.3, dulls: 1.5, attack: ATTACK * 4.0, ..plain },
            Timbre::Other => plain,
        }
    }
}
