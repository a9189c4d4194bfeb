//! Carries out requests on tracefs: within a keeper, or within our own process if there is none.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};

use super::holders::holders;
use super::lent;
use super::request::may_read;
use super::stale::remove_stale;
use super::teardown::{PREFIX, instance_path, remove_instance};
use super::{Answer, Base, Request, Setting};

/// How long removing an instance that somebody else has open is retried before it is reported.
const PATIENCE: Duration = Duration::from_millis(500);

/// Carries out requests, and owns the instances that it created.
#[derive(Debug)]
pub(crate) struct Hands {
    root: PathBuf,
    /// The process for which instances are created, and whose pid is in their names.
    owner: u32,
    instances: BTreeMap<String, Made>,
}

/// An instance that is ours.
#[derive(Debug)]
struct Made {
    path: PathBuf,
    /// Its folder, locked while we live: it shows a later start that it is not stale, or that a lent one is in use.
    _lock: File,
    /// It existed before, and is not removed.
    lent: bool,
}

impl Made {
    fn remove(&self, patience: Duration) -> io::Result<()> {
        if self.lent { lent::leave_quiet(&self.path) } else { remove_instance(&self.path, patience) }
    }
}

impl Hands {
    /// For the tracefs at `root`.
    pub(crate) fn new(root: &Path, owner: u32) -> Hands {
        Hands { root: root.to_owned(), owner, instances: BTreeMap::new() }
    }

    /// Carries out a request.
    ///
    /// # Errors
    /// The kernel's error; EPERM for what may not be requested.
    pub(crate) fn carry_out(&mut self, request: &Request) -> io::Result<Answer> {
        let done = Ok(Answer::default());
        match request {
            Request::Make => self.make().map(|name| Answer { words: vec![name], file: None }),
            Request::Remove(instance) => {
                self.made(instance)?.remove(PATIENCE)?;
                self.instances.remove(instance);
                done
            }
            Request::RemoveStale if lent::is_instance(&self.root) => done,
            Request::RemoveStale => {
                let stale = remove_stale(&self.root)?;
                let errno = |done: io::Result<()>| done.err().map_or(0, |e| e.raw_os_error().unwrap_or(libc::EIO));
                let words = stale.into_iter().flat_map(|(name, done)| [name, errno(done).to_string()]).collect();
                Ok(Answer { words, file: None })
            }
            Request::Open(base, path) => {
                if !may_read(base, path) {
                    return Err(io::Error::from_raw_os_error(libc::EPERM));
                }
                let folder = match base {
                    Base::Top => self.root.clone(),
                    Base::Instance(instance) => self.made(instance)?.path.clone(),
                    Base::Proc => PathBuf::from("/proc"),
                };
                // Without O_NONBLOCK a read of an empty ring would block.
                let flags = libc::O_NONBLOCK | libc::O_NOFOLLOW;
                let file = OpenOptions::new().read(true).custom_flags(flags).open(folder.join(path))?;
                Ok(Answer { words: Vec::new(), file: Some(file) })
            }
            Request::Set(instance, setting) => {
                let (file, text) = setting.control()?;
                let path = self.made(instance)?.path.join(file);
                // For `set_event_pid` and the like truncation clears the list (`ftrace_event_set_pid_open`).
                let forget = *setting == Setting::Everybody;
                OpenOptions::new().write(true).truncate(forget).open(path)?.write_all(text.as_bytes())?;
                done
            }
            Request::Holders(inodes) => {
                let inodes: BTreeSet<u64> = inodes.iter().copied().collect();
                let words = holders(&inodes, self.owner_in_proc()).iter().map(u32::to_string).collect();
                Ok(Answer { words, file: None })
            }
        }
    }

    /// Creates an instance `ftrace-live-<pid>`, or the first free one of `ftrace-live-<pid>-<n>`; uses the lent one
    /// if we have nothing else.
    fn make(&mut self) -> io::Result<String> {
        if lent::is_instance(&self.root) {
            let name = lent::name_of(&self.root)?;
            let made = Made { path: self.root.clone(), _lock: lent::take(&self.root)?, lent: true };
            self.instances.insert(name.clone(), made);
            return Ok(name);
        }
        let names = (0u32..).map(|n| match n {
            0 => format!("{PREFIX}{}", self.owner),
            n => format!("{PREFIX}{}-{n}", self.owner),
        });
        for name in names {
            let path = instance_path(&self.root, &name);
            match fs::create_dir(&path) {
                Ok(()) => {
                    let made = File::open(&path).and_then(|lock| {
                        let _ = flock(&lock, FlockOperation::NonBlockingLockExclusive);
                        // A new instance begins with tracing on.
                        OpenOptions::new().write(true).open(path.join("tracing_on"))?.write_all(b"0")?;
                        Ok(lock)
                    });
                    match made {
                        Ok(lock) => {
                            self.instances.insert(name.clone(), Made { path, _lock: lock, lent: false });
                            return Ok(name);
                        }
                        Err(error) => {
                            let _ = remove_instance(&path, PATIENCE);
                            return Err(error);
                        }
                    }
                }
                // A stale one, which could not be removed, of a process that had our pid.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
        Err(io::ErrorKind::AlreadyExists.into())
    }

    /// The owner's pid in /proc, which may be of another namespace: our own, or our parent's.
    fn owner_in_proc(&self) -> Option<u32> {
        let name = if self.owner == std::process::id() { "Pid:" } else { "PPid:" };
        let status = fs::read_to_string("/proc/self/status").ok()?;
        status.lines().find_map(|line| line.strip_prefix(name))?.trim().parse().ok()
    }

    /// Only those created here.
    fn made(&self, instance: &str) -> io::Result<&Made> {
        self.instances.get(instance).ok_or_else(|| io::Error::from_raw_os_error(libc::EPERM))
    }

    /// Removes all that are left, trying each for `patience`.
    pub(super) fn remove_all(&mut self, patience: impl Fn() -> Duration) {
        for made in std::mem::take(&mut self.instances).into_values() {
            let _ = made.remove(patience());
        }
    }
}

impl Drop for Hands {
    fn drop(&mut self) {
        self.remove_all(|| PATIENCE);
    }
}
