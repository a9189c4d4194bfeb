//! Version 6: everything in a fixed order.

use super::super::{
    CpuData, DatError, Part, Problem, Version,
    metadata::lossy,
    options::{id, next_option},
    source::Cursor,
};
use super::{Buffer, BufferData, BufferOption, MAX_BUFFERS, MAX_CPUS, MAX_NAME, MAX_SEARCH, Reader, TextAt};
use crate::tracefs::TraceClock;

impl Reader {
    pub(super) fn version_6(&mut self, mut cursor: Cursor) -> Result<(), DatError> {
        let described = self.descriptions_6(&mut cursor);
        let cpus = match described {
            Ok(()) => {
                cursor.enter(Part::Buffer);
                cursor.u32()
            }
            Err(error) => {
                let damaged = cursor.offset();
                self.faults.note(error)?;
                self.find_cpu_count(damaged, &mut cursor)
            }
        };
        let cpus = match cpus {
            Ok(cpus) => cpus,
            Err(error) => return self.faults.note(error),
        };
        let mut instances = Vec::new();
        let top = self.rest_6(&mut cursor, cpus, &mut instances);
        self.check(top)?;
        for BufferOption { name, offset, cpus: own } in instances {
            let mut cursor = self.cursor(Part::Buffer, offset);
            let table = self.content_6(&mut cursor, own.unwrap_or(cpus), name);
            self.check(table)?;
        }
        Ok(())
    }

    fn descriptions_6(&mut self, cursor: &mut Cursor) -> Result<(), DatError> {
        self.metadata.read_header_info(cursor)?;
        self.metadata.read_ftrace_formats(cursor)?;
        self.metadata.read_event_formats(cursor)?;
        cursor.enter(Part::Kallsyms);
        self.kallsyms = Some(TextAt::File(cursor.offset()));
        let size = cursor.u32()?;
        cursor.skip(size.into())?;
        self.metadata.read_printk(cursor)?;
        self.metadata.read_cmdlines(cursor)
    }

    /// Salvaging: finds the words that follow the CPU count, and moves the cursor there.
    fn find_cpu_count(&self, from: u64, cursor: &mut Cursor) -> Result<u32, DatError> {
        const WINDOW: u64 = 1 << 20;
        const WORD: u64 = 10;
        let end = self.source.len().min(from.saturating_add(MAX_SEARCH));
        let mut start = from;
        let mut window = Vec::new();
        while start + WORD + 4 <= end {
            let size = (end - start).min(WINDOW);
            window.resize(size as usize, 0);
            self.source.read(start, &mut window, Part::Buffer)?;
            let found = [b"options  \0", b"flyrecord\0"].iter().filter_map(|word| memchr::memmem::find(&window, *word));
            if let Some(at) = found.filter(|&at| at >= 4).min() {
                *cursor = self.cursor(Part::Buffer, start + at as u64 - 4);
                return cursor.u32();
            }
            // The windows overlap by a word and the count before it.
            start += size - (WORD + 4).min(size - 1);
            if size < WINDOW {
                break;
            }
        }
        Err(DatError { offset: from, part: Part::Buffer, problem: Problem::Missing })
    }

    /// Reads from the CPU count on: the options, then the top-level buffer.
    fn rest_6(&mut self, cursor: &mut Cursor, cpus: u32, instances: &mut Vec<BufferOption>) -> Result<(), DatError> {
        if cpus > MAX_CPUS {
            return Err(cursor.error(Problem::Value { what: "the number of CPUs", value: cpus.into() }));
        }
        if cursor.expect("options  \0").is_ok() {
            cursor.enter(Part::Options);
            loop {
                let (option, mut body) = next_option(cursor, Version::V6)?;
                let taken = match option.number {
                    id::DONE => break,
                    id::BUFFER => buffer_option_6(&mut body, instances),
                    _ => self.options.take(&option, &mut body),
                };
                self.check(taken)?;
            }
        }
        self.content_6(cursor, cpus, String::new())
    }

    /// Reads the word for the contents of a buffer, then the table of its CPUs, or its text up to the end of the
    /// file.
    fn content_6(&mut self, cursor: &mut Cursor, cpus: u32, name: String) -> Result<(), DatError> {
        cursor.enter(Part::Buffer);
        let mut clock = self.options.clock().map(|clock| clock.to_string());
        let data = if cursor.expect("latency  \0").is_ok() {
            let (offset, size) = (cursor.offset(), cursor.left());
            BufferData::Text(CpuData { cpu: 0, offset, size, compressed: false })
        } else {
            cursor.expect("flyrecord\0")?;
            let table = u64::from(cpus) * 16;
            if table > cursor.left() && !self.faults.salvage {
                return Err(cursor.error(Problem::Truncated { needed: table, left: cursor.left() }));
            }
            let mut data = Vec::new();
            for cpu in 0..cpus.min((cursor.left() / 16) as u32) {
                data.push(CpuData { cpu, offset: cursor.u64()?, size: cursor.u64()?, compressed: false });
            }
            // With the option TRACECLOCK, the clock of this buffer follows its table.
            if self.options.trace_clock.is_some()
                && let Ok(size) = cursor.u64()
                && let Ok(text) = cursor.bytes(size, MAX_NAME)
                && let Some(own) = TraceClock::in_use(&lossy(text))
            {
                clock = Some(own.to_string());
            }
            BufferData::Cpus(data)
        };
        self.buffers.push(Buffer { name, clock, sub_buffer_size: self.page_size as usize, data });
        Ok(())
    }
}

/// Reads a buffer option of version 6: the offset of its table, its name, and in some versions its number of CPUs.
fn buffer_option_6(body: &mut Cursor, instances: &mut Vec<BufferOption>) -> Result<(), DatError> {
    body.enter(Part::Buffer);
    let offset = body.u64()?;
    let name = body.cstr(MAX_NAME)?;
    let cpus = if body.left() >= 4 { Some(body.u32()?).filter(|&cpus| cpus <= MAX_CPUS) } else { None };
    if instances.len() >= MAX_BUFFERS {
        return Err(body.error(Problem::TooLarge { size: instances.len() as u64 + 1, limit: MAX_BUFFERS as u64 }));
    }
    instances.push(BufferOption { name, offset, cpus });
    Ok(())
}
