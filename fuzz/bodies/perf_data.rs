//! A whole `perf.data`, imported strictly and to save what can be saved: every record of it is read.
//!
//! The input is the file.

use std::io::{Seek, Write};

use ftrace_live::capture::perf_data;
use ftrace_live::capture::trace_dat::Open;
use ftrace_live::format::Endian;

pub fn run(input: &[u8]) {
    for salvage in [false, true] {
        let flags = rustix::fs::MemfdFlags::CLOEXEC;
        let mut file: std::fs::File = rustix::fs::memfd_create("perf.data", flags).expect("memfd_create(2)").into();
        file.write_all(input).and_then(|()| file.rewind()).expect("a file in memory can be written");
        let Ok(dat) = perf_data::import(file, Open { salvage }) else { continue };
        let Ok(mut capture) = dat.capture(None) else { continue };
        _ = capture.names();
        let endian = capture.endian;
        let mut merge = capture.merge();
        match endian {
            Endian::Little => while merge.next_record::<byteorder::LittleEndian>().is_some() {},
            Endian::Big => while merge.next_record::<byteorder::BigEndian>().is_some() {},
        }
    }
}
