//! Prints an event's fields one by one, as `print_event_fields` does (kernel/trace/trace_output.c).
//!
//! ```text
//! signal_generate: sig=0x12 (18) errno=0x0 (0) code=0x0 (0) comm=bash pid=0x2264 (8804) group=0x1 (1) result=0x0 (0)
//! ```
//!
//! The kernel prints all events this way with the option `fields` (since 6.4), and always those of `user_events`,
//! since their print formats come from untrusted programs. Before 6.4 it dumped the bytes of a user event.

use byteorder::ByteOrder;

use super::{
    line::{write_hex, write_signed, write_unsigned},
    symbol,
    text::write_dump_row,
};
use crate::{
    decode::{unsigned, until_nul},
    format::{EventFormat, Field, LongSize},
    names::{Names, Symbols},
};

/// The first release that prints a user event's fields instead of its bytes.
pub(super) const USER_EVENT_FIELDS: (u16, u16) = (6, 4);
/// The first release that looks up numbers as wide as an address, and shows a string's address as that of the field
/// in the kernel's buffer.
const SYMBOLS: (u16, u16) = (6, 15);
/// The first release that looks up `caller_offs` and `parent_offs` as offsets from `_stext`.
const TEXT_OFFSETS: (u16, u16) = (6, 16);
/// The first release that prints the bytes of a dynamic string if some are not printable.
const UNPRINTABLE: (u16, u16) = (6, 19);

/// Whether the kernel prints events of `system` without their print format.
pub(super) fn is_user_event(system: &str) -> bool {
    system == "user_events" || system == "user_events_multi"
}

/// How a field is printed: `filter_type` of `struct ftrace_event_field`, as chosen by `filter_assign_type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// FILTER_STATIC_STRING.
    Text,
    /// FILTER_DYN_STRING, FILTER_RDYN_STRING.
    LocatedText { relative: bool },
    /// FILTER_PTR_STRING.
    TextPointer,
    /// FILTER_OTHER of four bytes whose type is a location.
    LocatedBytes { relative: bool },
    /// FILTER_OTHER.
    Number,
    /// FILTER_CPUMASK, which `print_fields` does not handle.
    Invalid,
}

#[derive(Debug, Clone)]
struct Part {
    /// ` name=`
    label: String,
    form: Form,
    offset: usize,
    size: usize,
    /// An offset from `_stext`.
    text_offset: bool,
}

/// How an event's fields are printed.
#[derive(Debug, Clone)]
pub(super) struct FieldsText {
    /// `name:`, or the whole text.
    name: String,
    /// `print_event_fields` searches the tracers' own events in a list in which tracepoints come first, stops there,
    /// and prints "Unknown type".
    unknown: bool,
    parts: Vec<Part>,
    long: usize,
    release: (u16, u16),
}

impl FieldsText {
    /// The text of `format` as printed by a kernel of this release.
    pub(super) fn compile(format: &EventFormat, long: LongSize, release: (u16, u16)) -> FieldsText {
        let parts = format.fields.iter().map(|field| Part {
            label: format!(" {}=", field.name),
            form: form(field, release),
            offset: field.offset as usize,
            size: field.size as usize,
            text_offset: release >= TEXT_OFFSETS && matches!(field.name.as_str(), "caller_offs" | "parent_offs"),
        });
        let unknown = format.system == "ftrace";
        let name = if unknown { format!("UNKNOWN TYPE {}", format.id) } else { format!("{}:", format.name) };
        FieldsText { unknown, name, parts: parts.collect(), long: long.bytes() as usize, release }
    }

    /// Appends the text with its line break.
    pub(super) fn write<E: ByteOrder>(&self, out: &mut Vec<u8>, record: &[u8], names: &Names) {
        out.extend_from_slice(self.name.as_bytes());
        if self.unknown {
            return out.push(b'\n');
        }
        if self.parts.is_empty() {
            out.extend_from_slice(b"No fields found");
        }
        for part in &self.parts {
            out.extend_from_slice(part.label.as_bytes());
            match record.get(part.offset..).and_then(|rest| rest.get(..part.size)) {
                Some(bytes) => self.write_part::<E>(out, part, bytes, record, names),
                None => out.extend_from_slice(b"<OVERFLOW>"),
            }
        }
        out.push(b'\n');
    }

