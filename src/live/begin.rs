//! The start of a live run: enables the events, reads their formats, and sets up the rings and their readers.

use std::io::{self, IsTerminal};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::emptier::Emptier;
use super::feed::{InstanceFeed, Limited, LiveFeed};
use super::queue::{self, Emptied};
use super::reader::{self, Parts, Reader, Shared};
use super::record::{Record, Tap};
use super::status::Status;
use super::udp::{Drops, Tables};
use super::window::Total;
use super::{LiveError, LiveOptions, Session, control, names};
use crate::control::udp::Control;
use crate::format::{Abi, Endian, EventFormat, HeaderPage};
use crate::names::Kernel;
use crate::output::Outputs;
use crate::output::audience::Audience;
use crate::pipeline::Pipeline;
use crate::terminal;
use crate::tracefs::{
    Enabled, EventName, Instance, RawBuffer, Setup, StoppedCommand, Timeline, TraceClock, Tracefs, TracefsError,
};

impl<'a> Session<'a> {
    /// Sets up the instance and its readers. Long: the order of the steps matters, and most of them fill a field.
    pub(super) fn begin(
        tracefs: &'a Tracefs,
        instance: &'a Instance,
        (options, control): (&LiveOptions, Option<Control>),
        command: Option<&StoppedCommand>,
        mut outputs: Vec<Outputs>,
        say: &mut dyn FnMut(String),
    ) -> Result<Session<'a>, LiveError> {
        let mut setup = options.setup.clone();
        setup.processes.extend(command.map(StoppedCommand::pid));
        let events = Events::enable(tracefs, instance, &mut setup, say)?;
        let header = instance.header_page()?;
        let header = HeaderPage::parse(&header)
            .map_err(|source| LiveError::Format { file: "events/header_page".to_owned(), source })?;
        let long = header.long_size();
        let formats = events.formats(tracefs, &header, &setup)?;
        outputs.truncate(if options.merged.is_some() { 1 } else { instance.cpus().len().max(1) });
        let first = outputs.first_mut().ok_or_else(|| io::Error::other("there is no output"))?;
        let asked: Vec<_> = formats.iter().filter(|format| !events.hides(format)).cloned().collect();
        first.check(&tracefs.events()?, &asked)?;
        first.pair(&asked)?;
        let targets: Vec<_> = first.targets().collect();
        // Lines on the same terminal would be mixed with the status line.
        let torn = first.prints() && io::stdout().is_terminal();
        let names = names::of_events(tracefs, &formats, first, say);
        let kernel = Arc::new(Kernel { abi: Abi { endian: Endian::NATIVE, long }, names });
        let desk = control.map(|control| control::Desk::new(control, events.asked().cloned(), setup.filters.clone()));
        let timeline = Timeline::is_needed_for(&setup.clock).then(|| Timeline::start(instance, &setup.clock));
        let shared = Shared::new(outputs.len(), timeline.transpose()?);
        let begin = |path| Record::begin(tracefs, instance, path, shared.noted());
        let record = options.record.as_deref().map(begin).transpose()?;
        // The times are converted to those of a clock that can be read.
        let clock = if shared.noted().is_some() { TraceClock::Mono } else { setup.clock.clone() };
        let reading = Reading { header, clock, tick: options.tick, ring_kib: ring_kib(&setup, instance) };
        let (feeds, emptiers) = feeds(instance, &reading, options.merged, &shared, record.as_ref().map(Record::tap))?;
        let formats: Vec<_> = formats.into_iter().map(Arc::new).collect();
        let mut readers = Vec::new();
        let rings = reader::deal(feeds, outputs.len());
        for (index, (outputs, rings)) in outputs.into_iter().zip(rings).enumerate() {
            let mut pipeline = Pipeline::new(kernel.clone(), outputs, names::of_tasks(tracefs, instance.pids()));
            for format in &formats {
                pipeline.add(format, events.hides(format));
            }
            let (shared, tracefs) = (shared.clone(), tracefs.clone());
            let Reading { header, clock, tick, ring_kib } = reading.clone();
            let parts = Parts { index, shared, tracefs, header, clock, tick, ring_kib, pipeline, rings };
            readers.push(Reader::new(parts)?);
        }
        Ok(Session {
            readers: readers.len(),
            long,
            desk,
            tracefs,
            instance,
            reader: readers.remove(0),
            others: readers,
            emptiers,
            shared,
            record,
            begun: false,
            status: Status::new(terminal::shows() && !torn),
            guard: options.guard,
            feedback: None,
            tables: Tables::default(),
            drops: Drops::new(&targets),
            audience: Audience::default(),
            last: Total::default(),
            window_start: Instant::now(),
            clock_told: Instant::now(),
        })
    }
}

