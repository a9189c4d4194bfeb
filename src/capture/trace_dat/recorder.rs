//! Recording: appends raw sub-buffers to a version 6 file that is valid at all times.
//!
//! Version 6 needs each CPU's data in one piece, but their sizes are not known before the end. So each CPU gets a
//! region of the file as large as the disk, most of which is a hole and takes no space:
//!
//! ```text
//! header, table │ CPU 0: ███████▒░ ─ ─ hole ─ ─ │ CPU 1: ███░ ─ ─ hole ─ ─ │ …
//! ```
//!
//! * Nothing is decoded. Sub-buffers that came mostly empty, as they do when a ring is read every millisecond, are
//!   [joined](crate::ring::join) until one is full; that costs one `pwrite`.
//! * A [flush](Recorder::flush) also writes the ones that are not full yet, in the place where they go on.
//! * The table of sizes is written after the data it counts. Whatever ends the recording (a full disk, a file-size limit,
//!   SIGKILL), the file is a trace.dat with everything up to the last table, and opens in any reader.
//! * At the end the file is written anew without holes, with the names of all tasks and the final statistics, and renamed
//!   over the first one. Where there is no room for that, the file stays as it is: it is valid, only long on paper.
//!
//! Spool files beside the output would be simpler still, but after a kill they would be files that no other program
//! opens. A file that was left with holes is made compact by `convert`.

use std::{
    fs::File,
    io,
    os::unix::fs::{FileExt, MetadataExt},
    path::{Path, PathBuf},
};

use byteorder::{BigEndian, LittleEndian};

use super::{
    BufferOut, Description, Open, TraceDat, WriteError, Written,
    encode::Encoder,
    write::{MAX_CPU, write_at},
};
use crate::{
    capture::new_file::Place,
    format::{Endian, HeaderPage},
    ring::join,
};

/// Room for the header to grow: names of tasks and statistics are only known at the end.
const SLACK: u64 = 1 << 20;
/// The table is written at the latest after this many bytes of data.
const TABLE_EVERY: u64 = 256 << 10;
/// The hole that a file is lengthened by to see whether it takes space.
const PROBE: u64 = 1 << 20;
/// The smallest region of a CPU.
const MIN_REGION: u64 = 16 << 20;

/// A recording in progress.
///
/// Dropped without [`Recorder::finish`], the file has what was recorded up to the last [`Recorder::flush`]; if
/// nothing was [appended](Recorder::append), it is removed.
#[derive(Debug)]
pub struct Recorder {
    place: Place,
    path: PathBuf,
    file: File,
    description: Description,
    /// The layout of a sub-buffer, if it could be parsed.
    layout: Option<HeaderPage>,
    /// The offset of the table.
    table: u64,
    cpus: Vec<Region>,
    /// Size of each CPU's region.
    region: u64,
    /// Bytes written since the last table.
    unlisted: u64,
    /// Whether the file is kept in any case.
    keep: bool,
}

impl Drop for Recorder {
    fn drop(&mut self) {
        if !self.keep {
            // Nothing was recorded: a file without events would only be confusing, and prevent the next try.
            let _ = self.place.remove();
        }
    }
}

/// One CPU's part of the file.
#[derive(Debug, Default)]
struct Region {
    start: u64,
    /// Bytes in the file, from `start` on.
    written: u64,
    /// Bytes of the sub-buffers before the last.
    before: u64,
    /// The last sub-buffer, to which more records may be joined; empty before the first.
    last: Vec<u8>,
    /// Whether the last sub-buffer has records that are not in the file.
    unwritten: bool,
}

impl Region {
    /// Writes the last sub-buffer. If that fails, the records that are not in the file are dropped.
    fn write_last(&mut self, file: &File, path: &Path) -> Result<u64, WriteError> {
        let (length, offset) = (self.last.len() as u64, self.start + self.before);
        if !std::mem::take(&mut self.unwritten) {
            return Ok(0);
        }
        if let Err(error) = file.write_all_at(&self.last, offset) {
            self.before = self.written;
            self.last.clear();
            return Err(WriteError::at(path, "cannot be written", offset)(error));
        }
        self.written = self.before + length;
        Ok(length)
    }
}

