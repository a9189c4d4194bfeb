//! One CPU's data: searches, the limits of expansion and of memory, and decompression ahead.

use std::io::Write;
use std::sync::atomic::Ordering;

use super::shared::CHUNK_HEAD;
use super::*;
use crate::capture::trace_dat::ahead::Ahead;
use crate::capture::trace_dat::source::Source;
use crate::capture::trace_dat::{Compression, Problem};
use crate::format::Endian;

/// A zstd frame of `size` zeros, by hand (RFC 8878): one block of a repeated byte for each 128 KiB.
fn zeros(size: u32) -> Vec<u8> {
    // The size is in four bytes, and is the size of the window.
    let mut frame = vec![0x28, 0xb5, 0x2f, 0xfd, 0xa0];
    frame.extend(size.to_le_bytes());
    let mut left = size;
    while left > 0 {
        let block = left.min(128 << 10);
        left -= block;
        frame.extend_from_slice(&(block << 3 | 1 << 1 | u32::from(left == 0)).to_le_bytes()[..3]);
        frame.push(0);
    }
    frame
}

/// `count` chunks of `size` zeros, as one CPU's data.
fn chunks(count: u32, size: u32) -> Vec<u8> {
    let frame = zeros(size);
    let mut data = count.to_le_bytes().to_vec();
    for _ in 0..count {
        data.extend((frame.len() as u32).to_le_bytes());
        data.extend(size.to_le_bytes());
        data.extend(&frame);
    }
    data
}

fn reader(data: &[u8], ahead: bool) -> SubBuffers {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(data).unwrap();
    let source = Arc::new(Source::new(file).unwrap());
    let mut shared = Shared::new(source, Endian::Little, Compression::Zstd, 1, false);
    if !ahead {
        shared = shared.twin();
    }
    let cpu = CpuData { cpu: 0, offset: 0, size: data.len() as u64 - 4, compressed: true };
    SubBuffers::new(Arc::new(shared), &cpu, 1 << 20)
}

/// The number of sub-buffers before the end or an error, and the error.
fn read(feed: &mut SubBuffers) -> (u64, Option<DatError>) {
    let mut page = Vec::new();
    for read in 0.. {
        match feed.next_into(&mut page) {
            Ok(true) => assert!(page.len() == 1 << 20 && page.iter().all(|byte| *byte == 0)),
            Ok(false) => return (read, None),
            Err(error) => return (read, Some(error)),
        }
    }
    unreachable!()
}

#[test]
fn decompressed_data_of_a_cpu_are_bounded_by_their_stored_size() {
    const MIB: u32 = 1 << 20;
    let data = chunks(12, 16 * MIB);
    // 64 MiB, and 4096 times the data: 4 bytes of a count, 12 chunks of 8 + 9 + 128 * 4.
    let length = 4 + 12 * (8 + 9 + 128 * 4);
    assert_eq!(data.len(), length);
    let allowed = (64 << 20) + 4096 * length as u64;
    let whole = allowed / (16 << 20);
    assert_eq!(whole, 5);
    for ahead in [false, true] {
        let (read, error) = read(&mut reader(&data, ahead));
        assert_eq!(read, whole * 16, "{ahead}");
        let limit = allowed - whole * (16 << 20);
        let problem = error.unwrap().problem;
        assert!(matches!(problem, Problem::TooLarge { size: 16_777_216, limit: l } if l == limit), "{problem:?}");
    }
    // Wherever reading begins.
    let mut feed = reader(&data, false);
    assert!(feed.seek(3 * 16).unwrap());
    assert_eq!(read(&mut feed).0, (whole - 3) * 16);
    // Fewer chunks of the same kind are read.
    assert!(read(&mut reader(&chunks(4, 16 * MIB), true)).1.is_none());
}

#[test]
fn decompression_ahead_gives_the_same_bytes_and_fails_at_the_same_place() {
    let mut data = chunks(40, 2 << 20);
    let frame = zeros(2 << 20).len() + CHUNK_HEAD as usize;
    // The blocks of the 31st chunk have an invalid type.
    let at = 4 + 30 * frame + CHUNK_HEAD as usize + 9;
    data[at] |= 3 << 1;
    let (plain, error) = read(&mut reader(&data, false));
    let (ahead, same) = read(&mut reader(&data, true));
    assert_eq!((plain, ahead), (60, 60));
    assert_eq!(error.unwrap().to_string(), same.unwrap().to_string());
    let mut feed = reader(&data, true);
    let mut page = Vec::new();
    for index in [3, 59, 0, 58, 20] {
        assert!(feed.seek(index).unwrap());
        let (left, _) =
            (0..60 - index).fold((0, ()), |(left, ()), _| (left + u64::from(feed.next_into(&mut page).unwrap()), ()));
        assert_eq!(left, 60 - index);
    }
}

