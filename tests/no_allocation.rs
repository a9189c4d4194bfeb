//! From record to datagram and hit nothing is allocated, which is counted here.

use std::alloc::System;
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use byteorder::LittleEndian;
use ftrace_live::capture::{self, Capture};
use ftrace_live::decode::EventTable;
use ftrace_live::format::{Abi, EventId};
use ftrace_live::map::Map;
use ftrace_live::names::{Kernel, Names};
use ftrace_live::osc::datagram::Tag;
use ftrace_live::osc::stream::{Stream, StreamOptions};
use ftrace_live::osc::{MessageOptions, Types};
use ftrace_live::output::{Hits, Mapped, Outputs, Signals};
use ftrace_live::pipeline::Pipeline;
use ftrace_live::sound::MapperOptions;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// One of each kind of expression, for every event.
const MAP: &str = r#"
[[message]]
address = "/a/{event}"
args = ["$unit(dt)", "$log(cpu, 1, 8)", "$pick(cpu, a, b)", "$comm", "$event", 1, "$mul(add(pid, 1), 2):d"]
[[message]]
on = "hit"
address = "/h/{event}"
args = ["$lin(hit.note, 24, 108)", "$hit.form"]
"#;

fn fixture(name: &str) -> Capture {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/x86_64-6.18").join(name);
    capture::open(&path, Default::default()).unwrap()
}

// A single test: others running beside it would be counted.
#[test]
fn nothing_is_allocated_between_record_and_datagram() {
    for types in [Types::Double, Types::Full, Types::Portable] {
        for name in ["sched", "syscalls", "kmem", "irq-exceptions"] {
            let mut capture = fixture(name);
            let table = EventTable::new(std::mem::take(&mut capture.events));
            let abi = Abi { endian: capture.endian, long: capture.header.long_size() };
            let kernel = Arc::new(Kernel { abi, names: Names::default() });
            let message = MessageOptions::new(types);
            let mut options = StreamOptions::new(message);
            options.max_rate = Some(1_000_000);
            let mut outputs = Outputs::default();
            outputs.streams.push(Stream::new(options, vec![]).with_signals(true));
            outputs.hits = Some(Hits::new(MapperOptions::default(), "/ftrace"));
            outputs.signals = Some(Signals::new(Duration::from_millis(20), "/ftrace", &Arc::default()));
            let map = Arc::new(Map::parse("a test's map", MAP).unwrap());
            outputs.mapped = Some(Mapped::new(map, 1432, Tag::Event { latency_ns: 0 }, None, vec![]));
            let mut pipeline = Pipeline::new(kernel, outputs, Box::new(|_| None));
            pipeline.add_all(&table);
            // The records in memory, so that reading files is not counted.
            let mut records = vec![];
            let _ = capture.merge().for_each::<LittleEndian, ()>(|record| {
                records.push((record.cpu, record.time, record.lost, record.bytes.to_vec()));
                ControlFlow::Continue(())
            });
            let mut play = |allocating: &mut BTreeMap<u16, usize>| {
                for (cpu, time, lost, bytes) in &records {
                    let record = ftrace_live::ring::Record { cpu: *cpu, time: *time, ticks: *time, lost: *lost, bytes };
                    let region = Region::new(ALLOCATOR);
                    pipeline.record::<LittleEndian>(record, None);
                    let change = region.change();
                    if change.allocations + change.reallocations > 0 {
                        *allocating.entry(u16::from_le_bytes([bytes[0], bytes[1]])).or_default() += 1;
                    }
                }
                pipeline.flush();
            };
            // The first pass may allocate: every task's name occurs for the first time.
            play(&mut BTreeMap::new());
            let mut allocating = BTreeMap::new();
            play(&mut allocating);
            let events: Vec<_> = allocating
                .into_iter()
                .map(|(id, count)| (table.get(EventId(id)).map(|format| format.full_name()), count))
                .collect();
            assert!(events.is_empty(), "{name} {types}: {events:?} allocate");
            assert!(records.len() > 100, "{name} has {} events", records.len());
        }
    }
}
