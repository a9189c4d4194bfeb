//! Splits a print format's arguments into C tokens.

use nom::{
    IResult, Parser,
    branch::alt,
    bytes::complete::{tag, tag_no_case, take_while, take_while1},
    character::complete::{anychar, char, digit0, hex_digit1, oct_digit0},
    combinator::{consumed, map, not, peek, value, verify},
    multi::fold_many0,
    sequence::{preceded, terminated},
};

/// A token of C.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Token<'t> {
    Word(&'t str),
    Number(Number),
    /// A string literal, its escapes resolved.
    Str(Vec<u8>),
    /// An operator or bracket.
    Punct(&'static str),
    /// A character that is not part of C, or the beginning of an unterminated literal.
    Other(char),
}

/// An integer literal and the type its spelling gives it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Number {
    pub(super) value: u64,
    pub(super) unsigned: bool,
    /// How many `L`s: 0, 1 or 2.
    pub(super) longs: u8,
    /// Written in decimal: such a literal never becomes unsigned by being large.
    pub(super) decimal: bool,
}

/// A token and the bytes of the text it stands in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Spanned<'t> {
    pub(super) token: Token<'t>,
    pub(super) start: usize,
    pub(super) end: usize,
}

/// Splits `text` into tokens. It never fails: what is not C becomes [`Token::Other`].
pub(super) fn tokens(text: &str) -> Vec<Spanned<'_>> {
    // Words and operators are three bytes long on average.
    let mut found = Vec::with_capacity(text.len() / 3);
    let mut input = text.trim_start();
    while let Ok((after, (consumed, token))) = consumed(token).parse(input) {
        let start = text.len() - input.len();
        found.push(Spanned { token, start, end: start + consumed.len() });
        input = after.trim_start();
    }
    found
}

fn token(input: &str) -> IResult<&str, Token<'_>> {
    let first = input.chars().next();
    // The first character decides which kind of token it can be.
    match first {
        Some(c) if is_word_start(c) => map(take_while1(is_word), Token::Word).parse(input),
        Some('0'..='9') => alt((map(number, Token::Number), map(anychar, Token::Other))).parse(input),
        Some('"') => alt((map(string, Token::Str), map(anychar, Token::Other))).parse(input),
        Some('\'') => alt((map(character, Token::Number), map(anychar, Token::Other))).parse(input),
        _ => alt((map(punctuation, Token::Punct), map(anychar, Token::Other))).parse(input),
    }
}

fn is_word_start(c: char) -> bool {
    c.is_ascii_alphabetic() || c == '_' || c == '$'
}

fn is_word(c: char) -> bool {
    is_word_start(c) || c.is_ascii_digit()
}

/// An operator or bracket: the longest that matches.
fn punctuation(input: &str) -> IResult<&str, &'static str> {
    let candidates: &[&'static str] = match input.as_bytes().first() {
        Some(b'(') => &["("],
        Some(b')') => &[")"],
        Some(b'[') => &["["],
        Some(b']') => &["]"],
        Some(b'{') => &["{"],
        Some(b'}') => &["}"],
        Some(b',') => &[","],
        Some(b';') => &[";"],
        Some(b'?') => &["?"],
        Some(b':') => &[":"],
        Some(b'.') => &["...", "."],
        Some(b'~') => &["~"],
        Some(b'*') => &["*"],
        Some(b'/') => &["/"],
        Some(b'%') => &["%"],
        Some(b'^') => &["^"],
        Some(b'+') => &["++", "+=", "+"],
        Some(b'-') => &["->", "--", "-=", "-"],
        Some(b'<') => &["<<=", "<<", "<=", "<"],
        Some(b'>') => &[">>=", ">>", ">=", ">"],
        Some(b'=') => &["==", "="],
        Some(b'!') => &["!=", "!"],
        Some(b'&') => &["&&", "&"],
        Some(b'|') => &["||", "|"],
        _ => &[],
    };
    match candidates.iter().find(|p| input.starts_with(**p)) {
        Some(found) => Ok((&input[found.len()..], found)),
        None => Err(nom::Err::Error(nom::error::Error::new(input, nom::error::ErrorKind::OneOf))),
    }
}

/// `42`, `0x00200000`, `0755`, `1ULL`. A value of more than 64 bits does not match.
fn number(input: &str) -> IResult<&str, Number> {
    let radix = |text: &str, radix| u64::from_str_radix(text, radix).unwrap_or(u64::MAX);
    let (after, (value, decimal)) = alt((
        map(preceded(tag_no_case("0x"), hex_digit1), |d| (radix(d, 16), false)),
        map(preceded(char('0'), oct_digit0), |d: &str| (if d.is_empty() { 0 } else { radix(d, 8) }, false)),
        map(verify(digit0, |d: &str| !d.is_empty()), |d| (radix(d, 10), true)),
    ))
    .parse(input)?;
    let suffix = take_while(|c: char| matches!(c, 'u' | 'U' | 'l' | 'L'));
    let (after, suffix) = terminated(suffix, not(peek(take_while1(is_word)))).parse(after)?;
    let count = |letter: char| suffix.chars().filter(|c| c.eq_ignore_ascii_case(&letter)).count();
    let longs = count('l').min(2) as u8;
    Ok((after, Number { value, unsigned: count('u') > 0, longs, decimal }))
}

