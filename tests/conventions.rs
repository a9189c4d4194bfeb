//! Conventions of command line tools: errors state what is possible, names of files are taken literally, there are
//! machine-readable forms, and colours on terminals only.

mod common;

use std::net::{TcpListener, UdpSocket};
use std::process::{Command, Output, Stdio};

use common::program::{Program, free_port, installed};
use serde_json::Value;

const PROGRAM: &str = env!("CARGO_BIN_EXE_ftrace-live");
const FIXTURE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/x86_64-6.18/sched");

fn run(arguments: &[&str]) -> Output {
    Command::new(PROGRAM).args(arguments).stdin(Stdio::null()).output().unwrap()
}

/// Asserts that it exits with code 2, prints all of `words`, and none of the parser's messages for programmers.
fn refused(arguments: &[&str], words: &[&str]) {
    let output = run(arguments);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{arguments:?}: {said}");
    for word in words {
        assert!(said.contains(word), "{arguments:?} says {said:?}, without {word:?}");
    }
    for raw in ["invalid digit", "invalid float", "cannot parse", "use '-- ", "panicked", "out of range"] {
        assert!(!said.contains(raw), "{arguments:?}: {said}");
    }
    assert!(said.len() < 2500, "{} bytes", said.len());
}

#[test]
fn errors_state_ranges_and_choices() {
    refused(&["stat", FIXTURE, "--top", "-1"], &["--top", "a whole number, 0 or more"]);
    refused(&["stat", FIXTURE, "--format", "xml"], &["text, json"]);
    refused(&["listen", "--count", "x"], &["--count", "a whole number, 1 or more"]);
    refused(&["listen", "0"], &["1 to 65535"]);
    refused(&["replay", FIXTURE, "-i", "one"], &["--pid", "whole number"]);
    refused(&["replay", FIXTURE, "--speed", "-1"], &["\"-1\"", "such as 1, 0.1"]);
    refused(&["replay", FIXTURE, "--max-rate", "1.5"], &["--max-rate", "whole number"]);
    refused(&["replay", FIXTURE, "--hits", "--detail", "2"], &["--detail", "from 0 to 1"]);
    refused(&["replay", FIXTURE, "--around", "sched_switch", "--margin", "soon"], &["--margin", "write 50ms"]);
    refused(&["replay", FIXTURE, "--latency", "2m"], &["--latency", "to 60s"]);
    refused(&["replay", FIXTURE, "--mtu", "-7"], &["--mtu", "from 256 to 65507"]);
    refused(&["render", FIXTURE, "-o", "x.wav", "--seed", "x"], &["--seed", "whole number"]);
    refused(&["patch", "--for", "pd", "--bind", "all", "irq"], &["--bind", "such as 10.0.0.5"]);
    refused(&["patch", "--for", "sc", "--bind", "127.0.0.1", "--tracefs", FIXTURE, "sched"], &["leave out --bind"]);
}

#[test]
fn a_misspelt_subcommand_gets_the_right_one() {
    refused(&["record", "-e", "irq"], &["capture -e EVENT", "--record x.dat"]);
    refused(&["trace", "irq"], &["needs no subcommand", "--raw -e"]);
    refused(&["-q", "live"], &["needs no subcommand"]);
    refused(&["repaly", "x.dat"], &["did you mean replay?"]);
}

#[test]
fn a_very_long_word_is_cut_wherever_it_is() {
    let long = "x".repeat(100_000);
    for arguments in [
        vec!["list", FIXTURE, &long],
        vec!["replay", FIXTURE, "--for", &long],
        vec!["replay", FIXTURE, "--to", &long],
        vec!["replay", FIXTURE, "--prefix", &long],
        vec!["replay", FIXTURE, "--speed", &long],
        vec!["stat", FIXTURE, "--top", &long],
        vec!["stat", FIXTURE, "--latency", &long],
        vec!["replay", FIXTURE, "--from", &long],
        vec![&long],
    ] {
        refused(&arguments, &["xxx"]);
    }
}

