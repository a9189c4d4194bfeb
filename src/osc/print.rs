//! Prints a message as one line of text: stable, exact, and easy to grep.
//!
//! `TIME ADDRESS ,TAGS name=value name=value …`. TIME is the bundle's timetag in Unix seconds, or `-` for a message
//! outside of a bundle. Numbers are printed so that they read back to the same bits, strings in double quotes with C
//! escapes (a byte that is not UTF-8 as `\xe9`), blobs in hex, timetags as Unix seconds, arrays in brackets. A
//! malformed message is printed as far as it can be parsed, followed by ` <byte 12: a truncated argument 'i'>`.
//! `listen` and `replay --print` print the same lines.

use std::io::{self, Write};

use rosc::{OscTime, OscType};

use super::message::{Argument, Fault, Message};
use super::timetag;
use crate::escape::{Escaped, is_escaped};

/// The form in which a message is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Form {
    /// A line of text: [`write_line`].
    #[default]
    Text,
    /// A line of JSON: [`write_json`](super::json::write_json).
    Json,
}

impl Form {
    /// Writes `message` as one line of this form.
    ///
    /// # Errors
    /// The error of `out`.
    pub fn write(
        self,
        out: &mut (impl Write + ?Sized),
        message: &Message<'_>,
        time: Option<OscTime>,
        names: &[String],
    ) -> io::Result<()> {
        match self {
            Form::Text => write_line(out, message, time, names),
            Form::Json => super::json::write_json(out, message, time, names),
        }
    }
}

/// Writes `message` as one line.
///
/// `names` are the names of its arguments according to its schema: one for each value, including those inside arrays.
/// Names are ignored if their number differs.
///
/// ```
/// use ftrace_live::osc::{message::Message, print::write_line};
/// let message = Message::read(b"/task\0\0\0,is\0\0\0\0\x07a \"b\"\0\0\0");
/// let mut line = Vec::new();
/// write_line(&mut line, &message, None, &["pid".into(), "newcomm".into()]).unwrap();
/// assert_eq!(String::from_utf8(line).unwrap(), "- /task ,is pid=7 newcomm=\"a \\\"b\\\"\"\n");
/// ```
pub fn write_line(
    out: &mut (impl Write + ?Sized),
    message: &Message<'_>,
    time: Option<OscTime>,
    names: &[String],
) -> io::Result<()> {
    match time {
        Some(time) => write_time(out, time)?,
        None => out.write_all(b"-")?,
    }
    out.write_all(b" ")?;
    write_escaped(out, message.address, b' ')?;
    out.write_all(b" ,")?;
    write_escaped(out, message.tags, b' ')?;
    let named = !names.is_empty() && names.len() == values(&message.arguments);
    let mut names = if named { names } else { &[] }.iter();
    write_values(out, &message.arguments, &mut names)?;
    if let Some(Fault { at, what }) = message.fault {
        write!(out, " <byte {at}: {what}>")?;
    }
    out.write_all(b"\n")
}

/// The type tags of `arguments`, without the comma.
pub fn tags(arguments: &[OscType]) -> String {
    let mut out = String::new();
    push_tags(arguments, &mut out);
    out
}

// The nesting of arrays was limited when packets were split.
fn push_tags(arguments: &[OscType], out: &mut String) {
    for argument in arguments {
        let tag = match argument {
            OscType::Int(_) => 'i',
            OscType::Float(_) => 'f',
            OscType::String(_) => 's',
            OscType::Blob(_) => 'b',
            OscType::Time(_) => 't',
            OscType::Long(_) => 'h',
            OscType::Double(_) => 'd',
            OscType::Char(_) => 'c',
            OscType::Color(_) => 'r',
            OscType::Midi(_) => 'm',
            OscType::Bool(true) => 'T',
            OscType::Bool(false) => 'F',
            OscType::Nil => 'N',
            OscType::Inf => 'I',
            OscType::Array(array) => {
                out.push('[');
                push_tags(&array.content, out);
                ']'
            }
        };
        out.push(tag);
    }
}

