//! What is done with a fuzzer's bytes, one module a target. Each `run` takes any bytes, panics where an invariant does not
//! hold, and otherwise returns.
//!
//! The targets of libFuzzer call these, and so does `tests/fuzz_inputs.rs` with the inputs that are kept in
//! `fuzz/inputs`: what was found once is tested with everything else, on any toolchain.

pub mod btf;
pub mod control;
pub mod filter;
pub mod format_file;
pub mod names;
pub mod osc_packet;
pub mod perf_data;
pub mod print_fmt;
pub mod record;
pub mod sub_buffer;
pub mod trace_dat;

use ftrace_live::format::{Endian, LongSize};

/// No text of one record is longer: the kernel cuts at a page, and what is repeated here is bounded by the format.
const LONGEST_TEXT: usize = 4 << 20;

/// The text of at most this many bytes is looked at: a format file of the kernel's has at most some 10 000.
const LONGEST_SOURCE: usize = 64 << 10;

/// The layout of numbers that two bits choose.
fn abi(bits: u8) -> (Endian, LongSize) {
    let endian = if bits & 1 == 0 { Endian::Little } else { Endian::Big };
    let long = if bits & 2 == 0 { LongSize::Eight } else { LongSize::Four };
    (endian, long)
}

/// The bytes before the first NUL, and those behind it.
fn at_nul(bytes: &[u8]) -> (&[u8], &[u8]) {
    match bytes.iter().position(|&b| b == 0) {
        Some(at) => (&bytes[..at], &bytes[at + 1..]),
        None => (bytes, &[]),
    }
}
