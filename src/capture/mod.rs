//! Frozen rings: the contents of a capture, whatever its container.
//!
//! A [`Capture`] is the description of a traced kernel (sub-buffer layout, byte order, event formats, clock) and one
//! feed of sub-buffers per CPU. [`folder`] reads it from a folder that mirrors tracefs, [`trace_dat`] from a file of
//! trace-cmd, [`perf_data`] from one of perf; [`open`] detects which.
//!
//! # Example
//!
//! ```
//! use byteorder::LittleEndian;
//! use ftrace_live::capture;
//!
//! let path = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/x86_64-6.18/sched");
//! let mut capture = capture::open(path.as_ref(), Default::default())?;
//! assert_eq!((capture.clock.as_str(), capture.rings.len()), ("mono", 2));
//! let mut merge = capture.merge();
//! let (mut records, mut last) = (0, 0);
//! while let Some(record) = merge.next_record::<LittleEndian>() {
//!     assert!(record.time >= last);
//!     (records, last) = (records + 1, record.time);
//! }
//! // A ring that cannot be read on ends early: a damaged chunk of a `trace.dat`, for example.
//! assert!(merge.take_errors().next().is_none());
//! // A sub-buffer that cannot be parsed is counted and skipped.
//! assert!(merge.counts().all(|(_, counts)| counts.malformed == 0));
//! assert!(records > 100);
//! # Ok::<(), capture::CaptureError>(())
//! ```
//!
//! | module | what it does |
//! |---|---|
//! | [`folder`], [`trace_dat`], [`perf_data`] | read the containers |
//! | [`convert`] | writes a folder as a `trace.dat`, or the other way round |
//! | [`select`], [`window`], [`moment`] | select a part by event, by time, between events |
//! | [`parts`] | reads a large capture with several threads |
//! | [`stat`] | statistics |
//! | [`recording`], [`clock_file`], [`origin`] | record a live instance; the clock; the machine |

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

/// The sub-buffers of one CPU in order.
pub type RingFeed = Box<dyn Feed + Send>;

/// One CPU's frozen ring.
pub struct CpuRing {
    /// The CPU's number.
    pub cpu: u32,
    /// Its sub-buffers.
    pub feed: RingFeed,
    /// The kernel's `per_cpu/cpuN/stats` at the time of capture, if stored.
    pub stats: Option<String>,
}

/// A frozen ring and the description of its kernel.
#[non_exhaustive]
pub struct Capture {
    /// The layout of the sub-buffers.
    pub header: HeaderPage,
    /// The byte order of the traced kernel.
    pub endian: Endian,
    /// The formats of its events, sorted by id.
    pub events: Vec<EventFormat>,
    /// Format files that could not be parsed: their paths and errors. Their events are unknown ids.
    pub broken: Vec<(String, FormatError)>,
    /// The trace clock: `local`, `mono`, …
    pub clock: String,
    /// How times in the rings are converted to ns.
    pub times: Times,
    /// One moment on the trace clock (in ns) and in the time of day, if stored: [`ClockPair::realtime_of`] converts the time
    /// of any record.
    pub clock_pair: Option<ClockPair>,
    /// The kernel's name, release, version and machine, as far as stored.
    pub uname: Option<String>,
    /// The machine and session that it comes from.
    pub origin: origin::Origin,
    /// Errors of the container that did not prevent reading it.
    pub problems: Vec<String>,
    /// The rings.
    pub rings: Vec<CpuRing>,
    /// Loads the names in the capture.
    pub(crate) names: LoadNames,
}

/// Loads a capture's names: they can be large, and not every use needs them.
type LoadNames = Box<dyn Fn() -> (Names, Vec<NamesError>) + Send>;

impl Capture {
    /// The names in the capture (task names, symbols, enum constants), and errors for those that cannot be used.
    pub fn names(&self) -> (Names, Vec<NamesError>) {
        (self.names)()
    }

    /// The records of all CPUs in order of time. Consumes the rings.
    pub fn merge(&mut self) -> Merge<RingFeed> {
        let rings = std::mem::take(&mut self.rings);
        let mut merge = Merge::new(self.header.clone(), rings.into_iter().map(|ring| (ring.cpu, ring.feed)));
        if !self.times.is_plain() {
            merge.set_times(Some(Arc::new(self.times.clone())));
        }
        merge
    }

