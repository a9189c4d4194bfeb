//! `perf.data` written by `perf record`: every event in it equals the line of `perf script` for the same file.
//!
//! The oracle for `tests/data/perf/NAME.data` is `NAME.txt`, printed by `perf script` when the fixture was recorded;
//! if perf is installed and may trace, a file is recorded now as well.

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use byteorder::{BigEndian, ByteOrder, LittleEndian};
use common::program::installed;
use ftrace_live::capture::trace_dat::{DatError, Open, Problem};
use ftrace_live::capture::{self, Capture, perf_data};
use ftrace_live::decode::{EventTable, Plan};
use ftrace_live::format::{Endian, EventId};
use ftrace_live::render::Settings;
use ftrace_live::ring::Lost;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/perf").join(name)
}

/// One event, as both sides report it.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Line {
    time: u64,
    cpu: u32,
    pid: i32,
    event: String,
    text: String,
}

/// A line of `perf script --ns -F comm,tid,cpu,time,event,trace`. A task's name may contain spaces.
fn script_line(line: &str) -> Option<Line> {
    let (task, rest) = line.split_once('[')?;
    let pid = task.split_whitespace().next_back()?.parse().ok()?;
    let (cpu, rest) = rest.split_once(']')?;
    let (time, rest) = rest.trim_start().split_once(": ")?;
    let (seconds, ns) = time.split_once('.')?;
    let (system, rest) = rest.trim_start().split_once(':')?;
    let (event, text) = rest.split_once(':')?;
    Some(Line {
        time: seconds.parse::<u64>().ok()? * 1_000_000_000 + ns.parse::<u64>().ok()?,
        cpu: cpu.parse().ok()?,
        pid,
        event: format!("{system}:{event}"),
        text: text.trim().to_owned(),
    })
}

fn script(text: &str) -> Vec<Line> {
    let mut lines: Vec<_> = text.lines().filter_map(script_line).collect();
    lines.sort();
    lines
}

/// The events as decoded by this library, their text without the kernel's context.
fn decoded(mut capture: Capture) -> Vec<Line> {
    let (names, _) = capture.names();
    let mut settings = Settings::load(Path::new("/nowhere"), &capture.clock);
    settings.set_release(capture.uname.as_deref().expect("perf notes the release"));
    let table = EventTable::new(std::mem::take(&mut capture.events));
    let long = capture.header.long_size();
    let text = settings.text(table.iter(), long, capture.endian, &names);
    let mut merge = capture.merge();
    let mut lines = Vec::new();
    while let Some(record) = merge.next_record::<LittleEndian>() {
        let id = EventId(LittleEndian::read_u16(record.bytes));
        let format = table.get(id).expect("a described event");
        let mut line = Vec::new();
        text.write_text::<LittleEndian>(&mut line, &record, &names);
        let line = String::from_utf8(line).unwrap();
        let (_, line) = line.split_once(": ").unwrap();
        let pid = Plan::compile(format).pid::<LittleEndian>(record.bytes);
        let event = format.full_name();
        lines.push(Line { time: record.time, cpu: record.cpu, pid, event, text: line.trim().to_owned() });
    }
    lines.sort();
    lines
}

/// perf prints -1 for a task that has released its pid while exiting (`perf_event_pid`); the record still has it.
const EXITED: i32 = -1;

/// Asserts that the lines are equal, except for the pid of an exited task; shows the first difference.
fn assert_agree(ours: &[Line], expected: &[Line], what: &str) {
    for (ours, expected) in ours.iter().zip(expected) {
        let pid = if expected.pid == EXITED { ours.pid } else { expected.pid };
        let same = (ours.time, ours.cpu, ours.pid, &ours.event) == (expected.time, expected.cpu, pid, &expected.event);
        assert!(same && ours.text == expected.text, "{what}: {ours:?} is {expected:?} for perf script");
    }
    assert_eq!(ours.len(), expected.len(), "{what}");
}

fn open(path: &Path) -> Capture {
    capture::open(path, Open::default()).unwrap()
}

#[test]
fn every_event_of_every_mode_equals_perf_scripts_line() {
    for name in ["file", "callchain", "pipe", "zstd"] {
        let expected = script(&fs::read_to_string(fixture(&format!("{name}.txt"))).unwrap());
        assert!(expected.len() > 5, "{name}.txt is not what perf script prints");
        assert_agree(&decoded(open(&fixture(&format!("{name}.data")))), &expected, name);
    }
}

