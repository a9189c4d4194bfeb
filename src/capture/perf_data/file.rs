//! The parts of a perf.data: attributes, features, the place of the records, and the kernel's descriptions.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use crate::capture::trace_dat::metadata::{MAX_TEXT, Metadata};
use crate::capture::trace_dat::source::{Cursor, Source};
use crate::capture::trace_dat::{DatError, Part, Problem};
use crate::format::{Endian, LongSize};

/// `PERF_TYPE_TRACEPOINT`.
const TRACEPOINT: u32 = 2;
/// Attributes of one recording; all events of a kernel on thousands of CPUs have one each.
const MAX_ATTRIBUTES: u64 = 1 << 16;
/// Ids of one recording: one per event and CPU.
const MAX_IDS: u64 = 1 << 24;
/// `PERF_ATTR_SIZE_VER0`, the shortest attribute, up to more than any later version has.
const ATTRIBUTE: Range<u64> = 64..4096;
/// The longest feature that is a text.
const MAX_STRING: u64 = 4096;

/// `HEADER_*` of tools/perf/util/header.h.
mod feature {
    pub const TRACING_DATA: u64 = 1;
    pub const HOSTNAME: u64 = 3;
    pub const OSRELEASE: u64 = 4;
    pub const VERSION: u64 = 5;
    pub const ARCH: u64 = 6;
    pub const NRCPUS: u64 = 7;
    pub const CLOCK_DATA: u64 = 29;
}

/// `PERF_RECORD_*` of tools/lib/perf/include/perf/event.h that describe the recording in pipe mode.
mod record {
    pub const HEADER_ATTR: u32 = 64;
    pub const TRACING_DATA: u32 = 66;
    pub const AUXTRACE: u32 = 71;
    pub const HEADER_FEATURE: u32 = 80;
}

/// The header of a record: its type, and the place of its body.
#[derive(Debug, Clone, Copy)]
pub(super) struct RecordHeader {
    /// `PERF_RECORD_*`.
    pub(super) kind: u32,
    /// Bytes after the header.
    pub(super) body: u64,
}

/// Size of a record's header.
pub(super) const RECORD_HEADER: u64 = 8;

impl RecordHeader {
    pub(super) fn read(cursor: &mut Cursor) -> Result<RecordHeader, DatError> {
        let (kind, _misc, size) = (cursor.u32()?, cursor.u16()?, u64::from(cursor.u16()?));
        let Some(body) = size.checked_sub(RECORD_HEADER) else {
            return Err(cursor.error(Problem::Value { what: "the size of a record", value: size }));
        };
        Ok(RecordHeader { kind, body })
    }

    /// Bytes after the record that its size does not include: the descriptions in pipe mode, and hardware traces. The
    /// cursor is after the header.
    pub(super) fn appended(&self, cursor: &mut Cursor) -> Result<u64, DatError> {
        match self.kind {
            record::TRACING_DATA if self.body >= 4 => {
                let size = u64::from(cursor.u32()?);
                cursor.skip(self.body - 4)?;
                Ok(size)
            }
            record::AUXTRACE if self.body >= 8 => {
                let size = cursor.u64()?;
                cursor.skip(self.body - 8)?;
                Ok(size)
            }
            _ => cursor.skip(self.body).map(|()| 0),
        }
    }
}

/// What a `perf_event_attr` says about the records of its event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Attribute {
    /// Whether it is a tracepoint.
    pub(super) tracepoint: bool,
    /// `sample_type`: which fields a sample has.
    pub(super) sample_type: u64,
    /// `read_format`.
    pub(super) read_format: u64,
    /// `sample_id_all`: other records end with some of these fields too.
    pub(super) sample_id_all: bool,
    /// `clockid`, if `use_clockid` is set.
    clock: Option<i32>,
}

