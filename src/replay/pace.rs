//! When events are due.

use super::{Speed, TOGETHER_NS};

/// When events are due.
pub(super) struct Pace {
    pub(super) speed: Speed,
    /// The time on the trace clock that is played at `began`; the time of the first event if the capture does not
    /// say.
    pub(super) origin: Option<u64>,
    /// When this pass began, or was last continued after a seek, a pause or a change of speed, ns since 1970.
    pub(super) began: u64,
    /// The time of the pass that was played then, ns since its beginning.
    pub(super) from: u64,
    /// The length of this pass on the trace clock, ns; known at the latest when it is over.
    pub(super) length: u64,
}

impl Pace {
    /// When an event of this time is played, ns since 1970; `None`: at once.
    #[inline]
    pub(super) fn due(&mut self, time: u64) -> Option<u64> {
        let since = time.saturating_sub(*self.origin.get_or_insert(time));
        match self.speed {
            Speed::Times(times) => {
                Some(self.began.saturating_add((since.saturating_sub(self.from) as f64 / times) as u64))
            }
            Speed::Max => None,
        }
    }

    /// The position in the capture at a moment, according to the pace.
    pub(super) fn position(&self, now: u64) -> u64 {
        match self.speed {
            Speed::Times(times) => {
                let since = (now.saturating_sub(self.began) as f64 * times) as u64;
                self.from.saturating_add(since).min(self.length)
            }
            Speed::Max => 0,
        }
    }

    pub(super) fn next_pass(&mut self) {
        if let Speed::Times(times) = self.speed {
            let length = (self.length.saturating_sub(self.from) as f64 / times) as u64;
            self.began = self.began.saturating_add(length.max(TOGETHER_NS));
        }
        (self.origin, self.from) = (None, 0);
    }

    /// Whether a record is before the selected part.
    #[inline]
    pub(super) fn is_before(&mut self, time: u64) -> bool {
        time.saturating_sub(*self.origin.get_or_insert(time)) < self.from
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// At twice the speed, of a part of 10 µs.
    fn pace(began: u64, from: u64) -> Pace {
        Pace { speed: Speed::Times(2.0), origin: None, began, from, length: 10_000 }
    }

    #[test]
    fn an_event_is_due_by_its_distance_from_the_first_divided_by_the_speed() {
        let mut from_the_first = pace(1_000_000, 0);
        assert_eq!([500, 700, 2500].map(|time| from_the_first.due(time)), [1_000_000, 1_000_100, 1_001_000].map(Some));
        // Continued 600 ns after the origin: what is before is due at once, what is behind counts from there.
        let mut later = Pace { origin: Some(500), ..pace(1_000_000, 600) };
        assert_eq!([500, 1100, 1300].map(|time| later.due(time)), [1_000_000, 1_000_000, 1_000_100].map(Some));
        let mut at_once = Pace { speed: Speed::Max, ..pace(1_000_000, 0) };
        assert_eq!(at_once.due(500), None);
    }

    #[test]
    fn the_position_is_that_of_the_capture_and_stays_at_its_end() {
        let pace = pace(1_000_000, 600);
        assert_eq!([0, 1_000_000, 1_000_100, 1_009_000].map(|now| pace.position(now)), [600, 600, 800, 10_000]);
        assert_eq!(Pace { speed: Speed::Max, ..pace }.position(1_000_100), 0);
    }

    #[test]
    fn the_next_pass_begins_when_this_one_is_over_and_a_short_one_takes_a_tick() {
        let mut long = Pace { length: 10_000_000, origin: Some(5), ..pace(1_000_000, 4_000_000) };
        long.next_pass();
        assert_eq!((long.began, long.from, long.origin), (4_000_000, 0, None));
        let mut short = pace(1_000_000, 0);
        short.next_pass();
        assert_eq!(short.began, 1_000_000 + TOGETHER_NS);
    }

    #[test]
    fn a_part_begins_with_the_event_at_its_first_time() {
        let mut part = pace(0, 600);
        assert_eq!([500, 1099, 1100, 1101].map(|time| part.is_before(time)), [true, true, false, false]);
        assert!(!pace(0, 0).is_before(0));
        // The first record that is looked at is the origin, also of a pass from its beginning.
        let mut whole = pace(0, 0);
        assert!(!whole.is_before(500) && !whole.is_before(700));
        assert_eq!(whole.origin, Some(500));
    }
}
