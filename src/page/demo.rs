//! The built-in capture: a machine at work, for users without root and without a capture.

use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;

use flate2::read::GzDecoder;
use rustix::fs::{MemfdFlags, memfd_create};

/// A `trace.dat`, made by `src/page/demo/take` on a machine of the project's.
const CAPTURE: &[u8] = include_bytes!("demo/demo.dat.gz");
/// A limit above its size.
const LONGEST: u64 = 16 << 20;

/// The capture as a file in memory.
pub struct Demo(std::fs::File);

impl Demo {
    /// Decompresses it.
    ///
    /// # Errors
    /// If there is not enough memory.
    pub fn unpack() -> io::Result<Demo> {
        let mut bytes = Vec::new();
        GzDecoder::new(CAPTURE).take(LONGEST).read_to_end(&mut bytes)?;
        let mut file = std::fs::File::from(memfd_create("ftrace-live-demo.dat", MemfdFlags::CLOEXEC)?);
        file.write_all(&bytes)?;
        Ok(Demo(file))
    }

    /// Its path while this lives.
    pub fn path(&self) -> std::path::PathBuf {
        format!("/proc/self/fd/{}", self.0.as_raw_fd()).into()
    }
}
