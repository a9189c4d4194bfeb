//! `trace.dat`, the file format of trace-cmd: reads versions 6 and 7, writes version 6.
//!
//! Both versions contain the kernel's description files as text, a list of options, and the raw sub-buffers of each
//! CPU. Version 6 has everything in a fixed order; version 7 has sections, which are found through options and may be
//! compressed. All numbers are in the byte order of the traced machine, which the file states.
//!
//! * [`TraceDat`] opens a file and holds its descriptions; the ring data stay in the file.
//! * [`SubBuffers`] reads one CPU's sub-buffers through a window, so memory does not depend on the file's size.
//! * [`DatError`] has the problem, the part of the file, and the byte offset.
//!
//! Sources: the manual pages trace-cmd.dat.v6(5) and trace-cmd.dat.v7(5), and files written by trace-cmd.

use std::fmt;

mod ahead;
mod capture;
mod compression;
mod data;
pub(super) mod description;
pub(super) mod encode;
mod error;
mod exactly;
pub(super) mod metadata;
mod options;
mod read;
mod recorder;
pub(super) mod source;
mod write;
mod zstd_frame;

pub use compression::Compression;
pub use data::{CpuData, SubBuffers, TextData};
pub use description::{Description, DescriptionError};
pub(in crate::capture) use error::Faults;
pub use error::{DatError, Problem};
pub use metadata::{EventText, Metadata};
pub use options::{Guest, Options, ShiftSample, TimeShift, Tsc2Nsec};
pub use read::{Buffer, BufferData, Open, TraceDat};
pub use recorder::{Finished, Recorder};
pub use write::{BufferOut, WriteError, Written, write};

/// What every trace.dat begins with.
const MAGIC: [u8; 10] = *b"\x17\x08\x44tracing";

/// A version of the format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Version {
    /// Everything in a fixed order, uncompressed.
    V6,
    /// Sections and options, possibly compressed.
    V7,
}

/// A part of the file, as named in errors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Part {
    /// Magic, version, byte order, long size, page size, compression.
    FileHeader,
    /// `header_page`.
    HeaderPage,
    /// `header_event`.
    HeaderEvent,
    /// The formats of the `ftrace` system.
    FtraceFormats,
    /// The formats of all other systems.
    EventFormats,
    /// `kallsyms`.
    Kallsyms,
    /// `printk_formats`.
    Printk,
    /// `saved_cmdlines`.
    Cmdlines,
    /// The options.
    Options,
    /// The description of a buffer: the places of each CPU's data.
    Buffer,
    /// A CPU's sub-buffers.
    Data {
        /// The CPU.
        cpu: u32,
    },
    /// The text of a latency tracer.
    Text,
    /// In a perf.data: the attributes of its events.
    Attributes,
    /// In a perf.data: host, release, clock.
    Features,
    /// In a perf.data: the kernel's description files.
    TracingData,
    /// In a perf.data: its records.
    Records,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Part::FileHeader => "the file header",
            Part::HeaderPage => "header_page",
            Part::HeaderEvent => "header_event",
            Part::FtraceFormats => "the ftrace formats",
            Part::EventFormats => "the event formats",
            Part::Kallsyms => "kallsyms",
            Part::Printk => "printk_formats",
            Part::Cmdlines => "saved_cmdlines",
            Part::Options => "the options",
            Part::Buffer => "the table of CPU data",
            Part::Data { cpu } => return write!(f, "the data of CPU {cpu}"),
            Part::Text => "the trace text",
            Part::Attributes => "the attributes",
            Part::Features => "the features",
            Part::TracingData => "the tracing data",
            Part::Records => "the records",
        })
    }
}
