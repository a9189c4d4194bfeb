//! The tracepoint samples of a perf.data, the losses and the task names.
//!
//! perf writes the records of each CPU's buffer in turn, so neighbours in the file are not neighbours in time. The
//! file is read once and each sample recorded with its CPU, time and place (32 bytes); sorted, they are written to
//! sub-buffers.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::ops::Range;
use std::sync::Arc;

use ruzstd::decoding::StreamingDecoder;

use super::file::{Attribute, PerfFile, RECORD_HEADER, RecordHeader};
use super::sub_buffers::SubBufferWriter;
use crate::capture::trace_dat::source::{Cursor, Source};
use crate::capture::trace_dat::{DatError, Faults, Part, Problem};
use crate::format::Endian;

/// `PERF_RECORD_*` of include/uapi/linux/perf_event.h and tools/lib/perf/include/perf/event.h.
mod record {
    pub const LOST: u32 = 2;
    pub const COMM: u32 = 3;
    pub const SAMPLE: u32 = 9;
    pub const LOST_SAMPLES: u32 = 13;
    pub const COMPRESSED: u32 = 81;
    pub const COMPRESSED2: u32 = 83;
}

/// `PERF_SAMPLE_*` of include/uapi/linux/perf_event.h.
mod sample {
    pub const IP: u64 = 1;
    pub const TID: u64 = 1 << 1;
    pub const TIME: u64 = 1 << 2;
    pub const ADDR: u64 = 1 << 3;
    pub const READ: u64 = 1 << 4;
    pub const CALLCHAIN: u64 = 1 << 5;
    pub const ID: u64 = 1 << 6;
    pub const CPU: u64 = 1 << 7;
    pub const PERIOD: u64 = 1 << 8;
    pub const STREAM_ID: u64 = 1 << 9;
    pub const RAW: u64 = 1 << 10;
    pub const IDENTIFIER: u64 = 1 << 16;
}

/// `PERF_FORMAT_*`.
mod format {
    pub const TOTAL_TIME_ENABLED: u64 = 1;
    pub const TOTAL_TIME_RUNNING: u64 = 2;
    pub const ID: u64 = 4;
    pub const GROUP: u64 = 8;
    pub const LOST: u64 = 16;
}

/// Higher CPU numbers are treated as damage; a Linux kernel can be built for 8192.
const MAX_CPU: u32 = (1 << 14) - 1;
/// The largest ratio between decompressed and compressed records.
const MAX_EXPANSION: u64 = 256;

/// A sample, or events lost.
#[derive(Debug, Clone, Copy)]
struct Entry {
    cpu: u32,
    time: u64,
    what: What,
}

#[derive(Debug, Clone, Copy)]
enum What {
    /// Events were lost before this time.
    Lost(u64),
    /// A record of `len` bytes at `offset` in the file.
    Sample { offset: u64, len: u32 },
    /// A record of `len` bytes at `offset` in the decompressed data.
    Unpacked { offset: u64, len: u32 },
}

/// All samples, by CPU and time.
pub(super) struct Samples {
    entries: Vec<Entry>,
    source: Arc<Source>,
    /// The decompressed records, if any are compressed.
    unpacked: Option<Arc<Source>>,
    endian: Endian,
    comms: BTreeMap<u32, Vec<u8>>,
}

impl Samples {
    /// Collects the samples of a file. Damage ends it, unless `faults` salvages.
    pub(super) fn read(source: &Arc<Source>, perf: &PerfFile, faults: &mut Faults) -> Result<Samples, DatError> {
        let (entries, comms) = (vec![], BTreeMap::new());
        let mut samples = Samples { entries, source: source.clone(), unpacked: None, endian: perf.endian, comms };
        let packed = vec![];
        let mut walk = Walk { perf, samples: &mut samples, faults, body: vec![], packed, inside: false };
        walk.records(source, perf.records.clone())?;
        if !walk.packed.is_empty() {
            let unpacked = Arc::new(unpack(source, std::mem::take(&mut walk.packed))?);
            walk.inside = true;
            walk.records(&unpacked, 0..unpacked.len())?;
            samples.unpacked = Some(unpacked);
        }
        // Losses first: they occurred before the record that reports them.
        samples.entries.sort_by_key(|entry| (entry.cpu, entry.time, !matches!(entry.what, What::Lost(_))));
        Ok(samples)
    }

    /// The number of CPUs with samples: the highest plus one.
    pub(super) fn cpus(&self) -> usize {
        self.entries.last().map_or(1, |entry| entry.cpu as usize + 1)
    }

