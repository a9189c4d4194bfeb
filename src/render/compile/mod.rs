//! Compiles expression trees to typed programs: each argument is checked once against the event's fields and C's type
//! rules, so that evaluation only computes.

mod calls;
mod fields;
mod functions;
mod operators;
mod types;

pub(super) use operators::convert;
use types::{literal_type, show};

use super::{
    text::Text,
    value::{Bytes, Int, Label, Num, Span},
};
use crate::{
    format::{
        Endian, EventFormat, LongSize,
        print_fmt::{Binding, Expr},
    },
    names::Constants,
};

/// A compiled expression, with its C type as far as it matters.
#[derive(Debug, Clone)]
pub(super) enum Value {
    Number(Num, Int),
    /// A pointer into the kernel's memory. `size` is that of what it points to, if known.
    Address {
        value: Num,
        size: Option<u32>,
    },
    /// A pointer into the record, or to a string literal.
    Bytes(Bytes, Pointed),
    /// A pointer to text that a helper makes.
    Text(Text),
}

/// The type of what a pointer into the record points to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Pointed {
    pub(super) size: u32,
    /// Its type, if it is an integer's or a pointer's.
    pub(super) int: Option<Int>,
}

impl Pointed {
    const BYTE: Pointed = Pointed { size: 1, int: Some(Int::U8) };
}

/// Why an argument has no value: the name that is known to the kernel only, as shown between `{` and `?}`.
pub(super) type Unknown = String;

type Compiled<T> = Result<T, Unknown>;

/// How deep the tree is followed: deeper than any of the kernel's, and shallow enough for a thread's stack.
const MAX_DEPTH: usize = 200;

/// How many tree nodes an event may have in all, counting a variable's value at each use. The largest real one, a
/// table of NFS error numbers, has some three thousand.
const MAX_NODES: usize = 200_000;

/// Compiles the arguments of one event.
pub(super) struct Compiler<'a> {
    pub(super) format: &'a EventFormat,
    long: LongSize,
    endian: Endian,
    constants: &'a dyn Constants,
    /// Texts used by the programs.
    pub(super) pool: Vec<u8>,
    /// The names of [`Label`]s.
    pub(super) labels: Vec<Unknown>,
    /// The labels used since this list was last taken.
    pub(super) given: Vec<Label>,
    bindings: Vec<&'a Binding>,
    depth: usize,
    nodes: usize,
}

