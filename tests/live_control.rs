//! A live trace controlled by OSC. The oracle is the kernel: the contents of its control files, and the events of
//! system calls that the test makes with distinctive numbers.

mod common;

use std::cell::RefCell;
use std::collections::VecDeque;
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, UdpSocket};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use common::live::tracefs;
use rosc::{OscMessage, OscPacket, OscType, decoder, encoder};

const CALL: &str = "syscalls:sys_enter_getpriority";
const ADDRESS: &str = "/ftrace/syscalls/sys_enter_getpriority";

/// One test at a time: each would receive the calls of the others.
static ALONE: Mutex<()> = Mutex::new(());

/// A live run that ends with the test, the address for commands, and its instance.
struct Live {
    child: Child,
    control: SocketAddr,
    instance: PathBuf,
    receiver: UdpSocket,
    desk: UdpSocket,
    waiting: RefCell<VecDeque<OscMessage>>,
    _alone: MutexGuard<'static, ()>,
}

impl Drop for Live {
    fn drop(&mut self) {
        // SAFETY: kill(2) takes two numbers and touches no memory; the child was not waited for.
        unsafe { libc::kill(self.child.id() as i32, libc::SIGINT) };
        let _ = self.child.wait();
    }
}

fn socket() -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    socket
}

impl Live {
    fn start(events: &[&str], more: &[&str]) -> Option<Live> {
        let tracefs = tracefs()?;
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let (receiver, desk) = (socket(), socket());
        let mut command = Command::new(env!("CARGO_BIN_EXE_ftrace-live"));
        // The feedback guard would exclude the receiver, which is this process.
        command.args(["--raw", "--no-guard", "--max-rate", "0", "--control", "0", "--to"]);
        command.arg(receiver.local_addr().unwrap().to_string()).args(more).arg("-e").args(events);
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
        let mut find = |before: &str, after: &str| {
            lines.find_map(|line| Some(line.split_once(before)?.1.split_once(after)?.0.to_owned()))
        };
        let control = find("commands at UDP ", ": ").expect("it says where").parse().unwrap();
        let instance = find("instance ", ", ").expect("it says which instance");
        std::thread::spawn(move || lines.for_each(drop));
        let instance = tracefs.root().join("instances").join(instance);
        let live = Live { child, control, instance, receiver, desk, waiting: RefCell::default(), _alone: alone };
        live.heard(|message| message.addr == "/ftrace/start");
        Some(live)
    }

    fn ask(&self, word: &str, args: Vec<OscType>) -> Vec<OscMessage> {
        let addr = format!("/ftrace/control/{word}");
        let message = OscPacket::Message(OscMessage { addr: addr.clone(), args });
        self.desk.send_to(&encoder::encode(&message).unwrap(), self.control).unwrap();
        let mut heard = Vec::new();
        loop {
            heard.extend(receive(&self.desk));
            let last = heard.last().unwrap();
            if last.addr.ends_with("/ok") || last.addr.ends_with("/error") {
                assert_eq!(last.args[0], OscType::String(addr), "{last:?}");
                return heard;
            }
        }
    }

    fn ok(&self, word: &str, args: Vec<OscType>) {
        let answer = self.ask(word, args).pop().unwrap();
        assert!(answer.addr.ends_with("/ok"), "{word}: {answer:?}");
    }

    fn refused(&self, word: &str, args: Vec<OscType>) -> String {
        let answer = self.ask(word, args).pop().unwrap();
        assert!(answer.addr.ends_with("/error"), "{word}: {answer:?}");
        answer.args[1].clone().string().unwrap()
    }

    /// The next message for which `wanted` is true.
    fn heard(&self, wanted: impl Fn(&OscMessage) -> bool) -> OscMessage {
        let give_up = Instant::now() + Duration::from_secs(20);
        loop {
            assert!(Instant::now() < give_up, "it does not come");
            let next = self.waiting.borrow_mut().pop_front();
            match next {
                Some(message) if wanted(&message) => return message,
                Some(_) => {}
                None => self.waiting.borrow_mut().extend(receive(&self.receiver)),
            }
        }
    }

    /// The contents of a file of the instance.
    fn file(&self, file: &str) -> String {
        fs::read_to_string(self.instance.join(file)).unwrap().trim().to_owned()
    }

    fn event_file(&self, file: &str) -> String {
        self.file(&format!("events/{}/{file}", CALL.replace(':', "/")))
    }
}

fn receive(socket: &UdpSocket) -> Vec<OscMessage> {
    fn messages(packet: OscPacket) -> Vec<OscMessage> {
        match packet {
            OscPacket::Message(message) => vec![message],
            OscPacket::Bundle(bundle) => bundle.content.into_iter().flat_map(messages).collect(),
        }
    }
    let mut bytes = [0; 65536];
    let len = socket.recv(&mut bytes).expect("something comes");
    messages(decoder::decode_udp(&bytes[..len]).unwrap().1)
}