#[test]
fn the_ending_of_a_file_name_is_its_format_or_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let convert = |name: &str| vec!["convert".to_owned(), FIXTURE.to_owned(), "-o".to_owned(), name.to_owned()];
    let refused = |arguments: Vec<String>, words: &[&str]| {
        refused(&arguments.iter().map(String::as_str).collect::<Vec<_>>(), words);
    };
    // A trace.dat, in upper or lower case.
    let output = Command::new(PROGRAM).args(convert(&path("c.DAT"))).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert!(std::fs::read(path("c.DAT")).unwrap().starts_with(b"\x17\x08\x44tracing"));
    refused(convert("-"), &["-o x.dat"]);
    refused(convert(&path("x.trace")), &["x.dat", "for a folder"]);
    for command in ["capture", "render", "convert"] {
        let mut arguments = vec![command.to_owned(), "-o".to_owned(), path("none/x")];
        arguments.extend(if command == "capture" {
            vec!["-e".to_owned(), "irq".to_owned()]
        } else {
            vec![FIXTURE.to_owned()]
        });
        refused(arguments, &["there is no folder", "mkdir -p"]);
    }
    let live = |record: &str| ["--raw", "-e", "irq", "--record", record].map(str::to_owned).to_vec();
    refused(live(&path("none/x.dat")), &["there is no folder", "mkdir -p"]);
    refused(live(&path("x.trace")), &["x.dat"]);
    refused(live("-"), &["--record x.dat"]);
    refused(live(dir.path().to_str().unwrap()), &["is a folder"]);
    refused(["listen", "--write", &path("none/x")].map(str::to_owned).to_vec(), &["there is no folder"]);
    assert!(!dir.path().join("none").exists());
}

#[test]
fn what_is_no_capture_map_or_score_is_refused_with_what_to_give() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let (empty, picture, none) = (path("empty"), path("picture.png"), path("none"));
    std::fs::write(&empty, "").unwrap();
    std::fs::write(&picture, b"\x89PNG\r\n\x1a\n\0\0\0\x0d").unwrap();
    let said = |arguments: &[&str]| String::from_utf8(run(arguments).stderr).unwrap();
    for file in [&empty, &picture] {
        for command in [vec!["replay", file], vec!["stat", file], vec!["convert", file, "-o", &none]] {
            assert!(
                said(&command).contains(" is not a capture: give a trace.dat, a perf.data, or a folder"),
                "{command:?}"
            );
        }
    }
    assert!(
        said(&["stat", dir.path().to_str().unwrap()]).contains("(events/header_page is missing): give a trace.dat")
    );
    // What `perf record --threads` writes, and the running kernel's own folder.
    let (threads, tracing) = (path("threads"), path("tracing"));
    std::fs::create_dir_all(dir.path().join("threads")).unwrap();
    std::fs::write(dir.path().join("threads/data"), b"PERFILE2\x68").unwrap();
    assert!(said(&["stat", &threads]).contains("a folder of `perf record --threads`: record without that option"));
    std::fs::create_dir_all(dir.path().join("tracing/events")).unwrap();
    std::fs::write(dir.path().join("tracing/trace_pipe"), "").unwrap();
    refused(&["replay", &tracing], &["is the running kernel's tracefs", "ftrace-live capture"]);
    // Reading one would wait for a writer for ever.
    let pipe = path("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    refused(&["replay", &pipe], &["is neither a file nor a folder", "write it to a file first"]);
    refused(&["replay", FIXTURE, "--map", &none], &["there is no such file", "superdirt"]);
    refused(&["replay", FIXTURE, "--map", "superdrit"], &["did you mean superdirt?"]);
    refused(&["replay", FIXTURE, "--map", &picture], &["is not text", "docs/MAPS.md"]);
    refused(&["replay", FIXTURE, "--score", &none], &["there is no such file", "--save-score"]);
    refused(&["replay", FIXTURE, "--score", &picture], &["is not text", "docs/SCORES.md"]);
}

#[test]
fn an_address_that_cannot_be_used_is_reported_with_what_to_do() {
    let (udp, tcp) = (UdpSocket::bind("127.0.0.1:0").unwrap(), TcpListener::bind("127.0.0.1:0").unwrap());
    let [taken, page] = [udp.local_addr(), tcp.local_addr()].map(|address| address.unwrap().to_string());
    let port = taken.split(':').next_back().unwrap();
    for (arguments, what) in [
        (vec!["listen", &taken], "another program already listens on"),
        (vec!["replay", FIXTURE, "--control", &taken], "cannot listen for commands"),
        (vec!["replay", FIXTURE, "--page", &page], "cannot serve the page"),
        (
            vec!["replay", FIXTURE, "--source-port", port, "--to", "127.0.0.1"],
            "cannot send to 127.0.0.1:57120 from port",
        ),
        // TEST-NET-1, which no machine has.
        (vec!["listen", "192.0.2.1:9000"], "cannot listen on"),
        (vec!["replay", FIXTURE, "--control", "192.0.2.1:9000"], "cannot listen for commands"),
    ] {
        let output = run(&arguments);
        let said = String::from_utf8_lossy(&output.stderr);
        let how = if said.contains("192.0.2.1") { "`ip address` lists" } else { "give another" };
        assert!(output.status.code() == Some(1) && said.contains(what) && said.contains(how), "{arguments:?}: {said}");
        assert!(!said.contains("os error"), "{said}");
    }
}

