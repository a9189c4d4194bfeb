//! The options of a `trace.dat`: facts about the machine, its clock and the recording.

use super::{DatError, Problem, Version, source::Cursor};
use crate::ring::{Scale, Shift, Times};
use crate::tracefs::TraceClock;

/// Option numbers of the format.
pub(super) mod id {
    pub const DONE: u16 = 0;
    pub const DATE: u16 = 1;
    pub const CPUSTAT: u16 = 2;
    pub const BUFFER: u16 = 3;
    pub const TRACECLOCK: u16 = 4;
    pub const UNAME: u16 = 5;
    pub const HOOK: u16 = 6;
    pub const OFFSET: u16 = 7;
    pub const CPUCOUNT: u16 = 8;
    pub const VERSION: u16 = 9;
    pub const PROCMAPS: u16 = 10;
    pub const TRACEID: u16 = 11;
    pub const TIME_SHIFT: u16 = 12;
    pub const GUEST: u16 = 13;
    pub const TSC2NSEC: u16 = 14;
    pub const STRINGS: u16 = 15;
    pub const HEADER_INFO: u16 = 16;
    pub const FTRACE_EVENTS: u16 = 17;
    pub const EVENT_FORMATS: u16 = 18;
    pub const KALLSYMS: u16 = 19;
    pub const PRINTK: u16 = 20;
    pub const CMDLINES: u16 = 21;
    pub const BUFFER_TEXT: u16 = 22;
}

/// The largest option: PROCMAPS can be long, all others are short.
const MAX_OPTION: u64 = 16 << 20;
/// The most options of one kind that are kept.
const MAX_REPEATED: usize = 1 << 16;

/// `TRACECMD_TSYNC_FLAG_INTERPOLATE`.
const INTERPOLATE: u32 = 1;

/// How to convert time stamp counter ticks to ns: `(ticks * multiplier >> shift) + offset`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tsc2Nsec {
    /// Multiplier.
    pub multiplier: u32,
    /// Right shift after the multiplication.
    pub shift: u32,
    /// Added, ns.
    pub offset: u64,
}

/// One correction of a guest's clock against its peer's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShiftSample {
    /// When it was measured, ns of the guest's clock.
    pub time: u64,
    /// Added from then on, ns.
    pub offset: i64,
    /// Scaling ratio, …
    pub scaling: u64,
    /// … of which this many bits are a fraction.
    pub fraction: u64,
}

/// Clock corrections between a guest and its host (option TIME_SHIFT).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimeShift {
    /// Trace id of the peer's file.
    pub peer: u64,
    /// Flags of the synchronisation protocol: 1 if offsets are interpolated between two samples.
    pub flags: u32,
    /// The samples, by CPU.
    pub cpus: Vec<Vec<ShiftSample>>,
}

/// A guest traced in the same session (option GUEST).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Guest {
    /// Its name.
    pub name: String,
    /// Trace id of its file.
    pub trace_id: u64,
    /// Its CPUs: (CPU, pid of the host task that runs it).
    pub cpus: Vec<(u32, u32)>,
}

/// The options of a file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Options {
    /// DATE: microseconds from trace time to the time of day, as a number in text (`0x…`).
    pub date: Option<String>,
    /// OFFSET: ns added to each time, as a number in text.
    pub offset: Option<String>,
    /// TRACECLOCK: the `trace_clock` file, the clock in use in brackets.
    pub trace_clock: Option<String>,
    /// UNAME: `Linux host 6.1.0 x86_64`.
    pub uname: Option<String>,
    /// VERSION: of the program that wrote the file.
    pub version: Option<String>,
    /// CPUCOUNT: CPUs of the machine.
    pub cpu_count: Option<u32>,
    /// TRACEID: number of the tracing session.
    pub trace_id: Option<u64>,
    /// TSC2NSEC.
    pub tsc2nsec: Option<Tsc2Nsec>,
    /// CPUSTAT: the `per_cpu/cpuN/stats` texts. A text `Buffer: NAME` precedes those of a further buffer.
    pub cpustat: Vec<String>,
    /// HOOK: pairs of events to connect.
    pub hooks: Vec<String>,
    /// PROCMAPS: memory maps of the traced processes.
    pub procmaps: Vec<String>,
    /// TIME_SHIFT.
    pub time_shifts: Vec<TimeShift>,
    /// GUEST.
    pub guests: Vec<Guest>,
    /// Options with other numbers: (number, bytes). They are skipped.
    pub unknown: Vec<(u16, u32)>,
}

