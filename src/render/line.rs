//! The context at the start of the kernel's trace line: task, pid, cpu, flags, time.
//!
//! `    bash-1234    [001] d.h1.    15.926547: ` as printed by `trace_print_context`, `trace_print_lat_fmt` and
//! `trace_print_time` (kernel/trace/trace_output.c, trace.c). The `#` lines at the beginning of the `trace` file are
//! left out.

use crate::{
    format::Endian,
    names::Names,
    ring::{Lost, Record, counts_nanoseconds},
};

/// The trace options and properties of the kernel that affect a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct LineOptions {
    /// The clock counts nanoseconds, so show seconds. `counter`, `uptime`, `x86-tsc` and the like are shown as plain
    /// numbers.
    pub nanoseconds: bool,
    /// Show times after conversion to ns ([`Times`](crate::ring::Times)), as trace-cmd does for its files, and not as
    /// they are in the ring.
    pub converted: bool,
    /// `irq-info`: the column of flags.
    pub irq_info: bool,
    /// `record-tgid`: the column of thread groups.
    pub record_tgid: bool,
    /// `context-info`: the whole context.
    pub context_info: bool,
    /// `print-parent`: the caller of a traced function.
    pub print_parent: bool,
    /// `sym-offset`: `name+0x10/0x40` for `name`.
    pub sym_offset: bool,
    /// `sym-addr`: the address behind the name.
    pub sym_addr: bool,
    /// `annotate`: the lines `##### CPU 1 buffer started ####`.
    pub annotate: bool,
    /// `verbose`: print the types of system calls' arguments.
    pub verbose: bool,
    /// `trace_printk`: without it, `printk-msg-only` has no effect.
    pub trace_printk: bool,
    /// `printk-msg-only`: print only the message of a marker.
    pub printk_msg_only: bool,
    /// `fields`: print every event's fields instead of its print format.
    pub fields: bool,
    /// The kernel's release, such as (6, 1). The text of fields, function arguments and return values changed between
    /// releases.
    pub release: (u16, u16),
    /// Arguments of system calls above 9 are printed with `0x`: kernels since about 6.15.
    pub syscall_prefix: bool,
    /// Bit 1 of the flags is [`flag::NEED_RESCHED_LAZY`]: kernels since 6.13. Before, it meant that the architecture
    /// did not know whether interrupts were off.
    pub lazy_resched: bool,
    /// Size of the kernel's buffer for one line (`TRACE_SEQ_BUFFER_SIZE`).
    pub line_buffer: usize,
    /// The kernel prints the wrong half of synthetic events' numbers: big-endian ones before 6.6.
    pub synthetic_swapped: bool,
    /// The kernel prints a stack's count as its first address in synthetic events: before 6.6.
    pub synthetic_stack_count: bool,
    /// The flags have a digit for migrate-disable: since 5.18. Earlier kernels have four letters.
    pub migrate_disable: bool,
}

/// 8 KiB minus the other fields of `struct trace_seq`.
const LINE_BUFFER: usize = 8192 - 36;

impl Default for LineOptions {
    /// The defaults of a current kernel.
    fn default() -> LineOptions {
        LineOptions {
            nanoseconds: true,
            converted: false,
            irq_info: true,
            record_tgid: false,
            context_info: true,
            print_parent: true,
            sym_offset: false,
            sym_addr: false,
            annotate: true,
            verbose: false,
            trace_printk: true,
            printk_msg_only: false,
            fields: false,
            release: (6, 18),
            syscall_prefix: true,
            lazy_resched: true,
            line_buffer: LINE_BUFFER,
            synthetic_swapped: false,
            synthetic_stack_count: false,
            migrate_disable: true,
        }
    }
}

