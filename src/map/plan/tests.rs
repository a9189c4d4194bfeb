//! What the messages of a map contain, by the rules of docs/MAPS.md.

use byteorder::LittleEndian;
use rosc::OscType;

use super::*;
use crate::format::LongSize;
use crate::map::Map;
use crate::osc::Comm;
use crate::osc::packet::take_apart;
use crate::sound::Timbre;

const EVENT: &str = "name: e\nID: 7\nformat:\n\tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;\n\n\
                     \tfield:int signed;\toffset:4;\tsize:4;\tsigned:1;\n\
                     \tfield:unsigned int word;\toffset:8;\tsize:4;\tsigned:0;\n\
                     \tfield:unsigned char byte;\toffset:12;\tsize:1;\tsigned:0;\n\
                     \tfield:bool flag;\toffset:13;\tsize:1;\tsigned:0;\n\
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
        let record = [&[7, 0, 0, 0][..], &value.to_le_bytes(), &[255; 4], &[200, 1, 0, 0], text, &[255; 8]].concat();
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
    let arguments = r#""$signed", "$byte", "$word", "$long", "$word:i", "$word:h", "$word:d", "$cpu", "$pid", "$dt", "$flag", "$byte:f", "$add(byte, 50)""#;
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
        OscType::Int(1),
        OscType::Float(200.0),
        OscType::Float(250.0),
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

#[test]
fn the_arguments_that_typed_messages_begin_with_are_the_same_in_any_order() {
    let task = || OscType::String("task".to_owned());
    let (dt, cpu, pid) = (OscType::Float(0.5), OscType::Int(3), OscType::Int(4));
    let want = vec![dt.clone(), cpu.clone(), pid.clone(), task(), OscType::Int(9)];
    assert_eq!(sent(r#""$dt", "$cpu", "$pid", "$comm", "$signed""#, &[9], b"\0\0\0\0\0\0\0\0"), [want]);
    let want = vec![OscType::Int(9), dt.clone(), cpu.clone(), pid.clone(), task(), dt, cpu, pid, task(), task()];
    let arguments = r#""$signed", "$dt", "$cpu", "$pid", "$comm", "$dt", "$cpu", "$pid", "$comm", "$comm""#;
    assert_eq!(sent(arguments, &[9], b"\0\0\0\0\0\0\0\0"), [want]);
}

#[test]
fn constants_of_any_length_are_sent_whole() {
    // With the address and the type tags of "/x" and "s" or "is", which are 8 bytes: to 64 bytes and beyond.
    for len in [0, 1, 51, 52, 55, 56, 59, 60, 63, 64, 65, 200] {
        let text = "abcdefghij".repeat(20)[..len].to_owned();
        let want = vec![OscType::String(text.clone()), OscType::Int(9)];
        assert_eq!(sent(&format!("\"{text}\", \"$signed\""), &[9], b"\0\0\0\0\0\0\0\0"), [want], "{len}");
        let want = vec![OscType::Int(9), OscType::String(text.clone()), OscType::Float(0.5), OscType::Int(7)];
        assert_eq!(sent(&format!("\"$signed\", \"{text}\", 0.5, 7"), &[9], b"\0\0\0\0\0\0\0\0"), [want], "{len}");
    }
}

#[test]
fn an_event_makes_the_messages_that_take_it_and_whose_fields_it_has() {
    let toml = "[[message]]\nevents = [\"s:e\"]\naddress = \"/a\"\nargs = [\"$signed\"]\n\
                [[message]]\nevents = [\"s:e\"]\naddress = \"/b\"\nargs = [\"$missing\"]\n\
                [[message]]\nevents = [\"s:f\"]\naddress = \"/c\"\nargs = [\"$signed\"]\n\
                [[message]]\naddress = \"/d/{event}\"\nargs = [\"$cpu\"]\n";
    let map = Map::parse("m", toml).unwrap();
    let format = EventFormat::parse("s", EVENT, LongSize::Eight).unwrap();
    let mapping = Mapping::compile(map.messages.iter().map(|message| &**message), &format);
    let schemas: Vec<_> = mapping.schemas.iter().map(|schema| (&*schema.address, &*schema.tags)).collect();
    assert_eq!(schemas, [("/a", "i"), ("/d/e", "i")]);
    assert_eq!((mapping.records.len(), mapping.hits.len()), (2, 0));
}

#[test]
fn a_hit_makes_the_messages_of_its_form_with_its_values() {
    let toml = "[[message]]\non = \"hit\"\nform = [\"note\", \"texture\", \"note\"]\naddress = \"/a\"\n\
                args = [\"$hit.form\", \"$hit.timbre\", \"$hit.note\", \"$hit.level\", \"$hit.length\", \
                \"$hit.seconds\", \"$hit.pan\", \"$hit.brightness\", \"$event\"]\n\
                [[message]]\non = \"hit\"\naddress = \"/b\"\nargs = [\"$system\"]\n";
    let map = Map::parse("m", toml).unwrap();
    let format = EventFormat::parse("s", EVENT, LongSize::Eight).unwrap();
    let mut mapping = Mapping::compile(map.messages.iter().map(|message| &**message), &format);
    let takes = |plan: &HitPlan| [Form::Note, Form::Grain, Form::Texture].map(|form| plan.takes(form));
    assert_eq!(mapping.hits.iter().map(takes).collect::<Vec<_>>(), [[true, false, true], [true; 3]]);
    let hit = Hit {
        time_ns: 1,
        event: 7,
        form: Form::Texture,
        timbre: Timbre::Net,
        note: 60.5,
        level: 0.25,
        length_ms: 1500.0,
        pan: -0.5,
        brightness: 0.75,
    };
    let mut room = [0xaa; 512];
    let mut heard = vec![];
    for plan in &mut mapping.hits {
        let len = plan.encode(&hit, &mut room).unwrap();
        take_apart(&room[..len], &mut |part| heard.push(part.unwrap().0));
    }
    let floats = [60.5, 0.25, 1500.0, 1.5, -0.5, 0.75].map(OscType::Float);
    let want = [&[OscType::Int(2), OscType::Int(3)][..], &floats, &[OscType::String("e".to_owned())]].concat();
    assert_eq!((&*heard[0].addr, &heard[0].args), ("/a", &want));
    assert_eq!((&*heard[1].addr, &heard[1].args), ("/b", &vec![OscType::String("s".to_owned())]));
}
