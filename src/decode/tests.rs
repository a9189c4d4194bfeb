//! Every form of a field, on records written by hand, in both byte orders.

use byteorder::{BigEndian, ByteOrder, LittleEndian};
use proptest::prelude::*;

use super::*;
use crate::format::{EventFormat, LongSize};

/// An event whose own fields are `fields`: (declaration, offset, size, signed).
fn event(fields: &[(&str, u32, u32, u8)]) -> EventFormat {
    let lines: String = fields
        .iter()
        .map(|(declaration, offset, size, signed)| {
            format!("\tfield:{declaration};\toffset:{offset};\tsize:{size};\tsigned:{signed};\n")
        })
        .collect();
    let text = format!(
        "name: e\nID: 3\nformat:\n\tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;\n\
         \tfield:unsigned char common_flags;\toffset:2;\tsize:1;\tsigned:0;\n\
         \tfield:unsigned char common_preempt_count;\toffset:3;\tsize:1;\tsigned:0;\n\
         \tfield:int common_pid;\toffset:4;\tsize:4;\tsigned:1;\n\n{lines}\nprint fmt: \"\"\n"
    );
    EventFormat::parse("s", &text, LongSize::Eight).unwrap()
}

/// A record: the common fields of event 3 and pid 77, then `rest`.
fn record<E: ByteOrder>(rest: &[&[u8]]) -> Vec<u8> {
    let mut record = vec![0; 8];
    E::write_u16(&mut record, 3);
    E::write_i32(&mut record[4..], 77);
    record.extend(rest.concat());
    record
}

fn u32_bytes<E: ByteOrder>(value: u32) -> [u8; 4] {
    let mut bytes = [0; 4];
    E::write_u32(&mut bytes, value);
    bytes
}

fn u64_bytes<E: ByteOrder>(value: u64) -> [u8; 8] {
    let mut bytes = [0; 8];
    E::write_u64(&mut bytes, value);
    bytes
}

/// The value of the only own field.
fn only<'r, E: ByteOrder>(field: (&str, u32, u32, u8), record: &'r [u8]) -> Result<Value<'r>, DecodeError> {
    let plan = Plan::compile(&event(&[field]));
    plan.fits(record)?;
    plan.values::<E>(record).next().unwrap()
}

fn scalars<E: ByteOrder>() {
    let value = |declaration, size, signed, stored: u64| {
        let bytes = u64_bytes::<E>(stored);
        let bytes = if E::read_u16(&[0, 1]) == 1 { &bytes[8 - size as usize..] } else { &bytes[..size as usize] };
        let record = record::<E>(&[bytes]);
        match only::<E>((declaration, 8, size, signed), &record).unwrap() {
            Value::Signed(v) => format!("{v}"),
            Value::Unsigned(v) => format!("{v}u"),
            Value::Bool(v) => format!("{v}"),
            Value::Pointer(v) => format!("{v:#x}"),
            other => format!("{other:?}"),
        }
    };
    assert_eq!(value("int x", 4, 1, 0xffff_ffff), "-1");
    assert_eq!(value("u32 x", 4, 0, 0xffff_ffff), "4294967295u");
    assert_eq!(value("short x", 2, 1, 0x8000), "-32768");
    assert_eq!(value("u8 x", 1, 0, 200), "200u");
    assert_eq!(value("s8 x", 1, 1, 200), "-56");
    assert_eq!(value("char x", 1, 0, 200), "200u");
    assert_eq!(value("char x", 1, 1, 200), "-56");
    assert_eq!(value("long x", 8, 1, u64::MAX), "-1");
    assert_eq!(value("unsigned long x", 8, 0, u64::MAX), "18446744073709551615u");
    assert_eq!(value("bool x", 1, 0, 1), "true");
    assert_eq!(value("struct page * x", 8, 0, 0xffff_8880_0000_1000), "0xffff888000001000");
    assert_eq!(value("enum zone_type x", 4, 0, 3), "3");
    // AT_FDCWD, as a system call stores it: the low 32 bits, or sign-extended.
    assert_eq!(value("int dfd", 8, 0, 0xffff_ff9c), "-100");
    assert_eq!(value("int dfd", 8, 0, 0xffff_ffff_ffff_ff9c), "-100");
    assert_eq!(value("unsigned int fd", 8, 0, 0xdead_beef_0000_0003), "3u");
    assert_eq!(value("umode_t mode", 8, 0, 0o100644), "33188u");
    assert_eq!(value("const enum landlock_rule_type t", 8, 0, 1), "1");
}