impl<'a> Compiler<'a> {
    pub(super) fn new(
        format: &'a EventFormat,
        long: LongSize,
        endian: Endian,
        constants: &'a dyn Constants,
    ) -> Compiler<'a> {
        Compiler {
            format,
            long,
            endian,
            constants,
            pool: vec![],
            labels: vec![],
            given: vec![],
            bindings: vec![],
            depth: 0,
            nodes: 0,
        }
    }

    /// Puts `text` into the pool.
    pub(super) fn intern(&mut self, text: &[u8]) -> Span {
        let start = self.pool.len() as u32;
        self.pool.extend_from_slice(text);
        Span { start, len: text.len() as u32 }
    }

    /// The label for `unknown`.
    pub(super) fn label(&mut self, unknown: Unknown) -> Label {
        let known = self.labels.iter().position(|l| *l == unknown);
        let at = known.unwrap_or_else(|| {
            self.labels.push(unknown);
            self.labels.len() - 1
        });
        let label = Label(at as u32);
        self.given.push(label);
        label
    }

    fn long_int(&self, signed: bool) -> Int {
        Int { bits: (self.long.bytes() * 8) as u8, signed }
    }

    /// Compiles any expression.
    pub(super) fn value(&mut self, expr: &'a Expr) -> Compiled<Value> {
        self.nodes += 1;
        if self.depth >= MAX_DEPTH || self.nodes >= MAX_NODES {
            return Err("too complex".into());
        }
        self.depth += 1;
        let value = self.value_inner(expr);
        self.depth -= 1;
        value
    }

    fn value_inner(&mut self, expr: &'a Expr) -> Compiled<Value> {
        match expr {
            Expr::Integer(literal) => Ok(Value::Number(Num::Const(literal.value), literal_type(literal, self.long))),
            Expr::Str(text) => {
                let span = self.intern(text);
                Ok(Value::Text(Text::Literal(span)))
            }
            Expr::Record => Err("REC".into()),
            Expr::Field(name) => self.field(name),
            Expr::Name(name) => self.name(name),
            Expr::Member(base, name) => match &**base {
                Expr::Field(field) => Err(format!("REC->{field}->{name}")),
                _ => Err(name.clone()),
            },
            Expr::Index(base, index) => self.index(base, index),
            Expr::Call(name, args) => self.call(name, args),
            Expr::Unary(op, operand) => self.unary(*op, operand),
            Expr::Binary(op, left, right) => self.binary(*op, left, right),
            Expr::Ternary(condition, yes, no) => self.ternary(condition, yes, no),
            Expr::OrElse(value, otherwise) => {
                let (Value::Number(a, ta), Value::Number(b, tb)) = (self.value(value)?, self.value(otherwise)?) else {
                    return Err("?:".into());
                };
                let int = ta.common(tb);
                Ok(Value::Number(Num::OrElse(Box::new((convert(int, a, ta), convert(int, b, tb)))), int))
            }
            Expr::Cast(type_name, operand) => self.cast(type_name, operand),
            Expr::SizeofType(type_name) => {
                let size = self.size_of(type_name).ok_or_else(|| format!("sizeof {}", show(type_name)))?;
                Ok(Value::Number(Num::Const(u64::from(size)), self.long_int(false)))
            }
            Expr::SizeofExpr(operand) => self.sizeof_value(operand),
            Expr::Block(bindings, value) => {
                let outer = self.bindings.len();
                if bindings.len() > 16 {
                    return Err("({…})".into());
                }
                self.bindings.extend(bindings);
                let value = self.value(value);
                self.bindings.truncate(outer);
                value
            }
            Expr::Braces(_) | Expr::Compound(..) => Err("{…}".into()),
            Expr::Type(type_name) => Err(show(type_name)),
        }
    }

    /// Compiles an expression that must be an integer; a pointer into the kernel's memory is one too.
    pub(super) fn number(&mut self, expr: &'a Expr) -> Compiled<(Num, Int)> {
        let value = self.value(expr)?;
        self.as_number(value)
    }

    pub(super) fn as_number(&self, value: Value) -> Compiled<(Num, Int)> {
        match value {
            Value::Number(num, int) => Ok((num, int)),
            Value::Address { value, .. } => Ok((value, self.long_int(false))),
            // The address of the record, or of a text, in the kernel's own buffers.
            Value::Bytes(..) | Value::Text(_) => Err("&REC".into()),
        }
    }

    fn condition(&mut self, expr: &'a Expr) -> Compiled<Num> {
        match self.value(expr)? {
            // Whatever is in the record, or made by a helper, has a non-null address.
            Value::Bytes(..) | Value::Text(_) => Ok(Num::Const(1)),
            other => self.as_number(other).map(|(num, _)| num),
        }
    }

    /// Compiles the argument of `%s`.
    pub(super) fn text(&mut self, expr: &'a Expr) -> Compiled<Text> {
        let value = self.value(expr)?;
        Ok(as_text(value))
    }

    /// Compiles a pointer into the record.
    fn bytes(&mut self, expr: &'a Expr) -> Compiled<(Bytes, Pointed)> {
        let value = self.value(expr)?;
        as_bytes(value)
    }

    fn name(&mut self, name: &str) -> Compiled<Value> {
        if let Some(at) = self.bindings.iter().rposition(|b| b.name == name) {
            // Evaluated again at each use: expressions have no side effects. Only earlier bindings are in its scope.
            let binding = self.bindings[at];
            let inner = self.bindings.split_off(at);
            let value = self.value(&binding.value);
            self.bindings.extend(inner);
            return match &binding.type_name {
                Some(type_name) => self.convert_to(type_name, value?),
                None => value,
            };
        }
        match name {
            "NULL" => return Ok(null()),
            "true" => return Ok(Value::Number(Num::Const(1), Int::I32)),
            "false" => return Ok(Value::Number(Num::Const(0), Int::I32)),
            _ => {}
        }
        let value = self.constants.value(name).ok_or_else(|| name.to_owned())?;
        let int = match i32::try_from(value) {
            Ok(_) => Int::I32,
            Err(_) if u32::try_from(value).is_ok() => Int::U32,
            Err(_) => Int::I64,
        };
        Ok(Value::Number(Num::Const(value as u64), int))
    }
}

fn null() -> Value {
    Value::Address { value: Num::Const(0), size: Some(1) }
}

fn as_text(value: Value) -> Text {
    match value {
        Value::Text(text) => text,
        Value::Bytes(bytes, _) => Text::Bytes(bytes),
        Value::Address { value: Num::Const(0), .. } | Value::Number(Num::Const(0), _) => Text::Null,
        Value::Address { value: Num::Unknown(label), .. } | Value::Number(Num::Unknown(label), _) => {
            Text::Unknown(label)
        }
        Value::Address { value, .. } | Value::Number(value, _) => Text::Kernel(value),
    }
}

pub(super) fn as_bytes(value: Value) -> Compiled<(Bytes, Pointed)> {
    match value {
        Value::Bytes(bytes, pointed) => Ok((bytes, pointed)),
        Value::Text(Text::Literal(span)) => Ok((Bytes::Literal(span), Pointed::BYTE)),
        Value::Address { .. } | Value::Number(..) => Err("*".into()),
        Value::Text(_) => Err("&".into()),
    }
}
