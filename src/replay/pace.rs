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
        self.from > 0 && time.saturating_sub(*self.origin.get_or_insert(time)) < self.from
    }
}
