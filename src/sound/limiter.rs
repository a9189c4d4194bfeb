//! Keeps every sample below a ceiling, without clicks: the gain begins to fall before the sample that is too loud.
//!
//! The gain is the mean over the look-ahead time of the minimum over that time of the gains that samples allow: it
//! reaches the minimum when the sample is output, and changes linearly. Both channels have the same gain.

use std::collections::VecDeque;

/// The look-ahead, samples: 5 ms.
pub const AHEAD: usize = 240;
/// How fast the gain recovers: to 63 % in 100 ms.
const RELEASE: f32 = 1.0 / 4800.0;

/// A limiter for two channels.
pub struct Limiter {
    ceiling: f32,
    /// The samples that were not output yet.
    delayed: [[f32; 2]; AHEAD],
    /// The allowed gains of the last samples, and their sum.
    allowed: [f32; AHEAD],
    sum: f64,
    at: usize,
    /// Candidates for the minimum of the last `AHEAD` gains: number of the sample, gain; ascending.
    least: VecDeque<(u64, f32)>,
    count: u64,
    released: f32,
}

impl Limiter {
    /// A limiter with this ceiling.
    pub fn new(ceiling: f32) -> Limiter {
        Limiter {
            ceiling,
            delayed: [[0.0; 2]; AHEAD],
            allowed: [1.0; AHEAD],
            sum: AHEAD as f64,
            at: 0,
            least: VecDeque::with_capacity(AHEAD + 1),
            count: 0,
            released: 1.0,
        }
    }

    /// Takes a frame; returns the one of `AHEAD` - 1 frames ago.
    pub fn next(&mut self, frame: [f32; 2]) -> [f32; 2] {
        let peak = frame[0].abs().max(frame[1].abs());
        let gain = if peak > self.ceiling { self.ceiling / peak } else { 1.0 };
        while self.least.back().is_some_and(|(_, other)| *other >= gain) {
            self.least.pop_back();
        }
        self.least.push_back((self.count, gain));
        if self.least.front().is_some_and(|(number, _)| number + AHEAD as u64 <= self.count) {
            self.least.pop_front();
        }
        self.count += 1;
        let least = self.least.front().map_or(1.0, |(_, gain)| *gain);
        self.released = least.min(self.released + (1.0 - self.released) * RELEASE);
        self.sum += f64::from(self.released) - f64::from(self.allowed[self.at]);
        self.allowed[self.at] = self.released;
        self.delayed[self.at] = frame;
        self.at = (self.at + 1) % AHEAD;
        let gain = (self.sum / AHEAD as f64) as f32;
        // Rounding of the mean must not let the very sample exceed the ceiling.
        self.delayed[self.at].map(|sample| (sample * gain).clamp(-self.ceiling, self.ceiling))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limited(input: impl Iterator<Item = f32>) -> Vec<f32> {
        let mut limiter = Limiter::new(0.5);
        input.map(|sample| limiter.next([sample, -sample])[0]).collect()
    }

    #[test]
    fn nothing_is_louder_than_the_ceiling_and_the_gain_does_not_jump() {
        let wave = |k: usize| (k as f32 * 0.05).sin() * if k.is_multiple_of(5000) || k / 4800 == 3 { 8.0 } else { 0.3 };
        let out = limited((0..48_000).map(wave));
        assert!(out.iter().all(|sample| sample.abs() <= 0.5));
        // The gain of each sample, where it can be computed.
        let gains: Vec<f32> =
            (AHEAD..48_000).filter(|k| wave(k + 1 - AHEAD).abs() > 0.1).map(|k| out[k] / wave(k + 1 - AHEAD)).collect();
        let jump = gains.windows(2).map(|two| (two[1] - two[0]).abs()).fold(0.0, f32::max);
        assert!(jump < 0.06, "the gain jumps by {jump}");
    }

    #[test]
    fn samples_below_the_ceiling_are_unchanged() {
        let out = limited((0..2000).map(|k| (k as f32 * 0.1).sin() * 0.49));
        for (k, sample) in out.iter().enumerate().skip(AHEAD - 1) {
            assert!((sample - ((k + 1 - AHEAD) as f32 * 0.1).sin() * 0.49).abs() < 1e-6);
        }
    }
}