    /// Writes the samples of one CPU.
    pub(super) fn write<W: Write>(&mut self, cpu: u32, out: &mut SubBufferWriter<W>) -> Result<(), DatError> {
        let part = Part::Data { cpu };
        let begin = self.entries.partition_point(|entry| entry.cpu < cpu);
        let cursor = |source: &Arc<Source>| Cursor::over_file(source.clone(), self.endian, part, 0, source.len());
        let (mut file, mut unpacked) = (cursor(&self.source), cursor(self.unpacked.as_ref().unwrap_or(&self.source)));
        let mut payload = Vec::new();
        for entry in self.entries[begin..].iter().take_while(|entry| entry.cpu == cpu) {
            let (cursor, offset, len) = match entry.what {
                What::Lost(events) => {
                    out.lost(events);
                    continue;
                }
                What::Sample { offset, len } => (&mut file, offset, len),
                What::Unpacked { offset, len } => (&mut unpacked, offset, len),
            };
            if len as usize > out.longest() {
                // The kernel does not write such a record (`PERF_MAX_TRACE_SIZE`).
                out.lost(1);
                continue;
            }
            cursor.seek(offset);
            cursor.bytes_into(&mut payload, u64::from(len))?;
            out.record(entry.time, &payload).map_err(|error| DatError { offset, part, problem: Problem::Io(error) })?;
        }
        Ok(())
    }

    /// The task names in the form of `saved_cmdlines`.
    pub(super) fn saved_cmdlines(&self) -> Vec<u8> {
        let mut text = Vec::new();
        for (tid, comm) in &self.comms {
            text.extend_from_slice(tid.to_string().as_bytes());
            text.push(b' ');
            text.extend(comm.iter().map(|&byte| if byte == b'\n' { b'?' } else { byte }));
            text.push(b'\n');
        }
        text
    }
}

/// Decompresses the output of `perf record -z`: the compressed records contain one zstd stream, in which records
/// follow each other regardless of where a compressed record ends.
fn unpack(source: &Arc<Source>, packed: Vec<Range<u64>>) -> Result<Source, DatError> {
    let offset = packed.first().map_or(0, |range| range.start);
    let failed = |problem| DatError { offset, part: Part::Records, problem };
    let stored: u64 = packed.iter().map(|range| range.end - range.start).sum();
    let limit = stored.saturating_mul(MAX_EXPANSION).saturating_add(1 << 20);
    let mut pieces = Pieces { source: source.clone(), packed: packed.into_iter(), now: 0..0, end: &END };
    let mut out = tempfile::tempfile().map_err(|error| failed(Problem::Io(error)))?;
    let mut written = 0;
    let mut buffer = vec![0; 64 << 10];
    // The stream is one frame, or several if perf restarted it.
    while !pieces.is_empty() {
        let corrupt = |error: String| failed(Problem::Corrupt(error));
        let mut decoder = StreamingDecoder::new(&mut pieces).map_err(|error| corrupt(error.to_string()))?;
        loop {
            match decoder.read(&mut buffer) {
                Ok(0) => break,
                Ok(len) => {
                    written += len as u64;
                    if written > limit {
                        return Err(failed(Problem::TooLarge { size: written, limit }));
                    }
                    out.write_all(&buffer[..len]).map_err(|error| failed(Problem::Io(error)))?;
                }
                Err(error) => return Err(corrupt(error.to_string())),
            }
        }
    }
    Source::new(out).map_err(|error| failed(Problem::Io(error)))
}

/// Pieces of a file as one stream of bytes.
struct Pieces {
    source: Arc<Source>,
    packed: std::vec::IntoIter<Range<u64>>,
    now: Range<u64>,
    /// What follows the last piece.
    end: &'static [u8],
}

/// An empty last block: perf flushes its frame but does not end it, and a decoder holds back a window's worth of
/// bytes until the end of the frame.
const END: [u8; 3] = [1, 0, 0];

impl Pieces {
    fn is_empty(&self) -> bool {
        self.now.is_empty() && self.packed.as_slice().iter().all(Range::is_empty)
    }
}

impl Read for Pieces {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while self.now.is_empty() {
            let Some(next) = self.packed.next() else { return self.end.read(out) };
            self.now = next;
        }
        let len = out.len().min((self.now.end - self.now.start) as usize);
        let read = self.source.read(self.now.start, &mut out[..len], Part::Records);
        read.map_err(|error| io::Error::other(error.to_string()))?;
        self.now.start += len as u64;
        Ok(len)
    }
}

