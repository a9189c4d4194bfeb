//! The state that a part's events leave for the lines after it, found by a first look through the part's records,
//! which costs a fraction of what making lines costs.
//!
//! It is what a [`Pipeline`](crate::pipeline::Pipeline) and its text would keep of these records.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

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
    /// The CPUs that had a line, and the number of lines; where only the kernel's text is printed, 2 stands for more.
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
    /// The number of rings, if only the kernel's text is printed: it depends on which CPUs had a line, and on whether there was
    /// one, and both are known after a few records.
    text_of: Option<usize>,
    /// The CPU of the last line.
    cpu: Option<u32>,
    found: Before,
}

impl<'a> Look<'a> {
    /// With `text_of`, only the kernel's text of so many rings is printed.
    pub(super) fn new(
        table: &'a EventTable,
        tasks: &'a BTreeMap<EventId, TaskEvent>,
        text_of: Option<usize>,
    ) -> Look<'a> {
        let ids = table.iter().map(|format| format.id.index() + 1).max().unwrap_or(0);
        Look { table, tasks, last: vec![u64::MAX; ids], text_of, cpu: None, found: Before::default() }
    }

    /// Breaks off when everything is known.
    #[inline]
    pub(super) fn record<E: ByteOrder>(&mut self, record: &Record<'_>) -> ControlFlow<()> {
        let Some(id) = EventId::of::<E>(record.bytes) else {
            return ControlFlow::Continue(());
        };
        let found = &mut self.found;
        found.lines += 1;
        if self.cpu != Some(record.cpu) {
            self.cpu = Some(record.cpu);
            found.cpus.insert(record.cpu);
        }
        let known = self.last.get_mut(id.index()).filter(|last| **last != u64::MAX || self.table.get(id).is_some());
        found.first.get_or_insert(known.is_some().then_some(id));
        if let Some(rings) = self.text_of {
            let all = found.lines > 1 && found.cpus.len() >= rings;
            return if all { ControlFlow::Break(()) } else { ControlFlow::Continue(()) };
        }
        let Some(last) = known else { return ControlFlow::Continue(()) };
        *last = record.time;
        // Nearly always empty, or one of two.
        if !self.tasks.is_empty()
            && let Some((pid, name)) = self.tasks.get(&id).and_then(|task| task.read::<E>(record.bytes))
        {
            found.names.insert(pid, name.to_vec());
        }
        ControlFlow::Continue(())
    }

    /// The result.
    pub(super) fn end(self) -> Before {
        let occurred = self.last.iter().enumerate().filter(|(_, last)| **last != u64::MAX);
        Before { last: occurred.map(|(id, last)| (EventId(id as u16), *last)).collect(), ..self.found }
    }
}

#[cfg(test)]
mod tests {
    use byteorder::LittleEndian;

    use super::*;
    use crate::format::{EventFormat, LongSize};

    #[test]
    fn a_look_for_the_text_ends_when_every_cpu_has_a_line_and_one_for_types_does_not() {
        let text = "name: e\nID: 7\nformat:\n\tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;\n\
                    \tfield:int common_pid;\toffset:4;\tsize:4;\tsigned:1;\n\nprint fmt: \"\"\n";
        let table = EventTable::new([EventFormat::parse("s", text, LongSize::Eight).unwrap()]);
        let tasks = task_events(&table);
        let look = |text_of| {
            let mut look = Look::new(&table, &tasks, text_of);
            let records = [(0, 10, 7), (0, 20, 9), (1, 30, 7), (0, 40, 7)];
            let ended = records.into_iter().position(|(cpu, time, id)| {
                let bytes = [id, 0, 0, 0, 1, 0, 0, 0];
                let record = Record { cpu, time, ticks: time, lost: Default::default(), bytes: &bytes };
                look.record::<LittleEndian>(&record).is_break()
            });
            (ended, look.end())
        };
        let (ended, found) = look(Some(2));
        assert_eq!((ended, found.lines, found.first), (Some(2), 3, Some(Some(EventId(7)))));
        assert_eq!(found.cpus, BTreeSet::from([0, 1]));
        assert_eq!(look(Some(3)).0, None);
        let (ended, found) = look(None);
        assert_eq!((ended, found.lines), (None, 4));
        assert_eq!(found.last, BTreeMap::from([(EventId(7), 40)]));
    }
}
