//! The helpers of print formats that make text: tables, hex dumps, arrays, bitmaps
//! (include/trace/stages/stage3_trace_output.h, kernel/trace/trace_output.c).

use super::{
    pointer::{self, BitmapStyle},
    printf::{write_hex, write_hex_padded},
    value::{Bytes, Context, Fault, Label, Location, Num, Span},
};
use crate::decode::until_nul;

/// A text longer than this is not extended. The kernel's own line buffer has 8 KiB (before 6.8 a page, of at most 64
/// KiB), so only a format or record that no kernel made reaches this.
pub(super) const LONGEST: usize = 128 << 10;

/// What `%s` prints.
#[derive(Debug, Clone)]
pub(super) enum Text {
    Literal(Span),
    /// Up to the NUL.
    Bytes(Bytes),
    /// A string in the kernel's memory, by its address.
    Kernel(Num),
    Symbolic(Num, SymbolTable),
    Flags {
        value: Num,
        delimiter: Option<Span>,
        table: Box<[(u64, Span)]>,
    },
    Hex {
        bytes: Bytes,
        len: Num,
        spaced: bool,
    },
    Array {
        bytes: Bytes,
        count: Num,
        size: Num,
    },
    HexDump(Box<HexDump>),
    Bitmap(Location),
    Choose(Box<(Num, Text, Text)>),
    /// Several, concatenated.
    Several(Box<[Text]>),
    /// `0x…`
    Number(Num),
    /// A null pointer.
    Null,
    /// Known to the kernel only.
    Unknown(Label),
}

/// The arguments of `__print_hex_dump`.
#[derive(Debug, Clone)]
pub(super) struct HexDump {
    pub(super) prefix: Span,
    /// `DUMP_PREFIX_NONE`, `_ADDRESS`, `_OFFSET`: 0, 1, 2.
    pub(super) prefix_type: Num,
    pub(super) row: Num,
    pub(super) group: Num,
    pub(super) bytes: Bytes,
    pub(super) len: Num,
    pub(super) ascii: Num,
}

/// The table of `__print_symbolic`.
#[derive(Debug, Clone)]
pub(super) enum SymbolTable {
    /// Sorted by value, each value once.
    Sorted(Box<[(u64, Span)]>),
    /// The names of `first`, `first + 1`, …
    Dense { first: u64, names: Box<[Span]> },
}

impl SymbolTable {
    /// The first row with a value wins.
    pub(super) fn new(mut rows: Vec<(u64, Span)>) -> SymbolTable {
        rows.sort_by_key(|(value, _)| *value);
        rows.dedup_by_key(|(value, _)| *value);
        let consecutive = rows.windows(2).all(|w| w[0].0.checked_add(1) == Some(w[1].0));
        match rows.first() {
            Some((first, _)) if consecutive => {
                SymbolTable::Dense { first: *first, names: rows.iter().map(|(_, name)| *name).collect() }
            }
            _ => SymbolTable::Sorted(rows.into()),
        }
    }

    pub(super) fn get(&self, value: u64) -> Option<Span> {
        match self {
            SymbolTable::Dense { first, names } => {
                names.get(usize::try_from(value.checked_sub(*first)?).ok()?).copied()
            }
            SymbolTable::Sorted(rows) => {
                let at = rows.binary_search_by_key(&value, |(value, _)| *value).ok()?;
                rows.get(at).map(|(_, name)| *name)
            }
        }
    }
}

impl Text {
    /// Appends the text. After a [`Fault`] a part of it may have been appended.
    pub(super) fn write(&self, out: &mut Vec<u8>, context: &Context) -> Result<(), Fault> {
        match self {
            Text::Literal(span) => out.extend_from_slice(until_nul(context.text(*span))),
            Text::Bytes(bytes) => out.extend_from_slice(until_nul(bytes.view(context)?.rest)),
            Text::Kernel(address) => kernel_string(out, address.eval(context)?, context),
            Text::Symbolic(value, table) => {
                let value = value.eval(context)?;
                // A row with an empty name prints nothing, and the kernel then treats it as missing (before 6.17).
                match table.get(value).map(|name| context.text(name)).filter(|name| !name.is_empty()) {
                    Some(name) => out.extend_from_slice(name),
                    None => write_0x(out, value),
                }
            }
            Text::Flags { value, delimiter, table } => {
                let delimiter = delimiter.map_or(&b""[..], |d| context.text(d));
                write_flags(out, value.eval(context)?, delimiter, table, context);
            }
            Text::Hex { bytes, len, spaced } => {
                let bytes = counted(bytes, len.eval(context)?, context)?;
                for (i, byte) in bytes.iter().enumerate() {
                    if *spaced && i > 0 {
                        out.push(b' ');
                    }
                    write_hex_padded(out, u64::from(*byte), 2);
                }
            }
            Text::Array { bytes, count, size } => write_array(out, bytes, count, size, context)?,
            Text::HexDump(dump) => dump.write(out, context)?,
            Text::Bitmap(location) => {
                let view = Bytes::Located(*location).view(context)?;
                let own = view.own();
                pointer::write_bitmap(out, own, own.len().saturating_mul(8), BitmapStyle::Words, context);
            }
            Text::Choose(choice) => {
                let (condition, yes, no) = &**choice;
                let chosen = if condition.eval(context)? != 0 { yes } else { no };
                chosen.write(out, context)?;
            }
            Text::Several(texts) => texts.iter().try_for_each(|text| text.write(out, context))?,
            Text::Number(value) => write_0x(out, value.eval(context)?),
            Text::Null => out.extend_from_slice(b"(null)"),
            Text::Unknown(label) => return Err(Fault::unknown(*label)),
        }
        Ok(())
    }
}

