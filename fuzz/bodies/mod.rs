//! What is done with a fuzzer's bytes, one module a target. Each `run` accepts any bytes, panics if an invariant is
//! violated, and otherwise returns.
//!
//! The libFuzzer targets call these, and so does `tests/fuzz_inputs.rs` with the inputs stored in `fuzz/inputs`:
//! earlier findings are tested with everything else, on any toolchain.

pub mod btf;
pub mod clock;
pub mod control;
pub mod filter;
pub mod format_file;
pub mod map;
pub mod names;
pub mod osc_packet;
pub mod perf_data;
pub mod print_fmt;
pub mod record;
pub mod sub_buffer;
pub mod trace_dat;

use std::fs::File;
use std::io::{Seek, Write};

use ftrace_live::capture::Capture;
use ftrace_live::format::{Endian, LongSize};

/// No text of one record is longer: the kernel cuts at a page, and repetitions here are bounded by the format.
const LONGEST_TEXT: usize = 4 << 20;

/// The text of at most this many bytes is used: a format file of the kernel has at most some 10 000.
const LONGEST_SOURCE: usize = 64 << 10;

/// Byte order and long size, chosen by two bits.
fn abi(bits: u8) -> (Endian, LongSize) {
    let endian = if bits & 1 == 0 { Endian::Little } else { Endian::Big };
    let long = if bits & 2 == 0 { LongSize::Eight } else { LongSize::Four };
    (endian, long)
}

/// The bytes before the first NUL, and those after it.
fn at_nul(bytes: &[u8]) -> (&[u8], &[u8]) {
    match bytes.iter().position(|&b| b == 0) {
        Some(at) => (&bytes[..at], &bytes[at + 1..]),
        None => (bytes, &[]),
    }
}

/// A file with these bytes in memory.
fn in_memory(input: &[u8]) -> File {
    let flags = rustix::fs::MemfdFlags::CLOEXEC;
    let mut file: File = rustix::fs::memfd_create("input", flags).expect("memfd_create(2)").into();
    file.write_all(input).and_then(|()| file.rewind()).expect("a file in memory can be written");
    file
}

/// Reads every record of all CPUs, in the order of time.
fn read_records(capture: &mut Capture) {
    let endian = capture.endian;
    let mut merge = capture.merge();
    match endian {
        Endian::Little => while merge.next_record::<byteorder::LittleEndian>().is_some() {},
        Endian::Big => while merge.next_record::<byteorder::BigEndian>().is_some() {},
    }
}
