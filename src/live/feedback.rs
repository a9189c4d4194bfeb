//! The feedback guard: what our own sending makes happen is kept out of what is traced.
//!
//! Each datagram to a program on this machine makes that program run, which makes events, which make datagrams. Our own
//! threads are kept out by [`Setup::apply`](crate::tracefs::Setup::apply). This adds
//!
//! - the processes that hold the socket a local target port belongs to, with all their threads and what they start
//!   later; looked for again once a second, since a receiver may start after us, or anew;
//! - the `sched` events in which the kernel names one of us from elsewhere. `set_event_notrace_pid` judges an event by
//!   the task that runs: `sched_wakeup` of ours out of an interrupt, and `sched_switch` between the idle task and us, it
//!   lets through (`event_filter_pid_sched_switch_probe_pre`, `…_wakeup_probe_pre`). With those events on, each time we
//!   wake there would be new events, which wake us: so they get a filter by pid, joined to the user's own.
//!
//! What is left (timers, interrupts, the idle task's own events) names nobody; [`Pace`](super::pace::Pace) sees to it.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use super::udp::{self, Socket};
use crate::format::EventFormat;
use crate::tracefs::{EventName, Instance, PidView, TracefsError, tasks_of};

/// The most pids that a filter names: each costs every event of its kind a comparison.
const MOST: usize = 64;

/// The fields of the `sched` events by which they name another task than the running one.
const PID_FIELDS: [&str; 3] = ["pid", "prev_pid", "next_pid"];

/// An event that names tasks, and the filter that the user gave it.
struct NamingEvent {
    event: EventName,
    fields: Vec<&'static str>,
    condition: Option<String>,
}

/// Keeps receivers on this machine, and what names us, out of an instance.
pub(super) struct FeedbackGuard {
    targets: Vec<SocketAddr>,
    naming: Vec<NamingEvent>,
    /// Those kept out besides the receivers: our own threads and the guard process.
    ours: BTreeSet<u32>,
    /// The receivers' sockets when last looked.
    inodes: BTreeSet<u64>,
    /// The receivers.
    pids: BTreeSet<u32>,
}

/// What a look at the receivers found.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    /// Processes that were not known before, by pid, as `name (pid)`.
    pub(super) new: Vec<String>,
    /// What the kernel refused.
    pub(super) warnings: Vec<String>,
}

impl FeedbackGuard {
    /// A guard for datagrams to `targets`, which are on this machine. The instance must have the user's filters
    /// by now; `events` are those that are enabled. [`look`](FeedbackGuard::look) begins its work.
    pub(super) fn new<'f>(
        instance: &Instance,
        targets: &[SocketAddr],
        events: impl IntoIterator<Item = &'f EventFormat>,
    ) -> Result<FeedbackGuard, TracefsError> {
        let targets = targets.to_vec();
        if !targets.is_empty() {
            // A thread that a receiver starts is kept out from its first event, and a pid is given free when it ends.
            instance.follow_forks()?;
        }
        let (inodes, pids) = (BTreeSet::new(), BTreeSet::new());
        let mut guard = FeedbackGuard { targets, naming: vec![], ours: instance.our_tasks(), inodes, pids };
        guard.add(instance, events)?;
        Ok(guard)
    }

    /// Takes up events that are to be enabled; those that are known already keep what they have.
    pub(super) fn add<'f>(
        &mut self,
        instance: &Instance,
        events: impl IntoIterator<Item = &'f EventFormat>,
    ) -> Result<(), TracefsError> {
        for format in events.into_iter().filter(|format| format.system == "sched") {
            let has = |name: &&str| format.field(name).is_some_and(|field| field.size == 4);
            let fields: Vec<_> = PID_FIELDS.into_iter().filter(has).collect();
            let event = EventName::new(&format.system, &format.name);
            if !fields.is_empty() && !self.naming.iter().any(|naming| naming.event == event) {
                let condition = instance.condition(&event)?;
                self.naming.push(NamingEvent { event, fields, condition });
            }
        }
        self.name_nobody(instance)
    }

    /// The filter that an event gets where the user wants this one; `None` where it gets nothing of ours.
    pub(super) fn condition(&self, event: &EventName, user: Option<&str>) -> Option<String> {
        let naming = self.naming.iter().find(|naming| naming.event == *event)?;
        Some(condition(user, &naming.fields, &self.tasks()))
    }

    /// The filter that the user wants of an event from here on.
    pub(super) fn set_condition(&mut self, event: &EventName, user: Option<&str>) {
        for naming in self.naming.iter_mut().filter(|naming| naming.event == *event) {
            naming.condition = user.map(str::to_owned);
        }
    }

    /// Looks who receives, and keeps those out who were not there before. `sockets` are those of now.
    pub(super) fn look(&mut self, instance: &Instance, sockets: &[Socket]) -> Found {
        let mut found = Found::default();
        if instance.pids() == PidView::Hidden {
            // The pids of holders would be numbers of other tasks.
            return found;
        }
        let receivers = self.targets.iter().flat_map(|target| udp::receivers(sockets, target));
        let inodes: BTreeSet<u64> = receivers.map(|socket| socket.inode).filter(|&inode| inode != 0).collect();
        if inodes == self.inodes {
            return found;
        }
        let pids = instance.holders(&inodes);
        let new: BTreeSet<u32> = pids.difference(&self.pids).copied().collect();
        self.inodes = inodes;
        self.pids = pids;
        if new.is_empty() {
            return found;
        }
        let mut warn = |result: Result<(), TracefsError>| {
            found
                .warnings
                .extend(result.err().map(|error| format!("the receiver is not kept out of the trace: {error}")));
        };
        warn(instance.exclude_tasks(new.iter().flat_map(|pid| tasks_of(*pid)).flatten()));
        warn(self.name_nobody(instance));
        let name = |pid: &u32| std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
        found.new = new.iter().map(|pid| format!("{} ({pid})", name(pid).trim_end())).collect();
        found
    }

    /// Those whom no filter is to let through.
    fn tasks(&self) -> BTreeSet<u32> {
        let receivers = self.pids.iter().flat_map(|pid| tasks_of(*pid)).flatten();
        self.ours.iter().copied().chain(receivers).take(MOST).collect()
    }

    /// Gives the events that name tasks their filter.
    fn name_nobody(&mut self, instance: &Instance) -> Result<(), TracefsError> {
        let tasks = self.tasks();
        for naming in &self.naming {
            instance.set_condition(&naming.event, &condition(naming.condition.as_deref(), &naming.fields, &tasks))?;
        }
        Ok(())
    }
}

/// The user's condition, and that none of `fields` is one of `tasks`.
fn condition(user: Option<&str>, fields: &[&str], tasks: &BTreeSet<u32>) -> String {
    let others = tasks.iter().flat_map(|task| fields.iter().map(move |field| format!("{field} != {task}")));
    user.map(|user| format!("({user})")).into_iter().chain(others).collect::<Vec<_>>().join(" && ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_keeps_the_users_condition_whole() {
        let tasks = BTreeSet::from([7, 9]);
        assert_eq!(condition(None, &["pid"], &tasks), "pid != 7 && pid != 9");
        assert_eq!(
            condition(Some("prev_prio < 5 || next_prio < 5"), &["prev_pid", "next_pid"], &BTreeSet::from([7])),
            "(prev_prio < 5 || next_prio < 5) && prev_pid != 7 && next_pid != 7"
        );
    }
}
