//! Files that trace-cmd wrote: we read the events that `trace-cmd report` lists, all of them.

mod common;

use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Command, Stdio},
};

use byteorder::{BigEndian, ByteOrder, LittleEndian};
use common::corpus;
use ftrace_live::{
    capture::{
        self,
        trace_dat::{Compression, Open, TraceDat, Version},
    },
    decode::{EventTable, Plan},
    format::{Endian, EventId},
};

/// One event, as far as both sides must agree on it.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Line {
    /// ns
    time: u64,
    cpu: u32,
    pid: i32,
    event: String,
}

/// What `trace-cmd report -t` lists, or `None` and a line that says why not.
fn report(file: &Path) -> Option<Vec<Line>> {
    let mut child = match Command::new("trace-cmd")
        .args(["report", "-R", "-t", "-i"])
        .arg(file)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
    {
        Ok(child) => child,
        Err(error) => {
            eprintln!("SKIPPED: trace-cmd cannot be run: {error}");
            return None;
        }
    };
    let mut lines = Vec::new();
    for line in BufReader::new(child.stdout.take().unwrap()).split(b'\n') {
        let line = String::from_utf8_lossy(&line.unwrap()).into_owned();
        if line.starts_with("cpus=") || line.starts_with("CPU ") {
            continue;
        }
        lines.push(parse(&line).unwrap_or_else(|| panic!("trace-cmd printed {line:?}")));
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
fn ours(file: &Path) -> Vec<Line> {
    let mut capture = capture::open(file, Open::default()).unwrap();
    assert!(capture.broken.is_empty(), "{:?}", capture.broken);
    match capture.endian {
        Endian::Little => merged::<LittleEndian>(&mut capture),
        Endian::Big => merged::<BigEndian>(&mut capture),
    }
}

fn merged<E: ByteOrder>(capture: &mut capture::Capture) -> Vec<Line> {
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

/// Both lists hold the same events. Events of one instant on different CPUs have no order.
fn same(mut theirs: Vec<Line>, mut ours: Vec<Line>, file: &Path) {
    assert!(theirs.is_sorted_by_key(|line| line.time), "{}", file.display());
    assert!(ours.is_sorted_by_key(|line| line.time), "{}", file.display());
    theirs.sort();
    ours.sort();
    if let Some(at) = theirs.iter().zip(&ours).position(|(a, b)| a != b) {
        panic!("{}: event {at}: trace-cmd {:?}, we {:?}", file.display(), theirs[at], ours[at]);
    }
    assert_eq!(theirs.len(), ours.len(), "{}", file.display());
}

fn file(name: &str) -> Option<std::path::PathBuf> {
    Some(corpus::folder()?.join("tracedat").join(name))
}

#[test]
fn version_6_gives_the_events_that_trace_cmd_lists() {
    let Some(file) = file("x86_64-6.18-v6.dat") else { return };
    let ours = ours(&file);
    assert_eq!(ours.len(), 11_286);
    if let Some(theirs) = report(&file) {
        same(theirs, ours, &file);
    }
}

#[test]
fn version_6_of_another_machine_gives_the_events_that_trace_cmd_lists() {
    let Some(file) = file("arm64-sched_load-v6.dat") else { return };
    let ours = ours(&file);
    assert_eq!(ours.len(), 3724);
    if let Some(theirs) = report(&file) {
        same(theirs, ours, &file);
    }
}

#[test]
fn zstd_and_two_buffers_give_the_events_that_trace_cmd_lists() {
    let Some(file) = file("x86_64-6.18-v7-two-buffers.dat") else { return };
    let ours = ours(&file);
    assert_eq!(ours.len(), 32_208);
    if let Some(theirs) = report(&file) {
        same(theirs, ours, &file);
    }
}

#[test]
fn a_zstd_file_of_1_8_million_events_gives_the_events_that_trace_cmd_lists() {
    let Some(file) = file("x86_64-6.18-v7-zstd.dat") else { return };
    let ours = ours(&file);
    assert_eq!(ours.len(), 1_826_228);
    if let Some(theirs) = report(&file) {
        same(theirs, ours, &file);
    }
}

#[test]
fn the_options_and_descriptions_of_a_file_are_read() {
    let Some(file) = file("x86_64-6.18-v7-two-buffers.dat") else { return };
    let dat = TraceDat::open(&file, Open::default()).unwrap();
    assert_eq!((dat.version, dat.compression), (Version::V7, Compression::Zstd));
    assert_eq!((dat.endian, dat.page_size), (Endian::Little, 4096));
    let options = &dat.options;
    assert_eq!(options.uname.as_deref(), Some("Linux vm 6.18.44-fc-v669 x86_64"));
    assert_eq!(options.clock(), Some("mono"));
    assert_eq!(options.trace_id, Some(0x1EB1_E2ED_E237_0C1B));
    assert_eq!(options.version.as_deref(), Some("3.1.6 not-a-git-repo"));
    assert_eq!(options.cpu_count, Some(2));
    let names: Vec<_> = dat.buffers.iter().map(|buffer| (buffer.name.as_str(), buffer.clock.as_deref())).collect();
    assert_eq!(names, [("", Some("mono")), ("side", Some("mono"))]);
    let side = dat.cpu_stats(&dat.buffers[1]);
    assert_eq!(side.len(), 2);
    assert!(side[1].1.contains("read events: 10257"));
    assert_eq!(dat.kallsyms().unwrap().len(), 5_414_658);
    assert!(dat.metadata.printk_formats.starts_with("0x"));
    assert!(dat.metadata.saved_cmdlines.contains(" spike\n"));
    assert!(dat.metadata.header_event.contains("type_len"));
    assert_eq!(dat.metadata.formats.iter().filter(|format| format.system == "ftrace").count(), 18);
}

#[test]
fn one_buffer_can_be_read_alone() {
    let Some(file) = file("x86_64-6.18-v7-two-buffers.dat") else { return };
    let dat = TraceDat::open(&file, Open::default()).unwrap();
    let mut side = dat.capture(Some("side")).unwrap();
    // Its cpustat says 10310 and 10257 events read.
    assert_eq!(merged::<LittleEndian>(&mut side).len(), 10_310 + 10_257);
    let error = dat.capture(Some("other")).err().unwrap().to_string();
    assert_eq!(error, "the table of CPU data at byte 0: there is no buffer \"other\"; there is \"\", \"side\"");
}