fn texts(words: &[&str]) -> Vec<OscType> {
    words.iter().map(|word| OscType::String((*word).to_owned())).collect()
}

/// getpriority(2) of the process `who`: an event that nobody else causes.
fn call(who: u32) {
    // SAFETY: getpriority(2) takes two numbers and touches no memory.
    unsafe { libc::getpriority(libc::PRIO_PROCESS, who) };
}

/// The process given to a call.
fn who(message: &OscMessage) -> f64 {
    message
        .args
        .iter()
        .rev()
        .find_map(|argument| match argument {
            OscType::Double(number) => Some(*number),
            OscType::Int(number) => Some(f64::from(*number)),
            _ => None,
        })
        .unwrap()
}

/// Whether it is of a call by this thread: others may make the same call at the same time.
fn is_call(message: &OscMessage) -> bool {
    let tid = rustix::thread::gettid().as_raw_nonzero().get();
    message.addr == ADDRESS && message.args[3] == OscType::Int(tid)
}

#[test]
fn events_and_filters_reach_the_kernel_and_the_receiver() {
    let Some(live) = Live::start(&["syscalls:sys_enter_getpgid"], &[]) else { return };
    assert_eq!(live.event_file("enable"), "0");
    live.ok("enable", texts(&[CALL]));
    assert_eq!(live.event_file("enable"), "1");
    call(7);
    // Announced before its first message.
    let about =
        live.heard(|message| message.addr == "/ftrace/schema" && message.args[0] == OscType::String(ADDRESS.into()));
    assert!(format!("{:?}", about.args[2]).contains("who"), "{about:?}");
    assert_eq!(who(&live.heard(is_call)), 7.0);

    live.ok("filter", texts(&[CALL, "who == 9"]));
    assert_eq!(live.event_file("filter"), "who == 9");
    call(8);
    call(9);
    assert_eq!(who(&live.heard(is_call)), 9.0, "8 is filtered");
    let why = live.refused("filter", texts(&[CALL, "hwo == 9"]));
    assert!(why.contains("hwo"), "{why}");
    assert_eq!(live.event_file("filter"), "who == 9", "a refused filter changes nothing");
    assert_eq!(live.ask("query", texts(&["filter"]))[0].args, texts(&["filter", CALL, "who == 9"]));
    live.ok("filter", texts(&[CALL, ""]));
    assert_eq!(live.event_file("filter"), "none");

    // A muted event is still recorded by the kernel.
    live.ok("mute", texts(&[CALL]));
    assert_eq!(live.event_file("enable"), "1");
    call(10);
    live.ok("mute", vec![]);
    live.ok("disable", texts(&["syscalls:sys_enter_getpgid"]));
    call(11);
    assert_eq!(who(&live.heard(is_call)), 11.0, "10 is muted");
    live.ok("disable", texts(&[CALL]));
    assert_eq!(live.event_file("enable"), "0");
    let why = live.refused("enable", texts(&["syscalls:sys_enter_getpriorit"]));
    assert!(why.contains("sys_enter_getpriority"), "{why}");
}

#[test]
fn pids_pause_and_aggregates_can_be_changed_while_it_runs() {
    let Some(live) = Live::start(&[CALL], &["--filter", &format!("{CALL}=who > 0 && who < 100")]) else { return };
    let me = std::process::id();
    live.ok("pid", vec![OscType::Int(1)]);
    assert!(live.file("set_event_pid").lines().any(|line| line == "1"));
    call(20);
    live.ok("pid", vec![OscType::Float(me as f32)]);
    call(21);
    assert_eq!(who(&live.heard(is_call)), 21.0, "20 was made while only process 1 was traced");
    let why = live.refused("pid", vec![OscType::Int(i32::MAX)]);
    assert!(why.contains("2147483647"), "{why}");
    assert_eq!(live.ask("query", texts(&["pid"]))[0].args[1], OscType::Int(me as i32));
    live.ok("pid", vec![]);
    assert_eq!(live.file("set_event_pid"), "");

    live.ok("notify", vec![OscType::Int(1)]);
    let state = |paused: i32| {
        while !receive(&live.desk)
            .iter()
            .any(|message| message.addr == "/ftrace/control/state" && message.args[3] == OscType::Int(paused))
        {}
    };
    state(0);
    live.desk.send_to(b"/ftrace/control/pause\0\0\0,\0\0\0", live.control).unwrap();
    state(1);
    assert_eq!(live.file("tracing_on"), "0");
    call(22);
    live.ok("resume", vec![]);
    assert_eq!(live.file("tracing_on"), "1");
    call(23);
    assert_eq!(who(&live.heard(is_call)), 23.0, "22 was made in the pause");
    for word in ["speed", "seek", "loop"] {
        assert!(live.refused(word, vec![OscType::Int(1)]).contains("replay"));
    }

    live.ok("aggregate", texts(&["20ms", "sys_enter_getpriority=who"]));
    (0..5).for_each(|_| call(24));
    let sums = live.heard(|message| {
        message.addr == "/ftrace/agg/syscalls/sys_enter_getpriority" && message.args[0] != OscType::Int(0)
    });
    assert_eq!(sums.args[3..], [OscType::Float(24.0), OscType::Float(24.0)], "{sums:?}");
    live.ok("aggregate", vec![OscType::Int(0)]);
    call(25);
    assert_eq!(who(&live.heard(is_call)), 25.0);
    live.ok("rate", vec![OscType::Long(1000)]);
    assert_eq!(live.ask("query", texts(&["rate"]))[0].args[1], OscType::Int(1000));
}

