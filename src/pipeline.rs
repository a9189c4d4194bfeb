//! The path of a record: source → record → plan → message → datagram.
//!
//! [`Pipeline::record`] is called for each record by the [live](crate::live) and by the [replay](crate::replay) loop;
//! from there on they are the same. It finds the event by id, works out when it occurred and which task was running,
//! and passes it to every [`Output`].

use std::sync::Arc;

use byteorder::ByteOrder;

use crate::decode::{EventTable, PidPlace};
use crate::format::{EventFormat, EventId};
use crate::names::Kernel;
use crate::osc::stream::Moment;
use crate::osc::timetag;
use crate::osc::{Comm, Comms, EncodeError};
use crate::output::{Event, Output};
use crate::ring::Record;

/// Counts over all records.
#[derive(Debug, Clone, Default)]
pub struct Counts {
    /// Records read.
    pub read: u64,
    /// Records that do not match their format.
    pub malformed: u64,
    /// The first such record's error, with its event.
    pub first_error: Option<(String, EncodeError)>,
    /// Records of an id that no format describes.
    pub unknown: u64,
}

/// The result of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It was processed, or counted as malformed.
    Done,
    /// No format has this id: the caller may read the formats again, [add](Pipeline::add) the event and offer the
    /// record again.
    Unknown(EventId),
}

/// Returns a task's name when its pid first occurs.
pub type AskComm = Box<dyn FnMut(i32) -> Option<Vec<u8>> + Send>;

/// Receives the name of a task from an event, with its pid.
pub type TellName = Box<dyn FnMut(i32, &[u8]) + Send>;

struct EventState {
    format: Arc<EventFormat>,
    /// The place of `common_pid`.
    pid: PidPlace,
    /// When it last occurred, trace clock; before the first occurrence, later than any time.
    last: u64,
    count: u64,
    /// Not requested; read only for task names.
    hidden: bool,
    /// Muted for now.
    muted: bool,
    task: Option<TaskEvent>,
    /// Whether any of these three applies: one check for the many records to which none does.
    apart: bool,
}

/// The events that contain task names, and the places of these.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TaskEvent {
    pid: usize,
    comm: usize,
}

/// From record to outputs. See the [module](self).
pub struct Pipeline<O> {
    events: Vec<Option<EventState>>,
    outputs: O,
    kernel: Arc<Kernel>,
    comms: Comms,
    /// The name that was returned last.
    learned: Comm,
    ask: AskComm,
    tell: Option<TellName>,
    /// The difference between a time of the trace clock and ns since 1970.
    wall_offset: u64,
    /// No event's time is before this, ns since 1970: the time of the last event before the offset became smaller.
    least: u64,
    /// The trace clock does not count time.
    ticks: bool,
    counts: Counts,
}

/// The largest correction that is not taken as setting the clock.
const CORRECTED_NS: u64 = 1_000_000_000;
/// `TASK_COMM_LEN`.
const COMM_LEN: usize = 16;

impl<O: Output> Pipeline<O> {
    /// A pipeline from records of `kernel` to `outputs`. `ask` returns task names.
    pub fn new(kernel: Arc<Kernel>, outputs: O, ask: AskComm) -> Pipeline<O> {
        let (comms, counts) = (Comms::new(), Counts::default());
        Pipeline {
            events: vec![],
            outputs,
            kernel,
            comms,
            learned: Comm::EMPTY,
            ask,
            tell: None,
            wall_offset: 0,
            least: 0,
            ticks: false,
            counts,
        }
    }

    /// Adds all events of a table.
    pub fn add_all(&mut self, table: &EventTable) {
        table.shared().for_each(|format| self.add(format, false));
    }

    /// Adds an event, replacing one with the same id. A `hidden` event goes to no output; it is read for task names.
    pub fn add(&mut self, format: &Arc<EventFormat>, hidden: bool) {
        let index = format.id.index();
        if self.events.len() <= index {
            self.events.resize_with(index + 1, || None);
        }
        if !hidden {
            self.outputs.add(format, &self.kernel);
        }
        let task = TaskEvent::of(format);
        let same = |state: &&EventState| state.format.system == format.system && state.format.name == format.name;
        let before = self.events[index].as_ref().filter(same).map(|state| (state.last, state.count));
        let (last, count) = before.unwrap_or((u64::MAX, 0));
        let state = EventState {
            format: format.clone(),
            pid: PidPlace::of(format),
            last,
            count,
            hidden,
            muted: false,
            apart: hidden || task.is_some(),
            task,
        };
        self.events[index] = Some(state);
    }

