//! Messages defined by a map: `--map`. The oracle is the same events as typed messages and hits, with the map's
//! arithmetic done by hand; the kernel for a live one.

mod common;

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use common::replay::heard;
use ftrace_live::map::{Map, names};
use rosc::{OscMessage, OscTime, OscType};

fn fixture() -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/x86_64-6.18/irq-exceptions").to_str().unwrap().to_owned()
}

/// All messages of a replay, with their bundles' times.
fn replayed(more: &[&str]) -> Vec<(OscTime, OscMessage)> {
    heard(&[&[&fixture()[..], "--speed", "1", "--max-rate", "0"], more].concat())
}

fn float(argument: &OscType) -> f32 {
    match argument {
        OscType::Float(number) => *number,
        OscType::Int(number) => *number as f32,
        OscType::Double(number) => *number as f32,
        other => panic!("{other:?} is no number"),
    }
}

fn text(argument: &OscType) -> &str {
    match argument {
        OscType::String(text) => text,
        other => panic!("{other:?} is no text"),
    }
}

#[test]
fn superdirt_gets_notes_and_grains_as_names_and_values() {
    let events = ["-e", "exceptions"];
    let played: Vec<_> = replayed(&[&events[..], &["--map", "superdirt"]].concat());
    let hits = replayed(&[&events[..], &["--hits"]].concat());
    let hits: Vec<_> = hits.into_iter().filter(|(_, message)| message.addr == "/ftrace/hit").collect();
    let hits: Vec<_> = hits.iter().filter(|(_, hit)| float(&hit.args[1]) < 2.0).collect();
    assert!(hits.len() > 5 && played.len() == hits.len(), "{} hits, {} played", hits.len(), played.len());
    for ((_, message), (_, hit)) in played.iter().zip(&hits) {
        assert_eq!(message.addr, "/dirt/play");
        // event, form, timbre, note, level, length, pan, brightness.
        let [_, _, timbre, note, level, length, pan, _] = hit.args.as_slice() else { panic!("{hit:?}") };
        let value = |name: &str| {
            let at = message.args.iter().step_by(2).position(|argument| text(argument) == name).unwrap();
            message.args[2 * at + 1].clone()
        };
        let synths = "superhat supersaw super808 supermandolin superpwm supersnare supergong superclap";
        let synth = synths.split(' ').nth(float(timbre) as usize).unwrap();
        assert_eq!(text(&value("s")), synth);
        for (name, want) in [
            ("note", float(note) - 60.0),
            ("gain", float(level) * 1.5),
            ("pan", (float(pan) + 1.0) / 2.0),
            ("sustain", float(length) / 1000.0),
            ("delta", float(length) / 1000.0),
        ] {
            let got = float(&value(name));
            assert!((got - want).abs() < 1e-4 * want.abs().max(1.0), "{name}: {got}, not {want}");
        }
        assert_eq!(value("orbit"), OscType::Int(0));
    }
}

