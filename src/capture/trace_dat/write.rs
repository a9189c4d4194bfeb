//! Writing a version 6 file in one go, from feeds of sub-buffers.
//!
//! The file is created beside its final name and renamed when it is complete, so that no reader ever sees half of it,
//! and an existing file is only replaced by a complete one.

use std::{
    fs::File,
    io::{self, BufWriter, Seek, SeekFrom, Write},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

use super::{
    Description,
    encode::{Encoder, Header},
};
use crate::capture::new_file::Place;
use crate::ring::Feed;

/// One buffer to be written.
pub struct BufferOut<F> {
    /// The instance's name; the first buffer is the top-level one and has none.
    pub name: String,
    /// Its clock.
    pub clock: Option<String>,
    /// Its CPUs and their sub-buffers. A CPU may occur more than once; its data are joined.
    pub cpus: Vec<(u32, F)>,
}

/// What was written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct Written {
    /// Sub-buffers.
    pub sub_buffers: u64,
    /// Bytes of the file.
    pub bytes: u64,
    /// Last pieces shorter than a sub-buffer, which the format cannot store.
    pub incomplete: u64,
}

/// Why a file could not be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WriteError {
    /// The operating system refused.
    #[error("{path}: {what} at byte {offset}: {source}")]
    Write {
        /// The file.
        path: PathBuf,
        /// The operation.
        what: &'static str,
        /// The file offset.
        offset: u64,
        /// The reason.
        source: io::Error,
    },
    /// The data to be written could not be read.
    #[error("CPU {cpu}: {source}")]
    Read {
        /// The CPU.
        cpu: u32,
        /// The reason.
        source: io::Error,
    },
    /// A description is longer than the format can express.
    #[error("{path}: a description is longer than a trace.dat can hold (4 GiB)")]
    TooLong {
        /// The file.
        path: PathBuf,
    },
    /// There are more CPUs than any kernel has.
    #[error("{path}: CPU {cpu} is above the limit of {limit} for a trace.dat")]
    Cpu {
        /// The file.
        path: PathBuf,
        /// The CPU.
        cpu: u32,
        /// The limit.
        limit: u32,
    },
    /// Recording needs a file with holes, which this file system does not support.
    #[error("{path}: this file system cannot store files with holes; record into a folder and convert that")]
    NoHoles {
        /// The file.
        path: PathBuf,
    },
    /// The region of one CPU is full, though the disk may have room.
    #[error("{path}: the {size} bytes reserved for CPU {cpu} are full: raise the file-size limit (ulimit -f)")]
    RegionFull {
        /// The file.
        path: PathBuf,
        /// The CPU.
        cpu: u32,
        /// Its size, bytes.
        size: u64,
    },
    /// The limit on file sizes (`ulimit -f`) leaves no room.
    #[error(
        "{path}: the file-size limit of {limit} bytes leaves no room for events after {header} bytes of descriptions"
    )]
    FileSizeLimit {
        /// The file.
        path: PathBuf,
        /// The limit, bytes.
        limit: u64,
        /// The size of the descriptions, bytes.
        header: u64,
    },
}

impl WriteError {
    pub(super) fn at(path: &Path, what: &'static str, offset: u64) -> impl FnOnce(io::Error) -> WriteError {
        let path = path.to_owned();
        move |source| WriteError::Write { path, what, offset, source }
    }

    /// Whether there is no room for more: the disk or a quota is full, or the file-size limit is reached.
    pub fn is_full(&self) -> bool {
        match self {
            WriteError::Write { source, .. } => matches!(
                source.kind(),
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge
            ),
            WriteError::FileSizeLimit { .. } | WriteError::RegionFull { .. } => true,
            _ => false,
        }
    }
}

/// The largest CPU number written: the table has an entry for each CPU up to the last.
pub(super) const MAX_CPU: u32 = 1 << 14;

/// Writes `buffers`, the first of which is the top-level one, as a trace.dat of version 6. `progress` is called with
/// the bytes of sub-buffers written so far.
pub fn write<F: Feed>(
    path: &Path,
    description: &Description,
    buffers: Vec<BufferOut<F>>,
    progress: &mut dyn FnMut(u64),
) -> Result<Written, WriteError> {
    let place = Place::of(path).map_err(WriteError::at(path, "cannot be created", 0))?;
    write_at(&place, description, buffers, progress)
}

/// Like [`write`], to a place that was opened before.
pub(super) fn write_at<F: Feed>(
    place: &Place,
    description: &Description,
    buffers: Vec<BufferOut<F>>,
    progress: &mut dyn FnMut(u64),
) -> Result<Written, WriteError> {
    let part = place.beside(".part");
    let written = write_part(&part, place, description, buffers, progress);
    if written.is_err() {
        // An incomplete file is useless; if it cannot be removed, the error that follows says more.
        let _ = part.remove();
    }
    written
}

