//! How old an event is when its datagram is in the receiver's hands; and with `stages`, what that time consists of.
//!
//! The stages are looked at from outside, by a second instance on the same clock that records what the player, its keeper,
//! the receiver and the writer do: their system calls, when each is woken and when it runs.

use std::fs::OpenOptions;
use std::io::Write;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use ftrace_live::tracefs::{EventName, Instance, TraceClock, Tracefs};

use crate::receiver::Receiver;
use crate::tracer::Tracer;

/// Of the slowest, so many are shown stage by stage.
const SHOWN: usize = 20;
/// What the bar allows 99 of 100, ns.
const BAR_NS: u64 = 500_000;
/// Room of the second instance for each CPU.
const ROOM_KIB: u64 = 64 << 10;

/// Writes lone events for `seconds` and tells how old they were on arrival, and with `stages` why.
pub fn latency(seconds: f64, stages: bool) {
    let receiver = Receiver::start("/ftrace/ftrace/print", true);
    let tracer = Tracer::start(receiver.port, &["-e", "signal"]);
    let tasks = Tasks { player: tracer.pid(), receiver: receiver.tid, keeper: tracer.keeper(), writer: tid() };
    let watch = stages.then(|| watch(&tasks));
    let mut marker = OpenOptions::new().write(true).open(tracer.instance().join("trace_marker")).unwrap();
    let (began, mut written) = (Instant::now(), Vec::new());
    while began.elapsed().as_secs_f64() < seconds {
        let stolen = if stages { stolen() } else { 0 };
        let before = now_ns();
        marker.write_all(b"x\n").unwrap();
        written.push(Written { before, stolen });
        // From 4 to 20 ms apart, in no step with the tick.
        std::thread::sleep(Duration::from_micros(4000 + written.len() as u64 * 7919 % 16_000));
    }
    std::thread::sleep(Duration::from_millis(100));
    drop(marker);
    let text = watch.map(|instance| {
        instance.stop().unwrap();
        instance.read("trace").unwrap()
    });
    tracer.stop();
    assert_eq!(receiver.received.messages.load(Relaxed), written.len() as u64);
    let arrived = receiver.stop();
    let mut ages: Vec<_> = arrived.iter().map(|arrived| arrived.age).collect();
    ages.sort_unstable();
    let part = |part: f64| ages.get((ages.len() as f64 * part) as usize).map_or(f64::NAN, |ns| *ns as f64 / 1e6);
    println!("\nlatency: trace_marker to the receiver's recvmmsg, {} of {} events", ages.len(), written.len());
    println!("{:>10} {:>10} {:>10} {:>10} {:>10}", "median ms", "p90", "p99", "p99.9", "max");
    println!(
        "{:>10.3} {:>10.3} {:>10.3} {:>10.3} {:>10.3}",
        part(0.5),
        part(0.9),
        part(0.99),
        part(0.999),
        part(1.0 - 1e-9)
    );
    if let Some(text) = text {
        let arrived: Vec<_> = arrived.iter().map(|arrived| arrived.at).collect();
        tell(&tasks, &written, &arrived, &parse(&text));
    }
}

/// Those whose doing is watched.
struct Tasks {
    player: u32,
    receiver: u32,
    keeper: u32,
    writer: u32,
}

/// An event that was written.
struct Written {
    /// On the clock of the trace, ns.
    before: u64,
    /// Ticks that the host had given to others before.
    stolen: u64,
}

/// What a task did, on the clock of the trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Did {
    /// A system call began, by number.
    Enter(i64),
    /// It ended, with its result.
    Exit(i64, i64),
    /// Somebody woke it.
    Waking,
    /// It runs.
    On,
    /// It runs no more; whether it would go on if it could.
    Off(bool),
}

fn tid() -> u32 {
    rustix::thread::gettid().as_raw_nonzero().get() as u32
}

/// The time of `CLOCK_MONOTONIC`, by which the trace clock `mono` goes.
pub fn now_ns() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

/// Hundredths of a second that the host gave to others, of all CPUs.
fn stolen() -> u64 {
    let stat = std::fs::read_to_string("/proc/stat").unwrap_or_default();
    stat.lines().next().and_then(|line| line.split_whitespace().nth(8)?.parse().ok()).unwrap_or(0)
}

