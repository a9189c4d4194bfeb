//! The load: a process on its own core that makes system calls, each of which causes two `raw_syscalls` events.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::thread::{CpuSet, sched_setaffinity};

/// The hidden first argument that makes this program a generator.
pub const ARGUMENT: &str = "__generate";
/// Events of one system call: enter and exit.
pub const EVENTS: u64 = 2;

/// Restricts the calling thread, and what it starts, to one core.
pub fn pin(cpu: usize) {
    let mut set = CpuSet::new();
    set.set(cpu);
    sched_setaffinity(None, &set).unwrap_or_else(|error| panic!("cannot run on CPU {cpu} alone: {error}"));
}

/// The result of a generator.
#[derive(Debug, Clone, Copy)]
pub struct Generated {
    /// System calls made.
    pub calls: u64,
    /// How long that took.
    pub time: Duration,
}

impl Generated {
    /// Events a second.
    pub fn rate(&self) -> f64 {
        (self.calls * EVENTS) as f64 / self.time.as_secs_f64()
    }

    /// ns a call.
    pub fn ns(&self) -> f64 {
        self.time.as_nanos() as f64 / self.calls.max(1) as f64
    }
}

/// A generator that waits to be started.
pub struct Generator {
    child: Child,
    out: BufReader<ChildStdout>,
}

impl Generator {
    /// Starts one.
    pub fn start() -> Generator {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.arg(ARGUMENT).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut ready = String::new();
        out.read_line(&mut ready).unwrap();
        Generator { child, out }
    }

    /// Its pid.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Makes it cause about `rate` events a second for `seconds`; without a rate, as many as it can.
    pub fn go(&mut self, rate: Option<u64>, seconds: f64) -> Generated {
        let line = format!("{} {seconds}\n", rate.unwrap_or(0));
        self.child.stdin.as_mut().unwrap().write_all(line.as_bytes()).unwrap();
        let mut done = String::new();
        self.out.read_line(&mut done).unwrap();
        let mut words = done.split_whitespace().map(|word| word.parse::<u64>().unwrap());
        Generated { calls: words.next().unwrap(), time: Duration::from_nanos(words.next().unwrap()) }
    }
}

impl Drop for Generator {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.out.read_to_string(&mut String::new());
        let _ = self.child.wait();
    }
}

/// The generator's main: reads lines `RATE SECONDS`, works, and prints `CALLS NANOSECONDS`.
pub fn run() {
    pin(0);
    println!("ready");
    for line in std::io::stdin().lines() {
        let line = line.unwrap();
        let (rate, seconds) = line.split_once(' ').unwrap();
        let (rate, seconds) = (rate.parse::<u64>().unwrap(), seconds.parse::<f64>().unwrap());
        let (began, length) = (Instant::now(), Duration::from_secs_f64(seconds));
        let mut calls = 0;
        // In bursts, a millisecond apart, as in real loads.
        let burst = if rate == 0 { 1000 } else { (rate / EVENTS / 1000).max(1) };
        while began.elapsed() < length {
            for _ in 0..burst {
                // SAFETY: getppid(2) takes nothing and touches no memory.
                unsafe { libc::syscall(libc::SYS_getppid) };
            }
            calls += burst;
            let due = Duration::from_millis(calls / burst);
            while rate != 0 && began.elapsed() < due {
                std::hint::spin_loop();
            }
        }
        println!("{calls} {}", began.elapsed().as_nanos());
    }
}
