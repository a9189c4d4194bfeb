//! The highest rate at which each real receiver gets the messages of one capture without a loss: packed as in live
//! tracing, and one a datagram, as the first version sent them.
//!
//! In both cases the same messages are sent in the same ticks of a millisecond; only the packing differs. Each
//! receiver counts what reaches its handlers, and reports the count on request; for oscdump, which has no such
//! request, the kernel reports what its socket dropped.

use std::collections::BTreeMap;
use std::net::UdpSocket;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use ftrace_live::osc::datagram::{Packer, Tag};
use ftrace_live::osc::packet::take_apart;
use ftrace_live::osc::preset::Preset;
use ftrace_live::osc::{EncodeError, print, timetag, transport::Transport};
use rosc::{OscMessage, OscPacket, OscType, decoder, encoder};

use crate::common::program::{self, Group, Program, command};
use crate::launch;

/// The duration of one trial.
const TRIAL: Duration = Duration::from_millis(600);
/// The duration of the search for one receiver and one packing.
const SEARCH: Duration = Duration::from_secs(12);
const TICK: Duration = Duration::from_millis(1);
/// The first rate tried, messages a second.
const FIRST: f64 = 4000.0;
/// Above this, the sender is the limit.
const MOST: f64 = 1e6;

/// Searches for each receiver.
pub fn rates() {
    println!("\nreceivers: messages a second without a loss, of the fixture `sched`, {TRIAL:?} a try");
    println!("{:>12} {:>10} {:>10} {:>7}", "receiver", "singly", "packed", "ratio");
    for (name, preset) in [
        ("sclang", "sc"),
        ("pd", "pd"),
        ("chuck", "chuck"),
        ("csound", "csound"),
        ("oscdump", "liblo"),
        ("python-osc", "python"),
        ("rosc", "rust"),
    ] {
        let installed = match name {
            "python-osc" => launch::python_installed(),
            "rosc" => true,
            program => program::installed(program),
        };
        if !installed {
            continue;
        }
        let [singly, packed] = [false, true].map(|packed| Search::new(name, preset, packed).run());
        println!("{name:>12} {singly:>10.0} {packed:>10.0} {:>7.1}", packed / singly);
    }
}

/// The events of a capture in the form of the preset.
struct Messages {
    /// Encoded.
    messages: Vec<Vec<u8>>,
    /// Type tags by address.
    signatures: BTreeMap<String, String>,
}

impl Messages {
    fn of(preset: &str) -> Messages {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let target = socket.local_addr().unwrap().to_string();
        let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/x86_64-6.18/sched");
        let mut replay = Command::new(env!("CARGO_BIN_EXE_ftrace-live"));
        replay.arg("replay").arg(fixture).args(["--raw", "--for", preset, "--to", &target]);
        replay.args(["--speed", "max", "--max-rate", "0"]).stderr(Stdio::null());
        let mut replay = replay.spawn().unwrap();
        let (mut messages, mut signatures, mut stopped) = (vec![], BTreeMap::new(), false);
        let mut datagram = vec![0; 1 << 16];
        while !stopped {
            let len = socket.recv(&mut datagram).expect("datagrams until /ftrace/stop");
            take_apart(&datagram[..len], &mut |part| {
                let message = part.unwrap().0;
                stopped |= message.addr == "/ftrace/stop";
                if message.addr.matches('/').count() == 3 {
                    signatures.insert(message.addr.clone(), print::tags(&message.args));
                    messages.push(encoder::encode(&OscPacket::Message(message)).unwrap());
                }
            });
        }
        replay.wait().unwrap();
        Messages { messages, signatures }
    }
}

/// One receiver, one packing.
struct Search {
    packed: bool,
    messages: Messages,
    counter: Counter,
    packer: Packer,
    transport: Transport,
    /// The next message to send.
    next: usize,
}

impl Search {
    fn new(name: &str, preset: &str, packed: bool) -> Search {
        let messages = Messages::of(preset);
        let (counter, port) = Counter::start(name, &messages.signatures);
        let transport = Transport::connect(([127, 0, 0, 1], port).into(), 0).unwrap();
        let packer = Packer::new(Preset::named(preset).unwrap().mtu, Tag::Event { latency_ns: 0 });
        Search { packed, messages, counter, packer, transport, next: 0 }
    }

    /// Doubles the rate until something is lost, then bisects.
    fn run(mut self) -> f64 {
        let began = Instant::now();
        let (mut best, mut low, mut high) = (0.0, 0.0, f64::INFINITY);
        let mut rate = FIRST;
        while began.elapsed() < SEARCH && (64.0..=MOST).contains(&rate) && high > low * 1.1 {
            // Twice: other work on the machine may have delayed the receiver.
            match self.passes(rate).or_else(|| self.passes(rate)) {
                Some(sent) => {
                    (low, best) = (rate, f64::max(best, sent));
                    if sent < rate * 0.8 {
                        // The sender cannot be faster.
                        break;
                    }
                }
                None => high = rate,
            }
            rate = match (low > 0.0, high.is_finite()) {
                (_, false) => low * 2.0,
                (false, true) => high / 4.0,
                (true, true) => (low * high).sqrt(),
            };
        }
        best
    }

