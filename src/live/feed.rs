//! One CPU's ring of a live instance, as a feed of sub-buffers.

use std::io;
use std::os::fd::{AsRawFd, RawFd};

use super::QUOTA;
use super::record::Tap;
use super::rings::Ring;
use crate::ring::Feed;
use crate::tracefs::{RawBuffer, RawRead};

/// Reads in a row that may bring nothing though the kernel did not say that there is nothing.
const NOTHINGS: u32 = 3;

/// The sub-buffers of one CPU, as many as a turn may take.
pub(super) struct InstanceFeed {
    raw: RawBuffer,
    sub_buffer: usize,
    recording: Option<Tap>,
    left: u32,
    /// The last read brought nothing though the kernel did not say that there is nothing.
    unsure: bool,
    gone: bool,
}

impl InstanceFeed {
    /// `recording` gets each sub-buffer too.
    pub(super) fn new(raw: RawBuffer, sub_buffer: usize, recording: Option<Tap>) -> InstanceFeed {
        InstanceFeed { raw, sub_buffer, recording, left: 0, unsure: false, gone: false }
    }
}

impl Ring for InstanceFeed {
    fn begin_turn(&mut self) {
        self.left = QUOTA;
    }

    fn brought(&self) -> bool {
        self.left < QUOTA
    }

    fn quota_used(&self) -> bool {
        self.left == 0
    }

    fn unsure(&self) -> bool {
        self.unsure
    }
}

impl AsRawFd for InstanceFeed {
    fn as_raw_fd(&self) -> RawFd {
        self.raw.as_raw_fd()
    }
}

impl Feed for InstanceFeed {
    fn advance(&mut self, page: &mut Vec<u8>) -> io::Result<bool> {
        if self.left == 0 || self.gone {
            return Ok(false);
        }
        page.resize(self.sub_buffer, 0);
        self.unsure = false;
        for _ in 0..NOTHINGS {
            match self.raw.read(page)? {
                RawRead::SubBuffer(len) => {
                    page.truncate(len);
                    if let Some(recording) = &self.recording {
                        recording.append(self.raw.cpu(), page);
                    }
                    self.left -= 1;
                    return Ok(true);
                }
                RawRead::Nothing => {}
                RawRead::Empty => return Ok(false),
                RawRead::Gone => {
                    self.gone = true;
                    return Ok(false);
                }
            }
        }
        self.unsure = true;
        Ok(false)
    }
}
