//! Errors of the control files, each with a sentence that says what to do.

use std::io;
use std::path::{Path, PathBuf};

use super::EventName;
use super::among::{Among, quoted};
use crate::ring::CpuListError;

/// Why the control files could not be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TracefsError {
    /// `/proc/filesystems` does not list tracefs.
    #[error(
        "this kernel has no tracefs (/proc/filesystems does not list it): it needs a kernel built with CONFIG_FTRACE and CONFIG_TRACING"
    )]
    NoTracefs,
    /// It is not mounted, and we may not mount it.
    #[error("tracefs is not mounted, and only root can mount it: run this again with sudo")]
    NotMounted,
    /// mount(2) failed for root.
    #[error("cannot mount tracefs on {}: {source}; try by hand: mount -t tracefs nodev {}", .at.display(), .at.display())]
    Mount {
        /// The mount point.
        at: PathBuf,
        /// The error of mount(2).
        source: io::Error,
    },
    /// All of it is closed to us, and no instance is lent to us.
    #[error(
        "only root may read {}: run this again with sudo, or have an instance lent to you once: sudo ftrace-live setup --user NAME", .0.display()
    )]
    Closed(PathBuf),
    /// The instance lent to us is in use.
    #[error("{} is in use by another run: there is one lent instance per user, so end that run first", .0.display())]
    LentInUse(PathBuf),
    /// Only root has the permission.
    #[error("only root may {action} {}: run this again with sudo", .path.display())]
    NotRoot {
        /// The operation, as a verb: `read`, `write`, `create`.
        action: &'static str,
        /// The file.
        path: PathBuf,
    },
    /// We are root and the kernel still refuses.
    #[error("even root may not {action} {} ({source}): the kernel is locked down, or this container may not trace", .path.display())]
    Denied {
        /// The operation, as a verb.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The kernel's error.
        source: io::Error,
    },
    /// The given folder is not a tracefs.
    #[error("{} is neither a tracefs nor a capture folder: it has no readable events/ in it", .0.display())]
    NotTracefs(PathBuf),
    /// Live tracing was requested on a capture folder.
    #[error("{} is a capture folder: it can be listed and replayed, but not traced live", .0.display())]
    ReadOnly(PathBuf),
    /// A selection matches no event. Nothing has been changed yet.
    #[error("no event is selected: {}; `ftrace-live list{}` shows what there is", .reasons.join("; "), if *.among == Among::Capture { " CAPTURE" } else { "" })]
    NothingSelected {
        /// The reasons, by expression.
        reasons: Vec<String>,
        /// Whose events it was applied to.
        among: Among,
    },
    /// An expression of a selection is not a pattern.
    #[error(
        "{} is not an event expression ({reason}): write a group, an event, GROUP:EVENT, or one of these with * and ?",
        quoted(.expression)
    )]
    BadExpression {
        /// The expression as given.
        expression: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A list of CPUs is malformed, or contains a CPU that this machine does not have.
    #[error(transparent)]
    BadCpus(CpuListError),
    /// A filter does not have the form `GROUP:EVENT=CONDITION`.
    #[error("{0:?} is not a filter: write GROUP:EVENT=CONDITION, for example 'irq:irq_handler_entry=irq>3'")]
    BadFilter(String),
    /// A filter is for an event that is not selected.
    #[error("the filter {0:?} is for no selected event: use one of the events given with -e")]
    FilterUnmatched(String),
    /// The kernel refused a filter; its message, with its caret, is in `kernel`.
    #[error(
        "the kernel refuses the filter for {event}:\n{kernel}\ncorrect the condition (`ftrace-live describe {event}` lists the fields)"
    )]
    FilterRefused {
        /// The event.
        event: EventName,
        /// The kernel's text: the condition, a caret under the error, the reason.
        kernel: String,
    },
    /// A trace clock that does not count time.
    #[error("the trace clock {clock} gives no times ({reason}): use --clock mono, boot, tai or local")]
    NoTime {
        /// The clock.
        clock: String,
        /// The reason.
        reason: &'static str,
    },
    /// A process cannot be traced because its pid in the first pid namespace is not known.
    #[error(
        "{0} cannot be traced from here: the kernel takes pids of the first pid namespace, and /proc shows those of this container alone; start this outside, or share the host's pids (docker run --pid=host), or trace all processes"
    )]
    PidNamespace(String),
    /// The kernel refused all selected events.
    #[error("none of the selected events can be enabled: {}", .0.join("; "))]
    NothingEnabled(Vec<String>),
    /// There is not enough memory for the ring.
    #[error("the kernel has no memory for {kib} KiB of buffer on each of {cpus} CPUs: use a smaller -b")]
    BufferTooLarge {
        /// The requested size per CPU, KiB.
        kib: u64,
        /// The number of CPUs.
        cpus: usize,
    },
    /// A ring too small for a single event.
    #[error(
        "-b {0} is not possible: a CPU's buffer has 1 KiB or more, as far as there is memory (the default is 8192); the kernel rounds it up to whole sub-buffers, of which it needs two"
    )]
    BufferSize(u64),
    /// A sub-buffer size that the kernel does not support.
    #[error("--sub-buffer {kib} is not possible: the kernel supports sub-buffers of {} KiB", .sizes.iter().map(u32::to_string).collect::<Vec<_>>().join(", "))]
    SubBufferSize {
        /// The requested size, KiB.
        kib: u32,
        /// The supported sizes, KiB.
        sizes: Vec<u32>,
    },
    /// A kernel on which sub-buffers always have one page.
    #[error("this kernel has sub-buffers of one page only: leave out --sub-buffer, which needs Linux 6.8 or later")]
    NoSubBufferSizes,
    /// A clock that this kernel does not have.
    #[error("this kernel has no trace clock {clock:?}: it has {available}")]
    NoClock {
        /// The requested clock.
        clock: String,
        /// The names of the available clocks.
        available: String,
    },
    /// The kernel refused a tracer or its function filter.
    #[error("the kernel refuses the tracer {tracer:?}: {reason}; available here: {available}")]
    TracerRefused {
        /// The tracer.
        tracer: String,
        /// The kernel's text.
        reason: String,
        /// The contents of `available_tracers`.
        available: String,
    },
    /// A process to be traced does not exist.
    #[error("there is no process {0}: `ps` lists the existing ones")]
    NoSuchProcess(u32),
    /// The command to be traced does not exist.
    #[error("there is no command {0:?}: check its spelling, or give its path")]
    NoSuchCommand(String),
    /// The command to be traced could not be started.
    #[error("cannot run {command:?}: {source}{}", command_remedy(source))]
    Command {
        /// The command.
        command: String,
        /// The system's error.
        source: io::Error,
    },
    /// The keeper process could not be started.
    #[error("cannot start the keeper process, which owns the trace instance and removes it however we end: {0}")]
    Keeper(String),
    /// The keeper process has exited, so nothing can be set any more.
    #[error(
        "the keeper process has ended, so nothing can be set or removed any more: start again, which removes leftovers"
    )]
    KeeperGone,
    /// Another error of a control file.
    #[error("cannot {action} {}: {source}", .path.display())]
    Io {
        /// The operation, as a verb.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
}

