//! Live: the feedback guard. Neither our own events nor the receiver's are traced, whichever task the kernel names in
//! them.

mod common;

use std::collections::BTreeSet;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use common::live::{Heard, Listener, may_trace};
use common::program::Program;
use rustix::process::{Pid, Signal, kill_process};

/// The events with the most feedback: each datagram causes all of them.
const LOUD: [&str; 8] = ["-e", "syscalls", "net", "sock", "skb", "sched", "irq", "napi"];

/// Two tracers on one machine trace each other's sending, so only one test runs at a time.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// An unrelated process: sleeps and wakes, with child processes.
fn somebody() -> Child {
    let script = "i=0; while [ $i -lt 300 ]; do sleep 0.02; i=$((i+1)); done";
    Command::new("sh").args(["-c", script]).stdin(Stdio::null()).spawn().unwrap()
}

fn end(mut child: Child) {
    child.kill().unwrap();
    child.wait().unwrap();
}

fn live(port: u16, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ftrace-live"));
    command.args(["--raw", "--to", &format!("liblo@127.0.0.1:{port}")]).args(LOUD).args(arguments);
    command.stdin(Stdio::null());
    command
}

fn start(port: u16, arguments: &[&str]) -> Child {
    live(port, arguments).stderr(Stdio::piped()).spawn().unwrap()
}

/// The thread ids of a process and of its keeper.
fn tasks(process: u32) -> BTreeSet<i64> {
    let children = std::fs::read_to_string(format!("/proc/{process}/task/{process}/children")).unwrap_or_default();
    let children = children.split_whitespace().map(|pid| pid.parse().unwrap());
    let threads = std::fs::read_dir(format!("/proc/{process}/task")).into_iter().flatten().flatten();
    let threads = threads.map(|entry| entry.file_name().into_string().unwrap().parse::<u32>().unwrap());
    threads.chain(children).map(i64::from).collect()
}

/// Messages in which one of `tasks` runs, or is named by the scheduler.
fn naming<'h>(heard: &'h [Heard], tasks: &BTreeSet<i64>) -> Vec<&'h Heard> {
    // After time, dt, cpu, pid and comm: comm pid … of the wake-ups; comm pid prio state comm pid of the switch.
    let tasks_of = |message: &Heard| match message.address.strip_prefix("/ftrace/sched/") {
        Some("sched_switch") => vec![message.int(6), message.int(10)],
        // An interrupt that wakes another task may occur while we run: it counts as that task's event, not ours
        // (`event_filter_pid_sched_wakeup_probe_pre`).
        Some("sched_waking" | "sched_wakeup" | "sched_wakeup_new" | "sched_migrate_task") => vec![message.int(6)],
        _ => vec![message.int(3)],
    };
    let event = |message: &&Heard| message.address.matches('/').count() == 3;
    heard.iter().filter(event).filter(|message| tasks_of(message).iter().any(|pid| tasks.contains(pid))).collect()
}

fn switches(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:")).unwrap();
    line.trim().parse().unwrap()
}

#[test]
fn the_trace_has_no_event_of_ours_or_the_receivers_but_all_others() {
    if !may_trace() {
        return;
    }
    let _alone = alone();
    let somebody = somebody();
    let pid = i64::from(somebody.id());
    let listener = Listener::start();
    let child = start(listener.port(), &["--seconds", "3"]);
    std::thread::sleep(Duration::from_secs(2));
    let mut ours = tasks(child.id());
    ours.extend(tasks(std::process::id()).iter().filter(|task| **task != pid));
    // The other tests' programs are children of this process as well.
    ours.retain(|task| {
        let comm = std::fs::read_to_string(format!("/proc/{task}/comm")).unwrap_or_default();
        !comm.starts_with("sh")
            && (comm.starts_with("ftrace-guard") || !comm.starts_with("ftrace-live") || *task == i64::from(child.id()))
    });
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let heard = listener.stop();
    end(somebody);
    assert!(said.contains("is a receiver and is excluded from the trace"), "{said}");
    let found = naming(&heard, &ours);
    assert!(found.is_empty(), "{} of {}, such as {:?}\n{said}", found.len(), heard.len(), found.first());
    let others = naming(&heard, &BTreeSet::from([pid]));
    assert!(others.len() > 100, "{} messages of somebody else\n{said}", others.len());
}

#[test]
fn a_receiver_that_starts_later_is_excluded_from_then_on() {
    if !may_trace() {
        return;
    }
    let _alone = alone();
    // Here the receiver is a separate program, so that it can be restarted.
    let probe = Listener::start();
    let port = probe.port();
    probe.stop();
    let mut live = Program::start(live(port, &[]));
    live.wait_for(" events enabled");
    let somebody = somebody();
    for _ in 0..2 {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ftrace-live"));
        command.args(["listen", &format!("127.0.0.1:{port}"), "--count", "1000000000"]);
        let receiver = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        live.wait_for(&format!("({}) is a receiver and is excluded from the trace", receiver.id()));
        end(receiver);
    }
    end(somebody);
    assert_eq!(live.end(libc::SIGINT), Some(0));
    let said = live.said().join("\n");
    // Between the two nobody listens, which is reported; whoever starts listening could be excluded.
    let warnings: Vec<_> =
        said.lines().filter(|line| line.contains("warning") && !line.contains("nobody listens")).collect();
    assert!(warnings.is_empty(), "{said}");
}

/// Switches of all tasks.
fn all_switches() -> u64 {
    let stat = std::fs::read_to_string("/proc/stat").unwrap();
    let line = stat.lines().find_map(|line| line.strip_prefix("ctxt ")).unwrap();
    line.trim().parse().unwrap()
}

/// Our switches for each of the machine's, in the third to fourth and in the fifth to sixth second of a run; what it said.
fn shares_of_a_run() -> ([f64; 2], String) {
    let listener = Listener::start();
    let child = start(listener.port(), &["timer", "power", "irq_vectors"]);
    std::thread::sleep(Duration::from_secs(2));
    let shares = [(); 2].map(|()| {
        let (ours, all) = (switches(child.id()), all_switches());
        std::thread::sleep(Duration::from_secs(2));
        (switches(child.id()) - ours) as f64 / (all_switches() - all).max(1) as f64
    });
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    let output = child.wait_with_output().unwrap();
    listener.stop();
    (shares, String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn our_own_wakeups_do_not_grow_faster_than_those_of_the_machine() {
    if !may_trace() {
        return;
    }
    let _alone = alone();
    // What feeds back climbs in every run; the load of the machine may change in one.
    let mut runs = vec![];
    while runs.len() < 3 {
        let ([first, second], said) = shares_of_a_run();
        if second <= 3.0 * first + 0.1 {
            return;
        }
        runs.push((first, second, said));
    }
    panic!("{runs:?}");
}
