//! Files of both versions, built by hand from trace-cmd's description of the format (trace-cmd.dat.v6(5) and .v7(5)), in both
//! byte orders.

use std::io::Write;

use super::*;

/// Appends numbers in one byte order.
pub(super) struct Bytes(pub(super) Vec<u8>, pub(super) Endian);

impl Bytes {
    pub(super) fn number(&mut self, value: u64, size: usize) -> &mut Self {
        match self.1 {
            Endian::Little => self.0.extend(&value.to_le_bytes()[..size]),
            Endian::Big => self.0.extend(&value.to_be_bytes()[8 - size..]),
        }
        self
    }

    pub(super) fn text(&mut self, text: &[u8]) -> &mut Self {
        self.0.extend(text);
        self
    }

    /// A text behind its length.
    pub(super) fn long(&mut self, text: &[u8], size: usize) -> &mut Self {
        self.number(text.len() as u64, size).text(text)
    }

    pub(super) fn option(&mut self, number: u16, body: &[u8]) -> &mut Self {
        self.number(number.into(), 2).number(body.len() as u64, 4).text(body)
    }
}

pub(super) fn bytes(endian: Endian) -> Bytes {
    Bytes(Vec::new(), endian)
}

/// Magic, version, byte order, size of a `long`, size of a page.
pub(super) fn head(endian: Endian, version: &[u8]) -> Bytes {
    let mut file = bytes(endian);
    file.text(&MAGIC).text(version).text(&[u8::from(endian == Endian::Big), 8]).number(4096, 4);
    file
}

pub(super) fn header_info(file: &mut Bytes) -> &mut Bytes {
    file.text(b"header_page\0").long(b"the page", 8).text(b"header_event\0").long(b"the event", 8)
}

/// The formats: one of ftrace, two of irq, one of sched.
pub(super) fn event_formats(file: &mut Bytes) -> &mut Bytes {
    file.number(2, 4).text(b"irq\0").number(2, 4).long(b"entry", 8).long(b"exit", 8);
    file.text(b"sched\0").number(1, 4).long(b"switch", 8)
}

/// Everything in a version 6 file before the number of CPUs.
fn descriptions_6(endian: Endian) -> Bytes {
    let mut file = head(endian, b"6\0");
    header_info(&mut file).number(1, 4).long(b"function", 8);
    event_formats(&mut file).long(b"ffff T one", 4).long(b"0x1 : \"two\"", 4).long(b"7 seven\n", 8);
    file
}

pub(super) fn open(file: &[u8], salvage: bool) -> Result<TraceDat, DatError> {
    let mut copy = tempfile::tempfile().unwrap();
    copy.write_all(file).unwrap();
    TraceDat::from_file(copy, Open { salvage })
}

pub(super) fn check_descriptions(dat: &TraceDat) {
    assert_eq!((&*dat.metadata.header_page, &*dat.metadata.header_event), ("the page", "the event"));
    let formats: Vec<_> = dat.metadata.formats.iter().map(|event| (&*event.system, &*event.text)).collect();
    assert_eq!(formats, [("ftrace", "function"), ("irq", "entry"), ("irq", "exit"), ("sched", "switch")]);
    assert_eq!(dat.kallsyms().unwrap(), b"ffff T one");
    assert_eq!(dat.metadata.printk_formats, b"0x1 : \"two\"");
    assert_eq!(dat.metadata.saved_cmdlines, b"7 seven\n");
    assert_eq!((dat.user_long_size, dat.page_size), (LongSize::Eight, 4096));
}

pub(super) fn cpus(buffer: &Buffer) -> Vec<(u32, u64, u64)> {
    match &buffer.data {
        BufferData::Cpus(cpus) => cpus.iter().map(|data| (data.cpu, data.offset, data.size)).collect(),
        BufferData::Text(_) => panic!("a text"),
    }
}

