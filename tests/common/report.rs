//! The events of a capture as listed by `trace-cmd report`, and as we read them.

use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Command, Stdio},
};

use byteorder::{BigEndian, ByteOrder, LittleEndian};
use ftrace_live::{
    capture::{self, Capture, trace_dat::Open},
    decode::{EventTable, Plan},
    format::{Endian, EventId},
};

/// One event, as far as both sides must agree.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Line {
    /// ns
    pub time: u64,
    /// CPU
    pub cpu: u32,
    /// Task
    pub pid: i32,
    /// Name
    pub event: String,
}

/// What `trace-cmd report -t` lists, or `None` and a line that says why not.
pub fn report(file: &Path) -> Option<Vec<Line>> {
    let mut child = match Command::new("trace-cmd")
        .args(["report", "-R", "-t", "-i"])
        .arg(file)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
    {
        Ok(child) => child,
        Err(error) => {
            crate::common::skipped::say(format_args!("trace-cmd cannot be run: {error}"));
            return None;
        }
    };
    let mut lines = Vec::new();
    for line in BufReader::new(child.stdout.take().unwrap()).split(b'\n') {
        let line = String::from_utf8_lossy(&line.unwrap()).into_owned();
        // Texts and bytes of an event are printed with their line breaks; the lines after those are not events, and
        // neither are notes about lost events. A line missed here would be missing in the comparison.
        lines.extend(parse(&line));
    }
    assert!(child.wait().unwrap().success());
    Some(lines)
}

/// `  spike-6643  [001]  6221.062204664: sched_stat_runtime:    comm=…`
fn parse(line: &str) -> Option<Line> {
    let (task, rest) = line.match_indices(" [").find_map(|(at, _)| {
        let rest = &line[at + 2..];
        (rest.as_bytes().get(3) == Some(&b']')).then_some((&line[..at], rest))
    })?;
    let pid = task.trim_end().rsplit('-').next()?.parse().ok()?;
    let mut words = rest.split_whitespace();
    let cpu = words.next()?.trim_end_matches(']').parse().ok()?;
    let time = words.next()?.trim_end_matches(':').replace('.', "").parse().ok()?;
    let event = words.next()?.trim_end_matches(':').to_owned();
    Some(Line { time, cpu, pid, event })
}

/// The same from our reader.
pub fn ours(file: &Path) -> Vec<Line> {
    let mut capture = capture::open(file, Open::default()).unwrap();
    assert!(capture.broken.is_empty(), "{:?}", capture.broken);
    match capture.endian {
        Endian::Little => merged::<LittleEndian>(&mut capture),
        Endian::Big => merged::<BigEndian>(&mut capture),
    }
}

pub fn merged<E: ByteOrder>(capture: &mut Capture) -> Vec<Line> {
    let table = EventTable::new(std::mem::take(&mut capture.events));
    let plan = Plan::compile(table.iter().next().unwrap());
    let mut merge = capture.merge();
    let mut lines = Vec::new();
    while let Some(record) = merge.next_record::<E>() {
        let id = EventId(E::read_u16(record.bytes));
        let event = table.get(id).map_or_else(|| format!("unknown {id}"), |event| event.name.clone());
        lines.push(Line { time: record.time, cpu: record.cpu, pid: plan.pid::<E>(record.bytes), event });
    }
    assert_eq!(merge.take_errors().count(), 0);
    assert!(merge.counts().all(|(_, counts)| counts.malformed == 0));
    lines
}

/// Asserts that both lists have the same events. Simultaneous events on different CPUs have no order.
pub fn same(mut theirs: Vec<Line>, mut ours: Vec<Line>, file: &Path) {
    assert!(theirs.is_sorted_by_key(|line| line.time), "{}", file.display());
    assert!(ours.is_sorted_by_key(|line| line.time), "{}", file.display());
    theirs.sort();
    ours.sort();
    if let Some(at) = theirs.iter().zip(&ours).position(|(a, b)| a != b) {
        panic!("{}: event {at}: trace-cmd {:?}, we {:?}", file.display(), theirs[at], ours[at]);
    }
    assert_eq!(theirs.len(), ours.len(), "{}", file.display());
}
