//! What the threads and the writer tell each other.

use std::ops::ControlFlow;
use std::sync::mpsc::sync_channel;
use std::thread;

use byteorder::ByteOrder;

use super::*;
use crate::capture::RingFeed;
use crate::capture::parts::Told;
use crate::ring::Merge;

/// Work that is not done here; its state is a list of numbers.
struct Nothing;

impl Work for Nothing {
    type Hand = ();
    type Carry = Vec<usize>;
    type Done = ();

    fn hand(&self) {}

    fn work<E: ByteOrder>(
        &self,
        (): &mut (),
        _: &mut Merge<RingFeed>,
        _: &Vec<usize>,
        _: &mut dyn FnMut(Told<'_>) -> ControlFlow<()>,
    ) -> ((), ControlFlow<()>) {
        ((), ControlFlow::Continue(()))
    }
}

#[test]
fn parts_are_handed_out_in_order_and_few_before_the_first_is_written() {
    let board = Board::<Nothing>::new(5, 2);
    let next = || board.lock().next_part(5, 2);
    assert_eq!([next(), next(), next(), next()], [Some(Some(0)), Some(Some(1)), None, None]);
    board.done(0);
    assert_eq!([next(), next()], [Some(Some(2)), None]);
    board.done(2);
    assert_eq!([board.take_part(), board.take_part()], [Some(3), Some(4)]);
    // There are no more, whatever is in progress.
    assert_eq!([board.take_part(), board.take_part()], [None, None]);
}

#[test]
fn a_thread_waits_for_a_part_until_an_earlier_one_is_written_or_all_is_stopped() {
    let board = Board::<Nothing>::new(3, 1);
    assert_eq!(board.take_part(), Some(0));
    thread::scope(|scope| {
        let waiting = scope.spawn(|| board.take_part());
        board.done(0);
        assert_eq!(waiting.join().unwrap(), Some(1));
        let waiting = scope.spawn(|| board.take_part());
        board.stop();
        assert_eq!(waiting.join().unwrap(), None);
    });
}

#[test]
fn the_messages_of_a_part_are_received_once_a_thread_has_it() {
    let board = Board::<Nothing>::new(2, 2);
    let (to_first, first) = sync_channel(1);
    let (to_second, second) = sync_channel(1);
    thread::scope(|scope| {
        let writer = scope.spawn(|| board.part(1).unwrap().recv());
        board.hand_out(0, first);
        board.hand_out(1, second);
        to_second.send(Said::Block(vec![2])).ok().unwrap();
        assert!(matches!(writer.join().unwrap(), Ok(Said::Block(block)) if block == [2]));
        // Nobody receives what a thread says when all is stopped.
        let writer = scope.spawn(|| board.part(1).is_none());
        board.stop();
        assert!(writer.join().unwrap());
    });
    assert!(to_first.send(Said::Block(vec![])).is_err());
    assert!(board.part(0).is_none());
}

#[test]
fn the_state_before_a_part_has_all_earlier_parts_in_their_order() {
    let board = Board::<Nothing>::new(4, 4);
    thread::scope(|scope| {
        let parts: Vec<_> = [3, 2, 1]
            .into_iter()
            .map(|part| {
                (
                    part,
                    scope.spawn({
                        let board = &board;
                        move || board.carry(part, |all| all.push(part))
                    }),
                )
            })
            .collect();
        assert_eq!(board.carry(0, |all| all.push(0)), Some(vec![]));
        for (part, thread) in parts {
            assert_eq!(thread.join().unwrap(), Some((0..part).collect()));
        }
        let never = scope.spawn(|| board.carry(7, |all| all.push(7)));
        board.stop();
        assert_eq!(never.join().unwrap(), None);
    });
}

#[test]
fn written_blocks_are_used_again_up_to_a_limit() {
    let board = Board::<Nothing>::new(1, 2);
    assert_eq!(board.block().capacity(), 0);
    (0..40).for_each(|_| board.written(Vec::from([1, 2, 3])));
    let blocks: Vec<_> = (0..40).map(|_| board.block()).collect();
    assert!(blocks.iter().all(Vec::is_empty));
    // Sixteen for each of two parts.
    assert_eq!(blocks.iter().filter(|block| block.capacity() >= 3).count(), 32);
}

#[test]
fn a_thread_that_panics_stops_the_others_and_one_that_ends_does_not() {
    let board = Board::<Nothing>::new(9, 1);
    drop(board.ends_all());
    assert_eq!(board.take_part(), Some(0));
    thread::scope(|scope| {
        let panicking = scope.spawn(|| {
            let _ends = board.ends_all();
            std::panic::resume_unwind(Box::new("as a thread that fails"));
        });
        assert!(panicking.join().is_err());
        // Part 0 is not written: another one would wait for it.
        assert_eq!(board.take_part(), None);
    });
}