#[test]
fn the_clock_the_machine_and_the_task_names_are_those_of_the_file() {
    let capture = open(&fixture("file.data"));
    assert_eq!(capture.clock, "mono", "perf record -k mono");
    let pair = capture.clock_pair.expect("perf record -k notes the time of day");
    // The fixture was taken after 2026-11-01 and before 2100.
    assert!((1_793_491_200_000_000_000..4_102_444_800_000_000_000).contains(&pair.realtime_ns), "{pair:?}");
    assert!(capture.uname.as_deref().unwrap().starts_with("Linux "), "{:?}", capture.uname);
    let first = &script(&fs::read_to_string(fixture("file.txt")).unwrap())[0];
    assert_eq!(capture.names().0.comms.get(first.pid), Some(&b"perf"[..]));

    let capture = open(&fixture("pipe.data"));
    assert_eq!(
        (capture.clock.as_str(), capture.clock_pair),
        ("perf", None),
        "without -k perf's own clock, no time of day"
    );
}

#[test]
fn a_file_recorded_now_equals_the_output_of_perf_script() {
    if !installed("perf") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("now.data");
    let recorded = Command::new("perf")
        .args(["record", "-q", "-a", "-e", "sched:*", "-e", "irq:*", "-e", "raw_syscalls:*", "-o"])
        .arg(&path)
        .args(["--", "sleep", "0.2"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .unwrap();
    if !recorded.success() {
        crate::common::skipped::say(format_args!("perf may not record tracepoints here"));
        return;
    }
    let printed = Command::new("perf")
        .args(["script", "--ns", "-F", "comm,tid,cpu,time,event", "-i"])
        .arg(&path)
        .stderr(Stdio::null())
        .output()
        .unwrap();
    // perf's own text of system calls differs from the kernel's; events, times, CPUs and tasks do not.
    let printed = String::from_utf8_lossy(&printed.stdout).into_owned();
    let expected = script(&printed.lines().map(|line| format!("{}  \n", line.trim_end())).collect::<String>());
    let mut ours = decoded(open(&path));
    ours.iter_mut().for_each(|line| line.text.clear());
    ours.sort();
    assert!(expected.len() > 20, "perf script printed {} events", expected.len());
    assert_agree(&ours, &expected, "now");
}

/// A small perf.data in pipe mode, made by hand: the descriptions of a real one, then the given records.
fn made(records: &[(u32, Vec<u8>)]) -> Vec<u8> {
    let real = fs::read(fixture("pipe.data")).unwrap();
    let mut at = 16;
    // Attributes and descriptions come first; the length of the data after TRACING_DATA is separate from the record's
    // size.
    loop {
        let kind = u32::from_le_bytes(real[at..at + 4].try_into().unwrap());
        let size = usize::from(u16::from_le_bytes(real[at + 6..at + 8].try_into().unwrap()));
        if kind == 66 {
            let appended = u32::from_le_bytes(real[at + 8..at + 12].try_into().unwrap()) as usize;
            at += size + appended;
            break;
        }
        at += size;
    }
    let mut file = real[..at].to_vec();
    for (kind, body) in records {
        file.extend(kind.to_le_bytes());
        file.extend([0, 0]);
        file.extend((body.len() as u16 + 8).to_le_bytes());
        file.extend(body);
    }
    file
}

/// The record with which the kernel reports that `events` were lost on CPU 1 at time 1000: `PERF_RECORD_LOST`, and
/// the fields of `sample_id_all` in the order of `perf_event__output_id_sample`, as in the fixture's attributes.
fn lost(events: u64) -> (u32, Vec<u8>) {
    let mut body = Vec::new();
    // id, lost; pid and tid; time; cpu and reserved; identifier.
    for word in [7, events, 0, 1000, 1, 7] {
        body.extend(u64::to_le_bytes(word));
    }
    (2, body)
}

#[test]
fn events_lost_by_perf_are_reported_lost() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("lost.data");
    fs::write(&path, made(&[lost(41)])).unwrap();
    let mut merge = open(&path).merge();
    assert!(merge.next_record::<LittleEndian>().is_none());
    let lost: Vec<_> = merge.counts().map(|(cpu, counts)| (cpu, counts.lost)).collect();
    assert_eq!(lost, [(0, 0), (1, 41)]);
    assert_eq!(Lost::Count(41), Lost::Count(lost[1].1));
}

fn read_all(bytes: &[u8], how: Open) -> Result<u64, DatError> {
    use std::io::{Seek, Write};
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    file.rewind().unwrap();
    let mut capture = perf_data::import(file, how)?.capture(None)?;
    let endian = capture.endian;
    let mut merge = capture.merge();
    let mut count = 0;
    match endian {
        Endian::Little => {
            while merge.next_record::<LittleEndian>().is_some() {
                count += 1
            }
        }
        Endian::Big => {
            while merge.next_record::<BigEndian>().is_some() {
                count += 1
            }
        }
    }
    Ok(count)
}

#[test]
fn a_file_cut_anywhere_is_an_error_with_its_place() {
    for name in ["file.data", "pipe.data"] {
        let whole = fs::read(fixture(name)).unwrap();
        let all = read_all(&whole, Open::default()).unwrap();
        for cut in (0..whole.len()).step_by(997) {
            match read_all(&whole[..cut], Open::default()) {
                // Pipe mode has no end: cut between two records it is complete.
                Ok(count) => assert!(name == "pipe.data" && count <= all, "{name} cut at {cut}: {count} of {all}"),
                Err(error) => assert!(error.to_string().contains(" at byte "), "{error}"),
            }
        }
    }
}

#[test]
fn salvaging_reads_what_came_before_the_damage() {
    let whole = fs::read(fixture("pipe.data")).unwrap();
    let all = read_all(&whole, Open::default()).unwrap();
    let cut = &whole[..whole.len() - whole.len() / 16];
    let cut = &cut[..cut.len() - cut.len() % 8 + 3];
    assert!(read_all(cut, Open::default()).is_err());
    let salvaged = read_all(cut, Open::new(true)).unwrap();
    assert!((1..all).contains(&salvaged), "{salvaged} of {all}");
}

#[test]
fn flipped_bytes_never_panic_and_never_allocate_more_than_the_file_has() {
    for name in ["file.data", "callchain.data", "pipe.data", "zstd.data"] {
        let whole = fs::read(fixture(name)).unwrap();
        // The header and the first attributes byte by byte, the rest in steps.
        for at in (0..400).chain((400..whole.len()).step_by(1013)) {
            for value in [0x00, 0x7f, 0xff] {
                let mut bytes = whole.clone();
                bytes[at] = value;
                let _ = read_all(&bytes, Open::default());
                let _ = read_all(&bytes, Open::new(at % 2 == 0));
            }
        }
    }
}

#[test]
fn a_file_without_tracepoints_is_refused_with_a_remedy() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("none.data");
    // Pipe mode: only the header.
    let mut bytes = b"PERFILE2".to_vec();
    bytes.extend(16u64.to_le_bytes());
    fs::write(&path, bytes).unwrap();
    let error = perf_data::open(&path, Open::default()).unwrap_err();
    assert!(matches!(error.problem, Problem::NoTracepoints), "{error}");
    assert!(error.to_string().contains("perf record -e"), "{error}");
}

#[test]
fn the_program_plays_lists_describes_counts_and_converts_it() {
    let path = fixture("file.data");
    let run = |args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ftrace-live"));
        let output = command.args(args).output().unwrap();
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let path = path.to_str().unwrap();
    let expected = script(&fs::read_to_string(fixture("file.txt")).unwrap());
    let played = run(&["replay", path, "--print", "--speed", "max", "--raw", "--max-rate", "0"]);
    assert_eq!(played.lines().count(), expected.len());
    assert!(run(&["list", path, "sched"]).contains("sched_switch"));
    assert!(run(&["describe", path, "sched_switch"]).contains("next_comm"));
    assert!(run(&["stat", path]).contains(&format!("{} of", expected.len())));
    let folder = tempfile::tempdir().unwrap();
    let dat = folder.path().join("x.dat");
    run(&["convert", path, "-o", dat.to_str().unwrap()]);
    assert_agree(&decoded(open(&dat)), &expected, "convert");
}
