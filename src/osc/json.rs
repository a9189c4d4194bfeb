//! One message as one line of JSON, for programs.
//!
//! `{"time": "UNIX SECONDS" or null, "address": …, "tags": …, "arguments": [{"name": …, "value": …}, …]}`. Numbers
//! are JSON numbers (those that JSON lacks are strings), blobs are strings in hex, timetags strings of Unix seconds.
//! With names, the values of arrays are listed one by one, as the names are. The error of a malformed message is in
//! `fault`.

use std::io::{self, Write};

use rosc::{OscTime, OscType};
use serde_json::{Map, Value, json};

use super::message::{Argument, Fault, Message};
use super::timetag;
use crate::escape::{Escaped, escape_json};

/// Writes `message` as one line; `names` are those of its schema, as for [`write_line`](super::print::write_line).
pub fn write_json(
    out: &mut (impl Write + ?Sized),
    message: &Message<'_>,
    time: Option<OscTime>,
    names: &[String],
) -> io::Result<()> {
    let mut arguments = Vec::new();
    let mut leaves = Vec::new();
    message.arguments.iter().for_each(|argument| flatten(argument, &mut leaves));
    if !names.is_empty() && names.len() == leaves.len() {
        let named = names.iter().zip(leaves);
        arguments.extend(named.map(|(name, leaf)| json!({ "name": name, "value": value(leaf) })));
    } else {
        arguments.extend(message.arguments.iter().map(|argument| json!({ "value": value(argument) })));
    }
    let mut line = Map::new();
    line.insert("time".to_owned(), time.map_or(Value::Null, seconds));
    line.insert("address".to_owned(), String::from_utf8_lossy(message.address).into());
    line.insert("tags".to_owned(), Escaped(message.tags).to_string().into());
    line.insert("arguments".to_owned(), arguments.into());
    if let Some(Fault { at, what }) = message.fault {
        line.insert("fault".to_owned(), format!("byte {at}: {what}").into());
    }
    writeln!(out, "{}", escape_json(&Value::Object(line).to_string()))
}

fn flatten<'m, 'a>(argument: &'m Argument<'a>, leaves: &mut Vec<&'m Argument<'a>>) {
    match argument {
        Argument::Array(array) => array.iter().for_each(|argument| flatten(argument, leaves)),
        leaf => leaves.push(leaf),
    }
}

fn value(argument: &Argument<'_>) -> Value {
    match argument {
        Argument::Text(text) => String::from_utf8_lossy(text).into(),
        Argument::Array(array) => array.iter().map(value).collect(),
        Argument::Value(value) => scalar(value),
    }
}

fn scalar(value: &OscType) -> Value {
    let hex = |bytes: &[u8]| -> Value { bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>().into() };
    // Through its shortest text, so that 0.1 does not become 0.10000000149011612.
    let float = |text: String| {
        text.parse::<f64>().ok().and_then(serde_json::Number::from_f64).map_or(text.into(), Value::Number)
    };
    match value {
        OscType::Int(v) => (*v).into(),
        OscType::Long(v) => (*v).into(),
        OscType::Float(v) => float(v.to_string()),
        OscType::Double(v) => float(v.to_string()),
        OscType::String(v) => v.as_str().into(),
        OscType::Char(v) => v.to_string().into(),
        OscType::Time(v) => seconds(*v),
        OscType::Blob(v) => hex(v),
        OscType::Color(v) => hex(&[v.red, v.green, v.blue, v.alpha]),
        OscType::Midi(v) => hex(&[v.port, v.status, v.data1, v.data2]),
        OscType::Bool(v) => (*v).into(),
        OscType::Nil => Value::Null,
        OscType::Inf => "inf".into(),
        OscType::Array(array) => array.content.iter().map(scalar).collect(),
    }
}

/// A string, since a double cannot hold nanoseconds.
fn seconds(time: OscTime) -> Value {
    let tag = u64::from(time.seconds) << 32 | u64::from(time.fractional);
    if tag == 1 {
        return "immediately".into();
    }
    let ns = timetag::to_unix_ns(tag);
    format!("{}.{:09}", ns / 1_000_000_000, ns % 1_000_000_000).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(message: &[u8], names: &[&str]) -> String {
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        let mut out = Vec::new();
        write_json(&mut out, &Message::read(message), None, &names).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_message_is_one_line() {
        let message = b"/task\0\0\0,isf\0\0\0\0\0\0\0\x07a \"b\"\0\0\0\x3d\xcc\xcc\xcd";
        assert_eq!(
            line(message, &["pid", "newcomm", "dt"]),
            "{\"time\":null,\"address\":\"/task\",\"tags\":\"isf\",\"arguments\":[{\"name\":\"pid\",\"value\":7},\
             {\"name\":\"newcomm\",\"value\":\"a \\\"b\\\"\"},{\"name\":\"dt\",\"value\":0.1}]}\n"
        );
        // Names are ignored if their number differs.
        assert!(line(message, &["pid"]).contains("[{\"value\":7},"));
        let infinite = line(b"/x\0\0,f\0\0\x7f\x80\0\0", &[]);
        assert!(infinite.contains("{\"value\":\"inf\"}"), "{infinite}");
    }

    #[test]
    fn a_truncated_message_says_where() {
        let cut = line(b"/x\0\0,ii\0\0\0\0\x01", &[]);
        assert!(cut.contains("\"value\":1}") && cut.contains("\"fault\":\"byte "), "{cut}");
    }
}
