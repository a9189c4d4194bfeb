//! How addresses are announced: before their first message, all of them soon, each again within ten seconds, and never so
//! many at once that a receiver loses some. Time is simulated.

use std::collections::BTreeMap;
use std::net::UdpSocket;
use std::path::Path;
use std::time::Duration;

use byteorder::LittleEndian;
use ftrace_live::capture::{self, select::Select, trace_dat::Open};
use ftrace_live::format::{Abi, Endian, EventFormat, EventId, LongSize};
use ftrace_live::names::{Kernel, Names};
use ftrace_live::osc::announce::{APART_NS, PERIOD_NS};
use ftrace_live::osc::packet::take_apart;
use ftrace_live::osc::stream::{Moment, Stream, StreamOptions};
use ftrace_live::osc::transport::Transport;
use ftrace_live::osc::{Comm, MessageOptions};
use ftrace_live::output::Outputs;
use ftrace_live::replay::{Observer, PlayOptions, Speed, Time, play};
use rosc::{OscMessage, OscType};

const MS: u64 = 1_000_000;
const SECOND: u64 = 1_000_000_000;
/// The start of the simulated time, ns since 1970.
const START: u64 = 1_800_000_000_000_000_000;
/// As many events as a kernel has.
const EVENTS: u16 = 2300;
/// Datagrams that a socket with the default buffer holds, if they are nearly as long as ours may be.
const DEFAULT_SOCKET: u64 = 92;

/// A receiver with as large a buffer as it gets, and the stream to it.
struct Wire {
    socket: UdpSocket,
    stream: Stream,
    /// Datagrams read from the socket.
    taken: u64,
}

fn options() -> StreamOptions {
    StreamOptions::new(MessageOptions::default())
}

impl Wire {
    fn new(events: u16) -> Wire {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let transport = Transport::connect(socket.local_addr().unwrap(), 0).unwrap();
        let mut stream = Stream::new(options(), vec![transport]);
        (1..=events).for_each(|id| stream.add(&format(id), &kernel()));
        Wire { socket, stream, taken: 0 }
    }

    fn event(&mut self, id: u16, now: u64) {
        let record = [&id.to_le_bytes()[..], &[0; 22]].concat();
        let moment = Moment { event_ns: now, play_ns: now, dt: 0.0, cpu: 0, pid: 1, comm: &Comm::new(b"test") };
        self.stream.event::<LittleEndian>(EventId(id), &record, &moment).unwrap();
    }

    /// What was sent and not read yet: the messages of each datagram.
    fn take(&mut self) -> Vec<Vec<OscMessage>> {
        let waiting = self.stream.counts().datagrams - self.taken;
        self.taken += waiting;
        let mut datagram = [0; 2048];
        (0..waiting).map(|_| self.socket.recv(&mut datagram).map(|len| messages(&datagram[..len])).unwrap()).collect()
    }
}

fn kernel() -> Kernel {
    Kernel { abi: Abi { endian: Endian::Little, long: LongSize::Eight }, names: Names::default() }
}

/// An event with fields whose names are as long as the kernel's are.
fn format(id: u16) -> EventFormat {
    let text = format!(
        "name: an_event_of_{id}\nID: {id}\nformat:\n\tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;\n\
         \tfield:int common_pid;\toffset:4;\tsize:4;\tsigned:1;\n\n\
         \tfield:unsigned long some_address;\toffset:8;\tsize:8;\tsigned:0;\n\
         \tfield:int previous_state;\toffset:16;\tsize:4;\tsigned:1;\n\
         \tfield:int next_priority;\toffset:20;\tsize:4;\tsigned:1;\n\nprint fmt: \"\"\n"
    );
    EventFormat::parse("a_subsystem", &text, LongSize::Eight).unwrap()
}

fn messages(datagram: &[u8]) -> Vec<OscMessage> {
    let mut messages = vec![];
    take_apart(datagram, &mut |part| messages.push(part.unwrap().0));
    messages
}

/// The address that a message announces.
fn announced(message: &OscMessage) -> Option<&str> {
    match (message.addr.as_str(), message.args.as_slice()) {
        ("/ftrace/schema", [OscType::String(address), ..]) => Some(address),
        _ => None,
    }
}

fn address(id: u16) -> String {
    format!("/ftrace/a_subsystem/an_event_of_{id}")
}

