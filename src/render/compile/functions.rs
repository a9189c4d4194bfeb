//! Kernel functions that depend on their arguments only: byte order, division, limits, error pointers.
//!
//! The kernel expands macros when it writes a print format, but not inline functions: `be32_to_cpup()`, `div_u64()`
//! and `ERR_PTR()` occur in real formats, `ntohs()` and `min()` in those of programs and of older kernels.

use super::{
    super::value::{Arithmetic, Comparison, Int, Num},
    Compiled, Compiler, Value,
    operators::{arithmetic, compare, convert},
};
use crate::format::{
    Endian,
    print_fmt::{Expr, TypeName},
};

/// MAX_ERRNO: the last addresses are error numbers.
const MAX_ERRNO: u64 = 4095;

/// The byte order of a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct ByteOrder {
    endian: Endian,
    bytes: u8,
    /// The argument is a pointer to the number.
    pointer: bool,
}

impl ByteOrder {
    /// The byte order that the function `name` converts from or to.
    fn of(name: &str) -> Option<ByteOrder> {
        let converts = |endian, bytes, pointer| Some(ByteOrder { endian, bytes, pointer });
        match name {
            "ntohs" | "htons" | "__ntohs" | "__htons" => return converts(Endian::Big, 2, false),
            "ntohl" | "htonl" | "__ntohl" | "__htonl" => return converts(Endian::Big, 4, false),
            _ => {}
        }
        if let Some(order) = name.strip_prefix("get_unaligned_") {
            let (endian, bytes) = ByteOrder::parse(order)?;
            return converts(endian, bytes, true);
        }
        let name = name.strip_prefix("__").unwrap_or(name);
        let order = name.strip_prefix("cpu_to_").or_else(|| name.strip_suffix("_to_cpu"));
        if let Some((endian, bytes)) = order.and_then(ByteOrder::parse) {
            return converts(endian, bytes, false);
        }
        let order = name.strip_suffix("_to_cpup").or_else(|| name.strip_prefix("cpu_to_")?.strip_suffix('p'));
        let (endian, bytes) = order.and_then(ByteOrder::parse)?;
        converts(endian, bytes, true)
    }

    /// `be32`
    fn parse(text: &str) -> Option<(Endian, u8)> {
        let (endian, bits) = match text.split_at_checked(2)? {
            ("be", bits) => (Endian::Big, bits),
            ("le", bits) => (Endian::Little, bits),
            _ => return None,
        };
        matches!(bits, "16" | "32" | "64").then(|| (endian, bits.parse::<u8>().unwrap_or(64) / 8))
    }
}

impl<'a> Compiler<'a> {
    /// Compiles a call of such a function; an unknown function is an error.
    pub(super) fn kernel_function(&mut self, name: &str, args: &'a [Expr]) -> Compiled<Value> {
        if let Some(order) = ByteOrder::of(name) {
            let [operand] = args else { return Err(format!("{name}()")) };
            return self.byte_order(order, operand);
        }
        match args {
            [a] => self.function_of_one(name, a),
            [a, b] => self.function_of_two(name, a, b),
            [a, b, c] => self.function_of_three(name, a, b, c),
            _ => Err(format!("{name}()")),
        }
    }

    fn byte_order(&mut self, order: ByteOrder, operand: &'a Expr) -> Compiled<Value> {
        let int = Int { bits: order.bytes * 8, signed: false };
        let (num, from) = match order.pointer {
            true => self.pointed_to(operand, int)?,
            false => self.number(operand)?,
        };
        let num = convert(int, num, from);
        if order.endian == self.endian {
            return Ok(Value::Number(num, int));
        }
        Ok(Value::Number(Num::Swap { bytes: order.bytes, of: Box::new(num) }, int))
    }

    fn function_of_one(&mut self, name: &str, a: &'a Expr) -> Compiled<Value> {
        let long = self.long_int(false);
        match name {
            // They return a pointer that holds an error number.
            "ERR_PTR" | "ERR_CAST" => {
                let (num, from) = self.number(a)?;
                Ok(Value::Address { value: convert(long, num, from), size: Some(1) })
            }
            "PTR_ERR" => {
                let (num, from) = self.number(a)?;
                let signed = self.long_int(true);
                Ok(Value::Number(convert(signed, convert(long, num, from), long), signed))
            }
            "IS_ERR" | "IS_ERR_VALUE" | "IS_ERR_OR_NULL" => {
                let (num, from) = self.number(a)?;
                let num = convert(long, num, from);
                let error = self.is_error(num.clone());
                let num = match name {
                    "IS_ERR_OR_NULL" => Num::Or(Box::new((Num::Not(Box::new(num)), error))),
                    _ => error,
                };
                Ok(Value::Number(num, Int::I32))
            }
            "PTR_ERR_OR_ZERO" => {
                let (num, from) = self.number(a)?;
                let num = convert(long, num, from);
                let error = convert(Int::I32, num.clone(), long);
                let choice = (self.is_error(num), error, Num::Const(0));
                Ok(Value::Number(Num::Choose(Box::new(choice)), Int::I32))
            }
            "abs" => {
                let (num, from) = self.number(a)?;
                let int = from.promoted();
                let num = convert(int, num, from);
                let negated = arithmetic(Arithmetic::Subtract, int, Num::Const(0), num.clone());
                let negative = compare(Comparison::Less, int.signed, num.clone(), Num::Const(0));
                Ok(Value::Number(Num::Choose(Box::new((negative, negated, num))), int))
            }
            _ => Err(format!("{name}()")),
        }
    }

