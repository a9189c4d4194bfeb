//! A whole `trace.dat`, opened strictly and with salvaging: everything in it is read.
//!
//! The input is the file.

use std::fs::File;

use ftrace_live::capture::trace_dat::{Open, TraceDat};
use ftrace_live::ring::Feed;

use super::{in_memory, read_records};

fn read(file: File, how: Open) {
    let Ok(dat) = TraceDat::from_file(file, how) else { return };
    let mut page = Vec::new();
    for buffer in &dat.buffers {
        for (_, mut feed) in dat.feeds(buffer) {
            while let Ok(true) = feed.next_into(&mut page) {
                assert!(page.len() <= buffer.sub_buffer_size);
            }
            _ = Feed::sub_buffers(&mut feed);
            if let Ok(true) = feed.seek(1) {
                _ = feed.next_into(&mut page);
            }
        }
        if let Some(mut text) = dat.text(buffer) {
            _ = std::io::copy(&mut text, &mut std::io::sink());
        }
        _ = dat.cpu_stats(buffer).len();
    }
    _ = dat.description();
    let Ok(mut capture) = dat.capture(None) else { return };
    _ = capture.names();
    read_records(&mut capture);
}

pub fn run(input: &[u8]) {
    for salvage in [false, true] {
        let file = in_memory(input);
        read(file, Open::new(salvage));
    }
}
