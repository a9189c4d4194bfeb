//! The parts of a file besides its records, in both modes and both byte orders.

use super::*;
use crate::capture::perf_data::made::{
    BOTH, Bytes, Descriptions, Event, Made, SAMPLE_ID_ALL, TRACEPOINT, USE_CLOCKID, record, source,
};

fn read(bytes: &[u8]) -> Result<PerfFile, DatError> {
    PerfFile::read(&source(bytes), false)
}

fn problem(bytes: &[u8]) -> Problem {
    read(bytes).err().unwrap().problem
}

/// `perf_header_string`: its length, and the text, filled up with zeros.
fn string(endian: Endian, text: &str) -> Vec<u8> {
    let filled = (text.len() + 1).next_multiple_of(64);
    Bytes::new(endian).u32(filled as u32).put(text).put(vec![0; filled - text.len()]).1
}

/// The feature CLOCK_DATA.
fn clock_data(endian: Endian, id: u32, (wall, clock): (u64, u64)) -> Vec<u8> {
    Bytes::new(endian).u32(1).u32(id).u64(wall).u64(clock).1
}

const MONO: Event = Event { flags: &[0, SAMPLE_ID_ALL, USE_CLOCKID], clock: 1, ..TRACEPOINT };
const SOFTWARE: Event = Event { kind: 1, sample_type: 0x107, read_format: 0, flags: &[], ..TRACEPOINT };

#[test]
fn both_modes_have_the_same_parts_in_both_byte_orders() {
    for endian in BOTH {
        let made = Made::new(endian, &[(SOFTWARE, &[9]), (MONO, &[5, 0x1_0000_0006])])
            .feature(3, string(endian, "host"))
            .feature(4, string(endian, "6.18.0"))
            .feature(5, string(endian, "6.17"))
            .feature(6, string(endian, "s390x"))
            .feature(7, Bytes::new(endian).u32(16).u32(12).1)
            .feature(9, vec![0xff; 24])
            .feature(29, clock_data(endian, 1, (7000, 3000)))
            .record(68, [1; 8]);
        for (bytes, pipe) in [(made.file(), false), (made.pipe(), true)] {
            let perf = read(&bytes).unwrap();
            let [software, mono] = perf.attributes[..] else { panic!("{:?}", perf.attributes) };
            let of = |attribute: Attribute| (attribute.tracepoint, attribute.sample_type, attribute.read_format);
            assert_eq!((of(software), of(mono)), ((false, 0x107, 0), (true, 0x10587, 4)));
            assert_eq!((software.sample_id_all, mono.sample_id_all), (false, true));
            assert_eq!((software.clock, mono.clock), (None, Some(1)));
            let mut ids: Vec<_> = perf.ids.iter().map(|(id, index)| (*id, *index)).collect();
            ids.sort_unstable();
            assert_eq!(ids, [(5, 1), (9, 0), (0x1_0000_0006, 1)]);
            assert_eq!(
                (perf.endian, perf.clock, perf.clock_pair, perf.cpus),
                (endian, "mono", Some((3000, 7000)), Some(16))
            );
            assert_eq!(perf.version.as_deref(), Some("6.17"));
            assert_eq!(perf.uname().as_deref(), Some("Linux host 6.18.0 s390x"));
            if pipe {
                assert_eq!(perf.records, 16..bytes.len() as u64);
            } else {
                assert_eq!(bytes[perf.records.start as usize..perf.records.end as usize], made.records);
            }
            let metadata = &perf.metadata;
            assert!(metadata.header_page.contains("timestamp") && metadata.header_event == "events");
            let [format] = &metadata.formats[..] else { panic!("{:?}", metadata.formats) };
            assert!(format.system == "mine" && format.text.starts_with("name: one"));
            assert_eq!(perf.kallsyms, b"kallsyms");
            assert_eq!(
                (&metadata.printk_formats[..], &metadata.saved_cmdlines[..]),
                (&b"printk"[..], &b"1 init\n"[..])
            );
        }
    }
}

