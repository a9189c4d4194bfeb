//! What exchanges say of an offset, and which of them is to be believed.

use crate::osc::clock::Pong;

/// How many are kept.
const KEPT: usize = 8;
/// Two quartz clocks run apart by so many ns in a ms at most: 50 millionths.
const DRIFT_NS_PER_MS: u64 = 50;

/// What one exchange says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sample {
    /// When, ns of our CLOCK_MONOTONIC.
    pub(super) mono_ns: u64,
    /// Added to CLOCK_MONOTONIC, it is the other's time of day.
    pub(super) offset: i64,
    pub(super) round_trip_ns: u64,
}

impl Sample {
    /// That of a ping that left at `asked` and whose pong came at `came`. `None` where its times cannot be: one who answers takes no
    /// longer than the asker waits.
    pub(super) fn of(asked: u64, came: u64, pong: &Pong) -> Option<Sample> {
        let there = pong.sent_ns.checked_sub(pong.received_ns)?;
        let round_trip_ns = came.checked_sub(asked)?.checked_sub(there)?;
        let ours = i128::from(asked) + i128::from(came);
        let theirs = i128::from(pong.received_ns) + i128::from(pong.sent_ns);
        let offset = i64::try_from((theirs - ours) / 2).ok()?;
        Some(Sample { mono_ns: came, offset, round_trip_ns })
    }

    /// How far it may be from the truth now.
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

    /// The one that is nearest to the truth, and how near.
    pub(super) fn best(&self, mono_ns: u64) -> Option<(Sample, u64)> {
        self.0.iter().map(|sample| (*sample, sample.bound(mono_ns))).min_by_key(|(_, bound)| *bound)
    }

    /// By how much a sample is off from what the others say, where that is more than `least` and more than errors explain.
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
    fn the_offset_of_an_exchange_by_hand() {
        // Theirs is 1000 ms ahead. 3 ms there, 2 ms until it is answered, 1 ms back.
        let pong = Pong { nonce: 0, received_ns: 1103 * MS, sent_ns: 1105 * MS };
        let sample = Sample::of(100 * MS, 106 * MS, &pong).unwrap();
        assert_eq!(sample.round_trip_ns, 4 * MS);
        // The ways differ by 2 ms, so it is wrong by 1 ms; the bound is 2 ms.
        assert_eq!(sample.offset, 1001 * MS as i64);
        assert_eq!(sample.bound(sample.mono_ns), 2 * MS);
        // 10 s later it may have drifted by half a ms more.
        assert_eq!(sample.bound(sample.mono_ns + 10_000 * MS), 2 * MS + MS / 2);
    }

    #[test]
    fn the_shortest_way_counts_until_it_is_too_old_and_what_cannot_be_does_not() {
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
        // A clock that was set is no long way.
        assert_eq!(samples.jump(&at(100_000 * MS, 900 + 60_000_000, 5 * MS), 50_000_000), Some(60_000_000));
        assert_eq!(samples.jump(&at(100_000 * MS, 900 + 60_000_000, 200 * MS), 50_000_000), None);
        assert_eq!(Sample::of(10, 20, &Pong { nonce: 0, received_ns: 5, sent_ns: 30 }), None);
        assert_eq!(Sample::of(10, 20, &Pong { nonce: 0, received_ns: 30, sent_ns: 5 }), None);
    }
}