/// A version 6 file with two CPUs and an instance with one. Returns the offset of the first data, too.
fn version_6(endian: Endian) -> (Vec<u8>, u64) {
    let clock = b"local [mono]";
    let build = |instance: u64, data: u64| {
        let mut file = descriptions_6(endian);
        let mut number = bytes(endian);
        file.number(2, 4).text(b"options  \0").option(id::TRACECLOCK, clock).option(id::UNAME, b"Linux box\0");
        file.option(id::CPUCOUNT, &number.number(2, 4).0).option(id::CPUSTAT, b"CPU: 1\nentries: 5\n\0");
        file.option(99, b"later");
        // The table of an instance, its name, its number of CPUs.
        let mut body = bytes(endian);
        body.number(instance, 8).text(b"side\0").number(1, 4);
        file.option(id::CPUSTAT, b"Buffer: side\0")
            .option(id::CPUSTAT, b"CPU: 0\nentries: 6\n\0")
            .option(id::BUFFER, &body.0);
        file.number(0, 2).text(b"flyrecord\0");
        file.number(data, 8).number(8, 8).number(data + 8, 8).number(4, 8).long(clock, 8);
        let table = file.0.len() as u64;
        file.text(b"flyrecord\0").number(data + 12, 8).number(4, 8).long(b"[uptime] local", 8);
        let begin = file.0.len() as u64;
        file.text(b"aaaabbbbccccdddd");
        (file.0, table, begin)
    };
    let (_, table, begin) = build(0, 0);
    let (file, ..) = build(table, begin);
    (file, begin)
}

#[test]
fn each_part_of_a_version_6_file_is_read_in_either_byte_order() {
    for endian in [Endian::Little, Endian::Big] {
        let (file, data) = version_6(endian);
        let dat = open(&file, false).unwrap();
        assert_eq!((dat.version, dat.endian, dat.compression), (Version::V6, endian, Compression::None));
        check_descriptions(&dat);
        assert_eq!((dat.options.uname.as_deref(), dat.options.cpu_count), (Some("Linux box"), Some(2)));
        assert_eq!(dat.options.unknown, [(99, 5)]);
        let [top, side] = dat.buffers.as_slice() else { panic!("{:?}", dat.buffers) };
        assert_eq!((&*top.name, top.clock.as_deref(), top.sub_buffer_size), ("", Some("mono"), 4096));
        assert_eq!(cpus(top), [(0, data, 8), (1, data + 8, 4)]);
        assert_eq!((&*side.name, side.clock.as_deref()), ("side", Some("uptime")));
        assert_eq!(cpus(side), [(0, data + 12, 4)]);
        assert_eq!(dat.cpu_stats(top), [(1, "CPU: 1\nentries: 5")]);
        assert_eq!(dat.cpu_stats(side), [(0, "CPU: 0\nentries: 6")]);
        assert!(dat.problems.is_empty() && !dat.is_empty() && dat.len() == file.len() as u64);
        let mut page = Vec::new();
        let read = |buffer: &Buffer, page: &mut Vec<u8>| {
            dat.feeds(buffer)
                .into_iter()
                .map(|(cpu, mut feed)| {
                    assert!(feed.next_into(page).unwrap());
                    let read = (cpu, page.clone());
                    assert!(!feed.next_into(page).unwrap());
                    read
                })
                .collect::<Vec<_>>()
        };
        assert_eq!(read(top, &mut page), [(0, b"aaaabbbb".to_vec()), (1, b"cccc".to_vec())]);
        assert_eq!(read(side, &mut page), [(0, b"dddd".to_vec())]);
    }
}

#[test]
fn a_latency_file_has_the_kernels_text_up_to_its_end() {
    let mut file = descriptions_6(Endian::Little);
    file.number(3, 4).text(b"latency  \0");
    let begin = file.0.len() as u64;
    file.text(b"# tracer: irqsoff\n");
    let dat = open(&file.0, false).unwrap();
    let [buffer] = dat.buffers.as_slice() else { panic!("{:?}", dat.buffers) };
    let BufferData::Text(data) = &buffer.data else { panic!("{buffer:?}") };
    assert_eq!((data.offset, data.size), (begin, 18));
    let mut text = String::new();
    io::Read::read_to_string(&mut dat.text(buffer).unwrap(), &mut text).unwrap();
    assert_eq!(text, "# tracer: irqsoff\n");
    assert!(dat.feeds(buffer).is_empty() && !dat.is_empty());
}

/// A version 6 file of two CPUs with the given (offset, size), relative to 100 bytes of data at its end.
fn tables_6(table: &[(u64, u64)]) -> (Vec<u8>, u64) {
    let mut file = descriptions_6(Endian::Little);
    let begin = file.0.len() as u64 + 4 + 10 + 16 * table.len() as u64;
    file.number(table.len() as u64, 4).text(b"flyrecord\0");
    for &(offset, size) in table {
        file.number(begin + offset, 8).number(size, 8);
    }
    assert_eq!(file.0.len() as u64, begin);
    file.text(&[7; 100]);
    (file.0, begin)
}

