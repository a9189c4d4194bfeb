//! Whose numbers pids are.
//!
//! `set_event_pid`, `common_pid` and every pid in a record are of the first pid namespace, whichever process writes or reads them
//! (`trace_pid_write` and `trace_event_buffer_reserve` know no other). In a container our own numbers are others, and a
//! number of ours written to the kernel traces some other task. So each is translated where /proc shows the first
//! namespace (`unshare --pid` without `--mount-proc`, `docker run --pid=host`), and refused where it does not: nothing else
//! in the kernel tells what a task is called outside.

use std::fs;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::path::Path;

use super::TracefsError;

/// The inode of the first pid namespace (`PROC_PID_INIT_INO`, include/linux/proc_ns.h).
const FIRST: &str = "pid:[4026531836]";
/// `PF_KTHREAD`, include/linux/sched.h.
const KERNEL_THREAD: u64 = 0x0020_0000;

/// Where this process stands, and what its /proc shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PidView {
    /// In the first namespace: pids are the kernel's.
    First,
    /// In another one, with a /proc of the first one: pids can be translated.
    Seen,
    /// In another one, with a /proc of its own: what tasks are called outside cannot be known.
    Hidden,
}

impl PidView {
    /// That of this process.
    pub fn ours() -> PidView {
        let namespace = fs::read_link("/proc/self/ns/pid").ok();
        let namespace = namespace.as_deref().and_then(Path::to_str);
        // Without a /proc nothing is known, and nothing can be traced by pid either.
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let second = fs::read_to_string("/proc/2/stat").ok();
        PidView::of(namespace, &status, second.as_deref())
    }

    /// That of a process by its `ns/pid` and its `status`, and by the `stat` of pid 2.
    fn of(namespace: Option<&str>, status: &str, second: Option<&str>) -> PidView {
        if namespace.is_none_or(|namespace| namespace == FIRST) {
            return PidView::First;
        }
        // One number for each namespace from that of /proc down to the process's own.
        let numbers = field(status, "NSpid:").map_or(0, |numbers| numbers.split_whitespace().count());
        // kthreadd is pid 2 of the first namespace, and there are kernel threads in no other.
        let kernel_thread = second.is_some_and(|stat| {
            let flags = stat.rsplit_once(')').and_then(|(_, rest)| rest.split_whitespace().nth(6)?.parse::<u64>().ok());
            flags.is_some_and(|flags| flags & KERNEL_THREAD != 0)
        });
        if numbers > 1 && kernel_thread { PidView::Seen } else { PidView::Hidden }
    }

    /// What people should know who see pids here.
    pub fn note(self) -> Option<&'static str> {
        match self {
            PidView::First => None,
            PidView::Seen => Some(
                "this is not the first pid namespace: pids in events are those of the first one, -i takes those of this one",
            ),
            PidView::Hidden => Some(
                "this is not the first pid namespace, and /proc shows this one alone: pids in events are those of the first \
                 one, tasks are named by what the kernel itself notes, and neither this program nor a receiver beside it is \
                 kept out of the trace",
            ),
        }
    }

    /// What the kernel calls the process or thread that we call `pid`.
    ///
    /// # Errors
    /// [`TracefsError::NoSuchProcess`], or [`TracefsError::PidNamespace`] where it cannot be known.
    pub fn kernel_pid(self, pid: u32) -> Result<u32, TracefsError> {
        match self {
            PidView::First => Ok(pid),
            PidView::Seen => translated(pid).ok_or(TracefsError::NoSuchProcess(pid)),
            PidView::Hidden => Err(TracefsError::PidNamespace(format!("pid {pid}"))),
        }
    }

    /// What the kernel calls the threads that the process has now which we call `pid`.
    ///
    /// # Errors
    /// As [`kernel_pid`](PidView::kernel_pid).
    pub fn kernel_tasks(self, pid: u32) -> Result<Vec<u32>, TracefsError> {
        tasks_of(self.kernel_pid(pid)?).ok_or(TracefsError::NoSuchProcess(pid))
    }

    /// What the kernel calls the threads that this process has now; none where that cannot be known.
    pub fn our_tasks(self) -> Vec<u32> {
        if self == PidView::Hidden { Vec::new() } else { tasks("/proc/self/task").unwrap_or_default() }
    }
}

