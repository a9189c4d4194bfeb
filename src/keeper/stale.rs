//! Removes instances that an earlier `ftrace-live` left behind because it was killed together with its keeper.
//!
//! An owner holds a flock(2) on its instance's folder, which the kernel releases when the owner exits, however it
//! does. So an instance with our name prefix and without a lock has no owner. This works across pid namespaces and
//! reused pids, where the pid in the name is meaningless.

use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};

use super::teardown::{instance_path, owner, remove_instance};

/// Between its mkdir and its lock, an instance has an owner but no lock: so a young one whose pid exists is left
/// alone. So is one whose time is in the future: the time of day has been set back since.
const YOUNG: Duration = Duration::from_secs(5);

/// Removes our instances whose owner has exited; returns them, each with the result.
pub(super) fn remove_stale(root: &Path) -> io::Result<Vec<(String, io::Result<()>)>> {
    let instances = root.join("instances");
    let entries = fs::read_dir(&instances)?;
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let stale = names.filter(|name| owner(name).is_some_and(|pid| is_stale(&instances.join(name), pid)));
    Ok(stale
        .map(|name| {
            let removed = remove_instance(&instance_path(root, &name), Duration::from_millis(200));
            (name, removed)
        })
        .collect())
}

fn is_stale(path: &Path, pid: u32) -> bool {
    let Ok(folder) = File::open(path) else { return false };
    if flock(&folder, FlockOperation::NonBlockingLockExclusive).is_err() {
        return false;
    }
    let alive = Path::new("/proc").join(pid.to_string()).exists();
    let age = folder.metadata().and_then(|metadata| metadata.modified()).ok().and_then(|made| made.elapsed().ok());
    !(alive && age.is_none_or(|age| age < YOUNG))
}
