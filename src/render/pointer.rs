//! `%p` and the letters behind it (`pointer` in lib/vsprintf.c).

use super::{
    date::{DateStyle, Moment},
    escape::Escapes,
    printf::{Radix, Spec, fit_text, write_decimal, write_hex, write_hex_padded, write_number},
    symbol,
    value::{Bytes, Context, Fault},
};
use crate::names::Symbols;

/// What the argument points to, according to the letters after `%p`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pointee {
    /// Nothing: the pointer itself is printed. The kernel hashes it for `%p` by default; here it is printed as it is.
    Itself,
    /// `%pS`, `%ps`, `%pB`, and the old `%pF`, `%pf`: a symbol.
    Symbol { offset: bool, backtrace: bool },
    /// `%pI4`, `%pi4`
    Ip4 { padded: bool, reversed: HostOrder },
    /// `%pI6`, `%pi6`, `%pI6c`
    Ip6(Ip6),
    /// `%pIS…`, `%piS…`
    SockAddr(SockAddr),
    /// `%pM`, `%pm`, `%pMF`, `%pMR`
    Mac { separator: Option<u8>, reversed: bool },
    /// `%pUb`, `%pUl` and their capitals.
    Uuid { upper: bool, little: bool },
    /// `%pa`, `%pad`, `%pap`: an address stored as an integer.
    Address,
    /// `%ph`, `%phC`, `%phD`, `%phN`
    HexString(Option<u8>),
    /// `%pb`, `%pbl`
    Bitmap(BitmapStyle),
    /// `%pe`: the name of an error number stored in a pointer.
    Error,
    /// `%pNF`: network device features, a u64.
    Features,
    /// `%p4cc`: a pixel format's four characters.
    FourCc,
    /// `%pE…`: bytes, escaped.
    Escaped(Escapes),
    /// `%ptR…`: a `struct rtc_time`.
    RtcTime(DateStyle),
    /// `%ptT…`: seconds since 1970.
    Seconds(DateStyle),
}

