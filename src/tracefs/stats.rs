//! The counts of one CPU's ring: `per_cpu/cpuN/stats`.

/// The counts in `per_cpu/cpuN/stats`. Those that the kernel lacks are 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct CpuStats {
    /// Events in the ring now.
    pub entries: u64,
    /// Events overwritten before they were read.
    pub overrun: u64,
    /// Events lost because a commit was too far behind (nested interrupts).
    pub commit_overrun: u64,
    /// Bytes in the ring now.
    pub bytes: u64,
    /// Events not written because the ring was full and `overwrite` is off.
    pub dropped: u64,
    /// Events read.
    pub read: u64,
}

impl CpuStats {
    /// Parses the text of `stats`.
    ///
    /// ```
    /// use ftrace_live::tracefs::CpuStats;
    /// let stats = CpuStats::parse("entries: 3\noverrun: 2\ncommit overrun: 1\nnow ts: 5.1\ndropped events: 4\n");
    /// assert_eq!((stats.entries, stats.lost()), (3, 7));
    /// ```
    pub fn parse(text: &str) -> CpuStats {
        let mut stats = CpuStats::default();
        for line in text.lines() {
            let Some((name, value)) = line.split_once(':') else { continue };
            let slot = match name {
                "entries" => &mut stats.entries,
                "overrun" => &mut stats.overrun,
                "commit overrun" => &mut stats.commit_overrun,
                "bytes" => &mut stats.bytes,
                "dropped events" => &mut stats.dropped,
                "read events" => &mut stats.read,
                _ => continue,
            };
            *slot = value.trim().parse().unwrap_or(0);
        }
        stats
    }

    /// All events lost by the kernel: overwritten, dropped, or commit overrun.
    pub fn lost(&self) -> u64 {
        self.overrun.saturating_add(self.commit_overrun).saturating_add(self.dropped)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stats_of_a_real_kernel_are_read() {
        let text = "entries: 8533\noverrun: 14755\ncommit overrun: 0\nbytes: 394572\noldest event ts:    17.458793\n\
                    now ts:    17.586738\ndropped events: 0\nread events: 12\n";
        let expected =
            CpuStats { entries: 8533, overrun: 14755, commit_overrun: 0, bytes: 394_572, dropped: 0, read: 12 };
        assert_eq!(CpuStats::parse(text), expected);
        assert_eq!(CpuStats::parse("nonsense\nentries: x\n"), CpuStats::default());
    }
}
