//! From a page of the ring to OSC bytes in datagrams, in ns per event: the page walk (the floor), the merge over CPUs,
//! typed values, and whole messages packed into datagrams.
//!
//! `cargo bench --bench page_to_osc` measures the fixtures; `CAPTURE=path cargo bench …` any capture of a little-endian
//! kernel. The table at the end gives ratios to the walk of the same run: the machine's mood cancels out.

mod memory;

use std::hint::black_box;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use byteorder::LittleEndian;
use criterion::{BenchmarkId, Criterion, Throughput};
use ftrace_live::capture::{self, Capture};
use ftrace_live::decode::{EventTable, Plan, Value};
use ftrace_live::format::{Abi, HeaderPage};
use ftrace_live::map::Map;
use ftrace_live::names::{Kernel, Names};
use ftrace_live::osc::datagram::Tag;
use ftrace_live::osc::stream::{Stream, StreamOptions};
use ftrace_live::osc::{MessageOptions, Types};
use ftrace_live::output::{Mapped, Output};
use ftrace_live::pipeline::Pipeline;
use ftrace_live::ring::{Merge, Walk};
use memory::Memory;

/// What a typed message says of any event, as a map says it.
const MAP: &str = r#"
[[message]]
address = "/ftrace/{system}/{event}"
args = ["$dt", "$cpu", "$pid", "$comm", "$log(pid, 1, 100000)", "$unit(cpu)"]
"#;

struct Bench {
    header: HeaderPage,
    rings: Vec<(u32, Memory)>,
    plans: Vec<Option<Plan>>,
    pipeline: Pipeline<Stream>,
    mapped: Pipeline<Mapped>,
    events: u64,
}

impl Bench {
    fn new(mut capture: Capture, types: Types) -> Bench {
        let rings = memory::load(&mut capture.rings);
        let table = EventTable::new(capture.events);
        let largest = table.iter().map(|format| format.id.index()).max().unwrap_or(0);
        let mut plans = vec![None; largest + 1];
        for format in table.iter() {
            plans[format.id.index()] = Some(Plan::compile(format));
        }
        let options = StreamOptions::new(MessageOptions::new(types));
        let abi = Abi { endian: capture.endian, long: capture.header.long_size() };
        let kernel = Arc::new(Kernel { abi, names: Names::default() });
        let mut pipeline = Pipeline::new(kernel, Stream::new(options, vec![]), Box::new(|_| Some(b"a task".to_vec())));
        pipeline.add_all(&table);
        let map = Arc::new(Map::parse("the bench's map", MAP).expect("a map"));
        let mapped = Mapped::new(map, 1432, Tag::Event { latency_ns: 0 }, None, vec![]);
        let mut mapped = Pipeline::new(pipeline.kernel().clone(), mapped, Box::new(|_| Some(b"a task".to_vec())));
        mapped.add_all(&table);
        let mut bench = Bench { header: capture.header, rings, plans, pipeline, mapped, events: 0 };
        bench.events = bench.walk();
        bench
    }

    fn walk(&self) -> u64 {
        let (mut events, mut sum) = (0, 0);
        for page in self.rings.iter().flat_map(|(_, ring)| ring.pages.iter()) {
            let Ok((mut walk, _)) = Walk::open::<LittleEndian>(&self.header, page) else { continue };
            while let Some(Ok(found)) = walk.next_in::<LittleEndian>(page) {
                events += 1;
                sum ^= found.time;
            }
        }
        black_box(sum);
        events
    }

    fn merge(&self) {
        let mut sum = 0;
        let _ = Merge::new(self.header.clone(), self.rings.clone()).for_each::<LittleEndian, ()>(|record| {
            sum ^= record.time;
            ControlFlow::Continue(())
        });
        black_box(sum);
    }

