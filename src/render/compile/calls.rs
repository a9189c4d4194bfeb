//! The helper functions that print formats call.

use super::{
    super::{
        text::{HexDump, SymbolTable, Text},
        value::{Arithmetic, Bytes, Int, Num, Span},
    },
    Compiled, Compiler, Pointed, Value,
    operators::{arithmetic, convert},
};
use crate::format::{LongSize, print_fmt::Expr};

const NSEC_PER_SEC: u64 = 1_000_000_000;
/// include/linux/trace_events.h
const FLAG_HARDIRQ: u64 = 0x08;
const FLAG_SOFTIRQ: u64 = 0x10;

impl<'a> Compiler<'a> {
    /// A call of a function or macro that print formats have. Long: a row for each.
    pub(super) fn call(&mut self, name: &str, args: &'a [Expr]) -> Compiled<Value> {
        let missing = || format!("{name}()");
        let arg = |n: usize| args.get(n).ok_or_else(missing);
        Ok(match name {
            "__get_str" | "__get_rel_str" => {
                let signed = true;
                let pointed = Pointed { size: 1, int: Some(Int { bits: 8, signed }) };
                Value::Bytes(Bytes::Located(self.location(arg(0)?)?), pointed)
            }
            "__get_dynamic_array" | "__get_rel_dynamic_array" | "__get_sockaddr" | "__get_rel_sockaddr" => {
                Value::Bytes(Bytes::Located(self.location(arg(0)?)?), Pointed::BYTE)
            }
            "__get_dynamic_array_len" | "__get_rel_dynamic_array_len" => {
                Value::Number(Num::Len(self.location(arg(0)?)?), Int::U32)
            }
            "__get_bitmask" | "__get_cpumask" | "__get_rel_bitmask" | "__get_rel_cpumask" => {
                Value::Text(Text::Bitmap(self.location(arg(0)?)?))
            }
            "__print_symbolic" | "__print_symbolic_u64" => {
                let int = self.table_type(name);
                let (num, from) = self.number(arg(0)?)?;
                let rows = self.table(args.get(1..).unwrap_or_default(), int);
                Value::Text(Text::Symbolic(convert(int, num, from), SymbolTable::new(rows)))
            }
            "__print_flags" | "__print_flags_u64" => {
                let int = self.table_type(name);
                let (num, from) = self.number(arg(0)?)?;
                let delimiter = match arg(1)? {
                    Expr::Str(text) => Some(self.intern(text)),
                    _ => None,
                };
                let table = self.table(args.get(2..).unwrap_or_default(), int).into();
                Value::Text(Text::Flags { value: convert(int, num, from), delimiter, table })
            }
            "__print_hex" | "__print_hex_str" => {
                let (bytes, _) = self.bytes(arg(0)?)?;
                let (len, from) = self.number(arg(1)?)?;
                let len = convert(Int::I32, len, from);
                Value::Text(Text::Hex { bytes, len, spaced: name == "__print_hex" })
            }
            "__print_array" => {
                let (bytes, _) = self.bytes(arg(0)?)?;
                let (count, from) = self.number(arg(1)?)?;
                let (size, _) = self.number(arg(2)?)?;
                Value::Text(Text::Array { bytes, count: convert(Int::I32, count, from), size })
            }
            "__print_dynamic_array" => {
                let location = self.location(arg(0)?)?;
                let (size, _) = self.number(arg(1)?)?;
                let count = arithmetic(Arithmetic::Divide, Int::U32, Num::Len(location), size.clone());
                Value::Text(Text::Array { bytes: Bytes::Located(location), count, size })
            }
            "__print_hex_dump" => {
                let (bytes, _) = self.bytes(arg(4)?)?;
                Value::Text(Text::HexDump(Box::new(HexDump {
                    prefix: self.dump_prefix_text(arg(0)?)?,
                    prefix_type: self.dump_prefix(arg(1)?)?,
                    row: self.number(arg(2)?)?.0,
                    group: self.number(arg(3)?)?.0,
                    bytes,
                    len: self.number(arg(5)?)?.0,
                    ascii: self.number(arg(6)?)?.0,
                })))
            }
            "__print_ns_to_secs" => {
                let (num, from) = self.number(arg(0)?)?;
                let num =
                    arithmetic(Arithmetic::Divide, Int::U64, convert(Int::U64, num, from), Num::Const(NSEC_PER_SEC));
                Value::Number(num, Int::U64)
            }
            "__print_ns_without_secs" => {
                let (num, from) = self.number(arg(0)?)?;
                let num =
                    arithmetic(Arithmetic::Remainder, Int::U64, convert(Int::U64, num, from), Num::Const(NSEC_PER_SEC));
                Value::Number(num, Int::U32)
            }
            "__event_in_hardirq" => self.common_flags(FLAG_HARDIRQ)?,
            "__event_in_softirq" => self.common_flags(FLAG_SOFTIRQ)?,
            "__event_in_irq" => self.common_flags(FLAG_HARDIRQ | FLAG_SOFTIRQ)?,
            "__builtin_expect" | "likely" | "unlikely" => {
                let (num, from) = self.number(arg(0)?)?;
                let long = self.long_int(true);
                Value::Number(convert(long, num, from), long)
            }
            "__builtin_constant_p" => {
                let constant = self.number(arg(0)?).is_ok_and(|(num, _)| num.constant().is_some());
                Value::Number(Num::Const(u64::from(constant)), Int::I32)
            }
            "__builtin_choose_expr" => {
                let (condition, _) = self.number(arg(0)?)?;
                let condition = condition.constant().ok_or_else(missing)?;
                self.value(arg(if condition != 0 { 1 } else { 2 })?)?
            }
            "__fswab16" | "__builtin_bswap16" | "__swab16" => self.swap(arg(0)?, 2)?,
            "__fswab32" | "__builtin_bswap32" | "__swab32" => self.swap(arg(0)?, 4)?,
            "__fswab64" | "__builtin_bswap64" | "__swab64" => self.swap(arg(0)?, 8)?,
            "jiffies_to_msecs" => self.jiffies(arg(0)?, 1000).ok_or_else(missing)??,
            "jiffies_to_usecs" => self.jiffies(arg(0)?, 1_000_000).ok_or_else(missing)??,
            _ => return self.kernel_function(name, args),
        })
    }

