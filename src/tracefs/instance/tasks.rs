//! Which tasks an instance records: `set_event_pid`, `set_event_notrace_pid`, `options/event-fork`.

use std::collections::BTreeSet;

use super::Instance;
use crate::keeper::{MOST_TASKS, Request, Setting};
use crate::tracefs::{PidView, TracefsError};

impl Instance {
    /// Excludes the events of these tasks (thread ids), in addition to those already excluded.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn exclude_tasks(&self, tids: impl IntoIterator<Item = u32>) -> Result<(), TracefsError> {
        self.set_tasks("set_event_notrace_pid", tids, Setting::Exclude)
    }

    /// Excludes all current threads of this process, and the keeper.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn exclude_ourselves(&self) -> Result<(), TracefsError> {
        self.exclude_tasks(self.our_tasks())
    }

    /// The current threads of this process, and the keeper, by the kernel's pids; none if these are not known.
    pub fn our_tasks(&self) -> BTreeSet<u32> {
        let keeper = self.access.keeper().and_then(|keeper| self.pids.kernel_pid(keeper.pid()).ok());
        self.pids.our_tasks().into_iter().chain(keeper).collect()
    }

    /// How our pids relate to the kernel's.
    pub(crate) fn pids(&self) -> PidView {
        self.pids
    }

    /// The processes that hold any of the sockets with these inodes, except ourselves. Only root sees those of other
    /// users.
    pub(crate) fn holders(&self, inodes: &BTreeSet<u64>) -> BTreeSet<u32> {
        let answer = self.access.ask(&Request::Holders(inodes.iter().copied().collect()));
        answer.map(|answer| answer.words.iter().filter_map(|pid| pid.parse().ok()).collect()).unwrap_or_default()
    }

    /// Restricts tracing to these processes, each with all its current threads, in addition to those set before; the
    /// pids are of our own namespace. [`follow_forks`](Instance::follow_forks) adds their children.
    ///
    /// # Errors
    /// [`TracefsError::NoSuchProcess`], or [`TracefsError::PidNamespace`] if the kernel's pids are not known.
    pub fn only_processes(&self, pids: &[u32]) -> Result<(), TracefsError> {
        self.set_tasks("set_event_pid", self.threads_of(pids)?, Setting::Only)
    }

    /// The same, replacing those set before. Without a process the restriction is removed. For a moment all processes
    /// are traced in either case, so recording should be off.
    ///
    /// # Errors
    /// As for [`only_processes`](Instance::only_processes); then nothing has changed.
    pub fn only_these_processes(&self, pids: &[u32]) -> Result<(), TracefsError> {
        let threads = self.threads_of(pids)?;
        self.set("set_event_pid", Setting::Everybody)?;
        self.set_tasks("set_event_pid", threads, Setting::Only)
    }

    /// The current threads of these processes, by the kernel's pids.
    fn threads_of(&self, pids: &[u32]) -> Result<Vec<u32>, TracefsError> {
        let mut tids = Vec::new();
        for pid in pids {
            tids.extend(self.pids.kernel_tasks(*pid)?);
        }
        Ok(tids)
    }

    fn set_tasks(
        &self,
        file: &str,
        tids: impl IntoIterator<Item = u32>,
        setting: fn(Vec<u32>) -> Setting,
    ) -> Result<(), TracefsError> {
        let tids: Vec<u32> = tids.into_iter().collect();
        tids.chunks(MOST_TASKS).try_for_each(|tids| self.set(file, setting(tids.to_vec())))
    }

    /// Lets children inherit their parent's state in [`only_processes`](Instance::only_processes) and
    /// [`exclude_tasks`](Instance::exclude_tasks).
    ///
    /// # Errors
    /// The option cannot be set.
    pub fn follow_forks(&self) -> Result<(), TracefsError> {
        self.set_option("event-fork", true)
    }
}
