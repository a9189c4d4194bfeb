//! The kernel's printf: its conversions, and how it prints numbers and strings (lib/vsprintf.c).
//!
//! It differs from libc: `%#x` of 0 is `0x0`, a precision does not cancel `0`, and the letters after `%p` say what it
//! points to.

/// Numbers wider than this are not padded: the kernel's line buffer has two pages.
const MAX_WIDTH: i64 = 8192;

/// Where a width or precision comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Amount {
    /// Not given.
    #[default]
    None,
    /// Given in the format.
    Fixed(u32),
    /// `*`: given by an argument.
    Argument,
}

/// The flags of a conversion.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Flags {
    pub(super) left: bool,
    pub(super) plus: bool,
    pub(super) space: bool,
    pub(super) special: bool,
    pub(super) zero: bool,
}

/// What follows the flags, width and precision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Conversion {
    /// `%d`, `%llx`, …
    Number(Radix, Length),
    /// `%c`
    Char,
    /// `%s`
    Text,
    /// `%p` and all letters and digits that follow it.
    Pointer(String),
    /// Unknown to the kernel, which stops printing there.
    Invalid,
}

/// How a number is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Radix {
    Signed,
    Unsigned,
    Octal,
    LowerHex,
    UpperHex,
}

/// The type of a number's argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Length {
    Char,
    Short,
    Int,
    /// `l`, `z`, `t`: a `long` of the traced kernel.
    Long,
    LongLong,
}

impl Length {
    /// Its size in bytes, where a `long` has `long` bytes.
    pub(super) fn size(self, long: u8) -> u8 {
        match self {
            Length::Char => 1,
            Length::Short => 2,
            Length::Int => 4,
            Length::Long => long,
            Length::LongLong => 8,
        }
    }
}

/// A part of a format.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Part {
    Literal(Vec<u8>),
    Conversion { flags: Flags, width: Amount, precision: Amount, conversion: Conversion },
}

/// Splits a format (`format_decode`). Stops before a conversion that the kernel does not know.
pub(super) fn parse(format: &[u8]) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut literal = Vec::new();
    let mut rest = format;
    while let Some(percent) = memchr::memchr(b'%', rest) {
        literal.extend_from_slice(&rest[..percent]);
        let mut cursor = Cursor { rest: &rest[percent + 1..] };
        if cursor.eat(b"%").is_some() {
            literal.push(b'%');
        } else {
            let part = conversion(&mut cursor);
            if matches!(part, Part::Conversion { conversion: Conversion::Invalid, .. }) {
                rest = &[];
                break;
            }
            if !literal.is_empty() {
                parts.push(Part::Literal(std::mem::take(&mut literal)));
            }
            parts.push(part);
        }
        rest = cursor.rest;
    }
    literal.extend_from_slice(rest);
    if !literal.is_empty() {
        parts.push(Part::Literal(literal));
    }
    parts
}

struct Cursor<'a> {
    rest: &'a [u8],
}

impl Cursor<'_> {
    fn eat(&mut self, any_of: &[u8]) -> Option<u8> {
        let (first, rest) = self.rest.split_first().filter(|(c, _)| any_of.contains(c))?;
        self.rest = rest;
        Some(*first)
    }

    fn amount(&mut self) -> Amount {
        if self.eat(b"*").is_some() {
            return Amount::Argument;
        }
        let mut amount = Amount::None;
        while let Some(digit) = self.eat(b"0123456789") {
            let so_far = if let Amount::Fixed(n) = amount { n } else { 0 };
            amount = Amount::Fixed(so_far.saturating_mul(10).saturating_add(u32::from(digit - b'0')));
        }
        amount
    }
}