    /// Converts jiffies to a unit of which a second has `units` (`jiffies_to_msecs` and the like,
    /// kernel/time/time.c). None if HZ is not known.
    pub(super) fn jiffies(&mut self, operand: &'a Expr, units: i64) -> Option<Compiled<Value>> {
        let hz = self.constants.value("HZ").filter(|hz| *hz > 0)?;
        let common = greatest_common_divisor(units, hz);
        let (times, by) = (Num::Const((units / common) as u64), hz / common);
        // A 32-bit kernel uses tables instead of a plain multiplication.
        if by != 1 && self.long == LongSize::Four {
            return None;
        }
        Some(self.number(operand).map(|(num, from)| {
            let long = self.long_int(false);
            let mut num = arithmetic(Arithmetic::Multiply, long, convert(long, num, from), times);
            if by != 1 {
                // Milliseconds are rounded up, microseconds down.
                let round = if units == 1000 { by - 1 } else { 0 };
                num = arithmetic(Arithmetic::Add, long, num, Num::Const(round as u64));
                num = arithmetic(Arithmetic::Divide, long, num, Num::Const(by as u64));
            }
            Value::Number(convert(Int::U32, num, long), Int::U32)
        }))
    }

    pub(super) fn swap(&mut self, operand: &'a Expr, bytes: u8) -> Compiled<Value> {
        let (num, from) = self.number(operand)?;
        let int = Int { bits: bytes * 8, signed: false };
        Ok(Value::Number(Num::Swap { bytes, of: Box::new(convert(int, num, from)) }, int))
    }

    pub(super) fn common_flags(&self, mask: u64) -> Compiled<Value> {
        let field = self.format.common.iter().find(|f| f.name == "common_flags").ok_or("common_flags")?;
        let load = Num::Load { offset: field.offset, size: 1, int: Int::U8 };
        Ok(Value::Number(arithmetic(Arithmetic::BitAnd, Int::I32, load, Num::Const(mask)), Int::I32))
    }

    /// The prefix of each line of a dump: a literal. Anything longer would be written once for every 16 bytes.
    pub(super) fn dump_prefix_text(&mut self, expr: &'a Expr) -> Compiled<Span> {
        match self.text(expr)? {
            Text::Literal(span) => Ok(span),
            _ => Err("__print_hex_dump()".into()),
        }
    }

