//! Start-up and text: ns per format compiled, and ns per event rendered by its print format, over a capture held in memory.
//!
//! `cargo bench --bench print_formats`, or `… -- CAPTURE…`. Events that the kernel prints by code of its own (system calls, probes)
//! are rendered by their print format too: what is measured is this crate, not that text.
mod captures;

use std::hint::black_box;
use std::path::Path;
use std::time::{Duration, Instant};

use byteorder::LittleEndian;
use ftrace_live::{
    capture,
    format::{Endian, print_fmt::PrintFmt},
    names::Names,
    render::TextPlan,
};

const ROUNDS: u32 = 20;

fn main() {
    captures::asked().iter().for_each(|path| measure(path));
}

fn measure(path: &Path) {
    println!("{}", path.display());
    let mut capture = capture::open(path, Default::default()).unwrap();
    let long = capture.header.long_size();
    let (names, _) = Names::load(path);

    let mut parsing = Duration::MAX;
    for _ in 0..ROUNDS {
        let start = Instant::now();
        for format in &capture.events {
            black_box(PrintFmt::parse(&format.print_fmt));
        }
        parsing = parsing.min(start.elapsed());
    }
    println!("{} formats parsed in {parsing:.1?}", capture.events.len());

    let mut plans: Vec<Option<TextPlan>> = vec![];
    let mut compiling = Duration::MAX;
    for _ in 0..ROUNDS {
        plans.clear();
        let start = Instant::now();
        for format in &capture.events {
            let index = format.id.index();
            plans.resize_with(plans.len().max(index + 1), || None);
            plans[index] = Some(TextPlan::compile(format, long, Endian::Little, &names));
        }
        compiling = compiling.min(start.elapsed());
    }
    println!("{} formats parsed and compiled in {compiling:.1?}", capture.events.len());

    let mut records: Vec<Vec<u8>> = vec![];
    let mut merge = capture.merge();
    while let Some(record) = merge.next_record::<LittleEndian>() {
        records.push(record.bytes.to_vec());
    }
    let (mut rendering, mut bytes) = (Duration::MAX, 0);
    let mut out = Vec::new();
    for _ in 0..ROUNDS {
        bytes = 0;
        let start = Instant::now();
        for record in &records {
            out.clear();
            let id = usize::from(u16::from_le_bytes([record[0], record[1]]));
            if let Some(Some(plan)) = plans.get(id) {
                plan.render(record, &names, &mut out);
            }
            bytes += black_box(&out).len();
        }
        rendering = rendering.min(start.elapsed());
    }
    let each = rendering.as_nanos() as f64 / records.len() as f64;
    println!("{} events, {bytes} bytes of text: {each:.0} ns per event", records.len());
}
