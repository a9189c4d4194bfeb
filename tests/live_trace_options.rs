//! The options and clocks of the running kernel that change how it prints a line: our text compared with its own, for
//! each.
//!
//! In a private instance, a few events and a marker are recorded, once for each clock. The same frozen ring is then
//! read as text with one option after another.

mod common;

use std::{fs, path::Path, process::Command};

use byteorder::{BigEndian, LittleEndian};
use common::{
    instance::{Instance, freeze},
    kernel_text::{Tally, compare, render},
};
use ftrace_live::{capture::folder, format::Endian, names::Names, render::Settings};

const EVENTS: [&str; 8] = [
    "sched/sched_switch",
    "syscalls",
    "irq/softirq_entry",
    "kmem/kmalloc",
    "timer/timer_start",
    "rcu/rcu_utilization",
    "signal/signal_generate",
    "task/task_rename",
];

/// Options that change the text, each on top of the kernel's defaults.
const OPTIONS: [&str; 13] = [
    "",
    "hash-ptr",
    "sym-offset",
    "sym-addr",
    "noirq-info",
    "nocontext-info",
    "record-tgid",
    "verbose",
    "printk-msg-only",
    "printk-msg-only,notrace_printk",
    "noannotate",
    "fields",
    "sym-offset,sym-addr,verbose,noirq-info,noannotate",
];

fn set(instance: &Instance, options: &str, on: bool) {
    for option in options.split(',').filter(|option| !option.is_empty()) {
        let opposite = option.strip_prefix("no").map_or_else(|| format!("no{option}"), str::to_owned);
        instance.write("trace_options", if on { option } else { &opposite }).unwrap();
    }
}

/// Fills the ring with some hundred events.
fn record(instance: &Instance) {
    // Thread groups are recorded while it is on.
    set(instance, "record-tgid", true);
    let enabled = |event: &&&str| instance.0.join("events").join(event).exists();
    EVENTS.iter().filter(enabled).for_each(|event| instance.write(&format!("events/{event}/enable"), "1").unwrap());
    instance.write("tracing_on", "1").unwrap();
    instance.write("trace_marker", "one\n").unwrap();
    Command::new("sh").args(["-c", "sleep 0.01; true | cat"]).status().unwrap();
    instance.write("trace_marker", "another\n").unwrap();
    instance.write("trace_marker_raw", "\u{1}\0\0\0raw").unwrap();
    instance.write("tracing_on", "0").unwrap();
    instance.write("events/enable", "0").unwrap();
    set(instance, "record-tgid", false);
}

/// Compares our text of the capture in `folder` with the kernel's in its file `trace`.
fn tally(folder: &Path, names: &Names) -> Tally {
    let mut capture = folder::open(folder).unwrap();
    let settings = Settings::load(folder, &capture.clock);
    let mut text = settings.text(&capture.events, capture.header.long_size(), capture.endian, names);
    let rendered = match capture.endian {
        Endian::Little => render::<LittleEndian, _>(&mut capture.merge(), &mut text, names),
        Endian::Big => render::<BigEndian, _>(&mut capture.merge(), &mut text, names),
    };
    compare(&rendered, &fs::read(folder.join("trace")).unwrap(), None, |id| format!("event {id}"))
}

#[test]
fn options_and_clocks_change_our_lines_like_the_kernels() {
    let Some((tracing, instance)) = Instance::or_skip("options") else { return };
    let scratch = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let clocks = fs::read_to_string(instance.0.join("trace_clock")).unwrap().replace(['[', ']'], "");
    let mut wrong = String::new();
    for clock in clocks.split_whitespace() {
        instance.write("tracing_on", "0").unwrap();
        instance.write("trace_clock", clock).unwrap();
        record(&instance);
        // Options are tried with the kernel's default clock only; other clocks change nothing else.
        let options = if clock == "local" { &OPTIONS[..] } else { &OPTIONS[..1] };
        let texts: Vec<_> = options
            .iter()
            .map(|options| {
                set(&instance, "hash-ptr", false);
                set(&instance, options, true);
                let read = |file: &str| fs::read(instance.0.join(file)).unwrap();
                let text = (*options, read("trace_options"), read("trace"));
                set(&instance, options, false);
                text
            })
            .collect();
        let folder = scratch.path().join(clock);
        freeze(&tracing, &instance.0, &folder);
        let (names, _) = Names::load(&folder);
        for (options, control, text) in texts {
            fs::write(folder.join("trace_options"), control).unwrap();
            fs::write(folder.join("trace"), text).unwrap();
            let tally = tally(&folder, &names);
            let name = format!("{clock} {options}");
            eprintln!("{}", tally.line(&name));
            assert!(tally.records > 50, "{name}: only {} records", tally.records);
            if tally.defects() > 0 {
                wrong += &format!("{name}\n{}", tally.report());
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}