#[test]
fn the_descriptions_have_a_byte_order_a_version_and_a_long_of_their_own() {
    for endian in BOTH {
        for (version, comms) in [("0.5", ""), ("0.6", "1 init\n")] {
            for (long, size) in [(4, LongSize::Four), (8, LongSize::Eight)] {
                let mut made = Made::new(Endian::Little, &[(TRACEPOINT, &[1])]);
                made.descriptions = Descriptions { endian, version, long }.bytes();
                let perf = read(&made.file()).unwrap();
                assert_eq!((perf.user_long_size, &perf.kallsyms[..]), (size, &b"kallsyms"[..]));
                assert_eq!(perf.metadata.saved_cmdlines, comms.as_bytes());
            }
        }
    }
    let mut other = Made::new(Endian::Little, &[(TRACEPOINT, &[1])]);
    other.descriptions[3] = b'T';
    assert!(matches!(problem(&other.file()), Problem::Missing));
}

#[test]
fn the_clock_is_that_of_the_tracepoints_and_has_a_time_of_day_if_the_file_notes_one_for_it() {
    let clock = |event: Event, noted: u32| {
        // Another event's clock, and one whose flag is not set, say nothing.
        let first = Event { kind: 1, flags: &[USE_CLOCKID], clock: 7, ..TRACEPOINT };
        let made = Made::new(Endian::Little, &[(first, &[1]), (event, &[2])]);
        let perf = read(&made.feature(29, clock_data(Endian::Little, noted, (500, 200))).file()).unwrap();
        (perf.clock, perf.clock_pair)
    };
    let of = |clock| Event { flags: &[USE_CLOCKID], clock, ..TRACEPOINT };
    let pair = Some((200, 500));
    assert_eq!(clock(of(1), 1), ("mono", pair));
    assert_eq!(clock(of(1), 4), ("mono", None));
    assert_eq!(clock(of(4), 4), ("mono_raw", pair));
    assert_eq!(clock(of(7), 7), ("boot", pair));
    assert_eq!(clock(of(11), 11), ("tai", pair));
    assert_eq!(clock(of(0), 1), ("realtime", Some((0, 0))));
    assert_eq!(clock(Event { flags: &[24, 26], clock: 1, ..TRACEPOINT }, 1), ("perf", None));
    // Later versions of the attribute are longer, the first one ends before its clock.
    for (size, name) in [(64, "perf"), (95, "perf"), (96, "mono"), (4095, "mono")] {
        let event = Event { size, ..of(1) };
        for bytes in
            [Made::new(Endian::Little, &[(event, &[2])]).file(), Made::new(Endian::Little, &[(event, &[2])]).pipe()]
        {
            let perf = read(&bytes).unwrap();
            assert_eq!((perf.clock, perf.ids.get(&2)), (name, Some(&0)), "{size}");
        }
    }
}

#[test]
fn the_machine_is_named_as_far_as_it_is_noted() {
    let uname = |texts: &[(u64, &str)]| {
        let made = Made::new(Endian::Little, &[(TRACEPOINT, &[1])]);
        let made = texts.iter().fold(made, |made, (number, text)| made.feature(*number, string(Endian::Little, text)));
        read(&made.file()).unwrap().uname()
    };
    assert_eq!(uname(&[]), None);
    assert_eq!(uname(&[(3, "host"), (6, "x86_64")]), None);
    assert_eq!(uname(&[(4, "6.18"), (5, "6.17")]).as_deref(), Some("Linux  6.18"));
    // A text that ends with its section, without a NUL.
    let made = Made::new(Endian::Little, &[(TRACEPOINT, &[1])]);
    let text = Bytes::new(Endian::Little).u32(100).put("6.18").1;
    let made = made.feature(4, text).feature(10, vec![b'x'; 200]);
    assert_eq!(read(&made.file()).unwrap().uname().as_deref(), Some("Linux  6.18"));
}

