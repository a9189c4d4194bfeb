//! C types: their sizes, signedness and conversions.

use super::{
    super::value::{Comparison, Int, Num},
    Compiled, Compiler, Pointed, Value,
    operators::{compare, convert},
};
use crate::format::{
    LongSize, integer_type,
    print_fmt::{Expr, Literal, TypeName},
};

impl<'a> Compiler<'a> {
    /// The size of what a pointer type points to: `char *` → 1.
    pub(super) fn pointee_size(&self, type_name: &str) -> Option<u32> {
        let stars = type_name.chars().filter(|c| *c == '*').count();
        let words: Vec<&str> = type_name.split([' ', '*']).filter(|w| !w.is_empty()).collect();
        match (stars, &words[..]) {
            (2.., _) => Some(self.long.bytes()),
            (_, ["void"]) => Some(1),
            _ => self.int_type(&words).map(|int| u32::from(int.bits) / 8),
        }
    }

    pub(super) fn int_type(&self, words: &[&str]) -> Option<Int> {
        if let Some((bits, signed)) = integer_type(words, self.long) {
            return Some(Int { bits, signed });
        }
        Some(match words {
            ["bool" | "_Bool"] => Int::U8,
            ["enum", _] => Int::U32,
            [
                "gfp_t" | "fmode_t" | "dev_t" | "OM_uint32" | "blk_opf_t" | "xa_mark_t" | "slab_flags_t" | "vm_fault_t"
                | "__poll_t",
            ] => Int::U32,
            ["ushort" | "u_short"] => Int { bits: 16, signed: false },
            ["uchar"] => Int::U8,
            ["__kernel_rwf_t"] => Int::I32,
            ["ktime_t" | "time64_t"] => Int::I64,
            ["sector_t" | "blkcnt_t" | "phys_addr_t" | "dma_addr_t" | "gpa_t" | "gfn_t" | "hpa_t"] => Int::U64,
            ["pgoff_t" | "ino_t" | "uintptr_t" | "vm_flags_t"] => self.long_int(false),
            ["intptr_t" | "ptrdiff_t"] => self.long_int(true),
            _ => return None,
        })
    }

    pub(super) fn words(type_name: &TypeName) -> Vec<&str> {
        type_name.words.iter().map(String::as_str).collect()
    }

    pub(super) fn size_of(&self, type_name: &TypeName) -> Option<u32> {
        match type_name.stars {
            // A structure of zero-width bit-fields (see the parser).
            0 if type_name.words == ["struct", "{}"] => Some(0),
            0 => self.int_type(&Self::words(type_name)).map(|int| u32::from(int.bits) / 8),
            _ => Some(self.long.bytes()),
        }
    }

    pub(super) fn sizeof_value(&mut self, operand: &'a Expr) -> Compiled<Value> {
        let size = match operand {
            Expr::Field(name) => self.format.field(name).map(|f| f.size).filter(|size| *size > 0),
            Expr::Str(text) => u32::try_from(text.len() + 1).ok(),
            _ => match self.value(operand)? {
                Value::Number(_, int) => Some(u32::from(int.bits) / 8),
                Value::Address { .. } => Some(self.long.bytes()),
                Value::Bytes(..) | Value::Text(_) => None,
            },
        };
        let size = size.ok_or("sizeof")?;
        Ok(Value::Number(Num::Const(u64::from(size)), self.long_int(false)))
    }

    pub(super) fn cast(&mut self, type_name: &'a TypeName, operand: &'a Expr) -> Compiled<Value> {
        let value = self.value(operand)?;
        if let Some(of) = &type_name.of {
            // `(typeof(x)) y`
            return match (self.value(of)?, value) {
                (Value::Number(_, int), Value::Number(num, from)) => Ok(Value::Number(convert(int, num, from), int)),
                (_, value) => Ok(value),
            };
        }
        self.convert_to(type_name, value)
    }

    pub(super) fn convert_to(&self, type_name: &TypeName, value: Value) -> Compiled<Value> {
        let words = Self::words(type_name);
        if type_name.stars > 0 {
            let size = match (type_name.stars, &words[..]) {
                (1, ["void"]) => Some(1),
                (1, _) => self.int_type(&words).map(|int| u32::from(int.bits) / 8),
                _ => Some(self.long.bytes()),
            };
            return Ok(match value {
                Value::Number(num, from) => Value::Address { value: convert(self.long_int(false), num, from), size },
                Value::Address { value, .. } => Value::Address { value, size },
                Value::Bytes(bytes, _) => {
                    let int = if type_name.stars == 1 { self.int_type(&words) } else { Some(self.long_int(false)) };
                    Value::Bytes(bytes, Pointed { size: size.unwrap_or(1), int })
                }
                text => text,
            });
        }
        let int = self.int_type(&words).ok_or_else(|| format!("({})", show(type_name)))?;
        let (num, from) = self.as_number(value)?;
        if matches!(words[..], ["bool" | "_Bool"]) {
            return Ok(Value::Number(compare(Comparison::NotEqual, false, num, Num::Const(0)), Int::U8));
        }
        Ok(Value::Number(convert(int, num, from), int))
    }
}

/// The type of a literal (C11 6.4.4.1).
pub(super) fn literal_type(literal: &Literal, long: LongSize) -> Int {
    let long_bits = (long.bytes() * 8) as u8;
    let least = match literal.longs {
        0 => 32,
        1 => long_bits,
        _ => 64,
    };
    let fits_signed = |bits: u8| literal.value >> (bits - 1) == 0;
    let fits = |bits: u8| bits == 64 || literal.value >> bits == 0;
    let candidates = [(32u8, true), (32, false), (64, true), (64, false)];
    let found = candidates.into_iter().find(|(bits, signed)| {
        *bits >= least
            && if *signed {
                !literal.unsigned && fits_signed(*bits)
            } else {
                (literal.unsigned || !literal.decimal) && fits(*bits)
            }
    });
    let (bits, signed) = found.unwrap_or((64, false));
    Int { bits, signed }
}

pub(super) fn show(type_name: &TypeName) -> String {
    let mut name = type_name.words.join(" ");
    if type_name.stars > 0 {
        name.push(' ');
        name.push_str(&"*".repeat(type_name.stars));
    }
    name
}
