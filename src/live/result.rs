//! The result of a live run, or why there is none.

use std::io;
use std::process::ExitStatus;
use std::time::Duration;

use super::record::Recorded;
use crate::capture::recording::RecordingError;
use crate::format::FormatError;
use crate::osc::transport::SendCounts;
use crate::output::CheckError;
use crate::pipeline::Counts;
use crate::tracefs::{CpuStats, EnableFailure, TracefsError};

/// Why tracing could not start, or had to end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LiveError {
    /// A tracefs file refused.
    #[error(transparent)]
    Tracefs(#[from] TracefsError),
    /// A description that the kernel gives is not understood.
    #[error("cannot parse {file} of this kernel: {source}")]
    Format {
        /// Which file.
        file: String,
        /// Why.
        source: FormatError,
    },
    /// An event does not have the field that is to be aggregated, or that a map names.
    #[error(transparent)]
    Check(#[from] CheckError),
    /// Polling, or the signal handlers, failed.
    #[error("cannot wait for events: {0}")]
    Poll(#[from] io::Error),
    /// The kernel refused every event.
    #[error("none of the events could be enabled; the first: {0}")]
    NothingEnabled(EnableFailure),
    /// The recording cannot start.
    #[error(transparent)]
    Recording(#[from] RecordingError),
}

impl LiveError {
    /// Whether the command line is wrong rather than the machine: exit code 2 instead of 1.
    pub fn is_usage(&self) -> bool {
        match self {
            LiveError::Tracefs(error) => error.is_usage(),
            LiveError::Check(_) | LiveError::Recording(RecordingError::Exists(_)) => true,
            _ => false,
        }
    }
}

/// The result of a live run.
#[derive(Debug, Default)]
pub struct Traced {
    /// Records and errors.
    pub counts: Counts,
    /// Messages that were sent, or could not be sent.
    pub sent: SendCounts,
    /// Events left out because of `--max-rate`.
    pub thinned: u64,
    /// The rings' own statistics at the end, by CPU.
    pub cpus: Vec<(u32, CpuStats)>,
    /// Datagrams that the receivers on this machine dropped.
    pub receiver_drops: u64,
    /// The targets where nobody listened at the end, as text.
    pub absent: Option<String>,
    /// Sub-buffers, or remainders of them, that could not be parsed.
    pub malformed_sub_buffers: u64,
    /// How the command ended.
    pub command: Option<ExitStatus>,
    /// How long the run took.
    pub time: Duration,
    /// The most frequent events, with their counts.
    pub busiest: Vec<(String, u64)>,
    /// The recording, if there is one.
    pub recorded: Option<Recorded>,
}

impl Traced {
    /// Events that the kernel lost: overwritten, or not written.
    pub fn lost(&self) -> u64 {
        self.cpus.iter().map(|(_, stats)| stats.lost()).sum()
    }
}
