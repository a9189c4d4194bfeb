//! Events that the kernel does not print by their print format.
//!
//! Tracepoints are printed by their print format. The events of tracers, system calls and probes have their own code
//! in the kernel (`trace_event_functions.trace`), and here. Function-graph events are in [`graph`](super::graph).

mod bprint;
mod ftrace;
mod number;
mod probe;
mod syscall;

use byteorder::ByteOrder;

pub(crate) use number::Number;

use super::line::LineOptions;
use crate::{
    format::{EventFormat, LongSize},
    names::Names,
};

/// What the text of an event depends on besides its record.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// Names for its numbers.
    pub names: &'a Names,
    /// The trace options that affect it.
    pub options: &'a LineOptions,
    /// The width of an address.
    pub long: LongSize,
    /// The record's time.
    pub time: u64,
    /// Where its line begins in the output buffer.
    pub line_start: usize,
}

#[derive(Debug, Clone)]
enum Kind {
    Ftrace(ftrace::Ftrace),
    Syscall(syscall::Syscall),
    /// After `name: `.
    Probe(String, probe::Probe),
}

/// The text of an event for which the kernel has its own code.
#[derive(Debug, Clone)]
pub struct Builtin(Kind);

impl Builtin {
    /// The text of `format` if it is such an event. `dynamic_events` is the text of that control file, or empty: it
    /// has what the formats of probes leave out. `gfp` is the kernel's table of allocation flags, or empty.
    pub fn compile(format: &EventFormat, dynamic_events: &str, gfp: &[(u64, String)]) -> Option<Builtin> {
        let kind = match format.system.as_str() {
            "ftrace" => Kind::Ftrace(ftrace::Ftrace::compile(format)?),
            "syscalls" => Kind::Syscall(syscall::Syscall::compile(format)?),
            _ => Kind::Probe(format!("{}: ", format.name), probe::Probe::compile(format, dynamic_events, gfp)?),
        };
        Some(Builtin(kind))
    }

    /// Appends the text after the context, with the kernel's own line break (a marker cut off by a NUL has none).
    #[inline]
    pub fn write<E: ByteOrder>(&self, out: &mut Vec<u8>, record: &[u8], context: &Context<'_>) {
        match &self.0 {
            Kind::Ftrace(event) => event.write::<E>(out, record, context),
            Kind::Syscall(call) => call.write::<E>(out, record, context.options),
            Kind::Probe(name, probe) => {
                out.extend_from_slice(name.as_bytes());
                probe.write::<E>(out, record, context.names, context.options);
                out.push(b'\n');
            }
        }
    }

    /// Appends only the message of a marker, without the function that wrote it. Returns false for other events.
    pub(crate) fn write_message<E: ByteOrder>(&self, out: &mut Vec<u8>, record: &[u8], names: &Names) -> bool {
        match &self.0 {
            Kind::Ftrace(event) => event.write_message::<E>(out, record, names),
            _ => false,
        }
    }

    /// Whether the graph tracer prints this event as a line and not as a comment: functions and stacks.
    pub(crate) fn is_never_a_comment(&self) -> bool {
        matches!(&self.0, Kind::Ftrace(ftrace::Ftrace::Function { .. } | ftrace::Ftrace::KernelStack { .. }))
    }
}
