//! Exports a capture for Chrome's trace viewer and Perfetto: their JSON format, with a track for each thread and each
//! CPU.
//!
//! Every event is an instant with its fields on the track of the running thread; the task that runs on a CPU is a
//! slice on the CPU's track, from one `sched_switch` to the next. Times are µs of the trace clock.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};
use std::ops::ControlFlow;

use byteorder::ByteOrder;
use serde_json::{Map, Value as Json, json};

use super::parts::{self, BLOCK, Jobs, Told, Work};
use super::{Capture, RingFeed};
use crate::decode::{Array, EventTable, PidPlace, Plan, Value};
use crate::escape::escape_json;
use crate::format::{EventFormat, EventId};
use crate::names::Names;
use crate::ring::{Merge, Record};

/// The pid of the process whose threads are the CPUs: no real pid is as large (`PID_MAX_LIMIT`).
const CPUS: i64 = 1 << 22;

/// What was written.
#[derive(Debug, Default, Clone)]
pub struct Written {
    /// Events.
    pub events: u64,
    /// Records that do not match their format, or have none.
    pub malformed: u64,
    /// Sub-buffers, or remainders of them, that could not be parsed.
    pub malformed_sub_buffers: u64,
    /// Events that were lost, according to the capture.
    pub lost: u64,
    /// Gaps of unknown size.
    pub gaps: u64,
    /// What could not be read, as text.
    pub errors: Vec<String>,
}

struct Known<'f> {
    format: &'f EventFormat,
    plan: Plan,
    pid: PidPlace,
    /// The fields `next_pid` and `next_comm` of `sched_switch`.
    next: Option<(usize, usize)>,
}

/// The task that runs on a CPU, and since when.
type Running = BTreeMap<u32, (u64, i64, String)>;

struct Writer<'a> {
    out: Vec<u8>,
    names: &'a Names,
    /// The task that runs on each CPU, and since when.
    running: Running,
    threads: BTreeSet<i32>,
    written: Written,
    last: u64,
}

/// Writes all events of `capture` to `out`, formatted by `jobs` threads.
///
/// # Errors
/// If `out` cannot be written.
pub fn write(mut capture: Capture, jobs: Jobs, mut out: impl Write) -> io::Result<Written> {
    let (names, _) = capture.names();
    let table = EventTable::new(std::mem::take(&mut capture.events));
    let known: BTreeMap<_, _> = table.iter().map(|format| (format.id, Known::of(format))).collect();
    let making = Making { names: &names, known: &known };
    out.write_all(b"{\"displayTimeUnit\":\"ns\",\"traceEvents\":[")?;
    let (mut first, mut written) = (true, Ok(()));
    let total = parts::work(&mut capture, None, jobs, &making, &mut |told| {
        if let Told::Block(block) = told {
            // A comma precedes every event except the first.
            let block = block.get(usize::from(std::mem::take(&mut first))..).unwrap_or_default();
            written = out.write_all(block);
        }
        if written.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })?;
    written?;
    let mut all = Writer::new(&making, Running::new());
    all.written.malformed_sub_buffers = total.sum(|counts| counts.malformed);
    all.written.lost = total.sum(|counts| counts.lost);
    all.written.gaps = total.sum(|counts| counts.gaps);
    all.written.errors = total.errors();
    for part in total.parts {
        all.written.events += part.written.events;
        all.written.malformed += part.written.malformed;
        all.threads.extend(part.threads);
        all.last = all.last.max(part.last);
        all.running = part.running;
    }
    let (written, rest) = all.finish();
    out.write_all(rest.get(usize::from(first)..).unwrap_or_default())?;
    out.write_all(b"\n]}\n")?;
    out.flush()?;
    Ok(written)
}

/// Formatting events as JSON, as work for several threads. Each part must know which task runs on every CPU at its
/// beginning.
struct Making<'a> {
    names: &'a Names,
    known: &'a BTreeMap<EventId, Known<'a>>,
}

/// The result of a part.
struct Made {
    running: Running,
    threads: BTreeSet<i32>,
    written: Written,
    last: u64,
}

