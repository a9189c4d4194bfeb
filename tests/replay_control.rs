//! A replay controlled by OSC over UDP while it plays. The oracles are the answers and the received events, decoded
//! by rosc and python-osc.

#[path = "common/skipped.rs"]
mod skipped;

use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, UdpSocket};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rosc::{OscMessage, OscPacket, OscType, decoder, encoder};

/// Killed at the end of a test.
struct Replay(Child, SocketAddr);

impl Drop for Replay {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn socket() -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    socket
}

/// An endless replay to `receiver`, and its address for commands.
fn replay(receiver: &UdpSocket, more: &[&str]) -> Replay {
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/x86_64-6.18/irq-exceptions");
    let mut command = Command::new(env!("CARGO_BIN_EXE_ftrace-live"));
    command.arg("replay").arg(fixture).args(["--raw", "--max-rate", "0", "--loop", "--control", "0"]).args(more);
    command.args(["--to", &receiver.local_addr().unwrap().to_string()]);
    let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let address = lines
        .find_map(|line| Some(line.unwrap().split_once("commands at UDP ")?.1.split_once(": ")?.0.parse().unwrap()));
    // Keeps reading, so that a pipe without a reader causes no failure.
    std::thread::spawn(move || lines.for_each(drop));
    Replay(child, address.expect("it says where"))
}

fn messages(packet: OscPacket) -> Vec<OscMessage> {
    match packet {
        OscPacket::Message(message) => vec![message],
        OscPacket::Bundle(bundle) => bundle.content.into_iter().flat_map(messages).collect(),
    }
}

fn receive(socket: &UdpSocket) -> Vec<OscMessage> {
    let mut bytes = [0; 65536];
    let len = socket.recv(&mut bytes).expect("something comes");
    messages(decoder::decode_udp(&bytes[..len]).unwrap().1)
}

/// Sends a command and waits for the answer; also returns what was received before it.
fn ask(desk: &UdpSocket, replay: &Replay, word: &str, args: Vec<OscType>) -> Vec<OscMessage> {
    let addr = format!("/ftrace/control/{word}");
    let message = OscPacket::Message(OscMessage { addr: addr.clone(), args });
    desk.send_to(&encoder::encode(&message).unwrap(), replay.1).unwrap();
    let mut heard = Vec::new();
    loop {
        heard.extend(receive(desk));
        let last = heard.last().unwrap();
        if last.addr.ends_with("/ok") || last.addr.ends_with("/error") {
            assert_eq!(last.args[0], OscType::String(addr), "{last:?}");
            return heard;
        }
    }
}

fn texts(words: &[&str]) -> Vec<OscType> {
    words.iter().map(|word| OscType::String((*word).to_owned())).collect()
}

/// Whether an address is that of an event: `/ftrace/GROUP/EVENT`.
fn is_event(message: &OscMessage) -> bool {
    message.addr.matches('/').count() == 3
}

/// Reads what has arrived, then the next `count` events.
fn events(receiver: &UdpSocket, count: usize) -> Vec<String> {
    receiver.set_nonblocking(true).unwrap();
    while receiver.recv(&mut [0; 65536]).is_ok() {}
    receiver.set_nonblocking(false).unwrap();
    let mut heard = Vec::new();
    while heard.len() < count {
        heard.extend(receive(receiver).into_iter().filter(is_event).map(|message| message.addr));
    }
    heard
}

#[test]
fn solo_mute_and_enable_change_what_is_heard() {
    let (receiver, desk) = (socket(), socket());
    let replay = replay(&receiver, &[]);
    let before = events(&receiver, 200);
    assert!(before.iter().any(|addr| !addr.starts_with("/ftrace/irq/")), "the capture has other events: {before:?}");
    assert!(ask(&desk, &replay, "solo", texts(&["irq"])).last().unwrap().addr.ends_with("/ok"));
    for addr in events(&receiver, 50) {
        assert!(addr.starts_with("/ftrace/irq/"), "{addr} in a solo of irq");
    }
    ask(&desk, &replay, "mute", texts(&["softirq_entry", "irq_handler_*"]));
    for addr in events(&receiver, 50) {
        assert!(addr.starts_with("/ftrace/irq/softirq_") && !addr.ends_with("softirq_entry"), "{addr} is muted");
    }
    let wrong = ask(&desk, &replay, "enable", texts(&["softirq_entri"])).pop().unwrap();
    assert!(wrong.addr.ends_with("/error") && format!("{:?}", wrong.args[1]).contains("softirq_entry"), "{wrong:?}");
}

