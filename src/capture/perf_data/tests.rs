//! A whole file: the records and names of real ones equal the lines of `perf script`.

use std::path::PathBuf;

use super::made::{BOTH, Bytes, Event, Made, TRACEPOINT, USE_CLOCKID, import as read};
use super::*;
use crate::format::Endian;

fn fixture(name: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "tests/data/perf", name].iter().collect()
}

/// CPU, time and pid of each line of `perf script --ns -F comm,tid,cpu,time,event,trace`.
fn script(name: &str) -> Vec<(u32, u64, i32)> {
    let line = |line: &str| {
        let (task, rest) = line.split_once('[')?;
        let (cpu, rest) = rest.split_once(']')?;
        let (seconds, rest) = rest.trim_start().split_once('.')?;
        let (ns, _) = rest.split_once(':')?;
        let time = seconds.parse::<u64>().ok()? * 1_000_000_000 + ns.parse::<u64>().ok()?;
        Some((cpu.parse().ok()?, time, task.split_whitespace().next_back()?.parse().ok()?))
    };
    let mut lines: Vec<_> = std::fs::read_to_string(fixture(name)).unwrap().lines().filter_map(line).collect();
    lines.sort_unstable();
    lines
}

#[test]
fn the_records_of_every_mode_are_those_of_perf_script() {
    for name in ["file", "callchain", "pipe", "zstd"] {
        let all = read(&std::fs::read(fixture(&format!("{name}.data"))).unwrap(), false).unwrap();
        // `common_pid` is at byte 4.
        let pid = |bytes: &[u8]| i32::from_le_bytes(bytes[4..8].try_into().unwrap());
        let mut ours: Vec<_> = all.records.iter().map(|(cpu, time, bytes)| (*cpu, *time, pid(bytes))).collect();
        ours.sort_unstable();
        let expected = script(&format!("{name}.txt"));
        assert!(expected.len() > 5 && ours.len() == expected.len(), "{name}");
        // perf prints -1 for a task that has released its pid.
        let same = ours.iter().zip(&expected).all(|(a, b)| (a.0, a.1) == (b.0, b.1) && (a.2 == b.2 || b.2 == -1));
        assert!(same, "{name}: {ours:?} is {expected:?} for perf script");
    }
}

#[test]
fn a_file_of_perf_is_told_by_its_first_eight_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x");
    for (bytes, is) in [
        (&b"PERFILE2"[..], true),
        (b"2ELIFREP and more", true),
        (b"PERFILE3", false),
        (b"\x17\x08\x44tracing6", false),
        (b"PERFILE", false),
        (b"", false),
    ] {
        std::fs::write(&path, bytes).unwrap();
        assert_eq!(is_perf_data(&path).unwrap(), is, "{bytes:?}");
    }
    assert!(is_perf_data(&folder.path().join("none")).is_err());
    // A folder can be opened, but not read.
    assert!(is_perf_data(folder.path()).is_err());
}

#[test]
fn the_trace_dat_has_what_the_file_says_of_the_machine() {
    for endian in BOTH {
        let event = Event { flags: &[USE_CLOCKID], clock: 7, ..TRACEPOINT };
        let text = |text: &str| Bytes::new(endian).u32(text.len() as u32 + 1).put(text).put([0]).1;
        let made = Made::new(endian, &[(event, &[5])])
            .feature(4, text("6.18"))
            .feature(5, text("6.17.2"))
            .feature(7, Bytes::new(endian).u32(6).u32(5).1)
            // 5 s on the clock were 9 s after 1970.
            .feature(29, Bytes::new(endian).u32(1).u32(7).u64(9_000_000_000).u64(5_000_000_000).1)
            .record(3, Bytes::new(endian).u32(8).u32(8).put("task\0\0\0\0").put([0; 40]).1);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        std::fs::write(&path, made.file()).unwrap();
        let dat = open(&path, Open::default()).unwrap();
        assert_eq!((dat.endian, dat.options.cpu_count), (endian, Some(6)));
        assert_eq!(dat.options.version.as_deref(), Some("perf 6.17.2"));
        let capture = dat.capture(None).unwrap();
        assert_eq!((capture.clock.as_str(), capture.uname.as_deref()), ("boot", Some("Linux  6.18")));
        assert_eq!(capture.clock_pair.unwrap().realtime_of(6_000_000_000), Some(10_000_000_000));
        assert_eq!(capture.header.sub_buffer_size(), 16_384);
        let (names, errors) = capture.names();
        assert_eq!((names.comms.get(8), errors.len()), (Some(&b"task"[..]), 0));
        assert_eq!(dat.kallsyms().unwrap(), b"kallsyms");
        let [format] = &capture.events[..] else { panic!("{:?}", capture.broken) };
        assert_eq!((format.name.as_str(), format.id.0), ("one", 7));
    }
}

#[test]
fn damage_ends_the_import_unless_it_is_salvaged() {
    let mut made = Made::new(Endian::Little, &[(TRACEPOINT, &[5])]);
    made.records = vec![0; 9];
    for bytes in [made.file(), made.pipe()] {
        assert!(read(&bytes, false).is_err());
        let salvaged = read(&bytes, true).unwrap();
        assert_eq!((salvaged.records.len(), salvaged.problems), (0, 1));
    }
    // The size of its sub-buffers needs a header_page.
    let mut made = Made::new(Endian::Little, &[(TRACEPOINT, &[5])]);
    let at = made.descriptions.windows(6).position(|bytes| bytes == b"commit").unwrap();
    made.descriptions[at] = b'x';
    let error = read(&made.file(), false).unwrap_err();
    assert_eq!(error.part, Part::HeaderPage);
    let error = open("/nowhere".as_ref(), Open::default()).unwrap_err();
    assert!(matches!((error.part, error.problem), (Part::FileHeader, Problem::Io(_))));
}
