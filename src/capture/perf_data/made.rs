//! Files of perf, for tests: made by hand in the layout of tools/perf/Documentation/perf.data-file-format.txt.

use std::io::Write;
use std::sync::Arc;

use byteorder::{BigEndian, ByteOrder, LittleEndian};

use crate::capture::trace_dat::source::Source;
use crate::capture::trace_dat::{DatError, Open};
use crate::format::Endian;

pub(super) const BOTH: [Endian; 2] = [Endian::Little, Endian::Big];

/// Bytes in one byte order.
#[derive(Clone)]
pub(super) struct Bytes(pub(super) Endian, pub(super) Vec<u8>);

impl Bytes {
    pub(super) fn new(endian: Endian) -> Bytes {
        Bytes(endian, vec![])
    }

    pub(super) fn put(mut self, bytes: impl AsRef<[u8]>) -> Bytes {
        self.1.extend_from_slice(bytes.as_ref());
        self
    }

    pub(super) fn u16(self, value: u16) -> Bytes {
        let bytes = if self.0 == Endian::Big { value.to_be_bytes() } else { value.to_le_bytes() };
        self.put(bytes)
    }

    pub(super) fn u32(self, value: u32) -> Bytes {
        let bytes = if self.0 == Endian::Big { value.to_be_bytes() } else { value.to_le_bytes() };
        self.put(bytes)
    }

    pub(super) fn u64(self, value: u64) -> Bytes {
        let bytes = if self.0 == Endian::Big { value.to_be_bytes() } else { value.to_le_bytes() };
        self.put(bytes)
    }

    /// Eight bytes of length, then the text.
    fn long_text(self, text: &str) -> Bytes {
        self.u64(text.len() as u64).put(text)
    }
}

/// A `perf_event_attr`.
#[derive(Clone, Copy)]
pub(super) struct Event {
    /// `PERF_TYPE_*`.
    pub(super) kind: u32,
    pub(super) size: u32,
    pub(super) sample_type: u64,
    pub(super) read_format: u64,
    /// The numbers of the flags that are set, counted from `disabled`.
    pub(super) flags: &'static [u32],
    pub(super) clock: i32,
}

/// `sample_id_all` and `use_clockid`.
pub(super) const SAMPLE_ID_ALL: u32 = 18;
pub(super) const USE_CLOCKID: u32 = 25;

/// A tracepoint with IP, TID, TIME, CPU, PERIOD, RAW and IDENTIFIER, as `perf record -a -e` asks for.
pub(super) const TRACEPOINT: Event =
    Event { kind: 2, size: 136, sample_type: 0x10587, read_format: 4, flags: &[SAMPLE_ID_ALL], clock: 0 };

fn attribute(endian: Endian, event: &Event) -> Vec<u8> {
    let bit = |&flag: &u32| 1u64 << if endian == Endian::Big { 63 - flag } else { flag };
    let flags = event.flags.iter().map(bit).sum();
    let head = Bytes::new(endian).u32(event.kind).u32(event.size).u64(0x1234).u64(1);
    let head = head.u64(event.sample_type).u64(event.read_format).u64(flags);
    // wakeup_events, bp_type, bp_addr, bp_len, branch_sample_type, sample_regs_user, sample_stack_user; all ones.
    let all = head.put([0xff; 44]).u32(event.clock.cast_unsigned()).put([0xff; 4096]);
    all.1[..event.size as usize].to_vec()
}

/// A record: its header, and its body.
pub(super) fn record(endian: Endian, kind: u32, body: &[u8]) -> Vec<u8> {
    let size = u16::try_from(body.len() + 8).unwrap();
    Bytes::new(endian).u32(kind).u16(0xffff).u16(size).put(body).1
}

/// A part of the kernel's descriptions that differs from file to file.
pub(super) struct Descriptions {
    pub(super) endian: Endian,
    pub(super) version: &'static str,
    pub(super) long: u8,
}

impl Descriptions {
    /// The layout of tools/perf/util/trace-event-info.c.
    pub(super) fn bytes(&self) -> Vec<u8> {
        let header_page = "\tfield: u64 timestamp;\toffset:0;\tsize:8;\tsigned:0;
\tfield: local_t commit;\toffset:8;\tsize:8;\tsigned:1;
\tfield: char data;\toffset:16;\tsize:4080;\tsigned:1;
";
        let format = "name: one\nID: 7\nformat:\n\tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;\n\n\
                      print fmt: \"\"\n";
        let out = Bytes::new(self.endian).put(b"\x17\x08\x44tracing").put(self.version).put([0]);
        let out = out.put([u8::from(self.endian == Endian::Big), self.long]).u32(4096);
        let out = out.put(b"header_page\0").long_text(header_page).put(b"header_event\0").long_text("events");
        let out = out.u32(0).u32(1).put(b"mine\0").u32(1).long_text(format);
        let out = out.u32(8).put(b"kallsyms").u32(6).put(b"printk");
        if self.version == "0.5" { out.1 } else { out.long_text("1 init\n").1 }
    }
}

