//! Version 7 files, built by hand from trace-cmd.dat.v7(5): the chain of options, sections of every kind, stored as they are
//! and compressed.

use std::io::{Read, Write};

use super::super::tests::{Bytes, bytes, check_descriptions, cpus, drop_ref, event_formats, head, header_info, open};
use super::super::{MAX_BUFFERS, TraceDat};
use super::*;
use crate::capture::trace_dat::options::Options;

/// Of a section: the id and the contents, and whether these are compressed.
fn section(endian: Endian, number: u16, contents: &[u8], compressed: bool) -> Vec<u8> {
    let mut stored = contents.to_vec();
    if compressed {
        let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), Default::default());
        encoder.write_all(contents).unwrap();
        let body = encoder.finish().unwrap();
        let mut sizes = bytes(endian);
        sizes.number(body.len() as u64, 4).number(contents.len() as u64, 4).text(&body);
        stored = sizes.0;
    }
    let mut section = bytes(endian);
    section.number(number.into(), 2).number(compressed.into(), 2).number(0, 4).long(&stored, 8);
    section.0
}

/// A file: sections are appended, then the options that refer to them.
struct File {
    bytes: Vec<u8>,
    endian: Endian,
    compress: bool,
    /// Where the offset of the first options is to be written.
    first: usize,
}

impl File {
    fn new(endian: Endian, compress: bool) -> File {
        let mut file = head(endian, b"7\0");
        file.text(if compress { b"zlib\0" } else { b"none\0" }).text(b"1.2.3\0");
        let first = file.0.len();
        file.number(0, 8);
        File { bytes: file.0, endian, compress, first }
    }

    /// Appends a section; returns its offset.
    fn section(&mut self, number: u16, contents: &[u8]) -> u64 {
        let at = self.bytes.len() as u64;
        self.bytes.extend(section(self.endian, number, contents, self.compress));
        at
    }

    /// Appends a section of options, which ends with the offset of the next one, and makes it the first.
    fn options(&mut self, options: &[(u16, Vec<u8>)], next: u64) -> u64 {
        let mut body = bytes(self.endian);
        for (number, option) in options {
            body.option(*number, option);
        }
        let next = self.number(next);
        body.option(id::DONE, &next);
        let at = self.section(id::DONE, &body.0);
        let first = self.number(at);
        self.bytes[self.first..self.first + 8].copy_from_slice(&first);
        at
    }

    fn number(&self, value: u64) -> Vec<u8> {
        let mut number = bytes(self.endian);
        number.number(value, 8);
        number.0
    }

    /// Appends the descriptions, each in its section; returns the options that refer to them.
    fn descriptions(&mut self) -> Vec<(u16, Vec<u8>)> {
        let with = |fill: &dyn Fn(&mut Bytes)| {
            let mut contents = bytes(self.endian);
            fill(&mut contents);
            contents.0
        };
        let sections = [
            (id::HEADER_INFO, with(&|contents| drop_ref(header_info(contents)))),
            (id::FTRACE_EVENTS, with(&|contents| drop_ref(contents.number(1, 4).long(b"function", 8)))),
            (id::EVENT_FORMATS, with(&|contents| drop_ref(event_formats(contents)))),
            (id::KALLSYMS, with(&|contents| drop_ref(contents.long(b"ffff T one", 4)))),
            (id::PRINTK, with(&|contents| drop_ref(contents.long(b"0x1 : \"two\"", 4)))),
            (id::CMDLINES, with(&|contents| drop_ref(contents.long(b"7 seven\n", 8)))),
        ];
        sections
            .map(|(number, contents)| (number, self.section(number, &contents)))
            .map(|(number, at)| (number, self.number(at)))
            .to_vec()
    }

    /// An option that describes a buffer: its section, name, clock, size of a sub-buffer, and CPUs.
    fn buffer(&self, section: u64, name: &str, clock: &str, size: u32, cpus: &[(u32, u64, u64)]) -> Vec<u8> {
        let mut body = bytes(self.endian);
        body.number(section, 8).text(name.as_bytes()).text(b"\0").text(clock.as_bytes()).text(b"\0");
        body.number(size.into(), 4).number(cpus.len() as u64, 4);
        for &(cpu, offset, size) in cpus {
            body.number(cpu.into(), 4).number(offset, 8).number(size, 8);
        }
        body.0
    }

    fn open(&self) -> Result<TraceDat, DatError> {
        open(&self.bytes, false)
    }
}

