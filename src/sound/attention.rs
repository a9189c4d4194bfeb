//! Attention follows change: an event that continues as before becomes softer; a new or changing one becomes louder.

use super::density::Rate;

/// Time after which an event counts as new again, ns.
const FORGOTTEN_NS: u64 = 30_000_000_000;
/// How fast one gets used to a rate, s.
const GETTING_USED: f32 = 10.0;
/// The amplitude of an event that one is used to: −20 dB.
const FLOOR: f32 = 0.1;
/// The amplitude of an event after silence: +6 dB.
const NEW: f32 = 2.0;

/// How loud an event is, depending on how it changes.
#[derive(Debug, Clone, Copy, Default)]
pub struct Attention {
    /// 1: new; 0: one is used to it.
    attention: f32,
    /// The rate that one is used to, 1/s.
    usual: f32,
    last_ns: u64,
    any: bool,
}

impl Attention {
    /// Processes an event. Returns whether it is new: never heard, or not for half a minute.
    pub fn event(&mut self, rate: &Rate<1>, now_ns: u64) -> bool {
        let silence = now_ns.saturating_sub(self.last_ns);
        let new = !self.any || silence > FORGOTTEN_NS;
        self.any = true;
        let rate = rate.at(now_ns);
        let fades = (-(silence as f32) * 1e-9 / GETTING_USED).exp();
        self.last_ns = self.last_ns.max(now_ns);
        self.attention *= fades;
        self.usual = rate + (self.usual - rate) * fades;
        // A rate measured over a second varies by about its own root.
        if new || rate > 2.0 * self.usual + 3.0 * (self.usual / 2.0).sqrt() {
            self.attention = 1.0;
            self.usual = rate;
        }
        new
    }

    /// The factor for the amplitude, from −20 dB for what one is used to, to +6 dB for what is `new`.
    pub fn factor(&self, new: bool) -> f32 {
        if new { NEW } else { FLOOR + (1.0 - FLOOR) * self.attention }
    }

    /// The attention, 0 to 1.
    pub fn level(&self) -> f32 {
        self.attention
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Plays events of `rate` from `from` to `until` seconds; returns the factor after each second.
    fn play(attention: &mut Attention, measured: &mut Rate<1>, rate: f64, from: f64, until: f64) -> Vec<f32> {
        let mut factors = vec![];
        let count = ((until - from) * rate) as u64;
        for k in 0..count {
            let now = ((from + k as f64 / rate) * 1e9) as u64;
            measured.event(now);
            attention.event(measured, now);
            if k % (rate.ceil() as u64) == rate.ceil() as u64 - 1 {
                factors.push(attention.factor(false));
            }
        }
        factors
    }

    fn db(factor: f32) -> f32 {
        20.0 * factor.log10()
    }

    #[test]
    fn a_steady_rate_fades_by_some_20_db_and_a_change_is_loud() {
        let (mut attention, mut rate) = (Attention::default(), Rate::default());
        let steady = play(&mut attention, &mut rate, 200.0, 0.0, 60.0);
        assert!(db(steady[0]) > -1.0, "{} dB in its first second", db(steady[0]));
        assert!((-7.0..-2.0).contains(&db(steady[9])), "{} dB after 10 s", db(steady[9]));
        assert!(db(steady[58]) < -18.0, "{} dB after a minute", db(steady[58]));
        let more = play(&mut attention, &mut rate, 1000.0, 60.0, 62.0);
        assert!(db(more[0]) > -1.0, "{} dB after it has risen", db(more[0]));
    }

    #[test]
    fn an_event_after_half_a_minute_of_silence_is_new() {
        let (mut attention, rate) = (Attention::default(), Rate::default());
        assert!(attention.event(&rate, 1));
        assert!(!attention.event(&rate, 20_000_000_000));
        assert!(attention.event(&rate, 51_000_000_000));
        assert!((db(attention.factor(true)) - 6.0).abs() < 0.1);
    }
}