fn conversion(cursor: &mut Cursor) -> Part {
    let mut flags = Flags::default();
    while let Some(flag) = cursor.eat(b"-+ #0") {
        match flag {
            b'-' => flags.left = true,
            b'+' => flags.plus = true,
            b' ' => flags.space = true,
            b'#' => flags.special = true,
            _ => flags.zero = true,
        }
    }
    let width = cursor.amount();
    let precision = match cursor.eat(b".") {
        None => Amount::None,
        // `%.s` has precision 0.
        Some(_) => match cursor.amount() {
            Amount::None => Amount::Fixed(0),
            given => given,
        },
    };
    let qualifier = cursor.eat(b"hlLzZtq");
    let doubled = qualifier.filter(|q| matches!(q, b'h' | b'l')).and_then(|q| cursor.eat(&[q])).is_some();
    let length = match (qualifier, doubled) {
        (Some(b'h'), true) => Length::Char,
        (Some(b'h'), false) => Length::Short,
        (Some(b'l'), true) | (Some(b'L' | b'q'), _) => Length::LongLong,
        (Some(_), _) => Length::Long,
        (None, _) => Length::Int,
    };
    let Some((&letter, rest)) = cursor.rest.split_first() else {
        return Part::Conversion { flags, width, precision, conversion: Conversion::Invalid };
    };
    cursor.rest = rest;
    let conversion = match letter {
        b'd' | b'i' => Conversion::Number(Radix::Signed, length),
        b'u' => Conversion::Number(Radix::Unsigned, length),
        b'o' => Conversion::Number(Radix::Octal, length),
        b'x' => Conversion::Number(Radix::LowerHex, length),
        b'X' => Conversion::Number(Radix::UpperHex, length),
        b'c' => Conversion::Char,
        b's' => Conversion::Text,
        b'p' => {
            // `pointer` in vsnprintf: all letters and digits after it belong to it, known or not.
            let end = cursor.rest.iter().position(|c| !c.is_ascii_alphanumeric()).unwrap_or(cursor.rest.len());
            let (letters, rest) = cursor.rest.split_at(end);
            cursor.rest = rest;
            Conversion::Pointer(letters.iter().map(|c| char::from(*c)).collect())
        }
        _ => Conversion::Invalid,
    };
    Part::Conversion { flags, width, precision, conversion }
}

/// A conversion's flags, and its width and precision as numbers; −1 if not given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Spec {
    pub(super) flags: Flags,
    pub(super) width: i64,
    pub(super) precision: i64,
}

impl Spec {
    /// No flags, width or precision.
    pub(super) const PLAIN: Spec = Spec {
        flags: Flags { left: false, plus: false, space: false, special: false, zero: false },
        width: -1,
        precision: -1,
    };

    /// Sets a width given by an argument: a negative one means `-` (`set_field_width`).
    pub(super) fn with_width(self, width: i32) -> Spec {
        let flags = Flags { left: self.flags.left || width < 0, ..self.flags };
        Spec { flags, width: i64::from(width).abs().min(MAX_WIDTH), ..self }
    }

    /// Sets a precision: a negative one is 0 (`set_precision`).
    pub(super) fn with_precision(self, precision: i32) -> Spec {
        Spec { precision: i64::from(precision).clamp(0, MAX_WIDTH), ..self }
    }

    /// Limits a width or precision from the format.
    pub(super) fn limit(amount: u32) -> i32 {
        i64::from(amount).min(MAX_WIDTH) as i32
    }
}

/// Appends `value` in decimal.
#[inline]
pub(super) fn write_decimal(out: &mut Vec<u8>, value: u64) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// Appends `value` in decimal, with its sign.
#[inline]
pub(super) fn write_signed(out: &mut Vec<u8>, value: i64) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// Appends `value` in lower case hexadecimal, without prefix.
#[inline]
pub(super) fn write_hex(out: &mut Vec<u8>, value: u64) {
    let mut digits = [0; 16];
    out.extend_from_slice(hex_digits(&mut digits, value, b"0123456789abcdef"));
}

