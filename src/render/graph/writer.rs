//! The columns of a line, from the duration to the closing brace.

use super::{At, Cpu, Entry, Exit, GraphOptions, MAX_DEPTH, With};
use crate::format::LongSize;
use crate::render::{
    arguments,
    line::{LineOptions, write_hex, write_padded, write_signed, write_unsigned},
    symbol,
};

/// The first release that prints a return value as `ret=`, possibly after a return address.
const RET: (u16, u16) = (6, 13);

/// What fills the duration's column if there is no duration (`FLAGS_FILL_…`).
#[derive(Clone, Copy)]
enum Fill {
    Full,
    Start,
    End,
}

pub(super) struct Writer<'a> {
    pub(super) out: &'a mut Vec<u8>,
    pub(super) options: GraphOptions,
    pub(super) with: With<'a>,
}

impl Writer<'_> {
    /// `print_graph_entry_leaf`.
    pub(super) fn leaf(&mut self, cpu: &mut Cpu, at: At, entry: Entry, exit: Exit) {
        self.prologue(cpu, at, Some((entry.func, b"==========>")));
        // Comments are indented one deeper than their function; a leaf contains none.
        cpu.depth = entry.depth - 1;
        cpu.enter_funcs.remove(&entry.depth);
        self.duration(exit.duration);
        self.indent(entry.depth);
        self.call(entry);
        self.out.push(b';');
        let retaddr = entry.retaddr.filter(|_| self.options.retaddr);
        let retval = exit.retval.filter(|_| self.options.retval);
        if retaddr.is_some() || retval.is_some() {
            self.out.extend_from_slice(b" /*");
            retaddr.into_iter().for_each(|address| self.return_address(address, entry.long));
            retval.into_iter().for_each(|value| self.return_value(value, exit.long));
            self.out.extend_from_slice(b" */");
        }
        self.out.push(b'\n');
        self.interrupt(at, exit.func, b"<==========");
    }

    /// `print_graph_entry_nested`.
    pub(super) fn nested(&mut self, cpu: &mut Cpu, at: At, entry: Entry) {
        self.prologue(cpu, at, Some((entry.func, b"==========>")));
        cpu.depth = entry.depth;
        if (0..MAX_DEPTH).contains(&entry.depth) {
            cpu.enter_funcs.insert(entry.depth, entry.func);
        }
        self.fill(Fill::Full);
        self.indent(entry.depth);
        self.call(entry);
        self.out.extend_from_slice(b" {");
        if let Some(address) = entry.retaddr.filter(|_| self.options.retaddr) {
            self.out.extend_from_slice(b" /*");
            self.return_address(address, entry.long);
            self.out.extend_from_slice(b" */");
        }
        self.out.push(b'\n');
    }

    /// `print_graph_return`.
    pub(super) fn exit(&mut self, cpu: &mut Cpu, at: At, exit: Exit) {
        cpu.depth = exit.depth - 1;
        // A return without its entry before it names its function.
        let followed = (0..MAX_DEPTH).contains(&exit.depth);
        let matches = !followed || cpu.enter_funcs.remove(&exit.depth) == Some(exit.func);
        self.prologue(cpu, at, None);
        self.duration(exit.duration);
        self.indent(exit.depth);
        self.out.push(b'}');
        let retval = exit.retval.filter(|_| self.options.retval);
        if !matches || self.options.tail || retval.is_some() {
            self.out.extend_from_slice(b" /* ");
            symbol::write_name(self.out, exit.func, self.with.names);
            retval.into_iter().for_each(|value| self.return_value(value, exit.long));
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

    /// `vfs_read(file=0x…, buf=0x…)`, or `vfs_read()` for a record without arguments.
    fn call(&mut self, entry: Entry) {
        symbol::write_name(self.out, entry.func, self.with.names);
        match &entry.args {
            Some(args) => arguments::write(self.out, args, entry.func, entry.long, self.with),
            None => self.out.extend_from_slice(b"()"),
        }
    }

    /// `print_graph_retaddr`: ` <-ksys_read+0x10/0x40`.
    fn return_address(&mut self, address: u64, long: usize) {
        let options = LineOptions { sym_offset: true, ..*self.with.options };
        self.out.extend_from_slice(b" <-");
        let long = if long == 4 { LongSize::Four } else { LongSize::Eight };
        symbol::write_ip(self.out, address, self.with.names, &options, long);
    }

    /// `print_graph_retval`: ` ret=0x40`, an error number as ` ret=-22`; ` = 0x40` before 6.13.
    fn return_value(&mut self, value: u64, long: usize) {
        let equals: &[u8] = if self.with.options.release >= RET { b" ret=" } else { b" = " };
        self.out.extend_from_slice(equals);
        let error = match long {
            // The function may return `int`; then only the lower half is defined.
            8 if value >> 31 == 1 => value as u32 as i32 as i64,
            8 => value as i64,
            _ => i64::from(value as u32 as i32),
        };
        if !self.options.retval_hex && (-4095..0).contains(&error) {
            return write_signed(self.out, error);
        }
        self.out.extend_from_slice(b"0x");
        write_hex(self.out, value, 1);
    }

    /// `print_graph_comment`, up to `/* `.
    pub(super) fn before_comment(&mut self, cpu: &mut Cpu, at: At) {
        self.prologue(cpu, at, None);
        self.fill(Fill::Full);
        if cpu.depth > 0 {
            self.indent(cpu.depth + 1);
        }
        self.out.extend_from_slice(b"/* ");
    }

    /// `print_graph_prologue`: a task switch, an interrupt's arrow, the columns.
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
            // Truncated, while times are rounded everywhere else.
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

    /// `print_graph_proc`: seven letters of the name, and the pid, centred in fourteen columns.
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

    /// `print_graph_duration` without a duration.
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
            // Seven digits in all: the fraction is shortened.
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
