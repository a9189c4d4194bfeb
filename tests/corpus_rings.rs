//! Rings of other kernels: the walk finds every event that was counted when they were captured, at the kernel's own
//! times.

mod common;

use std::collections::HashMap;
use std::path::Path;

use byteorder::{BigEndian, ByteOrder, LittleEndian};
use common::corpus;
use ftrace_live::capture::folder;
use ftrace_live::format::Endian;

/// (`events=`, `rawKB=`) of each capture in the machine's CHECK.txt, counted by an independent reader.
fn counts(machine: &Path) -> HashMap<String, (u64, u64)> {
    let text = std::fs::read_to_string(machine.join("CHECK.txt")).unwrap();
    let number = |line: &str, key| line.split(key).nth(1)?.split_whitespace().next()?.parse().ok();
    let count = |line: &str| {
        Some((line.split_whitespace().next()?.to_owned(), (number(line, " events=")?, number(line, " rawKB=")?)))
    };
    text.lines().filter_map(count).collect()
}

/// The size of the ring in a capture, KiB.
fn raw_kib(capture: &Path) -> u64 {
    let cpus = (0..64).map(|cpu| capture.join(format!("per_cpu/cpu{cpu}/trace_pipe_raw")));
    cpus.filter_map(|ring| Some(std::fs::metadata(ring).ok()?.len())).sum::<u64>() / 1024
}

/// The times in the kernel's own text, in order: `12.345678` as µs, counters as they are.
fn text_times(capture: &Path) -> Vec<u64> {
    let text = std::fs::read(capture.join("trace")).unwrap();
    let text = String::from_utf8_lossy(&text);
    let time = |line: &str| {
        // `  comm-pid  [cpu] flags  time: event…`; the part before the bracket may itself contain spaces.
        let rest = line.split(" [").skip(1).find_map(|rest| rest.get(3..).filter(|r| r.starts_with("] ")))?;
        let stamp = rest.split_whitespace().nth(2)?.strip_suffix(':')?;
        stamp.replace('.', "").parse().ok()
    };
    text.lines().filter(|line| !line.starts_with('#')).filter_map(time).collect()
}

fn times<E: ByteOrder>(capture: &mut ftrace_live::capture::Capture) -> (Vec<u64>, u64) {
    let mut merge = capture.merge();
    let mut times = vec![];
    while let Some(record) = merge.next_record::<E>() {
        times.push(record.time);
    }
    let malformed = merge.counts().map(|(_, counts)| counts.malformed).sum();
    (times, malformed)
}

#[test]
fn every_capture_has_the_events_counted_when_it_was_taken_at_the_kernels_times() {
    let Some(corpus) = corpus::folder() else { return };
    let mut compared = 0;
    for machine in corpus::machines(corpus) {
        let counts = counts(&machine);
        for path in corpus::captures(&machine) {
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            let mut capture = folder::open(&path).unwrap();
            assert!(capture.broken.is_empty(), "{}: {:?}", path.display(), capture.broken);
            let (times, malformed) = match capture.endian {
                Endian::Little => times::<LittleEndian>(&mut capture),
                Endian::Big => times::<BigEndian>(&mut capture),
            };
            assert_eq!(malformed, 0, "{}", path.display());
            let (events, kib) = counts[&name];
            if raw_kib(&path) == kib {
                assert_eq!(times.len() as u64, events, "{}", path.display());
            } else {
                crate::common::skipped::say(format_args!(
                    "{}: the corpus holds only a part of the ring that was counted",
                    path.display()
                ));
            }
            assert!(times.is_sorted(), "{}", path.display());
            // These texts have lines that are not events, or one line for two events (a NUL in a marker joins them).
            if ["function_graph", "print", "lost-live", "function-stack", "subbuf-big"].contains(&name.as_str()) {
                continue;
            }
            let micros: Vec<_> = times.iter().map(|ns| (ns + 500) / 1000).collect();
            let text = text_times(&path);
            assert_eq!(text.len(), micros.len(), "{}", path.display());
            let different = text.iter().zip(&micros).position(|(a, b)| a != b);
            assert_eq!(different, None, "{}: {:?}", path.display(), different.map(|at| (text[at], times[at])));
            compared += micros.len();
        }
    }
    assert!(compared > 100_000, "only {compared} events compared");
}
