//! Compressed data: limits of expansion, and decompression ahead.

use std::io::Write;

use super::shared::CHUNK_HEAD;
use super::*;
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
