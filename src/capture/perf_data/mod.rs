//! `perf.data`, as written by `perf record -e 'sched:*'` in file mode and in pipe mode.
//!
//! A sample of a tracepoint contains the bytes that the ring buffer would have held (`PERF_SAMPLE_RAW`: from
//! `common_type` on), and the section TRACING_DATA has the kernel's description files in the layout of a `trace.dat`.
//! So the file is imported: its samples are put into sub-buffers by CPU and time, and with the descriptions they
//! become a `trace.dat` of version 6 in an unnamed temporary file. From there on all captures are handled alike.
//!
//! * `file` finds the parts of the file: attributes, features, records, descriptions.
//! * `samples` lists the tracepoint samples, the losses and the task names.
//! * `sub_buffers` writes the samples of one CPU as the ring buffer would have.
//!
//! The layout is that of tools/perf/Documentation/perf.data-file-format.txt and of include/uapi/linux/perf_event.h.
//! The crate `linux-perf-data` is not used since it allocates what lengths in the file say before it checks them
//! against the file, and does not skip the descriptions that follow a TRACING_DATA record in pipe mode.

mod file;
mod samples;
mod sub_buffers;

use std::fs::File;
use std::io::{self, BufWriter, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use super::trace_dat::encode::Encoder;
use super::trace_dat::source::Source;
use super::trace_dat::{DatError, Description, Faults, Open, Options, Part, Problem, TraceDat};
use crate::format::HeaderPage;
use crate::tracefs::ClockPair;
use file::PerfFile;
use samples::Samples;
use sub_buffers::SubBufferWriter;

/// Size of the sub-buffers written: the longest record that a tracepoint can pass to perf (`PERF_MAX_TRACE_SIZE`, 8
/// KiB) fits into one.
const SUB_BUFFER: usize = 16 << 10;

/// `PERFILE2` in the byte order of the machine that wrote the file.
const MAGIC: [&[u8; 8]; 2] = [b"PERFILE2", b"2ELIFREP"];

/// Whether the file at `path` begins like a perf.data.
pub fn is_perf_data(path: &Path) -> io::Result<bool> {
    let mut magic = [0; 8];
    match File::open(path)?.read_exact_at(&mut magic, 0) {
        Ok(()) => Ok(MAGIC.contains(&&magic)),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

/// Imports the perf.data at `path`.
///
/// # Errors
/// If the file is damaged (with [`Open::salvage`] errors are collected in [`TraceDat::problems`]), or has no
/// tracepoints: then it has no descriptions to decode anything with.
pub fn open(path: &Path, how: Open) -> Result<TraceDat, DatError> {
    import(File::open(path).map_err(at_start)?, how)
}

/// Imports an open perf.data. See [`open`].
pub fn import(file: File, how: Open) -> Result<TraceDat, DatError> {
    let source = Arc::new(Source::new(file).map_err(at_start)?);
    let mut faults = Faults::new(how.salvage);
    let perf = PerfFile::read(&source, how.salvage)?;
    let layout = HeaderPage::parse(&perf.metadata.header_page)
        .and_then(|layout| layout.with_sub_buffer_size(SUB_BUFFER))
        .map_err(|error| DatError { offset: 0, part: Part::HeaderPage, problem: error.into() })?;
    let mut samples = Samples::read(&source, &perf, &mut faults)?;
    let description = describe(perf, &samples, &layout);
    let file = write(&description, &layout, &mut samples)?;
    let mut dat = TraceDat::from_file(file, how)?;
    dat.problems.splice(..0, faults.found);
    Ok(dat)
}

fn at_start(error: io::Error) -> DatError {
    DatError { offset: 0, part: Part::FileHeader, problem: Problem::Io(error) }
}

fn describe(perf: PerfFile, samples: &Samples, layout: &HeaderPage) -> Description {
    let uname = perf.uname();
    let mut metadata = perf.metadata;
    metadata.header_page = layout.to_string();
    metadata.saved_cmdlines = samples.saved_cmdlines();
    let mut options = Options {
        trace_clock: Some(format!("[{}]", perf.clock)),
        uname,
        cpu_count: perf.cpus,
        version: perf.version.as_ref().map(|version| format!("perf {version}")),
        ..Options::default()
    };
    if let Some((trace_ns, realtime_ns)) = perf.clock_pair {
        options.set_wall_clock(&ClockPair { trace_ns, realtime_ns, uncertainty_ns: 1000 });
    }
    Description {
        endian: perf.endian,
        user_long_size: perf.user_long_size,
        sub_buffer_size: SUB_BUFFER as u32,
        metadata,
        kallsyms: perf.kallsyms,
        options,
    }
}

/// Writes the samples as a version 6 file that has no name.
fn write(description: &Description, layout: &HeaderPage, samples: &mut Samples) -> Result<File, DatError> {
    let failed = |error| DatError { offset: 0, part: Part::Data { cpu: 0 }, problem: Problem::Io(error) };
    let too_long = |_| failed(io::Error::other("the descriptions are longer than a trace.dat can hold"));
    let cpus = samples.cpus();
    let header = description.encode(&vec![(0, 0); cpus], &[]).map_err(too_long)?;
    let alignment = description.alignment();
    let mut out = BufWriter::with_capacity(256 << 10, tempfile::tempfile().map_err(failed)?);
    out.write_all(&header.bytes).map_err(failed)?;
    let mut offset = header.bytes.len() as u64;
    let mut table = Encoder::new(description.endian);
    for cpu in 0..cpus {
        offset = offset.next_multiple_of(alignment);
        out.seek(SeekFrom::Start(offset)).map_err(failed)?;
        let mut writer = SubBufferWriter::new(layout.clone(), description.endian, &mut out);
        samples.write(cpu as u32, &mut writer)?;
        let size = writer.finish().map_err(failed)?;
        table.u64(offset);
        table.u64(size);
        offset += size;
    }
    out.seek(SeekFrom::Start(header.table)).and_then(|_| out.write_all(&table.bytes)).map_err(failed)?;
    out.into_inner().map_err(|error| failed(error.into_error()))
}

#[cfg(test)]
mod made;
#[cfg(test)]
mod tests;
