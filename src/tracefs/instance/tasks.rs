//! Whose events an instance records: `set_event_pid`, `set_event_notrace_pid`, `options/event-fork`.

use std::collections::BTreeSet;

use super::Instance;
use crate::keeper::{MOST_TASKS, Request, Setting};
use crate::tracefs::{PidView, TracefsError};

impl Instance {
    /// Keeps the events of these tasks (thread ids) out, in addition to those kept out already.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn exclude_tasks(&self, tids: impl IntoIterator<Item = u32>) -> Result<(), TracefsError> {
        self.set_tasks("set_event_notrace_pid", tids, Setting::Exclude)
    }

    /// Keeps out all threads that this process has now, and the keeper.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn exclude_ourselves(&self) -> Result<(), TracefsError> {
        self.exclude_tasks(self.our_tasks())
    }

    /// The threads that this process has now, and the keeper, as the kernel calls them; none where that cannot be known.
    pub fn our_tasks(&self) -> BTreeSet<u32> {
        let keeper = self.access.keeper().and_then(|keeper| self.pids.kernel_pid(keeper.pid()).ok());
        self.pids.our_tasks().into_iter().chain(keeper).collect()
    }

    /// Whose numbers our pids are.
    pub(crate) fn pids(&self) -> PidView {
        self.pids
    }

    /// The processes that hold any of the sockets with these inodes, but for ourselves. Only root sees those of others.
    pub(crate) fn holders(&self, inodes: &BTreeSet<u64>) -> BTreeSet<u32> {
        let answer = self.access.ask(&Request::Holders(inodes.iter().copied().collect()));
        answer.map(|answer| answer.words.iter().filter_map(|pid| pid.parse().ok()).collect()).unwrap_or_default()
    }

    /// Lets only the events of these processes in, each with all the threads it has now, in addition to those let in
    /// already; the pids are those of our own namespace. [`follow_forks`](Instance::follow_forks) adds what they start later.
    ///
    /// # Errors
    /// [`TracefsError::NoSuchProcess`], or [`TracefsError::PidNamespace`] where the kernel's pids cannot be known.
    pub fn only_processes(&self, pids: &[u32]) -> Result<(), TracefsError> {
        self.set_tasks("set_event_pid", self.threads_of(pids)?, Setting::Only)
    }

    /// The same, but those let in already are not any more. With no process all are let in. For a moment all are in
    /// either case: recording should be off.
    ///
    /// # Errors
    /// As [`only_processes`](Instance::only_processes); then nothing has changed.
    pub fn only_these_processes(&self, pids: &[u32]) -> Result<(), TracefsError> {
        let threads = self.threads_of(pids)?;
        self.set("set_event_pid", Setting::Everybody)?;
        self.set_tasks("set_event_pid", threads, Setting::Only)
    }

    /// The threads that these processes have now, as the kernel numbers them.
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

    /// Lets children inherit their parent's place in [`only_processes`](Instance::only_processes) and
    /// [`exclude_tasks`](Instance::exclude_tasks).
    ///
    /// # Errors
    /// The option cannot be set.
    pub fn follow_forks(&self) -> Result<(), TracefsError> {
        self.set_option("event-fork", true)
    }
}
