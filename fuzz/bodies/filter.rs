//! An event filter: it parses or is an error, and then compiles and matches, or returns an error.
//!
//! The input is the filter's text.

use byteorder::LittleEndian;
use ftrace_live::decode::{Filter, Surroundings};
use ftrace_live::format::{EventFormat, LongSize};

const FORMAT: &str = "name: fuzzed\nID: 1\nformat:\n\
    \tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;\n\
    \tfield:int common_pid;\toffset:4;\tsize:4;\tsigned:1;\n\
    \n\
    \tfield:int irq;\toffset:8;\tsize:4;\tsigned:1;\n\
    \tfield:u64 a;\toffset:16;\tsize:8;\tsigned:0;\n\
    \tfield:char comm[16];\toffset:24;\tsize:16;\tsigned:0;\n\
    \tfield:__data_loc char[] name;\toffset:40;\tsize:4;\tsigned:0;\n\
    \tfield:void * ip;\toffset:48;\tsize:8;\tsigned:0;\n\
    \tfield:__data_loc cpumask_t mask;\toffset:56;\tsize:4;\tsigned:0;\n\
    \nprint fmt: \"\"\n";

struct Around;

impl Surroundings for Around {
    fn cpu(&self) -> u32 {
        3
    }

    fn comm(&self, _: i32) -> &[u8] {
        b"task"
    }
}

pub fn run(input: &[u8]) {
    let text = String::from_utf8_lossy(&input[..input.len().min(super::LONGEST_SOURCE)]);
    let Ok(filter) = Filter::parse(&text) else { return };
    let format = EventFormat::parse("system", FORMAT, LongSize::Eight).expect("a format");
    let Ok(matcher) = filter.compile(&format) else { return };
    let mut record = [b'a'; 80];
    // `name` lies at 60 and has 8 bytes.
    record[40..44].copy_from_slice(&[60, 0, 8, 0]);
    for record in [&record[..], &[0; 80], &[0xff; 80], &[0; 9]] {
        _ = matcher.matches::<LittleEndian>(record, &Around);
    }
}
