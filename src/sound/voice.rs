//! One voice: a sine oscillator with phase modulation by a second one, and noise in a band around the note.
//!
//! A timbre is a combination of these parts. `fundsp` would work too, but it builds a graph of nodes for each sound;
//! here a voice is a few numbers.

use super::recipe::Recipe;
use super::{Form, Hit};

/// Samples a second.
pub const SAMPLE_RATE: u32 = 48_000;
const RATE: f32 = SAMPLE_RATE as f32;
/// The shortest sound, samples: four times the shortest attack.
const SHORTEST: f32 = 0.008 * RATE;
/// How long a texture takes to reach a new value.
const GLIDE: f32 = 0.1 * RATE;
/// A texture without hits for this time ends, samples.
const ABANDONED: u32 = SAMPLE_RATE / 2;

/// One period of a sine, with its first sample repeated at the end.
pub struct Sine(Box<[f32; Sine::LEN + 1]>);

impl Sine {
    const LEN: usize = 4096;

    /// Computes it.
    pub fn new() -> Sine {
        let mut table = Box::new([0.0; Sine::LEN + 1]);
        for (k, value) in table.iter_mut().enumerate() {
            *value = (k as f64 / Sine::LEN as f64 * std::f64::consts::TAU).sin() as f32;
        }
        Sine(table)
    }

    /// The sine of a phase, which is in periods.
    #[inline(always)]
    fn at(&self, phase: f32) -> f32 {
        let place = (phase - phase.floor()) * Sine::LEN as f32;
        let index = (place as usize).min(Sine::LEN - 1);
        let part = place - index as f32;
        self.0[index] + part * (self.0[index + 1] - self.0[index])
    }
}

/// A sound that begins, changes and ends.
#[derive(Debug, Clone)]
pub struct Voice {
    recipe: Recipe,
    /// The event of a texture; none for a note or grain.
    texture: Option<u16>,
    phase: f32,
    bender: f32,
    /// Periods per sample, and the target of a texture.
    frequency: f32,
    aim: f32,
    /// Amplitude, and its change per sample while a texture glides.
    level: f32,
    slope: f32,
    gliding: f32,
    left: f32,
    right: f32,
    brightness: f32,
    /// Samples since it began, and its length.
    age: f32,
    length: f32,
    /// The decay per sample.
    fall: f32,
    falling: f32,
    bend_fall: f32,
    bending: f32,
    /// State of the band-pass filter: Andrew Simper's form, which is stable at any frequency.
    band: [f32; 2],
    coefficients: [f32; 3],
    /// Slow noise that makes a texture lively.
    shimmer: f32,
    shimmer_aim: f32,
    shimmer_left: u32,
    /// Samples since a texture's last hit.
    unheard: u32,
    random: u32,
}

impl Voice {
    /// The sound of a hit.
    pub fn new(hit: &Hit, seed: u32) -> Voice {
        let recipe = hit.timbre.recipe();
        let is_texture = hit.form == Form::Texture;
        let length = (hit.length_ms * 1e-3 * RATE).max(SHORTEST);
        let frequency = frequency(hit.note);
        let (left, right) = equal_power(hit.pan);
        let mut voice = Voice {
            recipe,
            texture: is_texture.then_some(hit.event),
            phase: 0.0,
            bender: 0.0,
            frequency,
            aim: frequency,
            level: if is_texture { 0.0 } else { hit.level },
            slope: 0.0,
            gliding: 0.0,
            left,
            right,
            brightness: hit.brightness,
            age: 0.0,
            length,
            fall: (-4.6 / length).exp(),
            falling: 1.0,
            bend_fall: (-4.6 * recipe.dulls / length).exp(),
            bending: 1.0,
            band: [0.0; 2],
            coefficients: [0.0; 3],
            shimmer: 0.7,
            shimmer_aim: 0.7,
            shimmer_left: 0,
            unheard: 0,
            random: seed | 1,
        };
        voice.tune();
        if is_texture {
            voice.change(hit);
        }
        voice
    }

    /// Whether it is the texture of this event.
    pub fn is_texture_of(&self, event: u16) -> bool {
        self.texture == Some(event)
    }

    /// Sets the new state of a texture.
    pub fn change(&mut self, hit: &Hit) {
        self.aim = frequency(hit.note);
        self.slope = (hit.level - self.level) / GLIDE;
        self.gliding = GLIDE;
        self.brightness = hit.brightness;
        (self.left, self.right) = equal_power(hit.pan);
        self.unheard = 0;
        if hit.level <= 0.0 {
            // Its end is known: it is over with the glide.
            self.unheard = u32::MAX;
        }
    }