impl Attribute {
    /// Reads an attribute of `size` bytes.
    fn read(cursor: &mut Cursor, size: u64, endian: Endian) -> Result<Attribute, DatError> {
        let mut attribute = cursor.part_of(size, ATTRIBUTE.end)?;
        let kind = attribute.u32()?;
        let (_size, _config, _period) = (attribute.u32()?, attribute.u64()?, attribute.u64()?);
        let (sample_type, read_format, flags) = (attribute.u64()?, attribute.u64()?, attribute.u64()?);
        // On big-endian machines bit fields are laid out from the other end.
        let flag = |bit: u32| flags >> if endian == Endian::Big { 63 - bit } else { bit } & 1 != 0;
        // From wakeup_events to sample_stack_user: bytes 48 to 92.
        attribute.skip(44.min(attribute.left()))?;
        let clock = if attribute.left() >= 4 { Some(attribute.u32()? as i32) } else { None };
        Ok(Attribute {
            tracepoint: kind == TRACEPOINT,
            sample_type,
            read_format,
            sample_id_all: flag(18),
            clock: clock.filter(|_| flag(25)),
        })
    }
}

/// A perf.data whose records are still in the file.
pub(super) struct PerfFile {
    /// The byte order of the traced machine.
    pub(super) endian: Endian,
    /// `long` of its user space.
    pub(super) user_long_size: LongSize,
    /// The place of the records.
    pub(super) records: Range<u64>,
    /// The attributes.
    pub(super) attributes: Vec<Attribute>,
    /// The attribute for each sample id.
    pub(super) ids: HashMap<u64, usize>,
    /// The kernel's description files.
    pub(super) metadata: Metadata,
    /// `kallsyms`, as far as perf stores it (it writes an empty one).
    pub(super) kallsyms: Vec<u8>,
    /// The clock of the times, by its name in tracefs.
    pub(super) clock: &'static str,
    /// One moment on that clock and in the time of day, ns.
    pub(super) clock_pair: Option<(u64, u64)>,
    /// CPUs of the machine.
    pub(super) cpus: Option<u32>,
    /// The version of perf.
    pub(super) version: Option<String>,
    texts: HashMap<u64, String>,
}

/// What was found so far.
#[derive(Default)]
struct Parts {
    attributes: Vec<Attribute>,
    ids: HashMap<u64, usize>,
    tracing_data: Option<Range<u64>>,
    texts: HashMap<u64, String>,
    cpus: Option<u32>,
    clock_data: Option<ClockData>,
}

/// The feature CLOCK_DATA: one moment on the clock `id` and in the time of day.
struct ClockData {
    id: i32,
    wall_ns: u64,
    clock_ns: u64,
}

impl PerfFile {
    /// Reads everything except the records.
    ///
    /// When salvaging, a damaged pipe-mode file is read up to the damage: the walk over the records ends at the same
    /// place.
    pub(super) fn read(source: &Arc<Source>, salvage: bool) -> Result<PerfFile, DatError> {
        let open = |endian| Cursor::over_file(source.clone(), endian, Part::FileHeader, 0, source.len());
        let mut cursor = open(Endian::Little);
        let endian = match cursor.bytes(8, 8)?.as_slice() {
            b"PERFILE2" => Endian::Little,
            b"2ELIFREP" => Endian::Big,
            _ => return Err(DatError { offset: 0, part: Part::FileHeader, problem: Problem::NotTraceDat }),
        };
        cursor.set_endian(endian);
        let mut parts = Parts::default();
        // The size of the header distinguishes the modes: `perf_pipe_file_header` has 16 bytes.
        let records = match cursor.u64()? {
            16 => {
                let read = parts.pipe(source, endian);
                if !salvage {
                    read?;
                }
                16..source.len()
            }
            104.. => parts.file(cursor, source, endian)?,
            size => return Err(cursor.error(Problem::Value { what: "the size of the header", value: size })),
        };
        let Some(tracing_data) = parts.tracing_data else {
            return Err(DatError { offset: 0, part: Part::TracingData, problem: Problem::NoTracepoints });
        };
        let part = Part::TracingData;
        let descriptions = Cursor::over_file(source.clone(), endian, part, tracing_data.start, tracing_data.end);
        let (user_long_size, metadata, kallsyms) = read_tracing_data(descriptions)?;
        let clock_id = parts.attributes.iter().find(|attribute| attribute.tracepoint).and_then(|a| a.clock);
        let pair = parts.clock_data.filter(|data| Some(data.id) == clock_id);
        let pair = pair.map(|data| (data.clock_ns, data.wall_ns));
        Ok(PerfFile {
            endian,
            user_long_size,
            records,
            attributes: parts.attributes,
            ids: parts.ids,
            metadata,
            kallsyms,
            clock: clock_name(clock_id),
            // CLOCK_REALTIME is the time of day itself.
            clock_pair: if clock_id == Some(libc::CLOCK_REALTIME) { Some((0, 0)) } else { pair },
            cpus: parts.cpus,
            version: parts.texts.get(&feature::VERSION).cloned(),
            texts: parts.texts,
        })
    }

