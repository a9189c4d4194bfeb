//! Live: no loss is unreported. The events written equal those read plus those reported lost, exactly.

mod common;

use std::collections::BTreeSet;
use std::fs;
use std::net::UdpSocket;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use common::beside::Beside;
use common::live::{Heard, Listener, may_trace};
use rustix::process::{Pid, Signal, kill_process};

/// `ftrace-live` with these arguments, to `port`.
fn start(port: u16, arguments: &[&str]) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ftrace-live"));
    command.args(["--raw", "--no-guard", "--to", &format!("liblo@127.0.0.1:{port}")]).args(arguments);
    command.stderr(Stdio::piped()).stdin(Stdio::null()).spawn().unwrap()
}

fn signal(child: &Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).unwrap();
}

/// The instance of a running `ftrace-live`.
fn instance(child: &Child) -> PathBuf {
    let tracefs = ftrace_live::tracefs::Tracefs::find().unwrap();
    tracefs.root().join(format!("instances/ftrace-live-{}", child.id()))
}

/// Waits until it records.
fn wait_until_on(child: &Child) {
    let deadline = Instant::now() + Duration::from_secs(60);
    // A new instance begins with tracing on; by the time ours is finally on, its sockets are open.
    while fs::read_to_string(instance(child).join("events/raw_syscalls/sys_enter/enable")).ok().as_deref()
        != Some("1\n")
        || fs::read_to_string(instance(child).join("tracing_on")).ok().as_deref() != Some("1\n")
    {
        assert!(Instant::now() < deadline, "it does not begin to record");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The variable that turns [`caller_process`] into the process that makes the calls.
const CALLER: &str = "FTRACE_LIVE_TEST_CALLER";

/// Not a test by itself: makes system calls of a kind that nothing else makes here, as many as each line of its input says. Each
/// is one event, and its number is the event's `args[0]`.
///
/// This is done in a process of its own that starts no other while it is traced: the program traces the names of the tasks
/// that a process starts in addition, and the kernel counts these events, too, when they are overwritten.
#[test]
fn caller_process() {
    if std::env::var_os(CALLER).is_none() {
        return;
    }
    println!("\ncaller: {}", rustix::thread::gettid().as_raw_nonzero());
    let mut numbers = 0_usize..;
    for line in std::io::stdin().lines() {
        for number in numbers.by_ref().take(line.unwrap().parse().unwrap()) {
            // SAFETY: getppid(2) takes nothing, so it ignores the number, and touches no memory.
            unsafe { libc::syscall(libc::SYS_getppid, number) };
        }
        println!("\ncalled");
    }
}

struct Caller {
    process: Beside,
    /// The arguments that trace its calls and nothing else.
    only: [String; 4],
}

impl Caller {
    fn start() -> Caller {
        let mut process = Beside::start("caller_process", CALLER);
        let tid = process.says("caller: ");
        let filter = format!("raw_syscalls:sys_enter=id == {} && common_pid == {tid}", libc::SYS_getppid);
        Caller { process, only: ["--filter".to_owned(), filter, "-i".to_owned(), tid] }
    }

    /// Makes so many calls.
    fn call(&mut self, calls: usize) {
        self.process.tell(&calls.to_string());
        self.process.says("called");
    }
}

/// Sums over all windows: read, kernel_lost, malformed, receiver_drops.
fn stats(heard: &[Heard]) -> [i64; 4] {
    let mut sums = [0; 4];
    for stat in heard.iter().filter(|message| message.address == "/ftrace/stat") {
        for (sum, argument) in sums.iter_mut().zip([0, 3, 4, 5]) {
            *sum += stat.int(argument);
        }
    }
    sums
}

#[test]
fn events_read_plus_events_lost_equal_the_events_written() {
    if !may_trace() {
        return;
    }
    for quiet in [false, true] {
        overflow(quiet);
    }
}

/// Stops the program twice for as long as it takes to fill the ring, and counts.
fn overflow(quiet: bool) {
    let listener = Listener::start();
    let mut caller = Caller::start();
    let only = caller.only.clone();
    let [filter, calls, i, tid] = only.each_ref().map(String::as_str);
    let mut arguments = vec!["-e", "raw_syscalls:sys_enter", filter, calls, i, tid, "-b", "64", "--fail-on-loss"];
    arguments.extend(quiet.then_some("-q"));
    let child = start(listener.port(), &arguments);
    wait_until_on(&child);
    let mut written = 0;
    // Twice, to catch a reader that is woken once and never again.
    for calls in [20_000, 30_000] {
        signal(&child, Signal::STOP);
        caller.call(calls);
        written += calls;
        signal(&child, Signal::CONT);
        std::thread::sleep(Duration::from_millis(300));
    }
    // These are read in time.
    caller.call(100);
    written += 100;
    signal(&child, Signal::INT);
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let heard = listener.stop();
    let numbers = heard.iter().filter(|message| message.address == "/ftrace/raw_syscalls/sys_enter");
    let numbers: Vec<i64> = numbers.map(|message| message.int(6)).collect();
    let events = numbers.len() as i64;
    let distinct: BTreeSet<_> = numbers.iter().collect();
    assert_eq!(distinct.len(), numbers.len(), "an event came twice: {said}");
    assert!(
        distinct.last().is_some_and(|last| **last + 1 == written as i64),
        "the last calls were read in time: {said}"
    );
    let [read, lost, malformed, drops] = stats(&heard);
    assert_eq!(drops, 0, "{said}");
    assert_eq!(malformed, 0, "{said}");
    assert_eq!(read, events, "{said}");
    assert!(lost > 0, "the ring was to overflow: {said}");
    assert_eq!(read + lost, written as i64, "{said}");
    assert!(said.contains(&format!("{lost} lost by the kernel")), "{said}");
    // With -q a loss is still reported, and nothing else.
    let lines = said.lines().filter(|line| !line.trim().is_empty()).count();
    assert!(said.contains("overwritten before they were read") != quiet && (lines == 1) == quiet, "{said}");
    assert_eq!(output.status.code(), Some(3), "--fail-on-loss: {said}");
}

#[test]
fn drops_at_the_receivers_socket_are_counted_and_reported() {
    if !may_trace() {
        return;
    }
    // A receiver that never reads.
    let full = UdpSocket::bind("127.0.0.1:0").unwrap();
    let listener = Listener::start();
    let mut caller = Caller::start();
    let only = caller.only.clone();
    let [filter, calls, i, tid] = only.each_ref().map(String::as_str);
    let to = format!("liblo@{}", full.local_addr().unwrap());
    let mut arguments = vec!["--to", &to, "-e", "raw_syscalls:sys_enter", "-b", "4096", "--fail-on-loss"];
    arguments.extend([filter, calls, i, tid]);
    let child = start(listener.port(), &arguments);
    wait_until_on(&child);
    caller.call(20_000);
    std::thread::sleep(Duration::from_millis(300));
    signal(&child, Signal::INT);
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let heard = listener.stop();
    let [read, lost, _, drops] = stats(&heard);
    assert_eq!(read + lost, 20_000, "{said}");
    assert!(said.contains("events read, ") && said.contains(&format!("{lost} lost by the kernel")), "{said}");
    assert!(drops > 0, "{said}");
    assert!(said.contains(&format!("{drops} datagrams the receiver had no room for")), "{said}");
    assert_eq!(output.status.code(), Some(3), "--fail-on-loss: {said}");
}

#[test]
fn without_a_loss_the_exit_code_is_0() {
    if !may_trace() {
        return;
    }
    let listener = Listener::start();
    let mut caller = Caller::start();
    let only = caller.only.clone();
    let [filter, calls, i, tid] = only.each_ref().map(String::as_str);
    let arguments = ["-e", "raw_syscalls:sys_enter", filter, calls, i, tid, "--fail-on-loss"];
    let child = start(listener.port(), &arguments);
    wait_until_on(&child);
    caller.call(100);
    signal(&child, Signal::INT);
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let heard = listener.stop();
    assert_eq!(stats(&heard), [100, 0, 0, 0], "{said}");
    assert_eq!(output.status.code(), Some(0), "{said}");
}

/// More readers than CPUs do not exist, and have no share of the rate.
#[test]
fn the_rate_cap_is_for_the_stream_whatever_the_number_of_readers() {
    if !may_trace() {
        return;
    }
    let listener = Listener::start();
    let mut caller = Caller::start();
    let only = caller.only.clone();
    let [filter, calls, i, tid] = only.each_ref().map(String::as_str);
    let arguments =
        ["-e", "raw_syscalls:sys_enter", filter, calls, i, tid, "--readers", "1024", "--max-rate", "1024", "-v"];
    let child = start(listener.port(), &arguments);
    wait_until_on(&child);
    for _ in 0..50 {
        caller.call(400);
        std::thread::sleep(Duration::from_millis(10));
    }
    signal(&child, Signal::INT);
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let heard = listener.stop();
    let events = heard.iter().filter(|message| message.address == "/ftrace/raw_syscalls/sys_enter").count();
    // Half a second or more; all from one CPU, which is at worst one of many.
    let cpus = std::thread::available_parallelism().map_or(1, usize::from);
    assert!(events >= 256 / cpus && events < 10_000, "{events} on {cpus} CPUs: {said}");
    assert!(said.contains("at most 1024 messages/s"), "{said}");
}
