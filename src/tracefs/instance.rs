//! A private instance: a set of rings and switches of our own, which nobody else's tracing sees or disturbs.
//!
//! Made with tracing off, so that nothing is recorded before all is set; removed by [`Instance::close`], by `Drop` (on a
//! panic too), and where neither runs, by the [`Keeper`]. Here are its making, its removal and the ways to its files; what
//! can be set is in the modules below.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::files::{Files, bytes_of, folders_of};
use super::settings::Settings;
use super::{Kind, PidView, TraceClock, Tracefs, TracefsError};
use crate::keeper::{Answer, Base, Hands, Keeper, Request, Setting};

mod events;
mod rings;
mod tasks;
mod tracer;

pub use events::{EnableFailure, Enabled};

/// A private instance, removed when it is dropped.
///
/// Its [`RawBuffer`](super::RawBuffer)s belong to the caller of [`Instance::open_raw`] and must be dropped first: while one is open the kernel refuses to
/// remove the instance.
#[derive(Debug)]
pub struct Instance {
    tracefs: Tracefs,
    name: String,
    path: PathBuf,
    cpus: Vec<u32>,
    pids: PidView,
    access: Access,
    /// What was set through us, to tell it from what others set.
    ours: Mutex<Settings>,
    removed: bool,
}

impl Instance {
    /// Makes an instance `ftrace-live-<pid>` with tracing off; the keeper makes it and owns it, where there is one. Where
    /// `tracefs` is an instance that root [lends](super::Lent) to us, takes that one.
    ///
    /// # Errors
    /// [`TracefsError::NotRoot`] and its like; [`TracefsError::ReadOnly`] for a capture folder.
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
        // From here on `Drop` cleans up, whichever step fails.
        let (tracefs, pids, ours) = (tracefs.clone(), PidView::ours(), Mutex::default());
        let mut instance = Instance { tracefs, name, path, cpus: Vec::new(), pids, access, ours, removed: false };
        instance.cpus = instance.list_cpus()?;
        Ok(instance)
    }

    /// Whether root lends it to us: there is no other one then.
    pub(super) fn is_lent(&self) -> bool {
        self.tracefs.is_lent()
    }

    /// Makes another one as this one was made.
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

    /// The CPUs that have a ring, ascending: those that could ever be online.
    pub fn cpus(&self) -> &[u32] {
        &self.cpus
    }

    /// The text of a file of the instance, as `events/header_page` or `trace`. Bytes that are no UTF-8 become U+FFFD.
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
    /// The file is missing, or not one of those that may be read.
    pub fn open(&self, file: impl AsRef<Path>) -> Result<File, TracefsError> {
        self.open_file(file.as_ref()).map_err(|e| TracefsError::io("open", &self.path.join(file), e))
    }

    fn open_file(&self, file: &Path) -> io::Result<File> {
        let answer = self.access.ask(&Request::Open(Base::Instance(self.name.clone()), file.to_owned()))?;
        answer.file.ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// Changes a setting, through the keeper where there is one.
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

    /// What others have changed since the last time, each as a sentence: root can write to the instance as well. What is
    /// found counts as ours from now on, so that each change is told once.
    ///
    /// # Errors
    /// The instance, or its keeper, is gone.
    pub fn changed_outside(&self) -> Result<Vec<String>, TracefsError> {
        let found = Settings {
            on: Some(self.is_on()?),
            clock: self.read("trace_clock").ok().and_then(|text| TraceClock::in_use(&text)),
            kib: self.read("buffer_size_kb").ok().and_then(|text| text.split_whitespace().next()?.parse().ok()),
            events: self.read("set_event")?.lines().filter_map(|line| line.parse().ok()).collect(),
        };
        let mut ours = self.ours();
        let changes = ours.changes(&found);
        *ours = found;
        Ok(changes)
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

    /// Stops and removes the instance, and says if that failed. Then the keeper keeps it in mind and tries again after
    /// our end.
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

/// Who does what an instance needs: a keeper, or we ourselves.
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
        // Nobody is left to tell; the keeper tries again.
        let _ = self.remove();
    }
}
