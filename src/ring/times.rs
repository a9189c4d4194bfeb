//! Converts the times in a ring to ns: a guest's clock is corrected to its host's, and ticks are scaled.
//!
//! A trace.dat states both in its options TIME_SHIFT, TSC2NSEC and OFFSET. They are applied as trace-cmd does
//! (`timestamp_calc`, lib/trace-cmd/trace-input.c): first the correction of the CPU, then the scale, then the offset.

/// A correction of one clock against another, valid from a moment on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shift {
    /// When it was measured, on the clock that is corrected.
    pub time: u64,
    /// Added to times from then on.
    pub offset: i64,
    /// A time is multiplied by this, …
    pub scaling: u64,
    /// … and shifted right by this many bits.
    pub fraction: u64,
}

/// The length of a tick: `(ticks * multiplier >> shift) + offset` is ns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scale {
    /// Multiplier.
    pub multiplier: u32,
    /// Right shift after the multiplication.
    pub shift: u32,
    /// Added, ns.
    pub offset: i64,
}

impl Scale {
    /// For times that are ns already, `offset` behind another clock's.
    pub const fn moved(offset: i64) -> Scale {
        Scale { multiplier: 1, shift: 0, offset }
    }

    /// The scale for a tick of `numerator / denominator` ns; `None` if that is zero or more than 4 s.
    ///
    /// ```
    /// use ftrace_live::ring::Scale;
    /// // A counter of 2 GHz: 0.5 ns.
    /// let scale = Scale::of_tick(1, 2).unwrap();
    /// assert_eq!(scale.ns(2_000_000_000), 1_000_000_000);
    /// assert_eq!(Scale::of_tick(10_000_000, 1).unwrap().ns(3), 30_000_000);
    /// ```
    pub fn of_tick(numerator: u64, denominator: u64) -> Option<Scale> {
        if numerator == 0 || denominator == 0 {
            return None;
        }
        // The largest shift for which the multiplier fits.
        (0..=32).rev().find_map(|shift| {
            let denominator = u128::from(denominator);
            let multiplier = ((u128::from(numerator) << shift) + denominator / 2) / denominator;
            let multiplier = u32::try_from(multiplier).ok().filter(|&multiplier| multiplier > 0)?;
            Some(Scale { multiplier, shift, offset: 0 })
        })
    }

    /// Converts `ticks` to ns.
    pub fn ns(&self, ticks: u64) -> u64 {
        let scaled = (u128::from(ticks) * u128::from(self.multiplier)).checked_shr(self.shift).unwrap_or(0);
        (scaled as u64).wrapping_add(self.offset.cast_unsigned())
    }
}

/// How times are converted to ns. By default they are ns already.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Times {
    /// Corrections by CPU, ascending in time and without duplicates. CPUs past the end have none.
    shifts: Vec<Vec<Shift>>,
    /// Whether offsets are interpolated between two corrections (`TRACECMD_TSYNC_FLAG_INTERPOLATE`).
    interpolate: bool,
    /// The length of a tick; `None` if times are ns.
    scale: Option<Scale>,
    /// Added to every time, ns.
    offset: i64,
}

impl Times {
    /// Times that are corrected by the `shifts` of each CPU, and then scaled.
    pub fn new(mut shifts: Vec<Vec<Shift>>, interpolate: bool, scale: Option<Scale>) -> Times {
        for cpu in &mut shifts {
            cpu.sort_by_key(|shift| shift.time);
            cpu.dedup_by_key(|shift| shift.time);
        }
        Times { shifts, interpolate, scale, offset: 0 }
    }

    /// The same with `offset` ns added.
    pub fn with_offset(self, offset: i64) -> Times {
        Times { offset, ..self }
    }

    /// Whether times are ns already.
    pub fn is_plain(&self) -> bool {
        self.shifts.iter().all(Vec::is_empty) && self.scale.is_none() && self.offset == 0
    }

    /// What is added to every time, ns.
    pub fn offset(&self) -> i64 {
        self.offset
    }

    /// The corrections, by CPU.
    pub fn shifts(&self) -> &[Vec<Shift>] {
        &self.shifts
    }

    /// Whether offsets are interpolated between two corrections.
    pub fn interpolates(&self) -> bool {
        self.interpolate
    }

    /// The length of a tick.
    pub fn scale(&self) -> Option<Scale> {
        self.scale
    }

    /// Converts `time` in the ring of `cpu` to ns.
    pub fn ns(&self, cpu: u32, time: u64) -> u64 {
        let time = match self.shifts.get(cpu as usize).map(Vec::as_slice) {
            None | Some([]) => time,
            Some([only]) => time.wrapping_add(only.offset.cast_unsigned()),
            Some(shifts) => {
                // The last correction that is not later; never the very last one, which only ends an interval.
                let after = shifts.partition_point(|shift| shift.time <= time);
                let at = after.saturating_sub(1).min(shifts.len() - 2);
                match shifts.get(at..at + 2) {
                    Some([from, to]) => self.shifted(time, from, to),
                    _ => time,
                }
            }
        };
        self.scale.map_or(time, |scale| scale.ns(time)).wrapping_add(self.offset.cast_unsigned())
    }