    /// Whether its clock counts ticks of unknown length: then its times cannot be converted.
    pub fn counts_ticks(&self) -> bool {
        counts_ticks(&self.clock, &self.times)
    }
}

/// Whether the times of this clock, converted by `times`, are not ns.
fn counts_ticks(clock: &str, times: &Times) -> bool {
    times.scale().is_none() && !TraceClock::from_name(clock).is_nanoseconds()
}

/// Opens the capture at `path`: a folder that mirrors tracefs, a `trace.dat`, or a `perf.data`. All buffers of a file are
/// read as one. `Default::default()` refuses a damaged file; see [`Open`](trace_dat::Open).
pub fn open(path: &Path, how: trace_dat::Open) -> Result<Capture, CaptureError> {
    open_buffer(path, how, None)
}

/// Opens one buffer of the capture at `path` by its instance's name: `""` is the top-level buffer. `None` means all
/// buffers of a `trace.dat`; in a folder, instances are captures of their own.
pub fn open_buffer(path: &Path, how: trace_dat::Open, buffer: Option<&str>) -> Result<Capture, CaptureError> {
    if path.is_dir() {
        return match buffer {
            None | Some("") => folder::open(path),
            Some(name) => folder::open(&path.join("instances").join(name)),
        };
    }
    open_file(path, how)?.capture(buffer).map_err(|source| CaptureError::dat(path, source))
}

/// Opens the capture file at `path`: a `trace.dat`, or a `perf.data`, which is imported as one.
pub fn open_file(path: &Path, how: trace_dat::Open) -> Result<trace_dat::TraceDat, CaptureError> {
    let opened = match perf_data::is_perf_data(path) {
        Ok(true) => perf_data::open(path, how),
        _ => trace_dat::TraceDat::open(path, how),
    };
    opened.map_err(|source| CaptureError::dat(path, source))
}

/// Why a capture could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CaptureError {
    /// A file cannot be read.
    #[error("{path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// The reason.
        source: io::Error,
    },
    /// A description file could not be parsed.
    #[error("{path}: {source}")]
    Format {
        /// The file.
        path: PathBuf,
        /// The reason.
        source: FormatError,
    },
    /// It is neither a folder that mirrors tracefs nor a file of a known format.
    #[error("{path} is not a capture: {missing} is missing")]
    NotACapture {
        /// What was opened.
        path: PathBuf,
        /// The file that a capture must have.
        missing: &'static str,
    },
    /// It is a file, but not a readable `trace.dat`.
    #[error("{path}: {source}")]
    TraceDat {
        /// The file.
        path: PathBuf,
        /// The error and its place.
        source: Box<trace_dat::DatError>,
    },
}

impl CaptureError {
    fn dat(path: &Path, source: trace_dat::DatError) -> CaptureError {
        CaptureError::TraceDat { path: path.to_owned(), source: Box::new(source) }
    }
}

#[cfg(test)]
mod tests {
    use byteorder::LittleEndian;

    use super::made::{Ring, capture, page, record};
    use super::*;

    #[test]
    fn times_are_converted_when_the_rings_are_merged() {
        let pages = vec![page(&[(100, &record(7, 1, &[]))], None)];
        for offset in [0, 1000] {
            let mut capture = capture(vec![], vec![(0, Ring::new(pages.clone()))]);
            capture.times = Times::default().with_offset(offset);
            let time = capture.merge().next_record::<LittleEndian>().map(|record| record.time);
            assert_eq!(time, Some(100 + offset as u64));
        }
    }

    #[test]
    fn a_file_is_read_as_what_its_first_bytes_say() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        let error = |bytes: &[u8]| {
            std::fs::write(&path, bytes).unwrap();
            let error = open_file(&path, Default::default()).map(|_| ()).unwrap_err().to_string();
            error.rsplit('/').next().unwrap_or_default().to_owned()
        };
        let perf = error(b"PERFILE2");
        let other = error(b"PERFILE9");
        assert!(perf != other, "{perf}\n{other}");
    }
}

#[cfg(test)]
mod made;
