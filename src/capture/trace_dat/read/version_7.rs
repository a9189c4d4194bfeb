//! Version 7: sections, found through options.

use std::collections::HashSet;
use std::sync::Arc;

use super::super::{
    Compression, CpuData, DatError, Part, Problem, Version,
    metadata::MAX_TEXT,
    options::{id, next_option},
    source::{Cursor, Source},
};
use super::{Buffer, BufferData, MAX_NAME, MAX_OPTION_SECTIONS, MAX_SECTIONS, Reader, TextAt, check_sub_buffer};
use crate::format::Endian;
use crate::tracefs::TraceClock;

impl Reader {
    pub(super) fn version_7(&mut self, mut cursor: Cursor) -> Result<(), DatError> {
        let mut offset = cursor.u64()?;
        let mut visited = HashSet::new();
        let mut sections = Vec::new();
        while offset != 0 {
            if !visited.insert(offset) || visited.len() > MAX_OPTION_SECTIONS {
                let circle = DatError { offset, part: Part::Options, problem: Problem::Loop };
                self.faults.note(circle)?;
                break;
            }
            offset = match self.option_section(offset, &mut sections) {
                Ok(next) => next,
                Err(error) => {
                    self.faults.note(error)?;
                    break;
                }
            };
        }
        for (number, offset) in sections {
            let read = self.description_section(number, offset);
            self.check(read)?;
        }
        if visited.is_empty() {
            // The offset is filled in when a recording ends.
            self.faults.note(DatError { offset: cursor.offset(), part: Part::Options, problem: Problem::Missing })?;
        }
        Ok(())
    }

    /// Reads one section of options; returns the offset of the next one, or 0.
    fn option_section(&mut self, offset: u64, sections: &mut Vec<(u16, u64)>) -> Result<u64, DatError> {
        let mut cursor = self.section(offset, id::DONE, Part::Options)?;
        while cursor.left() > 0 {
            let (option, mut body) = next_option(&mut cursor, Version::V7)?;
            let taken = match option.number {
                id::DONE => return body.u64(),
                id::BUFFER => self.buffer_option_7(&mut body),
                id::BUFFER_TEXT => self.text_option_7(&mut body),
                id::HEADER_INFO..=id::CMDLINES => body.u64().and_then(|offset| {
                    if sections.iter().filter(|(number, _)| *number == option.number).count() >= MAX_SECTIONS {
                        return Err(
                            body.error(Problem::TooLarge { size: sections.len() as u64, limit: MAX_SECTIONS as u64 })
                        );
                    }
                    if !sections.contains(&(option.number, offset)) {
                        sections.push((option.number, offset));
                    }
                    Ok(())
                }),
                _ => self.options.take(&option, &mut body),
            };
            self.check(taken)?;
        }
        Ok(0)
    }

    fn section(&self, offset: u64, expected: u16, part: Part) -> Result<Cursor, DatError> {
        open_section(&self.source, self.endian, self.compression, offset, expected, part)
    }

    /// Reads one section of description files.
    fn description_section(&mut self, number: u16, offset: u64) -> Result<(), DatError> {
        let part = match number {
            id::HEADER_INFO => Part::HeaderPage,
            id::FTRACE_EVENTS => Part::FtraceFormats,
            id::EVENT_FORMATS => Part::EventFormats,
            id::KALLSYMS => {
                self.kallsyms = Some(TextAt::Section(offset));
                return Ok(());
            }
            id::PRINTK => Part::Printk,
            _ => Part::Cmdlines,
        };
        let mut cursor = self.section(offset, number, part)?;
        match number {
            id::HEADER_INFO => self.metadata.read_header_info(&mut cursor),
            id::FTRACE_EVENTS => self.metadata.read_ftrace_formats(&mut cursor),
            id::EVENT_FORMATS => self.metadata.read_event_formats(&mut cursor),
            id::PRINTK => self.metadata.read_printk(&mut cursor),
            _ => self.metadata.read_cmdlines(&mut cursor),
        }
    }

