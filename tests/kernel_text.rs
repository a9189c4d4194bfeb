//! The kernel is the oracle: our text of each capture, of this project and of other machines, equals what that
//! machine's kernel printed for the same bytes.
//!
//! Big-endian and little-endian, 32 and 64 bits, sub-buffers of 4 to 64 KiB; tracepoints, system calls, kprobes,
//! uprobes, synthetic events, the function and graph tracers, stacks, markers, each clock.

mod common;

use std::fs;
use std::path::Path;

use byteorder::{BigEndian, LittleEndian};
use common::{corpus, kernel_text};
use ftrace_live::capture::folder;
use ftrace_live::format::Endian;
use ftrace_live::names::Names;
use ftrace_live::render::Settings;

/// Compares one capture, and prints its counts.
fn compare(path: &Path) -> kernel_text::Tally {
    let mut capture = folder::open(path).unwrap();
    let (names, errors) = Names::load(path);
    assert!(errors.is_empty(), "{}: {errors:?}", path.display());
    let settings = Settings::load(path, &capture.clock);
    let graph = settings.graph.is_some();
    let mut text = settings.text(&capture.events, capture.header.long_size(), capture.endian, &names);
    let mut merge = capture.merge();
    let mut rendered = match capture.endian {
        Endian::Little => kernel_text::render::<LittleEndian, _>(&mut merge, &mut text, &names),
        Endian::Big => kernel_text::render::<BigEndian, _>(&mut merge, &mut text, &names),
    };
    if graph {
        // Here lines are not records: compare line by line.
        let mut start = 0;
        let lines = rendered.text.split_inclusive(|&b| b == b'\n').map(|line| {
            start += line.len();
            (0, start - line.len(), start)
        });
        rendered.records = lines.collect();
    }
    let kernel = fs::read(path.join("trace")).unwrap();
    let nohash = fs::read(path.join("trace.nohash")).ok();
    let name = |id: u16| {
        let event = capture.events.iter().find(|event| event.id.0 == id);
        event.map_or_else(|| format!("{id}"), |event| event.full_name())
    };
    kernel_text::compare(&rendered, &kernel, nohash.as_deref(), name)
}

/// Compares every capture of the machine that has the kernel's text; expected differences are classified.
fn every_line_of(machine: &str) {
    let Some(corpus) = corpus::folder() else { return };
    let machines = corpus::machines(corpus);
    let Some(machine) = machines.iter().find(|path| path.file_name().unwrap().to_str().unwrap().starts_with(machine))
    else {
        crate::common::skipped::say(format_args!("the corpus has no machine {machine}"));
        return;
    };
    every_line_of_captures(machine);
}

/// The captures in the folder `machine`.
fn every_line_of_captures(machine: &Path) {
    let (mut records, mut defects, mut report) = (0, 0, String::new());
    for path in corpus::captures(machine).iter().filter(|path| path.join("trace").is_file()) {
        let last = |path: &Path| path.file_name().unwrap().to_str().unwrap().to_owned();
        let name = format!("{}/{}", last(machine), last(path));
        let tally = compare(path);
        eprintln!("{}", tally.line(&name));
        records += tally.records;
        defects += tally.defects();
        if tally.defects() > 0 {
            report += &format!("{name}\n{}", tally.report());
        }
    }
    assert!(records > 0);
    assert!(defects == 0, "{defects} of {records} records differ without a reason\n{report}");
}

#[test]
fn every_line_of_the_project_s_own_captures() {
    for machine in fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures")).unwrap().flatten() {
        if machine.path().is_dir() {
            every_line_of_captures(&machine.path());
        }
    }
}

#[test]
fn every_line_of_a_big_endian_s390x() {
    every_line_of("s390x");
}

#[test]
fn every_line_of_a_32_bit_arm() {
    every_line_of("armhf");
}

#[test]
fn every_line_of_a_64_bit_arm() {
    every_line_of("arm64-6");
}

#[test]
fn every_line_of_a_64_bit_arm_with_pages_of_16_kib() {
    every_line_of("arm64-16k");
}

#[test]
fn every_line_of_a_power_with_pages_of_64_kib() {
    every_line_of("ppc64el");
}

#[test]
fn every_line_of_an_x86_64() {
    every_line_of("x86_64");
}