/// Bytes before the data in the file.
const BEFORE: usize = 7;

/// Chunks that are stored as they are, of these sizes, and what is in all of them.
fn stored(sizes: &[usize]) -> (Vec<u8>, Vec<u8>) {
    let content: Vec<u8> = (0..sizes.iter().sum::<usize>()).map(|at| (at % 251) as u8).collect();
    let mut data = (sizes.len() as u32).to_le_bytes().to_vec();
    let mut at = 0;
    for size in sizes {
        data.extend((*size as u32).to_le_bytes());
        data.extend((*size as u32).to_le_bytes());
        data.extend(&content[at..at + size]);
        at += size;
    }
    (data, content)
}

/// Sub-buffers of `unit` bytes in `data`, behind other bytes of a file.
fn feed_of(data: &[u8], compressed: bool, unit: usize, change: impl FnOnce(&mut Shared)) -> SubBuffers {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(&[[0xff; BEFORE].as_slice(), data].concat()).unwrap();
    let source = Arc::new(Source::new(file).unwrap());
    let mut shared = Shared::new(source, Endian::Little, Compression::None, 1, false);
    change(&mut shared);
    // The size leaves out the count.
    let size = if compressed { data.len().saturating_sub(4) } else { data.len() } as u64;
    let cpu = CpuData { cpu: 0, offset: BEFORE as u64, size, compressed };
    SubBuffers::new(Arc::new(shared), &cpu, unit)
}

fn same(_: &mut Shared) {}

/// What is left to be read of `feed`, and where and how it fails.
fn rest(feed: &mut SubBuffers) -> (Vec<Vec<u8>>, Option<(u64, String)>) {
    let (mut pages, mut page) = (Vec::new(), Vec::new());
    loop {
        match feed.advance(&mut page) {
            Ok(true) => pages.push(page.clone()),
            Ok(false) => return (pages, None),
            Err(error) => {
                let error = *error.into_inner().unwrap().downcast::<DatError>().unwrap();
                return (pages, Some((error.offset, format!("{:?}", error.problem))));
            }
        }
    }
}

fn pages(content: &[u8], unit: usize) -> Vec<Vec<u8>> {
    content.chunks(unit).map(<[u8]>::to_vec).collect()
}

#[test]
fn every_sub_buffer_can_be_gone_to_from_every_other() {
    // 1, 3, none, 2 and 5 sub-buffers of 4 bytes, the last one cut short.
    let (data, content) = stored(&[4, 12, 0, 8, 18]);
    let whole = pages(&content, 4);
    assert_eq!((whole.len(), whole[10].len()), (11, 2));
    let ahead =
        |shared: &mut Shared| shared.ahead = Some(Ahead::new(shared.source.clone(), shared.decompressor.clone()));
    let feeds = [feed_of(&data, true, 4, same), feed_of(&data, true, 4, ahead), feed_of(&content, false, 4, same)];
    for mut feed in feeds {
        assert_eq!(feed.sub_buffers().unwrap(), Some(11));
        assert_eq!(rest(&mut feed), (whole.clone(), None));
        let mut page = Vec::new();
        for (from, read) in (0..12).flat_map(|from| [(from, 1), (from, 4)]) {
            for to in 0..13 {
                assert!(feed.seek(from).unwrap());
                for at in from..from + read {
                    assert_eq!(feed.advance(&mut page).unwrap(), at < 11, "{at}");
                    assert!(at >= 11 || page == whole[at as usize], "{at}");
                }
                assert!(feed.seek(to).unwrap());
                let left = whole.get(to as usize..).unwrap_or_default().to_vec();
                assert_eq!(rest(&mut feed), (left, None), "{from} {to}");
            }
        }
    }
}

