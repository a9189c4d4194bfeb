//! Translation of pids between pid namespaces.
//!
//! `set_event_pid`, `common_pid` and every pid in a record are pids of the first pid namespace, whichever process
//! writes or reads them (`trace_pid_write` and `trace_event_buffer_reserve` use no other). In a container our own
//! pids differ, and one written to the kernel would select some other task. So pids are translated if /proc shows the
//! first namespace (`unshare --pid` without `--mount-proc`, `docker run --pid=host`), and refused if it does not:
//! there is no other way to learn a task's outer pid.

use std::fs;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::path::Path;

use super::TracefsError;

/// The inode of the first pid namespace (`PROC_PID_INIT_INO`, include/linux/proc_ns.h).
const FIRST: &str = "pid:[4026531836]";
/// `PF_KTHREAD`, include/linux/sched.h.
const KERNEL_THREAD: u64 = 0x0020_0000;

/// The pid namespace of this process, and the one that its /proc shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PidView {
    /// The first namespace: pids are the kernel's.
    First,
    /// Another one, with a /proc of the first one: pids can be translated.
    Seen,
    /// Another one, with its own /proc: the kernel's pids are not known.
    Hidden,
}

impl PidView {
    /// The view of this process.
    pub fn ours() -> PidView {
        let namespace = fs::read_link("/proc/self/ns/pid").ok();
        let namespace = namespace.as_deref().and_then(Path::to_str);
        // Without /proc nothing is known, and nothing can be traced by pid either.
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let second = fs::read_to_string("/proc/2/stat").ok();
        PidView::of(namespace, &status, second.as_deref())
    }

    /// The view of a process from its `ns/pid` and `status`, and from the `stat` of pid 2.
    fn of(namespace: Option<&str>, status: &str, second: Option<&str>) -> PidView {
        if namespace.is_none_or(|namespace| namespace == FIRST) {
            return PidView::First;
        }
        // One number for each namespace from that of /proc to the process's own.
        let numbers = field(status, "NSpid:").map_or(0, |numbers| numbers.split_whitespace().count());
        // kthreadd is pid 2 of the first namespace, and no other namespace has kernel threads.
        let kernel_thread = second.is_some_and(|stat| {
            let flags = stat.rsplit_once(')').and_then(|(_, rest)| rest.split_whitespace().nth(6)?.parse::<u64>().ok());
            flags.is_some_and(|flags| flags & KERNEL_THREAD != 0)
        });
        if numbers > 1 && kernel_thread { PidView::Seen } else { PidView::Hidden }
    }

    /// A note for users who see pids here.
    pub fn note(self) -> Option<&'static str> {
        match self {
            PidView::First => None,
            PidView::Seen => Some(
                "this is not the first pid namespace: pids in events are those of the first one, -i takes those of this one",
            ),
            PidView::Hidden => Some(
                "this is not the first pid namespace, and /proc shows only this one: pids in events are those of the first \
                 one, task names are those that the kernel itself saved, and neither this program nor a receiver beside it is \
                 kept out of the trace",
            ),
        }
    }

    /// The kernel's pid of the process or thread that is `pid` for us.
    ///
    /// # Errors
    /// [`TracefsError::NoSuchProcess`], or [`TracefsError::PidNamespace`] if it is not known.
    pub fn kernel_pid(self, pid: u32) -> Result<u32, TracefsError> {
        match self {
            PidView::First => Ok(pid),
            PidView::Seen => translated(pid).ok_or(TracefsError::NoSuchProcess(pid)),
            PidView::Hidden => Err(TracefsError::PidNamespace(format!("pid {pid}"))),
        }
    }

    /// The kernel's pids of the current threads of the process that is `pid` for us.
    ///
    /// # Errors
    /// As [`kernel_pid`](PidView::kernel_pid).
    pub fn kernel_tasks(self, pid: u32) -> Result<Vec<u32>, TracefsError> {
        tasks_of(self.kernel_pid(pid)?).ok_or(TracefsError::NoSuchProcess(pid))
    }

    /// The kernel's pids of the current threads of this process; none if they are not known.
    pub fn our_tasks(self) -> Vec<u32> {
        if self == PidView::Hidden { Vec::new() } else { tasks("/proc/self/task").unwrap_or_default() }
    }
}

/// The current threads of a process, by its pid in /proc; `None` if there is no such process.
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

/// The pid in /proc of our `pid`: the `fdinfo` of a pidfd has it, in the namespace of that /proc
/// (`pidfd_show_fdinfo`).
fn translated(pid: u32) -> Option<u32> {
    // A thread that is not a process leader needs PIDFD_THREAD, which is O_EXCL, since 6.9.
    let pidfd = [0, libc::O_EXCL].into_iter().find_map(|flags| open_pidfd(pid, flags))?;
    let info = fs::read_to_string(format!("/proc/self/fdinfo/{}", pidfd.as_raw_fd())).ok()?;
    // -1 if it has exited, 0 if it is outside.
    field(&info, "Pid:")?.parse().ok().filter(|&pid| pid > 0)
}

fn open_pidfd(pid: u32, flags: libc::c_int) -> Option<OwnedFd> {
    let pid = libc::pid_t::try_from(pid).ok().filter(|&pid| pid > 0)?;
    // SAFETY: pidfd_open(2) takes two numbers, and returns a new descriptor or an error.
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
    fn a_process_is_in_the_first_namespace_or_sees_it_or_does_not() {
        let inner = Some("pid:[4026532345]");
        let of = |namespace, numbers: &str, second| PidView::of(namespace, &format!("Name:\tx\n{numbers}\n"), second);
        assert_eq!(of(Some(FIRST), "NSpid:\t77", Some(KTHREADD)), PidView::First);
        assert_eq!(of(None, "", None), PidView::First);
        assert_eq!(of(inner, "NSpid:\t77\t3", Some(KTHREADD)), PidView::Seen);
        // With its own /proc.
        assert_eq!(of(inner, "NSpid:\t3", Some(SHELL)), PidView::Hidden);
        assert_eq!(of(inner, "NSpid:\t3", None), PidView::Hidden);
        // With the /proc of an intermediate namespace.
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
    fn without_a_view_of_the_first_namespace_no_pid_is_passed_on() {
        assert!(PidView::Hidden.our_tasks().is_empty());
        assert!(matches!(PidView::Hidden.kernel_tasks(1), Err(TracefsError::PidNamespace(_))));
        assert_eq!(PidView::First.kernel_pid(7).unwrap(), 7);
    }
}
