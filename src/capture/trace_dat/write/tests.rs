//! Files that are written here, read back or held against bytes put together by hand.

use std::collections::VecDeque;

use super::*;
use crate::capture::trace_dat::{
    BufferData, EventText, Guest, Metadata, Open, Options, ShiftSample, TimeShift, TraceDat, Tsc2Nsec,
};
use crate::format::{Endian, LongSize};

/// A machine with sub-buffers of 4 KiB.
pub(in crate::capture::trace_dat) fn description(endian: Endian) -> Description {
    let header_page = "\tfield: u64 timestamp;\toffset:0;\tsize:8;\tsigned:0;\n\
                       \tfield: local_t commit;\toffset:8;\tsize:8;\tsigned:1;\n\
                       \tfield: char data;\toffset:16;\tsize:4080;\tsigned:1;\n";
    let metadata = Metadata { header_page: header_page.to_owned(), ..Metadata::default() };
    let (user_long_size, options) = (LongSize::Eight, Options::default());
    Description { endian, user_long_size, sub_buffer_size: 4096, metadata, kallsyms: Vec::new(), options }
}

/// Sub-buffers of any bytes, one after the other.
pub(in crate::capture::trace_dat) struct Pages(VecDeque<Vec<u8>>);

impl Feed for Pages {
    fn advance(&mut self, page: &mut Vec<u8>) -> io::Result<bool> {
        let Some(next) = self.0.pop_front() else { return Ok(false) };
        if next.is_empty() {
            return Err(io::ErrorKind::InvalidData.into());
        }
        *page = next;
        Ok(true)
    }
}

pub(in crate::capture::trace_dat) fn pages<const N: usize>(bytes: [(u8, usize); N]) -> Pages {
    Pages(bytes.map(|(byte, length)| vec![byte; length]).into())
}

fn open(path: &Path) -> TraceDat {
    TraceDat::open(path, Open::default()).unwrap()
}

/// CPU, offset and size of the data of each CPU of each buffer.
fn places(dat: &TraceDat) -> Vec<Vec<(u32, u64, u64)>> {
    let of = |data: &BufferData| match data {
        BufferData::Cpus(cpus) => cpus.iter().map(|data| (data.cpu, data.offset, data.size)).collect(),
        BufferData::Text(_) => panic!("a text"),
    };
    dat.buffers.iter().map(|buffer| of(&buffer.data)).collect()
}

#[test]
fn a_small_header_has_the_bytes_of_the_format() {
    let mut description = description(Endian::Big);
    description.user_long_size = LongSize::Four;
    description.metadata = Metadata {
        header_page: "page".to_owned(),
        header_event: "ev".to_owned(),
        formats: [("s", "one"), ("ftrace", "two"), ("t", "three"), ("s", "four")]
            .map(|(system, text)| EventText { system: system.to_owned(), text: text.to_owned() })
            .into(),
        printk_formats: b"p".to_vec(),
        saved_cmdlines: b"1 init\n".to_vec(),
    };
    description.kallsyms = b"k".to_vec();
    description.options.trace_clock = Some("local [mono]".to_owned());
    description.options.cpu_count = Some(2);
    let header = description.encode(&[(0x0102, 0x0304)], &["in"]).unwrap();
    // trace-cmd.dat.v6(5): every number is in the byte order of the traced machine.
    let parts: [&[u8]; 34] = [
        b"\x17\x08\x44tracing6\0",
        b"\x01\x04\0\0\x10\0",
        b"header_page\0",
        b"\0\0\0\0\0\0\0\x04page",
        b"header_event\0",
        b"\0\0\0\0\0\0\0\x02ev",
        // Formats of ftrace, then the systems in the order in which they first come.
        b"\0\0\0\x01",
        b"\0\0\0\0\0\0\0\x03two",
        b"\0\0\0\x02",
        b"s\0",
        b"\0\0\0\x02",
        b"\0\0\0\0\0\0\0\x03one",
        b"\0\0\0\0\0\0\0\x04four",
        b"t\0",
        b"\0\0\0\x01",
        b"\0\0\0\0\0\0\0\x05three",
        b"\0\0\0\x01k",
        b"\0\0\0\x01p",
        b"\0\0\0\0\0\0\0\x071 init\n",
        // One CPU.
        b"\0\0\0\x01",
        b"options  \0",
        // TRACECLOCK, CPUCOUNT, and the instance with the place of its table.
        b"\0\x04\0\0\0\x0d",
        b"local [mono]\0",
        b"\0\x08\0\0\0\x04\0\0\0\x02",
        b"\0\x03\0\0\0\x0b",
        b"\0\0\0\0\0\0\0\0",
        b"in\0",
        b"\0\0",
        b"flyrecord\0",
        b"\0\0\0\0\0\0\x01\x02",
        b"\0\0\0\0\0\0\x03\x04",
        b"\0\0\0\0\0\0\0\x06",
        b"[mono]",
        b"",
    ];
    assert_eq!(header.bytes.escape_ascii().to_string(), parts.concat().escape_ascii().to_string());
    let before = |part: usize| parts[..part].concat().len() as u64;
    assert_eq!((header.table, header.instances), (before(29), vec![before(25)]));
}

