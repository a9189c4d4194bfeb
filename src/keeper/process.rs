//! The keeper's process, and the player's handle on it.
//!
//! It is this program again (`/proc/self/exe __keeper`), started before anything is created. It is not forked: a
//! forked child of a multithreaded program may do next to nothing, and would keep all our memory. Its standard input
//! is a socket from us; when that closes, however we ended, it removes the instances that it created, and exits.
//!
//! It runs in its own session (a Ctrl-C in our terminal does not reach it), ignores the signals that ask a process to
//! end, and holds nothing of ours: no terminal, no output pipe (`ftrace-live | cat` ends when we do), no working
//! directory.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::process::{CommandExt, parent_id};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::link::{answer_message, answer_of, pair, receive, send};
use super::{Answer, Hands, Request};
use crate::tracefs::{Kind, Tracefs, TracefsError, is_tracefs};

/// The hidden first argument that turns this program into a keeper.
const SUBCOMMAND: &str = "__keeper";

/// Printed by a keeper when it is ready: its signals are ignored and it has its own session.
const READY: &[u8] = b"keeper ready\n";

/// How long a keeper tries to remove an instance that somebody holds open.
const PATIENCE: Duration = Duration::from_secs(10);

/// A running keeper process. Dropping this closes its socket, which ends it.
#[derive(Debug)]
pub struct Keeper {
    child: Mutex<Child>,
    link: Mutex<Option<OwnedFd>>,
    pid: u32,
}

impl Keeper {
    /// Starts a keeper for instances of `tracefs`. The program must call [`run_if_asked`] at the beginning of its
    /// `main`.
    ///
    /// # Errors
    /// [`TracefsError::Keeper`] if it does not start, [`TracefsError::ReadOnly`] for a capture folder.
    pub fn start(tracefs: &Tracefs) -> Result<Arc<Keeper>, TracefsError> {
        // Not current_exe(): its path is invalid if the program was replaced meanwhile, this link is not.
        Keeper::start_program(Path::new("/proc/self/exe"), tracefs)
    }

    /// Like [`start`](Keeper::start), with another program that calls [`run_if_asked`]: for tests and for users of
    /// the library.
    ///
    /// # Errors
    /// As [`start`](Keeper::start).
    pub fn start_program(program: &Path, tracefs: &Tracefs) -> Result<Arc<Keeper>, TracefsError> {
        if tracefs.kind() != Kind::Live {
            return Err(TracefsError::ReadOnly(tracefs.root().to_path_buf()));
        }
        let failed = |e: io::Error| TracefsError::Keeper(e.to_string());
        let root = fs::canonicalize(tracefs.root()).map_err(|e| TracefsError::io("find", tracefs.root(), e))?;
        let (ours, theirs) = pair().map_err(failed)?;
        let mut child = Command::new(program)
            .arg0("ftrace-live-keeper")
            .arg(SUBCOMMAND)
            .arg(root)
            .current_dir("/")
            .stdin(Stdio::from(theirs))
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(failed)?;
        let mut said = Vec::new();
        if let Some(stdout) = child.stdout.take() {
            // Bounded: a program that is not a keeper may print anything.
            let _ = stdout.take(READY.len() as u64).read_to_end(&mut said);
        }
        if said != READY {
            let _ = child.kill();
            let _ = child.wait();
            return Err(TracefsError::Keeper("the program started as keeper did not answer as one".to_string()));
        }
        let pid = child.id();
        Ok(Arc::new(Keeper { child: Mutex::new(child), link: Mutex::new(Some(ours)), pid }))
    }

    /// The keeper's pid, which must be excluded from the trace.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Whether its process has ended, or has closed our socket. It is not asked, so nobody waits for it.
    pub(crate) fn is_gone(&self) -> bool {
        let Ok(link) = self.link.try_lock() else {
            // Another thread is talking to it.
            return false;
        };
        let Some(link) = link.as_ref() else { return true };
        // The kernel reports a hang-up whether it is asked for or not (`unix_poll`).
        let mut polled = [PollFd::new(link, PollFlags::empty())];
        poll(&mut polled, Some(&Timespec::default())).is_ok_and(|count| count > 0)
    }

