//! One CPU's ring of a live instance, as a feed of sub-buffers: read by ourselves, or by a thread that empties it; in turns of a
//! limited length.

use std::io;
use std::os::fd::{AsRawFd, RawFd};

use super::QUOTA;
use super::queue::QueueFeed;
use super::record::Tap;
use super::rings::Ring;
use crate::ring::Feed;
use crate::tracefs::{RawBuffer, RawRead};

/// The sub-buffers of one CPU.
pub(super) struct InstanceFeed {
    raw: RawBuffer,
    sub_buffer: usize,
    recording: Option<Tap>,
    gone: bool,
}

impl InstanceFeed {
    /// Each sub-buffer is also given to `recording`.
    pub(super) fn new(raw: RawBuffer, sub_buffer: usize, recording: Option<Tap>) -> InstanceFeed {
        InstanceFeed { raw, sub_buffer, recording, gone: false }
    }
}

impl AsRawFd for InstanceFeed {
    fn as_raw_fd(&self) -> RawFd {
        self.raw.as_raw_fd()
    }
}

impl Feed for InstanceFeed {
    fn advance(&mut self, page: &mut Vec<u8>) -> io::Result<bool> {
        if self.gone {
            return Ok(false);
        }
        page.resize(self.sub_buffer, 0);
        match self.raw.read(page)? {
            RawRead::SubBuffer(len) => {
                page.truncate(len);
                if let Some(recording) = &self.recording {
                    recording.append(self.raw.cpu(), page);
                }
                return Ok(true);
            }
            // This lasts for seconds if the writer has moved to an empty sub-buffer, which `rb_per_cpu_empty` does
            // not call empty. The next commit wakes epoll all the same.
            RawRead::Nothing | RawRead::Empty => {}
            RawRead::Gone => self.gone = true,
        }
        Ok(false)
    }
}

/// Where a reader's sub-buffers of one CPU come from.
pub(super) enum LiveFeed {
    /// The ring itself.
    Ring(InstanceFeed),
    /// What another thread has taken from it.
    Queue(QueueFeed),
}

impl AsRawFd for LiveFeed {
    fn as_raw_fd(&self) -> RawFd {
        match self {
            LiveFeed::Ring(feed) => feed.as_raw_fd(),
            LiveFeed::Queue(feed) => feed.as_raw_fd(),
        }
    }
}

impl Feed for LiveFeed {
    fn advance(&mut self, page: &mut Vec<u8>) -> io::Result<bool> {
        match self {
            LiveFeed::Ring(feed) => feed.advance(page),
            LiveFeed::Queue(feed) => feed.advance(page),
        }
    }
}

/// A feed that gives [`QUOTA`] sub-buffers in a turn at most.
pub(super) struct Limited<F> {
    feed: F,
    /// How many more the turn may have.
    left: u32,
}

impl<F> Limited<F> {
    /// The first turn is still to [begin](Ring::begin_turn).
    pub(super) fn new(feed: F) -> Limited<F> {
        Limited { feed, left: 0 }
    }
}

impl<F: Feed> Feed for Limited<F> {
    fn advance(&mut self, page: &mut Vec<u8>) -> io::Result<bool> {
        let some = self.left > 0 && self.feed.advance(page)?;
        self.left -= u32::from(some);
        Ok(some)
    }
}

impl<F: AsRawFd> AsRawFd for Limited<F> {
    fn as_raw_fd(&self) -> RawFd {
        self.feed.as_raw_fd()
    }
}

impl<F: Feed + AsRawFd> Ring for Limited<F> {
    fn begin_turn(&mut self) {
        self.left = QUOTA;
    }

    fn brought(&self) -> bool {
        self.left < QUOTA
    }

    fn quota_used(&self) -> bool {
        self.left == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A feed that has this many sub-buffers, and a file that is not used.
    struct Holds(u32);

    impl Feed for Holds {
        fn advance(&mut self, _: &mut Vec<u8>) -> io::Result<bool> {
            let some = self.0 > 0;
            self.0 -= u32::from(some);
            Ok(some)
        }
    }

    impl AsRawFd for Holds {
        fn as_raw_fd(&self) -> RawFd {
            -1
        }
    }

    #[test]
    fn a_turn_gets_its_quota_and_a_look_at_nothing_uses_none_of_it() {
        let mut feed = Limited::new(Holds(QUOTA + 1));
        let read = |feed: &mut Limited<Holds>| {
            feed.begin_turn();
            let mut count = 0;
            while feed.advance(&mut Vec::new()).unwrap() {
                count += 1;
            }
            (count, feed.brought(), feed.quota_used())
        };
        assert_eq!(read(&mut feed), (QUOTA, true, true));
        assert_eq!(read(&mut feed), (1, true, false));
        assert_eq!(read(&mut feed), (0, false, false));
    }
}