/// One pass over the records.
struct Walk<'a> {
    perf: &'a PerfFile,
    samples: &'a mut Samples,
    faults: &'a mut Faults,
    body: Vec<u8>,
    /// The place of the compressed records' bytes.
    packed: Vec<Range<u64>>,
    /// Whether this walk is over decompressed records.
    inside: bool,
}

impl Walk<'_> {
    fn records(&mut self, source: &Arc<Source>, range: Range<u64>) -> Result<(), DatError> {
        let mut cursor = Cursor::over_file(source.clone(), self.perf.endian, Part::Records, range.start, range.end);
        if range.end > source.len() {
            let problem = Problem::Truncated { needed: range.end - range.start, left: cursor.left() };
            self.faults.note(cursor.error(problem))?;
        }
        while cursor.left() >= RECORD_HEADER {
            if let Err(error) = self.record(&mut cursor) {
                // Without its length the next record cannot be found.
                return self.faults.note(error);
            }
        }
        Ok(())
    }

    fn record(&mut self, cursor: &mut Cursor) -> Result<(), DatError> {
        let header = RecordHeader::read(cursor)?;
        match header.kind {
            record::SAMPLE | record::LOST | record::LOST_SAMPLES | record::COMM => {
                let at = cursor.offset();
                let mut body = std::mem::take(&mut self.body);
                let read = cursor.bytes_into(&mut body, header.body);
                let taken = read.and_then(|()| {
                    let fields = Fields { bytes: &body, at: 0, endian: self.perf.endian };
                    let malformed =
                        || DatError { offset: at, part: Part::Records, problem: Problem::Malformed("record") };
                    self.take(header.kind, at, fields).ok_or_else(malformed)
                });
                self.body = body;
                taken
            }
            record::COMPRESSED | record::COMPRESSED2 if !self.inside => {
                // The later form states how many of its bytes are data; the rest pads it to a word.
                let (len, room) = if header.kind == record::COMPRESSED2 {
                    let malformed = || cursor.error(Problem::Malformed("record"));
                    let room = header.body.checked_sub(8).ok_or_else(malformed)?;
                    (cursor.u64()?, room)
                } else {
                    (header.body, header.body)
                };
                let begin = cursor.offset();
                self.packed.push(begin..begin + len.min(room));
                cursor.skip(room)
            }
            _ => {
                let appended = header.appended(cursor)?;
                cursor.skip(appended)
            }
        }
    }

    /// Processes one record whose body begins at `at`; `None` if the body is too short.
    fn take(&mut self, kind: u32, at: u64, mut fields: Fields<'_>) -> Option<()> {
        match kind {
            record::SAMPLE => return self.sample(at, fields),
            record::COMM => {
                let (_pid, tid) = (fields.u32()?, fields.u32()?);
                let comm = fields.rest().split(|&byte| byte == 0).next().unwrap_or_default();
                self.samples.comms.insert(tid, comm.get(..comm.len().min(15))?.to_vec());
                return Some(());
            }
            record::LOST => drop(fields.u64()?),
            _ => {}
        }
        let events = fields.u64()?;
        let (cpu, time) = self.trailer(&fields)?;
        self.samples.entries.push(Entry { cpu, time, what: What::Lost(events) });
        Some(())
    }

    /// The CPU and time of a record other than a sample: they are at its end.
    fn trailer(&self, fields: &Fields<'_>) -> Option<(u32, u64)> {
        let attribute = self.perf.attributes.iter().find(|attribute| attribute.sample_id_all);
        let Some(attribute) = attribute else { return Some((0, 0)) };
        let has = |bit| attribute.sample_type & bit != 0;
        let order = [sample::TID, sample::TIME, sample::ID, sample::STREAM_ID, sample::CPU, sample::IDENTIFIER];
        let len = order.iter().filter(|&&bit| has(bit)).count() * 8;
        let mut fields = Fields { at: fields.bytes.len().checked_sub(len)?, ..*fields };
        let (mut cpu, mut time) = (0, 0);
        for bit in order.into_iter().filter(|&bit| has(bit)) {
            match bit {
                sample::TIME => time = fields.u64()?,
                sample::CPU => {
                    cpu = fields.u32()?;
                    fields.u32()?;
                }
                _ => drop(fields.u64()?),
            }
        }
        (cpu <= MAX_CPU).then_some((cpu, time))
    }

    /// A sample: its fields are in the order of `perf_output_sample` (kernel/events/core.c).
    fn sample(&mut self, at: u64, fields: Fields<'_>) -> Option<()> {
        let Some(attribute) = self.attribute(fields) else { return Some(()) };
        if !attribute.tracepoint {
            return Some(());
        }
        let mut fields = fields;
        let found = find(&attribute, &mut fields)?;
        // A tracepoint that was counted rather than recorded has no record.
        let Some((offset, len)) = found.raw else { return Some(()) };
        if found.cpu > MAX_CPU {
            return None;
        }
        let offset = at + offset as u64;
        let what = if self.inside { What::Unpacked { offset, len } } else { What::Sample { offset, len } };
        self.samples.entries.push(Entry { cpu: found.cpu, time: found.time, what });
        Some(())
    }

    /// The attribute of a sample, by its id, which is at the same place for all attributes.
    fn attribute(&self, fields: Fields<'_>) -> Option<Attribute> {
        let attributes = &self.perf.attributes;
        let first = *attributes.first()?;
        if attributes.iter().all(|attribute| attribute.same_samples(&first)) {
            return Some(first);
        }
        let mut fields = fields;
        let id = if first.sample_type & sample::IDENTIFIER != 0 {
            fields.u64()?
        } else {
            let before = [sample::IP, sample::TID, sample::TIME, sample::ADDR];
            for _ in before.into_iter().filter(|bit| first.sample_type & bit != 0) {
                fields.u64()?;
            }
            fields.u64()?
        };
        attributes.get(*self.perf.ids.get(&id)?).copied()
    }
}

