//! Integers and bytes in a record: what an argument's expression is compiled to, and its evaluation.
//!
//! Types are resolved when the plan is compiled ([`Int`]); at run time a value has 64 bits, sign- or zero-extended
//! from its type. Arithmetic wraps. Every access to the record is checked; a value that cannot be computed is a
//! [`Fault`].

use crate::names::Symbols;

/// An integer type of the traced kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Int {
    pub(super) bits: u8,
    pub(super) signed: bool,
}

impl Int {
    pub(super) const I32: Int = Int { bits: 32, signed: true };
    pub(super) const U8: Int = Int { bits: 8, signed: false };
    pub(super) const U32: Int = Int { bits: 32, signed: false };
    pub(super) const U64: Int = Int { bits: 64, signed: false };
    pub(super) const I64: Int = Int { bits: 64, signed: true };

    /// The integer promotions (C11 6.3.1.1).
    pub(super) fn promoted(self) -> Int {
        if self.bits < 32 { Int::I32 } else { self }
    }

    /// The usual arithmetic conversions (C11 6.3.1.8). Types of the same width (`long`, `long long`) are the same
    /// type here.
    pub(super) fn common(self, other: Int) -> Int {
        let (a, b) = (self.promoted(), other.promoted());
        match a.bits.cmp(&b.bits) {
            std::cmp::Ordering::Greater => a,
            std::cmp::Ordering::Less => b,
            std::cmp::Ordering::Equal => Int { bits: a.bits, signed: a.signed && b.signed },
        }
    }

    /// Truncates `value` to this type and extends it to 64 bits again.
    #[inline(always)]
    pub(super) fn wrap(self, value: u64) -> u64 {
        let unused = 64 - u32::from(self.bits.clamp(1, 64));
        if self.signed { (((value << unused) as i64) >> unused) as u64 } else { (value << unused) >> unused }
    }
}

/// Why a value cannot be computed from this record. One word, so that a result fits in two registers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fault(u64);

impl Fault {
    /// The record ends before the value.
    pub(super) const SHORT: Fault = Fault(0);
    /// A division by zero, which would crash the kernel itself.
    pub(super) const DIVISION: Fault = Fault(1);

    /// Known to the kernel only; the label has its name.
    pub(super) fn unknown(label: Label) -> Fault {
        Fault(u64::from(label.0) + 2)
    }

    /// The label of a fault that has one.
    pub(super) fn label(self) -> Option<Label> {
        self.0.checked_sub(2).and_then(|n| u32::try_from(n).ok()).map(Label)
    }
}

/// An index into a plan's list of names that are known to the kernel only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Label(pub(super) u32);

/// A range of the plan's pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) start: u32,
    pub(super) len: u32,
}

/// What an evaluation needs.
pub(super) struct Context<'a> {
    pub(super) record: &'a [u8],
    /// The plan's texts.
    pub(super) pool: &'a [u8],
    /// Whether the traced kernel is big-endian.
    pub(super) big: bool,
    /// Bytes of its `long`.
    pub(super) long: u8,
    pub(super) symbols: &'a dyn Symbols,
}

impl<'a> Context<'a> {
    pub(super) fn text(&self, span: Span) -> &'a [u8] {
        let start = span.start as usize;
        self.pool.get(start..start + span.len as usize).unwrap_or_default()
    }

    /// The integer in the first `size` bytes of `bytes`, zero-extended.
    #[inline(always)]
    pub(super) fn load(&self, bytes: &[u8], size: u8) -> Result<u64, Fault> {
        macro_rules! load {
            ($int:ty) => {
                bytes
                    .first_chunk()
                    .map(|b| u64::from(if self.big { <$int>::from_be_bytes(*b) } else { <$int>::from_le_bytes(*b) }))
            };
        }
        let value = match size {
            1 => bytes.first().map(|b| u64::from(*b)),
            2 => load!(u16),
            4 => load!(u32),
            8 => load!(u64),
            _ => None,
        };
        value.ok_or(Fault::SHORT)
    }

    #[inline(always)]
    pub(super) fn load_at(&self, offset: u32, size: u8) -> Result<u64, Fault> {
        self.load(self.record.get(offset as usize..).ok_or(Fault::SHORT)?, size)
    }
}

