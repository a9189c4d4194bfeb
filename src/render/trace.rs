//! Record → the kernel's own line, as in the file `trace`.

use std::collections::BTreeSet;

use byteorder::ByteOrder;

use super::{
    builtin::{Builtin, Context},
    fields::{self, FieldsText},
    graph::{At, EntryFields, ExitFields, Graph, GraphOptions, With},
    line::{self, Common, LineOptions, write_unsigned},
    plan::TextPlan,
};
use crate::{
    format::{Endian, EventFormat, EventId, LongSize},
    names::{Constants, Names},
    ring::Record,
};

/// How one event is printed.
#[derive(Debug, Clone)]
enum Event {
    /// By its own code.
    Builtin(Builtin),
    /// `ftrace:funcgraph_entry`.
    Entry(EntryFields),
    /// `ftrace:funcgraph_exit`.
    Exit(ExitFields),
    /// By its print format, after `name: `.
    PrintFmt(String, TextPlan),
    /// Field by field: a user event.
    Fields(FieldsText),
    /// As bytes: a user event of a kernel before 6.4.
    Dump,
}

/// The text of a whole trace, line by line.
///
/// Lines equal the kernel's byte for byte. Its header of `#` lines is left out.
#[derive(Debug)]
pub struct TraceText {
    events: Vec<Option<Event>>,
    /// With the option `fields`: how each event's fields are printed.
    fields: Vec<Option<FieldsText>>,
    options: LineOptions,
    long: LongSize,
    /// Set if the tracer is function_graph.
    graph: Option<Graph>,
    /// CPUs that have had a line.
    started: BTreeSet<u32>,
    /// The CPU of the last line.
    last_cpu: Option<u32>,
    lines: u64,
    overrun: bool,
}

impl TraceText {
    /// The text of the events of a kernel with longs of size `long`.
    pub fn new(options: LineOptions, long: LongSize) -> TraceText {
        TraceText {
            events: Vec::new(),
            fields: Vec::new(),
            options,
            long,
            graph: None,
            started: BTreeSet::new(),
            last_cpu: None,
            lines: 0,
            overrun: false,
        }
    }

    /// Uses the layout of the tracer function_graph.
    pub fn with_graph(mut self, options: GraphOptions) -> TraceText {
        self.graph = Some(Graph::new(options));
        self
    }

    /// States that the rings are frozen and were overwritten before their first event. The file `trace` then counts
    /// no lost events, but marks where each CPU's begin.
    pub fn with_overrun(mut self, overrun: bool) -> TraceText {
        self.overrun = overrun;
        self
    }

    /// Continues after `lines` lines that another writer printed, of the CPUs `started`.
    pub fn go_on(&mut self, started: &BTreeSet<u32>, lines: u64) {
        self.started.clone_from(started);
        self.last_cpu = None;
        self.lines = lines;
    }

    /// Compiles the text of `format` for records with its id. `constants` has the values of enum constants;
    /// `dynamic_events` is the text of that control file, or empty.
    pub fn insert(&mut self, format: &EventFormat, endian: Endian, constants: &dyn Constants, dynamic_events: &str) {
        let ftrace = |name| format.system == "ftrace" && format.name == name;
        let release = self.options.release;
        let event = if fields::is_user_event(&format.system) {
            Some(match release >= fields::USER_EVENT_FIELDS {
                true => Event::Fields(FieldsText::compile(format, self.long, release)),
                false => Event::Dump,
            })
        } else if ftrace("funcgraph_entry") || ftrace("fgraph_retaddr_entry") {
            EntryFields::compile(format).map(Event::Entry)
        } else if ftrace("funcgraph_exit") {
            ExitFields::compile(format).map(Event::Exit)
        } else {
            Builtin::compile(format, dynamic_events, constants.flags_of(b'g')).map(Event::Builtin)
        };
        let event = event.unwrap_or_else(|| {
            let plan = TextPlan::compile(format, self.long, endian, constants);
            Event::PrintFmt(format!("{}: ", format.name), plan)
        });
        let index = format.id.index();
        if self.events.len() <= index {
            self.events.resize(index + 1, None);
        }
        if self.options.fields {
            self.fields.resize(self.events.len(), None);
            self.fields[index] = Some(FieldsText::compile(format, self.long, release));
        }
        self.events[index] = Some(event);
    }