    /// `DUMP_PREFIX_NONE` and the like are enum constants with the values 0, 1, 2 on all kernels
    /// (include/linux/printk.h).
    pub(super) fn dump_prefix(&mut self, expr: &'a Expr) -> Compiled<Num> {
        Ok(match expr {
            Expr::Name(name) if name == "DUMP_PREFIX_NONE" => Num::Const(0),
            Expr::Name(name) if name == "DUMP_PREFIX_ADDRESS" => Num::Const(1),
            Expr::Name(name) if name == "DUMP_PREFIX_OFFSET" => Num::Const(2),
            other => self.number(other)?.0,
        })
    }

    /// The table of a `__print_flags`, with the names in the pool.
    pub(in crate::render) fn flag_table(&mut self, rows: &'a [Expr]) -> Vec<(u64, Span)> {
        let int = self.long_int(false);
        self.table(rows, int)
    }

    /// `%pGg`, `%pGv`, `%pGp`: the names of the flags that `expr` points to (`flags_string`, lib/vsprintf.c); none if
    /// the table is not known.
    pub(in crate::render) fn kernel_flags(&mut self, letter: u8, expr: &'a Expr) -> Compiled<Text> {
        let names = self.constants.flags_of(letter);
        if names.is_empty() {
            return Err(format!("%pG{}", char::from(letter)));
        }
        let int = if letter == b'g' { Int::U32 } else { self.long_int(false) };
        let (value, from) = self.pointed_to(expr, int)?;
        let value = convert(int, value, from);
        let table: Box<[_]> = names.iter().map(|(mask, name)| (*mask, self.intern(name.as_bytes()))).collect();
        let bar = self.intern(b"|");
        let flags = |value| Text::Flags { value, delimiter: Some(bar), table };
        if letter != b'p' {
            return Ok(flags(value));
        }
        // The widths of the fields above the flags (section, node, zone …) depend on the kernel's configuration,
        // which is not known.
        let count = self.constants.enumerators("pageflags").into_iter().find(|(name, _)| *name == "__NR_PAGEFLAGS");
        let highest = names.iter().map(|(mask, _)| *mask).max().unwrap_or(0).checked_ilog2().map_or(0, |bit| bit + 1);
        let count = count.and_then(|(_, count)| u32::try_from(count).ok()).unwrap_or(highest).min(63);
        let main = arithmetic(Arithmetic::BitAnd, int, value.clone(), Num::Const((1 << count) - 1));
        let release = self.constants.release();
        if release < (5, 13) {
            return Ok(flags(main));
        }
        let mut literal = |text: &[u8]| Text::Literal(self.intern(text));
        let (open, close, fields) = (literal(b"("), literal(b")"), literal(b"{fields?}"));
        let more = Text::Choose(Box::new((main.clone(), Text::Literal(bar), literal(b""))));
        let mut parts = vec![flags(main), more, fields];
        // "vsprintf: Make %pGp print the hex value", 5.16.
        if release >= (5, 16) {
            parts.splice(..0, [Text::Number(value), open]);
            parts.push(close);
        }
        Ok(Text::Several(parts.into()))
    }

    pub(super) fn table_type(&self, helper: &str) -> Int {
        if helper.ends_with("_u64") { Int::U64 } else { self.long_int(false) }
    }

    /// The rows `{ value, "name" }` of a table. A row whose value is not known is left out; one without a name ends
    /// the table, as in the kernel. A nested table, `{ { 0, "a" }, { 1, "b" } }`, is accepted as well.
    pub(super) fn table(&mut self, rows: &'a [Expr], int: Int) -> Vec<(u64, Span)> {
        let rows = match rows {
            [Expr::Braces(inner)] if matches!(inner.first(), Some(Expr::Braces(_))) => inner,
            rows => rows,
        };
        let mut table = Vec::with_capacity(rows.len());
        for row in rows {
            let Expr::Braces(row) = row else { continue };
            let [key, name] = &row[..] else { continue };
            let name = match name {
                Expr::Str(text) => self.intern(text),
                _ => match self.value(name) {
                    Ok(Value::Text(Text::Literal(span))) => span,
                    // A null pointer.
                    Ok(_) => break,
                    Err(_) => continue,
                },
            };
            if let Ok((Num::Const(value), from)) = self.number(key) {
                table.push((int.wrap(from.wrap(value)), name));
            }
        }
        table
    }
}

pub(super) fn greatest_common_divisor(a: i64, b: i64) -> i64 {
    if b == 0 { a } else { greatest_common_divisor(b, a % b) }
}
