//! An instance lent by root: its user traces without capabilities, it is inactive after each run, and it is removed
//! at the end.
//!
//! All of it needs root (to lend, and to become another user), and says so if it skips.

mod common;

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ftrace_live::rights::Caller;
use rustix::process::{Pid, Signal, kill_process};

/// A user of no other test: whatever runs as this user would use the instance too.
const USER: &str = "games";

/// There is one instance for a user.
static ONE: Mutex<()> = Mutex::new(());

/// An instance lent to [`USER`], taken back at the end.
struct Lent {
    user: Caller,
    at: PathBuf,
    instance: PathBuf,
    /// Contains the program, and what it writes: that user may not enter the folder where it was built.
    folder: tempfile::TempDir,
    _one: MutexGuard<'static, ()>,
}

impl Lent {
    fn or_skip() -> Option<Lent> {
        let one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
        let tracefs = common::live::tracefs()?;
        if !common::program::installed("setpriv") {
            return None;
        }
        let Ok(user) = Caller::named(USER) else {
            crate::common::skipped::say(format_args!("no user {USER}"));
            return None;
        };
        let at = PathBuf::from(format!("/run/ftrace-live/{}", user.uid));
        let instance = tracefs.root().join(format!("instances/ftrace-live-user-{}", user.uid));
        if instance.exists() {
            crate::common::skipped::say(format_args!("an instance is lent to {USER} already"));
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        chown(folder.path(), Some(user.uid), Some(user.gid)).unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        // Copied by another process: a child that another test starts meanwhile would have it open for writing
        // (ETXTBSY).
        let program = env!("CARGO_BIN_EXE_ftrace-live");
        assert!(Command::new("cp").arg(program).arg(folder.path()).status().unwrap().success());
        let lent = Lent { user, at, instance, folder, _one: one };
        let output = lent.root(&["setup", "--user", USER]);
        if String::from_utf8_lossy(&output.stderr).contains("cannot mount") {
            crate::common::skipped::say(format_args!("{}", String::from_utf8_lossy(&output.stderr)));
            return None;
        }
        assert!(output.status.success(), "{output:?}");
        Some(lent)
    }

    fn program(&self) -> PathBuf {
        self.folder.path().join("ftrace-live")
    }

    /// Runs it as root.
    fn root(&self, arguments: &[&str]) -> Output {
        Command::new(self.program()).args(arguments).output().unwrap()
    }

    /// The program as that user, with no capability.
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("setpriv");
        let (uid, gid) = (self.user.uid.to_string(), self.user.gid.to_string());
        command.args(["--reuid", &uid, "--regid", &gid, "--clear-groups"]).arg(self.program()).args(arguments);
        // Settings are searched in HOME, and that of root is not accessible to that user.
        command.env("HOME", self.folder.path()).env_remove("XDG_CONFIG_HOME");
        command.current_dir(self.folder.path()).stdin(Stdio::null());
        command
    }

    fn run(&self, arguments: &[&str]) -> (Output, String) {
        let output = self.command(arguments).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        (output, said)
    }

    /// Starts it and waits until it traces.
    fn start(&self, arguments: &[&str]) -> Run {
        let child = self.command(arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let run = Run(child);
        wait_until("it traces", || self.read("tracing_on") == "1");
        run
    }

    fn read(&self, file: &str) -> String {
        fs::read_to_string(self.instance.join(file)).unwrap().trim().to_owned()
    }

    /// Whether nothing of a run is left in the instance.
    fn is_quiet(&self) -> bool {
        let entries: Vec<String> = fs::read_dir(self.instance.join("per_cpu"))
            .unwrap()
            .map(|cpu| fs::read_to_string(cpu.unwrap().path().join("stats")).unwrap())
            .map(|stats| stats.lines().next().unwrap_or_default().to_owned())
            .collect();
        self.read("tracing_on") == "0"
            && self.read("events/enable") == "0"
            && self.read("events/sched/sched_switch/filter") == "none"
            && self.read("set_event_notrace_pid").is_empty()
            && self.read("set_event_pid").is_empty()
            && self.read("options/event-fork") == "0"
            && self.read("buffer_size_kb").split(' ').next().unwrap().parse::<u32>().unwrap() < 100
            && entries.iter().all(|line| line == "entries: 0")
    }
}

/// A running program, killed if a test fails.
struct Run(Child);

impl Run {
    fn pid(&self) -> u32 {
        self.0.id()
    }

