//! Live: `--readers N --merged` is one stream. Nothing is lost between the threads that empty the rings and the one that sends.

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use common::live::{Heard, Listener, may_trace};
use rosc::OscType;
use rustix::process::{Pid, Signal, kill_process};
use rustix::thread::{CpuSet, sched_setaffinity};

/// Calls that each of two threads makes.
const CALLS: usize = 5000;

/// Two threads, on a CPU each where there are two, make calls that nothing else makes here, once `go` says so; returns how to
/// name them to a filter, and the threads.
fn callers() -> (Vec<u32>, Vec<std::sync::mpsc::Sender<()>>, Vec<std::thread::JoinHandle<()>>) {
    let (mut tids, mut go, mut threads) = (vec![], vec![], vec![]);
    for cpu in 0..2 {
        let ((say, said), (start, started)) = (std::sync::mpsc::channel(), std::sync::mpsc::channel());
        threads.push(std::thread::spawn(move || {
            let mut set = CpuSet::new();
            set.set(cpu);
            // A machine of one CPU has them both there.
            let _ = sched_setaffinity(None, &set);
            say.send(rustix::thread::gettid().as_raw_nonzero().get() as u32).unwrap();
            started.recv().unwrap();
            for _ in 0..CALLS {
                // SAFETY: getppid(2) takes nothing and touches no memory.
                unsafe { libc::syscall(libc::SYS_getppid) };
            }
        }));
        tids.push(said.recv().unwrap());
        go.push(start);
    }
    (tids, go, threads)
}

fn instance(child: &Child) -> PathBuf {
    let tracefs = ftrace_live::tracefs::Tracefs::find().unwrap();
    tracefs.root().join(format!("instances/ftrace-live-{}", child.id()))
}

fn is_on(file: &Path) -> bool {
    fs::read_to_string(file).is_ok_and(|text| text == "1\n")
}

/// The number before `what` in what the program said at its end.
fn number(said: &str, what: &str) -> usize {
    let before = said.split(what).next().unwrap();
    before.rsplit([' ', '\n']).next().unwrap().parse().unwrap_or_else(|_| panic!("no {what:?}: {said}"))
}

#[test]
fn what_several_threads_empty_arrives_as_one_stream_each_cpus_events_in_order() {
    if !may_trace() {
        return;
    }
    let listener = Listener::start();
    let (tids, go, threads) = callers();
    let ours = tids.iter().map(|tid| format!("common_pid == {tid}")).collect::<Vec<_>>().join(" || ");
    let filter = format!("raw_syscalls:sys_enter=id == {} && ({ours})", libc::SYS_getppid);
    let pids = std::process::id().to_string();
    let mut command = Command::new(env!("CARGO_BIN_EXE_ftrace-live"));
    command.args(["--raw", "--no-guard", "--readers", "2", "--merged", "-b", "4096", "-i", &pids]);
    // What one order is needed for goes with it.
    command.args(["--print", "--filter", &filter, "-e", "raw_syscalls:sys_enter", "-v"]);
    command.args(["--to", &format!("liblo@127.0.0.1:{}", listener.port())]);
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let deadline = Instant::now() + Duration::from_secs(30);
    let folder = instance(&child);
    while !is_on(&folder.join("events/raw_syscalls/sys_enter/enable")) || !is_on(&folder.join("tracing_on")) {
        assert!(Instant::now() < deadline, "it does not begin to record");
        std::thread::sleep(Duration::from_millis(5));
    }
    let done = std::thread::spawn(move || {
        go.into_iter().for_each(|go| go.send(()).unwrap());
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        // What is in the rings is read before it ends.
        kill_process(Pid::from_raw(child.id() as i32).unwrap(), Signal::INT).unwrap();
        child.wait_with_output().unwrap()
    });
    let output = done.join().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let heard = listener.stop();
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(said.contains("emptied by"), "{said}");
    let events: Vec<&Heard> = heard.iter().filter(|heard| heard.address == "/ftrace/raw_syscalls/sys_enter").collect();
    let (read, lost) = (number(&said, " events read"), number(&said, " lost by the kernel"));
    assert_eq!(read + lost, 2 * CALLS, "{said}");
    assert_eq!(events.len(), read, "{said}");
    let lines = String::from_utf8_lossy(&output.stdout).lines().filter(|line| line.contains("sys_enter")).count();
    assert_eq!(lines, read, "{said}");
    // time, dt, cpu, …
    let mut last = BTreeMap::new();
    for event in &events {
        let OscType::Time(time) = event.arguments[0] else { panic!("{event:?}") };
        let time = (time.seconds, time.fractional);
        let before = last.insert(event.int(2), time);
        assert!(before.is_none_or(|before| before <= time), "{event:?} came after {before:?}");
    }
    // One stream begins once.
    assert_eq!(heard.iter().filter(|heard| heard.address == "/ftrace/start").count(), 1);
}
