//! The `clock` file of a capture folder: what replaying needs and no file of tracefs says.
//!
//! One `NAME VALUE` on a line; lines that begin with `#`, empty lines and unknown names are skipped.
//!
//! ```text
//! # one moment on two clocks, and the machine's byte order
//! clock mono
//! trace_ns 2106434190000
//! realtime_ns 1795412345678901234
//! uncertainty_ns 35
//! byte_order little
//! long_size 8
//! ```
//!
//! `trace_ns` and `realtime_ns` are the same moment on the trace clock and in the time of day (since 1970);
//! `uncertainty_ns` is how far they may be apart. A clock that has no twin in user space (`local`) has no such lines.

use std::fmt;
use std::path::Path;

use crate::format::{Endian, LongSize};
use crate::tracefs::{ClockPair, TraceClock};

/// The file's name in a capture folder.
pub const CLOCK_FILE: &str = "clock";

/// The contents of a `clock` file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClockFile {
    /// The trace clock.
    pub clock: TraceClock,
    /// One moment on it and in the time of day.
    pub pair: Option<ClockPair>,
    /// The byte order of the traced kernel.
    pub endian: Endian,
    /// The width of its `long`.
    pub long_size: LongSize,
}

impl ClockFile {
    /// Reads the file of a capture folder; `None` where there is none, or where it lacks the clock or the byte order.
    pub fn load(folder: &Path) -> Option<ClockFile> {
        ClockFile::parse(&std::fs::read_to_string(folder.join(CLOCK_FILE)).ok()?)
    }

    /// Reads the file's text; `None` where it lacks the clock or the byte order. A pair that is not whole is none.
    ///
    /// ```
    /// use ftrace_live::capture::clock_file::ClockFile;
    /// let text = "clock boot\nbyte_order big\nlong_size 4\n";
    /// let file = ClockFile::parse(text).unwrap();
    /// assert!(file.to_string().ends_with(text));
    /// ```
    pub fn parse(text: &str) -> Option<ClockFile> {
        let value = |name: &str| {
            let mut lines = text.lines().filter_map(|line| line.trim().split_once(' '));
            lines.find(|(found, _)| *found == name).map(|(_, value)| value.trim())
        };
        let number = |name: &str| value(name)?.parse().ok();
        let pair = match (number("trace_ns"), number("realtime_ns"), number("uncertainty_ns")) {
            (Some(trace_ns), Some(realtime_ns), Some(uncertainty_ns)) => {
                Some(ClockPair { trace_ns, realtime_ns, uncertainty_ns })
            }
            _ => None,
        };
        let endian = match value("byte_order")? {
            "little" => Endian::Little,
            "big" => Endian::Big,
            _ => return None,
        };
        let long_size = if value("long_size") == Some("4") { LongSize::Four } else { LongSize::Eight };
        Some(ClockFile { clock: TraceClock::from_name(value("clock")?), pair, endian, long_size })
    }
}

impl fmt::Display for ClockFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "# one moment on two clocks, and the machine's byte order")?;
        writeln!(f, "clock {}", self.clock)?;
        if let Some(pair) = self.pair {
            writeln!(f, "trace_ns {}", pair.trace_ns)?;
            writeln!(f, "realtime_ns {}", pair.realtime_ns)?;
            writeln!(f, "uncertainty_ns {}", pair.uncertainty_ns)?;
        }
        let order = match self.endian {
            Endian::Little => "little",
            Endian::Big => "big",
        };
        writeln!(f, "byte_order {order}")?;
        writeln!(f, "long_size {}", self.long_size.bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        let pair = ClockPair { trace_ns: 5, realtime_ns: u64::MAX, uncertainty_ns: 0 };
        for pair in [Some(pair), None] {
            for (endian, long_size) in [(Endian::Little, LongSize::Eight), (Endian::Big, LongSize::Four)] {
                let clock = TraceClock::from_name(if pair.is_some() { "mono" } else { "local" });
                let file = ClockFile { clock, pair, endian, long_size };
                assert_eq!(ClockFile::parse(&file.to_string()), Some(file));
            }
        }
    }

    #[test]
    fn comments_blanks_and_unknown_names_are_skipped_and_a_torn_pair_is_none() {
        let text = "# clock tai\n\n  clock   mono \nmood fine\nbyte_order little\ntrace_ns 3\nrealtime_ns x\n";
        let file = ClockFile::parse(text).unwrap();
        assert_eq!((file.clock, file.pair, file.endian), (TraceClock::Mono, None, Endian::Little));
    }

    #[test]
    fn without_clock_or_byte_order_it_is_no_clock_file() {
        for text in ["", "clock mono\n", "byte_order little\n", "clock mono\nbyte_order middle\n", "\0\n"] {
            assert_eq!(ClockFile::parse(text), None, "{text:?}");
        }
    }
}