    fn shifted(&self, time: u64, from: &Shift, to: &Shift) -> u64 {
        let mut offset = from.offset;
        if self.interpolate {
            // In 64 bits, as trace-cmd computes it: a correction too large for that gives the same result as there.
            let since = |time: u64| time.wrapping_sub(from.time).cast_signed();
            let (length, change) = (since(to.time), to.offset.wrapping_sub(from.offset));
            let part = since(time).wrapping_mul(change).wrapping_add(length / 2);
            offset = offset.wrapping_add(part.checked_div(length).unwrap_or(0));
        }
        let scaled = time.wrapping_mul(from.scaling).checked_shr(from.fraction.try_into().unwrap_or(64)).unwrap_or(0);
        scaled.wrapping_add(offset.cast_unsigned())
    }
}

/// Whether the trace clock of this name counts nanoseconds (`in_ns` in `trace_clocks`, kernel/trace/trace.c): all but the
/// counters and `uptime`, which counts in jiffies.
pub fn counts_nanoseconds(clock: &str) -> bool {
    !matches!(clock, "counter" | "x86-tsc" | "ppc-tb" | "uptime")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shift(time: u64, offset: i64) -> Shift {
        Shift { time, offset, scaling: 1, fraction: 0 }
    }

    #[test]
    fn an_offset_alone_is_not_plain() {
        let times = Times::new(vec![], false, None);
        assert!(times.is_plain());
        assert!(!times.with_offset(5).is_plain());
    }

    #[test]
    fn a_tick_has_the_length_of_a_ratio_but_not_zero() {
        assert_eq!(Scale::of_tick(1, 2).unwrap().ns(2_000_000_000), 1_000_000_000);
        assert_eq!(Scale::of_tick(10_000_000, 1).unwrap().ns(3), 30_000_000);
        assert!(Scale::of_tick(0, 1).is_none() && Scale::of_tick(1, 0).is_none());
        // 3 * 2^32 / 7 is 1 840 700 269.71: rounded.
        assert_eq!(Scale::of_tick(3, 7).unwrap().ns(1 << 32), 1_840_700_270);
        // Less than 2^-33 ns; more than 4 s.
        assert!(Scale::of_tick(1, u64::MAX).is_none());
        assert!(Scale::of_tick(5_000_000_000, 1).is_none());
    }

    #[test]
    fn a_scale_is_the_product_of_all_64_bits() {
        // A TSC of 2 GHz as trace-cmd records it.
        let scale = Scale { multiplier: 1 << 31, shift: 32, offset: 0 };
        assert_eq!(scale.ns(7_000_000_000), 3_500_000_000);
        assert_eq!(scale.ns(u64::MAX), u64::MAX / 2);
        assert_eq!(Scale { offset: -500, ..scale }.ns(2_000), 500);
        assert_eq!(Scale { shift: 200, ..scale }.ns(2_000), 0);
        assert_eq!(Scale::of_tick(0, 5), None);
        assert_eq!(Scale::of_tick(5_000_000_000, 1), None);
    }

    #[test]
    fn one_correction_is_its_offset_and_a_cpu_without_one_stays() {
        let times = Times::new(vec![vec![shift(50, -20)], vec![]], false, None);
        assert_eq!((times.ns(0, 10), times.ns(0, 100)), (u64::MAX - 9, 80));
        assert_eq!((times.ns(1, 100), times.ns(2, 100)), (100, 100));
        assert!(!times.is_plain() && Times::default().is_plain());
    }

    #[test]
    fn the_last_correction_not_later_applies_but_never_the_very_last() {
        // Unsorted and with a duplicate, as a file may have them.
        let shifts = vec![shift(300, 30), shift(100, 10), shift(200, 20), shift(200, 99)];
        let times = Times::new(vec![shifts], false, None);
        for (time, corrected) in [(50, 60), (100, 110), (199, 209), (200, 220), (299, 319), (300, 320), (900, 920)] {
            assert_eq!(times.ns(0, time), corrected, "{time}");
        }
    }

    #[test]
    fn offsets_are_interpolated_and_extrapolated_if_the_file_says_so() {
        let times = Times::new(vec![vec![shift(100, 10), shift(200, 20)]], true, None);
        // The last: (-100 * 10 + 50) / 100 is -9, as C divides.
        for (time, corrected) in [(100, 110), (150, 165), (200, 220), (300, 330), (0, 1)] {
            assert_eq!(times.ns(0, time), corrected, "{time}");
        }
    }

    #[test]
    fn a_guests_counter_is_scaled_before_it_is_moved_and_its_ticks_after_both() {
        // Half as fast as its host's (1/2: scaling 1, fraction 1), 1000 ticks behind; 0.5 ns a tick.
        let half = |time| Shift { time, offset: 1000, scaling: 1, fraction: 1 };
        let scale = Scale { multiplier: 1, shift: 1, offset: 0 };
        let times = Times::new(vec![vec![half(0), half(10)]], false, Some(scale));
        assert_eq!(times.ns(0, 4000), 1500);
        let wild = Shift { time: 0, offset: i64::MIN, scaling: u64::MAX, fraction: u64::MAX };
        let times = Times::new(vec![vec![wild, Shift { time: u64::MAX, offset: i64::MAX, ..wild }]], true, Some(scale));
        for time in [0, 1, u64::MAX] {
            times.ns(0, time);
        }
    }
}
