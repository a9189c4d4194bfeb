//! A private instance: rings and settings of our own, independent of other tracing.
//!
//! It is created with tracing off, so that nothing is recorded before everything is set; it is removed by
//! [`Instance::close`], by `Drop` (also on a panic), and if neither runs, by the [`Keeper`]. This file creates and removes
//! it and opens its files; the modules below change its settings.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::files::{Files, bytes_of, folders_of};
use super::looked_at::LookedAt;
use super::settings::{Found, Settings};
use super::{Kind, PidView, TraceClock, Tracefs, TracefsError};
use crate::keeper::{Answer, Base, Hands, Keeper, Request, Setting};

mod events;
mod rings;
mod tasks;
mod tracer;

pub use events::{EnableFailure, Enabled};

/// A private instance, removed when it is dropped.
///
/// Its [`RawBuffer`](super::RawBuffer)s belong to the caller of [`Instance::open_raw`] and must be dropped first: while
/// one is open the kernel refuses to remove the instance.
#[derive(Debug)]
pub struct Instance {
    tracefs: Tracefs,
    name: String,
    path: PathBuf,
    cpus: Vec<u32>,
    pids: PidView,
    access: Access,
    /// The settings that we made, to detect changes by others.
    ours: Mutex<Settings>,
    /// Files that are looked at again and again.
    looked_at: LookedAt,
    removed: bool,
}

impl Instance {
    /// Creates an instance `ftrace-live-<pid>` with tracing off; with a keeper, the keeper creates and owns it. If
    /// `tracefs` is an instance [lent](super::Lent) to us by root, uses that one.
    ///
    /// # Errors
    /// [`TracefsError::NotRoot`] and the like; [`TracefsError::ReadOnly`] for a capture folder.
    pub fn create(tracefs: &Tracefs, keeper: Option<&Arc<Keeper>>) -> Result<Instance, TracefsError> {
        if tracefs.kind() != Kind::Live {
            return Err(TracefsError::ReadOnly(tracefs.root().to_path_buf()));
        }
        let hands = Mutex::new(Hands::new(tracefs.root(), std::process::id()));
        let access = keeper.map_or(Access::Own(hands), |keeper| Access::Kept(keeper.clone()));
        let lent = tracefs.is_lent();
        let failed = |e: io::Error| match e.raw_os_error() {
            Some(libc::EBUSY) if lent => TracefsError::LentInUse(tracefs.root().to_path_buf()),
            _ if lent => TracefsError::io("make use of", tracefs.root(), e),
            _ => TracefsError::io("create an instance in", &tracefs.root().join("instances"), e),
        };
        let made = access.ask(&Request::Make).map_err(failed)?;
        let name = made.words.into_iter().next().unwrap_or_default();
        let path = if lent { tracefs.root().to_path_buf() } else { tracefs.root().join("instances").join(&name) };
        // From here on `Drop` cleans up if a step fails.
        let (tracefs, pids, ours) = (tracefs.clone(), PidView::ours(), Mutex::default());
        let looked_at = LookedAt::default();
        let mut instance =
            Instance { tracefs, name, path, cpus: Vec::new(), pids, access, ours, looked_at, removed: false };
        instance.cpus = instance.list_cpus()?;
        Ok(instance)
    }

    /// Whether it is lent to us by root: there is no other one then.
    pub(super) fn is_lent(&self) -> bool {
        self.tracefs.is_lent()
    }

    /// Creates another one in the same way.
    pub(super) fn another(&self) -> Result<Instance, TracefsError> {
        let keeper = if let Access::Kept(keeper) = &self.access { Some(keeper) } else { None };
        Instance::create(&self.tracefs, keeper)
    }

    fn list_cpus(&self) -> Result<Vec<u32>, TracefsError> {
        let folders = self.folders(Path::new("per_cpu"));
        let folders = folders.map_err(|e| TracefsError::io("read", &self.path.join("per_cpu"), e))?;
        let mut cpus: Vec<u32> = folders.iter().filter_map(|folder| folder.strip_prefix("cpu")?.parse().ok()).collect();
        cpus.sort_unstable();
        Ok(cpus)
    }

    /// The instance's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The instance's folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The CPUs that have a ring, ascending: all possible CPUs.
    pub fn cpus(&self) -> &[u32] {
        &self.cpus
    }

    /// The text of a file of the instance, such as `events/header_page` or `trace`. Bytes that are not UTF-8 become
    /// U+FFFD.
    ///
    /// # Errors
    /// The file is missing or cannot be read.
    pub fn read(&self, file: impl AsRef<Path>) -> Result<String, TracefsError> {
        self.read_bytes(file).map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
    }

