//! An instance owned by somebody else is copied while it records: every event is in the copy, and every event is
//! still there for its owner.

mod common;

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use common::instance::Instance;

fn run(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_ftrace-live")).args(arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn marks(lines: &str) -> Vec<u32> {
    let number = |line: &str| line.split("mark ").nth(1)?.split(['"', '\\', '\n']).next()?.trim().parse().ok();
    lines.lines().filter_map(number).collect()
}

/// The marks in a copy, in order.
fn copied(instance: &str, folder: &Path) -> Vec<u32> {
    let to = folder.to_str().unwrap();
    let output = run(&["capture", "--instance", instance, "-o", to]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let played = run(&["replay", to, "--raw", "--print", "--speed", "max"]);
    assert!(played.status.success(), "{}", text(&played.stderr));
    let lines = text(&played.stdout);
    assert!(lines.lines().all(|line| !line.starts_with("0.")), "no time of day: {lines}");
    marks(&lines)
}

#[test]
fn a_running_instance_is_copied_without_consuming_it() {
    let Some((_, instance)) = Instance::or_skip("foreign") else { return };
    let scratch = tempfile::tempdir().unwrap();
    let name = instance.0.file_name().unwrap().to_str().unwrap();
    instance.write("trace_clock", "mono").unwrap();
    let mark = |range: std::ops::Range<u32>| {
        range.for_each(|number| instance.write("trace_marker", &format!("mark {number}\n")).unwrap());
    };
    // More than a page of them.
    mark(0..1000);
    let all: Vec<u32> = (0..1000).collect();
    let first = run(&["capture", "--instance", name, "-o", scratch.path().join("probe").to_str().unwrap()]);
    if text(&first.stderr).contains("takes Linux 6.10") {
        eprintln!("SKIPPED: this kernel cannot map a ring");
        return;
    }
    assert_eq!(copied(name, &scratch.path().join("one")), all);
    let trace = || marks(&fs::read_to_string(instance.0.join("trace")).unwrap());
    assert_eq!(trace(), all, "what its owner reads");
    assert_eq!(fs::read_to_string(instance.0.join("tracing_on")).unwrap(), "1\n");
    // It continues, and its owner reads some of it.
    mark(1000..1100);
    assert_eq!(copied(name, &scratch.path().join("two")), (0..1100).collect::<Vec<_>>());
    let pipe = fs::OpenOptions::new().read(true).open(instance.0.join("trace_pipe")).unwrap();
    let mut taken = vec![];
    let mut reader = std::io::BufReader::new(pipe);
    while taken.len() < 200 {
        let mut line = String::new();
        std::io::BufRead::read_line(&mut reader, &mut line).unwrap();
        taken.extend(marks(&line));
    }
    drop(reader);
    let left = trace();
    assert!(left.len() < 1000 && left.last() == Some(&1099), "{left:?}");
    assert_eq!(copied(name, &scratch.path().join("three")), left, "what was read is not copied");
    assert_eq!(trace(), left);
}

#[test]
fn a_missing_instance_is_refused() {
    let Some((_, instance)) = Instance::or_skip("refused") else { return };
    let scratch = tempfile::tempdir().unwrap();
    let to = scratch.path().join("x");
    let name = instance.0.file_name().unwrap().to_str().unwrap();
    for wrong in ["nosuch", "../events", "", "."] {
        let output = run(&["capture", "--instance", wrong, "-o", to.to_str().unwrap()]);
        assert_eq!(output.status.code(), Some(2), "{wrong:?}: {}", text(&output.stderr));
        assert!(text(&output.stderr).contains("there is no instance"), "{}", text(&output.stderr));
    }
    assert!(!to.exists());
    let dat = scratch.path().join("x.dat");
    let output = run(&["capture", "--instance", name, "-o", dat.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(2), "{}", text(&output.stderr));
}
