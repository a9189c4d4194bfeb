//! What can go wrong with the control files, each kind with the one sentence that says what to do about it.

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
    /// Not mounted, and we may not mount it.
    #[error("tracefs is not mounted, and only root can mount it: run this again with sudo")]
    NotMounted,
    /// mount(2) refused root.
    #[error("cannot mount tracefs on {}: {source}; try by hand: mount -t tracefs nodev {}", .at.display(), .at.display())]
    Mount {
        /// Where it should have been mounted.
        at: PathBuf,
        /// What mount(2) said.
        source: io::Error,
    },
    /// The same, of all of it: nothing is lent to us either.
    #[error(
        "only root may read {}: run this again with sudo, or have an instance lent to you once: sudo ftrace-live setup --user NAME", .0.display()
    )]
    Closed(PathBuf),
    /// The instance that root lends to us is taken.
    #[error("{} is in use by another run: root lends one instance to a user, so end that run first", .0.display())]
    LentInUse(PathBuf),
    /// The usual refusal: we are not root.
    #[error("only root may {action} {}: run this again with sudo", .path.display())]
    NotRoot {
        /// What was to be done, as a verb: `read`, `write`, `create`.
        action: &'static str,
        /// To which file.
        path: PathBuf,
    },
    /// We are root and are still refused.
    #[error("even root may not {action} {} ({source}): the kernel is locked down, or this container may not trace", .path.display())]
    Denied {
        /// What was to be done, as a verb.
        action: &'static str,
        /// To which file.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// The folder given as tracefs is none.
    #[error("{} is neither a tracefs nor a capture folder: it has no readable events/ in it", .0.display())]
    NotTracefs(PathBuf),
    /// Live tracing was asked of a capture folder.
    #[error("{} is a capture folder: it can be listed and replayed, but not traced live", .0.display())]
    ReadOnly(PathBuf),
    /// No event is left of a selection. Nothing has been touched yet.
    #[error("no event is selected: {}; `ftrace-live list{}` shows what there is", .reasons.join("; "), if *.among == Among::Capture { " CAPTURE" } else { "" })]
    NothingSelected {
        /// Why, by expression.
        reasons: Vec<String>,
        /// Whose events it was applied to.
        among: Among,
    },
    /// An expression of a selection is no pattern.
    #[error(
        "{} is no event expression ({reason}): write a group, an event, GROUP:EVENT, or one of these with * and ?",
        quoted(.expression)
    )]
    BadExpression {
        /// The expression as given.
        expression: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A list of CPUs is malformed, or names a CPU that this machine does not have.
    #[error(transparent)]
    BadCpus(CpuListError),
    /// A filter is not of the form `GROUP:EVENT=CONDITION`.
    #[error("{0:?} is no filter: write GROUP:EVENT=CONDITION, for example 'irq:irq_handler_entry=irq>3'")]
    BadFilter(String),
    /// A filter names an event that is not selected.
    #[error("the filter {0:?} names no event that is selected: name one of the events given with -e")]
    FilterUnmatched(String),
    /// The kernel refused a filter; its own words, with its caret, are in `kernel`.
    #[error(
        "the kernel refuses the filter for {event}:\n{kernel}\nmend the condition (fields are named by `ftrace-live describe {event}`)"
    )]
    FilterRefused {
        /// For which event.
        event: EventName,
        /// The kernel's own text: the condition, a caret under the place, the reason.
        kernel: String,
    },
    /// A trace clock that gives no times.
    #[error("the trace clock {clock} gives no times ({reason}): take mono, boot, tai or local with --clock")]
    NoTime {
        /// The clock.
        clock: String,
        /// Why not.
        reason: &'static str,
    },
    /// A process is to be traced from a pid namespace that does not show what the kernel calls it.
    #[error(
        "{0} cannot be traced from here: the kernel takes pids of the first pid namespace, and /proc shows those of this container alone; start this outside, or share the host's pids (docker run --pid=host), or trace all processes"
    )]
    PidNamespace(String),
    /// None of the selected events could be enabled.
    #[error("none of the selected events can be enabled: {}", .0.join("; "))]
    NothingEnabled(Vec<String>),
    /// The ring is too large for the memory there is.
    #[error("the kernel has no memory for {kib} KiB of buffer on each of {cpus} CPUs: ask for less with -b")]
    BufferTooLarge {
        /// KiB per CPU that were asked for.
        kib: u64,
        /// CPUs there are.
        cpus: usize,
    },
    /// A ring without room for a single event.
    #[error(
        "-b {0} cannot be: a CPU's buffer has 1 KiB or more, as far as there is memory (8192 unless told otherwise); the kernel rounds it up to whole sub-buffers, of which it needs two"
    )]
    BufferSize(u64),
    /// A size of sub-buffers that the kernel does not make.
    #[error("--sub-buffer {kib} cannot be: the kernel makes sub-buffers of {} KiB", .sizes.iter().map(u32::to_string).collect::<Vec<_>>().join(", "))]
    SubBufferSize {
        /// The size that was asked for, KiB.
        kib: u32,
        /// The sizes there are, KiB.
        sizes: Vec<u32>,
    },
    /// A kernel whose sub-buffers are all one page.
    #[error("this kernel has sub-buffers of one page only: leave out --sub-buffer, which needs Linux 6.8 or later")]
    NoSubBufferSizes,
    /// A clock that this kernel does not have.
    #[error("this kernel has no trace clock {clock:?}: it has {available}")]
    NoClock {
        /// The clock that was asked for.
        clock: String,
        /// The names of those there are.
        available: String,
    },
    /// The kernel refused a tracer or its function filter.
    #[error("the kernel refuses the tracer {tracer:?}: {reason}; available here: {available}")]
    TracerRefused {
        /// The tracer.
        tracer: String,
        /// The kernel's own text.
        reason: String,
        /// What `available_tracers` holds.
        available: String,
    },
    /// A process to be traced does not exist.
    #[error("there is no process {0}: see `ps` for those there are")]
    NoSuchProcess(u32),
    /// The command to be traced is not there.
    #[error("there is no command {0:?}: check its spelling, or give its path")]
    NoSuchCommand(String),
    /// The command to be traced could not be started.
    #[error("cannot run {command:?}: {source}")]
    Command {
        /// The command.
        command: String,
        /// What the system said.
        source: io::Error,
    },
    /// The keeper process could not be started.
    #[error("cannot start the keeper process, which owns the trace instance and removes it at whatever end: {0}")]
    Keeper(String),
    /// The keeper process has ended, and with it what we can do.
    #[error(
        "the keeper process has ended, so nothing can be set or removed any more: start again, which removes what is left"
    )]
    KeeperGone,
    /// Anything else that a control file said.
    #[error("cannot {action} {}: {source}", .path.display())]
    Io {
        /// What was to be done, as a verb.
        action: &'static str,
        /// To which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl TracefsError {
    /// The error for `source`, met when `action` was tried on `path`.
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

    /// Whether the command line is at fault, rather than the machine: exit code 2 instead of 1.
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
