//! JSON for programs: the lines of `--json` have the same values as the text, number by number; a capture as JSON for
//! Perfetto has all its events.

mod common;

use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

fn fixture(name: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/x86_64-6.18").join(name).to_str().unwrap().to_owned()
}

fn run(arguments: &[&str]) -> Output {
    let output = Command::new(env!("CARGO_BIN_EXE_ftrace-live")).args(arguments).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    output
}

fn text(arguments: &[&str]) -> String {
    String::from_utf8(run(arguments).stdout).unwrap()
}

/// Each line is an object.
fn rows(arguments: &[&str]) -> Vec<Value> {
    let rows: Vec<Value> = text(arguments).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(rows.iter().all(Value::is_object));
    rows
}

/// The same in the form of the text: `TIME ADDRESS ,TAGS name=value …`.
fn as_text(row: &Value) -> String {
    let (address, tags) = (row["address"].as_str().unwrap(), row["tags"].as_str().unwrap());
    let mut line = format!("{} {address} ,{tags}", row["time"].as_str().unwrap());
    let plain: Vec<char> = tags.chars().filter(|tag| !matches!(tag, '[' | ']')).collect();
    for (argument, tag) in row["arguments"].as_array().unwrap().iter().zip(plain) {
        let (name, value) = (argument["name"].as_str().unwrap(), argument["value"].clone());
        let value = match (tag, &value) {
            ('t', value) => value.as_str().unwrap().to_owned(),
            // The shortest form that reads back to the same bits, in either format.
            ('f', value) => format!("{:?}", value.as_f64().unwrap() as f32),
            ('d', value) => format!("{:?}", value.as_f64().unwrap()),
            ('b', value) => format!("0x{}", value.as_str().unwrap()),
            (_, value) => value.to_string(),
        };
        line.push_str(&format!(" {name}={value}"));
    }
    line
}

#[test]
fn print_has_the_same_values_as_json_to_the_last_bit() {
    for (name, types) in [("sched", "full"), ("irq-exceptions", "double"), ("kmem", "portable")] {
        let arguments = ["replay", &fixture(name), "--raw", "--types", types, "--print", "--speed", "max", "-q"];
        let lines = text(&arguments);
        let rows = rows(&[&arguments[..], &["--json"]].concat());
        assert!(rows.len() > 100 && rows.len() == lines.lines().count(), "{name}: {} rows", rows.len());
        for (line, row) in lines.lines().zip(&rows) {
            assert_eq!(line, as_text(row), "{name}");
        }
    }
}

#[test]
fn list_describe_and_stat_have_a_line_for_each_row() {
    let capture = fixture("irq-exceptions");
    let names: Vec<_> = rows(&["list", "--json", "--tracefs", &capture, "irq"])
        .iter()
        .map(|row| format!("{}:{}", row["system"].as_str().unwrap(), row["name"].as_str().unwrap()))
        .collect();
    assert_eq!(names.join("\n") + "\n", text(&["list", "--tracefs", &capture, "irq"]));
    let described = rows(&["describe", "--json", "--tracefs", &capture, "softirq_entry"]);
    assert_eq!(described[0]["address"], "/ftrace/irq/softirq_entry");
    let arguments: Vec<_> = described[0]["arguments"].as_array().unwrap().iter().map(|a| a["name"].clone()).collect();
    assert_eq!(arguments, ["time", "dt", "cpu", "pid", "comm", "vec"]);

    let stat = rows(&["stat", &capture, "--json"]);
    let of = |kind: &str| stat.iter().filter(|row| row["row"] == kind).cloned().collect::<Vec<_>>();
    let whole: Value = serde_json::from_str(&text(&["stat", &capture, "--format", "json"])).unwrap();
    assert_eq!(of("capture")[0]["events"], whole["events"]);
    let sum: u64 = of("event").iter().map(|row| row["count"].as_u64().unwrap()).sum();
    assert_eq!(Value::from(sum), whole["events"]);
    // The two most frequent ones, in either format.
    let most: Vec<_> = of("event").into_iter().take(2).map(|row| row["name"].clone()).collect();
    let two = rows(&["stat", &capture, "--json", "--top", "2"]);
    let two: Vec<_> = two.iter().filter(|row| row["row"] == "event").map(|row| row["name"].clone()).collect();
    assert_eq!(two, most);
    let two: Value = serde_json::from_str(&text(&["stat", &capture, "--format", "json", "--top", "2"])).unwrap();
    assert_eq!(two["by_event"].as_array().unwrap().len(), 2);
    assert_eq!(of("cpu").len(), whole["cpus"].as_array().unwrap().len());
    let latency = rows(&["stat", &capture, "--json", "--latency", "softirq_entry..softirq_exit"]);
    assert_eq!((latency.len(), &latency[0]["row"]), (1, &Value::from("latency")));
}

