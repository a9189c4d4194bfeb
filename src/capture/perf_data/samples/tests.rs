//! Samples and other records, in the layout of perf_event_open(2); the bits are those of its text, by number.

use super::*;
use crate::capture::perf_data::made::{BOTH, Bytes, Event, Imported, Made, TRACEPOINT, import, source};

/// The id of the tracepoint.
const ID: u64 = 0x0505;

/// What a counter has read: `counters` of them if it is a group.
fn read_values(out: Bytes, read_format: u64, counters: u64) -> Bytes {
    let has = |bit: u32| read_format >> bit & 1 == 1;
    let times = |out: Bytes| {
        let out = if has(0) { out.u64(0xe1e1_e1e1_e1e1) } else { out };
        if has(1) { out.u64(0xe2e2_e2e2_e2e2) } else { out }
    };
    let id_and_lost = |out: Bytes| {
        let out = if has(2) { out.u64(0xe3e3_e3e3_e3e3) } else { out };
        if has(4) { out.u64(0xe4e4_e4e4_e4e4) } else { out }
    };
    if has(3) {
        (0..counters).fold(times(out.u64(counters)), |out, _| id_and_lost(out.u64(0xe5e5_e5e5_e5e5)))
    } else {
        id_and_lost(times(out.u64(0xe5e5_e5e5_e5e5)))
    }
}

/// A sample: fields that are not looked at have values that no CPU, time or id has.
fn sample(endian: Endian, event: &Event, id: u64, (cpu, time): (u32, u64), raw: &[u8]) -> Vec<u8> {
    let has = |bit: u32| event.sample_type >> bit & 1 == 1;
    let mut out = Bytes::new(endian);
    let other = |value: u64| move |out: Bytes| out.u64(0x0101_0101_0101_0101 * value);
    let fields: [(u32, &dyn Fn(Bytes) -> Bytes); 12] = [
        (16, &|out| out.u64(id)),
        (0, &other(0x10)),
        (1, &other(0x11)),
        (2, &|out| out.u64(time)),
        (3, &other(0x13)),
        (6, &|out| out.u64(id)),
        (9, &other(0x19)),
        (7, &|out| out.u32(cpu).u32(0x1717_1717)),
        (8, &other(0x18)),
        (4, &|out| read_values(out, event.read_format, 2)),
        (5, &|out| out.u64(3).put([0x15; 24])),
        (10, &|out| out.u32(raw.len() as u32).put(raw)),
    ];
    for (_, put) in fields.iter().filter(|(bit, _)| has(*bit)) {
        out = put(out);
    }
    out.1
}

fn perf(made: &Made) -> PerfFile {
    PerfFile::read(&source(&made.file()), false).unwrap()
}

fn samples(made: &Made, salvage: bool) -> (Result<Samples, DatError>, Vec<DatError>) {
    let source = source(&made.file());
    let mut faults = Faults::new(salvage);
    let samples = PerfFile::read(&source, false).and_then(|perf| Samples::read(&source, &perf, &mut faults));
    (samples, faults.found)
}

fn entries(made: &Made) -> Vec<(u32, u64, String)> {
    let samples = samples(made, false).0.unwrap();
    samples.entries.iter().map(|entry| (entry.cpu, entry.time, format!("{:?}", entry.what))).collect()
}

fn lost(cpu: u32, time: u64, events: u64) -> (u32, u64, String) {
    (cpu, time, format!("Lost({events})"))
}

/// A tracepoint whose samples have only TIME, CPU and RAW.
const SHORT: Event = Event { sample_type: 1 << 2 | 1 << 7 | 1 << 10, read_format: 0, ..TRACEPOINT };

fn short(endian: Endian, cpu: u32, time: u64, raw: &[u8]) -> Vec<u8> {
    sample(endian, &SHORT, 0, (cpu, time), raw)
}

fn found(records: &[(u32, u64, &[u8])], lost: &[(u32, u64)]) -> Imported {
    let records = records.iter().map(|(cpu, time, bytes)| (*cpu, *time, bytes.to_vec())).collect();
    Imported { records, lost: lost.to_vec(), problems: 0 }
}

