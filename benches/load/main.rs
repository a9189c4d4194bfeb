//! The live bars: which rate is lossless, how late a datagram is, how an idle machine is affected, what a traced load
//! costs, and whether memory stays constant; and, without root, at which rates real receivers lose nothing. Needs two
//! cores. See `benches/README.md`.
//!
//! ```text
//! sudo cargo bench --bench load                       all, a few seconds each
//! sudo cargo bench --bench load -- rate --seconds 10
//! sudo cargo bench --bench load -- stages --seconds 60   what the latency consists of
//! sudo cargo bench --bench load -- memory --seconds 600
//! sudo cargo bench --bench load -- soak --seconds 600
//! cargo bench --bench load -- receivers
//! ```
//!
//! The load runs on CPU 0, `ftrace-live` and the receiver share CPU 1; everything uses loopback and private
//! instances. Other work on the machine distorts the figures: the load average is printed above them.

mod alone;
mod generator;
mod latency;
mod receiver;
mod receivers;
mod soak;
mod tracer;

// Code of the receiver tests that starts receivers.
#[path = "../../tests/common/mod.rs"]
mod common;
#[path = "../../tests/receivers/launch.rs"]
mod launch;

use std::path::Path;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use ftrace_live::tracefs::{CpuStats, Instance, Selection, Tracefs};

use generator::{EVENTS, Generator, pin};
use receiver::Receiver;
use tracer::Tracer;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    if arguments.first().is_some_and(|argument| argument == generator::ARGUMENT) {
        return generator::run();
    }
    let seconds = arguments.iter().position(|argument| argument == "--seconds");
    let seconds = seconds.and_then(|at| arguments.get(at + 1)?.parse::<f64>().ok());
    let asked = |name: &str| {
        let names: Vec<_> = arguments.iter().filter(|word| word.chars().all(char::is_alphabetic)).collect();
        names.is_empty() || names.iter().any(|word| *word == name)
    };
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    println!("load average before: {}", load.split_whitespace().take(3).collect::<Vec<_>>().join(" "));
    if asked("receivers") {
        receivers::rates();
    }
    if !rustix::process::geteuid().is_root() {
        eprintln!("SKIPPED: the live bars need root");
        return;
    }
    pin(1);
    if asked("rate") {
        rate(seconds.unwrap_or(3.0));
    }
    if asked("alone") {
        alone::alone(seconds.unwrap_or(1.0));
    }
    // `stages` by name only: looking costs.
    let stages = arguments.iter().any(|word| word == "stages");
    if stages || asked("latency") {
        latency::latency(seconds.unwrap_or(8.0), stages);
    }
    if asked("idle") {
        idle(seconds.unwrap_or(2.0));
    }
    if asked("cost") {
        cost(seconds.unwrap_or(1.0));
    }
    if asked("memory") {
        memory(seconds.unwrap_or(20.0));
    }
    // Only by name, since it takes long.
    if arguments.iter().any(|word| word == "soak") {
        soak::soak(seconds.unwrap_or(600.0));
    }
}

/// The events that trace the generator's calls.
fn traced(pid: &str) -> [&str; 7] {
    ["-e", "raw_syscalls", "-i", pid, "--no-guard", "-b", "8192"]
}

/// The rate up to which nothing is lost.
fn rate(seconds: f64) {
    println!("\nrate: raw_syscalls of one core, {seconds} s each");
    println!(
        "{:>6} {:>12} {:>12} {:>10} {:>12} {:>8} {:>9} {:>12}",
        "mtu", "events/s", "written", "lost", "received", "%", "ns each", "ns datagram"
    );
    for mtu in ["1432", "8192"] {
        for rate in
            [Some(250_000), Some(500_000), Some(1_000_000), Some(1_500_000), Some(2_000_000), Some(2_700_000), None]
        {
            let receiver = Receiver::start("/ftrace/raw_syscalls", false);
            let mut generator = Generator::start();
            let pid = generator.pid().to_string();
            let tracer = Tracer::start(receiver.port, &[&traced(&pid)[..], &["--mtu", mtu]].concat());
            let done = generator.go(rate, seconds);
            std::thread::sleep(Duration::from_millis(200));
            let spent = tracer.cpu().as_nanos() as f64;
            let said = tracer.stop();
            let received = receiver.received.clone();
            receiver.stop();
            // Its own few other calls are traced as well, so the number written is taken from tracer and kernel.
            let (written, received) = (said.read + said.lost, received.messages.load(Relaxed));
            assert!(written >= done.calls * EVENTS, "{} of {}\n{}", written, done.calls * EVENTS, said.text);
            println!(
                "{mtu:>6} {:>12.0} {written:>12} {:>10} {received:>12} {:>8.3} {:>9.0} {:>12.0}",
                done.rate(),
                said.lost,
                received as f64 / written as f64 * 100.0,
                spent / said.read.max(1) as f64,
                spent / said.number(" datagrams").max(1) as f64
            );
        }
    }
}

