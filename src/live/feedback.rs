//! The feedback guard: keeps events that our own sending causes out of the trace.
//!
//! Each datagram to a program on this machine makes that program run, which causes events, which cause datagrams.
//! [`Setup::apply`](crate::tracefs::Setup::apply) excludes our own threads. This module adds
//!
//! - the processes that hold the socket a local target port belongs to, with all their threads and what they start
//!   later; looked for again once a second, since a receiver may start after us, or anew;
//! - the `sched` events in which the kernel names one of us from another context. `set_event_notrace_pid` judges an
//!   event by the running task, so it lets through a `sched_wakeup` of our thread from an interrupt, and a
//!   `sched_switch` between the idle task and us (`event_filter_pid_sched_switch_probe_pre`, `…_wakeup_probe_pre`).
//!   If these events are enabled, each wake of ours would cause new events, which wake us. So they get a filter by
//!   pid, joined with the user's filter.
//!
//! The rest (timers, interrupts, the idle task's events) names no pid of ours; [`Pace`](super::pace::Pace) handles
//! it.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use super::udp::{self, Socket};
use crate::format::EventFormat;
use crate::tracefs::{EventName, Instance, PidView, TracefsError, tasks_of};

/// The most pids in a filter: each one costs a comparison for every event of that kind.
const MOST: usize = 64;

/// The fields of the `sched` events that name a task other than the running one.
const PID_FIELDS: [&str; 3] = ["pid", "prev_pid", "next_pid"];

/// An event that names tasks, and the user's filter for it.
struct NamingEvent {
    event: EventName,
    fields: Vec<&'static str>,
    condition: Option<String>,
}

/// Excludes receivers on this machine, and events that name us, from an instance.
pub(super) struct FeedbackGuard {
    targets: Vec<SocketAddr>,
    naming: Vec<NamingEvent>,
    /// The excluded processes besides the receivers: our own threads and the guard process.
    ours: BTreeSet<u32>,
    /// The receivers' sockets at the last look.
    inodes: BTreeSet<u64>,
    /// The receivers.
    pids: BTreeSet<u32>,
}

/// What a look at the receivers found.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    /// Processes that were not known before, by pid, as `name (pid)`.
    pub(super) new: Vec<String>,
    /// The kernel's refusals.
    pub(super) warnings: Vec<String>,
}

impl FeedbackGuard {
    /// A guard for datagrams to `targets`, which are on this machine. The instance must already have the user's
    /// filters; `events` are the enabled ones. The work starts with [`look`](FeedbackGuard::look).
    pub(super) fn new<'f>(
        instance: &Instance,
        targets: &[SocketAddr],
        events: impl IntoIterator<Item = &'f EventFormat>,
    ) -> Result<FeedbackGuard, TracefsError> {
        let targets = targets.to_vec();
        if !targets.is_empty() {
            // With this, a receiver's new threads are excluded from their first event, and a pid is removed when its
            // task ends.
            instance.follow_forks()?;
        }
        let (inodes, pids) = (BTreeSet::new(), BTreeSet::new());
        let mut guard = FeedbackGuard { targets, naming: vec![], ours: instance.our_tasks(), inodes, pids };
        guard.add(instance, events)?;
        Ok(guard)
    }

    /// Adds events that are about to be enabled; known ones keep their filters.
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

    /// The filter of an event for which the user wants `user`; `None` for events that the guard does not filter.
    pub(super) fn condition(&self, event: &EventName, user: Option<&str>) -> Option<String> {
        let naming = self.naming.iter().find(|naming| naming.event == *event)?;
        Some(condition(user, &naming.fields, &self.tasks()))
    }

    /// Sets the user's filter of an event.
    pub(super) fn set_condition(&mut self, event: &EventName, user: Option<&str>) {
        for naming in self.naming.iter_mut().filter(|naming| naming.event == *event) {
            naming.condition = user.map(str::to_owned);
        }
    }

    /// Looks for receivers, and excludes new ones. `sockets` are the current ones.
    pub(super) fn look(&mut self, instance: &Instance, sockets: &[Socket]) -> Found {
        let mut found = Found::default();
        if instance.pids() == PidView::Hidden {
            // In another pid namespace the pids of the holders would name other tasks.
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
                .extend(result.err().map(|error| format!("the receiver cannot be excluded from the trace: {error}")));
        };
        warn(instance.exclude_tasks(new.iter().flat_map(|pid| tasks_of(*pid)).flatten()));
        warn(self.name_nobody(instance));
        let name = |pid: &u32| std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
        found.new = new.iter().map(|pid| format!("{} ({pid})", name(pid).trim_end())).collect();
        found
    }

    /// The tasks that no filter may let through.
    fn tasks(&self) -> BTreeSet<u32> {
        let receivers = self.pids.iter().flat_map(|pid| tasks_of(*pid)).flatten();
        self.ours.iter().copied().chain(receivers).take(MOST).collect()
    }

    /// Sets the filters of the events that name tasks.
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
    fn the_users_condition_is_put_in_parentheses() {
        let tasks = BTreeSet::from([7, 9]);
        assert_eq!(condition(None, &["pid"], &tasks), "pid != 7 && pid != 9");
        assert_eq!(
            condition(Some("prev_prio < 5 || next_prio < 5"), &["prev_pid", "next_pid"], &BTreeSet::from([7])),
            "(prev_prio < 5 || next_prio < 5) && prev_pid != 7 && next_pid != 7"
        );
    }
}