#[test]
fn every_option_and_description_is_read_as_it_was_written() {
    for endian in [Endian::Little, Endian::Big] {
        let mut description = description(endian);
        let text = |text: &str| Some(text.to_owned());
        let sample = |time| ShiftSample { time, offset: -(time as i64), scaling: time << 32, fraction: 32 };
        description.options = Options {
            date: text("0x10"),
            offset: text("-7"),
            trace_clock: text("[x86-tsc] local"),
            uname: text("Linux host 6.1.0 x86_64"),
            version: text("ours"),
            cpu_count: Some(0x0102_0304),
            trace_id: Some(0x0102_0304_0506_0708),
            tsc2nsec: Some(Tsc2Nsec { multiplier: 5, shift: 6, offset: 7 }),
            cpustat: vec!["CPU: 0\nentries: 1\n".to_owned(), "CPU: 1\n".to_owned()],
            hooks: vec!["a,b".to_owned()],
            procmaps: vec!["maps".to_owned()],
            time_shifts: vec![TimeShift { peer: 9, flags: 1, cpus: vec![vec![sample(1), sample(2)], vec![sample(3)]] }],
            guests: vec![Guest { name: "vm".to_owned(), trace_id: 10, cpus: vec![(0, 100), (1, 101)] }],
            unknown: Vec::new(),
        };
        description.kallsyms = b"0 t _stext\n".to_vec();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.dat");
        let written = write(&path, &description, Vec::<BufferOut<Pages>>::new(), &mut |_| {}).unwrap();
        let dat = open(&path);
        assert_eq!((dat.endian, &dat.options, dat.page_size), (endian, &description.options, 4096));
        assert_eq!(dat.kallsyms().unwrap(), description.kallsyms);
        assert_eq!((written.sub_buffers, written.bytes), (0, std::fs::metadata(&path).unwrap().len()));
    }
}