#[test]
fn sizes_that_no_perf_writes_are_refused() {
    let made = |size| Made::new(Endian::Little, &[(Event { size, ..TRACEPOINT }, &[1, 2])]);
    let is_value = |bytes: &[u8], of: &str, number: u64| match problem(bytes) {
        Problem::Value { what, value } => assert_eq!((what, value), (of, number)),
        other => panic!("{other}"),
    };
    // The shortest attribute has 64 bytes; in file mode 16 are added, for the place of its ids.
    is_value(&made(63).file(), "the size of an attribute", 79);
    is_value(&made(63).pipe(), "the size of an attribute", 63);
    is_value(&made(4096).pipe(), "the size of an attribute", 4096);
    for (size, value) in [(15u64, 15), (4096 + 16, 4112), (u64::MAX, u64::MAX)] {
        let mut bytes = made(136).file();
        bytes[16..24].copy_from_slice(&size.to_le_bytes());
        is_value(&bytes, "the size of an attribute", value);
    }
    for (size, usable) in [(0u64, false), (15, false), (17, false), (103, false), (104, true), (200, true)] {
        let mut bytes = made(136).file();
        bytes[8..16].copy_from_slice(&size.to_le_bytes());
        if usable { assert!(read(&bytes).is_ok()) } else { is_value(&bytes, "the size of the header", size) }
    }
    let mut bytes = made(136).file();
    // The end of the attributes is beyond 64 bits.
    bytes[24..32].copy_from_slice(&u64::MAX.to_le_bytes());
    is_value(&bytes, "the end of a section", 152);
    assert!(matches!(problem(b"PERFILE3\x10\0\0\0\0\0\0\0"), Problem::NotTraceDat));
    assert!(matches!(problem(b"PERFILE"), Problem::Truncated { .. }));
    assert!(matches!(problem(&Made::new(Endian::Big, &[]).magic().u64(16).1), Problem::NoTracepoints));
}

#[test]
fn the_sections_of_all_features_are_in_the_order_of_their_numbers() {
    let endian = Endian::Little;
    let made = Made::new(endian, &[(TRACEPOINT, &[1])]).feature(7, Bytes::new(endian).u32(3).u32(2).1);
    let all = [0, 2, 8, 30, 63, 64, 100, 127, 128, 200, 255]
        .into_iter()
        .fold(made, |made, number| made.feature(number, vec![]));
    let bytes = all.file();
    assert_eq!(read(&bytes).unwrap().cpus, Some(3));
    // The last one has no section: it was cut off with the bodies, which are at the end.
    for word in 0..4 {
        let mut made = Made::new(endian, &[(TRACEPOINT, &[1])]);
        made.records = vec![0; 8];
        let mut bytes = made.file();
        let bodies = made.descriptions.len();
        // The bodies first, so that the sections are at the end.
        let sections = bytes.split_off(bytes.len() - bodies - 16);
        let data = bytes.len() as u64;
        bytes.extend(&sections[16..]);
        bytes[48..56].copy_from_slice(&(bodies as u64 + 8).to_le_bytes());
        bytes.extend(Bytes::new(endian).u64(data).u64(bodies as u64).1);
        assert!(read(&bytes).is_ok());
        bytes[72 + word * 8 + 7] |= 0x80;
        assert!(matches!(problem(&bytes), Problem::Truncated { .. }), "{word}");
    }
}

