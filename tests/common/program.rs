//! Runs another program beside the test: starts it, reads its output, and ends it in any case.

use std::{
    io::{BufRead, BufReader, Read},
    net::UdpSocket,
    os::unix::process::CommandExt,
    path::Path,
    process::{Child, ChildStdout, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    sync::mpsc::{self, Receiver, RecvTimeoutError},
    thread,
    time::{Duration, Instant},
};

/// How long a program may take for anything, generously.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Whether `program` can be run; if not, says that its test is skipped.
pub fn installed(program: &str) -> bool {
    let found = std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|folder| folder.join(program).is_file()));
    if !found {
        crate::common::skipped::say(format_args!("{program} is not installed"));
    }
    found
}

/// A free UDP port of 127.0.0.1. It is below those that the kernel gives to sockets that ask for any (`ip_local_port_range`, from
/// 32768 on), so that none of those takes it until it is used.
pub fn free_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    // The tests of one process one after the other, those of two processes far apart.
    let first = std::process::id().wrapping_mul(101);
    let ports =
        (0..12_000).map(|_| 20_000 + (first.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % 12_000) as u16);
    ports.into_iter().find(|port| UdpSocket::bind(("127.0.0.1", *port)).is_ok()).unwrap()
}

/// A process and all its children, killed when this is dropped.
pub struct Group(Child);

impl Group {
    /// Starts it as the leader of a process group.
    pub fn start(command: &mut Command) -> Group {
        Group(command.stdin(Stdio::null()).process_group(0).spawn().unwrap_or_else(|e| panic!("{command:?}: {e}")))
    }

    /// Its standard output, if that is a pipe and was not taken yet.
    pub fn stdout(&mut self) -> ChildStdout {
        self.0.stdout.take().unwrap()
    }

    fn signal(&self, signal: i32) {
        // SAFETY: kill takes two numbers and touches no memory; the group is this child's own.
        unsafe { libc::kill(-(self.0.id() as i32), signal) };
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.signal(libc::SIGKILL);
        let _ = self.0.wait();
    }
}

/// A running program and its output.
pub struct Program {
    group: Group,
    lines: Receiver<String>,
    said: Vec<String>,
    name: String,
}

/// `program` without display and user settings, which ends even if this test is killed.
pub fn command(program: &str, home: &Path) -> Command {
    let mut command = Command::new("timeout");
    command.args(["--signal=KILL", "120", program]);
    command
        .env("HOME", home)
        .env("XDG_RUNTIME_DIR", home)
        .env("XDG_CONFIG_HOME", home)
        .env("XDG_DATA_HOME", home)
        .env("QT_QPA_PLATFORM", "offscreen")
        .env("QTWEBENGINE_DISABLE_SANDBOX", "1")
        .env_remove("DISPLAY")
        .current_dir(home);
    command
}

impl Program {
    /// Starts it; standard output and error are read line by line.
    pub fn start(mut command: Command) -> Program {
        let name = format!("{command:?}");
        let mut group = Group::start(command.stdout(Stdio::piped()).stderr(Stdio::piped()));
        let (sender, lines) = mpsc::channel();
        let outputs: [Box<dyn Read + Send>; 2] = [Box::new(group.stdout()), Box::new(group.0.stderr.take().unwrap())];
        for output in outputs {
            let sender = sender.clone();
            thread::spawn(move || {
                for line in BufReader::new(output).split(b'\n') {
                    let Ok(line) = line else { return };
                    if sender.send(String::from_utf8_lossy(&line).into_owned()).is_err() {
                        return;
                    }
                }
            });
        }
        Program { group, lines, said: vec![], name }
    }

    /// Waits for a line that contains `text`.
    pub fn wait_for(&mut self, text: &str) -> String {
        self.wait_while_doing(text, || {})
    }

    /// Calls `again` five times a second until a line contains `text`.
    pub fn wait_while_doing(&mut self, text: &str, mut again: impl FnMut()) -> String {
        let end = Instant::now() + PATIENCE;
        let mut looked_at = 0;
        loop {
            if let Some(line) = self.said[looked_at..].iter().find(|line| line.contains(text)) {
                return line.clone();
            }
            looked_at = self.said.len();
            assert!(Instant::now() < end, "{}: no {text:?} in\n{}", self.name, self.said.join("\n"));
            match self.lines.recv_timeout(Duration::from_millis(200)) {
                Ok(line) => self.said.push(line),
                Err(RecvTimeoutError::Timeout) => again(),
                Err(RecvTimeoutError::Disconnected) => {
                    panic!("{}: ended without {text:?}:\n{}", self.name, self.said.join("\n"))
                }
            }
        }
    }

    /// Its output so far, after a moment for what is being written.
    pub fn said(&mut self) -> &[String] {
        while let Ok(line) = self.lines.recv_timeout(Duration::from_millis(300)) {
            self.said.push(line);
        }
        &self.said
    }

    /// Sends it `signal` and waits for its end; returns its exit code, unless it was killed.
    pub fn end(&mut self, signal: i32) -> Option<i32> {
        self.group.signal(signal);
        let end = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.group.0.try_wait().unwrap() {
                return status.code();
            }
            assert!(Instant::now() < end, "{} does not end", self.name);
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Fails if any line is a complaint. `noise`: what it always prints, such as that there is no sound card.
    pub fn assert_no_complaint(&mut self, noise: &[&str]) {
        let complaints =
            ["error", "fail", "warning", "couldn't", "can't", "cannot", "exception", "not found", "no such", "late "];
        let complains = |line: &str| complaints.iter().any(|c| line.to_lowercase().contains(c));
        // Without root Pd and scsynth get no real-time priority, and say so.
        let expected = |line: &str| line.contains("scheduling") || noise.iter().any(|n| line.contains(n));
        let bad: Vec<String> = self.said().iter().filter(|l| complains(l) && !expected(l)).cloned().collect();
        assert!(
            bad.is_empty(),
            "{} complains:\n{}\n\nall it said:\n{}",
            self.name,
            bad.join("\n"),
            self.said.join("\n")
        );
    }
}
