//! Commands to a running trace. What changes the kernel goes through the instance, and so through the keeper; the
//! rest is sent to every reader.
//!
//! The order is that of [`Setup::apply`](crate::tracefs::Setup::apply): an event's format is known to every reader, and its
//! filter set, before the kernel writes its first record.

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mio::unix::SourceFd;
use mio::{Interest, Registry, Token, Waker};

use super::reader::Change;
use super::{Session, names};
use crate::control::udp::Control;
use crate::control::{Command, Refused, State, Switched};
use crate::format::EventFormat;
use crate::names::Kernel;
use crate::osc::aggregate::AggregateOptions;
use crate::tracefs::{EventFilter, EventName, TracefsError, conditions};

/// The poll tokens of the control socket and of the page's clients.
const SOCKET: Token = Token(3);
const CLIENTS: Token = Token(4);

/// What can be changed at run time, and its current state.
pub(super) struct Desk {
    control: Control,
    /// The events that are enabled in the kernel, without the hidden ones.
    on: BTreeSet<EventName>,
    /// The filters of the options, which also apply to events that are enabled later.
    filters: Vec<EventFilter>,
    paused: bool,
}

impl Desk {
    /// Takes commands from `control`; `on` are the events that are enabled.
    pub(super) fn new(control: Control, on: impl Iterator<Item = EventName>, filters: Vec<EventFilter>) -> Desk {
        Desk { control, on: on.collect(), filters, paused: false }
    }

    /// Makes the poll wake when a command arrives.
    pub(super) fn register(&mut self, registry: &Registry) -> io::Result<()> {
        if let Some(socket) = self.control.socket() {
            registry.register(&mut SourceFd(&socket), SOCKET, Interest::READABLE)?;
        }
        let waker = Waker::new(registry, CLIENTS)?;
        // This fails only if the poll is gone.
        self.control.wake_by(Box::new(move || drop(waker.wake())));
        Ok(())
    }
}

