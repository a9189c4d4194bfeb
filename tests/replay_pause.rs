//! A replay stopped by a signal and continued: events due meanwhile are not sent at once, but keep their distances.
//!
//! The oracle is in the messages: each has the time of its event, and its bundle the time when it is played.

use std::{
    net::UdpSocket,
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use rosc::{OscPacket, OscTime, OscType};
use rustix::process::{Pid, Signal, kill_process};

/// The slowdown: the fixture's half second takes four.
const SLOWER: i64 = 8;

/// NTP's seconds since 1900 and fractions of 2^-32 s, as ns since 1970.
fn unix_ns(time: OscTime) -> i64 {
    let fraction = (u64::from(time.fractional) * 1_000_000_000 + (1 << 31)) >> 32;
    ((u64::from(time.seconds) - 2_208_988_800) * 1_000_000_000 + fraction) as i64
}

/// For each bundle with events: when it is played, and when its first event occurred; until `/ftrace/stop`.
fn bundle(datagram: &[u8]) -> (Option<(i64, i64)>, bool) {
    let (_, packet) = rosc::decoder::decode_udp(datagram).unwrap();
    let OscPacket::Bundle(bundle) = packet else { panic!("no bundle: {packet:?}") };
    let mut messages = bundle.content.iter().map(|packet| match packet {
        OscPacket::Message(message) => message,
        OscPacket::Bundle(_) => panic!("a bundle in a bundle"),
    });
    let ends = messages.clone().any(|message| message.addr == "/ftrace/stop");
    let event = messages.find(|message| message.addr.matches('/').count() == 3);
    let happened = event.map(|event| match event.args[0] {
        OscType::Time(time) => unix_ns(time),
        ref other => panic!("time is {other:?}"),
    });
    (happened.map(|happened| (unix_ns(bundle.timetag), happened)), ends)
}

/// Killed where a test fails.
struct Replay(Child);

impl Drop for Replay {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Replay {
    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.0), signal).unwrap();
    }

    /// Waits until it is stopped (`T` in proc_pid_stat(5)).
    fn wait_until_stopped(&self) {
        let give_up = Instant::now() + Duration::from_secs(30);
        let stat = format!("/proc/{}/stat", self.0.id());
        while !std::fs::read_to_string(&stat).unwrap().contains(") T ") {
            assert!(Instant::now() < give_up, "it does not stop");
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

#[test]
fn a_stop_by_a_signal_shifts_later_events_without_a_backlog() {
    for stop in [Signal::TSTP, Signal::STOP] {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/x86_64-6.18/irq-exceptions");
        let mut command = Command::new(env!("CARGO_BIN_EXE_ftrace-live"));
        command.arg("replay").arg(fixture).args(["--raw", "--types", "full", "--max-rate", "0"]);
        command.args(["--speed", &format!("1/{SLOWER}"), "--to", &socket.local_addr().unwrap().to_string()]);
        let replay = Replay(command.stderr(Stdio::null()).spawn().unwrap());
        let mut heard = Vec::new();
        let mut stood_still = None;
        let mut datagram = [0; 65536];
        loop {
            let length = socket.recv(&mut datagram).unwrap();
            let (event, ends) = bundle(&datagram[..length]);
            heard.extend(event);
            if stood_still.is_none() && heard.len() == 20 {
                replay.signal(stop);
                replay.wait_until_stopped();
                let stopped = Instant::now();
                std::thread::sleep(Duration::from_secs(1));
                stood_still = Some(stopped.elapsed().as_nanos() as i64);
                replay.signal(Signal::CONT);
            }
            if ends {
                break;
            }
        }
        let stood_still = stood_still.expect("it is stopped before its end");
        // The delay of each bundle relative to the first one.
        let (first_heard, first) = heard[0];
        let shifts: Vec<i64> = heard.iter().map(|(heard, at)| heard - first_heard - (at - first) * SLOWER).collect();
        let pause = *shifts.last().unwrap();
        assert!(pause >= stood_still, "{stop:?}: {pause} ns later, it stood still for {stood_still} ns");
        let before = shifts.iter().position(|shift| *shift > stood_still / 2).unwrap();
        assert!((20..heard.len() - 20).contains(&before), "{stop:?}: it is {before} of {} bundles", heard.len());
        // One ns each for rounding of the speed and of timetags.
        for (n, shift) in shifts.iter().enumerate() {
            let expected = if n < before { 0 } else { pause };
            assert!(
                shift.abs_diff(expected) <= 4 * SLOWER as u64,
                "{stop:?}: bundle {n} is {} ns off",
                shift - expected
            );
        }
    }
}