#[test]
fn listen_prints_json() {
    use std::io::{BufRead, BufReader};
    let port = common::program::free_port();
    let mut command = Command::new(env!("CARGO_BIN_EXE_ftrace-live"));
    command.args(["listen", &format!("127.0.0.1:{port}"), "--json", "--count", "1"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut said = BufReader::new(child.stderr.take().unwrap()).lines();
    assert!(said.next().unwrap().unwrap().contains("listening"));
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    socket
        .send_to(b"/a\0\0,ihs\0\0\0\0\0\0\0\x05\x7f\xff\xff\xff\xff\xff\xff\xffcaf\xe9\0\0\0\0", ("127.0.0.1", port))
        .unwrap();
    let output = child.wait_with_output().unwrap();
    let line = String::from_utf8(output.stdout).unwrap();
    let arguments = "{\"value\":5},{\"value\":9223372036854775807},{\"value\":\"caf\u{fffd}\"}";
    let want = format!("{{\"time\":null,\"address\":\"/a\",\"tags\":\"ihs\",\"arguments\":[{arguments}]}}");
    assert_eq!(line, format!("{want}\n"));
}

#[test]
fn json_for_perfetto_has_every_event_and_the_tasks_of_each_cpu() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("x.json");
    let (capture, path) = (fixture("sched"), file.to_str().unwrap());
    run(&["convert", &capture, "-o", path]);
    let trace: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    let events = trace["traceEvents"].as_array().unwrap();
    let of = |kind: &str| events.iter().filter(|event| event["ph"] == kind).collect::<Vec<_>>();
    let stat: Value = serde_json::from_str(&text(&["stat", &capture, "--format", "json"])).unwrap();
    assert_eq!(Value::from(of("i").len()), stat["events"]);
    // The first switch of a CPU and the next one are the ends of a slice with the name of the task in between.
    let switches: Vec<_> = of("i").into_iter().filter(|event| event["name"] == "sched_switch").collect();
    let first = switches.iter().find(|switch| switch["args"]["next_pid"] != 0).unwrap();
    let cpu = &first["args"]["cpu"];
    let begin = first["ts"].as_f64().unwrap();
    let second = switches.iter().find(|switch| switch["args"]["cpu"] == *cpu && switch["ts"].as_f64().unwrap() > begin);
    let end = second.unwrap()["ts"].as_f64().unwrap();
    let slice = of("X").into_iter().find(|slice| slice["tid"] == *cpu && slice["ts"].as_f64() == Some(begin)).unwrap();
    assert_eq!((&slice["name"], &slice["args"]["pid"]), (&first["args"]["next_comm"], &first["args"]["next_pid"]));
    assert!((slice["dur"].as_f64().unwrap() - (end - begin)).abs() < 0.01, "{slice} to {end}");
    assert!(of("M").iter().any(|name| name["args"]["name"] == "CPU 0"));
    // Nothing is overwritten.
    let again =
        Command::new(env!("CARGO_BIN_EXE_ftrace-live")).args(["convert", &capture, "-o", path]).output().unwrap();
    assert_eq!(again.status.code(), Some(2));
    if !common::program::installed("trace_processor_shell") {
        return;
    }
    let query = folder.path().join("q.sql");
    std::fs::write(&query, "select count(*) from slice where name = 'sched_switch';").unwrap();
    let output = Command::new("trace_processor_shell").args(["-q", query.to_str().unwrap(), path]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains(&switches.len().to_string()), "{said}");
}
