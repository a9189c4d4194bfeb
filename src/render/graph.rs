//! The layout of the function-graph tracer: durations, braces, task switches (kernel/trace/trace_functions_graph.c).
//!
//! ```text
//!   29.076925 |   1)     init-1     |   1.723 us    |  cgroup_fork();
//!   29.076931 |   1)     init-1     |               |  sched_fork() {
//!   29.076936 |   1)     init-1     |   9.985 us    |    __sched_fork();
//!   29.076948 |   1)     init-1     | + 16.956 us   |  }
//! ```
//!
//! A function that calls no other one, a leaf, is one line, which needs its return: the next record of the same CPU. So a
//! line of an entry is held back until that record comes, and with it all later lines, of whatever CPU.

use std::collections::{HashMap, VecDeque};

use byteorder::ByteOrder;

use super::{
    builtin::Number,
    line::{Common, LineOptions, write_padded, write_signed, write_unsigned},
    symbol,
};
use crate::{format::EventFormat, names::Names};

/// The tracer's own options: its part of `trace_options`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GraphOptions {
    /// `funcgraph-cpu`: the CPU's column.
    pub cpu: bool,
    /// `funcgraph-overhead`: `+`, `!`, `#` … before long durations.
    pub overhead: bool,
    /// `funcgraph-proc`: the task's column.
    pub proc: bool,
    /// `funcgraph-duration`: the duration's column.
    pub duration: bool,
    /// `funcgraph-abstime`: the time's column.
    pub abstime: bool,
    /// `funcgraph-tail`: the function's name behind every closing brace.
    pub tail: bool,
    /// `funcgraph-overrun`: how many calls were too deep.
    pub overrun: bool,
    /// The width of a CPU's number.
    pub cpu_width: usize,
}

impl Default for GraphOptions {
    /// The kernel's defaults.
    fn default() -> GraphOptions {
        GraphOptions {
            cpu: true,
            overhead: true,
            proc: false,
            duration: true,
            abstime: false,
            tail: false,
            overrun: false,
            cpu_width: 1,
        }
    }
}

impl GraphOptions {
    /// Sets what the text of a `trace_options` file says.
    pub fn set_trace_options(&mut self, text: &str) {
        for word in text.split_whitespace() {
            let (name, on) = word.strip_prefix("no").map_or((word, true), |name| (name, false));
            let option = match name {
                "funcgraph-cpu" => &mut self.cpu,
                "funcgraph-overhead" => &mut self.overhead,
                "funcgraph-proc" => &mut self.proc,
                "funcgraph-duration" => &mut self.duration,
                "funcgraph-abstime" => &mut self.abstime,
                "funcgraph-tail" => &mut self.tail,
                "funcgraph-overrun" => &mut self.overrun,
                _ => continue,
            };
            *option = on;
        }
    }
}

/// `ftrace:funcgraph_entry`.
#[derive(Debug, Clone, Copy)]
pub(super) struct EntryFields {
    func: Number,
    depth: Number,
}

/// `ftrace:funcgraph_exit`.
#[derive(Debug, Clone, Copy)]
pub(super) struct ExitFields {
    func: Number,
    depth: Number,
    overrun: Number,
    calltime: Number,
    rettime: Number,
}

impl EntryFields {
    pub(super) fn compile(format: &EventFormat) -> Option<EntryFields> {
        let number = |name| Number::of(format, name);
        Some(EntryFields { func: number("func")?, depth: number("depth")? })
    }

    pub(super) fn read<E: ByteOrder>(&self, record: &[u8]) -> Entry {
        Entry { func: self.func.unsigned::<E>(record), depth: self.depth.signed::<E>(record) }
    }
}

impl ExitFields {
    pub(super) fn compile(format: &EventFormat) -> Option<ExitFields> {
        let number = |name| Number::of(format, name);
        Some(ExitFields {
            func: number("func")?,
            depth: number("depth")?,
            overrun: number("overrun")?,
            calltime: number("calltime")?,
            rettime: number("rettime")?,
        })
    }

