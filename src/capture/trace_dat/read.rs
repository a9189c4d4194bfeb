//! Opens a `trace.dat`: header, options, description files, and the places of each CPU's data.

use std::{fs::File, io, path::Path, sync::Arc};

mod version_6;
mod version_7;

use super::{
    Compression, CpuData, DatError, Faults, MAGIC, Metadata, Options, Part, Problem, SubBuffers, TextData, Version,
    data::Shared,
    metadata::MAX_TEXT,
    options::id,
    source::{Cursor, Source},
};
use crate::format::{Endian, LongSize};
use version_7::open_section;

/// How to open a file.
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
pub struct Open {
    /// Read as much as possible of a damaged file. Errors are collected in [`TraceDat::problems`] instead of ending
    /// the reading.
    pub salvage: bool,
}

impl Open {
    /// Strictly, or so that a damaged file is [salvaged](Open::salvage).
    pub const fn new(salvage: bool) -> Open {
        Open { salvage }
    }
}

/// One ring buffer of the recording: the top-level one or an instance's.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Buffer {
    /// The instance's name; empty for the top-level buffer.
    pub name: String,
    /// The clock of its times.
    pub clock: Option<String>,
    /// Bytes of one sub-buffer.
    pub sub_buffer_size: usize,
    /// Its contents.
    pub data: BufferData,
}

/// The contents of a buffer.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum BufferData {
    /// Raw sub-buffers by CPU ("flyrecord").
    Cpus(Vec<CpuData>),
    /// The text that the kernel printed ("latency"); such a file has no raw data.
    Text(CpuData),
}

/// An open `trace.dat`.
///
/// ```no_run
/// use ftrace_live::capture::trace_dat::{Open, TraceDat};
/// let dat = TraceDat::open("trace.dat".as_ref(), Open::default())?;
/// println!("{} formats, {} buffers", dat.metadata.formats.len(), dat.buffers.len());
/// let mut page = Vec::new();
/// for (cpu, mut sub_buffers) in dat.feeds(&dat.buffers[0]) {
///     while sub_buffers.next_into(&mut page)? {
///         println!("CPU {cpu}: {} bytes", page.len());
///     }
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub struct TraceDat {
    /// Version of the format.
    pub version: Version,
    /// Byte order of the traced machine.
    pub endian: Endian,
    /// `long` of the traced machine's user space; the kernel's is in `header_page`.
    pub user_long_size: LongSize,
    /// The page size in the header, bytes.
    pub page_size: u32,
    /// Compression of a version 7 file.
    pub compression: Compression,
    /// The kernel's description files.
    pub metadata: Metadata,
    /// The options.
    pub options: Options,
    /// The buffers, the top-level one first.
    pub buffers: Vec<Buffer>,
    /// Errors found when salvaging; otherwise the first one is returned instead.
    pub problems: Vec<DatError>,
    kallsyms: Option<TextAt>,
    shared: Arc<Shared>,
}

/// The place of a text that is read on demand.
#[derive(Debug, Clone, Copy)]
enum TextAt {
    /// Its four length bytes are at this file offset.
    File(u64),
    /// In the section at this offset.
    Section(u64),
}

/// The largest sub-buffer; the commit word has 27 bits for its length.
const MAX_SUB_BUFFER: u32 = 1 << 27;
/// The most CPUs; a Linux kernel can be built for 8192.
const MAX_CPUS: u32 = 1 << 16;
/// The most instances; thousands are unlikely.
const MAX_BUFFERS: usize = 1 << 12;
/// The most sections of options in one chain. trace-cmd writes two or three.
const MAX_OPTION_SECTIONS: usize = 1 << 10;
/// The most sections of one kind of description.
const MAX_SECTIONS: usize = 64;
/// The longest name in headers and buffer descriptions.
const MAX_NAME: u64 = 4096;
/// How far salvaging searches for the end of damaged descriptions in a version 6 file.
const MAX_SEARCH: u64 = 256 << 20;

impl TraceDat {
    /// Opens the file at `path`.
    pub fn open(path: &Path, how: Open) -> Result<TraceDat, DatError> {
        let failed = |error| DatError { offset: 0, part: Part::FileHeader, problem: Problem::Io(error) };
        TraceDat::from_file(File::open(path).map_err(failed)?, how)
    }

    /// Reads an open file.
    pub fn from_file(file: File, how: Open) -> Result<TraceDat, DatError> {
        let failed = |error| DatError { offset: 0, part: Part::FileHeader, problem: Problem::Io(error) };
        let source = Arc::new(Source::new(file).map_err(failed)?);
        let mut cursor = Cursor::over_file(source.clone(), Endian::Little, Part::FileHeader, 0, source.len());
        let header = FileHeader::read(&mut cursor)?;
        let mut reader = Reader {
            source,
            endian: header.endian,
            page_size: header.page_size,
            compression: header.compression,
            metadata: Metadata::default(),
            options: Options::default(),
            buffers: Vec::new(),
            faults: Faults::new(how.salvage),
            kallsyms: None,
        };
        match header.version {
            Version::V6 => reader.version_6(cursor)?,
            Version::V7 => reader.version_7(cursor)?,
        }
        reader.finish(header)
    }

