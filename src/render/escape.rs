//! `%pE`: escapes bytes that are not printable (`escaped_string` in lib/vsprintf.c, `string_escape_mem` in
//! lib/string_helpers.c).

/// Which bytes are escaped and how: the letters after `%pE`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Escapes {
    /// `c`: `\\`, `\"`, `\a`, `\e`
    special: bool,
    /// `h`: `\x1f`
    hex: bool,
    /// `n`: `\0`
    null: bool,
    /// `o`: `\037`
    octal: bool,
    /// `p`: printable bytes are kept, before all other rules.
    printable_stay: bool,
    /// `s`: `\n`, `\r`, `\t`, `\v`, `\f`
    space: bool,
}

impl Escapes {
    /// Parses the letters after `E`, up to the first unknown one. Without letters all unprintable bytes are escaped
    /// (`ESCAPE_ANY_NP`).
    pub(super) fn of(letters: &str) -> Escapes {
        let any = Escapes { special: true, null: true, octal: true, space: true, ..Escapes::default() };
        let mut escapes = Escapes::default();
        for letter in letters.chars() {
            match letter {
                'a' => escapes = Escapes { hex: escapes.hex, printable_stay: escapes.printable_stay, ..any },
                'c' => escapes.special = true,
                'h' => escapes.hex = true,
                'n' => escapes.null = true,
                'o' => escapes.octal = true,
                'p' => escapes.printable_stay = true,
                's' => escapes.space = true,
                _ => break,
            }
        }
        if escapes == Escapes::default() { Escapes { printable_stay: true, ..any } } else { escapes }
    }

    /// Appends `bytes`.
    pub(super) fn write(self, out: &mut Vec<u8>, bytes: &[u8]) {
        for &byte in bytes {
            let letter = match byte {
                _ if self.printable_stay && is_printable(byte) => None,
                b'\n' if self.space => Some(b'n'),
                b'\r' if self.space => Some(b'r'),
                b'\t' if self.space => Some(b't'),
                0x0b if self.space => Some(b'v'),
                0x0c if self.space => Some(b'f'),
                b'\\' | b'"' if self.special => Some(byte),
                0x07 if self.special => Some(b'a'),
                0x1b if self.special => Some(b'e'),
                0 if self.null => Some(b'0'),
                _ if self.octal => {
                    out.extend([b'\\', b'0' + (byte >> 6), b'0' + (byte >> 3 & 7), b'0' + (byte & 7)]);
                    continue;
                }
                _ if self.hex => {
                    let digit = |nibble: u8| b"0123456789abcdef"[usize::from(nibble & 15)];
                    out.extend([b'\\', b'x', digit(byte >> 4), digit(byte)]);
                    continue;
                }
                _ => None,
            };
            match letter {
                Some(letter) => out.extend([b'\\', letter]),
                None => out.push(byte),
            }
        }
    }
}

/// The kernel's `isprint` (lib/ctype.c), whose table is Latin-1.
fn is_printable(byte: u8) -> bool {
    matches!(byte, 0x20..=0x7e | 0xa0..)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn escaped(letters: &str, bytes: &[u8]) -> String {
        let mut out = vec![];
        Escapes::of(letters).write(&mut out, bytes);
        out.iter().map(|&b| char::from(b)).collect()
    }

    #[test]
    fn unprintable_bytes_are_escaped_as_the_letters_say() {
        // The first is the example of Documentation/core-api/printk-formats.rst.
        let example = b"\x1b \x62 \x20 \"\\C\x07\"\x90\x0d]";
        assert_eq!(escaped("", example), "\\e b   \"\\C\\a\"\\220\\r]");
        assert_eq!(escaped("hp", example), "\\x1b b   \"\\C\\x07\"\\x90\\x0d]");
        assert_eq!(escaped("a", b"a\0\n"), "\\141\\0\\n");
        assert_eq!(escaped("c", b"a\\\"\n\x1b"), "a\\\\\\\"\n\\e");
        assert_eq!(escaped("n", b"\0\n"), "\\0\n");
        assert_eq!(escaped("sx", b"\x0b\x0c\t\0"), "\\v\\f\\t\0");
        // 0xa0 to 0xff are printable to the kernel.
        assert_eq!(escaped("", &[0x80, 0xa0, 0xff]), "\\200\u{a0}\u{ff}");
    }
}
