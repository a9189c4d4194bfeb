//! A process beside a test that does what the test tells it by lines: the test program itself, of which it runs one test.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdout, Command, Stdio};

/// The process. It is killed when this is dropped.
pub struct Beside {
    process: Child,
    output: BufReader<ChildStdout>,
}

impl Beside {
    /// Runs the test of this name alone, with the variable set that makes it do its work.
    pub fn start(test: &str, variable: &str) -> Beside {
        let mut process = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", test, "--nocapture"])
            .env(variable, "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let output = BufReader::new(process.stdout.take().unwrap());
        Beside { process, output }
    }

    /// Sends it a line.
    pub fn tell(&mut self, line: &str) {
        writeln!(self.process.stdin.as_mut().unwrap(), "{line}").unwrap();
    }

    /// Waits for its line that begins with `what`; returns the rest of that. The test harness prints lines of its own.
    pub fn says(&mut self, what: &str) -> String {
        let mut line = String::new();
        while !line.starts_with(what) {
            line.clear();
            assert_ne!(self.output.read_line(&mut line).unwrap(), 0, "it ended before it said {what}");
        }
        line[what.len()..].trim_end().to_owned()
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
