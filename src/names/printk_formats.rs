//! `printk_formats`: addresses → strings in the kernel's memory.
//!
//! `trace_printk` stores only the address of its format in the record, and so does a tracepoint that prints a
//! constant string (`tracepoint_string`). The file lists the strings as `t_show` (kernel/trace/trace_printk.c) writes
//! them: `0xffffffff81ea7d40 : "Rescheduling interrupts"`.

use memchr::memchr;

/// The strings of `printk_formats`.
#[derive(Debug, Clone, Default)]
pub struct PrintkFormats {
    /// All strings, concatenated.
    text: Vec<u8>,
    /// (address, beginning and end in `text`), by address.
    entries: Vec<(u64, u32, u32)>,
}

impl PrintkFormats {
    /// Parses the text of `printk_formats`; lines of another form are skipped.
    pub fn parse(text: &[u8]) -> PrintkFormats {
        let mut out = PrintkFormats::default();
        let mut rest = text;
        while !rest.is_empty() {
            let end = memchr(b'\n', rest).unwrap_or(rest.len());
            let (line, behind) = rest.split_at(end);
            out.line(line);
            rest = behind.get(1..).unwrap_or_default();
        }
        out.entries.sort_by_key(|&(address, ..)| address);
        out
    }

    /// The string at `address`, without its NUL.
    pub fn get(&self, address: u64) -> Option<&[u8]> {
        let at = self.entries.binary_search_by_key(&address, |&(address, ..)| address).ok()?;
        let &(_, start, end) = self.entries.get(at)?;
        self.text.get(start as usize..end as usize)
    }

    /// How many strings there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    fn line(&mut self, line: &[u8]) -> Option<()> {
        let line = line.strip_prefix(b"0x")?;
        let colon = memchr(b' ', line)?;
        let address = u64::from_str_radix(std::str::from_utf8(line.get(..colon)?).ok()?, 16).ok()?;
        let quoted = line.get(colon..)?.strip_prefix(b" : \"")?.strip_suffix(b"\"")?;
        let start = u32::try_from(self.text.len()).ok()?;
        let mut bytes = quoted.iter().copied().peekable();
        while let Some(byte) = bytes.next() {
            // The kernel escapes line breaks, tabs and quotation marks, but not backslashes.
            let escaped = match (byte, bytes.peek()) {
                (b'\\', Some(b'n')) => Some(b'\n'),
                (b'\\', Some(b't')) => Some(b'\t'),
                (b'\\', Some(b'"')) => Some(b'"'),
                _ => None,
            };
            if escaped.is_some() {
                bytes.next();
            }
            self.text.push(escaped.unwrap_or(byte));
        }
        self.entries.push((address, start, u32::try_from(self.text.len()).ok()?));
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_found_by_address_with_escapes_decoded() {
        let text = b"0xffffffff97349b30 : \"CPU_ON\"\n\
                     0xffffffff97349b30 : \"CPU_ON\"\n\
                     0xc10354 : \"a \\\"b\\\"\\n\\tc\\\\d: %s\"\n";
        let formats = PrintkFormats::parse(text);
        assert_eq!(formats.get(0xffff_ffff_9734_9b30), Some(&b"CPU_ON"[..]));
        assert_eq!(formats.get(0xc10354), Some(&b"a \"b\"\n\tc\\\\d: %s"[..]));
        assert_eq!(formats.get(0xc10355), None);
        assert_eq!((formats.len(), formats.is_empty()), (3, false));
    }

    #[test]
    fn lines_of_another_form_are_skipped() {
        for line in ["", "0x", "0x12", "0x12 : ", "0x12 : \"", "zz : \"a\"", "0x1ffffffffffffffff : \"a\""] {
            assert!(PrintkFormats::parse(line.as_bytes()).is_empty(), "{line}");
        }
    }
}