    fn write_part<E: ByteOrder>(&self, out: &mut Vec<u8>, part: &Part, bytes: &[u8], record: &[u8], names: &Names) {
        match part.form {
            Form::Text => out.extend_from_slice(until_nul(bytes)),
            Form::LocatedText { relative } => match located::<E>(part, bytes, record, relative) {
                Some(text) => self.write_text(out, text),
                None => out.extend_from_slice(b"<OVERFLOW>"),
            },
            Form::TextPointer => self.write_text_pointer::<E>(out, bytes, names),
            Form::LocatedBytes { relative } => match located::<E>(part, bytes, record, relative) {
                Some(array) => write_bytes(out, array, b','),
                None => out.extend_from_slice(b"<OVERFLOW>"),
            },
            Form::Number => self.write_number::<E>(out, part, bytes, names),
            Form::Invalid => out.extend_from_slice(b"<INVALID-TYPE>"),
        }
    }

    fn write_number<E: ByteOrder>(&self, out: &mut Vec<u8>, part: &Part, bytes: &[u8], names: &Names) {
        let value = match bytes.len() {
            1 | 2 | 4 | 8 => unsigned::<E>(bytes),
            _ => return out.extend_from_slice(b"<INVALID-SIZE>"),
        };
        match bytes.len() {
            1 => {
                let byte = value as u8;
                if is_print(byte) {
                    out.extend_from_slice(&[b'\'', byte, b'\'']);
                }
                out.push(b'(');
                write_unsigned(out, value);
            }
            size => {
                if size == 4 && part.text_offset {
                    match names.kallsyms.text_start() {
                        Some(start) => symbol::write_with_offset(out, start.wrapping_add(value), names),
                        None => out.extend_from_slice(b"{_stext?}"),
                    }
                    out.push(b' ');
                }
                match self.release >= SYMBOLS && size == self.long {
                    true => symbol::write_with_offset(out, value, names),
                    false => write_0x(out, value, 1),
                }
                out.extend_from_slice(b" (");
                match size {
                    2 => write_unsigned(out, value),
                    4 => write_signed(out, i64::from(value as i32)),
                    _ => write_signed(out, value as i64),
                }
            }
        }
        out.push(b')');
    }

    fn write_text(&self, out: &mut Vec<u8>, text: &[u8]) {
        let prints = |byte: u8| byte.is_ascii_graphic() || byte == b' ';
        if self.release < UNPRINTABLE || text.iter().all(|&byte| byte == 0 || prints(byte)) {
            return out.extend_from_slice(until_nul(text));
        }
        out.extend(text.iter().map(|&byte| if prints(byte) { byte } else { b'.' }));
        out.extend_from_slice(b" (");
        write_bytes(out, text, b':');
        out.push(b')');
    }

    /// `(0xffffffff8243a0c0:Start context switch)`; without the string if the kernel cannot read it.
    fn write_text_pointer<E: ByteOrder>(&self, out: &mut Vec<u8>, bytes: &[u8], names: &Names) {
        let address = unsigned::<E>(bytes);
        out.push(b'(');
        match self.release >= SYMBOLS {
            // An address in the reader's buffer.
            true => out.extend_from_slice(b"{address?}"),
            false => write_0x(out, address, 2 * self.long),
        }
        match names.string(address) {
            Some(text) => {
                out.push(b':');
                out.extend_from_slice(text);
            }
            // Kernel addresses have the top bit set; the kernel does not read those of a program here.
            None if address >> (8 * self.long - 1) & 1 == 1 => {
                out.extend_from_slice(b":{*");
                write_0x(out, address, 1);
                out.extend_from_slice(b"?}");
            }
            None => {}
        }
        out.push(b')');
    }
}

/// Appends the bytes of a user event as kernels before 6.4 dump them (`user_event_print_trace`). The NUL at the end
/// of the dump gets into the trace file too.
pub(super) fn write_dump(out: &mut Vec<u8>, record: &[u8]) {
    out.push(b'\n');
    for (index, row) in record.chunks(16).enumerate() {
        write_hex(out, 16 * index as u64, 8);
        out.extend_from_slice(b": ");
        write_dump_row(out, row, 16, 1, true, |byte| u64::from(byte.first().copied().unwrap_or_default()));
    }
    out.push(0);
}

