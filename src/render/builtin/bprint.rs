//! `trace_printk`: a format that stayed in the kernel, and its arguments as `vbin_printf` packed them (lib/vsprintf.c).
//!
//! Numbers are stored in their own size, at a multiple of it (eight bytes at a multiple of four), from the beginning of
//! the buffer; a string in place with its NUL. A pointer that prints as more than a number (`%pM`) was printed when it
//! was stored: it is a string, too.

use byteorder::ByteOrder;

use crate::{
    decode::until_nul,
    names::{Names, Symbols},
    render::{line::write_hex, symbol},
};

/// Appends the message.
pub(super) fn write<E: ByteOrder>(out: &mut Vec<u8>, fmt: u64, long: usize, buf: Option<&[u8]>, names: &Names) {
    let Some(format) = names.string(fmt) else {
        out.extend_from_slice(b"0x");
        write_hex(out, fmt, 1);
        out.push(b'\n');
        return;
    };
    let mut packed = Packed { bytes: buf.unwrap_or_default(), at: 0 };
    let mut rest = format;
    while let Some(percent) = memchr::memchr(b'%', rest) {
        out.extend_from_slice(&rest[..percent]);
        rest = &rest[percent..];
        rest = conversion::<E>(out, rest, long, &mut packed, names);
    }
    out.extend_from_slice(rest);
}

/// The packed arguments not yet taken.
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

    fn string(&mut self) -> &'r [u8] {
        let text = until_nul(self.bytes.get(self.at..).unwrap_or_default());
        self.at += text.len() + 1;
        text
    }
}

/// Appends one conversion, which `text` begins with, and returns what follows it.
fn conversion<'f, E: ByteOrder>(
    out: &mut Vec<u8>,
    text: &'f [u8],
    long: usize,
    packed: &mut Packed<'_>,
    names: &Names,
) -> &'f [u8] {
    let byte = |at: usize| text.get(at).copied().unwrap_or(0);
    let mut at = 1;
    let mut spec = Spec::default();
    loop {
        match byte(at) {
            b'-' => spec.left = true,
            b'+' => spec.plus = true,
            b' ' => spec.blank = true,
            b'#' => spec.alternate = true,
            b'0' => spec.zero = true,
            _ => break,
        }
        at += 1;
    }
    let size = |at: &mut usize, packed: &mut Packed<'_>| {
        if byte(*at) == b'*' {
            *at += 1;
            return packed.number::<E>(4) as i32;
        }
        let mut value = 0i32;
        while byte(*at).is_ascii_digit() {
            value = value.saturating_mul(10).saturating_add(i32::from(byte(*at) - b'0'));
            *at += 1;
        }
        value
    };
    let width = size(&mut at, packed);
    spec.left |= width < 0;
    // No more than the kernel's own trace_seq could hold.
    spec.width = (width.unsigned_abs() as usize).min(8192);
    if byte(at) == b'.' {
        at += 1;
        spec.precision = Some(usize::try_from(size(&mut at, packed)).unwrap_or(0).min(8192));
    }
    let qualifier = at;
    while matches!(byte(at), b'l' | b'L' | b'h' | b'z' | b'Z' | b'j' | b't') {
        at += 1;
    }
    let bytes = match &text[qualifier.min(text.len())..at.min(text.len())] {
        b"hh" => 1,
        b"h" => 2,
        b"ll" | b"L" | b"j" => 8,
        b"l" | b"z" | b"Z" | b"t" => long,
        _ => 4,
    };
    let kind = byte(at);
    at += 1;
    match kind {
        b'%' => out.push(b'%'),
        b'd' | b'i' => {
            let unused = 64 - 8 * bytes as u32;
            let value = ((packed.number::<E>(bytes) << unused) as i64) >> unused;
            spec.number(out, value.unsigned_abs(), value < 0, 10, false);
        }
        b'u' => spec.number(out, packed.number::<E>(bytes), false, 10, false),
        b'x' | b'X' => spec.number(out, packed.number::<E>(bytes), false, 16, kind == b'X'),
        b'o' => spec.number(out, packed.number::<E>(bytes), false, 8, false),
        b'c' => spec.text(out, &[packed.number::<E>(1) as u8]),
        b's' => {
            let text = packed.string();
            spec.text(out, text.get(..spec.precision.unwrap_or(usize::MAX)).unwrap_or(text));
        }
        b'p' => {
            let modifier = byte(at);
            while byte(at).is_ascii_alphanumeric() {
                at += 1;
            }
            match modifier {
                b'S' | b's' | b'x' | b'K' | b'e' => {
                    let address = packed.number::<E>(long);
                    let mut shown = Vec::new();
                    match modifier {
                        b'S' => symbol::write_with_offset(&mut shown, address, names),
                        b's' => symbol::write_name(&mut shown, address, names),
                        b'x' => write_hex(&mut shown, address, 1),
                        _ => write_hex(&mut shown, address, 2 * long),
                    }
                    spec.text(out, &shown);
                }
                0 | b' '..=b'/' | b':'..=b'@' | b'['..=b'`' | b'{'..=b'~' | b'\n' | b'\t' => {
                    let mut shown = Vec::new();
                    write_hex(&mut shown, packed.number::<E>(long), 2 * long);
                    spec.text(out, &shown);
                }
                _ => spec.text(out, packed.string()),
            }
        }
        // The kernel stops at what it does not know.
        _ => return &[],
    }
    text.get(at..).unwrap_or_default()
}

