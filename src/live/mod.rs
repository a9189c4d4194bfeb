//! The live loop: reads each CPU's `trace_pipe_raw`, polled with mio, and sends to the outputs.
//!
//! When to read depends on what a read disturbs. With sparse events the kernel wakes a reader about once for each
//! event, and each wake is itself an interrupt and a context switch. So:
//!
//! - while no event comes, the loop sleeps in `epoll_wait`;
//! - an event after a quiet time is read and sent at once;
//! - while many events come, the rings are read once a *tick* (1 ms) without asking epoll in between: then the kernel
//!   has   nobody to wake (`ring_buffer_poll_wait` registers a waiter only when it is called);
//! - if the events are only those that our own waking causes, the loop rests (`pace.rs`).
//!
//! A turn reads every ring that has something to its end (`rings.rs`), but at most [`QUOTA`] sub-buffers of a CPU, so
//! that a busy CPU cannot starve the others.

mod control;
mod emptier;
mod feed;
mod feedback;
pub(crate) mod names;
mod pace;
mod queue;
mod reader;
mod record;
mod rings;
mod signals;
mod status;
mod turns;
mod udp;
mod unknown;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{self, IsTerminal};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, ExitStatus};
use std::sync::Arc;
use std::time::{Duration, Instant};

use mio::Interest;

use crate::capture::recording::RecordingError;
use crate::control::udp::Control;
use crate::format::{Abi, Endian, EventFormat, FormatError, HeaderPage, LongSize};
use crate::keeper::Keeper;
use crate::names::Kernel;
use crate::osc::timetag;
use crate::osc::transport::{SendCounts, Transport};
use crate::output::audience::{Audience, News};
use crate::output::{CheckError, Outputs, Window};
use crate::pipeline::{Counts, Pipeline};
use crate::terminal;
use crate::tracefs::{
    CpuStats, EnableFailure, Enabled, EventName, Instance, PidView, RawBuffer, Setup, StoppedCommand, Timeline,
    TraceClock, Tracefs, TracefsError, remove_stale,
};
use crate::wall;

use emptier::Emptier;
use feed::{InstanceFeed, Limited, LiveFeed};
use feedback::FeedbackGuard;
use queue::Emptied;
use reader::{Parts, Reader, Report, SIGNALS, Shared};
use record::Record;
pub use record::Recorded;
use signals::Signals;
use status::Status;
use udp::Drops;

/// Sub-buffers of one CPU that a turn reads at most.
pub const QUOTA: u32 = 256;
/// The window of `/ftrace/stat` and of the status line.
const SECOND: Duration = Duration::from_secs(1);
/// How often `/ftrace/clock` is sent.
const CLOCK_EVERY: Duration = Duration::from_secs(10);
/// When the loop first checks whether a receiver on another machine listens.
const FIRST_LOOK: Duration = Duration::from_millis(300);

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

