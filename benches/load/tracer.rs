//! The program that is measured, running live.

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use ftrace_live::tracefs::Tracefs;
use rustix::process::{Pid, Signal, kill_process};

/// A running `ftrace-live`.
pub struct Tracer {
    child: Child,
}

/// What it printed at its end.
#[derive(Debug, Default)]
pub struct Said {
    /// Events read.
    pub read: u64,
    /// Events that the kernel lost.
    pub lost: u64,
    /// All its output.
    pub text: String,
}

impl Tracer {
    /// Starts it, to `port`, and waits until it records. The program is the one that cargo built with this bench, or
    /// `$FTRACE_LIVE`.
    pub fn start(port: u16, arguments: &[&str]) -> Tracer {
        let program = std::env::var_os("FTRACE_LIVE").unwrap_or_else(|| env!("CARGO_BIN_EXE_ftrace-live").into());
        let mut command = Command::new(program);
        command.args(["--raw", "--for", "liblo", "-p", &port.to_string()]).args(arguments);
        let tracer = Tracer { child: command.stdin(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap() };
        let deadline = Instant::now() + Duration::from_secs(30);
        // The last steps before recording begins: the hidden events are on, then tracing is.
        let on = |file: &str| fs::read_to_string(tracer.instance().join(file)).is_ok_and(|text| text.trim() == "1");
        while !on("events/task/task_rename/enable") || !on("tracing_on") {
            assert!(Instant::now() < deadline, "it does not begin to record");
            std::thread::sleep(Duration::from_millis(5));
        }
        tracer
    }

    /// Its instance.
    pub fn instance(&self) -> PathBuf {
        Tracefs::find().unwrap().root().join(format!("instances/ftrace-live-{}", self.child.id()))
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Its keeper.
    pub fn keeper(&self) -> u32 {
        let children = fs::read_to_string(format!("/proc/{0}/task/{0}/children", self.pid())).unwrap();
        children.trim().parse().expect("one child, the keeper")
    }

    /// A number from its `/proc/PID/status`.
    pub fn status(&self, name: &str) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
    }

    /// How long it has been on a CPU.
    pub fn cpu(&self) -> Duration {
        let text = fs::read_to_string(format!("/proc/{}/schedstat", self.child.id())).unwrap_or_default();
        Duration::from_nanos(text.split_whitespace().next().and_then(|word| word.parse().ok()).unwrap_or(0))
    }

    /// How long all its threads have been on a CPU.
    pub fn cpu_of_all(&self) -> Duration {
        let spent = |text: String| text.split_whitespace().next().and_then(|word| word.parse().ok()).unwrap_or(0);
        Duration::from_nanos(self.threads("schedstat").map(spent).sum())
    }

    /// How often its threads have gone to sleep.
    pub fn wakes(&self) -> u64 {
        let number = |text: String| {
            let line = text.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
            line.and_then(|line| line.trim().parse().ok()).unwrap_or(0)
        };
        self.threads("status").map(number).sum()
    }

    /// A file of each of its threads.
    fn threads(&self, file: &'static str) -> impl Iterator<Item = String> {
        let threads = fs::read_dir(format!("/proc/{}/task", self.child.id())).into_iter().flatten().flatten();
        threads.map(move |thread| fs::read_to_string(thread.path().join(file)).unwrap_or_default())
    }

    /// Stops it, until it is released.
    pub fn hold(&self) {
        self.signal(Signal::STOP);
    }

    /// Lets it go on.
    pub fn release(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Ends it.
    pub fn stop(self) -> Said {
        self.signal(Signal::INT);
        let output = self.child.wait_with_output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        let said = Said { text, ..Said::default() };
        Said { read: said.number(" events read"), lost: said.number(" lost by the kernel"), ..said }
    }
}

impl Said {
    /// The number before these words.
    pub fn number(&self, what: &str) -> u64 {
        let word = self.text.split(what).next().filter(|before| before.len() < self.text.len());
        word.and_then(|before| before.rsplit([' ', '\n']).next()?.parse().ok()).unwrap_or(0)
    }
}
