//! The live loop: each CPU's `trace_pipe_raw`, polled with mio, to the outputs.
//!
//! When to read is a matter of who is disturbed. The kernel wakes a reader about once for each event when events are
//! sparse, and each wake is itself an interrupt and a context switch. So:
//!
//! - while nothing comes, the loop sleeps in `epoll_wait`;
//! - an event after a quiet time is read and sent at once;
//! - while many come, the rings are read once a *tick* (1 ms), without asking epoll in between: then the kernel has
//!   nobody to wake (`ring_buffer_poll_wait` notes a waiter only when it is called).
//!
//! A turn reads every ring to its end, but no more than [`QUOTA`] sub-buffers of a CPU, so that a busy CPU cannot starve
//! the others.

mod feed;
pub(crate) mod names;
mod status;

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io::{self, IsTerminal, Read};
use std::os::fd::AsRawFd;
use std::process::{Child, ExitStatus};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use mio::net::UnixStream;
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGTERM};

use crate::decode::EventTable;
use crate::format::{Abi, Endian, EventFormat, EventId, FormatError, HeaderPage, LongSize};
use crate::names::Kernel;
use crate::osc::aggregate::AggregateError;
use crate::osc::timetag;
use crate::outputs::{Outputs, Window};
use crate::pipeline::{Counts, Outcome, Pipeline};
use crate::ring::Merge;
use crate::tracefs::{
    ClockPair, CpuStats, EnableFailure, EventName, Guard, Instance, Setup, StoppedCommand, TraceClock, Tracefs,
    TracefsError, remove_stale,
};

use feed::InstanceFeed;
use status::Status;

/// Sub-buffers of one CPU read in a turn.
pub const QUOTA: u32 = 256;
/// A turn that brings at least this many events means that many come: the next is a tick later, whatever epoll would say.
const MANY: u64 = 16;
/// The window of `/ftrace/stat` and of the status line.
const SECOND: Duration = Duration::from_secs(1);
/// How often, in windows, the addresses are announced again.
const ANNOUNCE_EVERY: u64 = 10;

/// The kernel's byte order: that of this machine.
type Native = byteorder::NativeEndian;

/// What to trace live, and how.
#[derive(Debug, Default)]
pub struct LiveOptions {
    /// What to trace.
    pub setup: Setup,
    /// A command to run; it and its children are then the only processes traced. Tracing ends when it ends.
    pub command: Vec<OsString>,
    /// How long at most.
    pub duration: Option<Duration>,
    /// How often the rings are read while many events come.
    pub tick: Duration,
}