/// Records what these do.
fn watch(tasks: &Tasks) -> Instance {
    let tracefs = Tracefs::find().unwrap();
    let instance = Instance::create(&tracefs, None).unwrap();
    instance.set_clock(&TraceClock::Mono).unwrap();
    instance.set_buffer_kib(ROOM_KIB).unwrap();
    instance.only_processes(&[tasks.player, tasks.receiver, tasks.keeper, tasks.writer]).unwrap();
    let events = [
        ("raw_syscalls", "sys_enter"),
        ("raw_syscalls", "sys_exit"),
        ("sched", "sched_waking"),
        ("sched", "sched_switch"),
    ];
    instance.enable(&events.map(|(group, name)| EventName::new(group, name))).unwrap();
    instance.start().unwrap();
    instance
}

/// What was done by whom and when, ns, from the kernel's text.
fn parse(text: &str) -> Vec<(u64, u32, Did)> {
    let field = |line: &str, name: &str| -> Option<u32> {
        let rest = line.split(name).nth(1)?;
        rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
    };
    let mut all = Vec::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let mut found = || -> Option<()> {
            let (task, rest) = line.split_once(" [")?;
            let pid: u32 = task.rsplit_once('-')?.1.trim().parse().ok()?;
            let (flags, rest) = rest.split_once(": ")?;
            let (seconds, fraction) = flags.rsplit_once(' ')?.1.split_once('.')?;
            let at = seconds.parse::<u64>().ok()? * 1_000_000_000 + fraction.parse::<u64>().ok()? * 1000;
            let numbers =
                || rest.split(|c: char| !(c.is_ascii_digit() || c == '-')).filter_map(|word| word.parse().ok());
            if rest.starts_with("sys_enter: ") {
                all.push((at, pid, Did::Enter(numbers().next()?)));
            } else if rest.starts_with("sys_exit: ") {
                let mut numbers = numbers();
                all.push((at, pid, Did::Exit(numbers.next()?, numbers.next()?)));
            } else if rest.starts_with("sched_waking: ") {
                all.push((at, field(rest, " pid=")?, Did::Waking));
            } else if rest.starts_with("sched_switch: ") {
                all.push((at, field(rest, "prev_pid=")?, Did::Off(rest.contains("prev_state=R"))));
                all.push((at, field(rest, "next_pid=")?, Did::On));
            }
            Some(())
        };
        found();
    }
    all
}

/// The stages of one event, ns.
#[derive(Debug, Clone, Copy, Default)]
struct Stages {
    /// Until the player is woken.
    woken: u64,
    /// Until it runs.
    runs: u64,
    /// From there until it has read and encoded, and of that the time in which it did not run.
    made: u64,
    made_off: u64,
    /// Its `sendto` or `sendmmsg`.
    sent: u64,
    /// Until the receiver runs.
    received: u64,
    /// Until it has the datagram and the time.
    taken: u64,
}

const NAMES: [&str; 7] = ["woken", "runs", "made", "of it off", "sent", "receiver", "taken"];

impl Stages {
    fn all(&self) -> [u64; 7] {
        [self.woken, self.runs, self.made, self.made_off, self.sent, self.received, self.taken]
    }

    /// Of an event that was written at `before` and has arrived at `at`.
    fn of(tasks: &Tasks, did: &[(u64, u32, Did)], before: u64, at: u64) -> Stages {
        let from = did.partition_point(|(time, ..)| *time + 1000 < before);
        let to = did.partition_point(|(time, ..)| *time <= at);
        let here = did.get(from..to).unwrap_or_default();
        let first = |pid: u32, from: u64, what: fn(&Did) -> bool| {
            here.iter().find(|(time, who, did)| *who == pid && *time >= from && what(did)).map(|(time, ..)| *time)
        };
        let sends = |did: &Did| matches!(did, Did::Enter(call) if is_send(*call));
        let sent = |did: &Did| matches!(did, Did::Exit(call, _) if is_send(*call));
        // The last datagram before it arrived is the one that brought it.
        let last_send =
            here.iter().rev().find(|(_, who, did)| *who == tasks.player && sends(did)).map(|(time, ..)| *time);
        let send = last_send.unwrap_or(at);
        let woken = first(tasks.player, before, |did| *did == Did::Waking).unwrap_or(before).clamp(before, send);
        let runs = first(tasks.player, woken, |did| *did == Did::On).unwrap_or(woken).clamp(woken, send);
        let done = first(tasks.player, send, sent).unwrap_or(at);
        let on =
            here.iter().rev().find(|(_, who, did)| *who == tasks.receiver && *did == Did::On).map(|(time, ..)| *time);
        let on = on.unwrap_or(done).clamp(done.min(at), at);
        Stages {
            woken: woken - before,
            runs: runs - woken,
            made: send - runs,
            made_off: off(here, tasks.player, runs, send),
            sent: done - send,
            received: on - done.min(on),
            taken: at - on,
        }
    }
}

