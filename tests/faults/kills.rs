//! Signals at any moment to player, keeper or both.

use std::collections::hash_map::RandomState;
use std::fs;
use std::hash::{BuildHasher, Hasher};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use ftrace_live::tracefs::Tracefs;
use rustix::process::{Pid, Resource, Rlimit, Signal, kill_process, setrlimit};

use crate::program::run;
use crate::{live, start, traced, wait_until};

/// The variable for how many runs are killed; `.ci/deep` sets it higher.
const KILLS: &str = "FTRACE_LIVE_KILLS";
/// Runs at a time.
const TOGETHER: usize = 5;

/// A number that differs from call to call.
fn random(below: u64) -> u64 {
    RandomState::new().build_hasher().finish() % below
}

/// The keeper of a run, once it exists.
fn keeper_of(pid: u32) -> Option<u32> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).ok()?.flatten();
    let children = tasks.filter_map(|task| fs::read_to_string(task.path().join("children")).ok());
    let pids: Vec<u32> =
        children.flat_map(|text| text.split_whitespace().flat_map(str::parse).collect::<Vec<_>>()).collect();
    let is_keeper =
        |pid: &u32| fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| line.starts_with(b"ftrace-live-keeper"));
    pids.into_iter().find(is_keeper)
}

fn kill(pid: u32) {
    // It may have ended already.
    let _ = kill_process(Pid::from_raw(pid as i32).unwrap(), Signal::KILL);
}

/// What a run left in tracefs.
fn left(tracefs: &Tracefs, pid: u32) -> Vec<PathBuf> {
    let name = format!("ftrace-live-{pid}");
    let instances = fs::read_dir(tracefs.root().join("instances")).unwrap().flatten().map(|entry| entry.path());
    let ours = |path: &PathBuf| {
        let found = path.file_name().unwrap_or_default().to_string_lossy();
        *found == *name || found.starts_with(&format!("{name}-"))
    };
    instances.filter(ours).collect()
}

fn spawn() -> Child {
    let mut command = traced(&["--to", "127.0.0.1:9"]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

#[test]
fn after_sigkill_to_player_keeper_or_both_the_next_start_removes_everything() {
    let Some(tracefs) = live() else { return };
    let kills: usize = std::env::var(KILLS).ok().and_then(|text| text.parse().ok()).unwrap_or(20);
    let mut killed = 0;
    while killed < kills {
        let runs: Vec<(Child, u64)> = (0..TOGETHER).map(|_| (spawn(), random(3))).collect();
        let mut orphans = Vec::new();
        for (mut child, who) in runs {
            std::thread::sleep(Duration::from_millis(random(60)));
            let pid = child.id();
            let keeper = keeper_of(pid).filter(|_| who > 0);
            keeper.into_iter().for_each(kill);
            // 1 means the keeper alone, if it exists: without it the player ends.
            if who != 1 || keeper.is_none() {
                kill(pid);
            }
            child.wait().unwrap();
            if keeper.is_some() {
                orphans.push(pid);
            } else {
                wait_until("the keeper leaves nothing", || left(&tracefs, pid).is_empty());
            }
            killed += 1;
        }
        run(&tracefs, &["--raw", "-e", "irq", "--seconds", "0.01", "--to", "127.0.0.1:9"]);
        // An instance created in the last seconds may have an owner that has not locked it yet.
        wait_until("the next start leaves nothing", || {
            let clean = orphans.iter().all(|pid| left(&tracefs, *pid).is_empty());
            clean || {
                std::thread::sleep(Duration::from_millis(200));
                run(&tracefs, &["--raw", "-e", "irq", "--seconds", "0.01", "--to", "127.0.0.1:9"]);
                false
            }
        });
    }
}

#[test]
fn every_signal_that_ends_a_process_ends_it_and_leaves_nothing() {
    let Some(tracefs) = live() else { return };
    // Signals with a core dump would write memory to the disk.
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) }).unwrap();
    let deadly: Vec<i32> = [
        libc::SIGQUIT,
        libc::SIGILL,
        libc::SIGTRAP,
        libc::SIGABRT,
        libc::SIGBUS,
        libc::SIGFPE,
        libc::SIGUSR1,
        libc::SIGSEGV,
        libc::SIGUSR2,
        libc::SIGALRM,
        libc::SIGSTKFLT,
        libc::SIGXCPU,
        libc::SIGVTALRM,
        libc::SIGPROF,
        libc::SIGIO,
        libc::SIGPWR,
        libc::SIGSYS,
        libc::SIGRTMIN(),
        libc::SIGRTMAX(),
    ]
    .into();
    // A shell starts background processes with some signals ignored, and an ignored signal stays ignored.
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).unwrap().trim();
    let ignored = u64::from_str_radix(ignored, 16).unwrap();
    let (deadly, kept): (Vec<i32>, Vec<i32>) = deadly.iter().partition(|&&signal| ignored >> (signal - 1) & 1 == 0);
    if !kept.is_empty() {
        crate::common::skipped::say(format_args!("signals that are ignored here: {kept:?}"));
    }
    for signals in deadly.chunks(TOGETHER) {
        let runs: Vec<_> = signals.iter().map(|_| start(&tracefs, &mut traced(&["--to", "127.0.0.1:9"]))).collect();
        for (run, signal) in runs.into_iter().zip(signals) {
            let pid = run.pid();
            let send =
                || Command::new("kill").args([format!("-{signal}"), pid.to_string()]).stderr(Stdio::null()).status();
            assert!(send().unwrap().success());
            // Rust's runtime treats the first one as a fault that would repeat (`signal_handler` in its
            // stack_overflow.rs).
            if matches!(*signal, libc::SIGBUS | libc::SIGSEGV) {
                wait_until("it ends", || {
                    send().unwrap();
                    fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| stat.contains(") Z "))
                });
            }
            assert!(!run.end().status.success(), "signal {signal}");
            wait_until("the keeper leaves nothing", || left(&tracefs, pid).is_empty());
        }
    }
}

#[test]
fn after_stop_and_continue_it_runs_on_and_ends_normally() {
    let Some(tracefs) = live() else { return };
    let run = start(&tracefs, &mut traced(&["--to", "127.0.0.1:9"]));
    run.signal(Signal::STOP);
    std::thread::sleep(Duration::from_millis(50));
    // A signal that arrives while it is stopped is handled when it continues.
    run.signal(Signal::INT);
    run.signal(Signal::CONT);
    let pid = run.pid();
    let ended = run.end();
    assert_eq!(ended.status.code(), Some(0), "{}", ended.said);
    assert!(left(&tracefs, pid).is_empty());
}