    /// The bytes of a file of the instance.
    ///
    /// # Errors
    /// The file is missing or cannot be read.
    pub fn read_bytes(&self, file: impl AsRef<Path>) -> Result<Vec<u8>, TracefsError> {
        self.bytes(file.as_ref()).map_err(|e| TracefsError::io("read", &self.path.join(file), e))
    }

    /// Opens a file of the instance for reading.
    ///
    /// # Errors
    /// The file is missing, or may not be read.
    pub fn open(&self, file: impl AsRef<Path>) -> Result<File, TracefsError> {
        self.open_file(file.as_ref()).map_err(|e| TracefsError::io("open", &self.path.join(file), e))
    }

    /// The text of a file that is looked at again and again: it stays open, so that a look is no matter of the keeper's.
    fn read_again(&self, file: &str) -> Result<String, TracefsError> {
        let bytes = self.looked_at.read(file, |file| self.open_file(file));
        let bytes = bytes.map_err(|e| TracefsError::io("read", &self.path.join(file), e))?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    fn open_file(&self, file: &Path) -> io::Result<File> {
        let answer = self.access.ask(&Request::Open(Base::Instance(self.name.clone()), file.to_owned()))?;
        answer.file.ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// Changes a setting, through the keeper if there is one.
    fn change(&self, setting: Setting) -> io::Result<()> {
        let request = Request::Set(self.name.clone(), setting);
        self.access.ask(&request)?;
        if let Request::Set(_, setting) = &request {
            self.ours().note(setting);
        }
        Ok(())
    }

    fn ours(&self) -> MutexGuard<'_, Settings> {
        self.ours.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The changes that others made since the last call, as sentences: root can write to the instance as well. They count as ours
    /// from now on, so each change is reported once. The events are looked at in the first call and in every fourth after it.
    ///
    /// # Errors
    /// The instance, or its keeper, is gone.
    pub fn changed_outside(&self) -> Result<Vec<String>, TracefsError> {
        if self.access.keeper().is_some_and(Keeper::is_gone) {
            return Err(TracefsError::io("read", &self.path.join("tracing_on"), io::ErrorKind::BrokenPipe.into()));
        }
        let mut ours = self.ours();
        let found = Found {
            on: self.read_again("tracing_on")?.trim() == "1",
            clock: self.read_again("trace_clock").ok().and_then(|text| TraceClock::in_use(&text)),
            kib: self.read_again("buffer_size_kb").ok().and_then(|text| text.split_whitespace().next()?.parse().ok()),
            events: if ours.looks_at_events() { Some(self.read_again("set_event")?) } else { None },
        };
        Ok(ours.changes(found))
    }

    fn set(&self, file: &str, setting: Setting) -> Result<(), TracefsError> {
        self.change(setting).map_err(|e| TracefsError::io("write", &self.path.join(file), e))
    }

    /// The last entry of `error_log`, or an empty text.
    fn last_error(&self) -> String {
        let log = self.read("error_log").unwrap_or_default();
        // Each entry begins with `[  988.542446] `.
        let start = log.rfind("\n[").map_or(0, |at| at + 1);
        log.get(start..).unwrap_or_default().trim_end().to_string()
    }

    /// Stops and removes the instance, and returns an error if that failed. The keeper then tries again after our
    /// end.
    ///
    /// # Errors
    /// Somebody holds it open (EBUSY), or the kernel refuses.
    pub fn close(mut self) -> Result<(), TracefsError> {
        self.remove()
    }

    fn remove(&mut self) -> Result<(), TracefsError> {
        if self.removed {
            return Ok(());
        }
        self.removed = true;
        // What is open keeps it (`trace_array_put`).
        self.looked_at.close();
        let removed = self.access.ask(&Request::Remove(self.name.clone()));
        removed.map(drop).map_err(|e| TracefsError::io("remove", &self.path, e))
    }
}

impl Files for Instance {
    fn bytes(&self, file: &Path) -> io::Result<Vec<u8>> {
        bytes_of(self.open_file(file)?)
    }

    fn folders(&self, folder: &Path) -> io::Result<Vec<String>> {
        folders_of(self.open_file(folder)?)
    }
}

/// How settings are made: through a keeper, or directly.
#[derive(Debug)]
enum Access {
    Own(Mutex<Hands>),
    Kept(Arc<Keeper>),
}

impl Access {
    fn ask(&self, request: &Request) -> io::Result<Answer> {
        match self {
            Access::Own(hands) => hands.lock().unwrap_or_else(PoisonError::into_inner).carry_out(request),
            Access::Kept(keeper) => keeper.ask(request),
        }
    }

    fn keeper(&self) -> Option<&Keeper> {
        match self {
            Access::Own(_) => None,
            Access::Kept(keeper) => Some(keeper),
        }
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        // There is nobody to report an error to; the keeper tries again.
        let _ = self.remove();
    }
}
