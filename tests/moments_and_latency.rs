//! A part of a capture between events, and the time from one event to another.
//!
//! The oracle is the kernel's own text of each fixture (`trace`): this test finds the pairs in its lines by itself.

use std::collections::HashMap;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};

fn fixture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures/x86_64-6.18").join(name)
}

fn run(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_ftrace-live")).args(args).output().unwrap()
}

fn stdout(args: &[&str]) -> String {
    let output = run(args);
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// One line of the kernel's text: CPU, time in µs, event, the event's own text.
struct Line {
    cpu: u32,
    us: u64,
    event: String,
    text: String,
}

fn lines(text: &str) -> Vec<Line> {
    let line = |line: &str| {
        let (_, rest) = line.split_once('[')?;
        let (cpu, rest) = rest.split_once(']')?;
        let (head, rest) = rest.split_once(": ")?;
        let (seconds, fraction) = head.split_whitespace().next_back()?.split_once('.')?;
        let (event, text) = rest.split_once(':')?;
        Some(Line {
            cpu: cpu.parse().ok()?,
            us: seconds.parse::<u64>().ok()? * 1_000_000 + fraction.parse::<u64>().ok()?,
            event: event.to_owned(),
            text: text.trim().to_owned(),
        })
    };
    text.lines().filter(|text| !text.starts_with('#')).filter_map(line).collect()
}

fn kernel_lines(name: &str) -> Vec<Line> {
    let lines = lines(&fs::read_to_string(fixture(name).join("trace")).unwrap());
    assert!(lines.len() > 100, "{name}/trace is not the kernel's text");
    lines
}

fn json(args: &[&str]) -> serde_json::Value {
    serde_json::from_str(&stdout(args)).unwrap()
}

#[test]
fn durations_of_softirqs_match_the_kernels_text() {
    let mut open = HashMap::new();
    let mut lengths = Vec::new();
    let (mut unended, mut unbegun) = (0, 0);
    for line in kernel_lines("one-second") {
        // vec=9 [action=RCU]
        let vector = line.text.split_whitespace().next().unwrap_or_default().to_owned();
        match line.event.as_str() {
            "softirq_exit" => match open.remove(&(line.cpu, vector)) {
                Some(began) => lengths.push(line.us - began),
                None => unbegun += 1,
            },
            "softirq_entry" => unended += u64::from(open.insert((line.cpu, vector), line.us).is_some()),
            _ => {}
        }
    }
    unended += open.len() as u64;
    assert!(lengths.len() > 10, "the fixture has {} softirqs", lengths.len());
    lengths.sort_unstable();
    let folder = fixture("one-second");
    let latency =
        json(&["stat", folder.to_str().unwrap(), "--latency", "softirq_entry..softirq_exit", "--format", "json"]);
    assert_eq!(latency["pairs"], lengths.len());
    assert_eq!((&latency["unended"], &latency["unbegun"]), (&unended.into(), &unbegun.into()));
    assert_eq!(latency["key"], serde_json::json!([["vec"], ["vec"]]));
    // The text is rounded to µs at both ends; quantiles have three digits.
    let near = |ours: &serde_json::Value, us: u64| {
        let ours = ours.as_u64().unwrap();
        assert!(ours.abs_diff(us * 1000) <= 1000 + us, "{ours} ns is not {us} µs");
    };
    near(&latency["min"], lengths[0]);
    near(&latency["max"], lengths[lengths.len() - 1]);
    near(&latency["p50"], lengths[(lengths.len() - 1) / 2]);
    near(&latency["p99"], lengths[(lengths.len() * 99).div_ceil(100) - 1]);
    let counted: u64 = latency["histogram"].as_array().unwrap().iter().map(|b| b["count"].as_u64().unwrap()).sum();
    assert_eq!(counted, lengths.len() as u64);
}

#[test]
fn a_woken_task_is_paired_with_the_switch_to_it() {
    let folder = fixture("sched");
    let text = stdout(&["stat", folder.to_str().unwrap(), "--latency", "sched_wakeup..sched_switch"]);
    assert!(text.contains("paired by pid and next_pid"), "{text}");
    let mut woken = HashMap::new();
    let mut pairs = 0;
    for line in kernel_lines("sched") {
        let field =
            |name: &str| line.text.split(name).nth(1).and_then(|rest| rest.split(' ').next()).map(str::to_owned);
        match line.event.as_str() {
            // comm=x pid=1 prio=120 target_cpu=000
            "sched_wakeup" => drop(woken.insert(field(" pid=").unwrap(), ())),
            "sched_switch" => pairs += u64::from(woken.remove(&field(" next_pid=").unwrap()).is_some()),
            _ => {}
        }
    }
    assert!(pairs > 0 && text.contains(&format!(": {pairs} pairs")), "{pairs} in the kernel's text: {text}");
}

#[test]
fn a_part_between_two_events_equals_that_of_the_kernels_text() {
    let kernel = kernel_lines("sched");
    let folder = fixture("sched");
    let first = kernel.iter().position(|line| line.event == "sched_process_exec").unwrap();
    let last = first + 1 + kernel[first + 1..].iter().position(|line| line.event == "sched_process_exit").unwrap();
    let played = stdout(&[
        "replay",
        folder.to_str().unwrap(),
        "--print",
        "--speed",
        "max",
        "--from-event",
        "sched_process_exec",
        "--until-event",
        "sched:sched_process_exit",
    ]);
    let played = lines(&played);
    let what = |line: &Line| (line.cpu, line.us, line.event.clone(), line.text.clone());
    assert_eq!(played.iter().map(what).collect::<Vec<_>>(), kernel[first..=last].iter().map(what).collect::<Vec<_>>());
}

#[test]
fn a_condition_selects_among_events_and_around_extends_both_ways() {
    let kernel = kernel_lines("sched");
    let at = kernel.iter().find(|line| line.text.contains("next_comm=sleep")).expect("a switch to sleep").us;
    let folder = fixture("sched");
    let played = stdout(&[
        "replay",
        folder.to_str().unwrap(),
        "--print",
        "--speed",
        "max",
        "--around",
        r#"sched_switch:next_comm=="sleep""#,
        "--margin",
        "5ms",
    ]);
    let played = lines(&played);
    // A µs of rounding at either end.
    let within = |margin: u64| kernel.iter().filter(|line| line.us.abs_diff(at) <= margin).count();
    assert!((within(4999)..=within(5001)).contains(&played.len()), "{} events", played.len());
    assert!(played.iter().any(|line| line.us < at) && played.iter().any(|line| line.us > at));
}

#[test]
fn moments_and_pairs_not_found_are_refused_with_a_reason() {
    let folder = fixture("sched");
    let folder = folder.to_str().unwrap();
    for (args, reason) in [
        (vec!["replay", folder, "--print", "--from-event", r#"sched_switch:next_comm=="nobody""#], "does not occur"),
        (vec!["replay", folder, "--print", "--from-event", ":x"], "EVENT:CONDITION"),
        (vec!["replay", folder, "--print", "--from-event", "sched_switch:nofield==1"], "has no field"),
        (vec!["replay", folder, "--print", "--around", "sched_switch", "--margin", "-1s"], "--margin"),
        (vec!["stat", folder, "--latency", "sched_switch"], "BEGIN..END"),
        (vec!["stat", folder, "--latency", "sched_wakeup..sched_switch@pid"], "has no field \"pid\""),
        (vec!["stat", folder, "--latency", "nosuch..sched_switch"], "nosuch"),
    ] {
        let output = run(&args);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(2) && said.contains(reason), "{args:?}: {:?} {said}", output.status);
        assert!(output.stdout.is_empty(), "{args:?}");
    }
}
