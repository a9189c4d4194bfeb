//! The C tokens of a print format's arguments.

use nom::{
    IResult, Parser,
    branch::alt,
    bytes::complete::{tag, tag_no_case, take_while, take_while1},
    character::complete::{anychar, char, digit0, hex_digit1, oct_digit0},
    combinator::{consumed, map, not, peek, recognize, rest, value, verify},
    multi::many0,
    sequence::{pair, preceded, terminated},
};

/// A token of C.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Token {
    Word(String),
    Number(Number),
    /// A string literal, its escapes resolved.
    Str(Vec<u8>),
    /// An operator or bracket.
    Punct(&'static str),
    /// A character that C does not know, or the beginning of an unfinished literal.
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
pub(super) struct Spanned {
    pub(super) token: Token,
    pub(super) start: usize,
    pub(super) end: usize,
}

/// Operators, longest first.
const PUNCTUATION: [&str; 37] = [
    "<<=", ">>=", "...", "->", "<<", ">>", "<=", ">=", "==", "!=", "&&", "||", "++", "--", "+=", "-=", "(", ")", "[",
    "]", "{", "}", ",", ";", "?", ":", "+", "-", "*", "/", "%", "&", "|", "^", "~", "!", "=",
];
const LESS_COMMON: [&str; 3] = ["<", ">", "."];

/// Splits `text` into tokens. Whatever it holds, there is a list of tokens: what is no C becomes [`Token::Other`].
pub(super) fn tokens(text: &str) -> Vec<Spanned> {
    let mut found = Vec::new();
    let mut input = text.trim_start();
    while let Ok((after, (consumed, token))) = consumed(token).parse(input) {
        let start = text.len() - input.len();
        found.push(Spanned { token, start, end: start + consumed.len() });
        input = after.trim_start();
    }
    found
}

fn token(input: &str) -> IResult<&str, Token> {
    alt((
        map(recognize(pair(take_while1(is_word_start), take_while(is_word))), |w: &str| Token::Word(w.to_owned())),
        map(number, Token::Number),
        map(string, Token::Str),
        map(character, |value| Token::Number(Number { value: value as u64, unsigned: false, longs: 0, decimal: true })),
        punctuation,
        map(anychar, Token::Other),
    ))
    .parse(input)
}

fn is_word_start(c: char) -> bool {
    c.is_ascii_alphabetic() || c == '_' || c == '$'
}

fn is_word(c: char) -> bool {
    is_word_start(c) || c.is_ascii_digit()
}

fn punctuation(input: &str) -> IResult<&str, Token> {
    let found = PUNCTUATION.iter().chain(&LESS_COMMON).find(|p| input.starts_with(**p));
    match found {
        Some(p) => Ok((&input[p.len()..], Token::Punct(p))),
        None => Err(nom::Err::Error(nom::error::Error::new(input, nom::error::ErrorKind::OneOf))),
    }
}

/// `42`, `0x00200000`, `0755`, `1ULL`. A value that needs more than 64 bits is none.
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

/// A string literal. Line breaks and tabs may stand in it as they are: the kernel's preprocessor has already turned
/// `\n` into the character once.
fn string(input: &str) -> IResult<&str, Vec<u8>> {
    preceded(char('"'), terminated(until(b'"'), char('"'))).parse(input)
}

/// `'F'`, of the value an `int` of it has.
fn character(input: &str) -> IResult<&str, i64> {
    let one = verify(until(b'\''), |bytes: &Vec<u8>| bytes.len() == 1);
    map(preceded(char('\''), terminated(one, char('\''))), |bytes| i64::from(bytes[0] as i8)).parse(input)
}

/// Bytes up to an unescaped `end`.
fn until<'a>(end: u8) -> impl Parser<&'a str, Output = Vec<u8>, Error = nom::error::Error<&'a str>> {
    let plain = move |i: &'a str| -> IResult<&'a str, Vec<u8>> {
        map(take_while1(move |c: char| c != '\\' && c != char::from(end)), |s: &str| s.as_bytes().to_vec()).parse(i)
    };
    map(many0(alt((plain, map(escape, |byte| vec![byte])))), |parts| parts.concat())
}

/// Resolves the escapes of `text`; a lone backslash at its end stays.
pub(super) fn unescape(text: &str) -> Vec<u8> {
    let plain = map(take_while1(|c: char| c != '\\'), |s: &str| s.as_bytes().to_vec());
    let parts = many0(alt((plain, map(escape, |byte| vec![byte])))).parse(text);
    let Ok((left, parts)) = parts else { return text.as_bytes().to_vec() };
    let mut bytes = parts.concat();
    let tail: IResult<&str, &str> = rest(left);
    bytes.extend(tail.map_or(&b""[..], |(_, tail)| tail.as_bytes()));
    bytes
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

    fn kinds(text: &str) -> Vec<Token> {
        tokens(text).into_iter().map(|t| t.token).collect()
    }

    fn number(value: u64, unsigned: bool, longs: u8, decimal: bool) -> Token {
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
    fn what_is_no_c_is_still_a_token() {
        assert_eq!(kinds("@ \"open"), [Token::Other('@'), Token::Other('"'), Token::Word("open".into())]);
        assert_eq!(
            kinds("x->y>>=1")[1..],
            [Token::Punct("->"), Token::Word("y".into()), Token::Punct(">>="), number(1, false, 0, true)]
        );
    }
}