impl LineOptions {
    /// Applies the text of a `trace_options` file: one option a line, with `no` before those that are off.
    pub fn set_trace_options(&mut self, text: &str) {
        for word in text.split_whitespace() {
            let (name, on) = word.strip_prefix("no").map_or((word, true), |name| (name, false));
            let option = match name {
                "irq-info" => &mut self.irq_info,
                "record-tgid" => &mut self.record_tgid,
                "context-info" => &mut self.context_info,
                "print-parent" => &mut self.print_parent,
                "sym-offset" => &mut self.sym_offset,
                "sym-addr" => &mut self.sym_addr,
                "annotate" => &mut self.annotate,
                "verbose" => &mut self.verbose,
                "trace_printk" => &mut self.trace_printk,
                "fields" => &mut self.fields,
                "printk-msg-only" => &mut self.printk_msg_only,
                _ => continue,
            };
            *option = on;
        }
    }

    /// Sets what depends on the kernel's release (`6.1.0-50-amd64` is (6, 1)) and byte order.
    pub fn set_release(&mut self, release: (u16, u16), endian: Endian) {
        self.release = release;
        // One page before 6.8, and no page is smaller than 4 KiB.
        self.line_buffer = if release >= (6, 8) { LINE_BUFFER } else { LINE_BUFFER - 4096 - 8 };
        self.synthetic_swapped = endian == Endian::Big && release < (6, 6);
        self.synthetic_stack_count = release < (6, 6);
        self.migrate_disable = release >= (5, 18);
        self.lazy_resched = release >= (6, 13);
        self.syscall_prefix = release >= (6, 15);
    }

    /// Sets what depends on the clock: the `in_ns` column of `trace_clocks` (kernel/trace/trace.c).
    pub fn set_clock(&mut self, clock: &str) {
        self.nanoseconds = counts_nanoseconds(clock);
    }
}

impl LineOptions {
    /// The time shown in the line of `record`.
    pub(super) fn time(&self, record: &Record<'_>) -> u64 {
        if self.converted { record.time } else { record.ticks }
    }
}

/// The bits of `common_flags`: `enum trace_flag_type` (include/linux/trace_events.h).
pub mod flag {
    /// Interrupts were off.
    pub const IRQS_OFF: u8 = 0x01;
    /// Lazy reschedule requested (6.13; before that "unknown", on architectures that cannot tell).
    pub const NEED_RESCHED_LAZY: u8 = 0x02;
    /// Reschedule requested.
    pub const NEED_RESCHED: u8 = 0x04;
    /// In a hard interrupt.
    pub const HARDIRQ: u8 = 0x08;
    /// In a soft interrupt.
    pub const SOFTIRQ: u8 = 0x10;
    /// Preemption requested.
    pub const PREEMPT_RESCHED: u8 = 0x20;
    /// In a non-maskable interrupt.
    pub const NMI: u8 = 0x40;
    /// Soft interrupts were off.
    pub const BH_OFF: u8 = 0x80;

    /// The names of the flags for typed output, lowest bit first.
    pub const NAMES: [(u8, &str); 8] = [
        (IRQS_OFF, "irqs-off"),
        (NEED_RESCHED_LAZY, "need-resched-lazy"),
        (NEED_RESCHED, "need-resched"),
        (HARDIRQ, "hardirq"),
        (SOFTIRQ, "softirq"),
        (PREEMPT_RESCHED, "preempt-resched"),
        (NMI, "nmi"),
        (BH_OFF, "bh-off"),
    ];
}

