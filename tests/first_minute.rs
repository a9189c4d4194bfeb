//! Messages of a first run: that nobody listens, and what combinations of options mean.

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
    // The fixture is half a second long: at this speed only the first event is due within minutes.
    let mut command = Command::new(PROGRAM);
    command.args(["replay", FIXTURE, "--raw", "--speed", "1/100000", "--to", &target]);
    let mut replay = Program::start(command);
    let line = replay.wait_for("nobody listens");
    assert!(line.contains(&target) && line.contains("ftrace-live listen"), "{line}");
    // Then somebody listens, which the next second's statistics show.
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
        // No events occur: nothing causes these.
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
fn the_status_line_shows_missing_receivers_and_fits_the_terminal() {
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

/// Replays with a receiver's options but without --raw; returns what was received, too.
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
        (vec!["--for", "pd"], "implied by --for"),
        (vec!["--types", "full"], "implied by --types"),
        (vec!["--pointers", "--names"], "implied by --pointers, --names"),
        (vec!["--aggregate", "50ms"], "implied by --aggregate"),
        (vec!["--hits"], "implied by --hits"),
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
fn a_target_with_a_receiver_is_sent_typed_messages() {
    let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
    receiver.set_read_timeout(Some(common::program::PATIENCE)).unwrap();
    let target = format!("sc@{}", receiver.local_addr().unwrap());
    let output = run(&["replay", FIXTURE, "--speed", "max", "--to", &target]);
    let mut datagram = [0; 2048];
    let len = receiver.recv(&mut datagram).unwrap();
    assert!(datagram[..len].starts_with(b"#bundle\0"));
    assert!(said(&output).contains("implied by --to RECEIVER@HOST"), "{output:?}");
    // Its rate cap thins at full speed, and the message says what to do.
    assert!(said(&output).contains("--max-rate 0"), "{output:?}");
    let all = run(&["replay", FIXTURE, "--speed", "max", "--to", &target, "--max-rate", "0"]);
    assert!(!said(&all).contains("thinned"), "{all:?}");
}

/// The lines that a command line prints on a terminal of 80 × 24.
fn on_terminal(line: &str) -> Option<Vec<String>> {
    if !installed("script") {
        return None;
    }
    let line = format!("stty cols 80 rows 24; exec {PROGRAM} {line}");
    let mut script = Command::new("script");
    script.args(["-qec", &line, "/dev/null"]).env("NO_COLOR", "1").stdin(Stdio::null());
    let output = script.output().unwrap().stdout;
    Some(String::from_utf8_lossy(&output).lines().map(|line| line.trim_end_matches('\r').to_owned()).collect())
}

#[test]
fn on_a_terminal_messages_are_few_and_for_people_and_in_a_pipe_all_of_them() {
    let fixture = FIXTURE.replace("sched", "irq-exceptions");
    let all = run(&["replay", &fixture, "--raw", "--print", "--speed", "max"]);
    let all = String::from_utf8(all.stdout).unwrap().lines().count();
    let Some(lines) = on_terminal(&format!("replay {fixture} --raw --print --speed max -q")) else { return };
    assert!(all > 500 && (5..40).contains(&lines.len()), "{} of {all}: {lines:#?}", lines.len());
    assert!(lines[0].starts_with("from 20") && lines[0].ends_with("on, in seconds:"), "{}", lines[0]);
    assert!(lines[1].starts_with("   0.000000 "), "{}", lines[1]);
    for line in &lines {
        assert!(line.chars().count() < 80, "{line}");
    }
    let has = |event: &str, words: &[&str]| {
        let line = lines.iter().find(|line| line.contains(event)).unwrap_or_else(|| panic!("no {event}: {lines:#?}"));
        assert!(words.iter().all(|word| line.contains(word)), "{line}");
    };
    has("exceptions/page_fault_user", &[" address=0x"]);
    // `__print_symbolic(REC->vec, { 0, "HI" }, { 1, "TIMER" }, …)`.
    has("irq/softirq_", &[" vec=", " ("]);
    let text = on_terminal(&format!("replay {fixture} --print --speed max -q")).unwrap();
    assert!((5..40).contains(&text.len()), "{}", text.len());
    let everything = on_terminal(&format!("replay {fixture} --raw --print --speed max -q --max-rate 0")).unwrap();
    assert_eq!(everything.len(), all + 1);
}

#[test]
fn lists_are_sorted_and_have_descriptions() {
    let out = |arguments: &[&str]| String::from_utf8(run(arguments).stdout).unwrap();
    let names = out(&["list", FIXTURE]);
    let mut sorted: Vec<_> = names.lines().collect();
    sorted.sort_unstable();
    assert_eq!(names.lines().collect::<Vec<_>>(), sorted);
    assert!(names.lines().all(|line| !line.contains(' ')), "{names}");
    assert!(out(&["list", FIXTURE, "--json"]).contains("a CPU goes from one task to another"));
    assert!(out(&["describe", FIXTURE, "sched_switch"]).contains("the task that runs from here on"));
    // The first page fault in the kernel's own text of that capture.
    let faults = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/x86_64-6.18/irq-exceptions/");
    let described = out(&["describe", faults, "page_fault_user"]);
    assert!(described.contains("the address that was touched, e.g. 0x7fe2fc503270\n"), "{described}");
    assert!(described.contains(", e.g. 20\n"), "error_code=0x14: {described}");
    assert!(out(&["list", "--start", "--tracefs", FIXTURE]).contains("sched:sched_switch\n    a CPU goes"));
    let Some(groups) = on_terminal(&format!("list --tracefs {FIXTURE}")) else { return };
    assert!(groups.iter().any(|line| line.starts_with("sched ") && line.contains("the scheduler")), "{groups:#?}");
    let events = on_terminal(&format!("list --tracefs {FIXTURE} sched")).unwrap();
    assert!(
        events.iter().any(|line| line.contains("sched:sched_switch") && line.contains("a CPU goes")),
        "{events:#?}"
    );
    for line in groups.iter().chain(&events) {
        assert!(line.chars().count() <= 80, "{line}");
    }
}
