//! Files that we write: `trace-cmd report` lists every event of the capture they were made from.

mod common;

use std::path::{Path, PathBuf};

use common::{
    corpus,
    report::{Line, ours, report, same},
};
use ftrace_live::capture::{
    convert::{Converted, convert},
    trace_dat::{Open, TraceDat, Version},
};

fn converted(input: &Path, output: &Path) -> Converted {
    convert(input, output, Open::default(), &mut |_| {}).unwrap_or_else(|e| panic!("{}: {e}", input.display()))
}

/// Captures of every machine of the corpus: big-endian and little-endian, 32 and 64 bits, pages of 4 to 64 KiB.
fn captures() -> Vec<PathBuf> {
    let Some(corpus) = corpus::folder() else { return Vec::new() };
    let wanted = ["sched-local", "overflow", "subbuf-big", "fs", "uprobe", "clk-tai"];
    let machines = corpus::machines(corpus);
    assert!(machines.len() >= 6);
    let all = machines.iter().flat_map(|machine| corpus::captures(machine));
    all.filter(|capture| wanted.iter().any(|name| capture.ends_with(name))).collect()
}

#[test]
fn a_folder_of_any_machine_becomes_a_file_that_trace_cmd_lists_whole() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("x.dat");
    for capture in captures() {
        converted(&capture, &file);
        let expected = ours(&capture);
        assert!(!expected.is_empty());
        let again = ours(&file);
        assert!(again == expected, "{}: the file reads otherwise than the folder", capture.display());
        if let Some(theirs) = report(&file) {
            same(theirs, again, &capture);
        }
    }
}

#[test]
fn a_file_becomes_a_folder_and_a_file_again_without_loss() {
    let Some(corpus) = corpus::folder() else { return };
    let dir = tempfile::tempdir().unwrap();
    for name in ["arm64-sched_load-v6.dat", "x86_64-6.18-v6.dat"] {
        let original = corpus.join("tracedat").join(name);
        let (folder, file) = (dir.path().join(name).with_extension("d"), dir.path().join(name));
        converted(&original, &folder);
        converted(&folder, &file);
        assert!(ours(&original) == ours(&folder), "{name} → folder");
        assert!(ours(&original) == ours(&file), "{name} → folder → file");
        let (before, after) = (open(&original), open(&file));
        assert_eq!(before.kallsyms().unwrap(), after.kallsyms().unwrap());
        assert_eq!(before.metadata.printk_formats, after.metadata.printk_formats);
        assert_eq!(before.metadata.saved_cmdlines, after.metadata.saved_cmdlines);
        assert_eq!(before.metadata.header_page, after.metadata.header_page);
        let sorted = |dat: &TraceDat| {
            let mut texts: Vec<_> = dat.metadata.formats.iter().map(|f| (f.system.clone(), f.text.clone())).collect();
            texts.sort();
            texts
        };
        assert_eq!(sorted(&before), sorted(&after));
        assert_eq!(before.options.uname, after.options.uname);
        assert_eq!(before.options.cpustat.len(), after.options.cpustat.len());
    }
}

fn open(file: &Path) -> TraceDat {
    TraceDat::open(file, Open::default()).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

#[test]
fn two_compressed_buffers_become_two_plain_ones() {
    let Some(corpus) = corpus::folder() else { return };
    let dir = tempfile::tempdir().unwrap();
    let original = corpus.join("tracedat/x86_64-6.18-v7-two-buffers.dat");
    let file = dir.path().join("two.dat");
    converted(&original, &file);
    let (before, after) = (open(&original), open(&file));
    assert_eq!(after.version, Version::V6);
    let names = |dat: &TraceDat| dat.buffers.iter().map(|b| (b.name.clone(), b.clock.clone())).collect::<Vec<_>>();
    assert_eq!(names(&before), names(&after));
    assert_eq!(before.options, after.options);
    let expected = ours(&original);
    assert!(ours(&file) == expected);
    if let Some(theirs) = report(&file) {
        same(theirs, expected, &file);
    }
    // In the folder, the second buffer is an instance.
    let folder = dir.path().join("two");
    converted(&original, &folder);
    let mut both = ours(&folder);
    both.extend(ours(&folder.join("instances/side")));
    both.sort_by_key(|line: &Line| line.time);
    same(ours(&file), both, &folder);
}

#[test]
fn the_clock_and_the_time_of_day_are_stored_in_the_file() {
    let Some(corpus) = corpus::folder() else { return };
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("capture");
    converted(&corpus.join("tracedat/x86_64-6.18-v6.dat"), &folder);
    // A moment on both clocks: 1 s of trace time was 2 000 000 001.000 000 5 s of the time of day.
    let clock = "clock mono\ntrace_ns 1000000000\nrealtime_ns 2000000001000000500\nuncertainty_ns 5\n\
                 byte_order little\nlong_size 8\n";
    std::fs::write(folder.join("clock"), clock).unwrap();
    let file = dir.path().join("x.dat");
    converted(&folder, &file);
    let dat = open(&file);
    assert_eq!(dat.options.clock().unwrap().name(), "local");
    assert_eq!(dat.options.date.as_deref(), Some(format!("{:#x}", 2_000_000_000_000_000_i64).as_str()));
    assert_eq!(dat.options.wall_clock().unwrap().realtime_of(1_000_000_000), Some(2_000_000_001_000_000_000));
    // trace-cmd adds DATE to every time.
    if let Some(theirs) = report(&file) {
        let mut ours = ours(&file);
        ours.iter_mut().for_each(|line| line.time += 2_000_000_000_000_000_000);
        same(theirs, ours, &file);
    }
}

#[test]
fn a_file_that_cannot_be_converted_leaves_nothing_behind() {
    let dir = tempfile::tempdir().unwrap();
    let (input, output) = (dir.path().join("in.dat"), dir.path().join("out.dat"));
    std::fs::write(&input, "no trace").unwrap();
    std::fs::write(&output, "precious").unwrap();
    let error = convert(&input, &output, Open::default(), &mut |_| {}).unwrap_err().to_string();
    assert_eq!(error, format!("{}: the file header at byte 0: this is not a trace.dat file", input.display()));
    assert_eq!(std::fs::read_to_string(&output).unwrap(), "precious");
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 2);
}
