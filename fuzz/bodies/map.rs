//! A map: its TOML and the expressions in it. One that is taken is compiled for an event, and encodes a record and a hit of it.

use byteorder::LittleEndian;
use ftrace_live::format::{EventFormat, LongSize};
use ftrace_live::map::{Map, Mapping};
use ftrace_live::osc::Comm;
use ftrace_live::osc::packet::take_apart;
use ftrace_live::osc::stream::Moment;
use ftrace_live::sound::{Form, Hit, Timbre};

use super::LONGEST_SOURCE;

const EVENT: &str = "name: e\nID: 7\nformat:\n\tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;\n\
                     \n\tfield:int a;\toffset:4;\tsize:4;\tsigned:1;\n\tfield:u64 b;\toffset:8;\tsize:8;\tsigned:0;\n\
                     \tfield:char c[8];\toffset:16;\tsize:8;\tsigned:0;\n\nprint fmt: \"%d\", REC->a\n";

pub fn run(input: &[u8]) {
    let Some(text) = input.get(..input.len().min(LONGEST_SOURCE)).and_then(|bytes| std::str::from_utf8(bytes).ok())
    else {
        return;
    };
    let map = match Map::parse("m", text) {
        Ok(map) => map,
        Err(mistake) => {
            assert!(mistake.to_string().starts_with("m:"), "{mistake}");
            return;
        }
    };
    let format = EventFormat::parse("s", EVENT, LongSize::Eight).expect("it is right");
    let mut mapping = Mapping::compile(map.messages.iter().map(|message| &**message), &format);
    let record = [&[7, 0, 0, 0, 250, 255, 255, 255][..], &[255; 8], b"a\0bcdefg"].concat();
    let comm = Comm::new(b"task");
    let moment = Moment { event_ns: 2, play_ns: 1, dt: 0.5, cpu: 3, pid: 4, comm: &comm };
    let lengths = vec![f64::NAN; map.pairs().len()];
    let mut room = vec![0; 65_507];
    let is_osc = |bytes: &[u8]| {
        take_apart(bytes, &mut |part| drop(part.expect("a message is OSC")));
    };
    for plan in &mut mapping.records {
        if let Ok(len) = plan.encode::<LittleEndian>(&record, (&moment, &lengths), &mut room) {
            is_osc(&room[..len]);
        }
    }
    let hit = Hit {
        time_ns: 1,
        event: 0,
        form: Form::Note,
        timbre: Timbre::ALL[0],
        note: 60.5,
        level: 1.0,
        length_ms: 100.0,
        pan: -1.0,
        brightness: 0.5,
    };
    for plan in &mut mapping.hits {
        if let Ok(len) = plan.encode(&hit, &mut room) {
            is_osc(&room[..len]);
        }
    }
}