fn placed<E: ByteOrder>() {
    // __data_loc: length 6 at offset 16, after another field.
    let words = [&u32_bytes::<E>(6 << 16 | 16)[..], &[1, 2, 3, 4], b"hello\0\0\0"];
    let field = ("__data_loc char[] s", 8, 4, 0);
    assert_eq!(only::<E>(field, &record::<E>(&words)), Ok(Value::Text(b"hello")));
    // The same text as __rel_loc: 4 bytes after the end of its word.
    let words = [&u32_bytes::<E>(6 << 16 | 4)[..], &[1, 2, 3, 4], b"hello\0\0\0"];
    assert_eq!(only::<E>(("__rel_loc char[] s", 8, 4, 0), &record::<E>(&words)), Ok(Value::Text(b"hello")));
    // An empty text is a value too.
    assert_eq!(only::<E>(field, &record::<E>(&[&[0; 4]])), Ok(Value::Text(b"")));
    // Bytes and numbers.
    let words = [&u32_bytes::<E>(5 << 16 | 12)[..], &[1, 0, 3, 0, 5]];
    assert_eq!(only::<E>(("__data_loc u8[] b", 8, 4, 0), &record::<E>(&words)), Ok(Value::Bytes(&[1, 0, 3, 0, 5])));
    let words = [&u32_bytes::<E>(16 << 16 | 12)[..], &u64_bytes::<E>(1), &u64_bytes::<E>(u64::MAX)];
    let record_ = record::<E>(&words);
    let Ok(Value::Array(array)) = only::<E>(("__data_loc u64[] a", 8, 4, 0), &record_) else { panic!() };
    assert_eq!(array.iter().collect::<Vec<_>>(), [Value::Unsigned(1), Value::Unsigned(u64::MAX)]);
    // Text that fills its array has no NUL.
    assert_eq!(only::<E>(("char comm[4]", 8, 4, 0), &record::<E>(&[b"abcd"])), Ok(Value::Text(b"abcd")));
    // A tail ends at the first NUL, and drops an incomplete number.
    assert_eq!(only::<E>(("char buf[]", 8, 0, 0), &record::<E>(&[b"hi\0\0"])), Ok(Value::Text(b"hi")));
    let tail = [&u64_bytes::<E>(9)[..], &[0, 0, 0, 0]];
    let record_ = record::<E>(&tail);
    let Ok(Value::Array(array)) = only::<E>(("unsigned long args[]", 8, 0, 0), &record_) else { panic!() };
    assert_eq!(array.iter().collect::<Vec<_>>(), [Value::Unsigned(9)]);
    // A structure by value, and a field of no bytes.
    assert_eq!(only::<E>(("struct crw crw", 8, 4, 0), &record::<E>(&[b"abcd"])), Ok(Value::Bytes(b"abcd")));
}

#[test]
fn scalars_keep_width_and_sign() {
    scalars::<LittleEndian>();
    scalars::<BigEndian>();
}

#[test]
fn values_are_found_where_the_format_places_them() {
    placed::<LittleEndian>();
    placed::<BigEndian>();
}

/// A location word has 16 bits for the offset and 16 for the length, both unsigned.
fn far<E: ByteOrder>() {
    let (offset, len) = (0x9000_u32, 0x8001_u32);
    let mut bytes = record::<E>(&[&u32_bytes::<E>(len << 16 | offset)]);
    bytes.resize(offset as usize, 0);
    bytes.extend((0..len).map(|at| at as u8 | 1));
    let Ok(Value::Text(text)) = only::<E>(("__data_loc char[] s", 8, 4, 0), &bytes) else { panic!() };
    assert_eq!((text.len(), text), (len as usize, &bytes[0x9000..]));
    let Ok(Value::Bytes(found)) = only::<E>(("__data_loc u8[] s", 8, 4, 0), &bytes) else { panic!() };
    assert_eq!(found, &bytes[0x9000..]);
    // The same place, counted from the end of the word.
    bytes[8..12].copy_from_slice(&u32_bytes::<E>(len << 16 | (offset - 12)));
    let Ok(Value::Bytes(found)) = only::<E>(("__rel_loc u8[] s", 8, 4, 0), &bytes) else { panic!() };
    assert_eq!(found, &bytes[0x9000..]);
}

#[test]
fn values_are_found_beyond_32_kib() {
    far::<LittleEndian>();
    far::<BigEndian>();
}

#[test]
fn a_location_outside_of_the_record_is_an_error_and_names_it() {
    let words = [&u32_bytes::<LittleEndian>(6 << 16 | 12)[..], b"hell"];
    let record = record::<LittleEndian>(&words);
    let error = only::<LittleEndian>(("__data_loc char[] s", 8, 4, 0), &record);
    assert_eq!(error, Err(DecodeError::Location { word: 8, offset: 12, len: 6, record: 16 }));
    let error = only::<LittleEndian>(("u64 x", 8, 8, 0), &record[..12]);
    assert_eq!(error, Err(DecodeError::Short { len: 12, needs: 16 }));
}