    fn tune(&mut self) {
        // A bright texture has a wide band.
        let narrow = match self.texture {
            Some(_) => self.recipe.narrow * (1.3 - self.brightness),
            None => self.recipe.narrow,
        };
        // tan(x) for the possible frequencies: notes end at 2.1 kHz.
        let x = std::f32::consts::PI * self.frequency.min(0.2);
        let g = x * (1.0 + x * x / 3.0);
        let k = 1.0 / narrow;
        let a1 = 1.0 / (1.0 + g * (g + k));
        // White noise between -1 and 1 has a power of 1/3 over half the sampling rate; what a band of this width
        // passes of it (pi/2 of f/Q, for a resonance) is scaled to that of a sine of amplitude 0.7.
        let power = std::f32::consts::PI / 3.0 * self.frequency / narrow;
        self.coefficients = [a1, g * a1, k * 0.5 / power.sqrt()];
    }

    #[inline(always)]
    fn white(&mut self) -> f32 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 17;
        self.random ^= self.random << 5;
        (self.random >> 8) as f32 * (2.0 / (1 << 24) as f32) - 1.0
    }

    #[inline(always)]
    fn noise(&mut self) -> f32 {
        let [a1, a2, gain] = self.coefficients;
        let v3 = self.white() - self.band[1];
        let v1 = a1 * self.band[0] + a2 * v3;
        let v2 = self.band[1] + a2 * self.band[0] + a2 * a2 / a1 * v3;
        self.band = [2.0 * v1 - self.band[0], 2.0 * v2 - self.band[1]];
        v1 * gain
    }

    /// Adds its sound to `out`. Returns whether it continues.
    pub fn play(&mut self, sine: &Sine, out: &mut [[f32; 2]]) -> bool {
        if self.texture.is_some() { self.play_texture(sine, out) } else { self.play_note(sine, out) }
    }

    fn play_note(&mut self, sine: &Sine, out: &mut [[f32; 2]]) -> bool {
        let Recipe { tone, noise, ratio, bend, drop, attack, .. } = self.recipe;
        let bend = bend * (0.3 + 1.4 * self.brightness);
        let attack = (attack * RATE).min(self.length / 3.0);
        for frame in out.iter_mut() {
            if self.age >= self.length {
                return false;
            }
            let rise = (self.age / attack).min(1.0);
            let rise = rise * rise * (3.0 - 2.0 * rise);
            let envelope = rise * self.falling * (1.0 - self.age / self.length) * self.level;
            let frequency =
                if drop > 0.0 { self.frequency * (1.0 + drop * self.bending.powi(4)) } else { self.frequency };
            let mut sound = tone * sine.at(self.phase + bend * self.bending * sine.at(self.bender));
            if noise > 0.0 {
                sound += noise * self.noise();
            }
            sound *= envelope;
            frame[0] += sound * self.left;
            frame[1] += sound * self.right;
            self.phase = wrapped(self.phase + frequency);
            self.bender = wrapped(self.bender + frequency * ratio);
            self.falling *= self.fall;
            self.bending *= self.bend_fall;
            self.age += 1.0;
        }
        true
    }

    fn play_texture(&mut self, sine: &Sine, out: &mut [[f32; 2]]) -> bool {
        let Recipe { tone, noise, ratio, bend, .. } = self.recipe;
        // Textures are mostly noise, whatever their timbre: many tones together would sound like an organ.
        let (tone, noise) = (0.55 * tone, 0.6 + 0.2 * noise);
        let bend = bend * (0.2 + 0.8 * self.brightness);
        let aim = self.aim;
        if (self.frequency - aim).abs() > 1e-6 || self.age == 0.0 {
            // In blocks of about a millisecond, which is smooth enough for the ear.
            self.frequency += (aim - self.frequency) * (out.len() as f32 / (0.03 * RATE)).min(1.0);
        }
        self.tune();
        for frame in out.iter_mut() {
            if self.gliding > 0.0 {
                self.level += self.slope;
                self.gliding -= 1.0;
            } else if self.unheard == u32::MAX {
                return false;
            } else if self.unheard >= ABANDONED {
                self.slope = -self.level / GLIDE;
                self.gliding = GLIDE;
                self.unheard = u32::MAX;
                continue;
            } else {
                self.unheard += 1;
            }
            if self.shimmer_left == 0 {
                // The denser, the faster it flickers.
                self.shimmer_left = (RATE / (6.0 + 30.0 * self.brightness)) as u32;
                self.shimmer_aim = (0.65 + 0.35 * self.white() - self.shimmer) / self.shimmer_left as f32;
            }
            self.shimmer_left -= 1;
            self.shimmer += self.shimmer_aim;
            let mut sound = tone * self.shimmer * sine.at(self.phase + bend * sine.at(self.bender));
            sound += noise * self.noise();
            sound *= self.level.max(0.0);
            frame[0] += sound * self.left;
            frame[1] += sound * self.right;
            self.phase = wrapped(self.phase + self.frequency);
            self.bender = wrapped(self.bender + self.frequency * ratio);
        }
        self.age += out.len() as f32;
        true
    }
}

