//! Checks the tables of docs/WIRE.md and docs/MAPS.md against the code.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use ftrace_live::control::State;
use ftrace_live::control::desk::{Desk, Settings};
use ftrace_live::control::switches::Switches;
use ftrace_live::format::{Abi, Endian, EventFormat, LongSize};
use ftrace_live::map::{Map, names};
use ftrace_live::names::Names;
use ftrace_live::osc::addresses::Addresses;
use ftrace_live::osc::aggregate::{AggregateOptions, Aggregator};
use ftrace_live::osc::clock;
use ftrace_live::osc::packet::take_apart;
use ftrace_live::osc::preset::PRESETS;
use ftrace_live::osc::print::tags;
use ftrace_live::osc::{MessageOptions, MessagePlan, Schema, Types, about, hit, signal};
use ftrace_live::tracefs::EventName;
use rosc::{OscMessage, OscPacket, OscType, encoder};

fn in_repository(path: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

/// The cells of the table rows whose first cell is `wanted`.
fn rows(document: &str, wanted: impl Fn(&str) -> bool) -> Vec<Vec<String>> {
    let cells = |line: &str| line.trim_matches('|').split(" | ").map(|cell| cell.trim().to_owned()).collect::<Vec<_>>();
    document.lines().filter(|line| line.starts_with("| ")).map(cells).filter(|cells| wanted(&cells[0])).collect()
}

/// The words in back quotes.
fn quoted(cell: &str) -> Vec<String> {
    cell.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// The row of an address, and the words in back quotes of its second cell.
fn documented(document: &str, address: &str) -> (Vec<String>, Vec<String>) {
    let found = rows(document, |first| first == format!("`{address}`"));
    assert_eq!(found.len(), 1, "{address} has one row");
    (found[0].clone(), quoted(&found[0][1]))
}

/// An event with a field of this type.
fn schema(field: &str, size: u32, signed: u8, types: Types) -> Schema {
    let text = format!(
        "name: e\nID: 7\nformat:\n\tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;\n\
         \tfield:int common_pid;\toffset:4;\tsize:4;\tsigned:1;\n\n\
         \tfield:{field};\toffset:8;\tsize:{size};\tsigned:{signed};\n\nprint fmt: \"\"\n"
    );
    let format = EventFormat::parse("s", &text, LongSize::Eight).unwrap();
    let options = MessageOptions::new(types);
    MessagePlan::compile(&format, &options, Abi { endian: Endian::Little, long: LongSize::Eight }, &Names::default()).1
}

const LEVELS: [Types; 3] = [Types::Full, Types::Double, Types::Portable];

#[test]
fn the_messages_about_the_stream_have_the_tags_of_the_document() {
    let document = in_repository("docs/WIRE.md");
    let comma = |message: &OscMessage| format!(",{}", tags(&message.args));
    let portable = comma(&about::start("/ftrace", Types::Portable, "h", 1, 0));
    let start = [comma(&about::start("/ftrace", Types::Full, "h", 1, 0)), portable];
    assert_eq!(documented(&document, "/ftrace/start").1, start);
    assert_eq!(documented(&document, "/ftrace/clock").1, [comma(&clock::clock("/ftrace", None, None))]);
    let event = schema("int vec", 4, 1, Types::Full);
    assert_eq!(documented(&document, "/ftrace/schema").1, [comma(&about::schema("/ftrace", &event))]);
    let (stat, stat_tags) = documented(&document, "/ftrace/stat");
    let message = about::stat(
        "/ftrace",
        &about::Stat { read: 1, sent: 2, thinned: 3, kernel_lost: 4, malformed: 5, receiver_drops: 6, window_s: 1.0 },
    );
    assert_eq!((stat_tags, stat[2].split(", ").count()), (vec![comma(&message)], message.args.len()));
    assert_eq!(documented(&document, "/ftrace/stop").1, [comma(&about::stop("/ftrace"))]);
    let (row, hit_tags) = documented(&document, "/ftrace/hit");
    let hit = hit::schema("/ftrace");
    assert_eq!(hit_tags, [format!(",{}", hit.tags)]);
    let named: Vec<_> = hit.arguments.iter().map(|argument| argument.name.as_str()).collect();
    assert_eq!(row[2], named.join(", "));
    let (row, signal_tags) = documented(&document, "/ftrace/signal/<system>/<event>");
    let signal = signal::schema("/ftrace", &Addresses::default(), "<system>", "<event>");
    assert_eq!(signal_tags, [format!(",{}", signal.tags)]);
    let named: Vec<_> = signal.arguments.iter().map(|argument| argument.name.as_str()).collect();
    assert!(row[2].starts_with(&named.join(", ")), "{row:?}");
    for argument in signal.arguments {
        let described = rows(&document, |first| first == format!("`{}`", argument.name));
        assert!(described.iter().any(|row| row[1] == format!("`{}`", argument.tag)), "{} is described", argument.name);
    }

    let window = Duration::from_millis(50);
    let mut aggregator = Aggregator::new(AggregateOptions::new(window), "/ftrace");
    let text = "name: e\nID: 7\nformat:\n\tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;\n\n\
                \tfield:int vec;\toffset:8;\tsize:4;\tsigned:1;\n\nprint fmt: \"\"\n";
    aggregator.add(&EventFormat::parse("s", text, LongSize::Eight).unwrap(), "/ftrace/s/e");
    aggregator.tick(0, |_| {});
    let mut sent = vec![];
    aggregator.tick(1, |message| sent.push(message));
    aggregator.close(&mut |message| sent.push(message));
    assert_eq!(sent[0].addr, "/ftrace/agg/s/e");
    assert_eq!(documented(&document, "/ftrace/agg/<system>/<event>").1, [comma(&sent[0])]);
}

#[test]
fn every_event_begins_with_the_arguments_of_the_document_and_fields_have_its_types() {
    let document = in_repository("docs/WIRE.md");
    for types in LEVELS {
        let schema = schema("int vec", 4, 1, types);
        let head: Vec<_> = schema.arguments.iter().map(|argument| argument.name.as_str()).collect();
        let of = |name: &str| {
            let row = rows(&document, |first| first == name).into_iter().find(|row| row[1].starts_with('`')).unwrap();
            let cell = quoted(&row[1]);
            // The portable form follows the other.
            if types == Types::Portable && cell.len() > 1 { cell[1..].concat() } else { cell[0].clone() }
        };
        let from_document = ["`time`", "`dt`", "`cpu`", "`pid`", "`comm`"].map(of);
        assert_eq!(schema.tags, from_document.concat() + "i", "{types}: {head:?}");
    }
    for (row, field, size, signed) in [
        ("signed up to 32 bits", "int x", 4, 1),
        ("signed up to 32 bits", "u16 x", 2, 0),
        ("u32", "u32 x", 4, 0),
        ("64-bit integer", "s64 x", 8, 1),
        ("`char[N]`", "char x[16]", 16, 1),
    ] {
        let found = rows(&document, |first| first.starts_with(row));
        assert_eq!(found.len(), 1, "{row}");
        for (types, cell) in LEVELS.into_iter().zip(&found[0][1..]) {
            let schema = schema(field, size, signed, types);
            assert_eq!(schema.tags.chars().last().unwrap().to_string(), quoted(cell)[0], "{field} at {types}");
        }
    }
}

#[test]
fn the_presets_are_those_of_the_document() {
    let document = in_repository("docs/WIRE.md");
    let (_, section) = document.split_once("## Presets").unwrap();
    let table = rows(section.split("## ").next().unwrap(), |first| first.starts_with('`') && first != "`--for`");
    assert_eq!(table.len(), PRESETS.len());
    for (row, preset) in table.iter().zip(PRESETS) {
        let rate = preset.max_rate.map_or("none".to_owned(), |rate| rate.to_string());
        let types = preset.types.to_string();
        assert_eq!(quoted(&row[0])[0], preset.name);
        assert_eq!(row[1..4], [preset.port.to_string(), types, rate], "{}", preset.name);
    }
}

#[test]
fn the_control_commands_are_those_of_the_document_and_answers_have_its_tags() {
    let document = in_repository("docs/WIRE.md");
    let rows = rows(&document, |first| first.starts_with("`/ftrace/control/") && !first.contains(" ,"));
    let word = |address: &str| address.rsplit('/').next().unwrap().to_owned();
    let words: BTreeSet<_> = rows.iter().flat_map(|row| quoted(&row[0])).map(|address| word(&address)).collect();
    // What the code accepts: the words before its arrows.
    let code: BTreeSet<_> = ["src/control/request.rs", "src/control/mod.rs"]
        .iter()
        .flat_map(|file| {
            in_repository(file).split("mod tests").next().unwrap().lines().map(str::to_owned).collect::<Vec<_>>()
        })
        .filter(|line| line.contains("\" => ") || line.contains("\" if ") || line.contains("\") => "))
        .filter_map(|line| Some(line.split('"').nth(1)?.to_owned()))
        .filter(|word| word.chars().all(|c| c.is_ascii_lowercase()))
        .collect();
    assert_eq!(words, code);

    let events = vec![EventName::new("irq", "softirq_entry")];
    let mut desk = Desk::new("/ftrace", Switches::new(events), Settings { typed: true, ..Settings::default() });
    let from = SocketAddr::from((Ipv4Addr::LOCALHOST, 1));
    let mut heard: Vec<OscMessage> = vec![];
    let mut say = |desk: &mut Desk, word: &str, args: Vec<OscType>| {
        let message = OscMessage { addr: format!("/ftrace/control/{word}"), args };
        let bytes = encoder::encode(&OscPacket::Message(message)).unwrap();
        let mut answers = desk.datagram(&bytes, from, Instant::now());
        answers.extend(desk.state(&State::default(), Instant::now()).map(|(message, _)| message));
        for answer in answers {
            take_apart(&answer, &mut |part| heard.push(part.unwrap().0));
        }
    };
    say(&mut desk, "notify", vec![OscType::Int(1)]);
    say(&mut desk, "query", vec![OscType::String("irq".into())]);
    say(&mut desk, "query", vec![OscType::String("speed".into())]);
    say(&mut desk, "explode", vec![]);
    for (answer, want) in [("ok", "s"), ("error", "ss"), ("state", "fffiii"), ("events", "s"), ("value", "sf")] {
        let message = heard.iter().find(|message| message.addr.ends_with(&format!("/{answer}"))).unwrap();
        assert_eq!(tags(&message.args), want, "{answer}");
        let shown = want.replace("sf", "s?").replace(if answer == "events" { "s" } else { "-" }, "s…");
        assert!(document.contains(&format!("| `/ftrace/control/{answer} ,{shown}` |")), "{answer} ,{shown}");
    }
}

#[test]
fn the_maps_are_those_of_their_document() {
    let document = in_repository("docs/MAPS.md");
    let table = rows(&document, |first| names().any(|name| first == format!("`{name}`")));
    assert_eq!(table.len(), names().count());
    for (row, name) in table.iter().zip(names()) {
        let map = Map::built_in(name).unwrap().unwrap();
        assert_eq!((&row[0], &row[1]), (&format!("`{name}`"), &map.port.unwrap().to_string()));
    }
}

#[test]
fn lines_of_json_have_the_keys_of_the_document() {
    let document = in_repository("docs/WIRE.md");
    let (_, section) = document.split_once("## JSON").unwrap();
    let documented: BTreeSet<_> =
        rows(section, |first| first.starts_with('`')).iter().flat_map(|row| quoted(&row[0])).collect();
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/x86_64-6.18/irq-exceptions");
    let mut command = Command::new(env!("CARGO_BIN_EXE_ftrace-live"));
    command.arg("replay").arg(fixture).args(["--raw", "--print", "--json", "--speed", "max", "-q"]);
    let output = command.output().unwrap();
    let line = String::from_utf8(output.stdout).unwrap();
    let line: serde_json::Value = serde_json::from_str(line.lines().next().unwrap()).unwrap();
    let mut keys: BTreeSet<_> = line.as_object().unwrap().keys().cloned().collect();
    // Only for a malformed message, which is never sent.
    keys.insert("fault".to_owned());
    assert_eq!(keys, documented);
}
