//! Two machines with a cable between them: two network namespaces.

use std::process::{Command, Stdio};

/// The addresses of the machines on their cable; nobody else is on it.
pub const ADDRESSES: [&str; 2] = ["10.98.0.1", "10.98.0.5"];

/// Two namespaces connected by a cable, removed at the end. One pair in a process.
pub struct Machines([String; 2]);

/// Runs a program with the words of `line`; its own words if it fails.
pub fn run(program: &str, line: &str) -> Result<(), String> {
    let output =
        Command::new(program).args(line.split(' ')).stdin(Stdio::null()).output().map_err(|e| e.to_string())?;
    match output.status.success() {
        true => Ok(()),
        false => Err(format!("{program} {line}: {}", String::from_utf8_lossy(&output.stderr))),
    }
}

impl Machines {
    pub fn new() -> Result<Machines, String> {
        let id = std::process::id();
        let machines = Machines([format!("ftrace-live-a{id}"), format!("ftrace-live-b{id}")]);
        let [a, b] = &machines.0;
        run("ip", &format!("netns add {a}"))?;
        run("ip", &format!("netns add {b}"))?;
        run("ip", &format!("-n {a} link add eth0 type veth peer name eth0 netns {b}"))?;
        for (name, address) in [a, b].into_iter().zip(ADDRESSES) {
            run("ip", &format!("-n {name} addr add {address}/24 dev eth0"))?;
            run("ip", &format!("-n {name} link set eth0 up"))?;
        }
        Ok(machines)
    }

    /// A command on one of them. Its file systems are those of this machine, with tracefs (`ip netns exec` has a `/sys`
    /// of its own).
    pub fn on(&self, machine: usize, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net=/run/netns/{}", self.0[machine])).arg(program);
        command
    }
}

impl Drop for Machines {
    fn drop(&mut self) {
        self.0.iter().for_each(|name| drop(run("ip", &format!("netns del {name}"))));
    }
}