#[test]
fn the_chunk_that_was_gone_to_is_known_and_no_more_are_read_than_are_counted() {
    let (mut data, _) = stored(&[4, 12, 0, 8, 18]);
    let mut feed = feed_of(&data, true, 4, same);
    assert!(feed.seek(2).unwrap());
    // The second chunk: its sub-buffers are 1 to 3, and it ends behind the count, two heads and 16 bytes.
    assert_eq!(feed.bytes.piece_is, Some((1, 4, BEFORE as u64 + 4 + 2 * 8 + 16)));
    data[0] = 4;
    let mut feed = feed_of(&data, true, 4, same);
    assert_eq!(feed.sub_buffers().unwrap(), Some(6));
    assert!(feed.seek(6).unwrap());
    assert_eq!(rest(&mut feed), (vec![], None));
}

/// More chunks than there are marks of where they are: 4096, then every other one goes.
#[test]
fn a_sub_buffer_is_found_among_many_chunks() {
    let (data, content) = stored(&[3; 10_000]);
    let mut feed = feed_of(&data, true, 3, same);
    let mut page = Vec::new();
    for index in [9_999u64, 0, 1, 4_095, 4_096, 4_097, 8_191, 8_192, 8_193, 5_000] {
        assert!(feed.seek(index).unwrap() && feed.advance(&mut page).unwrap());
        assert_eq!(page, content[3 * index as usize..][..3], "{index}");
        let (left, error) = rest(&mut feed);
        assert_eq!((left.len() as u64, error), (9_999 - index, None));
    }
    let index = feed.bytes.index(3).unwrap();
    // Every fourth of 10 000.
    assert_eq!((index.marks.len(), index.sub_buffers, index.largest), (2_500, 10_000, 3));
    assert!(index.marks.iter().all(|mark| {
        let chunk = u64::from(mark.chunk);
        (mark.first, mark.before, mark.offset) == (chunk, 3 * chunk, BEFORE as u64 + 4 + 11 * chunk)
    }));
}

#[test]
fn the_last_chunk_is_found_from_the_end() {
    let last = |sizes: &[usize], behind: usize| {
        let (mut data, content) = stored(sizes);
        data.extend(vec![0; behind]);
        let mut feed = feed_of(&data, true, 4, same);
        let found = feed.seek_near_end().unwrap();
        let (read, error) = rest(&mut feed);
        assert!(error.is_none(), "{error:?}");
        (found, read == pages(&content[content.len() - read.concat().len()..], 4), read.len())
    };
    assert_eq!(last(&[8, 4, 12], 0), (true, true, 3));
    // The size counts the four bytes of the count, though they are allowed for.
    assert_eq!(last(&[8, 4, 12], 4), (true, true, 3));
    // Chunks before it that are longer than what is searched.
    assert_eq!(last(&[2 << 20, 8], 0), (true, true, 2));
    assert_eq!(last(&[8], 0), (true, true, 2));
    // Something else behind it; no whole sub-buffers in it; nothing in it: from the beginning on.
    assert_eq!(last(&[8, 4, 12], 3), (false, true, 6));
    assert_eq!(last(&[8, 4, 10], 0), (false, true, 6));
    assert_eq!(last(&[8, 4, 0], 0), (false, true, 3));
    assert!(!feed_of(&[0; 64], false, 4, same).seek_near_end().unwrap());
}

/// Each place where a length and what is left of the data meet. Offsets are of the file, behind the bytes before.
#[test]
fn data_that_end_early_are_told_with_what_is_needed_and_left() {
    let head = |stored: u32, size: u32| [stored.to_le_bytes(), size.to_le_bytes()].concat();
    let data = |count: u32, parts: &[&[u8]]| [&count.to_le_bytes()[..], &parts.concat()].concat();
    let truncated =
        |offset, needed: u64, left: u64| Some((offset, format!("{:?}", Problem::Truncated { needed, left })));
    for (data, whole, error) in [
        (vec![], 0, None),
        (vec![2, 0, 0], 0, truncated(7, 4, 3)),
        (vec![0, 0, 0, 0], 0, None),
        (data(2, &[&head(0, 0)]), 0, truncated(11, 16, 8)),
        (data(1, &[&head(0, 0)]), 0, None),
        (data(1, &[&head(5, 5), &[0; 4]]), 0, truncated(11, 5, 4)),
        (data(1, &[&head(4, 4), &[0; 4]]), 1, None),
        (data(2, &[&head(12, 12), &[0; 12], &[0; 7]]), 3, truncated(31, 8, 7)),
        (data(2, &[&head(12, 12), &[0; 12], &head(0, 0)]), 3, None),
        (data(2, &[&head(12, 12), &[0; 12], &head(1, 1)]), 3, truncated(31, 1, 0)),
        (data(1, &[&head(4, 5), &[0; 4]]), 0, Some((19, "Corrupt".to_owned()))),
    ] {
        let (read, found) = rest(&mut feed_of(&data, true, 4, same));
        let found = found.map(|(at, problem)| (at, problem.split('(').next().unwrap_or_default().to_owned()));
        assert_eq!((read.len(), found), (whole, error), "{data:?}");
        let counted = feed_of(&data, true, 4, same).sub_buffers();
        assert!(whole == 0 || counted.is_ok_and(|counted| counted == Some(whole as u64)), "{data:?}");
    }
}

