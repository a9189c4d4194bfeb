//! The guard: a small process that outlives ours and removes our instance, however we end.
//!
//! It is this program again (`/proc/self/exe __guard ROOT`), started before the instance is made. Started anew rather
//! than forked: a forked child of a program with threads may do next to nothing, and would keep all our memory. It
//! waits for the end of its standard input, a pipe from us. Through that pipe it is told `+NAME` before an instance is
//! made and `-NAME` after it is gone; what is left when the pipe ends, it removes.
//!
//! It lives in a session of its own (a Ctrl-C in our terminal is not for it), ignores the signals that ask a process
//! to end, and holds nothing of ours: no terminal, no output pipe (`ftrace-live | cat` ends when we do), no folder.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::teardown::{instance_path, owner, remove_instance};
use super::{Kind, Tracefs, TracefsError};

/// The hidden first argument that turns this program into a guard.
const SUBCOMMAND: &str = "__guard";

/// What a guard says when it is ready: its signals are ignored and its session is its own.
const READY: &[u8] = b"guard ready\n";

/// How long a guard goes on trying to remove an instance that somebody holds open.
const PATIENCE: Duration = Duration::from_secs(10);

/// A running guard process. Dropped, its pipe ends, and with it the guard.
#[derive(Debug)]
pub struct Guard {
    child: Mutex<Child>,
    pipe: Mutex<Option<ChildStdin>>,
    pid: u32,
}

impl Guard {
    /// Starts a guard for instances of `tracefs`. The program must call [`run_if_asked`] first thing in its `main`.
    ///
    /// # Errors
    /// [`TracefsError::Guard`] where it does not start, [`TracefsError::ReadOnly`] for a capture folder.
    pub fn start(tracefs: &Tracefs) -> Result<Arc<Guard>, TracefsError> {
        // Not current_exe(): its path is gone when the program was replaced meanwhile, this link is not.
        Guard::start_program(Path::new("/proc/self/exe"), tracefs)
    }

    /// As [`start`](Guard::start), with another program that calls [`run_if_asked`]: for tests and for library users.
    ///
    /// # Errors
    /// As [`start`](Guard::start).
    pub fn start_program(program: &Path, tracefs: &Tracefs) -> Result<Arc<Guard>, TracefsError> {
        if tracefs.kind() != Kind::Live {
            return Err(TracefsError::ReadOnly(tracefs.root().to_path_buf()));
        }
        let failed = |e: io::Error| TracefsError::Guard(e.to_string());
        let root = fs::canonicalize(tracefs.root()).map_err(|e| TracefsError::io("find", tracefs.root(), e))?;
        let mut child = Command::new(program)
            .arg0("ftrace-live-guard")
            .arg(SUBCOMMAND)
            .arg(root)
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(failed)?;
        let mut said = Vec::new();
        if let Some(stdout) = child.stdout.take() {
            // Bounded: a program that is no guard may say anything.
            let _ = stdout.take(READY.len() as u64).read_to_end(&mut said);
        }
        if said != READY {
            let _ = child.kill();
            let _ = child.wait();
            return Err(TracefsError::Guard("the program started as guard did not answer as one".to_string()));
        }
        let (pid, pipe) = (child.id(), child.stdin.take());
        Ok(Arc::new(Guard { child: Mutex::new(child), pipe: Mutex::new(pipe), pid }))
    }

    /// The guard's pid, to be kept out of the trace.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Tells of an instance that is about to be made.
    pub(super) fn watch(&self, name: &str) -> Result<(), TracefsError> {
        self.tell('+', name).map_err(|e| TracefsError::Guard(format!("its pipe is broken ({e})")))
    }

    /// Tells of an instance that is gone.
    pub(super) fn forget(&self, name: &str) {
        // A guard that has died cannot be told, and need not be.
        let _ = self.tell('-', name);
    }

    fn tell(&self, sign: char, name: &str) -> io::Result<()> {
        match self.pipe.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
            // One write(2): it arrives whole or, if we are killed, not at all.
            Some(pipe) => pipe.write_all(format!("{sign}{name}\n").as_bytes()),
            None => Err(io::ErrorKind::BrokenPipe.into()),
        }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.pipe.lock().unwrap_or_else(PoisonError::into_inner).take();
        let mut child = self.child.lock().unwrap_or_else(PoisonError::into_inner);
        // It ends at once unless an instance is held open; then it is left to its patience, not waited for.
        let deadline = Instant::now() + Duration::from_secs(1);
        while matches!(child.try_wait(), Ok(None)) && Instant::now() < deadline {
            sleep(Duration::from_millis(1));
        }
    }
}

/// Whether this process was started as a guard; if so, is one until the end and returns `true`: the program should then
/// exit. To be called first in `main`, before any thread and any argument parser.
pub fn run_if_asked() -> bool {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next().as_deref() != Some(OsStr::new(SUBCOMMAND)) {
        return false;
    }
    if let Some(root) = arguments.next() {
        run(Path::new(&root));
    }
    true
}

fn run(root: &Path) {
    close_inherited();
    for signal in [
        signal_hook::consts::SIGINT,
        signal_hook::consts::SIGTERM,
        signal_hook::consts::SIGHUP,
        signal_hook::consts::SIGQUIT,
    ] {
        // A handler that only sets a flag nobody reads: the signal is survived.
        let _ = signal_hook::flag::register(signal, Arc::new(AtomicBool::new(false)));
    }
    // It fails only for the leader of a process group, which a fresh child is not.
    let _ = rustix::process::setsid();
    let _ = rustix::thread::set_name(c"ftrace-guard");
    let mut stdout = io::stdout();
    if stdout.write_all(READY).and_then(|()| stdout.flush()).is_err() {
        return;
    }
    let left = watched_at_end(BufReader::new(io::stdin()));
    let deadline = Instant::now() + PATIENCE;
    for name in left {
        let _ = remove_instance(&instance_path(root, &name), deadline.saturating_duration_since(Instant::now()));
    }
}

/// The instances that were told of and not taken back when the pipe ended. Names that are none of ours are not heard.
fn watched_at_end(pipe: impl BufRead) -> BTreeSet<String> {
    let mut watched = BTreeSet::new();
    for line in pipe.lines() {
        let Ok(line) = line else { break };
        if let Some(name) = line.strip_prefix('+').filter(|name| owner(name).is_some()) {
            watched.insert(name.to_string());
        } else if let Some(name) = line.strip_prefix('-') {
            watched.remove(name);
        }
    }
    watched
}

/// Closes everything but the three standard streams: a descriptor that our parent inherited from its own (a shell's, a
/// build's) must not stay open because of a guard.
fn close_inherited() {
    // SAFETY: close_range(2) takes three integers and touches no memory. The process has just started: nothing in it
    // owns a descriptor above 2. A kernel before 5.9 says ENOSYS, and then they stay open.
    unsafe { libc::syscall(libc::SYS_close_range, 3u32, u32::MAX, 0u32) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_guard_keeps_what_it_was_told_and_hears_no_foreign_name() {
        let told = "+ftrace-live-7\n+ftrace-live-7-1\n-ftrace-live-7\n+../../etc\n+sysprof\nnoise\n+ftrace-live-7-2";
        let left: Vec<_> = watched_at_end(told.as_bytes()).into_iter().collect();
        assert_eq!(left, ["ftrace-live-7-1", "ftrace-live-7-2"]);
    }
}