/// `filter_assign_type` (kernel/trace/trace_events_filter.c), which searches the text of the type for words.
fn form(field: &Field, release: (u16, u16)) -> Form {
    let text = field_type(field);
    let has = |word: &str| text.contains(word);
    match () {
        () if has("__data_loc") && has("char") => Form::LocatedText { relative: false },
        () if has("__data_loc") && has("cpumask_t") && release >= (6, 6) => Form::Invalid,
        () if has("__rel_loc") && has("char") => Form::LocatedText { relative: true },
        () if has("__rel_loc") && has("cpumask_t") && release >= (6, 6) => Form::Invalid,
        () if has("[") && has("char") => Form::Text,
        () if text == "char *" || text == "const char *" => Form::TextPointer,
        () if field.size == 4 && has("__data_loc") => Form::LocatedBytes { relative: false },
        () if field.size == 4 && has("__rel_loc") => Form::LocatedBytes { relative: true },
        () => Form::Number,
    }
}

/// The declaration without the field's name, which may be before brackets: `char[16]` from `char comm[16]`.
fn field_type(field: &Field) -> String {
    match field.declaration.rfind(&field.name) {
        Some(at) => {
            let (before, after) = (&field.declaration[..at], &field.declaration[at + field.name.len()..]);
            format!("{}{after}", before.trim_end())
        }
        None => field.declaration.clone(),
    }
}

/// The bytes given by the location word in `bytes`, if they lie in the record.
fn located<'r, E: ByteOrder>(part: &Part, bytes: &[u8], record: &'r [u8], relative: bool) -> Option<&'r [u8]> {
    let word = E::read_u32(bytes.first_chunk::<4>()?) as usize;
    let base = if relative { part.offset + 4 } else { 0 };
    record.get(base + (word & 0xffff)..)?.get(..word >> 16)
}

/// Appends bytes in hexadecimal.
fn write_bytes(out: &mut Vec<u8>, bytes: &[u8], separator: u8) {
    for (index, &byte) in bytes.iter().enumerate() {
        if index > 0 {
            out.push(separator);
        }
        write_hex(out, byte.into(), 2);
    }
}

fn write_0x(out: &mut Vec<u8>, value: u64, width: usize) {
    out.extend_from_slice(b"0x");
    write_hex(out, value, width);
}

/// The kernel's `isprint`: ASCII and Latin-1 (lib/ctype.c).
fn is_print(byte: u8) -> bool {
    matches!(byte, 0x20..=0x7e | 0xa0..=0xff)
}

#[cfg(test)]
mod tests {
    use byteorder::{BigEndian, LittleEndian};

    use super::*;
    use crate::names::{Kallsyms, PrintkFormats};

    fn format(fields: &str) -> EventFormat {
        let text = format!(
            "name: e\nID: 3\nformat:\n\tfield:int common_pid;\toffset:4;\tsize:4;\tsigned:1;\n\n{fields}\n\
             print fmt: \"\"\n"
        );
        EventFormat::parse("s", &text, LongSize::Eight).unwrap()
    }

    fn field(declaration: &str, offset: u32, size: u32) -> String {
        format!("\tfield:{declaration};\toffset:{offset};\tsize:{size};\tsigned:0;\n")
    }

    fn names() -> Names {
        Names {
            kallsyms: Kallsyms::parse(b"ffffffff81000000 T _stext\nffffffff81000100 T f\nffffffff81000200 D _end\n")
                .into(),
            printk_formats: PrintkFormats::parse(b"0xffffffff82000000 : \"GP start\"\n"),
            ..Names::default()
        }
    }

    fn text<E: ByteOrder>(format: &EventFormat, release: (u16, u16), record: &[u8]) -> String {
        let mut out = vec![];
        FieldsText::compile(format, LongSize::Eight, release).write::<E>(&mut out, record, &names());
        String::from_utf8(out).unwrap()
    }

    fn record(tail: &[u8]) -> Vec<u8> {
        [&[0; 8], tail].concat()
    }

    #[test]
    fn numbers_print_in_hexadecimal_and_decimal_by_size() {
        // Worked out by hand from `print_fields`: "'%c'(%d)", "0x%x (%d)" for u16 and u32, "0x%llx (%lld)".
        let format =
            format(&[field("u8 a", 8, 1), field("u8 b", 9, 1), field("u16 c", 10, 2), field("u32 d", 12, 4)].concat());
        let bytes = record(&[b'A', 7, 0xfe, 0xff, 0xfe, 0xff, 0xff, 0xff]);
        assert_eq!(
            text::<LittleEndian>(&format, (6, 4), &bytes),
            "e: a='A'(65) b=(7) c=0xfffe (65534) d=0xfffffffe (-2)\n"
        );
        let swapped = record(&[b'A', 7, 0xff, 0xfe, 0xff, 0xff, 0xff, 0xfe]);
        assert_eq!(text::<BigEndian>(&format, (6, 4), &swapped), text::<LittleEndian>(&format, (6, 4), &bytes));
    }

