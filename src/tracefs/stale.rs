//! Removes instances that an earlier `ftrace-live` left behind because it was killed together with its keeper.
//!
//! An owner holds a flock(2) on its instance's folder, which the kernel releases when the owner exits, however it
//! does. So an instance with our name prefix and without a lock has no owner. This works across pid namespaces and
//! reused pids, where the pid in the name is meaningless.

use std::io;

use super::{Tracefs, TracefsError};
use crate::keeper::Request;

/// A stale instance.
#[derive(Debug)]
pub struct Stale {
    /// Its name.
    pub name: String,
    /// Whether it could be removed.
    pub removed: Result<(), TracefsError>,
}

/// Removes our instances whose owner has exited, and returns them.
///
/// # Errors
/// `instances/` cannot be read.
pub fn remove_stale(tracefs: &Tracefs) -> Result<Vec<Stale>, TracefsError> {
    let instances = tracefs.root().join("instances");
    let answer = tracefs.ask(&Request::RemoveStale).map_err(|e| TracefsError::io("read", &instances, e))?;
    let stale = answer.words.chunks_exact(2).map(|pair| {
        let name = pair[0].clone();
        let removed = match pair[1].parse() {
            Ok(0) => Ok(()),
            errno => {
                let source = io::Error::from_raw_os_error(errno.unwrap_or(libc::EIO));
                Err(TracefsError::io("remove", &instances.join(&name), source))
            }
        };
        Stale { name, removed }
    });
    Ok(stale.collect())
}