#[test]
fn each_part_of_a_version_7_file_is_read_in_either_byte_order_stored_and_compressed() {
    for (endian, compress) in [Endian::Little, Endian::Big].into_iter().flat_map(|e| [(e, false), (e, true)]) {
        let mut file = File::new(endian, compress);
        let mut options = file.descriptions();
        // A buffer's section has its data as they are: 16 bytes behind its head of 16.
        file.compress = false;
        let data = file.section(id::BUFFER, b"aaaabbbbccccdddd") + 16;
        let text = file.section(id::BUFFER_TEXT, b"# tracer: wakeup\n");
        file.compress = compress;
        let top = file.buffer(data - 16, "", "local [mono]", 8192, &[(0, data, 4), (3, data + 4, 8)]);
        options.push((id::BUFFER, top));
        let second = file.options(&[(id::UNAME, b"Linux box\0".to_vec()), (98, vec![1, 2])], 0);
        let side = file.buffer(data - 16, "side", "[boot]", 4096, &[(1, data + 12, 4)]);
        let latency = [&file.number(text)[..], b"late\0[global]\0"].concat();
        options.extend([(id::BUFFER, side), (id::BUFFER_TEXT, latency), (id::STRINGS, file.number(1))]);
        file.options(&options, second);
        let dat = file.open().unwrap();
        let compression = if compress { Compression::Zlib } else { Compression::None };
        assert_eq!((dat.version, dat.endian, dat.compression), (Version::V7, endian, compression));
        check_descriptions(&dat);
        let want = Options { uname: Some("Linux box".into()), unknown: vec![(98, 2)], ..Options::default() };
        assert_eq!(dat.options, want);
        let [top, side, late] = dat.buffers.as_slice() else { panic!("{:?}", dat.buffers) };
        assert_eq!((&*top.name, top.clock.as_deref(), top.sub_buffer_size), ("", Some("mono"), 8192));
        assert_eq!(cpus(top), [(0, data, 4), (3, data + 4, 8)]);
        assert_eq!((&*side.name, side.clock.as_deref(), side.sub_buffer_size), ("side", Some("boot"), 4096));
        assert_eq!(cpus(side), [(1, data + 12, 4)]);
        assert_eq!((&*late.name, late.clock.as_deref()), ("late", Some("global")));
        let mut read = String::new();
        dat.text(late).unwrap().read_to_string(&mut read).unwrap();
        assert_eq!(read, "# tracer: wakeup\n");
        assert!(dat.text(top).is_none() && dat.problems.is_empty() && !dat.is_empty());
    }
}

#[test]
fn a_file_without_options_and_a_chain_in_a_circle_are_errors() {
    let mut file = File::new(Endian::Little, false);
    let error = file.open().unwrap_err();
    assert!(matches!((error.part, &error.problem), (Part::Options, Problem::Missing)), "{error}");
    let described = file.descriptions();
    let first = file.options(&described, 0);
    file.open().unwrap();
    let last = file.options(&[], first);
    file.open().unwrap();
    // The first one's next is the second again: 16 bytes of head, the descriptions' 14 each, and 6 of the last.
    let next = first as usize + 16 + 14 * described.len() + 6;
    file.bytes[next..next + 8].copy_from_slice(&last.to_le_bytes());
    let error = file.open().unwrap_err();
    assert!(
        matches!((error.part, error.offset, &error.problem), (Part::Options, offset, Problem::Loop) if offset == last)
    );
    // Salvaged, everything in it is read nevertheless.
    let dat = open(&file.bytes, true).unwrap();
    check_descriptions(&dat);
    assert_eq!(dat.problems.len(), 1);
}

#[test]
fn a_reference_to_another_kind_of_section_or_out_of_the_file_is_an_error() {
    let mut file = File::new(Endian::Little, false);
    let described = file.descriptions();
    let with = |number: u16, at: &[u8]| {
        let mut copy = File { bytes: file.bytes.clone(), ..file };
        let mut options = described.clone();
        options.iter_mut().filter(|(of, _)| *of == number).for_each(|(_, place)| *place = at.to_vec());
        copy.options(&options, 0);
        copy.open().map(|_| ()).map_err(|error| error.problem)
    };
    let at = |number: u16| described.iter().find(|(of, _)| *of == number).unwrap().1.clone();
    with(id::PRINTK, &at(id::PRINTK)).unwrap();
    let error = with(id::PRINTK, &at(id::CMDLINES)).unwrap_err();
    assert!(matches!(error, Problem::Section { expected: id::PRINTK, found: id::CMDLINES }), "{error}");
    assert!(matches!(with(id::PRINTK, &[0xff; 8]), Err(Problem::Truncated { .. })));
    assert!(matches!(with(id::PRINTK, &[1; 7]), Err(Problem::Truncated { needed: 8, left: 7 })));
}