#[test]
fn the_fields_of_every_sample_type_are_found_and_a_shorter_sample_is_malformed() {
    let mut attribute = perf(&Made::new(Endian::Little, &[(TRACEPOINT, &[ID])])).attributes[0];
    let bits = [16, 0, 1, 2, 3, 6, 9, 7, 8, 4, 5, 10];
    for subset in 0u64..1 << bits.len() {
        let endian = BOTH[(subset % 2) as usize];
        let sample_type = bits.iter().enumerate().map(|(index, bit)| (subset >> index & 1) << bit).sum();
        let event = Event { sample_type, read_format: subset % 32, ..TRACEPOINT };
        (attribute.sample_type, attribute.read_format) = (event.sample_type, event.read_format);
        let bytes = sample(endian, &event, ID, (3, 77), &[9; 12]);
        let fields = |bytes| Fields { bytes, at: 0, endian };
        let Found { cpu, time, raw } = find(&attribute, &mut fields(&bytes)).unwrap();
        let has = |bit: u32| sample_type >> bit & 1 == 1;
        assert_eq!(cpu, if has(7) { 3 } else { 0 }, "{sample_type:#x}");
        assert_eq!(time, if has(2) { 77 } else { 0 }, "{sample_type:#x}");
        assert_eq!(raw, has(10).then(|| (bytes.len() - 12, 12)), "{sample_type:#x}");
        if let Some(short) = bytes.len().checked_sub(1) {
            assert!(find(&attribute, &mut fields(&bytes[..short])).is_none(), "{sample_type:#x}");
        }
    }
}

#[test]
fn counters_of_every_read_format_are_skipped() {
    for read_format in 0..32 {
        for counters in 0..4 {
            let values = read_values(Bytes::new(Endian::Little), read_format, counters).1;
            let skip = |bytes: &[u8]| {
                let mut fields = Fields { bytes, at: 0, endian: Endian::Little };
                skip_read(read_format, &mut fields).map(|()| fields.at)
            };
            assert_eq!(skip(&values), Some(values.len()), "{read_format} with {counters}");
            assert_eq!(skip(&values[..values.len() - 1]), None, "{read_format} with {counters}");
        }
    }
    let many = |counters| {
        let bytes = Bytes::new(Endian::Little).u64(counters).1;
        skip_read(1 << 3, &mut Fields { bytes: &bytes, at: 0, endian: Endian::Little })
    };
    assert_eq!((many(0), many(u64::MAX), many(u64::MAX / 8 + 1)), (Some(()), None, None));
}

/// `perf_event__output_id_sample`: TID, TIME, ID, STREAM_ID, CPU, IDENTIFIER, at the end of each record but samples.
#[test]
fn the_time_and_cpu_of_a_loss_are_at_its_end() {
    let order = [1u32, 2, 6, 9, 7, 16];
    for subset in 0u64..1 << order.len() {
        let endian = BOTH[(subset % 2) as usize];
        let has = |bit: u32| order.iter().position(|other| *other == bit).is_some_and(|at| subset >> at & 1 == 1);
        let sample_type = order.iter().map(|&bit| u64::from(has(bit)) << bit).sum();
        let event = Event { sample_type, ..TRACEPOINT };
        let trailer = order.iter().filter(|&&bit| has(bit)).fold(Bytes::new(endian), |out, bit| match bit {
            2 => out.u64(500),
            7 => out.u32(4).u32(0x1717_1717),
            other => out.u64(0x0101_0101_0101_0101 * u64::from(*other)),
        });
        let body = Bytes::new(endian).u64(ID).u64(41).put(&trailer.1).1;
        let expected = lost(if has(7) { 4 } else { 0 }, if has(2) { 500 } else { 0 }, 41);
        // PERF_RECORD_LOST has an id before the number, PERF_RECORD_LOST_SAMPLES has not.
        for (kind, body) in [(2, &body[..]), (13, &body[8..])] {
            let made = Made::new(endian, &[(event, &[ID])]).record(kind, body);
            assert!(entries(&made).iter().eq([&expected]), "{sample_type:#x}");
        }
        let none = Event { flags: &[], ..event };
        assert_eq!(entries(&Made::new(endian, &[(none, &[ID])]).record(2, &body)), [lost(0, 0, 41)]);
        assert_eq!(entries(&Made::new(endian, &[(none, &[1]), (event, &[ID])]).record(2, &body)), [expected]);
    }
    // A record that is shorter than what is at its end.
    let event = Event { sample_type: 1 << 16 | 0xc7 | 1 << 9, ..TRACEPOINT };
    let body = Bytes::new(Endian::Little).u64(41).put([0; 40]).1;
    for (len, fits) in [(48, true), (47, false), (40, false), (8, false), (7, false)] {
        let (samples, _) = samples(&Made::new(Endian::Little, &[(event, &[ID])]).record(13, &body[..len]), false);
        let malformed = samples.err().is_some_and(|error| matches!(error.problem, Problem::Malformed("record")));
        assert_eq!(!malformed, fits, "{len}");
    }
}