impl Attribute {
    /// Whether its samples are parsed in the same way.
    fn same_samples(&self, other: &Attribute) -> bool {
        (self.tracepoint, self.sample_type, self.read_format)
            == (other.tracepoint, other.sample_type, other.read_format)
    }
}

/// The parts of a sample that are used.
struct Found {
    cpu: u32,
    time: u64,
    /// Offset in the body and length of the tracepoint's record.
    raw: Option<(usize, u32)>,
}

fn find(attribute: &Attribute, fields: &mut Fields<'_>) -> Option<Found> {
    let has = |bit| attribute.sample_type & bit != 0;
    let mut found = Found { cpu: 0, time: 0, raw: None };
    let order = [
        sample::IDENTIFIER,
        sample::IP,
        sample::TID,
        sample::TIME,
        sample::ADDR,
        sample::ID,
        sample::STREAM_ID,
        sample::CPU,
        sample::PERIOD,
    ];
    for bit in order.into_iter().filter(|&bit| has(bit)) {
        match bit {
            sample::TIME => found.time = fields.u64()?,
            sample::CPU => {
                found.cpu = fields.u32()?;
                fields.u32()?;
            }
            _ => drop(fields.u64()?),
        }
    }
    if has(sample::READ) {
        skip_read(attribute.read_format, fields)?;
    }
    if has(sample::CALLCHAIN) {
        let addresses = fields.u64()?;
        fields.skip(usize::try_from(addresses).ok()?.checked_mul(8)?)?;
    }
    if has(sample::RAW) {
        let len = fields.u32()?;
        found.raw = Some((fields.at, len));
        fields.skip(len as usize)?;
    }
    Some(found)
}

/// `read_format` determines the form of a group of counters or of a single one.
fn skip_read(read_format: u64, fields: &mut Fields<'_>) -> Option<()> {
    let count = |bits: &[u64]| bits.iter().filter(|&&bit| read_format & bit != 0).count();
    let times = count(&[format::TOTAL_TIME_ENABLED, format::TOTAL_TIME_RUNNING]);
    let each = 1 + count(&[format::ID, format::LOST]);
    let words = if read_format & format::GROUP != 0 {
        let counters = usize::try_from(fields.u64()?).ok()?;
        counters.checked_mul(each)?.checked_add(times)?
    } else {
        times + each
    };
    fields.skip(words.checked_mul(8)?)
}

/// The numbers of one record, in order.
#[derive(Clone, Copy)]
struct Fields<'a> {
    bytes: &'a [u8],
    at: usize,
    endian: Endian,
}

impl Fields<'_> {
    fn rest(&self) -> &[u8] {
        self.bytes.get(self.at..).unwrap_or_default()
    }

    fn skip(&mut self, bytes: usize) -> Option<()> {
        self.at = self.at.checked_add(bytes).filter(|&at| at <= self.bytes.len())?;
        Some(())
    }

    fn u32(&mut self) -> Option<u32> {
        let bytes = *self.rest().first_chunk()?;
        self.at += 4;
        Some(if self.endian == Endian::Big { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) })
    }

    fn u64(&mut self) -> Option<u64> {
        let bytes = *self.rest().first_chunk()?;
        self.at += 8;
        Some(if self.endian == Endian::Big { u64::from_be_bytes(bytes) } else { u64::from_le_bytes(bytes) })
    }
}

#[cfg(test)]
mod tests;