/// `0x%lx`
fn write_0x(out: &mut Vec<u8>, value: u64) {
    out.extend_from_slice(b"0x");
    write_hex(out, value);
}

/// A string in the kernel's memory, which printk_formats may list.
fn kernel_string(out: &mut Vec<u8>, address: u64, context: &Context) {
    match (address, context.symbols.string(address)) {
        (0, _) => out.extend_from_slice(b"(null)"),
        (_, Some(text)) => out.extend_from_slice(text),
        (_, None) => {
            out.extend_from_slice(b"{*");
            write_0x(out, address);
            out.extend_from_slice(b"?}");
        }
    }
}

/// `trace_print_flags_seq`: each name whose bits are all set consumes these bits; the remaining ones are printed in
/// hexadecimal.
fn write_flags(out: &mut Vec<u8>, mut flags: u64, delimiter: &[u8], table: &[(u64, Span)], context: &Context) {
    let (mut first, begin) = (true, out.len());
    let mut separate = |out: &mut Vec<u8>| {
        if !std::mem::take(&mut first) {
            out.extend_from_slice(delimiter);
        }
    };
    for (mask, name) in table {
        // A row of no bits always matches, and there can be any number of them.
        if flags == 0 || out.len() - begin > LONGEST {
            return;
        }
        if flags & mask == *mask {
            flags &= !mask;
            separate(out);
            out.extend_from_slice(context.text(*name));
        }
    }
    if flags != 0 {
        separate(out);
        write_0x(out, flags);
    }
}

/// The first `count` bytes of what `bytes` points to, up to the end of the record. A negative count, as it is an
/// `int`, means none.
fn counted<'a>(bytes: &Bytes, count: u64, context: &Context<'a>) -> Result<&'a [u8], Fault> {
    let rest = bytes.view(context)?.rest;
    let count = usize::try_from(count as i32).unwrap_or(0).min(rest.len());
    Ok(&rest[..count])
}

/// `trace_print_array_seq`
fn write_array(out: &mut Vec<u8>, bytes: &Bytes, count: &Num, size: &Num, context: &Context) -> Result<(), Fault> {
    let size = size.eval(context)?;
    let size = match size {
        1 | 2 | 4 | 8 => size as u8,
        _ => 1,
    };
    let len = (count.eval(context)? as i32).max(0) as u64 * u64::from(size);
    let rest = bytes.view(context)?.rest;
    let rest = &rest[..usize::try_from(len).unwrap_or(usize::MAX).min(rest.len())];
    out.push(b'{');
    for (i, element) in rest.chunks_exact(usize::from(size)).enumerate() {
        if i > 0 {
            out.push(b',');
        }
        write_0x(out, context.load(element, size)?);
    }
    out.push(b'}');
    Ok(())
}

impl HexDump {
    /// `trace_print_hex_dump_seq`, which begins with a line break; the lines are those of `hex_dump_to_buffer`
    /// (lib/hexdump.c).
    fn write(&self, out: &mut Vec<u8>, context: &Context) -> Result<(), Fault> {
        let bytes = counted(&self.bytes, self.len.eval(context)?, context)?;
        let row = if self.row.eval(context)? == 32 { 32 } else { 16 };
        let prefix_type = self.prefix_type.eval(context)?;
        let ascii = self.ascii.eval(context)? != 0;
        let group = match self.group.eval(context)? {
            group @ (1 | 2 | 4 | 8) => group as usize,
            _ => 1,
        };
        out.push(b'\n');
        let begin = out.len();
        for (i, line) in bytes.chunks(row).enumerate() {
            if out.len() - begin > LONGEST {
                break;
            }
            out.extend_from_slice(until_nul(context.text(self.prefix)));
            match prefix_type {
                // The address of a buffer in the kernel is not known here.
                1 => out.extend_from_slice(b"{address?}: "),
                2 => {
                    write_hex_padded(out, (i * row) as u64, 8);
                    out.extend_from_slice(b": ");
                }
                _ => {}
            }
            write_dump_row(out, line, row, group, ascii, |chunk| context.load(chunk, chunk.len() as u8).unwrap_or(0));
        }
        Ok(())
    }
}

/// Appends one line of a dump with its line break: `hex_dump_to_buffer` (lib/hexdump.c). A line has `row` bytes in
/// groups of `group`, each a number read by `load`.
pub(super) fn write_dump_row(
    out: &mut Vec<u8>,
    line: &[u8],
    row: usize,
    group: usize,
    ascii: bool,
    load: impl Fn(&[u8]) -> u64,
) {
    // Bytes are grouped only if groups fill the line.
    let group = if line.len().is_multiple_of(group) { group } else { 1 };
    let start = out.len();
    for (i, chunk) in line.chunks(group).enumerate() {
        if i > 0 {
            out.push(b' ');
        }
        write_hex_padded(out, load(chunk), group * 2);
    }
    if ascii {
        let column = row * 2 + row / group + 1;
        out.resize(start + column, b' ');
        out.extend(line.iter().map(|c| if c.is_ascii_graphic() || *c == b' ' { *c } else { b'.' }));
    }
    out.push(b'\n');
}
