//! The walk over each type of record, and sub-buffers joined, in both byte orders and both sizes of `long`.

use byteorder::{BigEndian, ByteOrder, LittleEndian};
use proptest::prelude::*;

use super::*;
use crate::ring::join;
use crate::ring::page::{Page, layout};

/// The result of a walk: the losses before it, the records as (time, payload), and the error that ended it.
type Walked = (Lost, Vec<(u64, Vec<u8>)>, Option<RingError>);

fn walk<E: ByteOrder>(long: LongSize, page: &[u8]) -> Result<Walked, RingError> {
    let (mut walk, lost) = Walk::open::<E>(&layout(long, 4096), page)?;
    let (mut records, mut error) = (vec![], None);
    while let Some(found) = walk.next_in::<E>(page) {
        match found {
            Ok(found) => records.push((found.time, page[found.payload].to_vec())),
            Err(e) => error = Some(e),
        }
    }
    Ok((lost, records, error))
}

/// Runs a test for each byte order and long size.
macro_rules! on_every_kernel {
    ($($(#[$meta:meta])* fn $name:ident<$E:ident>($long:ident: LongSize) $body:block)*) => {$(
        $(#[$meta])*
        #[test]
        fn $name() {
            fn check<$E: ByteOrder>($long: LongSize) $body
            for long in [LongSize::Four, LongSize::Eight] {
                check::<LittleEndian>(long);
                check::<BigEndian>(long);
            }
        }
    )*};
}

on_every_kernel! {
    fn records_carry_the_sum_of_deltas_as_their_time<E>(long: LongSize) {
        let page = Page::<E>::new(long, 1000).data(0, b"abcd").data(5, b"efghijkl").long_data(7, b"mnopqrst").build();
        let want = vec![(1000, b"abcd".to_vec()), (1005, b"efghijkl".to_vec()), (1012, b"mnopqrst".to_vec())];
        assert_eq!(walk::<E>(long, &page), Ok((Lost::Nothing, want, None)));
    }

    fn a_time_extend_adds_up_to_59_bits<E>(long: LongSize) {
        let page = Page::<E>::new(long, 1).time_extend(200_000_000).data(0, b"abcd").time_extend(1 << 40).data(2, b"efgh").build();
        let (_, records, error) = walk::<E>(long, &page).unwrap();
        assert_eq!(records.iter().map(|r| r.0).collect::<Vec<_>>(), [200_000_001, 200_000_003 + (1 << 40)]);
        assert_eq!(error, None);
    }

    fn two_sub_buffers_joined_hold_the_records_of_both<E>(long: LongSize) {
        let mut page = Page::<E>::new(long, 1000).data(3, b"abcd").long_data(4, b"ijkl").build();
        let next = Page::<E>::new(long, 5_000_000_000).data(1, b"efgh").time_extend(1 << 30).data(2, b"mnop").build();
        let third = Page::<E>::new(long, 9_000_000_000).data(0, b"qrst").build();
        let all: Vec<_> = [&page, &next, &third].iter().flat_map(|p| walk::<E>(long, p).unwrap().1).collect();
        assert!(join::<E>(&layout(long, 4096), &mut page, &next));
        assert!(join::<E>(&layout(long, 4096), &mut page, &third));
        assert_eq!(walk::<E>(long, &page), Ok((Lost::Nothing, all, None)));
        assert_eq!(page.len(), 4096);
    }

    fn sub_buffers_join_as_long_as_there_is_room_for_a_stamp_and_the_records<E>(long: LongSize) {
        let layout = layout(long, 4096);
        let filled = |payload: usize| Page::<E>::new(long, 1).long_data(0, &vec![7; payload]).build();
        let next = Page::<E>::new(long, 2).data(0, b"abcd").build();
        // Each record has a header of 8 and of 4 bytes; the stamp has 8.
        let room = layout.data_size() - (8 + 8 + 4 + 4);
        let (mut fits, mut full) = (filled(room), filled(room + 4));
        assert!(join::<E>(&layout, &mut fits, &next));
        assert_eq!(walk::<E>(long, &fits).unwrap().1.len(), 2);
        let before = full.clone();
        assert!(!join::<E>(&layout, &mut full, &next));
        assert_eq!(full, before);
    }

    fn a_sub_buffer_after_a_loss_stays_by_itself_and_so_does_what_follows<E>(long: LongSize) {
        let layout = layout(long, 4096);
        let plain = Page::<E>::new(long, 5).data(0, b"abcd").build();
        for count in [None, Some(9)] {
            let lost = Page::<E>::new(long, 5).data(0, b"abcd").lost(count).build();
            assert!(!join::<E>(&layout, &mut plain.clone(), &lost));
            assert!(!join::<E>(&layout, &mut lost.clone(), &plain));
        }
    }

    fn times_above_59_bits_join_and_times_that_a_stamp_cannot_say_do_not<E>(long: LongSize) {
        let layout = layout(long, 4096);
        // 2026 in ns of the clock `tai`; the top five bits of the time change next in 2042.
        let (now, later, in_2042) = (1_795_000_000_000_000_000, 1_795_000_000_123_456_789, 4 << 59);
        let page = |time| Page::<E>::new(long, time).data(1, b"abcd").build();
        let mut joined = page(now);
        assert!(join::<E>(&layout, &mut joined, &page(later)));
        let times: Vec<_> = walk::<E>(long, &joined).unwrap().1.into_iter().map(|record| record.0).collect();
        assert_eq!(times, [now + 1, later + 1]);
        assert!(!join::<E>(&layout, &mut page(now), &page(in_2042)));
        assert!(!join::<E>(&layout, &mut page(later), &page(now)), "time does not go back");
    }

    fn what_is_no_sub_buffer_joins_nothing<E>(long: LongSize) {
        let layout = layout(long, 4096);
        let page = Page::<E>::new(long, 1).data(0, b"abcd").build();
        let beyond = Page::<E>::new(long, 1).data(0, b"abcd").with_commit(5000);
        assert!(!join::<E>(&layout, &mut page.clone(), &beyond));
        assert!(!join::<E>(&layout, &mut beyond.clone(), &page));
        for cut in [0, 7, 12, 18] {
            assert!(!join::<E>(&layout, &mut page.clone(), &page[..cut]));
            assert!(!join::<E>(&layout, &mut page.clone()[..cut], &page));
        }
        // An empty sub-buffer has nothing to append.
        let mut same = page.clone();
        assert!(join::<E>(&layout, &mut same, &Page::<E>::new(long, 9).build()));
        assert_eq!(same, page);
    }

    fn an_absolute_stamp_takes_its_top_bits_from_the_time_so_far<E>(long: LongSize) {
        // 2026 in ns of the clock `tai` is above 2^59.
        let now = 1_795_000_000_000_000_000_u64;
        let later = now + 123_456_789;
        let page = Page::<E>::new(long, now).data(0, b"abcd").time_stamp(later).data(0, b"efgh").build();
        let (_, records, _) = walk::<E>(long, &page).unwrap();
        assert_eq!(records[1].0, later);
        // A clock with small times has no top bits, and a stamp may step back.
        let page = Page::<E>::new(long, 5000).data(0, b"abcd").time_stamp(4000).data(0, b"efgh").build();
        assert_eq!(walk::<E>(long, &page).unwrap().1[1].0, 4000);
    }

    fn an_absolute_stamp_below_the_time_so_far_belongs_to_the_next_59_bits<E>(long: LongSize) {
        let now = (3 << 59) + (1 << 59) - 10;
        let page = Page::<E>::new(long, now).data(0, b"abcd").time_stamp(5).data(1, b"efgh").build();
        assert_eq!(walk::<E>(long, &page).unwrap().1[1].0, (4 << 59) + 6);
    }

    fn a_sub_buffer_that_is_nothing_but_its_header_is_empty_and_one_byte_less_is_none<E>(long: LongSize) {
        let page = Page::<E>::new(long, 7).build();
        let header = &page[..layout(long, 4096).data_offset()];
        assert_eq!(walk::<E>(long, header), Ok((Lost::Nothing, vec![], None)));
        let short = &header[..header.len() - 1];
        assert_eq!(walk::<E>(long, short), Err(RingError::ShortHeader { len: short.len() }));
    }

    fn a_sub_buffer_whose_commit_is_no_whole_word_is_not_joined<E>(long: LongSize) {
        let next = Page::<E>::new(long, 2000).data(0, b"efgh").build();
        let whole = Page::<E>::new(long, 1000).data(0, b"abcd").build();
        assert!(join::<E>(&layout(long, 4096), &mut whole.clone(), &next));
        let mut odd = whole;
        let commit = layout(long, 4096).commit_offset();
        match long {
            LongSize::Four => E::write_u32(&mut odd[commit..], 7),
            LongSize::Eight => E::write_u64(&mut odd[commit..], 7),
        }
        assert!(!join::<E>(&layout(long, 4096), &mut odd, &next));
    }

    fn behind_a_record_with_a_length_word_the_next_one_begins_at_a_whole_word<E>(long: LongSize) {
        for len in 1..=8 {
            let page = Page::<E>::new(long, 10).long_data(1, &b"abcdefgh"[..len]).data(2, b"next").build();
            let (_, records, error) = walk::<E>(long, &page).unwrap();
            assert_eq!(records, [(11, b"abcdefgh"[..len].to_vec()), (13, b"next".to_vec())], "{len}");
            assert_eq!(error, None);
        }
    }

    fn a_length_word_that_counts_only_itself_is_a_record_without_bytes<E>(long: LongSize) {
        let page = Page::<E>::new(long, 10).long_data(1, b"").data(2, b"next").build();
        let want = vec![(11, vec![]), (13, b"next".to_vec())];
        assert_eq!(walk::<E>(long, &page), Ok((Lost::Nothing, want, None)));
    }

    fn an_absolute_stamp_that_repeats_the_time_so_far_leaves_it<E>(long: LongSize) {
        let now = 1_795_000_000_000_000_000_u64;
        let page = Page::<E>::new(long, now).time_stamp(now).data(0, b"abcd").build();
        assert_eq!(walk::<E>(long, &page).unwrap().1[0].0, now);
    }

    fn a_discarded_event_may_be_the_last_and_may_not_run_beyond_the_commit<E>(long: LongSize) {
        let data = layout(long, 4096).data_offset();
        let read = vec![(11, b"abcd".to_vec())];
        let page = || Page::<E>::new(long, 10).data(1, b"abcd").discarded(1, 12);
        assert_eq!(walk::<E>(long, &page().build()), Ok((Lost::Nothing, read.clone(), None)));
        // `abcd` takes 8 bytes, the discarded event 4 + 12.
        let beyond = Some(RingError::RecordBeyondCommit { offset: data + 8, beyond: 8 });
        assert_eq!(walk::<E>(long, &page().with_commit(16)), Ok((Lost::Nothing, read, beyond)));
    }

    fn a_record_that_lacks_its_second_word_runs_beyond_the_commit_by_that_word<E>(long: LongSize) {
        let offset = layout(long, 4096).data_offset() + 8;
        for type_len in [0, 30, 31] {
            let page = Page::<E>::new(long, 10).data(1, b"abcd").word(type_len, 1).build();
            let error = walk::<E>(long, &page).unwrap().2;
            assert_eq!(error, Some(RingError::RecordBeyondCommit { offset, beyond: 4 }), "{type_len}");
        }
    }

    fn a_commit_that_is_no_whole_word_ends_the_page_with_an_error<E>(long: LongSize) {
        let offset = layout(long, 4096).data_offset() + 8;
        for left in 1..4 {
            let page = Page::<E>::new(long, 10).data(1, b"abcd").with_commit(8 + left as u64);
            let error = Some(RingError::RecordBeyondCommit { offset, beyond: 4 - left });
            assert_eq!(walk::<E>(long, &page), Ok((Lost::Nothing, vec![(11, b"abcd".to_vec())], error)));
        }
    }

    fn a_sub_buffer_cut_between_two_records_is_truncated_all_the_same<E>(long: LongSize) {
        let page = Page::<E>::new(long, 10).data(1, b"abcd").data(1, b"efgh").build();
        let len = layout(long, 4096).data_offset() + 8;
        let error = Some(RingError::Truncated { len, missing: 8 });
        assert_eq!(walk::<E>(long, &page[..len]), Ok((Lost::Nothing, vec![(11, b"abcd".to_vec())], error)));
    }

    fn a_discarded_event_is_stepped_over_and_its_delta_is_not_added<E>(long: LongSize) {
        let page = Page::<E>::new(long, 10).data(1, b"abcd").discarded(1, 12).data(3, b"efgh").build();
        let (_, records, error) = walk::<E>(long, &page).unwrap();
        assert_eq!(records, [(11, b"abcd".to_vec()), (14, b"efgh".to_vec())]);
        assert_eq!(error, None);
    }

    fn null_padding_ends_the_page<E>(long: LongSize) {
        let page = Page::<E>::new(long, 10).data(1, b"abcd").word(29, 0).data(3, b"efgh").build();
        assert_eq!(walk::<E>(long, &page).unwrap().1.len(), 1);
        let page = Page::<E>::new(long, 10).data(1, b"abcd").word(29, 0).build();
        assert_eq!(walk::<E>(long, &page), Ok((Lost::Nothing, vec![(11, b"abcd".to_vec())], None)));
    }

    fn losses_are_read_from_behind_the_data<E>(long: LongSize) {
        let page = Page::<E>::new(long, 10).data(1, b"abcd").lost(Some(807_873)).build();
        assert_eq!(walk::<E>(long, &page).unwrap().0, Lost::Count(807_873));
        let page = Page::<E>::new(long, 10).data(1, b"abcd").lost(None).build();
        assert_eq!(walk::<E>(long, &page).unwrap().0, Lost::Unknown);
    }

    fn a_commit_beyond_the_page_is_refused<E>(long: LongSize) {
        let room = layout(long, 4096).data_size();
        let page = Page::<E>::new(long, 10).data(1, b"abcd").with_commit(room as u64 + 4);
        assert_eq!(walk::<E>(long, &page), Err(RingError::CommitBeyondPage { commit: room + 4, room }));
    }

    fn a_zero_filled_tail_ends_the_page_with_an_error<E>(long: LongSize) {
        let data = layout(long, 4096).data_offset();
        let page = Page::<E>::new(long, 10).data(1, b"abcd").with_commit(100);
        let want = Some(RingError::ZeroLength { offset: data + 8 });
        assert_eq!(walk::<E>(long, &page), Ok((Lost::Nothing, vec![(11, b"abcd".to_vec())], want)));
    }

    fn a_record_beyond_the_commit_is_refused_and_those_before_it_stand<E>(long: LongSize) {
        let data = layout(long, 4096).data_offset();
        for lying in [Page::<E>::new(long, 10).data(1, b"abcd").word(28, 1), Page::<E>::new(long, 10).data(1, b"abcd").long_data(1, &[0; 64])] {
            let page = lying.with_commit(16);
            let (_, records, error) = walk::<E>(long, &page).unwrap();
            assert_eq!(records.len(), 1);
            assert!(matches!(error, Some(RingError::RecordBeyondCommit { offset, .. }) if offset == data + 8), "{error:?}");
        }
    }

    fn of_a_cut_sub_buffer_what_is_there_is_read<E>(long: LongSize) {
        let page = Page::<E>::new(long, 10).data(1, b"abcd").data(1, b"efgh").build();
        let len = layout(long, 4096).data_offset() + 12;
        let (_, records, error) = walk::<E>(long, &page[..len]).unwrap();
        assert_eq!(records.len(), 1);
        assert_eq!(error, Some(RingError::Truncated { len, missing: 4 }));
        assert_eq!(walk::<E>(long, &page[..9]), Err(RingError::ShortHeader { len: 9 }));
    }

    fn a_zero_filled_tail_of_a_cut_sub_buffer_is_one_error<E>(long: LongSize) {
        let page = Page::<E>::new(long, 9).data(0, b"abcd").word(0, 0).word(0, 0).with_commit(400);
        let cut = &page[..layout(long, 4096).data_offset() + 16];
        let (mut walk, _) = Walk::open::<E>(&layout(long, 4096), cut).unwrap();
        assert!(matches!(walk.next_in::<E>(cut), Some(Ok(_))));
        assert!(matches!(walk.next_in::<E>(cut), Some(Err(RingError::ZeroLength { .. }))));
        assert_eq!(walk.next_in::<E>(cut), None);
    }

    fn the_byte_order_shows_in_the_commit_word<E>(long: LongSize) {
        let empty = Page::<E>::new(long, 10).build();
        let big = E::read_u16(&[0, 1]) == 1;
        let want = if big { Endian::Big } else { Endian::Little };
        let full = || Page::<E>::new(long, 10).data(1, b"abcd");
        for full in [full().build(), full().lost(None).build(), full().lost(Some(9)).build()] {
            assert_eq!(detect_byte_order(&layout(long, 4096), [&empty[..], &full]), Some(want));
        }
        assert_eq!(detect_byte_order(&layout(long, 4096), [&empty[..]]), None);
    }

    fn a_loss_before_an_empty_sub_buffer_does_not_show_the_byte_order_wrong<E>(long: LongSize) {
        // On a kernel with 32-bit longs the flags of one order are a plausible commit of the other.
        let full = Page::<E>::new(long, 10).data(1, b"abcd").build();
        let want = if E::read_u16(&[0, 1]) == 1 { Endian::Big } else { Endian::Little };
        for count in [None, Some(9)] {
            let empty = Page::<E>::new(long, 10).lost(count).with_commit(0);
            assert_eq!(detect_byte_order(&layout(long, 4096), [&empty[..], &full]), Some(want));
        }
    }
}

proptest! {
    #[test]
    fn no_bytes_make_a_walk_panic_or_run_for_ever(page in proptest::collection::vec(any::<u8>(), 0..300), commit in 0u8..255) {
        let mut page = page;
        if page.len() > 12 {
            page[8..12].copy_from_slice(&[commit, 0, 0, 0]);
        }
        for long in [LongSize::Four, LongSize::Eight] {
            let _ = walk::<LittleEndian>(long, &page);
            let _ = walk::<BigEndian>(long, &page);
        }
    }
}
