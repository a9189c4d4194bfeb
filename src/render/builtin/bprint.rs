//! `trace_printk`: a format in the kernel's memory, and its arguments as packed by `vbin_printf` (lib/vsprintf.c).
//!
//! Numbers are stored in their own size, aligned to it (eight bytes are aligned to four), counted from the beginning
//! of the buffer; strings are stored in place with their NUL. A pointer that prints as more than a number (`%pM`) was
//! formatted when it was stored, so it is a string too.

use byteorder::ByteOrder;

use crate::{
    decode::until_nul,
    names::{Names, Symbols},
    render::{
        line::write_hex,
        pointer::{self, Pointee},
        printf::{self, Amount, Conversion, Part, Radix, Spec},
    },
};

/// More than the kernel's buffer for a line (`TRACE_SEQ_SIZE`).
const LONGEST: usize = 8192;

/// Appends the message.
pub(super) fn write<E: ByteOrder>(out: &mut Vec<u8>, fmt: u64, long: usize, buf: Option<&[u8]>, names: &Names) {
    let Some(format) = names.string(fmt) else {
        out.extend_from_slice(b"0x");
        write_hex(out, fmt, 1);
        out.push(b'\n');
        return;
    };
    let mut packed = Packed { bytes: buf.unwrap_or_default(), at: 0 };
    let start = out.len();
    for part in printf::parse(format) {
        // The kernel's line buffer is no longer either; widths in the format could otherwise make the text
        // arbitrarily long.
        if out.len() - start > LONGEST {
            return;
        }
        match part {
            Part::Literal(text) => out.extend_from_slice(&text),
            Part::Conversion { flags, width, precision, conversion } => {
                let mut spec = Spec { flags, ..Spec::PLAIN };
                if let Some(width) = packed.amount::<E>(width) {
                    spec = spec.with_width(width);
                }
                if let Some(precision) = packed.amount::<E>(precision) {
                    spec = spec.with_precision(precision);
                }
                argument::<E>(out, &conversion, spec, long, &mut packed, names);
            }
        }
    }
}

/// Appends the argument of one conversion.
fn argument<E: ByteOrder>(
    out: &mut Vec<u8>,
    conversion: &Conversion,
    spec: Spec,
    long: usize,
    packed: &mut Packed<'_>,
    names: &Names,
) {
    match conversion {
        Conversion::Number(radix, length) => {
            let size = length.size(long as u8);
            let unused = 64 - 8 * u32::from(size);
            let value = packed.number::<E>(usize::from(size)) << unused;
            let value = if *radix == Radix::Signed { (value as i64 >> unused) as u64 } else { value >> unused };
            printf::write_number(out, value, *radix, spec);
        }
        Conversion::Char => printf::write_char(out, packed.number::<E>(1) as u8, spec),
        Conversion::Text => {
            let start = out.len();
            out.extend_from_slice(packed.string());
            printf::fit_text(out, start, spec);
        }
        Conversion::Pointer(letters) => match (letters.chars().next(), Pointee::of(letters)) {
            (None | Some('S' | 's' | 'F' | 'f' | 'x' | 'K' | 'e'), Some(pointee)) => {
                let address = packed.number::<E>(long);
                pointer::write_address(out, pointee, address, spec, long as u8, names);
            }
            // The width was already applied.
            _ => out.extend_from_slice(packed.string()),
        },
        Conversion::Invalid => {}
    }
}

/// The packed arguments that were not consumed yet.
struct Packed<'r> {
    bytes: &'r [u8],
    at: usize,
}

impl<'r> Packed<'r> {
    fn number<E: ByteOrder>(&mut self, size: usize) -> u64 {
        self.at = self.at.next_multiple_of(size.min(4));
        let bytes = self.bytes.get(self.at..).and_then(|rest| rest.get(..size));
        self.at += size;
        bytes.map_or(0, |bytes| crate::decode::unsigned::<E>(bytes))
    }

    /// A width or precision; the one for `*` is packed before the argument itself.
    fn amount<E: ByteOrder>(&mut self, amount: Amount) -> Option<i32> {
        match amount {
            Amount::None => None,
            Amount::Fixed(amount) => Some(Spec::limit(amount)),
            Amount::Argument => Some(self.number::<E>(4) as i32),
        }
    }

    fn string(&mut self) -> &'r [u8] {
        let text = until_nul(self.bytes.get(self.at..).unwrap_or_default());
        self.at += text.len() + 1;
        text
    }
}

#[cfg(test)]
mod tests {
    use byteorder::{BigEndian, LittleEndian};

    use super::*;
    use crate::names::{Kallsyms, PrintkFormats};

    fn text<E: ByteOrder>(format: &str, buf: &[u8]) -> String {
        let names = Names {
            printk_formats: PrintkFormats::parse(format!("0x1000 : \"{format}\"\n").as_bytes()),
            kallsyms: Kallsyms::parse(b"c0300000 T _stext\nc0300100 T vfs_read\nc0300300 D _end\n").into(),
            ..Names::default()
        };
        let mut out = vec![];
        write::<E>(&mut out, 0x1000, 8, Some(buf), &names);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn arguments_lie_at_multiples_of_their_size_and_long_ones_at_multiples_of_four() {
        // char 'A'; int -2 at 4; u64 at 8; a string; a short at the next even place.
        let mut buf = vec![b'A', 0, 0, 0];
        buf.extend((-2i32).to_le_bytes());
        buf.extend(0x1234_5678_9abcu64.to_le_bytes());
        buf.extend(b"hi\0");
        buf.push(0xaa);
        buf.extend(7u16.to_le_bytes());
        assert_eq!(text::<LittleEndian>("%c %d 0x%llx <%s> %hu\\n", &buf), "A -2 0x123456789abc <hi> 7\n");
    }

    #[test]
    fn widths_flags_and_precisions_are_the_kernel_s() {
        let buf: Vec<u8> = [5u32, 42, 0, 255].into_iter().flat_map(u32::to_be_bytes).collect();
        assert_eq!(text::<BigEndian>("[%*d] [%#x] [%-5X]", &buf), "[   42] [0x0] [FF   ]");
        let buf: Vec<u8> = [42u32, 42, 42].into_iter().flat_map(u32::to_be_bytes).collect();
        assert_eq!(text::<BigEndian>("%05d %+d %.4u%%", &buf), "00042 +42 0042%");
    }

    #[test]
    fn a_symbol_is_stored_as_an_address_and_other_pointers_as_text() {
        let mut buf = 0xc030_0104u64.to_le_bytes().to_vec();
        buf.extend(b"00:11:22:33:44:55\0");
        assert_eq!(text::<LittleEndian>("%pS %pM", &buf), "vfs_read+0x4/0x200 00:11:22:33:44:55");
    }

    #[test]
    fn a_buffer_too_short_reads_as_zeros_and_an_unknown_format_shows_its_address() {
        assert_eq!(text::<LittleEndian>("%d %s %llu", &[]), "0  0");
        let mut out = vec![];
        write::<LittleEndian>(&mut out, 0x77, 8, None, &Names::default());
        assert_eq!(out, b"0x77\n");
    }

    #[test]
    fn any_format_terminates() {
        for format in ["%", "%%", "%-", "%l", "%*", "%.*", "%p", "%pQQQ", "%y x", "%99999999999d"] {
            let _ = text::<LittleEndian>(format, &[0x7f; 16]);
        }
    }
}