#[test]
fn a_users_map_has_the_values_of_the_typed_messages() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("mine.toml");
    let toml = r#"
        port = 9999
        [[message]]
        events = ["irq:softirq_entry"]
        address = "/mine/{system}/{event}"
        args = ["$vec:d", "$log(vec, 1, 10)", "$lin(vec, 0, 4)", "$unit(vec)", "$pick(vec, a, b, c)", "$mul(add(vec, 1), 2)",
                "$$ign", 3, 0.5, "$comm", "$cpu", "$pid"]
    "#;
    std::fs::write(&file, toml).unwrap();
    let events = ["-e", "irq:softirq_entry"];
    let mapped = replayed(&[&events[..], &["--map", file.to_str().unwrap()]].concat());
    let typed = replayed(&[&events[..], &["--raw"]].concat());
    let typed: Vec<_> = typed.iter().filter(|(_, message)| message.addr == "/ftrace/irq/softirq_entry").collect();
    assert!(typed.len() > 20 && typed.len() == mapped.len(), "{} typed, {} mapped", typed.len(), mapped.len());
    let (mut least, mut greatest) = (f32::MAX, f32::MIN);
    for ((_, message), (_, typed)) in mapped.iter().zip(typed) {
        let [_, _, cpu, pid, comm, vec] = typed.args.as_slice() else { panic!("{typed:?}") };
        let vec = float(vec);
        (least, greatest) = (least.min(vec), greatest.max(vec));
        let unit = if greatest > least { (vec - least) / (greatest - least) } else { 0.0 };
        let want = [
            OscType::Double(f64::from(vec)),
            OscType::Float(f64::from(vec.max(1.0)).log10().min(1.0) as f32),
            OscType::Float((vec / 4.0).min(1.0)),
            OscType::Float((f64::from(vec - least) / f64::from(greatest - least)) as f32),
            OscType::String(["a", "b", "c"][vec as usize % 3].to_owned()),
            OscType::Float((vec + 1.0) * 2.0),
            OscType::String("$ign".to_owned()),
            OscType::Int(3),
            OscType::Float(0.5),
            comm.clone(),
            cpu.clone(),
            pid.clone(),
        ];
        assert_eq!(message.addr, "/mine/irq/softirq_entry");
        for (index, (got, want)) in message.args.iter().zip(&want).enumerate() {
            match got {
                OscType::Float(got) if index == 3 => assert!((got - unit).abs() < 1e-6, "unit {got}, not {unit}"),
                OscType::Float(number) => assert!((number - float(want)).abs() < 1e-6, "{index}: {got:?} {want:?}"),
                got => assert_eq!(got, want, "{index}"),
            }
        }
    }
}

/// A packer keeps 32 datagrams; with the smallest, one hit here is 41. What the socket has no room for counts as sent.
#[test]
fn a_hit_of_more_messages_than_are_sent_at_once_loses_none() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("many.toml");
    let message =
        |n: usize| format!("[[message]]\non = \"hit\"\naddress = \"/many/{n}\"\nargs = [\"{}\"]\n", "long".repeat(45));
    let toml: String = (0..41).map(message).collect();
    std::fs::write(&file, format!("port = 9999\n{toml}")).unwrap();
    let receiver = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let to = receiver.local_addr().unwrap().to_string();
    let map = file.to_str().unwrap();
    let events = ["replay", &fixture(), "-e", "irq:irq_handler_entry", "--max-rate", "0"];
    let said = run(&[&events[..], &["--map", map, "--mtu", "256", "--to", &to]].concat());
    let said = String::from_utf8(said.stderr).unwrap();
    let sent = said.split(" messages sent in ").next().and_then(|before| before.rsplit(' ').next()).unwrap();
    let sent: u64 = sent.parse().unwrap_or_else(|_| panic!("{said}"));
    assert!(sent > 0 && sent.is_multiple_of(41), "{said}");
}

#[test]
fn each_error_has_its_line_and_column_and_the_most_similar_name() {
    let said = |toml: &str| Map::parse("m", toml).unwrap_err().to_string();
    let with = |args: &str| format!("[[message]]\naddress = \"/a\"\nargs = [{args}]\n");
    for (toml, what) in [
        ("prot = 3", "m:1:1: there is no key \"prot\"; the nearest is port"),
        ("port = 0", "m:1:8: expected a number from 1 to 65535"),
        ("port = ", "m:1:"),
        ("port = 1", "m:1:1: a map needs at least one [[message]]"),
        ("[[message]]\nadress = \"/a\"", "m:2:1: there is no key of a message \"adress\"; the nearest is address"),
        ("[[message]]\naddress = \"a b\"", "m:2:11: \"a b\" is not an OSC address"),
        (
            "[[message]]\naddress = \"/{evnt}\"",
            "m:2:11: there is no name for an address \"evnt\"; the nearest is event",
        ),
        ("[[message]]\naddress = \"/a\"\nform = \"note\"", "m:3:1: only hits have a form"),
        (&with("\"$hit.note\""), "m:3:9: hit.note exists for hits only"),
        (&with("1, \"$unit(vec\""), "m:3:22: expected ')', found nothing more"),
        (&with("\"$unti(vec)\""), "m:3:11: there is no function \"unti\"; the nearest is unit"),
        (&with("\"$log(vec, 0, 1)\""), "m:3:11: log needs two different limits above 0"),
        (&with("\"$lin(vec, 1, one)\""), "m:3:23: \"one\" is not a number"),
        (&with("\"$vec:x\""), "m:3:15: there is no type \"x\""),
        (&with("3000000000"), "m:3:9: 3000000000 does not fit into 32 bits"),
        (&with("true"), "m:3:9: an argument must be a string or a number, not a boolean"),
    ] {
        assert!(said(toml).starts_with(what), "{toml:?}: {}", said(toml));
    }
    let on_hit = "[[message]]\non = \"hit\"\naddress = \"/a\"\nargs = [\"$vec\"]\n";
    assert!(
        said(on_hit).starts_with("m:4:9: a hit may come from many events and has no field \"vec\""),
        "{}",
        said(on_hit)
    );
}