    pub(super) fn read<E: ByteOrder>(&self, record: &[u8]) -> Exit {
        Exit {
            func: self.func.unsigned::<E>(record),
            depth: self.depth.signed::<E>(record),
            overrun: self.overrun.unsigned::<E>(record),
            duration: self.rettime.unsigned::<E>(record).wrapping_sub(self.calltime.unsigned::<E>(record)),
        }
    }
}

/// A function was entered.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry {
    pub(super) func: u64,
    pub(super) depth: i64,
}

/// A function returned.
#[derive(Debug, Clone, Copy)]
pub(super) struct Exit {
    pub(super) func: u64,
    pub(super) depth: i64,
    overrun: u64,
    duration: u64,
}

/// Where and when a record was written.
#[derive(Debug, Clone, Copy)]
pub(super) struct At {
    pub(super) cpu: u32,
    pub(super) time: u64,
    pub(super) common: Common,
}

/// FTRACE_RETFUNC_DEPTH: how deep calls are followed.
const MAX_DEPTH: i64 = 50;

/// Lines held back at most; an entry that waits longer is taken for one that calls others.
const MAX_HELD: usize = 1 << 16;

/// What the tracer remembers of one CPU (`struct fgraph_cpu_data`).
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
pub(super) struct Graph {
    options: GraphOptions,
    cpus: HashMap<u32, Cpu>,
    /// Lines in the order of time; none where an entry still waits. The first has number `first`.
    held: VecDeque<Option<Vec<u8>>>,
    first: u64,
}

/// What text depends on.
#[derive(Clone, Copy)]
pub(super) struct With<'a> {
    pub(super) names: &'a Names,
    pub(super) options: &'a LineOptions,
}

impl Graph {
    pub(super) fn new(options: GraphOptions) -> Graph {
        Graph { options, ..Graph::default() }
    }

    /// A function was entered.
    pub(super) fn entry(&mut self, out: &mut Vec<u8>, at: At, entry: Entry, with: With<'_>) {
        self.settle(at.cpu, with);
        let number = self.first + self.held.len() as u64;
        self.cpus.entry(at.cpu).or_default().waiting = Some((at, entry, number));
        self.hold(out, None, with);
    }

    /// A function returned.
    pub(super) fn exit(&mut self, out: &mut Vec<u8>, at: At, exit: Exit, with: With<'_>) {
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

    /// Any other event: `text` is written between `/*` and `*/`, without its line break.
    pub(super) fn comment(&mut self, out: &mut Vec<u8>, at: At, with: With<'_>, write: impl FnOnce(&mut Vec<u8>)) {
        self.settle(at.cpu, with);
        let options = self.options;
        let cpu = self.cpus.entry(at.cpu).or_default();
        let mut text = Vec::new();
        Writer { out: &mut text, options, with }.before_comment(cpu, at);
        write(&mut text);
        if text.last() == Some(&b'\n') {
            text.pop();
        }
        text.extend_from_slice(b" */\n");
        self.hold(out, Some(text), with);
    }

    /// An event that the tracer leaves to the ordinary layout.
    pub(super) fn plain(&mut self, out: &mut Vec<u8>, cpu: u32, with: With<'_>, write: impl FnOnce(&mut Vec<u8>)) {
        self.settle(cpu, with);
        let mut text = Vec::new();
        write(&mut text);
        self.hold(out, Some(text), with);
    }

    /// No more records come: writes what was held back.
    pub(super) fn finish(&mut self, out: &mut Vec<u8>, with: With<'_>) {
        let cpus: Vec<u32> = self.cpus.keys().copied().collect();
        cpus.into_iter().for_each(|cpu| self.settle(cpu, with));
        self.release(out);
    }

    /// Puts a line behind the others, and writes those that wait for nothing.
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

    /// Writes the lines before the first that still waits.
    fn release(&mut self, out: &mut Vec<u8>) {
        while let Some(Some(text)) = self.held.front() {
            out.extend_from_slice(text);
            self.held.pop_front();
            self.first += 1;
        }
    }
}

/// What stands in the duration's column where there is none (`FLAGS_FILL_…`).
#[derive(Clone, Copy)]
enum Fill {
    Full,
    Start,
    End,
}

struct Writer<'a> {
    out: &'a mut Vec<u8>,
    options: GraphOptions,
    with: With<'a>,
}