#[test]
fn salvaging_skips_damaged_chunks_and_counts_them() {
    let (mut data, content) = stored(&[4, 8, 4, 4, 8]);
    // The sizes of the second and the fourth are not those of what is stored.
    data[4 + 12 + 4] = 9;
    data[4 + 12 + 16 + 12 + 4] = 5;
    let salvage = |shared: &mut Shared| shared.salvage = true;
    let mut feed = feed_of(&data, true, 4, salvage);
    assert_eq!(Feed::skipped(&feed), None);
    let left = [&content[..4], &content[12..16], &content[20..]].concat();
    assert_eq!(rest(&mut feed), (pages(&left, 4), None));
    let (chunks, first) = Feed::skipped(&feed).unwrap();
    assert_eq!(chunks, 2);
    assert!(first.contains(&format!("at byte {}", BEFORE + 4 + 12 + 8)), "{first}");
    // More chunks announced than there is room for.
    let (mut data, content) = stored(&[4, 8]);
    data[0] = 200;
    let (read, error) = rest(&mut feed_of(&data, true, 4, salvage));
    assert_eq!((read, error), (pages(&content, 4), None));
    assert!(rest(&mut feed_of(&data, true, 4, same)).1.is_some());
}

#[test]
fn what_all_readers_hold_is_bounded_and_given_back() {
    let (data, _) = stored(&[100, 200, 50]);
    let first = feed_of(&data, true, 10, |shared| shared.limit = 300);
    let shared = first.bytes.shared.clone();
    let mut first = first;
    let cpu = CpuData { cpu: 1, offset: BEFORE as u64, size: data.len() as u64 - 4, compressed: true };
    let other = || SubBuffers::new(shared.clone(), &cpu, 10);
    let held = || shared.held.load(Ordering::Relaxed);
    let next = |feed: &mut SubBuffers| feed.next_into(&mut Vec::new()).map_err(|error| format!("{:?}", error.problem));
    assert_eq!((next(&mut first), held()), (Ok(true), 100));
    first.bytes.at = 100;
    // A larger chunk: as much more as it is larger. A smaller one: no less.
    assert_eq!((next(&mut first), held()), (Ok(true), 200));
    let mut second = other();
    assert_eq!((next(&mut second), held()), (Ok(true), 300));
    second.bytes.at = 100;
    let refused = Err(format!("{:?}", Problem::TooLarge { size: 200, limit: 0 }));
    // Who is refused is at its end, and holds nothing.
    assert_eq!((next(&mut second), held()), (refused, 200));
    first.bytes.at = 200;
    assert_eq!((next(&mut first), held()), (Ok(true), 200));
    let mut third = other();
    assert_eq!((next(&mut third), held()), (Ok(true), 300));
    drop(third);
    assert_eq!(held(), 200);
    assert_eq!((rest(&mut first).0.len(), held()), (4, 0));
}

#[test]
fn a_chunk_may_be_as_large_as_what_is_left_of_the_allowance() {
    let (data, _) = stored(&[100, 1]);
    let mut feed = feed_of(&data, true, 100, same);
    feed.bytes.allowance = 100;
    let (read, error) = rest(&mut feed);
    assert_eq!((read.len(), error), (1, Some((119, format!("{:?}", Problem::TooLarge { size: 1, limit: 0 })))));
}