    /// Sends at this rate; returns the actual rate, if nothing was lost.
    fn passes(&mut self, rate: f64) -> Option<f64> {
        let before = self.counter.count();
        let (mut sent, mut due) = (0, 0.0);
        let began = Instant::now();
        let mut tick = began;
        while began.elapsed() < TRIAL {
            due += rate * TICK.as_secs_f64();
            while (sent as f64) < due {
                self.send_one();
                sent += 1;
            }
            self.flush();
            // Missed ticks are not made up in a burst.
            tick = (tick + TICK).max(Instant::now() - TICK);
            std::thread::sleep(tick.saturating_duration_since(Instant::now()));
        }
        let rate = sent as f64 / began.elapsed().as_secs_f64();
        self.counter.has_all(before, sent).then_some(rate)
    }

    fn send_one(&mut self) {
        let message = &self.messages.messages[self.next % self.messages.messages.len()];
        self.next += 1;
        let write = |room: &mut [u8]| {
            room.get_mut(..message.len()).ok_or(EncodeError::Full)?.copy_from_slice(message);
            Ok(message.len())
        };
        self.packer.push(timetag::unix_now_ns(), write).unwrap();
        if !self.packed || self.packer.is_full() {
            self.flush();
        }
    }

    fn flush(&mut self) {
        self.transport.send(self.packer.take());
    }
}

/// A receiver that counts.
enum Counter {
    /// It counts what reaches its handlers, and reports it on request.
    Asked { program: Program, port: u16, asked: u32, _home: tempfile::TempDir },
    /// The kernel counts what its socket dropped.
    Drops { port: u16, _program: Group },
    /// A thread of ours.
    Here(Arc<AtomicU64>),
}

impl Counter {
    /// Starts the receiver; it listens when this returns.
    fn start(name: &str, signatures: &BTreeMap<String, String>) -> (Counter, u16) {
        let home = tempfile::tempdir().unwrap();
        let (path, port) = (home.path(), program::free_port());
        let program = match name {
            "sclang" => launch::sclang(path, "count.scd", &sclang(port, signatures)),
            "pd" => launch::pd(path, &[("count.pd", pd(port))]),
            "chuck" => launch::chuck(path, &[("count.ck", chuck(port))]),
            "csound" => {
                let (orchestra, score) = csound(port, signatures);
                launch::csound(path, &orchestra, &score)
            }
            "python-osc" => {
                std::fs::write(path.join("count.py"), PYTHON).unwrap();
                let mut python = launch::python(path);
                python.args(["count.py", &port.to_string()]);
                Program::start(python)
            }
            "oscdump" => {
                let mut oscdump = command("oscdump", path);
                oscdump.args(["-L", &port.to_string()]).stdout(Stdio::null());
                let program = Group::start(&mut oscdump);
                let began = Instant::now();
                while queue_and_drops(port).is_none() {
                    assert!(began.elapsed() < program::PATIENCE, "oscdump does not listen");
                    std::thread::sleep(TICK);
                }
                return (Counter::Drops { port, _program: program }, port);
            }
            _ => return here(),
        };
        let mut counter = Counter::Asked { program, port, asked: 0, _home: home };
        counter.count();
        (counter, port)
    }

    /// How many messages have arrived; for [`Counter::Drops`], how many datagrams were dropped.
    fn count(&mut self) -> u64 {
        match self {
            Counter::Here(count) => count.load(Relaxed),
            Counter::Drops { port, .. } => {
                while queue_and_drops(*port).is_some_and(|(queued, _)| queued > 0) {
                    std::thread::sleep(TICK);
                }
                queue_and_drops(*port).map_or(0, |(_, drops)| drops)
            }
            Counter::Asked { program, port, asked, .. } => {
                *asked += 1;
                let question = OscMessage { addr: "/count".to_owned(), args: vec![OscType::Int(*asked as i32)] };
                let question = encoder::encode(&OscPacket::Message(question)).unwrap();
                let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
                let ask = || drop(socket.send_to(&question, ("127.0.0.1", *port)));
                ask();
                let answer = program.wait_while_doing(&format!("count: {asked} "), ask);
                let numbers = answer.split(|c: char| !c.is_ascii_digit()).filter_map(|word| word.parse::<u64>().ok());
                // Pd reports thousands and the rest separately, since it prints at most six digits.
                numbers.skip(1).fold(0, |sum, number| sum * 1000 + number)
            }
        }
    }