    /// Reads a buffer of raw data: its section, and the place of each CPU's data.
    fn buffer_option_7(&mut self, body: &mut Cursor) -> Result<(), DatError> {
        body.enter(Part::Buffer);
        let section = body.u64()?;
        let (name, clock) = (body.cstr(MAX_NAME)?, body.cstr(MAX_NAME)?);
        let sub_buffer_size = body.u32()?;
        check_sub_buffer(body, sub_buffer_size)?;
        let cpus = body.u32()?;
        if u64::from(cpus) * 20 > body.left() {
            return Err(body.error(Problem::Truncated { needed: u64::from(cpus) * 20, left: body.left() }));
        }
        let compressed = self.section_head(section, id::BUFFER, Part::Buffer)?.compressed;
        let mut data = Vec::new();
        for _ in 0..cpus {
            data.push(CpuData { cpu: body.u32()?, offset: body.u64()?, size: body.u64()?, compressed });
        }
        let data = BufferData::Cpus(data);
        let clock = TraceClock::in_use(&clock).map(|clock| clock.to_string());
        self.push_buffer(Buffer { name, clock, sub_buffer_size: sub_buffer_size as usize, data }, body)
    }

    /// Reads a latency tracer's text.
    fn text_option_7(&mut self, body: &mut Cursor) -> Result<(), DatError> {
        body.enter(Part::Text);
        let section = body.u64()?;
        let (name, clock) = (body.cstr(MAX_NAME)?, body.cstr(MAX_NAME)?);
        let SectionHead { offset, size, compressed } = self.section_head(section, id::BUFFER_TEXT, Part::Text)?;
        let data = BufferData::Text(CpuData { cpu: 0, offset, size, compressed });
        let clock = TraceClock::in_use(&clock).map(|clock| clock.to_string());
        self.push_buffer(Buffer { name, clock, sub_buffer_size: self.page_size as usize, data }, body)
    }

    fn section_head(&self, offset: u64, expected: u16, part: Part) -> Result<SectionHead, DatError> {
        SectionHead::read(&mut self.cursor(part, offset), expected)
    }
}

/// The head of a version 7 section.
struct SectionHead {
    /// The offset of its contents.
    offset: u64,
    /// The size of its contents in the file.
    size: u64,
    compressed: bool,
}

impl SectionHead {
    fn read(cursor: &mut Cursor, expected: u16) -> Result<SectionHead, DatError> {
        let (found, flags) = (cursor.u16()?, cursor.u16()?);
        if found != expected {
            return Err(cursor.error(Problem::Section { expected, found }));
        }
        // An index into the section names, which say the same as the number.
        cursor.u32()?;
        let size = cursor.u64()?;
        if size > cursor.left() {
            return Err(cursor.error(Problem::Truncated { needed: size, left: cursor.left() }));
        }
        Ok(SectionHead { offset: cursor.offset(), size, compressed: flags & 1 != 0 })
    }
}

/// A cursor over the section at `offset`, decompressed if necessary.
pub(super) fn open_section(
    source: &Arc<Source>,
    endian: Endian,
    compression: Compression,
    offset: u64,
    expected: u16,
    part: Part,
) -> Result<Cursor, DatError> {
    let mut cursor = Cursor::over_file(source.clone(), endian, part, offset, source.len());
    let head = SectionHead::read(&mut cursor, expected)?;
    let mut cursor =
        Cursor::over_file(source.clone(), endian, part, head.offset, head.offset.saturating_add(head.size));
    if !head.compressed {
        return Ok(cursor);
    }
    let (stored, size) = (u64::from(cursor.u32()?), u64::from(cursor.u32()?));
    if stored > cursor.left() {
        return Err(cursor.error(Problem::Truncated { needed: stored, left: cursor.left() }));
    }
    if size > MAX_TEXT {
        return Err(cursor.error(Problem::TooLarge { size, limit: MAX_TEXT }));
    }
    let mut bytes = vec![0; size as usize];
    let decompressor = super::super::compression::Decompressor::new(compression);
    decompressor.read(source, cursor.offset(), stored, &mut bytes, part)?;
    Ok(Cursor::over_bytes(source.clone(), endian, part, offset, bytes))
}

#[cfg(test)]
mod tests;
