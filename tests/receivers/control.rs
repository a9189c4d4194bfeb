//! The patches that control the stream: the real sclang, Pd and Python control a replay, which is then queried.

use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, UdpSocket};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rosc::{OscMessage, OscPacket, OscType, decoder, encoder};

use crate::{
    common::program::{self, Program},
    launch::{pd, python, python_installed, sclang},
    stream,
};

/// An endless replay to `port` with all irq events off, and a socket to query it.
struct Replay {
    child: std::process::Child,
    address: SocketAddr,
    desk: UdpSocket,
}

impl Drop for Replay {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Replay {
    fn start(language: &str, port: u16) -> Replay {
        let fixture = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/x86_64-6.18/irq-exceptions");
        let mut command = Command::new(env!("CARGO_BIN_EXE_ftrace-live"));
        command.args([
            "replay",
            fixture,
            "--raw",
            "--loop",
            "--control",
            "0",
            "--for",
            language,
            "--to",
            &format!("127.0.0.1:{port}"),
        ]);
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let address = lines.find_map(|line| {
            Some(line.unwrap().split_once("commands at UDP ")?.1.split_once(": ")?.0.parse().unwrap())
        });
        std::thread::spawn(move || lines.for_each(drop));
        let desk = UdpSocket::bind("127.0.0.1:0").unwrap();
        desk.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let replay = Replay { child, address: address.expect("it says where"), desk };
        replay.ask("disable", "irq");
        replay
    }

    /// Sends one command; returns the first answer.
    fn ask(&self, word: &str, argument: &str) -> OscMessage {
        let args = vec![OscType::String(argument.to_owned())];
        let message = OscPacket::Message(OscMessage { addr: format!("/ftrace/control/{word}"), args });
        self.desk.send_to(&encoder::encode(&message).unwrap(), self.address).unwrap();
        let mut first = None;
        loop {
            let mut bytes = [0; 65536];
            let len = self.desk.recv(&mut bytes).expect("it answers");
            let OscPacket::Message(message) = decoder::decode_udp(&bytes[..len]).unwrap().1 else { panic!("a bundle") };
            let end = message.addr.ends_with("/ok") || message.addr.ends_with("/error");
            let first = first.get_or_insert(message);
            if end {
                return first.clone();
            }
        }
    }

    /// Waits until the program at `port` has slowed it down.
    fn slowed_to(&self, speed: f32) {
        let give_up = Instant::now() + program::PATIENCE;
        while self.ask("query", "speed").args[1] != OscType::Float(speed) {
            assert!(Instant::now() < give_up, "it is not slowed down");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn patch(&self, language: &str, port: u16) -> String {
        let control = ["--control".to_owned(), self.address.to_string()];
        stream::of(language).patch_with(port, &control)
    }
}

#[test]
fn pd_enables_irqs_slows_a_replay_and_receives_the_state() {
    if !program::installed("pd") {
        return;
    }
    let (home, port) = (tempfile::tempdir().unwrap(), program::free_port());
    let replay = Replay::start("pd", port);
    // As if somebody clicked: one message each, half a second after the start.
    let hand = "#N canvas 0 0 450 300 12;
#X obj 10 10 loadbang;
#X obj 10 40 delay 500;
#X obj 10 70 t b b;
#X msg 10 100 enable irq;
#X msg 90 100 speed 0.25;
#X obj 10 130 s ftrace-control;
#X connect 0 0 1 0;
#X connect 1 0 2 0;
#X connect 2 0 3 0;
#X connect 2 1 4 0;
#X connect 3 0 5 0;
#X connect 4 0 5 0;
";
    let mut pd = pd(home.path(), &[("ftrace.pd", replay.patch("pd", port)), ("hand.pd", hand.to_owned())]);
    replay.slowed_to(0.25);
    // at, length, speed, paused, loop, and all events of the capture.
    pd.wait_for(" 0.25 0 1 170");
    let state = pd.wait_for("ftrace-state: ");
    assert_eq!(state.split_whitespace().count(), 7, "{state}");
    pd.assert_no_complaint(&["ftrace-error"]);
}

#[test]
fn sclang_enables_irqs_slows_a_replay_and_receives_the_state() {
    if !program::installed("sclang") {
        return;
    }
    let (home, port) = (tempfile::tempdir().unwrap(), program::free_port());
    let replay = Replay::start("sc", port);
    // No server is needed here.
    let silent = "s = (serverRunning: true, waitForBoot: { |self, f| f.fork }, sync: { }, sendBundle: { });";
    let hand =
        "fork { 1.wait; ~control.(\\enable, \"irq\"); ~control.(\\speed, 0.25); ~control.(\\solo, \"nothing\"); }";
    let text = format!("{silent}\n{};\n{hand}", replay.patch("sc", port));
    let mut sclang = sclang(home.path(), "ftrace.scd", &text);
    replay.slowed_to(0.25);
    sclang.wait_for("ftrace-live: speed 0.25, paused 0, loop 1, ");
    sclang.wait_for("matches \"nothing\"");
}

#[test]
fn python_enables_irqs_slows_a_replay_and_receives_the_state() {
    if !python_installed() {
        return;
    }
    let (home, port) = (tempfile::tempdir().unwrap(), program::free_port());
    let replay = Replay::start("python", port);
    std::fs::write(home.path().join("ftrace.py"), replay.patch("python", port)).unwrap();
    std::fs::write(home.path().join("typed"), "enable irq\nspeed 0.25\nsolo nothing\n").unwrap();
    let mut shell = program::command("sh", home.path());
    shell
        .args(["-c", "exec python3 ftrace.py <typed"])
        .envs(python(home.path()).get_envs().filter_map(|(k, v)| Some((k, v?))));
    let mut python = Program::start(shell);
    replay.slowed_to(0.25);
    python.wait_for("speed 0.25, paused 0, ");
    python.wait_for("matches \"nothing\"");
}
