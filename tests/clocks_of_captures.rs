//! Captures whose clock does not count ns: converted if the capture says how, otherwise shown as ticks. The values
//! are worked out by hand from the rules of trace-cmd (`timestamp_calc`, lib/trace-cmd/trace-input.c).

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use byteorder::LittleEndian;
use common::made;
use ftrace_live::capture::folder;
use ftrace_live::capture::trace_dat::{Open, ShiftSample, TraceDat, Tsc2Nsec};
use ftrace_live::names::Names;
use ftrace_live::render::Settings;

fn run(arguments: &[&str], capture: &Path) -> Output {
    let (command, rest) = arguments.split_first().unwrap();
    Command::new(env!("CARGO_BIN_EXE_ftrace-live")).arg(command).arg(capture).args(rest).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A capture of one kind of event on two CPUs: at these times of the clock, with the event's number in its field.
fn capture(folder: &Path, clock: &str, cpus: [&[(u64, u32)]; 2]) -> PathBuf {
    let path = folder.join(clock);
    let format = made::format("tick", 301, &["int n;\toffset:8;\tsize:4;\tsigned:1;"], "\"n=%d\", REC->n");
    let ring = |events: &[(u64, u32)]| {
        let mut last = events[0].0;
        let records = events.iter().map(|&(time, n)| {
            let delta = u32::try_from(time - std::mem::replace(&mut last, time)).unwrap();
            (delta, made::record(301, 7, &n.to_le_bytes()))
        });
        made::page(events[0].0, &records.collect::<Vec<_>>())
    };
    let rings = [(0, ring(cpus[0])), (1, ring(cpus[1]))];
    made::folder(&path, clock, &[("made", "tick", format)], &rings);
    path
}

/// The events' times of day in µs, their dt in ms, and their numbers, in the order of playing.
fn played(output: &Output) -> Vec<(u64, f32, u32)> {
    let lines = text(&output.stdout);
    let value = |line: &str, name: &str| {
        let (_, rest) = line.split_once(&format!(" {name}=")).unwrap_or_else(|| panic!("{name} in {line}"));
        rest.split(' ').next().unwrap().to_owned()
    };
    let event = |line: &str| {
        let (seconds, ns) = (value(line, "time"), 1_000);
        let time = seconds.replace('.', "").parse::<u64>().unwrap().div_ceil(ns);
        (time, value(line, "dt").parse().unwrap(), value(line, "n").parse().unwrap())
    };
    lines.lines().filter(|line| line.contains("/made/tick ")).map(event).collect()
}

/// The text of a capture folder as printed by its kernel.
fn kernel_text_of(path: &Path) -> String {
    let mut capture = folder::open(path).unwrap();
    let (names, settings) = (Names::default(), Settings::load(path, &capture.clock));
    let mut lines = settings.text(&capture.events, capture.header.long_size(), capture.endian, &names);
    let (mut merge, mut out) = (capture.merge(), Vec::new());
    while let Some(record) = merge.next_record::<LittleEndian>() {
        lines.write::<LittleEndian>(&mut out, &record, &names);
    }
    text(&out)
}

const REPLAY: [&str; 5] = ["replay", "--raw", "--speed", "max", "--print"];

#[test]
fn ticks_of_unknown_length_are_not_times_and_this_is_reported_once() {
    let folder = tempfile::tempdir().unwrap();
    for clock in ["counter", "x86-tsc", "uptime", "ppc-tb"] {
        let events: [&[(u64, u32)]; 2] = [&[(5_000_000_000, 1), (5_000_000_900, 3)], &[(5_000_000_400, 2)]];
        let path = capture(folder.path(), clock, events);
        // A stored moment does not make times of them.
        let noted = format!("clock {clock}\nbyte_order little\ntrace_ns 1\nrealtime_ns 1700000000000000000\n");
        fs::write(path.join("clock"), noted + "uncertainty_ns 3\n").unwrap();
        let output = run(&REPLAY, &path);
        assert_eq!(played(&output), [(0, 0.0, 1), (0, 0.0, 2), (0, 0.0, 3)], "{}", text(&output.stdout));
        let said = text(&output.stderr);
        assert_eq!(said.matches(&format!("the trace clock {clock} counts ticks")).count(), 1, "{said}");

        let dat = folder.path().join(format!("{clock}.dat"));
        let converted = run(&["convert", "-o", dat.to_str().unwrap()], &path);
        assert!(converted.status.success(), "{}", text(&converted.stderr));
        let output = run(&REPLAY, &dat);
        assert_eq!(played(&output), [(0, 0.0, 1), (0, 0.0, 2), (0, 0.0, 3)], "{clock}.dat");

        let stat = text(&run(&["stat"], &path).stdout);
        assert!(stat.contains("span       900 ticks of unknown length, from 5000000000 to 5000000900"), "{stat}");
        assert!(stat.contains("events     3 of 1 kinds\n") && stat.contains("500 ticks at most"), "{stat}");
        let json: serde_json::Value =
            serde_json::from_slice(&run(&["stat", "--format", "json"], &path).stdout).unwrap();
        assert_eq!((&json["nanoseconds"], &json["recorded_unix_ns"]), (&false.into(), &serde_json::Value::Null));
        for refused in [
            &["replay", "--raw", "--from", "1s"][..],
            &["stat", "--until", "-1s"],
            &["stat", "--latency", "tick..tick"],
        ] {
            let output = run(refused, &path);
            assert_eq!(output.status.code(), Some(2), "{refused:?}");
            assert!(text(&output.stderr).contains("counts ticks, not time"), "{refused:?}: {}", text(&output.stderr));
        }
    }
}

#[test]
fn a_counter_with_stored_tick_length_gives_times_in_a_folder_and_in_a_trace_dat() {
    let folder = tempfile::tempdir().unwrap();
    // 2.5 GHz: 0.4 ns a tick, so 1 250 000 000 ticks are 500 ms. They begin at 4 s.
    let path = capture(folder.path(), "x86-tsc", [&[(10_000_000_000, 1)], &[(10_050_000_000, 2), (10_125_000_000, 3)]]);
    let tick = (1u64 << 31) * 2 / 5;
    let noted = format!("clock x86-tsc\nbyte_order little\ntick {tick} 31\ntrace_ns 4000000000\n");
    fs::write(path.join("clock"), noted + "realtime_ns 1700000000000000000\nuncertainty_ns 3\n").unwrap();
    let at = |ms: u64| 1_700_000_000_000_000 + ms * 1000;
    let output = run(&REPLAY, &path);
    assert!(!text(&output.stderr).contains("ticks"), "{}", text(&output.stderr));
    // The multiplier is truncated, which is less than a ns per second.
    let near = |events: Vec<(u64, f32, u32)>, expected: [(u64, f32, u32); 3]| {
        assert_eq!(events.len(), 3);
        for ((time, dt, n), expected) in events.into_iter().zip(expected) {
            assert!(time.abs_diff(expected.0) <= 1 && (dt - expected.1).abs() < 0.001, "{time} {dt} {expected:?}");
            assert_eq!(n, expected.2);
        }
    };
    near(played(&output), [(at(0), 0.0, 1), (at(20), 20.0, 2), (at(50), 30.0, 3)]);
    // The kernel's own text has ticks.
    let lines = kernel_text_of(&path);
    assert!(lines.contains(" 10050000000: tick: n=2"), "{lines}");

    let dat = folder.path().join("tsc.dat");
    assert!(run(&["convert", "-o", dat.to_str().unwrap()], &path).status.success());
    let options = TraceDat::open(&dat, Open::default()).unwrap().options;
    assert_eq!(options.tsc2nsec, Some(Tsc2Nsec { multiplier: tick as u32, shift: 31, offset: 0 }));
    near(played(&run(&REPLAY, &dat)), [(at(0), 0.0, 1), (at(20), 20.0, 2), (at(50), 30.0, 3)]);
    // trace-cmd's text of such a file has seconds.
    let lines = text(&run(&["replay", "--print", "--speed", "max"], &dat).stdout);
    assert!(lines.contains("     4.020000: tick: n=2"), "{lines}");
    let stat = text(&run(&["stat", "--from", "10ms"], &dat).stdout);
    assert!(stat.contains("events     2 of 1 kinds"), "{stat}");

    let back = folder.path().join("back");
    assert!(run(&["convert", "-o", back.to_str().unwrap()], &dat).status.success());
    near(played(&run(&REPLAY, &back)), [(at(0), 0.0, 1), (at(20), 20.0, 2), (at(50), 30.0, 3)]);
}

#[test]
fn a_guests_times_are_those_of_its_host() {
    let folder = tempfile::tempdir().unwrap();
    let second = 1_000_000_000;
    // CPU 1 of the guest is 1 ms behind its host, and then 3 ms: its first event is the last one.
    let cpus: [&[(u64, u32)]; 2] =
        [&[(second, 1), (second + 2_000_000, 2)], &[(second + 1_500_000, 3), (second + 60_000_000, 4)]];
    let path = capture(folder.path(), "mono", cpus);
    let corrections =
        "shift 1 1000000000 1 0 1000000\nshift 1 1050000000 1 0 3000000\nshift 1 1100000000 1 0 9000000\n";
    fs::write(path.join("clock"), format!("clock mono\nbyte_order little\n{corrections}")).unwrap();
    // The file has no time of day: the host's clock is shown.
    let expected = [(1_000_000, 1), (1_002_000, 2), (1_002_500, 3), (1_063_000, 4)];
    let times = |output: &Output| played(output).iter().map(|(time, _, n)| (*time, *n)).collect::<Vec<_>>();
    assert_eq!(times(&run(&REPLAY, &path)), expected);
    let dat = folder.path().join("guest.dat");
    assert!(run(&["convert", "-o", dat.to_str().unwrap()], &path).status.success());
    let shifts = TraceDat::open(&dat, Open::default()).unwrap().options.time_shifts;
    let sample = |time, offset| ShiftSample { time, offset, scaling: 1, fraction: 0 };
    assert_eq!(shifts[0].cpus[1][0], sample(second, 1_000_000));
    assert_eq!(times(&run(&REPLAY, &dat)), expected);
    let stat = text(&run(&["stat"], &dat).stdout);
    assert!(stat.contains("from 1.000000 to 1.063000"), "{stat}");
}
