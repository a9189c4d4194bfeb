//! How many `--readers` a machine needs: costs measured here, and a server simulated with them.
//!
//! Measured, in this thread's own time: the merge of the rings of one reader (simulated in memory), encoding a record
//! into a datagram (a fixture's events), sending a datagram to a socket on loopback with a receiver that reads it, and,
//! as root, the kernel's part ([`kernel`]). Simulated, millisecond by millisecond: CPUs that write at individual rates,
//! which change every 50 ms (a mean times an exponential variate, limited to what a core can write), rings that are
//! overwritten when they are full, and readers each of which loses its processor for 10 ms once in ten seconds.

use std::hint::black_box;
use std::net::UdpSocket;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use byteorder::LittleEndian;
use ftrace_live::capture;
use ftrace_live::decode::EventTable;
use ftrace_live::format::{Abi, HeaderPage};
use ftrace_live::names::{self, Names};
use ftrace_live::osc::MessageOptions;
use ftrace_live::osc::stream::{Stream, StreamOptions};
use ftrace_live::osc::transport::Transport;
use ftrace_live::pipeline::Pipeline;
use ftrace_live::ring::Merge;

use crate::kernel::{self, Kernel};
use crate::memory::{self, Memory};
use crate::rings::{Order, interleaved, scatter};
use crate::{cpu_ns, merged};

/// Bytes of a record in the ring, with its header: the mean of the fixtures.
const RECORD: f64 = 44.0;
/// Events in a sub-buffer of 4 KiB.
const IN_SUB_BUFFER: f64 = 4080.0 / RECORD;
/// The most that a core can write, events per ms.
const MOST: f64 = 2500.0;
/// What the kernel's part of a turn costs where it cannot be measured, without root.
const ASSUMED: Kernel = Kernel { sub_buffer: 529.0, empty: 500.0, turn: 2000.0 };
const MS: f64 = 1e6;
const SECONDS: u64 = 20;

/// Costs, ns.
#[derive(Debug)]
struct Costs {
    /// For an event, with 1, 2, 8, 32 and 128 rings per reader.
    merge: Vec<(u64, f64)>,
    encode: f64,
    datagram: f64,
    /// Events in a datagram of 1432 bytes, as the fixture fills them.
    in_datagram: f64,
    /// Reads of rings, full and empty, and the rest of a turn.
    kernel: Kernel,
}

impl Costs {
    fn measure() -> Costs {
        const EVENTS: u64 = 100_000;
        const RUNS: u64 = 15;
        let best = |run: &mut dyn FnMut()| {
            let time = |run: &mut dyn FnMut()| {
                let began = cpu_ns();
                run();
                cpu_ns() - began
            };
            (0..RUNS).map(|_| time(run)).fold(f64::MAX, f64::min)
        };
        let merge = [1, 2, 8, 32, 128].map(|count| {
            let rings = interleaved(count, EVENTS, Order::Random);
            (
                count,
                best(&mut || {
                    black_box(merged(&rings));
                }) / EVENTS as f64,
            )
        });
        let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/x86_64-6.18/one-second");
        let (header, rings, events) = loaded(&fixture);
        let walked = best(&mut || {
            black_box(walk(&header, &rings));
        });
        let mut nowhere = pipeline(&fixture, vec![]);
        let packed = best(&mut || run(&header, &rings, &mut nowhere));
        let receiver = UdpSocket::bind("127.0.0.1:0").expect("a socket");
        receiver.set_read_timeout(Some(Duration::from_secs(1))).expect("a time");
        let transport = Transport::connect(receiver.local_addr().expect("an address"), 0).expect("a transport");
        let reading = std::thread::spawn(move || while receiver.recv(&mut [0; 2048]).is_ok() {});
        let mut sending = pipeline(&fixture, vec![transport]);
        let sent = best(&mut || run(&header, &rings, &mut sending));
        let in_datagram = (events * RUNS) as f64 / sending.outputs().counts().datagrams.max(1) as f64;
        drop(sending);
        drop(reading);
        let datagrams = events as f64 / in_datagram;
        let kernel = kernel::measure().unwrap_or_else(|| {
            eprintln!("the kernel's part is assumed: measuring it needs root");
            ASSUMED
        });
        Costs {
            merge: merge.to_vec(),
            encode: (packed - walked).max(0.0) / events as f64,
            datagram: (sent - packed).max(0.0) / datagrams,
            in_datagram,
            kernel,
        }
    }

    /// For an event of a reader with `rings` rings, ns.
    fn event(&self, rings: u64) -> f64 {
        let merge =
            self.merge.iter().find(|(count, _)| *count >= rings).or(self.merge.last()).map_or(0.0, |(_, ns)| *ns);
        merge + self.encode + self.datagram / self.in_datagram + self.kernel.sub_buffer / IN_SUB_BUFFER
    }
}

type Rings = Vec<(u32, Memory)>;

fn loaded(path: &Path) -> (HeaderPage, Rings, u64) {
    let mut capture = capture::open(path, Default::default()).expect("a fixture");
    let rings = memory::load(&mut capture.rings);
    let events = walk(&capture.header, &rings);
    (capture.header, rings, events)
}

fn walk(header: &HeaderPage, rings: &Rings) -> u64 {
    let mut events = 0;
    let _ = Merge::new(header.clone(), rings.clone()).for_each::<LittleEndian, ()>(|_| {
        events += 1;
        ControlFlow::Continue(())
    });
    events
}

