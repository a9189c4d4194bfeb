//! `--record`: the sub-buffers that a live stream reads, kept in a `trace.dat` beside it. Their records stay as they were.
//!
//! Every feed hands over what it reads before anything is decoded, so a recording costs a copy into the page cache and no
//! decoding. A lock is taken once for each sub-buffer, not for each event. The stream does not depend on the recording:
//! when that fails, the reason is said once and the stream goes on.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::capture::recording::{Recording, RecordingError};
use crate::format::EventFormat;
use crate::tracefs::{Instance, Noted, Tracefs};

/// What was read so long ago, at the latest, survives a SIGKILL. It costs a write of one sub-buffer for each CPU.
const FLUSH_EVERY: Duration = Duration::from_millis(100);

/// What became of the recording beside a live stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recorded {
    /// The file.
    pub path: PathBuf,
    /// Events in it, those included that only tell of task names; where it was cut, no more than these.
    pub events: u64,
    /// Bytes of sub-buffers.
    pub bytes: u64,
    /// Why it ended before the stream did, in words. What was recorded up to then is there.
    pub cut: Option<String>,
    /// Why the file is longer than it need be, in words.
    pub not_compact: Option<String>,
}

/// The way into a recording, for every feed its own.
#[derive(Clone)]
pub(super) struct Tap(Arc<Mutex<Option<Recording>>>);

impl Tap {
    /// Keeps a sub-buffer as it was read.
    pub(super) fn append(&self, cpu: u32, sub_buffer: &[u8]) {
        if let Some(recording) = &mut *self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            recording.append(cpu, sub_buffer);
        }
    }
}

/// The recording, owned by the session that began it.
pub(super) struct Record {
    path: PathBuf,
    tap: Tap,
    flushed: Instant,
    failure_said: bool,
}

impl Record {
    /// Begins to record what `instance` will bring into the new file `path`.
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

    /// Notes what is known by now of a clock that no process can read.
    pub(super) fn note(&self, noted: Option<Noted>) {
        if let Some(recording) = &mut *self.tap.0.lock().unwrap_or_else(PoisonError::into_inner) {
            recording.note(noted);
        }
    }

    pub(super) fn tap(&self) -> Tap {
        self.tap.clone()
    }

    /// Makes what was read survive this process, now and then.
    pub(super) fn flush_if_due(&mut self) {
        if self.flushed.elapsed() >= FLUSH_EVERY {
            if let Some(recording) = &mut *self.tap.0.lock().unwrap_or_else(PoisonError::into_inner) {
                recording.flush();
            }
            self.flushed = Instant::now();
        }
    }

    /// Says that it has failed, and why, the first time that is so.
    pub(super) fn say_failure(&mut self, say: &mut dyn FnMut(String)) {
        if self.failure_said {
            return;
        }
        let recording = self.tap.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(error) = recording.as_ref().and_then(Recording::failure) {
            self.failure_said = true;
            say(format!("warning: the recording ended: {error}; {} opens up to there", self.path.display()));
        }
    }

    /// Gives it up before anything is in it: no file stays.
    pub(super) fn abandon(self) {
        self.tap.0.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    /// Ends it, when nothing is read any more. `known` are the events that the stream met, `names` those of the tasks,
    /// `events` the number of records.
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
