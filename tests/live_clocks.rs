//! Every trace clock of the running kernel: events have their time of day and the time since they last occurred,
//! whether a process can read the clock or not; a clock that does not count time is refused.

mod common;

use std::path::Path;
use std::process::{Command, Output};
use std::time::{SystemTime, UNIX_EPOCH};

use common::live::tracefs;

/// What a clock that no process can read may be off, besides its own ticks of 10 ms: on a loaded machine a mark takes long. A
/// wrong clock is off by the time since the machine's start, or by a time zone.
const TOLERANCE_NS: u64 = 300_000_000;
/// How long the traced program sleeps.
const SLEEP_MS: f64 = 100.0;

fn run(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_ftrace-live")).args(arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64
}

/// Time of day, ns, and dt, ms, of each execve of `true`.
fn executions(lines: &str) -> Vec<(u64, f64)> {
    let of = |line: &str| {
        let value = |name: &str| line.split_once(&format!(" {name}=")).unwrap().1.split(' ').next().unwrap().to_owned();
        (value("time").replace('.', "").parse().unwrap(), value("dt").parse().unwrap())
    };
    lines
        .lines()
        .filter(|line| line.contains("/sched_process_exec ") && line.contains(r#" filename="/bin/true""#))
        .map(of)
        .collect()
}

const SCRIPT: &str = "/bin/true; sleep 0.1; /bin/true; :";

/// Traces with this clock, and checks the events.
fn traced(clock: &str, arguments: &[&str]) -> Vec<(u64, f64)> {
    traced_in(&[], clock, arguments)
}

/// The same, started by this command.
fn traced_in(start: &[&str], clock: &str, arguments: &[&str]) -> Vec<(u64, f64)> {
    let before = now();
    let trace =
        [env!("CARGO_BIN_EXE_ftrace-live"), "--raw", "-e", "sched:sched_process_exec", "--print", "--clock", clock];
    let words = [start, &trace[..], arguments, &["--", "sh", "-c", SCRIPT]].concat();
    let output = Command::new(words[0]).args(&words[1..]).output().unwrap();
    let after = now();
    let events = executions(&text(&output.stdout));
    assert_eq!(events.len(), 2, "{clock}: {}{}", text(&output.stdout), text(&output.stderr));
    for (time, _) in &events {
        let around = before - TOLERANCE_NS..=after + TOLERANCE_NS;
        assert!(around.contains(time), "{clock}: {time} is not in {around:?}");
    }
    // `sleep` was executed in between, and nothing else.
    let between = (events[1].0 - events[0].0) as f64 / 1e6;
    let most = (after - before) as f64 / 1e6;
    assert!((SLEEP_MS - 11.0..most).contains(&between), "{clock}: {between} ms");
    assert!(events[1].1 <= most, "{clock}: {events:?}");
    events
}

#[test]
fn events_have_their_times_whatever_the_clock_is() {
    let Some(tracefs) = tracefs() else { return };
    let available = String::from_utf8(tracefs.read_bytes("trace_clock").unwrap()).unwrap();
    let clocks = available.split_whitespace().map(|clock| clock.trim_matches(['[', ']'])).filter(|c| *c != "counter");
    std::thread::scope(|scope| {
        for clock in clocks {
            scope.spawn(move || traced(clock, &[]));
        }
    });
}

#[test]
fn in_a_time_namespace_events_have_their_times_too() {
    if tracefs().is_none() {
        return;
    }
    // A container whose clocks are a day ahead of the kernel's.
    let start = ["unshare", "--time", "--monotonic", "100000", "--boottime", "200000", "--fork"];
    let made = Command::new(start[0]).args(&start[1..]).arg("true").output();
    if !made.is_ok_and(|made| made.status.success()) {
        common::skipped::say("no time namespace can be made here: unshare --time");
        return;
    }
    std::thread::scope(|scope| {
        for clock in ["mono", "mono_raw", "boot", "tai", "local"] {
            scope.spawn(move || traced_in(&start, clock, &[]));
        }
    });
}

#[test]
fn a_clock_that_counts_events_is_refused() {
    if tracefs().is_none() {
        return;
    }
    let output = run(&["--raw", "-e", "sched:sched_process_exec", "--print", "--clock", "counter", "--seconds", "1"]);
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("counter gives no times (it counts events): use --clock mono"), "{said}");
}

#[test]
fn a_recording_in_ticks_has_their_length() {
    let Some(tracefs) = tracefs() else { return };
    let available = String::from_utf8(tracefs.read_bytes("trace_clock").unwrap()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = &|name: &str| folder.path().join(name).display().to_string();
    let replayed = &|name: &str| {
        let output = run(&["replay", &path(name), "--raw", "--print", "--speed", "max", "-e", "sched_process_exec"]);
        assert!(!text(&output.stderr).contains("ticks"), "{name}: {}", text(&output.stderr));
        executions(&text(&output.stdout))
    };
    let recorded = &|clock: &str| {
        let dat = format!("{clock}.dat");
        let live = traced(clock, &["--stay-root", "--record", &path(&dat)]);
        let played = replayed(&dat);
        assert_eq!(played.len(), 2, "{clock}");
        for (live, played) in live.iter().zip(&played) {
            assert!(live.0.abs_diff(played.0) < TOLERANCE_NS, "{clock}: {live:?} {played:?}");
        }
        let before = now();
        let captured = path(clock);
        let capture = ["capture", "-o", &captured, "--stay-root", "-e", "sched:sched_process_exec", "--clock", clock];
        let output = run(&[&capture[..], &["--", "sh", "-c", SCRIPT]].concat());
        assert!(output.status.success() && Path::new(&captured).is_dir(), "{clock}: {}", text(&output.stderr));
        let (after, played) = (now(), replayed(clock));
        let around = before - TOLERANCE_NS..=after + TOLERANCE_NS;
        assert!(played.len() == 2 && around.contains(&played[0].0), "{clock}: {played:?} in {around:?}");
        let between = (played[1].0 - played[0].0) as f64 / 1e6;
        assert!((SLEEP_MS - 11.0..(after - before) as f64 / 1e6).contains(&between), "{clock}: {between} ms");
    };
    std::thread::scope(|scope| {
        for clock in ["x86-tsc", "uptime", "local"] {
            match available.contains(clock) {
                true => drop(scope.spawn(move || recorded(clock))),
                false => crate::common::skipped::say(format_args!("this kernel has no clock {clock}")),
            }
        }
    });
}
