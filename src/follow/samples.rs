//! The offsets measured by exchanges, and the choice of the best one.

use crate::osc::clock::Pong;

/// How many samples are kept.
const KEPT: usize = 8;
/// The largest drift between two quartz clocks, ns per ms: 50 ppm.
const DRIFT_NS_PER_MS: u64 = 50;

/// The result of one exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sample {
    /// When it was, ns of our CLOCK_MONOTONIC.
    pub(super) mono_ns: u64,
    /// The other machine's time of day minus our CLOCK_MONOTONIC.
    pub(super) offset: i64,
    pub(super) round_trip_ns: u64,
}

impl Sample {
    /// The sample of a ping sent at `asked` whose pong arrived at `came`. `None` if its times are impossible: the
    /// other machine cannot have taken longer than the whole round trip.
    pub(super) fn of(asked: u64, came: u64, pong: &Pong) -> Option<Sample> {
        let there = pong.sent_ns.checked_sub(pong.received_ns)?;
        let round_trip_ns = came.checked_sub(asked)?.checked_sub(there)?;
        let ours = i128::from(asked) + i128::from(came);
        let theirs = i128::from(pong.received_ns) + i128::from(pong.sent_ns);
        let offset = i64::try_from((theirs - ours) / 2).ok()?;
        Some(Sample { mono_ns: came, offset, round_trip_ns })
    }

    /// The largest error now.
    fn bound(&self, mono_ns: u64) -> u64 {
        self.round_trip_ns / 2 + mono_ns.saturating_sub(self.mono_ns) / 1_000_000 * DRIFT_NS_PER_MS
    }
}

/// The last samples.
#[derive(Debug, Default)]
pub(super) struct Samples(Vec<Sample>);

impl Samples {
    pub(super) fn push(&mut self, sample: Sample) {
        if self.0.len() >= KEPT
            && let Some(worst) =
                (0..self.0.len()).max_by_key(|at| self.0.get(*at).map(|kept| kept.bound(sample.mono_ns)))
        {
            self.0.remove(worst);
        }
        self.0.push(sample);
    }

    /// The sample with the smallest error, and that error.
    pub(super) fn best(&self, mono_ns: u64) -> Option<(Sample, u64)> {
        self.0.iter().map(|sample| (*sample, sample.bound(mono_ns))).min_by_key(|(_, bound)| *bound)
    }

    /// By how much a sample differs from the others, if that exceeds `least` and the possible errors.
    pub(super) fn jump(&self, sample: &Sample, least: u64) -> Option<i64> {
        let (best, bound) = self.best(sample.mono_ns)?;
        let by = sample.offset.saturating_sub(best.offset);
        (by.unsigned_abs() > least.max(bound + sample.bound(sample.mono_ns))).then_some(by)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    #[test]
    fn the_offset_of_an_exchange_worked_out_by_hand() {
        // Theirs is 1000 ms ahead. 3 ms there, 2 ms until it is answered, 1 ms back.
        let pong = Pong { nonce: 0, received_ns: 1103 * MS, sent_ns: 1105 * MS };
        let sample = Sample::of(100 * MS, 106 * MS, &pong).unwrap();
        assert_eq!(sample.round_trip_ns, 4 * MS);
        // The two ways differ by 2 ms, so the error is 1 ms; the bound is 2 ms.
        assert_eq!(sample.offset, 1001 * MS as i64);
        assert_eq!(sample.bound(sample.mono_ns), 2 * MS);
        // 10 s later it may have drifted by half a ms more.
        assert_eq!(sample.bound(sample.mono_ns + 10_000 * MS), 2 * MS + MS / 2);
    }

    #[test]
    fn the_shortest_round_trip_is_used_until_it_is_too_old_and_impossible_ones_are_ignored() {
        let at = |mono_ns, offset, round_trip_ns| Sample { mono_ns, offset, round_trip_ns };
        let mut samples = Samples::default();
        samples.push(at(0, 500, MS));
        for step in 1..100 {
            samples.push(at(step * 100 * MS, 900, 5 * MS));
        }
        assert_eq!(samples.best(9_900 * MS), Some((at(0, 500, MS), MS / 2 + 495_000)));
        for step in 100..1000 {
            samples.push(at(step * 100 * MS, 900, 5 * MS));
        }
        assert_eq!(samples.best(99_900 * MS).unwrap().0.offset, 900);
        // A clock that was set, as opposed to a long round trip.
        assert_eq!(samples.jump(&at(100_000 * MS, 900 + 60_000_000, 5 * MS), 50_000_000), Some(60_000_000));
        assert_eq!(samples.jump(&at(100_000 * MS, 900 + 60_000_000, 200 * MS), 50_000_000), None);
        assert_eq!(Sample::of(10, 20, &Pong { nonce: 0, received_ns: 5, sent_ns: 30 }), None);
        assert_eq!(Sample::of(10, 20, &Pong { nonce: 0, received_ns: 30, sent_ns: 5 }), None);
    }
}
