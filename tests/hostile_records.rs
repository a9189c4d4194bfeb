//! Records that no kernel wrote: for any bytes, every event has a text of limited length, and nothing panics.

mod common;

use std::path::Path;

use byteorder::{BigEndian, ByteOrder, LittleEndian};
use common::chance::Chance;
use common::corpus;
use ftrace_live::capture::folder;
use ftrace_live::format::Endian;
use ftrace_live::names::Names;
use ftrace_live::render::{GraphOptions, Settings, TraceText};
use ftrace_live::ring::{Lost, Record};

/// The longest text of a record of `len` bytes: more than a line of the kernel can have.
fn longest(len: usize) -> usize {
    64 * 1024 + 64 * len
}

/// Random records for every event, then the capture's own with changed bytes and truncated ends.
fn torment<E: ByteOrder>(path: &Path, graph: bool) {
    let mut capture = folder::open(path).unwrap();
    let (names, _) = Names::load(path);
    let mut settings = Settings::load(path, &capture.clock);
    settings.graph = graph.then(GraphOptions::default);
    let mut text: TraceText = settings.text(&capture.events, capture.header.long_size(), capture.endian, &names);
    let mut chance = Chance(0x9e37_79b9_7f4a_7c15);
    let mut out = vec![];
    let mut write = |cpu: usize, time: u64, bytes: &[u8]| {
        out.clear();
        let record = Record { cpu: cpu as u32, time, ticks: time, lost: Lost::Nothing, bytes };
        text.write::<E>(&mut out, &record, &names);
        // In the graph layout one record can release the lines of many others.
        assert!(graph || out.len() <= longest(bytes.len()), "{} bytes for {bytes:?}", out.len());
    };
    for format in &capture.events {
        for _ in 0..12 {
            let len = chance.below(160);
            let ones = chance.below(3) == 0;
            let mut bytes: Vec<u8> = (0..len).map(|_| if ones { 0xff } else { chance.next() as u8 }).collect();
            if let Some(id) = bytes.first_chunk_mut::<2>() {
                E::write_u16(id, format.id.0);
            }
            write(chance.below(4), chance.next(), &bytes);
        }
    }
    let mut merge = capture.merge();
    while let Some(record) = merge.next_record::<E>() {
        let mut bytes = record.bytes.to_vec();
        let at = chance.below(bytes.len().max(3) - 2) + 2;
        if let Some(byte) = bytes.get_mut(at) {
            *byte = chance.next() as u8;
        }
        write(record.cpu as usize, record.time, &bytes);
        bytes.truncate(chance.below(bytes.len() + 1));
        write(record.cpu as usize, record.time, &bytes);
    }
    out.clear();
    text.finish(&mut out, &names);
}

#[test]
fn any_bytes_have_a_text() {
    let Some(corpus) = corpus::folder() else { return };
    for machine in corpus::machines(corpus) {
        for path in corpus::captures(&machine) {
            let name = path.file_name().unwrap().to_str().unwrap();
            if !["kprobe", "function_graph", "print", "fs", "synth", "stacktrace-top", "subbuf-big"].contains(&name) {
                continue;
            }
            let graph = name == "function_graph";
            match folder::open(&path).unwrap().endian {
                Endian::Little => torment::<LittleEndian>(&path, graph),
                Endian::Big => torment::<BigEndian>(&path, graph),
            }
        }
    }
}
