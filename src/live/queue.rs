//! The sub-buffers of a ring between the thread that empties it and the one that sends: in memory, in order, as they were read.
//!
//! To the sender a queue is a ring like the kernel's: epoll names it once something is in it, and it is read until it is
//! empty. Its quota, its losses (which stand in the sub-buffers) and its place in the order of time are those of the ring.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::event::{EventfdFlags, eventfd};

use super::QUOTA;
use super::rings::Ring;
use crate::ring::Feed;

/// Sub-buffers that wait at most. What is not taken from the ring then stays there, and where that is full the kernel counts
/// what it overwrites.
pub(super) const MOST: usize = QUOTA as usize;

#[derive(Debug, Default)]
struct Held {
    full: VecDeque<Vec<u8>>,
    /// Those that were sent, to be filled again.
    spare: Vec<Vec<u8>>,
    /// The sender found nothing, and is to be told of the next.
    asked: bool,
}

#[derive(Debug)]
struct Queue {
    held: Mutex<Held>,
    bell: OwnedFd,
}

/// A queue's two ends.
pub(super) fn queue() -> io::Result<(Hand, QueueFeed)> {
    let bell = eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC)?;
    let held = Mutex::new(Held { asked: true, ..Held::default() });
    let queue = Arc::new(Queue { held, bell });
    Ok((Hand { queue: queue.clone(), room: MOST }, QueueFeed { queue }))
}

/// The end that sub-buffers are put in at.
pub(super) struct Hand {
    queue: Arc<Queue>,
    /// Sub-buffers that there was room for at the last look. Nobody else puts any in, so there is room for at least as many.
    room: usize,
}

impl Hand {
    /// Puts a sub-buffer in, for which there [is room](Hand::has_room).
    pub(super) fn push(&mut self, page: &[u8]) {
        let mut held = self.queue.held.lock().unwrap_or_else(PoisonError::into_inner);
        let mut copy = held.spare.pop().unwrap_or_default();
        copy.clear();
        copy.extend_from_slice(page);
        held.full.push_back(copy);
        self.room = MOST.saturating_sub(held.full.len());
        if std::mem::take(&mut held.asked) {
            // An edge for epoll; that it cannot be written for being full is beyond its 64 bits.
            let _ = rustix::io::write(&self.queue.bell, &1u64.to_ne_bytes());
        }
    }

    /// Whether there is room for one more. The lock is taken only if there was none at the last push, so that a sub-buffer takes
    /// it once on its way in.
    fn has_room(&mut self) -> bool {
        if self.room == 0 {
            let held = self.queue.held.lock().unwrap_or_else(PoisonError::into_inner);
            self.room = MOST.saturating_sub(held.full.len());
        }
        self.room > 0
    }
}

/// A ring whose sub-buffers go into a queue as they are read.
pub(super) struct Emptied<F> {
    ring: F,
    hand: Hand,
    /// There is no room: what is left in the ring is read later.
    held_back: bool,
}

impl<F> Emptied<F> {
    pub(super) fn new(ring: F, hand: Hand) -> Emptied<F> {
        Emptied { ring, hand, held_back: false }
    }
}

impl<F: Feed> Feed for Emptied<F> {
    fn advance(&mut self, page: &mut Vec<u8>) -> io::Result<bool> {
        if !self.hand.has_room() {
            self.held_back = true;
            return Ok(false);
        }
        let some = self.ring.advance(page)?;
        if some {
            self.hand.push(page);
        }
        Ok(some)
    }
}

impl<F: AsRawFd> AsRawFd for Emptied<F> {
    fn as_raw_fd(&self) -> RawFd {
        self.ring.as_raw_fd()
    }
}

impl<F: Ring> Ring for Emptied<F> {
    fn begin_turn(&mut self) {
        self.held_back = false;
        self.ring.begin_turn();
    }

    fn brought(&self) -> bool {
        self.ring.brought() || self.held_back
    }

    fn quota_used(&self) -> bool {
        self.ring.quota_used() || self.held_back
    }
}

/// The end that sub-buffers are taken out at, as the feed of a ring.
pub(super) struct QueueFeed {
    queue: Arc<Queue>,
}

