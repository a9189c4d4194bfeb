//! How large a number is among those of the last minute: its position between the 5 % and the 95 % quantile, on a
//! logarithmic scale.

/// Slots that make up the minute.
const SLOTS: usize = 6;
/// The length of a slot, ns.
const SLOT_NS: u64 = 10_000_000_000;
/// Classes of numbers per doubling.
const PER_OCTAVE: f32 = 4.0;
/// Classes: log2 of any 64-bit number is below 64.
const CLASSES: usize = 64 * PER_OCTAVE as usize;
/// How many numbers are added before the limits are computed again.
const EVERY: u32 = 16;
/// The smallest range that is spread over all notes, in doublings: below it all numbers count as equal.
const LEAST: f32 = 1.0;

/// The numbers of one event in the last minute, and their range.
pub struct Range {
    /// The count of each class, by slot. 16 bits, saturating: a full class is precise enough.
    slots: Box<[[u16; CLASSES]; SLOTS]>,
    /// The slot in use, and its number of 10 s since the beginning of time.
    current: u64,
    /// The 5 % and 95 % quantiles, log2.
    low: f32,
    high: f32,
    seen: u32,
}

impl Range {
    /// No numbers yet.
    pub fn new() -> Range {
        Range { slots: Box::new([[0; CLASSES]; SLOTS]), current: 0, low: 0.0, high: 0.0, seen: 0 }
    }

    /// Adds a number and returns its position: 0 the smallest of the last minute, 1 the largest.
    pub fn rank(&mut self, number: f64, now_ns: u64) -> f32 {
        let log = (1.0 + number.abs()).log2() as f32;
        self.go_to(now_ns / SLOT_NS);
        let class = ((log * PER_OCTAVE) as usize).min(CLASSES - 1);
        let slot = &mut self.slots[(self.current % SLOTS as u64) as usize];
        slot[class] = slot[class].saturating_add(1);
        if self.seen < 4 * EVERY || self.seen.is_multiple_of(EVERY) {
            self.find_limits();
        }
        self.seen = self.seen.saturating_add(1);
        if self.low == self.high && self.low == middle_of(class) {
            return 0.5;
        }
        let (middle, width) = ((self.low + self.high) / 2.0, (self.high - self.low).max(LEAST));
        (0.5 + (log - middle) / width).clamp(0.0, 1.0)
    }

    /// Removes numbers older than a minute.
    fn go_to(&mut self, slot: u64) {
        if slot <= self.current {
            return;
        }
        for old in 0..(slot - self.current).min(SLOTS as u64) {
            self.slots[((slot - old) % SLOTS as u64) as usize].fill(0);
        }
        self.current = slot;
    }

    fn find_limits(&mut self) {
        let count = |class: usize| self.slots.iter().map(|slot| u32::from(slot[class])).sum::<u32>();
        let total: u32 = (0..CLASSES).map(count).sum();
        let (mut below, mut low, mut high) = (0, None, 0);
        for class in 0..CLASSES {
            let here = count(class);
            if here == 0 {
                continue;
            }
            below += here;
            // At least one number is below the limit: with few numbers, the limits are the smallest and the largest.
            if low.is_none() && below * 20 >= total {
                low = Some(class);
            }
            if (below - here) * 20 < total * 19 {
                high = class;
            }
        }
        (self.low, self.high) = (middle_of(low.unwrap_or(high)), middle_of(high));
    }
}

/// The centre of a class, log2.
fn middle_of(class: usize) -> f32 {
    (class as f32 + 0.5) / PER_OCTAVE
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: u64 = 1_000_000_000;

    #[test]
    fn ranks_are_logarithmic() {
        let mut range = Range::new();
        for round in 0..100 {
            for power in 0..=10 {
                range.rank(f64::from(1 << power), round * S / 10);
            }
        }
        let ranks = [1, 32, 1024].map(|number| range.rank(f64::from(number), 10 * S));
        // log2(1 + 32) is 5.04: 0.44 of the way from log2(1 + 1) to log2(1 + 1024), in quarters.
        for (rank, want) in ranks.iter().zip([0.0, 0.44, 1.0]) {
            assert!((rank - want).abs() < 0.02, "{ranks:?}");
        }
    }

    #[test]
    fn a_rare_outlier_does_not_compress_the_others() {
        let mut range = Range::new();
        for k in 0..1000 {
            range.rank(if k % 100 == 0 { 1e15 } else { f64::from(64 << (k % 5)) }, k * S / 100);
        }
        assert!(range.rank(1024.0, 10 * S) > 0.85);
        assert!(range.rank(64.0, 10 * S) < 0.15);
        assert_eq!(range.rank(1e15, 10 * S), 1.0);
    }

    #[test]
    fn numbers_older_than_a_minute_are_forgotten() {
        let mut range = Range::new();
        for k in 0..100 {
            range.rank(1e9, k * S / 10);
        }
        for k in 0..100 {
            range.rank(f64::from(8 << (k % 8)), 75 * S + k * S / 10);
        }
        assert!(range.rank(1000.0, 85 * S) > 0.9);
    }

    #[test]
    fn equal_numbers_are_in_the_middle() {
        let mut range = Range::new();
        let ranks: Vec<f32> = (0..100).map(|k| range.rank(4096.0, k * S / 10)).collect();
        assert!(ranks.iter().all(|rank| *rank == 0.5), "{ranks:?}");
    }

    #[test]
    fn no_number_is_out_of_range() {
        let mut range = Range::new();
        for number in [0.0, -1.0, f64::MAX, u64::MAX as f64, i64::MIN as f64, f64::INFINITY] {
            assert!((0.0..=1.0).contains(&range.rank(number, u64::MAX)), "{number}");
        }
    }
}