/// The five characters of `d.h1.`: interrupts off, reschedule requested, kind of interrupt, depth of preempt-disable,
/// of migrate-disable (`trace_print_lat_fmt`).
pub fn latency_letters(flags: u8, preempt_count: u8, options: &LineOptions) -> [u8; 5] {
    use flag::*;
    let has = |bit: u8| flags & bit != 0;
    let irqs_off = match (has(IRQS_OFF), has(BH_OFF)) {
        (true, true) => b'D',
        (true, false) => b'd',
        (false, true) => b'b',
        (false, false) if has(NEED_RESCHED_LAZY) && !options.lazy_resched => b'X',
        (false, false) => b'.',
    };
    let lazy = has(NEED_RESCHED_LAZY) && options.lazy_resched;
    let resched = match (has(NEED_RESCHED), lazy, has(PREEMPT_RESCHED)) {
        (true, true, true) => b'B',
        (true, false, true) => b'N',
        (false, true, true) => b'L',
        (true, true, false) => b'b',
        (true, false, false) => b'n',
        (false, true, false) => b'l',
        (false, false, true) => b'p',
        (false, false, false) => b'.',
    };
    let interrupt = match (has(NMI), has(HARDIRQ), has(SOFTIRQ)) {
        (true, true, _) => b'Z',
        (true, false, _) => b'z',
        (false, true, true) => b'H',
        (false, true, false) => b'h',
        (false, false, true) => b's',
        (false, false, false) => b'.',
    };
    let depth = |nibble: u8| if nibble == 0 { b'.' } else { b"0123456789abcdef"[usize::from(nibble & 15)] };
    [irqs_off, resched, interrupt, depth(preempt_count & 15), depth(preempt_count >> 4)]
}

/// The common fields of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Common {
    /// `common_flags`.
    pub flags: u8,
    /// `common_preempt_count`: the depths of preempt-disable (low nibble) and migrate-disable.
    pub preempt_count: u8,
    /// `common_pid`.
    pub pid: i32,
}

/// Appends the context of a line, up to and including `: `.
#[inline]
pub fn write_context(out: &mut Vec<u8>, common: Common, cpu: u32, time: u64, names: &Names, options: &LineOptions) {
    if !options.context_info {
        return;
    }
    let comm = names.comms.shown(common.pid);
    // "%16s-%-7d "
    out.extend_from_slice(&[b' '; 16][comm.len().min(16)..]);
    out.extend_from_slice(comm);
    out.push(b'-');
    let start = out.len();
    write_signed(out, i64::from(common.pid));
    pad_right(out, start, 7);
    out.push(b' ');
    if options.record_tgid {
        match names.tgids.get(common.pid).filter(|&tgid| tgid != 0) {
            Some(tgid) => {
                out.extend_from_slice(b"(");
                write_padded(out, tgid as u64, 7, b' ');
                out.extend_from_slice(b") ");
            }
            None => out.extend_from_slice(b"(-------) "),
        }
    }
    out.push(b'[');
    write_padded(out, u64::from(cpu), 3, b'0');
    out.extend_from_slice(b"] ");
    if options.irq_info {
        let letters = latency_letters(common.flags, common.preempt_count, options);
        out.extend_from_slice(if options.migrate_disable { &letters } else { &letters[..4] });
    }
    write_time(out, time, options);
    out.extend_from_slice(b": ");
}

/// Appends `   15.926547` in seconds and microseconds, or the plain number of a counter (`trace_print_time`).
#[inline]
pub fn write_time(out: &mut Vec<u8>, time: u64, options: &LineOptions) {
    out.push(b' ');
    if options.nanoseconds {
        // `ns2usecs` rounds.
        let microseconds = time.wrapping_add(500) / 1000;
        write_padded(out, microseconds / 1_000_000, 5, b' ');
        out.push(b'.');
        write_padded(out, microseconds % 1_000_000, 6, b'0');
    } else {
        write_padded(out, time, 12, b' ');
    }
}

/// Appends the line about events lost before the record; nothing if none were.
pub fn write_lost(out: &mut Vec<u8>, cpu: u32, lost: Lost) {
    if lost == Lost::Nothing {
        return;
    }
    out.extend_from_slice(b"CPU:");
    write_unsigned(out, u64::from(cpu));
    match lost {
        Lost::Count(count) => {
            out.extend_from_slice(b" [LOST ");
            write_unsigned(out, count);
            out.extend_from_slice(b" EVENTS]\n");
        }
        _ => out.extend_from_slice(b" [LOST EVENTS]\n"),
    }
}