/// A file to be.
pub(super) struct Made {
    pub(super) endian: Endian,
    /// The attributes, each with its ids.
    pub(super) events: Vec<(Event, Vec<u64>)>,
    /// By number; each a section or a record.
    pub(super) features: Vec<(u64, Vec<u8>)>,
    pub(super) descriptions: Vec<u8>,
    pub(super) records: Vec<u8>,
}

impl Made {
    pub(super) fn new(endian: Endian, events: &[(Event, &[u64])]) -> Made {
        let descriptions = Descriptions { endian, version: "0.6", long: 8 }.bytes();
        let events = events.iter().map(|(event, ids)| (*event, ids.to_vec())).collect();
        Made { endian, events, features: vec![], descriptions, records: vec![] }
    }

    pub(super) fn feature(mut self, number: u64, body: Vec<u8>) -> Made {
        self.features.push((number, body));
        self
    }

    pub(super) fn record(mut self, kind: u32, body: impl AsRef<[u8]>) -> Made {
        self.records.extend(record(self.endian, kind, body.as_ref()));
        self
    }

    pub(super) fn magic(&self) -> Bytes {
        let magic = if self.endian == Endian::Big { b"2ELIFREP" } else { b"PERFILE2" };
        Bytes::new(self.endian).put(magic)
    }

    /// In file mode: the header, the ids, the attributes, the records, the sections of the features.
    pub(super) fn file(&self) -> Vec<u8> {
        let attribute_size = u64::from(self.events.first().map_or(136, |(event, _)| event.size)) + 16;
        let (mut ids, mut attributes) = (Bytes::new(self.endian), Bytes::new(self.endian));
        for (event, of_event) in &self.events {
            attributes = attributes.put(attribute(self.endian, event)).u64(104 + ids.1.len() as u64);
            attributes = attributes.u64(of_event.len() as u64 * 8);
            ids = of_event.iter().fold(ids, |ids, &id| ids.u64(id));
        }
        let attributes_at = 104 + ids.1.len() as u64;
        let data_at = attributes_at + attributes.1.len() as u64;
        let data_end = data_at + self.records.len() as u64;
        let mut features = vec![(1, self.descriptions.clone())];
        features.extend(self.features.iter().cloned());
        features.sort();
        let mut bits = [0u64; 4];
        let (mut sections, mut bodies) = (Bytes::new(self.endian), vec![]);
        for (number, body) in &features {
            bits[*number as usize / 64] |= 1 << (number % 64);
            let at = data_end + features.len() as u64 * 16 + bodies.len() as u64;
            sections = sections.u64(at).u64(body.len() as u64);
            bodies.extend_from_slice(body);
        }
        let header = self.magic().u64(104).u64(attribute_size).u64(attributes_at).u64(attributes.1.len() as u64);
        let header = header.u64(data_at).u64(self.records.len() as u64).u64(0).u64(0);
        let header = bits.into_iter().fold(header, Bytes::u64);
        assert_eq!(header.1.len(), 104);
        [header.1, ids.1, attributes.1, self.records.clone(), sections.1, bodies].concat()
    }

    /// In pipe mode: everything is a record.
    pub(super) fn pipe(&self) -> Vec<u8> {
        let mut out = self.magic().u64(16);
        for (event, ids) in &self.events {
            let body =
                ids.iter().fold(Bytes::new(self.endian).put(attribute(self.endian, event)), |body, &id| body.u64(id));
            out = out.put(record(self.endian, 64, &body.1));
        }
        for (number, body) in &self.features {
            out = out.put(record(self.endian, 80, &Bytes::new(self.endian).u64(*number).put(body).1));
        }
        let size = Bytes::new(self.endian).u32(self.descriptions.len() as u32);
        out.put(record(self.endian, 66, &size.1)).put(&self.descriptions).put(&self.records).1
    }
}

pub(super) fn source(bytes: &[u8]) -> Arc<Source> {
    Arc::new(Source::new(file(bytes)).unwrap())
}

fn file(bytes: &[u8]) -> std::fs::File {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    file
}

/// What an imported file has: the records as (CPU, time, bytes), and the events lost by CPU.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Imported {
    pub(super) records: Vec<(u32, u64, Vec<u8>)>,
    pub(super) lost: Vec<(u32, u64)>,
    pub(super) problems: usize,
}

pub(super) fn import(bytes: &[u8], salvage: bool) -> Result<Imported, DatError> {
    let dat = super::import(file(bytes), Open::new(salvage))?;
    let mut capture = dat.capture(None)?;
    let mut imported = Imported { records: vec![], lost: vec![], problems: dat.problems.len() };
    fn all<E: ByteOrder>(capture: &mut crate::capture::Capture, into: &mut Imported) {
        let mut merge = capture.merge();
        while let Some(record) = merge.next_record::<E>() {
            into.records.push((record.cpu, record.time, record.bytes.to_vec()));
        }
        into.lost = merge.counts().map(|(cpu, counts)| (cpu, counts.lost)).collect();
    }
    match capture.endian {
        Endian::Little => all::<LittleEndian>(&mut capture, &mut imported),
        Endian::Big => all::<BigEndian>(&mut capture, &mut imported),
    }
    Ok(imported)
}