/// How a recording ended.
#[derive(Debug)]
#[non_exhaustive]
pub struct Finished {
    /// What the file contains.
    pub written: Written,
    /// Why the last of what was appended is missing, if it is.
    pub unwritten: Option<WriteError>,
    /// Why the file could not be compacted, if so. It is valid nevertheless; its holes take no space here, but may
    /// when it is copied.
    pub not_compact: Option<WriteError>,
}

impl Recorder {
    /// Begins a recording of the CPUs up to `last_cpu` into the new file `path`.
    ///
    /// # Errors
    /// If the file exists or cannot be written, or the file system does not support holes. The file is removed again.
    pub fn create(path: &Path, description: Description, last_cpu: u32) -> Result<Recorder, WriteError> {
        if last_cpu > MAX_CPU {
            return Err(WriteError::Cpu { path: path.to_owned(), cpu: last_cpu, limit: MAX_CPU });
        }
        let place = Place::of(path).map_err(WriteError::at(path, "cannot be created", 0))?;
        let file = place.create().map_err(WriteError::at(path, "cannot be created", 0))?;
        let layout = HeaderPage::parse(&description.metadata.header_page).ok();
        let layout = layout.and_then(|layout| layout.with_sub_buffer_size(description.sub_buffer_size as usize).ok());
        let mut recorder = Recorder {
            place,
            path: path.to_owned(),
            file,
            description,
            layout,
            table: 0,
            cpus: std::iter::repeat_with(Region::default).take(last_cpu as usize + 1).collect(),
            region: 0,
            unlisted: 0,
            keep: false,
        };
        recorder.lay_out(rustix::process::getrlimit(rustix::process::Resource::Fsize).current)?;
        Ok(recorder)
    }

    /// Writes the header and assigns each CPU its region. `limit` is that of the process on the size of files.
    fn lay_out(&mut self, limit: Option<u64>) -> Result<(), WriteError> {
        let header = self.encode()?;
        let alignment = self.description.alignment();
        let start = (header.len() as u64 + SLACK).next_multiple_of(alignment);
        let regions = self.cpus.len() as u64;
        let out_of_limit = |limit| WriteError::FileSizeLimit { path: self.path.clone(), limit, header: start };
        if let Some(limit) = limit.filter(|&limit| limit < start + regions * alignment) {
            return Err(out_of_limit(limit));
        }
        // The slack is written, not left as a hole: at the end the header must fit even if the disk is full.
        self.put(&vec![0; start as usize], 0)?;
        self.put(&header, 0)?;
        self.check_holes(start, limit)?;
        self.region = self.region_size(start, limit)?.max(alignment) / alignment * alignment;
        let size = self.region;
        for (cpu, region) in self.cpus.iter_mut().enumerate() {
            region.start = start + size * cpu as u64;
        }
        // Again, with the offsets known.
        let header = self.encode()?;
        self.put(&header, 0)
    }

    /// The current header; sets the offset of the table.
    fn encode(&mut self) -> Result<Vec<u8>, WriteError> {
        let header = self.description.encode(&self.places(), &[]);
        let header = header.map_err(|_| WriteError::TooLong { path: self.path.clone() })?;
        self.table = header.table;
        Ok(header.bytes)
    }

    /// Offset and size of each CPU's data.
    fn places(&self) -> Vec<(u64, u64)> {
        self.cpus.iter().map(|region| (region.start, region.written)).collect()
    }

    fn put(&self, bytes: &[u8], offset: u64) -> Result<(), WriteError> {
        self.file.write_all_at(bytes, offset).map_err(WriteError::at(&self.path, "cannot be written", offset))
    }

