//! Control over the page's WebSocket, as by a program: every command, answered to its sender. The oracles are what
//! the stream contains afterwards, and the kernel's control files.

use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use rosc::{OscMessage, OscPacket, OscType, decoder};
use tungstenite::{Message, WebSocket};

use crate::common::live::tracefs;
use crate::common::program::{PATIENCE, Program};
use crate::devtools::Browser;
use crate::server;

struct Desk {
    socket: WebSocket<TcpStream>,
    /// Messages received while another one was awaited.
    waiting: Vec<OscMessage>,
}

fn messages(packet: OscPacket, into: &mut Vec<OscMessage>) {
    match packet {
        OscPacket::Message(message) => into.push(message),
        OscPacket::Bundle(bundle) => bundle.content.into_iter().for_each(|packet| messages(packet, into)),
    }
}

impl Desk {
    fn open(url: &str) -> Desk {
        Desk { socket: server::open(url), waiting: vec![] }
    }

    fn say(&mut self, word: &str, args: Vec<OscType>) {
        let packet = server::packet(&format!("/ftrace/control/{word}"), args);
        self.socket.send(Message::binary(packet)).unwrap();
    }

    /// The first message for which `wanted` is true; earlier ones are dropped.
    fn until(&mut self, what: &str, wanted: impl Fn(&OscMessage) -> bool) -> OscMessage {
        let give_up = Instant::now() + PATIENCE;
        loop {
            let mut waiting = std::mem::take(&mut self.waiting).into_iter();
            if let Some(message) = waiting.by_ref().find(&wanted) {
                self.waiting = waiting.collect();
                return message;
            }
            assert!(Instant::now() < give_up, "{what} does not come");
            if let Message::Binary(bytes) = self.socket.read().unwrap() {
                messages(decoder::decode_udp(&bytes).unwrap().1, &mut self.waiting);
            }
        }
    }

    /// Sends a command and waits for the answer: `ok`, or an error.
    fn ask(&mut self, word: &str, args: Vec<OscType>) -> Result<(), String> {
        self.say(word, args);
        let address = OscType::String(format!("/ftrace/control/{word}"));
        let answers = ["/ftrace/control/ok", "/ftrace/control/error"];
        let is_it = |m: &OscMessage| answers.contains(&&*m.addr) && m.args[0] == address;
        let answer = self.until(word, is_it);
        match answer.args.get(1) {
            None => Ok(()),
            Some(why) => Err(format!("{why:?}")),
        }
    }

    fn state(&mut self, wanted: impl Fn(&[OscType]) -> bool) {
        self.until("the state", |message| message.addr == "/ftrace/control/state" && wanted(&message.args));
    }
}

fn texts(words: &[&str]) -> Vec<OscType> {
    words.iter().map(|word| OscType::String((*word).to_owned())).collect()
}

fn start(before: &[&str], arguments: &[&str]) -> (Program, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ftrace-live"));
    command.args(before).args(["--page", "127.0.0.1:0"]).args(arguments);
    let mut program = Program::start(command);
    let line = program.wait_for("http://127.0.0.1:");
    (program, line[line.find("http://").unwrap()..].split(' ').next().unwrap().to_owned())
}

#[test]
fn a_replay_accepts_all_commands_and_answers_their_sender() {
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/x86_64-6.18/irq-exceptions");
    let (_program, url) = start(&["replay", fixture.to_str().unwrap(), "--loop"], &[]);
    let (mut desk, mut other) = (Desk::open(&url), Desk::open(&url));
    desk.until("an event", |message| message.addr == "/ftrace/exceptions/page_fault_user");
    desk.ask("notify", vec![OscType::Int(1)]).unwrap();
    desk.state(|args| args[2] == OscType::Float(1.0) && args[3] == OscType::Int(0));
    desk.ask("speed", vec![OscType::Float(0.5)]).unwrap();
    desk.state(|args| args[2] == OscType::Float(0.5));
    // A solo applies to all clients.
    desk.ask("solo", texts(&["irq"])).unwrap();
    desk.until("an event", |message| message.addr == "/ftrace/irq/softirq_entry");
    for _ in 0..100 {
        let event = |m: &OscMessage| m.addr.matches('/').count() == 3 && !m.addr.starts_with("/ftrace/control/");
        let event = desk.until("an event", event);
        assert!(event.addr.starts_with("/ftrace/irq/"), "{} in a solo of irq", event.addr);
    }
    desk.ask("filter", texts(&["irq:softirq_entry", "vec == 1"])).unwrap();
    desk.say("query", texts(&["filter"]));
    let value = desk.until("the filter", |message| message.addr == "/ftrace/control/value");
    assert_eq!(value.args, texts(&["filter", "irq:softirq_entry", "vec == 1"]));
    for (word, args) in [
        ("rate", vec![OscType::Int(500)]),
        ("names", vec![OscType::Int(0)]),
        ("pid", vec![]),
        ("mute", texts(&["softirq_exit"])),
        ("pause", vec![]),
        ("seek", vec![OscType::Float(0.1)]),
        ("resume", vec![]),
        ("loop", vec![OscType::Int(1)]),
        ("aggregate", texts(&["50ms"])),
        ("disable", texts(&["irq"])),
        ("enable", texts(&["irq"])),
        ("hush", vec![]),
    ] {
        desk.ask(word, args).unwrap();
    }
    assert!(desk.ask("enable", texts(&["softirq_entri"])).unwrap_err().contains("softirq_entry"), "the nearest name");
    assert!(desk.ask("explode", vec![]).is_err());
    // The other client receives the stream, and none of these answers.
    other.ask("query", texts(&["speed"])).unwrap();
    let for_the_first = |m: &&OscMessage| m.addr == "/ftrace/control/state" || m.addr == "/ftrace/control/error";
    assert_eq!(other.waiting.iter().find(for_the_first), None);
}