/// How long a task did not run between two times.
fn off(did: &[(u64, u32, Did)], pid: u32, from: u64, to: u64) -> u64 {
    let (mut since, mut sum) = (None, 0);
    for (time, _, did) in did.iter().filter(|(time, who, _)| *who == pid && (from..=to).contains(time)) {
        match did {
            Did::Off(_) => since = Some(*time),
            Did::On => sum += since.take().map_or(0, |since| time - since),
            _ => {}
        }
    }
    sum
}

fn is_send(call: i64) -> bool {
    [libc::SYS_sendto, libc::SYS_sendmmsg, libc::SYS_sendmsg].contains(&call)
}

/// Says what the slow ones waited for, and shows the slowest.
fn tell(tasks: &Tasks, written: &[Written], arrived: &[u64], did: &[(u64, u32, Did)]) {
    println!(
        "player {}, its keeper {}, receiver {}, writer {}",
        tasks.player, tasks.keeper, tasks.receiver, tasks.writer
    );
    let mut events: Vec<_> = written.iter().zip(arrived).enumerate().collect();
    let age = |(written, at): (&Written, &u64)| at.saturating_sub(written.before);
    events.sort_by_key(|(_, event)| std::cmp::Reverse(age(*event)));
    let slow: Vec<_> = events.iter().filter(|(_, event)| age(*event) > BAR_NS).collect();
    let stages = |event: (&Written, &u64)| Stages::of(tasks, did, event.0.before, *event.1);
    println!("{} later than {} ms; of these by the longest stage:", slow.len(), BAR_NS as f64 / 1e6);
    let mut counts = [0; 7];
    for (_, event) in &slow {
        let mut all = stages(*event).all();
        // What ran is told from what did not.
        all[2] -= all[3].min(all[2]);
        let longest = (0..7).max_by_key(|index| all[*index]).unwrap_or(0);
        counts[longest] += 1;
    }
    NAMES.iter().zip(counts).for_each(|(name, count)| print!("  {name} {count}"));
    println!("\nthe slowest, µs:");
    print!("{:>6} {:>8} {:>9} {:>6}", "number", "at s", "all", "steal");
    NAMES.iter().for_each(|name| print!(" {name:>9}"));
    println!();
    let began = written.first().map_or(0, |written| written.before);
    for (index, event) in events.iter().take(SHOWN) {
        let after = written.get(index + 1).map_or(event.0.stolen, |next| next.stolen);
        let at = (event.0.before - began) as f64 / 1e9;
        print!("{index:>6} {at:>8.3} {:>9} {:>6}", age(*event) / 1000, after - event.0.stolen);
        stages(*event).all().iter().for_each(|ns| print!(" {:>9}", ns / 1000));
        println!();
    }
    // The slowest whole, as the kernel saw it, and the slowest for the player's own work.
    let own = |event: (&Written, &u64)| stages(event).all()[2];
    let worked = events.iter().take(SHOWN).max_by_key(|(_, event)| own(*event));
    for (index, event) in events.first().into_iter().chain(worked) {
        println!("number {index}, from its writing:");
        let here = did
            .iter()
            .filter(|(time, ..)| (event.0.before.saturating_sub(2_000_000)..=*event.1 + 100_000).contains(time));
        for (time, who, did) in here.take(400) {
            println!("  {:>9.3} ms  {who:>8} {did:?}", (*time as f64 - event.0.before as f64) / 1e6);
        }
    }
}
