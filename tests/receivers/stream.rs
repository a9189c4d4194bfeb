//! A preset's stream of real captures: its datagrams as sent, and the messages in them.
//!
//! `replay` sends each capture to a socket of the test; the received messages are compared with `replay --print`, and
//! a selection of the datagrams is sent to the receiver, no faster than any can take.

use std::{
    collections::HashMap,
    net::UdpSocket,
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::Duration,
};

use ftrace_live::osc::{message::Message, packet::take_apart, preset::Preset, print};
use rosc::{OscMessage, OscTime, OscType};

use crate::{
    common::{corpus, program::PATIENCE},
    seen::{Echo, Seen, Value},
};

/// At least this many of each event are sent: many kinds rather than many of a kind.
const OF_EACH: usize = 2;

/// The most unanswered messages at a receiver: a tenth of what a default socket holds.
const FAR_AHEAD: usize = 100;

/// Captures of one kernel that together have many kinds of fields.
struct Source {
    kernel: PathBuf,
    captures: &'static [&'static str],
}

/// The project's own captures; with the corpus, those of another kernel, with every type that a probe can fetch,
/// arrays and blobs.
fn source() -> Source {
    match corpus::folder() {
        Some(corpus) => Source { kernel: corpus.join("x86_64-6.1.176"), captures: &["fs", "kprobe", "syscalls"] },
        None => Source {
            kernel: Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/x86_64-6.18"),
            captures: &["irq-exceptions", "sched", "kmem", "syscalls"],
        },
    }
}

/// What is sent to a receiver, and its contents.
pub struct Recorded {
    pub datagrams: Vec<Vec<u8>>,
    pub messages: Vec<(OscMessage, OscTime)>,
    preset: String,
    /// A folder that mirrors the kernel's tracefs.
    tracefs: PathBuf,
    schemas: HashMap<String, (String, Vec<String>)>,
}

/// The stream for `--for preset`.
pub fn of(preset: &str) -> Recorded {
    let Source { kernel, captures } = source();
    let mut recorded = Recorded {
        datagrams: vec![],
        messages: vec![],
        preset: preset.into(),
        tracefs: kernel.join(captures[0]),
        schemas: HashMap::new(),
    };
    let mut of_address = HashMap::<String, usize>::new();
    for (k, capture) in captures.iter().enumerate() {
        for datagram in recorded.replay(&kernel.join(capture)) {
            let messages = messages_of(&datagram);
            let mut wanted = false;
            for (message, _) in &messages {
                let count = of_address.entry(message.addr.clone()).or_default();
                *count += 1;
                wanted |= *count <= OF_EACH;
            }
            // The stream stops once, at the end of the last capture.
            let stops = messages.iter().any(|(m, _)| m.addr == "/ftrace/stop");
            if stops && k + 1 == captures.len() || wanted && !stops {
                recorded.datagrams.push(datagram);
                recorded.messages.extend(messages);
            }
        }
    }
    let largest = recorded.datagrams.iter().map(Vec::len).max().unwrap();
    assert!(largest <= Preset::named(preset).unwrap().mtu, "a datagram of {largest} bytes");
    assert!(recorded.events().len() > 40, "{} events", recorded.events().len());
    recorded
}

/// The messages of a datagram, which is a bundle and not nested.
fn messages_of(datagram: &[u8]) -> Vec<(OscMessage, OscTime)> {
    let mut messages = Vec::new();
    take_apart(datagram, &mut |part| {
        let (message, time) = part.unwrap();
        messages.push((message, time.expect("every datagram is a bundle")));
    });
    messages
}

impl Recorded {
    /// Replays a capture to a socket and returns the datagrams.
    fn replay(&mut self, capture: &Path) -> Vec<Vec<u8>> {
        let wire = UdpSocket::bind("127.0.0.1:0").unwrap();
        let _ = socket2::SockRef::from(&wire).set_recv_buffer_size(4 << 20);
        wire.set_read_timeout(Some(PATIENCE)).unwrap();
        let target = format!("127.0.0.1:{}", wire.local_addr().unwrap().port());
        let reader = thread::spawn(move || {
            let mut datagrams: Vec<Vec<u8>> = Vec::new();
            let mut buffer = vec![0; 65_535];
            while !datagrams.last().is_some_and(|d| messages_of(d).iter().any(|(m, _)| m.addr == "/ftrace/stop")) {
                let length = wire.recv(&mut buffer).unwrap();
                datagrams.push(buffer[..length].to_vec());
            }
            datagrams
        });
        let mut replay = Command::new(env!("CARGO_BIN_EXE_ftrace-live"));
        replay.arg("replay").arg(capture).args(["--raw", "--for", &self.preset, "--to", &target]);
        let output = replay.args(["--speed", "max", "--max-rate", "0", "--print"]).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let datagrams = reader.join().unwrap();
        self.check_print(&datagrams, &String::from_utf8(output.stdout).unwrap());
        datagrams
    }

