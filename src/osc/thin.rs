//! The rate cap: thins out frequent events and keeps rare ones.
//!
//! Each address keeps every Nth of its messages. N follows from the last window: the cap is shared evenly, the part
//! of its share that a rare event does not need goes to the others (water-filling), and N is by how much a frequent
//! event exceeds what is left for it. A burst in its first window, of which nothing is known yet, may use what the
//! window has; every address has its even share reserved, so that a frequent event never starves a rare one.

/// The window over which rates are measured, ns. At 20 windows a second a flood is thinned before it is heard as one.
const WINDOW_NS: u64 = 50_000_000;

/// The share of one address.
#[derive(Debug, Clone, Copy, Default)]
struct Share {
    /// Events in this window.
    seen: u32,
    /// How many of them were sent.
    passed: u32,
    /// Keep every Nth; 0 and 1 keep all.
    every: u32,
    /// Events since the last one that was kept.
    skipped: u32,
}

/// Decides which events are sent.
#[derive(Debug)]
pub struct Thinner {
    /// Messages in a window.
    budget: u32,
    window_start: u64,
    passed: u32,
    /// What each address has reserved in this window.
    reserved: u32,
    shares: Vec<Share>,
    thinned: u64,
    demands: Vec<u32>,
}

impl Thinner {
    /// Allows at most `max_rate` messages a second.
    pub fn new(max_rate: u32) -> Thinner {
        let budget = (u64::from(max_rate) * WINDOW_NS / 1_000_000_000).max(1) as u32;
        Thinner { budget, window_start: 0, passed: 0, reserved: budget, shares: vec![], thinned: 0, demands: vec![] }
    }

    /// Whether to send an event of address number `index` at `now` (ns of any monotonic clock).
    #[inline]
    pub fn admit(&mut self, index: usize, now: u64) -> bool {
        if now.wrapping_sub(self.window_start) >= WINDOW_NS {
            self.next_window(now);
        }
        if self.shares.len() <= index {
            self.shares.resize(index + 1, Share::default());
        }
        let share = &mut self.shares[index];
        share.seen = share.seen.saturating_add(1);
        share.skipped += 1;
        let turn = share.skipped >= share.every;
        if turn && (self.passed < self.budget || share.passed < self.reserved) {
            share.skipped = 0;
            share.passed += 1;
            self.passed += 1;
            return true;
        }
        self.thinned += 1;
        false
    }

    /// Events not sent so far.
    pub fn thinned(&self) -> u64 {
        self.thinned
    }

    #[cold]
    fn next_window(&mut self, now: u64) {
        // After an empty window nothing is known about a flood that begins now.
        let elapsed = now.wrapping_sub(self.window_start) / WINDOW_NS;
        // What the last window sent above its budget is subtracted from this one.
        let debt = self.passed.saturating_sub(self.budget).min(self.budget / 2);
        self.window_start = if elapsed == 1 { self.window_start + WINDOW_NS } else { now };
        let available = if elapsed == 1 { self.budget - debt } else { self.budget };
        self.demands.clear();
        self.demands.extend(self.shares.iter().map(|s| s.seen).filter(|&seen| seen > 0));
        let level = water_level(&mut self.demands, available);
        for share in &mut self.shares {
            share.every = if elapsed == 1 { share.seen.div_ceil(level.max(1)) } else { 1 };
            (share.seen, share.passed) = (0, 0);
        }
        self.passed = self.budget - available;
        self.reserved = (available / (self.demands.len() as u32 + 1)).max(1);
    }
}

