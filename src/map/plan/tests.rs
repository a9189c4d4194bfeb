//! What the messages of a map contain, by the rules of docs/MAPS.md.

use byteorder::LittleEndian;
use rosc::OscType;

use super::*;
use crate::format::LongSize;
use crate::map::Map;
use crate::osc::Comm;
use crate::osc::packet::take_apart;

const EVENT: &str = "name: e\nID: 7\nformat:\n\tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;\n\n\
                     \tfield:int signed;\toffset:4;\tsize:4;\tsigned:1;\n\
                     \tfield:unsigned int word;\toffset:8;\tsize:4;\tsigned:0;\n\
                     \tfield:unsigned char byte;\toffset:12;\tsize:1;\tsigned:0;\n\
                     \tfield:char text[8];\toffset:16;\tsize:8;\tsigned:0;\n\
                     \tfield:u64 long;\toffset:24;\tsize:8;\tsigned:0;\n\nprint fmt: \"\"\n";

/// The messages that a map with these arguments makes of records with these values of `signed`.
fn sent(arguments: &str, values: &[i32], text: &[u8; 8]) -> Vec<Vec<OscType>> {
    let toml = format!("[[message]]\nevents = [\"s:e\"]\naddress = \"/x\"\nargs = [{arguments}]\n");
    let map = Map::parse("m", &toml).unwrap();
    let format = EventFormat::parse("s", EVENT, LongSize::Eight).unwrap();
    let mut mapping = Mapping::compile(map.messages.iter().map(|message| &**message), &format);
    let comm = Comm::new(b"task");
    let moment = Moment { event_ns: 2, play_ns: 1, dt: 0.5, cpu: 3, pid: 4, comm: &comm };
    let mut messages = vec![];
    for value in values {
        let record = [&[7, 0, 0, 0][..], &value.to_le_bytes(), &[255; 4], &[200, 0, 0, 0], text, &[255; 8]].concat();
        let mut room = [0xaa; 512];
        let len = mapping.records[0].encode::<LittleEndian>(&record, (&moment, &[]), &mut room).unwrap();
        assert!(len.is_multiple_of(4));
        take_apart(&room[..len], &mut |part| messages.push(part.unwrap().0.args));
    }
    messages
}

/// The numbers that one argument has for these values of `signed`.
fn numbers(argument: &str, values: &[i32]) -> Vec<f32> {
    let messages = sent(&format!("\"{argument}\""), values, b"\0\0\0\0\0\0\0\0");
    messages.into_iter().map(|mut args| args.remove(0).float().unwrap()).collect()
}

#[test]
fn unit_is_the_place_between_the_least_and_the_greatest_so_far() {
    assert_eq!(numbers("$unit(signed)", &[5, 10, 0, 20, 5]), [0.0, 1.0, 0.0, 1.0, 0.25]);
    assert_eq!(numbers("$mul(unit(signed), 2)", &[-5, -10, -5, -8]), [0.0, 0.0, 2.0, 0.8]);
}

#[test]
fn lin_and_log_end_at_their_limits_also_if_these_fall() {
    assert_eq!(numbers("$lin(signed, 10, 20)", &[0, 10, 15, 20, 99]), [0.0, 0.0, 0.5, 1.0, 1.0]);
    assert_eq!(numbers("$lin(signed, 20, 10)", &[0, 10, 15, 20, 99]), [1.0, 1.0, 0.5, 0.0, 0.0]);
    let log = numbers("$log(signed, 1, 10000)", &[i32::MIN, 0, 1, 100, 10_000, 99_999]);
    let want = [0.0, 0.0, 0.0, 0.5, 1.0, 1.0];
    assert!(log.iter().zip(want).all(|(got, want)| (got - want).abs() < 1e-6), "{log:?}");
    let falling = numbers("$log(signed, 100, 1)", &[-3, 1, 10, 100, 1000]);
    let want = [1.0, 1.0, 0.5, 0.0, 0.0];
    assert!(falling.iter().zip(want).all(|(got, want)| (got - want).abs() < 1e-6), "{falling:?}");
}

#[test]
fn pick_begins_again_behind_its_last_word() {
    let messages = sent("\"$pick(signed, one, two, three)\"", &[0, 1, 2, 3, 7, -4], b"\0\0\0\0\0\0\0\0");
    let words: Vec<_> = messages.into_iter().map(|mut args| args.remove(0).string().unwrap()).collect();
    assert_eq!(words, ["one", "two", "three", "one", "two", "one"]);
}

#[test]
fn integers_that_an_int_holds_are_ints_and_others_floats_unless_the_map_says() {
    let arguments = r#""$signed", "$byte", "$word", "$long", "$word:i", "$word:h", "$word:d", "$cpu", "$pid", "$dt""#;
    let word = f64::from(u32::MAX);
    let want = vec![
        OscType::Int(-6),
        OscType::Int(200),
        OscType::Float(word as f32),
        OscType::Float(u64::MAX as f32),
        OscType::Int(i32::MAX),
        OscType::Long(u32::MAX.into()),
        OscType::Double(word),
        OscType::Int(3),
        OscType::Int(4),
        OscType::Float(0.5),
    ];
    assert_eq!(sent(arguments, &[-6], b"\0\0\0\0\0\0\0\0"), [want]);
}

#[test]
fn behind_a_text_of_any_length_the_next_argument_begins_at_a_whole_word() {
    for len in 0..=8 {
        let mut text = [0; 8];
        text[..len].copy_from_slice(&b"abcdefgh"[..len]);
        let text_of = OscType::String(String::from_utf8_lossy(&text[..len]).into_owned());
        let want = vec![text_of, OscType::Int(9), OscType::String("task".to_owned()), OscType::String("e".to_owned())];
        assert_eq!(sent(r#""$text", "$signed", "$comm", "$event""#, &[9], &text), [want]);
    }
}