impl Writer<'_> {
    /// `print_graph_entry_leaf`.
    fn leaf(&mut self, cpu: &mut Cpu, at: At, entry: Entry, exit: Exit) {
        self.prologue(cpu, at, Some((entry.func, b"==========>")));
        // Comments stand one deeper than the function they are in; a leaf has none in it.
        cpu.depth = entry.depth - 1;
        cpu.enter_funcs.remove(&entry.depth);
        self.duration(exit.duration);
        self.indent(entry.depth);
        symbol::write_name(self.out, entry.func, self.with.names);
        self.out.extend_from_slice(b"();\n");
        self.interrupt(at, exit.func, b"<==========");
    }

    /// `print_graph_entry_nested`.
    fn nested(&mut self, cpu: &mut Cpu, at: At, entry: Entry) {
        self.prologue(cpu, at, Some((entry.func, b"==========>")));
        cpu.depth = entry.depth;
        if (0..MAX_DEPTH).contains(&entry.depth) {
            cpu.enter_funcs.insert(entry.depth, entry.func);
        }
        self.fill(Fill::Full);
        self.indent(entry.depth);
        symbol::write_name(self.out, entry.func, self.with.names);
        self.out.extend_from_slice(b"() {\n");
    }

    /// `print_graph_return`.
    fn exit(&mut self, cpu: &mut Cpu, at: At, exit: Exit) {
        cpu.depth = exit.depth - 1;
        // Without its entry before it, a return says which function it belongs to.
        let followed = (0..MAX_DEPTH).contains(&exit.depth);
        let matches = !followed || cpu.enter_funcs.remove(&exit.depth) == Some(exit.func);
        self.prologue(cpu, at, None);
        self.duration(exit.duration);
        self.indent(exit.depth);
        self.out.push(b'}');
        if !matches || self.options.tail {
            self.out.extend_from_slice(b" /* ");
            symbol::write_name(self.out, exit.func, self.with.names);
            self.out.extend_from_slice(b" */");
        }
        self.out.push(b'\n');
        if self.options.overrun {
            self.out.extend_from_slice(b" (Overruns: ");
            write_unsigned(self.out, exit.overrun);
            self.out.extend_from_slice(b")\n");
        }
        self.interrupt(at, exit.func, b"<==========");
    }

    /// `print_graph_comment`, up to `/* `.
    fn before_comment(&mut self, cpu: &mut Cpu, at: At) {
        self.prologue(cpu, at, None);
        self.fill(Fill::Full);
        if cpu.depth > 0 {
            self.indent(cpu.depth + 1);
        }
        self.out.extend_from_slice(b"/* ");
    }

    /// `print_graph_prologue`: a switch of tasks, an interrupt's arrow, the columns.
    fn prologue(&mut self, cpu: &mut Cpu, at: At, entered: Option<(u64, &[u8])>) {
        let pid = at.common.pid;
        // `verif_pid`.
        if let Some(previous) = cpu.last_pid.replace(pid).filter(|&previous| previous != pid) {
            const RULE: &[u8] = b" ------------------------------------------\n";
            self.out.extend_from_slice(RULE);
            self.cpu(at.cpu);
            self.proc(previous);
            self.out.extend_from_slice(b" => ");
            self.proc(pid);
            self.out.push(b'\n');
            self.out.extend_from_slice(RULE);
            self.out.push(b'\n');
        }
        if let Some((func, arrow)) = entered {
            self.interrupt(at, func, arrow);
        }
        self.columns(at);
    }

    fn columns(&mut self, at: At) {
        if !self.with.options.context_info {
            return;
        }
        if self.options.abstime {
            // Not rounded, unlike everywhere else.
            let microseconds = at.time / 1000;
            write_padded(self.out, microseconds / 1_000_000, 5, b' ');
            self.out.push(b'.');
            write_padded(self.out, microseconds % 1_000_000, 6, b'0');
            self.out.extend_from_slice(b" |  ");
        }
        if self.options.cpu {
            self.cpu(at.cpu);
        }
        if self.options.proc {
            self.proc(at.common.pid);
            self.out.extend_from_slice(b" | ");
        }
    }

    /// `print_graph_irq`: an arrow on a line of its own where an interrupt's code begins or ends.
    fn interrupt(&mut self, at: At, func: u64, arrow: &[u8]) {
        if !self.with.names.kallsyms.is_irq_entry(func) {
            return;
        }
        self.columns(at);
        self.fill(Fill::Start);
        self.out.extend_from_slice(arrow);
        self.fill(Fill::End);
        self.out.push(b'\n');
    }

    fn cpu(&mut self, cpu: u32) {
        self.out.push(b' ');
        write_padded(self.out, cpu.into(), self.options.cpu_width, b' ');
        self.out.extend_from_slice(b") ");
    }

    /// `print_graph_proc`: seven letters of the name and the pid, centred in fourteen columns.
    fn proc(&mut self, pid: i32) {
        let comm = self.with.names.comms.shown(pid);
        let mut text = comm.get(..7).unwrap_or(comm).to_vec();
        text.push(b'-');
        write_signed(&mut text, pid.into());
        let blanks = 14usize.saturating_sub(text.len());
        self.blanks(blanks / 2);
        self.out.extend_from_slice(&text);
        self.blanks(blanks - blanks / 2);
    }

    /// `print_graph_duration` without one.
    fn fill(&mut self, fill: Fill) {
        if !self.options.duration || !self.with.options.context_info {
            return;
        }
        let text: &[u8] = match fill {
            Fill::Full => b"              |  ",
            Fill::Start => b"  ",
            Fill::End => b" |",
        };
        self.out.extend_from_slice(text);
    }

    /// `print_graph_duration`, `trace_print_graph_duration`: microseconds in eight columns.
    fn duration(&mut self, nanoseconds: u64) {
        if !self.options.duration || !self.with.options.context_info {
            return;
        }
        let mark = match nanoseconds {
            _ if !self.options.overhead => b' ',
            1_000_000_001.. => b'$',
            100_000_001.. => b'@',
            10_000_001.. => b'*',
            1_000_001.. => b'#',
            100_001.. => b'!',
            10_001.. => b'+',
            _ => b' ',
        };
        self.out.extend_from_slice(&[mark, b' ']);
        let start = self.out.len();
        write_unsigned(self.out, nanoseconds / 1000);
        let len = self.out.len() - start;
        if len < 7 {
            self.out.push(b'.');
            let fraction = self.out.len();
            write_padded(self.out, nanoseconds % 1000, 3, b'0');
            // Seven digits in all: the fraction gives way.
            self.out.truncate((fraction + 7 - len).min(fraction + 3));
        }
        let len = self.out.len() - start;
        self.out.extend_from_slice(b" us ");
        self.blanks(8usize.saturating_sub(len));
        self.out.extend_from_slice(b"|  ");
    }

    fn indent(&mut self, depth: i64) {
        self.blanks(2 * depth.clamp(0, 1000) as usize);
    }

    fn blanks(&mut self, count: usize) {
        self.out.resize(self.out.len() + count, b' ');
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::{Comms, Kallsyms};

    fn names() -> Names {
        let kallsyms = b"c0300000 T _stext\nc0300100 T outer\nc0300200 T leaf\nc0300300 T __irqentry_text_start\n\
                         c0300300 T handler\nc0300400 T __irqentry_text_end\nc0300500 D _end\n";
        Names {
            kallsyms: Kallsyms::parse(kallsyms),
            comms: Comms::parse(b"1 init\n15 rcu_preempt\n"),
            ..Names::default()
        }
    }

    const OUTER: u64 = 0xc030_0100;
    const LEAF: u64 = 0xc030_0200;
    const HANDLER: u64 = 0xc030_0300;

    enum Event {
        Enter(u64, i64),
        Leave(u64, i64, u64),
        Comment(&'static str),
    }
    use Event::*;

    fn text(options: &str, events: &[(u32, i32, Event)]) -> String {
        let (names, line) = (names(), LineOptions::default());
        let with = With { names: &names, options: &line };
        let mut graph_options = GraphOptions::default();
        graph_options.set_trace_options(options);
        let mut graph = Graph::new(graph_options);
        let mut out = vec![];
        for (time, (cpu, pid, event)) in (29_076_925_999u64..).step_by(1000).zip(events) {
            let at = At { cpu: *cpu, time, common: Common { flags: 0, preempt_count: 0, pid: *pid } };
            match *event {
                Enter(func, depth) => graph.entry(&mut out, at, Entry { func, depth }, with),
                Leave(func, depth, duration) => {
                    graph.exit(&mut out, at, Exit { func, depth, overrun: 0, duration }, with);
                }
                Comment(text) => graph.comment(&mut out, at, with, |out| out.extend_from_slice(text.as_bytes())),
            }
        }
        graph.finish(&mut out, with);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_leaf_is_one_line_and_a_caller_opens_and_closes_a_brace() {
        let events = [
            (1, 1, Enter(OUTER, 0)),
            (1, 1, Enter(LEAF, 1)),
            (1, 1, Leave(LEAF, 1, 9_985)),
            (1, 1, Leave(OUTER, 0, 16_956)),
        ];
        assert_eq!(
            text("funcgraph-abstime funcgraph-proc", &events),
            "   29.076925 |   1)     init-1     |               |  outer() {\n\
             \x20  29.076926 |   1)     init-1     |   9.985 us    |    leaf();\n\
             \x20  29.076928 |   1)     init-1     | + 16.956 us   |  }\n"
        );
    }

    #[test]
    fn lines_stay_in_the_order_of_time_while_a_leaf_waits_for_its_return() {
        let events = [
            (0, 1, Enter(LEAF, 0)),
            (1, 15, Leave(OUTER, 0, 5)),
            (1, 15, Comment("sched_switch: x\n")),
            (0, 1, Leave(LEAF, 0, 123_456_789)),
        ];
        assert_eq!(
            text("", &events),
            " 0) @ 123456.7 us |  leaf();\n 1)   0.005 us    |  } /* outer */\n 1)               |  /* sched_switch: x */\n"
        );
    }

    #[test]
    fn a_switch_of_tasks_is_shown_between_rules() {
        let events = [(0, 1, Comment("a\n")), (0, 15, Comment("b\n"))];
        let rule = " ------------------------------------------\n";
        assert_eq!(
            text("", &events),
            format!(
                " 0)               |  /* a */\n{rule} 0)     init-1     =>   rcu_pre-15  \n{rule}\n 0)               |  /* b */\n"
            )
        );
    }

    #[test]
    fn an_interrupt_s_code_has_arrows() {
        let events = [(0, 1, Enter(HANDLER, 0)), (0, 1, Leave(HANDLER, 0, 1))];
        assert_eq!(
            text("", &events),
            " 0)   ==========> |\n 0)   0.001 us    |  __irqentry_text_start();\n 0)   <========== |\n"
        );
    }

    #[test]
    fn an_entry_that_waits_for_ever_holds_no_more_than_so_many_lines_back() {
        let (names, line) = (names(), LineOptions::default());
        let with = With { names: &names, options: &line };
        let at = |cpu| At { cpu, time: 0, common: Common { flags: 0, preempt_count: 0, pid: 1 } };
        let mut graph = Graph::new(GraphOptions::default());
        let mut out = vec![];
        graph.entry(&mut out, at(0), Entry { func: LEAF, depth: 0 }, with);
        for _ in 0..=MAX_HELD {
            graph.comment(&mut out, at(1), with, |_| {});
        }
        assert!(out.starts_with(b" 0)               |  leaf() {\n") && graph.held.is_empty());
    }

    #[test]
    fn what_never_returns_is_written_in_the_end() {
        assert_eq!(text("", &[(0, 1, Enter(LEAF, 0))]), " 0)               |  leaf() {\n");
    }
}
