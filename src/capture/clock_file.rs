//! The `clock` file of a capture folder: what replaying needs and no file of tracefs contains.
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
//! `uncertainty_ns` is how far they may be apart. For a clock that does not count ns, or must be corrected, further
//! lines say how its times are converted to ns; `trace_ns` is then a converted time:
//!
//! ```text
//! # ns are ticks * 827136000 >> 31
//! tick 827136000 31
//! # ns added to every time
//! offset 1000
//! # CPU 0, from this time on: multiplied, shifted right, and this added
//! shift 0 2106434190000 1 0 -250
//! # the last of these is drawn out from one such line to the next
//! interpolate yes
//! ```

use std::fmt;
use std::path::Path;

use crate::format::{Endian, LongSize};
use crate::ring::{Scale, Shift, Times};
use crate::tracefs::{ClockPair, TraceClock};

/// The file's name in a capture folder.
pub const CLOCK_FILE: &str = "clock";

/// The contents of a `clock` file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClockFile {
    /// The trace clock.
    pub clock: TraceClock,
    /// One moment on it, in ns, and in the time of day.
    pub pair: Option<ClockPair>,
    /// How its times are converted to ns.
    pub times: Times,
    /// The byte order of the traced kernel.
    pub endian: Endian,
    /// The width of its `long`.
    pub long_size: LongSize,
}

impl ClockFile {
    /// Reads the file from a capture folder; `None` if there is none, or it lacks the clock or the byte order.
    pub fn load(folder: &Path) -> Option<ClockFile> {
        ClockFile::parse(&std::fs::read_to_string(folder.join(CLOCK_FILE)).ok()?)
    }

    /// Parses the file; `None` if it lacks the clock or the byte order. An incomplete pair is ignored.
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
        Some(ClockFile { clock: TraceClock::from_name(value("clock")?), pair, times: times(text), endian, long_size })
    }
}

/// More CPUs than any kernel has.
const MOST_CPUS: usize = 1 << 14;

/// Parses the lines about converting times to ns; others are skipped.
fn times(text: &str) -> Times {
    let (mut shifts, mut interpolate, mut scale) = (Vec::<Vec<Shift>>::new(), false, None);
    let mut offset = 0;
    for line in text.lines() {
        match line.split_whitespace().collect::<Vec<_>>().as_slice() {
            ["tick", multiplier, shift] => {
                let read = multiplier.parse().ok().zip(shift.parse().ok());
                scale = read.map(|(multiplier, shift)| Scale { multiplier, shift, offset: 0 });
            }
            ["interpolate", "yes"] => interpolate = true,
            ["offset", ns] => offset = ns.parse().unwrap_or(0),
            ["shift", cpu, time, scaling, fraction, offset] => {
                let read = |word: &str| word.parse::<u64>().ok();
                if let (Some(cpu), Some(time), Some(scaling), Some(fraction), Ok(offset)) = (
                    read(cpu).map(|cpu| cpu as usize).filter(|&cpu| cpu < MOST_CPUS),
                    read(time),
                    read(scaling),
                    read(fraction),
                    offset.parse(),
                ) {
                    if shifts.len() <= cpu {
                        shifts.resize(cpu + 1, Vec::new());
                    }
                    shifts[cpu].push(Shift { time, offset, scaling, fraction });
                }
            }
            _ => {}
        }
    }
    Times::new(shifts, interpolate, scale.filter(|scale| scale.multiplier > 0)).with_offset(offset)
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
        if let Some(Scale { multiplier, shift, .. }) = self.times.scale() {
            writeln!(f, "tick {multiplier} {shift}")?;
        }
        if self.times.offset() != 0 {
            writeln!(f, "offset {}", self.times.offset())?;
        }
        if self.times.interpolates() {
            writeln!(f, "interpolate yes")?;
        }
        for (cpu, shifts) in self.times.shifts().iter().enumerate() {
            for Shift { time, offset, scaling, fraction } in shifts {
                writeln!(f, "shift {cpu} {time} {scaling} {fraction} {offset}")?;
            }
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
                let shift = |time, offset| Shift { time, offset, scaling: 3, fraction: 1 };
                let scale = Some(Scale { multiplier: u32::MAX, shift: 33, offset: 0 });
                let times = Times::new(vec![vec![], vec![shift(5, -7), shift(9, i64::MAX)]], true, scale);
                for times in [Times::default(), Times::default().with_offset(-3), times.with_offset(i64::MAX)] {
                    let file = ClockFile { clock: clock.clone(), pair, times, endian, long_size };
                    assert_eq!(ClockFile::parse(&file.to_string()), Some(file));
                }
            }
        }
    }

    #[test]
    fn comments_empty_lines_and_unknown_names_are_skipped_and_an_incomplete_pair_is_ignored() {
        let lines = "shift 99999999 1 1 0 1\nshift 16384 1 1 0 1\nshift 0 1\nshift 0 x 1 0 1\ntick 0 3\ntick 5\ninterpolate maybe\n";
        let file = ClockFile::parse(&format!("clock mono\nbyte_order little\n{lines}")).unwrap();
        assert!(file.times.is_plain() && !file.times.interpolates());
        let text = "# clock tai\n\n  clock   mono \nmood fine\nbyte_order little\ntrace_ns 3\nrealtime_ns x\n";
        let file = ClockFile::parse(text).unwrap();
        assert_eq!((file.clock, file.pair, file.endian), (TraceClock::Mono, None, Endian::Little));
    }

    #[test]
    fn the_file_is_loaded_from_its_folder() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(ClockFile::load(dir.path()), None);
        std::fs::write(dir.path().join("clock"), "clock boot\nbyte_order big\nlong_size 4\n").unwrap();
        let file = ClockFile::load(dir.path()).unwrap();
        assert_eq!((file.clock, file.endian, file.long_size), (TraceClock::Boot, Endian::Big, LongSize::Four));
    }

    #[test]
    fn a_clock_file_needs_clock_and_byte_order() {
        for text in ["", "clock mono\n", "byte_order little\n", "clock mono\nbyte_order middle\n", "\0\n"] {
            assert_eq!(ClockFile::parse(text), None, "{text:?}");
        }
    }
}
