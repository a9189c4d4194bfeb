//! liblo's oscdump, which prints every message with its types: `TIME ADDRESS TAGS VALUES`.

use std::fmt::Write;
use std::time::{Duration, Instant};

use rosc::{OscMessage, OscType};

use crate::{
    common::program::{self, Program, command},
    stream,
};

/// A message as oscdump prints it (`lo_arg_pp`): `%d`, `%f`, strings in quotes, blobs in hex, timetags as two hex words.
fn as_oscdump(message: &OscMessage) -> String {
    let mut tags = String::new();
    let mut values = String::new();
    for argument in &message.args {
        let _ = match argument {
            OscType::Int(v) => write!(values, " {v}").map(|()| tags.push('i')),
            OscType::Long(v) => write!(values, " {v}").map(|()| tags.push('h')),
            OscType::Float(v) => write!(values, " {v:.6}").map(|()| tags.push('f')),
            OscType::String(v) => write!(values, " \"{v}\"").map(|()| tags.push('s')),
            OscType::Time(v) => write!(values, " {:08x}.{:08x}", v.seconds, v.fractional).map(|()| tags.push('t')),
            OscType::Blob(v) if v.len() > 12 => write!(values, " [{} byte blob]", v.len()).map(|()| tags.push('b')),
            OscType::Blob(v) => {
                tags.push('b');
                // `%#02x`, which is `00` for zero.
                let byte = |b: &u8| if *b == 0 { " 00".to_owned() } else { format!(" {b:#x}") };
                write!(values, " [{}b{}]", v.len(), v.iter().map(byte).collect::<String>())
            }
            other => panic!("{other:?}"),
        };
    }
    format!("{} {tags}{values}", message.addr)
}

#[test]
fn oscdump_prints_every_value_of_the_liblo_stream_in_order() {
    if !program::installed("oscdump") {
        return;
    }
    let stream = stream::of("liblo");
    let home = tempfile::tempdir().unwrap();
    let port = program::free_port();
    // Line-buffered, since a pipe would delay its output.
    let mut oscdump = command("stdbuf", home.path());
    oscdump.args(["-oL", "oscdump", "-L", &port.to_string()]);
    let mut oscdump = Program::start(oscdump);
    // It says nothing when it listens. Port 57120 is `:DF20` in the kernel's table.
    let end = Instant::now() + program::PATIENCE;
    let listens = |table: &str| {
        let table = std::fs::read_to_string(table).unwrap_or_default();
        table.lines().filter_map(|line| line.split_whitespace().nth(1)).any(|at| at.ends_with(&format!(":{port:04X}")))
    };
    while !listens("/proc/net/udp") && !listens("/proc/net/udp6") {
        assert!(Instant::now() < end, "oscdump does not listen");
        std::thread::sleep(Duration::from_millis(5));
    }
    stream.send(port);
    oscdump.wait_for("/ftrace/stop");
    let want: Vec<String> = stream.messages.iter().map(|(m, _)| as_oscdump(m)).collect();
    let got: Vec<String> = oscdump.said().iter().map(|l| l.split_once(' ').unwrap_or_default().1.to_owned()).collect();
    for (got, want) in got.iter().zip(&want) {
        assert_eq!(got, want);
    }
    assert_eq!(got.len(), want.len());
}
