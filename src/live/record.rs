//! `--record`: keeps the sub-buffers that a live stream reads in a `trace.dat`, unchanged.
//!
//! Every feed hands over what it reads before anything is decoded, so a recording costs a copy into the page cache
//! and no decoding. A lock is taken once per sub-buffer, not per event. The stream does not depend on the recording:
//! if that fails, the reason is reported once and the stream goes on.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::capture::recording::{Recording, RecordingError};
use crate::format::EventFormat;
use crate::tracefs::{Instance, Noted, Tracefs};

/// Sub-buffers read longer ago than this survive a SIGKILL. It costs a write of one sub-buffer per CPU.
const FLUSH_EVERY: Duration = Duration::from_millis(100);

/// The result of a recording beside a live stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recorded {
    /// The file.
    pub path: PathBuf,
    /// Events in it, including those that only carry task names; an upper limit if it was cut.
    pub events: u64,
    /// Bytes of sub-buffers.
    pub bytes: u64,
    /// Why it ended before the stream, as text. What was recorded before is in the file.
    pub cut: Option<String>,
    /// Why the file is larger than necessary, as text.
    pub not_compact: Option<String>,
}

/// Access to a recording; every feed has its own.
#[derive(Clone)]
pub(super) struct Tap(Arc<Mutex<Option<Recording>>>);

impl Tap {
    /// Stores a sub-buffer as it was read.
    pub(super) fn append(&self, cpu: u32, sub_buffer: &[u8]) {
        if let Some(recording) = &mut *self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            recording.append(cpu, sub_buffer);
        }
    }
}

/// The recording, owned by the session that started it.
pub(super) struct Record {
    path: PathBuf,
    tap: Tap,
    flushed: Instant,
    failure_said: bool,
}

impl Record {
    /// Starts recording the sub-buffers of `instance` into the new file `path`.
    pub(super) fn begin(
        tracefs: &Tracefs,
        instance: &Instance,
        path: &Path,
        noted: Option<Noted>,
    ) -> Result<Record, RecordingError> {
        let recording = Recording::begin(tracefs, instance, path, noted)?;
        let tap = Tap(Arc::new(Mutex::new(Some(recording))));
        Ok(Record { path: path.to_owned(), tap, flushed: Instant::now(), failure_said: false })
    }

    /// Stores the current conversion of a clock that no process can read.
    pub(super) fn note(&self, noted: Option<Noted>) {
        if let Some(recording) = &mut *self.tap.0.lock().unwrap_or_else(PoisonError::into_inner) {
            recording.note(noted);
        }
    }

    pub(super) fn tap(&self) -> Tap {
        self.tap.clone()
    }

    /// Writes buffered data to the file from time to time, so that it survives this process.
    pub(super) fn flush_if_due(&mut self) {
        if self.flushed.elapsed() >= FLUSH_EVERY {
            if let Some(recording) = &mut *self.tap.0.lock().unwrap_or_else(PoisonError::into_inner) {
                recording.flush();
            }
            self.flushed = Instant::now();
        }
    }

    /// Reports a failure, once.
    pub(super) fn say_failure(&mut self, say: &mut dyn FnMut(String)) {
        if self.failure_said {
            return;
        }
        let recording = self.tap.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(error) = recording.as_ref().and_then(Recording::failure) {
            self.failure_said = true;
            say(format!("warning: the recording ended: {error}; {} is readable up to that point", self.path.display()));
        }
    }

    /// Gives up a recording that is still empty, and removes the file.
    pub(super) fn abandon(self) {
        self.tap.0.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    /// Finishes it, after the last read. `known` are the events in the stream, `names` those of the tasks, `events`
    /// the number of records.
    pub(super) fn finish<'e>(
        mut self,
        tracefs: &Tracefs,
        instance: &Instance,
        known: impl Iterator<Item = &'e EventFormat>,
        names: impl Iterator<Item = (i32, &'e str)>,
        events: u64,
        say: &mut dyn FnMut(String),
    ) -> Option<Recorded> {
        self.say_failure(say);
        let mut recording = self.tap.0.lock().unwrap_or_else(PoisonError::into_inner).take()?;
        recording.describe(known);
        recording.name(names);
        recording.flush();
        let bytes = recording.recorded();
        let mut cut = recording.failure().map(ToString::to_string);
        let mut not_compact = None;
        match recording.finish(tracefs, instance) {
            Ok(finished) => {
                cut = cut.or(finished.unwritten.map(|error| error.to_string()));
                not_compact = finished.not_compact.map(|error| error.to_string());
            }
            Err(error) => cut = cut.or(Some(error.to_string())),
        }
        Some(Recorded { path: self.path, events, bytes, cut, not_compact })
    }
}