    /// Appends the line or lines of `record`; with the graph tracer they may be held back, and earlier ones released.
    pub fn write<E: ByteOrder>(&mut self, out: &mut Vec<u8>, record: &Record<'_>, names: &Names) {
        let common = common::<E>(record.bytes);
        let id = EventId::of::<E>(record.bytes).unwrap_or(EventId(0));
        let event = self.events.get(id.index()).and_then(Option::as_ref);
        let (options, long) = (&self.options, self.long);
        let time = options.time(record);
        let (at, with) = (At { cpu: record.cpu, time, common }, With { names, options });
        self.lines += 1;
        let line_start = out.len();
        let other_cpu = self.last_cpu.replace(record.cpu) != Some(record.cpu);
        let first_of_cpu = self.overrun && other_cpu && self.started.insert(record.cpu);
        if !first_of_cpu {
            line::write_lost(out, record.cpu, record.lost);
        }
        // `print_trace_fmt`: the ordinary line.
        let fields = self.fields.get(id.index()).and_then(Option::as_ref);
        let ordinary = |out: &mut Vec<u8>, line_start| {
            line::write_context(out, common, record.cpu, time, names, options);
            match fields {
                Some(fields) => fields.write::<E>(out, record.bytes, names),
                None => write_event::<E>(out, event, id, record, with, long, line_start),
            }
        };
        let Some(graph) = &mut self.graph else {
            if options.trace_printk
                && options.printk_msg_only
                && let Some(Event::Builtin(builtin)) = event
                && builtin.write_message::<E>(out, record.bytes, names)
            {
                return;
            }
            if first_of_cpu && options.annotate && self.lines > 1 {
                out.extend_from_slice(b"##### CPU ");
                write_unsigned(out, record.cpu.into());
                out.extend_from_slice(b" buffer started ####\n");
            }
            ordinary(out, line_start);
            return;
        };
        match event {
            Some(Event::Entry(fields)) => graph.entry(out, at, fields.read::<E>(record.bytes), with),
            Some(Event::Exit(fields)) => graph.exit(out, at, fields.read::<E>(record.bytes), with),
            Some(Event::Builtin(builtin)) if builtin.is_never_a_comment() => {
                graph.plain(out, record.cpu, with, |out| ordinary(out, 0));
            }
            None => graph.unhandled(out, at, with, |out| ordinary(out, 0)),
            _ => graph.comment(out, at, with, |out| match event {
                Some(Event::Builtin(b)) if b.write_message::<E>(out, record.bytes, names) => {}
                _ => write_event::<E>(out, event, id, record, with, long, 0),
            }),
        }
    }

    /// Appends only the event's name and text, without context and line break: `sched_waking: comm=…`.
    pub fn write_text<E: ByteOrder>(&self, out: &mut Vec<u8>, record: &Record<'_>, names: &Names) {
        let id = EventId::of::<E>(record.bytes).unwrap_or(EventId(0));
        let event = self.events.get(id.index()).and_then(Option::as_ref);
        match self.fields.get(id.index()).and_then(Option::as_ref) {
            Some(fields) => fields.write::<E>(out, record.bytes, names),
            None => {
                let (line_start, with) = (out.len(), With { names, options: &self.options });
                write_event::<E>(out, event, id, record, with, self.long, line_start);
            }
        }
        out.pop_if(|last| *last == b'\n');
    }

    /// Appends what was held back: there are no more records.
    pub fn finish(&mut self, out: &mut Vec<u8>, names: &Names) {
        if let Some(graph) = &mut self.graph {
            graph.finish(out, With { names, options: &self.options });
        }
    }
}

/// Appends the event's name and text, with its line break. The line begins at `line_start` of `out`.
fn write_event<E: ByteOrder>(
    out: &mut Vec<u8>,
    event: Option<&Event>,
    id: EventId,
    record: &Record<'_>,
    with: With<'_>,
    long: LongSize,
    line_start: usize,
) {
    let time = with.options.time(record);
    match event {
        Some(Event::Builtin(builtin)) => {
            let context = Context { names: with.names, options: with.options, long, time, line_start };
            builtin.write::<E>(out, record.bytes, &context);
        }
        Some(Event::PrintFmt(name, plan)) => {
            out.extend_from_slice(name.as_bytes());
            plan.render(record.bytes, with.names, out);
            out.push(b'\n');
        }
        Some(Event::Fields(fields)) => fields.write::<E>(out, record.bytes, with.names),
        Some(Event::Dump) => fields::write_dump(out, record.bytes),
        // Without their tracer the kernel prints these as the tracer would, after the ordinary context.
        Some(Event::Entry(fields)) => {
            let entry = fields.read::<E>(record.bytes);
            let mut graph = Graph::new(GraphOptions::default());
            let at = At { cpu: record.cpu, time, common: common::<E>(record.bytes) };
            graph.entry(out, at, entry, with);
            graph.finish(out, with);
        }
        Some(Event::Exit(fields)) => {
            let exit = fields.read::<E>(record.bytes);
            let mut graph = Graph::new(GraphOptions::default());
            let at = At { cpu: record.cpu, time, common: common::<E>(record.bytes) };
            graph.exit(out, at, exit, with);
        }
        None => {
            out.extend_from_slice(b"Unknown type ");
            write_unsigned(out, id.0.into());
            out.push(b'\n');
        }
    }
}

/// The common fields: the same on all kernels since 2.6.30 (`struct trace_entry`).
#[inline]
fn common<E: ByteOrder>(record: &[u8]) -> Common {
    match record.first_chunk::<8>() {
        Some(head) => Common { flags: head[2], preempt_count: head[3], pid: E::read_i32(&head[4..]) },
        None => Common { flags: 0, preempt_count: 0, pid: 0 },
    }
}
