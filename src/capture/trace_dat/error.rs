//! Errors of a `trace.dat` file: each has the byte offset, the part of the file, and the problem.

use std::io;

use super::Part;
use crate::format::FormatError;

/// An error in a `trace.dat` file.
#[derive(Debug, thiserror::Error)]
#[error("{part} at byte {offset}: {problem}")]
pub struct DatError {
    /// Offset in the file, bytes. Inside a compressed section: the offset of that section.
    pub offset: u64,
    /// The part of the file that was being read.
    pub part: Part,
    /// The problem.
    #[source]
    pub problem: Problem,
}

/// The problem, without its place.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// The file does not begin with trace.dat's magic bytes.
    #[error("this is not a trace.dat file")]
    NotTraceDat,
    /// A version other than 6 and 7.
    #[error("version {0:?} is not known (6 and 7 are)")]
    Version(String),
    /// A number with another value than the format allows.
    #[error("{what} cannot be {value}")]
    Value {
        /// What the number means.
        what: &'static str,
        /// The number found.
        value: u64,
    },
    /// The part ends too early, at the end of the file or of its section.
    #[error("{needed} more bytes expected, {left} left")]
    Truncated {
        /// Bytes needed.
        needed: u64,
        /// Bytes left.
        left: u64,
    },
    /// A length that no real file has; nothing of it is allocated or read.
    #[error("{size} bytes is more than the {limit} allowed here")]
    TooLarge {
        /// The length found.
        size: u64,
        /// The limit.
        limit: u64,
    },
    /// A fixed word of the format is missing.
    #[error("expected {expected:?}, found {found:?}")]
    Expected {
        /// The expected word.
        expected: &'static str,
        /// The text found.
        found: String,
    },
    /// A reference leads to a section of another kind.
    #[error("expected section {expected}, found section {found}")]
    Section {
        /// The expected section id.
        expected: u16,
        /// The section id found.
        found: u16,
    },
    /// A section refers back to one that was already read.
    #[error("the chain of option sections runs in a circle")]
    Loop,
    /// The data of two CPUs overlap in the file.
    #[error("overlaps the data of {other}")]
    Overlap {
        /// The other owner, as `CPU 3 of buffer "side"`.
        other: String,
    },
    /// The compression is neither zstd nor zlib.
    #[error("compression {0:?} is not known (none, zlib and zstd are)")]
    Compression(String),
    /// Compressed bytes do not decompress to the announced size.
    #[error("does not decompress: {0}")]
    Corrupt(String),
    /// A perf.data has no tracepoints, and so no descriptions of events.
    #[error("there are none: record tracepoints, such as perf record -e 'sched:*'")]
    NoTracepoints,
    /// A part is too short for its contents.
    #[error("a malformed {0}")]
    Malformed(&'static str),
    /// One of the kernel's descriptions could not be parsed.
    #[error(transparent)]
    Format(#[from] FormatError),
    /// The file has only the text of a latency tracer, no raw data to decode.
    #[error("only the kernel's text is recorded here (a latency tracer), no raw events")]
    TextOnly,
    /// There is no buffer with this name.
    #[error("there is no buffer {name:?}; there are: {known}")]
    NoBuffer {
        /// The name given.
        name: String,
        /// The names of the buffers.
        known: String,
    },
    /// A required part is missing.
    #[error("it is missing: the file ends before it, or was never finished")]
    Missing,
    /// The operating system reported an error.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// The most problems collected.
const MAX_PROBLEMS: usize = 1000;

/// Collects errors: the first one ends reading, unless salvaging.
#[derive(Debug)]
pub(in crate::capture) struct Faults {
    /// Whether reading continues after an error.
    pub(in crate::capture) salvage: bool,
    /// The errors so far.
    pub(in crate::capture) found: Vec<DatError>,
}

impl Faults {
    pub(in crate::capture) fn new(salvage: bool) -> Faults {
        Faults { salvage, found: Vec::new() }
    }

    /// Returns the error, or stores it when salvaging.
    pub(in crate::capture) fn note(&mut self, error: DatError) -> Result<(), DatError> {
        if !self.salvage {
            return Err(error);
        }
        if self.found.len() < MAX_PROBLEMS {
            self.found.push(error);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_error_ends_reading_and_salvaging_keeps_a_thousand() {
        let error = || DatError { offset: 7, part: Part::Printk, problem: Problem::Missing };
        let mut strict = Faults::new(false);
        assert!(strict.note(error()).is_err() && strict.found.is_empty());
        let mut salvage = Faults::new(true);
        (0..MAX_PROBLEMS + 5).for_each(|_| salvage.note(error()).unwrap());
        assert_eq!(salvage.found.len(), MAX_PROBLEMS);
    }
}
