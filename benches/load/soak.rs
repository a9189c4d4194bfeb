//! The soak: full load for a time, then bursts for six times as long. Memory, descriptors and threads of player and
//! keeper stay constant, and every event is accounted for: read + lost = written, datagrams sent = received + dropped
//! by the kernel.

use std::collections::BTreeSet;
use std::fs;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use crate::generator::{EVENTS, Generator};
use crate::receiver::Receiver;
use crate::tracer::Tracer;

/// Buffers of the receivers' sockets: large enough, and so small that the kernel must drop.
const ROOMS: [(&str, i32); 2] = [("256 MiB", 256 << 20), ("64 KiB", 64 << 10)];
/// How much memory may grow after warming up, KiB, because of the allocator.
const SLACK_KIB: u64 = 1024;

/// Descriptors that are open briefly: a control file, a folder of `/proc`.
const PASSING: usize = 3;

/// The resources of a process over time.
#[derive(Default)]
struct Watched {
    rss: Vec<u64>,
    descriptors: Vec<usize>,
    threads: BTreeSet<u64>,
}

impl Watched {
    fn look(&mut self, pid: u32) {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let number = |name: &str| -> u64 {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
            line.split_whitespace().next().unwrap().parse().unwrap()
        };
        self.rss.push(number("VmRSS:"));
        self.threads.insert(number("Threads:"));
        self.descriptors.push(fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count());
    }

    /// Prints them; fails if they grow.
    fn tell(&self, who: &str) {
        // The first tenth is warming up.
        let (first, rest) = self.rss.split_at(self.rss.len().div_ceil(10));
        let (warm, most) = (first.last().copied().unwrap_or(0), rest.iter().max().copied().unwrap_or(0));
        // Some are open only briefly; the permanent ones must not become more.
        let (early, late) = self.descriptors.split_at(self.descriptors.len() / 2);
        let least = |part: &[usize]| part.iter().min().copied().unwrap_or(0);
        let (early, late, peak) = (least(early), least(late), self.descriptors.iter().max().copied().unwrap_or(0));
        println!(
            "{who:>8}: resident {warm} KiB when warm, {most} KiB at most after; descriptors {early}, later {late}, at most {peak}; \
             threads {:?}; {} looks",
            self.threads,
            self.rss.len()
        );
        assert!(most <= warm + SLACK_KIB, "{who}: memory grows: {:?}", self.rss);
        assert!(late <= early && peak <= early + PASSING, "{who}: {:?}", self.descriptors);
        assert_eq!(self.threads.len(), 1, "{who}: {:?}", self.threads);
    }
}

/// Soaks for `seconds`, and six times as long in bursts; half of each with a large and half with a small receive
/// buffer.
pub fn soak(seconds: f64) {
    println!("\nsoak: raw_syscalls of one core");
    for (room, bytes) in ROOMS {
        println!("full load, {:.0} s, receiver with {room}", seconds / 2.0);
        run(seconds / 2.0, bytes, |generator| generator.go(None, 1.0).calls);
        println!("bursts of 50 ms each half second, {:.0} s, receiver with {room}", seconds * 3.0);
        run(seconds * 3.0, bytes, |generator| {
            let calls = generator.go(None, 0.05).calls;
            std::thread::sleep(Duration::from_millis(450));
            calls
        });
    }
}

fn run(seconds: f64, room: i32, load: impl Fn(&mut Generator) -> u64) {
    let receiver = Receiver::with_room("/", room);
    let mut generator = Generator::start();
    let arguments = ["-e", "raw_syscalls", "-i", &generator.pid().to_string(), "--no-guard", "--max-rate", "0"];
    let tracer = Tracer::start(receiver.port, &arguments);
    let keeper = tracer.keeper();
    let (mut player_has, mut keeper_has) = (Watched::default(), Watched::default());
    let (began, mut calls) = (Instant::now(), 0);
    while began.elapsed().as_secs_f64() < seconds {
        calls += load(&mut generator);
        player_has.look(tracer.pid());
        keeper_has.look(keeper);
    }
    // Everything has been read and sent; nobody else is traced.
    std::thread::sleep(Duration::from_millis(500));
    let written = crate::written_to(&tracer.instance());
    let said = tracer.stop();
    std::thread::sleep(Duration::from_millis(500));
    let dropped = receiver.dropped();
    let (received, messages) = (receiver.received.datagrams.load(Relaxed), receiver.received.messages.load(Relaxed));
    receiver.stop();
    let sent = said.number(" datagrams");
    println!("  {calls} calls, {written} events written = {} read + {} lost by the kernel", said.read, said.lost);
    println!("  {sent} datagrams sent = {received} received ({messages} messages) + {dropped} dropped by the kernel");
    player_has.tell("player");
    keeper_has.tell("keeper");
    // Its own few other calls are included too.
    assert!(written >= calls * EVENTS, "{written} of {}", calls * EVENTS);
    assert_eq!(said.read + said.lost, written, "{}", said.text);
    assert_eq!(received + dropped, sent, "{}", said.text);
}