#[test]
fn there_are_limits_for_attributes_and_their_ids_are_whole() {
    let attributes = |count: u64| {
        // All of them are one: the table is a hole of a file but for its place.
        let mut made = Made::new(Endian::Little, &[(TRACEPOINT, &[1])]);
        made.events[0].0.size = 64;
        let mut bytes = made.file();
        let at = bytes.len() as u64;
        bytes[24..32].copy_from_slice(&at.to_le_bytes());
        bytes[32..40].copy_from_slice(&(count * 80).to_le_bytes());
        bytes.resize(bytes.len() + count as usize * 80, 0);
        read(&bytes).map(|perf| perf.attributes.len())
    };
    assert_eq!(attributes(1 << 16).unwrap(), 1 << 16);
    let error = attributes((1 << 16) + 1).unwrap_err();
    assert!(matches!(error.problem, Problem::TooLarge { size: 65_537, limit: 65_536 }), "{error}");

    // What is left of a table or of ids is less than one: no attribute, no id.
    let made = Made::new(Endian::Little, &[(TRACEPOINT, &[1, 2])]);
    let mut bytes = made.file();
    let at = 104 + 16;
    bytes[32..40].copy_from_slice(&(152u64 + 151).to_le_bytes());
    bytes[at + 136 + 8..at + 152].copy_from_slice(&15u64.to_le_bytes());
    let perf = read(&bytes).unwrap();
    assert_eq!((perf.attributes.len(), perf.ids.into_keys().collect::<Vec<_>>()), (1, vec![1]));
}

#[test]
fn in_pipe_mode_the_walk_passes_what_follows_a_record() {
    let endian = Endian::Little;
    let made = Made::new(endian, &[(TRACEPOINT, &[1])]);
    let pipe = made.pipe();
    let last = |kind, body: &[u8], after: usize| {
        let mut bytes = pipe.clone();
        bytes.extend(record(endian, kind, body));
        bytes.resize(bytes.len() + after, 0xff);
        bytes
    };
    let cpus = record(endian, 80, &Bytes::new(endian).u64(7).u32(5).u32(5).1);
    let traces = |size: u64, rest: usize| Bytes::new(endian).u64(size).put(vec![0; rest]).1;
    for (kind, body, after) in [
        (7, vec![0; 40], 0),
        (71, traces(24, 32), 24),
        (71, traces(8, 0), 8),
        // Too short for a size, for the number of a feature.
        (71, vec![1; 7], 0),
        (80, vec![1; 7], 0),
    ] {
        let whole = last(kind, &body, after);
        assert_eq!(read(&[&whole[..], &cpus].concat()).unwrap().cpus, Some(5), "{kind} {body:?}");
        assert!(read(&whole).is_ok(), "it may be the last one");
        // Fewer bytes are left than it says, or less than a header.
        let cut = if after > 0 { &whole[..whole.len() - 1] } else { &whole[..whole.len() - body.len() - 1] };
        assert_eq!(read(cut).is_ok(), after == 0, "{kind} {body:?}");
    }
    let error = read(&last(71, &traces(24, 0), 23)).err().unwrap();
    assert!(matches!(error.problem, Problem::Truncated { needed: 24, left: 23 }), "{error}");
    assert_eq!(error.offset, pipe.len() as u64 + 16);
    // The descriptions may have bytes between their size and themselves.
    let mut padded = made.magic().u64(16).1;
    let size = Bytes::new(endian).u32(made.descriptions.len() as u32).u32(0).1;
    padded.extend([&record(endian, 66, &size)[..], &made.descriptions].concat());
    assert!(read(&padded).is_ok());
    // They end where their size says.
    let mut cut = made.magic().u64(16).1;
    let size = Bytes::new(endian).u32(made.descriptions.len() as u32 - 1).1;
    cut.extend([&record(endian, 66, &size)[..], &made.descriptions, &record(endian, 7, &[0; 40])[..]].concat());
    cut.drain(cut.len() - 49..cut.len() - 48);
    let error = read(&cut).err().unwrap();
    assert!(matches!(error.problem, Problem::Truncated { needed: 7, left: 6 }), "{error}");
    // A record shorter than its header; a whole header is one. What came before is kept when salvaging.
    let mut short = pipe.clone();
    short.extend([0, 0, 0, 0, 0, 0, 7, 0]);
    let Problem::Value { what: "the size of a record", value: 7 } = problem(&short) else { panic!() };
    assert_eq!(PerfFile::read(&source(&short), true).unwrap().attributes.len(), 1);
}
