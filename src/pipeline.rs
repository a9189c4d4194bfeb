//! The one way of a record: source → record → plan → message → datagram.
//!
//! [`Pipeline::record`] is what the [live](crate::live) and the [replay](crate::replay) loop call for each record; from
//! there on they are the same. It finds the event by its id, works out when it happened and who was running, and hands it
//! to every [`Output`].

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
    /// Records that are not what their format says.
    pub malformed: u64,
    /// The first such record's error, with its event.
    pub first_error: Option<(String, EncodeError)>,
    /// Records of an id that no format describes.
    pub unknown: u64,
}

/// What became of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It was taken, or counted as malformed.
    Done,
    /// No format describes it: the caller may read the formats again, [add](Pipeline::add) the event and offer the
    /// record once more.
    Unknown(EventId),
}

/// Finds a task's name by pid, when the pid is first met.
pub type AskComm = Box<dyn FnMut(i32) -> Option<Vec<u8>> + Send>;

/// Takes the name of a task from an event, with its pid.
pub type TellName = Box<dyn FnMut(i32, &[u8]) + Send>;

struct EventState {
    format: Arc<EventFormat>,
    /// Where `common_pid` stands.
    pid: PidPlace,
    /// When it last occurred, trace clock; before the first time later than any time.
    last: u64,
    count: u64,
    /// Asked for by nobody: it only tells of task names.
    hidden: bool,
    /// Not to be heard for now.
    muted: bool,
    task: Option<TaskEvent>,
    /// Whether any of the three holds: one question of the many records of which none does.
    apart: bool,
}

/// The events that tell of task names, and where in their records the names stand.
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
    /// The name last asked for.
    learned: Comm,
    ask: AskComm,
    tell: Option<TellName>,
    /// Added to a time of the trace clock, it gives ns since 1970.
    wall_offset: u64,
    /// No event is said to have happened before this, ns since 1970: the time of the last one before the offset became less.
    least: u64,
    /// The trace clock counts something that is no time.
    ticks: bool,
    counts: Counts,
}

/// The most by which a clock is corrected, and not set, at a time.
const CORRECTED_NS: u64 = 1_000_000_000;
/// `TASK_COMM_LEN`.
const COMM_LEN: usize = 16;

impl<O: Output> Pipeline<O> {
    /// A pipeline from records of `kernel` to `outputs`. `ask` names tasks.
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

    /// Takes up all events of a table.
    pub fn add_all(&mut self, table: &EventTable) {
        table.iter().for_each(|format| self.add(format, false));
    }

    /// Takes up an event, or another event of the same id. A `hidden` one goes to no output; it is read for the task
    /// names it tells of.
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

    /// Lets the outputs take up all events again, in another form; with other `names`, if there are any.
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

    /// Mutes the events of which `silent` holds, and no other: their records are read and counted, and go to no output.
    pub fn mute(&mut self, silent: impl Fn(&EventFormat) -> bool) {
        for state in self.events.iter_mut().flatten() {
            state.muted = silent(&state.format);
            state.apart = state.hidden || state.muted || state.task.is_some();
        }
    }

    /// Sets which time of day the trace clock's times are: `trace_ns` is `unix_ns`. Where that corrects a clock that was ahead a
    /// little, no event's time lies before that of one that came earlier.
    pub fn pair_clocks(&mut self, trace_ns: u64, unix_ns: u64) {
        let before = std::mem::replace(&mut self.wall_offset, unix_ns.wrapping_sub(trace_ns));
        self.least = match before.wrapping_sub(self.wall_offset) {
            1..CORRECTED_NS => {
                let last = self.events.iter().flatten().map(|state| state.last).filter(|last| *last != u64::MAX).max();
                last.map_or(0, |last| last.wrapping_add(before)).max(self.least)
            }
            // Set forward, it needs no help; set back by this much, somebody did so.
            _ if before < self.wall_offset => self.least,
            _ => 0,
        };
    }

    /// Says that the trace clock counts something that is no time: events then have no time of day, which is 0, and none since
    /// their last occurrence.
    pub fn count_ticks(&mut self) {
        self.ticks = true;
    }

    /// The time of day, ns since 1970, of a time of the trace clock.
    #[inline]
    pub fn unix_ns(&self, trace_ns: u64) -> u64 {
        trace_ns.wrapping_add(self.wall_offset)
    }