#[test]
fn the_running_thread_is_in_the_common_fields() {
    let plan = Plan::compile(&event(&[]));
    assert_eq!(plan.pid::<BigEndian>(&record::<BigEndian>(&[])), 77);
    assert_eq!(plan.min_len(), 8);
    assert_eq!(plan.values::<BigEndian>(&record::<BigEndian>(&[])).count(), 0);
}

#[test]
fn a_cpu_mask_is_words_of_all_their_bits() {
    let format = event(&[("__data_loc cpumask_t mask", 8, 4, 0)]);
    let plan = Plan::compile(&format);
    assert_eq!(plan.fields()[0].read, Read::DataLoc(Element::Integer { size: 8, bits: 64, signed: false }));
}

#[test]
fn an_enum_is_an_int_whatever_its_size() {
    let read = |size| Plan::compile(&event(&[("enum e mode", 8, size, 0)])).fields()[0].read;
    for (size, bits, signed) in [(1, 8, false), (2, 16, false), (4, 32, true), (8, 32, true)] {
        let size = size as u8;
        assert_eq!(read(size.into()), Read::Scalar(Element::Integer { size, bits, signed }));
    }
}

#[test]
fn elements_of_an_array_keep_their_sign_and_texts_their_order() {
    let format = event(&[("int a[2]", 8, 8, 1), ("__data_loc char[][2] t", 16, 8, 1), ("u16 u[2]", 8, 4, 0)]);
    let rest: [&[u8]; 4] = [&(-2i32).to_le_bytes(), &3i32.to_le_bytes(), &[24, 0, 3, 0, 27, 0, 2, 0], b"ab\0c\0"];
    let record = record::<LittleEndian>(&rest);
    let values: Vec<_> = Plan::compile(&format).values::<LittleEndian>(&record).map(Result::unwrap).collect();
    let [Value::Array(numbers), Value::Texts(texts), Value::Array(halves)] = values[..] else { panic!("{values:?}") };
    assert_eq!((numbers.len(), numbers.is_empty(), texts.len(), texts.is_empty()), (2, false, 2, false));
    assert_eq!(numbers.iter().collect::<Vec<_>>(), [Value::Signed(-2), Value::Signed(3)]);
    let none = event(&[("__data_loc char[][0] t", 8, 0, 1)]);
    let value = Plan::compile(&none).values::<LittleEndian>(&record).next().unwrap().unwrap();
    assert!(matches!(value, Value::Texts(texts) if texts.is_empty()), "{value:?}");
    // The bytes of the first array: 0xfffe and 0xffff.
    assert_eq!(halves.iter().collect::<Vec<_>>(), [Value::Unsigned(65_534), Value::Unsigned(65_535)]);
    assert_eq!(texts.iter::<LittleEndian>().map(Result::unwrap).collect::<Vec<_>>(), [b"ab".as_slice(), b"c"]);
}

#[test]
fn of_all_integers_only_an_unsigned_one_of_64_bits_may_not_fit_an_i64() {
    for size in [1u8, 2, 4, 8] {
        for signed in [false, true] {
            let number = Number::new(8, Element::Integer { size, bits: 8 * size, signed }).unwrap();
            assert_eq!(number.fits_i64(), signed || size < 8, "{size} {signed}");
        }
    }
}

proptest! {
    #[test]
    fn no_record_makes_a_plan_panic(record in proptest::collection::vec(any::<u8>(), 0..64)) {
        let format = event(&[
            ("int a", 8, 4, 1), ("__data_loc char[] s", 12, 4, 0), ("__rel_loc u64[] r", 16, 4, 0),
            ("__data_loc char[][2] t", 20, 8, 1), ("__data_loc char[] o", 28, 2, 0), ("unsigned long args[]", 32, 0, 0),
            ("u64 far", 4_294_967_290, 8, 0), ("u64 huge[9]", 8, 4_294_967_288, 0),
        ]);
        let plan = Plan::compile(&format);
        let _ = plan.fits(&record);
        for value in plan.values::<LittleEndian>(&record).chain(plan.values::<BigEndian>(&record)) {
            match value {
                Ok(Value::Array(array)) => prop_assert_eq!(array.iter().count(), array.len()),
                Ok(Value::Texts(texts)) => prop_assert_eq!(texts.iter::<LittleEndian>().count(), texts.len()),
                _ => {}
            }
        }
    }
}