    /// Adds all events to the outputs again, in another form; with other `names`, if given.
    pub fn add_again(&mut self, kernel: Option<Arc<Kernel>>) {
        self.kernel = kernel.unwrap_or_else(|| self.kernel.clone());
        for state in self.events.iter().flatten().filter(|state| !state.hidden) {
            self.outputs.add(&state.format, &self.kernel);
        }
    }

    /// What is known of the kernel.
    pub fn kernel(&self) -> &Arc<Kernel> {
        &self.kernel
    }

    /// Mutes exactly the events for which `silent` is true: their records are read and counted, but go to no output.
    pub fn mute(&mut self, silent: impl Fn(&EventFormat) -> bool) {
        for state in self.events.iter_mut().flatten() {
            state.muted = silent(&state.format);
            state.apart = state.hidden || state.muted || state.task.is_some();
        }
    }

    /// Sets the relation between trace clock and time of day: `trace_ns` is `unix_ns`. If this corrects a clock that
    /// was slightly ahead, no event gets a time before that of an earlier one.
    pub fn pair_clocks(&mut self, trace_ns: u64, unix_ns: u64) {
        let before = std::mem::replace(&mut self.wall_offset, unix_ns.wrapping_sub(trace_ns));
        self.least = match before.wrapping_sub(self.wall_offset) {
            1..CORRECTED_NS => {
                let last = self.events.iter().flatten().map(|state| state.last).filter(|last| *last != u64::MAX).max();
                last.map_or(0, |last| last.wrapping_add(before)).max(self.least)
            }
            // The same, or set forward: what was so still is. Back by this much means that somebody set the clock.
            _ if before <= self.wall_offset => self.least,
            _ => 0,
        };
    }

    /// The trace clock does not count time: events then have the time of day 0, and no time since they last occurred.
    pub fn count_ticks(&mut self) {
        self.ticks = true;
    }

    /// The time of day, ns since 1970, of a time of the trace clock.
    #[inline]
    pub fn unix_ns(&self, trace_ns: u64) -> u64 {
        trace_ns.wrapping_add(self.wall_offset)
    }

    /// Processes one record. `play_ns` is when it is played, ns since 1970, if that differs from when it occurred.
    #[inline(never)]
    pub fn record<E: ByteOrder>(&mut self, record: Record<'_>, play_ns: Option<u64>) -> Outcome {
        self.counts.read += 1;
        let Some(id) = EventId::of::<E>(record.bytes) else {
            self.counts.malformed += 1;
            return Outcome::Done;
        };
        let Some(Some(state)) = self.events.get_mut(id.index()) else {
            self.counts.unknown += 1;
            return Outcome::Unknown(id);
        };
        if state.apart {
            if let Some(task) = state.task {
                task.learn::<E>(record.bytes, &mut self.comms, &mut self.tell);
            }
            if state.hidden {
                self.counts.read -= 1;
                return Outcome::Done;
            }
            if state.muted {
                return Outcome::Done;
            }
        }
        state.count += 1;
        let since = record.time.saturating_sub(state.last);
        state.last = record.time;
        let event_ns = record.time.wrapping_add(self.wall_offset).max(self.least);
        let (event_ns, since, play_ns) = match self.ticks {
            false => (event_ns, since, play_ns),
            true => (0, 0, play_ns.or_else(|| Some(timetag::unix_now_ns()))),
        };
        let pid = state.pid.read::<E>(record.bytes);
        let comm = match self.comms.get(pid) {
            Some(comm) => comm,
            None => {
                self.learned = self.comms.learn(pid, &mut self.ask);
                &self.learned
            }
        };
        let moment = Moment {
            event_ns,
            play_ns: play_ns.unwrap_or(event_ns),
            // Not a division, which would take a quarter of the time that an event takes here.
            dt: (since as i64 as f64 * 1e-6) as f32,
            cpu: record.cpu,
            pid,
            comm,
        };
        if let Err(error) = self.outputs.event::<E>(&Event { id, record, moment }) {
            self.malformed(id, error);
        }
        Outcome::Done
    }

