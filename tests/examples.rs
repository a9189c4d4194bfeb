//! The programs in `examples/` work, and are as short as intended.

use std::fs;
use std::path::{Path, PathBuf};

use rosc::{OscPacket, OscType};

#[path = "../examples/columns.rs"]
#[allow(dead_code)]
mod columns;
mod common;
#[path = "../examples/live.rs"]
#[allow(dead_code)]
mod live;
#[path = "../examples/own_events.rs"]
#[allow(dead_code)]
mod own_events;
#[path = "../examples/own_ring.rs"]
#[allow(dead_code)]
mod own_ring;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/x86_64-6.18").join(name)
}

/// The lines of the kernel's own `trace` for `event`.
fn kernel_lines(capture: &Path, event: &str) -> Vec<String> {
    let trace = fs::read_to_string(capture.join("trace")).unwrap();
    let lines: Vec<String> = trace.lines().filter(|line| line.contains(event)).map(str::to_owned).collect();
    assert!(!lines.is_empty(), "{event}");
    lines
}

#[test]
fn the_columns_of_a_folder_and_of_a_trace_dat_are_what_the_kernel_prints() {
    let folder = fixture("sched");
    let made = tempfile::tempdir().unwrap();
    let dat = made.path().join("sched.dat");
    ftrace_live::capture::convert::convert(&folder, &dat, Default::default(), &mut |_| {}).unwrap();
    for capture in [&folder, &dat] {
        let columns = columns::columns(capture, "sched:sched_process_exec").unwrap();
        let names: Vec<&str> = columns.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["time", "filename", "pid", "old_pid"]);
        let row = |at: usize| {
            let value = |column: usize| &columns[column].1[at];
            format!("filename={} pid={} old_pid={}", value(1), value(2), value(3))
        };
        let rows: Vec<String> = (0..columns[0].1.len()).map(row).collect();
        let lines = kernel_lines(&folder, "sched_process_exec: ");
        let printed: Vec<&str> = lines.iter().map(|line| line.split_once("exec: ").unwrap().1).collect();
        assert_eq!(rows, printed);
    }
}

#[test]
fn the_text_of_sub_buffers_in_memory_is_the_kernels() {
    let capture = fixture("irq-exceptions");
    let file = |name: &str| fs::read(capture.join(name)).unwrap();
    let text_of = |name: &str| String::from_utf8(file(name)).unwrap();
    let format = text_of("events/irq/irq_handler_entry/format");
    let text = own_ring::text(&text_of("events/header_page"), &format, &file("per_cpu/cpu1/trace_pipe_raw")).unwrap();
    // It knows neither the tasks' names nor that the ring is CPU 1's, where alone the kernel ran this handler.
    let behind_the_cpu = |line: &str| line.split_once("] ").unwrap().1.to_owned();
    let ours: Vec<String> = text.lines().map(behind_the_cpu).collect();
    let lines = kernel_lines(&capture, "irq_handler_entry: ");
    let kernels: Vec<String> = lines.iter().map(|line| behind_the_cpu(line)).collect();
    assert_eq!(ours, kernels);
}

/// Worked out by hand: `#bundle`, a timetag, and twice a size of four bytes with a message: the address in 16 bytes,
/// the tags in 12, time 8, dt, cpu, pid and an empty name 4 each, note and force 4 each, the player's name 8.
#[test]
fn events_of_ones_own_become_one_bundle_of_typed_messages() {
    // 2026-01-01T00:00:00Z; NTP counts seconds since 1900, 2 208 988 800 more.
    let datagrams = own_events::datagrams(1_767_225_600_000_000_000).unwrap();
    assert_eq!(datagrams.len(), 1);
    assert_eq!(datagrams[0].len(), 16 + 2 * (4 + 16 + 12 + 8 + 4 * 4 + 2 * 4 + 8));
    assert_eq!(datagrams[0][..12], *b"#bundle\0\xed\x00\x37\x80");
    let (_, OscPacket::Bundle(bundle)) = rosc::decoder::decode_udp(&datagrams[0]).unwrap() else { panic!("no bundle") };
    let messages = bundle.content.iter().map(|packet| match packet {
        OscPacket::Message(message) => (message.addr.as_str(), &message.args[3..]),
        OscPacket::Bundle(_) => panic!("a bundle in a bundle"),
    });
    let args = |note, force| {
        let text = |text: &str| OscType::String(text.to_owned());
        vec![OscType::Int(7), text(""), OscType::Int(note), OscType::Int(force), text("Clara")]
    };
    let messages: Vec<_> = messages.map(|(address, args)| (address, args.to_vec())).collect();
    assert_eq!(messages, [("/my/piano/key", args(60, 512)), ("/my/piano/key", args(67, -3))]);
}

#[test]
fn live_finds_the_program_that_was_started() {
    if !common::live::may_trace() {
        return;
    }
    let mut pid = 0;
    let started = live::programs_started(|| {
        let mut child = std::process::Command::new("true").spawn()?;
        pid = child.id();
        child.wait().map(drop)
    });
    assert!(started.unwrap().contains(&pid), "{pid} is missing");
}

#[test]
fn each_example_fits_on_a_page() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let lines = fs::read_to_string(&path).unwrap().lines().count();
        assert!(lines <= 40, "{} has {lines} lines", path.display());
        names.push(path.file_stem().unwrap().to_str().unwrap().to_owned());
    }
    names.sort();
    assert_eq!(names, ["columns", "live", "own_events", "own_ring"]);
}