fn write_part<F: Feed>(
    part: &Place,
    place: &Place,
    description: &Description,
    buffers: Vec<BufferOut<F>>,
    progress: &mut dyn FnMut(u64),
) -> Result<Written, WriteError> {
    let path = place.path();
    // One may be left from a run that was killed.
    let file = part.remove().and_then(|()| part.create());
    let file = file.map_err(WriteError::at(part.path(), "cannot be created", 0))?;
    let mut out = Output {
        path: part.path(),
        writer: BufWriter::with_capacity(256 << 10, file),
        at: 0,
        alignment: description.alignment(),
        size: (description.sub_buffer_size as usize).max(1),
        written: Written::default(),
        progress,
    };
    let counts = buffers.iter().map(|buffer| cpu_count(path, &buffer.cpus)).collect::<Result<Vec<_>, _>>()?;
    let names: Vec<&str> = buffers.iter().skip(1).map(|buffer| buffer.name.as_str()).collect();
    // Readers assume that every buffer has as many CPUs as the top-level one.
    let cpus = counts.into_iter().max().unwrap_or(0);
    let empty = vec![(0, 0); cpus];
    let Header { bytes, table, instances } =
        description.encode(&empty, &names).map_err(|_| WriteError::TooLong { path: path.to_owned() })?;
    out.put(&bytes)?;
    let mut patches = Encoder::new(description.endian);
    let mut places = Vec::new();
    let mut pointers = instances.into_iter();
    for (index, buffer) in buffers.into_iter().enumerate() {
        let table = if index == 0 {
            table
        } else {
            out.align()?;
            if let Some(pointer) = pointers.next() {
                places.push((pointer, 8));
                patches.u64(out.at);
            }
            let mut encoder = Encoder::new(description.endian);
            let clock = description.options.trace_clock.is_some().then(|| buffer.clock.as_deref().unwrap_or("local"));
            let table = out.at + encoder.table(&empty, clock);
            out.put(&encoder.bytes)?;
            table
        };
        let ranges = out.buffer(buffer.cpus, cpus)?;
        places.push((table, ranges.len() * 16));
        for (offset, size) in ranges {
            patches.u64(offset);
            patches.u64(size);
        }
    }
    out.finish(&places, &patches.bytes)?;
    let bytes = out.at;
    part.rename_to(place).map_err(WriteError::at(path, "cannot be renamed into place", 0))?;
    Ok(Written { bytes, ..out.written })
}

/// The largest CPU number plus one.
pub(super) fn cpu_count<F>(path: &Path, cpus: &[(u32, F)]) -> Result<usize, WriteError> {
    let last = cpus.iter().map(|(cpu, _)| *cpu).max();
    match last {
        Some(cpu) if cpu > MAX_CPU => Err(WriteError::Cpu { path: path.to_owned(), cpu, limit: MAX_CPU }),
        last => Ok(last.map_or(0, |cpu| cpu as usize + 1)),
    }
}

/// The file being written.
struct Output<'a> {
    path: &'a Path,
    writer: BufWriter<File>,
    at: u64,
    alignment: u64,
    /// Bytes of a sub-buffer.
    size: usize,
    written: Written,
    progress: &'a mut dyn FnMut(u64),
}

impl Output<'_> {
    fn put(&mut self, bytes: &[u8]) -> Result<(), WriteError> {
        self.writer.write_all(bytes).map_err(WriteError::at(self.path, "cannot be written", self.at))?;
        self.at += bytes.len() as u64;
        Ok(())
    }

    /// Leaves a gap up to the next aligned place.
    fn align(&mut self) -> Result<(), WriteError> {
        self.at = self.at.next_multiple_of(self.alignment);
        let seek = self.writer.seek(SeekFrom::Start(self.at));
        seek.map(drop).map_err(WriteError::at(self.path, "cannot be written", self.at))
    }

    /// Writes the data of one buffer; returns (offset, size) of each CPU.
    fn buffer<F: Feed>(&mut self, mut feeds: Vec<(u32, F)>, cpus: usize) -> Result<Vec<(u64, u64)>, WriteError> {
        let mut ranges = vec![(0, 0); cpus];
        feeds.sort_by_key(|(cpu, _)| *cpu);
        let mut page = Vec::new();
        let mut last = None;
        for (cpu, mut feed) in feeds {
            let Some(range) = ranges.get_mut(cpu as usize) else { continue };
            if last != Some(cpu) {
                self.align()?;
                *range = (self.at, 0);
                last = Some(cpu);
            }
            while feed.advance(&mut page).map_err(|source| WriteError::Read { cpu, source })? {
                if page.len() != self.size {
                    self.written.incomplete += 1;
                    continue;
                }
                self.put(&page)?;
                range.1 += page.len() as u64;
                self.written.sub_buffers += 1;
                (self.progress)(self.written.sub_buffers * self.size as u64);
            }
        }
        Ok(ranges)
    }

    /// Fills in what was not known before: `patches` are the bytes for `places` (offset, length), in order.
    fn finish(&mut self, places: &[(u64, usize)], mut patches: &[u8]) -> Result<(), WriteError> {
        self.writer.flush().map_err(WriteError::at(self.path, "cannot be written", self.at))?;
        let file = self.writer.get_ref();
        for &(offset, length) in places {
            let Some((bytes, rest)) = patches.split_at_checked(length) else { break };
            file.write_all_at(bytes, offset).map_err(WriteError::at(self.path, "cannot be written", offset))?;
            patches = rest;
        }
        // The last gap may not have been written.
        file.set_len(self.at).map_err(WriteError::at(self.path, "cannot be lengthened", self.at))
    }
}

#[cfg(test)]
pub(in crate::capture::trace_dat) mod tests;