fn run(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_ftrace-live")).args(arguments).output().unwrap()
}

#[test]
fn a_map_is_checked_against_the_events_before_anything_is_sent() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("m.toml");
    let path = file.to_str().unwrap();
    for (events, field, what) in [
        ("irq:softirq_entry", "vek", ":4:9: irq:softirq_entry has no field \"vek\"; the nearest is vec"),
        ("irq:softirq_entri", "vec", ":2:11: no event is selected"),
        ("sched:*", "vec", "uses none of the traced events"),
        ("irq:irq_handler_entry", "add(name, 1)", ":4:9: name of irq:irq_handler_entry is not a number"),
    ] {
        let toml = format!("[[message]]\nevents = [\"{events}\"]\naddress = \"/a\"\nargs = [\"${field}\"]\n");
        std::fs::write(&file, toml).unwrap();
        let output = run(&["replay", &fixture(), "--map", path, "--print", "-e", "irq"]);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains(what), "{said}");
        assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(2), &b""[..]), "{said}");
    }
    let said = run(&["describe", "--map", "superdurt", "--tracefs", &fixture(), "irq"]).stderr;
    assert!(String::from_utf8_lossy(&said).contains("did you mean superdirt?"));
}

#[test]
fn every_built_in_map_can_be_described() {
    assert_eq!(names().count(), 10);
    for name in names() {
        let map = Map::built_in(name).unwrap().unwrap();
        assert!(map.port.is_some() && !map.about.is_empty(), "{name}");
        let output = run(&["describe", "--map", name, "--tracefs", &fixture(), "exceptions:page_fault_user"]);
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(text.starts_with('/') && text.contains(" ,"), "{name}: {text}");
        // The printed messages match.
        let printed = run(&["replay", &fixture(), "--map", name, "--print", "--speed", "max", "-e", "page_fault_user"]);
        let line = String::from_utf8(printed.stdout).unwrap();
        let line = line.lines().next().unwrap_or_default().to_owned();
        let (address, tags) = (line.split(' ').nth(1).unwrap_or_default(), line.split(' ').nth(2).unwrap_or_default());
        assert!(text.contains(&format!("{address} {tags}\n")), "{name}: {line}");
    }
}

#[test]
fn a_map_works_live() {
    if !common::live::may_trace() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("m.toml");
    let toml = "[[message]]\nevents = \"sys_enter_getpriority\"\naddress = \"/who\"\nargs = [\"$who\", \"$pid\"]\n";
    std::fs::write(&file, toml).unwrap();
    // A dedicated command causes the event: nice(1) reads its priority.
    let arguments = ["--map", file.to_str().unwrap(), "--print", "-e", "sys_enter_getpriority", "--", "nice"];
    let output = run(&arguments);
    let printed = String::from_utf8_lossy(&output.stdout);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(printed.lines().any(|line| line.contains("/who ,ii 0 ")), "{printed}\n{said}");
}

#[test]
fn the_file_of_a_map_is_read_once() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ftrace-live"));
    command.args([
        "replay",
        &fixture(),
        "--speed",
        "max",
        "--map",
        "/dev/stdin",
        "--print",
        "-q",
        "-e",
        "softirq_entry",
    ]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    // A pipe is empty when it is read a second time.
    let toml = "[[message]]\naddress = \"/once\"\nargs = [\"$vec\"]\n";
    child.stdin.take().unwrap().write_all(toml.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(String::from_utf8_lossy(&output.stdout).lines().count() > 20 && output.status.success());
}