#[test]
fn sizes_in_a_section_are_held_against_the_file_and_the_section() {
    let mut file = File::new(Endian::Little, true);
    let mut described = file.descriptions();
    file.options(&described, 0);
    file.open().unwrap();
    let at = u64::from_le_bytes(described[4].1[..].try_into().unwrap()) as usize;
    let changed = |place: usize, value: u32| {
        let mut copy = file.bytes.clone();
        copy[at + place..at + place + 4].copy_from_slice(&value.to_le_bytes());
        open(&copy, false).unwrap_err().problem
    };
    let stored = u32::from_le_bytes(file.bytes[at + 16..at + 20].try_into().unwrap());
    // The size of the section, that of the compressed bytes in it, and what they become.
    let left = (file.bytes.len() - at - 16) as u64;
    assert!(
        matches!(changed(8, left as u32 + 1), Problem::Truncated { needed, left: all } if (needed, all) == (left + 1, left))
    );
    let error = changed(16, stored + 1);
    assert!(
        matches!(error, Problem::Truncated { needed, left } if (needed, left) == (u64::from(stored) + 1, stored.into()))
    );
    let error = changed(20, MAX_TEXT as u32 + 1);
    assert!(matches!(error, Problem::TooLarge { size, limit: MAX_TEXT } if size == MAX_TEXT + 1), "{error}");
    assert!(matches!(changed(20, 14), Problem::Corrupt(_)), "it becomes 15 bytes");
    // A buffer's CPUs are held against its option.
    let data = file.section(id::BUFFER, b"");
    let mut body = file.buffer(data, "", "", 4096, &[(0, data, 0)]);
    body.pop();
    described.push((id::BUFFER, body));
    file.options(&described, 0);
    assert!(matches!(file.open().unwrap_err().problem, Problem::Truncated { needed: 20, left: 19 }));
}

#[test]
fn a_file_has_so_many_buffers_and_sections_of_a_kind_and_no_more() {
    let mut file = File::new(Endian::Little, false);
    let described = file.descriptions();
    let data = file.section(id::BUFFER, b"");
    let mut opened = |more: Vec<(u16, Vec<u8>)>| {
        file.options(&[&described[..], &more].concat(), 0);
        file.open().map(|dat| dat.buffers.len()).map_err(|error| error.problem)
    };
    let buffer = [&data.to_le_bytes()[..], b"\0\0", &4096u32.to_le_bytes(), &0u32.to_le_bytes()].concat();
    let buffers = |count: usize| vec![(id::BUFFER, buffer.clone()); count];
    assert_eq!(opened(buffers(MAX_BUFFERS)).unwrap(), MAX_BUFFERS);
    let most = MAX_BUFFERS as u64;
    let error = opened(buffers(MAX_BUFFERS + 1)).unwrap_err();
    assert!(matches!(error, Problem::TooLarge { size, limit } if (size, limit) == (most + 1, most)), "{error}");
    // Sections that are named twice are read once; more than 64 of a kind are not read.
    let again = described.iter().find(|(number, _)| *number == id::PRINTK).unwrap();
    assert_eq!(opened(vec![again.clone(); 2 * MAX_SECTIONS]).unwrap(), 0);
    let others = |count: usize| (1..count as u64).map(|n| (id::KALLSYMS, (n << 40).to_le_bytes().to_vec())).collect();
    assert_eq!(opened(others(MAX_SECTIONS)).unwrap(), 0);
    assert!(matches!(opened(others(MAX_SECTIONS + 1)), Err(Problem::TooLarge { .. })));
}

#[test]
fn a_chain_of_options_has_so_many_sections_and_no_more() {
    let chain = |count: usize| {
        let mut file = File::new(Endian::Little, false);
        let described = file.descriptions();
        let mut next = file.options(&described, 0);
        for _ in 1..count {
            next = file.options(&[], next);
        }
        file.open().map(|_| ()).map_err(|error| error.problem)
    };
    chain(MAX_OPTION_SECTIONS).unwrap();
    assert!(matches!(chain(MAX_OPTION_SECTIONS + 1), Err(Problem::Loop)));
}

#[test]
fn an_error_names_the_part_that_a_section_was_to_have() {
    let mut file = File::new(Endian::Little, false);
    let described = file.descriptions();
    let parts =
        [Part::HeaderPage, Part::FtraceFormats, Part::EventFormats, Part::Kallsyms, Part::Printk, Part::Cmdlines];
    for ((number, _), part) in described.iter().zip(parts).filter(|((number, _), _)| *number != id::KALLSYMS) {
        let mut copy = File { bytes: file.bytes.clone(), ..file };
        let kallsyms = described[3].1.clone();
        copy.options(&[(*number, kallsyms)], 0);
        let error = copy.open().unwrap_err();
        assert_eq!(error.part, part);
    }
}

#[test]
fn options_may_end_with_their_section() {
    let mut file = File::new(Endian::Little, false);
    let mut body = bytes(Endian::Little);
    for (number, option) in file.descriptions() {
        body.option(number, &option);
    }
    let at = file.section(id::DONE, &body.0);
    let first = file.first;
    file.bytes[first..first + 8].copy_from_slice(&at.to_le_bytes());
    check_descriptions(&file.open().unwrap());
}