impl Options {
    /// The offset from trace time to the time of day, ns: DATE, which is in microseconds.
    pub fn date_ns(&self) -> Option<i128> {
        self.date.as_deref().and_then(number).map(|microseconds| microseconds * 1000)
    }

    /// How times are converted to ns: by the last correction against a peer, the length of a TSC's ticks, and OFFSET
    /// (`trace-cmd record --ts-offset`), which is in ns and so does not apply to clocks that count ticks.
    pub(in crate::capture) fn times(&self) -> Times {
        let shift =
            |&ShiftSample { time, offset, scaling, fraction }: &ShiftSample| Shift { time, offset, scaling, fraction };
        let scale = self.tsc2nsec.filter(|tsc| tsc.multiplier != 0);
        // trace-cmd stores an offset, but does not add it.
        let scale = scale.map(|Tsc2Nsec { multiplier, shift, .. }| Scale { multiplier, shift, offset: 0 });
        let shifts = self.time_shifts.last();
        let interpolate = shifts.is_some_and(|shifts| shifts.flags & INTERPOLATE != 0);
        let shifts = shifts.iter().flat_map(|shifts| &shifts.cpus).map(|cpu| cpu.iter().map(shift).collect());
        let ticks = scale.is_none() && self.clock().is_some_and(|clock| !clock.is_nanoseconds());
        let offset = self.offset.as_deref().filter(|_| !ticks).and_then(number);
        let offset = offset.and_then(|ns| i64::try_from(ns).ok()).unwrap_or(0);
        Times::new(shifts.collect(), interpolate, scale).with_offset(offset)
    }

    /// Sets the options from which [`times`](Options::times) gives `times`, besides those about a peer.
    pub(in crate::capture) fn set_times(&mut self, times: &Times) {
        if let Some(Scale { multiplier, shift, .. }) = times.scale() {
            self.tsc2nsec = Some(Tsc2Nsec { multiplier, shift, offset: 0 });
        }
        if times.offset() != 0 {
            self.offset = Some(times.offset().to_string());
        }
        if self.time_shifts.is_empty() && !times.shifts().is_empty() {
            let sample =
                |&Shift { time, offset, scaling, fraction }: &Shift| ShiftSample { time, offset, scaling, fraction };
            let cpus = times.shifts().iter().map(|cpu| cpu.iter().map(sample).collect()).collect();
            let flags = if times.interpolates() { INTERPOLATE } else { 0 };
            self.time_shifts.push(TimeShift { peer: 0, flags, cpus });
        }
    }

    /// The clock in use: the word in brackets in `trace_clock`.
    pub fn clock(&self) -> Option<TraceClock> {
        TraceClock::in_use(self.trace_clock.as_deref()?)
    }
}

/// A number in the syntax of `strtoll` with base 0; sums of two stay far within an `i128`.
fn number(text: &str) -> Option<i128> {
    let text = text.trim();
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let value = match digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X")) {
        Some(hex) => u64::from_str_radix(hex, 16).ok()?.cast_signed(),
        None => digits.parse::<i64>().ok()?,
    };
    Some(if negative { -i128::from(value) } else { i128::from(value) })
}

/// One option before it is interpreted.
pub(super) struct RawOption {
    pub(super) number: u16,
    pub(super) size: u32,
}

/// Reads the next option: its header, and a cursor over its bytes.
pub(super) fn next_option(cursor: &mut Cursor, version: Version) -> Result<(RawOption, Cursor), DatError> {
    let number = cursor.u16()?;
    // Version 6 ends its options with a bare zero.
    let size = if number == id::DONE && version == Version::V6 { 0 } else { cursor.u32()? };
    let body = cursor.part_of(u64::from(size), MAX_OPTION)?;
    Ok((RawOption { number, size }, body))
}