/// A string literal. It may contain line breaks and tabs: the kernel's preprocessor has already replaced `
/// `.
fn string(input: &str) -> IResult<&str, Vec<u8>> {
    preceded(char('"'), terminated(until(b'"'), char('"'))).parse(input)
}

/// `'F'`, with the value that it has as an `int`.
fn character(input: &str) -> IResult<&str, Number> {
    let one = verify(until(b'\''), |bytes: &Vec<u8>| bytes.len() == 1);
    let value =
        |bytes: Vec<u8>| Number { value: i64::from(bytes[0] as i8) as u64, unsigned: false, longs: 0, decimal: true };
    map(preceded(char('\''), terminated(one, char('\''))), value).parse(input)
}

/// Bytes up to an unescaped `end`.
fn until<'a>(end: u8) -> impl Parser<&'a str, Output = Vec<u8>, Error = nom::error::Error<&'a str>> {
    let plain = move |input: &'a str| -> IResult<&'a str, Piece<'a>> {
        map(take_while1(move |c: char| c != '\\' && c != char::from(end)), Piece::Plain).parse(input)
    };
    fold_many0(alt((plain, map(escape, Piece::Escaped))), Vec::new, Piece::append)
}

/// A part of a literal.
enum Piece<'a> {
    Plain(&'a str),
    Escaped(u8),
}

impl Piece<'_> {
    fn append(mut bytes: Vec<u8>, piece: Piece<'_>) -> Vec<u8> {
        match piece {
            Piece::Plain(text) => bytes.extend_from_slice(text.as_bytes()),
            Piece::Escaped(byte) => bytes.push(byte),
        }
        bytes
    }
}

/// Resolves the escapes of `text`; a lone backslash at its end stays.
pub(super) fn unescape(text: &str) -> Vec<u8> {
    let plain = map(take_while1(|c: char| c != '\\'), Piece::Plain);
    let mut pieces = fold_many0(alt((plain, map(escape, Piece::Escaped))), Vec::new, Piece::append);
    match pieces.parse(text) {
        Ok((left, mut bytes)) => {
            bytes.extend_from_slice(left.as_bytes());
            bytes
        }
        Err(_) => text.as_bytes().to_vec(),
    }
}

/// `\n`, `\"`, `\033`, `\x1b`, and any other escaped ASCII character as itself.
fn escape(input: &str) -> IResult<&str, u8> {
    let octal = verify(take_while1(|c: char| c.is_digit(8)), |d: &str| d.len() <= 3);
    preceded(
        char('\\'),
        alt((
            value(b'\n', char('n')),
            value(b'\t', char('t')),
            value(b'\r', char('r')),
            value(0x07, char('a')),
            value(0x08, char('b')),
            value(0x0b, char('v')),
            value(0x0c, char('f')),
            value(0x1b, char('e')),
            map(preceded(tag("x"), hex_digit1), |d: &str| u64::from_str_radix(d, 16).unwrap_or(0) as u8),
            map(octal, |d| u16::from_str_radix(d, 8).unwrap_or(0) as u8),
            map(verify(anychar, char::is_ascii), |c| c as u8),
        )),
    )
    .parse(input)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(text: &str) -> Vec<Token<'_>> {
        tokens(text).into_iter().map(|t| t.token).collect()
    }

    fn number(value: u64, unsigned: bool, longs: u8, decimal: bool) -> Token<'static> {
        Token::Number(Number { value, unsigned, longs, decimal })
    }

    #[test]
    fn numbers_keep_the_type_their_spelling_gives_them() {
        let found = kinds("0 42 0755 0x00200000 1ULL 20ul 0xFFU 18446744073709551615");
        let expected = [
            number(0, false, 0, false),
            number(42, false, 0, true),
            number(0o755, false, 0, false),
            number(0x20_0000, false, 0, false),
            number(1, true, 2, true),
            number(20, true, 1, true),
            number(0xff, true, 0, false),
            number(u64::MAX, false, 0, true),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn literals_resolve_their_escapes_and_may_hold_line_breaks() {
        let found = kinds("\"a\\\"b\\n\\x1b\\033\\0c\n\td\" 'F' '\\n' '\\''");
        let string = b"a\"b\n\x1b\x1b\0c\n\td".to_vec();
        let char = |c: u8| number(u64::from(c), false, 0, true);
        assert_eq!(found, [Token::Str(string), char(b'F'), char(b'\n'), char(b'\'')]);
    }

    #[test]
    fn characters_outside_c_are_tokens_too() {
        assert_eq!(kinds("@ \"open"), [Token::Other('@'), Token::Other('"'), Token::Word("open")]);
        assert_eq!(
            kinds("x->y>>=1")[1..],
            [Token::Punct("->"), Token::Word("y"), Token::Punct(">>="), number(1, false, 0, true)]
        );
    }
}
