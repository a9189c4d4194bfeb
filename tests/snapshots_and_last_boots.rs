//! Parts of an instance that can only be copied by consuming them: its snapshot, and a ring that is kept over
//! reboots.
//!
//! Trees of files replace a kernel with CONFIG_TRACER_SNAPSHOT and one booted with `trace_instance=NAME@…`: a reboot
//! cannot be tested here, so there is no oracle for the addresses of the last boot. They are worked out by hand from
//! the kernel's commits about `last_boot_info`.

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use common::instance::Instance;
use common::{made, skipped};
use ftrace_live::capture::{CopyOptions, FreezeError, WhatOf, copy_instance};
use ftrace_live::tracefs::Tracefs;

fn run(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_ftrace-live")).args(arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Creates a tree with the instance `NAME`, whose ring has calls from these addresses; returns the instance's folder.
fn tree(root: &Path, name: &str, calls: &[u64]) -> PathBuf {
    let field = "unsigned long ip;\toffset:8;\tsize:8;\tsigned:0;";
    let format = made::format("call", 301, &[field], "\"ip=%pS\", (void *)REC->ip");
    let records: Vec<_> = calls.iter().map(|ip| (1000, made::record(301, 7, &ip.to_le_bytes()))).collect();
    made::folder(root, "mono", &[("made", "call", format)], &[]);
    let instance = root.join("instances").join(name);
    made::folder(&instance, "mono", &[], &[(0, made::page(5_000_000_000, &records))]);
    let entries = calls.len();
    fs::write(instance.join("per_cpu/cpu0/stats"), format!("entries: {entries}\nread events: 0\n")).unwrap();
    fs::write(instance.join("tracing_on"), "0\n").unwrap();
    instance
}

fn copied(root: &Path, name: &str, to: &Path, what: WhatOf) -> Result<Vec<String>, FreezeError> {
    let tracefs = Tracefs::at(root).unwrap();
    let mut options = CopyOptions::default();
    options.what = what;
    let frozen = copy_instance(&tracefs, name, to, options)?;
    Ok([frozen.notes, frozen.warnings, vec![format!("{} events", frozen.recorded)]].concat())
}

/// What the kernel would print for each event.
fn played(capture: &Path) -> Vec<String> {
    let output = run(&["replay", capture.to_str().unwrap(), "--print", "--speed", "max"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    text(&output.stdout)
        .lines()
        .map(|line| line.split_once(" ip=").unwrap_or_else(|| panic!("{line}")).1.to_owned())
        .collect()
}

#[test]
fn addresses_of_the_last_boot_get_its_symbols() {
    let symbols = fs::read_to_string("/proc/kallsyms").unwrap_or_default();
    let address = |name: &str| {
        let line = symbols.lines().find(|line| line.split_whitespace().nth(2) == Some(name))?;
        u64::from_str_radix(line.split_whitespace().next()?, 16).ok().filter(|address| *address > 0)
    };
    let Some((text_now, schedule)) = address("_text").zip(address("schedule")) else {
        return skipped::say("who is not root sees no addresses in /proc/kallsyms");
    };
    let scratch = tempfile::tempdir().unwrap();
    // The kernel was 16 MiB lower.
    let moved = 0x100_0000;
    let root = scratch.path().join("tracefs");
    let instance = tree(&root, "boot_mapped", &[schedule - moved, schedule - moved + 4]);
    fs::write(instance.join("last_boot_info"), format!("{:x}\t[kernel]\n", text_now - moved)).unwrap();
    fs::write(root.join("saved_cmdlines"), "7 somebody\n").unwrap();
    // Copying without consuming is not possible.
    let refused = copied(&root, "boot_mapped", &scratch.path().join("refused"), WhatOf::Ring).unwrap_err();
    assert!(matches!(&refused, FreezeError::KeptOverReboots(name) if name == "boot_mapped"), "{refused}");
    assert!(refused.to_string().contains("--take") && !scratch.path().join("refused").exists(), "{refused}");
    let to = scratch.path().join("last");
    let said = copied(&root, "boot_mapped", &to, WhatOf::Taken).unwrap().join("\n");
    assert!(said.contains("are of the last boot") && said.contains("0x1000000 bytes lower"), "{said}");
    let size = |line: &str| line.split_once('/').map(|(name, _)| name.to_owned());
    let names: Vec<_> = played(&to).iter().filter_map(|line| size(line)).collect();
    assert_eq!(names, ["schedule+0x0", "schedule+0x4"]);
    // Task names and time of day of this boot are not stored with the last one's ring.
    assert!(!to.join("saved_cmdlines").exists());
    assert_eq!(fs::read(instance.join("last_boot_info")).unwrap(), fs::read(to.join("last_boot_info")).unwrap());
    let clock = fs::read_to_string(to.join("clock")).unwrap();
    assert!(!clock.contains("realtime_ns"), "{clock}");
    // It is not cleared: nothing was written to it.
    assert!(!instance.join("trace").exists());

    let list = |json: bool| {
        let root = root.to_str().unwrap();
        let arguments: &[&str] = if json { &["--json"] } else { &[] };
        text(&run(&[&["--tracefs", root, "list", "--instances"], arguments].concat()).stdout)
    };
    assert_eq!(list(false), "boot_mapped: stopped, kept over reboots: its events are from the last boot\n");
    assert_eq!(list(true), "{\"instance\":\"boot_mapped\",\"recording\":false,\"kept_of_boot\":\"last\"}\n");
    // This boot has recorded in it since.
    fs::write(instance.join("last_boot_info"), "# Current\n").unwrap();
    fs::write(instance.join("tracing_on"), "1\n").unwrap();
    assert_eq!(list(false), "boot_mapped: records, kept over reboots: its events are from this boot\n");
    let said = copied(&root, "boot_mapped", &scratch.path().join("current"), WhatOf::Taken).unwrap();
    assert_eq!(said.last().unwrap(), "2 events");
    assert!(scratch.path().join("current/saved_cmdlines").exists());
    // A format of the file that is not known yet.
    fs::write(instance.join("last_boot_info"), "{\"kernel\": 1}\n").unwrap();
    assert!(matches!(
        copied(&root, "boot_mapped", &scratch.path().join("x"), WhatOf::Ring),
        Err(FreezeError::KeptOverReboots(_))
    ));
}

#[test]
fn an_existing_snapshot_is_copied_otherwise_one_is_taken() {
    let scratch = tempfile::tempdir().unwrap();
    let root = scratch.path().join("tracefs");
    let instance = tree(&root, "flight", &[1, 2, 3]);
    // The kernel swaps rings; here the snapshot has other events from the start.
    let of_snapshot = made::page(4_000_000_000, &[(1000, made::record(301, 7, &0x10u64.to_le_bytes()))]);
    fs::write(instance.join("per_cpu/cpu0/snapshot_raw"), of_snapshot).unwrap();
    let file = instance.join("snapshot");
    let states = [
        // What the kernel prints in each state (`print_snapshot_help` in kernel/trace/trace.c), and what we last
        // write.
        ("# tracer: nop\n#\n#\n# * Snapshot is freed *\n#\n", "was taken now", Some("0")),
        ("# tracer: nop\n#\n#\n# * Snapshot is allocated *\n#\n", "was taken now", Some("1")),
        ("# tracer: nop\n#\n# entries-in-buffer/entries-written: 1/1   #P:1\n", "was copied and consumed", None),
    ];
    for (number, (state, says, told)) in states.into_iter().enumerate() {
        fs::write(&file, state).unwrap();
        let to = scratch.path().join(number.to_string());
        let said = copied(&root, "flight", &to, WhatOf::Snapshot).unwrap().join("\n");
        assert!(said.contains(says) && said.ends_with("1 events"), "{said}");
        assert_eq!(fs::read_to_string(&file).unwrap(), told.unwrap_or(state));
        // The address 0x10 has no symbol: so the snapshot was played, not the ring.
        assert_eq!(played(&to), ["0x10"]);
        assert!(to.join("per_cpu/cpu0/snapshot_raw").is_file() && !to.join("per_cpu/cpu0/stats").exists());
    }
    fs::remove_file(&file).unwrap();
    let none = copied(&root, "flight", &scratch.path().join("none"), WhatOf::Snapshot).unwrap_err();
    assert!(
        matches!(none, FreezeError::NoSnapshot { .. }) && none.to_string().contains("CONFIG_TRACER_SNAPSHOT"),
        "{none}"
    );
    fs::write(instance.join("last_boot_info"), "# Current\n").unwrap();
    let none = copied(&root, "flight", &scratch.path().join("none"), WhatOf::Snapshot).unwrap_err();
    assert!(none.to_string().contains("kept over reboots cannot have one"), "{none}");
}

#[test]
fn a_real_snapshot_has_the_events_recorded_before_it() {
    let Some((_, instance)) = Instance::or_skip("snapshot") else { return };
    let scratch = tempfile::tempdir().unwrap();
    let name = instance.0.file_name().unwrap().to_str().unwrap();
    let to = scratch.path().join("x");
    let mark = |text: &str| instance.write("trace_marker", text).unwrap();
    mark("mark before");
    let output = run(&["capture", "--instance", name, "--snapshot", "-o", to.to_str().unwrap()]);
    let said = text(&output.stderr);
    if !instance.0.join("snapshot").exists() {
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains("has no snapshot") && said.contains("CONFIG_TRACER_SNAPSHOT"), "{said}");
        return skipped::say("this kernel has no CONFIG_TRACER_SNAPSHOT");
    }
    assert!(output.status.success() && said.contains("was taken now"), "{said}");
    mark("mark behind");
    let played = run(&["replay", to.to_str().unwrap(), "--print", "--speed", "max"]);
    let lines = text(&played.stdout);
    assert!(lines.contains("mark before") && !lines.contains("mark behind"), "{lines}");
    let left = fs::read_to_string(instance.0.join("trace")).unwrap();
    assert!(!left.contains("mark before") && left.contains("mark behind"), "{left}");
    assert!(fs::read_to_string(instance.0.join("snapshot")).unwrap().contains("Snapshot is freed"));
}

#[test]
fn events_taken_from_a_ring_are_consumed() {
    let Some((_, instance)) = Instance::or_skip("taken") else { return };
    let scratch = tempfile::tempdir().unwrap();
    let name = instance.0.file_name().unwrap().to_str().unwrap();
    instance.write("trace_marker", "mark before").unwrap();
    let to = scratch.path().join("x");
    let output = run(&["capture", "--instance", name, "--take", "-o", to.to_str().unwrap()]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(!fs::read_to_string(instance.0.join("trace")).unwrap().contains("mark before"));
    let played = run(&["replay", to.to_str().unwrap(), "--print", "--speed", "max"]);
    assert!(text(&played.stdout).contains("mark before"));
    let listed = text(&run(&["list", "--instances"]).stdout);
    assert!(listed.contains(&format!("{name}: records\n")), "{listed}");
}