    /// Sends a request and waits for the answer.
    ///
    /// # Errors
    /// The kernel's error for the keeper; EPERM for what may not be requested; EPIPE if the keeper has exited.
    pub(crate) fn ask(&self, request: &Request) -> io::Result<Answer> {
        let gone = || io::Error::from(io::ErrorKind::BrokenPipe);
        let link = self.link.lock().unwrap_or_else(PoisonError::into_inner);
        let link = link.as_ref().ok_or_else(gone)?;
        send(link, &request.encode(), None)?;
        match receive(link) {
            Ok(Some((message, file))) => answer_of(&message, file),
            Ok(None) => Err(gone()),
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => Err(gone()),
            Err(error) => Err(error),
        }
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.link.lock().unwrap_or_else(PoisonError::into_inner).take();
        let mut child = self.child.lock().unwrap_or_else(PoisonError::into_inner);
        // It exits at once unless an instance is held open; then we do not wait for it.
        let deadline = Instant::now() + Duration::from_secs(1);
        while matches!(child.try_wait(), Ok(None)) && Instant::now() < deadline {
            sleep(Duration::from_millis(1));
        }
    }
}

/// If this process was started as a keeper, runs it to the end and returns `true`: the program should then exit. To
/// be called first in `main`, before any thread and any argument parser.
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
    // Ignoring signals raised by our own faults would repeat the fault forever.
    let faults = [libc::SIGBUS, libc::SIGTRAP, libc::SIGSYS, libc::SIGABRT];
    let deaf = |signal: &i32| !signal_hook::consts::FORBIDDEN.contains(signal) && !faults.contains(signal);
    for signal in (1..=libc::SIGRTMAX()).filter(deaf) {
        // A handler that only sets an unused flag: the signal has no effect. SIGCHLD and the like are harmless
        // anyway.
        let _ = signal_hook::flag::register(signal, Arc::new(AtomicBool::new(false)));
    }
    // It fails only for the leader of a process group, which a new child is not.
    let _ = rustix::process::setsid();
    let _ = rustix::thread::set_name(c"ftrace-keeper");
    keep_little();
    // A path may be redirected, an open folder cannot.
    let Ok(folder) = File::open(root) else { return };
    let root = PathBuf::from(format!("/proc/self/fd/{}", folder.as_raw_fd()));
    if !is_tracefs(&root) {
        return;
    }
    let link = io::stdin();
    let mut hands = Hands::new(&root, parent_id());
    let mut stdout = io::stdout();
    if stdout.write_all(READY).and_then(|()| stdout.flush()).is_err() {
        return;
    }
    // A process that waits for the end of that pipe must not wait for us.
    close_stdout();
    while let Ok(Some((message, _))) = receive(&link) {
        let unknown = || Err(io::Error::from_raw_os_error(libc::EPERM));
        let mut answer = Request::decode(&message).map_or_else(unknown, |request| hands.carry_out(&request));
        let file = answer.as_mut().ok().and_then(|answer| answer.file.take());
        if send(&link, &answer_message(&answer), file.as_ref()).is_err() {
            break;
        }
    }
    let deadline = Instant::now() + PATIENCE;
    hands.remove_all(|| deadline.saturating_duration_since(Instant::now()));
}

/// Keeps only the capabilities that its requests need: to open control files, to find holders of a socket, to see
/// addresses in kallsyms. If that fails, it keeps all.
fn keep_little() {
    use rustix::thread::{CapabilitySet, capabilities, set_capabilities, set_no_new_privs};
    let needed = CapabilitySet::DAC_OVERRIDE
        | CapabilitySet::DAC_READ_SEARCH
        | CapabilitySet::SYS_PTRACE
        | CapabilitySet::SYSLOG;
    if let Ok(mut sets) = capabilities(None) {
        (sets.permitted, sets.effective) = (sets.permitted & needed, sets.permitted & needed);
        sets.inheritable = CapabilitySet::empty();
        let _ = set_capabilities(None, sets);
    }
    let _ = set_no_new_privs(true);
}

/// Closes everything except the three standard streams: a descriptor that our parent inherited from its own (a shell,
/// a build) must not stay open because of a keeper.
fn close_inherited() {
    // SAFETY: close_range(2) takes three integers and touches no memory. The process has just started: nothing in it
    // owns a descriptor above 2. A kernel before 5.9 returns ENOSYS, and then they stay open.
    unsafe { libc::syscall(libc::SYS_close_range, 3u32, u32::MAX, 0u32) };
}

/// Replaces standard output by standard error, which is `/dev/null`.
fn close_stdout() {
    let _ = rustix::stdio::dup2_stdout(io::stderr());
}
