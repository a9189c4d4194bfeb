//! Receivers that disappear, return and are too slow; interfaces that go down and up; names that do not resolve.

use std::fs;
use std::net::UdpSocket;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::Signal;

use crate::common::program::{free_port, installed};
use crate::program::{PROGRAM, Running, run_command};
use crate::{TRACED, events_read, live, start, traced, wait_until};

/// Makes events.
fn something_happens() {
    Command::new("true").status().unwrap();
}

/// Waits until a datagram arrives.
fn arrives(socket: &UdpSocket) {
    socket.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    wait_until("a datagram", || {
        something_happens();
        socket.recv(&mut [0; 65536]).is_ok()
    });
}

#[test]
fn a_receiver_may_disappear_and_return_and_drops_of_a_full_one_are_counted() {
    let Some(tracefs) = live() else { return };
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let at = socket.local_addr().unwrap();
    let run = start(&tracefs, &mut traced(&["--max-rate", "0", "--no-guard", "--to", &at.to_string()]));
    arrives(&socket);
    drop(socket);
    wait_until("it is said that nobody listens", || {
        something_happens();
        run.said().contains("nobody listens at")
    });
    let socket = UdpSocket::bind(at).unwrap();
    rustix::net::sockopt::set_socket_recv_buffer_size(&socket, 2048).unwrap();
    arrives(&socket);
    // Nobody reads: its buffer is full after a datagram or two.
    (0..50).for_each(|_| something_happens());
    std::thread::sleep(Duration::from_millis(50));
    let ended = run.stop();
    assert!(ended.said.contains("the receiver had no room for"), "{}", ended.said);
}

#[test]
fn an_interface_that_goes_down_and_up_is_survived() {
    let Some(tracefs) = live() else { return };
    if !["ip", "unshare", "nsenter"].into_iter().all(installed) {
        return;
    }
    let port = free_port();
    // Two interfaces: the kernel accepts datagrams for a loopback that is down, and drops them; for another interface
    // it returns an error.
    let script = "ip link set lo up || exit 99; \
                  if ip link add d0 type bridge && ip addr add 10.9.9.1/24 dev d0 && ip link set d0 up; \
                  then set -- \"$@\" --to 10.9.9.2:57120; else echo no bridge >&2; fi; exec \"$0\" \"$@\"";
    let mut command = Command::new("unshare");
    command.args(["--net", "sh", "-c", script, PROGRAM]).args(TRACED).args(["--to", &format!("127.0.0.1:{port}")]);
    let run = start(&tracefs, &mut command);
    let inside = |words: &[&str]| {
        let mut command = Command::new("nsenter");
        command.args(["-t", &run.pid().to_string(), "-n"]).args(words);
        command
    };
    let bridge = !run.said().contains("no bridge");
    let link = |state: &str| {
        for name in ["lo", "d0"].into_iter().filter(|name| bridge || *name == "lo") {
            assert!(inside(&["ip", "link", "set", name, state]).status().unwrap().success());
        }
    };
    let heard = |file: &std::path::Path| fs::metadata(file).map_or(0, |metadata| metadata.len());
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("heard");
    let mut listen = inside(&[PROGRAM, "listen", &port.to_string(), "--write", file.to_str().unwrap()]);
    let listener = Killed(listen.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
    wait_until("messages", || heard(&file) > 0);
    link("down");
    let before = events_read(&run);
    wait_until("events are read", || {
        something_happens();
        events_read(&run) > before + 100
    });
    link("up");
    let before = heard(&file);
    wait_until("messages again", || {
        something_happens();
        heard(&file) > before
    });
    let ended = run.stop();
    assert!(!bridge || ended.said.contains("could not be sent"), "{}", ended.said);
    drop(listener);
}

/// A process that does not outlive its test.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_name_that_does_not_resolve_is_refused_and_one_lost_later_does_no_harm() {
    let Some(tracefs) = live() else { return };
    let ended = run_command(&tracefs, &mut traced(&["--to", "no-such-host.invalid:57120", "--seconds", "1"]));
    assert_eq!(ended.status.code(), Some(2), "{}", ended.said);
    assert!(ended.said.contains("\"no-such-host.invalid\" cannot be found"), "{}", ended.said);

    let dir = tempfile::tempdir().unwrap();
    let hosts = dir.path().join("hosts");
    fs::write(&hosts, "127.0.0.1 here.invalid\n").unwrap();
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let target = format!("here.invalid:{}", socket.local_addr().unwrap().port());
    let script = format!("mount --bind {} /etc/hosts && exec \"$0\" \"$@\"", hosts.display());
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", &script, PROGRAM]).args(TRACED).args(["--to", &target]);
    let run: Running = start(&tracefs, &mut command);
    arrives(&socket);
    fs::write(&hosts, "").unwrap();
    // Read all that arrived before.
    socket.set_nonblocking(true).unwrap();
    while socket.recv(&mut [0; 65536]).is_ok() {}
    socket.set_nonblocking(false).unwrap();
    arrives(&socket);
    run.signal(Signal::INT);
    assert_eq!(run.end().status.code(), Some(0));
}
