//! The live loop: reads each CPU's `trace_pipe_raw`, polled with mio, and sends to the outputs.
//!
//! When to read depends on what a read disturbs. With sparse events the kernel wakes a reader about once for each
//! event, and each wake is itself an interrupt and a context switch. So:
//!
//! - while no event comes, the loop sleeps in `epoll_wait`;
//! - an event after a quiet time is read and sent at once;
//! - while many events come, the rings are read once a *tick* (1 ms) without asking epoll in between: then the kernel
//!   has nobody to wake (`ring_buffer_poll_wait` registers a waiter only when it is called);
//! - if the events are only those that our own waking causes, the loop rests (`pace.rs`).
//!
//! A turn reads every ring that has something to its end (`rings.rs`), but at most [`QUOTA`] sub-buffers of a CPU, so
//! that a busy CPU cannot starve the others.

mod begin;
mod control;
mod emptier;
mod feed;
mod feedback;
pub(crate) mod names;
mod pace;
mod queue;
mod reader;
mod record;
mod result;
mod rings;
mod run;
mod signals;
mod status;
mod turns;
mod udp;
mod unknown;
mod window;

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::control::udp::Control;
use crate::format::LongSize;
use crate::keeper::Keeper;
use crate::output::Outputs;
use crate::output::audience::Audience;
use crate::tracefs::{Instance, PidView, Setup, StoppedCommand, Tracefs, remove_stale};

use emptier::Emptier;
use feedback::FeedbackGuard;
use reader::{Reader, Shared};
use record::Record;
pub use record::Recorded;
pub use result::{LiveError, Traced};
use signals::Signals;
use status::Status;
use udp::{Drops, Tables};
use window::Total;

/// Sub-buffers of one CPU that a turn reads at most.
pub const QUOTA: u32 = 256;
/// The window of `/ftrace/stat` and of the status line.
const SECOND: Duration = Duration::from_secs(1);

/// What to trace live, and how.
#[derive(Debug, Default)]
pub struct LiveOptions {
    /// What to trace.
    pub setup: Setup,
    /// The keeper that makes the instance; without one, a keeper is started.
    pub keeper: Option<Arc<Keeper>>,
    /// A command to run; it and its children are then the only processes traced. Tracing ends when it ends.
    pub command: Vec<OsString>,
    /// The same, for a command that has already been started and is stopped.
    pub stopped: Option<StoppedCommand>,
    /// How long to trace at most.
    pub duration: Option<Duration>,
    /// How often the rings are read while many events come.
    pub tick: Duration,
    /// So many threads empty the rings into memory for one reader, which sends all events in the order of time; `None`: each
    /// reader reads for its own output.
    pub merged: Option<usize>,
    /// Whether events that our own sending causes are excluded: the receivers on this machine, and the `sched` events
    /// that name them or us.
    pub guard: bool,
    /// A `trace.dat` that is written beside the stream.
    pub record: Option<PathBuf>,
    /// Where commands come from.
    pub control: Option<Control>,
}

/// Traces until the command ends, the duration is over, or a signal arrives. Cleans up before it returns.
///
/// There are as many readers as `outputs` (at least one; more than the number of CPUs is useless). Each reads some of
/// the CPUs and has one of the outputs to itself. The first output also gets the messages about the stream as a
/// whole.
///
/// `say` gets a line of text for each step.
///
/// # Errors
/// Tracing could not start.
pub fn trace(
    tracefs: &Tracefs,
    mut options: LiveOptions,
    outputs: Vec<Outputs>,
    say: &mut dyn FnMut(String),
) -> Result<(Traced, Vec<Outputs>), LiveError> {
    // Signal handlers first: from here on Ctrl-C ends the run in order.
    let signals = Signals::register()?;
    PidView::ours().note().into_iter().for_each(|note| say(note.to_owned()));
    let keeper = options.keeper.take().map_or_else(|| Keeper::start(tracefs), Ok)?;
    for stale in remove_stale(tracefs)? {
        match stale.removed {
            Ok(()) => say(format!("removed {}, left behind by an earlier run that was killed", stale.name)),
            Err(error) => {
                say(format!("warning: cannot remove {}, which an earlier run has left behind: {error}", stale.name))
            }
        }
    }
    // Before our threads are excluded: a child would inherit that.
    let command = match options.stopped.take() {
        Some(stopped) => Some(stopped),
        None if options.command.is_empty() => None,
        None => Some(StoppedCommand::spawn(&options.command)?),
    };
    let instance = Instance::create(tracefs, Some(&keeper))?;
    let control = options.control.take();
    let session = Session::begin(tracefs, &instance, (&options, control), command.as_ref(), outputs, say)?;
    let result = session.run(command, &options, signals, say);
    // The raw files are closed by now, so the instance can be removed.
    instance.close()?;
    result
}

/// A live run: `begin.rs` sets it up, `run.rs` reads and sends, `window.rs` reports each second, and `control.rs` changes it.
struct Session<'a> {
    tracefs: &'a Tracefs,
    instance: &'a Instance,
    /// The reader of this thread, and those that get threads of their own.
    reader: Reader,
    others: Vec<Reader>,
    /// Threads that empty the rings for the reader, if it does not read them itself.
    emptiers: Vec<Emptier>,
    /// The number of readers.
    readers: usize,
    long: LongSize,
    desk: Option<control::Desk>,
    shared: Arc<Shared>,
    record: Option<Record>,
    /// Whether the command, if any, has been started.
    begun: bool,
    status: Status,
    guard: bool,
    feedback: Option<FeedbackGuard>,
    tables: Tables,
    drops: Drops,
    audience: Audience,
    last: Total,
    window_start: Instant,
    /// When `/ftrace/clock` was last sent.
    clock_told: Instant,
}