impl Work for Making<'_> {
    type Hand = ();
    type Carry = Running;
    type Done = Made;

    fn hand(&self) {}

    fn carries(&self) -> bool {
        self.known.values().any(|known| known.next.is_some())
    }

    fn look<E: ByteOrder>(&self, merge: &mut Merge<RingFeed>, running: &mut Running) {
        let _ = merge.for_each::<E, ()>(|record| {
            if let Some(known) = self.known::<E>(&record).filter(|known| known.next.is_some())
                && let Ok(values) = known.plan.values::<E>(record.bytes).collect::<Result<Vec<_>, _>>()
                && let Some((pid, comm)) = known.next(&values)
            {
                running.insert(record.cpu, (record.time, pid, comm));
            }
            ControlFlow::Continue(())
        });
    }

    fn carry(&self, before: &mut Running, part: Running) {
        before.extend(part);
    }

    fn work<E: ByteOrder>(
        &self,
        (): &mut (),
        merge: &mut Merge<RingFeed>,
        before: &Running,
        out: &mut dyn FnMut(Told<'_>) -> ControlFlow<()>,
    ) -> (Made, ControlFlow<()>) {
        let mut writer = Writer::new(self, before.clone());
        let mut flow = merge.for_each::<E, ()>(|record| {
            writer.event::<E>(self.known::<E>(&record), record);
            match writer.out.len() < BLOCK {
                true => ControlFlow::Continue(()),
                false => out(Told::Block(&mut writer.out)),
            }
        });
        let Writer { out: mut rest, running, threads, written, last, .. } = writer;
        if flow.is_continue() && !rest.is_empty() {
            flow = out(Told::Block(&mut rest));
        }
        (Made { running, threads, written, last }, flow)
    }
}

impl Making<'_> {
    fn known<E: ByteOrder>(&self, record: &Record<'_>) -> Option<&Known<'_>> {
        let id = EventId::of::<E>(record.bytes)?;
        self.known.get(&id)
    }
}