/// The events that the kernel now records.
struct Events {
    enabled: Vec<EventName>,
    /// Those that are enabled only because they carry task names, and not output.
    hidden: Vec<EventName>,
}

impl Events {
    /// Applies `setup`, extended by the hidden events, to the instance.
    fn enable(
        tracefs: &Tracefs,
        instance: &Instance,
        setup: &mut Setup,
        say: &mut dyn FnMut(String),
    ) -> Result<Events, LiveError> {
        let hidden = names::hidden_events(tracefs, &setup.events);
        setup.events.extend(hidden.iter().cloned());
        let Enabled { events: enabled, failures, .. } = apply(setup, instance)?;
        for failure in &failures {
            say(format!("warning: {failure}"));
        }
        let events = Events { enabled, hidden };
        let wanted = events.asked().count();
        if wanted == 0
            && setup.tracer.is_none()
            && let Some(first) = failures.into_iter().next()
        {
            return Err(LiveError::NothingEnabled(first));
        }
        say(format!("instance {}, {wanted} events enabled", instance.name()));
        Ok(events)
    }

    /// Their formats, and those of the tracer's own records.
    fn formats(&self, tracefs: &Tracefs, header: &HeaderPage, setup: &Setup) -> Result<Vec<EventFormat>, LiveError> {
        let long = header.long_size();
        let mut formats = Vec::with_capacity(self.enabled.len());
        for event in &self.enabled {
            let format = EventFormat::parse(&event.system, &tracefs.format(event)?, long);
            let file = || format!("the format of {event}");
            formats.push(format.map_err(|source| LiveError::Format { file: file(), source })?);
        }
        if setup.tracer.is_some() {
            formats.extend(names::tracer_records(tracefs, long));
        }
        Ok(formats)
    }

    /// Those that are output.
    fn asked(&self) -> impl Iterator<Item = &EventName> {
        self.enabled.iter().filter(|event| !self.hidden.contains(event))
    }

    fn hides(&self, format: &EventFormat) -> bool {
        self.hidden.contains(&EventName::new(&format.system, &format.name))
    }
}

/// How the rings are read.
#[derive(Clone)]
struct Reading {
    header: HeaderPage,
    clock: TraceClock,
    tick: Duration,
    ring_kib: u64,
}

/// A CPU, and the feed of its sub-buffers.
type CpuFeed = (u32, Limited<LiveFeed>);

/// The feed of each CPU: its ring, or with `merged` emptiers a queue that one of them fills.
fn feeds(
    instance: &Instance,
    reading: &Reading,
    merged: Option<usize>,
    shared: &Arc<Shared>,
    tap: Option<Tap>,
) -> Result<(Vec<CpuFeed>, Vec<Emptier>), LiveError> {
    let size = reading.header.sub_buffer_size();
    let feed = |raw: RawBuffer| (raw.cpu(), InstanceFeed::new(raw, size, tap.clone()));
    let feeds: Vec<_> = instance.open_raw()?.into_iter().map(feed).collect();
    let Some(count) = merged else {
        let limited = feeds.into_iter().map(|(cpu, feed)| (cpu, Limited::new(LiveFeed::Ring(feed))));
        return Ok((limited.collect(), Vec::new()));
    };
    let (mut emptiers, mut queues) = (Vec::new(), Vec::new());
    for feeds in reader::deal(feeds, count.clamp(1, instance.cpus().len().max(1))) {
        let mut emptied = Vec::new();
        for (cpu, feed) in feeds {
            let (hand, queue) = queue::queue()?;
            emptied.push((cpu, Emptied::new(Limited::new(feed), hand)));
            queues.push((cpu, Limited::new(LiveFeed::Queue(queue))));
        }
        let times = (reading.clock.clone(), reading.tick, reading.ring_kib);
        emptiers.push(Emptier::new(shared.clone(), reading.header.clone(), emptied, times)?);
    }
    Ok((queues, emptiers))
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
