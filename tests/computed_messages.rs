//! Messages computed from events (aggregates, latencies, hits) are printed like events: `--print` has what a receiver
//! gets. The oracle is the receiver, and the number of events of the capture.

mod common;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Output};

use common::replay;
use rosc::OscType;
use serde_json::Value;

fn fixture() -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/x86_64-6.18/irq-exceptions").to_str().unwrap().to_owned()
}

fn run(arguments: &[&str]) -> Output {
    let fixture = fixture();
    let arguments = [&["replay", &fixture, "--speed", "max"], arguments].concat();
    Command::new(env!("CARGO_BIN_EXE_ftrace-live")).args(arguments).output().unwrap()
}

/// The values of each message, by address.
type Messages = BTreeMap<String, Vec<Vec<String>>>;

fn printed(more: &[&str]) -> Messages {
    let output = run(&[&["--print", "--json", "-q"], more].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut messages = Messages::new();
    for line in String::from_utf8(output.stdout).unwrap().lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        let arguments = line["arguments"].as_array().unwrap();
        assert!(arguments.iter().all(|argument| argument["name"].is_string()), "{line}");
        let value = |argument: &Value| match &argument["value"] {
            Value::String(text) => text.clone(),
            // As in the message: a 32-bit float.
            Value::Number(number) => (number.as_f64().unwrap() as f32).to_string(),
            other => panic!("{other}"),
        };
        let address = line["address"].as_str().unwrap().to_owned();
        messages.entry(address).or_default().push(arguments.iter().map(value).collect());
    }
    messages
}

fn heard(more: &[&str]) -> Messages {
    let mut messages = Messages::new();
    for (_, message) in replay::heard(&[&[&fixture()[..], "--speed", "max"], more].concat()) {
        let value = |argument: &OscType| match argument {
            OscType::String(text) => text.clone(),
            OscType::Int(number) => (*number as f32).to_string(),
            OscType::Float(number) => number.to_string(),
            other => panic!("{other:?}"),
        };
        if message.addr.starts_with("/ftrace/agg/") || message.addr == "/ftrace/hit" {
            messages.entry(message.addr.clone()).or_default().push(message.args.iter().map(value).collect());
        }
    }
    messages
}

/// The sum of an argument of all windows, for the addresses of single events.
fn sum(messages: &Messages) -> f64 {
    let of_events = messages.iter().filter(|(address, _)| !address.starts_with("/ftrace/agg/latency/"));
    of_events.flat_map(|(_, windows)| windows).map(|window| window[0].parse::<f64>().unwrap()).sum()
}

#[test]
fn lines_have_the_aggregates_latencies_and_hits_that_a_receiver_gets() {
    let options = ["--aggregate", "200ms", "--aggregate-latency", "softirq_entry..softirq_exit"];
    let (lines, received) = (printed(&options), heard(&options));
    assert_eq!(lines, received);
    assert!(lines.keys().all(|address| address.starts_with("/ftrace/agg/")), "instead of the events");
    assert!(lines.contains_key("/ftrace/agg/latency/softirq_entry..softirq_exit"));

    let events = ["-e", "irq"];
    let (lines, received) =
        (printed(&[&["--hits"], &events[..]].concat()), heard(&[&["--hits"], &events[..]].concat()));
    assert!(received["/ftrace/hit"].len() > 5);
    assert_eq!(lines["/ftrace/hit"], received["/ftrace/hit"]);
    assert!(lines.contains_key("/ftrace/irq/softirq_entry"), "in addition to the events");
}

#[test]
fn all_events_are_in_a_window_however_short_the_last_one_is() {
    let events = printed(&["--raw"]).values().map(Vec::len).sum::<usize>() as f64;
    for window in ["1ms", "30ms", "1h"] {
        assert_eq!(sum(&printed(&["--aggregate", window])), events, "{window}");
    }
    assert_eq!(sum(&heard(&["--aggregate", "1h"])), events);
    let both = printed(&["--aggregate", "1h", "--events-too"]);
    let (windows, all): (Vec<_>, Vec<_>) = both.iter().partition(|(address, _)| address.starts_with("/ftrace/agg/"));
    assert_eq!((windows.len(), all.iter().map(|(_, messages)| messages.len()).sum::<usize>()), (7, events as usize));
}

#[test]
fn fields_are_checked_where_lines_are_the_only_output() {
    let output = run(&["--print", "--aggregate", "1s", "--aggregate-field", "irq:softirq_entry=nosuch"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(2) && said.contains("has no numeric field \"nosuch\"; it has vec"), "{said}");
}
