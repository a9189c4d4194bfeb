//! Finds the processes that hold a socket: `/proc/PID/fd`, which only root may read for other users' processes.

use std::collections::BTreeSet;
use std::fs;

/// The processes that hold any of the sockets with these inodes, except `ours`.
///
/// It reads every process's descriptors, so it should only be called after a change.
pub(crate) fn holders(inodes: &BTreeSet<u64>, ours: Option<u32>) -> BTreeSet<u32> {
    let links: BTreeSet<String> = inodes.iter().map(|inode| format!("socket:[{inode}]")).collect();
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let holds = |pid: &u32| {
        let descriptors = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
        let mut names = descriptors.filter_map(|entry| fs::read_link(entry.path()).ok());
        names.any(|name| name.to_str().is_some_and(|name| links.contains(name)))
    };
    if links.is_empty() { BTreeSet::new() } else { pids.filter(|pid| Some(*pid) != ours).filter(holds).collect() }
}