#[test]
fn a_cpu_that_no_kernel_has_is_damage_with_its_place() {
    for (cpu, usable) in [(16_383, true), (16_384, false), (u32::MAX, false)] {
        let loss = Bytes::new(Endian::Little).u64(0).u64(1).u64(500).u32(cpu).u32(0).1;
        for (kind, body) in [(9, short(Endian::Little, cpu, 500, &[1; 4])), (2, loss)] {
            let made = Made::new(Endian::Little, &[(SHORT, &[ID])]).record(7, [0; 16]).record(kind, &body);
            let (samples, _) = samples(&made, false);
            match samples {
                Ok(samples) => assert!(usable && samples.cpus() == 16_384 && samples.entries.len() == 1),
                Err(error) => {
                    // The header, an id, an attribute with the place of its ids, the first record, a header.
                    assert!(!usable && error.offset == 104 + 8 + 136 + 16 + 24 + 8, "{error}");
                    assert!(matches!(error.problem, Problem::Malformed("record")), "{error}");
                }
            }
        }
    }
    let none = samples(&Made::new(Endian::Little, &[(SHORT, &[ID])]), false).0.unwrap();
    assert_eq!((none.cpus(), none.entries.len()), (1, 0));
}

#[test]
fn a_sample_is_parsed_by_the_attribute_of_its_id() {
    // PERF_TYPE_SOFTWARE, with the same id at the same place. Its samples have no record.
    for before in 0u64..16 {
        for endian in BOTH {
            for identifier in [true, false] {
                let id = if identifier { 1 << 16 } else { 1 << 6 };
                let tracepoint = Event { sample_type: before | id | 0x584, ..TRACEPOINT };
                let software = Event { kind: 1, ..tracepoint };
                let made = Made::new(endian, &[(software, &[6, 7]), (tracepoint, &[ID])]);
                let put = |made: Made, id, time| {
                    let body = sample(endian, &tracepoint, id, (1, time), b"four");
                    made.record(9, body)
                };
                // The third one's id is unknown.
                let made = put(put(put(put(made, 6, 1000), ID, 1001), 5, 1002), ID, 1003);
                let expected = [(1, 1001, &b"four"[..]), (1, 1003, b"four")];
                assert_eq!(import(&made.file(), false).unwrap(), found(&expected, &[(0, 0), (1, 0)]), "{before}");
                assert_eq!(import(&made.pipe(), false).unwrap(), found(&expected, &[(0, 0), (1, 0)]), "{before}");
            }
        }
    }
    // Other fields, in samples of the other event: each has its own.
    let other = Event { sample_type: SHORT.sample_type | 1 << 16, ..SHORT };
    let more = Event { sample_type: other.sample_type | 1 << 4, read_format: 4, ..other };
    for (more, id) in [(more, 2), (Event { read_format: 0x14, ..more }, 3)] {
        let made = Made::new(Endian::Little, &[(Event { read_format: 4, ..more }, &[1]), (more, &[id])])
            .record(9, sample(Endian::Little, &more, id, (0, 30), b"long"))
            .record(9, sample(Endian::Little, &Event { read_format: 4, ..more }, 1, (0, 31), b"more"));
        let expected = found(&[(0, 30, b"long"), (0, 31, b"more")], &[(0, 0)]);
        assert_eq!(import(&made.file(), false).unwrap(), expected);
    }
    // Without attributes nothing is known of samples.
    let none = Made::new(Endian::Little, &[]).record(9, short(Endian::Little, 0, 5, &[1; 8]));
    assert_eq!(entries(&none), []);
    // A tracepoint that is counted has no record; neither has what is no tracepoint, whatever its raw data are.
    for event in [Event { sample_type: 0x84, ..SHORT }, Event { kind: 1, ..SHORT }] {
        let made = Made::new(Endian::Little, &[(event, &[ID])]);
        assert_eq!(entries(&made.record(9, sample(Endian::Little, &event, 0, (2, 5), &[1; 8]))), []);
    }
}