/// The most that each of `demands` may have such that all together have at most `budget`.
fn water_level(demands: &mut [u32], budget: u32) -> u32 {
    demands.sort_unstable();
    let mut left = budget;
    for (index, &demand) in demands.iter().enumerate() {
        let even = left / (demands.len() - index) as u32;
        if demand > even {
            return even;
        }
        left -= demand;
    }
    u32::MAX
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds events of (address, period in ns) for `seconds`; returns how many of each were sent and seen.
    fn run(max_rate: u32, seconds: u64, periods: &[u64]) -> (Vec<(u64, u64)>, u64) {
        let mut thinner = Thinner::new(max_rate);
        let mut counts = vec![(0, 0); periods.len()];
        let mut next: Vec<u64> = periods.to_vec();
        loop {
            let (index, &time) = next.iter().enumerate().min_by_key(|(_, t)| **t).unwrap();
            if time > seconds * 1_000_000_000 {
                return (counts, thinner.thinned());
            }
            counts[index].0 += u64::from(thinner.admit(index, time));
            counts[index].1 += 1;
            next[index] += periods[index];
        }
    }

    #[test]
    fn below_the_cap_everything_passes() {
        let (counts, thinned) = run(1000, 3, &[2_000_000, 3_000_000]);
        assert!(counts.iter().all(|(sent, seen)| sent == seen), "{counts:?}");
        assert_eq!(thinned, 0);
    }

    #[test]
    fn a_flood_is_thinned_to_the_cap_and_the_five_interrupts_a_second_beside_it_all_pass() {
        // 200 000 page faults a second, 5 interrupts a second.
        let (counts, thinned) = run(5000, 4, &[5_000, 200_000_001]);
        let [(faults, seen), (interrupts, all)] = counts[..] else { panic!() };
        assert_eq!(interrupts, all);
        assert!((14_000..=20_500).contains(&faults), "{faults} faults in 4 s at a cap of 5000/s");
        assert_eq!(thinned, seen - faults);
    }

    #[test]
    fn two_floods_share_the_cap_evenly() {
        let (counts, _) = run(2000, 5, &[10_000, 40_000]);
        let [(a, _), (b, _)] = counts[..] else { panic!() };
        assert!(a + b <= 10_200 && a.abs_diff(b) <= 600, "{counts:?}");
    }

    #[test]
    fn an_event_absent_from_a_window_has_no_share_of_the_next() {
        let mut thinner = Thinner::new(1000);
        // Three addresses are known, one of which has events.
        (0..3).for_each(|index| assert!(thinner.admit(index, 0)));
        let budget = thinner.budget;
        assert!(thinner.admit(0, WINDOW_NS) && thinner.admit(0, 2 * WINDOW_NS));
        assert_eq!(thinner.reserved, budget / 2);
    }

    #[test]
    fn the_water_level_leaves_small_demands_whole() {
        assert_eq!(water_level(&mut [5, 1000, 3000], 1005), 500);
        // The remainder goes to those who want more than an even share.
        assert_eq!(water_level(&mut [3, 10], 7), 4);
        assert_eq!(water_level(&mut [5, 10], 100), u32::MAX);
        assert_eq!(water_level(&mut [], 100), u32::MAX);
    }

    const MS: u64 = 1_000_000;

    /// Offers `count` events of each address at `at_ms`, address by address; returns how many of each are sent.
    fn offer(thinner: &mut Thinner, at_ms: u64, addresses: &[usize], count: u32) -> Vec<u32> {
        let admitted = |index: &usize, thinner: &mut Thinner| {
            (0..count).map(|_| u32::from(thinner.admit(*index, at_ms * MS))).sum()
        };
        addresses.iter().map(|index| admitted(index, thinner)).collect()
    }

    // 200 a second are 10 in a window of 50 ms.
    #[test]
    fn the_excess_of_a_first_window_is_subtracted_from_the_next() {
        let mut thinner = Thinner::new(200);
        // Each address has its share reserved: 20 are sent, 10 too many. At most half a window's budget is
        // subtracted.
        assert_eq!(offer(&mut thinner, 1000, &[0, 1], 40), [10, 10]);
        // 5 are left, 2 for each: every 20th of 40.
        assert_eq!(offer(&mut thinner, 1050, &[0, 1], 40), [2, 2]);
        // Nothing to subtract: 5 for each, every 8th.
        assert_eq!(offer(&mut thinner, 1100, &[0, 1], 40), [5, 5]);
    }

    #[test]
    fn after_a_pause_events_pass_until_the_budget_is_used() {
        let mut thinner = Thinner::new(200);
        offer(&mut thinner, 1000, &[0, 1], 40);
        offer(&mut thinner, 1050, &[0, 1], 400);
        assert_eq!(offer(&mut thinner, 1237, &[0], 10), [10]);
        // Still in the window that began with its first event: a third of the budget is reserved for each of two, and
        // for a new one.
        assert_eq!(offer(&mut thinner, 1286, &[1], 10), [3]);
        // The next window, one window length later.
        assert_eq!(offer(&mut thinner, 1287, &[2], 1), [1]);
    }

    #[test]
    fn windows_follow_each_other_by_their_own_length_whenever_their_first_event_comes() {
        let mut thinner = Thinner::new(200);
        offer(&mut thinner, 1000, &[0], 1);
        // The window from 1050 on begins late, and ends at 1100 nevertheless.
        assert_eq!(offer(&mut thinner, 1095, &[0], 20), [10]);
        assert_eq!(offer(&mut thinner, 1099, &[0], 20), [0]);
        // 40 were seen, 10 may be sent: every 4th.
        assert_eq!(offer(&mut thinner, 1100, &[0], 40), [10]);
    }

    #[test]
    fn a_common_event_that_comes_first_leaves_each_other_its_even_share() {
        let mut thinner = Thinner::new(200);
        assert_eq!(offer(&mut thinner, 1000, &[0, 1, 2], 3), [3, 3, 3]);
        // Nothing is thinned; the first takes the whole budget. A quarter of it, 2, is reserved for each of three,
        // and for a new one.
        assert_eq!(offer(&mut thinner, 1050, &[0, 1, 9], 30), [10, 2, 2]);
    }
}