/// Flags, width and precision of a conversion.
#[derive(Default)]
struct Spec {
    left: bool,
    plus: bool,
    blank: bool,
    alternate: bool,
    zero: bool,
    width: usize,
    precision: Option<usize>,
}

impl Spec {
    fn text(&self, out: &mut Vec<u8>, text: &[u8]) {
        let fill = self.width.saturating_sub(text.len());
        if !self.left {
            out.resize(out.len() + fill, b' ');
        }
        out.extend_from_slice(text);
        if self.left {
            out.resize(out.len() + fill, b' ');
        }
    }

    fn number(&self, out: &mut Vec<u8>, value: u64, negative: bool, base: u64, upper: bool) {
        let mut digits = [0; 64];
        let mut start = digits.len();
        let mut rest = value;
        while rest != 0 || start == digits.len() {
            start -= 1;
            digits[start] = b"0123456789abcdef"[(rest % base) as usize];
            rest /= base;
        }
        if upper {
            digits.make_ascii_uppercase();
        }
        let digits = &digits[start..];
        let sign: &[u8] = match (negative, self.plus, self.blank, base) {
            (true, ..) => b"-",
            (_, true, _, 10) => b"+",
            (_, _, true, 10) => b" ",
            // The kernel, unlike libc, writes the prefix before a zero, too.
            (.., 16) if self.alternate => {
                if upper {
                    b"0X"
                } else {
                    b"0x"
                }
            }
            (.., 8) if self.alternate => b"0",
            _ => b"",
        };
        let zeros = match self.precision {
            Some(precision) => precision.saturating_sub(digits.len()),
            None if self.zero && !self.left => self.width.saturating_sub(digits.len() + sign.len()),
            None => 0,
        };
        let fill = self.width.saturating_sub(digits.len() + sign.len() + zeros);
        if !self.left {
            out.resize(out.len() + fill, b' ');
        }
        out.extend_from_slice(sign);
        out.resize(out.len() + zeros, b'0');
        out.extend_from_slice(digits);
        if self.left {
            out.resize(out.len() + fill, b' ');
        }
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
            kallsyms: Kallsyms::parse(b"c0300000 T _stext\nc0300100 T vfs_read\nc0300300 D _end\n"),
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
    fn any_format_ends() {
        for format in ["%", "%%", "%-", "%l", "%*", "%.*", "%p", "%pQQQ", "%y x", "%99999999999d"] {
            let _ = text::<LittleEndian>(format, &[0x7f; 16]);
        }
    }
}
