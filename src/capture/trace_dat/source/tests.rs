//! The cursor over a file that is longer than what is read ahead, and over bytes of a section.

use std::io::Write;

use super::*;

fn source(bytes: &[u8]) -> Arc<Source> {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    Arc::new(Source::new(file).unwrap())
}

/// A cursor over all of a file with these bytes.
fn over(bytes: &[u8]) -> Cursor {
    let source = source(bytes);
    Cursor::over_file(source, Endian::Little, Part::Options, 0, u64::MAX)
}

/// Numbers, each in four bytes.
fn words(count: u32) -> Vec<u8> {
    (0..count).flat_map(u32::to_le_bytes).collect()
}

/// The offset of an error, and what was needed and left.
fn truncated<T: std::fmt::Debug>(result: Result<T, DatError>) -> (u64, u64, u64) {
    match result.unwrap_err() {
        DatError { offset, problem: Problem::Truncated { needed, left }, .. } => (offset, needed, left),
        error => panic!("{error}"),
    }
}

fn too_large<T: std::fmt::Debug>(result: Result<T, DatError>) -> (u64, u64) {
    match result.unwrap_err() {
        DatError { problem: Problem::TooLarge { size, limit }, .. } => (size, limit),
        error => panic!("{error}"),
    }
}

#[test]
fn numbers_are_read_in_the_files_order() {
    let bytes = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];
    let mut cursor = over(&bytes);
    let read = (cursor.u8().unwrap(), cursor.u16().unwrap(), cursor.u32().unwrap(), cursor.u64().unwrap());
    assert_eq!(read, (1, 0x0302, 0x0706_0504, 0x0f0e_0d0c_0b0a_0908));
    assert_eq!((cursor.left(), cursor.offset()), (0, 15));
    let mut cursor = over(&bytes);
    cursor.set_endian(Endian::Big);
    let read = (cursor.u8().unwrap(), cursor.u16().unwrap(), cursor.u32().unwrap(), cursor.u64().unwrap());
    assert_eq!(read, (1, 0x0203, 0x0405_0607, 0x0809_0a0b_0c0d_0e0f));
    assert_eq!(truncated(cursor.u8()), (15, 1, 0));
}

#[test]
fn a_file_of_any_length_is_read_to_its_last_byte() {
    // Over three times what is read ahead, and not a multiple of it.
    let count = READ_AHEAD as u32;
    let mut cursor = over(&[&[9][..], &words(count), &[7, 7, 7]].concat());
    assert_eq!(cursor.u8().unwrap(), 9);
    for number in 0..count {
        assert_eq!(cursor.offset(), 1 + 4 * u64::from(number));
        assert_eq!(cursor.left(), 4 * u64::from(count - number) + 3);
        assert_eq!(cursor.u32().unwrap(), number);
    }
    let end = 1 + 4 * u64::from(count);
    assert_eq!(truncated(cursor.u32()), (end, 4, 3));
    // Nothing was consumed.
    assert_eq!((cursor.u16().unwrap(), cursor.u8().unwrap(), cursor.left()), (0x0707, 7, 0));
}

#[test]
fn a_part_ends_before_the_file_does() {
    let source = source(&words(10));
    let mut cursor = Cursor::over_file(source.clone(), Endian::Little, Part::Options, 4, 12);
    assert_eq!((cursor.offset(), cursor.left(), cursor.u32().unwrap(), cursor.u32().unwrap()), (4, 8, 1, 2));
    assert_eq!(truncated(cursor.u8()), (12, 1, 0));
    // It does not end behind the file.
    assert_eq!(Cursor::over_file(source, Endian::Little, Part::Options, 36, 99).left(), 4);
}

#[test]
fn long_texts_are_read_whole_and_what_follows_them_from_its_place() {
    let count = READ_AHEAD as u32;
    let all = words(count);
    for (before, size) in [(0, 12), (4, READ_AHEAD - 4), (4, READ_AHEAD), (8, 2 * READ_AHEAD), (0, 3 * READ_AHEAD)] {
        let mut cursor = over(&all);
        for number in 0..before / 4 {
            assert_eq!(u64::from(cursor.u32().unwrap()), number);
        }
        let end = before + size;
        let bytes = cursor.bytes(size, size).unwrap();
        assert!(bytes == all[before as usize..end as usize], "{size} after {before}");
        assert_eq!((cursor.offset(), cursor.left()), (end, all.len() as u64 - end));
        assert_eq!(u64::from(cursor.u32().unwrap()), end / 4);
    }
}

#[test]
fn a_length_is_held_against_what_is_left_and_against_its_limit() {
    let mut cursor = over(&words(4));
    cursor.u32().unwrap();
    assert_eq!(truncated(cursor.bytes(13, 99)), (4, 13, 12));
    assert_eq!(too_large(cursor.bytes(12, 11)), (12, 11));
    assert_eq!(truncated(cursor.skip(13)), (4, 13, 12));
    assert_eq!(truncated(cursor.part_of(13, 99)), (4, 13, 12));
    assert_eq!(too_large(cursor.part_of(12, 11)), (12, 11));
    let mut part = cursor.part_of(8, 8).unwrap();
    assert_eq!((part.offset(), part.left()), (4, 8));
    assert_eq!((part.u32().unwrap(), part.u32().unwrap()), (1, 2));
    // Errors in a part that was read before have the place of that part.
    assert_eq!(truncated(part.u8()), (4, 1, 0));
    assert_eq!((cursor.offset(), cursor.u32().unwrap()), (12, 3));
}