    /// Whether all `sent` messages since the count was `before` have arrived.
    fn has_all(&mut self, before: u64, sent: u64) -> bool {
        let mut last = None;
        loop {
            let now = self.count() - before;
            let all = if let Counter::Drops { .. } = self { 0 } else { sent };
            // What is still in transit arrives meanwhile; if nothing does, it is lost.
            if now == all || last == Some(now) {
                return now == all;
            }
            last = Some(now);
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// Bytes waiting in the socket of this port, and datagrams dropped (`/proc/net/udp`).
fn queue_and_drops(port: u16) -> Option<(u64, u64)> {
    let tables = ["/proc/net/udp", "/proc/net/udp6"].map(|path| std::fs::read_to_string(path).unwrap_or_default());
    let port = format!(":{port:04X}");
    let line = tables
        .iter()
        .flat_map(|table| table.lines())
        .find(|line| line.split_ascii_whitespace().nth(1).is_some_and(|address| address.ends_with(&port)))?;
    let words: Vec<_> = line.split_ascii_whitespace().collect();
    let queued = u64::from_str_radix(words.get(4)?.split_once(':')?.1, 16).ok()?;
    Some((queued, words.last()?.parse().ok()?))
}

/// rosc, as used by a receiving program.
fn here() -> (Counter, u16) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = socket.local_addr().unwrap().port();
    let count = Arc::new(AtomicU64::new(0));
    let counted = count.clone();
    std::thread::spawn(move || {
        let mut datagram = [0; decoder::MTU];
        while let Ok(len) = socket.recv(&mut datagram) {
            if let Ok((_, OscPacket::Bundle(bundle))) = decoder::decode_udp(&datagram[..len]) {
                counted.fetch_add(bundle.content.len() as u64, Relaxed);
            }
        }
    });
    (Counter::Here(count), port)
}

fn sclang(port: u16, signatures: &BTreeMap<String, String>) -> String {
    let addresses: Vec<_> = signatures.keys().map(|address| format!("'{address}'")).collect();
    format!(
        "thisProcess.openUDPPort({port});\nn = 0;\n[{}].do {{ |a| OSCdef(a, {{ n = n + 1 }}, a) }};\n\
         OSCdef(\\count, {{ |m| (\"count: \" ++ m[1] ++ \" \" ++ n).postln }}, '/count');\n",
        addresses.join(", ")
    )
}

fn pd(port: u16) -> String {
    let objects = [
        &format!("netreceive -u -b {port}"),
        "oscparse",
        "list trim",
        "route count ftrace",
        "t b",
        "f",
        "+ 1",
        "t f b",
        "f",
        "t f f",
        "div 1000",
        "mod 1000",
        "pack f f f",
        "print count",
    ];
    let connections = [
        (0, 0, 1, 0),
        (1, 0, 2, 0),
        (2, 0, 3, 0),
        // An event: one more.
        (3, 1, 4, 0),
        (4, 0, 5, 0),
        (5, 0, 6, 0),
        (6, 0, 5, 1),
        (6, 0, 8, 1),
        // The question: the count first, then its number.
        (3, 0, 7, 0),
        (7, 1, 8, 0),
        (7, 0, 12, 0),
        (8, 0, 9, 0),
        (9, 1, 11, 0),
        (9, 0, 10, 0),
        (10, 0, 12, 1),
        (11, 0, 12, 2),
        (12, 0, 13, 0),
    ];
    let mut patch = "#N canvas 0 0 450 300 12;\n".to_owned();
    patch.extend(objects.iter().map(|object| format!("#X obj 10 10 {object};\n")));
    patch.extend(connections.map(|(from, outlet, to, inlet)| format!("#X connect {from} {outlet} {to} {inlet};\n")));
    patch
}

fn chuck(port: u16) -> String {
    format!(
        "OscIn in; OscMsg msg; {port} => in.port; in.listenAll(); 0 => int n;\n\
         while (true) {{\n    in => now;\n    while (in.recv(msg)) {{\n        \
         if (msg.address == \"/count\") <<< \"count: \" + msg.getInt(0) + \" \" + n >>>;\n        else n++;\n    }}\n}}\n"
    )
}

fn csound(port: u16, signatures: &BTreeMap<String, String>) -> (String, String) {
    let count = ("/count".to_owned(), "i".to_owned());
    let of_events = signatures.iter().map(|(address, tags)| (address, tags, "gkN += 1"));
    let all = of_events.chain([(&count.0, &count.1, "printks \"count: %d %d\\n\", 0, k0, gkN")]);
    let (mut orchestra, mut score) = (format!("giPort OSCinit {port}\ngkN init 0\n"), String::new());
    for (k, (address, tags, then)) in all.enumerate() {
        let (names, init) = launch::csound_variables(tags);
        orchestra += &format!(
            "instr {instr}\n{init}next:\nkGot OSClisten giPort, \"{address}\", \"{tags}\", {args}\n\
             if kGot == 1 then\n{then}\nkgoto next\nendif\nendin\n",
            instr = k + 1,
            args = names.join(", "),
        );
        score += &format!("i {} 0 z\n", k + 1);
    }
    (orchestra, score)
}

const PYTHON: &str = r#"
import sys
from pythonosc.dispatcher import Dispatcher
from pythonosc.osc_server import BlockingOSCUDPServer
n = 0
def event(address, *arguments):
    global n
    n += 1
dispatcher = Dispatcher()
dispatcher.map("/count", lambda _, k: print(f"count: {k} {n}", flush=True))
dispatcher.set_default_handler(event)
BlockingOSCUDPServer(("127.0.0.1", int(sys.argv[1])), dispatcher).serve_forever()
"#;
