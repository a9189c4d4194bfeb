//! Captures made by hand, with contents that no available kernel would write.

use std::{fs, path::Path};

const HEADER_PAGE: &str = "\tfield: u64 timestamp;\toffset:0;\tsize:8;\tsigned:0;
\tfield: local_t commit;\toffset:8;\tsize:8;\tsigned:1;
\tfield: int overwrite;\toffset:8;\tsize:1;\tsigned:1;
\tfield: char data;\toffset:16;\tsize:4080;\tsigned:0;
";

/// A `format` file: common fields, then `fields` as they are, each on its line.
pub fn format(name: &str, id: u16, fields: &[&str], print_fmt: &str) -> String {
    let common = [
        "unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;",
        "unsigned char common_flags;\toffset:2;\tsize:1;\tsigned:0;",
        "unsigned char common_preempt_count;\toffset:3;\tsize:1;\tsigned:0;",
        "int common_pid;\toffset:4;\tsize:4;\tsigned:1;",
    ];
    let lines = |fields: &[&str]| fields.iter().map(|field| format!("\tfield:{field}\n")).collect::<String>();
    format!("name: {name}\nID: {id}\nformat:\n{}\n{}\nprint fmt: {print_fmt}\n", lines(&common), lines(fields))
}

/// A little-endian record of event `id`, written by task `pid`.
pub fn record(id: u16, pid: i32, fields: &[u8]) -> Vec<u8> {
    [&id.to_le_bytes()[..], &[0, 0], &pid.to_le_bytes(), fields].concat()
}

/// A sub-buffer of 4 KiB that begins at `time`, with `records`, each this many units of the clock after the previous
/// one.
pub fn page(time: u64, records: &[(u32, Vec<u8>)]) -> Vec<u8> {
    let mut data = Vec::new();
    for (delta, record) in records {
        let words = record.len().div_ceil(4);
        assert!((1..=28).contains(&words) && *delta < 1 << 27);
        data.extend((words as u32 | delta << 5).to_le_bytes());
        data.extend(record);
        data.resize(data.len().next_multiple_of(4), 0);
    }
    let mut page = [time.to_le_bytes(), (data.len() as u64).to_le_bytes()].concat();
    page.extend(data);
    assert!(page.len() <= 4096);
    page.resize(4096, 0);
    page
}

/// A capture folder: the formats as `(system, folder, text)`, the rings by CPU.
pub fn folder(path: &Path, clock: &str, formats: &[(&str, &str, String)], rings: &[(u32, Vec<u8>)]) {
    let put = |name: String, data: &[u8]| {
        let path = path.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, data).unwrap();
    };
    put("events/header_page".to_owned(), HEADER_PAGE.as_bytes());
    for (system, event, text) in formats {
        put(format!("events/{system}/{event}/format"), text.as_bytes());
    }
    for (cpu, ring) in rings {
        put(format!("per_cpu/cpu{cpu}/trace_pipe_raw"), ring);
    }
    put("trace_clock".to_owned(), format!("local [{clock}]\n").as_bytes());
}
