//! Relates trace clocks that no process can read to CLOCK_MONOTONIC.
//!
//! `local`, `global` and `perf` are the scheduler's clock, `x86-tsc` and the like count ticks, `uptime` counts
//! jiffies. Only the kernel can read them: so a line is written to the `trace_marker` of a second instance of ours
//! with that clock, between two readings of CLOCK_MONOTONIC, and the time of its record is read. The length of a tick
//! follows from two such moments; for `uptime` it is known (`trace_clock_jiffies` counts USER_HZ a second).

use std::io;
use std::thread::sleep;
use std::time::Duration;

use super::{ClockPair, Instance, RawBuffer, RawRead, TraceClock, TracefsError};
use crate::format::HeaderPage;
use crate::ring::{Scale, Walk};

/// How many readings are taken; the tightest is kept.
const READINGS: usize = 8;
/// The duration of the first measurement of a tick. Later ones use all the time since.
const MEASURE: Duration = Duration::from_millis(100);
/// The smallest ring that the kernel makes.
const RING_KIB: u64 = 8;

/// The relation of a trace clock to CLOCK_MONOTONIC.
#[derive(Debug)]
pub struct Timeline {
    // Closed before their instance is removed.
    rings: Vec<RawBuffer>,
    instance: Instance,
    header: HeaderPage,
    page: Vec<u8>,
    unit: Unit,
    first: Reading,
    scale: Scale,
    uncertainty_ns: u64,
}

