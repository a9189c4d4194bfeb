//! Operators, and the conversions that C applies to their operands.

use super::{
    super::{
        text::Text,
        value::{Arithmetic, Bytes, Comparison, Int, Num},
    },
    Compiled, Compiler, Unknown, Value, as_text,
    fields::{element, offset},
};
use crate::format::print_fmt::{BinaryOp, Expr, UnaryOp};

impl<'a> Compiler<'a> {
    pub(super) fn unary(&mut self, op: UnaryOp, operand: &'a Expr) -> Compiled<Value> {
        match op {
            UnaryOp::AddressOf => return self.address_of(operand),
            UnaryOp::Dereference => {
                return match self.value(operand)? {
                    Value::Bytes(bytes, pointed) => element(bytes, pointed),
                    _ => Err("*".into()),
                };
            }
            UnaryOp::Not => {
                let num = match self.condition(operand)? {
                    Num::Const(value) => Num::Const(u64::from(value == 0)),
                    num => Num::Not(Box::new(num)),
                };
                return Ok(Value::Number(num, Int::I32));
            }
            UnaryOp::Negate | UnaryOp::Plus | UnaryOp::Complement => {}
        }
        let (num, from) = self.number(operand)?;
        let int = from.promoted();
        let num = convert(int, num, from);
        let num = match op {
            UnaryOp::Negate => arithmetic(Arithmetic::Subtract, int, Num::Const(0), num),
            UnaryOp::Complement => match num {
                Num::Const(value) => Num::Const(int.wrap(!value)),
                num => Num::Complement(int, Box::new(num)),
            },
            _ => num,
        };
        Ok(Value::Number(num, int))
    }

    pub(super) fn binary(&mut self, op: BinaryOp, left: &'a Expr, right: &'a Expr) -> Compiled<Value> {
        if matches!(op, BinaryOp::And | BinaryOp::Or) {
            let a = self.condition(left)?;
            // An operand that is not evaluated need not be known.
            if let Some(a) = a.constant()
                && (a != 0) == (op == BinaryOp::Or)
            {
                return Ok(Value::Number(Num::Const(u64::from(a != 0)), Int::I32));
            }
            let b = self.condition(right)?;
            let num = match (a.constant(), b.constant()) {
                (Some(_), Some(b)) => Num::Const(u64::from(b != 0)),
                _ if op == BinaryOp::And => Num::And(Box::new((a, b))),
                _ => Num::Or(Box::new((a, b))),
            };
            return Ok(Value::Number(num, Int::I32));
        }
        let (left, right) = (self.value(left)?, self.value(right)?);
        // Pointer arithmetic counts in elements.
        match (op, left, right) {
            (BinaryOp::Add, Value::Bytes(bytes, pointed), Value::Number(n, _))
            | (BinaryOp::Add, Value::Number(n, _), Value::Bytes(bytes, pointed)) => {
                Ok(Value::Bytes(offset(bytes, n, pointed.size), pointed))
            }
            (BinaryOp::Add | BinaryOp::Subtract, Value::Address { value, size }, Value::Number(n, from)) => {
                let long = self.long_int(false);
                let size = size.ok_or("sizeof *")?;
                let n = arithmetic(Arithmetic::Multiply, long, convert(long, n, from), Num::Const(u64::from(size)));
                let op = if op == BinaryOp::Add { Arithmetic::Add } else { Arithmetic::Subtract };
                Ok(Value::Address { value: arithmetic(op, long, value, n), size: Some(size) })
            }
            (BinaryOp::Equal | BinaryOp::NotEqual, Value::Bytes(..) | Value::Text(_), Value::Address { value, .. })
                if value.constant() == Some(0) =>
            {
                Ok(Value::Number(Num::Const(u64::from(op == BinaryOp::NotEqual)), Int::I32))
            }
            (op, left, right) => {
                let (a, ta) = self.as_number(left)?;
                let (b, tb) = self.as_number(right)?;
                Ok(number_operation(op, a, ta, b, tb))
            }
        }
    }

