//! An offset that is corrected gradually, so that the resulting time never goes back.

/// How long a correction takes, ns; a large one takes longer.
const CORRECTION_NS: u64 = 10_000_000_000;
/// The largest change of rate meanwhile. Below 1, time always advances.
const MOST: f64 = 0.1;

/// The offset of a time of day to CLOCK_MONOTONIC.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Slew {
    /// Start of the current correction, ns of CLOCK_MONOTONIC.
    since: u64,
    /// The offset at that moment.
    offset: i64,
    /// The offset at the end of the correction.
    target: i64,
    /// Change of the offset in each ns until then.
    rate: f64,
}

impl Slew {
    /// A constant offset.
    pub fn new(mono_ns: u64, offset: i64) -> Slew {
        Slew { since: mono_ns, offset, target: offset, rate: 0.0 }
    }

    /// The time of day at a moment of CLOCK_MONOTONIC.
    pub fn at(&self, mono_ns: u64) -> u64 {
        mono_ns.wrapping_add_signed(self.offset_at(mono_ns))
    }

    /// Moves the offset to `target` gradually.
    pub fn correct(&mut self, mono_ns: u64, target: i64) {
        let offset = self.offset_at(mono_ns);
        let rate = (target.abs_diff(offset) as f64 / CORRECTION_NS as f64).min(MOST);
        *self = Slew { since: mono_ns, offset, target, rate };
    }

    /// What is left of the correction, ns.
    pub fn left(&self, mono_ns: u64) -> u64 {
        self.target.abs_diff(self.offset_at(mono_ns))
    }

    fn offset_at(&self, mono_ns: u64) -> i64 {
        let moved = (mono_ns.saturating_sub(self.since) as f64 * self.rate) as u64;
        let moved = moved.min(self.target.abs_diff(self.offset));
        let moved = i64::try_from(moved).unwrap_or(i64::MAX);
        if self.target < self.offset { self.offset - moved } else { self.offset.saturating_add(moved) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn a_small_correction_takes_ten_seconds_and_a_large_one_a_tenth_of_the_time() {
        let mut slew = Slew::new(5 * SECOND, 1000);
        assert_eq!(slew.at(5 * SECOND), 5 * SECOND + 1000);
        // 1 ms forward: half of it after half the time.
        slew.correct(5 * SECOND, 1_001_000);
        assert_eq!(slew.at(10 * SECOND), 10 * SECOND + 501_000);
        assert_eq!([5, 10, 60].map(|second| slew.left(second * SECOND)), [1_000_000, 500_000, 0]);
        assert_eq!(slew.at(60 * SECOND), 60 * SECOND + 1_001_000);
        // 20 s back: 0.1 s in each second, so 200 s.
        let mut slew = Slew::new(100 * SECOND, 0);
        slew.correct(100 * SECOND, -20 * SECOND as i64);
        assert_eq!(slew.at(110 * SECOND), 109 * SECOND);
        assert_eq!(slew.at(400 * SECOND), 380 * SECOND);
    }

    #[test]
    fn time_never_goes_back_whatever_the_corrections() {
        let mut slew = Slew::new(0, 1_000_000_000_000);
        let (mut last, mut state) = (0, 1u64);
        for step in 0..20_000u64 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let mono = step * 77_777;
            if state >> 60 == 0 {
                slew.correct(mono, 1_000_000_000_000 + (state as i64 >> 24));
            }
            let now = slew.at(mono);
            assert!(now >= last, "step {step}");
            last = now;
        }
    }
}
