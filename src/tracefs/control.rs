//! Reads a control file.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// Size of the first read. No file that answers only once (`header_page`, `filter`, `enable`, `id`) is longer.
const FIRST_READ: usize = 1 << 16;

/// All bytes of a control file.
///
/// Not `std::fs::read`, which begins with a read of 32 bytes if a file's size is unknown: some control files
/// (`show_header`, `event_filter_read` in kernel/trace/trace_events.c) answer only the first read, and would be cut
/// after 32 bytes without an error.
pub(crate) fn read_control(path: &Path) -> io::Result<Vec<u8>> {
    read_open(&mut File::open(path)?)
}

/// The same for an open file.
pub(crate) fn read_open(file: &mut File) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; FIRST_READ];
    let length = loop {
        match file.read(&mut bytes) {
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            other => break other?,
        }
    };
    bytes.truncate(length);
    if length > 0 {
        file.read_to_end(&mut bytes)?;
    }
    Ok(bytes)
}