/// The place of a location word (`__data_loc`, `__rel_loc`), and what its offset counts from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Location {
    /// Offset of the word.
    pub(super) word: u32,
    /// What its offset counts from: 0, or the end of the word.
    pub(super) base: u32,
    /// A two-byte word that has no length.
    pub(super) short: bool,
}

impl Location {
    /// The offset and length in the word.
    #[inline]
    fn resolve(self, context: &Context) -> Result<(usize, usize), Fault> {
        if self.short {
            let offset = context.load_at(self.word, 2)? as usize;
            return Ok((offset, context.record.len().saturating_sub(offset)));
        }
        let word = context.load_at(self.word, 4)?;
        Ok(((self.base as usize).saturating_add((word & 0xffff) as usize), (word >> 16) as usize))
    }
}

/// Bytes that an argument points to.
#[derive(Debug, Clone)]
pub(super) enum Bytes {
    /// `len` bytes at a fixed place.
    At { offset: u32, len: u32 },
    /// From a fixed place to the end of the record.
    Tail { offset: u32 },
    /// At the place given by a location word.
    Located(Location),
    /// `base + index`, with elements of `size` bytes.
    Offset { base: Box<Bytes>, index: Box<Num>, size: u32 },
    /// One of two, by a condition.
    Choose(Box<(Num, Bytes, Bytes)>),
    /// A string literal; a NUL follows it in the pool.
    Literal(Span),
}

/// The bytes of a value: all that follow it in the record, and how many are its own. The kernel's helpers do not know
/// where an array ends, so a text without NUL runs on into what follows; here at most to the end of the record.
pub(super) struct View<'a> {
    pub(super) rest: &'a [u8],
    len: usize,
}

impl<'a> View<'a> {
    /// The value's own bytes.
    pub(super) fn own(&self) -> &'a [u8] {
        self.rest.get(..self.len).unwrap_or(self.rest)
    }
}

impl Bytes {
    pub(super) fn view<'a>(&self, context: &Context<'a>) -> Result<View<'a>, Fault> {
        let (offset, len) = match self {
            Bytes::At { offset, len } => (*offset as usize, *len as usize),
            Bytes::Tail { offset } => (*offset as usize, context.record.len().saturating_sub(*offset as usize)),
            Bytes::Located(location) => location.resolve(context)?,
            Bytes::Literal(span) => {
                let rest = context.text(*span);
                return Ok(View { rest, len: rest.len() });
            }
            Bytes::Choose(choice) => {
                let (condition, yes, no) = &**choice;
                let chosen = if condition.eval(context)? != 0 { yes } else { no };
                return chosen.view(context);
            }
            Bytes::Offset { base, index, size } => {
                let view = base.view(context)?;
                let skip = (index.eval(context)?).checked_mul(u64::from(*size)).ok_or(Fault::SHORT)?;
                let skip = usize::try_from(skip).map_err(|_| Fault::SHORT)?;
                let rest = view.rest.get(skip..).ok_or(Fault::SHORT)?;
                return Ok(View { rest, len: view.len.saturating_sub(skip) });
            }
        };
        let rest = context.record.get(offset..).ok_or(Fault::SHORT)?;
        Ok(View { rest, len })
    }
}

/// A binary arithmetic operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Arithmetic {
    Multiply,
    Divide,
    Remainder,
    Add,
    Subtract,
    ShiftLeft,
    ShiftRight,
    BitAnd,
    BitXor,
    BitOr,
}

/// A comparison; `>` and `>=` are these with operands exchanged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Comparison {
    Less,
    LessEqual,
    Equal,
    NotEqual,
}

/// An integer expression. Operands already have their operator's type.
#[derive(Debug, Clone)]
pub(super) enum Num {
    Const(u64),
    /// `size` bytes at `offset`, read as `int`.
    Load {
        offset: u32,
        size: u8,
        int: Int,
    },
    /// An element of an array.
    Element {
        bytes: Box<Bytes>,
        size: u8,
        int: Int,
    },
    /// The length in a location word.
    Len(Location),
    Convert(Int, Box<Num>),
    Not(Box<Num>),
    Complement(Int, Box<Num>),
    Swap {
        bytes: u8,
        of: Box<Num>,
    },
    Arithmetic(Arithmetic, Int, Box<(Num, Num)>),
    Compare {
        op: Comparison,
        signed: bool,
        operands: Box<(Num, Num)>,
    },
    And(Box<(Num, Num)>),
    Or(Box<(Num, Num)>),
    Choose(Box<(Num, Num, Num)>),
    OrElse(Box<(Num, Num)>),
    /// Known to the kernel only.
    Unknown(Label),
}

