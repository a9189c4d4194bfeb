//! Fills `fuzz/corpus` with initial inputs: the project's fixtures and formats, the running kernel's descriptions,
//! and captures given on the command line (a folder that contains captures; `trace.dat` files).
//!
//! ```text
//! cargo run --manifest-path fuzz/Cargo.toml --example seed -- [FOLDER…]
//! ```

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};

use byteorder::{BigEndian, ByteOrder, LittleEndian};
use ftrace_live::capture;
use ftrace_live::decode::EventTable;
use ftrace_live::format::{Endian, EventFormat, EventId, LongSize};
use ftrace_live::map;
use ftrace_live::osc::clock;
use ftrace_live::ring::{Feed, Merge};

/// A fuzzer reads all of them each time it starts: this many of one kind.
const MOST: usize = 1200;
/// Longer files are of little use to a fuzzer.
const LONGEST: usize = 32 << 10;

#[derive(Default)]
struct Seeds {
    written: BTreeMap<&'static str, HashSet<u64>>,
}

impl Seeds {
    fn add(&mut self, target: &'static str, bytes: &[u8]) {
        let mut hasher = DefaultHasher::new();
        bytes.hash(&mut hasher);
        let (hash, seen) = (hasher.finish(), self.written.entry(target).or_default());
        if bytes.len() > LONGEST || seen.len() >= MOST || !seen.insert(hash) {
            return;
        }
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
        fs::create_dir_all(&folder).expect("fuzz/corpus can be written");
        fs::write(folder.join(format!("seed-{hash:016x}")), bytes).expect("fuzz/corpus can be written");
    }

    fn format(&mut self, text: &str, long: LongSize) {
        let Ok(format) = EventFormat::parse("", text, long) else { return };
        self.add("format_file", text.as_bytes());
        let print_fmt = [&[bits(Endian::Little, long)], format.print_fmt.as_bytes(), b"\0record"].concat();
        self.add("print_fmt", &print_fmt);
    }

    /// Every eleventh of the formats below `folder`, so that all systems have some.
    fn formats(&mut self, folder: &Path, long: LongSize) {
        for (_, path) in files(folder, "format").into_iter().enumerate().filter(|(at, _)| at % 11 == 0) {
            if let Ok(bytes) = fs::read(path) {
                self.format(&String::from_utf8_lossy(&bytes), long);
            }
        }
    }

    fn capture(&mut self, path: &Path) {
        let Ok(mut capture) = capture::open(path, Default::default()) else { return };
        let (long, endian) = (capture.header.long_size(), capture.endian);
        for ring in &mut capture.rings {
            let mut page = Vec::new();
            for _ in 0..2 {
                if let Ok(true) = ring.feed.advance(&mut page) {
                    self.add("sub_buffer", &page);
                }
            }
        }
        let events = EventTable::new(std::mem::take(&mut capture.events));
        let merge = capture.merge();
        match endian {
            Endian::Little => self.records::<LittleEndian>(merge, &events, bits(endian, long)),
            Endian::Big => self.records::<BigEndian>(merge, &events, bits(endian, long)),
        }
        for list in ["printk_formats", "saved_cmdlines", "saved_tgids", "constants", "kallsyms"] {
            let bytes = fs::read(path.join(list)).unwrap_or_default();
            self.add("names", &bytes[..bytes.len().min(2048)]);
        }
    }

    /// One input for each event: its format, and its first records.
    fn records<E: ByteOrder>(&mut self, mut merge: Merge<capture::RingFeed>, events: &EventTable, bits: u8) {
        let mut found: BTreeMap<EventId, Vec<u8>> = BTreeMap::new();
        while let Some(record) = merge.next_record::<E>() {
            let Some(id) = record.bytes.first_chunk::<2>().map(|id| EventId(E::read_u16(id))) else { continue };
            let records = found.entry(id).or_default();
            if records.len() < 400 && record.bytes.len() < 2048 {
                records.extend((record.bytes.len() as u16).to_le_bytes());
                records.extend(record.bytes);
            }
        }
        for (id, records) in found {
            if let Some(format) = events.get(id) {
                let graph = if format.name.starts_with("funcgraph") { 128 } else { 0 };
                let text = format!("{}\n{format}\0", format.system);
                self.add("record", &[&[bits | graph], text.as_bytes(), &records].concat());
            }
        }
    }

