//! The state that a part's events leave for the lines after it, found by a first look through the part's records,
//! which costs a fraction of what making lines costs.
//!
//! It is what a [`Pipeline`](crate::pipeline::Pipeline) and its text would keep of these records.

use std::collections::{BTreeMap, BTreeSet};

use byteorder::ByteOrder;

use crate::decode::EventTable;
use crate::format::EventId;
use crate::pipeline::TaskEvent;
use crate::ring::Record;

/// The state that lines depend on.
#[derive(Clone, Default)]
pub(super) struct Before {
    /// When each event last occurred.
    pub(super) last: BTreeMap<EventId, u64>,
    /// The event that occurred first, `Some(None)` if it is an unknown one: without the kernel's release, the form of
    /// the text is guessed from it.
    pub(super) first: Option<Option<EventId>>,
    /// The last names of tasks, as far as events carried them.
    pub(super) names: BTreeMap<i32, Vec<u8>>,
    /// The CPUs that had a line, and the number of lines.
    pub(super) cpus: BTreeSet<u32>,
    pub(super) lines: u64,
}

impl Before {
    /// Adds the state of the events behind these.
    pub(super) fn then(&mut self, part: Before) {
        self.last.extend(part.last);
        self.names.extend(part.names);
        self.cpus.extend(part.cpus);
        self.first = self.first.or(part.first);
        self.lines += part.lines;
    }
}

/// The events of a table that carry task names.
pub(super) fn task_events(table: &EventTable) -> BTreeMap<EventId, TaskEvent> {
    table.iter().filter_map(|format| Some((format.id, TaskEvent::of(format)?))).collect()
}

/// A look through some records.
pub(super) struct Look<'a> {
    table: &'a EventTable,
    tasks: &'a BTreeMap<EventId, TaskEvent>,
    /// When each event last occurred, by id; `u64::MAX`: never.
    last: Vec<u64>,
    /// The CPU of the last line.
    cpu: Option<u32>,
    found: Before,
}

impl<'a> Look<'a> {
    pub(super) fn new(table: &'a EventTable, tasks: &'a BTreeMap<EventId, TaskEvent>) -> Look<'a> {
        let ids = table.iter().map(|format| format.id.index() + 1).max().unwrap_or(0);
        Look { table, tasks, last: vec![u64::MAX; ids], cpu: None, found: Before::default() }
    }

    #[inline]
    pub(super) fn record<E: ByteOrder>(&mut self, record: &Record<'_>) {
        let Some(id) = record.bytes.first_chunk::<2>().map(|id| EventId(E::read_u16(id))) else { return };
        let found = &mut self.found;
        found.lines += 1;
        if self.cpu != Some(record.cpu) {
            self.cpu = Some(record.cpu);
            found.cpus.insert(record.cpu);
        }
        let known = self.last.get_mut(id.index()).filter(|last| **last != u64::MAX || self.table.get(id).is_some());
        found.first.get_or_insert(known.is_some().then_some(id));
        let Some(last) = known else { return };
        *last = record.time;
        // Nearly always empty, or one of two.
        if !self.tasks.is_empty()
            && let Some((pid, name)) = self.tasks.get(&id).and_then(|task| task.read::<E>(record.bytes))
        {
            found.names.insert(pid, name.to_vec());
        }
    }

    /// The result.
    pub(super) fn end(self) -> Before {
        let occurred = self.last.iter().enumerate().filter(|(_, last)| **last != u64::MAX);
        Before { last: occurred.map(|(id, last)| (EventId(id as u16), *last)).collect(), ..self.found }
    }
}
