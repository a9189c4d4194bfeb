//! The running program.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use ftrace_live::tracefs::Tracefs;
use rustix::process::{Pid, Signal, kill_process};

use crate::wait_until;

pub const PROGRAM: &str = env!("CARGO_BIN_EXE_ftrace-live");

/// A running `ftrace-live`, killed if a test fails.
pub struct Running {
    child: Child,
    instance: PathBuf,
    said: Arc<Mutex<String>>,
    readers: Vec<JoinHandle<String>>,
}

/// The result of a run.
pub struct Ended {
    pub status: ExitStatus,
    /// All of its standard output.
    pub out: String,
    /// All of its standard error.
    pub said: String,
}

impl Running {
    /// Starts it; it may exit at once.
    pub fn spawn(tracefs: &Tracefs, arguments: &[&str]) -> Running {
        Running::spawn_command(tracefs, Command::new(PROGRAM).args(arguments))
    }

    /// Starts it as `command` says.
    pub fn spawn_command(tracefs: &Tracefs, command: &mut Command) -> Running {
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let instance = tracefs.root().join("instances").join(format!("ftrace-live-{}", child.id()));
        let said = Arc::new(Mutex::new(String::new()));
        let (out, error, shared) = (child.stdout.take().unwrap(), child.stderr.take().unwrap(), said.clone());
        let read_out = std::thread::spawn(move || {
            let mut text = String::new();
            BufReader::new(out).read_to_string(&mut text).unwrap();
            text
        });
        let read_error = std::thread::spawn(move || {
            for line in BufReader::new(error).lines() {
                shared.lock().unwrap().push_str(&(line.unwrap() + "\n"));
            }
            String::new()
        });
        Running { child, instance, said, readers: vec![read_out, read_error] }
    }

    /// Starts it and waits until its instance records.
    pub fn start(tracefs: &Tracefs, arguments: &[&str]) -> Running {
        let mut running = Running::spawn(tracefs, arguments);
        let on = running.instance.join("tracing_on");
        loop {
            if std::fs::read_to_string(&on).is_ok_and(|on| on.trim() == "1") && running.records() {
                return running;
            }
            if let Some(status) = running.child.try_wait().unwrap() {
                panic!("it ended with {status} before it traced: {}", running.said.lock().unwrap());
            }
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
    }

    /// A new instance records at once; ours has reported what it enabled before it is switched on.
    pub fn records(&self) -> bool {
        self.said.lock().unwrap().contains(" events enabled")
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn instance(&self) -> &Path {
        &self.instance
    }

    /// Its standard error so far.
    pub fn said(&self) -> String {
        self.said.lock().unwrap().clone()
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_raw(self.pid() as i32).unwrap(), signal).unwrap();
    }

    /// Waits for its end.
    pub fn end(mut self) -> Ended {
        let status = self.child.wait().unwrap();
        let out = self.readers.drain(..).map(|reader| reader.join().unwrap()).collect();
        let said = self.said.lock().unwrap().clone();
        Ended { status, out, said }
    }

    /// Stops it, waits for its end, and checks that nothing is left.
    pub fn stop(self) -> Ended {
        self.signal(Signal::INT);
        let instance = self.instance.clone();
        let ended = self.end();
        assert_eq!(ended.status.code(), Some(0), "{}", ended.said);
        assert!(!instance.exists(), "{} is left", instance.display());
        ended
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs it to its end, and checks that nothing is left.
pub fn run(tracefs: &Tracefs, arguments: &[&str]) -> Ended {
    run_command(tracefs, Command::new(PROGRAM).args(arguments))
}

/// The same with a command that runs it.
pub fn run_command(tracefs: &Tracefs, command: &mut Command) -> Ended {
    let running = Running::spawn_command(tracefs, command);
    let instance = running.instance.clone();
    let ended = running.end();
    wait_until("for the instance to be gone", || !instance.exists());
    ended
}
