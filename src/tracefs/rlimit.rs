//! The limit of open files, `RLIMIT_NOFILE`, which is raised on machines with many CPUs.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises the limit of open files by `more` if necessary: the soft limit up to the hard one, and that one too if we
/// may. If that is not enough, opening fails with its own error.
pub(crate) fn make_room_for_files(more: usize) {
    /// Sockets, pipes, control files, output.
    const OTHERS: u64 = 64;
    let limit = getrlimit(Resource::Nofile);
    let needed = more as u64 + OTHERS;
    let at_least = |limit: Option<u64>| limit.map(|limit| limit.max(needed));
    if limit.current.is_some_and(|current| current < needed)
        && setrlimit(Resource::Nofile, Rlimit { current: at_least(limit.current), maximum: at_least(limit.maximum) })
            .is_err()
    {
        let current = Some(limit.maximum.map_or(needed, |maximum| maximum.min(needed)));
        let _ = setrlimit(Resource::Nofile, Rlimit { current, ..limit });
    }
}
