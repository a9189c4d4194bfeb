//! The events of the system `ftrace`, written by tracers and `trace_marker` (kernel/trace/trace_output.c).
//!
//! Their print formats describe the record to other programs; the kernel prints something else.

use byteorder::ByteOrder;

use super::{
    Context,
    number::{Number, offset_of},
};
use crate::{
    decode::until_nul,
    format::EventFormat,
    names::{Names, Symbols},
    render::{
        arguments::{self, Arguments, ArgumentsPlace},
        graph::With,
        line::{write_hex, write_padded, write_signed, write_time, write_unsigned},
        symbol,
    },
};

/// One of these events, and the places of its fields.
#[derive(Debug, Clone)]
pub(super) enum Ftrace {
    Print { ip: Number, buf: usize },
    Bputs { ip: Number, str: Number },
    Bprint { ip: Number, fmt: Number, buf: usize },
    RawData { id: Number, buf: usize },
    Function { ip: Number, parent_ip: Number, args: Option<ArgumentsPlace> },
    FuncRepeats { ip: Number, parent_ip: Number, count: Number, top: Number, bottom: Number },
    KernelStack { caller: Number },
    UserStack { caller: Number },
    Hwlat { seqnum: Number, times: [Number; 4], nmi_total_ts: Number, nmi_count: Number, count: Option<Number> },
    Osnoise { times: [Number; 3], counts: [Number; 5] },
    Timerlat { seqnum: Number, context: Number, timer_latency: Number },
}

impl Ftrace {
    pub(super) fn compile(format: &EventFormat) -> Option<Ftrace> {
        let number = |name| Number::of(format, name);
        // The first of several longs: `unsigned long caller[8]`.
        let first = |name| {
            let field = format.fields.iter().find(|f| f.name == name)?;
            let size = field.ctype.size as usize;
            matches!(size, 4 | 8).then_some(Number { offset: field.offset as usize, size, signed: false })
        };
        let offset = |name| offset_of(format, name);
        Some(match format.name.as_str() {
            "print" => Ftrace::Print { ip: number("ip")?, buf: offset("buf")? },
            "bputs" => Ftrace::Bputs { ip: number("ip")?, str: number("str")? },
            "bprint" => Ftrace::Bprint { ip: number("ip")?, fmt: number("fmt")?, buf: offset("buf")? },
            "raw_data" => Ftrace::RawData { id: number("id")?, buf: offset("buf")? },
            "function" => Ftrace::Function {
                ip: number("ip")?,
                parent_ip: number("parent_ip")?,
                args: ArgumentsPlace::of(format),
            },
            "func_repeats" => Ftrace::FuncRepeats {
                ip: number("ip")?,
                parent_ip: number("parent_ip")?,
                count: number("count")?,
                top: number("top_delta_ts")?,
                bottom: number("bottom_delta_ts")?,
            },
            "kernel_stack" => Ftrace::KernelStack { caller: first("caller")? },
            "user_stack" => Ftrace::UserStack { caller: first("caller")? },
            "hwlat" => Ftrace::Hwlat {
                seqnum: number("seqnum")?,
                times: [number("duration")?, number("outer_duration")?, number("tv_sec")?, number("tv_nsec")?],
                nmi_total_ts: number("nmi_total_ts")?,
                nmi_count: number("nmi_count")?,
                count: number("count"),
            },
            "osnoise" => Ftrace::Osnoise {
                times: [number("runtime")?, number("noise")?, number("max_sample")?],
                counts: [
                    number("hw_count")?,
                    number("nmi_count")?,
                    number("irq_count")?,
                    number("softirq_count")?,
                    number("thread_count")?,
                ],
            },
            "timerlat" => Ftrace::Timerlat {
                seqnum: number("seqnum")?,
                context: number("context")?,
                timer_latency: number("timer_latency")?,
            },
            _ => return None,
        })
    }

