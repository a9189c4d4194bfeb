//! A `print fmt`: parses, compiles and evaluates, on records of zeros, of ones and of the input's own bytes.
//!
//! The input is a byte that chooses byte order and long size, the print format, and after a NUL the record.

use std::fmt::Write;

use ftrace_live::format::EventFormat;
use ftrace_live::names::{Constants, NoNames};
use ftrace_live::render::TextPlan;

/// Fields of every place and many types, to which the print formats of the seeds refer.
const FIELDS: [(&str, u32); 24] = [
    ("unsigned int REC_u32", 4),
    ("int i", 4),
    ("long l", 8),
    ("u64 u64", 8),
    ("s64 s64", 8),
    ("u8 u8", 1),
    ("signed char c", 1),
    ("u16 u16", 2),
    ("char comm[16]", 16),
    ("u8 addr[6]", 6),
    ("__u8 saddr[28]", 28),
    ("u8 uuid[16]", 16),
    ("unsigned long args[6]", 48),
    ("int fd", 8),
    ("const char * name", 8),
    ("void * ptr", 8),
    ("gfp_t gfp_flags", 4),
    ("enum e kind", 4),
    ("bool flag", 1),
    ("__data_loc char[] str", 4),
    ("__data_loc u8[] buf", 4),
    ("__data_loc u64[] longs", 4),
    ("__data_loc cpumask_t mask", 4),
    ("__rel_loc char[] rel", 4),
];

/// A format file around a print format.
fn format_file(print_fmt: &str) -> String {
    let mut text = "name: fuzzed\nID: 1\nformat:\n".to_owned();
    for (declaration, offset, size) in
        [("unsigned short common_type", 0, 2), ("unsigned char common_flags", 2, 1), ("int common_pid", 4, 4)]
    {
        _ = writeln!(text, "\tfield:{declaration};\toffset:{offset};\tsize:{size};\tsigned:0;");
    }
    text.push('\n');
    let mut offset = 8;
    for (declaration, size) in FIELDS {
        _ = writeln!(text, "\tfield:{declaration};\toffset:{offset};\tsize:{size};\tsigned:1;");
        offset += size;
    }
    _ = write!(text, "\nprint fmt: {print_fmt}\n");
    text
}

/// Constants for some names.
struct Some3;

impl Constants for Some3 {
    fn value(&self, name: &str) -> Option<i64> {
        match name.len() % 4 {
            0 => None,
            1 => Some(-1),
            2 => Some(i64::MIN),
            _ => Some(0x1234_5678),
        }
    }

    fn enumerators(&self, _: &str) -> Vec<(&str, i64)> {
        vec![("A", 0), ("B", 1), ("MINUS", -1)]
    }
}

pub fn run(input: &[u8]) {
    let Some((&bits, input)) = input.split_first() else { return };
    let (source, record) = super::at_nul(&input[..input.len().min(super::LONGEST_SOURCE)]);
    let (endian, long) = super::abi(bits);
    let text = format_file(&String::from_utf8_lossy(source));
    let Ok(format) = EventFormat::parse("system", &text, long) else { return };
    let plan = TextPlan::compile(&format, long, endian, &Some3);
    let mut out = Vec::new();
    for record in [record, &[0; 400], &[0xff; 400], &[0; 3]] {
        out.clear();
        plan.render(record, &NoNames, &mut out);
        assert!(out.len() <= super::LONGEST_TEXT, "{} bytes of text", out.len());
        for field in plan.fields() {
            out.clear();
            plan.render_field(field, record, &NoNames, &mut out);
            assert!(out.len() <= super::LONGEST_TEXT, "{} bytes of text", out.len());
        }
    }
    let fields_only = TextPlan::compile_fields(&format, long, endian, &Some3, &|_| true);
    assert_eq!(fields_only.fields().len(), plan.fields().len());
}