impl Session<'_> {
    /// When the desk next has something to do without a command arriving.
    pub(super) fn told_due(&self) -> Option<Instant> {
        self.desk.as_ref()?.control.due()
    }

    /// Executes the commands that have arrived, and reports the state.
    pub(super) fn obey(&mut self, since_began: Duration) {
        let Some(mut desk) = self.desk.take() else { return };
        if self.reader.turns.rings.take_others() {
            desk.control.look();
        }
        while let Some(command) = desk.control.command() {
            // Events from before the command are handled as before.
            let _ = self.reader.turns.rings.look();
            self.reader.turn(0..0);
            let done = self.carry_out(command, &mut desk);
            desk.control.answer(done);
        }
        let at = u64::try_from(since_began.as_nanos()).unwrap_or(u64::MAX);
        desk.control.tell(&State { at, length: 0, speed: 1.0, paused: desk.paused, repeat: false });
        self.desk = Some(desk);
    }

    fn carry_out(&mut self, command: Command, desk: &mut Desk) -> Result<(), Refused> {
        match command {
            Command::Pause => {
                self.instance.stop()?;
                desk.paused = true;
            }
            Command::Resume => {
                self.instance.start()?;
                desk.paused = false;
            }
            // The desk has refused these: a live trace runs in the kernel's time.
            Command::Speed(_) | Command::Seek(_) | Command::Loop(_) => {}
            Command::Rate(rate) => self.change(&Change::Rate(rate.map(|rate| rate.div_ceil(self.readers as u32)))),
            Command::Switch(switched) => return self.switch(&switched, desk),
            Command::Filter(events, condition) => self.filter(&events, condition.as_deref())?,
            Command::Pids(pids) => self.only(&pids, desk)?,
            Command::Aggregate(options) => self.aggregate(options)?,
            Command::Names(names) => {
                // The outputs find out which names are needed when they format them.
                self.reader.pipeline.outputs().set_names(names);
                let kernel = names.then(|| self.kernel_for(&[]));
                self.change(&Change::Names(names, kernel));
            }
        }
        Ok(())
    }

    /// Tells every reader.
    fn change(&mut self, change: &Change) {
        self.shared.change(change);
        self.reader.change(change);
    }

    /// Enables and disables events in the kernel, and tells the readers which ones to output.
    fn switch(&mut self, switched: &Arc<Switched>, desk: &mut Desk) -> Result<(), Refused> {
        let more: Vec<_> = switched.on.difference(&desk.on).cloned().collect();
        let fewer: Vec<_> = desk.on.difference(&switched.on).cloned().collect();
        let mut refused = Refused::default();
        let mut formats = Vec::new();
        for event in &more {
            match self.tracefs.format(event).map(|text| EventFormat::parse(&event.system, &text, self.long)) {
                Ok(Ok(format)) => formats.push(Arc::new(format)),
                Ok(Err(error)) => refuse(&mut refused, event, &error),
                Err(error) => refuse(&mut refused, event, &error),
            }
        }
        // Muted before they are enabled, where they are to be muted.
        let kernel = self.says_names().then(|| self.kernel_for(&formats));
        if !formats.is_empty() {
            self.change(&Change::Add(formats.clone(), kernel));
        }
        self.change(&Change::Silence(switched.clone()));
        let mut enable: Vec<_> = formats.iter().map(|format| EventName::new(&format.system, &format.name)).collect();
        if let Some(feedback) = &mut self.feedback {
            feedback.add(self.instance, formats.iter().map(|format| &**format))?;
        }
        for (event, condition) in conditions(&desk.filters, &enable) {
            self.filter(&[event], Some(&condition))?;
        }
        enable.retain(|event| !is_kept(event));
        match self.instance.enable(&enable) {
            Ok(enabled) => enabled.failures.iter().for_each(|failure| {
                refuse(&mut refused, &failure.event, failure);
            }),
            Err(TracefsError::NothingEnabled(why)) => {
                refused.why = why.join("; ");
                refused.events.append(&mut enable);
            }
            Err(error) => return Err(error.into()),
        }
        for event in &fewer {
            if is_kept(event) {
                continue;
            }
            self.instance.disable(event)?;
        }
        desk.on = switched.on.difference(&refused.events.iter().cloned().collect()).cloned().collect();
        if refused.events.is_empty() { Ok(()) } else { Err(refused) }
    }

    /// Gives events another filter; if the kernel refuses it for one of them, all keep theirs.
    fn filter(&mut self, events: &[EventName], condition: Option<&str>) -> Result<(), Refused> {
        let before = events.iter().map(|event| self.instance.condition(event)).collect::<Result<Vec<_>, _>>()?;
        let mut done = Ok(());
        for event in events {
            let ours = self.feedback.as_ref().and_then(|feedback| feedback.condition(event, condition));
            done = self.instance.replace_filter(event, ours.as_deref().or(condition));
            if done.is_err() {
                break;
            }
        }
        match done {
            Ok(()) => {
                let mut feedback = self.feedback.as_mut();
                events
                    .iter()
                    .for_each(|event| feedback.iter_mut().for_each(|guard| guard.set_condition(event, condition)));
                Ok(())
            }
            Err(error) => {
                for (event, condition) in events.iter().zip(before) {
                    // A refused filter also removes the previous one (`apply_event_filter`).
                    let _ = self.instance.replace_filter(event, condition.as_deref());
                }
                Err(error.into())
            }
        }
    }

    /// Restricts tracing to these processes and their children; without any, traces all.
    fn only(&mut self, pids: &[u32], desk: &Desk) -> Result<(), TracefsError> {
        if !pids.is_empty() {
            self.instance.follow_forks()?;
        }
        // The list can only be emptied and then filled; in between, the kernel would trace every process.
        self.instance.stop()?;
        let done = self.instance.only_these_processes(pids);
        if !desk.paused {
            self.instance.start()?;
        }
        done
    }

    fn aggregate(&mut self, options: Option<AggregateOptions>) -> Result<(), Refused> {
        if let Some(options) = &options {
            let formats: Vec<_> = self.reader.pipeline.event_counts().map(|(format, _)| format.clone()).collect();
            options.fields.iter().try_for_each(|field| field.check(formats.iter().map(|format| &**format)))?;
        }
        self.change(&Change::Aggregate(options));
        Ok(())
    }

    fn says_names(&mut self) -> bool {
        self.reader.pipeline.outputs().says_names()
    }

    /// The kernel's names that the current events and `more` need.
    fn kernel_for(&mut self, more: &[Arc<EventFormat>]) -> Arc<Kernel> {
        let known = self.reader.pipeline.event_counts().map(|(format, _)| (**format).clone());
        let formats: Vec<_> = known.chain(more.iter().map(|format| (**format).clone())).collect();
        let abi = self.reader.pipeline.kernel().abi;
        let names = names::of_events(self.tracefs, &formats, self.reader.pipeline.outputs(), &mut |_| {});
        Arc::new(Kernel { abi, names })
    }
}

/// Events that stay enabled in the kernel throughout, selected or not: they carry task names.
fn is_kept(event: &EventName) -> bool {
    event.system == "task" && names::TASK_EVENTS.contains(&event.name.as_str())
}

fn refuse(refused: &mut Refused, event: &EventName, why: &dyn std::fmt::Display) {
    if refused.why.is_empty() {
        refused.why = why.to_string();
    }
    refused.events.push(event.clone());
}