    fn signal(&self, signal: Signal) {
        kill(self.pid(), signal);
    }

    fn end(mut self) -> ExitStatus {
        self.0.wait().unwrap()
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        let output = self.root(&["teardown", "--user", USER]);
        let left = self.instance.exists() || self.at.exists();
        if !std::thread::panicking() {
            assert!(output.status.success() && !left, "{output:?}");
        }
    }
}

fn wait_until(what: &str, condition: impl Fn() -> bool) {
    let give_up = Instant::now() + Duration::from_secs(60);
    while !condition() {
        assert!(Instant::now() < give_up, "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn kill(pid: u32, signal: Signal) {
    kill_process(Pid::from_raw(pid as i32).unwrap(), signal).unwrap();
}

/// The keeper of a run.
fn keeper_of(pid: u32) -> u32 {
    fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap().trim().parse().unwrap()
}

fn status(pid: u32, name: &str) -> String {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    status.lines().find_map(|line| line.strip_prefix(name)).unwrap().trim().replace('\t', " ")
}

#[test]
fn its_user_traces_lists_records_and_captures_without_a_capability() {
    let Some(lent) = Lent::or_skip() else { return };
    let output = lent.run(&["list", "sched:sched_swit*"]).0;
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "sched:sched_switch\n");
    let filter = ["--filter", "sched:sched_switch=prev_pid >= 0"];
    let run = lent.start(&[&["--raw", "--print", "-e", "sched", "irq"], &filter[..]].concat());
    for pid in [run.pid(), keeper_of(run.pid())] {
        assert_eq!(status(pid, "Uid:"), vec![lent.user.uid.to_string(); 4].join(" "), "{pid}");
        assert_eq!(status(pid, "CapEff:"), "0000000000000000", "{pid}");
        assert_eq!(status(pid, "CapPrm:"), "0000000000000000", "{pid}");
        assert_eq!(status(pid, "NoNewPrivs:"), "1", "{pid}");
    }
    assert!(lent.read("events/sched/sched_switch/filter").contains("prev_pid >= 0"));
    let (output, said) = lent.run(&["--print", "-e", "irq"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(said.contains("is in use by another run"), "{said}");
    run.signal(Signal::INT);
    assert!(run.end().success());
    assert!(lent.is_quiet());

    let (output, said) = lent.run(&["--raw", "--print", "-e", "sched", "--record", "x.dat", "--", "true"]);
    assert!(output.status.success(), "{said}");
    let printed = String::from_utf8(output.stdout).unwrap();
    assert!(printed.contains("/ftrace/sched/sched_process_exec"), "{printed}{said}");
    assert!(lent.is_quiet());
    // In text, names of addresses need root.
    let (output, said) = lent.run(&["--print", "-e", "sched", "workqueue", "--seconds", "0.1"]);
    assert!(output.status.success() && said.contains("kernel addresses are shown as numbers"), "{said}");
    for name in ["folder", "file.dat"] {
        let (output, said) = lent.run(&["capture", "-e", "sched", "-o", name, "--", "true"]);
        assert!(output.status.success(), "{said}");
        assert!(lent.is_quiet());
    }
    for name in ["x.dat", "folder", "file.dat"] {
        let (output, said) = lent.run(&["replay", name, "--print", "--speed", "max", "--max-rate", "0"]);
        let printed = String::from_utf8(output.stdout).unwrap();
        assert!(printed.contains("sched_process_exec: filename="), "{name}: {said}");
    }
    let (output, said) = lent.run(&["-t", "function", "--print"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(said.contains("has events, but no tracers"), "{said}");
    assert!(lent.is_quiet());
}

#[test]
fn after_a_kill_with_or_without_its_keeper_it_is_inactive_by_the_next_start() {
    let Some(lent) = Lent::or_skip() else { return };
    let arguments = ["--raw", "--print", "-e", "sched", "-i", "1"];
    let run = lent.start(&arguments);
    run.signal(Signal::KILL);
    run.end();
    wait_until("the keeper leaves it quiet", || lent.is_quiet());

    let run = lent.start(&arguments);
    let keeper = keeper_of(run.pid());
    kill(keeper, Signal::KILL);
    run.signal(Signal::KILL);
    run.end();
    assert!(!lent.is_quiet());
    // The next run gets nothing of the earlier one: neither its processes nor its events.
    let (output, said) = lent.run(&["--raw", "--print", "-e", "irq", "sched", "--", "true"]);
    assert!(output.status.success(), "{said}");
    assert!(String::from_utf8_lossy(&output.stdout).contains("/ftrace/sched/sched_process_exec"), "{said}");
    assert!(lent.is_quiet());

    let run = lent.start(&arguments);
    let keeper = keeper_of(run.pid());
    kill(keeper, Signal::KILL);
    run.signal(Signal::KILL);
    run.end();
    wait_until("its keeper is gone", || !Path::new(&format!("/proc/{keeper}/fd")).exists());
    // So does a second setup, and dropping this takes it back.
    assert!(lent.root(&["setup", "--user", USER]).status.success());
    assert!(lent.is_quiet());
}

#[test]
fn no_other_files_are_given_and_nobody_else_may_lend() {
    let Some(lent) = Lent::or_skip() else { return };
    let opens = |file: &Path| {
        let mut command = Command::new("setpriv");
        let (uid, gid) = (lent.user.uid.to_string(), lent.user.gid.to_string());
        command.args(["--reuid", &uid, "--regid", &gid, "--clear-groups", "sh", "-c", ": >>\"$0\""]).arg(file);
        command.stderr(Stdio::null()).status().unwrap().success()
    };
    assert!(opens(&lent.at.join("tracing_on")));
    let closed = [
        "trace_options",
        "options/trace_printk_dest",
        "current_tracer",
        "set_ftrace_filter",
        "free_buffer",
        "events/sched/sched_switch/trigger",
        "events/sched/filter",
        "a_new_file",
    ];
    for file in closed {
        assert!(!opens(&lent.at.join(file)), "{file}");
    }
    for subcommand in ["setup", "teardown"] {
        let (output, said) = lent.run(&[subcommand, "--user", USER]);
        assert_eq!(output.status.code(), Some(1));
        assert!(said.contains("only root can lend"), "{said}");
    }
    // It is not taken back during a run.
    let run = lent.start(&["--raw", "--print", "-e", "sched"]);
    let output = lent.root(&["teardown", "--user", USER]);
    assert!(String::from_utf8_lossy(&output.stderr).contains("in use by its user"), "{output:?}");
    run.signal(Signal::INT);
    assert!(run.end().success());
}

#[test]
fn systemd_accepts_the_unit() {
    let unit = Command::new(env!("CARGO_BIN_EXE_ftrace-live")).args(["setup", "--print-unit"]).output().unwrap();
    assert!(unit.status.success());
    if !common::program::installed("systemd-analyze") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let program = env!("CARGO_BIN_EXE_ftrace-live");
    let text = String::from_utf8(unit.stdout).unwrap().replace("/usr/bin/ftrace-live", program);
    let file = folder.path().join("ftrace-live@.service");
    fs::write(&file, text).unwrap();
    let verify = |unit: &str| {
        Command::new("systemd-analyze").args(["verify", "--man=no"]).arg(folder.path().join(unit)).output()
    };
    let output = verify("ftrace-live@.service").unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    // Other messages, about other units or because systemd does not run here, are ignored.
    let ours: Vec<&str> = said.lines().filter(|line| line.contains("ftrace-live@")).collect();
    assert!(ours.is_empty(), "{said}");
    // It detects errors.
    fs::write(folder.path().join("ftrace-live-x.service"), "[Service]\nType=no such type\nExecStart=/bin/true\n")
        .unwrap();
    let said = verify("ftrace-live-x.service").unwrap().stderr;
    if !String::from_utf8_lossy(&said).contains("ftrace-live-x.service") {
        crate::common::skipped::say(format_args!("systemd-analyze finds nothing wrong with a wrong unit here"));
    }
}
