//! docs/REMOTE.md: the kernel on one machine, the receiver on another; here in two network namespaces.

mod common;

use common::machines::{ADDRESSES, Machines};
use common::program::Program;
use common::skipped;

const PROGRAM: &str = env!("CARGO_BIN_EXE_ftrace-live");
const FIXTURE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/x86_64-6.18/sched");

#[test]
fn a_replay_arrives_on_another_machine_and_a_missing_receiver_there_is_reported() {
    let machines = match Machines::new() {
        Ok(machines) => machines,
        Err(why) => return skipped::say(why),
    };
    let receiver = format!("{}:57120", ADDRESSES[1]);
    let mut replay = machines.on(0, PROGRAM);
    replay.args(["replay", FIXTURE, "--raw", "--loop", "--to", &receiver]);
    let mut replay = Program::start(replay);
    // The other machine's answer arrives through the cable.
    let line = replay.wait_for(&format!("nobody listens at {receiver}"));
    assert!(line.contains(" there"), "{line}");
    let mut listen = machines.on(1, PROGRAM);
    listen.args(["listen", "0.0.0.0:57120"]);
    let mut listen = Program::start(listen);
    listen.wait_for("/ftrace/sched/sched_switch");
    replay.wait_for(&format!("{receiver}: somebody listens now"));
}
