//! `capture`: records in a private instance, stops, and writes the frozen ring to a folder that mirrors tracefs.
//!
//! | file | what |
//! |---|---|
//! | `events/header_page`, `events/header_event` | the layout of sub-buffers and records, of the instance |
//! | `events/SYSTEM/EVENT/format` | for each enabled event, and for `ftrace/*` |
//! | `per_cpu/cpuN/trace_pipe_raw`, `per_cpu/cpuN/stats` | the sub-buffers; the counts before they were read |
//! | `per_cpu/cpuN/snapshot_raw` | in place of them, the sub-buffers of a snapshot |
//! | `trace` | the kernel's own text of the same records |
//! | `trace_clock`, `trace_options`, `current_tracer`, `buffer_size_kb`, … | the instance's settings |
//! | `saved_cmdlines`, `saved_tgids`, `printk_formats`, `kallsyms` (on request) | names for numbers |
//! | `constants` | the enum constants that the formats mention, from BTF |
//! | `clock` | the trace clock and the time of day: see [`clock_file`](super::clock_file) |
//! | `uname` | the kernel's name, release, version and machine |

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::format::{Endian, EventFormat, FormatError, HeaderPage, LongSize};
use crate::keeper::Keeper;
use crate::ring::Times;
use crate::tracefs::{
    ClockPair, CpuStats, EnableFailure, EventName, Instance, Noted, RawBuffer, RawRead, Setup, StoppedCommand,
    Timeline, TraceClock, Tracefs, TracefsError,
};

use super::clock_file::{CLOCK_FILE, ClockFile};
use super::convert::is_dat_name;
use super::kernel::{uname, write_constants};
use super::new_folder::{NewFolder, NewFolderError};
use super::parts::Jobs;
use super::recording::{Recording, RecordingError};
use super::select::Select;
use super::stat::Stat;
use super::trace_dat::Open;

/// How often the end of a recording is checked. Our own wakeups are not traced.
const TICK: Duration = Duration::from_millis(10);

/// What to capture, for how long, and where to store it.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct CaptureOptions {
    /// The destination: a folder that does not exist or is empty, or a new `trace.dat` (by its ending).
    pub folder: PathBuf,
    /// What to trace and how.
    pub setup: Setup,
    /// A command to run; only it and its children are traced. The capture ends when it ends.
    pub command: Vec<OsString>,
    /// The same, already started and waiting.
    pub stopped: Option<StoppedCommand>,
    /// The longest duration; without it and without a command, the capture runs until it is stopped.
    pub duration: Option<Duration>,
    /// Whether to store `kallsyms` (about 10 MB), which has the function names for `%pS`.
    pub kallsyms: bool,
}

/// How the command ended.
#[derive(Debug)]
#[non_exhaustive]
pub enum CommandEnd {
    /// There was no command.
    None,
    /// It exited.
    Ended(ExitStatus),
    /// It still runs: the capture ended by time, or was stopped.
    Running(Child),
}

/// The result of a capture.
#[derive(Debug)]
#[non_exhaustive]
pub struct Frozen {
    /// The folder, or the `trace.dat`.
    pub folder: PathBuf,
    /// The events that were enabled.
    pub events: Vec<EventName>,
    /// Those that could not be enabled.
    pub failures: Vec<EnableFailure>,
    /// Each CPU's counts when the ring was frozen.
    pub stats: Vec<(u32, CpuStats)>,
    /// Events in the capture.
    pub recorded: u64,
    /// Bytes of sub-buffers.
    pub bytes: u64,
    /// Less important files that could not be stored, for the user.
    pub warnings: Vec<String>,
    /// Further information for the user.
    pub notes: Vec<String>,
    /// Why the recording ended early, such as a full disk. What was recorded up to then is stored.
    pub cut: Option<String>,
    /// The command's end.
    pub command: CommandEnd,
}