/// Why tracing could not begin, or had to end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LiveError {
    /// The control files refused.
    #[error(transparent)]
    Tracefs(#[from] TracefsError),
    /// A description of the kernel's is not understood.
    #[error("{file} of this kernel is not understood: {source}")]
    Format {
        /// Which file.
        file: String,
        /// Why.
        source: FormatError,
    },
    /// An event has not the field that is to be aggregated.
    #[error(transparent)]
    Aggregate(#[from] AggregateError),
    /// Polling, or the signal handlers, failed.
    #[error("cannot wait for events: {0}")]
    Poll(#[from] io::Error),
    /// The kernel refused every event.
    #[error("none of the events could be enabled; the first: {0}")]
    NothingEnabled(EnableFailure),
}

impl LiveError {
    /// Whether the command line is at fault, rather than the machine: exit code 2 instead of 1.
    pub fn is_usage(&self) -> bool {
        match self {
            LiveError::Tracefs(error) => error.is_usage(),
            LiveError::Aggregate(_) => true,
            _ => false,
        }
    }
}

/// What became of a live run.
#[derive(Debug, Default)]
pub struct Traced {
    /// Records and errors.
    pub counts: Counts,
    /// Events that the kernel lost: overwritten or dropped.
    pub lost: u64,
    /// Sub-buffers, or rests of them, that could not be walked.
    pub malformed_sub_buffers: u64,
    /// How the command ended.
    pub command: Option<ExitStatus>,
    /// How long it went.
    pub time: Duration,
    /// The events that occurred most, with their counts.
    pub busiest: Vec<(String, u64)>,
}

/// Traces until the command ends, the time is over, or a signal says so. Nothing is left behind when this returns.
///
/// `say` gets a line for each thing done, for people.
///
/// # Errors
/// Tracing could not begin.
pub fn trace(
    tracefs: &Tracefs,
    options: LiveOptions,
    outputs: Outputs,
    say: &mut dyn FnMut(String),
) -> Result<(Traced, Outputs), LiveError> {
    // Signals first: from here on Ctrl-C means an orderly end.
    let signals = Signals::register()?;
    let guard = Guard::start(tracefs)?;
    for stale in remove_stale(tracefs)? {
        match stale.removed {
            Ok(()) => say(format!("removed {}, left behind by an earlier run that was killed", stale.name)),
            Err(error) => say(format!("warning: {} was left behind by an earlier run: {error}", stale.name)),
        }
    }
    // Before our threads are kept out: a child would inherit that.
    let command = if options.command.is_empty() { None } else { Some(StoppedCommand::spawn(&options.command)?) };
    let instance = Instance::create(tracefs, Some(&guard))?;
    let session = Session::begin(tracefs, &instance, &options, command.as_ref(), outputs, say)?;
    let result = session.run(command, &options, signals);
    // The raw files are closed by now, so that the instance can go.
    instance.close()?;
    result
}

struct Session<'a> {
    tracefs: &'a Tracefs,
    instance: &'a Instance,
    long: LongSize,
    clock: TraceClock,
    pipeline: Pipeline<Outputs>,
    merge: Merge<InstanceFeed>,
    poll: Poll,
    status: Status,
    /// Ids that even a second reading of the formats did not explain.
    unknown: BTreeSet<EventId>,
    last: (Counts, u64),
    window_start: Instant,
    windows: u64,
}

impl<'a> Session<'a> {
    fn begin(
        tracefs: &'a Tracefs,
        instance: &'a Instance,
        options: &LiveOptions,
        command: Option<&StoppedCommand>,
        outputs: Outputs,
        say: &mut dyn FnMut(String),
    ) -> Result<Session<'a>, LiveError> {
        let mut setup = options.setup.clone();
        let hidden = hidden_events(tracefs, &setup.events);
        setup.events.extend(hidden.iter().cloned());
        setup.processes.extend(command.map(StoppedCommand::pid));
        let enabled = setup.apply(instance)?;
        for failure in &enabled.failures {
            say(format!("warning: {failure}"));
        }
        let wanted = enabled.events.iter().filter(|event| !hidden.contains(event)).count();
        if wanted == 0
            && setup.tracer.is_none()
            && let Some(first) = enabled.failures.into_iter().next()
        {
            return Err(LiveError::NothingEnabled(first));
        }
        say(format!("instance {}, {wanted} events enabled", instance.name()));
        let header = instance.header_page()?;
        let header = HeaderPage::parse(&header)
            .map_err(|source| LiveError::Format { file: "events/header_page".to_owned(), source })?;
        let long = header.long_size();
        let mut formats = Vec::with_capacity(enabled.events.len());
        for event in &enabled.events {
            let format = EventFormat::parse(&event.system, &tracefs.format(event)?, long);
            let file = || format!("the format of {event}");
            formats.push(format.map_err(|source| LiveError::Format { file: file(), source })?);
        }
        if setup.tracer.is_some() {
            formats.extend(names::tracer_records(tracefs, long));
        }
        outputs.check(&formats)?;
        let names = names::of_events(tracefs, &formats, &outputs);
        let kernel = Arc::new(Kernel { abi: Abi { endian: Endian::NATIVE, long }, names });
        let mut pipeline = Pipeline::new(kernel, outputs, Box::new(comm_of));
        for format in formats {
            let hidden = hidden.contains(&EventName::new(&format.system, &format.name));
            pipeline.add(&Arc::new(format), hidden);
        }
        let poll = Poll::new()?;
        let mut feeds = Vec::new();
        for raw in instance.open_raw()? {
            poll.registry().register(&mut SourceFd(&raw.as_raw_fd()), RINGS, Interest::READABLE)?;
            feeds.push((raw.cpu(), InstanceFeed::new(raw, header.sub_buffer_size())));
        }
        let mut session = Session {
            tracefs,
            instance,
            long: header.long_size(),
            clock: setup.clock.clone(),
            pipeline,
            merge: Merge::new(header, feeds),
            poll,
            status: Status::new(io::stderr().is_terminal()),
            unknown: BTreeSet::new(),
            last: (Counts::default(), 0),
            window_start: Instant::now(),
            windows: 0,
        };
        session.pair_clocks();
        Ok(session)
    }

    fn run(
        mut self,
        command: Option<StoppedCommand>,
        options: &LiveOptions,
        mut signals: Signals,
    ) -> Result<(Traced, Outputs), LiveError> {
        self.poll.registry().register(&mut signals.pipe, SIGNALS, Interest::READABLE)?;
        let cpus = self.instance.cpus().len();
        let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
        self.pipeline.outputs().start(&host, cpus, timetag::unix_now_ns());
        self.pipeline.flush();
        let began = Instant::now();
        self.window_start = began;
        self.instance.start()?;
        let mut child = command.map(StoppedCommand::release).transpose()?;
        let end = self.follow(child.as_mut(), options, &mut signals, began);
        self.instance.stop()?;
        let mut traced = Traced { command: end?, time: began.elapsed(), ..Traced::default() };
        self.drain();
        self.window(began.elapsed());
        self.pipeline.outputs().stop();
        self.status.clear();
        traced.counts = self.pipeline.counts().clone();
        traced.lost = self.lost();
        traced.malformed_sub_buffers = self.merge.counts().map(|(_, counts)| counts.malformed).sum();
        traced.busiest = self.busiest(5);
        Ok((traced, std::mem::take(self.pipeline.outputs())))
    }

    /// Reads and sends until it is time to end.
    fn follow(
        &mut self,
        mut child: Option<&mut Child>,
        options: &LiveOptions,
        signals: &mut Signals,
        began: Instant,
    ) -> Result<Option<ExitStatus>, LiveError> {
        let deadline = options.duration.and_then(|duration| began.checked_add(duration));
        let mut events = Events::with_capacity(64);
        let mut last_turn = began;
        let mut many = false;
        loop {
            let now = Instant::now();
            let due = deadline.map_or(self.window_start + SECOND, |d| d.min(self.window_start + SECOND));
            let due = self.outputs_due().map_or(due, |left| due.min(now + left));
            if many {
                // Nobody asks epoll, so the kernel wakes nobody.
                std::thread::sleep(
                    options.tick.saturating_sub(now - last_turn).min(due.saturating_duration_since(now)),
                );
            } else {
                match self.poll.poll(&mut events, Some(due.saturating_duration_since(now))) {
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    done => done?,
                }
                if events.iter().any(|event| event.token() == RINGS) {
                    // The second event within a tick waits for its end, together with those that follow it.
                    std::thread::sleep(options.tick.saturating_sub(last_turn.elapsed()));
                }
            }
            let (read, more) = self.turn();
            last_turn = Instant::now();
            many = read >= MANY || more;
            if signals.ended() {
                return Ok(None);
            }
            if signals.child() || child.is_some() && self.window_start.elapsed() >= SECOND {
                // A child that cannot be waited for is as good as ended.
                if let Some(status) = child.as_mut().and_then(|child| child.try_wait().ok().flatten()) {
                    return Ok(Some(status));
                }
            }
            if deadline.is_some_and(|deadline| Instant::now() >= deadline) || self.pipeline.outputs().reader_gone() {
                return Ok(None);
            }
            if self.window_start.elapsed() >= SECOND {
                self.window(began.elapsed());
            }
        }
    }

    /// Reads every ring, up to its quota, and sends what was read. Returns the number of events, and whether there is
    /// more.
    fn turn(&mut self) -> (u64, bool) {
        let before = self.pipeline.counts().read;
        self.merge.feeds_mut().for_each(|(_, feed)| feed.begin_turn());
        self.merge.resume();
        while let Some(record) = self.merge.next_record::<Native>() {
            if let Outcome::Unknown(id) = self.pipeline.record::<Native>(record, None) {
                let explained = learn(self.tracefs, self.long, id, &mut self.unknown, &mut self.pipeline);
                if explained {
                    self.pipeline.offer_again();
                    self.pipeline.record::<Native>(record, None);
                }
            }
        }
        self.pipeline.outputs().tick(timetag::unix_now_ns());
        self.pipeline.flush();
        let more = self.merge.feeds_mut().any(|(_, feed)| feed.quota_used());
        (self.pipeline.counts().read - before, more)
    }

    /// How long until the outputs have something to say though no event comes.
    fn outputs_due(&mut self) -> Option<Duration> {
        let due = self.pipeline.outputs().due()?;
        Some(Duration::from_nanos(due.saturating_sub(timetag::unix_now_ns())))
    }

    /// Reads what is left after recording has stopped.
    fn drain(&mut self) {
        let mut quiet = 0;
        // A writer that was in the middle of an event finishes it after the stop.
        while quiet < 2 {
            let (read, more) = self.turn();
            quiet = if read == 0 && !more { quiet + 1 } else { 0 };
            if quiet == 1 {
                std::thread::sleep(Duration::from_millis(1));
            }
        }
    }

    /// The end of a window: statistics to all receivers, the status line, the clocks.
    fn window(&mut self, since_began: Duration) {
        let counts = self.pipeline.counts().clone();
        let lost = self.lost();
        let seconds = self.window_start.elapsed().as_secs_f32();
        let (last, last_lost) = std::mem::replace(&mut self.last, (counts.clone(), lost));
        let window = Window {
            read: counts.read - last.read,
            kernel_lost: lost - last_lost,
            malformed: counts.malformed + counts.unknown - last.malformed - last.unknown,
            seconds,
        };
        self.pipeline.outputs().stat(&window, |_| 0);
        self.windows += 1;
        if self.windows.is_multiple_of(ANNOUNCE_EVERY) {
            self.pipeline.outputs().announce();
        }
        self.pipeline.flush();
        let sent = self.pipeline.outputs().counts();
        let thinned = self.pipeline.outputs().thinned();
        self.status.show(since_began, &window, sent, thinned, lost, || {
            self.pipeline.event_counts().map(|(format, count)| (format.name.clone(), count)).collect()
        });
        self.pair_clocks();
        self.window_start = Instant::now();
    }

    /// NTP moves the time of day against the trace clock: the pair is taken anew about once a second.
    fn pair_clocks(&mut self) {
        if let Some(pair) = ClockPair::take(&self.clock) {
            self.pipeline.pair_clocks(pair.trace_ns, pair.realtime_ns);
        }
    }

    /// Events lost by the kernel so far: the rings' own counts know of every kind.
    fn lost(&self) -> u64 {
        let stats = |cpu: &u32| self.instance.stats(*cpu).unwrap_or_default();
        self.instance.cpus().iter().map(|cpu| CpuStats::lost(&stats(cpu))).sum()
    }

    fn busiest(&self, most: usize) -> Vec<(String, u64)> {
        let mut counts: Vec<_> = self.pipeline.event_counts().filter(|(_, count)| *count > 0).collect();
        counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        counts.into_iter().take(most).map(|(format, count)| (format.full_name(), count)).collect()
    }
}