impl<'f> Known<'f> {
    fn of(format: &'f EventFormat) -> Known<'f> {
        let index = |name: &str| format.fields.iter().position(|field| field.name == name);
        let switch = format.system == "sched" && format.name == "sched_switch";
        let next = if switch { index("next_pid").zip(index("next_comm")) } else { None };
        Known { format, plan: Plan::compile(format), pid: PidPlace::of(format), next }
    }

    /// The task that a record with these values switches to.
    fn next(&self, values: &[Value<'_>]) -> Option<(i64, String)> {
        let (pid, comm) = self.next?;
        match (values.get(pid)?, values.get(comm)?) {
            (Value::Signed(pid), Value::Text(comm)) => Some((*pid, String::from_utf8_lossy(comm).into_owned())),
            _ => None,
        }
    }
}

impl<'a> Writer<'a> {
    fn new(making: &Making<'a>, running: Running) -> Writer<'a> {
        let (threads, written) = (BTreeSet::new(), Written::default());
        Writer { out: Vec::new(), names: making.names, running, threads, written, last: 0 }
    }

    fn event<E: ByteOrder>(&mut self, known: Option<&Known<'_>>, record: Record<'_>) {
        let values = known.map(|known| known.plan.values::<E>(record.bytes).collect::<Result<Vec<_>, _>>());
        let (Some(known), Some(Ok(values))) = (known, values) else {
            self.written.malformed += 1;
            return;
        };
        let pid = known.pid.read::<E>(record.bytes);
        let fields = known.format.fields.iter().zip(&values);
        let mut args: Map<_, _> = fields.map(|(field, value)| (field.name.clone(), value_json::<E>(value))).collect();
        // Some events have a field of this name, which is another CPU: sched_wake_idle_without_ipi. In the kernel's
        // histogram triggers the CPU that an event occurred on is common_cpu.
        let cpu = if args.contains_key("cpu") { "common_cpu" } else { "cpu" };
        args.insert(cpu.to_owned(), record.cpu.into());
        let (process, thread) = self.track(pid, record.cpu);
        let instant = json!({
            "name": known.format.name, "cat": known.format.system, "ph": "i", "s": "t",
            "pid": process, "tid": thread, "args": args,
        });
        self.put(instant, Some(record.time));
        self.written.events += 1;
        self.threads.insert(pid);
        self.last = self.last.max(record.time);
        if let Some(next) = known.next(&values) {
            self.switch(record.cpu, record.time, Some(next));
        }
    }

    /// Process and thread of a task; the idle tasks, one for each CPU, are threads of process 0.
    fn track(&self, pid: i32, cpu: u32) -> (i64, i64) {
        match pid {
            0 => (0, i64::from(cpu)),
            pid => (i64::from(self.names.tgids.get(pid).unwrap_or(pid)), i64::from(pid)),
        }
    }

    /// The task that ran on the CPU until now becomes a slice.
    fn switch(&mut self, cpu: u32, time: u64, next: Option<(i64, String)>) {
        let before = match next {
            Some((pid, comm)) => self.running.insert(cpu, (time, pid, comm)),
            None => self.running.remove(&cpu),
        };
        let Some((since, pid, comm)) = before.filter(|(_, pid, _)| *pid != 0) else { return };
        let length = time.saturating_sub(since);
        let slice = json!({
            "name": comm, "cat": "sched", "ph": "X", "dur": micros(length), "pid": CPUS, "tid": cpu, "args": {"pid": pid},
        });
        self.put(slice, Some(since));
    }

    fn put(&mut self, mut event: Json, time: Option<u64>) {
        if let (Some(object), Some(time)) = (event.as_object_mut(), time) {
            object.insert("ts".to_owned(), micros(time));
        }
        self.out.extend_from_slice(b",\n");
        self.out.extend_from_slice(escape_json(&event.to_string()).as_bytes());
    }

    /// The JSON after the events of all parts.
    fn finish(mut self) -> (Written, Vec<u8>) {
        let cpus: Vec<_> = self.running.keys().copied().collect();
        for cpu in &cpus {
            self.switch(*cpu, self.last, None);
        }
        let name = |kind: &str, process: i64, thread: i64, name: String| json!({"name": kind, "ph": "M", "pid": process, "tid": thread, "args": {"name": name}});
        self.put(name("process_name", CPUS, 0, "CPUs".to_owned()), None);
        for cpu in cpus {
            self.put(name("thread_name", CPUS, i64::from(cpu), format!("CPU {cpu}")), None);
        }
        for pid in std::mem::take(&mut self.threads) {
            let (process, thread) = self.track(pid, 0);
            let comm = String::from_utf8_lossy(self.names.comms.shown(pid)).into_owned();
            if pid == 0 {
                self.put(name("process_name", 0, 0, "idle".to_owned()), None);
            } else {
                self.put(name("thread_name", process, thread, comm), None);
            }
        }
        (self.written, self.out)
    }
}

/// ns as µs: exact up to 2^53 ns, which are 104 days.
fn micros(ns: u64) -> Json {
    json!(ns as f64 / 1e3)
}

fn value_json<E: ByteOrder>(value: &Value<'_>) -> Json {
    let text = |bytes: &[u8]| Json::from(String::from_utf8_lossy(bytes).into_owned());
    match value {
        Value::Signed(number) => (*number).into(),
        Value::Unsigned(number) => (*number).into(),
        Value::Bool(truth) => (*truth).into(),
        Value::Pointer(address) => format!("{address:#x}").into(),
        Value::Text(bytes) => text(bytes),
        Value::Bytes(bytes) => {
            format!("0x{}", bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>()).into()
        }
        Value::Array(array) => numbers::<E>(array),
        Value::Texts(texts) => texts.iter::<E>().flatten().map(text).collect(),
    }
}

fn numbers<E: ByteOrder>(array: &Array<'_>) -> Json {
    array.iter().map(|value| value_json::<E>(&value)).collect()
}

#[cfg(test)]
mod tests;
