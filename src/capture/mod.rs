//! Frozen rings: what a capture holds, whatever container it is kept in.
//!
//! A [`Capture`] is the description of a traced kernel (sub-buffer layout, byte order, event formats, clock) together with
//! one feed of sub-buffers per CPU. [`folder`] reads it from a folder that mirrors tracefs, [`trace_dat`] from a file of
//! trace-cmd's; [`open`] tells them apart.

pub mod clock_file;
mod control_files;
pub mod convert;
pub mod folder;
#[cfg(feature = "tracefs")]
mod foreign;
#[cfg(feature = "tracefs")]
mod freeze;
#[cfg(feature = "tracefs")]
mod kernel;
#[cfg(feature = "cli")]
#[doc(hidden)]
pub mod latency;
pub mod moment;
mod new_file;
mod new_folder;
pub mod origin;
pub mod parts;
pub mod perf_data;
#[cfg(feature = "tracefs")]
pub mod recording;
pub mod select;
pub mod stat;
pub mod trace_dat;
#[cfg(feature = "cli")]
#[doc(hidden)]
pub mod trace_json;
pub mod window;

#[cfg(feature = "tracefs")]
pub use foreign::{CopyOptions, WhatOf, copy_instance};
#[cfg(feature = "tracefs")]
pub use freeze::{CaptureOptions, CommandEnd, FreezeError, Frozen, capture};
pub use new_folder::NewFolderError;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::format::{Endian, EventFormat, FormatError, HeaderPage};
use crate::names::{Names, NamesError};
use crate::ring::{Feed, Merge, Times};
use crate::tracefs::{ClockPair, TraceClock};

/// The sub-buffers of one CPU, in the order in which they were read.
pub type RingFeed = Box<dyn Feed + Send>;

/// One CPU's frozen ring.
pub struct CpuRing {
    /// The CPU's number.
    pub cpu: u32,
    /// Its sub-buffers.
    pub feed: RingFeed,
    /// The kernel's `per_cpu/cpuN/stats` at the time of capture, if kept.
    pub stats: Option<String>,
}

/// A frozen ring and the description of the kernel it is from.
pub struct Capture {
    /// The layout of the sub-buffers.
    pub header: HeaderPage,
    /// The byte order of the traced kernel.
    pub endian: Endian,
    /// The formats of its events, sorted by id.
    pub events: Vec<EventFormat>,
    /// Format files that could not be read: what, and why. Their events are unknown ids.
    pub broken: Vec<(String, FormatError)>,
    /// The trace clock: `local`, `mono`, …
    pub clock: String,
    /// How times in the rings become ns.
    pub times: Times,
    /// One moment on the trace clock (in ns) and in the time of day, if kept.
    pub clock_pair: Option<ClockPair>,
    /// The kernel's name, release, version and machine, as far as noted.
    pub uname: Option<String>,
    /// Whose it is.
    pub origin: origin::Origin,
    /// What is wrong with the container, where it is read all the same.
    pub problems: Vec<String>,
    /// The rings.
    pub rings: Vec<CpuRing>,
    /// Reads the names that the capture holds.
    pub(crate) names: LoadNames,
}

/// Reads a capture's names: they can be large, and not every use needs them.
type LoadNames = Box<dyn Fn() -> (Names, Vec<NamesError>) + Send>;

impl Capture {
    /// The names that the capture holds (task names, symbols, enum constants), and what of them cannot be used.
    pub fn names(&self) -> (Names, Vec<NamesError>) {
        (self.names)()
    }

    /// The records of all CPUs in the order of time, consuming the rings.
    pub fn merge(&mut self) -> Merge<RingFeed> {
        let rings = std::mem::take(&mut self.rings);
        let mut merge = Merge::new(self.header.clone(), rings.into_iter().map(|ring| (ring.cpu, ring.feed)));
        if !self.times.is_plain() {
            merge.set_times(Some(Arc::new(self.times.clone())));
        }
        merge
    }

    /// Whether its clock counts something of which nobody knows how long it takes: then no time can be told from it.
    pub fn counts_ticks(&self) -> bool {
        counts_ticks(&self.clock, &self.times)
    }
}

/// Whether the times of this clock, after `times`, are no ns.
fn counts_ticks(clock: &str, times: &Times) -> bool {
    times.scale().is_none() && !TraceClock::from_name(clock).is_nanoseconds()
}

/// Opens the capture at `path`: a folder that mirrors tracefs, or a `trace.dat`, all of whose buffers are read as one.
pub fn open(path: &Path, how: trace_dat::Open) -> Result<Capture, CaptureError> {
    open_buffer(path, how, None)
}

/// Opens one buffer of the capture at `path`, by its instance's name: `""` is the top-level one. `None` is all buffers of
/// a `trace.dat`; a folder's instances are captures of their own inside it.
pub fn open_buffer(path: &Path, how: trace_dat::Open, buffer: Option<&str>) -> Result<Capture, CaptureError> {
    if path.is_dir() {
        return match buffer {
            None | Some("") => folder::open(path),
            Some(name) => folder::open(&path.join("instances").join(name)),
        };
    }
    open_file(path, how)?.capture(buffer).map_err(|source| CaptureError::dat(path, source))
}

/// Opens the capture file at `path`: a `trace.dat`, or what is imported as one.
pub fn open_file(path: &Path, how: trace_dat::Open) -> Result<trace_dat::TraceDat, CaptureError> {
    let opened = match perf_data::is_perf_data(path) {
        Ok(true) => perf_data::open(path, how),
        _ => trace_dat::TraceDat::open(path, how),
    };
    opened.map_err(|source| CaptureError::dat(path, source))
}

/// Why a capture cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CaptureError {
    /// A file cannot be read.
    #[error("{path}: {source}")]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A description is not what the kernel writes.
    #[error("{path}: {source}")]
    Format {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: FormatError,
    },
    /// It is neither a folder that mirrors tracefs nor a file of a known kind.
    #[error("{path} is no capture: {missing} is not there")]
    NotACapture {
        /// What was opened.
        path: PathBuf,
        /// What a capture has.
        missing: &'static str,
    },
    /// It is a file, but not a `trace.dat` that can be read.
    #[error("{path}: {source}")]
    TraceDat {
        /// Which file.
        path: PathBuf,
        /// Where, and what is wrong there.
        source: Box<trace_dat::DatError>,
    },
}

impl CaptureError {
    fn dat(path: &Path, source: trace_dat::DatError) -> CaptureError {
        CaptureError::TraceDat { path: path.to_owned(), source: Box::new(source) }
    }
}