#[test]
fn all_events_are_announced_within_about_a_second_and_every_ten_seconds_a_datagram_at_a_time() {
    let mut wire = Wire::new(EVENTS);
    wire.stream.start("host", 2, START, START);
    wire.stream.flush();
    let first = wire.take();
    assert_eq!(first.len(), 1);
    assert_eq!(first[0][0].addr, "/ftrace/start");
    // When each was announced, ms since the start.
    let mut times = BTreeMap::<String, Vec<u64>>::new();
    let mut hear = |ms: u64, datagrams: &[Vec<OscMessage>]| {
        for address in datagrams.iter().flatten().filter_map(announced) {
            times.entry(address.to_owned()).or_default().push(ms);
        }
    };
    hear(0, &first);
    let mut before = 0;
    for ms in 1..=35_000 {
        wire.stream.announce(START + ms * MS);
        wire.stream.flush();
        let datagrams = wire.take();
        assert!(datagrams.len() <= 1, "{} datagrams in the tick {ms}", datagrams.len());
        if !datagrams.is_empty() {
            assert!((ms - before) * MS >= APART_NS, "only {} ms after the last", ms - before);
            before = ms;
        }
        hear(ms, &datagrams);
    }
    assert_eq!(times.len(), usize::from(EVENTS));
    let slack = 300;
    for (address, times) in times {
        assert!(times[0] <= 1500, "{address}: first announced after {} ms", times[0]);
        assert!(times.len() <= 5, "{address}: announced at {times:?} ms");
        let last = 35_000 - times[times.len() - 1];
        let gaps = times.windows(2).map(|pair| pair[1] - pair[0]).chain([last]);
        assert!(gaps.max().unwrap() * MS <= PERIOD_NS + slack * MS, "{address}: announced at {times:?} ms");
    }
}

#[test]
fn a_few_events_are_announced_with_the_start_in_one_datagram_and_then_every_ten_seconds() {
    let mut wire = Wire::new(3);
    wire.stream.start("host", 2, START, START);
    wire.stream.flush();
    let mut heard = vec![];
    for ms in 0..=30_000 {
        wire.stream.announce(START + ms * MS);
        wire.stream.flush();
        heard.extend(wire.take().iter().map(|datagram| {
            let addresses: Vec<_> = datagram.iter().filter_map(announced).map(str::to_owned).collect();
            (ms, datagram.len(), addresses)
        }));
    }
    let all: Vec<_> = (1..=3).map(address).collect();
    let repeated = [10_000, 20_000, 30_000].map(|ms| (ms, 3, all.clone()));
    assert_eq!(heard.remove(0), (0, 4, all.clone()));
    assert_eq!(heard, repeated);
}

#[test]
fn an_event_is_announced_once_before_its_first_message_however_early() {
    let mut wire = Wire::new(EVENTS);
    wire.stream.start("host", 2, START, START);
    let mut seen = BTreeMap::<String, Vec<&str>>::new();
    // Events in random order, a hundred a tick, most of them before their turn.
    for ms in 0..1200u64 {
        let now = START + ms * MS;
        for n in 0..100 {
            wire.event(((ms * 100 + n) * 7919 % u64::from(EVENTS)) as u16 + 1, now);
        }
        wire.stream.announce(now);
        wire.stream.flush();
        for message in wire.take().iter().flatten() {
            match announced(message) {
                Some(address) => seen.entry(address.to_owned()).or_default().push("announced"),
                None => seen.entry(message.addr.clone()).or_default().push("sent"),
            }
        }
    }
    assert_eq!(seen.remove("/ftrace/start"), Some(vec!["sent"]));
    assert_eq!(seen.len(), usize::from(EVENTS));
    let again = seen.values().filter(|seen| seen.iter().filter(|what| **what == "announced").count() > 1).count();
    for (address, seen) in seen {
        assert_eq!(seen[0], "announced", "{address}");
        assert_eq!(seen[1], "sent", "{address}");
    }
    // The next round, which takes ten seconds, has begun.
    assert!(again <= usize::from(EVENTS) / 5, "{again} were announced twice in 1.2 s");
}

#[test]
fn a_late_event_is_in_the_next_round_and_one_that_reuses_an_id_is_announced_again() {
    let mut wire = Wire::new(2);
    wire.stream.start("host", 2, START, START);
    wire.stream.flush();
    wire.take();
    wire.stream.add(&format(3), &kernel());
    wire.event(3, START + SECOND);
    wire.event(3, START + SECOND);
    wire.stream.flush();
    let addresses = |datagrams: Vec<Vec<OscMessage>>| -> Vec<String> {
        datagrams.iter().flatten().map(|m| announced(m).unwrap_or("sent").to_owned()).collect()
    };
    assert_eq!(addresses(wire.take()), [address(3).as_str(), "sent", "sent"]);
    wire.stream.add(&format(2), &kernel());
    wire.stream.announce(START + SECOND);
    wire.stream.flush();
    assert_eq!(addresses(wire.take()), [address(2)]);
    wire.stream.announce(START + 12 * SECOND);
    wire.stream.flush();
    let mut round = addresses(wire.take());
    round.sort();
    assert_eq!(round, [address(1), address(2), address(3)]);
}

