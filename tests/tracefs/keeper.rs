//! The keeper: however the owner ends, the instance is removed, and the keeper holds nothing that others wait for.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use ftrace_live::keeper::Keeper;
use ftrace_live::tracefs::{Instance, Tracefs, TracefsError};
use rustix::process::{Pid, Signal, kill_process};

use crate::{event, is_running, live, wait_until};

const PROGRAM: &str = env!("CARGO_BIN_EXE_ftrace-live");

/// Set for the process started by [`owner`].
const OWNER: &str = "FTRACE_LIVE_TEST_OWNER";

/// Not a test: run by the tests below as a separate process, which they kill.
#[test]
fn owner_process() {
    if std::env::var_os(OWNER).is_none() {
        return;
    }
    let tracefs = Tracefs::find().unwrap();
    let keeper = Keeper::start_program(Path::new(PROGRAM), &tracefs).unwrap();
    let instance = Instance::create(&tracefs, Some(&keeper)).unwrap();
    instance.enable(&[event("irq:softirq_entry")]).unwrap();
    instance.start().unwrap();
    let _raw = instance.open_raw().unwrap();
    println!("\nowner: {} {}", keeper.pid(), instance.path().display());
    std::thread::sleep(Duration::from_secs(600));
}

struct Owner {
    process: Child,
    output: Option<BufReader<ChildStdout>>,
    keeper: u32,
    instance: PathBuf,
}

impl Owner {
    fn start() -> Owner {
        // The pipe is its standard output, its standard error, and an inherited descriptor.
        let mut process = Command::new("sh")
            .args(["-c", "exec 9>&1 2>&1; exec \"$0\" --exact keeper::owner_process --nocapture"])
            .arg(std::env::current_exe().unwrap())
            .env(OWNER, "1")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut output = BufReader::new(process.stdout.take().unwrap());
        let mut line = String::new();
        while !line.starts_with("owner: ") {
            line.clear();
            assert_ne!(output.read_line(&mut line).unwrap(), 0, "the owner ended before it had an instance");
        }
        let mut words = line.split_whitespace().skip(1);
        let keeper = words.next().unwrap().parse().unwrap();
        let instance = PathBuf::from(words.next().unwrap());
        assert!(instance.is_dir());
        Owner { process, output: Some(output), keeper, instance }
    }

    fn kill(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A test that fails leaves no owner behind.
impl Drop for Owner {
    fn drop(&mut self) {
        self.kill();
    }
}

fn send(pid: u32, signal: Signal) {
    kill_process(Pid::from_raw(pid as i32).unwrap(), signal).unwrap();
}

#[test]
fn after_sigkill_the_instance_is_removed_and_the_keeper_exits() {
    if live().is_none() {
        return;
    }
    let mut owner = Owner::start();
    assert!(is_running(owner.keeper));
    owner.kill();
    wait_until("the instance is removed", || !owner.instance.exists());
    wait_until("the keeper ends", || !is_running(owner.keeper));
}

#[test]
fn the_keeper_survives_the_signals_that_end_its_owner() {
    if live().is_none() {
        return;
    }
    let mut owner = Owner::start();
    for signal in [Signal::INT, Signal::TERM, Signal::HUP, Signal::QUIT] {
        send(owner.keeper, signal);
    }
    std::thread::sleep(Duration::from_millis(50));
    assert!(is_running(owner.keeper) && owner.instance.exists());
    let session = rustix::process::getsid(Pid::from_raw(owner.keeper as i32)).unwrap();
    assert_eq!(session.as_raw_nonzero().get() as u32, owner.keeper, "the keeper is not in a session of its own");
    owner.kill();
    wait_until("the instance is removed", || !owner.instance.exists());
}

#[test]
fn the_keeper_holds_no_pipe_of_its_owner_even_while_it_must_wait() {
    let Some(tracefs) = live() else { return };
    let mut owner = Owner::start();
    // While somebody holds the ring open the keeper cannot remove it, and keeps running.
    let held = std::fs::File::open(owner.instance.join("per_cpu/cpu0/trace_pipe_raw")).unwrap();
    owner.kill();
    let (ended, end) = mpsc::channel();
    let mut output = owner.output.take().unwrap();
    std::thread::spawn(move || {
        let mut rest = Vec::new();
        let _ = output.read_to_end(&mut rest);
        let _ = ended.send(());
    });
    end.recv_timeout(Duration::from_secs(60)).expect("the output does not end: the keeper holds it");
    assert!(is_running(owner.keeper) && owner.instance.exists(), "the keeper did not wait: the test shows nothing");
    let tracing_on = || std::fs::read_to_string(owner.instance.join("tracing_on")).unwrap();
    wait_until("the instance is quiet at least", || tracing_on().trim() == "0");
    drop(held);
    wait_until("the instance is removed", || !owner.instance.exists());
    drop(tracefs);
}

#[test]
fn after_an_orderly_end_the_keeper_ends_too() {
    let Some(tracefs) = live() else { return };
    let keeper = Keeper::start_program(Path::new(PROGRAM), &tracefs).unwrap();
    let pid = keeper.pid();
    let instance = Instance::create(&tracefs, Some(&keeper)).unwrap();
    instance.exclude_ourselves().unwrap();
    let kept_out = instance.read("set_event_notrace_pid").unwrap();
    assert!(kept_out.lines().any(|line| line == pid.to_string()), "the keeper is traced");
    instance.close().unwrap();
    drop(keeper);
    wait_until("the keeper ends", || !is_running(pid));
}

#[test]
fn a_program_that_is_not_a_keeper_is_refused() {
    let Some(tracefs) = live() else { return };
    for program in ["/bin/true", "/bin/echo", "/no/such/program"] {
        let error = Keeper::start_program(Path::new(program), &tracefs).unwrap_err();
        assert!(matches!(error, TracefsError::Keeper(_)), "{program}: {error}");
    }
}
