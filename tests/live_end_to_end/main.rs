//! The program on the running kernel, with real UDP receivers: known events are caused and must arrive unchanged; and
//! however it ends, nothing is left behind.
//!
//! All of it needs root and tracefs, and says so if it skips.

mod command;
#[path = "../common/mod.rs"]
mod common;
mod ends;
mod events;
mod program;
mod receiver;
mod record;
mod refusals;
mod rights;
mod targets;

use std::sync::{PoisonError, RwLock, RwLockReadGuard};
use std::time::{Duration, Instant};

use ftrace_live::tracefs::Tracefs;

/// The program pairs the trace clock with the time of day once a second; in between the latter may be slewed.
const SLEWED_NS: u64 = 5_000_000;

/// The running kernel's tracefs, if available.
struct Live {
    tracefs: Tracefs,
    _others: RwLockReadGuard<'static, ()>,
}

/// Each start of the program removes what killed ones have left; the test that leaves such an instance must run
/// alone.
static STALE: RwLock<()> = RwLock::new(());

/// The running kernel; if a test cannot have it, says why it skips.
fn live() -> Option<Live> {
    let tracefs = common::live::tracefs()?;
    Some(Live { tracefs, _others: STALE.read().unwrap_or_else(PoisonError::into_inner) })
}

impl Live {
    /// Whether the kernel has an event; otherwise says that the test skips.
    fn has(&self, event: &str) -> bool {
        let there = self.tracefs.root().join("events").join(event.replace(':', "/")).is_dir();
        if !there {
            crate::common::skipped::say(format_args!("this kernel has no event {event}"));
        }
        there
    }
}

/// Waits until `condition` is true; fails with `what` after the deadline. The duration is not checked.
fn wait_until(what: &str, condition: impl Fn() -> bool) {
    let give_up = Instant::now() + Duration::from_secs(60);
    while !condition() {
        assert!(Instant::now() < give_up, "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
