//! The kernel's own lines: start-up with names and every event's text, and ns per line, on a capture in memory.
//!
//! `cargo bench --bench kernel_text`, or `… -- CAPTURE…` for other folders of little-endian captures.
mod captures;

use std::hint::black_box;
use std::path::Path;
use std::time::{Duration, Instant};

use byteorder::LittleEndian;
use ftrace_live::capture::folder;
use ftrace_live::format::btf::Btf;
use ftrace_live::names::Names;
use ftrace_live::render::Settings;
use ftrace_live::ring::{Lost, Record};

const ROUNDS: u32 = 20;

/// The shortest of several runs.
fn shortest<T>(mut run: impl FnMut() -> T) -> Duration {
    let time = |_| {
        let start = Instant::now();
        black_box(run());
        start.elapsed()
    };
    (0..ROUNDS).map(time).min().unwrap_or_default()
}

fn main() {
    captures::asked().iter().for_each(|path| measure(path));
}

fn measure(path: &Path) {
    println!("{}", path.display());
    let mut capture = folder::open(path).unwrap();
    let opening = shortest(|| folder::open(path).unwrap().events.len());
    println!("{} formats read and parsed in {opening:.1?}", capture.events.len());
    let (names, _) = Names::load(path);
    println!("names loaded in {:.1?}", shortest(|| Names::load(path)));
    if let Ok(btf) = std::fs::read(path.join("btf")) {
        println!("  of these BTF of {} bytes in {:.1?}", btf.len(), shortest(|| Btf::parse(&btf)));
    }
    let settings = Settings::load(path, &capture.clock);
    let compile = || settings.text(&capture.events, capture.header.long_size(), capture.endian, &names);
    println!("texts compiled in {:.1?}", shortest(compile));

    let mut text = compile();
    let mut records: Vec<(u32, u64, Vec<u8>)> = vec![];
    let mut merge = capture.merge();
    while let Some(record) = merge.next_record::<LittleEndian>() {
        records.push((record.cpu, record.time, record.bytes.to_vec()));
    }
    let (mut out, mut bytes) = (Vec::new(), 0);
    let writing = shortest(|| {
        bytes = 0;
        for (cpu, time, record) in &records {
            out.clear();
            let record = Record { cpu: *cpu, time: *time, ticks: *time, lost: Lost::Nothing, bytes: record };
            text.write::<LittleEndian>(&mut out, &record, &names);
            bytes += black_box(&out).len();
        }
    });
    let lines = records.len().max(1);
    let each = writing.as_nanos() as f64 / lines as f64;
    println!("{lines} lines of {} bytes on average in {each:.0} ns each", bytes / lines);
}
