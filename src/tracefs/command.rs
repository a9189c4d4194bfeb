//! `-- COMMAND ARG…`: starts a command stopped, so that its very first events are traced.
//!
//! The child is forked and waits before its execve(2) until it is released; meanwhile its pid is added to the
//! instance's filter. It runs as the user that called us, even under sudo: see [`StoppedCommand::spawn_as`].
//!
//! Start it *before* our own threads are excluded from the instance with `event-fork` on: the child would inherit the
//! exclusion (`event_filter_pid_sched_process_fork`).

use std::ffi::OsString;
use std::fs;
use std::io::{self, PipeWriter, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::thread::JoinHandle;

use super::TracefsError;
use crate::rights::Caller;

/// The byte that releases the child. The end of the pipe, as when we are killed, means the same as `GIVE_UP`.
const GO: u8 = 1;
const GIVE_UP: u8 = 0;

/// A child process that waits before its execve. Dropped without [`release`](StoppedCommand::release) it exits
/// without running anything.
#[derive(Debug)]
pub struct StoppedCommand {
    program: String,
    pid: u32,
    release: Option<PipeWriter>,
    spawn: Option<JoinHandle<io::Result<Child>>>,
}

impl StoppedCommand {
    /// Forks a child that will become `arguments[0]` with these arguments.
    ///
    /// # Errors
    /// [`TracefsError::NoSuchCommand`] if there is no such program, [`TracefsError::Command`] if forking fails.
    pub fn spawn(arguments: &[OsString]) -> Result<StoppedCommand, TracefsError> {
        StoppedCommand::spawn_as(arguments, None)
    }

    /// The same, as `user` with all its groups and its `HOME`, `USER` and `LOGNAME`; without a user, as we are.
    ///
    /// # Errors
    /// As [`spawn`](StoppedCommand::spawn).
    pub fn spawn_as(arguments: &[OsString], user: Option<&Caller>) -> Result<StoppedCommand, TracefsError> {
        let name = arguments.first().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        // Searched here rather than by execvp(3) in the child: a wrong name is reported before anything is changed,
        // and the trace does not begin with an execve for each folder of PATH.
        let program = arguments.first().and_then(|name| find_program(Path::new(name)));
        let program = program.ok_or_else(|| TracefsError::NoSuchCommand(name.clone()))?;
        let failed = |source: io::Error| TracefsError::Command { command: name.clone(), source };

        let (mut pid_reader, mut pid_writer) = io::pipe().map_err(failed)?;
        let (mut release_reader, release_writer) = io::pipe().map_err(failed)?;
        let release_fd = release_writer.as_raw_fd();
        let mut command = Command::new(program);
        command.args(arguments.iter().skip(1));
        if let Some(name) = arguments.first() {
            command.arg0(name);
        }
        let user = user.cloned();
        if let Some(user) = &user {
            let home = user.home.iter().map(|home| ("HOME", home));
            command.envs(home.chain(user.name.iter().flat_map(|name| [("USER", name), ("LOGNAME", name)])));
        }
        let wait = move || {
            if let Some(user) = &user {
                become_user(user)?;
            }
            // With its own copy of the writing end the child would not notice that we are gone. SAFETY: close(2) on a
            // descriptor number of the child's own table; its owner is in the parent, and the child drops everything
            // at execve or exit.
            unsafe { libc::close(release_fd) };
            pid_writer.write_all(&std::process::id().to_ne_bytes())?;
            let mut word = [GIVE_UP];
            release_reader.read_exact(&mut word)?;
            if word == [GO] { Ok(()) } else { Err(io::ErrorKind::Interrupted.into()) }
        };
        // SAFETY: between fork and execve only setgroups, setresgid, setresuid, close, write, read and getpid are
        // called, all async-signal-safe; the closure does not allocate (its errors are plain error numbers and
        // constants).
        unsafe { command.pre_exec(wait) };

        // Command::spawn returns only after the execve, so it needs its own thread.
        let spawn =
            std::thread::Builder::new().name("command".to_string()).spawn(move || command.spawn()).map_err(failed)?;
        let mut pid = [0; 4];
        if let Err(source) = pid_reader.read_exact(&mut pid) {
            drop(release_writer);
            let source = join(spawn).err().unwrap_or(source);
            return Err(failed(source));
        }
        let pid = u32::from_ne_bytes(pid);
        Ok(StoppedCommand { program: name, pid, release: Some(release_writer), spawn: Some(spawn) })
    }

    /// The child's pid.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Lets it continue to its execve.
    ///
    /// # Errors
    /// [`TracefsError::Command`] if the execve fails.
    pub fn release(mut self) -> Result<Child, TracefsError> {
        let failed = |source: io::Error| TracefsError::Command { command: self.program.clone(), source };
        if let Some(mut release) = self.release.take() {
            release.write_all(&[GO]).map_err(failed)?;
        }
        match self.spawn.take() {
            Some(spawn) => join(spawn).map_err(failed),
            None => Err(failed(io::ErrorKind::NotFound.into())),
        }
    }
}

impl Drop for StoppedCommand {
    fn drop(&mut self) {
        // Written, not just signalled by closing the pipe: another waiting child may have a copy of its writing end.
        if let Some(mut release) = self.release.take() {
            let _ = release.write_all(&[GIVE_UP]);
        }
        if let Some(spawn) = self.spawn.take() {
            let _ = join(spawn);
        }
    }
}

fn join(spawn: JoinHandle<io::Result<Child>>) -> io::Result<Child> {
    spawn.join().unwrap_or_else(|_| Err(io::Error::other("the thread that starts it panicked")))
}

/// Changes the user of a child that was just forked.
fn become_user(user: &Caller) -> io::Result<()> {
    let done = |result: libc::c_int| if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) };
    // SAFETY: setgroups(2) reads as many numbers as its length says, from a live vector; setresgid(2) and
    // setresuid(2) take numbers. In a forked child std itself calls them for `CommandExt::uid`.
    unsafe {
        done(libc::setgroups(user.groups.len(), user.groups.as_ptr()))?;
        done(libc::setresgid(user.gid, user.gid, user.gid))?;
        done(libc::setresuid(user.uid, user.uid, user.uid))
    }
}

