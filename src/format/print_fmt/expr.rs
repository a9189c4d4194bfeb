//! The expression tree of an argument of a print format.

/// A C expression over a record.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Expr {
    /// An integer or character literal.
    Integer(Literal),
    /// A string literal, or adjacent ones joined.
    Str(Vec<u8>),
    /// `REC`, the record itself.
    Record,
    /// `REC->name`.
    Field(String),
    /// Any other identifier: an enum constant, a kernel variable, a field's name as a helper's argument.
    Name(String),
    /// `base.member` or `base->member` where the base is not `REC`.
    Member(Box<Expr>, String),
    /// `base[index]`.
    Index(Box<Expr>, Box<Expr>),
    /// `function(arguments)`.
    Call(String, Vec<Expr>),
    /// A prefix operator.
    Unary(UnaryOp, Box<Expr>),
    /// An infix operator.
    Binary(BinaryOp, Box<Expr>, Box<Expr>),
    /// `condition ? yes : no`.
    Ternary(Box<Expr>, Box<Expr>, Box<Expr>),
    /// GNU C's `value ?: otherwise`.
    OrElse(Box<Expr>, Box<Expr>),
    /// `(type) operand`.
    Cast(TypeName, Box<Expr>),
    /// `(type) { .member = value }`, of one member.
    Compound(String, Box<Expr>),
    /// `sizeof(type)`.
    SizeofType(TypeName),
    /// `sizeof(expression)` or `sizeof expression`.
    SizeofExpr(Box<Expr>),
    /// `{ a, b }`: a row of a table, or the table.
    Braces(Vec<Expr>),
    /// `({ type x = a; type y = b; value; })`: a value computed from variables, as by the kernel's `min()`.
    Block(Vec<Binding>, Box<Expr>),
    /// A type where a value is expected, as in `__builtin_types_compatible_p(typeof(x), long)`.
    Type(TypeName),
}

/// An integer literal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Literal {
    /// Its value.
    pub value: u64,
    /// Whether it has the suffix `U`.
    pub unsigned: bool,
    /// How many times `L` stands in its suffix, at most 2.
    pub longs: u8,
    /// Whether it is written in decimal.
    pub decimal: bool,
}

/// A variable of a [`Expr::Block`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binding {
    /// Its name.
    pub name: String,
    /// Its type; `None` if it is the type of the value (`typeof`, `__auto_type`).
    pub type_name: Option<TypeName>,
    /// Its value.
    pub value: Expr,
}

/// The name of a type: `unsigned long`, `struct page *`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TypeName {
    /// Its words, without qualifiers.
    pub words: Vec<String>,
    /// How many `*` follow them.
    pub stars: usize,
    /// The operand of `typeof(expression)`, in place of the words.
    pub of: Option<Box<Expr>>,
}

/// A prefix operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnaryOp {
    /// `-x`
    Negate,
    /// `+x`
    Plus,
    /// `!x`
    Not,
    /// `~x`
    Complement,
    /// `*x`
    Dereference,
    /// `&x`
    AddressOf,
}

/// An infix operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "they are C's own")]
pub enum BinaryOp {
    Multiply,
    Divide,
    Remainder,
    Add,
    Subtract,
    ShiftLeft,
    ShiftRight,
    Less,
    Greater,
    LessEqual,
    GreaterEqual,
    Equal,
    NotEqual,
    BitAnd,
    BitXor,
    BitOr,
    And,
    Or,
}

impl BinaryOp {
    /// The operator spelt `punctuation`, and its precedence (C11 6.5.5 to 6.5.14).
    pub(super) fn of(punctuation: &str) -> Option<(BinaryOp, u8)> {
        use BinaryOp::*;
        Some(match punctuation {
            "*" => (Multiply, 10),
            "/" => (Divide, 10),
            "%" => (Remainder, 10),
            "+" => (Add, 9),
            "-" => (Subtract, 9),
            "<<" => (ShiftLeft, 8),
            ">>" => (ShiftRight, 8),
            "<" => (Less, 7),
            ">" => (Greater, 7),
            "<=" => (LessEqual, 7),
            ">=" => (GreaterEqual, 7),
            "==" => (Equal, 6),
            "!=" => (NotEqual, 6),
            "&" => (BitAnd, 5),
            "^" => (BitXor, 4),
            "|" => (BitOr, 3),
            "&&" => (And, 2),
            "||" => (Or, 1),
            _ => return None,
        })
    }
}
