//! Expression trees to typed programs: each argument is checked once against the event's fields and C's rules of
//! types, so that evaluation has only to compute.

use super::{
    text::{HexDump, SymbolTable, Text},
    value::{Arithmetic, Bytes, Comparison, Int, Label, Location, Num, Span},
};
use crate::{
    format::{
        Base, EventFormat, Field, LongSize, Place, integer_type,
        print_fmt::{BinaryOp, Binding, Expr, Literal, TypeName, UnaryOp},
    },
    names::Constants,
};

/// What an expression is, with its C type as far as that matters.
#[derive(Debug, Clone)]
pub(super) enum Value {
    Number(Num, Int),
    /// A pointer into the kernel's memory. `size`: of what it points to, where that is known.
    Address {
        value: Num,
        size: Option<u32>,
    },
    /// A pointer into the record, or to a string literal.
    Bytes(Bytes, Pointed),
    /// A pointer to text that a helper makes.
    Text(Text),
}

/// What a pointer into the record points to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Pointed {
    pub(super) size: u32,
    /// Its type, if it is an integer's or a pointer's.
    pub(super) int: Option<Int>,
}

impl Pointed {
    const BYTE: Pointed = Pointed { size: 1, int: Some(Int::U8) };
}

/// Why an argument has no value: the name of what only the kernel knows, as it is shown between `{` and `?}`.
pub(super) type Unknown = String;

type Compiled<T> = Result<T, Unknown>;

/// How deep the tree is followed. More than any kernel's, and little enough for a thread's stack.
const MAX_DEPTH: usize = 200;

/// How many tree nodes an event may have in all, counting the values of named ones at each use. The largest real one, a
/// table of NFS error numbers, has some three thousand.
const MAX_NODES: usize = 200_000;

/// Compiles the arguments of one event.
pub(super) struct Compiler<'a> {
    pub(super) format: &'a EventFormat,
    long: LongSize,
    constants: &'a dyn Constants,
    /// Texts that the programs refer to.
    pub(super) pool: Vec<u8>,
    /// What [`Label`]s stand for.
    pub(super) labels: Vec<Unknown>,
    /// The labels given since this list was last taken.
    pub(super) given: Vec<Label>,
    bindings: Vec<&'a Binding>,
    depth: usize,
    nodes: usize,
}