/// What a recording stores about such a clock: see [`Timeline::noted`].
pub type Noted = (Option<Scale>, Option<ClockPair>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unit {
    /// Nanoseconds.
    Nanosecond,
    /// Ticks of this many ns.
    Known(u64),
    /// Ticks whose length is measured.
    Measured,
}

/// One moment on both clocks.
#[derive(Debug, Clone, Copy)]
struct Reading {
    ticks: u64,
    mono_ns: u64,
    uncertainty_ns: u64,
}

impl Unit {
    /// The unit of a clock; `None` if its ticks do not follow time.
    fn of(clock: &TraceClock) -> Option<Unit> {
        match clock.name() {
            "counter" => None,
            "uptime" => Some(Unit::Known(1_000_000_000 / rustix::param::clock_ticks_per_second().max(1))),
            _ if clock.is_nanoseconds() => Some(Unit::Nanosecond),
            _ => Some(Unit::Measured),
        }
    }

    /// The resolution of its times.
    fn coarseness(self) -> u64 {
        if let Unit::Known(ns) = self { ns } else { 0 }
    }
}

impl Timeline {
    /// Whether a clock needs a timeline: no process can read it.
    pub fn is_needed_for(clock: &TraceClock) -> bool {
        clock.now().is_none()
    }

    /// Measures `clock` with a second instance beside `instance`.
    ///
    /// # Errors
    /// [`TracefsError::NoTime`] for a clock that does not count time, and errors of the control files.
    pub fn start(instance: &Instance, clock: &TraceClock) -> Result<Timeline, TracefsError> {
        let no_time = |reason| TracefsError::NoTime { clock: clock.name().to_owned(), reason };
        let unit = Unit::of(clock).ok_or_else(|| no_time("it counts events"))?;
        if instance.is_lent() {
            return Err(no_time(
                "no process can read it, and measuring it needs a second instance, but only one is lent",
            ));
        }
        let instance = instance.another()?;
        instance.set_clock(clock)?;
        // A larger one would do as well.
        let _ = instance.set_buffer_kib(RING_KIB);
        let header = HeaderPage::parse(&instance.header_page()?)
            .map_err(|_| no_time("this kernel's header_page cannot be parsed"))?;
        instance.start()?;
        let rings = instance.open_raw()?;
        let page = vec![0; header.sub_buffer_size()];
        let (first, scale) = (Reading { ticks: 0, mono_ns: 0, uncertainty_ns: 0 }, Scale::moved(0));
        let mut timeline = Timeline { rings, instance, header, page, unit, first, scale, uncertainty_ns: 0 };
        let silent = |_| no_time("the kernel does not record markers");
        timeline.first = timeline.read().map_err(silent)?;
        if unit == Unit::Measured {
            sleep(MEASURE);
        }
        timeline.refresh().map_err(silent)?;
        if timeline.scale.multiplier == 0 {
            return Err(no_time("it stands still"));
        }
        Ok(timeline)
    }

    /// How its times are converted to CLOCK_MONOTONIC.
    pub fn scale(&self) -> Scale {
        self.scale
    }

    /// What to store about it if its times are not converted: the length of a tick, unless it is a ns; and one moment
    /// on it, in ns, and in the time of day.
    pub fn noted(&self) -> Noted {
        let scale = (self.unit != Unit::Nanosecond).then_some(Scale { offset: 0, ..self.scale });
        let pair = ClockPair::take(&TraceClock::Mono).map(|pair| ClockPair {
            trace_ns: pair.trace_ns.wrapping_sub(self.scale.offset.cast_unsigned()),
            uncertainty_ns: pair.uncertainty_ns + self.uncertainty_ns,
            ..pair
        });
        (scale, pair)
    }

    /// Reads it again, since CLOCK_MONOTONIC follows NTP and the others do not. To be called about once a second.
    ///
    /// # Errors
    /// It could not be read; the scale is kept.
    pub fn refresh(&mut self) -> io::Result<()> {
        let reading = self.read()?;
        self.take(reading);
        Ok(())
    }

    fn take(&mut self, Reading { ticks, mono_ns, uncertainty_ns }: Reading) {
        let tick = match self.unit {
            Unit::Nanosecond => Some(Scale::moved(0)),
            Unit::Known(ns) => Scale::of_tick(ns, 1),
            Unit::Measured => {
                let (ns, ticks) = (mono_ns.saturating_sub(self.first.mono_ns), ticks.saturating_sub(self.first.ticks));
                Scale::of_tick(ns, ticks)
            }
        };
        let Some(tick) = tick else {
            self.scale.multiplier = 0;
            return;
        };
        let offset = mono_ns.wrapping_sub(tick.ns(ticks)).cast_signed();
        let uncertainty_ns = uncertainty_ns + self.unit.coarseness();
        // A change below the resolution would only be noise.
        let steps = self.unit == Unit::Measured || offset.abs_diff(self.scale.offset) > uncertainty_ns;
        if steps {
            (self.scale, self.uncertainty_ns) = (Scale { offset, ..tick }, uncertainty_ns);
        }
    }

    fn read(&mut self) -> io::Result<Reading> {
        let mono = || TraceClock::Mono.now().unwrap_or(0);
        let mut best: Option<Reading> = None;
        self.last_time()?;
        for _ in 0..READINGS {
            let before = mono();
            self.instance.mark("clock").map_err(io::Error::other)?;
            let width = mono().saturating_sub(before);
            let Some(ticks) = self.last_time()? else { continue };
            let reading = Reading { ticks, mono_ns: before + width / 2, uncertainty_ns: width.div_ceil(2) };
            if best.is_none_or(|best| reading.uncertainty_ns < best.uncertainty_ns) {
                best = Some(reading);
            }
        }
        best.ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// Empties the rings; returns the time of the last record.
    fn last_time(&mut self) -> io::Result<Option<u64>> {
        let mut last = None;
        for ring in &self.rings {
            while let RawRead::SubBuffer(length) = ring.read(&mut self.page)? {
                let page = self.page.get(..length).unwrap_or(&self.page);
                let Ok((mut walk, _)) = Walk::open::<byteorder::NativeEndian>(&self.header, page) else { continue };
                while let Some(Ok(found)) = walk.next_in::<byteorder::NativeEndian>(page) {
                    last = last.max(Some(found.time));
                }
            }
        }
        Ok(last)
    }
}