    #[test]
    fn a_number_as_wide_as_an_address_is_looked_up_since_6_15() {
        let format = format(&field("unsigned long f", 8, 8));
        let bytes = record(&0xffff_ffff_8100_0110u64.to_le_bytes());
        assert_eq!(text::<LittleEndian>(&format, (6, 14), &bytes), "e: f=0xffffffff81000110 (-2130706160)\n");
        assert_eq!(text::<LittleEndian>(&format, (6, 15), &bytes), "e: f=f+0x10/0x100 (-2130706160)\n");
    }

    #[test]
    fn an_offset_from_the_kernel_s_beginning_is_looked_up_since_6_16() {
        let format = format(&field("u32 caller_offs", 8, 4));
        let bytes = record(&0x110u32.to_le_bytes());
        assert_eq!(text::<LittleEndian>(&format, (6, 15), &bytes), "e: caller_offs=0x110 (272)\n");
        assert_eq!(text::<LittleEndian>(&format, (6, 16), &bytes), "e: caller_offs=f+0x10/0x100 0x110 (272)\n");
    }

    #[test]
    fn strings_print_up_to_their_nul_and_arrays_as_bytes() {
        let format = format(
            &[
                field("char comm[4]", 8, 4),
                field("__data_loc char[] s", 12, 4),
                field("__rel_loc char[] r", 16, 4),
                field("__data_loc u8[] a", 20, 4),
                field("__data_loc char[] far", 24, 4),
                field("u32 two[2]", 8, 8),
                field("u32 three[3]", 8, 12),
            ]
            .concat(),
        );
        let mut bytes = record(b"ab\0c");
        for word in [3u32 << 16 | 28, 3 << 16 | (31 - 20), 2 << 16 | 28, 9 << 16 | 28] {
            bytes.extend(word.to_le_bytes());
        }
        bytes.extend(b"hi\0ok\0\0\0");
        assert_eq!(
            text::<LittleEndian>(&format, (6, 4), &bytes),
            "e: comm=ab s=hi r=ok a=68,69 far=<OVERFLOW> two=0x3001c63006261 (844546850185825) three=<INVALID-SIZE>\n"
        );
    }

    #[test]
    fn a_pointer_to_a_string_shows_both_and_since_6_15_the_address_of_the_record() {
        let format = format(&[field("const char * s", 8, 8), field("const char * user", 16, 8)].concat());
        let mut bytes = record(&0xffff_ffff_8200_0000u64.to_le_bytes());
        bytes.extend(0x7ffe_0000u64.to_le_bytes());
        assert_eq!(
            text::<LittleEndian>(&format, (6, 4), &bytes),
            "e: s=(0xffffffff82000000:GP start) user=(0x000000007ffe0000)\n"
        );
        assert_eq!(text::<LittleEndian>(&format, (6, 18), &bytes), "e: s=({address?}:GP start) user=({address?})\n");
    }

    #[test]
    fn a_string_that_does_not_print_is_followed_by_its_bytes_since_6_19() {
        let format = format(&field("__data_loc char[] s", 8, 4));
        let mut bytes = record(&(3u32 << 16 | 12).to_le_bytes());
        bytes.extend(b"a\x01\0");
        assert_eq!(text::<LittleEndian>(&format, (6, 18), &bytes), "e: s=a\u{1}\n");
        assert_eq!(text::<LittleEndian>(&format, (6, 19), &bytes), "e: s=a.. (61:01:00)\n");
    }

    #[test]
    fn missing_fields_and_short_records_are_reported() {
        assert_eq!(text::<LittleEndian>(&format(""), (6, 4), &record(&[])), "e:No fields found\n");
        assert_eq!(text::<LittleEndian>(&format(&field("u32 a", 8, 4)), (6, 4), &record(&[1])), "e: a=<OVERFLOW>\n");
    }

    #[test]
    fn a_user_event_of_an_older_kernel_is_a_dump_of_its_record() {
        // `trace_print_hex_dump_seq(…, DUMP_PREFIX_OFFSET, 16, 1, …, true)`: `hex_dump_to_buffer` puts text in column 49.
        let mut out = vec![];
        write_dump(&mut out, b"\xdc\x05\0\0M\0\0\0\x03\0\0\0abcdXY");
        let want = "\n00000000: dc 05 00 00 4d 00 00 00 03 00 00 00 61 62 63 64  ....M.......abcd\n\
                    00000010: 58 59                                            XY\n\0";
        assert_eq!(String::from_utf8(out).unwrap(), want);
    }
}
