//! Hits → samples: renders all hits of a piece off-line.

use ebur128::{EbuR128, Mode};

use super::limiter::{AHEAD, Limiter};
use super::voice::{SAMPLE_RATE, Sine, Voice};
use super::{Form, Hit};

/// The most voices at once: 40 that begin in a second and end within it, and 24 textures.
pub const MAX_VOICES: usize = 64;
/// The fade-in: one second, from −20 dB, so that a sound at the beginning is soft but audible.
const FADE_IN: f32 = SAMPLE_RATE as f32;
const FADE_FROM: f32 = 0.1;
/// The largest sample: −2 dBFS, so that the signal between samples does not exceed −1 dBFS.
const CEILING: f32 = 0.794;
/// Time after the last event, ns: the longest note and the fade of a texture.
const TAIL_NS: u64 = 1_200_000_000;
/// The gain of the mix, for some ten voices.
const MIX: f32 = 0.35;
/// The loudness of every piece, LUFS: as in EBU R 128.
const LOUDNESS: f64 = -23.0;
/// The largest gain to reach that loudness, dB.
const MOST_GAIN: f64 = 30.0;
/// Frames that are passed on at once.
const BLOCK: usize = 4096;

/// The hits of a piece, and its length.
#[derive(Debug, Clone, PartialEq)]
pub struct Score {
    hits: Vec<Hit>,
    /// When it begins and ends, ns since 1970.
    began_ns: u64,
    ended_ns: u64,
}

impl Score {
    /// A piece that begins at `began_ns` and whose last event is at `ended_ns`.
    pub fn new(mut hits: Vec<Hit>, began_ns: u64, ended_ns: u64) -> Score {
        // Stable: simultaneous hits keep their order.
        hits.sort_by_key(|hit| hit.time_ns);
        let last = hits.last().map_or(began_ns, |hit| hit.time_ns);
        Score { hits, began_ns, ended_ns: ended_ns.max(last) }
    }

    /// Its hits in order of time.
    pub fn hits(&self) -> &[Hit] {
        &self.hits
    }

    /// Its length with the end of the last sounds, in frames.
    pub fn frames(&self) -> u64 {
        self.frame_of(self.ended_ns.saturating_add(TAIL_NS))
    }

    fn frame_of(&self, time_ns: u64) -> u64 {
        (u128::from(time_ns.saturating_sub(self.began_ns)) * u128::from(SAMPLE_RATE) / 1_000_000_000) as u64
    }

    /// The gain for −23 LUFS, measured as in EBU R 128, which ignores silence.
    ///
    /// # Errors
    /// Those of the meter; it has none for two channels of 48 kHz.
    pub fn gain(&self, seed: u64) -> Result<f32, ebur128::Error> {
        let mut meter = EbuR128::new(2, SAMPLE_RATE, Mode::I)?;
        self.play(1.0, false, seed, |frames| meter.add_frames_f32(frames.as_flattened()))?;
        let loudness = meter.loudness_global()?;
        let gain = if loudness.is_finite() { (LOUDNESS - loudness).clamp(-MOST_GAIN, MOST_GAIN) } else { 0.0 };
        Ok(10f64.powf(gain / 20.0) as f32)
    }

    /// Renders it with this gain; with a limit, no sample is louder than −2 dBFS. Each block of frames, left and
    /// right, is passed to `each`. The same `seed` gives the same samples.
    ///
    /// # Errors
    /// Those of `each`, which end rendering.
    pub fn play<E>(
        &self,
        gain: f32,
        limit: bool,
        seed: u64,
        mut each: impl FnMut(&[[f32; 2]]) -> Result<(), E>,
    ) -> Result<(), E> {
        let frames = self.frames();
        let (sine, mut voices) = (Sine::new(), Vec::<Voice>::with_capacity(MAX_VOICES));
        let mut limiter = limit.then(|| Limiter::new(CEILING));
        // The limiter delays: skip that many frames at the beginning, and add silence at the end.
        let late = if limit { AHEAD as u64 - 1 } else { 0 };
        let mut hits = self.hits.iter().peekable();
        let mut block = [[0f32; 2]; BLOCK];
        let (mut at, mut begun) = (0, 0u32);
        while at < frames + late {
            let len = (BLOCK as u64).min(frames + late - at) as usize;
            let frame = &mut block[..len];
            frame.fill([0.0; 2]);
            let mut done = 0;
            while done < len {
                while let Some(hit) = hits.next_if(|hit| self.frame_of(hit.time_ns) <= at + done as u64) {
                    begun = begun.wrapping_add(1);
                    // Every voice has its own noise.
                    let seed = (seed as u32 ^ (seed >> 32) as u32).wrapping_add(begun).wrapping_mul(0x9e37_79b9);
                    sound(&mut voices, hit, seed);
                }
                let next = hits.peek().map_or(u64::MAX, |hit| self.frame_of(hit.time_ns));
                let until = (next.saturating_sub(at).min(len as u64) as usize).clamp(done + 1, (done + 512).min(len));
                voices.retain_mut(|voice| voice.play(&sine, &mut frame[done..until]));
                done = until;
            }
            for (k, frame) in frame.iter_mut().enumerate() {
                let now = ((at + k as u64) as f32 / FADE_IN).min(1.0);
                let fade = FADE_FROM + (1.0 - FADE_FROM) * now * now * (3.0 - 2.0 * now);
                *frame = frame.map(|sample| sample * MIX * gain * fade);
                if let Some(limiter) = &mut limiter {
                    *frame = limiter.next(*frame);
                }
            }
            let skipped = late.saturating_sub(at).min(len as u64) as usize;
            each(&frame[skipped..])?;
            at += len as u64;
        }
        Ok(())
    }
}

/// Plays a hit: updates the texture of its event if there is one, otherwise starts a voice.
fn sound(voices: &mut Vec<Voice>, hit: &Hit, seed: u32) {
    if hit.form == Form::Texture {
        if let Some(voice) = voices.iter_mut().find(|voice| voice.is_texture_of(hit.event)) {
            return voice.change(hit);
        }
        if hit.level <= 0.0 {
            return;
        }
    }
    if voices.len() < MAX_VOICES {
        voices.push(Voice::new(hit, seed));
    }
}
