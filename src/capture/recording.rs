//! A `trace.dat` of what a live instance records, written while it records: sub-buffers go to the file as they are read,
//! and nothing of them is decoded. So its length is limited by the disk and not by the ring.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

use super::trace_dat::{Description, DescriptionError, EventText, Finished, Options, Recorder, WriteError};
use crate::format::{Endian, EventFormat, EventId};
use crate::names::Comms;
use crate::ring::Times;
use crate::tracefs::{ClockPair, Instance, Noted, RawBuffer, RawRead, TraceClock, Tracefs};

/// Sub-buffers read of one ring before the next one has its turn.
const QUOTA: u32 = 256;

/// A recording in progress. Its first failure ends it; what was written before stays, and opens. Dropped before anything
/// was appended, it leaves no file.
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
    /// There is a file of that name.
    #[error("{} is there already: name another file, nothing is written over", .0.display())]
    Exists(PathBuf),
    /// The kernel's descriptions cannot be read.
    #[error(transparent)]
    Description(#[from] DescriptionError),
    /// The file cannot be written.
    #[error(transparent)]
    Write(#[from] WriteError),
}

impl Recording {
    /// Begins a recording of what `instance` will record into the new file `path`. The instance's events need not be
    /// enabled yet: the file describes every event that there is.
    ///
    /// # Errors
    /// If the file is there already or cannot be written, or tracefs cannot be read.
    pub fn begin(
        tracefs: &Tracefs,
        instance: &Instance,
        path: &Path,
        noted: Option<Noted>,
    ) -> Result<Recording, RecordingError> {
        // Found out here: a file of someone's is not to be lost, whatever else fails.
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

    /// Notes what is known by now of a clock that no process can read: the length of its ticks, and a moment on it.
    pub fn note(&mut self, noted: Option<Noted>) {
        note(&mut self.recorder.description_mut().options, noted);
    }

    /// Appends a sub-buffer as it was read. What the kernel gives of one that is still being written to is whole as well:
    /// the records so far, their length, zeros (`ring_buffer_read_page`).
    pub fn append(&mut self, cpu: u32, sub_buffer: &[u8]) {
        if self.failed.is_some() {
            return;
        }
        let appended = if sub_buffer.len() == self.sub_buffer {
            self.recorder.append(cpu, sub_buffer)
        } else {
            // A file has whole ones only; how much of it is used stands in its head.
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

    /// Makes sure that what was appended survives this process.
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

    /// Describes the events of `known` that came into being after the beginning.
    pub fn describe<'e>(&mut self, known: impl Iterator<Item = &'e EventFormat>) {
        let formats = &mut self.recorder.description_mut().metadata.formats;
        let mut ids: BTreeSet<_> = formats.iter().filter_map(|format| id_of(&format.text)).collect();
        for event in known.filter(|event| ids.insert(event.id)) {
            formats.push(EventText { system: event.system.clone(), text: event.to_string() });
        }
    }

    /// Notes the names of tasks: the kernel forgets those of all but the last `saved_cmdlines_size`.
    pub fn name<'n>(&mut self, names: impl Iterator<Item = (i32, &'n str)>) {
        self.names.extend(names.map(|(pid, name)| (pid, name.to_owned())));
    }

    /// Why nothing is recorded any more.
    pub fn failure(&self) -> Option<&WriteError> {
        self.failed.as_ref()
    }

    /// Bytes of sub-buffers recorded.
    pub fn recorded(&self) -> u64 {
        self.recorder.recorded()
    }

    /// Appends what the rings hold now. Returns how many sub-buffers that were.
    ///
    /// # Errors
    /// If a ring cannot be read: whose, and why.
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

    /// Ends it, with the names of tasks and the rings' counts as they are now.
    ///
    /// # Errors
    /// If the file could not be completed. What was flushed can be opened all the same.
    pub fn finish(mut self, tracefs: &Tracefs, instance: &Instance) -> Result<Finished, WriteError> {
        let stats = |cpu: &u32| {
            let text = instance.read(format!("per_cpu/cpu{cpu}/stats")).ok()?;
            Some(format!("CPU: {cpu}\n{text}"))
        };
        let description = self.recorder.description_mut();
        description.options.cpustat = instance.cpus().iter().filter_map(stats).collect();
        // Where names cannot be read, those of the beginning stay.
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

/// Adds to the text of `saved_cmdlines` those of `names` that it lacks, as the kernel writes them (`saved_cmdlines_show`).
/// Pid 0 is every CPU's idle task and needs none.
fn add_names(saved: &mut Vec<u8>, names: &BTreeMap<i32, String>) {
    let known = Comms::parse(saved);
    for (pid, name) in names.iter().filter(|(pid, name)| **pid > 0 && !name.contains('\n')) {
        if known.get(*pid).is_none() {
            saved.extend_from_slice(format!("{pid} {name}\n").as_bytes());
        }
    }
}

/// The id that a `format` file states.
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