#[test]
fn the_state_is_sent_and_queried() {
    let (receiver, desk) = (socket(), socket());
    let replay = replay(&receiver, &["--speed", "1/8"]);
    ask(&desk, &replay, "notify", vec![OscType::Int(1)]);
    let state = |wanted: &dyn Fn(&[OscType]) -> bool| {
        let give_up = Instant::now() + Duration::from_secs(20);
        while !receive(&desk).iter().any(|message| message.addr == "/ftrace/control/state" && wanted(&message.args)) {
            assert!(Instant::now() < give_up, "it is not told");
        }
    };
    state(&|args| args[2] == OscType::Float(0.125) && args[3] == OscType::Int(0));
    desk.send_to(b"/ftrace/control/pause\0\0\0,\0\0\0", replay.1).unwrap();
    state(&|args| args[3] == OscType::Int(1));
    for speed in [OscType::Int(1), OscType::Float(0.5), OscType::Double(0.25), OscType::Long(2)] {
        let answer = ask(&desk, &replay, "speed", vec![speed]).pop().unwrap();
        assert!(answer.addr.ends_with("/ok"), "{answer:?}");
    }
    desk.send_to(b"/ftrace/control/notify\0\0,i\0\0\0\0\0\0", replay.1).unwrap();
    state_until_ok(&desk);
    // A command is done when it is answered; the state follows after the next round of the loop.
    let give_up = Instant::now() + Duration::from_secs(20);
    loop {
        let heard = ask(&desk, &replay, "query", texts(&["speed"]));
        let value = heard.iter().find(|message| message.addr == "/ftrace/control/value").unwrap();
        if value.args[1] == OscType::Float(2.0) {
            break;
        }
        assert!(Instant::now() < give_up, "{value:?}");
    }
    let heard = ask(&desk, &replay, "query", texts(&["irq:softirq_e*"]));
    assert_eq!(heard[0].args, texts(&["irq:softirq_entry", "irq:softirq_exit"]));
    for (word, args) in [
        ("speed", texts(&["1"])),
        ("filter", vec![]),
        ("pid", texts(&["1"])),
        ("explode", vec![]),
        ("hush", texts(&["irq"])),
    ] {
        let answer = ask(&desk, &replay, word, args).pop().unwrap();
        assert!(answer.addr.ends_with("/error"), "{word}: {answer:?}");
    }
    // Malformed packets are not answered; the next message is.
    desk.send_to(b"GET / HTTP/1.1\r\n\r\n", replay.1).unwrap();
    assert_eq!(ask(&desk, &replay, "resume", vec![]).len(), 1);
}

/// Discards what has arrived, then reads messages until `wanted` is true.
fn until(receiver: &UdpSocket, wanted: impl Fn(&OscMessage) -> bool) -> OscMessage {
    receiver.set_nonblocking(true).unwrap();
    while receiver.recv(&mut [0; 65536]).is_ok() {}
    receiver.set_nonblocking(false).unwrap();
    let give_up = Instant::now() + Duration::from_secs(20);
    loop {
        assert!(Instant::now() < give_up, "it does not come");
        if let Some(message) = receive(receiver).into_iter().find(&wanted) {
            return message;
        }
    }
}

