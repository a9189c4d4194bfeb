//! KernelShark's loader (libkshark) opens the files that we write, and lists the same events as we read in them.
//!
//! Without the library or a C compiler, the tests say so and skip. (Debian: libkshark-dev, libjson-c-dev.)

#[path = "../common/mod.rs"]
mod common;

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use common::report::{Line, ours, same};
use ftrace_live::capture::{
    convert::convert,
    trace_dat::{Open, TraceDat},
};

/// Compiles the listing program into `dir`.
fn lister(dir: &Path) -> Option<PathBuf> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/kernelshark/list.c");
    let program = dir.join("list");
    let compile = |what: &[&str]| {
        let mut cc = Command::new("cc");
        cc.arg("-I/usr/include/kernelshark").arg(&source).args(what).arg("-o").arg(&program).output()
    };
    match compile(&["-E"]) {
        Ok(output) if output.status.success() => {}
        Ok(output) => {
            crate::common::skipped::say(format_args!(
                "libkshark is not installed: {}",
                String::from_utf8_lossy(&output.stderr)
            ));
            return None;
        }
        Err(error) => {
            crate::common::skipped::say(format_args!("cc: {error}"));
            return None;
        }
    }
    let output = compile(&["-lkshark"]).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(program)
}

/// Asserts that KernelShark lists the events of `file` that we read; returns how many.
fn check(lister: &Path, file: &Path) -> usize {
    let output = Command::new(lister).arg(file).output().unwrap();
    assert!(output.status.success(), "{}: {}", output.status, String::from_utf8_lossy(&output.stderr));
    // It adds the file's time of day, and lines of its own for lost events.
    let offset = TraceDat::open(file, Open::default()).unwrap().options.date_ns().unwrap_or(0);
    let lines = String::from_utf8(output.stdout).unwrap();
    let listed = lines.lines().filter(|line| !line.ends_with(" missed_events")).map(|line| {
        let words: Vec<&str> = line.split(' ').collect();
        let [time, cpu, pid, name] = words[..] else { panic!("{line:?}") };
        let time = u64::try_from(time.parse::<i128>().unwrap() - offset).unwrap();
        let event = name.rsplit('/').next().unwrap().to_owned();
        Line { time, cpu: cpu.parse().unwrap(), pid: pid.parse().unwrap(), event }
    });
    let events = ours(file);
    let count = events.len();
    same(listed.collect(), events, file);
    count
}

#[test]
fn it_lists_every_event_of_a_converted_folder() {
    let dir = tempfile::tempdir().unwrap();
    let Some(lister) = lister(dir.path()) else { return };
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/x86_64-6.18/irq-exceptions");
    let file = dir.path().join("x.dat");
    convert(&fixture, &file, Open::default(), &mut |_| {}).unwrap();
    assert_eq!(check(&lister, &file), 783);
}

#[test]
fn it_lists_every_event_of_a_live_recording() {
    let dir = tempfile::tempdir().unwrap();
    let Some(lister) = lister(dir.path()) else { return };
    if !common::live::may_trace() {
        return;
    }
    let file = dir.path().join("x.dat");
    let mut command = Command::new(env!("CARGO_BIN_EXE_ftrace-live"));
    command.args(["--raw", "-e", "sched", "syscalls", "--to", "127.0.0.1:9", "--record"]).arg(&file);
    let output = command.args(["--", "sh", "-c", "ls /usr/bin > /dev/null; /bin/true"]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(check(&lister, &file) > 100);
}
