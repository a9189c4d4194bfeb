//! The places of the cuts, worked out by hand.

use byteorder::LittleEndian;

use super::*;
use crate::capture::made::{self, Ring, page, record};
use crate::ring::Feed;

/// A ring of sub-buffers with one event each, at these times.
fn ring(times: impl IntoIterator<Item = u64>) -> Ring {
    let one = record(1, 0, &[]);
    Ring::new(times.into_iter().map(|time| page(&[(time, &one)], None)).collect())
}

/// A sub-buffer for each thousand ns.
fn thousands(count: u64) -> Ring {
    ring((1..=count).map(|at| at * 1000))
}

fn capture(rings: Vec<Ring>) -> Capture {
    made::capture(vec![], (0..).zip(rings).collect())
}

const ALL: (u64, u64) = (0, u64::MAX);

fn cuts_of(rings: Vec<Ring>, jobs: usize, part: u64, window: (u64, u64)) -> Vec<u64> {
    cuts(&mut capture(rings), Jobs::Number(jobs), part, window).unwrap()
}

/// Every `step`th of the sub-buffers of [`thousands`].
fn every(step: u64, count: u64) -> Vec<u64> {
    (1..count).map(|part| (part * step + 1) * 1000).collect()
}

#[test]
fn a_capture_has_four_parts_for_each_thread_or_as_many_as_it_is_long() {
    assert_eq!(cuts_of(vec![thousands(40)], 2, 1, ALL), every(5, 8));
    assert_eq!(cuts_of(vec![thousands(60)], 3, 1, ALL), every(5, 12));
    // 384 sub-buffers of 4 KiB: parts of 32 or, where these are asked for, of 128 KiB or 192.
    assert_eq!(cuts_of(vec![thousands(384)], 2, 1, ALL), every(32, 12));
    assert_eq!(cuts_of(vec![thousands(384)], 2, 128 << 10, ALL), every(32, 12));
    assert_eq!(cuts_of(vec![thousands(384)], 2, 192 << 10, ALL), every(48, 8));
    // Three rings, of which the longest is cut: 32 sub-buffers of each are 96, of 1152.
    let rings = || vec![thousands(376), thousands(400), thousands(376)];
    assert_eq!(cuts_of(rings(), 2, 1, ALL), (1..12).map(|part| (400 * part / 12 + 1) * 1000).collect::<Vec<_>>());
}

#[test]
fn one_thread_or_a_ring_that_cannot_be_searched_needs_no_cut() {
    struct Stream;
    impl Feed for Stream {
        fn advance(&mut self, _: &mut Vec<u8>) -> io::Result<bool> {
            Ok(false)
        }
    }
    assert!(cuts_of(vec![thousands(40)], 1, 1, ALL).is_empty());
    assert!(cuts_of(vec![thousands(40)], 0, 1, ALL).is_empty());
    assert!(cuts_of(vec![], 2, 1, ALL).is_empty());
    let mut with_stream = capture(vec![thousands(40), thousands(2)]);
    with_stream.rings[1].feed = Box::new(Stream);
    assert!(cuts(&mut with_stream, Jobs::Number(2), 1, ALL).unwrap().is_empty());
}

#[test]
fn threads_for_each_processor_are_for_captures_from_4_mib_on() {
    for (count, worth) in [(1023, false), (1024, Jobs::Processors.number() > 1)] {
        let cuts = cuts(&mut capture(vec![thousands(count)]), Jobs::Processors, 1, ALL).unwrap();
        assert_eq!(!cuts.is_empty(), worth, "{count}");
    }
    assert!(Jobs::Processors.number() >= 1 && Jobs::Number(7).number() == 7);
}

