//! `--signals`: each event as numbers from 0 to 1, every tick. The oracle is the arithmetic of docs/WIRE.md applied
//! to the times of the same events as typed messages; the kernel for a live run.

mod common;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Output};

use common::replay;
use rosc::OscMessage;
use serde_json::Value;

const TICK: u64 = 20_000_000;

fn fixture() -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/x86_64-6.18/irq-exceptions").to_str().unwrap().to_owned()
}

fn run(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_ftrace-live")).args(arguments).output().unwrap()
}

/// Time in ns, address, arguments.
type Line = (u64, String, Vec<f64>);

/// The lines of a replay as fast as possible.
fn printed(more: &[&str]) -> Vec<Line> {
    let output = run(&[&["replay", &fixture(), "--speed", "max", "--print", "--json", "-q"], more].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let read = |line: &str| {
        let line: Value = serde_json::from_str(line).unwrap();
        let time = line["time"].as_str().unwrap().replace('.', "").parse().unwrap();
        let arguments = line["arguments"].as_array().unwrap().iter();
        let numbers = arguments.map(|argument| argument["value"].as_f64().unwrap_or(f64::NAN)).collect();
        (time, line["address"].as_str().unwrap().to_owned(), numbers)
    };
    String::from_utf8(output.stdout).unwrap().lines().map(read).collect()
}

#[test]
fn a_replay_follows_the_formulas_of_the_document() {
    let events = ["-e", "irq", "exceptions"];
    let typed = printed(&[&["--raw"], &events[..]].concat());
    let signals = printed(&[&["--signals"], &events[..]].concat());
    assert!(signals.iter().all(|(_, address, _)| address.starts_with("/ftrace/signal/")), "instead of the events");
    // Timetags are exact to a ns except for rounding of their fraction.
    let near = |a: u64, b: u64| a.abs_diff(b) < 1000;
    let first = typed[0].0;
    let mut of: BTreeMap<&str, (Vec<u64>, Vec<&Line>)> = BTreeMap::new();
    typed
        .iter()
        .for_each(|(time, address, _)| of.entry(address.strip_prefix("/ftrace").unwrap()).or_default().0.push(*time));
    signals.iter().for_each(|said| of.get_mut(said.1.strip_prefix("/ftrace/signal").unwrap()).unwrap().1.push(said));
    assert_eq!(of.len(), 7);
    let weight = 1.0 - (-20.0f64 / 250.0).exp();
    for (event, (times, said)) in of {
        let (mut rate, mut density, mut greatest) = (0.0, 0.0, 0.0f64);
        let begins = (times[0] - first) / TICK;
        assert!(said.len() > 5, "{event}");
        for (tick, (end, _, numbers)) in said.iter().enumerate().take(said.len() - 1) {
            let from = first + (begins + tick as u64) * TICK;
            assert!(near(*end, from + TICK), "{event}: tick {tick} ends at {end}");
            // For an event at the edge of a tick, rounding decides.
            let edge = times.iter().any(|time| near(*time, from) && *time != first || near(*time, from + TICK));
            assert!(!edge, "{event}: choose another fixture");
            let count = times.iter().filter(|time| (from..from + TICK).contains(time)).count() as f64;
            rate += weight * (count / 0.02 - rate);
            density += weight * (count.min(1.0) - density);
            greatest = greatest.max(rate);
            let want = [(1.0 + rate).ln() / (1.0 + greatest).ln(), density];
            for (got, want) in numbers.iter().zip(want) {
                assert!((got - want).abs() < 1e-5, "{event} tick {tick}: {numbers:?}, not {want}");
            }
            assert!((0.0..=1.0).contains(&numbers[2]));
        }
        assert_eq!(said.last().unwrap().2, [0.0; 3], "{event} ends with zeros");
    }
    let both = printed(&[&["--signals", "--events-too"], &events[..]].concat());
    assert_eq!(both.len(), typed.len() + signals.len());
    let slow = printed(&[&["--signals", "--tick", "100ms"], &events[..]].concat());
    assert!(near(slow[0].0, first + 100_000_000), "--tick");
}

/// Everything sent by a replay at recorded speed, until its end.
fn heard(more: &[&str]) -> Vec<OscMessage> {
    replay::heard(&[&[&fixture()[..]], more].concat()).into_iter().map(|(_, message)| message).collect()
}

#[test]
fn receivers_get_signals_at_recorded_speed_each_announced_before_its_first() {
    let event = "exceptions:page_fault_user";
    let one = heard(&["--signals", "-e", event]);
    let address = "/ftrace/signal/exceptions/page_fault_user";
    let schema =
        |message: &OscMessage| message.addr == "/ftrace/schema" && format!("{:?}", message.args[0]).contains(address);
    let at = one.iter().position(schema).expect("it is announced");
    let first = one.iter().position(|message| message.addr == address).expect("it comes");
    assert!(at < first);
    assert!(!one.iter().any(|message| message.addr == "/ftrace/exceptions/page_fault_user"), "instead of the event");
    let count = |messages: &[OscMessage]| messages.iter().filter(|message| message.addr == address).count();
    // Half the speed, twice the ticks: the last event is 0.47 s after the first. Late ticks are made up.
    let half = heard(&["--signals", "--speed", "1/2", "-e", event]);
    assert!((20..=27).contains(&count(&one)), "{}", count(&one));
    assert!((40..=51).contains(&count(&half)), "{}", count(&half));
    let hits = heard(&["--signals", "--events-too", "--hits", "-e", event]);
    for address in [address, "/ftrace/exceptions/page_fault_user", "/ftrace/hit"] {
        assert!(hits.iter().any(|message| message.addr == address), "{address}");
    }
}

#[test]
fn a_live_event_that_occurred_once_is_sent_every_tick() {
    if !common::live::may_trace() {
        return;
    }
    // nice(1) reads its priority once.
    let arguments =
        ["--signals", "--print", "-e", "sys_enter_getpriority", "--", "sh", "-c", "nice > /dev/null; sleep 0.4"];
    let output = run(&arguments);
    let printed = String::from_utf8_lossy(&output.stdout);
    let said = String::from_utf8_lossy(&output.stderr);
    let lines: Vec<_> =
        printed.lines().filter(|line| line.contains(" /ftrace/signal/syscalls/sys_enter_getpriority ,fff ")).collect();
    assert!(lines.len() >= 15 && lines.len() == printed.lines().count(), "{printed}\n{said}");
    assert!(lines[0].contains(" rate=1.0 "), "{printed}");
    assert!(lines.last().unwrap().ends_with("rate=0.0 density=0.0 number=0.0"), "{printed}");
}

#[test]
fn conflicting_options_are_refused() {
    for (arguments, what) in [
        (&["--signals", "--map", "vcv"][..], "--map"),
        (&["--signals", "--tick", "11s"], "--tick"),
        (&["--events-too"], "--signals"),
    ] {
        let output = run(&[&["replay", &fixture(), "--print"], arguments].concat());
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(String::from_utf8_lossy(&output.stderr).contains(what), "{arguments:?}");
    }
}
