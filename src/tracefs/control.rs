//! Reading one control file, with a habit that such files have and others do not.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// Bytes asked for with the first read. No file that answers once only (`header_page`, `filter`, `enable`, `id`) says
/// more.
const FIRST_READ: usize = 1 << 16;

/// All bytes of a control file.
///
/// Not `std::fs::read`: that begins with a read of 32 bytes where the size of a file is not known, and some control
/// files (`show_header`, `event_filter_read` in kernel/trace/trace_events.c) answer the first read and no other. They
/// would be cut after 32 bytes without any error.
pub(crate) fn read_control(path: &Path) -> io::Result<Vec<u8>> {
    read_open(&mut File::open(path)?)
}

/// The same of one that is open.
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