#[inline(always)]
fn wrapped(phase: f32) -> f32 {
    phase - phase.floor()
}

/// Periods a sample.
fn frequency(note: f32) -> f32 {
    440.0 * ((note.clamp(0.0, 127.0) - 69.0) / 12.0).exp2() / RATE
}

/// Amplitudes of left and right whose powers add up to one.
fn equal_power(pan: f32) -> (f32, f32) {
    let angle = (pan.clamp(-1.0, 1.0) + 1.0) * std::f32::consts::FRAC_PI_4;
    (angle.cos(), angle.sin())
}

#[cfg(test)]
mod tests {
    use super::super::Timbre;
    use super::*;

    pub fn hit(timbre: Timbre, form: Form, note: f32) -> Hit {
        Hit { time_ns: 0, event: 1, form, timbre, note, level: 0.5, length_ms: 400.0, pan: 0.0, brightness: 0.5 }
    }

    fn played(voice: &mut Voice, samples: usize) -> Vec<[f32; 2]> {
        let (sine, mut out) = (Sine::new(), vec![[0.0; 2]; samples]);
        out.chunks_mut(64).for_each(|block| {
            voice.play(&sine, block);
        });
        out
    }

    fn rms(samples: &[[f32; 2]]) -> f32 {
        (samples.iter().map(|[l, r]| l * l + r * r).sum::<f32>() / samples.len().max(1) as f32).sqrt()
    }

    #[test]
    fn no_sound_jumps_at_its_beginning_or_its_end() {
        for timbre in Timbre::ALL {
            let out = played(&mut Voice::new(&hit(timbre, Form::Note, 69.0), 1), 24_000);
            let peak = out.iter().fold(0f32, |peak, [l, _]| peak.max(l.abs()));
            // 2 ms of attack: after half of it, at most half of the level.
            assert!(out[..48].iter().all(|[l, _]| l.abs() < 0.6 * peak), "{timbre:?}: begins suddenly");
            assert!(out[0][0].abs() < 1e-3, "{timbre:?}: {}", out[0][0]);
            let end = 19_200;
            assert!(out[end - 48..end].iter().all(|[l, _]| l.abs() < 0.01 * peak), "{timbre:?}: ends suddenly");
            assert!(out[end..].iter().all(|frame| *frame == [0.0; 2]), "{timbre:?}: goes on after its length");
        }
    }

    #[test]
    fn all_timbres_are_about_as_loud() {
        for form in [Form::Note, Form::Texture] {
            let loud = Timbre::ALL
                .map(|timbre| 20.0 * rms(&played(&mut Voice::new(&hit(timbre, form, 64.0), 7), 9600)).log10());
            let mean = loud.iter().sum::<f32>() / 8.0;
            assert!(loud.iter().all(|db| (db - mean).abs() < 4.0), "{form:?}: {loud:?} dB");
        }
    }

    #[test]
    fn left_and_right_have_equal_power_everywhere() {
        for pan in [-1.0, -0.5, 0.0, 0.3, 1.0] {
            let (left, right) = equal_power(pan);
            assert!((left * left + right * right - 1.0).abs() < 1e-6, "{pan}");
        }
        assert!(equal_power(-0.8).0 > 4.0 * equal_power(-0.8).1);
    }

    #[test]
    fn a_texture_without_hits_ends_by_itself() {
        let mut voice = Voice::new(&hit(Timbre::Mm, Form::Texture, 60.0), 3);
        let out = played(&mut voice, 48_000);
        assert!(rms(&out[5_000..20_000]) > 0.01);
        assert!(rms(&out[40_000..]) == 0.0, "{}", rms(&out[40_000..]));
    }
}
