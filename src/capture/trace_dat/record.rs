//! Recording: raw sub-buffers as they come, into one version 6 file that is valid at all times.
//!
//! Version 6 wants each CPU's data in one piece, but how much each CPU will have is not known before the end. So each CPU
//! gets a region of the file as large as the disk has room, most of which is a hole and takes no space:
//!
//! ```text
//! header, table │ CPU 0: ███████▒░ ─ ─ hole ─ ─ │ CPU 1: ███░ ─ ─ hole ─ ─ │ …
//! ```
//!
//! * A sub-buffer costs one `pwrite`; nothing is decoded and nothing is ever copied while recording.
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
    sync::{Arc, Once, atomic::AtomicBool},
};

use super::{
    BufferOut, Description, Open, TraceDat, WriteError, Written,
    encode::Encoder,
    write::{MAX_CPU, write},
};

/// Room that the header is left to grow into: names of tasks and statistics that are only known at the end.
const SLACK: u64 = 1 << 20;
/// Bytes of data after which the table is written, at the latest.
const TABLE_EVERY: u64 = 256 << 10;
/// The least that a region is made for.
const MIN_REGION: u64 = 16 << 20;

/// A recording in progress.
///
/// Dropped without [`Recorder::finish`], the file holds what was recorded up to the last [`Recorder::flush`].
#[derive(Debug)]
pub struct Recorder {
    path: PathBuf,
    file: File,
    description: Description,
    /// Where the table stands.
    table: u64,
    /// Offset and size of each CPU's data.
    cpus: Vec<(u64, u64)>,
    /// Size of a CPU's region.
    region: u64,
    /// Bytes written since the table was.
    unlisted: u64,
}

/// How a recording ended.
#[derive(Debug)]
pub struct Finished {
    /// What the file holds.
    pub written: Written,
    /// Why the file could not be made compact, if so. It is valid all the same; its holes take no space where it lies,
    /// but may when it is copied.
    pub not_compact: Option<WriteError>,
}

impl Recorder {
    /// Begins a recording of the CPUs up to `last_cpu` into the file `path`, which is replaced if it exists.
    ///
    /// # Errors
    /// If the file cannot be written, or the file system has no files with holes. The file is removed again.
    pub fn create(path: &Path, description: Description, last_cpu: u32) -> Result<Recorder, WriteError> {
        survive_file_size_limit();
        if last_cpu > MAX_CPU {
            return Err(WriteError::Cpu { path: path.to_owned(), cpu: last_cpu, limit: MAX_CPU });
        }
        let mut options = File::options();
        let file = options.read(true).write(true).create(true).truncate(true).open(path);
        let file = file.map_err(WriteError::at(path, "cannot be created", 0))?;
        let mut recorder = Recorder {
            path: path.to_owned(),
            file,
            description,
            table: 0,
            cpus: vec![(0, 0); last_cpu as usize + 1],
            region: 0,
            unlisted: 0,
        };
        match recorder.lay_out() {
            Ok(()) => Ok(recorder),
            Err(error) => {
                // Nothing was recorded; a file without a header would only confuse.
                let _ = std::fs::remove_file(path);
                Err(error)
            }
        }
    }

    /// Writes the header and gives each CPU its region.
    fn lay_out(&mut self) -> Result<(), WriteError> {
        let header = self.encode()?;
        let alignment = self.description.alignment();
        let start = (header.len() as u64 + SLACK).next_multiple_of(alignment);
        let limit = rustix::process::getrlimit(rustix::process::Resource::Fsize).current;
        let regions = self.cpus.len() as u64;
        let out_of_limit = |limit| WriteError::FileSizeLimit { path: self.path.clone(), limit, header: start };
        if let Some(limit) = limit.filter(|&limit| limit < start + regions * alignment) {
            return Err(out_of_limit(limit));
        }
        // The slack is written, not left a hole: the header must fit at the end even if the disk is full by then.
        self.put(&vec![0; start as usize], 0)?;
        self.put(&header, 0)?;
        self.check_holes(start)?;
        self.region = self.region_size(start, limit)?.max(alignment) / alignment * alignment;
        let region = self.region;
        for (cpu, place) in self.cpus.iter_mut().enumerate() {
            *place = (start + region * cpu as u64, 0);
        }
        // Once more, now that the offsets are known.
        let header = self.encode()?;
        self.put(&header, 0)
    }

