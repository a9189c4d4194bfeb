//! What a first run says at once: that nobody listens, and what options mean together.

mod common;

use std::net::UdpSocket;
use std::process::{Command, Output, Stdio};

use common::live::may_trace;
use common::program::{Program, free_port, installed};

const PROGRAM: &str = env!("CARGO_BIN_EXE_ftrace-live");
const FIXTURE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/x86_64-6.18/sched");

fn run(arguments: &[&str]) -> Output {
    Command::new(PROGRAM).args(arguments).stdin(Stdio::null()).output().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_replay_to_nobody_says_so_before_its_first_event() {
    let target = format!("127.0.0.1:{}", free_port());
    // The fixture is half a second long: at this pace no event but the first is due for minutes.
    let mut command = Command::new(PROGRAM);
    command.args(["replay", FIXTURE, "--raw", "--speed", "1/100000", "--to", &target]);
    let mut replay = Program::start(command);
    let line = replay.wait_for("nobody listens");
    assert!(line.contains(&target) && line.contains("ftrace-live listen"), "{line}");
    // Then somebody does: the next second's statistics tell.
    let _receiver = UdpSocket::bind(&target).unwrap();
    let line = replay.wait_for("somebody listens now");
    assert!(line.contains(&target), "{line}");
    assert_eq!(replay.end(libc::SIGINT), Some(0));
}

#[test]
fn tracing_to_nobody_says_so_before_the_first_event_and_at_the_end() {
    if !may_trace() {
        return;
    }
    for raw in [true, false] {
        let port = free_port().to_string();
        let mut command = Command::new(PROGRAM);
        // No event comes: nothing calls for these.
        command.args(["-e", "alarmtimer", "-p", &port]).args(raw.then_some("--raw"));
        let mut live = Program::start(command);
        let line = live.wait_for("nobody listens");
        assert!(line.contains("warning") && line.contains(&format!("`ftrace-live listen {port}`")), "{line}");
        live.wait_for(" events enabled");
        assert_eq!(live.end(libc::SIGINT), Some(0));
        let said = live.said().join("\n");
        assert_eq!(said.matches("nobody listens").count(), 2, "{said}");
    }
}

#[test]
fn the_status_line_names_who_does_not_listen_and_fits_the_terminal() {
    if !may_trace() || !installed("script") {
        return;
    }
    let port = free_port();
    let line = format!("stty cols 70 rows 24; exec {PROGRAM} --raw -e alarmtimer -p {port} --seconds 2.5");
    let output = Command::new("script").args(["-qec", &line, "/dev/null"]).stdin(Stdio::null()).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let drawn: Vec<_> = text.split('\r').filter(|part| part.contains(" events/s")).collect();
    assert!(!drawn.is_empty(), "{text}");
    for line in drawn {
        let line = line.trim_start_matches("\x1b[K").split('\r').next().unwrap().split('\x1b').next().unwrap();
        assert!(line.contains("nobody listens"), "{line:?}");
        assert!(line.trim_end().chars().count() < 70, "{line:?}");
    }
}

/// A receiver's options beside no --raw, with what is received.
fn replayed(options: &[&str]) -> (Vec<u8>, String) {
    let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
    receiver.set_read_timeout(Some(common::program::PATIENCE)).unwrap();
    let port = receiver.local_addr().unwrap().port().to_string();
    let output = run(&[&["replay", FIXTURE, "--speed", "max", "-p", &port], options].concat());
    assert!(output.status.success(), "{output:?}");
    let mut datagram = vec![0; 65536];
    let len = receiver.recv(&mut datagram).unwrap();
    (datagram[..len].to_vec(), said(&output))
}

#[test]
fn options_about_typed_messages_send_typed_messages_and_say_so() {
    for (options, names) in [
        (vec!["--for", "pd"], "--for asks"),
        (vec!["--types", "full"], "--types asks"),
        (vec!["--pointers", "--names"], "--pointers, --names asks"),
        (vec!["--aggregate", "50ms"], "--aggregate asks"),
        (vec!["--hits"], "--hits asks"),
    ] {
        let (first, said) = replayed(&options);
        assert!(first.starts_with(b"#bundle\0"), "{options:?}: {}", first.escape_ascii());
        assert!(said.contains("as with --raw") && said.contains(names), "{options:?}: {said}");
    }
    let (first, said) = replayed(&[]);
    assert!(first.starts_with(b"/start_transmission"), "{}", first.escape_ascii());
    assert!(!said.contains("--raw"), "{said}");
    let (_, said) = replayed(&["--for", "pd", "--raw"]);
    assert!(!said.contains("as with --raw"), "{said}");
}

#[test]
fn a_target_that_names_its_receiver_is_sent_typed_messages() {
    let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
    receiver.set_read_timeout(Some(common::program::PATIENCE)).unwrap();
    let target = format!("sc@{}", receiver.local_addr().unwrap());
    let output = run(&["replay", FIXTURE, "--speed", "max", "--to", &target]);
    let mut datagram = [0; 2048];
    let len = receiver.recv(&mut datagram).unwrap();
    assert!(datagram[..len].starts_with(b"#bundle\0"));
    assert!(said(&output).contains("--to RECEIVER@HOST asks"), "{output:?}");
    // Its cap thins at full speed, and what to do about it is said.
    assert!(said(&output).contains("--max-rate 0"), "{output:?}");
    let all = run(&["replay", FIXTURE, "--speed", "max", "--to", &target, "--max-rate", "0"]);
    assert!(!said(&all).contains("thinned"), "{all:?}");
}