    fn by_hand(&mut self) {
        for filter in [
            "irq > 3 && name ~ \"eth*\"",
            "(a & 0x10 || a == -1) && !(comm != 'x')",
            "common_pid >= 5 && CPU == 3",
            "mask & CPUS{1-3,5} || ip.function == x",
            "!((((irq == 1))))",
            "comm ~ \"*[a-c]?\\\\*\"",
            "COMM == \"task\"",
        ] {
            self.add("filter", filter.as_bytes());
        }
        let message = b"/ftrace/a\0\0\0,tfiisThd[ii]b\0\0\0\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0\x01\0\0\0\x02abc\0\
                        \0\0\0\0\0\0\0\x05\x3f\xf0\0\0\0\0\0\0\0\0\0\x01\0\0\0\x02\0\0\0\x02xy\0\0";
        let schema = b"/ftrace/schema\0\0,sss\0\0\0\0/a\0\0iis\0time a b\0\0\0\0";
        let mut bundle = b"#bundle\0\0\0\0\0\0\0\0\x01".to_vec();
        for part in [&message[..], schema, b"#bundle\0\0\0\0\0\0\0\0\x01\0\0\0\x08/a\0\0,\0\0\0"] {
            bundle.extend((part.len() as u32).to_be_bytes());
            bundle.extend(part);
        }
        [&message[..], schema, &bundle].into_iter().for_each(|packet| self.add("osc_packet", packet));
        self.add("clock", &clock::ping(5));
        self.add("clock", &clock::pong(&clock::Pong { nonce: 5, received_ns: 1 << 60, sent_ns: (1 << 60) + 1 }));
        map::names().filter_map(map::text).for_each(|text| self.add("map", text.as_bytes()));
        self.add("names", b"trace_clock:\tmono\nffffffff9a000000\t[kernel]\nffffffffc0400000\tnet\nffffffff81000000 T _text\n");
        self.add("btf", &btf::<LittleEndian>());
        self.add("btf", &btf::<BigEndian>());
        for name in ["file", "pipe", "zstd", "callchain"] {
            let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/data/perf/");
            if let Ok(bytes) = std::fs::read(format!("{path}{name}.data")) {
                self.add("perf_data", &bytes);
            }
        }
        for file in [trace_dat_6(), trace_dat_7()] {
            self.add("trace_dat", &file);
            let path = std::env::temp_dir().join(format!("ftrace-live-seed-{}.dat", std::process::id()));
            fs::write(&path, &file).expect("a temporary file");
            let capture = capture::open(&path, Default::default());
            _ = fs::remove_file(&path);
            let mut merge = capture.expect("a file made by hand is whole").merge();
            let mut records = 0;
            while merge.next_record::<LittleEndian>().is_some() {
                records += 1;
            }
            assert_eq!(records, 4, "of a file made by hand");
        }
    }
}

/// A BTF with one type of every kind.
fn btf<E: ByteOrder>() -> Vec<u8> {
    let strings = b"\0zone_type\0A\0B\0HRTIMER_MODE_REL\0";
    let mut types = Vec::new();
    let mut word = |word: u32| {
        let mut bytes = [0; 4];
        E::write_u32(&mut bytes, word);
        types.extend(bytes);
    };
    // Kind, members, and the words behind the first three.
    for (kind, members, words) in [
        (1, 0, &[32][..]),
        (2, 0, &[]),
        (3, 0, &[1, 1, 4]),
        (4, 1, &[11, 1, 0]),
        (6, 2, &[11, 0, 13, u32::MAX]),
        (8, 0, &[]),
        (13, 1, &[11, 1]),
        (14, 0, &[1]),
        (15, 1, &[1, 0, 4]),
        (19, 2, &[11, 1, 0, 15, 2, 3]),
        (17, 0, &[1]),
    ] {
        [1, kind << 24 | members, 5].iter().chain(words).for_each(|&value| word(value));
    }
    let mut bytes = vec![0; 24];
    E::write_u16(&mut bytes[..2], 0xeb9f);
    bytes[2] = 1;
    let header = [24, 0, types.len() as u32, types.len() as u32, strings.len() as u32];
    for (at, value) in header.into_iter().enumerate() {
        E::write_u32(&mut bytes[4 + 4 * at..], value);
    }
    [&bytes[..], &types, strings].concat()
}

const HEADER_PAGE: &str = "\tfield: u64 timestamp;\toffset:0;\tsize:8;\tsigned:0;\n\
                           \tfield: local_t commit;\toffset:8;\tsize:8;\tsigned:1;\n\
                           \tfield: char data;\toffset:16;\tsize:240;\tsigned:1;\n";
const EVENT: &str = "name: e\nID: 7\nformat:\n\tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;\n\
                     \n\tfield:int a;\toffset:4;\tsize:4;\tsigned:1;\n\nprint fmt: \"%d\", REC->a\n";

/// A sub-buffer of 256 bytes: two records of eight bytes, and an incomplete one.
fn page() -> Vec<u8> {
    let mut page = vec![0; 256];
    page[..8].copy_from_slice(&1000u64.to_le_bytes());
    page[8] = 28;
    page[16..24].copy_from_slice(&[0x22, 0, 0, 0, 7, 0, 0, 0]);
    page[28..36].copy_from_slice(&[0x42, 1, 0, 0, 7, 0, 0, 0]);
    page[40..44].copy_from_slice(&[0x20, 0, 0, 0]);
    page
}

/// `text` after its length in eight bytes.
fn long_text(text: &str) -> Vec<u8> {
    [&(text.len() as u64).to_le_bytes(), text.as_bytes()].concat()
}

/// `text` after its length in four bytes.
fn text(text: &str) -> Vec<u8> {
    [&(text.len() as u32).to_le_bytes(), text.as_bytes()].concat()
}