    /// Prints a record of an unknown event, if the kernel would print `Unknown type 999` (`print_trace_fmt`).
    #[cold]
    #[inline(never)]
    pub fn unknown<E: ByteOrder>(&mut self, id: EventId, record: Record<'_>, play_ns: Option<u64>) {
        let pid = record.bytes.get(4..8).map_or(0, E::read_i32);
        let event_ns = if self.ticks { 0 } else { self.unix_ns(record.time) };
        let comm = self.comms.get(pid).unwrap_or(&Comm::EMPTY);
        let moment = Moment { event_ns, play_ns: play_ns.unwrap_or(event_ns), dt: 0.0, cpu: record.cpu, pid, comm };
        self.outputs.unknown::<E>(&Event { id, record, moment }, &self.kernel);
    }

    #[cold]
    #[inline(never)]
    fn malformed(&mut self, id: EventId, error: EncodeError) {
        self.counts.malformed += 1;
        if self.counts.first_error.is_none() {
            let name = self.events.get(id.index()).and_then(|s| s.as_ref()).map(|state| state.format.full_name());
            self.counts.first_error = Some((name.unwrap_or_default(), error));
        }
    }

    /// Undoes counting a record of an unknown id, since it is offered again.
    pub fn offer_again(&mut self) {
        self.counts.read -= 1;
        self.counts.unknown -= 1;
    }

    /// Calls `tell` with every task name in an event, for other pipelines.
    pub fn tell_names(&mut self, tell: TellName) {
        self.tell = Some(tell);
    }

    /// Sets the name of a task from another source than an event.
    pub fn name(&mut self, pid: i32, comm: &[u8]) {
        self.comms.set(pid, comm);
    }

    /// The names of the tasks so far.
    pub fn names(&self) -> impl Iterator<Item = (i32, &str)> {
        self.comms.iter()
    }

    /// Continues after events of another pipeline: when each event last occurred, on the trace clock.
    pub fn go_on(&mut self, last: impl Iterator<Item = (EventId, u64)>) {
        for (id, time) in last {
            if let Some(Some(state)) = self.events.get_mut(id.index()) {
                state.last = time;
            }
        }
    }

    /// When each event last occurred, on the trace clock.
    pub fn last_times(&self) -> impl Iterator<Item = (EventId, u64)> {
        let occurred = self.events.iter().flatten().filter(|state| state.count > 0);
        occurred.map(|state| (state.format.id, state.last))
    }

    /// Whether an event with this id was added.
    pub fn knows(&self, id: EventId) -> bool {
        self.events.get(id.index()).is_some_and(Option::is_some)
    }

    /// Sends what is queued.
    pub fn flush(&mut self) {
        self.outputs.flush();
    }

    /// The outputs.
    pub fn outputs(&mut self) -> &mut O {
        &mut self.outputs
    }

    /// The counts so far.
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Takes the counts so far and resets them.
    pub fn take_counts(&mut self) -> Counts {
        std::mem::take(&mut self.counts)
    }

    /// How often each event occurred, without hidden ones.
    pub fn event_counts(&self) -> impl Iterator<Item = (&Arc<EventFormat>, u64)> {
        self.events.iter().flatten().filter(|state| !state.hidden).map(|state| (&state.format, state.count))
    }
}

impl TaskEvent {
    /// `task:task_rename` (at execve and prctl) and `task:task_newtask` report every change of a task's name
    /// (include/trace/events/task.h).
    pub(crate) fn of(format: &EventFormat) -> Option<TaskEvent> {
        let comm = match (format.system.as_str(), format.name.as_str()) {
            ("task", "task_rename") => "newcomm",
            ("task", "task_newtask") => "comm",
            _ => return None,
        };
        // Since 6.17 `task_rename` has no pid field: the task renames itself.
        let pid = format.field("pid").or_else(|| format.field("common_pid")).filter(|f| f.size == 4)?;
        let comm = format.field(comm).filter(|f| f.size as usize == COMM_LEN)?;
        Some(TaskEvent { pid: pid.offset as usize, comm: comm.offset as usize })
    }

    #[cold]
    #[inline(never)]
    fn learn<E: ByteOrder>(&self, record: &[u8], comms: &mut Comms, tell: &mut Option<TellName>) {
        if let Some((pid, comm)) = self.read::<E>(record) {
            comms.set(pid, comm);
            if let Some(tell) = tell {
                tell(pid, comm);
            }
        }
    }

    /// The task and its name.
    pub(crate) fn read<'r, E: ByteOrder>(&self, record: &'r [u8]) -> Option<(i32, &'r [u8; COMM_LEN])> {
        let pid = record.get(self.pid..)?.first_chunk::<4>()?;
        Some((E::read_i32(pid), record.get(self.comm..)?.first_chunk()?))
    }
}

#[cfg(test)]
mod tests;