impl Options {
    /// Stores one option that is not a reference to a section; `body` has exactly its bytes.
    pub(super) fn take(&mut self, option: &RawOption, body: &mut Cursor) -> Result<(), DatError> {
        match option.number {
            id::DATE => self.date = Some(text(body)?),
            id::CPUSTAT => push(&mut self.cpustat, text(body)?, body)?,
            id::TRACECLOCK => self.trace_clock = Some(text(body)?),
            id::UNAME => self.uname = Some(text(body)?),
            id::HOOK => push(&mut self.hooks, text(body)?, body)?,
            id::OFFSET => self.offset = Some(text(body)?),
            id::CPUCOUNT => self.cpu_count = Some(body.u32()?),
            id::VERSION => self.version = Some(text(body)?),
            id::PROCMAPS => push(&mut self.procmaps, text(body)?, body)?,
            id::TRACEID => self.trace_id = Some(body.u64()?),
            id::TIME_SHIFT => push(&mut self.time_shifts, time_shift(body)?, body)?,
            id::GUEST => push(&mut self.guests, guest(body)?, body)?,
            id::TSC2NSEC => {
                let (multiplier, shift, offset) = (body.u32()?, body.u32()?, body.u64()?);
                self.tsc2nsec = Some(Tsc2Nsec { multiplier, shift, offset });
            }
            // The names in a STRINGS section say the same as the section numbers.
            id::STRINGS => {}
            other => push(&mut self.unknown, (other, option.size), body)?,
        }
        Ok(())
    }
}

fn push<T>(list: &mut Vec<T>, item: T, body: &Cursor) -> Result<(), DatError> {
    if list.len() >= MAX_REPEATED {
        return Err(body.error(Problem::TooLarge { size: list.len() as u64 + 1, limit: MAX_REPEATED as u64 }));
    }
    list.push(item);
    Ok(())
}

/// The rest as text without its terminating NUL.
fn text(body: &mut Cursor) -> Result<String, DatError> {
    let bytes = body.bytes(body.left(), MAX_OPTION)?;
    let end = memchr::memchr(0, &bytes).unwrap_or(bytes.len());
    Ok(String::from_utf8_lossy(&bytes[..end]).into_owned())
}

/// A count of items that each take at least `size` bytes of the rest.
fn count(body: &mut Cursor, size: u64) -> Result<usize, DatError> {
    let count = u64::from(body.u32()?);
    let needed = count * size;
    if needed > body.left() {
        return Err(body.error(Problem::Truncated { needed, left: body.left() }));
    }
    Ok(count as usize)
}

fn time_shift(body: &mut Cursor) -> Result<TimeShift, DatError> {
    let (peer, flags) = (body.u64()?, body.u32()?);
    let mut cpus = Vec::new();
    for _ in 0..count(body, 4)? {
        let samples = count(body, 24)?;
        let column = |body: &mut Cursor| (0..samples).map(|_| body.u64()).collect::<Result<Vec<_>, _>>();
        let (times, offsets, scalings) = (column(body)?, column(body)?, column(body)?);
        let rows = times.into_iter().zip(offsets).zip(scalings);
        let sample = |((time, o), scaling): ((u64, u64), u64)| ShiftSample {
            time,
            offset: o.cast_signed(),
            scaling,
            fraction: 0,
        };
        cpus.push(rows.map(sample).collect::<Vec<_>>());
    }
    // Files written before trace-cmd 3.0 have no fractions.
    if body.left() > 0 {
        for sample in cpus.iter_mut().flatten() {
            sample.fraction = body.u64()?;
        }
    }
    Ok(TimeShift { peer, flags, cpus })
}

