//! The control files of the running kernel: instances are created and removed and leave nothing, whatever happens to
//! their owner.
//!
//! All of it needs root and tracefs, and says so if it skips. Only our own instances are written to.

mod command;
#[path = "../common/mod.rs"]
mod common;
mod instance;
mod keeper;
mod mount;
mod stale;

use std::path::Path;
use std::time::{Duration, Instant};

use common::live::tracefs as live;
use ftrace_live::tracefs::EventName;

fn event(name: &str) -> EventName {
    name.parse().unwrap()
}

/// Waits until `condition` is true; fails with `what` after the deadline. The duration is not checked.
fn wait_until(what: &str, condition: impl Fn() -> bool) {
    let give_up = Instant::now() + Duration::from_secs(30);
    while !condition() {
        assert!(Instant::now() < give_up, "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Whether a process exists and is not a zombie.
fn is_running(pid: u32) -> bool {
    let stat = std::fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("stat")).unwrap_or_default();
    stat.rsplit(") ").next().is_some_and(|rest| !rest.is_empty() && !rest.starts_with(['Z', 'X']))
}