    /// Whether the file at `path` begins like a trace.dat.
    pub fn is_trace_dat(path: &Path) -> io::Result<bool> {
        use std::os::unix::fs::FileExt;
        let mut magic = [0; MAGIC.len()];
        match File::open(path)?.read_exact_at(&mut magic, 0) {
            Ok(()) => Ok(magic == MAGIC),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Reads the `kallsyms` text; empty if the file has none.
    pub fn kallsyms(&self) -> Result<Vec<u8>, DatError> {
        self.kallsyms_reader()()
    }

    /// Returns a function that reads `kallsyms`.
    pub(super) fn kallsyms_reader(&self) -> impl Fn() -> Result<Vec<u8>, DatError> + Send + use<> {
        let (at, endian, compression) = (self.kallsyms, self.endian, self.compression);
        let source = self.shared.source.clone();
        move || {
            let mut cursor = match at {
                None => return Ok(Vec::new()),
                Some(TextAt::File(offset)) => {
                    Cursor::over_file(source.clone(), endian, Part::Kallsyms, offset, source.len())
                }
                Some(TextAt::Section(offset)) => {
                    open_section(&source, endian, compression, offset, id::KALLSYMS, Part::Kallsyms)?
                }
            };
            let size = u64::from(cursor.u32()?);
            cursor.bytes(size, MAX_TEXT)
        }
    }

    /// A reader for each CPU of `buffer`, with the CPU's number. A latency text has none.
    pub fn feeds(&self, buffer: &Buffer) -> Vec<(u32, SubBuffers)> {
        let BufferData::Cpus(cpus) = &buffer.data else { return Vec::new() };
        let feed = |data: &CpuData| (data.cpu, SubBuffers::new(self.shared.clone(), data, buffer.sub_buffer_size));
        cpus.iter().map(feed).collect()
    }

    /// The text of `buffer`, if it contains a text.
    pub fn text(&self, buffer: &Buffer) -> Option<TextData> {
        match &buffer.data {
            BufferData::Text(data) => Some(TextData::new(self.shared.clone(), data)),
            BufferData::Cpus(_) => None,
        }
    }

    /// The `per_cpu/cpuN/stats` texts of a buffer, by CPU.
    pub fn cpu_stats(&self, buffer: &Buffer) -> Vec<(u32, &str)> {
        let mut owner = "";
        let mut stats = Vec::new();
        for text in &self.options.cpustat {
            let text = text.trim();
            if let Some(name) = text.strip_prefix("Buffer: ") {
                owner = name;
            } else if owner == buffer.name
                && let Some(cpu) = text.strip_prefix("CPU: ").and_then(|rest| rest.lines().next()?.trim().parse().ok())
            {
                stats.push((cpu, text));
            }
        }
        stats
    }

    /// Length of the file, bytes.
    pub fn len(&self) -> u64 {
        self.shared.source.len()
    }

    /// Whether the file has no ring data.
    pub fn is_empty(&self) -> bool {
        self.buffers.iter().all(|buffer| match &buffer.data {
            BufferData::Cpus(cpus) => cpus.iter().all(|data| data.size == 0),
            BufferData::Text(data) => data.size == 0,
        })
    }
}

/// The first bytes of the file.
struct FileHeader {
    version: Version,
    endian: Endian,
    user_long_size: LongSize,
    page_size: u32,
    compression: Compression,
}

impl FileHeader {
    fn read(cursor: &mut Cursor) -> Result<FileHeader, DatError> {
        let magic = cursor.bytes(MAGIC.len() as u64, MAGIC.len() as u64);
        if !magic.is_ok_and(|magic| magic == MAGIC) {
            return Err(DatError { offset: 0, part: Part::FileHeader, problem: Problem::NotTraceDat });
        }
        let version = match cursor.cstr(8)?.as_str() {
            "6" => Version::V6,
            "7" => Version::V7,
            other => return Err(cursor.error(Problem::Version(other.to_owned()))),
        };
        let endian = match cursor.u8()? {
            0 => Endian::Little,
            1 => Endian::Big,
            other => return Err(cursor.error(Problem::Value { what: "the byte order", value: other.into() })),
        };
        cursor.set_endian(endian);
        let user_long_size = match cursor.u8()? {
            4 => LongSize::Four,
            8 => LongSize::Eight,
            other => return Err(cursor.error(Problem::Value { what: "the size of a long", value: other.into() })),
        };
        let page_size = cursor.u32()?;
        check_sub_buffer(cursor, page_size)?;
        let compression = match version {
            Version::V6 => Compression::None,
            Version::V7 => {
                let compression = Compression::by_name(&cursor.cstr(MAX_NAME)?).map_err(|p| cursor.error(p))?;
                // The library's version, which does not matter: the formats are stable.
                cursor.cstr(MAX_NAME)?;
                compression
            }
        };
        Ok(FileHeader { version, endian, user_long_size, page_size, compression })
    }
}

fn check_sub_buffer(cursor: &Cursor, size: u32) -> Result<(), DatError> {
    match size {
        64..=MAX_SUB_BUFFER => Ok(()),
        _ => Err(cursor.error(Problem::Value { what: "the size of a sub-buffer", value: size.into() })),
    }
}

/// The state of reading.
struct Reader {
    source: Arc<Source>,
    endian: Endian,
    page_size: u32,
    compression: Compression,
    metadata: Metadata,
    options: Options,
    buffers: Vec<Buffer>,
    faults: Faults,
    kallsyms: Option<TextAt>,
}

/// A buffer found in the options, whose description is read after them.
struct BufferOption {
    name: String,
    offset: u64,
    cpus: Option<u32>,
}

impl Reader {
    fn check(&mut self, result: Result<(), DatError>) -> Result<(), DatError> {
        result.or_else(|error| self.faults.note(error))
    }

    fn cursor(&self, part: Part, offset: u64) -> Cursor {
        Cursor::over_file(self.source.clone(), self.endian, part, offset, self.source.len())
    }

    fn push_buffer(&mut self, buffer: Buffer, body: &Cursor) -> Result<(), DatError> {
        if self.buffers.len() >= MAX_BUFFERS {
            let size = self.buffers.len() as u64 + 1;
            return Err(body.error(Problem::TooLarge { size, limit: MAX_BUFFERS as u64 }));
        }
        self.buffers.push(buffer);
        Ok(())
    }

    /// Checks the file as a whole.
    fn finish(mut self, header: FileHeader) -> Result<TraceDat, DatError> {
        if self.metadata.header_page.is_empty() {
            self.faults.note(DatError { offset: 0, part: Part::HeaderPage, problem: Problem::Missing })?;
        }
        // If that fails, the previous length is used.
        let _ = self.source.look_again();
        let faults = check_ranges(&mut self.buffers, self.source.len());
        for fault in faults {
            self.faults.note(fault)?;
        }
        let cpus = self.buffers.iter().map(|buffer| match &buffer.data {
            BufferData::Cpus(cpus) => cpus.len(),
            BufferData::Text(_) => 1,
        });
        let shared = Shared::new(self.source, self.endian, self.compression, cpus.sum(), self.faults.salvage);
        Ok(TraceDat {
            version: header.version,
            endian: header.endian,
            user_long_size: header.user_long_size,
            page_size: header.page_size,
            compression: header.compression,
            metadata: self.metadata,
            options: self.options,
            buffers: self.buffers,
            problems: self.faults.found,
            kallsyms: self.kallsyms,
            shared: Arc::new(shared),
        })
    }
}

/// Truncates data that extend past the end of the file and drops data that overlap other data; returns an error for
/// each.
fn check_ranges(buffers: &mut [Buffer], file_len: u64) -> Vec<DatError> {
    let mut faults = Vec::new();
    let mut ranges: Vec<(u64, u64, u32, usize)> = Vec::new();
    for (index, buffer) in buffers.iter_mut().enumerate() {
        let all = match &mut buffer.data {
            BufferData::Cpus(cpus) => cpus.as_mut_slice(),
            BufferData::Text(data) => std::slice::from_mut(data),
        };
        for data in all.iter_mut().filter(|data| data.size > 0) {
            let part = Part::Data { cpu: data.cpu };
            let left = file_len.saturating_sub(data.offset);
            if data.size > left {
                let problem = Problem::Truncated { needed: data.size, left };
                faults.push(DatError { offset: data.offset, part, problem });
                data.size = left;
            }
            ranges.push((data.offset, data.offset + data.size, data.cpu, index));
        }
    }
    ranges.sort_unstable();
    let mut furthest: Option<(u64, u32, usize)> = None;
    for (start, end, cpu, index) in ranges {
        if let Some((other_end, other_cpu, other_index)) = furthest
            && start < other_end
        {
            let name = buffers.get(other_index).map_or("", |buffer| buffer.name.as_str());
            let other = format!("CPU {other_cpu} of buffer {name:?}");
            faults.push(DatError { offset: start, part: Part::Data { cpu }, problem: Problem::Overlap { other } });
            if let Some(Buffer { data: BufferData::Cpus(cpus), .. }) = buffers.get_mut(index) {
                cpus.retain(|data| data.cpu != cpu || data.offset != start);
            }
            continue;
        }
        furthest = Some((end, cpu, index));
    }
    faults
}

#[cfg(test)]
mod tests;
