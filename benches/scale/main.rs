//! The cost of many CPUs: each row of the table "Many CPUs" in `benches/README.md`, by name.
//!
//! ```text
//! cargo bench --bench scale               all of them
//! cargo bench --bench scale -- merge      the merge of N rings, ns an event, all N in one run
//! cargo bench --bench scale -- server     how many readers a machine takes, simulated with costs measured here
//! CAPTURE=x.dat cargo bench --bench scale -- jobs    one thread against two, in turns
//! ```
//!
//! Ratios are from one run in which the parts alternate, so that variations of the machine cancel out.

mod jobs;
mod kernel;
#[path = "../memory/mod.rs"]
mod memory;
mod rings;
mod server;

use std::hint::black_box;
use std::ops::ControlFlow;

use byteorder::LittleEndian;
use ftrace_live::ring::Merge;

use memory::Memory;
use rings::{Order, header, interleaved};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let asked = |name: &str| arguments.is_empty() || arguments.iter().any(|word| word == name);
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    println!("load average before: {}", load.split_whitespace().take(3).collect::<Vec<_>>().join(" "));
    if asked("merge") {
        merge();
    }
    if asked("server") {
        server::server();
    }
    if asked("jobs") {
        jobs::jobs();
    }
}

/// The merge, if neighbours in time come from different CPUs.
fn merge() {
    const EVENTS: u64 = 100_000;
    const ROUNDS: usize = 40;
    println!("\nmerge: {EVENTS} events on N rings, best of {ROUNDS}");
    println!(
        "{:>6} {:>18} {:>12} {:>18} {:>12}",
        "rings", "in turns, ns each", "to 2 rings", "at random, ns", "to 2 rings"
    );
    let sets: Vec<_> = [1, 2, 8, 32, 128, 512].into();
    let orders = [Order::Turns, Order::Random];
    let rings = |count: &u64| orders.map(|order| interleaved(*count, EVENTS, order));
    let rings: Vec<_> = sets.iter().map(rings).collect();
    let mut best = vec![[f64::MAX; 2]; sets.len()];
    for _ in 0..ROUNDS {
        for (best, rings) in best.iter_mut().flatten().zip(rings.iter().flatten()) {
            let began = cpu_ns();
            black_box(merged(rings));
            *best = best.min((cpu_ns() - began) / EVENTS as f64);
        }
    }
    let two = best[1];
    for (count, [turns, random]) in sets.iter().zip(&best) {
        println!("{count:>6} {turns:>18.1} {:>12.2} {random:>18.1} {:>12.2}", turns / two[0], random / two[1]);
    }
}

/// This thread's own time, which other work on the machine does not affect.
fn cpu_ns() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    time.tv_sec as f64 * 1e9 + time.tv_nsec as f64
}

fn merged(rings: &[(u32, Memory)]) -> u64 {
    let mut sum = 0u64;
    let _ = Merge::new(header(), rings.to_vec()).for_each::<LittleEndian, ()>(|record| {
        sum = sum.wrapping_add(record.time ^ record.bytes.len() as u64);
        ControlFlow::Continue(())
    });
    sum
}