/// The exit code to pass on: the command's own, or 128 + n if signal n ended it, as in a shell.
pub fn exit_code(status: ExitStatus) -> i32 {
    status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0))
}

/// The file that `name` means: itself if it has a slash, otherwise the first executable with that name in PATH.
fn find_program(name: &Path) -> Option<PathBuf> {
    let executable =
        |path: &Path| fs::metadata(path).is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0);
    if name.as_os_str().is_empty() {
        return None;
    }
    if name.as_os_str().to_string_lossy().contains('/') {
        // One that is not executable fails at execve, with the better error.
        return name.exists().then(|| name.to_path_buf());
    }
    let path = std::env::var_os("PATH").unwrap_or_else(|| "/usr/local/bin:/usr/bin:/bin".into());
    std::env::split_paths(&path).map(|folder| folder.join(name)).find(|path| executable(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arguments(words: &[&str]) -> Vec<OsString> {
        words.iter().map(OsString::from).collect()
    }

    #[test]
    fn a_command_waits_until_it_is_released_and_returns_its_exit_code() {
        let dir = tempfile::tempdir().unwrap();
        let sign = dir.path().join("it ran");
        let script = format!("echo > '{}'; exit 7", sign.display());
        let stopped = StoppedCommand::spawn(&arguments(&["sh", "-c", &script])).unwrap();
        let waiting = fs::read_to_string(format!("/proc/{}/cmdline", stopped.pid())).unwrap();
        assert!(!waiting.contains("it ran"), "it is past its execve: {waiting:?}");
        assert!(!sign.exists());
        let pid = stopped.pid();
        let mut child = stopped.release().unwrap();
        assert_eq!(child.id(), pid);
        assert_eq!(exit_code(child.wait().unwrap()), 7);
        assert!(sign.exists());
    }

    #[test]
    fn a_signal_becomes_128_plus_its_number() {
        let mut child = StoppedCommand::spawn(&arguments(&["sh", "-c", "kill -9 $$"])).unwrap().release().unwrap();
        assert_eq!(exit_code(child.wait().unwrap()), 137);
    }

    #[test]
    fn a_command_that_is_never_released_never_runs_and_leaves_no_process() {
        let dir = tempfile::tempdir().unwrap();
        let sign = dir.path().join("it ran");
        let stopped = StoppedCommand::spawn(&arguments(&["touch", &sign.display().to_string()])).unwrap();
        let pid = stopped.pid();
        drop(stopped);
        assert!(!Path::new(&format!("/proc/{pid}")).exists());
        assert!(!sign.exists());
    }

    #[test]
    fn a_missing_command_fails_at_once_and_one_that_cannot_run_at_its_release() {
        let error = StoppedCommand::spawn(&arguments(&["no-such-command-anywhere"])).unwrap_err();
        assert!(matches!(error, TracefsError::NoSuchCommand(_)), "{error}");
        let error = StoppedCommand::spawn(&arguments(&["/proc/version"])).unwrap().release().unwrap_err();
        assert!(matches!(error, TracefsError::Command { .. }), "{error}");
        assert!(StoppedCommand::spawn(&[]).is_err());
    }
}
