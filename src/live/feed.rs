//! One CPU's ring of a live instance, as a feed of sub-buffers.

use std::io;

use super::QUOTA;
use super::record::Tap;
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
    gone: bool,
}

impl InstanceFeed {
    /// `recording` gets each sub-buffer too.
    pub(super) fn new(raw: RawBuffer, sub_buffer: usize, recording: Option<Tap>) -> InstanceFeed {
        InstanceFeed { raw, sub_buffer, recording, left: 0, gone: false }
    }

    /// A new turn, with its quota.
    pub(super) fn begin_turn(&mut self) {
        self.left = QUOTA;
    }

    /// Whether the turn ended because of the quota, so that there is likely more.
    pub(super) fn quota_used(&self) -> bool {
        self.left == 0
    }
}

impl Feed for InstanceFeed {
    fn advance(&mut self, page: &mut Vec<u8>) -> io::Result<bool> {
        if self.left == 0 || self.gone {
            return Ok(false);
        }
        page.resize(self.sub_buffer, 0);
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
        Ok(false)
    }
}
