//! One message as one line of text: stable, exact, and easy to search.
//!
//! `TIME ADDRESS ,TAGS name=value name=value …`. TIME is the bundle's timetag in Unix seconds, `-` for a message outside
//! any bundle. Numbers are printed so that they read back to the same bits, strings in double quotes with C's escapes,
//! blobs in hex, timetags as Unix seconds, arrays in brackets. `listen` and `replay --print` write the same lines.

use std::io::{self, Write};

use rosc::{OscMessage, OscTime, OscType};

use super::timetag;
use crate::terminal::{Escaped, is_escaped};

/// Writes `message` as one line.
///
/// `names` are its arguments' names as its schema gives them: one for each value, those inside arrays included. Another
/// number of names is no use and is ignored.
///
/// ```
/// use ftrace_live::osc::print::write_line;
/// use rosc::{OscMessage, OscType};
/// let message = OscMessage {
///     addr: "/ftrace/task/task_rename".into(),
///     args: vec![OscType::Int(7), OscType::Float(0.1), OscType::String("a \"b\"".into())],
/// };
/// let mut line = Vec::new();
/// write_line(&mut line, &message, None, &["pid".into(), "dt".into(), "newcomm".into()]).unwrap();
/// assert_eq!(
///     String::from_utf8(line).unwrap(),
///     "- /ftrace/task/task_rename ,ifs pid=7 dt=0.1 newcomm=\"a \\\"b\\\"\"\n"
/// );
/// ```
pub fn write_line(
    out: &mut (impl Write + ?Sized),
    message: &OscMessage,
    time: Option<OscTime>,
    names: &[String],
) -> io::Result<()> {
    match time {
        Some(time) => write_time(out, time)?,
        None => out.write_all(b"-")?,
    }
    out.write_all(b" ")?;
    write_escaped(out, &message.addr, b' ')?;
    write!(out, " ,{}", tags(&message.args))?;
    let named = !names.is_empty() && names.len() == values(&message.args);
    let mut names = if named { names } else { &[] }.iter();
    write_values(out, &message.args, &mut names)?;
    out.write_all(b"\n")
}

/// The type tags of `arguments`, without the comma.
pub fn tags(arguments: &[OscType]) -> String {
    let mut out = String::new();
    push_tags(arguments, &mut out);
    out
}

// The depth of arrays is bounded where packets are taken apart.
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

/// How many values there are, those inside arrays counted one by one.
fn values(arguments: &[OscType]) -> usize {
    arguments
        .iter()
        .map(|argument| match argument {
            OscType::Array(array) => values(&array.content),
            _ => 1,
        })
        .sum()
}

/// Writes ` name=value` for each value; without names, arrays stand in brackets.
fn write_values(
    out: &mut (impl Write + ?Sized),
    arguments: &[OscType],
    names: &mut std::slice::Iter<'_, String>,
) -> io::Result<()> {
    for argument in arguments {
        match argument {
            OscType::Array(array) if !names.as_slice().is_empty() => write_values(out, &array.content, names)?,
            _ => {
                out.write_all(b" ")?;
                if let Some(name) = names.next() {
                    write_escaped(out, name, b'=')?;
                    out.write_all(b"=")?;
                }
                write_value(out, argument)?;
            }
        }
    }
    Ok(())
}

fn write_value(out: &mut (impl Write + ?Sized), value: &OscType) -> io::Result<()> {
    match value {
        OscType::Int(v) => write!(out, "{v}"),
        OscType::Long(v) => write!(out, "{v}"),
        // Debug keeps the point (`1.0`), so that a float is seen to be one, and is the shortest that reads back.
        OscType::Float(v) => write!(out, "{v:?}"),
        OscType::Double(v) => write!(out, "{v:?}"),
        OscType::String(v) => write_quoted(out, v, b'"'),
        OscType::Char(v) => write_quoted(out, v.encode_utf8(&mut [0; 4]), b'\''),
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
        OscType::Array(array) => {
            out.write_all(b"[")?;
            for (k, value) in array.content.iter().enumerate() {
                if k > 0 {
                    out.write_all(b" ")?;
                }
                write_value(out, value)?;
            }
            out.write_all(b"]")
        }
    }
}

/// Unix seconds with nine decimals; OSC's "immediately" by name.
fn write_time(out: &mut (impl Write + ?Sized), time: OscTime) -> io::Result<()> {
    let tag = u64::from(time.seconds) << 32 | u64::from(time.fractional);
    if tag == 1 {
        return out.write_all(b"immediately");
    }
    let ns = timetag::to_unix_ns(tag);
    write!(out, "{}.{:09}", ns / 1_000_000_000, ns % 1_000_000_000)
}

fn write_quoted(out: &mut (impl Write + ?Sized), text: &str, quote: u8) -> io::Result<()> {
    out.write_all(&[quote])?;
    write_escaped(out, text, quote)?;
    out.write_all(&[quote])
}

/// Writes `text` with `special`, backslashes and what acts on a terminal escaped, so that a line stays a line.
fn write_escaped(out: &mut (impl Write + ?Sized), text: &str, special: u8) -> io::Result<()> {
    for c in text.chars() {
        match c {
            ' ' if special == b' ' => out.write_all(b"\\x20")?,
            c if c == '\\' || c == char::from(special) => write!(out, "\\{c}")?,
            c if is_escaped(c) => write!(out, "{}", Escaped(c.encode_utf8(&mut [0; 4])))?,
            c => write!(out, "{c}")?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rosc::OscArray;

    fn line(args: Vec<OscType>, names: &[&str]) -> String {
        let message = OscMessage { addr: "/a".into(), args };
        let names: Vec<String> = names.iter().map(|n| n.to_string()).collect();
        let mut out = Vec::new();
        write_line(&mut out, &message, None, &names).unwrap();
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
    fn names_stand_before_values_and_inside_arrays_too() {
        let args = vec![OscType::Int(1), array(vec![OscType::Int(2), OscType::Int(3)])];
        assert_eq!(line(args.clone(), &["a", "v[0]", "v[1]"]), "- /a ,i[ii] a=1 v[0]=2 v[1]=3\n");
        assert_eq!(line(args, &["a", "v"]), "- /a ,i[ii] 1 [2 3]\n", "names that do not fit are not used");
    }

    #[test]
    fn time_is_in_unix_seconds_and_immediately_by_name() {
        let message = OscMessage { addr: "/a".into(), args: vec![] };
        let with = |time| {
            let mut out = Vec::new();
            write_line(&mut out, &message, Some(time), &[]).unwrap();
            String::from_utf8(out).unwrap()
        };
        assert_eq!(with(OscTime { seconds: 2_208_988_800 + 5, fractional: 1 << 31 }), "5.500000000 /a ,\n");
        assert_eq!(with(OscTime { seconds: 0, fractional: 1 }), "immediately /a ,\n");
    }

    proptest! {
        #[test]
        fn a_line_stays_one_line_and_does_nothing_to_a_terminal(addr in any::<String>(), text in any::<String>()) {
            let message = OscMessage { addr, args: vec![OscType::String(text)] };
            let mut out = Vec::new();
            write_line(&mut out, &message, None, &["na\nme".into()]).unwrap();
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