impl Feed for QueueFeed {
    fn advance(&mut self, page: &mut Vec<u8>) -> io::Result<bool> {
        let mut held = self.queue.held.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(next) = held.full.pop_front() else {
            held.asked = true;
            return Ok(false);
        };
        held.spare.push(std::mem::replace(page, next));
        Ok(true)
    }
}

#[cfg(test)]
impl QueueFeed {
    /// What tells epoll of a sub-buffer.
    pub(super) fn bell(&self) -> OwnedFd {
        self.queue.bell.try_clone().unwrap()
    }
}

impl AsRawFd for QueueFeed {
    fn as_raw_fd(&self) -> RawFd {
        self.queue.bell.as_raw_fd()
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::ops::ControlFlow;
    use std::time::Duration;

    use byteorder::LittleEndian;

    use super::super::feed::Limited;
    use super::super::pace::Wait;
    use super::super::rings::Rings;
    use super::*;
    use crate::format::LongSize;
    use crate::ring::Lost;
    use crate::ring::page::{Page, layout};

    /// A ring as a test fills it.
    struct Double {
        file: OwnedFd,
        pages: VecDeque<Vec<u8>>,
        brought: bool,
        quota_used: bool,
    }

    impl AsRawFd for Double {
        fn as_raw_fd(&self) -> RawFd {
            self.file.as_raw_fd()
        }
    }

    impl Feed for Double {
        fn advance(&mut self, page: &mut Vec<u8>) -> io::Result<bool> {
            let Some(next) = self.pages.pop_front() else { return Ok(false) };
            *page = next;
            Ok(true)
        }
    }

    impl Ring for Double {
        fn begin_turn(&mut self) {
            (self.brought, self.quota_used) = (false, false);
        }

        fn brought(&self) -> bool {
            self.brought
        }

        fn quota_used(&self) -> bool {
            self.quota_used
        }
    }

    fn page(times: &[u64]) -> Page<LittleEndian> {
        let first = times.first().copied().unwrap_or(0);
        let mut page = Page::new(LongSize::Eight, first);
        let mut last = first;
        for &time in times {
            page = page.data((time - last) as u32, &[0; 8]);
            last = time;
        }
        page
    }

    fn emptied(hand: Hand, pages: impl IntoIterator<Item = Page<LittleEndian>>) -> Emptied<Double> {
        let pages = pages.into_iter().map(Page::build).collect();
        let file = eventfd(0, EventfdFlags::NONBLOCK).unwrap();
        Emptied::new(Double { file, pages, brought: false, quota_used: false }, hand)
    }

    fn limited_queue() -> (Hand, Limited<QueueFeed>) {
        let (hand, feed) = queue().unwrap();
        (hand, Limited::new(feed))
    }

    /// What is read in a turn: CPU, time, and what was lost before.
    fn turn<F: Ring>(rings: &mut Rings<F>) -> (Vec<(u32, u64, Lost)>, bool) {
        let mut read = Vec::new();
        let more = rings.read::<LittleEndian, Infallible>(|record| {
            read.push((record.cpu, record.time, record.lost));
            ControlFlow::Continue(())
        });
        rings.settle(Wait::Event);
        (read, more)
    }

    #[test]
    fn what_two_threads_read_is_sent_in_one_order_of_time_with_its_losses() {
        let ends: Vec<_> = (0..4).map(|_| limited_queue()).collect();
        let (hands, feeds): (Vec<_>, Vec<_>) = ends.into_iter().unzip();
        let layout = layout(LongSize::Eight, 4096);
        let mut sender = Rings::new(layout.clone(), (0..).zip(feeds).collect()).unwrap();
        assert!(!sender.wait(Duration::ZERO).unwrap());
        let pages = [
            vec![page(&[10, 50]), page(&[60]).lost(Some(7))],
            vec![page(&[20, 55])],
            vec![page(&[5, 40])],
            vec![page(&[30]).lost(None), page(&[45])],
        ];
        let mut rings: Vec<_> = hands.into_iter().zip(pages).map(|(hand, pages)| emptied(hand, pages)).collect();
        let second: Vec<_> = rings.split_off(2).into_iter().zip(2..).map(|(ring, cpu)| (cpu, ring)).collect();
        let first: Vec<_> = rings.into_iter().zip(0..).map(|(ring, cpu)| (cpu, ring)).collect();
        // Each has CPUs of its own, and reads them in a thread of its own.
        let read: usize = std::thread::scope(|scope| {
            let threads = [first, second].map(|rings| {
                let layout = layout.clone();
                scope.spawn(move || {
                    let mut rings = Rings::new(layout, rings).unwrap();
                    rings.all();
                    turn(&mut rings).0.len()
                })
            });
            threads.map(|thread| thread.join().unwrap()).iter().sum()
        });
        assert_eq!(read, 9);
        assert!(sender.wait(Duration::ZERO).unwrap());
        let (read, more) = turn(&mut sender);
        let order: Vec<_> = read.iter().map(|(cpu, time, _)| (*cpu, *time)).collect();
        assert_eq!(order, [(2, 5), (0, 10), (1, 20), (3, 30), (2, 40), (3, 45), (0, 50), (1, 55), (0, 60)]);
        let lost: Vec<_> = read.into_iter().filter(|(.., lost)| *lost != Lost::Nothing).collect();
        assert_eq!(lost, [(3, 30, Lost::Unknown), (0, 60, Lost::Count(7))]);
        assert!(!more && !sender.wait(Duration::ZERO).unwrap());
    }

    #[test]
    fn a_queue_names_itself_again_once_it_was_found_empty() {
        let (mut hand, feed) = limited_queue();
        let mut sender = Rings::new(layout(LongSize::Eight, 4096), vec![(3, feed)]).unwrap();
        for time in 1..5 {
            hand.push(&page(&[time]).build());
            assert!(sender.wait(Duration::ZERO).unwrap(), "{time}");
            assert_eq!(turn(&mut sender).0, [(3, time, Lost::Nothing)]);
            assert!(!sender.wait(Duration::ZERO).unwrap());
        }
    }

    #[test]
    fn a_sender_that_cannot_keep_up_leaves_the_rest_in_the_ring() {
        let (hand, mut feed) = limited_queue();
        let most = MOST as u64;
        let mut ring = emptied(hand, (0..most + 9).map(|time| page(&[time])));
        let mut taken = Vec::new();
        ring.begin_turn();
        for _ in 0..MOST {
            assert!(ring.advance(&mut taken).unwrap());
        }
        assert!(!ring.advance(&mut taken).unwrap());
        assert!(ring.quota_used() && ring.brought() && ring.ring.pages.len() == 9);
        feed.begin_turn();
        assert!(feed.advance(&mut taken).unwrap());
        ring.begin_turn();
        assert!(ring.advance(&mut taken).unwrap() && !ring.advance(&mut taken).unwrap());
        assert_eq!(ring.ring.pages.len(), 8);
        // All that it has is in order, the last one included.
        let mut count = 1;
        loop {
            feed.begin_turn();
            if !feed.advance(&mut taken).unwrap() {
                break;
            }
            assert_eq!(taken, page(&[count]).build());
            count += 1;
        }
        assert_eq!(count, most + 1);
    }

    #[test]
    fn a_turn_brought_what_the_ring_says_or_was_held_back() {
        let (hand, _feed) = limited_queue();
        let mut ring = emptied(hand, []);
        let mut said = |brought, quota_used, held_back| {
            ring.begin_turn();
            assert_eq!((ring.brought(), ring.quota_used(), ring.held_back), (false, false, false));
            (ring.ring.brought, ring.ring.quota_used, ring.held_back) = (brought, quota_used, held_back);
            (ring.brought(), ring.quota_used())
        };
        assert_eq!(said(true, false, false), (true, false));
        assert_eq!(said(true, true, false), (true, true));
        assert_eq!(said(false, false, true), (true, true));
        assert_eq!(said(false, false, false), (false, false));
    }

    #[test]
    fn the_bell_blocks_nobody_and_is_inherited_by_no_program() {
        let (_hand, feed) = queue().unwrap();
        let bell = &feed.queue.bell;
        assert!(rustix::io::fcntl_getfd(bell).unwrap().contains(rustix::io::FdFlags::CLOEXEC));
        assert!(rustix::fs::fcntl_getfl(bell).unwrap().contains(rustix::fs::OFlags::NONBLOCK));
    }
}