/// The decimal digits of `value`, at the end of `buffer`.
#[inline]
pub(crate) fn digits(mut value: u64, buffer: &mut [u8; 20]) -> &[u8] {
    let mut at = buffer.len();
    loop {
        at -= 1;
        buffer[at] = b'0' + (value % 10) as u8;
        value /= 10;
        if value == 0 {
            return &buffer[at..];
        }
    }
}

/// Appends `value` in decimal.
#[inline]
pub(crate) fn write_unsigned(out: &mut Vec<u8>, value: u64) {
    out.extend_from_slice(digits(value, &mut [0; 20]));
}

/// Appends `value` in decimal.
#[inline]
pub(crate) fn write_signed(out: &mut Vec<u8>, value: i64) {
    if value < 0 {
        out.push(b'-');
    }
    write_unsigned(out, value.unsigned_abs());
}

/// Appends `value` in decimal, right-aligned in `width` columns filled with `fill`.
#[inline]
pub(crate) fn write_padded(out: &mut Vec<u8>, value: u64, width: usize, fill: u8) {
    let mut buffer = [0; 20];
    let digits = digits(value, &mut buffer);
    (digits.len()..width).for_each(|_| out.push(fill));
    out.extend_from_slice(digits);
}

/// Appends `value` in hexadecimal with at least `width` digits.
#[inline]
pub(crate) fn write_hex(out: &mut Vec<u8>, value: u64, width: usize) {
    let digits = ((64 - value.leading_zeros()).div_ceil(4) as usize).max(width).clamp(1, 16);
    out.extend((0..digits).rev().map(|d| b"0123456789abcdef"[(value >> (4 * d) & 15) as usize]));
}

