//! The walk over each type of record and the merge, in both byte orders and both sizes of `long`.

use std::ops::ControlFlow;

use byteorder::{BigEndian, ByteOrder, LittleEndian};
use proptest::prelude::*;

use super::page::{Page, layout};
use super::*;
use crate::format::{Endian, LongSize};

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
        let full = Page::<E>::new(long, 10).data(1, b"abcd").lost(None).build();
        let big = E::read_u16(&[0, 1]) == 1;
        let want = if big { Endian::Big } else { Endian::Little };
        assert_eq!(detect_byte_order(&layout(long, 4096), [&empty[..], &full]), Some(want));
        assert_eq!(detect_byte_order(&layout(long, 4096), [&empty[..]]), None);
    }
}

/// A feed of pages in memory; the next one is last.
struct Pages(Vec<Vec<u8>>);

impl Feed for Pages {
    fn advance(&mut self, page: &mut Vec<u8>) -> std::io::Result<bool> {
        Ok(self.0.pop().map(|next| *page = next).is_some())
    }
}

fn pages(mut pages: Vec<Vec<u8>>) -> Pages {
    pages.reverse();
    Pages(pages)
}

fn page_at(time: u64, deltas: &[u32]) -> Vec<u8> {
    let start = Page::<LittleEndian>::new(LongSize::Eight, time);
    deltas.iter().fold(start, |page, &delta| page.data(delta, b"abcd")).build()
}

fn merged(feeds: Vec<(u32, Pages)>) -> Vec<(u64, u32)> {
    let mut merge = Merge::new(layout(LongSize::Eight, 4096), feeds);
    std::iter::from_fn(|| merge.next_record::<LittleEndian>().map(|r| (r.time, r.cpu))).collect()
}

