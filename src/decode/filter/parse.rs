//! Parses the text of a filter with nom: the grammar of the kernel's `filter` files
//! (kernel/trace/trace_events_filter.c).
//!
//! ```text
//! filter    = or [ "||" ] | and [ "&&" ]
//! or        = and { "||" and }
//! and       = not { "&&" not }
//! not       = "!" not | "(" or ")" | predicate
//! predicate = field [ ".ustring" ] operator value | field ".function" operator ( number | name )
//! operator  = "==" | "!=" | "<=" | ">=" | "<" | ">" | "&" | "~"
//! value     = number | quoted text | "CPUS{" list "}"
//! ```

use nom::{
    IResult, Parser,
    branch::alt,
    bytes::complete::{tag, take_till, take_while1},
    character::complete::{char, multispace0},
    combinator::{opt, recognize, value, verify},
    error::{Error, ErrorKind},
    sequence::{delimited, preceded},
};

use super::FilterError;

/// A filter's syntax tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Expression {
    Or(Vec<Expression>),
    And(Vec<Expression>),
    Not(Box<Expression>),
    Predicate(Predicate),
}

/// `prev_pid == 0`
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Predicate {
    pub(super) field: String,
    pub(super) operator: Operator,
    pub(super) value: Literal,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operator {
    Equal,
    NotEqual,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
    /// `&`: any of these bits.
    Bits,
    /// `~`: a glob.
    Like,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Literal {
    /// A number as text: how it is read depends on the field's sign.
    Number(String),
    Text(String),
    /// The list between the braces of `CPUS{…}`.
    Cpus(String),
    /// After `.function`: the name of a function, or an address in it.
    Function(String),
}

/// The kernel's buffer for a number has this size (`num_buf` in `parse_pred`).
const MAX_NUMBER: usize = 24;
/// The longest filter that is parsed; the kernel's limit is one page.
const MAX_LEN: usize = 64 << 10;
/// The deepest nesting of parentheses and negations.
const MAX_DEPTH: u32 = 100;

/// Parses a whole filter.
pub(super) fn parse(text: &str) -> Result<Expression, FilterError> {
    if text.len() > MAX_LEN {
        return Err(FilterError::TooLong { len: text.len(), limit: MAX_LEN });
    }
    // `apply_event_filter`: this removes the filter.
    if text.trim() == "0" {
        return Ok(Expression::And(vec![]));
    }
    let failed = |rest: &str| {
        let found: String = rest.chars().take(20).collect();
        FilterError::Syntax { column: text[..text.len() - rest.len()].chars().count() + 1, found }
    };
    let (rest, expression) = match or(text, 0) {
        Ok(parsed) => parsed,
        Err(nom::Err::Failure(error)) if error.code == ErrorKind::TooLarge => {
            return Err(FilterError::TooDeep { limit: MAX_DEPTH });
        }
        // The only other failure is `literal`'s.
        Err(nom::Err::Failure(error)) => {
            let FilterError::Syntax { column, found } = failed(error.input) else { return Err(failed(error.input)) };
            return Err(FilterError::Value { column, found });
        }
        Err(nom::Err::Error(error)) => return Err(failed(error.input)),
        Err(nom::Err::Incomplete(_)) => return Err(failed("")),
    };
    let rest = rest.trim_start();
    // `predicate_parse` continues after `&&` and `||`, and accepts the end of the text there; but after `||` it finds
    // no end for `&&`.
    let joined = || {
        and(text, 0)
            .is_ok_and(|(rest, _)| rest.trim_start().strip_prefix("||").is_some_and(|behind| !behind.trim().is_empty()))
    };
    let and = rest.strip_prefix("&&").filter(|_| !joined());
    let behind = and.or_else(|| rest.strip_prefix("||")).map_or(rest, str::trim_start);
    if behind.is_empty() { Ok(expression) } else { Err(failed(rest)) }
}

fn or(input: &str, depth: u32) -> IResult<&str, Expression> {
    joined(input, "||", |input| and(input, depth), Expression::Or)
}

fn and(input: &str, depth: u32) -> IResult<&str, Expression> {
    joined(input, "&&", |input| not(input, depth), Expression::And)
}

/// `item { word item }`; a single item stays as it is.
fn joined<'a>(
    input: &'a str,
    word: &'static str,
    item: impl Fn(&'a str) -> IResult<&'a str, Expression>,
    make: fn(Vec<Expression>) -> Expression,
) -> IResult<&'a str, Expression> {
    let (mut input, first) = item(input)?;
    let mut items = vec![first];
    while let (rest, Some(_)) = opt(preceded(multispace0, tag::<_, _, Error<&str>>(word))).parse(input)? {
        if rest.trim_start().is_empty() {
            // Whether an operand may be missing is checked for the whole filter.
            break;
        }
        let (rest, next) = item(rest)?;
        items.push(next);
        input = rest;
    }
    Ok((input, if items.len() == 1 { items.swap_remove(0) } else { make(items) }))
}

fn not(input: &str, depth: u32) -> IResult<&str, Expression> {
    if depth > MAX_DEPTH {
        return Err(nom::Err::Failure(Error::new(input, ErrorKind::TooLarge)));
    }
    let (input, _) = multispace0(input)?;
    if let Some(rest) = input.strip_prefix('!') {
        let (rest, negated) = not(rest, depth + 1)?;
        return Ok((rest, Expression::Not(Box::new(negated))));
    }
    if let Some(rest) = input.strip_prefix('(') {
        let (rest, inner) = or(rest, depth + 1)?;
        let (rest, _) = preceded(multispace0, char(')')).parse(rest)?;
        return Ok((rest, inner));
    }
    predicate(input)
}

fn predicate(input: &str) -> IResult<&str, Expression> {
    let (rest, field) = preceded(multispace0, take_while1(is_word)).parse(input)?;
    // `.ustring` marks a string in user space. A string in the record is never there; the kernel too heeds it for a
    // `char *` only.
    if let Some(rest) = rest.strip_prefix(".function") {
        let (rest, operator) = preceded(multispace0, operator).parse(rest)?;
        let (rest, literal) = preceded(multispace0, function).parse(rest)?;
        return Ok((rest, Expression::Predicate(Predicate { field: field.to_owned(), operator, value: literal })));
    }
    let rest = rest.strip_prefix(".ustring").unwrap_or(rest);
    let (rest, operator) = preceded(multispace0, operator).parse(rest)?;
    let (rest, literal) = preceded(multispace0, literal).parse(rest)?;
    let predicate = Predicate { field: field.to_owned(), operator, value: literal };
    Ok((rest, Expression::Predicate(predicate)))
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

fn operator(input: &str) -> IResult<&str, Operator> {
    alt((
        value(Operator::Equal, tag("==")),
        value(Operator::NotEqual, tag("!=")),
        value(Operator::LessEqual, tag("<=")),
        value(Operator::GreaterEqual, tag(">=")),
        value(Operator::Less, tag("<")),
        value(Operator::Greater, tag(">")),
        // `&`, but not the first half of `&&`.
        value(Operator::Bits, (char('&'), nom::combinator::not(char('&')))),
        value(Operator::Like, tag("~")),
    ))
    .parse(input)
}

/// The error kind if there is no valid value.
const NO_VALUE: ErrorKind = ErrorKind::Digit;

fn literal(input: &str) -> IResult<&str, Literal> {
    let quoted = |quote: char| delimited(char(quote), take_till(move |c| c == quote), char(quote));
    let cpus = delimited(tag("CPUS{"), take_till(|c| c == '}'), char('}'));
    let found = alt((
        alt((quoted('"'), quoted('\''))).map(|text: &str| Literal::Text(text.to_owned())),
        cpus.map(|list: &str| Literal::Cpus(list.to_owned())),
        number,
    ))
    .parse(input);
    found.map_err(|error: nom::Err<Error<&str>>| match error {
        nom::Err::Error(_) if !input.is_empty() => nom::Err::Failure(Error::new(input, NO_VALUE)),
        error => error,
    })
}

/// A name or address: everything up to the next space, even a parenthesis.
fn function(input: &str) -> IResult<&str, Literal> {
    let address = verify(take_while1(|c: char| c.is_ascii_alphanumeric()), |word: &str| {
        word.starts_with(|c: char| c.is_ascii_digit())
    });
    let name = take_while1(|c: char| !c.is_ascii_whitespace());
    let (rest, word) = alt((address, name)).parse(input)?;
    Ok((rest, Literal::Function(word.to_owned())))
}

/// An optional `-`, a digit, and all letters and digits after it. Whether that is a number depends on the field.
fn number(input: &str) -> IResult<&str, Literal> {
    let word = (opt(char('-')), take_while1(|c: char| c.is_ascii_alphanumeric()));
    let (rest, word) = verify(recognize(word), |word: &str| {
        word.starts_with(|c: char| c == '-' || c.is_ascii_digit()) && word.len() < MAX_NUMBER
    })
    .parse(input)?;
    Ok((rest, Literal::Number(word.to_owned())))
}
