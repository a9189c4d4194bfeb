//! Captures with rare contents: records of removed events, synthetic events, a time offset.

mod common;

use std::{fs, path::Path, process::Command};

use common::made;

const PROGRAM: &str = env!("CARGO_BIN_EXE_ftrace-live");

fn run(folder: &Path, arguments: &[&str]) -> (String, String) {
    let output = Command::new(PROGRAM).current_dir(folder).args(arguments).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    let (out, said) = (text(output.stdout), text(output.stderr));
    assert!(output.status.success(), "{arguments:?}: {out}{said}");
    (out, said)
}

fn play(folder: &Path, capture: &str, more: &[&str]) -> String {
    run(folder, &[&["replay", capture, "--print", "--speed", "max"], more].concat()).0
}

const INT: &str = "int a;\toffset:8;\tsize:4;\tsigned:1;";

fn plain(id: u16) -> (&'static str, &'static str, String) {
    ("s", "e", made::format("e", id, &[INT], "\"a=%d\", REC->a"))
}

/// `print_trace_fmt` (kernel/trace/trace.c): an event of an unloaded module has a number, and a line.
#[test]
fn a_record_of_an_unknown_event_is_printed_as_by_the_kernel_and_not_sent() {
    let dir = tempfile::tempdir().unwrap();
    let record = |id| made::record(id, 77, &[5, 0, 0, 0]);
    let page = made::page(1_000_000_000, &[(1000, record(999)), (1000, record(900)), (1000, record(998))]);
    made::folder(&dir.path().join("gone"), "mono", &[plain(900)], &[(0, page)]);
    let behind_time = |line: &str| line.split_once(": ").unwrap().1.to_owned();
    let lines: Vec<String> = play(dir.path(), "gone", &[]).lines().map(behind_time).collect();
    assert_eq!(lines, ["Unknown type 999", "e: a=5", "Unknown type 998"]);
    assert_eq!(play(dir.path(), "gone", &["--raw"]).lines().count(), 1);
    let (_, said) = run(dir.path(), &["replay", "gone", "--print", "--speed", "max"]);
    assert!(said.contains("2 of unknown events"), "{said}");
}

/// Kernels from 5.11 to 6.14 write `%.*s` for a text without giving a length. A stack of numbers after it must not
/// shift.
#[test]
fn a_synthetic_text_is_one_argument_whatever_its_format_says() {
    let dir = tempfile::tempdir().unwrap();
    let fields = [
        "__data_loc char[] comm;\toffset:8;\tsize:8;\tsigned:1;",
        "u64 lat;\toffset:16;\tsize:8;\tsigned:0;",
        "unsigned long at;\toffset:24;\tsize:8;\tsigned:0;",
        "s8 small;\toffset:32;\tsize:1;\tsigned:1;",
    ];
    let print_fmt = "\"comm=%.*s, lat=%llu, at=%lx, small=%d\", __get_str(comm), REC->lat, REC->at, REC->small";
    let format = made::format("wl", 900, &fields, print_fmt);
    let values = [
        &(4u32 << 16 | 40).to_le_bytes()[..],
        &[0; 4],
        &u64::MAX.to_le_bytes(),
        &(u64::MAX - 15).to_le_bytes(),
        &[0xff, 0, 0, 0, 0, 0, 0, 0],
        b"abc\0",
    ];
    let page = made::page(1_000_000_000, &[(1000, made::record(900, 77, &values.concat()))]);
    made::folder(&dir.path().join("syn"), "mono", &[("synthetic", "wl", format)], &[(0, page)]);
    let text = play(dir.path(), "syn", &[]);
    assert!(text.ends_with("wl: comm=abc lat=18446744073709551615 at=fffffffffffffff0 small=255\n"), "{text}");
    // The counter saturates; the address is sent as its bits.
    let typed = play(dir.path(), "syn", &["--raw", "--types", "full"]);
    assert!(typed.ends_with("comm=\"abc\" lat=9223372036854775807 at=-16 small=-1\n"), "{typed}");
}

/// Flags in the top bit must not be dropped.
#[test]
fn flags_of_64_bits_are_sent_as_their_bits() {
    let dir = tempfile::tempdir().unwrap();
    let fields = ["u64 flags;\toffset:8;\tsize:8;\tsigned:0;", "u64 count;\toffset:16;\tsize:8;\tsigned:0;"];
    let print_fmt = "\"%s %llu\", __print_flags_u64(REC->flags, \"|\", { 1, \"LOW\" }), REC->count";
    let format = made::format("e", 900, &fields, print_fmt);
    let values = [(1u64 << 63 | 1).to_le_bytes(), (1u64 << 63 | 1).to_le_bytes()].concat();
    let page = made::page(1_000_000_000, &[(1000, made::record(900, 77, &values))]);
    made::folder(&dir.path().join("flags"), "mono", &[("s", "e", format)], &[(0, page)]);
    let typed = play(dir.path(), "flags", &["--raw", "--types", "full"]);
    assert!(typed.ends_with("flags=-9223372036854775807 count=9223372036854775807\n"), "{typed}");
}

#[test]
fn a_capture_folder_needs_no_slash_unless_the_kernel_has_that_name() {
    let dir = tempfile::tempdir().unwrap();
    let page = made::page(1000, &[(0, made::record(900, 77, &[0; 4]))]);
    for name in ["mine", "sched"] {
        made::folder(&dir.path().join(name), "mono", &[plain(900)], &[(0, page.clone())]);
    }
    assert_eq!(run(dir.path(), &["list", "mine"]).0, "s:e\n");
    assert!(run(dir.path(), &["describe", "mine"]).0.contains("/ftrace/s/e "));
    assert_eq!(run(dir.path(), &["list", "./sched"]).0, "s:e\n");
    if common::live::may_trace() {
        assert!(run(dir.path(), &["list", "sched"]).0.contains("sched:sched_switch\n"));
    }
}

/// `trace-cmd record --ts-offset`: added to every time, after TSC2NSEC (`timestamp_calc`). trace-cmd is the oracle if
/// it is installed.
#[test]
fn a_time_offset_of_a_trace_dat_is_added() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let page = made::page(3_000_000_000, &[(1000, made::record(900, 77, &[5, 0, 0, 0]))]);
    made::folder(&dir.path().join("in"), "mono", &[plain(900)], &[(0, page)]);
    fs::write(at("in/clock"), "clock mono\nbyte_order little\nlong_size 8\noffset -1000000000\n").unwrap();
    run(dir.path(), &["convert", "in", "-o", "moved.dat"]);
    for capture in ["in", "moved.dat"] {
        let typed = play(dir.path(), capture, &["--raw"]);
        assert!(typed.contains(" time=2.000001000 "), "{capture}: {typed}");
    }
    let text = play(dir.path(), "moved.dat", &[]);
    assert!(text.contains(" 2.000001: e: a=5"), "{text}");
    run(dir.path(), &["convert", "moved.dat", "-o", "again"]);
    assert!(play(dir.path(), "again", &["--raw"]).contains(" time=2.000001000 "));
    match Command::new("trace-cmd").args(["report", "-i", &at("moved.dat")]).output() {
        Ok(theirs) => {
            let theirs = String::from_utf8_lossy(&theirs.stdout).into_owned();
            assert!(theirs.contains(" 2.000001: e:"), "{theirs}");
        }
        Err(error) => common::skipped::say(format!("trace-cmd: {error}")),
    }
}