    /// Checks that extending a file takes no space on this file system.
    fn check_holes(&self, start: u64, limit: Option<u64>) -> Result<(), WriteError> {
        let failed = || WriteError::at(&self.path, "cannot be lengthened", start);
        let blocks = || self.file.metadata().map(|metadata| metadata.blocks()).map_err(failed());
        if !has_room_for_the_probe(limit, start) {
            return Ok(());
        }
        let before = blocks()?;
        self.file.set_len(start + PROBE).map_err(failed())?;
        let taken = takes_the_space(before, blocks()?);
        self.file.set_len(start).map_err(failed())?;
        if taken { Err(WriteError::NoHoles { path: self.path.clone() }) } else { Ok(()) }
    }

    /// The size of a region: no CPU can need more than the disk has, and the whole file must stay within the limits
    /// of the process and the file system.
    fn region_size(&self, start: u64, limit: Option<u64>) -> Result<u64, WriteError> {
        let regions = self.cpus.len() as u64;
        let disk = rustix::fs::fstatvfs(&self.file).map(|fs| fs.f_blocks.saturating_mul(fs.f_frsize));
        // A file system that does not report its size returns 0.
        let disk = disk.ok().filter(|&size| size > 0).unwrap_or(u64::MAX).max(MIN_REGION);
        let largest = limit.unwrap_or(u64::MAX).min(i64::MAX as u64) - start;
        let region = accepted(disk.min(largest / regions), |region| self.file.set_len(start + region * regions));
        let region = region.map_err(WriteError::at(&self.path, "cannot be lengthened", start))?;
        self.file.set_len(start).map_err(WriteError::at(&self.path, "cannot be shortened", start))?;
        Ok(region)
    }

    /// Appends one or more whole sub-buffers of `cpu`, as they were read.
    ///
    /// # Errors
    /// If there is no room ([`WriteError::is_full`]) or the disk fails. What was appended before is kept; the
    /// recording can still be finished.
    pub fn append(&mut self, cpu: u32, sub_buffers: &[u8]) -> Result<(), WriteError> {
        let size = self.description.sub_buffer_size as usize;
        if size == 0 || !sub_buffers.len().is_multiple_of(size) {
            let source = io::Error::new(io::ErrorKind::InvalidInput, "not a whole number of sub-buffers");
            return Err(WriteError::at(&self.path, "cannot be appended to", 0)(source));
        }
        let limit = self.cpus.len() as u32;
        let Some(region) = self.cpus.get_mut(cpu as usize) else {
            return Err(WriteError::Cpu { path: self.path.clone(), cpu, limit });
        };
        self.keep = true;
        for sub_buffer in sub_buffers.chunks_exact(size) {
            let last = region.last.as_mut_slice();
            let joined = self.layout.as_ref().is_some_and(|layout| match self.description.endian {
                Endian::Little => join::<LittleEndian>(layout, last, sub_buffer),
                Endian::Big => join::<BigEndian>(layout, last, sub_buffer),
            });
            if joined {
                region.unwritten = true;
                continue;
            }
            self.unlisted += region.write_last(&self.file, &self.path)?;
            let offset = region.before + region.last.len() as u64;
            if offset + size as u64 > self.region {
                return Err(WriteError::RegionFull { path: self.path.clone(), cpu, size: self.region });
            }
            region.before = offset;
            region.last.clear();
            region.last.extend_from_slice(sub_buffer);
            region.unwritten = true;
        }
        if self.unlisted >= TABLE_EVERY { self.list() } else { Ok(()) }
    }

    /// Writes all that was appended to the file and lists it in the table: from now on it survives the end of this
    /// process. It costs a write for each CPU with new data, and a small one; none if there is nothing new.
    ///
    /// # Errors
    /// If there is no room, or the disk fails. What could be written is listed nevertheless.
    pub fn flush(&mut self) -> Result<(), WriteError> {
        let mut result = Ok(());
        for region in &mut self.cpus {
            match region.write_last(&self.file, &self.path) {
                Ok(length) => self.unlisted += length,
                Err(error) => result = result.and(Err(error)),
            }
        }
        result.and(self.list())
    }