/// Pads what was appended since `start` with spaces to `width`.
#[inline]
pub(crate) fn pad_right(out: &mut Vec<u8>, start: usize, width: usize) {
    out.resize(out.len().max(start + width), b' ');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::SavedCmdlines;

    fn context(common: Common, cpu: u32, time: u64, options: &LineOptions) -> String {
        let comms = SavedCmdlines::parse(b"306 a-long-name-015\n1 init\n");
        let names = Names { comms, ..Names::default() };
        let mut out = vec![];
        write_context(&mut out, common, cpu, time, &names, options);
        String::from_utf8(out).unwrap()
    }

    const INIT: Common = Common { flags: 0x09, preempt_count: 0x21, pid: 1 };

    #[test]
    fn the_context_of_a_line_equals_the_kernels_to_the_column() {
        // Lines printed by 6.1 kernels.
        let front = context(INIT, 1, 15_926_547_499, &LineOptions::default());
        assert_eq!(front, "            init-1       [001] d.h12    15.926547: ");
        let idle = Common { flags: 0, preempt_count: 0, pid: 0 };
        assert_eq!(
            context(idle, 0, 14_007_245_500, &LineOptions::default()),
            "          <idle>-0       [000] .....    14.007246: "
        );
        let unknown = Common { flags: 0, preempt_count: 0, pid: 12_345_678 };
        assert_eq!(
            context(unknown, 12, 100_000_000_000_000, &LineOptions::default()),
            "           <...>-12345678 [012] ..... 100000.000000: "
        );
    }

    #[test]
    fn a_clock_that_does_not_count_nanoseconds_is_shown_as_a_plain_number() {
        let mut options = LineOptions::default();
        options.set_clock("counter");
        assert_eq!(context(INIT, 1, 15_926, &options), "            init-1       [001] d.h12        15926: ");
        // The column `in_ns` of `trace_clocks`.
        for (clock, nanoseconds) in [
            ("local", true),
            ("global", true),
            ("counter", false),
            ("uptime", false),
            ("perf", true),
            ("mono", true),
            ("mono_raw", true),
            ("boot", true),
            ("tai", true),
            ("x86-tsc", false),
            ("ppc-tb", false),
        ] {
            options.set_clock(clock);
            assert_eq!(options.nanoseconds, nanoseconds, "{clock}");
        }
    }

    #[test]
    fn options_add_and_remove_columns() {
        let mut options = LineOptions::default();
        options.set_trace_options("print-parent\nsym-offset\nnoirq-info\nrecord-tgid\n");
        assert_eq!(context(INIT, 1, 0, &options), "            init-1       (-------) [001]      0.000000: ");
        assert!(options.sym_offset && options.print_parent);
        options.set_trace_options("nocontext-info");
        assert_eq!(context(INIT, 1, 0, &options), "");
    }

    /// `trace_find_tgid` returns 0 for a task without one, which is printed as "(-------)".
    #[test]
    fn a_thread_group_stands_in_seven_columns_and_zero_is_none() {
        let mut options = LineOptions::default();
        options.set_trace_options("record-tgid\nnoirq-info\n");
        let group = |tgids: &[u8]| {
            let names = Names { tgids: crate::names::Tgids::parse(tgids), ..Names::default() };
            let mut out = vec![];
            write_context(&mut out, INIT, 1, 0, &names, &options);
            String::from_utf8(out).unwrap()
        };
        assert_eq!(group(b"1 75\n"), "           <...>-1       (     75) [001]      0.000000: ");
        assert_eq!(group(b"1 0\n"), "           <...>-1       (-------) [001]      0.000000: ");
    }

    #[test]
    fn the_letters_of_the_flags_column() {
        let letters =
            |flags, count| String::from_utf8(latency_letters(flags, count, &LineOptions::default()).to_vec()).unwrap();
        use flag::*;
        for (flags, count, want) in [
            (0, 0, "....."),
            (IRQS_OFF, 1, "d..1."),
            (BH_OFF, 0x10, "b...1"),
            (IRQS_OFF | BH_OFF | NEED_RESCHED | PREEMPT_RESCHED | HARDIRQ, 2, "DNh2."),
            (HARDIRQ | SOFTIRQ, 0xfa, "..Haf"),
            (NMI | HARDIRQ, 0, "..Z.."),
            (NMI | SOFTIRQ, 0, "..z.."),
            (SOFTIRQ | NEED_RESCHED, 0, ".ns.."),
            (PREEMPT_RESCHED, 0, ".p..."),
            (NEED_RESCHED_LAZY, 0, ".l..."),
            (NEED_RESCHED_LAZY | PREEMPT_RESCHED, 0, ".L..."),
            (NEED_RESCHED_LAZY | NEED_RESCHED, 0, ".b..."),
            (NEED_RESCHED_LAZY | NEED_RESCHED | PREEMPT_RESCHED, 0, ".B..."),
        ] {
            assert_eq!(letters(flags, count), want, "{flags:#x} {count:#x}");
        }
    }

    #[test]
    fn on_older_kernels_bit_one_does_not_mean_lazy() {
        let mut options = LineOptions::default();
        options.set_release((6, 1), Endian::Little);
        assert_eq!(latency_letters(0x02, 0, &options), *b"X....");
        // As a 6.1 kernel printed a uprobe, for which it does not set the flags.
        assert_eq!(latency_letters(0xff, 0xff, &options), *b"DNZff");
    }

    #[test]
    fn lost_events_have_a_line_of_their_own() {
        let line = |lost| {
            let mut out = vec![];
            write_lost(&mut out, 3, lost);
            String::from_utf8(out).unwrap()
        };
        assert_eq!(line(Lost::Count(4490)), "CPU:3 [LOST 4490 EVENTS]\n");
        assert_eq!(line(Lost::Unknown), "CPU:3 [LOST EVENTS]\n");
        assert_eq!(line(Lost::Nothing), "");
    }
}