impl TracefsError {
    /// The error for `source`, which occurred when `action` was tried on `path`.
    pub(crate) fn io(action: &'static str, path: &Path, source: io::Error) -> TracefsError {
        let path = path.to_path_buf();
        if source.kind() == io::ErrorKind::BrokenPipe {
            return TracefsError::KeeperGone;
        }
        match source.raw_os_error() {
            Some(libc::EACCES | libc::EPERM) if rustix::process::geteuid().is_root() => {
                TracefsError::Denied { action, path, source }
            }
            Some(libc::EACCES | libc::EPERM) => TracefsError::NotRoot { action, path },
            _ => TracefsError::Io { action, path, source },
        }
    }

    /// Whether the command line is at fault rather than the machine: exit code 2 instead of 1.
    pub fn is_usage(&self) -> bool {
        matches!(
            self,
            TracefsError::NothingSelected { .. }
                | TracefsError::BadExpression { .. }
                | TracefsError::BadCpus(_)
                | TracefsError::BadFilter(_)
                | TracefsError::FilterUnmatched(_)
                | TracefsError::FilterRefused { .. }
                | TracefsError::NoClock { .. }
                | TracefsError::NoTime { .. }
                | TracefsError::BufferSize(_)
                | TracefsError::SubBufferSize { .. }
                | TracefsError::NoSubBufferSizes
                | TracefsError::NoSuchProcess(_)
        )
    }
}

/// What to do about a command that cannot be started.
fn command_remedy(source: &io::Error) -> &'static str {
    match source.kind() {
        io::ErrorKind::PermissionDenied => ": it must be a program that the user it runs as may execute (chmod +x)",
        _ => "",
    }
}
