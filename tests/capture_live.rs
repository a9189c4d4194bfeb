//! `capture` on the running kernel: the folder has the same records as raw sub-buffers and as the kernel's own text.

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use byteorder::NativeEndian;
use common::live::tracefs as live;
use ftrace_live::capture::{
    self, CaptureOptions, CommandEnd, FreezeError, Frozen, NewFolderError, clock_file::ClockFile,
};
use ftrace_live::keeper::Keeper;
use ftrace_live::tracefs::{Selection, TraceClock, Tracefs};

fn options(tracefs: &Tracefs, folder: &Path, events: &[&str], command: &[&str]) -> CaptureOptions {
    let selected = Selection::parse(events).unwrap().resolve(&tracefs.events().unwrap()).unwrap();
    let mut options = CaptureOptions::default();
    options.folder = folder.to_path_buf();
    options.setup.events = selected.events;
    options.command = command.iter().map(Into::into).collect();
    options
}

fn run(tracefs: &Tracefs, options: CaptureOptions) -> Result<Frozen, FreezeError> {
    capture::capture(tracefs, None, options, &AtomicBool::new(false))
}

/// `(cpu, seconds.microseconds)` of each record in the kernel's text, in order.
fn in_text(folder: &Path) -> Vec<(u32, String)> {
    let trace = String::from_utf8_lossy(&fs::read(folder.join("trace")).unwrap()).into_owned();
    let records = trace.lines().filter(|line| !line.starts_with('#') && !line.starts_with("CPU:"));
    records
        .map(|line| {
            // `sh-376     [001] .....    17.115925: sched_switch: …`
            let (_, rest) = line.split_once(" [").unwrap();
            let (cpu, rest) = rest.split_once("] ").unwrap();
            let time = rest.split_whitespace().nth(1).unwrap();
            (cpu.parse().unwrap(), time.trim_end_matches(':').to_string())
        })
        .collect()
}

/// The same from the raw sub-buffers, merged.
fn in_raw(folder: &Path) -> Vec<(u32, String)> {
    let mut capture = capture::folder::open(folder).unwrap();
    let mut merge = capture.merge();
    let mut records = Vec::new();
    while let Some(record) = merge.next_record::<NativeEndian>() {
        // The kernel rounds to microseconds (`trace_print_lat_context`, `ns2usecs`).
        let micros = (record.time + 500) / 1000;
        records.push((record.cpu, format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000)));
    }
    records
}

fn sorted(mut records: Vec<(u32, String)>) -> Vec<(u32, String)> {
    records.sort();
    records
}

#[test]
fn the_kernels_text_and_the_raw_sub_buffers_hold_the_same_records() {
    let Some(tracefs) = live() else { return };
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("capture");
    let script = "for i in 1 2 3 4 5 6 7 8 9; do /bin/true; ls / > /dev/null; done";
    let frozen =
        run(&tracefs, options(&tracefs, &folder, &["sched", "syscalls", "irq"], &["sh", "-c", script])).unwrap();
    assert!(matches!(frozen.command, CommandEnd::Ended(status) if status.success()), "{frozen:?}");
    assert!(frozen.failures.is_empty() && frozen.warnings.is_empty(), "{frozen:?}");
    let (text, raw) = (in_text(&folder), in_raw(&folder));
    let entries: u64 = frozen.stats.iter().map(|(_, stats)| stats.entries).sum();
    assert!(text.len() > 500, "only {} events", text.len());
    assert_eq!(raw.len() as u64, entries);
    assert_eq!(text.len() as u64, entries);
    assert_eq!(sorted(text), sorted(raw));
}

#[test]
fn text_and_raw_agree_after_a_ring_overflowed_and_events_recorded_and_lost_are_the_events_written() {
    let Some(tracefs) = live() else { return };
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("capture");
    let command = ["dd", "if=/dev/zero", "of=/dev/null", "bs=1", "count=20000", "status=none"];
    let mut options = options(&tracefs, &folder, &["raw_syscalls"], &command);
    options.setup.buffer_kib = Some(64);
    let frozen = run(&tracefs, options).unwrap();
    let (text, raw) = (in_text(&folder), in_raw(&folder));
    assert_eq!(sorted(text), sorted(raw.clone()));
    let entries: u64 = frozen.stats.iter().map(|(_, stats)| stats.entries).sum();
    let lost: u64 = frozen.stats.iter().map(|(_, stats)| stats.lost()).sum();
    assert_eq!(raw.len() as u64, entries);
    // 20000 reads and as many writes, each with its entry and its exit.
    assert!(lost > 0 && entries + lost >= 80_000, "{entries} and {lost} lost");
}