    /// Appends only the caller and message of a marker (`trace_print_printk_msg_only`), for the graph tracer's
    /// comments; nothing for other events.
    pub(super) fn write_message<E: ByteOrder>(&self, out: &mut Vec<u8>, record: &[u8], names: &Names) -> bool {
        match *self {
            Ftrace::Print { buf, .. } => out.extend_from_slice(until_nul(record.get(buf..).unwrap_or_default())),
            Ftrace::Bputs { str, .. } => write_string(out, str.unsigned::<E>(record), names),
            Ftrace::Bprint { fmt, buf, .. } => {
                super::bprint::write::<E>(out, fmt.unsigned::<E>(record), fmt.size, record.get(buf..), names);
            }
            _ => return false,
        }
        true
    }

    /// Appends the text after the context, with its line break.
    /// Long: one arm for each type of record, as in kernel/trace/trace_output.c.
    pub(super) fn write<E: ByteOrder>(&self, out: &mut Vec<u8>, record: &[u8], context: &Context<'_>) {
        let (names, options) = (context.names, context.options);
        let ip = |out: &mut Vec<u8>, address| symbol::write_ip(out, address, names, options, context.long);
        match *self {
            // The text has its own line break, or none if a NUL cuts it off.
            Ftrace::Print { ip: at, .. } | Ftrace::Bputs { ip: at, .. } | Ftrace::Bprint { ip: at, .. } => {
                ip(out, at.unsigned::<E>(record));
                out.extend_from_slice(b": ");
                self.write_message::<E>(out, record, names);
            }
            Ftrace::RawData { id, buf } => {
                out.extend_from_slice(b"# ");
                write_hex(out, id.unsigned::<E>(record), 1);
                out.extend_from_slice(b" buf:");
                for &byte in record.get(buf..).unwrap_or_default() {
                    // When the kernel's line buffer is full, the rest is lost, including the line break.
                    if out.len() - context.line_start + 3 >= context.options.line_buffer {
                        return;
                    }
                    out.push(b' ');
                    write_hex(out, byte.into(), 2);
                }
                out.push(b'\n');
            }
            Ftrace::Function { ip: function, parent_ip, args } => {
                let args = args.and_then(|args| args.read::<E>(record));
                let parent_ip = parent_ip.unsigned::<E>(record);
                write_function(out, function.unsigned::<E>(record), args, parent_ip, context);
                out.push(b'\n');
            }
            Ftrace::FuncRepeats { ip: function, parent_ip, count, top, bottom } => {
                write_function(out, function.unsigned::<E>(record), None, parent_ip.unsigned::<E>(record), context);
                out.extend_from_slice(b" (repeats: ");
                write_unsigned(out, count.unsigned::<E>(record));
                out.extend_from_slice(b", last_ts:");
                let delta = top.unsigned::<E>(record) << 32 | bottom.unsigned::<E>(record);
                write_time(out, context.time.wrapping_sub(delta), options);
                out.extend_from_slice(b")\n");
            }
            Ftrace::KernelStack { caller } => {
                out.extend_from_slice(b"<stack trace>\n");
                for address in callers::<E>(record, caller) {
                    // ULONG_MAX ends a stack that does not fill the array.
                    if address == u64::MAX >> (64 - 8 * caller.size) {
                        break;
                    }
                    out.extend_from_slice(b" => ");
                    match address {
                        TRAMPOLINE_MARKER => out.extend_from_slice(b"[FTRACE TRAMPOLINE]"),
                        _ => ip(out, address),
                    }
                    out.push(b'\n');
                }
            }
            Ftrace::UserStack { caller } => {
                out.extend_from_slice(b"<user stack trace>\n");
                for address in callers::<E>(record, caller).take(8).take_while(|&address| address != 0) {
                    out.extend_from_slice(b" => ");
                    symbol::write_address(out, address, context.long);
                    out.push(b'\n');
                }
            }
            Ftrace::Hwlat { seqnum, times: [duration, outer, sec, nsec], nmi_total_ts, nmi_count, count } => {
                // "#%-5u inner/outer(us): %4llu/%-5llu ts:%lld.%09ld count:%d"
                out.push(b'#');
                left(out, seqnum.unsigned::<E>(record), 5);
                out.extend_from_slice(b" inner/outer(us): ");
                write_padded(out, duration.unsigned::<E>(record), 4, b' ');
                out.push(b'/');
                left(out, outer.unsigned::<E>(record), 5);
                out.extend_from_slice(b" ts:");
                write_signed(out, sec.signed::<E>(record));
                out.push(b'.');
                write_padded(out, nsec.unsigned::<E>(record), 9, b'0');
                if let Some(count) = count {
                    out.extend_from_slice(b" count:");
                    write_unsigned(out, count.unsigned::<E>(record));
                }
                if nmi_count.unsigned::<E>(record) != 0 {
                    out.extend_from_slice(b" nmi-total:");
                    write_unsigned(out, nmi_total_ts.unsigned::<E>(record));
                    out.extend_from_slice(b" nmi-count:");
                    write_unsigned(out, nmi_count.unsigned::<E>(record));
                }
                out.push(b'\n');
            }
            Ftrace::Osnoise { times: [runtime, noise, max], counts } => {
                let (runtime, noise) = (runtime.unsigned::<E>(record), noise.unsigned::<E>(record));
                // "%llu %10llu %3llu.%05llu %7llu" and five times " %6u"
                write_unsigned(out, runtime);
                out.push(b' ');
                write_padded(out, noise, 10, b' ');
                // The share left to others, in percent with five digits.
                let share = runtime.saturating_sub(noise).wrapping_mul(10_000_000).checked_div(runtime).unwrap_or(0);
                out.push(b' ');
                write_padded(out, share / 100_000, 3, b' ');
                out.push(b'.');
                write_padded(out, share % 100_000, 5, b'0');
                out.push(b' ');
                write_padded(out, max.unsigned::<E>(record), 7, b' ');
                for count in counts {
                    out.push(b' ');
                    write_padded(out, count.unsigned::<E>(record), 6, b' ');
                }
                out.push(b'\n');
            }
            Ftrace::Timerlat { seqnum, context: level, timer_latency } => {
                // "#%-5u context %6s timer_latency %9llu ns"
                out.push(b'#');
                left(out, seqnum.unsigned::<E>(record), 5);
                out.extend_from_slice(b" context ");
                let level: &[u8] = match level.unsigned::<E>(record) {
                    0 => b"   irq",
                    1 => b"thread",
                    2 => b"user-ret",
                    _ => b"     ?",
                };
                out.extend_from_slice(level);
                out.extend_from_slice(b" timer_latency ");
                write_padded(out, timer_latency.unsigned::<E>(record), 9, b' ');
                out.extend_from_slice(b" ns\n");
            }
        }
    }
}