#[test]
fn filters_processes_aggregates_and_names_change_while_it_plays() {
    let (receiver, desk) = (socket(), socket());
    let replay = replay(&receiver, &[]);
    let ok = |word: &str, args: Vec<OscType>| {
        let answer = ask(&desk, &replay, word, args).pop().unwrap();
        assert!(answer.addr.ends_with("/ok"), "{word}: {answer:?}");
    };
    // The capture has softirqs of several kinds; vec 1 is TIMER, which every machine has.
    ok("solo", texts(&["softirq_entry"]));
    ok("filter", texts(&["softirq_entry", "vec == 1"]));
    for _ in 0..40 {
        let heard = until(&receiver, is_event);
        assert_eq!(heard.args.last(), Some(&OscType::Double(1.0)), "{heard:?}");
    }
    let wrong = ask(&desk, &replay, "filter", texts(&["softirq_entry", "vek == 1"])).pop().unwrap();
    assert!(wrong.addr.ends_with("/error") && format!("{:?}", wrong.args[1]).contains("vek"), "{wrong:?}");
    ok("names", vec![OscType::Int(1)]);
    let named =
        until(&receiver, |message| is_event(message) && matches!(message.args.last(), Some(OscType::String(_))));
    assert_eq!(named.args.last(), Some(&OscType::String("TIMER".to_owned())), "{named:?}");
    ok("aggregate", texts(&["20ms", "softirq_entry=vec"]));
    let sums = until(&receiver, |message| {
        message.addr == "/ftrace/agg/irq/softirq_entry" && message.args[0] != OscType::Int(0)
    });
    assert_eq!(
        sums.args[2..],
        [OscType::Float(1.0), OscType::Float(1.0), OscType::Float(1.0)],
        "of vec 1 alone: {sums:?}"
    );
    ok("aggregate", vec![OscType::Int(0)]);
    until(&receiver, is_event);
    let wrong = ask(&desk, &replay, "aggregate", texts(&["20ms", "softirq_entry=vek"])).pop().unwrap();
    assert!(wrong.addr.ends_with("/error") && format!("{:?}", wrong.args[1]).contains("it has vec"), "{wrong:?}");
    // There is no process with that pid, so the loop plays nothing and waits for commands; the idle task has pid 0,
    // which is not a process.
    let heard = ask(&desk, &replay, "query", texts(&["filter"]));
    assert_eq!(heard[0].args, texts(&["filter", "irq:softirq_entry", "vec == 1"]));
    ok("pid", vec![OscType::Int(4_000_000)]);
    std::thread::sleep(Duration::from_millis(100));
    assert_eq!(ask(&desk, &replay, "query", texts(&["pid"]))[0].args[1], OscType::Int(4_000_000));
    ok("pid", vec![]);
    until(&receiver, is_event);
}

fn state_until_ok(desk: &UdpSocket) {
    while !receive(desk).iter().any(|message| message.addr == "/ftrace/control/ok") {}
}

#[test]
fn python_osc_controls_it() {
    let known = Command::new("python3").args(["-c", "import pythonosc"]).stderr(Stdio::null()).status();
    if !known.is_ok_and(|status| status.success()) {
        skipped::say(format_args!("python-osc is not installed"));
        return;
    }
    let receiver = socket();
    let replay = replay(&receiver, &[]);
    let script = "import sys, socket\n\
        from pythonosc.osc_message_builder import OscMessageBuilder\n\
        from pythonosc.osc_message import OscMessage\n\
        s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.settimeout(20)\n\
        def ask(address, *args):\n\
        \x20b = OscMessageBuilder(address)\n\
        \x20for a in args: b.add_arg(a)\n\
        \x20s.sendto(b.build().dgram, ('127.0.0.1', int(sys.argv[1])))\n\
        \x20m = OscMessage(s.recv(65536)); print(m.address, *m.params)\n\
        ask('/ftrace/control/solo', 'irq')\n\
        ask('/ftrace/control/speed', 0.5)\n\
        ask('/ftrace/control/explode', 1)\n";
    let port = replay.1.port().to_string();
    let output = Command::new("python3").args(["-c", script, &port]).output().unwrap();
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        "/ftrace/control/ok /ftrace/control/solo\n/ftrace/control/ok /ftrace/control/speed\n\
         /ftrace/control/error /ftrace/control/explode /ftrace/control/explode: there is no such command\n",
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    for addr in events(&receiver, 50) {
        assert!(addr.starts_with("/ftrace/irq/"), "{addr} in a solo of irq");
    }
}