#[test]
fn setting_the_time_of_day_back_does_not_stop_announcements() {
    let mut wire = Wire::new(2);
    wire.stream.start("host", 2, START, START);
    wire.stream.flush();
    wire.take();
    wire.stream.announce(START - 3600 * SECOND);
    wire.stream.flush();
    assert_eq!(wire.take().len(), 1);
    assert_eq!(wire.stream.due(), Some(START - 3600 * SECOND + PERIOD_NS));
}

#[test]
fn a_slow_receiver_with_a_socket_of_the_default_size_loses_no_announcement() {
    let mut wire = Wire::new(EVENTS);
    wire.socket.set_nonblocking(true).unwrap();
    wire.stream.start("host", 2, START, START);
    wire.stream.flush();
    // It takes a datagram, which is seven messages, every 2 ms; and once it pauses for as long as half of its socket lasts.
    let (mut heard, mut datagrams, mut ready_ms) = (BTreeMap::<String, u32>::new(), 0, 0);
    let mut datagram = [0; 2048];
    // Before the second round: a lost one would come again in it.
    for ms in 1..PERIOD_NS / MS {
        wire.stream.announce(START + ms * MS);
        wire.stream.flush();
        if ms < ready_ms {
            continue;
        }
        let Ok(len) = wire.socket.recv(&mut datagram) else { continue };
        for address in messages(&datagram[..len]).iter().filter_map(announced) {
            *heard.entry(address.to_owned()).or_default() += 1;
        }
        datagrams += 1;
        ready_ms = ms + if datagrams == 20 { DEFAULT_SOCKET / 2 * APART_NS / MS } else { 2 };
    }
    assert_eq!(heard.len(), usize::from(EVENTS));
}

/// A clock that advances when the replay sleeps; what was sent until then is received there.
struct Clock {
    now: u64,
    socket: UdpSocket,
    heard: Vec<(u64, OscMessage)>,
}

impl Clock {
    fn hear(&mut self) {
        let mut datagram = [0; 2048];
        while let Ok(len) = self.socket.recv(&mut datagram) {
            self.heard.extend(messages(&datagram[..len]).into_iter().map(|message| (self.now, message)));
        }
    }
}

impl Time for Clock {
    fn now(&mut self) -> u64 {
        self.now
    }

    fn sleep_until(&mut self, unix_ns: u64, longest: Duration) {
        self.hear();
        self.now = unix_ns.min(self.now + longest.as_nanos() as u64).max(self.now);
    }

    fn paused(&mut self) -> u64 {
        0
    }

    fn ended(&mut self) -> bool {
        false
    }
}

struct Nobody;

impl Observer for Nobody {
    fn warn(&mut self, _: &str) {}
    fn position(&mut self, _: u64, _: u64) {}
}

#[test]
fn a_replay_announces_events_before_they_occur_and_every_ten_seconds() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/x86_64-6.18/irq-exceptions");
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_nonblocking(true).unwrap();
    let transport = Transport::connect(socket.local_addr().unwrap(), 0).unwrap();
    let mut outputs = Outputs::default();
    outputs.streams = vec![Stream::new(options(), vec![transport])];
    let mut clock = Clock { now: START, socket, heard: vec![] };
    let open = || capture::open(&path, Open::default());
    let options = PlayOptions {
        speed: Speed::Times(0.015),
        select: Select::default(),
        start_at: Some(START + SECOND),
        repeat: false,
        host: "test".to_owned(),
    };
    play(open().unwrap(), &mut &open, outputs, &options, &mut clock, &mut Nobody).unwrap();
    clock.hear();
    let end = clock.now;
    assert!(end > START + 25 * SECOND, "a stretched capture of {} s", (end - START) / SECOND);
    assert_eq!(clock.heard[0].1.addr, "/ftrace/start");
    let mut last = BTreeMap::<&str, u64>::new();
    for (now, message) in &clock.heard {
        if let Some(address) = announced(message) {
            let before = last.insert(address, *now).unwrap_or(*now);
            assert!(now - before <= PERIOD_NS + SECOND, "{address} for {} s", (now - before) / SECOND);
        } else if message.addr.matches('/').count() == 3 {
            assert!(last.contains_key(message.addr.as_str()), "{} was not announced", message.addr);
        }
    }
    assert!(last.len() > 5, "{last:?}");
    for (address, last) in last {
        assert!(end - last <= PERIOD_NS + SECOND, "{address} not for the last {} s", (end - last) / SECOND);
    }
}