    /// The machine in the form of uname(1), as far as stored.
    pub(super) fn uname(&self) -> Option<String> {
        let text = |feature| self.texts.get(&feature).map_or("", String::as_str);
        let release = self.texts.get(&feature::OSRELEASE)?;
        Some(format!("Linux {} {release} {}", text(feature::HOSTNAME), text(feature::ARCH)).trim_end().to_owned())
    }
}

/// The tracefs name of a clock of clock_gettime(2); without one, perf's own clock (`perf_clock`).
fn clock_name(id: Option<i32>) -> &'static str {
    match id {
        None => "perf",
        Some(libc::CLOCK_MONOTONIC) => "mono",
        Some(libc::CLOCK_MONOTONIC_RAW) => "mono_raw",
        Some(libc::CLOCK_BOOTTIME) => "boot",
        Some(libc::CLOCK_TAI) => "tai",
        Some(_) => "realtime",
    }
}

impl Parts {
    /// File mode: reads the sections found through the header. Returns the place of the records.
    fn file(&mut self, mut header: Cursor, source: &Arc<Source>, endian: Endian) -> Result<Range<u64>, DatError> {
        let attribute_size = header.u64()?;
        let attributes = section(&mut header)?;
        let data = section(&mut header)?;
        let _event_types = section(&mut header)?;
        let features = [header.u64()?, header.u64()?, header.u64()?, header.u64()?];
        let cursor = |part, range: &Range<u64>| Cursor::over_file(source.clone(), endian, part, range.start, range.end);

        let size = attribute_size
            .checked_sub(16)
            .filter(|size| ATTRIBUTE.contains(size))
            .ok_or_else(|| header.error(Problem::Value { what: "the size of an attribute", value: attribute_size }))?;
        let mut table = cursor(Part::Attributes, &attributes);
        while table.left() >= attribute_size {
            let attribute = Attribute::read(&mut table, size, endian)?;
            let ids = section(&mut table)?;
            self.attribute(attribute, &mut cursor(Part::Attributes, &ids))?;
        }

        // The sections of the features follow the records, one for each bit set.
        let mut sections = cursor(Part::Features, &(data.end..source.len()));
        for bit in (0..256).filter(|bit| features[(bit / 64) as usize] >> (bit % 64) & 1 != 0) {
            let range = section(&mut sections)?;
            if bit == feature::TRACING_DATA {
                self.tracing_data = Some(range);
            } else {
                self.feature(bit, &mut cursor(Part::Features, &range))?;
            }
        }
        Ok(data)
    }

    /// Pipe mode: the descriptions are records among the others.
    fn pipe(&mut self, source: &Arc<Source>, endian: Endian) -> Result<(), DatError> {
        let mut cursor = Cursor::over_file(source.clone(), endian, Part::Records, 16, source.len());
        while cursor.left() >= RECORD_HEADER {
            let header = RecordHeader::read(&mut cursor)?;
            match header.kind {
                record::HEADER_ATTR => {
                    let mut body = cursor.part_of(header.body, 1 << 16)?;
                    // The second word of an attribute is its size; its ids follow it.
                    let size = {
                        let mut peek = body.clone();
                        peek.skip(4)?;
                        u64::from(peek.u32()?)
                    };
                    if !ATTRIBUTE.contains(&size) {
                        return Err(cursor.error(Problem::Value { what: "the size of an attribute", value: size }));
                    }
                    let attribute = Attribute::read(&mut body, size, endian)?;
                    self.attribute(attribute, &mut body)?;
                }
                record::HEADER_FEATURE if header.body >= 8 => {
                    let mut body = cursor.part_of(header.body, 1 << 16)?;
                    let number = body.u64()?;
                    self.feature(number, &mut body)?;
                }
                _ => {
                    let appended = header.appended(&mut cursor)?;
                    let begin = cursor.offset();
                    if appended > cursor.left() {
                        return Err(cursor.error(Problem::Truncated { needed: appended, left: cursor.left() }));
                    }
                    if header.kind == record::TRACING_DATA {
                        self.tracing_data = Some(begin..begin + appended);
                    }
                    cursor.skip(appended)?;
                }
            }
        }
        Ok(())
    }