    /// One record. `play_ns` is when it is heard, ns since 1970, where that is not the time it happened at.
    #[inline(never)]
    pub fn record<E: ByteOrder>(&mut self, record: Record<'_>, play_ns: Option<u64>) -> Outcome {
        self.counts.read += 1;
        let Some(id) = record.bytes.first_chunk::<2>().map(|b| EventId(E::read_u16(b))) else {
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
            // Not divided: that would be a quarter of the time an event takes here.
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

    /// Shows a record of an event that nobody knows, where the kernel would print that it does not
    /// (`Unknown type 999`, `print_trace_fmt`).
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

    /// Takes back that a record of an unknown id was counted, since it is offered again.
    pub fn offer_again(&mut self) {
        self.counts.read -= 1;
        self.counts.unknown -= 1;
    }

    /// Lets `tell` know of every task's name that an event tells of: other pipelines may need it.
    pub fn tell_names(&mut self, tell: TellName) {
        self.tell = Some(tell);
    }

    /// The name of a task, from elsewhere than an event.
    pub fn name(&mut self, pid: i32, comm: &[u8]) {
        self.comms.set(pid, comm);
    }

    /// The names of tasks met so far.
    pub fn names(&self) -> impl Iterator<Item = (i32, &str)> {
        self.comms.iter()
    }

    /// Goes on behind events that others had: when each that is known last occurred, on the trace clock.
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

    /// Whether an event of this id was taken up.
    pub fn knows(&self, id: EventId) -> bool {
        self.events.get(id.index()).is_some_and(Option::is_some)
    }

    /// Sends what waits.
    pub fn flush(&mut self) {
        self.outputs.flush();
    }

    /// Where events go.
    pub fn outputs(&mut self) -> &mut O {
        &mut self.outputs
    }

    /// The counts so far.
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// The counts so far, which begin again.
    pub fn take_counts(&mut self) -> Counts {
        std::mem::take(&mut self.counts)
    }

    /// How often each event occurred, hidden ones left out.
    pub fn event_counts(&self) -> impl Iterator<Item = (&Arc<EventFormat>, u64)> {
        self.events.iter().flatten().filter(|state| !state.hidden).map(|state| (&state.format, state.count))
    }
}

impl TaskEvent {
    /// `task:task_rename` (at execve and prctl) and `task:task_newtask` tell every change of a task's name when it
    /// happens (include/trace/events/task.h).
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
mod tests {
    use super::*;
    use crate::format::{Abi, Endian, LongSize};
    use crate::names::Names;
    use crate::output::Event;
    use byteorder::LittleEndian;

    /// The times of events.
    #[derive(Default)]
    struct Times(Vec<u64>);

    impl Output for Times {
        fn add(&mut self, _: &Arc<EventFormat>, _: &Kernel) {}

        fn event<E: ByteOrder>(&mut self, event: &Event<'_>) -> Result<(), EncodeError> {
            self.0.push(event.moment.event_ns);
            Ok(())
        }

        fn flush(&mut self) {}
    }

    #[test]
    fn a_clock_that_is_corrected_takes_no_event_back_and_one_that_is_set_does() {
        let text = "name: e\nID: 7\nformat:\n\tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;\n\
                    \tfield:int common_pid;\toffset:4;\tsize:4;\tsigned:1;\n\nprint fmt: \"\"\n";
        let format = Arc::new(EventFormat::parse("s", text, LongSize::Eight).unwrap());
        let abi = Abi { endian: Endian::Little, long: LongSize::Eight };
        let kernel = Arc::new(Kernel { abi, names: Names::default() });
        let mut pipeline = Pipeline::new(kernel, Times::default(), Box::new(|_| None));
        pipeline.add(&format, false);
        let play = |pipeline: &mut Pipeline<Times>, pair: u64, events: &[u64]| {
            pipeline.pair_clocks(0, pair);
            for &time in events {
                let record =
                    Record { cpu: 0, time, ticks: time, lost: Default::default(), bytes: &[7, 0, 0, 0, 1, 0, 0, 0] };
                assert_eq!(pipeline.record::<LittleEndian>(record, None), Outcome::Done);
            }
            std::mem::take(&mut pipeline.outputs().0)
        };
        assert_eq!(play(&mut pipeline, 5000, &[100, 200]), [5100, 5200]);
        // 50 ns back: what comes 10 ns after the last is not before it.
        assert_eq!(play(&mut pipeline, 4950, &[210, 240, 300]), [5200, 5200, 5250]);
        assert_eq!(play(&mut pipeline, 4900, &[310]), [5250]);
        assert_eq!(play(&mut pipeline, 6000, &[320]), [6320]);
        // An hour back, as somebody sets a clock.
        let far = 3_600_000_000_000;
        assert_eq!(play(&mut pipeline, far + 6000, &[330]), [far + 6330]);
        assert_eq!(play(&mut pipeline, 6000, &[340]), [6340]);
    }
}
