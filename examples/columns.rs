//! A capture's events of one kind as columns, for a Parquet or CSV writer: `cargo run --example columns`.

use std::path::Path;

use byteorder::LittleEndian;
use ftrace_live::capture;
use ftrace_live::decode::{Plan, Value};

/// A column's name, and its value for each record.
pub type Column = (String, Vec<String>);

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (path, event) = (std::env::args().nth(1).ok_or("no FILE")?, std::env::args().nth(2).ok_or("no GROUP:EVENT")?);
    columns(path.as_ref(), &event)?.iter().for_each(|(name, values)| println!("{name}: {}", values.join(",")));
    Ok(())
}

/// The fields of `event` in the capture `path` of a little-endian kernel.
pub fn columns(path: &Path, event: &str) -> Result<Vec<Column>, Box<dyn std::error::Error>> {
    let mut capture = capture::open(path, Default::default())?;
    let format = capture.events.iter().find(|format| format.full_name() == event).ok_or("no such event")?.clone();
    let plan = Plan::compile(&format);
    let mut columns: Vec<Column> = vec![("time".to_owned(), vec![])];
    columns.extend(format.fields.iter().map(|field| (field.name.clone(), vec![])));
    let mut merge = capture.merge();
    while let Some(record) = merge.next_record::<LittleEndian>() {
        if record.bytes.starts_with(&format.id.0.to_le_bytes()) {
            columns[0].1.push(record.time.to_string());
            for ((_, column), value) in columns[1..].iter_mut().zip(plan.values::<LittleEndian>(record.bytes)) {
                column.push(match value? {
                    Value::Signed(number) => number.to_string(),
                    Value::Unsigned(number) => number.to_string(),
                    Value::Text(text) => String::from_utf8_lossy(text).into_owned(),
                    other => format!("{other:?}"),
                });
            }
        }
    }
    Ok(columns)
}
