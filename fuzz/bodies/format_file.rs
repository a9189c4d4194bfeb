//! A `format` file: it parses or is an error, and then prints back to the same bytes.
//!
//! The input is the file's text.

use ftrace_live::decode::Plan;
use ftrace_live::format::{EventFormat, HeaderPage, LongSize};

pub fn run(input: &[u8]) {
    let text = String::from_utf8_lossy(&input[..input.len().min(super::LONGEST_SOURCE)]);
    for long in [LongSize::Eight, LongSize::Four] {
        let Ok(format) = EventFormat::parse("system", &text, long) else { continue };
        let printed = format.to_string();
        // After `print fmt` the kernel ends the file with one line break: only such a text is a complete file.
        let again = EventFormat::parse("system", &printed, long).unwrap_or_else(|e| panic!("{e}: {printed:?}"));
        assert_eq!(again, format);
        assert_eq!(again.to_string(), printed);
        let plan = Plan::compile(&format);
        assert!(plan.fields().len() <= format.fields.len() + format.common.len());
        for field in format.common.iter().chain(&format.fields) {
            assert!(!field.type_name().is_empty());
        }
    }
    // The other description in that format.
    if let Ok(header) = HeaderPage::parse(&text) {
        assert_eq!(header.sub_buffer_size(), header.data_offset() + header.data_size());
    }
}