#[test]
fn data_may_touch_other_data_but_not_overlap_them_or_end_behind_the_file() {
    let (file, begin) = tables_6(&[(0, 40), (40, 60), (0, 0)]);
    let dat = open(&file, false).unwrap();
    assert_eq!(cpus(&dat.buffers[0]), [(0, begin, 40), (1, begin + 40, 60), (2, begin, 0)]);

    let (file, begin) = tables_6(&[(0, 41), (40, 60)]);
    let error = open(&file, false).unwrap_err();
    assert_eq!((error.offset, error.part), (begin + 40, Part::Data { cpu: 1 }));
    assert!(matches!(&error.problem, Problem::Overlap { other } if other == "CPU 0 of buffer \"\""), "{error}");
    let dat = open(&file, true).unwrap();
    assert_eq!((cpus(&dat.buffers[0]), dat.problems.len()), (vec![(0, begin, 41)], 1));

    let (file, begin) = tables_6(&[(0, 40), (40, 61)]);
    let error = open(&file, false).unwrap_err();
    assert_eq!((error.offset, error.part), (begin + 40, Part::Data { cpu: 1 }));
    assert!(matches!(error.problem, Problem::Truncated { needed: 61, left: 60 }), "{error}");
    let dat = open(&file, true).unwrap();
    assert_eq!(cpus(&dat.buffers[0]), [(0, begin, 40), (1, begin + 40, 60)]);
    // CPUs without data are nowhere, and of two at one place the first is kept.
    let (file, begin) = tables_6(&[(0, 40), (10, 0), (40, 60)]);
    assert_eq!(cpus(&open(&file, false).unwrap().buffers[0])[1], (1, begin + 10, 0));
    let (file, begin) = tables_6(&[(0, 50), (0, 50)]);
    assert_eq!(cpus(&open(&file, true).unwrap().buffers[0]), [(0, begin, 50)]);
    // Each of several that lie within one is dropped, and what follows it is kept.
    let (file, begin) = tables_6(&[(0, 50), (10, 10), (30, 10), (50, 50)]);
    let dat = open(&file, true).unwrap();
    assert_eq!((cpus(&dat.buffers[0]), dat.problems.len()), (vec![(0, begin, 50), (3, begin + 50, 50)], 2));
}

#[test]
fn a_table_longer_than_the_file_is_an_error_and_salvaged_as_far_as_it_goes() {
    let mut file = descriptions_6(Endian::Little);
    file.number(3, 4).text(b"flyrecord\0");
    let table = file.0.len() as u64;
    file.number(0, 8).number(0, 8).number(0, 8).number(0, 8).text(&[0; 15]);
    let error = open(&file.0, false).unwrap_err();
    assert_eq!(error.offset, table);
    assert!(matches!(error.problem, Problem::Truncated { needed: 48, left: 47 }), "{error}");
    assert_eq!(cpus(&open(&file.0, true).unwrap().buffers[0]).len(), 2);
    file.text(&[0]);
    let dat = open(&file.0, false).unwrap();
    assert!(cpus(&dat.buffers[0]).len() == 3 && dat.is_empty());
}

#[test]
fn more_cpus_than_linux_has_are_an_error() {
    let with = |cpus: u32| {
        let mut file = descriptions_6(Endian::Little);
        file.number(cpus.into(), 4).text(b"flyrecord\0").text(&vec![0; 16 * cpus as usize]);
        open(&file.0, false)
    };
    assert_eq!(cpus(&with(MAX_CPUS).unwrap().buffers[0]).len(), MAX_CPUS as usize);
    let error = with(MAX_CPUS + 1).unwrap_err();
    assert!(matches!(error.problem, Problem::Value { value, .. } if value == u64::from(MAX_CPUS) + 1), "{error}");
}

#[test]
fn behind_damaged_descriptions_the_table_is_searched() {
    let (whole, _) = tables_6(&[(0, 40), (40, 60)]);
    let table = memchr::memmem::find(&whole, b"flyrecord\0").unwrap() - 4;
    // Before, in and behind the first MiB that is searched, and over the place where a second begins.
    for more in [0, 1, 3, 1 << 19, (1 << 20) - 40, (1 << 20) - 20, (1 << 20) - 17, (1 << 20) - 10, 1 << 20, 3 << 20] {
        let mut file = head(Endian::Little, b"6\0");
        file.text(b"header_pagX\0").text(&vec![b'.'; more]);
        let moved = file.0.len() as u64;
        let mut moved_table = bytes(Endian::Little);
        moved_table.number(2, 4).text(b"flyrecord\0");
        let begin = moved + 14 + 32;
        moved_table.number(begin, 8).number(40, 8).number(begin + 40, 8).number(60, 8).text(&[7; 100]);
        file.text(&moved_table.0);
        assert!(open(&file.0, false).is_err());
        let dat = open(&file.0, true).unwrap();
        assert_eq!(cpus(&dat.buffers[0]), [(0, begin, 40), (1, begin + 40, 60)], "{more}");
        // The damage itself, and the lack of a header_page.
        assert_eq!(dat.problems.len(), 2, "{:?}", dat.problems);
    }
    let dat = open(&whole[..table], true).unwrap();
    assert!(dat.buffers.is_empty() && !dat.problems.is_empty());
}