/// FTRACE_TRAMPOLINE_MARKER, INT_MAX: replaces addresses within a trampoline.
const TRAMPOLINE_MARKER: u64 = 0x7fff_ffff;

/// Appends `vfs_write <-ksys_write` (`print_fn_trace`).
fn write_function(out: &mut Vec<u8>, ip: u64, args: Option<Arguments>, parent_ip: u64, context: &Context<'_>) {
    let write =
        |out: &mut Vec<u8>, address| symbol::write_ip(out, address, context.names, context.options, context.long);
    write(out, ip);
    if let Some(args) = args {
        let with = With { names: context.names, options: context.options };
        arguments::write(out, &args, ip, context.long.bytes() as usize, with);
    }
    if context.options.print_parent && parent_ip != 0 {
        out.extend_from_slice(b" <-");
        match parent_ip {
            TRAMPOLINE_MARKER => out.extend_from_slice(b"[FTRACE TRAMPOLINE]"),
            _ => write(out, parent_ip),
        }
    }
}

/// The addresses from `caller` to the end of the record, possibly more than the eight declared.
fn callers<E: ByteOrder>(record: &[u8], caller: Number) -> impl Iterator<Item = u64> {
    let tail = record.get(caller.offset..).unwrap_or_default();
    tail.chunks_exact(caller.size).map(|bytes| crate::decode::unsigned::<E>(bytes))
}

/// Appends the constant string at `address`, or the address if the string is not known.
fn write_string(out: &mut Vec<u8>, address: u64, names: &Names) {
    match names.string(address) {
        Some(text) => out.extend_from_slice(text),
        None => {
            out.extend_from_slice(b"0x");
            write_hex(out, address, 1);
            out.push(b'\n');
        }
    }
}

/// Appends `value` in decimal, left-aligned in `width` columns.
fn left(out: &mut Vec<u8>, value: u64, width: usize) {
    let start = out.len();
    write_unsigned(out, value);
    crate::render::line::pad_right(out, start, width);
}