#[test]
fn only_the_window_is_cut_and_the_ring_is_positioned_at_its_beginning() {
    let next = |capture: &mut Capture| {
        let mut page = Vec::new();
        capture.rings[0].feed.advance(&mut page).unwrap();
        u64::from_le_bytes(page[..8].try_into().unwrap())
    };
    // From the sub-buffer that begins before 8500, the eighth, to the one before 24500: 17, in eight parts.
    let mut whole = capture(vec![thousands(40)]);
    let found = cuts(&mut whole, Jobs::Number(2), 1, (8500, 24_500)).unwrap();
    assert_eq!(found, [10_000, 12_000, 14_000, 16_000, 18_000, 20_000, 22_000]);
    assert_eq!(next(&mut whole), 8000);
    let mut whole = capture(vec![thousands(40)]);
    assert_eq!(cuts(&mut whole, Jobs::Number(2), 1, ALL).unwrap(), every(5, 8));
    assert_eq!(next(&mut whole), 1000);
    // A cut is behind the first time and not behind the last one.
    assert_eq!(cuts_of(vec![ring([10, 20, 30, 40])], 2, 1, (20, 40)), [30]);
    assert_eq!(cuts_of(vec![ring([10, 20, 30, 40])], 2, 1, (19, 41)), [20, 30, 40]);
    assert!(cuts_of(vec![ring([10, 20, 30, 40])], 2, 1, (20, 29)).is_empty());
}

#[test]
fn the_times_of_the_cuts_ascend() {
    assert_eq!(cuts_of(vec![ring([10, 30, 30, 20, 40, 35, 50])], 2, 1, ALL), [30, 40, 50]);
    // Sub-buffers without events have no time.
    let one = record(1, 0, &[]);
    let pages = [Some(10), None, Some(30), None, None, Some(60)];
    let pages = pages.map(|time| page(time.map(|time| (time, &one[..])).as_slice(), None));
    assert_eq!(cuts_of(vec![Ring::new(pages.into())], 2, 1, ALL), [30, 60]);
}

#[test]
fn there_is_a_largest_number_of_parts() {
    /// As many sub-buffers, made when they are read.
    struct Long(u64, u64);
    impl Feed for Long {
        fn advance(&mut self, page: &mut Vec<u8>) -> io::Result<bool> {
            page.clone_from(&made::page(&[(self.1 + 1, &record(1, 0, &[]))], None));
            self.1 += 1;
            Ok(true)
        }

        fn sub_buffers(&mut self) -> io::Result<Option<u64>> {
            Ok(Some(self.0))
        }

        fn seek(&mut self, index: u64) -> io::Result<bool> {
            self.1 = index;
            Ok(true)
        }
    }
    let mut long = capture(vec![thousands(1)]);
    long.rings[0].feed = Box::new(Long(1 << 15, 0));
    let cuts = cuts(&mut long, Jobs::Number(8192), 1, ALL).unwrap();
    assert!(cuts.len() == (1 << 14) - 1 && cuts.iter().copied().eq((1..1 << 14).map(|part| 2 * part + 1)));
}

#[test]
fn a_reader_goes_to_a_time_and_to_the_same_place_again() {
    let capture = capture(vec![]);
    let clock = Clock { header: &capture.header, endian: capture.endian, times: &capture.times };
    let rings: Vec<(u32, RingFeed)> = vec![(0, Box::new(thousands(5))), (1, Box::new(ring([2500, 2600, 4500])))];
    let mut reader = Reader::new(clock, rings);
    let read = |reader: &mut Reader<'_>, begin, until| {
        let mut merge = reader.merge::<LittleEndian>(begin, until);
        let mut times = vec![];
        while let Some(record) = merge.next_record::<LittleEndian>() {
            times.push(record.time);
        }
        reader.take_back(merge);
        times
    };
    let all = [1000, 2000, 2500, 2600, 3000, 4000, 4500, 5000];
    assert_eq!(read(&mut reader, None, None), all);
    // The last sub-buffer that begins before the time.
    reader.seek(3500).unwrap();
    assert_eq!(reader.begins(), [2, 1]);
    assert_eq!(read(&mut reader, None, None), [2600, 3000, 4000, 4500, 5000]);
    reader.seek_again().unwrap();
    assert_eq!(read(&mut reader, Some(3500), Some(4500)), [4000]);
    reader.seek_again().unwrap();
    assert_eq!(read(&mut reader, Some(4000), Some(4501)), [4000, 4500]);
    reader.seek(0).unwrap();
    assert_eq!(reader.begins(), [0, 0]);
    assert_eq!(read(&mut reader, None, Some(2600)), all[..3]);
    reader.seek(1).unwrap();
    assert_eq!(read(&mut reader, None, None), all);
}