/// The same through `for_each`, which is stopped after every `stop_every` records.
fn pushed(feeds: Vec<(u32, Pages)>, stop_every: usize) -> Vec<(u64, u32)> {
    let mut merge = Merge::new(layout(LongSize::Eight, 4096), feeds);
    let mut records = vec![];
    loop {
        let end = merge.for_each::<LittleEndian, ()>(|record| {
            records.push((record.time, record.cpu));
            if records.len().is_multiple_of(stop_every) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        if end.is_continue() {
            let (_, counts) = merge.counts().fold((0, 0), |sum, (_, c)| (0, sum.1 + c.records));
            assert_eq!(counts, records.len() as u64);
            return records;
        }
    }
}

#[test]
fn cpus_are_merged_into_one_order_of_time() {
    let feeds = vec![
        (0, pages(vec![page_at(1, &[0, 3]), page_at(5, &[0, 4])])),
        (3, pages(vec![page_at(2, &[0, 1, 4, 1])])),
        (7, pages(vec![])),
    ];
    assert_eq!(merged(feeds), [(1, 0), (2, 3), (3, 3), (4, 0), (5, 0), (7, 3), (8, 3), (9, 0)]);
}

#[test]
fn a_bad_sub_buffer_does_not_affect_others() {
    let bad = Page::<LittleEndian>::new(LongSize::Eight, 3).with_commit(5000);
    let mut merge =
        Merge::new(layout(LongSize::Eight, 4096), [(0, pages(vec![page_at(1, &[0]), bad, page_at(9, &[0])]))]);
    let mut times = vec![];
    while let Some(record) = merge.next_record::<LittleEndian>() {
        times.push(record.time);
    }
    assert_eq!(times, [1, 9]);
    let (_, counts) = merge.counts().next().unwrap();
    assert_eq!((counts.sub_buffers, counts.records, counts.malformed), (3, 2, 1));
    assert_eq!(counts.first_error, Some(RingError::CommitBeyondPage { commit: 5000, room: 4080 }));
}

#[test]
fn a_dry_feed_is_read_again_after_resume() {
    struct Trickle(u64, bool);
    impl Feed for Trickle {
        fn advance(&mut self, page: &mut Vec<u8>) -> std::io::Result<bool> {
            self.1 = !self.1;
            self.0 += 10;
            *page = page_at(self.0, &[0]);
            Ok(self.1)
        }
    }
    let mut merge = Merge::new(layout(LongSize::Eight, 4096), [(0, Trickle(0, false))]);
    let turn = |merge: &mut Merge<Trickle>| {
        let times: Vec<_> = std::iter::from_fn(|| merge.next_record::<LittleEndian>().map(|r| r.time)).collect();
        merge.resume();
        times
    };
    assert_eq!(turn(&mut merge), [10]);
    assert_eq!(turn(&mut merge), [30]);
}

#[test]
fn a_failed_feed_is_reported_once_and_the_others_go_on() {
    struct Broken;
    impl Feed for Broken {
        fn advance(&mut self, _page: &mut Vec<u8>) -> std::io::Result<bool> {
            Err(std::io::Error::from_raw_os_error(libc::ENODEV))
        }
    }
    let mut merge = Merge::new(layout(LongSize::Eight, 4096), [(4, Broken)]);
    assert!(merge.next_record::<LittleEndian>().is_none());
    assert_eq!(
        merge.take_errors().map(|(cpu, e)| (cpu, e.raw_os_error())).collect::<Vec<_>>(),
        [(4, Some(libc::ENODEV))]
    );
    merge.resume();
    assert!(merge.next_record::<LittleEndian>().is_none());
    assert_eq!(merge.take_errors().count(), 0);
}

#[test]
fn of_equal_times_the_lower_cpu_goes_first_and_a_ring_whose_events_are_all_older_goes_before_others() {
    let feeds = || {
        vec![
            (1, pages(vec![page_at(5, &[0, 0]), page_at(6, &[0])])),
            (2, pages(vec![page_at(5, &[0, 1])])),
            (9, pages(vec![page_at(2, &[0, 1, 2])])),
        ]
    };
    let want = [(2, 9), (3, 9), (5, 1), (5, 1), (5, 2), (5, 9), (6, 1), (6, 2)];
    assert_eq!(merged(feeds()), want);
    for stop_every in 1..9 {
        assert_eq!(pushed(feeds(), stop_every), want);
    }
}

#[test]
fn a_loss_is_reported_with_the_first_record_of_its_own_ring() {
    let lossy = |time, count| Page::<LittleEndian>::new(LongSize::Eight, time).data(0, b"abcd").lost(count).build();
    let feeds = [(0, pages(vec![page_at(1, &[0, 5]), lossy(8, Some(4))])), (1, pages(vec![lossy(2, None)]))];
    let mut merge = Merge::new(layout(LongSize::Eight, 4096), feeds);
    let mut records = vec![];
    while let Some(record) = merge.next_record::<LittleEndian>() {
        records.push((record.time, record.lost));
    }
    assert_eq!(records, [(1, Lost::Nothing), (2, Lost::Unknown), (6, Lost::Nothing), (8, Lost::Count(4))]);
}

#[test]
fn a_loss_before_an_empty_sub_buffer_is_reported_with_the_next_record() {
    let empty = Page::<LittleEndian>::new(LongSize::Eight, 5).lost(Some(807)).with_commit(0);
    let feeds = || [(0, pages(vec![page_at(1, &[0]), empty.clone(), page_at(9, &[0, 1])]))];
    let want = [(1, Lost::Nothing), (9, Lost::Count(807)), (10, Lost::Nothing)];
    let mut merge = Merge::new(layout(LongSize::Eight, 4096), feeds());
    let pulled: Vec<_> =
        std::iter::from_fn(|| merge.next_record::<LittleEndian>().map(|record| (record.time, record.lost))).collect();
    assert_eq!(pulled, want);
    let mut merge = Merge::new(layout(LongSize::Eight, 4096), feeds());
    let mut pushed = vec![];
    let _ = merge.for_each::<LittleEndian, ()>(|record| {
        pushed.push((record.time, record.lost));
        ControlFlow::Continue(())
    });
    assert_eq!(pushed, want);
}

/// All ones means "no record" internally; a clock with that value must not end the stream.
#[test]
fn records_whose_time_is_all_ones_come_last_and_all_come() {
    let feeds = || {
        vec![
            (0, pages(vec![page_at(u64::MAX, &[0, 0]), page_at(u64::MAX, &[0])])),
            (1, pages(vec![page_at(u64::MAX - 2, &[0, 2])])),
        ]
    };
    let cpus = |records: Vec<(u64, u32)>| records.into_iter().map(|(_, cpu)| cpu).collect::<Vec<_>>();
    assert_eq!(cpus(merged(feeds())), [1, 0, 0, 0, 1]);
    assert_eq!(cpus(pushed(feeds(), 2)), [1, 0, 0, 0, 1]);
}

/// A feed that yields one sub-buffer per turn.
struct Late(Pages, bool, u32);

impl Feed for Late {
    fn advance(&mut self, page: &mut Vec<u8>) -> std::io::Result<bool> {
        self.2 += 1;
        if std::mem::take(&mut self.1) { self.0.advance(page) } else { Ok(false) }
    }
}

#[test]
fn only_resumed_rings_are_read_again() {
    let feeds = (0..512).map(|cpu| {
        let later = if cpu == 300 { vec![page_at(20, &[0, 5])] } else { vec![page_at(22, &[0])] };
        (cpu, Late(pages([vec![page_at(u64::from(cpu), &[0])], later].concat()), true, 0))
    });
    let mut merge = Merge::new(layout(LongSize::Eight, 4096), feeds);
    let turn = |merge: &mut Merge<Late>| {
        std::iter::from_fn(|| merge.next_record::<LittleEndian>().map(|r| (r.time, r.cpu))).collect::<Vec<_>>()
    };
    let asked = |merge: &mut Merge<Late>| merge.feeds_mut().map(|(_, feed)| std::mem::take(&mut feed.2)).sum::<u32>();
    assert_eq!(turn(&mut merge).len(), 512);
    // Each ring is asked for its sub-buffer, and for a second one that does not exist.
    assert_eq!(asked(&mut merge), 1024);
    merge.feeds_mut().for_each(|(_, feed)| feed.1 = true);
    assert_eq!(turn(&mut merge), []);
    for index in [300, 7] {
        merge.resume_one(index);
        merge.resume_one(index);
    }
    assert_eq!(turn(&mut merge), [(20, 300), (22, 7), (25, 300)]);
    assert_eq!(asked(&mut merge), 4);
    // After one way of reading, the other finds nothing left.
    assert!(merge.for_each::<LittleEndian, ()>(|_| panic!("a record")).is_continue());
    assert_eq!(turn(&mut merge), []);
    merge.resume_one(512);
    assert_eq!((turn(&mut merge), asked(&mut merge)), (vec![], 0));
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

    #[test]
    fn a_merge_is_sorted_and_complete(cpus in proptest::collection::vec(proptest::collection::vec((0u64..1000, proptest::collection::vec(0u32..100, 0..20)), 0..4), 0..5), stop_every in 1usize..9) {
        let mut want = 0;
        let cpus: Vec<Vec<Vec<u8>>> = cpus.into_iter().map(|pages| {
            let mut start = 0;
            pages.into_iter().map(|(gap, deltas)| {
                start += gap;
                let page = page_at(start, &deltas);
                start += deltas.iter().map(|&d| u64::from(d)).sum::<u64>();
                want += deltas.len();
                page
            }).collect()
        }).collect();
        let feeds = || cpus.iter().enumerate().map(|(cpu, cpu_pages)| (cpu as u32, pages(cpu_pages.clone()))).collect();
        let merged = merged(feeds());
        prop_assert_eq!(merged.len(), want);
        prop_assert_eq!(&pushed(feeds(), stop_every), &merged);
        // The records of a ring stay in order; all are ordered by time, then by CPU.
        prop_assert!(merged.is_sorted());
    }
}

/// A feed with the required method only.
struct Onward;

impl Feed for Onward {
    fn advance(&mut self, _: &mut Vec<u8>) -> std::io::Result<bool> {
        Ok(false)
    }
}

/// A feed with all methods, which has skipped something.
struct Whole;

impl Feed for Whole {
    fn advance(&mut self, _: &mut Vec<u8>) -> std::io::Result<bool> {
        Ok(false)
    }

    fn sub_buffers(&mut self) -> std::io::Result<Option<u64>> {
        Ok(Some(7))
    }

    fn seek(&mut self, index: u64) -> std::io::Result<bool> {
        Ok(index < 7)
    }

    fn seek_near_end(&mut self) -> std::io::Result<bool> {
        Ok(true)
    }

    fn skipped(&self) -> Option<(u64, String)> {
        Some((3, "broken".to_owned()))
    }
}

#[test]
fn a_boxed_feed_forwards_every_method() {
    let told = |mut feed: Box<dyn Feed>| {
        let seeks = (feed.seek(6).unwrap(), feed.seek(7).unwrap(), feed.seek_near_end().unwrap());
        (feed.sub_buffers().unwrap(), seeks, feed.skipped())
    };
    assert_eq!(told(Box::new(Onward)), (None, (false, false, false), None));
    let whole = (Some(7), (true, false, true), Some((3, "broken".to_owned())));
    assert_eq!(told(Box::new(Whole)), whole);
    // A box in a box forwards to the outer one's own methods.
    let inner: Box<dyn Feed> = Box::new(Whole);
    assert_eq!(told(Box::new(inner)), whole);
}

#[test]
fn a_merge_gives_its_feeds_back() {
    let merge = Merge::new(layout(LongSize::Eight, 4096), [(3, Onward), (1, Onward)]);
    let mut cpus: Vec<u32> = merge.into_feeds().map(|(cpu, _)| cpu).collect();
    cpus.sort_unstable();
    assert_eq!(cpus, [1, 3]);
}

#[test]
fn a_position_counts_the_sub_buffers_of_before_and_those_read() {
    let mut merge =
        Merge::new(layout(LongSize::Eight, 4096), [(0, pages(vec![page_at(10, &[1, 2]), page_at(50, &[1])]))]);
    let read = |merge: &mut Merge<_>| merge.positions::<LittleEndian>(&[5])[0].sub_buffers;
    assert_eq!(read(&mut merge), 6);
    for _ in 0..2 {
        merge.next_record::<LittleEndian>().unwrap();
    }
    assert_eq!(read(&mut merge), 7);
}
