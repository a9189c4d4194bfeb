//! The description files of the kernel in a `trace.dat`, which both versions store alike.

use super::{DatError, Part, Problem, source::Cursor};

/// The longest single description file; the kernel's longest has some 16 KiB.
const MAX_FILE: u64 = 1 << 20;
/// The limit of all event formats together; a kernel with every driver has some 4 MiB.
const MAX_FORMATS: u64 = 64 << 20;
/// The limit of kallsyms, printk_formats and saved_cmdlines; kallsyms of a large kernel has 10 to 20 MiB.
pub(in crate::capture) const MAX_TEXT: u64 = 128 << 20;
/// The limit of a system's name, which is a folder name.
const MAX_NAME: u64 = 255;

/// One event's `format` file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventText {
    /// The system (folder) the event belongs to.
    pub system: String,
    /// The file's text.
    pub text: String,
}

/// The kernel's description files, as the recording program copied them.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Metadata {
    /// `events/header_page`.
    pub header_page: String,
    /// `events/header_event`.
    pub header_event: String,
    /// The formats of the `ftrace` system, then those of the others.
    pub formats: Vec<EventText>,
    /// `printk_formats`, byte for byte.
    pub printk_formats: Vec<u8>,
    /// `saved_cmdlines`, byte for byte: a task's name need not be UTF-8.
    pub saved_cmdlines: Vec<u8>,
}

impl Metadata {
    /// `header_page` and `header_event`.
    pub(in crate::capture) fn read_header_info(&mut self, cursor: &mut Cursor) -> Result<(), DatError> {
        cursor.enter(Part::HeaderPage);
        cursor.expect("header_page\0")?;
        self.header_page = long_text(cursor, MAX_FILE)?;
        cursor.enter(Part::HeaderEvent);
        cursor.expect("header_event\0")?;
        self.header_event = long_text(cursor, MAX_FILE)?;
        Ok(())
    }

    /// The formats of the `ftrace` system.
    pub(in crate::capture) fn read_ftrace_formats(&mut self, cursor: &mut Cursor) -> Result<(), DatError> {
        cursor.enter(Part::FtraceFormats);
        let mut total = self.formats_size();
        self.read_system("ftrace", cursor, &mut total)
    }

    /// The formats of all other systems.
    pub(in crate::capture) fn read_event_formats(&mut self, cursor: &mut Cursor) -> Result<(), DatError> {
        cursor.enter(Part::EventFormats);
        let mut total = self.formats_size();
        for _ in 0..cursor.u32()? {
            let system = cursor.cstr(MAX_NAME)?;
            self.read_system(&system, cursor, &mut total)?;
        }
        Ok(())
    }

    /// Bytes of all formats.
    fn formats_size(&self) -> u64 {
        self.formats.iter().map(|format| (format.text.len() + format.system.len() + 8) as u64).sum()
    }

    /// Reads a count, then that many files. The count is not trusted: reading stops where the bytes end.
    fn read_system(&mut self, system: &str, cursor: &mut Cursor, total: &mut u64) -> Result<(), DatError> {
        for _ in 0..cursor.u32()? {
            let text = long_text(cursor, MAX_FILE)?;
            // An empty text is counted with its length word, so that a count cannot create many for free.
            *total += (text.len() + system.len() + 8) as u64;
            if *total > MAX_FORMATS {
                return Err(cursor.error(Problem::TooLarge { size: *total, limit: MAX_FORMATS }));
            }
            self.formats.push(EventText { system: system.to_owned(), text });
        }
        Ok(())
    }

    /// `printk_formats`, whose length has four bytes.
    pub(in crate::capture) fn read_printk(&mut self, cursor: &mut Cursor) -> Result<(), DatError> {
        cursor.enter(Part::Printk);
        let size = u64::from(cursor.u32()?);
        self.printk_formats = cursor.bytes(size, MAX_TEXT)?;
        Ok(())
    }

    /// `saved_cmdlines`, whose length has eight bytes.
    pub(in crate::capture) fn read_cmdlines(&mut self, cursor: &mut Cursor) -> Result<(), DatError> {
        cursor.enter(Part::Cmdlines);
        let size = cursor.u64()?;
        self.saved_cmdlines = cursor.bytes(size, MAX_TEXT)?;
        Ok(())
    }
}

/// Eight bytes of length, then the text.
fn long_text(cursor: &mut Cursor, limit: u64) -> Result<String, DatError> {
    let size = cursor.u64()?;
    Ok(lossy(cursor.bytes(size, limit)?))
}

/// Text from outside: bytes that are not UTF-8 become U+FFFD. (Task names are kept as bytes.)
pub(in crate::capture) fn lossy(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::capture::trace_dat::source::Source;
    use crate::format::Endian;

    #[test]
    fn formats_have_a_limit_each_and_one_together() {
        let source = Arc::new(Source::new(tempfile::tempfile().unwrap()).unwrap());
        let cursor = |bytes| Cursor::over_bytes(source.clone(), Endian::Little, Part::EventFormats, 0, bytes);
        let files = |count: u32, len: u64| {
            let mut bytes = count.to_le_bytes().to_vec();
            for _ in 0..count {
                bytes.extend(len.to_le_bytes());
                bytes.resize(bytes.len() + len as usize, b'x');
            }
            bytes
        };
        let mut metadata = Metadata::default();
        let error = metadata.read_ftrace_formats(&mut cursor(files(1, MAX_FILE + 1))).unwrap_err().problem;
        assert!(matches!(error, Problem::TooLarge { size, limit: MAX_FILE } if size == MAX_FILE + 1), "{error}");
        // Each counts with the length of its system's name, and 8 bytes: also those of ftrace, which come before.
        metadata.read_ftrace_formats(&mut cursor(files(63, MAX_FILE))).unwrap();
        let left = MAX_FORMATS - 63 * (MAX_FILE + 6 + 8);
        let last = |len: u64| [&1u32.to_le_bytes()[..], b"irq\0", &files(1, len)].concat();
        let error = metadata.read_event_formats(&mut cursor(last(left - 10))).unwrap_err().problem;
        assert!(matches!(error, Problem::TooLarge { size, limit: MAX_FORMATS } if size == MAX_FORMATS + 1), "{error}");
        metadata.read_event_formats(&mut cursor(last(left - 11))).unwrap();
        assert_eq!(metadata.formats.len(), 64);
    }
}
