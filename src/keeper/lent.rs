//! An instance that root lends to a user ([`Lent`](crate::tracefs::Lent)): not made and not removed here, but taken, and
//! left as quiet as it was found.
//!
//! Its user has the files of [`FILES`] and its like alone. So what is used here must stand there too.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};

/// Names of lent instances are this and the number of the user. No name of an instance that a run makes is like it.
pub(crate) const LENT: &str = "ftrace-live-user-";

/// What a user needs of an instance's own files. Not `trace_options`, `set_ftrace_filter`, `current_tracer` and an event's
/// `trigger`: through these one reaches the machine's console, its other rings and the speed of all of it.
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

/// How long an instance that is in use is waited for: the keeper of a run that was killed may still be at work on it.
const PATIENCE: Duration = Duration::from_secs(3);
/// The ring of a new instance, KiB (`TRACE_BUF_SIZE_DEFAULT`), and the smallest there is.
const USUAL_KIB: &str = "1408";
const LEAST_KIB: &str = "1";

/// Whether tracefs at `root` is an instance itself, rather than the top. Only the top has `instances/`.
pub(crate) fn is_instance(root: &Path) -> bool {
    root.join("per_cpu").is_dir() && !root.join("instances").exists()
}

/// The name of the instance lent at `root`, whose folder is its user's.
pub(crate) fn name_of(root: &Path) -> io::Result<String> {
    Ok(format!("{LENT}{}", fs::metadata(root)?.uid()))
}

/// Takes the instance for a run: the lock is held as long as it lasts.
///
/// # Errors
/// EBUSY where another run has it.
pub(super) fn take(root: &Path) -> io::Result<File> {
    let lock = lock(root, PATIENCE)?;
    leave_quiet(root)?;
    write(root, "buffer_size_kb", USUAL_KIB)?;
    Ok(lock)
}

/// The lock that says that the instance is in use.
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

/// Switches everything off that a run may have switched on, and empties the ring.
///
/// # Errors
/// It still traces.
pub(crate) fn leave_quiet(root: &Path) -> io::Result<()> {
    write(root, "tracing_on", "0")?;
    write(root, "events/enable", "0")?;
    // What follows is not dangerous where it stays; a kernel may lack a file.
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
    // No truncation, which is a command of its own to some.
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

/// All CPUs that have a ring, as a mask.
fn all_cpus(root: &Path) -> String {
    let names = fs::read_dir(root.join("per_cpu")).into_iter().flatten().flatten();
    let cpus = names.filter_map(|entry| entry.file_name().to_str()?.strip_prefix("cpu")?.parse::<u32>().ok());
    let last = cpus.max().unwrap_or(0);
    format!("0-{last}").parse::<crate::ring::CpuList>().map(|cpus| cpus.mask()).unwrap_or_default()
}
