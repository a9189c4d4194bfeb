//! A capture for Chrome's trace viewer and Perfetto: their JSON format, with a track for each thread and each CPU.
//!
//! Every event is an instant on the track of the thread that ran, with its fields; what ran on a CPU is a slice on the CPU's
//! track, from one `sched_switch` to the next. Times are µs of the trace clock.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};
use std::ops::ControlFlow;

use byteorder::{BigEndian, ByteOrder, LittleEndian};
use serde_json::{Map, Value as Json, json};

use super::Capture;
use crate::decode::{Array, EventTable, PidPlace, Plan, Value};
use crate::escape::escape_json;
use crate::format::{Endian, EventFormat, EventId};
use crate::names::Names;
use crate::ring::Record;

/// The process whose threads are the CPUs: no pid is as large (`PID_MAX_LIMIT`).
const CPUS: i64 = 1 << 22;

/// What was written.
#[derive(Debug, Default, Clone, Copy)]
pub struct Written {
    /// Events.
    pub events: u64,
    /// Records that are not what their format says, or that have none.
    pub malformed: u64,
}

struct Known<'f> {
    format: &'f EventFormat,
    plan: Plan,
    pid: PidPlace,
    /// The fields `next_pid` and `next_comm` of `sched_switch`.
    next: Option<(usize, usize)>,
}

struct Writer<'a, W> {
    out: W,
    first: bool,
    names: &'a Names,
    known: BTreeMap<EventId, Known<'a>>,
    /// Whom a CPU runs, and since when.
    running: BTreeMap<u32, (u64, i64, String)>,
    threads: BTreeSet<i32>,
    written: Written,
    last: u64,
}

/// Writes all events of `capture` to `out`.
///
/// # Errors
/// If `out` cannot be written.
pub fn write(mut capture: Capture, out: impl Write) -> io::Result<Written> {
    let (names, _) = capture.names();
    let table = EventTable::new(std::mem::take(&mut capture.events));
    let known = |format: &'_ std::sync::Arc<EventFormat>| format.id;
    let known: BTreeMap<_, _> = table.iter().map(|format| (known(format), Known::of(format))).collect();
    let mut writer = Writer {
        out,
        first: true,
        names: &names,
        known,
        running: BTreeMap::new(),
        threads: BTreeSet::new(),
        written: Written::default(),
        last: 0,
    };
    writer.out.write_all(b"{\"displayTimeUnit\":\"ns\",\"traceEvents\":[")?;
    let endian = capture.endian;
    let mut merge = capture.merge();
    let done = match endian {
        Endian::Little => merge.for_each::<LittleEndian, _>(|record| writer.record::<LittleEndian>(record)),
        Endian::Big => merge.for_each::<BigEndian, _>(|record| writer.record::<BigEndian>(record)),
    };
    if let ControlFlow::Break(error) = done {
        return Err(error);
    }
    writer.finish()
}