#[test]
fn what_is_skipped_may_be_longer_than_what_is_read_ahead() {
    let all = words(READ_AHEAD as u32);
    for (before, size) in [(0, 4), (4, 8), (4, 2 * READ_AHEAD), (0, 4 * READ_AHEAD)] {
        let mut cursor = over(&all);
        cursor.bytes(before, before).unwrap();
        if before > 0 {
            cursor.u32().unwrap();
        }
        let begin = cursor.offset();
        let size = size.min(cursor.left());
        cursor.skip(size).unwrap();
        assert_eq!((cursor.offset(), cursor.left()), (begin + size, all.len() as u64 - begin - size));
        if cursor.left() > 0 {
            assert_eq!(u64::from(cursor.u32().unwrap()), (begin + size) / 4);
        }
    }
}

#[test]
fn a_place_in_the_buffer_or_outside_of_it_can_be_gone_to() {
    let count = READ_AHEAD as u32;
    let mut cursor = over(&words(count));
    let end = 4 * u64::from(count);
    for offset in [0, 4, READ_AHEAD - 4, READ_AHEAD, 4, 3 * READ_AHEAD, 2 * READ_AHEAD, 0, end - 4, end - 8] {
        cursor.seek(offset);
        assert_eq!((cursor.offset(), cursor.left()), (offset, end - offset), "{offset}");
        assert_eq!(u64::from(cursor.u32().unwrap()), offset / 4);
    }
    for offset in [end, end + 4] {
        cursor.seek(offset);
        assert_eq!((cursor.offset(), cursor.left()), (end, 0));
    }
}

#[test]
fn records_are_read_into_one_buffer() {
    let mut cursor = over(&words(READ_AHEAD as u32));
    let mut out = vec![1; 99];
    cursor.bytes_into(&mut out, 8).unwrap();
    assert_eq!(out, [0, 0, 0, 0, 1, 0, 0, 0]);
    cursor.bytes_into(&mut out, READ_AHEAD).unwrap();
    assert!(out == words(READ_AHEAD as u32)[8..8 + READ_AHEAD as usize]);
    assert_eq!((cursor.offset(), u64::from(cursor.u32().unwrap())), (8 + READ_AHEAD, (8 + READ_AHEAD) / 4));
    cursor.seek(4 * READ_AHEAD - 4);
    assert_eq!(truncated(cursor.bytes_into(&mut out, 5)), (4 * READ_AHEAD - 4, 5, 4));
}

#[test]
fn a_name_ends_at_its_nul_and_has_a_limit() {
    let mut cursor = over(b"one\0\0three\0\xff\0rest");
    let names: Vec<_> = (0..4).map(|_| cursor.cstr(5).unwrap()).collect();
    assert_eq!(names, ["one", "", "three", "\u{fffd}"]);
    assert_eq!(cursor.offset(), 13);
    assert_eq!(truncated(cursor.cstr(99)), (13, 5, 4));
    for limit in [3, 31, 32, 33, 64, 100] {
        let name = "x".repeat(limit as usize);
        let mut cursor = over(format!("{name}\0{name}y\0").as_bytes());
        assert_eq!(cursor.cstr(limit).unwrap(), name);
        assert_eq!(too_large(cursor.cstr(limit)), (limit + 1, limit));
        assert_eq!(cursor.offset(), limit + 1, "what has no end in time is not consumed");
    }
}

#[test]
fn a_word_of_the_format_is_consumed_only_if_it_is_there() {
    let mut cursor = over(b"header_page\0flyrecord\0");
    cursor.expect("header_page\0").unwrap();
    let error = cursor.expect("latency  \0").unwrap_err();
    assert_eq!(error.offset, 12);
    assert!(
        matches!(&error.problem, Problem::Expected { expected: "latency  \0", found } if found == "flyrecord\0"),
        "{error}"
    );
    cursor.expect("flyrecord\0").unwrap();
    assert_eq!(truncated(cursor.expect("x")), (22, 1, 0));
}

#[test]
fn a_file_that_grows_or_shrinks_is_measured_again_when_asked() {
    let source = source(&words(4));
    source.file.set_len(20).unwrap();
    assert_eq!(source.len(), 16);
    source.look_again().unwrap();
    assert_eq!(source.len(), 20);
    source.file.set_len(10).unwrap();
    let mut out = [0; 4];
    source.read(6, &mut out, Part::Printk).unwrap();
    let error = source.read(8, &mut out, Part::Printk).unwrap_err();
    assert_eq!((error.part, truncated::<()>(Err(error))), (Part::Printk, (8, 4, 12)));
}