    /// Adds an attribute, whose ids are the rest of `ids`.
    fn attribute(&mut self, attribute: Attribute, ids: &mut Cursor) -> Result<(), DatError> {
        let room = |ids: &Cursor, used: usize, limit: u64| {
            let full = || ids.error(Problem::TooLarge { size: limit + 1, limit });
            ((used as u64) < limit).then_some(()).ok_or_else(full)
        };
        room(ids, self.attributes.len(), MAX_ATTRIBUTES)?;
        while ids.left() >= 8 {
            room(ids, self.ids.len(), MAX_IDS)?;
            self.ids.insert(ids.u64()?, self.attributes.len());
        }
        self.attributes.push(attribute);
        Ok(())
    }

    /// Reads the features that are used.
    fn feature(&mut self, number: u64, body: &mut Cursor) -> Result<(), DatError> {
        match number {
            feature::HOSTNAME | feature::OSRELEASE | feature::VERSION | feature::ARCH => {
                let size = u64::from(body.u32()?);
                let bytes = body.bytes(size.min(body.left()), MAX_STRING)?;
                let text = bytes.split(|&byte| byte == 0).next().unwrap_or_default();
                self.texts.insert(number, String::from_utf8_lossy(text).into_owned());
            }
            // The number of CPUs, then of those online.
            feature::NRCPUS => self.cpus = Some(body.u32()?),
            feature::CLOCK_DATA => {
                let (_version, id) = (body.u32()?, body.u32()? as i32);
                self.clock_data = Some(ClockData { id, wall_ns: body.u64()?, clock_ns: body.u64()? });
            }
            _ => {}
        }
        Ok(())
    }
}

/// `perf_file_section`: offset and size.
fn section(cursor: &mut Cursor) -> Result<Range<u64>, DatError> {
    let (offset, size) = (cursor.u64()?, cursor.u64()?);
    let end = offset.checked_add(size);
    end.map(|end| offset..end).ok_or_else(|| cursor.error(Problem::Value { what: "the end of a section", value: size }))
}

/// The descriptions: a trace.dat up to its `saved_cmdlines`, version 0.5 or 0.6 (tools/perf/util/trace-event-info.c).
fn read_tracing_data(mut cursor: Cursor) -> Result<(LongSize, Metadata, Vec<u8>), DatError> {
    const MAGIC: [u8; 10] = *b"\x17\x08\x44tracing";
    if cursor.bytes(10, 10)? != MAGIC {
        return Err(cursor.error(Problem::Missing));
    }
    let version = cursor.cstr(8)?;
    let endian = if cursor.u8()? == 1 { Endian::Big } else { Endian::Little };
    cursor.set_endian(endian);
    let user_long_size = if cursor.u8()? == 4 { LongSize::Four } else { LongSize::Eight };
    let _page_size = cursor.u32()?;
    let mut metadata = Metadata::default();
    metadata.read_header_info(&mut cursor)?;
    metadata.read_ftrace_formats(&mut cursor)?;
    metadata.read_event_formats(&mut cursor)?;
    cursor.enter(Part::Kallsyms);
    let size = u64::from(cursor.u32()?);
    let kallsyms = cursor.bytes(size, MAX_TEXT)?;
    metadata.read_printk(&mut cursor)?;
    if version != "0.5" {
        metadata.read_cmdlines(&mut cursor)?;
    }
    Ok((user_long_size, metadata, kallsyms))
}

#[cfg(test)]
mod tests;