/// Why tracing could not start, or had to end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LiveError {
    /// A tracefs file refused.
    #[error(transparent)]
    Tracefs(#[from] TracefsError),
    /// A description that the kernel gives is not understood.
    #[error("cannot parse {file} of this kernel: {source}")]
    Format {
        /// Which file.
        file: String,
        /// Why.
        source: FormatError,
    },
    /// An event does not have the field that is to be aggregated, or that a map names.
    #[error(transparent)]
    Check(#[from] CheckError),
    /// Polling, or the signal handlers, failed.
    #[error("cannot wait for events: {0}")]
    Poll(#[from] io::Error),
    /// The kernel refused every event.
    #[error("none of the events could be enabled; the first: {0}")]
    NothingEnabled(EnableFailure),
    /// The recording cannot start.
    #[error(transparent)]
    Recording(#[from] RecordingError),
}

impl LiveError {
    /// Whether the command line is wrong rather than the machine: exit code 2 instead of 1.
    pub fn is_usage(&self) -> bool {
        match self {
            LiveError::Tracefs(error) => error.is_usage(),
            LiveError::Check(_) | LiveError::Recording(RecordingError::Exists(_)) => true,
            _ => false,
        }
    }
}

/// The result of a live run.
#[derive(Debug, Default)]
pub struct Traced {
    /// Records and errors.
    pub counts: Counts,
    /// Messages that were sent, or could not be sent.
    pub sent: SendCounts,
    /// Events left out because of `--max-rate`.
    pub thinned: u64,
    /// The rings' own statistics at the end, by CPU.
    pub cpus: Vec<(u32, CpuStats)>,
    /// Datagrams that the receivers on this machine dropped.
    pub receiver_drops: u64,
    /// The targets where nobody listened at the end, as text.
    pub absent: Option<String>,
    /// Sub-buffers, or remainders of them, that could not be parsed.
    pub malformed_sub_buffers: u64,
    /// How the command ended.
    pub command: Option<ExitStatus>,
    /// How long the run took.
    pub time: Duration,
    /// The most frequent events, with their counts.
    pub busiest: Vec<(String, u64)>,
    /// The recording, if there is one.
    pub recorded: Option<Recorded>,
}

impl Traced {
    /// Events that the kernel lost: overwritten, or not written.
    pub fn lost(&self) -> u64 {
        self.cpus.iter().map(|(_, stats)| stats.lost()).sum()
    }
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
    drops: Drops,
    audience: Audience,
    last: Total,
    window_start: Instant,
    /// When `/ftrace/clock` was last sent.
    clock_told: Instant,
}

/// The sum of all readers' reports and all rings' losses.
#[derive(Default)]
struct Total {
    report: Report,
    cpus: Vec<(u32, CpuStats)>,
}

impl Total {
    fn lost(&self) -> u64 {
        self.cpus.iter().map(|(_, stats)| stats.lost()).sum()
    }

    fn overwritten(&self) -> u64 {
        self.cpus.iter().map(|(_, stats)| stats.overrun).sum()
    }
}

impl<'a> Session<'a> {
    /// Sets up the instance and its readers. Long: the order of the steps matters, and all of them fill one `Session`.
    fn begin(
        tracefs: &'a Tracefs,
        instance: &'a Instance,
        (options, control): (&LiveOptions, Option<Control>),
        command: Option<&StoppedCommand>,
        outputs: Vec<Outputs>,
        say: &mut dyn FnMut(String),
    ) -> Result<Session<'a>, LiveError> {
        let mut setup = options.setup.clone();
        let hidden = hidden_events(tracefs, &setup.events);
        setup.events.extend(hidden.iter().cloned());
        setup.processes.extend(command.map(StoppedCommand::pid));
        let enabled = apply(&setup, instance)?;
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
        let mut outputs = outputs;
        outputs.truncate(if options.merged.is_some() { 1 } else { instance.cpus().len().max(1) });
        let first = outputs.first_mut().ok_or_else(|| io::Error::other("there is no output"))?;
        let of = |format: &EventFormat| EventName::new(format.system.as_str(), format.name.as_str());
        let asked: Vec<_> = formats.iter().filter(|format| !hidden.contains(&of(format))).cloned().collect();
        first.check(&tracefs.events()?, &asked)?;
        first.pair(&asked)?;
        let targets: Vec<_> = first.targets().collect();
        // Lines on the same terminal would be mixed with the status line.
        let torn = first.prints() && io::stdout().is_terminal();
        let names = names::of_events(tracefs, &formats, first, say);
        let kernel = Arc::new(Kernel { abi: Abi { endian: Endian::NATIVE, long }, names });
        let formats: Vec<_> = formats.into_iter().map(Arc::new).collect();
        let desk = control.map(|control| {
            let on = enabled.events.iter().filter(|event| !hidden.contains(event));
            control::Desk::new(control, on.cloned(), setup.filters.clone())
        });
        let timeline = Timeline::is_needed_for(&setup.clock).then(|| Timeline::start(instance, &setup.clock));
        let shared = Shared::new(outputs.len(), timeline.transpose()?);
        // The times are converted to those of a clock that can be read.
        let clock = if shared.noted().is_some() { TraceClock::Mono } else { setup.clock.clone() };
        let begin = |path| Record::begin(tracefs, instance, path, shared.noted());
        let record = options.record.as_deref().map(begin).transpose()?;
        let (tick, ring_kib, tap) = (options.tick, ring_kib(&setup, instance), record.as_ref().map(Record::tap));
        let feed = |raw: RawBuffer| (raw.cpu(), InstanceFeed::new(raw, header.sub_buffer_size(), tap.clone()));
        let feeds: Vec<_> = instance.open_raw()?.into_iter().map(feed).collect();
        let (mut emptiers, mut of_all) = (Vec::new(), Vec::new());
        let feeds = match options.merged {
            None => feeds.into_iter().map(|(cpu, feed)| (cpu, Limited::new(LiveFeed::Ring(feed)))).collect(),
            Some(count) => {
                for feeds in reader::deal(feeds, count.clamp(1, instance.cpus().len().max(1))) {
                    let mut emptied = Vec::new();
                    for (cpu, feed) in feeds {
                        let (hand, queue) = queue::queue()?;
                        emptied.push((cpu, Emptied::new(Limited::new(feed), hand)));
                        of_all.push((cpu, Limited::new(LiveFeed::Queue(queue))));
                    }
                    let times = (clock.clone(), tick, ring_kib);
                    emptiers.push(Emptier::new(shared.clone(), header.clone(), emptied, times)?);
                }
                of_all
            }
        };
        let rings = reader::deal(feeds, outputs.len());
        let mut readers = Vec::new();
        for (index, (outputs, rings)) in outputs.into_iter().zip(rings).enumerate() {
            let mut pipeline = Pipeline::new(kernel.clone(), outputs, names::of_tasks(tracefs, instance.pids()));
            for format in &formats {
                pipeline.add(format, hidden.contains(&EventName::new(&format.system, &format.name)));
            }
            let (shared, tracefs, header, clock) = (shared.clone(), tracefs.clone(), header.clone(), clock.clone());
            readers.push(Reader::new(Parts {
                index,
                shared,
                tracefs,
                header,
                clock,
                tick,
                ring_kib,
                pipeline,
                rings,
            })?);
        }
        let count = readers.len();
        let reader = readers.remove(0);
        Ok(Session {
            readers: count,
            long,
            desk,
            tracefs,
            instance,
            reader,
            others: readers,
            emptiers,
            shared,
            record,
            begun: false,
            status: Status::new(terminal::shows() && !torn),
            guard: options.guard,
            feedback: None,
            drops: Drops::new(&targets),
            audience: Audience::default(),
            last: Total::default(),
            window_start: Instant::now(),
            clock_told: Instant::now(),
        })
    }

    /// Runs until the end. Long: it starts the threads and collects what they return.
    fn run(
        mut self,
        command: Option<StoppedCommand>,
        options: &LiveOptions,
        mut signals: Signals,
        say: &mut dyn FnMut(String),
    ) -> Result<(Traced, Vec<Outputs>), LiveError> {
        let registry = self.reader.turns.rings.poll.registry();
        registry.register(signals.pipe(), SIGNALS, Interest::READABLE)?;
        if let Some(desk) = &mut self.desk {
            desk.register(registry)?;
        }
        let of_emptiers = self.emptiers.iter().map(Emptier::waker);
        let wakers: Vec<_> = self.others.iter().filter_map(Reader::waker).chain(of_emptiers).collect();
        let mut threads = Vec::new();
        for (index, reader) in std::mem::take(&mut self.others).into_iter().enumerate() {
            let named = std::thread::Builder::new().name(format!("reader-{}", index + 1));
            threads.push(named.spawn(move || reader.follow())?);
        }
        let mut emptying = Vec::new();
        for (index, emptier) in std::mem::take(&mut self.emptiers).into_iter().enumerate() {
            let named = std::thread::Builder::new().name(format!("emptier-{}", index + 1));
            emptying.push(named.spawn(move || emptier.follow())?);
        }
        let began = Instant::now();
        let end = self.until_the_end(command, options, &mut signals, began, say);
        if !self.begun
            && let Some(record) = self.record.take()
        {
            record.abandon();
        }
        // Whatever happened, recording stops and the other readers end.
        let stopped = self.instance.stop();
        self.shared.end();
        wakers.iter().for_each(|waker| drop(waker.wake()));
        let time = began.elapsed();
        while emptying.iter().any(|thread| !thread.is_finished()) {
            // They may wait for room.
            self.reader.turns.rings.all();
            if self.reader.turn(0..0).0 == 0 {
                std::thread::sleep(Duration::from_millis(1));
            }
        }
        self.reader.drain();
        let mut failed = None;
        for thread in emptying {
            failed = thread.join().unwrap_or_else(|_| Err(io::Error::other("an emptier panicked"))).err().or(failed);
        }
        for thread in threads {
            match thread.join().unwrap_or_else(|_| Err(io::Error::other("a reader panicked"))) {
                Ok(reader) => self.others.push(reader),
                Err(error) => failed = Some(error),
            }
        }
        // Whatever happened, the recording is finished.
        let recorded = self.finish_recording(say);
        if let Some(error) = failed {
            return Err(error.into());
        }
        let command = end?;
        stopped?;
        self.window(time, say);
        self.reader.pipeline.outputs().stop();
        self.status.clear();
        let total = self.total();
        let traced = Traced {
            busiest: self.busiest(&total.report, 5),
            counts: total.report.counts,
            sent: total.report.sent,
            thinned: total.report.thinned,
            malformed_sub_buffers: total.report.malformed_sub_buffers,
            cpus: total.cpus,
            receiver_drops: self.drops.total(),
            absent: self.audience.status(),
            command,
            time,
            recorded,
        };
        let readers = std::iter::once(self.reader).chain(self.others);
        Ok((traced, readers.map(|mut reader| std::mem::take(reader.pipeline.outputs())).collect()))
    }

    /// Starts recording, then reads and sends until the end.
    fn until_the_end(
        &mut self,
        command: Option<StoppedCommand>,
        options: &LiveOptions,
        signals: &mut Signals,
        began: Instant,
        say: &mut dyn FnMut(String),
    ) -> Result<Option<ExitStatus>, LiveError> {
        // By now the threads of the other readers exist.
        self.instance.exclude_ourselves()?;
        let events: Vec<_> = self.reader.pipeline.event_counts().map(|(format, _)| format.clone()).collect();
        if self.guard {
            let events = events.iter().map(|format| &**format);
            self.feedback = Some(FeedbackGuard::new(self.instance, self.drops.targets(), events)?);
        }
        self.look_at_receivers(say);
        let cpus = self.instance.cpus().len();
        let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
        let now = timetag::unix_now_ns();
        self.reader.pipeline.outputs().start(&host, cpus, now, now);
        self.reader.pipeline.outputs().clock(now);
        self.reader.pipeline.flush();
        self.look_at_audience(say);
        self.window_start = Instant::now();
        // From here on, any change is somebody else's.
        self.instance.changed_outside()?;
        self.instance.start()?;
        let mut child = command.map(StoppedCommand::release).transpose()?;
        self.begun = true;
        self.follow(child.as_mut(), options, signals, began, say)
    }

    /// Reads and sends until the end.
    fn follow(
        &mut self,
        mut child: Option<&mut Child>,
        options: &LiveOptions,
        signals: &mut Signals,
        began: Instant,
        say: &mut dyn FnMut(String),
    ) -> Result<Option<ExitStatus>, LiveError> {
        let deadline = options.duration.and_then(|duration| began.checked_add(duration));
        // The answers of other machines (ICMP) take a while.
        let mut look = began.checked_add(FIRST_LOOK);
        loop {
            let ends = [deadline, look, self.told_due()];
            let due = ends.into_iter().flatten().fold(self.window_start + SECOND, Instant::min);
            let asleep = self.reader.sleep(due)?;
            self.reader.turn(asleep);
            self.obey(began.elapsed());
            self.record.iter_mut().for_each(Record::flush_if_due);
            if signals.ended() {
                return Ok(None);
            }
            if signals.child() || child.is_some() && self.window_start.elapsed() >= SECOND {
                // A child that cannot be waited for counts as ended.
                if let Some(status) = child.as_mut().and_then(|child| child.try_wait().ok().flatten()) {
                    return Ok(Some(status));
                }
            }
            if deadline.is_some_and(|deadline| Instant::now() >= deadline)
                || self.reader.pipeline.outputs().failure().is_some()
            {
                return Ok(None);
            }
            if look.is_some_and(|look| Instant::now() >= look) {
                look = None;
                self.look_at_audience(say);
            }
            if self.window_start.elapsed() >= SECOND {
                self.window(began.elapsed(), say);
                // Without its keeper or its instance the run cannot go on.
                for change in self.instance.changed_outside()? {
                    self.status.clear();
                    say(format!("warning: {change}"));
                }
            }
        }
    }

    /// The end of a window: sends the statistics and the clock, updates the status line, looks at the receivers.
    fn window(&mut self, since_began: Duration, say: &mut dyn FnMut(String)) {
        let total = self.total();
        let seconds = self.window_start.elapsed().as_secs_f32();
        let drops = self.look_at_receivers(say);
        if let Some(record) = &mut self.record {
            record.say_failure(say);
        }
        let (now, last) = (&total.report.counts, &self.last.report.counts);
        let window = Window {
            read: now.read.saturating_sub(last.read),
            kernel_lost: total.lost().saturating_sub(self.last.lost()),
            malformed: (now.malformed + now.unknown).saturating_sub(last.malformed + last.unknown),
            seconds,
        };
        let of = |target: &SocketAddr| drops.get(target).copied().unwrap_or(0);
        let outputs = self.reader.pipeline.outputs();
        if self.clock_told.elapsed() >= CLOCK_EVERY {
            self.clock_told = Instant::now();
            outputs.clock(timetag::unix_now_ns());
        }
        outputs.stat(&window, &total.report.streams, |stream| {
            stream.transports().iter().filter_map(Transport::target).map(|to| of(&to)).sum()
        });
        self.reader.pipeline.flush();
        self.look_at_audience(say);
        for news in wall::news() {
            self.status.clear();
            say(news);
        }
        let losses = status::Losses {
            thinned: total.report.thinned,
            absent: self.audience.status(),
            overwritten: total.overwritten(),
            dropped: total.lost() - total.overwritten(),
            malformed: now.malformed + now.unknown,
            receiver_drops: self.drops.total(),
        };
        self.status.show(since_began, &window, total.report.sent, &losses, || {
            formats_of(&self.reader, &total.report).map(|(format, count)| (format.name.clone(), count)).collect()
        });
        self.reader.each_second();
        self.last = total;
        self.window_start = Instant::now();
    }

    /// Finishes the recording, when everything has been read.
    fn finish_recording(&mut self, say: &mut dyn FnMut(String)) -> Option<Recorded> {
        let record = self.record.take()?;
        self.status.clear();
        let records = self.total().report.records;
        let readers = || std::iter::once(&self.reader).chain(&self.others);
        let names = readers().flat_map(|reader| reader.pipeline.names());
        let known = readers().flat_map(|reader| reader.pipeline.event_counts().map(|(format, _)| &**format));
        record.note(self.shared.noted());
        record.finish(self.tracefs, self.instance, known, names, records, say)
    }

    /// Everything that was read, sent and lost so far; of other threads, as of up to a second ago.
    fn total(&mut self) -> Total {
        let mut report = self.reader.report();
        if self.others.is_empty() {
            self.shared.reports_of_others(0).iter().for_each(|other| report.add(other));
        } else {
            // Other readers that have returned from their threads.
            self.others.iter_mut().for_each(|other| report.add(&other.report()));
        }
        let stats = |cpu: &u32| (*cpu, self.instance.stats(*cpu).unwrap_or_default());
        Total { report, cpus: self.instance.cpus().iter().map(stats).collect() }
    }

    /// Reports that nobody listens at a target, or that somebody listens again.
    fn look_at_audience(&mut self, say: &mut dyn FnMut(String)) {
        for news in self.audience.look(self.reader.pipeline.outputs()) {
            self.status.clear();
            let warning = if matches!(news, News::Absent(_)) { "warning: " } else { "" };
            say(format!("{warning}{}", news.sentence()));
        }
    }

    /// Looks for the receivers on this machine, excludes new ones from the trace, and returns what each target
    /// dropped since the last look.
    fn look_at_receivers(&mut self, say: &mut dyn FnMut(String)) -> BTreeMap<SocketAddr, u64> {
        if !self.drops.any_local() {
            return BTreeMap::new();
        }
        let sockets = udp::sockets();
        if let Some(guard) = &mut self.feedback {
            let found = guard.look(self.instance, &sockets);
            for receiver in found.new {
                self.status.clear();
                say(format!("{receiver} is a receiver and is excluded from the trace (--no-guard traces it)"));
            }
            for warning in found.warnings {
                self.status.clear();
                say(format!("warning: {warning}"));
            }
        }
        self.drops.since_last(&sockets)
    }

    fn busiest(&self, report: &Report, most: usize) -> Vec<(String, u64)> {
        let mut counts: Vec<_> = formats_of(&self.reader, report).filter(|(_, count)| *count > 0).collect();
        counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        counts.into_iter().take(most).map(|(format, count)| (format.full_name(), count)).collect()
    }
}

/// The events of a report, with their formats.
fn formats_of<'r>(reader: &'r Reader, report: &'r Report) -> impl Iterator<Item = (&'r EventFormat, u64)> {
    let known: BTreeMap<_, _> = reader.pipeline.event_counts().map(|(format, _)| (format.id, &**format)).collect();
    report.events.iter().filter_map(move |(id, count)| Some((*known.get(id)?, *count)))
}

/// The default size of a CPU's ring, KiB: what a core can write in 60 ms at most, so that a delayed reader loses
/// nothing.
const ROOM_KIB: u64 = 8192;
/// The limit for all CPUs together.
const ROOM_OF_ALL_KIB: u64 = 256 * 1024;

/// The size of each CPU's ring, KiB: as asked for, or the default.
fn ring_kib(setup: &Setup, instance: &Instance) -> u64 {
    let cpus = instance.cpus().len().max(1) as u64;
    setup.buffer_kib.unwrap_or(ROOM_KIB.min(ROOM_OF_ALL_KIB / cpus))
}

/// Applies `setup` to the instance.
fn apply(setup: &Setup, instance: &Instance) -> Result<Enabled, TracefsError> {
    if setup.buffer_kib.is_some() {
        return setup.apply(instance);
    }
    let roomy = Setup { buffer_kib: Some(ring_kib(setup, instance)), ..setup.clone() };
    match roomy.apply(instance) {
        // Again with the kernel's default size, about 1.4 MiB.
        Err(TracefsError::BufferTooLarge { .. }) => setup.apply(instance),
        done => done,
    }
}

/// The events of the group `task` that tell of task names.
const TASK_EVENTS: [&str; 2] = ["task_rename", "task_newtask"];

/// The events that carry task names, as far as the kernel has them and they are not asked for anyway.
///
/// The kernel counts overwritten events without saying which they were. So if a ring overflows, the number of lost
/// events includes these hidden ones, while the number of events read never does.
fn hidden_events(tracefs: &Tracefs, asked: &[EventName]) -> Vec<EventName> {
    let events = TASK_EVENTS.map(|name| EventName::new("task", name));
    events.into_iter().filter(|event| !asked.contains(event) && tracefs.format(event).is_ok()).collect()
}