fn guest(body: &mut Cursor) -> Result<Guest, DatError> {
    let name = body.cstr(MAX_OPTION)?;
    let trace_id = body.u64()?;
    let cpus = (0..count(body, 8)?).map(|_| Ok((body.u32()?, body.u32()?))).collect::<Result<_, DatError>>()?;
    Ok(Guest { name, trace_id, cpus })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::capture::trace_dat::{Part, source::Source};
    use crate::format::Endian;

    #[test]
    fn corrections_have_fractions_if_the_file_has_them() {
        let words = |words: &[u64]| words.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<_>>();
        // Peer, flags, one CPU, two samples: times, offsets, scalings.
        let mut body = [&words(&[7])[..], &1u32.to_le_bytes(), &1u32.to_le_bytes(), &2u32.to_le_bytes()].concat();
        body.extend(words(&[100, 200, 10, u64::MAX, 3, 3]));
        let read = |body: &[u8]| {
            let source = Arc::new(Source::new(tempfile::tempfile().unwrap()).unwrap());
            let mut cursor = Cursor::over_bytes(source, Endian::Little, Part::Options, 0, body.to_vec());
            time_shift(&mut cursor)
        };
        let shift = read(&body).unwrap();
        let sample = |time, offset, fraction| ShiftSample { time, offset, scaling: 3, fraction };
        assert_eq!(shift, TimeShift { peer: 7, flags: 1, cpus: vec![vec![sample(100, 10, 0), sample(200, -1, 0)]] });
        body.extend(words(&[1, 2]));
        let shift = read(&body).unwrap();
        assert_eq!(shift.cpus, [[sample(100, 10, 1), sample(200, -1, 2)]]);
        assert!(read(&body[..body.len() - 4]).is_err());
        let options = Options { time_shifts: vec![shift], ..Options::default() };
        // 150 * 3 >> 1, and half way from 10 to -1: (50 * -11 + 50) / 100 = -5.
        assert_eq!(options.times().ns(0, 150), 230);
        let mut again = Options::default();
        again.set_times(&options.times());
        assert_eq!(again.times(), options.times());
    }

    #[test]
    fn date_counts_in_microseconds_and_offset_in_nanoseconds() {
        let mut options = Options { date: Some("0x10".into()), ..Options::default() };
        assert_eq!((options.date_ns(), options.times().ns(0, 20)), (Some(16_000), 20));
        options.offset = Some("-17".into());
        assert_eq!((options.date_ns(), options.times().ns(0, 20)), (Some(16_000), 3));
        options.offset = Some("0x11".into());
        assert_eq!(options.times().ns(0, 20), 37);
        let mut again = Options::default();
        again.set_times(&options.times());
        assert_eq!(again.times(), options.times());
        // Ticks of unknown length are not ns; those of known length are scaled first.
        options.trace_clock = Some("local [x86-tsc]".into());
        assert_eq!(options.times().ns(0, 20), 20);
        options.tsc2nsec = Some(Tsc2Nsec { multiplier: 3, shift: 1, offset: 0 });
        assert_eq!(options.times().ns(0, 20), 47);
        options.offset = Some("soon".into());
        assert_eq!((options.times().ns(0, 20), Options::default().date_ns()), (30, None));
    }

    #[test]
    fn counts_are_held_against_the_bytes_that_follow() {
        let source = Arc::new(Source::new(tempfile::tempfile().unwrap()).unwrap());
        let cursor = |body: &[u8]| Cursor::over_bytes(source.clone(), Endian::Little, Part::Options, 0, body.to_vec());
        // A name, a trace id, and two CPUs of eight bytes each.
        let head = [&b"vm\0"[..], &77u64.to_le_bytes(), &2u32.to_le_bytes()].concat();
        let cpus: Vec<u8> = [0u32, 500, 1, 501].iter().flat_map(|word| word.to_le_bytes()).collect();
        let read = |cpus: &[u8]| guest(&mut cursor(&[&head[..], cpus].concat()));
        let want = Guest { name: "vm".into(), trace_id: 77, cpus: vec![(0, 500), (1, 501)] };
        assert_eq!(read(&cpus).unwrap(), want);
        let error = read(&cpus[..15]).unwrap_err().problem;
        assert!(matches!(error, Problem::Truncated { needed: 16, left: 15 }), "{error}");
    }

    #[test]
    fn options_of_one_kind_are_kept_up_to_a_limit() {
        let source = Arc::new(Source::new(tempfile::tempfile().unwrap()).unwrap());
        let body = Cursor::over_bytes(source, Endian::Little, Part::Options, 0, vec![]);
        let mut list = vec![(); MAX_REPEATED - 1];
        push(&mut list, (), &body).unwrap();
        let error = push(&mut list, (), &body).unwrap_err().problem;
        assert!(matches!(error, Problem::TooLarge { size: 65_537, limit: 65_536 }), "{error}");
    }

    #[test]
    fn only_one_flag_means_to_interpolate_and_a_files_own_corrections_stay() {
        let sample = |time, offset| ShiftSample { time, offset, scaling: 1, fraction: 0 };
        let shifts = |flags| TimeShift { peer: 1, flags, cpus: vec![vec![sample(100, 0), sample(200, 10)]] };
        let times = |flags| Options { time_shifts: vec![shifts(flags)], ..Options::default() }.times();
        assert!(times(1).interpolates() && times(3).interpolates());
        assert!(!times(0).interpolates() && !times(2).interpolates());
        let mut options = Options { time_shifts: vec![shifts(0)], ..Options::default() };
        options.set_times(&times(1));
        assert_eq!(options.time_shifts, [shifts(0)]);
        let mut none = Options::default();
        none.set_times(&Options::default().times());
        assert_eq!(none, Options::default());
    }
}
