//! Instances whose owners have exited are removed at the next start; no others are touched.

use std::process::Command;

use ftrace_live::tracefs::{Instance, remove_stale};

use crate::live;

#[test]
fn only_our_instances_without_an_owner_are_stale() {
    let Some(tracefs) = live() else { return };
    let instances = tracefs.root().join("instances");
    let mut process = Command::new("true").spawn().unwrap();
    process.wait().unwrap();
    let stale = instances.join(format!("ftrace-live-{}", process.id()));
    let foreign = instances.join(format!("ftrace-live-test-{}", std::process::id()));
    let owned = Instance::create(&tracefs, None).unwrap();
    std::fs::create_dir(&stale).unwrap();
    std::fs::create_dir(&foreign).unwrap();
    std::fs::write(stale.join("events/irq/enable"), "1").unwrap();

    let removed = remove_stale(&tracefs);
    let left = [stale.exists(), foreign.exists(), owned.path().exists()];
    std::fs::remove_dir(&foreign).unwrap();
    assert_eq!(left, [false, true, true], "{removed:?}");
    owned.close().unwrap();
}
