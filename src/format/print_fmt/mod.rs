//! `print fmt`: how the kernel formats an event, as the C source it was compiled from.
//!
//! It is a string literal and C expressions over `REC`, the record. Parsing never fails: what is not an expression (a
//! statement expression with a loop, say) is an [`ExprError`] of that argument alone, and the other arguments are
//! kept.
//!
//! ```
//! use ftrace_live::format::print_fmt::{Expr, PrintFmt};
//! let parsed = PrintFmt::parse(r#""vec=%u [action=%s]", REC->vec, __print_symbolic(REC->vec, { 0, "HI" })"#);
//! assert_eq!(parsed.literal, b"vec=%u [action=%s]");
//! assert_eq!(parsed.args.len(), 2);
//! assert_eq!(parsed.args[0].expr, Ok(Expr::Field("vec".into())));
//! ```

mod expr;
mod lexer;
mod parser;

pub use expr::{BinaryOp, Binding, Expr, Literal, TypeName, UnaryOp};
use lexer::{Spanned, Token};

/// A print format, parsed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PrintFmt {
    /// The printf format.
    pub literal: Vec<u8>,
    /// Its arguments, in order.
    pub args: Vec<Argument>,
}

/// One argument of a print format.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Argument {
    /// Its source.
    pub text: String,
    /// Its expression.
    pub expr: Result<Expr, ExprError>,
}

/// Why an argument could not be parsed as a C expression.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ExprError {
    /// Something other than the expected operand or operator.
    #[error("expected {expected}, found {found:?}")]
    Unexpected {
        /// What should stand there.
        expected: &'static str,
        /// The source of the unexpected token; empty at the end.
        found: String,
    },
    /// Expressions nested more than [`MAX_DEPTH`] deep.
    #[error("nested more than {MAX_DEPTH} deep")]
    TooDeep,
    /// A statement expression that does more than compute a value from others.
    #[error("a statement expression")]
    Statements,
}

/// How deep expressions may nest. The deepest of any kernel, the `gfp_t` tables of arm64, nest about 30 deep.
pub const MAX_DEPTH: usize = 96;

impl PrintFmt {
    /// Parses the text after `print fmt: `.
    pub fn parse(text: &str) -> PrintFmt {
        let (literal, rest) = literal(text);
        let args = match rest.trim_start().strip_prefix(',') {
            Some(rest) => split_arguments(rest),
            None => vec![],
        };
        PrintFmt { literal, args }
    }

    /// The printf format alone.
    pub fn parse_literal(text: &str) -> Vec<u8> {
        literal(text).0
    }
}

/// Splits the string literals that `text` begins with from the rest. The kernel inserts the literal after its escapes
/// were resolved once, so it may contain bare quotes (`"warn="%s"", REC->…`): a quote ends it only if a comma,
/// another literal or nothing follows.
fn literal(text: &str) -> (Vec<u8>, &str) {
    let mut bytes = Vec::new();
    let mut rest = text.trim_start();
    while let Some(inside) = rest.strip_prefix('"') {
        let end = closing_quote(inside);
        bytes.extend(lexer::unescape(&inside[..end]));
        rest = inside.get(end + 1..).unwrap_or("");
        match rest.trim_start() {
            next if next.starts_with('"') => rest = next,
            _ => break,
        }
    }
    (bytes, rest)
}

/// Where the literal that continues in `inside` ends: the offset of its closing quote, or the end of the text.
fn closing_quote(inside: &str) -> usize {
    let mut escaped = false;
    for (at, c) in inside.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => {
                let after = &inside[at + 1..];
                let next = after.trim_start();
                let another = after.starts_with([' ', '\n', '\t']) && next.starts_with('"');
                if next.is_empty() || next.starts_with(',') || another {
                    return at;
                }
            }
            _ => {}
        }
    }
    inside.len()
}

/// Splits arguments at the commas outside of brackets.
fn split_arguments(text: &str) -> Vec<Argument> {
    let tokens = lexer::tokens(text);
    let mut depth = 0usize;
    let is_separator = |t: &Spanned<'_>| {
        match t.token {
            Token::Punct("(" | "[" | "{") => depth += 1,
            Token::Punct(")" | "]" | "}") => depth = depth.saturating_sub(1),
            _ => {}
        }
        depth == 0 && t.token == Token::Punct(",")
    };
    tokens
        .split(is_separator)
        .filter_map(|tokens| {
            let (first, last) = (tokens.first()?, tokens.last()?);
            let source = text.get(first.start..last.end).unwrap_or_default();
            Some(Argument { text: source.to_owned(), expr: parser::expression(text, tokens) })
        })
        .collect()
}

#[cfg(test)]
mod tests;