    pub(super) fn ternary(&mut self, condition: &'a Expr, yes: &'a Expr, no: &'a Expr) -> Compiled<Value> {
        let condition = self.condition(condition)?;
        if let Some(value) = condition.constant() {
            return self.value(if value != 0 { yes } else { no });
        }
        // If only one of the two is known, records that take it can still be printed.
        let (yes, no) = match (self.value(yes), self.value(no)) {
            (Err(unknown), Err(_)) => return Err(unknown),
            (Err(unknown), Ok(no)) => (self.unknown_like(&no, unknown), no),
            (Ok(yes), Err(unknown)) => {
                let no = self.unknown_like(&yes, unknown);
                (yes, no)
            }
            (Ok(yes), Ok(no)) => (yes, no),
        };
        Ok(match (yes, no) {
            (Value::Number(a, ta), Value::Number(b, tb)) => {
                let int = ta.common(tb);
                let choice = (condition, convert(int, a, ta), convert(int, b, tb));
                Value::Number(Num::Choose(Box::new(choice)), int)
            }
            (Value::Address { value: a, size }, Value::Address { value: b, .. }) => {
                Value::Address { value: Num::Choose(Box::new((condition, a, b))), size }
            }
            (Value::Address { value, size }, Value::Number(n, _)) => {
                Value::Address { value: Num::Choose(Box::new((condition, value, n))), size }
            }
            (Value::Number(n, _), Value::Address { value, size }) => {
                Value::Address { value: Num::Choose(Box::new((condition, n, value))), size }
            }
            (Value::Bytes(a, pointed), Value::Bytes(b, _)) => {
                Value::Bytes(Bytes::Choose(Box::new((condition, a, b))), pointed)
            }
            (a, b) => Value::Text(Text::Choose(Box::new((condition, as_text(a), as_text(b))))),
        })
    }

    /// An unknown value of the same kind as `other`.
    pub(super) fn unknown_like(&mut self, other: &Value, unknown: Unknown) -> Value {
        let label = self.label(unknown);
        match other {
            Value::Number(_, int) => Value::Number(Num::Unknown(label), *int),
            Value::Address { size, .. } => Value::Address { value: Num::Unknown(label), size: *size },
            Value::Bytes(..) | Value::Text(_) => Value::Text(Text::Unknown(label)),
        }
    }
}

/// `(int) num`, where `num` is of type `from`.
pub(in crate::render) fn convert(int: Int, num: Num, from: Int) -> Num {
    match num {
        Num::Const(value) => Num::Const(int.wrap(value)),
        num if int == from => num,
        // Widening changes nothing: an unsigned value fits, and a signed one is already extended to 64 bits.
        num if int.bits == 64 || int.bits > from.bits && (!from.signed || int.signed) => num,
        // Narrower, or with the other sign: read it that way.
        Num::Load { offset, size, int: own } if int.bits <= own.bits => Num::Load { offset, size, int },
        num => Num::Convert(int, Box::new(num)),
    }
}

pub(super) fn arithmetic(op: Arithmetic, int: Int, a: Num, b: Num) -> Num {
    if let (Some(x), Some(y)) = (a.constant(), b.constant())
        && let Ok(value) = op.apply(int, x, y)
    {
        return Num::Const(value);
    }
    Num::Arithmetic(op, int, Box::new((a, b)))
}

pub(super) fn compare(op: Comparison, signed: bool, a: Num, b: Num) -> Num {
    if let (Some(x), Some(y)) = (a.constant(), b.constant()) {
        return Num::Const(u64::from(op.apply(signed, x, y)));
    }
    Num::Compare { op, signed, operands: Box::new((a, b)) }
}

/// An operator on two integers, after the usual conversions.
pub(super) fn number_operation(op: BinaryOp, a: Num, ta: Int, b: Num, tb: Int) -> Value {
    let shift = match op {
        BinaryOp::ShiftLeft => Some(Arithmetic::ShiftLeft),
        BinaryOp::ShiftRight => Some(Arithmetic::ShiftRight),
        _ => None,
    };
    if let Some(op) = shift {
        let int = ta.promoted();
        return Value::Number(arithmetic(op, int, convert(int, a, ta), b), int);
    }
    let int = ta.common(tb);
    let (a, b) = (convert(int, a, ta), convert(int, b, tb));
    let comparison = match op {
        BinaryOp::Less => Some((Comparison::Less, false)),
        BinaryOp::Greater => Some((Comparison::Less, true)),
        BinaryOp::LessEqual => Some((Comparison::LessEqual, false)),
        BinaryOp::GreaterEqual => Some((Comparison::LessEqual, true)),
        BinaryOp::Equal => Some((Comparison::Equal, false)),
        BinaryOp::NotEqual => Some((Comparison::NotEqual, false)),
        _ => None,
    };
    if let Some((comparison, exchanged)) = comparison {
        let (a, b) = if exchanged { (b, a) } else { (a, b) };
        return Value::Number(compare(comparison, int.signed, a, b), Int::I32);
    }
    let op = match op {
        BinaryOp::Multiply => Arithmetic::Multiply,
        BinaryOp::Divide => Arithmetic::Divide,
        BinaryOp::Remainder => Arithmetic::Remainder,
        BinaryOp::Subtract => Arithmetic::Subtract,
        BinaryOp::BitAnd => Arithmetic::BitAnd,
        BinaryOp::BitXor => Arithmetic::BitXor,
        BinaryOp::BitOr => Arithmetic::BitOr,
        _ => Arithmetic::Add,
    };
    Value::Number(arithmetic(op, int, a, b), int)
}