#[test]
fn a_twin_reads_the_same_by_itself_unless_it_could_fail_otherwise() {
    let (data, content) = stored(&[4, 12]);
    let whole = pages(&content, 4);
    for (compressed, bytes) in [(true, &data), (false, &content)] {
        let mut feed = feed_of(bytes, compressed, 4, |shared| shared.share = 12);
        assert!(feed.seek(2).unwrap());
        let mut twin = Feed::twin(&mut feed).unwrap();
        let mut page = Vec::new();
        for expected in &whole {
            assert!(twin.advance(&mut page).unwrap() && page == *expected);
        }
        assert!(!twin.advance(&mut page).unwrap());
        assert_eq!(rest(&mut feed).0, whole[2..]);
        // Where damaged chunks are skipped; where a chunk is more than each may hold.
        assert!(Feed::twin(&mut feed_of(bytes, compressed, 4, |shared| shared.salvage = true)).is_none());
        let mut small = feed_of(bytes, compressed, 4, |shared| shared.share = 11);
        assert_eq!(Feed::twin(&mut small).is_none(), compressed);
    }
}

#[test]
fn twins_decompress_a_chunk_once() {
    use std::os::unix::fs::FileExt;
    let (data, content) = stored(&[4, 12]);
    let mut feed = feed_of(&data, true, 4, same);
    let mut twins = [Feed::twin(&mut feed).unwrap(), Feed::twin(&mut feed).unwrap()];
    let mut read = |twin: usize| {
        let (mut read, mut page) = (Vec::new(), Vec::new());
        assert!(twins[twin].seek(0).unwrap());
        while twins[twin].advance(&mut page).unwrap() {
            read.extend_from_slice(&page);
        }
        read
    };
    assert_eq!(read(0), content);
    // The file changes; what was read from it is kept, for both of them.
    let head = BEFORE as u64 + 4 + 8;
    feed.bytes.shared.source.file.write_all_at(&[99; 4], head).unwrap();
    assert_eq!((read(0), read(1)), (content.clone(), content));
    assert_eq!(rest(&mut feed).0[0], [99; 4]);
}

#[test]
fn a_chunk_that_cannot_be_decompressed_is_kept_for_nobody() {
    let (mut data, _) = stored(&[4, 4]);
    // Announced as 8 bytes, of which 4 are stored.
    data[8..12].copy_from_slice(&8u32.to_le_bytes());
    let mut feed = feed_of(&data, true, 4, same);
    for mut twin in [Feed::twin(&mut feed).unwrap(), Feed::twin(&mut feed).unwrap()] {
        let mut page = Vec::new();
        assert!(twin.advance(&mut page).is_err(), "{page:?}");
    }
}

#[test]
fn plain_data_are_read_through_a_window_of_whole_sub_buffers() {
    let content: Vec<u8> = (0..150_000).map(|at| (at % 251) as u8).collect();
    // 48 KiB hold two of 20 KiB and a part; one of 64 KiB is more.
    for (unit, window) in [(20 << 10, 40 << 10), (64 << 10, 64 << 10), (16 << 10, 48 << 10)] {
        let mut feed = feed_of(&content, false, unit, same);
        // The first one alone, since it may be a search that looks there.
        for piece in [unit, window] {
            assert!(feed.next_into(&mut Vec::new()).unwrap());
            assert_eq!(feed.bytes.piece.len(), piece);
        }
        assert!(feed.seek(0).unwrap());
        assert_eq!(rest(&mut feed), (pages(&content, unit), None));
        assert_eq!(feed.sub_buffers().unwrap(), Some(150_000u64.div_ceil(unit as u64)));
    }
}

#[test]
fn a_text_is_read_in_whatever_pieces_are_asked_for() {
    let (data, content) = stored(&[4, 12, 0, 7]);
    for (compressed, bytes) in [(true, &data), (false, &content)] {
        for size in [1, 3, 5, 100] {
            let SubBuffers { bytes, .. } = feed_of(bytes, compressed, 4, same);
            let mut text = TextData { bytes };
            let (mut read, mut out) = (Vec::<u8>::new(), vec![0; size]);
            loop {
                let length = io::Read::read(&mut text, &mut out).unwrap();
                read.extend(&out[..length]);
                if length == 0 {
                    break;
                }
            }
            assert_eq!(read, content, "{compressed} {size}");
        }
    }
}