#[test]
fn the_folder_mirrors_tracefs_and_has_the_time_and_machine_of_the_capture() {
    let Some(tracefs) = live() else { return };
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("a/capture");
    let mut options = options(&tracefs, &folder, &["sched:sched_switch", "timer:hrtimer_start"], &[]);
    options.duration = Some(Duration::from_millis(50));
    let before = ClockFile { clock: TraceClock::Mono, ..clock_now() };
    let frozen = run(&tracefs, options).unwrap();
    assert!(matches!(frozen.command, CommandEnd::None));

    let files = [
        "events/header_page",
        "events/header_event",
        "events/sched/sched_switch/format",
        "events/timer/hrtimer_start/format",
        "events/ftrace/print/format",
        "per_cpu/cpu0/trace_pipe_raw",
        "per_cpu/cpu0/stats",
        "trace",
        "trace_clock",
        "saved_cmdlines",
        "printk_formats",
        "uname",
        "clock",
    ];
    for file in files {
        assert!(folder.join(file).is_file(), "{file} is missing");
    }
    assert!(!folder.join("kallsyms").exists());
    assert!(!folder.join("events/irq").exists());
    if Path::new("/sys/kernel/btf/vmlinux").exists() {
        assert!(fs::read_to_string(folder.join("constants")).unwrap().contains("enum hrtimer_mode\n"));
    }

    let after = clock_now();
    let clock = ClockFile::load(&folder).unwrap();
    let (pair, earlier, later) = (clock.pair.unwrap(), before.pair.unwrap(), after.pair.unwrap());
    assert_eq!(clock.clock, TraceClock::Mono);
    assert!(earlier.trace_ns <= pair.trace_ns && pair.trace_ns <= later.trace_ns);
    assert!(earlier.realtime_ns <= pair.realtime_ns && pair.realtime_ns <= later.realtime_ns);

    // It can be listed like a tracefs.
    let mirror = Tracefs::at(&folder).unwrap();
    let events: Vec<String> = mirror.events().unwrap().iter().map(ToString::to_string).collect();
    assert_eq!(events, ["sched:sched_switch", "timer:hrtimer_start"]);
    assert_eq!(mirror.format(&mirror.events().unwrap()[0]).unwrap(), tracefs.format(&frozen.events[0]).unwrap());
}

fn clock_now() -> ClockFile {
    let pair = ftrace_live::tracefs::ClockPair::take(&TraceClock::Mono);
    let (endian, long_size) = (ftrace_live::format::Endian::NATIVE, ftrace_live::format::LongSize::Eight);
    ClockFile { clock: TraceClock::Mono, pair, times: Default::default(), endian, long_size }
}

#[test]
fn other_sub_buffer_sizes_and_clocks_can_be_captured() {
    let Some(tracefs) = live() else { return };
    if !tracefs.root().join("buffer_subbuf_size_kb").exists() {
        crate::common::skipped::say(format_args!("this kernel cannot change the sub-buffer size"));
        return;
    }
    for clock in ["mono", "boot", "tai", "mono_raw", "local", "global"] {
        let dir = tempfile::tempdir().unwrap();
        let mut options =
            options(&tracefs, dir.path(), &["raw_syscalls", "sched"], &["sh", "-c", "ls /usr/bin > /dev/null"]);
        options.setup.sub_buffer_kib = Some(16);
        options.setup.clock = TraceClock::from_name(clock);
        let frozen = run(&tracefs, options).unwrap();
        assert_eq!(frozen.bytes % 16384, 0);
        let by_cpu = |records: Vec<(u32, String)>| {
            records.into_iter().fold(BTreeMap::<u32, u32>::new(), |mut counts, (cpu, _)| {
                *counts.entry(cpu).or_default() += 1;
                counts
            })
        };
        assert_eq!(by_cpu(in_text(dir.path())), by_cpu(in_raw(dir.path())), "{clock}");
        assert_eq!(ClockFile::load(dir.path()).unwrap().clock.name(), clock);
    }
}

#[test]
fn a_failed_capture_leaves_no_folder_and_no_instance() {
    let Some(tracefs) = live() else { return };
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("a/capture");
    let guard = Keeper::start_program(Path::new(env!("CARGO_BIN_EXE_ftrace-live")), &tracefs).unwrap();
    let stop = AtomicBool::new(false);

    let bad_filter = {
        let mut options = options(&tracefs, &folder, &["sched_switch"], &[]);
        options.setup.filters = vec!["sched_switch=nonsense".parse().unwrap()];
        options
    };
    let bad_command = options(&tracefs, &folder, &["sched_switch"], &["no-such-command-anywhere"]);
    for options in [bad_filter, bad_command] {
        let error = capture::capture(&tracefs, Some(&guard), options, &stop).unwrap_err();
        assert!(matches!(error, FreezeError::Tracefs(_)), "{error}");
        assert!(!dir.path().join("a").exists(), "after {error}");
    }
    // It exists, but is found not to be a program only when the events are enabled.
    for output in ["a/capture", "a.dat"] {
        let output = dir.path().join(output);
        let no_program = options(&tracefs, &output, &["sched_switch"], &["/proc/version"]);
        let error = capture::capture(&tracefs, Some(&guard), no_program, &stop).unwrap_err();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0, "after {error}");
    }
    fs::write(dir.path().join("theirs"), "precious").unwrap();
    let error = run(&tracefs, options(&tracefs, dir.path(), &["sched_switch"], &["true"])).unwrap_err();
    assert!(matches!(error, FreezeError::Folder(NewFolderError::NotEmpty(_))) && error.is_usage(), "{error}");
    assert_eq!(fs::read_to_string(dir.path().join("theirs")).unwrap(), "precious");
}

#[test]
fn a_stop_ends_the_capture_and_leaves_the_command_running() {
    let Some(tracefs) = live() else { return };
    let dir = tempfile::tempdir().unwrap();
    let options = options(&tracefs, dir.path(), &["sched"], &["sleep", "1000"]);
    let frozen = capture::capture(&tracefs, None, options, &AtomicBool::new(true)).unwrap();
    let CommandEnd::Running(mut child) = frozen.command else { panic!("{frozen:?}") };
    assert!(child.try_wait().unwrap().is_none());
    child.kill().unwrap();
    child.wait().unwrap();
}