/// The instance of a run that has printed its name.
fn instance(program: &mut Program) -> Option<PathBuf> {
    let line = program.wait_for("instance ftrace-live-");
    let name = line.split("instance ").nth(1)?.split(',').next()?.to_owned();
    Some(tracefs()?.root().join("instances").join(name))
}

#[test]
fn a_live_run_accepts_commands_of_its_page_and_changes_the_kernel() {
    if tracefs().is_none() {
        return;
    }
    let (mut program, url) = start(&[], &["-e", "sched:sched_switch"]);
    let instance = instance(&mut program).unwrap();
    let kernel = |file: &str| std::fs::read_to_string(instance.join(file)).unwrap().trim().to_owned();
    let mut desk = Desk::open(&url);
    desk.until("an event", |message| message.addr == "/ftrace/sched/sched_switch");
    desk.ask("notify", vec![OscType::Int(1)]).unwrap();
    desk.state(|args| args[3] == OscType::Int(0) && args[5] == OscType::Int(1));
    desk.ask("pause", vec![]).unwrap();
    assert_eq!(kernel("tracing_on"), "0");
    desk.state(|args| args[3] == OscType::Int(1));
    desk.ask("enable", texts(&["sys_enter_getpriority"])).unwrap();
    assert_eq!(kernel("events/syscalls/sys_enter_getpriority/enable"), "1");
    desk.ask("filter", texts(&["sys_enter_getpriority", "which == 2 && who == 77"])).unwrap();
    assert!(kernel("events/syscalls/sys_enter_getpriority/filter").contains("who == 77"));
    assert!(desk.ask("filter", texts(&["sys_enter_getpriority", "whom == 1"])).is_err());
    desk.ask("resume", vec![]).unwrap();
    assert_eq!(kernel("tracing_on"), "1");
    for who in [76, 77, 77] {
        // SAFETY: getpriority(2) takes two numbers and touches no memory.
        unsafe { libc::getpriority(libc::PRIO_USER, who) };
    }
    let call = desk.until("the call", |message| message.addr == "/ftrace/syscalls/sys_enter_getpriority");
    assert!(call.args.contains(&OscType::Int(77)), "{call:?}");
    desk.ask("disable", texts(&["sys_enter_getpriority"])).unwrap();
    assert_eq!(kernel("events/syscalls/sys_enter_getpriority/enable"), "0");
    assert!(desk.ask("speed", vec![OscType::Float(2.0)]).is_err(), "a kernel has its own pace");
    assert_eq!(program.end(libc::SIGINT), Some(0));
}

#[test]
fn the_page_pauses_a_live_run_and_sends_typed_commands() {
    if tracefs().is_none() {
        return;
    }
    let Some(browser) = Browser::start() else { return };
    let (mut program, url) = start(&[], &["-e", "sched:sched_switch"]);
    let instance = instance(&mut program).unwrap();
    let kernel = |file: &str| std::fs::read_to_string(instance.join(file)).unwrap().trim().to_owned();
    let tab = browser.tab(1280, 800);
    tab.open(&url);
    tab.until("it arrives", "ftraceLive.totals.messages > 5");
    tab.until("it can be paused", "!document.getElementById('transport').hidden");
    let shown = |id: &str| tab.get(&format!("document.getElementById('{id}').getBoundingClientRect().width > 0"));
    assert_eq!(
        (shown("play"), shown("seek"), shown("speed"), shown("loop")),
        (true.into(), false.into(), false.into(), false.into())
    );
    tab.click("#play");
    tab.until("paused", "document.getElementById('status').textContent.includes('paused')");
    assert_eq!(kernel("tracing_on"), "0");
    tab.click("#play");
    tab.until("it goes on", "!document.getElementById('status').textContent.includes('paused')");
    assert_eq!(kernel("tracing_on"), "1");
    tab.key(":");
    let type_in = |line: &str| {
        tab.get(&format!(
            "(document.getElementById('tell').value = {line:?}, document.getElementById('desk').requestSubmit(), 0)"
        ));
    };
    type_in("enable sys_enter_getpriority");
    tab.until("it is done", "document.getElementById('told').textContent === 'enable: done'");
    assert_eq!(kernel("events/syscalls/sys_enter_getpriority/enable"), "1");
    type_in("filter sys_enter_getpriority who == 77");
    tab.until("it is done", "document.getElementById('told').textContent === 'filter: done'");
    assert!(kernel("events/syscalls/sys_enter_getpriority/filter").contains("who == 77"));
    type_in("enable sys_enter_getpriorita");
    tab.until("it is refused", "document.getElementById('told').textContent.includes('sys_enter_getpriority')");
    tab.assert_no_complaint();
    assert_eq!(program.end(libc::SIGINT), Some(0));
}
