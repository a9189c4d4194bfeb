//! Whatever is missing from a capture is reported by everything that reads it, with the exit code of a failure where it
//! could not be read: lost events, gaps of unknown size, damaged sub-buffers.

mod common;

use std::path::Path;
use std::process::{Command, Output};

use common::made;

/// `RB_MISSED_EVENTS`, and `RB_MISSED_STORED`: the number follows the data.
const MISSED: u64 = 1 << 31;
const STORED: u64 = 1 << 30;

fn run(arguments: &[&str]) -> (Output, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_ftrace-live")).args(arguments).output().unwrap();
    let said = String::from_utf8(output.stderr.clone()).unwrap();
    (output, said)
}

/// A sub-buffer with one event, with these flags, and `lost` behind its data.
fn page(time: u64, flags: u64, lost: Option<u64>) -> Vec<u8> {
    let mut page = made::page(time, &[(0, made::record(900, 77, &7i32.to_le_bytes()))]);
    let commit = u64::from_le_bytes(page[8..16].try_into().unwrap());
    page[8..16].copy_from_slice(&(commit | flags).to_le_bytes());
    let end = 16 + commit as usize;
    if let Some(lost) = lost {
        page[end..end + 8].copy_from_slice(&lost.to_le_bytes());
    }
    page
}

/// Two gaps of unknown size, one of 123 events, and a sub-buffer whose length is impossible.
fn capture(path: &Path) {
    let damaged = page(5_000_000, 0xfff, None);
    let pages = [
        page(1_000_000, MISSED, None),
        page(2_000_000, MISSED | STORED, Some(123)),
        page(3_000_000, MISSED, None),
        damaged,
        page(6_000_000, 0, None),
    ];
    let fields = ["int a;\toffset:8;\tsize:4;\tsigned:1;", "int cpu;\toffset:8;\tsize:4;\tsigned:1;"];
    let format = made::format("ev", 900, &fields, "\"a=%d\", REC->a");
    made::folder(path, "mono", &[("m", "ev", format)], &[(0, pages.concat())]);
}

#[test]
fn each_way_to_read_a_capture_reports_what_is_missing() {
    let scratch = tempfile::tempdir().unwrap();
    let place = |name: &str| scratch.path().join(name).to_str().unwrap().to_owned();
    capture(&scratch.path().join("x"));
    let (capture, json, wav) = (place("x"), place("x.json"), place("x.wav"));
    let ways: [(&[&str], &str); 5] = [
        (&["replay", &capture, "--print", "--speed", "max", "--jobs", "1"], "4 events, printed, "),
        (&["replay", &capture, "--print", "--speed", "max", "--jobs", "2"], "4 events, printed, "),
        (&["replay", &capture, "--print"], "4 events, printed, "),
        (&["render", &capture, "-o", &wav], " sounds, "),
        (&["replay", &capture, "--print", "--raw", "--speed", "max"], "4 events, printed, "),
    ];
    for (way, before) in ways {
        let (output, said) = run(way);
        let all = format!("{before}123 lost when it was captured, 2 gaps of unknown size in it, 1 malformed\n");
        assert!(output.status.success() && said.contains(&all), "{way:?}: {said}");
    }
    let (output, said) = run(&["convert", &capture, "-o", &json]);
    assert!(output.status.success(), "{said}");
    for part in [
        "123 events were lost when it was captured",
        "2 gaps of unknown size are in it",
        "1 sub-buffers could not be read to their end",
    ] {
        assert!(said.contains(part), "{part} in {said}");
    }
}

#[test]
fn in_json_an_events_field_cpu_is_its_own() {
    let scratch = tempfile::tempdir().unwrap();
    let (folder, json) = (scratch.path().join("x"), scratch.path().join("x.JSON"));
    capture(&folder);
    assert!(run(&["convert", folder.to_str().unwrap(), "-o", json.to_str().unwrap()]).0.status.success());
    let trace: serde_json::Value = serde_json::from_slice(&std::fs::read(&json).unwrap()).unwrap();
    let event = trace["traceEvents"].as_array().unwrap().iter().find(|event| event["name"] == "ev").unwrap();
    assert_eq!((event["args"]["cpu"].as_i64(), event["args"]["common_cpu"].as_i64()), (Some(7), Some(0)), "{event}");
}