    /// Stores the schemas, and compares what was sent with `--print`.
    fn check_print(&mut self, datagrams: &[Vec<u8>], printed: &str) {
        let mut printed = printed.lines();
        for (message, _) in datagrams.iter().flat_map(|d| messages_of(d)) {
            if let ("/ftrace/schema", [OscType::String(address), OscType::String(tags), OscType::String(names)]) =
                (message.addr.as_str(), message.args.as_slice())
            {
                let names = names.split(' ').map(str::to_owned).collect();
                self.schemas.insert(address.clone(), (tags.clone(), names));
            }
            let Some((tags, names)) = self.schemas.get(&message.addr) else { continue };
            assert_eq!(print::tags(&message.args), *tags, "{}", message.addr);
            let mut line = Vec::new();
            print::write_line(&mut line, &Message::of_rosc(&message, tags), None, names).unwrap();
            let line = String::from_utf8(line).unwrap();
            // A bundle has one time, that of its first event; `--print` gives each event its own.
            let said = printed.next().unwrap_or_default();
            assert_eq!(
                said.split_once(' ').map(|(_, rest)| rest),
                line.trim_end().split_once(' ').map(|(_, rest)| rest)
            );
        }
        assert_eq!(printed.next(), None, "printed, but not sent");
    }

    /// The addresses of the events that are sent, sorted.
    pub fn events(&self) -> Vec<&str> {
        let mut events: Vec<&str> = self.messages.iter().map(|(m, _)| m.addr.as_str()).collect();
        events.retain(|address| self.schemas.contains_key(*address));
        events.sort_unstable();
        events.dedup();
        events
    }

    /// Type tags and argument names of an event.
    pub fn schema(&self, address: &str) -> (&str, &[String]) {
        let (tags, names) = &self.schemas[address];
        (tags, names)
    }

    /// The generated program that plays (or prints) all these events, listening on `port`.
    pub fn patch(&self, port: u16) -> String {
        self.patch_with(port, &[])
    }

    /// The same with more options.
    pub fn patch_with(&self, port: u16, more: &[String]) -> String {
        let mut patch = Command::new(env!("CARGO_BIN_EXE_ftrace-live"));
        patch.args(["patch", "--for", &self.preset, "--port", &port.to_string(), "--tracefs"]);
        patch.arg(&self.tracefs).args(more);
        patch.args(self.events().iter().map(|address| address.replacen("/ftrace/", "", 1).replace('/', ":")));
        let output = patch.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Sends everything to `port`, slowly, so that a busy machine loses nothing.
    pub fn send(&self, port: u16) {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        for datagram in &self.datagrams {
            socket.send_to(datagram, ("127.0.0.1", port)).unwrap();
            thread::sleep(Duration::from_millis(6));
        }
    }

    /// Sends everything to `port`, whose program returns something for every message selected by `answered`, without
    /// getting far ahead of it; returns the answers.
    pub fn send_for_echo(&self, port: u16, echo: &mut Echo, answered: impl Fn(&OscMessage) -> bool) -> Vec<OscMessage> {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let (mut asked, mut echoes) = (0, Vec::new());
        for datagram in &self.datagrams {
            socket.send_to(datagram, ("127.0.0.1", port)).unwrap();
            asked += messages_of(datagram).iter().filter(|(m, _)| answered(m)).count();
            let behind = asked.saturating_sub(echoes.len());
            echoes.extend(echo.receive(behind.saturating_sub(FAR_AHEAD)));
        }
        echoes.extend(echo.receive(asked - echoes.len()));
        echoes
    }

    /// Sends the first datagram, which announces the start of the stream.
    pub fn send_first(&self, port: u16) {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.send_to(&self.datagrams[0], ("127.0.0.1", port)).unwrap();
    }

    /// The messages as a receiver should see them, with numbers converted by `number` (to what its number type
    /// keeps).
    pub fn as_seen(&self, number: impl Fn(f64) -> f64) -> Vec<Seen> {
        self.messages.iter().map(|(message, _)| seen(message, &number)).collect()
    }
}

fn seen(message: &OscMessage, number: &impl Fn(f64) -> f64) -> Seen {
    let values = message.args.iter().map(|argument| match argument {
        OscType::Int(v) => Value::Number(number(f64::from(*v))),
        OscType::Float(v) => Value::Number(number(f64::from(*v))),
        OscType::Double(v) => Value::Number(number(*v)),
        OscType::String(v) => Value::Text(v.clone()),
        OscType::Blob(v) => Value::Bytes(v.clone()),
        // A timetag: every receiver has its own clock; the tests for those that get one check it themselves.
        OscType::Time(_) => Value::Number(0.0),
        other => panic!("no preset below full sends {other:?}"),
    });
    Seen { address: message.addr.clone(), values: values.collect() }
}
