//! The time from one event to another, as numbers that are sent: for each window of `--aggregate`, and as a value in
//! maps. The values are worked out by hand; those of a fixture equal the output of `stat --latency`.

mod common;

use std::fs;
use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use common::live::{Heard, Listener, may_trace};
use common::made;
use common::program::Program;
use rosc::OscType;

const PROGRAM: &str = env!("CARGO_BIN_EXE_ftrace-live");
const FIXTURE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/x86_64-6.18/irq-exceptions");

fn replay(capture: &Path, arguments: &[&str]) -> Output {
    Command::new(PROGRAM).arg("replay").arg(capture).args(["--speed", "max"]).args(arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Two interrupts, one within the other, an end without a begin, and the first one again; at these ms.
fn capture(folder: &Path) -> PathBuf {
    let field = ["int irq;\toffset:8;\tsize:4;\tsigned:1;"];
    let format = |name, id| made::format(name, id, &field, "\"irq=%d\", REC->irq");
    let events = [(0, 301, 1), (1, 301, 2), (3, 302, 1), (6, 302, 2), (7, 302, 9), (10, 301, 1), (12, 302, 1)];
    let mut last = 0;
    let records = events.map(|(ms, id, irq): (u32, u16, i32)| {
        let delta = (ms - std::mem::replace(&mut last, ms)) * 1_000_000;
        (delta, made::record(id, 7, &irq.to_le_bytes()))
    });
    let path = folder.join("capture");
    let formats = [("made", "begin", format("begin", 301)), ("made", "end", format("end", 302))];
    made::folder(&path, "mono", &formats, &[(0, made::page(5_000_000_000, &records))]);
    path
}

/// The numbers of `/ftrace/agg/latency/NAME`: pairs, p50, p99, max.
fn windows(heard: &[Heard], name: &str) -> Vec<(i32, [f32; 3])> {
    let of = heard.iter().filter(|heard| heard.address == format!("/ftrace/agg/latency/{name}"));
    of.map(|heard| match heard.arguments[..] {
        [OscType::Int(pairs), OscType::Float(p50), OscType::Float(p99), OscType::Float(max)] => {
            (pairs, [p50, p99, max])
        }
        _ => panic!("{heard:?}"),
    })
    .collect()
}

#[test]
fn each_window_has_the_number_and_latencies_of_the_pairs_that_ended_in_it() {
    let scratch = tempfile::tempdir().unwrap();
    let capture = capture(scratch.path());
    let listener = Listener::start();
    let to = format!("liblo@127.0.0.1:{}", listener.port());
    let pairs = ["--aggregate-latency", "begin..end", "--aggregate-latency", "made:begin:irq==2..end"];
    let output = replay(&capture, &[&["--to", &to, "--aggregate", "5ms"][..], &pairs].concat());
    assert!(output.status.success(), "{}", text(&output.stderr));
    let heard = listener.stop();
    // Windows of 5 ms: to 5, to 10, to 15; to three digits.
    let near = |found: Vec<(i32, [f32; 3])>, wanted: [(i32, [f32; 3]); 3]| {
        assert_eq!(found.len(), 3, "{found:?}");
        for ((pairs, ms), (wanted, wanted_ms)) in found.iter().zip(&wanted) {
            let close = ms.iter().zip(wanted_ms).all(|(ms, wanted)| (ms - wanted).abs() <= wanted * 0.001);
            assert!(pairs == wanted && close, "{found:?}");
        }
    };
    near(windows(&heard, "begin..end"), [(1, [3.0; 3]), (1, [5.0; 3]), (1, [2.0; 3])]);
    near(windows(&heard, "made_begin_irq__2..end"), [(0, [0.0; 3]), (1, [5.0; 3]), (0, [0.0; 3])]);
    for (pair, why) in [
        ("begin", "is not a pair of events"),
        ("begin..nosuch", "nosuch is not traced"),
        ("begin..end@nosuch", "has no field"),
        ("begin:nosuch==1..end", "nosuch"),
    ] {
        let output = replay(&capture, &["--to", &to, "--aggregate", "5ms", "--aggregate-latency", pair]);
        assert_eq!(output.status.code(), Some(2), "{pair}: {}", text(&output.stderr));
        assert!(text(&output.stderr).contains(why), "{pair}: {}", text(&output.stderr));
    }
}

#[test]
fn the_numbers_of_a_whole_capture_are_those_of_stat() {
    let pair = "softirq_entry..softirq_exit";
    let stat = Command::new(PROGRAM).args(["stat", FIXTURE, "--latency", pair, "--json"]).output().unwrap();
    let stat: serde_json::Value = serde_json::from_slice(&stat.stdout).unwrap();
    let listener = Listener::start();
    let to = format!("liblo@127.0.0.1:{}", listener.port());
    let output = replay(Path::new(FIXTURE), &["--to", &to, "--aggregate", "1h", "--aggregate-latency", pair]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let windows = windows(&listener.stop(), pair);
    let ms = |key: &str| stat[key].as_u64().unwrap_or_else(|| panic!("{stat}")) as f64 / 1e6;
    assert!(ms("p50") > 0.0 && ms("pairs") > 0.0);
    let wanted = ["p50", "p99", "max"].map(|key| ms(key) as f32);
    assert_eq!(windows, [(stat["pairs"].as_u64().unwrap() as i32, wanted)]);
}

#[test]
fn a_map_uses_the_latency_of_the_last_pair() {
    let scratch = tempfile::tempdir().unwrap();
    let capture = capture(scratch.path());
    let map = scratch.path().join("map.toml");
    let printed = |args: &str| {
        let rule = format!("[[message]]\nevents = [\"made:end\"]\naddress = \"/l\"\nargs = [{args}]\n");
        fs::write(&map, rule).unwrap();
        replay(&capture, &["--map", map.to_str().unwrap(), "--print", "--json"])
    };
    let output = printed("\"$irq\", \"$latency(begin..end)\", \"$mul(latency(made:begin:(irq==1)..end@irq), 10):i\"");
    assert!(output.status.success(), "{}", text(&output.stderr));
    let values: Vec<Vec<f64>> = text(&output.stdout)
        .lines()
        .map(|line| {
            let line: serde_json::Value = serde_json::from_str(line).unwrap();
            assert_eq!(line["tags"], "ifi");
            line["arguments"].as_array().unwrap().iter().map(|argument| argument["value"].as_f64().unwrap()).collect()
        })
        .collect();
    assert_eq!(values, [[1.0, 3.0, 30.0], [2.0, 5.0, 30.0], [9.0, 5.0, 30.0], [1.0, 2.0, 20.0]]);
    for (args, why) in [
        ("\"$latency(begin)\"", "map.toml:4:19: \"begin\" is not a pair of events"),
        ("\"$latency(begin..end\"", "expected ')'"),
        ("\"$latency(begin..nosuch)\"", "nosuch is not traced"),
    ] {
        let output = printed(args);
        assert_eq!(output.status.code(), Some(2), "{args}: {}", text(&output.stderr));
        assert!(text(&output.stderr).contains(why), "{args}: {}", text(&output.stderr));
    }
}

#[test]
fn live_the_duration_of_softirqs_is_sent() {
    if !may_trace() {
        return;
    }
    let listener = UdpSocket::bind("127.0.0.1:0").unwrap();
    let to = format!("liblo@{}", listener.local_addr().unwrap());
    let mut command = Command::new(PROGRAM);
    command.args(["-e", "irq:softirq_entry", "irq:softirq_exit", "--to", &to, "--aggregate", "50ms"]);
    command.args(["--aggregate-latency", "softirq_entry..softirq_exit"]);
    let mut program = Program::start(command);
    program.wait_for("2 events enabled");
    listener.set_read_timeout(Some(std::time::Duration::from_millis(100))).unwrap();
    let end = std::time::Instant::now() + common::program::PATIENCE;
    let other = UdpSocket::bind("127.0.0.1:0").unwrap();
    let mut datagram = vec![0; 1 << 16];
    loop {
        assert!(std::time::Instant::now() < end, "{:?}", program.said());
        // Each datagram over the loopback interface causes a softirq.
        (0..20).for_each(|_| drop(other.send_to(b"load", other.local_addr().unwrap())));
        let Ok(len) = listener.recv(&mut datagram) else { continue };
        let mut heard = vec![];
        take(&rosc::decoder::decode_udp(&datagram[..len]).unwrap().1, &mut heard);
        if let Some((_, [p50, p99, max])) =
            windows(&heard, "softirq_entry..softirq_exit").into_iter().find(|(pairs, _)| *pairs > 0)
        {
            assert!(0.0 < p50 && p50 <= p99 && p99 <= max && max < 60_000.0, "{p50} {p99} {max}");
            break;
        }
    }
    assert_eq!(program.end(libc::SIGINT), Some(0), "{:?}", program.said());
}

fn take(packet: &rosc::OscPacket, heard: &mut Vec<Heard>) {
    match packet {
        rosc::OscPacket::Message(message) => {
            heard.push(Heard { address: message.addr.clone(), arguments: message.args.clone() });
        }
        rosc::OscPacket::Bundle(bundle) => bundle.content.iter().for_each(|packet| take(packet, heard)),
    }
}
