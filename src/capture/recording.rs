//! Records a live instance into a `trace.dat`: sub-buffers are appended as they are read, without decoding. So its
//! length is limited by the disk and not by the ring.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

use super::trace_dat::{Description, DescriptionError, EventText, Finished, Options, Recorder, WriteError};
use crate::format::{Endian, EventFormat, EventId};
use crate::names::SavedCmdlines;
use crate::ring::Times;
use crate::tracefs::{ClockPair, Instance, Noted, RawBuffer, RawRead, TraceClock, Tracefs};

/// Sub-buffers read from one ring before the next one gets its turn.
const QUOTA: u32 = 256;

/// A recording in progress. Its first failure ends it; what was written before is kept and can be opened. Dropped
/// before anything was appended, it leaves no file.
#[derive(Debug)]
pub struct Recording {
    recorder: Recorder,
    sub_buffer: usize,
    page: Vec<u8>,
    /// Names of tasks, by pid.
    names: BTreeMap<i32, String>,
    failed: Option<WriteError>,
}

/// Why a recording cannot begin.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecordingError {
    /// The file exists.
    #[error("{} exists: give another file name, nothing is overwritten", .0.display())]
    Exists(PathBuf),
    /// The kernel's descriptions cannot be read.
    #[error(transparent)]
    Description(#[from] DescriptionError),
    /// The file cannot be written.
    #[error(transparent)]
    Write(#[from] WriteError),
}

impl Recording {
    /// Begins a recording of `instance` into the new file `path`. The instance's events need not be enabled yet: the
    /// file describes every event of the kernel.
    ///
    /// # Errors
    /// If the file exists or cannot be written, or tracefs cannot be read.
    pub fn begin(
        tracefs: &Tracefs,
        instance: &Instance,
        path: &Path,
        noted: Option<Noted>,
    ) -> Result<Recording, RecordingError> {
        // Checked first, so that somebody's file is not lost if something else fails.
        if path.symlink_metadata().is_ok() {
            return Err(RecordingError::Exists(path.to_owned()));
        }
        let mut description = Description::of_files(instance, Endian::NATIVE)?;
        description.add_kernel_files(tracefs);
        description.options.uname = Some(super::kernel::uname().trim_end().to_owned());
        let clock = description.options.clock().unwrap_or(TraceClock::Other(String::new()));
        if let Some(pair) = ClockPair::take(&clock) {
            description.options.set_wall_clock(&pair);
        }
        note(&mut description.options, noted);
        let last = instance.cpus().iter().max().copied().unwrap_or(0);
        let sub_buffer = description.sub_buffer_size as usize;
        let recorder = Recorder::create(path, description, last)?;
        let recording = Recording { recorder, sub_buffer, page: Vec::new(), names: BTreeMap::new(), failed: None };
        Ok(recording)
    }

    /// Stores the length of ticks and a moment of a clock that no process can read.
    pub fn note(&mut self, noted: Option<Noted>) {
        note(&mut self.recorder.description_mut().options, noted);
    }

    /// Appends a sub-buffer as it was read. The kernel returns one that is still being written in complete form too:
    /// the records so far, their length, zeros (`ring_buffer_read_page`).
    pub fn append(&mut self, cpu: u32, sub_buffer: &[u8]) {
        if self.failed.is_some() {
            return;
        }
        let appended = if sub_buffer.len() == self.sub_buffer {
            self.recorder.append(cpu, sub_buffer)
        } else {
            // The file contains whole sub-buffers only; their headers say how much is used.
            self.page.clear();
            self.page.extend_from_slice(sub_buffer);
            self.page.resize(self.sub_buffer, 0);
            self.recorder.append(cpu, &self.page)
        };
        if let Err(error) = appended {
            self.failed = Some(error);
            self.list();
        }
    }

    /// After this, what was appended survives the end of this process.
    pub fn flush(&mut self) {
        if self.failed.is_none() {
            self.list();
        }
    }

    fn list(&mut self) {
        let flushed = self.recorder.flush();
        if self.failed.is_none() {
            self.failed = flushed.err();
        }
    }

    /// Adds descriptions for events of `known` that were created after the beginning.
    pub fn describe<'e>(&mut self, known: impl Iterator<Item = &'e EventFormat>) {
        let formats = &mut self.recorder.description_mut().metadata.formats;
        let mut ids: BTreeSet<_> = formats.iter().filter_map(|format| id_of(&format.text)).collect();
        for event in known.filter(|event| ids.insert(event.id)) {
            formats.push(EventText { system: event.system.clone(), text: event.to_string() });
        }
    }

    /// Stores names of tasks, since the kernel forgets all but the last `saved_cmdlines_size`.
    pub fn name<'n>(&mut self, names: impl Iterator<Item = (i32, &'n str)>) {
        self.names.extend(names.map(|(pid, name)| (pid, name.to_owned())));
    }

    /// The error that ended the recording, if any.
    pub fn failure(&self) -> Option<&WriteError> {
        self.failed.as_ref()
    }

    /// Bytes of sub-buffers recorded.
    pub fn recorded(&self) -> u64 {
        self.recorder.recorded()
    }

    /// Appends the current contents of the rings. Returns the number of sub-buffers.
    ///
    /// # Errors
    /// If a ring cannot be read: its CPU, and the error.
    pub fn drain(&mut self, rings: &[RawBuffer]) -> Result<u64, (u32, io::Error)> {
        let mut page = std::mem::take(&mut self.page);
        page.resize(self.sub_buffer, 0);
        let mut read = 0;
        for ring in rings {
            for _ in 0..QUOTA {
                match ring.read(&mut page).map_err(|error| (ring.cpu(), error))? {
                    RawRead::SubBuffer(length) => {
                        page.get_mut(length..).unwrap_or_default().fill(0);
                        self.append(ring.cpu(), &page);
                        read += 1;
                    }
                    RawRead::Nothing => {}
                    RawRead::Empty | RawRead::Gone => break,
                }
            }
        }
        self.page = page;
        self.flush();
        Ok(read)
    }

    /// Ends the recording, and stores the final names of tasks and counts of the rings.
    ///
    /// # Errors
    /// If the file could not be completed. What was flushed can be opened nevertheless.
    pub fn finish(mut self, tracefs: &Tracefs, instance: &Instance) -> Result<Finished, WriteError> {
        let stats = |cpu: &u32| {
            let text = instance.read(format!("per_cpu/cpu{cpu}/stats")).ok()?;
            Some(format!("CPU: {cpu}\n{text}"))
        };
        let description = self.recorder.description_mut();
        description.options.cpustat = instance.cpus().iter().filter_map(stats).collect();
        // If names cannot be read, those of the beginning are kept.
        if let Ok(names) = tracefs.read_bytes("saved_cmdlines") {
            description.metadata.saved_cmdlines = names;
        }
        add_names(&mut description.metadata.saved_cmdlines, &self.names);
        self.recorder.finish()
    }
}