impl<'a> Compiler<'a> {
    pub(super) fn new(format: &'a EventFormat, long: LongSize, constants: &'a dyn Constants) -> Compiler<'a> {
        Compiler {
            format,
            long,
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

    /// Compiles an expression that has to be an integer; a pointer of the kernel's is one too.
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
            // What lies in the record, or is made by a helper, has an address.
            Value::Bytes(..) | Value::Text(_) => Ok(Num::Const(1)),
            other => self.as_number(other).map(|(num, _)| num),
        }
    }

    /// Compiles what `%s` is to print.
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
            // Evaluated anew at each use: expressions have no effects. Earlier bindings alone are in its scope.
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

    fn field(&mut self, name: &str) -> Compiled<Value> {
        if let Some(field) = self.format.field(name) {
            return Ok(self.field_value(field));
        }
        let located = name.strip_prefix("__data_loc_").or(name.strip_prefix("__rel_loc_"));
        match located.and_then(|name| self.format.field(name)) {
            Some(field) => Ok(Value::Number(Num::Load { offset: field.offset, size: 4, int: Int::U32 }, Int::U32)),
            None => Err(format!("REC->{name}")),
        }
    }

    fn field_value(&self, field: &Field) -> Value {
        let pointed = self.pointed(field);
        let bytes = match field.place {
            Place::Scalar => {
                let load = |int| Num::Load { offset: field.offset, size: field.ctype.size as u8, int };
                return match (&field.ctype.base, pointed.int) {
                    (Base::Pointer, Some(int)) => {
                        Value::Address { value: load(int), size: self.pointee_size(&field.ctype.name) }
                    }
                    (_, Some(int)) => Value::Number(load(int), int),
                    (_, None) => Value::Bytes(Bytes::At { offset: field.offset, len: field.size }, pointed),
                };
            }
            Place::Array { .. } => Bytes::At { offset: field.offset, len: field.size },
            Place::Tail => Bytes::Tail { offset: field.offset },
            Place::DataLoc | Place::RelLoc | Place::DataLocShort | Place::DataLocArray { .. } => {
                Bytes::Located(location(field, 0))
            }
        };
        Value::Bytes(bytes, pointed)
    }

    /// One element of a field.
    fn pointed(&self, field: &Field) -> Pointed {
        let size = field.ctype.size;
        let column = field.signed.unwrap_or(false);
        let stored = (size.min(8) * 8) as u8;
        let int = match &field.ctype.base {
            _ if !matches!(size, 1 | 2 | 4 | 8) => None,
            Base::Integer { signed, bits } => Some(Int { bits: *bits, signed: *signed }),
            Base::Bool => Some(Int { bits: stored, signed: false }),
            // Whether `char` is signed is the compiler's choice; only the file knows.
            Base::Char => Some(Int { bits: 8, signed: field.signed.unwrap_or(true) }),
            Base::Pointer => Some(Int { bits: stored, signed: false }),
            Base::Enum(_) => Some(Int { bits: stored.min(32), signed: column }),
            Base::CpuMask | Base::Opaque => None,
        };
        Pointed { size, int }
    }

    /// The size of what a pointer type points to: `char *` → 1.
    fn pointee_size(&self, type_name: &str) -> Option<u32> {
        let stars = type_name.chars().filter(|c| *c == '*').count();
        let words: Vec<&str> = type_name.split([' ', '*']).filter(|w| !w.is_empty()).collect();
        match (stars, &words[..]) {
            (2.., _) => Some(self.long.bytes()),
            (_, ["void"]) => Some(1),
            _ => self.int_type(&words).map(|int| u32::from(int.bits) / 8),
        }
    }

    fn int_type(&self, words: &[&str]) -> Option<Int> {
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

    fn words(type_name: &TypeName) -> Vec<&str> {
        type_name.words.iter().map(String::as_str).collect()
    }

    fn size_of(&self, type_name: &TypeName) -> Option<u32> {
        match type_name.stars {
            // A structure of bit-fields without width (see the parser).
            0 if type_name.words == ["struct", "{}"] => Some(0),
            0 => self.int_type(&Self::words(type_name)).map(|int| u32::from(int.bits) / 8),
            _ => Some(self.long.bytes()),
        }
    }

    fn sizeof_value(&mut self, operand: &'a Expr) -> Compiled<Value> {
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

    fn cast(&mut self, type_name: &'a TypeName, operand: &'a Expr) -> Compiled<Value> {
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

    fn convert_to(&self, type_name: &TypeName, value: Value) -> Compiled<Value> {
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

    fn index(&mut self, base: &'a Expr, index: &'a Expr) -> Compiled<Value> {
        let (bytes, pointed) = match self.value(base)? {
            Value::Bytes(bytes, pointed) => (bytes, pointed),
            _ => return Err("[]".into()),
        };
        let (index, _) = self.number(index)?;
        let bytes = offset(bytes, index, pointed.size);
        element(bytes, pointed)
    }

    fn unary(&mut self, op: UnaryOp, operand: &'a Expr) -> Compiled<Value> {
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

    /// `&REC->field`, `&REC->field[1]`, `&__get_str(x)[1]`
    fn address_of(&mut self, operand: &'a Expr) -> Compiled<Value> {
        match operand {
            Expr::Field(name) => {
                let field = self.format.field(name).ok_or_else(|| format!("REC->{name}"))?;
                let pointed = self.pointed(field);
                match self.field_value(field) {
                    Value::Bytes(bytes, pointed) => Ok(Value::Bytes(bytes, pointed)),
                    _ => Ok(Value::Bytes(Bytes::At { offset: field.offset, len: field.size }, pointed)),
                }
            }
            Expr::Index(base, index) => {
                let (bytes, pointed) = self.bytes(base)?;
                let (index, _) = self.number(index)?;
                Ok(Value::Bytes(offset(bytes, index, pointed.size), pointed))
            }
            Expr::Name(name) => Err(format!("&{name}")),
            _ => Err("&".into()),
        }
    }

    fn binary(&mut self, op: BinaryOp, left: &'a Expr, right: &'a Expr) -> Compiled<Value> {
        if matches!(op, BinaryOp::And | BinaryOp::Or) {
            let a = self.condition(left)?;
            // What is not looked at need not be known.
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

    fn ternary(&mut self, condition: &'a Expr, yes: &'a Expr, no: &'a Expr) -> Compiled<Value> {
        let condition = self.condition(condition)?;
        if let Some(value) = condition.constant() {
            return self.value(if value != 0 { yes } else { no });
        }
        // If only one of the two is known, records that take it still print.
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

    /// An unknown value of the kind that `other` is.
    fn unknown_like(&mut self, other: &Value, unknown: Unknown) -> Value {
        let label = self.label(unknown);
        match other {
            Value::Number(_, int) => Value::Number(Num::Unknown(label), *int),
            Value::Address { size, .. } => Value::Address { value: Num::Unknown(label), size: *size },
            Value::Bytes(..) | Value::Text(_) => Value::Text(Text::Unknown(label)),
        }
    }

    fn call(&mut self, name: &str, args: &'a [Expr]) -> Compiled<Value> {
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
            _ => return Err(missing()),
        })
    }

    /// A number of jiffies in units of which a second has `units` (`jiffies_to_msecs` and its like in kernel/time/time.c).
    /// None where the caller does not know how many jiffies a second has.
    fn jiffies(&mut self, operand: &'a Expr, units: i64) -> Option<Compiled<Value>> {
        let hz = self.constants.value("HZ").filter(|hz| *hz > 0)?;
        let common = greatest_common_divisor(units, hz);
        let (times, by) = (Num::Const((units / common) as u64), hz / common);
        // A 32-bit kernel that cannot multiply alone has tables of its own for that.
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

    fn swap(&mut self, operand: &'a Expr, bytes: u8) -> Compiled<Value> {
        let (num, from) = self.number(operand)?;
        let int = Int { bits: bytes * 8, signed: false };
        Ok(Value::Number(Num::Swap { bytes, of: Box::new(convert(int, num, from)) }, int))
    }

    fn common_flags(&self, mask: u64) -> Compiled<Value> {
        let field = self.format.common.iter().find(|f| f.name == "common_flags").ok_or("common_flags")?;
        let load = Num::Load { offset: field.offset, size: 1, int: Int::U8 };
        Ok(Value::Number(arithmetic(Arithmetic::BitAnd, Int::I32, load, Num::Const(mask)), Int::I32))
    }

    /// What stands before each line of a dump: a literal. Anything longer would be written once for every 16 bytes.
    fn dump_prefix_text(&mut self, expr: &'a Expr) -> Compiled<Span> {
        match self.text(expr)? {
            Text::Literal(span) => Ok(span),
            _ => Err("__print_hex_dump()".into()),
        }
    }

    /// `DUMP_PREFIX_NONE` and the like are enum constants, of value 0, 1, 2 since ever (include/linux/printk.h).
    fn dump_prefix(&mut self, expr: &'a Expr) -> Compiled<Num> {
        Ok(match expr {
            Expr::Name(name) if name == "DUMP_PREFIX_NONE" => Num::Const(0),
            Expr::Name(name) if name == "DUMP_PREFIX_ADDRESS" => Num::Const(1),
            Expr::Name(name) if name == "DUMP_PREFIX_OFFSET" => Num::Const(2),
            other => self.number(other)?.0,
        })
    }

    /// The location word of the field that a `__get_*` helper names; `sa[1]` names one of an array of texts.
    fn location(&mut self, expr: &'a Expr) -> Compiled<Location> {
        let (name, index) = match expr {
            Expr::Name(name) => (name, 0),
            Expr::Index(base, index) => match (&**base, &**index) {
                (Expr::Name(name), Expr::Integer(n)) => (name, n.value),
                _ => return Err("__get_…()".into()),
            },
            _ => return Err("__get_…()".into()),
        };
        let field = self.format.field(name).ok_or_else(|| format!("REC->{name}"))?;
        let index = u32::try_from(index).ok().filter(|i| match field.place {
            Place::DataLocArray { count } => *i < count,
            Place::DataLoc | Place::RelLoc | Place::DataLocShort => *i == 0,
            _ => false,
        });
        Ok(location(field, index.ok_or_else(|| format!("REC->{name}"))?))
    }

    /// The name of the constant that `field`, of an enum's type, holds; `None` if the enum is not known.
    pub(super) fn enum_text(&mut self, field: &Field) -> Option<Text> {
        let (Base::Enum(name), Place::Scalar) = (&field.ctype.base, field.place) else { return None };
        let members = self.constants.enumerators(name);
        let Value::Number(num, int) = self.field_value(field) else { return None };
        let rows: Vec<_> =
            members.iter().map(|(name, value)| (int.wrap(*value as u64), self.intern(name.as_bytes()))).collect();
        (!rows.is_empty()).then(|| Text::Symbolic(num, SymbolTable::new(rows)))
    }

    fn table_type(&self, helper: &str) -> Int {
        if helper.ends_with("_u64") { Int::U64 } else { self.long_int(false) }
    }

    /// The rows `{ value, "name" }` of a table. A row whose value is not known is left out; one without a name ends the
    /// table, as it does for the kernel. A wrapped table, `{ { 0, "a" }, { 1, "b" } }`, is taken as well.
    fn table(&mut self, rows: &'a [Expr], int: Int) -> Vec<(u64, Span)> {
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

fn greatest_common_divisor(a: i64, b: i64) -> i64 {
    if b == 0 { a } else { greatest_common_divisor(b, a % b) }
}

const NSEC_PER_SEC: u64 = 1_000_000_000;
/// include/linux/trace_events.h
const FLAG_HARDIRQ: u64 = 0x08;
const FLAG_SOFTIRQ: u64 = 0x10;

/// The location word of `field`, the `index`th where it has several.
fn location(field: &Field, index: u32) -> Location {
    let word = field.offset.saturating_add(index.saturating_mul(4));
    match field.place {
        Place::RelLoc => Location { word, base: word.saturating_add(4), short: false },
        Place::DataLocShort => Location { word, base: 0, short: true },
        _ => Location { word, base: 0, short: false },
    }
}

/// The type of a literal (C11 6.4.4.1).
fn literal_type(literal: &Literal, long: LongSize) -> Int {
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

/// What stands at `bytes`.
fn element(bytes: Bytes, pointed: Pointed) -> Compiled<Value> {
    let Some(int) = pointed.int else { return Err("[]".into()) };
    let size = pointed.size as u8;
    let num = match bytes {
        Bytes::At { offset, .. } => Num::Load { offset, size, int },
        bytes => Num::Element { bytes: Box::new(bytes), size, int },
    };
    Ok(Value::Number(num, int))
}

/// `bytes + index`
fn offset(bytes: Bytes, index: Num, size: u32) -> Bytes {
    if let (Bytes::At { offset, len }, Some(index)) = (&bytes, index.constant()) {
        let skip = u32::try_from(index).ok().and_then(|i| i.checked_mul(size));
        if let Some((skip, offset)) = skip.and_then(|skip| Some((skip, offset.checked_add(skip)?))) {
            return Bytes::At { offset, len: len.saturating_sub(skip) };
        }
    }
    Bytes::Offset { base: Box::new(bytes), index: Box::new(index), size }
}

/// `(int) num`, where `num` is of type `from`.
pub(super) fn convert(int: Int, num: Num, from: Int) -> Num {
    match num {
        Num::Const(value) => Num::Const(int.wrap(value)),
        num if int == from => num,
        // Widening changes nothing: an unsigned value fits, and a signed one is extended to 64 bits already.
        num if int.bits == 64 || int.bits > from.bits && (!from.signed || int.signed) => num,
        // Reading fewer bits, or with the other sign.
        Num::Load { offset, size, int: own } if int.bits <= own.bits => Num::Load { offset, size, int },
        num => Num::Convert(int, Box::new(num)),
    }
}

fn arithmetic(op: Arithmetic, int: Int, a: Num, b: Num) -> Num {
    if let (Some(x), Some(y)) = (a.constant(), b.constant())
        && let Ok(value) = op.apply(int, x, y)
    {
        return Num::Const(value);
    }
    Num::Arithmetic(op, int, Box::new((a, b)))
}

fn compare(op: Comparison, signed: bool, a: Num, b: Num) -> Num {
    if let (Some(x), Some(y)) = (a.constant(), b.constant()) {
        return Num::Const(u64::from(op.apply(signed, x, y)));
    }
    Num::Compare { op, signed, operands: Box::new((a, b)) }
}

/// An operator on two integers, after the conversions C puts first.
fn number_operation(op: BinaryOp, a: Num, ta: Int, b: Num, tb: Int) -> Value {
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

fn show(type_name: &TypeName) -> String {
    let mut name = type_name.words.join(" ");
    if type_name.stars > 0 {
        name.push(' ');
        name.push_str(&"*".repeat(type_name.stars));
    }
    name
}
