//! One CPU's ring of an instance: its `trace_pipe_raw`.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// One CPU's `trace_pipe_raw`, open and non-blocking. While one is open its instance cannot be removed.
#[derive(Debug)]
pub struct RawBuffer {
    cpu: u32,
    file: File,
}

/// The result of reading `trace_pipe_raw`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RawRead {
    /// One sub-buffer: this many bytes from the start of the given buffer.
    SubBuffer(usize),
    /// There is nothing now (EAGAIN).
    Empty,
    /// The kernel returned no bytes, but not EAGAIN: a race with a writer. Try again, now or on the next tick.
    Nothing,
    /// The CPU's ring has been removed (ENODEV).
    Gone,
}

impl RawBuffer {
    pub(super) fn new(cpu: u32, file: File) -> RawBuffer {
        RawBuffer { cpu, file }
    }

    /// Opens the file at `path` for this CPU.
    ///
    /// # Errors
    /// It cannot be opened.
    pub fn open(cpu: u32, path: &Path) -> io::Result<RawBuffer> {
        let file = File::options().read(true).custom_flags(libc::O_NONBLOCK).open(path)?;
        Ok(RawBuffer { cpu, file })
    }

    /// The ring's CPU.
    pub fn cpu(&self) -> u32 {
        self.cpu
    }

    /// Reads one sub-buffer. `buffer` must be exactly one sub-buffer long (see the instance's `header_page`): a
    /// shorter read makes the kernel split the sub-buffer and return its rest without a header
    /// (`tracing_buffers_read`).
    ///
    /// # Errors
    /// Errors of read(2) other than EINTR (retried), EAGAIN and ENODEV.
    pub fn read(&self, buffer: &mut [u8]) -> io::Result<RawRead> {
        outcome(|| (&self.file).read(buffer))
    }
}

/// Classifies the result of a read; without the file, so that each errno can be tested.
fn outcome(mut read: impl FnMut() -> io::Result<usize>) -> io::Result<RawRead> {
    loop {
        return match read() {
            Ok(0) => Ok(RawRead::Nothing),
            Ok(length) => Ok(RawRead::SubBuffer(length)),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => Ok(RawRead::Empty),
            Err(e) if e.raw_os_error() == Some(libc::ENODEV) => Ok(RawRead::Gone),
            Err(e) => Err(e),
        };
    }
}

impl AsFd for RawBuffer {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

impl AsRawFd for RawBuffer {
    fn as_raw_fd(&self) -> RawFd {
        self.file.as_raw_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_result_of_a_read_is_classified() {
        assert_eq!(outcome(|| Ok(4096)).unwrap(), RawRead::SubBuffer(4096));
        assert_eq!(outcome(|| Ok(0)).unwrap(), RawRead::Nothing);
        for (errno, outcome_of) in [(libc::EAGAIN, RawRead::Empty), (libc::ENODEV, RawRead::Gone)] {
            assert_eq!(outcome(|| Err(io::Error::from_raw_os_error(errno))).unwrap(), outcome_of);
        }
        for errno in [libc::ENOMEM, libc::EBUSY, libc::EIO] {
            let error = outcome(|| Err(io::Error::from_raw_os_error(errno))).unwrap_err();
            assert_eq!(error.raw_os_error(), Some(errno));
        }
        let mut reads = [Err(io::Error::from_raw_os_error(libc::EINTR)), Ok(16)].into_iter();
        assert_eq!(outcome(|| reads.next().unwrap()).unwrap(), RawRead::SubBuffer(16));
    }
}