#[test]
fn samples_are_written_by_cpu_and_time_and_losses_before_the_record_that_reports_them() {
    for endian in BOTH {
        let loss = |cpu, time, events| Bytes::new(endian).u64(0).u64(events).u64(time).u32(cpu).u32(0).1;
        let made = Made::new(endian, &[(SHORT, &[ID])])
            .record(9, short(endian, 2, 50, b"2-50"))
            .record(9, short(endian, 0, 60, b"0-60 and more"))
            .record(9, short(endian, 2, 40, b"2-40"))
            .record(9, short(endian, 0, 45, b"0-45"))
            .record(2, loss(2, 50, 7));
        let [first, last] = [&b"0-60 and more\0\0\0"[..], b"2-50"];
        let expected = [(2, 40, &b"2-40"[..]), (0, 45, b"0-45"), (2, 50, last), (0, 60, first)];
        let lost_of = [(0, 0), (1, 0), (2, 7)];
        assert_eq!(import(&made.file(), false).unwrap(), found(&expected, &lost_of));
        let all = entries(&made);
        assert_eq!(
            all.iter().map(|(cpu, time, _)| (*cpu, *time)).collect::<Vec<_>>(),
            [(0, 45), (0, 60), (2, 40), (2, 50), (2, 50)]
        );
        assert_eq!(all[3], lost(2, 50, 7));
    }
}

#[test]
fn a_record_longer_than_any_of_the_kernel_counts_as_lost() {
    // A sub-buffer of 16 KiB: 16 bytes of header, and room for 24 besides the record.
    let longest = 16_384 - 16 - 24;
    let made = Made::new(Endian::Little, &[(SHORT, &[ID])])
        .record(9, short(Endian::Little, 0, 1, &vec![1; longest]))
        .record(9, short(Endian::Little, 0, 2, &vec![2; longest + 1]))
        .record(9, short(Endian::Little, 0, 3, &[3; 4]));
    let expected = found(&[(0, 1, &vec![1; longest]), (0, 3, &[3; 4])], &[(0, 1)]);
    assert_eq!(import(&made.file(), false).unwrap(), expected);
}

#[test]
fn task_names_end_at_a_nul_and_have_at_most_15_bytes_in_one_line() {
    for endian in BOTH {
        let comm = |pid, tid, name: &[u8]| Bytes::new(endian).u32(pid).u32(tid).put(name).1;
        let made = Made::new(endian, &[(SHORT, &[ID])])
            .record(3, comm(1, 12, b"first\0\0\0"))
            .record(3, comm(1, 2, b"two\nlines\0xx"))
            .record(3, comm(1, 3, b"sixteen bytes it"))
            .record(3, comm(1, 12, b"later\0"))
            .record(3, comm(1, 4, b""));
        let samples = samples(&made, false).0.unwrap();
        let text = samples.saved_cmdlines();
        assert_eq!(String::from_utf8(text).unwrap(), "2 two?lines\n3 sixteen bytes i\n4 \n12 later\n");
    }
    let cut = Made::new(Endian::Little, &[(SHORT, &[ID])]).record(3, [1; 7]);
    assert!(samples(&cut, false).0.is_err());
}

#[test]
fn other_records_are_skipped_and_damage_ends_the_walk() {
    let made = || Made::new(Endian::Little, &[(SHORT, &[ID])]);
    let one = short(Endian::Little, 0, 5, b"five");
    // PERF_RECORD_FORK, one without a body, descriptions and hardware traces, whose bytes follow them.
    let traces = Bytes::new(Endian::Little).u64(24).put([0; 32]).1;
    let mut many = made().record(7, [0; 40]).record(68, []).record(66, [4, 0, 0, 0]);
    many.records.extend([0xff; 4]);
    many = many.record(66, [4, 0, 0, 0, 1, 1, 1, 1]);
    many.records.extend([0xff; 4]);
    many = many.record(71, &traces);
    many.records.extend([0xff; 24]);
    many = many.record(71, [8, 0, 0, 0, 0, 0, 0, 0]);
    many.records.extend([0xff; 8]);
    // Too short for their size: nothing follows.
    many = many.record(66, [1; 3]).record(71, [1; 7]).record(9, &one);
    assert_eq!(entries(&many).len(), 1);
    // Less than a header at the end is no record; a header is one.
    for (end, fine) in [(&[0u8; 7][..], true), (&[0, 0, 0, 0, 0, 0, 8, 0], true), (&[0, 0, 0, 0, 0, 0, 7, 0], false)] {
        let mut made = made().record(9, &one);
        made.records.extend(end);
        assert_eq!(samples(&made, false).0.is_ok(), fine, "{end:?}");
        let (salvaged, problems) = samples(&made, true);
        assert_eq!((salvaged.unwrap().entries.len(), problems.is_empty()), (1, fine));
    }
    // A record that says to be longer than what is left.
    let mut long = made().record(9, &one);
    long.records.extend([9, 0, 0, 0, 0, 0, 32, 0, 1, 2, 3]);
    let error = samples(&long, false).0.err().unwrap();
    assert!(matches!(error.problem, Problem::Truncated { needed: 24, left: 3 }), "{error}");
    let (salvaged, problems) = samples(&long, true);
    assert_eq!((salvaged.unwrap().entries.len(), problems.len()), (1, 1));
}

