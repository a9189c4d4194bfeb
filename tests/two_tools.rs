//! A perf.data and a trace.dat of two machines are played as one piece, and each event equals what its own tool
//! lists: `perf script` for the one (`tests/data/perf/file.txt`, printed when the file was recorded), `trace-cmd
//! report` for the other.

mod common;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use common::program::installed;
use ftrace_live::capture::trace_dat::Open;
use ftrace_live::capture::window::Span;
use ftrace_live::capture::{self};
use serde_json::Value;

const PROGRAM: &str = env!("CARGO_BIN_EXE_ftrace-live");
const PERF: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/perf/file.data");
const PERF_SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/perf/file.txt");
const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/x86_64-6.18/sched");

/// An event as listed by a tool: the time of day, ns; `text` follows the event's name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Listed {
    time: u64,
    cpu: u32,
    pid: i32,
    event: String,
    text: String,
}

fn run(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().unwrap();
    assert!(output.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn nanoseconds(time: &str) -> Option<u64> {
    let (seconds, ns) = time.split_once('.')?;
    Some(seconds.parse::<u64>().ok()? * 1_000_000_000 + ns.parse::<u64>().ok()?)
}

/// `comm tid [cpu] time: system:event: text` of perf, `comm-tid [cpu] time: event: text` of trace-cmd.
fn listed(line: &str, moved: u64) -> Option<Listed> {
    let at = line.match_indices('[').map(|(at, _)| at).find(|at| line.as_bytes().get(at + 4) == Some(&b']'))?;
    let pid = line[..at].trim_end().rsplit([' ', '-']).next()?;
    // perf prints -1 for a task that has exited: the number then follows a minus sign as well.
    let pid = if line[..at].trim_end().ends_with(" -1") { -1 } else { pid.parse().ok()? };
    let rest = &line[at + 5..];
    let (time, rest) = rest.trim_start().split_once(": ")?;
    let (event, text) = match rest.trim_start().split_once(": ") {
        Some((event, text)) => (event, text),
        None => (rest.trim().strip_suffix(':')?, ""),
    };
    Some(Listed {
        time: nanoseconds(time)?.wrapping_add(moved),
        cpu: line[at + 1..at + 4].parse().ok()?,
        pid,
        event: event.rsplit(':').next()?.to_owned(),
        text: text.trim().to_owned(),
    })
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().flatten() {
        let to = to.join(entry.file_name());
        if entry.path().is_dir() { copy(&entry.path(), &to) } else { assert!(fs::copy(entry.path(), &to).is_ok()) }
    }
}

#[test]
fn each_event_of_a_piece_of_two_machines_is_what_its_own_tool_lists() {
    if !installed("trace-cmd") {
        return;
    }
    let scratch = tempfile::tempdir().unwrap();
    // The machine of perf.data, and its time of day.
    let mut perf = capture::open(PERF.as_ref(), Open::default()).unwrap();
    let pair = perf.clock_pair.unwrap();
    let perf_offset = pair.realtime_ns.wrapping_sub(pair.trace_ns);
    let perf_began = Span::of(&mut perf).unwrap().unwrap().first.wrapping_add(perf_offset);
    let perf_host = perf.origin.host.clone().expect("perf notes the machine's name");
    // The other one, which began to record 20 ms before.
    let folder = scratch.path().join("desk");
    copy(FOLDER.as_ref(), &folder);
    let mut desk = capture::open(&folder, Open::default()).unwrap();
    let first = Span::of(&mut desk).unwrap().unwrap().first;
    let began = perf_began - 20_000_000;
    let clock = format!(
        "clock mono\ntrace_ns {first}\nrealtime_ns {began}\nuncertainty_ns 30\nbyte_order little\nlong_size 8\n"
    );
    fs::write(folder.join("clock"), clock).unwrap();
    fs::write(folder.join("uname"), "Linux desk 6.18.44 #1 SMP x86_64\n").unwrap();
    let dat = scratch.path().join("desk.dat");
    let dat = dat.to_str().unwrap();
    run(PROGRAM, &["convert", folder.to_str().unwrap(), "-o", dat]);

    // The tools' lists.
    let script = fs::read_to_string(PERF_SCRIPT).unwrap();
    let mut by_perf: Vec<_> = script.lines().filter_map(|line| listed(line, perf_offset)).collect();
    let report = run("trace-cmd", &["report", "-R", "-t", "-i", dat]);
    let mut by_trace_cmd: Vec<_> = report.lines().filter_map(|line| listed(line, 0)).collect();
    assert!(by_perf.len() > 50 && by_trace_cmd.len() > 50, "{} {}", by_perf.len(), by_trace_cmd.len());

    // What is played: typed messages, and the kernel's text of the same events in the same order.
    let common = ["replay", PERF, dat, "--speed", "max", "--print", "--prefix", "/ftrace/%h"];
    let typed = run(PROGRAM, &[&common[..], &["--raw", "--json"]].concat());
    let texts = run(PROGRAM, &common);
    let texts: Vec<&str> = texts.lines().collect();
    let (mut of_perf, mut of_desk, mut hosts, mut last) = (vec![], vec![], vec![], 0);
    for (at, line) in typed.lines().enumerate() {
        let message: Value = serde_json::from_str(line).unwrap();
        let arguments = message["arguments"].as_array().unwrap();
        let address: Vec<_> = message["address"].as_str().unwrap().split('/').collect();
        let ["", "ftrace", host, _, event] = address[..] else { panic!("{line}") };
        let time = nanoseconds(arguments[0]["value"].as_str().unwrap()).unwrap();
        assert!(time >= last, "{line}");
        last = time;
        hosts.push(host.to_owned());
        let text = texts[at].split_once(&format!(": {event}: ")).map_or("", |(_, text)| text).trim().to_owned();
        let number = |index: usize| arguments[index]["value"].as_i64().unwrap();
        let played = Listed { time, cpu: number(2) as u32, pid: number(3) as i32, event: event.to_owned(), text };
        if host == "desk" { of_desk.push((played, message)) } else { of_perf.push(played) }
    }
    assert_eq!(texts.len(), hosts.len());
    let names: BTreeSet<_> = hosts.iter().cloned().collect();
    assert_eq!(names, BTreeSet::from(["desk".to_owned(), perf_host]));
    // They are merged, not played one after the other.
    let turns = hosts.windows(2).filter(|pair| pair[0] != pair[1]).count();
    assert!(turns > 10, "{turns}");

    by_perf.sort();
    of_perf.sort();
    assert_eq!(of_perf.len(), by_perf.len());
    for (played, listed) in of_perf.iter().zip(&by_perf) {
        let pid = if listed.pid == -1 { played.pid } else { listed.pid };
        assert_eq!(*played, Listed { pid, ..listed.clone() });
    }

    // trace-cmd's text lists fields by name, unlike the kernel's print format.
    by_trace_cmd.sort();
    of_desk.sort_by(|(a, _), (b, _)| (a.time, a.cpu, a.pid, &a.event).cmp(&(b.time, b.cpu, b.pid, &b.event)));
    by_trace_cmd.sort_by(|a, b| (a.time, a.cpu, a.pid, &a.event).cmp(&(b.time, b.cpu, b.pid, &b.event)));
    assert_eq!(of_desk.len(), by_trace_cmd.len());
    let mut compared = 0;
    for ((played, message), listed) in of_desk.iter().zip(&by_trace_cmd) {
        let head = |event: &Listed| (event.time, event.cpu, event.pid, event.event.clone());
        assert_eq!(head(played), head(listed));
        for (name, value) in listed.text.split_whitespace().filter_map(|word| word.split_once('=')) {
            // Flags and states are in hexadecimal, with or without 0x.
            let digits = value.strip_prefix("0x").unwrap_or(value);
            let hexadecimal = digits.len() < value.len() || name.ends_with("flags");
            let value = match hexadecimal {
                true => u64::from_str_radix(digits, 16).ok().map(u64::cast_signed),
                false => value.parse::<i64>().ok(),
            };
            let arguments = message["arguments"].as_array().unwrap();
            // The first five are ours.
            let argument = arguments.iter().skip(5).find(|argument| argument["name"] == name);
            let argument = argument.and_then(|argument| argument["value"].as_f64());
            if let (Some(value), Some(argument)) = (value, argument) {
                assert_eq!(argument, value as f64, "{name} of {listed:?}");
                compared += 1;
            }
        }
    }
    assert!(compared > of_desk.len(), "{compared} fields of {} events", of_desk.len());
}