/// The events that tell of task names, as far as the kernel has them and nobody asked for them anyway.
fn hidden_events(tracefs: &Tracefs, asked: &[EventName]) -> Vec<EventName> {
    let events = ["task_rename", "task_newtask"].map(|name| EventName::new("task", name));
    events.into_iter().filter(|event| !asked.contains(event) && tracefs.format(event).is_ok()).collect()
}

/// Reads all formats again for the sake of `id`, which no format explained: dynamic events come and go. Each id gets one
/// such reading.
#[cold]
fn learn(
    tracefs: &Tracefs,
    long: LongSize,
    id: EventId,
    unknown: &mut BTreeSet<EventId>,
    pipeline: &mut Pipeline<Outputs>,
) -> bool {
    if !unknown.insert(id) {
        return false;
    }
    let events = tracefs.events().unwrap_or_default();
    let records = tracefs.tracer_records().unwrap_or_default();
    let formats = events
        .iter()
        .chain(&records)
        .filter_map(|event| EventFormat::parse(&event.system, &tracefs.format(event).ok()?, long).ok());
    let table = EventTable::new(formats);
    let Some(format) = table.get(id) else { return false };
    pipeline.add_late(format);
    true
}

/// The name of a task that was there before tracing began.
fn comm_of(tid: i32) -> Option<Vec<u8>> {
    let mut comm = std::fs::read(format!("/proc/{tid}/comm")).ok()?;
    comm.pop_if(|last| *last == b'\n');
    Some(comm)
}