#[test]
fn a_file_that_ends_before_its_records_do_is_truncated() {
    let made = Made::new(Endian::Little, &[(SHORT, &[ID])]).record(9, short(Endian::Little, 0, 5, b"five"));
    let source = source(&made.file());
    let mut perf = PerfFile::read(&source, false).unwrap();
    let read = |perf: &PerfFile, salvage| {
        let mut faults = Faults::new(salvage);
        let read = Samples::read(&source, perf, &mut faults).map(|samples| samples.entries.len());
        (read, faults.found.len())
    };
    perf.records = perf.records.start..source.len();
    assert!(read(&perf, false).0.is_err_and(|error| !matches!(error.problem, Problem::Truncated { .. })));
    let (begin, end) = (perf.records.start, source.len() + 100);
    perf.records.end = end;
    let error = read(&perf, false).0.unwrap_err();
    assert_eq!(error.offset, begin);
    let Problem::Truncated { needed, left } = error.problem else { panic!("{error}") };
    assert_eq!((needed, left), (end - begin, source.len() - begin));
}

/// A zstd frame by hand (RFC 8878): a window of 128 KiB, and blocks of (size, what is in it); one byte is repeated.
fn frame(blocks: &[(usize, &[u8])], ended: bool) -> Vec<u8> {
    let mut frame = vec![0x28, 0xb5, 0x2f, 0xfd, 0, 7 << 3];
    for (index, (size, content)) in blocks.iter().enumerate() {
        let last = u32::from(ended && index + 1 == blocks.len());
        let repeated = u32::from(content.len() == 1);
        frame.extend(&((*size as u32) << 3 | repeated << 1 | last).to_le_bytes()[..3]);
        frame.extend(*content);
    }
    frame
}

fn raw(content: &[u8]) -> (usize, &[u8]) {
    (content.len(), content)
}

/// PERF_RECORD_COMPRESSED2: the number of bytes, these, and what fills up the last word.
fn compressed2(endian: Endian, data: &[u8]) -> Vec<u8> {
    let filled = [data, &vec![0xee; data.len().next_multiple_of(8) - data.len()]].concat();
    Bytes::new(endian).u64(data.len() as u64).put(filled).1
}

#[test]
fn compressed_records_are_one_stream_wherever_they_are_cut() {
    for endian in BOTH {
        let inner = Made::new(endian, &[])
            .record(9, short(endian, 0, 20, b"twenty"))
            // A compressed record within compressed ones is none.
            .record(81, [1, 2, 3])
            .record(83, [9; 24])
            .record(83, [9; 7])
            .record(9, short(endian, 1, 10, b"ten."));
        let expected = found(&[(1, 10, b"ten."), (0, 15, b"15.."), (0, 20, b"twenty\0\0")], &[(0, 0), (1, 0)]);
        // perf flushes the frame, but does not end it.
        for ended in [false, true] {
            let stream = frame(&[raw(&inner.records[..30]), raw(&inner.records[30..])], ended);
            for piece in [1, 7, 8, 50, stream.len()] {
                for kind in [81, 83] {
                    let mut made = Made::new(endian, &[(SHORT, &[ID])]).record(9, short(endian, 0, 15, b"15.."));
                    for piece in stream.chunks(piece) {
                        let body = if kind == 81 { piece.to_vec() } else { compressed2(endian, piece) };
                        // One with nothing in it, as well.
                        made = made.record(kind, body).record(81, []);
                    }
                    assert_eq!(import(&made.file(), false).unwrap(), expected, "{piece} {kind} {ended}");
                }
            }
        }
    }
}

