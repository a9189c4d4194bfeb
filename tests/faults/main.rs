//! Everything that can go wrong around a live run: killed processes, closed streams, limits, settings changed by
//! others, removed files and receivers. Each is reported, and survived or ended cleanly; nothing is left in tracefs.
//!
//! All of it needs root and tracefs, and says so if it skips. `.ci/deep` runs it at length.

#[path = "../common/mod.rs"]
mod common;
mod files;
mod kills;
mod limits;
mod modes;
mod network;
mod outside;
#[path = "../live_end_to_end/program.rs"]
#[allow(dead_code, reason = "a part of it is used here")]
mod program;
#[path = "../live_end_to_end/receiver.rs"]
#[allow(dead_code, reason = "a part of it is used here")]
mod receiver;
mod streams;

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use ftrace_live::tracefs::Tracefs;

use program::Running;

/// Few events and a small ring: it does not matter what is traced.
const TRACED: [&str; 6] = ["--raw", "-e", "irq", "sched", "-b", "64"];

/// The running kernel's tracefs; if a test cannot have it, says why it skips.
fn live() -> Option<Tracefs> {
    common::live::tracefs()
}

/// Waits until `condition` is true; fails with `what` after the deadline. The duration is not checked.
fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let give_up = Instant::now() + Duration::from_secs(60);
    while !condition() {
        assert!(Instant::now() < give_up, "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Starts `command`, and waits until it traces.
fn start(tracefs: &Tracefs, command: &mut Command) -> Running {
    let running = Running::spawn_command(tracefs, command);
    let on = running.instance().join("tracing_on");
    wait_until("it traces", || {
        assert!(Path::new(&format!("/proc/{}/exe", running.pid())).exists(), "it ended: {}", running.said());
        running.records() && fs::read_to_string(&on).is_ok_and(|on| on.trim() == "1")
    });
    running
}

/// How many events the kernel has handed out to a run.
fn events_read(run: &Running) -> u64 {
    let cpus = fs::read_dir(run.instance().join("per_cpu")).unwrap().flatten();
    let stats = cpus.map(|cpu| fs::read_to_string(cpu.path().join("stats")).unwrap());
    let read = |text: String| text.lines().find_map(|line| line.strip_prefix("read events: ")?.parse::<u64>().ok());
    stats.filter_map(read).sum()
}

/// The program with what it traces and its target.
fn traced(more: &[&str]) -> Command {
    let mut command = Command::new(program::PROGRAM);
    command.args(TRACED).args(more);
    command
}