/// The number of values, counting those inside arrays one by one.
fn values(arguments: &[Argument<'_>]) -> usize {
    arguments
        .iter()
        .map(|argument| match argument {
            Argument::Array(array) => values(array),
            _ => 1,
        })
        .sum()
}

/// Writes ` name=value` for each value; without names, arrays are in brackets.
fn write_values(
    out: &mut (impl Write + ?Sized),
    arguments: &[Argument<'_>],
    names: &mut std::slice::Iter<'_, String>,
) -> io::Result<()> {
    for argument in arguments {
        match argument {
            Argument::Array(array) if !names.as_slice().is_empty() => write_values(out, array, names)?,
            _ => {
                out.write_all(b" ")?;
                if let Some(name) = names.next() {
                    write_escaped(out, name.as_bytes(), b'=')?;
                    out.write_all(b"=")?;
                }
                write_argument(out, argument)?;
            }
        }
    }
    Ok(())
}

fn write_argument(out: &mut (impl Write + ?Sized), argument: &Argument<'_>) -> io::Result<()> {
    match argument {
        Argument::Text(text) => write_quoted(out, text, b'"'),
        Argument::Value(value) => write_value(out, value),
        Argument::Array(array) => write_array(out, array),
    }
}

fn write_array(out: &mut (impl Write + ?Sized), array: &[Argument<'_>]) -> io::Result<()> {
    out.write_all(b"[")?;
    for (k, argument) in array.iter().enumerate() {
        if k > 0 {
            out.write_all(b" ")?;
        }
        write_argument(out, argument)?;
    }
    out.write_all(b"]")
}

fn write_value(out: &mut (impl Write + ?Sized), value: &OscType) -> io::Result<()> {
    match value {
        OscType::Int(v) => write!(out, "{v}"),
        OscType::Long(v) => write!(out, "{v}"),
        // Debug keeps the point (`1.0`), which marks a float, and prints the shortest form that reads back.
        OscType::Float(v) => write!(out, "{v:?}"),
        OscType::Double(v) => write!(out, "{v:?}"),
        OscType::String(v) => write_quoted(out, v.as_bytes(), b'"'),
        OscType::Char(v) => write_quoted(out, v.encode_utf8(&mut [0; 4]).as_bytes(), b'\''),
        OscType::Time(v) => write_time(out, *v),
        OscType::Blob(v) => {
            out.write_all(b"0x")?;
            v.iter().try_for_each(|byte| write!(out, "{byte:02x}"))
        }
        OscType::Color(v) => write!(out, "#{:02x}{:02x}{:02x}{:02x}", v.red, v.green, v.blue, v.alpha),
        OscType::Midi(v) => write!(out, "midi:{:02x}{:02x}{:02x}{:02x}", v.port, v.status, v.data1, v.data2),
        OscType::Bool(v) => write!(out, "{v}"),
        OscType::Nil => out.write_all(b"nil"),
        OscType::Inf => out.write_all(b"inf"),
        OscType::Array(array) => write_array(out, &super::message::borrowed(&array.content)),
    }
}

/// Unix seconds with nine decimals, or "immediately".
fn write_time(out: &mut (impl Write + ?Sized), time: OscTime) -> io::Result<()> {
    let tag = u64::from(time.seconds) << 32 | u64::from(time.fractional);
    if tag == 1 {
        return out.write_all(b"immediately");
    }
    let ns = timetag::to_unix_ns(tag);
    write!(out, "{}.{:09}", ns / 1_000_000_000, ns % 1_000_000_000)
}

fn write_quoted(out: &mut (impl Write + ?Sized), text: &[u8], quote: u8) -> io::Result<()> {
    out.write_all(&[quote])?;
    write_escaped(out, text, quote)?;
    out.write_all(&[quote])
}

/// Writes `text`, and escapes `special`, backslashes, terminal control characters and bytes that are not UTF-8, so
/// that a line stays a line.
fn write_escaped(out: &mut (impl Write + ?Sized), text: &[u8], special: u8) -> io::Result<()> {
    for chunk in text.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                ' ' if special == b' ' => out.write_all(b"\\x20")?,
                c if c == '\\' || c == char::from(special) => write!(out, "\\{c}")?,
                c if is_escaped(c) => write!(out, "{}", Escaped(c.encode_utf8(&mut [0; 4])))?,
                c => write!(out, "{c}")?,
            }
        }
        write!(out, "{}", Escaped(chunk.invalid()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rosc::{OscArray, OscMessage};

    fn line(args: Vec<OscType>, names: &[&str]) -> String {
        let message = OscMessage { addr: "/a".into(), args };
        let names: Vec<String> = names.iter().map(|n| n.to_string()).collect();
        let tags = tags(&message.args);
        let mut out = Vec::new();
        write_line(&mut out, &Message::of_rosc(&message, &tags), None, &names).unwrap();
        String::from_utf8(out).unwrap()
    }

    fn array(content: Vec<OscType>) -> OscType {
        OscType::Array(OscArray { content })
    }

    #[test]
    fn every_type_has_its_form() {
        let args = vec![
            OscType::Int(-1),
            OscType::Long(1 << 53),
            OscType::Float(1.0),
            OscType::Double(1e300),
            OscType::String("é".into()),
            OscType::Blob(vec![0, 255]),
            OscType::Blob(vec![]),
            OscType::Char('\''),
            OscType::Bool(true),
            OscType::Nil,
            array(vec![OscType::Int(1), array(vec![OscType::Int(2)])]),
        ];
        assert_eq!(
            line(args, &[]),
            "- /a ,ihfdsbbcTN[i[i]] -1 9007199254740992 1.0 1e300 \"é\" 0x00ff 0x '\\'' true nil [1 [2]]\n"
        );
    }

    #[test]
    fn names_precede_values_also_inside_arrays() {
        let args = vec![OscType::Int(1), array(vec![OscType::Int(2), OscType::Int(3)])];
        assert_eq!(line(args.clone(), &["a", "v[0]", "v[1]"]), "- /a ,i[ii] a=1 v[0]=2 v[1]=3\n");
        assert_eq!(line(args, &["a", "v"]), "- /a ,i[ii] 1 [2 3]\n", "names of another number are ignored");
    }

    #[test]
    fn time_is_in_unix_seconds_and_immediately_by_name() {
        let message = OscMessage { addr: "/a".into(), args: vec![] };
        let with = |time| {
            let mut out = Vec::new();
            write_line(&mut out, &Message::of_rosc(&message, ""), Some(time), &[]).unwrap();
            String::from_utf8(out).unwrap()
        };
        assert_eq!(with(OscTime { seconds: 2_208_988_800 + 5, fractional: 1 << 31 }), "5.500000000 /a ,\n");
        assert_eq!(with(OscTime { seconds: 0, fractional: 1 }), "immediately /a ,\n");
    }

    #[test]
    fn bytes_that_are_not_utf8_are_escaped_and_an_error_is_printed_last_with_its_place() {
        let printed = |datagram: &[u8]| {
            let mut out = Vec::new();
            write_line(&mut out, &Message::read(datagram), None, &[]).unwrap();
            String::from_utf8(out).unwrap()
        };
        assert_eq!(printed(b"/\xfc\0\0,Si\0caf\xe9\0\0\0\0\0\0\0\x05"), "- /\\xfc ,Si \"caf\\xe9\" 5\n");
        assert_eq!(printed(b"/a\0\0,[i\0\0\0\0\x05"), "- /a ,[i [5] <byte 5: an unclosed array>\n");
        assert_eq!(printed(b"/a\0\0,ii\0\0\0\0\x05\0"), "- /a ,ii 5 <byte 12: a truncated argument 'i'>\n");
        assert_eq!(printed(b"/a\0\0,i\x1b\0\0\0\0\x05"), "- /a ,i\\x1b 5 <byte 6: an unknown type tag '\\x1b'>\n");
    }

    proptest! {
        #[test]
        fn a_line_stays_one_line_and_does_nothing_to_a_terminal(addr in any::<String>(), text in any::<String>()) {
            let message = OscMessage { addr, args: vec![OscType::String(text)] };
            let mut out = Vec::new();
            write_line(&mut out, &Message::of_rosc(&message, "s"), None, &["na\nme".into()]).unwrap();
            let out = String::from_utf8(out).unwrap();
            prop_assert!(out.ends_with('\n'));
            prop_assert!(!out[..out.len() - 1].chars().any(is_escaped));
        }

        #[test]
        fn floats_read_back_to_the_same_bits(bits in any::<u32>()) {
            let value = f32::from_bits(bits);
            prop_assume!(!value.is_nan());
            let text = line(vec![OscType::Float(value)], &["x"]);
            let read: f32 = text.trim_end().rsplit('=').next().unwrap().parse().unwrap();
            prop_assert_eq!(read.to_bits(), bits);
        }
    }
}
