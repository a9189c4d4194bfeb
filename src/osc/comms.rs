//! Task names by pid, in the form in which they are sent.
//!
//! The ring holds only pids. A lookup must cost next to nothing, so the table is indexed by pid, allocated in pages,
//! and holds names as OSC strings.

use super::osc_string;

/// A task's name as an OSC string: repaired, NUL-terminated, padded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Comm {
    bytes: [u8; 16],
    /// The length of the OSC string in `bytes`: 4, 8, 12 or 16; 0 for an empty place in the table.
    padded: u32,
}

const NO_COMM: Comm = Comm { bytes: [0; 16], padded: 0 };

impl Comm {
    /// The empty name.
    pub const EMPTY: Comm = Comm { bytes: [0; 16], padded: 4 };

    /// A name of at most 15 bytes (`TASK_COMM_LEN` minus its NUL); longer ones are cut.
    pub fn new(name: &[u8]) -> Comm {
        let (mut bytes, mut len) = ([0; 16], 0);
        // Not a String: tasks are renamed while events flow, and then nothing is allocated.
        let Ok(()) = osc_string::repair(crate::decode::until_nul(name), 15, |piece| {
            for (to, from) in bytes[len..].iter_mut().zip(piece) {
                *to = *from;
            }
            len += piece.len();
            Ok::<(), std::convert::Infallible>(())
        });
        Comm { bytes, padded: osc_string::padded(len) as u32 }
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(crate::decode::until_nul(&self.bytes)).unwrap_or("")
    }

    /// The OSC string in the first [`padded`](Comm::padded) bytes; the rest is zero.
    #[inline]
    pub(crate) fn bytes(&self) -> &[u8; 16] {
        &self.bytes
    }

    /// Length of the OSC string.
    #[inline]
    pub(crate) fn padded(&self) -> usize {
        self.padded as usize
    }
}

const PAGE: usize = 1024;
/// `PID_MAX_LIMIT` of a 64-bit kernel: no pid is larger.
const PID_LIMIT: usize = 1 << 22;

/// Task names by pid.
#[derive(Debug, Default)]
pub struct Comms {
    pages: Vec<Option<Box<[Comm; PAGE]>>>,
}

/// The name that the kernel prints if it has none.
const UNKNOWN: &[u8] = b"<...>";

impl Comms {
    /// A table that only knows pid 0, which the kernel calls `<idle>`.
    pub fn new() -> Comms {
        let mut comms = Comms::default();
        comms.set(0, b"<idle>");
        comms
    }

    /// Sets the name of `pid`.
    pub fn set(&mut self, pid: i32, name: &[u8]) {
        if let Some(slot) = self.slot(pid) {
            *slot = Comm::new(name);
        }
    }

    fn slot(&mut self, pid: i32) -> Option<&mut Comm> {
        let pid = usize::try_from(pid).ok().filter(|&pid| pid < PID_LIMIT)?;
        if self.pages.len() <= pid / PAGE {
            self.pages.resize_with(pid / PAGE + 1, || None);
        }
        let page = self.pages[pid / PAGE].get_or_insert_with(|| Box::new([NO_COMM; PAGE]));
        page.get_mut(pid % PAGE)
    }

    /// The name of `pid`, if it is known.
    #[inline(always)]
    pub fn get(&self, pid: i32) -> Option<&Comm> {
        let pid = pid as usize;
        let comm = self.pages.get(pid / PAGE)?.as_ref()?.get(pid % PAGE)?;
        (comm.padded != 0).then_some(comm)
    }

    /// All names that are known, by pid.
    pub fn iter(&self) -> impl Iterator<Item = (i32, &str)> {
        let pages = self.pages.iter().enumerate().filter_map(|(at, page)| Some((at, page.as_ref()?)));
        let slots = pages.flat_map(|(at, page)| (at * PAGE..).zip(page.iter()));
        let known = slots.filter(|(_, comm)| comm.padded != 0 && comm.as_str().as_bytes() != UNKNOWN);
        known.map(|(pid, comm)| (pid as i32, comm.as_str()))
    }

    /// The name of `pid` from the table, from `ask`, or `<...>`. The result is stored.
    #[cold]
    #[inline(never)]
    pub fn learn(&mut self, pid: i32, ask: impl FnOnce(i32) -> Option<Vec<u8>>) -> Comm {
        let name = ask(pid).unwrap_or_else(|| UNKNOWN.to_vec());
        self.set(pid, &name);
        Comm::new(&name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_kept_by_pid() {
        let mut comms = Comms::new();
        assert_eq!(comms.get(0).unwrap().as_str(), "<idle>");
        assert!(comms.get(77).is_none());
        assert_eq!(comms.learn(77, |_| Some(b"cat\n"[..3].to_vec())).as_str(), "cat");
        assert_eq!(comms.get(77).unwrap().as_str(), "cat");
        assert_eq!(comms.learn(78, |_| None).as_str(), "<...>");
        assert_eq!(comms.get(78).unwrap().as_str(), "<...>");
        assert_eq!(comms.iter().collect::<Vec<_>>(), [(0, "<idle>"), (77, "cat")]);
        comms.set(77, b"a name that is too long");
        assert_eq!(comms.get(77).unwrap().as_str(), "a name that is ");
    }

    #[test]
    fn an_impossible_pid_is_not_stored() {
        let mut comms = Comms::new();
        for pid in [-1, i32::MIN, i32::MAX] {
            comms.set(pid, b"x");
            assert!(comms.get(pid).is_none());
            assert_eq!(comms.learn(pid, |_| Some(b"y".to_vec())).as_str(), "y");
            assert!(comms.get(pid).is_none());
        }
    }

    #[test]
    fn an_empty_name_is_a_name() {
        let mut comms = Comms::new();
        comms.set(5, b"");
        assert_eq!(comms.get(5), Some(&Comm::EMPTY));
    }
}