/// The parts common to both versions: header_page and header_event; the formats.
fn header_info() -> Vec<u8> {
    [&b"header_page\0"[..], &long_text(HEADER_PAGE), b"header_event\0", &long_text("# compressed entry header\n")]
        .concat()
}

fn formats() -> Vec<u8> {
    [&1u32.to_le_bytes()[..], b"s\0", &1u32.to_le_bytes(), &long_text(EVENT)].concat()
}

/// A whole recording of version 6: one CPU, two sub-buffers.
fn trace_dat_6() -> Vec<u8> {
    let mut file = b"\x17\x08\x44tracing6\0\0\x08\0\x01\0\0".to_vec();
    file.extend(header_info());
    file.extend([1, 0, 0, 0]);
    file.extend(long_text(EVENT));
    file.extend(formats());
    file.extend(text("ffffffff81000000 T _text\n"));
    file.extend(text("0xffffffff82000000 : \"x\"\n"));
    file.extend(long_text("1 init\n"));
    file.extend(1u32.to_le_bytes());
    file.extend(b"options  \0");
    for (number, option) in
        [(1u16, "0x10\0"), (2, "CPU: 0\nentries: 2\n\0"), (4, "local [mono]\0"), (5, "Linux x 6.1\0")]
    {
        file.extend(number.to_le_bytes());
        file.extend(text(option));
    }
    file.extend(b"\0\0flyrecord\0");
    // The table of one CPU, then its clock, since there is an option TRACECLOCK.
    let start = (file.len() + 16 + 13).next_multiple_of(256) as u64;
    file.extend(start.to_le_bytes());
    file.extend(512u64.to_le_bytes());
    file.extend(long_text("mono\0"));
    file.resize(start as usize, 0);
    file.extend(page());
    file.extend(page());
    file
}

/// A whole recording of version 7, uncompressed.
fn trace_dat_7() -> Vec<u8> {
    let mut file = b"\x17\x08\x44tracing7\0\0\x08\0\x01\0\0none\0\0".to_vec();
    let first_options = file.len();
    file.extend([0; 8]);
    let mut options = Vec::new();
    let pages = [page(), page()].concat();
    let sections = [
        (16u16, header_info()),
        (17, [&1u32.to_le_bytes()[..], &long_text(EVENT)].concat()),
        (18, formats()),
        (19, text("ffffffff81000000 T _text\n")),
        (20, text("0xffffffff82000000 : \"x\"\n")),
        (21, long_text("1 init\n")),
        (3, pages),
    ];
    for (number, body) in sections {
        let at = file.len() as u64;
        file.extend(number.to_le_bytes());
        file.extend([0; 6]);
        file.extend((body.len() as u64).to_le_bytes());
        file.extend(&body);
        let mut option = at.to_le_bytes().to_vec();
        if number == 3 {
            option.extend(b"\0mono\0");
            option.extend([256u32, 1, 0].into_iter().flat_map(u32::to_le_bytes));
            option.extend([at + 16, 512].into_iter().flat_map(u64::to_le_bytes));
        }
        options.extend(number.to_le_bytes());
        options.extend((option.len() as u32).to_le_bytes());
        options.extend(option);
    }
    // The end: no further options.
    options.extend([0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    let at = (file.len() as u64).to_le_bytes();
    file[first_options..first_options + 8].copy_from_slice(&at);
    file.extend([0; 8]);
    file.extend((options.len() as u64).to_le_bytes());
    file.extend(options);
    file
}

/// The first byte of an input with byte order and long size.
fn bits(endian: Endian, long: LongSize) -> u8 {
    u8::from(endian == Endian::Big) | u8::from(long == LongSize::Four) << 1
}

/// The files of that name, or with that extension, below `folder`.
fn files(folder: &Path, name: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut paths: Vec<_> = entries.map(|entry| entry.path()).collect();
    paths.sort();
    for path in paths {
        match path.symlink_metadata() {
            Ok(of) if of.is_dir() => found.extend(files(&path, name)),
            _ if path.file_name().is_some_and(|n| n == name) || path.extension().is_some_and(|e| e == name) => {
                found.push(path)
            }
            _ => {}
        }
    }
    found
}

fn main() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut seeds = Seeds::default();
    seeds.by_hand();
    let mut folders = vec![root.join("fixtures")];
    folders.extend(std::env::args_os().skip(1).map(PathBuf::from));
    for folder in &folders {
        for path in files(folder, "trace_clock") {
            seeds.capture(path.parent().unwrap_or(folder));
        }
        // A recording has megabytes: truncated descriptions, and what salvaging reads of them.
        for bytes in files(folder, "dat").into_iter().filter_map(|path| fs::read(path).ok()) {
            for end in [0, 40, 500, 2000, 8000, LONGEST] {
                seeds.add("trace_dat", &bytes[..bytes.len().min(end)]);
            }
        }
        seeds.formats(folder, LongSize::Eight);
    }
    seeds.formats(&root.join("formats"), LongSize::Eight);
    seeds.formats(Path::new("/sys/kernel/tracing/events"), LongSize::Eight);
    for (target, inputs) in &seeds.written {
        println!("{target}: {} inputs", inputs.len());
    }
}
