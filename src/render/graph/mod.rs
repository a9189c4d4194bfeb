//! The layout of the function-graph tracer: durations, braces, task switches (kernel/trace/trace_functions_graph.c).
//!
//! ```text
//!   29.076925 |   1)     init-1     |   1.723 us    |  cgroup_fork();
//!   29.076931 |   1)     init-1     |               |  sched_fork() {
//!   29.076936 |   1)     init-1     |   9.985 us    |    __sched_fork();
//!   29.076948 |   1)     init-1     | + 16.956 us   |  }
//! ```
//!
//! A leaf (a function that calls no other) is printed on one line, which needs its return: the next record of the
//! same CPU. So an entry's line, and all later lines of any CPU, are held back until that record.

mod funcgraph;
mod options;
#[cfg(test)]
mod tests;
mod writer;

use std::collections::{HashMap, VecDeque};

pub(super) use funcgraph::{Entry, EntryFields, Exit, ExitFields};
pub use options::GraphOptions;
use writer::Writer;

use super::line::{Common, LineOptions};
use crate::names::Names;

/// Where and when a record was written.
#[derive(Debug, Clone, Copy)]
pub(in crate::render) struct At {
    pub(in crate::render) cpu: u32,
    pub(in crate::render) time: u64,
    pub(in crate::render) common: Common,
}

/// FTRACE_RETFUNC_DEPTH: how deep calls are followed.
const MAX_DEPTH: i64 = 50;

/// The most lines held back; an entry that waits longer is printed as one that calls others.
const MAX_HELD: usize = 1 << 16;

/// The state that the tracer keeps for one CPU (`struct fgraph_cpu_data`).
#[derive(Debug, Clone, Default)]
struct Cpu {
    last_pid: Option<i32>,
    depth: i64,
    enter_funcs: HashMap<i64, u64>,
    /// An entry that waits for the next record, and the number of its line.
    waiting: Option<(At, Entry, u64)>,
}

/// The lines of the function-graph tracer.
#[derive(Debug, Clone, Default)]
pub(in crate::render) struct Graph {
    options: GraphOptions,
    cpus: HashMap<u32, Cpu>,
    /// Lines in order of time; none for an entry that still waits. The first has number `first`.
    held: VecDeque<Option<Vec<u8>>>,
    first: u64,
}

/// What the text depends on.
#[derive(Clone, Copy)]
pub(in crate::render) struct With<'a> {
    pub(in crate::render) names: &'a Names,
    pub(in crate::render) options: &'a LineOptions,
}

impl Graph {
    pub(in crate::render) fn new(options: GraphOptions) -> Graph {
        Graph { options, ..Graph::default() }
    }

    /// Prints a function's entry.
    pub(in crate::render) fn entry(&mut self, out: &mut Vec<u8>, at: At, entry: Entry, with: With<'_>) {
        self.settle(at.cpu, with);
        let number = self.first + self.held.len() as u64;
        self.cpus.entry(at.cpu).or_default().waiting = Some((at, entry, number));
        self.hold(out, None, with);
    }

    /// Prints a function's return.
    pub(in crate::render) fn exit(&mut self, out: &mut Vec<u8>, at: At, exit: Exit, with: With<'_>) {
        let options = self.options;
        let cpu = self.cpus.entry(at.cpu).or_default();
        // `get_return_for_leaf`.
        let leaf = cpu.waiting.filter(|(of, entry, _)| of.common.pid == at.common.pid && entry.func == exit.func);
        let mut text = Vec::new();
        if let Some((of, entry, number)) = leaf {
            cpu.waiting = None;
            Writer { out: &mut text, options, with }.leaf(cpu, of, entry, exit);
            self.fill(number, text);
        } else {
            self.settle(at.cpu, with);
            let cpu = self.cpus.entry(at.cpu).or_default();
            Writer { out: &mut text, options, with }.exit(cpu, at, exit);
            self.hold(out, Some(text), with);
        }
        self.release(out);
    }

    /// Prints any other event: `text` goes between `/*` and `*/`, without its line break.
    pub(in crate::render) fn comment(
        &mut self,
        out: &mut Vec<u8>,
        at: At,
        with: With<'_>,
        write: impl FnOnce(&mut Vec<u8>),
    ) {
        let mut text = self.begin_comment(at, with);
        write(&mut text);
        if text.last() == Some(&b'\n') {
            text.pop();
        }
        text.extend_from_slice(b" */\n");
        self.hold(out, Some(text), with);
    }

    /// Prints an unknown event: `print_graph_comment` begins its line before it finds out, and what `write` appends,
    /// an ordinary line, follows on it.
    pub(in crate::render) fn unhandled(
        &mut self,
        out: &mut Vec<u8>,
        at: At,
        with: With<'_>,
        write: impl FnOnce(&mut Vec<u8>),
    ) {
        let mut text = self.begin_comment(at, with);
        write(&mut text);
        self.hold(out, Some(text), with);
    }

    /// The part that `print_graph_comment` prints before an event's own text.
    fn begin_comment(&mut self, at: At, with: With<'_>) -> Vec<u8> {
        self.settle(at.cpu, with);
        let options = self.options;
        let cpu = self.cpus.entry(at.cpu).or_default();
        let mut text = Vec::new();
        Writer { out: &mut text, options, with }.before_comment(cpu, at);
        text
    }

    /// Prints an event that the tracer leaves to the ordinary layout.
    pub(in crate::render) fn plain(
        &mut self,
        out: &mut Vec<u8>,
        cpu: u32,
        with: With<'_>,
        write: impl FnOnce(&mut Vec<u8>),
    ) {
        self.settle(cpu, with);
        let mut text = Vec::new();
        write(&mut text);
        self.hold(out, Some(text), with);
    }

    /// Prints what was held back: there are no more records.
    pub(in crate::render) fn finish(&mut self, out: &mut Vec<u8>, with: With<'_>) {
        let cpus: Vec<u32> = self.cpus.keys().copied().collect();
        cpus.into_iter().for_each(|cpu| self.settle(cpu, with));
        self.release(out);
    }

    /// Appends a line to the queue, and prints those that need not wait.
    fn hold(&mut self, out: &mut Vec<u8>, line: Option<Vec<u8>>, with: With<'_>) {
        self.held.push_back(line);
        if self.held.len() > MAX_HELD {
            let cpus: Vec<u32> = self.cpus.keys().copied().collect();
            cpus.into_iter().for_each(|cpu| self.settle(cpu, with));
        }
        self.release(out);
    }

    /// The entry that waits on `cpu` calls others: its line opens a brace.
    fn settle(&mut self, cpu: u32, with: With<'_>) {
        let options = self.options;
        let Some(cpu) = self.cpus.get_mut(&cpu) else { return };
        let Some((at, entry, number)) = cpu.waiting.take() else { return };
        let mut text = Vec::new();
        Writer { out: &mut text, options, with }.nested(cpu, at, entry);
        self.fill(number, text);
    }

    fn fill(&mut self, number: u64, text: Vec<u8>) {
        if let Some(line) = number.checked_sub(self.first).and_then(|index| self.held.get_mut(index as usize)) {
            *line = Some(text);
        }
    }

    /// Prints the lines before the first that still waits.
    fn release(&mut self, out: &mut Vec<u8>) {
        while let Some(Some(text)) = self.held.front() {
            out.extend_from_slice(text);
            self.held.pop_front();
            self.first += 1;
        }
    }
}