    fn function_of_two(&mut self, name: &str, a: &'a Expr, b: &'a Expr) -> Compiled<Value> {
        let signed_long = self.long_int(true);
        let long = self.long_int(false);
        // include/linux/math64.h: the types of dividend and divisor.
        let division = match name {
            "div_u64" => Some((Int::U64, Int::U32)),
            "div_s64" => Some((Int::I64, Int::I32)),
            "div64_u64" => Some((Int::U64, Int::U64)),
            "div64_s64" => Some((Int::I64, Int::I64)),
            "div64_ul" => Some((Int::U64, long)),
            "div64_long" => Some((Int::I64, signed_long)),
            // Their value is the remainder.
            "do_div" => Some((Int::U64, Int::U32)),
            _ => None,
        };
        if let Some((dividend, divisor)) = division {
            let (a, ta) = self.number(a)?;
            let (b, tb) = self.number(b)?;
            let b = convert(dividend, convert(divisor, b, tb), divisor);
            let a = convert(dividend, a, ta);
            return Ok(match name {
                "do_div" => {
                    let left = arithmetic(Arithmetic::Remainder, dividend, a, b);
                    Value::Number(convert(Int::U32, left, dividend), Int::U32)
                }
                _ => Value::Number(arithmetic(Arithmetic::Divide, dividend, a, b), dividend),
            });
        }
        let greater = match name {
            "min" | "umin" => false,
            "max" | "umax" => true,
            _ => return Err(format!("{name}()")),
        };
        let (a, b) = (self.number(a)?, self.number(b)?);
        let int = a.1.common(b.1);
        Ok(Value::Number(limit(greater, int, convert(int, a.0, a.1), convert(int, b.0, b.1)), int))
    }

    fn function_of_three(&mut self, name: &str, a: &'a Expr, b: &'a Expr, c: &'a Expr) -> Compiled<Value> {
        match name {
            "min_t" | "max_t" => {
                let int = self.named_type(a).ok_or_else(|| format!("{name}()"))?;
                let (b, c) = (self.number(b)?, self.number(c)?);
                let num = limit(name == "max_t", int, convert(int, b.0, b.1), convert(int, c.0, c.1));
                Ok(Value::Number(num, int))
            }
            "min3" | "max3" | "clamp" => {
                let values = [self.number(a)?, self.number(b)?, self.number(c)?];
                let int = values[0].1.common(values[1].1).common(values[2].1);
                let [a, b, c] = values.map(|(num, from)| convert(int, num, from));
                let num = match name {
                    "clamp" => limit(false, int, limit(true, int, a, b), c),
                    _ => limit(name == "max3", int, limit(name == "max3", int, a, b), c),
                };
                Ok(Value::Number(num, int))
            }
            _ => Err(format!("{name}()")),
        }
    }

    /// The type given as an argument; a type of a single word parses as a name.
    fn named_type(&self, expr: &Expr) -> Option<Int> {
        match expr {
            Expr::Type(TypeName { words, stars: 0, of: None }) => {
                self.int_type(&words.iter().map(String::as_str).collect::<Vec<_>>())
            }
            Expr::Name(word) => self.int_type(&[word]),
            _ => None,
        }
    }

    /// Whether the pointer `num` is an error number: IS_ERR_VALUE (include/linux/err.h).
    fn is_error(&self, num: Num) -> Num {
        let long = self.long_int(false);
        let first = long.wrap(MAX_ERRNO.wrapping_neg());
        compare(Comparison::LessEqual, false, Num::Const(first), num)
    }
}

/// The maximum or minimum of two numbers of type `int`.
fn limit(greater: bool, int: Int, a: Num, b: Num) -> Num {
    let (less, more) = if greater { (&b, &a) } else { (&a, &b) };
    let first = compare(Comparison::Less, int.signed, less.clone(), more.clone());
    Num::Choose(Box::new((first, a, b)))
}