impl Num {
    #[inline]
    pub(super) fn eval(&self, context: &Context) -> Result<u64, Fault> {
        Ok(match self {
            Num::Const(value) => *value,
            Num::Load { offset, size, int } => int.wrap(context.load_at(*offset, *size)?),
            other => return other.eval_rare(context),
        })
    }

    fn eval_rare(&self, context: &Context) -> Result<u64, Fault> {
        let truth = |n: &Num| n.eval(context).map(|v| v != 0);
        Ok(match self {
            Num::Const(_) | Num::Load { .. } => return self.eval(context),
            Num::Element { bytes, size, int } => int.wrap(context.load(bytes.view(context)?.rest, *size)?),
            Num::Len(location) => location.resolve(context)?.1 as u64,
            Num::Convert(int, of) => int.wrap(of.eval(context)?),
            Num::Not(of) => u64::from(!truth(of)?),
            Num::Complement(int, of) => int.wrap(!of.eval(context)?),
            Num::Swap { bytes, of } => {
                let value = of.eval(context)?.swap_bytes();
                value.checked_shr(64 - 8 * u32::from(*bytes)).unwrap_or(value)
            }
            Num::Arithmetic(op, int, operands) => {
                op.apply(*int, operands.0.eval(context)?, operands.1.eval(context)?)?
            }
            Num::Compare { op, signed, operands } => {
                u64::from(op.apply(*signed, operands.0.eval(context)?, operands.1.eval(context)?))
            }
            Num::And(operands) => u64::from(truth(&operands.0)? && truth(&operands.1)?),
            Num::Or(operands) => u64::from(truth(&operands.0)? || truth(&operands.1)?),
            Num::Choose(choice) => {
                let (condition, yes, no) = &**choice;
                if truth(condition)? { yes.eval(context)? } else { no.eval(context)? }
            }
            Num::OrElse(operands) => match operands.0.eval(context)? {
                0 => operands.1.eval(context)?,
                value => value,
            },
            Num::Unknown(label) => return Err(Fault::unknown(*label)),
        })
    }

    /// The value, if it is the same for every record.
    pub(super) fn constant(&self) -> Option<u64> {
        match self {
            Num::Const(value) => Some(*value),
            _ => None,
        }
    }
}

impl Arithmetic {
    /// `a op b` in type `int`. A shift by more than the width shifts by the remainder, as x86 does; C leaves it
    /// undefined.
    pub(super) fn apply(self, int: Int, a: u64, b: u64) -> Result<u64, Fault> {
        let shift = (b as u32) & (u32::from(int.bits) - 1);
        let value = match self {
            Arithmetic::Multiply => a.wrapping_mul(b),
            Arithmetic::Add => a.wrapping_add(b),
            Arithmetic::Subtract => a.wrapping_sub(b),
            Arithmetic::BitAnd => a & b,
            Arithmetic::BitXor => a ^ b,
            Arithmetic::BitOr => a | b,
            Arithmetic::ShiftLeft => a.wrapping_shl(shift),
            Arithmetic::ShiftRight if int.signed => (a as i64).wrapping_shr(shift) as u64,
            Arithmetic::ShiftRight => a.wrapping_shr(shift),
            Arithmetic::Divide | Arithmetic::Remainder if b == 0 => return Err(Fault::DIVISION),
            Arithmetic::Divide if int.signed => (a as i64).wrapping_div(b as i64) as u64,
            Arithmetic::Divide => a.wrapping_div(b),
            Arithmetic::Remainder if int.signed => (a as i64).wrapping_rem(b as i64) as u64,
            Arithmetic::Remainder => a.wrapping_rem(b),
        };
        Ok(int.wrap(value))
    }
}

impl Comparison {
    pub(super) fn apply(self, signed: bool, a: u64, b: u64) -> bool {
        match self {
            Comparison::Less if signed => (a as i64) < b as i64,
            Comparison::Less => a < b,
            Comparison::LessEqual if signed => a as i64 <= b as i64,
            Comparison::LessEqual => a <= b,
            Comparison::Equal => a == b,
            Comparison::NotEqual => a != b,
        }
    }
}