const RINGS: Token = Token(0);
const SIGNALS: Token = Token(1);

/// The signals that end tracing, and the one that says that the command has ended. Flags say which came; a pipe, which
/// epoll can wait for, says that one came.
struct Signals {
    pipe: UnixStream,
    ended: Arc<AtomicBool>,
    child: Arc<AtomicBool>,
}

impl Signals {
    fn register() -> io::Result<Signals> {
        let (pipe, write) = std::os::unix::net::UnixStream::pair()?;
        pipe.set_nonblocking(true)?;
        let (ended, child) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        for signal in [SIGINT, SIGTERM, SIGHUP, SIGCHLD] {
            // The flag first: handlers run in the order of registration.
            signal_hook::flag::register(signal, if signal == SIGCHLD { child.clone() } else { ended.clone() })?;
            signal_hook::low_level::pipe::register(signal, write.try_clone()?)?;
        }
        Ok(Signals { pipe: UnixStream::from_std(pipe), ended, child })
    }

    fn ended(&mut self) -> bool {
        self.ended.load(Ordering::Relaxed)
    }

    fn child(&mut self) -> bool {
        let child = self.child.swap(false, Ordering::Relaxed);
        if child {
            // Emptied, so that it can take the next byte.
            while matches!(self.pipe.read(&mut [0; 64]), Ok(1..)) {}
        }
        child
    }
}