/// How an idle machine is affected: the tracer runs and is stopped in turns, so that what the machine does by itself meanwhile is in
/// both. What its ring is given is counted, in which neither it nor the receiver is traced.
fn idle(seconds: f64) {
    println!("\nidle: running and stopped in turns, {seconds} s each, medians of {TURNS}");
    println!(
        "{:>38} {:>9} {:>10} {:>10} {:>6} {:>8} {:>6} {:>9}",
        "events", "receiver", "stopped/s", "running/s", "ratio", "wakes/s", "CPU %", "datagrams"
    );
    for events in ["sched irq", "irq sched syscalls net timer", "syscalls net sock skb sched irq napi"] {
        for reads in [false, true] {
            let words: Vec<&str> = events.split(' ').collect();
            let nobody = Receiver::nobody();
            let receiver = reads.then(|| Receiver::start("/ftrace/", false));
            let port = receiver.as_ref().map_or(nobody.local_addr().unwrap().port(), |receiver| receiver.port);
            let tracer = Tracer::start(port, &[&["-e"], &words[..]].concat());
            // The announcements at the start are not typical of an idle run.
            std::thread::sleep(Duration::from_millis(2000));
            let (mut without, mut with, mut wakes, mut cpu) = (vec![], vec![], vec![], vec![]);
            for _ in 0..TURNS {
                tracer.hold();
                without.push(Idle::of(&tracer, seconds).events);
                tracer.release();
                let running = Idle::of(&tracer, seconds);
                with.push(running.events);
                wakes.push(running.wakes);
                cpu.push(running.cpu * 100.0);
            }
            let said = tracer.stop();
            receiver.map(Receiver::stop);
            let (without, with) = (median(&mut without), median(&mut with));
            println!(
                "{events:>38} {:>9} {without:>10.0} {with:>10.0} {:>6.2} {:>8.0} {:>6.2} {:>9}",
                if reads { "reads" } else { "sleeps" },
                with / without,
                median(&mut wakes),
                median(&mut cpu),
                said.number(" datagrams")
            );
        }
    }
}

/// How often an idle tracer is looked at, running and stopped.
const TURNS: usize = 7;

/// What happens while it runs, or is stopped, a second.
struct Idle {
    /// Given to its rings.
    events: f64,
    wakes: f64,
    /// Of a core.
    cpu: f64,
}

impl Idle {
    fn of(tracer: &Tracer, seconds: f64) -> Idle {
        // It has read what came while it was stopped, or what it did before is over.
        std::thread::sleep(Duration::from_millis(300));
        let look = || (written_to(&tracer.instance()), tracer.wakes(), tracer.cpu_of_all(), Instant::now());
        let before = look();
        std::thread::sleep(Duration::from_secs_f64(seconds));
        let after = look();
        let time = (after.3 - before.3).as_secs_f64();
        Idle {
            events: (after.0 - before.0) as f64 / time,
            wakes: (after.1 - before.1) as f64 / time,
            cpu: (after.2 - before.2).as_secs_f64() / time,
        }
    }
}

/// An instance that records and is not read.
struct Quiet {
    /// It records as long as this lives.
    _instance: Instance,
}

impl Quiet {
    fn start(events: &[&str], pid: Option<u32>) -> Quiet {
        let tracefs = Tracefs::find().unwrap();
        let events = Selection::parse(events).unwrap().resolve(&tracefs.events().unwrap()).unwrap().events;
        let instance = Instance::create(&tracefs, None).unwrap();
        instance.set_buffer_kib(8192).unwrap();
        instance.only_processes(pid.as_slice()).unwrap();
        instance.exclude_ourselves().unwrap();
        instance.enable(&events).unwrap();
        instance.start().unwrap();
        Quiet { _instance: instance }
    }
}

/// Events that the rings of an instance were given.
fn written_to(instance: &Path) -> u64 {
    let rings = std::fs::read_dir(instance.join("per_cpu")).unwrap().flatten();
    let stats = rings.map(|ring| CpuStats::parse(&std::fs::read_to_string(ring.path().join("stats")).unwrap()));
    stats.map(|stats| stats.entries + stats.read + stats.lost()).sum()
}

/// What the traced load costs.
fn cost(seconds: f64) {
    let (mut untraced, mut recorded, mut read) = (vec![], vec![], vec![]);
    let mut generator = Generator::start();
    let pid = generator.pid();
    for _ in 0..7 {
        untraced.push(generator.go(None, seconds).ns());
        {
            let _instance = Quiet::start(&["raw_syscalls"], Some(pid));
            recorded.push(generator.go(None, seconds).ns());
        }
        let receiver = Receiver::start("/ftrace/", false);
        let tracer = Tracer::start(receiver.port, &[&traced(&pid.to_string())[..], &["--mtu", "8192"]].concat());
        read.push(generator.go(None, seconds).ns());
        tracer.stop();
        receiver.stop();
    }
    let [untraced, recorded, read] = [untraced, recorded, read].map(|mut times| median(&mut times));
    println!("\ncost: ns a getppid, flat out, medians of 7 × {seconds} s");
    println!("{:>10} {:>10} {:>10} {:>12}", "untraced", "recorded", "read", "read costs %");
    println!("{untraced:>10.0} {recorded:>10.0} {read:>10.0} {:>12.1}", (read / recorded - 1.0) * 100.0);
}

/// Whether memory stays constant under full load.
fn memory(seconds: f64) {
    let receiver = Receiver::start("/ftrace/", false);
    let mut generator = Generator::start();
    let tracer = Tracer::start(receiver.port, &traced(&generator.pid().to_string()));
    let began = Instant::now();
    let (mut first, mut events) = (0, 0);
    while began.elapsed().as_secs_f64() < seconds {
        events += generator.go(None, 2.0).calls * EVENTS;
        if first == 0 {
            first = tracer.status("VmRSS");
        }
    }
    let (last, most) = (tracer.status("VmRSS"), tracer.status("VmHWM"));
    tracer.stop();
    receiver.stop();
    println!("\nmemory: resident KiB under full load, {:.0} s, {events} events", began.elapsed().as_secs_f64());
    println!("{:>10} {:>10} {:>10}", "after 2 s", "at the end", "most");
    println!("{first:>10} {last:>10} {most:>10}");
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