    /// The header as things stand; sets the place of the table.
    fn encode(&mut self) -> Result<Vec<u8>, WriteError> {
        let header = self.description.encode(&self.cpus, &[]);
        let header = header.map_err(|_| WriteError::TooLong { path: self.path.clone() })?;
        self.table = header.table;
        Ok(header.bytes)
    }

    fn put(&self, bytes: &[u8], offset: u64) -> Result<(), WriteError> {
        self.file.write_all_at(bytes, offset).map_err(WriteError::at(&self.path, "cannot be written", offset))
    }

    /// Makes sure that lengthening a file takes no space on this file system.
    fn check_holes(&self, start: u64) -> Result<(), WriteError> {
        const PROBE: u64 = 1 << 20;
        let failed = || WriteError::at(&self.path, "cannot be lengthened", start);
        let blocks = || self.file.metadata().map(|metadata| metadata.blocks()).map_err(failed());
        if rustix::process::getrlimit(rustix::process::Resource::Fsize).current.is_some_and(|l| l < start + PROBE) {
            return Ok(());
        }
        let before = blocks()?;
        self.file.set_len(start + PROBE).map_err(failed())?;
        // In units of 512 bytes, whatever the file system's own block size.
        let taken = blocks()?.saturating_sub(before) * 512;
        self.file.set_len(start).map_err(failed())?;
        if taken >= PROBE { Err(WriteError::NoHoles { path: self.path.clone() }) } else { Ok(()) }
    }

    /// How large a region can be: no CPU can need more than the free space, and the whole file must be within the
    /// limits of the process and of the file system.
    fn region_size(&self, start: u64, limit: Option<u64>) -> Result<u64, WriteError> {
        let regions = self.cpus.len() as u64;
        if let Some(limit) = limit {
            let room = (limit - start) / regions;
            if room < 4 * MIN_REGION {
                return Ok(room);
            }
        }
        let free = rustix::fs::fstatvfs(&self.file).map(|fs| fs.f_bavail.saturating_mul(fs.f_frsize));
        let free = free.unwrap_or(u64::MAX).max(MIN_REGION);
        let largest = limit.unwrap_or(u64::MAX).min(i64::MAX as u64) - start;
        let mut region = free.min(largest / regions);
        // What a file system's longest file is, only trying tells.
        loop {
            match self.file.set_len(start + region * regions) {
                Ok(()) => break,
                Err(error) if region > MIN_REGION && error.kind() != io::ErrorKind::Interrupted => region /= 2,
                Err(error) => return Err(WriteError::at(&self.path, "cannot be lengthened", start)(error)),
            }
        }
        self.file.set_len(start).map_err(WriteError::at(&self.path, "cannot be shortened", start))?;
        Ok(region)
    }