#[test]
fn events_may_stand_behind_e_in_every_subcommand() {
    let out = |arguments: &[&str]| {
        let output = run(&[arguments, &["--tracefs", FIXTURE]].concat());
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    for command in [vec!["list"], vec!["describe"], vec!["patch", "--for", "python"]] {
        let behind = out(&[&command[..], &["-e", "sched_switch", "sched_waking"]].concat());
        assert_eq!(behind, out(&[&command[..], &["sched_switch", "sched_waking"]].concat()), "{command:?}");
        assert!(behind.contains("sched_waking"));
    }
}

#[test]
fn lists_and_messages_have_a_form_for_programs() {
    let list = run(&["list", FIXTURE, "sched_switch", "--json"]);
    assert_eq!(run(&["list", FIXTURE, "sched_switch", "--format", "json"]).stdout, list.stdout);
    let list: Value = serde_json::from_slice(&list.stdout).unwrap();
    assert_eq!((&list["system"], &list["name"]), (&"sched".into(), &"sched_switch".into()));

    let port = free_port().to_string();
    let mut command = Command::new(PROGRAM);
    command.args(["listen", &port, "--format", "json"]);
    let mut listen = Program::start(command);
    listen.wait_for("listening on");
    let replay = run(&["replay", FIXTURE, "--raw", "--speed", "max", "-e", "sched_switch", "-p", &port]);
    assert!(replay.status.success(), "{replay:?}");
    let line = listen.wait_for("\"/ftrace/sched/sched_switch\",\"tags\"");
    let message: Value = serde_json::from_str(&line).unwrap();
    let arguments = message["arguments"].as_array().unwrap();
    let named = |name: &str| arguments.iter().find(|argument| argument["name"] == name).map(|a| a["value"].clone());
    assert!(named("next_comm").is_some_and(|value| value.is_string()), "{line}");
    assert!(named("dt").is_some_and(|value| value.is_number()), "{line}");
}

#[test]
fn a_patch_for_another_machine_listens_where_it_is_told_to() {
    let patch = |bind: &[&str]| {
        let output = run(&[&["patch", "--for", "python", "--tracefs", FIXTURE, "sched_switch"], bind].concat());
        String::from_utf8(output.stdout).unwrap()
    };
    assert!(patch(&[]).contains("((\"127.0.0.1\", 5005)"));
    assert!(patch(&["--bind", "0.0.0.0"]).contains("((\"0.0.0.0\", 5005)"));
    assert!(patch(&["--bind", "10.0.0.7"]).contains("((\"10.0.0.7\", 5005)"));
}

#[test]
fn colours_are_for_terminals_unless_disabled() {
    let wrong = format!("{PROGRAM} stat /nonexistent");
    assert!(!run(&["stat", "/nonexistent"]).stderr.contains(&0x1b));
    assert!(!run(&["stat", "--nonsense"]).stderr.contains(&0x1b));
    if !installed("script") {
        return;
    }
    let on_terminal = |line: &str, variables: &[(&str, &str)]| {
        let mut script = Command::new("script");
        script.args(["-qec", line, "/dev/null"]).env("TERM", "xterm").env_remove("NO_COLOR");
        script.envs(variables.iter().copied()).stdin(Stdio::null()).output().unwrap().stdout
    };
    assert!(on_terminal(&wrong, &[]).contains(&0x1b));
    assert!(!on_terminal(&wrong, &[("NO_COLOR", "1")]).contains(&0x1b));
    assert!(!on_terminal(&wrong, &[("TERM", "dumb")]).contains(&0x1b));
    let usage = format!("{PROGRAM} stat --nonsense");
    assert!(on_terminal(&usage, &[]).contains(&0x1b));
    assert!(!on_terminal(&usage, &[("NO_COLOR", "1")]).contains(&0x1b));
}