#[test]
fn the_data_of_each_cpu_of_each_buffer_are_one_aligned_piece() {
    let mut description = description(Endian::Little);
    description.options.trace_clock = Some("[local] mono".to_owned());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.dat");
    // One is left from a run that was killed.
    std::fs::write(folder.path().join("x.dat.part"), "half of a file").unwrap();
    let top = vec![
        (2, pages([(b'c', 4096)])),
        (0, pages([(b'a', 4096), (b'x', 100), (b'a', 4096)])),
        (0, pages([(b'b', 4096), (b'y', 8192)])),
    ];
    let buffers = vec![
        BufferOut { name: String::new(), clock: None, cpus: top },
        BufferOut { name: "one".to_owned(), clock: Some("mono".to_owned()), cpus: vec![(1, pages([(b'd', 4096)]))] },
        BufferOut { name: "two".to_owned(), clock: None, cpus: vec![(0, pages([])), (2, pages([]))] },
    ];
    let mut progress = Vec::new();
    let written = write(&path, &description, buffers, &mut |bytes| progress.push(bytes)).unwrap();
    assert_eq!((written.sub_buffers, written.incomplete), (5, 2));
    assert_eq!(progress, [4096, 8192, 12288, 16384, 20480]);
    let bytes = std::fs::read(&path).unwrap();
    assert_eq!(written.bytes, bytes.len() as u64);
    let dat = open(&path);
    let buffers: Vec<_> = dat.buffers.iter().map(|buffer| (&*buffer.name, buffer.clock.as_deref())).collect();
    assert_eq!(buffers, [("", Some("local")), ("one", Some("mono")), ("two", Some("local"))]);
    let places = places(&dat);
    let sizes = |buffer: usize| places[buffer].iter().map(|(cpu, _, size)| (*cpu, *size)).collect::<Vec<_>>();
    assert_eq!(sizes(0), [(0, 3 * 4096), (1, 0), (2, 4096)]);
    assert_eq!(sizes(1), [(0, 0), (1, 4096), (2, 0)]);
    assert_eq!(sizes(2), [(0, 0), (1, 0), (2, 0)]);
    let data = |buffer: usize, cpu: usize| {
        let (_, offset, size) = places[buffer][cpu];
        assert!(offset.is_multiple_of(64 << 10));
        &bytes[offset as usize..(offset + size) as usize]
    };
    assert!(data(0, 0) == [[b'a'; 8192].as_slice(), &[b'b'; 4096]].concat());
    assert!(data(0, 2) == [b'c'; 4096] && data(1, 1) == [b'd'; 4096]);
    let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["x.dat"]);
}

#[test]
fn of_a_file_that_cannot_be_written_whole_nothing_is_left() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.dat");
    let write = |cpu, pages| {
        let cpus = vec![(cpu, pages)];
        let buffers = vec![BufferOut { name: String::new(), clock: None, cpus }];
        write(&path, &description(Endian::Little), buffers, &mut |_| {})
    };
    let files = || std::fs::read_dir(folder.path()).unwrap().count();
    let error = write(3, pages([(1, 4096), (0, 0)])).unwrap_err();
    assert!(matches!(error, WriteError::Read { cpu: 3, .. }), "{error}");
    assert_eq!(files(), 0);
    let error = write(MAX_CPU + 1, pages([])).unwrap_err();
    assert!(matches!(error, WriteError::Cpu { cpu: 0x4001, limit: 0x4000, .. }), "{error}");
    assert_eq!(files(), 0);
    write(MAX_CPU, pages([])).unwrap();
    let cpus = places(&open(&path)).remove(0);
    assert!(cpus.iter().map(|(cpu, _, size)| (*cpu, *size)).eq((0..=MAX_CPU).map(|cpu| (cpu, 0))));
}

#[test]
fn full_is_what_more_room_would_mend() {
    let at = |kind: io::ErrorKind| WriteError::at(Path::new("x"), "cannot be written", 7)(kind.into());
    for kind in [io::ErrorKind::StorageFull, io::ErrorKind::QuotaExceeded, io::ErrorKind::FileTooLarge] {
        assert!(at(kind).is_full());
    }
    assert!(!at(io::ErrorKind::PermissionDenied).is_full());
    let path = Path::new("x").to_owned();
    assert!(WriteError::FileSizeLimit { path: path.clone(), limit: 1, header: 2 }.is_full());
    assert!(WriteError::RegionFull { path: path.clone(), cpu: 1, size: 2 }.is_full());
    assert!(!WriteError::TooLong { path }.is_full());
}

#[test]
fn data_are_aligned_to_any_page_size_that_whole_sub_buffers_allow() {
    let alignment = |size| Description { sub_buffer_size: size, ..description(Endian::Little) }.alignment();
    assert_eq!([0, 4096, 65536, 12288, 131072].map(alignment), [65536, 65536, 65536, 12288, 131072]);
}
