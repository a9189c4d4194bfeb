//! What can be wrong with a `trace.dat` file: each error says where (the byte offset), in which part, and what.

use std::io;

use super::Part;
use crate::format::FormatError;

/// One thing wrong with a `trace.dat` file.
#[derive(Debug, thiserror::Error)]
#[error("{part} at byte {offset}: {problem}")]
pub struct DatError {
    /// Offset in the file, bytes. For the inside of a compressed section: the offset of that section.
    pub offset: u64,
    /// The part of the file that was being read.
    pub part: Part,
    /// What is wrong there.
    #[source]
    pub problem: Problem,
}

/// What is wrong, without the place.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// The file does not begin with trace.dat's magic bytes.
    #[error("this is no trace.dat file")]
    NotTraceDat,
    /// A version other than 6 and 7.
    #[error("version {0:?} is not known (6 and 7 are)")]
    Version(String),
    /// A byte that has few legal values has another.
    #[error("{what} cannot be {value}")]
    Value {
        /// What the number stands for.
        what: &'static str,
        /// The number found.
        value: u64,
    },
    /// The part should go on beyond the end of the file, or of the section that holds it.
    #[error("{needed} more bytes expected, {left} left")]
    Truncated {
        /// Bytes that should follow.
        needed: u64,
        /// Bytes that do.
        left: u64,
    },
    /// A length that no real file has: not allocated, not read.
    #[error("{size} bytes is more than the {limit} allowed here")]
    TooLarge {
        /// The length found.
        size: u64,
        /// The largest one allowed.
        limit: u64,
    },
    /// A fixed word of the format is not there.
    #[error("expected {expected:?}, found {found:?}")]
    Expected {
        /// The word of the format.
        expected: &'static str,
        /// What stands there.
        found: String,
    },
    /// A pointer leads to a section of another kind.
    #[error("expected section {expected}, found section {found}")]
    Section {
        /// The section id that was pointed to.
        expected: u16,
        /// The id found there.
        found: u16,
    },
    /// A chain of sections comes back to one that was read before.
    #[error("the chain of option sections runs in a circle")]
    Loop,
    /// Two CPUs' data share bytes of the file.
    #[error("overlaps the data of {other}")]
    Overlap {
        /// The other owner, as `CPU 3 of buffer "side"`.
        other: String,
    },
    /// Neither zstd nor zlib.
    #[error("compression {0:?} is not known (none, zlib and zstd are)")]
    Compression(String),
    /// Compressed bytes that do not decompress to what was announced.
    #[error("does not decompress: {0}")]
    Corrupt(String),
    /// A perf.data without tracepoints, which has no descriptions of events.
    #[error("there are none: record tracepoints, such as perf record -e 'sched:*'")]
    NoTracepoints,
    /// A part that is too short for what it should hold.
    #[error("a malformed {0}")]
    Malformed(&'static str),
    /// A description of the kernel's is not what the kernel writes.
    #[error(transparent)]
    Format(#[from] FormatError),
    /// The file holds the text of a latency tracer, and no raw data that could be decoded.
    #[error("only the kernel's text is recorded here (a latency tracer), no raw events")]
    TextOnly,
    /// No buffer of that name.
    #[error("there is no buffer {name:?}; there is {known}")]
    NoBuffer {
        /// The name asked for.
        name: String,
        /// The names there are.
        known: String,
    },
    /// A part without which nothing can be read is absent.
    #[error("missing")]
    Missing,
    /// The operating system refused a read or a write.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// The most problems collected.
const MAX_PROBLEMS: usize = 1000;

/// What is wrong with a file: the first ends the reading, unless what can be read is to be salvaged.
#[derive(Debug)]
pub(in crate::capture) struct Faults {
    /// Whether the reading goes on.
    pub(in crate::capture) salvage: bool,
    /// What was wrong so far.
    pub(in crate::capture) found: Vec<DatError>,
}

impl Faults {
    pub(in crate::capture) fn new(salvage: bool) -> Faults {
        Faults { salvage, found: Vec::new() }
    }

    /// Ends the reading with an error, or notes it when salvaging.
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