impl<'f> Known<'f> {
    fn of(format: &'f EventFormat) -> Known<'f> {
        let index = |name: &str| format.fields.iter().position(|field| field.name == name);
        let switch = format.system == "sched" && format.name == "sched_switch";
        let next = if switch { index("next_pid").zip(index("next_comm")) } else { None };
        Known { format, plan: Plan::compile(format), pid: PidPlace::of(format), next }
    }
}

impl<W: Write> Writer<'_, W> {
    fn record<E: ByteOrder>(&mut self, record: Record<'_>) -> ControlFlow<io::Error> {
        match self.event::<E>(record) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => ControlFlow::Break(error),
        }
    }

    fn event<E: ByteOrder>(&mut self, record: Record<'_>) -> io::Result<()> {
        let id = record.bytes.first_chunk::<2>().map(|id| EventId(E::read_u16(id)));
        let Some(known) = id.and_then(|id| self.known.get(&id)) else {
            self.written.malformed += 1;
            return Ok(());
        };
        let values: Result<Vec<_>, _> = known.plan.values::<E>(record.bytes).collect();
        let Ok(values) = values else {
            self.written.malformed += 1;
            return Ok(());
        };
        let pid = known.pid.read::<E>(record.bytes);
        let fields = known.format.fields.iter().zip(&values);
        let mut args: Map<_, _> = fields.map(|(field, value)| (field.name.clone(), value_json::<E>(value))).collect();
        args.insert("cpu".to_owned(), record.cpu.into());
        let (process, thread) = self.track(pid, record.cpu);
        let instant = json!({
            "name": known.format.name, "cat": known.format.system, "ph": "i", "s": "t",
            "pid": process, "tid": thread, "args": args,
        });
        let next = known.next.and_then(|(pid, comm)| match (values.get(pid)?, values.get(comm)?) {
            (Value::Signed(pid), Value::Text(comm)) => Some((*pid, String::from_utf8_lossy(comm).into_owned())),
            _ => None,
        });
        self.put(instant, Some(record.time))?;
        self.written.events += 1;
        self.threads.insert(pid);
        self.last = self.last.max(record.time);
        if let Some((pid, comm)) = next {
            self.switch(record.cpu, record.time, Some((pid, comm)))?;
        }
        Ok(())
    }

    /// Process and thread of a task; the idle tasks, one for each CPU, are threads of process 0.
    fn track(&self, pid: i32, cpu: u32) -> (i64, i64) {
        match pid {
            0 => (0, i64::from(cpu)),
            pid => (i64::from(self.names.tgids.get(pid).unwrap_or(pid)), i64::from(pid)),
        }
    }

    /// What the CPU ran until now is a slice.
    fn switch(&mut self, cpu: u32, time: u64, next: Option<(i64, String)>) -> io::Result<()> {
        let before = match next {
            Some((pid, comm)) => self.running.insert(cpu, (time, pid, comm)),
            None => self.running.remove(&cpu),
        };
        let Some((since, pid, comm)) = before.filter(|(_, pid, _)| *pid != 0) else { return Ok(()) };
        let length = time.saturating_sub(since);
        let slice = json!({
            "name": comm, "cat": "sched", "ph": "X", "dur": micros(length), "pid": CPUS, "tid": cpu, "args": {"pid": pid},
        });
        self.put(slice, Some(since))
    }

    fn put(&mut self, mut event: Json, time: Option<u64>) -> io::Result<()> {
        if let (Some(object), Some(time)) = (event.as_object_mut(), time) {
            object.insert("ts".to_owned(), micros(time));
        }
        self.out.write_all(if std::mem::take(&mut self.first) { b"\n" } else { b",\n" })?;
        let text = serde_json::to_string(&event).map_err(io::Error::from)?;
        self.out.write_all(escape_json(&text).as_bytes())
    }

    fn finish(mut self) -> io::Result<Written> {
        let cpus: Vec<_> = self.running.keys().copied().collect();
        for cpu in &cpus {
            self.switch(*cpu, self.last, None)?;
        }
        let name = |kind: &str, process: i64, thread: i64, name: String| json!({"name": kind, "ph": "M", "pid": process, "tid": thread, "args": {"name": name}});
        self.put(name("process_name", CPUS, 0, "CPUs".to_owned()), None)?;
        for cpu in cpus {
            self.put(name("thread_name", CPUS, i64::from(cpu), format!("CPU {cpu}")), None)?;
        }
        for pid in std::mem::take(&mut self.threads) {
            let (process, thread) = self.track(pid, 0);
            let comm = String::from_utf8_lossy(self.names.comms.shown(pid)).into_owned();
            if pid == 0 {
                self.put(name("process_name", 0, 0, "idle".to_owned()), None)?;
            } else {
                self.put(name("thread_name", process, thread, comm), None)?;
            }
        }
        self.out.write_all(b"\n]}\n")?;
        self.out.flush()?;
        Ok(self.written)
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