/// Appends `value` in lower case hexadecimal with at least `width` digits.
pub(super) fn write_hex_padded(out: &mut Vec<u8>, value: u64, width: usize) {
    let mut buffer = [0; 16];
    let digits = hex_digits(&mut buffer, value, b"0123456789abcdef");
    out.resize(out.len() + width.saturating_sub(digits.len()), b'0');
    out.extend_from_slice(digits);
}

fn hex_digits<'b>(buffer: &'b mut [u8; 16], mut value: u64, digits: &[u8; 16]) -> &'b [u8] {
    let mut at = buffer.len();
    loop {
        at -= 1;
        buffer[at] = digits[(value & 15) as usize];
        value >>= 4;
        if value == 0 || at == 0 {
            return &buffer[at..];
        }
    }
}

fn octal_digits(buffer: &mut [u8; 24], mut value: u64) -> &[u8] {
    let mut at = buffer.len();
    loop {
        at -= 1;
        buffer[at] = b'0' + (value & 7) as u8;
        value >>= 3;
        if value == 0 || at == 0 {
            return &buffer[at..];
        }
    }
}

/// Appends a number as the kernel's `number` does. `value` is extended to 64 bits from its type.
pub(super) fn write_number(out: &mut Vec<u8>, value: u64, radix: Radix, spec: Spec) {
    let Spec { flags, mut width, precision } = spec;
    let (mut hex, mut octal, mut decimal) = ([0; 16], [0; 24], itoa::Buffer::new());
    let negative = radix == Radix::Signed && (value as i64) < 0;
    let sign: &[u8] = match radix {
        Radix::Signed if negative => b"-",
        Radix::Signed if flags.plus => b"+",
        Radix::Signed if flags.space => b" ",
        _ => b"",
    };
    let prefix: &[u8] = match radix {
        Radix::LowerHex if flags.special => b"0x",
        Radix::UpperHex if flags.special => b"0X",
        Radix::Octal if flags.special && value != 0 => b"0",
        _ => b"",
    };
    let digits = match radix {
        Radix::Signed => decimal.format((value as i64).unsigned_abs()).as_bytes(),
        Radix::Unsigned => decimal.format(value).as_bytes(),
        Radix::Octal => octal_digits(&mut octal, value),
        Radix::LowerHex => hex_digits(&mut hex, value, b"0123456789abcdef"),
        Radix::UpperHex => hex_digits(&mut hex, value, b"0123456789ABCDEF"),
    };
    let zeroes = precision.saturating_sub(digits.len() as i64).clamp(0, MAX_WIDTH) as usize;
    width -= (sign.len() + prefix.len() + zeroes + digits.len()) as i64;
    let padding = width.clamp(0, MAX_WIDTH) as usize;
    if !flags.left && !flags.zero {
        out.resize(out.len() + padding, b' ');
    }
    out.extend_from_slice(sign);
    out.extend_from_slice(prefix);
    if !flags.left && flags.zero {
        out.resize(out.len() + padding, b'0');
    }
    out.resize(out.len() + zeroes, b'0');
    out.extend_from_slice(digits);
    if flags.left {
        out.resize(out.len() + padding, b' ');
    }
}

/// Truncates the text from `start` in `out` to the precision and pads it to the width (`widen_string`).
pub(super) fn fit_text(out: &mut Vec<u8>, start: usize, spec: Spec) {
    if let Ok(precision) = usize::try_from(spec.precision) {
        out.truncate(start.saturating_add(precision).max(start).min(out.len()));
    }
    let len = out.len().saturating_sub(start);
    let padding = usize::try_from(spec.width).map_or(0, |width| width.saturating_sub(len)).min(MAX_WIDTH as usize);
    if padding > 0 {
        out.resize(out.len() + padding, b' ');
        if !spec.flags.left {
            out[start..].rotate_right(padding);
        }
    }
}

/// Appends one character as `%c` does.
pub(super) fn write_char(out: &mut Vec<u8>, character: u8, spec: Spec) {
    let start = out.len();
    out.push(character);
    fit_text(out, start, Spec { precision: -1, ..spec });
}
