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

    /// Whether a read into `page` has taken a sub-buffer from the ring.
    fn has_taken(&mut self, read: RawRead, page: &mut Vec<u8>) -> bool {
        match read {
            RawRead::SubBuffer(len) => {
                page.truncate(len);
                if let Some(recording) = &self.recording {
                    recording.append(self.raw.cpu(), page);
                }
                return true;
            }
            // This lasts for seconds if the writer has moved to an empty sub-buffer, which `rb_per_cpu_empty` does
            // not call empty. The next commit wakes epoll all the same.
            RawRead::Nothing | RawRead::Empty => {}
            RawRead::Gone => self.gone = true,
        }
        false
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
        let read = self.raw.read(page)?;
        Ok(self.has_taken(read, page))
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
    use std::io::Write;

    use super::super::queue::queue;
    use super::*;

    /// A feed of sub-buffers of 8 bytes from a file, which ends where a ring would be empty.
    fn feed_of(content: &[u8]) -> InstanceFeed {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(content).unwrap();
        InstanceFeed::new(RawBuffer::open(3, file.path()).unwrap(), 8, None)
    }

    #[test]
    fn a_ring_gives_one_sub_buffer_at_a_time_as_long_as_it_was_read() {
        let mut feed = feed_of(b"the first, the last");
        let mut page = vec![0xaa; 2];
        for want in [&b"the firs"[..], b"t, the l", b"ast"] {
            assert!(feed.advance(&mut page).unwrap());
            assert_eq!(page, want);
        }
        assert!(!feed.advance(&mut page).unwrap());
    }

    #[test]
    fn a_ring_whose_cpu_is_gone_is_not_read_again_and_an_empty_one_is() {
        let (mut feed, mut page) = (feed_of(b"sub-buff"), Vec::new());
        for read in [RawRead::Empty, RawRead::Nothing] {
            assert!(!feed.has_taken(read, &mut page));
        }
        assert!(feed.advance(&mut page).unwrap());
        let mut feed = feed_of(b"sub-buff");
        assert!(!feed.has_taken(RawRead::Gone, &mut page));
        assert!(!feed.advance(&mut page).unwrap());
    }

    #[test]
    fn a_ring_and_a_queue_are_read_and_watched_alike() {
        let ring = feed_of(b"sub-buff");
        let file = ring.as_raw_fd();
        assert_eq!(file, ring.raw.as_raw_fd());
        let (_hand, queue) = queue().unwrap();
        let bell = queue.as_raw_fd();
        assert!(file > 2 && bell > 2 && file != bell);
        let (mut ring, mut queue) = (LiveFeed::Ring(ring), LiveFeed::Queue(queue));
        assert_eq!((ring.as_raw_fd(), queue.as_raw_fd()), (file, bell));
        let mut page = Vec::new();
        assert!(ring.advance(&mut page).unwrap() && page == b"sub-buff");
        assert!(!ring.advance(&mut page).unwrap() && !queue.advance(&mut page).unwrap());
    }

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