fn note(options: &mut Options, noted: Option<Noted>) {
    let (scale, pair) = noted.unwrap_or_default();
    options.set_times(&Times::new(Vec::new(), false, scale));
    pair.iter().for_each(|pair| options.set_wall_clock(pair));
}

/// Adds those of `names` that are missing to the text of `saved_cmdlines`, in the kernel's format
/// (`saved_cmdlines_show`). Pid 0 is every CPU's idle task and is omitted.
fn add_names(saved: &mut Vec<u8>, names: &BTreeMap<i32, String>) {
    let known = SavedCmdlines::parse(saved);
    for (pid, name) in names.iter().filter(|(pid, name)| **pid > 0 && !name.contains('\n')) {
        if known.get(*pid).is_none() {
            saved.extend_from_slice(format!("{pid} {name}\n").as_bytes());
        }
    }
}

/// The id in a `format` file.
fn id_of(format: &str) -> Option<EventId> {
    format.lines().find_map(|line| line.strip_prefix("ID: ")?.trim().parse().ok()).map(EventId)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_the_kernel_has_forgotten_are_added_and_those_it_has_stay() {
        let mut saved = b"12 sh\n77 kworker/0:1\n".to_vec();
        let names = [(0, "<idle>"), (12, "bash"), (300, "a b"), (5, "two\nlines"), (-1, "x")];
        add_names(&mut saved, &names.map(|(pid, name)| (pid, name.to_owned())).into());
        assert_eq!(saved, b"12 sh\n77 kworker/0:1\n300 a b\n");
    }

    #[test]
    fn the_id_is_read_off_a_format() {
        assert_eq!(id_of("name: x\nID: 317\nformat:\n"), Some(EventId(317)));
        assert_eq!(id_of("name: x\nID: many\n"), None);
    }
}