/// Why a capture failed or is incomplete.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FreezeError {
    /// The control files refused.
    #[error(transparent)]
    Tracefs(#[from] TracefsError),
    /// The folder cannot be written.
    #[error(transparent)]
    Folder(#[from] NewFolderError),
    /// There is no instance with this name.
    #[error("there is no instance {name:?} in tracefs; there are: {there_are}")]
    NoInstance {
        /// The name.
        name: String,
        /// The names of the existing ones.
        there_are: String,
    },
    /// The ring of somebody else's instance cannot be mapped.
    #[error("cannot read the ring of {instance} without consuming it: {source}{}", if is_missing(.source) { "; that takes Linux 6.10 or later, and a ring that is not kept over a reboot" } else { "" })]
    NoMapping {
        /// The instance.
        instance: String,
        /// The kernel's error.
        source: io::Error,
    },
    /// The ring is kept over reboots, and the kernel does not map such rings.
    #[error(
        "{0} keeps its ring over reboots, and such a ring can only be read by consuming it: --take copies its events, which \
         are then gone from {0}"
    )]
    KeptOverReboots(String),
    /// It has no snapshot.
    #[error("{instance} has no snapshot: {why}; without --snapshot, what its ring holds now is copied")]
    NoSnapshot {
        /// The instance.
        instance: String,
        /// The reason.
        why: &'static str,
    },
    /// The snapshot cannot be taken.
    #[error("cannot take a snapshot of {instance}: {source}")]
    Snapshot {
        /// The instance.
        instance: String,
        /// The kernel's error.
        source: io::Error,
    },
    /// A `trace.dat` cannot be written.
    #[error(transparent)]
    Recording(#[from] RecordingError),
    /// A ring cannot be read.
    #[error("cannot read the ring of CPU {cpu}: {source}")]
    Ring {
        /// The CPU.
        cpu: u32,
        /// The reason.
        source: io::Error,
    },
    /// The kernel's `header_page` could not be parsed.
    #[error("events/header_page of this kernel cannot be parsed: {0}")]
    HeaderPage(#[from] FormatError),
}

impl FreezeError {
    /// Whether the command line is at fault rather than the machine: exit code 2 instead of 1.
    pub fn is_usage(&self) -> bool {
        match self {
            FreezeError::Tracefs(error) => error.is_usage(),
            FreezeError::NoInstance { .. }
            | FreezeError::Folder(NewFolderError::NotEmpty(_))
            | FreezeError::Recording(RecordingError::Exists(_)) => true,
            _ => false,
        }
    }
}

/// Records as `options` say until the command ends, the time is over, or `stop` is set; then writes the frozen ring
/// to the folder. The instance is removed in any case.
///
/// # Errors
/// The capture failed or is incomplete. A folder is then removed; a `trace.dat` is kept if anything was recorded in
/// it.
pub fn capture(
    tracefs: &Tracefs,
    keeper: Option<&Arc<Keeper>>,
    options: CaptureOptions,
    stop: &AtomicBool,
) -> Result<Frozen, FreezeError> {
    if is_dat_name(&options.folder) {
        return record_dat(tracefs, keeper, options, stop);
    }
    let CaptureOptions { folder, mut setup, command, stopped, duration, kallsyms } = options;
    let mut folder = NewFolder::create(&folder)?;
    // Before our own threads are excluded: see StoppedCommand.
    let command = waiting(stopped, &command)?;
    let instance = Instance::create(tracefs, keeper)?;
    setup.processes.extend(command.as_ref().map(StoppedCommand::pid));
    let enabled = setup.apply(&instance)?;
    instance.start()?;
    let (mut timeline, unread) = timeline(&instance, &setup.clock);
    let command = record(command, duration, stop, &mut || Ok(true))?;
    instance.stop()?;
    let noted = noted(&mut timeline);
    drop(timeline);
    let frozen = freeze(tracefs, &instance, &enabled.events, kallsyms, noted, &mut folder)?;
    let Contents { stats, bytes, mut warnings } = frozen;
    warnings.extend(unread);
    instance.close()?;
    let folder = folder.keep();
    let (events, failures, cut) = (enabled.events, enabled.failures, None);
    let recorded = written(&stats);
    Ok(Frozen { folder, events, failures, stats, recorded, bytes, warnings, notes: vec![], cut, command })
}

/// The events that the kernel wrote and did not overwrite. A `trace.dat` was read before these were counted.
fn written(stats: &[(u32, CpuStats)]) -> u64 {
    stats.iter().map(|(_, stats)| stats.entries.saturating_add(stats.read)).sum()
}

/// Counts the events in the file of a recording that was cut short.
fn recorded_in(path: &Path) -> u64 {
    let capture = super::open(path, Open { salvage: true }).ok();
    let stat = capture.and_then(|capture| Stat::of(capture, &Select::default(), 1, Jobs::Number(1), &mut |_| {}).ok());
    stat.map_or(0, |stat| stat.events)
}

/// The same for a `trace.dat`, to which sub-buffers are appended as they are read.
fn record_dat(
    tracefs: &Tracefs,
    keeper: Option<&Arc<Keeper>>,
    options: CaptureOptions,
    stop: &AtomicBool,
) -> Result<Frozen, FreezeError> {
    /// Rounds without data after which the rings are considered empty.
    const QUIET: u32 = 3;

    let CaptureOptions { folder: path, mut setup, command, stopped, duration, .. } = options;
    let command = waiting(stopped, &command)?;
    let instance = Instance::create(tracefs, keeper)?;
    setup.processes.extend(command.as_ref().map(StoppedCommand::pid));
    let enabled = setup.apply(&instance)?;
    let (mut timeline, unread) = timeline(&instance, &setup.clock);
    let mut recording = Recording::begin(tracefs, &instance, &path, noted(&mut timeline))?;
    let rings = instance.open_raw()?;
    let unreadable = |(cpu, source)| FreezeError::Ring { cpu, source };
    instance.start()?;
    let command = record(command, duration, stop, &mut || {
        recording.drain(&rings).map_err(unreadable)?;
        Ok(recording.failure().is_none())
    })?;
    instance.stop()?;
    let stats = at_rest(&instance)?;
    let mut quiet = 0;
    while quiet < QUIET && recording.failure().is_none() {
        quiet = if recording.drain(&rings).map_err(unreadable)? == 0 { quiet + 1 } else { 0 };
    }
    drop(rings);
    let mut cut = recording.failure().map(|error| error.to_string());
    let bytes = recording.recorded();
    recording.note(noted(&mut timeline));
    drop(timeline);
    let finished = recording.finish(tracefs, &instance).map_err(RecordingError::Write)?;
    instance.close()?;
    cut = cut.or(finished.unwritten.map(|error| error.to_string()));
    let long = finished.not_compact.map(|error| {
        format!("{} is valid, but could not be compacted ({error}): ftrace-live convert does that", path.display())
    });
    let (events, failures, warnings) = (enabled.events, enabled.failures, unread.into_iter().chain(long).collect());
    let recorded = if cut.is_some() { recorded_in(&path) } else { written(&stats) };
    Ok(Frozen { folder: path, events, failures, stats, recorded, bytes, warnings, notes: vec![], cut, command })
}

/// Relates a clock that no process can read to the time of day; or the reason why that is not possible.
fn timeline(instance: &Instance, clock: &TraceClock) -> (Option<Timeline>, Option<String>) {
    match Timeline::is_needed_for(clock).then(|| Timeline::start(instance, clock)) {
        None => (None, None),
        Some(Ok(timeline)) => (Some(timeline), None),
        Some(Err(error)) => (None, Some(error.to_string())),
    }
}

fn noted(timeline: &mut Option<Timeline>) -> Option<Noted> {
    let timeline = timeline.as_mut()?;
    let _ = timeline.refresh();
    Some(timeline.noted())
}

/// Starts the command, which waits before its execve.
fn waiting(stopped: Option<StoppedCommand>, command: &[OsString]) -> Result<Option<StoppedCommand>, TracefsError> {
    match stopped {
        None if !command.is_empty() => StoppedCommand::spawn(command).map(Some),
        stopped => Ok(stopped),
    }
}

/// Releases the command and waits for the end. `tick` is called meanwhile, and returns whether to continue.
fn record(
    command: Option<StoppedCommand>,
    duration: Option<Duration>,
    stop: &AtomicBool,
    tick: &mut dyn FnMut() -> Result<bool, FreezeError>,
) -> Result<CommandEnd, FreezeError> {
    // A duration that overflows the clock means no limit.
    let deadline = duration.and_then(|duration| Instant::now().checked_add(duration));
    let mut child = command.map(StoppedCommand::release).transpose()?;
    loop {
        // A child that cannot be waited for is treated as ended.
        if let Some(status) = child.as_mut().and_then(|child| child.try_wait().ok().flatten()) {
            return Ok(CommandEnd::Ended(status));
        }
        let go_on = tick()?;
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        if stop.load(Ordering::Relaxed) || left == Some(Duration::ZERO) || !go_on {
            return Ok(child.map_or(CommandEnd::None, CommandEnd::Running));
        }
        sleep(left.map_or(TICK, |left| left.min(TICK)));
    }
}

struct Contents {
    stats: Vec<(u32, CpuStats)>,
    bytes: u64,
    warnings: Vec<String>,
}

/// Writes the frozen ring of an instance that does not record, and all files needed to read it elsewhere.
fn freeze(
    tracefs: &Tracefs,
    instance: &Instance,
    events: &[EventName],
    kallsyms: bool,
    noted: Option<Noted>,
    folder: &mut NewFolder,
) -> Result<Contents, FreezeError> {
    let mut warnings = Vec::new();
    let clock = TraceClock::in_use(&instance.read("trace_clock")?);
    let clock = clock.unwrap_or(TraceClock::Other("unknown".to_string()));
    let (scale, pair) = noted.unwrap_or_else(|| (None, ClockPair::take(&clock)));
    let times = Times::new(Vec::new(), false, scale);
    let stats = at_rest(instance)?;

    // The text first: reading it does not consume the ring, but reading the raw sub-buffers does.
    copy(instance.open("trace")?, folder, "trace")?;
    // Right after the text, which printed the names of tasks from there.
    for file in ["saved_cmdlines", "saved_tgids"] {
        optional(tracefs.read_bytes(file), file, folder, &mut warnings)?;
    }
    let header_text = instance.header_page()?;
    let header = HeaderPage::parse(&header_text)?;
    folder.write("events/header_page", header_text.as_bytes())?;
    let bytes = drain(instance, header.sub_buffer_size(), folder)?;

    let settings =
        ["trace_clock", "trace_options", "current_tracer", "buffer_size_kb", "buffer_subbuf_size_kb", "timestamp_mode"];
    for file in settings {
        optional(instance.read_bytes(file), file, folder, &mut warnings)?;
    }
    optional(tracefs.read_bytes("events/header_event"), "events/header_event", folder, &mut warnings)?;
    optional(tracefs.read_bytes("printk_formats"), "printk_formats", folder, &mut warnings)?;
    if kallsyms {
        let text = tracefs.read_proc("kallsyms");
        let text = text.map_err(|source| TracefsError::Io { action: "read", path: "/proc/kallsyms".into(), source })?;
        folder.write("kallsyms", &text)?;
    }

    let mut formats = Vec::new();
    for event in tracefs.tracer_records()?.iter().chain(events) {
        let text = match tracefs.format(event) {
            Ok(text) => text,
            Err(error) => {
                // A dynamic event may have been removed meanwhile.
                warnings.push(error.to_string());
                continue;
            }
        };
        folder.write(event.folder().join("format"), text.as_bytes())?;
        formats.extend(EventFormat::parse(&event.system, &text, header.long_size()));
    }
    write_constants(tracefs, &formats, folder, &mut warnings)?;
    folder.write(CLOCK_FILE, clock_file(clock, pair, times, header.long_size()).to_string().as_bytes())?;
    folder.write("uname", uname().as_bytes())?;
    Ok(Contents { stats, bytes, warnings })
}

/// The counts of each CPU, once they are stable: a writer that was within an event when recording stopped finishes
/// it.
fn at_rest(instance: &Instance) -> Result<Vec<(u32, CpuStats)>, TracefsError> {
    let counts = || instance.cpus().iter().map(|cpu| Ok((*cpu, instance.stats(*cpu)?))).collect::<Result<Vec<_>, _>>();
    let mut before = counts()?;
    for _ in 0..100 {
        sleep(Duration::from_millis(1));
        let now = counts()?;
        if now == before {
            break;
        }
        before = now;
    }
    Ok(before)
}

/// Reads every ring to its end, after storing its counts.
fn drain(instance: &Instance, sub_buffer: usize, folder: &mut NewFolder) -> Result<u64, FreezeError> {
    let mut bytes = 0u64;
    for raw in instance.open_raw()? {
        let dir = PathBuf::from(format!("per_cpu/cpu{}", raw.cpu()));
        folder.write(dir.join("stats"), &instance.read_bytes(dir.join("stats"))?)?;
        let (path, out) = folder.file(dir.join("trace_pipe_raw"))?;
        bytes += drain_ring(&raw, sub_buffer, (&path, out), &mut |_| {})?;
    }
    Ok(bytes)
}

/// Reads a ring to its end into the file `path`; `seen` is called with each sub-buffer. Returns the number of bytes.
pub(super) fn drain_ring(
    raw: &RawBuffer,
    sub_buffer: usize,
    (path, out): (&Path, File),
    seen: &mut dyn FnMut(&[u8]),
) -> Result<u64, FreezeError> {
    /// Reads in a row that may return nothing without EAGAIN. There are no writers, so none should.
    const NOTHINGS: u32 = 100;

    let failed = |source| NewFolderError::Write { path: path.to_path_buf(), source };
    let mut out = io::BufWriter::with_capacity(1 << 18, out);
    let (mut page, mut bytes, mut nothings) = (vec![0; sub_buffer], 0, 0);
    loop {
        match raw.read(&mut page).map_err(|source| FreezeError::Ring { cpu: raw.cpu(), source })? {
            RawRead::SubBuffer(length) => {
                let page = page.get(..length).unwrap_or(&page);
                seen(page);
                out.write_all(page).map_err(failed)?;
                bytes += length as u64;
                nothings = 0;
            }
            RawRead::Nothing if nothings < NOTHINGS => nothings += 1,
            RawRead::Nothing | RawRead::Empty | RawRead::Gone => break,
        }
    }
    out.flush().map_err(failed)?;
    Ok(bytes)
}

/// Copies a file of any length. Not `std::io::copy`: its copy_file_range(2) does not work for files that the kernel
/// generates when they are read.
fn copy(mut input: File, folder: &mut NewFolder, to: &str) -> Result<(), FreezeError> {
    let unreadable = |source| TracefsError::Io { action: "read", path: to.into(), source };
    let (path, mut out) = folder.file(to)?;
    let mut buffer = vec![0; 1 << 20];
    loop {
        let length = match input.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(length) => length,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            Err(e) => return Err(unreadable(e).into()),
        };
        let chunk = buffer.get(..length).unwrap_or_default();
        out.write_all(chunk).map_err(|source| NewFolderError::Write { path: path.clone(), source })?;
    }
}

/// Stores a file that older kernels lack, or that only provides names.
fn optional(
    read: Result<Vec<u8>, TracefsError>,
    file: &str,
    folder: &mut NewFolder,
    warnings: &mut Vec<String>,
) -> Result<(), FreezeError> {
    match read {
        Ok(bytes) => Ok(folder.write(file, &bytes)?),
        Err(TracefsError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => {
            warnings.push(error.to_string());
            Ok(())
        }
    }
}

fn clock_file(clock: TraceClock, pair: Option<ClockPair>, times: Times, long_size: LongSize) -> ClockFile {
    ClockFile { clock, pair, times, endian: Endian::NATIVE, long_size }
}

/// Whether mmap(2) of a ring failed because this kernel does not support it.
fn is_missing(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ENODEV | libc::EINVAL | libc::EOPNOTSUPP))
}

#[cfg(test)]
mod tests;
