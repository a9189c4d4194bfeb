//! A whole `perf.data`, imported strictly and with salvaging: every record of it is read.
//!
//! The input is the file.

use ftrace_live::capture::perf_data;
use ftrace_live::capture::trace_dat::Open;

use super::{in_memory, read_records};

pub fn run(input: &[u8]) {
    for salvage in [false, true] {
        let Ok(dat) = perf_data::import(in_memory(input), Open::new(salvage)) else { continue };
        let Ok(mut capture) = dat.capture(None) else { continue };
        _ = capture.names();
        read_records(&mut capture);
    }
}
