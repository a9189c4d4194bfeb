//! The merge of several rings into one stream in order of time.

use std::ops::ControlFlow;

use byteorder::LittleEndian;
use proptest::prelude::*;

use super::page::{Page, layout};
use super::*;
use crate::format::LongSize;

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

#[test]
fn records_of_every_form_are_pushed_as_they_are_pulled() {
    let page = || {
        let start =
            Page::<LittleEndian>::new(LongSize::Eight, 10).data(1, b"abcd").long_data(2, b"longer").data(3, b"efgh");
        let later = start.time_extend(1 << 30).data(0, b"ijkl").discarded(5, 8).data(1, b"mnop");
        later.time_stamp(4 << 30).long_data(0, b"").data(1, &[7; 112]).word(29, 0).build()
    };
    let mut merge = Merge::new(layout(LongSize::Eight, 4096), [(0, pages(vec![page()]))]);
    let mut pulled = vec![];
    while let Some(record) = merge.next_record::<LittleEndian>() {
        pulled.push((record.time, record.bytes.to_vec()));
    }
    let late = 16 + (1 << 30);
    let want: [(u64, &[u8]); 7] = [
        (11, b"abcd"),
        (13, b"longer"),
        (16, b"efgh"),
        (late, b"ijkl"),
        (late + 1, b"mnop"),
        (4 << 30, b""),
        ((4 << 30) + 1, &[7; 112]),
    ];
    assert_eq!(pulled, want.map(|(time, bytes)| (time, bytes.to_vec())));
    let mut merge = Merge::new(layout(LongSize::Eight, 4096), [(0, pages(vec![page()]))]);
    let mut pushed = vec![];
    let _ = merge.for_each::<LittleEndian, ()>(|record| {
        pushed.push((record.time, record.bytes.to_vec()));
        ControlFlow::Continue(())
    });
    assert_eq!(pushed, pulled);
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