    fn values(&self) {
        let mut sum = 0;
        for page in self.rings.iter().flat_map(|(_, ring)| ring.pages.iter()) {
            let Ok((mut walk, _)) = Walk::open::<LittleEndian>(&self.header, page) else { continue };
            while let Some(Ok(found)) = walk.next_in::<LittleEndian>(page) {
                let record = &page[found.payload];
                let id = usize::from(u16::from_le_bytes([record[0], record[1]]));
                let Some(Some(plan)) = self.plans.get(id) else { continue };
                for value in plan.values::<LittleEndian>(record) {
                    sum ^= match value {
                        Ok(Value::Signed(v)) => v as u64,
                        Ok(Value::Unsigned(v) | Value::Pointer(v)) => v,
                        Ok(Value::Text(text)) => text.len() as u64,
                        _ => 1,
                    };
                }
            }
        }
        black_box(sum);
    }

    fn osc(&mut self) {
        run(&self.header, &self.rings, &mut self.pipeline);
    }

    fn mapped(&mut self) {
        run(&self.header, &self.rings, &mut self.mapped);
    }
}

fn run<O: Output>(header: &HeaderPage, rings: &[(u32, Memory)], pipeline: &mut Pipeline<O>) {
    let _ = Merge::new(header.clone(), rings.to_vec()).for_each::<LittleEndian, ()>(|record| {
        pipeline.record::<LittleEndian>(record, None);
        ControlFlow::Continue(())
    });
    pipeline.flush();
}

fn captures() -> Vec<PathBuf> {
    if let Some(path) = std::env::var_os("CAPTURE") {
        return vec![path.into()];
    }
    let fixtures = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/x86_64-6.18"));
    let mut captures: Vec<_> = std::fs::read_dir(fixtures).into_iter().flatten().flatten().map(|e| e.path()).collect();
    captures.retain(|path| path.join("per_cpu").is_dir());
    captures.sort();
    captures
}

/// The quickest of several runs, in ns per event.
fn best(events: u64, mut run: impl FnMut()) -> f64 {
    let mut time = || {
        let began = Instant::now();
        run();
        began.elapsed().as_nanos() as f64 / events.max(1) as f64
    };
    let first = time();
    let runs = (200_000_000.0 / (first * events as f64 + 1.0)).clamp(5.0, 2000.0) as usize;
    (0..runs).map(|_| time()).fold(first, f64::min)
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args().sample_size(20);
    let mut table = Vec::new();
    for path in captures() {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let open = || capture::open(&path, Default::default()).expect("a capture");
        let mut bench = Bench::new(open(), Types::Double);
        let events = bench.events;
        let mut group = criterion.benchmark_group(&name);
        group.throughput(Throughput::Elements(events));
        group.bench_function(BenchmarkId::from_parameter("walk"), |b| b.iter(|| bench.walk()));
        group.bench_function(BenchmarkId::from_parameter("merge"), |b| b.iter(|| bench.merge()));
        group.bench_function(BenchmarkId::from_parameter("values"), |b| b.iter(|| bench.values()));
        group.bench_function(BenchmarkId::from_parameter("osc"), |b| b.iter(|| bench.osc()));
        group.bench_function(BenchmarkId::from_parameter("map"), |b| b.iter(|| bench.mapped()));
        group.finish();
        let walk = best(events, || {
            black_box(bench.walk());
        });
        let rest = [best(events, || bench.merge()), best(events, || bench.values()), best(events, || bench.osc())];
        let full = {
            let mut full = Bench::new(open(), Types::Full);
            best(events, || full.osc())
        };
        let mapped = best(events, || bench.mapped());
        table.push((name, events, walk, rest, full, mapped));
    }
    println!(
        "\n{:24} {:>9} {:>6} {:>7} {:>7} {:>12} {:>12} {:>6}",
        "ns per event", "events", "walk", "merge", "values", "osc double", "osc full", "map"
    );
    for (name, events, walk, [merge, values, osc], full, mapped) in table {
        println!(
            "{name:24} {events:>9} {walk:>6.1} {merge:>7.1} {values:>7.1} {osc:>6.1} ×{:<4.1} {full:>6.1} ×{:<4.1} {mapped:>6.1}",
            osc / walk,
            full / walk
        );
    }
}
