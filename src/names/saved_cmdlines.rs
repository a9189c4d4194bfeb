//! `saved_cmdlines` and `saved_tgids`: process ids → task names and thread groups.
//!
//! A record holds only the pid. The kernel keeps the names of the tasks that wrote records most recently and forgets
//! the rest; for those its own text says `<...>` (`__trace_find_cmdline`, kernel/trace/trace_sched_switch.c).

use std::collections::HashMap;

/// A task's name as the kernel holds it (`TASK_COMM_LEN`): at most 15 bytes and not necessarily UTF-8.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Comm {
    bytes: [u8; 15],
    len: u8,
}

/// Task names by pid.
#[derive(Debug, Clone, Default)]
pub struct SavedCmdlines {
    by_pid: HashMap<i32, Comm>,
}

impl SavedCmdlines {
    /// Reads the text of `saved_cmdlines`: `1234 kworker/0:1`, one task a line.
    pub fn parse(text: &[u8]) -> SavedCmdlines {
        let mut comms = SavedCmdlines::default();
        for (pid, name) in lines(text) {
            comms.insert(pid, name);
        }
        comms
    }

    /// Sets the name of a task; bytes past the fifteenth are dropped, as the kernel does.
    pub fn insert(&mut self, pid: i32, name: &[u8]) {
        let name = name.get(..15).unwrap_or(name);
        let mut comm = Comm { bytes: [0; 15], len: name.len() as u8 };
        comm.bytes[..name.len()].copy_from_slice(name);
        self.by_pid.insert(pid, comm);
    }

    /// The name that the kernel's text shows for `pid`: `<idle>` for 0, `<...>` if the name is not known.
    pub fn shown(&self, pid: i32) -> &[u8] {
        match pid {
            0 => b"<idle>",
            ..0 => b"<XXX>",
            _ => self.get(pid).unwrap_or(b"<...>"),
        }
    }

    /// The name of `pid`, if known.
    pub fn get(&self, pid: i32) -> Option<&[u8]> {
        self.by_pid.get(&pid).and_then(|comm| comm.bytes.get(..usize::from(comm.len)))
    }

    /// How many names are known.
    pub fn len(&self) -> usize {
        self.by_pid.len()
    }

    /// Whether no name is known.
    pub fn is_empty(&self) -> bool {
        self.by_pid.is_empty()
    }
}

/// Thread groups by pid.
#[derive(Debug, Clone, Default)]
pub struct Tgids {
    by_pid: HashMap<i32, i32>,
}

impl Tgids {
    /// Reads the text of `saved_tgids`: `1234 1230`, one task a line.
    pub fn parse(text: &[u8]) -> Tgids {
        let number = |(pid, tgid): (i32, &[u8])| Some((pid, std::str::from_utf8(tgid).ok()?.parse().ok()?));
        Tgids { by_pid: lines(text).filter_map(number).collect() }
    }

    /// The thread group of `pid`, if known.
    pub fn get(&self, pid: i32) -> Option<i32> {
        self.by_pid.get(&pid).copied()
    }
}

/// Lines of a pid, a space, and a rest that may itself contain spaces.
fn lines(text: &[u8]) -> impl Iterator<Item = (i32, &[u8])> {
    text.split(|&b| b == b'\n').filter_map(|line| {
        let blank = memchr::memchr(b' ', line)?;
        Some((std::str::from_utf8(&line[..blank]).ok()?.parse().ok()?, &line[blank + 1..]))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_may_contain_spaces_and_bytes_that_are_not_utf8() {
        let comms = SavedCmdlines::parse(b"15 rcu_preempt\n771 a b\n772 \xff\xfe\nnonsense\n");
        assert_eq!(comms.shown(15), b"rcu_preempt");
        assert_eq!(comms.shown(771), b"a b");
        assert_eq!(comms.shown(772), b"\xff\xfe");
        assert_eq!((comms.len(), comms.is_empty(), SavedCmdlines::default().is_empty()), (3, false, true));
    }

    #[test]
    fn idle_and_forgotten_tasks_are_shown_as_the_kernel_shows_them() {
        let comms = SavedCmdlines::parse(b"");
        assert_eq!((comms.shown(0), comms.shown(7), comms.shown(-1)), (&b"<idle>"[..], &b"<...>"[..], &b"<XXX>"[..]));
    }

    #[test]
    fn a_name_is_cut_at_fifteen_bytes() {
        let mut comms = SavedCmdlines::default();
        comms.insert(1, b"a name that is too long");
        assert_eq!(comms.shown(1), b"a name that is ");
    }

    #[test]
    fn thread_groups_are_read_from_saved_tgids() {
        let tgids = Tgids::parse(b"1 1\n14 12\n");
        assert_eq!((tgids.get(14), tgids.get(2)), (Some(12), None));
    }
}