    /// Writes the table.
    fn list(&mut self) -> Result<(), WriteError> {
        if self.unlisted == 0 {
            return Ok(());
        }
        let mut table = Encoder::new(self.description.endian);
        for (offset, size) in self.places() {
            table.u64(offset);
            table.u64(size);
        }
        self.put(&table.bytes, self.table)?;
        self.unlisted = 0;
        Ok(())
    }

    /// The description that is written at the end: task names and options may be added before [`Recorder::finish`].
    pub fn description_mut(&mut self) -> &mut Description {
        &mut self.description
    }

    /// Bytes of sub-buffers in the file: all that were appended, after a flush.
    pub fn recorded(&self) -> u64 {
        self.cpus.iter().map(|region| region.written).sum()
    }

    /// Ends the recording: writes the file again without holes, or if there is no room for that, completes its
    /// header.
    pub fn finish(mut self) -> Result<Finished, WriteError> {
        self.keep = true;
        let unwritten = self.flush().err();
        Ok(match self.compact() {
            Ok(written) => Finished { written, unwritten, not_compact: None },
            Err(error) => Finished { written: self.complete_in_place()?, unwritten, not_compact: Some(error) },
        })
    }

    fn compact(&self) -> Result<Written, WriteError> {
        let failed = |cpu| move |error| WriteError::Read { cpu, source: io::Error::other(error) };
        let file = self.file.try_clone().map_err(WriteError::at(&self.path, "cannot be read", 0))?;
        let dat = TraceDat::from_file(file, Open::default()).map_err(failed(0))?;
        let cpus = dat.buffers.first().map(|buffer| dat.feeds(buffer)).unwrap_or_default();
        let buffer = BufferOut { name: String::new(), clock: None, cpus };
        write_at(&self.place, &self.description, vec![buffer], &mut |_| {})
    }

    /// Writes the final header in the room kept for it.
    fn complete_in_place(&mut self) -> Result<Written, WriteError> {
        let room = self.cpus.first().map_or(0, |region| region.start);
        let header = self.encode()?;
        if header.len() as u64 > room {
            let source = io::Error::other("the names and statistics need more room than was kept for them");
            return Err(WriteError::at(&self.path, "cannot be completed", room)(source));
        }
        self.put(&header, 0)?;
        let size = u64::from(self.description.sub_buffer_size).max(1);
        let metadata = self.file.metadata().map_err(WriteError::at(&self.path, "cannot be read", 0))?;
        if metadata.nlink() == 0 {
            let source = io::Error::other("the file, or its folder, was removed meanwhile");
            return Err(WriteError::at(&self.path, "cannot be kept", 0)(source));
        }
        Ok(Written { sub_buffers: self.recorded() / size, bytes: metadata.len(), incomplete: 0 })
    }
}

/// The largest region, of this size or halved, for which `lengthen` has a file long enough: the longest file of a file system
/// can only be found by trying.
fn accepted(mut region: u64, mut lengthen: impl FnMut(u64) -> io::Result<()>) -> io::Result<u64> {
    loop {
        match lengthen(region) {
            Ok(()) => return Ok(region),
            Err(error) if region > MIN_REGION && error.kind() != io::ErrorKind::Interrupted => region /= 2,
            Err(error) => return Err(error),
        }
    }
}

/// Whether a file may be lengthened to see whether that takes space: whether the limit on its size allows it.
fn has_room_for_the_probe(limit: Option<u64>, start: u64) -> bool {
    limit.is_none_or(|limit| limit >= start + PROBE)
}

/// Whether the file took the space of the probe. Blocks are units of 512 bytes, regardless of the file system's block size.
fn takes_the_space(before: u64, after: u64) -> bool {
    after.saturating_sub(before) * 512 >= PROBE
}

#[cfg(test)]
mod tests;
