//! An instance that root lends to a user ([`Lent`](crate::tracefs::Lent)): it is not created or removed here, but
//! used, and reset afterwards.
//!
//! The user may only access [`FILES`] and those of events, so whatever is used here must be listed there too.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};

/// The prefix of lent instances' names, followed by the user's id. No instance created by a run has such a name.
pub(crate) const LENT: &str = "ftrace-live-user-";

/// The instance's own files that a user needs. Not `trace_options`, `set_ftrace_filter`, `current_tracer` and an
/// event's `trigger`: these affect the machine's console, its other rings and the speed of the whole machine.
pub(crate) const FILES: [&str; 15] = [
    "available_tracers",
    "buffer_percent",
    "buffer_size_kb",
    "buffer_subbuf_size_kb",
    "error_log",
    "options/event-fork",
    "set_event",
    "set_event_notrace_pid",
    "set_event_pid",
    "timestamp_mode",
    "trace",
    "trace_clock",
    "trace_marker",
    "tracing_cpumask",
    "tracing_on",
];

/// How long to wait for an instance that is in use: the keeper of a run that was killed may still be cleaning up.
const PATIENCE: Duration = Duration::from_secs(3);
/// The size of a new instance's ring, KiB (`TRACE_BUF_SIZE_DEFAULT`), and the smallest possible.
const USUAL_KIB: &str = "1408";
const LEAST_KIB: &str = "1";

/// Whether the tracefs at `root` is an instance itself rather than the top, which alone has `instances/`.
pub(crate) fn is_instance(root: &Path) -> bool {
    root.join("per_cpu").is_dir() && !root.join("instances").exists()
}

/// The name of the instance lent at `root`; the folder belongs to its user.
pub(crate) fn name_of(root: &Path) -> io::Result<String> {
    Ok(format!("{LENT}{}", fs::metadata(root)?.uid()))
}

/// Takes the instance for a run, until the returned lock is dropped.
///
/// # Errors
/// EBUSY if another run uses it.
pub(super) fn take(root: &Path) -> io::Result<File> {
    let lock = lock(root, PATIENCE)?;
    leave_quiet(root)?;
    write(root, "buffer_size_kb", USUAL_KIB)?;
    Ok(lock)
}

/// The lock that marks the instance as in use.
pub(crate) fn lock(root: &Path, patience: Duration) -> io::Result<File> {
    let folder = File::open(root)?;
    let deadline = Instant::now() + patience;
    while flock(&folder, FlockOperation::NonBlockingLockExclusive).is_err() {
        if Instant::now() >= deadline {
            return Err(io::Error::from_raw_os_error(libc::EBUSY));
        }
        sleep(Duration::from_millis(10));
    }
    Ok(folder)
}

/// Switches off everything that a run may have switched on, and empties the ring.
///
/// # Errors
/// It still traces.
pub(crate) fn leave_quiet(root: &Path) -> io::Result<()> {
    write(root, "tracing_on", "0")?;
    write(root, "events/enable", "0")?;
    // Leftovers here are harmless; a kernel may lack a file.
    for file in ["set_event_pid", "set_event_notrace_pid", "error_log"] {
        let _ = empty(root, file);
    }
    for (file, text) in [("options/event-fork", "0"), ("trace_clock", "local"), ("buffer_percent", "50")] {
        let _ = write(root, file, text);
    }
    remove_filters(root);
    let page_kib = (rustix::param::page_size() / 1024).to_string();
    for (file, text) in [("buffer_subbuf_size_kb", page_kib.as_str()), ("buffer_size_kb", LEAST_KIB)] {
        let _ = write(root, file, text);
    }
    let _ = write(root, "tracing_cpumask", &all_cpus(root));
    empty(root, "trace")
}

fn write(root: &Path, file: &str, text: &str) -> io::Result<()> {
    // Without truncation, which is a command of its own for some files.
    OpenOptions::new().write(true).open(root.join(file))?.write_all(text.as_bytes())
}

/// Opening with O_TRUNC empties a list or a ring (`tracing_open`, `event_pid_open`).
fn empty(root: &Path, file: &str) -> io::Result<()> {
    OpenOptions::new().write(true).truncate(true).open(root.join(file)).map(drop)
}

fn remove_filters(root: &Path) {
    let folders = |folder: &Path| {
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())).map(|entry| entry.path())
    };
    for event in folders(&root.join("events")).flat_map(|system| folders(&system)) {
        let filter = event.join("filter");
        if fs::read(&filter).is_ok_and(|text| text != b"none\n") {
            let _ = OpenOptions::new().write(true).open(&filter).and_then(|mut filter| filter.write_all(b"0"));
        }
    }
}

/// All CPUs with a ring, as a mask.
fn all_cpus(root: &Path) -> String {
    let names = fs::read_dir(root.join("per_cpu")).into_iter().flatten().flatten();
    let cpus = names.filter_map(|entry| entry.file_name().to_str()?.strip_prefix("cpu")?.parse::<u32>().ok());
    let last = cpus.max().unwrap_or(0);
    format!("0-{last}").parse::<crate::ring::CpuList>().map(|cpus| cpus.mask()).unwrap_or_default()
}