/// The byte order in which an IPv4 address is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum HostOrder {
    /// Network order (also `b`, `n`).
    Network,
    /// `h`: the kernel's.
    Host,
    /// `l`: little-endian.
    Little,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ip6 {
    /// `%pI6`: eight groups of four digits.
    Full,
    /// `%pi6`: 32 digits.
    Bare,
    /// `%pI6c`: as in RFC 5952.
    Compressed,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SockAddr {
    padded: bool,
    compressed: bool,
    port: bool,
    flow: bool,
    scope: bool,
    order: HostOrder,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BitmapStyle {
    /// `%*pb`: hexadecimal words of 32 bits.
    Words,
    /// `%*pbl`: ranges.
    List,
}

impl Pointee {
    /// Parses the letters. `None` for a pointer that only the kernel can follow (`%pd`, `%pV`, `%pG` …).
    pub(super) fn of(letters: &str) -> Option<Pointee> {
        let mut chars = letters.chars();
        let first = chars.next();
        let rest = chars.as_str();
        let second = chars.next();
        Some(match first {
            None | Some('x' | 'K') => Pointee::Itself,
            Some('S' | 'F') => Pointee::Symbol { offset: true, backtrace: false },
            Some('s') => Pointee::Symbol { offset: false, backtrace: false },
            Some('f') if second == Some('w') => return None,
            Some('f') => Pointee::Symbol { offset: false, backtrace: false },
            Some('B') => Pointee::Symbol { offset: true, backtrace: true },
            Some(case @ ('I' | 'i')) => match second {
                Some('4') => Pointee::Ip4 { padded: case == 'i', reversed: HostOrder::of(rest) },
                Some('6') if case == 'i' => Pointee::Ip6(Ip6::Bare),
                Some('6') if rest[1..].starts_with('c') => Pointee::Ip6(Ip6::Compressed),
                Some('6') => Pointee::Ip6(Ip6::Full),
                Some('S') => Pointee::SockAddr(SockAddr {
                    padded: case == 'i',
                    compressed: case == 'I' && rest.contains('c'),
                    port: rest.contains('p'),
                    flow: rest.contains('f'),
                    scope: rest.contains('s'),
                    order: HostOrder::of(rest),
                }),
                _ => Pointee::Itself,
            },
            Some('M') => Pointee::Mac {
                separator: Some(if second == Some('F') { b'-' } else { b':' }),
                reversed: second == Some('R'),
            },
            Some('m') => Pointee::Mac { separator: None, reversed: second == Some('R') },
            Some('U') => {
                Pointee::Uuid { upper: matches!(second, Some('B' | 'L')), little: matches!(second, Some('l' | 'L')) }
            }
            Some('a') => Pointee::Address,
            Some('h') => Pointee::HexString(match second {
                Some('C') => Some(b':'),
                Some('D') => Some(b'-'),
                Some('N') => None,
                _ => Some(b' '),
            }),
            Some('b') => Pointee::Bitmap(if second == Some('l') { BitmapStyle::List } else { BitmapStyle::Words }),
            Some('e') => Pointee::Error,
            Some('N') if second == Some('F') => Pointee::Features,
            Some('4') if rest.starts_with("cc") => Pointee::FourCc,
            Some('E') => Pointee::Escaped(Escapes::of(rest)),
            Some('t') if second == Some('R') => Pointee::RtcTime(DateStyle::of(&rest[1..])),
            Some('t') if second == Some('T') => Pointee::Seconds(DateStyle::of(&rest[1..])),
            Some('R' | 'r' | 'V' | 'N' | 'd' | 'D' | 'C' | 'g' | 't' | 'G' | 'O' | 'u' | 'k' | 'A') => {
                return None;
            }
            // Unknown letters are ignored.
            Some(_) => Pointee::Itself,
        })
    }

    /// Whether the pointer's own value is printed or looked up, rather than the data it points to.
    pub(super) fn is_value(self) -> bool {
        matches!(self, Pointee::Itself | Pointee::Symbol { .. } | Pointee::Error)
    }
}

impl HostOrder {
    fn of(letters: &str) -> HostOrder {
        match letters.chars().skip(1).find(|c| matches!(c, 'h' | 'n' | 'l' | 'b')) {
            Some('h') => HostOrder::Host,
            Some('l') => HostOrder::Little,
            _ => HostOrder::Network,
        }
    }
}

/// Appends a pointer's own value, or its symbol.
pub(super) fn write_address(
    out: &mut Vec<u8>,
    pointee: Pointee,
    address: u64,
    spec: Spec,
    long: u8,
    symbols: &(impl Symbols + ?Sized),
) {
    let start = out.len();
    match pointee {
        Pointee::Symbol { backtrace: true, .. } => symbol::write_backtrace(out, address, symbols),
        Pointee::Symbol { offset: true, .. } => symbol::write_with_offset(out, address, symbols),
        Pointee::Symbol { .. } => symbol::write_name(out, address, symbols),
        Pointee::Error if is_error(address, long) => {
            let number = if long == 4 { i64::from(address as u32 as i32) } else { address as i64 };
            match super::errno::name(number.unsigned_abs()) {
                Some(name) => {
                    out.push(b'-');
                    out.extend_from_slice(name.as_bytes());
                }
                None => return write_number(out, number as u64, Radix::Signed, spec),
            }
        }
        _ => return write_pointer(out, address, spec, long),
    }
    fit_text(out, start, spec);
}

/// `IS_ERR`: the last 4095 addresses are error numbers.
fn is_error(value: u64, long: u8) -> bool {
    let last = if long == 4 { u64::from(u32::MAX) } else { u64::MAX };
    value > last - 4095
}

/// `pointer_string`: all digits of the pointer unless a width is given.
fn write_pointer(out: &mut Vec<u8>, value: u64, mut spec: Spec, long: u8) {
    if spec.width < 0 {
        if spec.precision <= 0 && !spec.flags.special {
            return write_hex_padded(out, value, 2 * usize::from(long));
        }
        spec.width = 2 * i64::from(long);
        spec.flags.zero = true;
    }
    write_number(out, value, Radix::LowerHex, spec);
}

/// Appends the data in the bytes, as `pointer` of lib/vsprintf.c.
pub(super) fn write_pointee(
    out: &mut Vec<u8>,
    pointee: Pointee,
    bytes: &Bytes,
    mut spec: Spec,
    context: &Context,
) -> Result<(), Fault> {
    let view = bytes.view(context)?;
    let start = out.len();
    match pointee {
        Pointee::Ip4 { padded, reversed } => write_ip4(out, chunk(view.rest)?, padded, reversed, context),
        Pointee::Ip6(form) => write_ip6(out, chunk(view.rest)?, form),
        Pointee::SockAddr(form) => write_sockaddr(out, view.rest, form, context)?,
        Pointee::Mac { separator, reversed } => write_mac(out, chunk(view.rest)?, separator, reversed),
        Pointee::Uuid { upper, little } => write_uuid(out, chunk(view.rest)?, upper, little),
        Pointee::Address | Pointee::Features => {
            let size = match (pointee, view.own().len()) {
                (Pointee::Address, 4) => 4,
                (Pointee::Address, 8) | (Pointee::Features, _) => 8,
                _ => context.long,
            };
            out.extend_from_slice(b"0x");
            write_hex_padded(out, context.load(view.rest, size)?, 2 * usize::from(size));
            return Ok(());
        }
        Pointee::HexString(separator) => {
            write_hex_string(out, view.rest, separator, spec.width);
            return Ok(());
        }
        Pointee::Escaped(escapes) => {
            // The width is the number of bytes; without one it is 1.
            let len = usize::try_from(spec.width).unwrap_or(1);
            escapes.write(out, view.rest.get(..len).unwrap_or(view.rest));
            return Ok(());
        }
        Pointee::RtcTime(style) => {
            style.write(out, rtc_time(view.rest, context)?);
            return Ok(());
        }
        Pointee::Seconds(style) => {
            style.write(out, Moment::of_seconds(context.load(view.rest, 8)? as i64));
            return Ok(());
        }
        Pointee::Bitmap(style) => {
            let bits = usize::try_from(spec.width).unwrap_or(0);
            write_bitmap(out, view.rest, bits, style, context);
            return Ok(());
        }
        Pointee::FourCc => write_fourcc(out, context.load(view.rest, 4)? as u32),
        Pointee::Itself | Pointee::Symbol { .. } | Pointee::Error => {}
    }
    spec.precision = -1;
    fit_text(out, start, spec);
    Ok(())
}

/// `hex_string` of lib/vsprintf.c. The width is the number of bytes, at most 64.
fn write_hex_string(out: &mut Vec<u8>, bytes: &[u8], separator: Option<u8>, width: i64) {
    let len = if width == 0 { 0 } else { width.clamp(1, 64) as usize };
    for (i, byte) in bytes.iter().take(len).enumerate() {
        out.extend(separator.filter(|_| i > 0));
        write_hex_padded(out, u64::from(*byte), 2);
    }
}

/// A `struct rtc_time`, which begins with six ints.
fn rtc_time(bytes: &[u8], context: &Context) -> Result<Moment, Fault> {
    let number = |index: usize| {
        let bytes = bytes.get(4 * index..).ok_or(Fault::SHORT)?;
        context.load(bytes, 4).map(|value| value as u32 as i32)
    };
    let [second, minute, hour, day, month, year] =
        [number(0)?, number(1)?, number(2)?, number(3)?, number(4)?, number(5)?];
    Ok(Moment { second, minute, hour, day, month, year })
}

/// `fourcc_string` of lib/vsprintf.c.
fn write_fourcc(out: &mut Vec<u8>, value: u32) {
    let shown = |c: u8| if c.is_ascii_graphic() || c == b' ' { c } else { b'.' };
    out.extend((value & 0x7fff_ffff).to_le_bytes().map(shown));
    out.extend_from_slice(if value >> 31 == 1 { b" big-endian (0x" } else { b" little-endian (0x" });
    write_hex_padded(out, u64::from(value), 8);
    out.push(b')');
}

fn chunk<const N: usize>(bytes: &[u8]) -> Result<[u8; N], Fault> {
    bytes.first_chunk().copied().ok_or(Fault::SHORT)
}

/// `ip4_string`
fn write_ip4(out: &mut Vec<u8>, mut address: [u8; 4], padded: bool, order: HostOrder, context: &Context) {
    if order == HostOrder::Little || order == HostOrder::Host && !context.big {
        address.reverse();
    }
    for (i, byte) in address.into_iter().enumerate() {
        if i > 0 {
            out.push(b'.');
        }
        if padded {
            out.resize(out.len() + usize::from(byte < 100) + usize::from(byte < 10), b'0');
        }
        write_decimal(out, u64::from(byte));
    }
}

fn write_ip6(out: &mut Vec<u8>, address: [u8; 16], form: Ip6) {
    if form == Ip6::Compressed {
        return write_ip6_compressed(out, address);
    }
    for (i, pair) in address.chunks(2).enumerate() {
        if i > 0 && form == Ip6::Full {
            out.push(b':');
        }
        pair.iter().for_each(|byte| write_hex_padded(out, u64::from(*byte), 2));
    }
}

/// `ip6_compressed_string`: the longest run of zero groups becomes `::`, and an embedded IPv4 address is printed in
/// dotted form.
fn write_ip6_compressed(out: &mut Vec<u8>, address: [u8; 16]) {
    let group = |i: usize| u16::from_be_bytes([address[2 * i], address[2 * i + 1]]);
    let mapped = (0..5).all(|i| group(i) == 0) && group(5) == 0xffff;
    // ISATAP: ::0:5efe:a.b.c.d or ::200:5efe:a.b.c.d as the interface identifier.
    let isatap = (group(4) | 0x0200) == 0x0200 && group(5) == 0x5efe;
    let as_ip4 = mapped || isatap;
    let range = if as_ip4 { 6 } else { 8 };
    let (mut best, mut best_at) = (1, usize::MAX);
    for start in 0..range {
        let run = (start..range).take_while(|&i| group(i) == 0).count();
        if run > best {
            (best, best_at) = (run, start);
        }
    }
    let mut needs_colon = false;
    let mut i = 0;
    while i < range {
        if i == best_at {
            if needs_colon || i == 0 {
                out.push(b':');
            }
            out.push(b':');
            needs_colon = false;
            i += best;
            continue;
        }
        if needs_colon {
            out.push(b':');
        }
        write_hex(out, u64::from(group(i)));
        needs_colon = true;
        i += 1;
    }
    if as_ip4 {
        if needs_colon {
            out.push(b':');
        }
        for (i, byte) in address[12..].iter().enumerate() {
            if i > 0 {
                out.push(b'.');
            }
            write_decimal(out, u64::from(*byte));
        }
    }
}

/// `ip_addr_string` for `S`: `sockaddr_in` and `sockaddr_in6`, distinguished by family.
fn write_sockaddr(out: &mut Vec<u8>, bytes: &[u8], form: SockAddr, context: &Context) -> Result<(), Fault> {
    let port = |out: &mut Vec<u8>| {
        out.push(b':');
        chunk(&bytes[2..]).map(|port| write_decimal(out, u64::from(u16::from_be_bytes(port))))
    };
    let part = |offset: usize| chunk::<4>(bytes.get(offset..).unwrap_or_default());
    match context.load(bytes, 2)? {
        // AF_INET
        2 => {
            write_ip4(out, part(4)?, form.padded, form.order, context);
            if form.port {
                port(out)?;
            }
        }
        // AF_INET6
        10 => {
            let style = match (form.padded, form.compressed) {
                (true, _) => Ip6::Bare,
                (_, true) => Ip6::Compressed,
                _ => Ip6::Full,
            };
            let bracketed = form.port || form.flow || form.scope;
            if bracketed {
                out.push(b'[');
            }
            write_ip6(out, chunk(bytes.get(8..).unwrap_or_default())?, style);
            if bracketed {
                out.push(b']');
            }
            if form.port {
                port(out)?;
            }
            if form.flow {
                out.push(b'/');
                write_decimal(out, u64::from(u32::from_be_bytes(part(4)?) & 0x0fff_ffff));
            }
            if form.scope {
                out.push(b'%');
                write_decimal(out, context.load(&part(24)?, 4)?);
            }
        }
        _ => out.extend_from_slice(b"(einval)"),
    }
    Ok(())
}

/// `mac_address_string`
fn write_mac(out: &mut Vec<u8>, mut address: [u8; 6], separator: Option<u8>, reversed: bool) {
    if reversed {
        address.reverse();
    }
    for (i, byte) in address.into_iter().enumerate() {
        out.extend(separator.filter(|_| i > 0));
        write_hex_padded(out, u64::from(byte), 2);
    }
}

/// `uuid_string`: in a little-endian UUID the first three groups are numbers.
fn write_uuid(out: &mut Vec<u8>, mut uuid: [u8; 16], upper: bool, little: bool) {
    if little {
        uuid[0..4].reverse();
        uuid[4..6].reverse();
        uuid[6..8].reverse();
    }
    let start = out.len();
    for (i, byte) in uuid.into_iter().enumerate() {
        if matches!(i, 4 | 6 | 8 | 10) {
            out.push(b'-');
        }
        write_hex_padded(out, u64::from(byte), 2);
    }
    if upper {
        out[start..].make_ascii_uppercase();
    }
}

/// Appends the first `bits` bits of a bitmap of kernel longs, as far as `bytes` go.
pub(super) fn write_bitmap(out: &mut Vec<u8>, bytes: &[u8], bits: usize, style: BitmapStyle, context: &Context) {
    let long = usize::from(context.long);
    let bits = bits.min(bytes.len() / long * long * 8);
    let bit = |i: usize| {
        let byte = i / 8 % long;
        let byte = i / 8 / long * long + if context.big { long - 1 - byte } else { byte };
        bytes.get(byte).is_some_and(|b| b >> (i % 8) & 1 == 1)
    };
    match style {
        BitmapStyle::Words => {
            // The first word has the odd bits.
            let words = bits.div_ceil(32);
            for word in (0..words).rev() {
                let count = if word == words - 1 && !bits.is_multiple_of(32) { bits % 32 } else { 32 };
                let value = (0..count).fold(0u64, |value, i| value | u64::from(bit(word * 32 + i)) << i);
                write_hex_padded(out, value, count.div_ceil(4));
                if word > 0 {
                    out.push(b',');
                }
            }
        }
        BitmapStyle::List => {
            let start = out.len();
            let mut i = 0;
            while i < bits {
                if !bit(i) {
                    i += 1;
                    continue;
                }
                let last = (i..bits).take_while(|&i| bit(i)).last().unwrap_or(i);
                if out.len() > start {
                    out.push(b',');
                }
                write_decimal(out, i as u64);
                if last > i {
                    out.push(b'-');
                    write_decimal(out, last as u64);
                }
                i = last + 1;
            }
        }
    }
}