fn pipeline(path: &Path, transports: Vec<Transport>) -> Pipeline<Stream> {
    let capture = capture::open(path, Default::default()).expect("a fixture");
    let options = StreamOptions::new(MessageOptions::default());
    let abi = Abi { endian: capture.endian, long: capture.header.long_size() };
    let kernel = Arc::new(names::Kernel { abi, names: Names::default() });
    let stream = Stream::new(options, transports);
    let mut pipeline = Pipeline::new(kernel, stream, Box::new(|_| Some(b"a task".to_vec())));
    pipeline.add_all(&EventTable::new(capture.events));
    pipeline
}

fn run(header: &HeaderPage, rings: &Rings, pipeline: &mut Pipeline<Stream>) {
    let _ = Merge::new(header.clone(), rings.clone()).for_each::<LittleEndian, ()>(|record| {
        pipeline.record::<LittleEndian>(record, None);
        ControlFlow::Continue(())
    });
    pipeline.flush();
}

/// The result of a simulated run.
#[derive(Debug, Clone, Copy, Default)]
struct Outcome {
    written: f64,
    lost: f64,
    /// The share of a reader's time.
    busy: f64,
    /// The fullest state of a ring, events.
    fullest: f64,
}

fn simulate(costs: &Costs, cpus: u64, rate: f64, readers: u64, buffer_kib: f64) -> Outcome {
    let room = buffer_kib * 1024.0 / RECORD;
    let mut outcome = Outcome::default();
    for reader in 0..readers {
        let own = (reader * cpus / readers)..((reader + 1) * cpus / readers);
        let count = own.end - own.start;
        let event = costs.event(count);
        let mut rings = vec![0.0f64; count as usize];
        let (mut debt, mut busy) = (0.0f64, 0.0f64);
        for ms in 0..SECONDS * 1000 {
            for (ring, cpu) in rings.iter_mut().zip(own.clone()) {
                // A number in (0, 1] for this CPU in these 50 ms.
                let part = ((scatter(cpu * 1_000_003 + ms / 50) >> 11) as f64 + 1.0) / (1u64 << 53) as f64;
                let wrote = (rate / 1000.0 / cpus as f64 * -part.ln()).min(MOST);
                outcome.written += wrote;
                *ring += wrote;
                let over = (*ring - room).max(0.0);
                outcome.lost += over;
                *ring -= over;
                outcome.fullest = outcome.fullest.max(*ring);
            }
            if scatter(reader << 40 | ms).is_multiple_of(10_000) {
                debt += 10.0 * MS;
            }
            // A turn that was longer than a tick, or a time without a processor, is made up for.
            let mut left = MS - debt - costs.kernel.turn - costs.kernel.empty * count as f64;
            debt = (-left).max(0.0);
            if left <= 0.0 {
                continue;
            }
            let waiting: f64 = rings.iter().sum();
            let read = (left / event).min(waiting);
            let part = if waiting > 0.0 { read / waiting } else { 0.0 };
            rings.iter_mut().for_each(|ring| *ring -= *ring * part);
            left -= read * event;
            busy += MS - left.max(0.0);
        }
        outcome.busy = outcome.busy.max(busy / (SECONDS as f64 * 1000.0 * MS));
    }
    outcome
}

/// Prints the table for an operator.
pub fn server() {
    let costs = Costs::measure();
    println!("\nserver: {costs:.1?}");
    println!(
        "an event of a reader of 1, 8, 32 and 64 rings: {:.0?} ns",
        [1, 8, 32, 64].map(|rings| costs.event(rings))
    );
    println!(
        "{:>6} {:>12} {:>8} {:>10} {:>10} {:>8} {:>14}",
        "CPUs", "events/s", "readers", "KiB a CPU", "lost", "busy", "fullest, KiB"
    );
    for cpus in [8u64, 32, 64, 128] {
        for rate in [1e6, 2.5e6, 5e6, 10e6, 20e6] {
            if rate / cpus as f64 > MOST * 1000.0 / 2.0 {
                continue;
            }
            let buffers = [1408.0, 4096.0, 8192.0, 16384.0];
            // The fewest readers that are busy at most seven tenths of the time, and then the smallest ring that
            // loses nothing.
            let fits = |readers: &u64| simulate(&costs, cpus, rate, *readers, 16384.0).busy <= 0.7;
            let Some(readers) = (1..=cpus).find(fits) else {
                println!("{cpus:>6} {rate:>12.1e} more than there are CPUs");
                continue;
            };
            let run = |buffer: &f64| (*buffer, simulate(&costs, cpus, rate, readers, *buffer));
            let runs: Vec<_> = buffers.iter().map(run).collect();
            let Some((buffer, outcome)) = runs.iter().find(|(_, outcome)| outcome.lost == 0.0).or(runs.last()) else {
                continue;
            };
            println!(
                "{cpus:>6} {rate:>12.1e} {readers:>8} {buffer:>10.0} {:>9.3}% {:>7.0}% {:>14.0}",
                outcome.lost * 100.0 / outcome.written,
                outcome.busy * 100.0,
                outcome.fullest * RECORD / 1024.0
            );
        }
    }
    println!("64 CPUs, 10 M events/s, 8 MiB a CPU:");
    for readers in [1, 2, 4, 8, 16] {
        let Outcome { written, lost, busy, .. } = simulate(&costs, 64, 10e6, readers, 8192.0);
        println!("{readers:>6} readers: {:>6.2} % lost, the busiest {:>3.0} %", lost * 100.0 / written, busy * 100.0);
    }
}