#[test]
fn several_frames_are_read_one_after_the_other_and_an_empty_one_is_no_end() {
    let made = || Made::new(Endian::Little, &[(SHORT, &[ID])]);
    let record = |time| made().record(9, short(Endian::Little, 0, time, b"four")).records;
    let frames = [frame(&[raw(b"")], true), frame(&[raw(&record(1))], true), frame(&[raw(&record(2))], true)];
    let expected = found(&[(0, 1, b"four"), (0, 2, b"four")], &[(0, 0)]);
    assert_eq!(import(&made().record(81, frames.concat()).file(), false).unwrap(), expected);
    let each = frames.iter().fold(made(), |made, frame| made.record(81, frame));
    assert_eq!(import(&each.file(), false).unwrap(), expected);
    // Two bytes that are no frame.
    let (damaged, _) = samples(&made().record(81, [1, 2]), false);
    assert!(damaged.is_err_and(|error| matches!(error.problem, Problem::Corrupt(_))));
    // A block of a reserved type.
    let mut reserved = frame(&[raw(&record(1))], true);
    reserved[6] |= 3 << 1;
    let made = made().record(81, &reserved);
    let error = samples(&made, false).0.err().unwrap();
    let place = perf(&made).records.start + 8;
    assert!(matches!(error.problem, Problem::Corrupt(_)) && error.offset == place, "{error}");
}

#[test]
fn a_count_of_compressed_bytes_is_held_against_the_record() {
    let made = || Made::new(Endian::Little, &[(SHORT, &[ID])]);
    let one = short(Endian::Little, 0, 1, b"four");
    let inner = made().record(9, &one).records;
    let stream = frame(&[raw(&inner)], true);
    // More than the record has: its own bytes are taken, and no other's.
    let mut body = Bytes::new(Endian::Little).u64(u64::MAX).put(&stream).1;
    let read = import(&made().record(83, &body).record(9, short(Endian::Little, 0, 2, b"next")).file(), false);
    assert_eq!(read.unwrap(), found(&[(0, 1, b"four"), (0, 2, b"next")], &[(0, 0)]));
    // Too short for a count.
    body.truncate(7);
    let error = samples(&made().record(83, &body).record(9, &one), false).0.err().unwrap();
    assert!(matches!(error.problem, Problem::Malformed("record")), "{error}");
    // A count, and nothing else.
    let none = made().record(83, [0; 8]).record(9, &one);
    assert_eq!(entries(&none).len(), 1);
}

#[test]
fn decompressed_records_are_limited_by_their_compressed_length() {
    const MIB: usize = 1 << 20;
    // Nine blocks of four bytes after a header of six: 256 times 42, and a MiB.
    for (last, fits) in [(42 * 256, true), (42 * 256 + 1, false)] {
        let mut blocks = vec![(MIB / 8, &[0u8][..]); 8];
        blocks.push((last, &[0]));
        let stream = frame(&blocks, true);
        assert_eq!(stream.len(), 42);
        let made = Made::new(Endian::Little, &[(SHORT, &[ID])]);
        // In two pieces, whose lengths add up.
        let made = made.record(81, &stream[..20]).record(81, &stream[20..]);
        let error = samples(&made, false).0.err().unwrap();
        let too_large = matches!(error.problem, Problem::TooLarge { size, limit } if size == limit + 1);
        // Zeros are no record.
        let no_record = matches!(error.problem, Problem::Value { what: "the size of a record", value: 0 });
        assert_eq!((no_record, too_large), (fits, !fits), "{error}");
    }
}

#[test]
fn numbers_end_where_the_record_ends() {
    let bytes = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12];
    let read = |endian| {
        let mut fields = Fields { bytes: &bytes, at: 0, endian };
        (fields.u32(), fields.u64(), fields.at, fields.u32(), fields.u64(), fields.rest().len(), fields.at)
    };
    assert_eq!(read(Endian::Big), (Some(0x0102_0304), Some(0x0506_0708_090a_0b0c), 12, None, None, 0, 12));
    assert_eq!(read(Endian::Little), (Some(0x0403_0201), Some(0x0c0b_0a09_0807_0605), 12, None, None, 0, 12));
    let mut fields = Fields { bytes: &bytes, at: 4, endian: Endian::Big };
    assert_eq!(fields.rest(), &bytes[4..]);
    assert_eq!((fields.skip(8), fields.skip(1)), (Some(()), None));
    assert_eq!(Fields { bytes: &bytes, at: 4, endian: Endian::Big }.skip(usize::MAX), None);
}
