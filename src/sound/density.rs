//! How often an event occurs, the form that follows from that, and the limit of sounds per second.

use super::Form;

/// The most sounds that begin in any one second, over all events: above some forty the ear hears one texture.
pub const MAX_ONSETS: u32 = 40;
/// How many of them may begin at once.
const AT_ONCE: f32 = 8.0;
/// The rest, per second.
const PER_SECOND: f32 = MAX_ONSETS as f32 - AT_ONCE;
/// Onsets reserved for single notes when grains use the rest, and for errors when notes do.
const KEPT_FOR_NOTES: f32 = 3.0;
const KEPT_FOR_ERRORS: f32 = 2.0;

/// Notes up to this rate, 1/s, at medium detail.
const NOTES: f32 = 12.0;
/// Grains up to this rate.
const GRAINS: f32 = 60.0;
/// A form is left downwards at this fraction of the rate at which it is entered upwards.
const BACK: f32 = 0.75;

/// A rate, 1/s: the mean over about `SECONDS`, weighted towards the recent past.
#[derive(Debug, Clone, Copy, Default)]
pub struct Rate<const SECONDS: u32> {
    rate: f32,
    last_ns: u64,
    any: bool,
}

impl<const SECONDS: u32> Rate<SECONDS> {
    /// Counts an event.
    pub fn event(&mut self, now_ns: u64) {
        let seconds = now_ns.saturating_sub(self.last_ns) as f32 * 1e-9;
        if self.any {
            // For events at equal intervals this is exactly 1/interval, and for simultaneous ones 1/SECONDS each.
            let weight = -(-seconds / SECONDS as f32).exp_m1();
            let latest = if seconds > 1e-6 { weight / seconds } else { 1.0 / SECONDS as f32 };
            self.rate += latest - weight * self.rate;
        }
        self.any = true;
        self.last_ns = self.last_ns.max(now_ns);
    }

    /// The rate at `now_ns`: it falls without events.
    pub fn at(&self, now_ns: u64) -> f32 {
        let seconds = now_ns.saturating_sub(self.last_ns) as f32 * 1e-9;
        self.rate * (-seconds / SECONDS as f32).exp()
    }
}

/// The rates at which forms change.
#[derive(Debug, Clone, Copy)]
pub struct Thresholds {
    notes: f32,
    grains: f32,
}

impl Thresholds {
    /// For a detail from 0 (calm: textures sooner) to 1 (notes longer); 0.5 is the plain rule.
    pub fn new(detail: f32) -> Thresholds {
        let factor = 4f32.powf(2.0 * detail.clamp(0.0, 1.0) - 1.0);
        Thresholds { notes: NOTES * factor, grains: GRAINS * factor }
    }

    /// The form after `form` at this rate.
    pub fn next(&self, form: Form, rate: f32) -> Form {
        let is_above = |threshold: f32, was_above: bool| rate > threshold * if was_above { BACK } else { 1.0 };
        if is_above(self.grains, form == Form::Texture) {
            Form::Texture
        } else if is_above(self.notes, form >= Form::Grain) {
            Form::Grain
        } else {
            Form::Note
        }
    }
}

/// Why a sound begins: more important ones may use more of what is left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// One of many grains.
    Grain,
    /// A single note.
    Note,
    /// An error: two notes.
    Error,
}

/// Lets at most [`MAX_ONSETS`] sounds begin in a second.
#[derive(Debug, Clone)]
pub struct Onsets {
    left: f32,
    last_ns: u64,
}

impl Onsets {
    /// All are left.
    pub fn new() -> Onsets {
        Onsets { left: AT_ONCE, last_ns: 0 }
    }

    /// Takes an onset for this cause; returns false if there is none left.
    pub fn take(&mut self, cause: Cause, now_ns: u64) -> bool {
        let seconds = now_ns.saturating_sub(self.last_ns) as f32 * 1e-9;
        self.left = (self.left + seconds * PER_SECOND).min(AT_ONCE);
        self.last_ns = self.last_ns.max(now_ns);
        let (needs, kept) = match cause {
            Cause::Grain => (1.0, KEPT_FOR_NOTES + KEPT_FOR_ERRORS),
            Cause::Note => (1.0, KEPT_FOR_ERRORS),
            Cause::Error => (2.0, 0.0),
        };
        let room = self.left >= needs + kept;
        if room {
            self.left -= needs;
        }
        room
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: f64 = 1e9;

    #[test]
    fn a_steady_event_has_its_rate() {
        for per_second in [2.0, 12.0, 300.0, 1e5] {
            let mut rate = Rate::<1>::default();
            let count = (per_second * 6.0) as u64;
            (0..=count).for_each(|k| rate.event((k as f64 / per_second * S) as u64));
            let now = rate.at((6.0 * S) as u64);
            assert!((now / per_second as f32 - 1.0).abs() < 0.02, "{per_second}: {now}");
            assert!(rate.at((9.0 * S) as u64) < 0.06 * now);
        }
    }

    #[test]
    fn the_form_changes_at_12_and_60_and_not_back_at_once() {
        let plain = Thresholds::new(0.5);
        let (mut form, mut heard) = (Form::Note, vec![]);
        for rate in [5.0, 11.9, 12.1, 59.0, 61.0, 50.0, 44.0, 13.0, 9.5, 8.9] {
            form = plain.next(form, rate);
            heard.push(form);
        }
        use Form::{Grain as G, Note as N, Texture as T};
        assert_eq!(heard, [N, N, G, G, T, T, G, G, G, N]);
        assert_eq!(plain.next(Form::Note, 1e5), Form::Texture);
        assert_eq!(plain.next(Form::Texture, 0.0), Form::Note);
    }

    #[test]
    fn detail_moves_the_thresholds() {
        assert_eq!(Thresholds::new(1.0).next(Form::Note, 40.0), Form::Note);
        assert_eq!(Thresholds::new(0.0).next(Form::Note, 16.0), Form::Texture);
    }

    #[test]
    fn no_second_has_more_than_forty_onsets() {
        for cause in [Cause::Grain, Cause::Note, Cause::Error] {
            let mut onsets = Onsets::new();
            // 10 000 attempts a second.
            let cost = if cause == Cause::Error { 2 } else { 1 };
            let taken: Vec<u64> =
                (0..50_000).map(|k| 5_000_000_000 + k * 100_000).filter(|&now| onsets.take(cause, now)).collect();
            for (k, &first) in taken.iter().enumerate() {
                let in_second = taken[k..].iter().take_while(|&&t| t < first + 1_000_000_000).count();
                assert!(in_second * cost <= MAX_ONSETS as usize, "{cause:?}: {in_second} in a second");
            }
            assert!(taken.len() * cost > 5 * 30, "{cause:?}: only {}", taken.len());
        }
    }

    #[test]
    fn errors_are_heard_however_many_grains_there_are() {
        let mut onsets = Onsets::new();
        for k in 0..10_000u64 {
            onsets.take(Cause::Grain, k * 100_000);
        }
        assert!(onsets.take(Cause::Error, 1_000_000_000));
    }
}