/// The threads that a process has now, by its pid in /proc; `None` if there is no such process.
pub fn tasks_of(pid: u32) -> Option<Vec<u32>> {
    tasks(&format!("/proc/{pid}/task"))
}

fn tasks(folder: &str) -> Option<Vec<u32>> {
    let entries = fs::read_dir(folder).ok()?;
    let tids: Vec<u32> = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect();
    (!tids.is_empty()).then_some(tids)
}

fn field<'t>(text: &'t str, name: &str) -> Option<&'t str> {
    text.lines().find_map(|line| line.strip_prefix(name)).map(str::trim)
}

/// The pid in /proc of what we call `pid`: a pidfd's `fdinfo` has it, in the numbers of the /proc it is read in
/// (`pidfd_show_fdinfo`).
fn translated(pid: u32) -> Option<u32> {
    // A thread that leads no process needs PIDFD_THREAD, which is O_EXCL, since 6.9.
    let pidfd = [0, libc::O_EXCL].into_iter().find_map(|flags| open_pidfd(pid, flags))?;
    let info = fs::read_to_string(format!("/proc/self/fdinfo/{}", pidfd.as_raw_fd())).ok()?;
    // -1 for one that has ended, 0 for one that is outside.
    field(&info, "Pid:")?.parse().ok().filter(|&pid| pid > 0)
}

fn open_pidfd(pid: u32, flags: libc::c_int) -> Option<OwnedFd> {
    let pid = libc::pid_t::try_from(pid).ok().filter(|&pid| pid > 0)?;
    // SAFETY: pidfd_open(2) takes two numbers; what it returns is a descriptor of our own, or an error.
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, flags) };
    let fd = libc::c_int::try_from(fd).ok().filter(|&fd| fd >= 0)?;
    // SAFETY: a descriptor that was just opened for us and that nobody else has.
    Some(unsafe { OwnedFd::from_raw_fd(fd) })
}

#[cfg(test)]
mod tests {
    use super::*;

    const KTHREADD: &str = "2 (kthreadd) S 0 0 0 0 -1 2129984 0 0 0 0 0 0 0 0 20 0 1 0 0 0 0";
    const SHELL: &str = "2 (a) 0 0 kthreadd) S 1 2 2 0 -1 4194304 0 0 0 0 0 0 0 0 20 0 1 0 0 0 0";

    #[test]
    fn a_process_stands_in_the_first_namespace_or_sees_it_or_does_not() {
        let inner = Some("pid:[4026532345]");
        let of = |namespace, numbers: &str, second| PidView::of(namespace, &format!("Name:\tx\n{numbers}\n"), second);
        assert_eq!(of(Some(FIRST), "NSpid:\t77", Some(KTHREADD)), PidView::First);
        assert_eq!(of(None, "", None), PidView::First);
        assert_eq!(of(inner, "NSpid:\t77\t3", Some(KTHREADD)), PidView::Seen);
        // Its own /proc.
        assert_eq!(of(inner, "NSpid:\t3", Some(SHELL)), PidView::Hidden);
        assert_eq!(of(inner, "NSpid:\t3", None), PidView::Hidden);
        // The /proc of a namespace between.
        assert_eq!(of(inner, "NSpid:\t9\t3", Some(SHELL)), PidView::Hidden);
    }

    #[test]
    fn a_pidfd_tells_the_pid_in_proc() {
        let ours = std::process::id();
        let here = fs::read_to_string("/proc/self/status").unwrap();
        let shown: u32 = field(&here, "Pid:").unwrap().parse().unwrap();
        assert_eq!(translated(ours), Some(shown));
        assert_eq!(translated(0), None);
        assert_eq!(translated(u32::MAX), None);
    }

    #[test]
    fn where_the_first_namespace_is_hidden_no_number_is_passed_on() {
        assert!(PidView::Hidden.our_tasks().is_empty());
        assert!(matches!(PidView::Hidden.kernel_tasks(1), Err(TracefsError::PidNamespace(_))));
        assert_eq!(PidView::First.kernel_pid(7).unwrap(), 7);
    }
}