    /// Appends sub-buffers of `cpu`, as they were read: one or more whole ones.
    ///
    /// # Errors
    /// If there is no room ([`WriteError::is_full`]) or the disk fails. What was appended before stands; the recording
    /// can still be finished.
    pub fn append(&mut self, cpu: u32, sub_buffers: &[u8]) -> Result<(), WriteError> {
        let size = self.description.sub_buffer_size as usize;
        if size == 0 || !sub_buffers.len().is_multiple_of(size) {
            let source = io::Error::new(io::ErrorKind::InvalidInput, "not a whole number of sub-buffers");
            return Err(WriteError::at(&self.path, "cannot be appended to", 0)(source));
        }
        let limit = self.cpus.len() as u32;
        let Some(place) = self.cpus.get_mut(cpu as usize) else {
            return Err(WriteError::Cpu { path: self.path.clone(), cpu, limit });
        };
        let offset = place.0 + place.1;
        let length = sub_buffers.len() as u64;
        if place.1 + length > self.region {
            let source = io::Error::from(io::ErrorKind::FileTooLarge);
            return Err(WriteError::at(&self.path, "the region of a CPU is full", offset)(source));
        }
        self.file.write_all_at(sub_buffers, offset).map_err(WriteError::at(&self.path, "cannot be written", offset))?;
        place.1 += length;
        self.unlisted += length;
        if self.unlisted >= TABLE_EVERY { self.flush() } else { Ok(()) }
    }

    /// Lists what was appended: from now on it survives whatever happens to this process. Call it whenever the rings
    /// have been drained; it costs one small write, and none if nothing was appended.
    pub fn flush(&mut self) -> Result<(), WriteError> {
        if self.unlisted == 0 {
            return Ok(());
        }
        let mut table = Encoder::new(self.description.endian);
        for &(offset, size) in &self.cpus {
            table.u64(offset);
            table.u64(size);
        }
        self.put(&table.bytes, self.table)?;
        self.unlisted = 0;
        Ok(())
    }

    /// What will be written at the end: names of tasks and options may be completed before [`Recorder::finish`].
    pub fn description_mut(&mut self) -> &mut Description {
        &mut self.description
    }

    /// Bytes of sub-buffers recorded.
    pub fn recorded(&self) -> u64 {
        self.cpus.iter().map(|&(_, size)| size).sum()
    }

    /// Ends the recording: writes the file anew without holes, or if there is no room for that, completes its header.
    pub fn finish(mut self) -> Result<Finished, WriteError> {
        self.flush()?;
        let compact = self.compact();
        match compact {
            Ok(written) => Ok(Finished { written, not_compact: None }),
            Err(error) => {
                let written = self.complete_in_place()?;
                Ok(Finished { written, not_compact: Some(error) })
            }
        }
    }

    fn compact(&self) -> Result<Written, WriteError> {
        let failed = |cpu| move |error| WriteError::Read { cpu, source: io::Error::other(error) };
        let file = self.file.try_clone().map_err(WriteError::at(&self.path, "cannot be read", 0))?;
        let dat = TraceDat::from_file(file, Open::default()).map_err(failed(0))?;
        let cpus = dat.buffers.first().map(|buffer| dat.feeds(buffer)).unwrap_or_default();
        let buffer = BufferOut { name: String::new(), clock: None, cpus };
        write(&self.path, &self.description, vec![buffer], &mut |_| {})
    }

    /// The header, with what became known, in the place that was kept for it.
    fn complete_in_place(&mut self) -> Result<Written, WriteError> {
        let room = self.cpus.first().map_or(0, |&(start, _)| start);
        let header = self.encode()?;
        if header.len() as u64 > room {
            let source = io::Error::other("the names and statistics need more room than was kept for them");
            return Err(WriteError::at(&self.path, "cannot be completed", room)(source));
        }
        self.put(&header, 0)?;
        let size = u64::from(self.description.sub_buffer_size).max(1);
        let bytes = self.file.metadata().map_err(WriteError::at(&self.path, "cannot be read", 0))?.len();
        Ok(Written { sub_buffers: self.recorded() / size, bytes, incomplete: 0 })
    }
}

/// A write beyond the file-size limit ends the process with SIGXFSZ, unless someone handles that: then it is an error of
/// the write like any other.
fn survive_file_size_limit() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // If this fails, the signal does what it always does; the file is valid even then.
        let _ = signal_hook::flag::register(signal_hook::consts::SIGXFSZ, Arc::new(AtomicBool::new(false)));
    });
}
