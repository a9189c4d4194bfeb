//! docs/REMOTE.md: the kernel on one machine, the receiver on another; here in two network namespaces.

mod common;

use std::process::{Command, Stdio};

use common::program::Program;
use common::skipped;

const PROGRAM: &str = env!("CARGO_BIN_EXE_ftrace-live");
const FIXTURE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/x86_64-6.18/sched");

/// Two namespaces connected by a cable, removed at the end.
struct Machines {
    names: [String; 2],
}

fn ip(line: &str) -> Result<(), String> {
    let output = Command::new("ip").args(line.split(' ')).stdin(Stdio::null()).output().map_err(|e| e.to_string())?;
    match output.status.success() {
        true => Ok(()),
        false => Err(format!("ip {line}: {}", String::from_utf8_lossy(&output.stderr))),
    }
}

impl Machines {
    fn new() -> Result<Machines, String> {
        let id = std::process::id();
        let machines = Machines { names: [format!("ftrace-live-s{id}"), format!("ftrace-live-l{id}")] };
        let [server, laptop] = &machines.names;
        ip(&format!("netns add {server}"))?;
        ip(&format!("netns add {laptop}"))?;
        ip(&format!("-n {server} link add eth0 type veth peer name eth0 netns {laptop}"))?;
        for (name, address) in [(server, "10.97.0.1/24"), (laptop, "10.97.0.5/24")] {
            ip(&format!("-n {name} addr add {address} dev eth0"))?;
            ip(&format!("-n {name} link set eth0 up"))?;
        }
        Ok(machines)
    }

    fn on(&self, machine: usize) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.names[machine], PROGRAM]);
        command
    }
}

impl Drop for Machines {
    fn drop(&mut self) {
        self.names.iter().for_each(|name| drop(ip(&format!("netns del {name}"))));
    }
}

#[test]
fn a_replay_arrives_on_another_machine_and_a_missing_receiver_there_is_reported() {
    let machines = match Machines::new() {
        Ok(machines) => machines,
        Err(why) => return skipped::say(why),
    };
    let mut replay = machines.on(0);
    replay.args(["replay", FIXTURE, "--raw", "--loop", "--to", "10.97.0.5:57120"]);
    let mut replay = Program::start(replay);
    // The other machine's answer arrives through the cable.
    let line = replay.wait_for("nobody listens at 10.97.0.5:57120");
    assert!(line.contains(" there"), "{line}");
    let mut listen = machines.on(1);
    listen.args(["listen", "0.0.0.0:57120"]);
    let mut listen = Program::start(listen);
    listen.wait_for("/ftrace/sched/sched_switch");
    replay.wait_for("10.97.0.5:57120: somebody listens now");
}