#[test]
fn every_reader_handles_events_that_are_enabled() {
    let more = ["--readers", "2", "--filter", "syscalls:sys_enter_getpriority=who == 31"];
    let Some(live) = Live::start(&[CALL, "syscalls:sys_enter_getpgid"], &more) else { return };
    live.ok("disable", texts(&["sys_enter_getpriority", "sys_enter_getpgid"]));
    live.ok("enable", texts(&["syscalls:sys_enter_getpriority"]));
    assert_eq!(live.event_file("filter"), "who == 31", "turned on again, it has its filter");
    let cpus = std::thread::available_parallelism().map_or(1, usize::from);
    for cpu in 0..cpus {
        // If that is not possible, both are made on one CPU.
        let mut set = rustix::thread::CpuSet::new();
        set.set(cpu);
        let _ = rustix::thread::sched_setaffinity(None, &set);
        call(30);
        call(31);
    }
    for _ in 0..cpus {
        assert_eq!(who(&live.heard(is_call)), 31.0);
    }
}

#[inline(never)]
extern "C" fn probed() {
    std::hint::black_box(0);
}

/// A uprobe event on [`probed`], removed at the end.
struct Probe {
    file: PathBuf,
    name: &'static str,
}

impl Probe {
    fn new(live: &Live, name: &'static str) -> Option<Probe> {
        let file = live.instance.parent()?.parent()?.join("uprobe_events");
        let place = common::live::place_of(probed as *const ())?;
        let probe = Probe { file, name };
        match probe.control(&format!("p:{}/{name} {place} answer=\\42:u32\n", group())) {
            Ok(()) => Some(probe),
            Err(error) => {
                common::skipped::say(format_args!("no uprobe can be made: {error}"));
                std::mem::forget(probe);
                None
            }
        }
    }

    fn control(&self, line: &str) -> std::io::Result<()> {
        std::io::Write::write_all(&mut fs::OpenOptions::new().append(true).open(&self.file)?, line.as_bytes())
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        _ = self.control(&format!("-:{}/{}\n", group(), self.name));
    }
}

/// A group name unique to this process.
fn group() -> String {
    format!("ftlcontrol{}", std::process::id())
}

#[test]
fn an_event_created_while_it_runs_can_be_enabled() {
    let Some(live) = Live::start(&["syscalls:sys_enter_getpgid"], &[]) else { return };
    let why = live.refused("enable", texts(&[&group()]));
    assert!(why.contains(&group()), "{why}");
    let Some(first) = Probe::new(&live, "first") else { return };
    live.ok("enable", texts(&[&group()]));
    assert_eq!(live.file(&format!("events/{}/first/enable", group())), "1");
    let address = |name: &str| format!("/ftrace/{}/{name}", group());
    let me = rustix::thread::gettid().as_raw_nonzero().get();
    let hit = |name: &str| {
        probed();
        let message = live.heard(|message| message.addr == address(name));
        // time, dt, cpu, pid, comm, then the probe's own place and number.
        assert_eq!(
            (&message.args[3], message.args.last()),
            (&OscType::Int(me), Some(&OscType::Double(42.0))),
            "{message:?}"
        );
    };
    hit("first");
    // Another event of the group is off until it is enabled.
    let second = Probe::new(&live, "second").unwrap();
    let known = live.ask("query", texts(&[&group()]));
    assert_eq!(known[0].args, texts(&[&format!("{}:first", group()), &format!("{}:second", group())]));
    assert_eq!(live.file(&format!("events/{}/second/enable", group())), "0");
    live.ok("enable", texts(&[&format!("{}:second", group())]));
    live.ok("solo", texts(&[&format!("{}:second", group())]));
    hit("second");
    // When disabled it can be removed, and then not enabled any more.
    live.ok("disable", texts(&[&group()]));
    drop(first);
    assert!(!live.instance.join(format!("events/{}/first", group())).exists());
    live.refused("enable", texts(&[&format!("{}:first", group())]));
    live.ok("enable", texts(&[&format!("{}:second", group())]));
    hit("second");
    live.ok("disable", texts(&[&group()]));
    drop(second);
}