#[test]
fn values_in_the_header_that_no_file_has_are_refused() {
    let (whole, _) = version_6(Endian::Little);
    let with = |at: usize, byte: u8| {
        let mut file = whole.clone();
        file[at] = byte;
        open(&file, false).map(|_| ()).map_err(|error| error.to_string())
    };
    assert_eq!(with(0, 0x16).unwrap_err(), "the file header at byte 0: this is not a trace.dat file");
    assert_eq!(with(10, b'8').unwrap_err(), "the file header at byte 12: version \"8\" is not known (6 and 7 are)");
    assert_eq!(with(12, 2).unwrap_err(), "the file header at byte 13: the byte order cannot be 2");
    assert_eq!(with(13, 5).unwrap_err(), "the file header at byte 14: the size of a long cannot be 5");
    // The page size: 4096 has its 0x10 in the second byte.
    assert_eq!(with(15, 0).unwrap_err(), "the file header at byte 18: the size of a sub-buffer cannot be 0");
    let sized = |size: u32| {
        let mut file = whole.clone();
        file[14..18].copy_from_slice(&size.to_le_bytes());
        open(&file, false).is_ok()
    };
    assert_eq!([63, 64, 1 << 27, (1 << 27) + 1].map(sized), [false, true, true, false]);
    assert_eq!(open(&whole, false).unwrap().user_long_size, LongSize::Eight);
    assert!(with(13, 4).is_ok());
}

#[test]
fn a_file_is_known_by_its_first_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    let known = |bytes: &[u8]| {
        std::fs::write(&path, bytes).unwrap();
        TraceDat::is_trace_dat(&path).unwrap()
    };
    assert!(known(&MAGIC) && known(&version_6(Endian::Big).0));
    assert!(!known(b"") && !known(&MAGIC[..9]) && !known(b"\x17\x08\x44tracinG"));
    assert!(TraceDat::is_trace_dat(&folder.path().join("none")).is_err());
    assert!(TraceDat::is_trace_dat(folder.path()).is_err(), "a folder is no short file");
}

#[test]
fn an_error_names_the_part_in_which_the_file_ends() {
    let (whole, _) = version_6(Endian::Little);
    let mut parts: Vec<Part> = vec![];
    for len in 10..whole.len() - 16 {
        let error = match open(&whole[..len], false) {
            Ok(dat) => panic!("{len} of {} bytes: {dat:?}", whole.len()),
            Err(error) => error,
        };
        if parts.last() != Some(&error.part) {
            parts.push(error.part);
        }
    }
    let described = [Part::FileHeader, Part::HeaderPage, Part::HeaderEvent, Part::FtraceFormats, Part::EventFormats];
    assert_eq!(parts[..5], described);
    assert_eq!(parts[5..10], [Part::Kallsyms, Part::Printk, Part::Cmdlines, Part::Buffer, Part::Options]);
}

#[test]
fn a_file_has_so_many_instances_and_no_more() {
    let with = |count: usize| {
        let mut file = descriptions_6(Endian::Little);
        file.number(0, 4).text(b"options  \0");
        (0..count).for_each(|_| drop_ref(file.option(id::BUFFER, b"\0\0\0\0\0\0\0\0side\0")));
        file.number(0, 2).text(b"flyrecord\0");
        open(&file.0, false).unwrap_err().problem
    };
    let most = MAX_BUFFERS as u64;
    let error = with(MAX_BUFFERS + 1);
    assert!(matches!(error, Problem::TooLarge { size, limit } if (size, limit) == (most + 1, most)), "{error}");
    assert!(matches!(with(MAX_BUFFERS), Problem::Expected { .. }), "their tables are read, and are none");
}

pub(super) fn drop_ref(_: &mut Bytes) {}
