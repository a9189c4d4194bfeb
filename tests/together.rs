//! Several captures played as one piece: ordered by time of day, each machine with its name; a guest by its host's
//! clock. The times are worked out by hand.

mod common;

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use common::made;
use common::program::{PATIENCE, Program, free_port};
use ftrace_live::capture::trace_dat::{self, BufferOut, Guest, Open, Options, ShiftSample, TimeShift, TraceDat};
use rosc::{OscMessage, OscPacket, OscType, encoder};

fn replay(arguments: &[&str], captures: &[&Path]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ftrace-live"));
    command.arg("replay").args(captures).args(["--raw", "--print"]).args(arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

const WALL: u64 = 1_700_000_000_000_000_000;

/// A capture of events at these ms of the trace clock, whose zero was at `wall` (if known), on the machine `host`.
fn capture(path: PathBuf, host: Option<&str>, wall: Option<u64>, events: &[(u64, u32)]) -> PathBuf {
    let format = made::format("tick", 301, &["int n;\toffset:8;\tsize:4;\tsigned:1;"], "\"n=%d\", REC->n");
    let start = events[0].0 * 1_000_000;
    let mut last = start;
    let records = events.iter().map(|&(ms, n)| {
        let delta = ms * 1_000_000 - std::mem::replace(&mut last, ms * 1_000_000);
        (delta as u32, made::record(301, 7, &n.to_le_bytes()))
    });
    let ring = made::page(start, &records.collect::<Vec<_>>());
    made::folder(&path, "mono", &[("made", "tick", format)], &[(0, ring)]);
    if let Some(host) = host {
        fs::write(path.join("uname"), format!("Linux {host} 6.1.0 aarch64\n")).unwrap();
    }
    if let Some(wall) = wall {
        let noted = format!("clock mono\nbyte_order little\ntrace_ns 0\nrealtime_ns {wall}\nuncertainty_ns 3\n");
        fs::write(path.join("clock"), noted).unwrap();
    }
    path
}

/// The address without its last part, the ms since `WALL`, and the number of each event, in the order of the lines.
fn played(output: &Output) -> Vec<(String, f64, u32)> {
    assert!(output.status.success(), "{}", text(&output.stderr));
    let event = |line: &str| {
        let value = |name: &str| line.split_once(&format!(" {name}=")).unwrap().1.split(' ').next().unwrap().to_owned();
        let time = value("time").replace('.', "").parse::<u64>().unwrap();
        let address = line.split(' ').nth(1).unwrap().strip_suffix("/made/tick").unwrap().to_owned();
        (address, time.wrapping_sub(WALL).cast_signed() as f64 / 1e6, value("n").parse().unwrap())
    };
    text(&output.stdout).lines().map(event).collect()
}

fn expected(events: &[(&str, f64, u32)]) -> Vec<(String, f64, u32)> {
    events.iter().map(|&(address, ms, n)| (address.to_owned(), ms, n)).collect()
}

#[test]
fn machines_are_merged_by_time_of_day_each_with_its_name() {
    let folder = tempfile::tempdir().unwrap();
    // The second machine's clock began 1000 ms later.
    let first = capture(folder.path().join("a"), Some("pi 4"), Some(WALL), &[(5000, 1), (5020, 3), (5050, 6)]);
    let first_host = "pi";
    fs::write(first.join("uname"), format!("Linux {first_host} 6.1.0 aarch64\n")).unwrap();
    let second =
        capture(folder.path().join("desk"), None, Some(WALL + 1_000_000_000), &[(4010, 2), (4030, 4), (4040, 5)]);
    let all = expected(&[
        ("/ftrace/pi", 5000.0, 1),
        ("/ftrace/desk", 5010.0, 2),
        ("/ftrace/pi", 5020.0, 3),
        ("/ftrace/desk", 5030.0, 4),
        ("/ftrace/desk", 5040.0, 5),
        ("/ftrace/pi", 5050.0, 6),
    ]);
    let prefix = ["--prefix", "/ftrace/%h"];
    for speed in ["max", "10"] {
        let output = replay(&[&prefix[..], &["--speed", speed]].concat(), &[&first, &second]);
        assert_eq!(played(&output), all, "--speed {speed}");
        let said = text(&output.stderr);
        assert!(said.contains("/ftrace/pi: 3 events") && said.contains("/ftrace/desk: 3 events"), "{said}");
    }
    // A trace.dat and a folder, in the other order; a part of both, by the time since the very first event.
    let dat = folder.path().join("x.dat");
    let converted =
        Command::new(env!("CARGO_BIN_EXE_ftrace-live")).arg("convert").arg(&first).arg("-o").arg(&dat).output();
    assert!(converted.unwrap().status.success());
    let output =
        replay(&["--prefix", "/%h/x", "--speed", "max", "--from", "15ms", "--until", "45ms"], &[&second, &dat]);
    let part = expected(&[("/pi/x", 5020.0, 3), ("/desk/x", 5030.0, 4), ("/desk/x", 5040.0, 5)]);
    assert_eq!(played(&output), part);
    let output = replay(&["--speed", "max", "--filter", "tick=n>4"], &[&first, &second]);
    assert_eq!(played(&output), expected(&[("/ftrace", 5040.0, 5), ("/ftrace", 5050.0, 6)]));
    assert!(text(&output.stderr).contains("several machines have the same addresses"), "{}", text(&output.stderr));
    // Two with the same name, and a single one with its name.
    let output = replay(&[&prefix[..], &["--speed", "max"]].concat(), &[&first, &dat]);
    let names: Vec<_> = played(&output).into_iter().map(|(address, ..)| address).collect();
    assert_eq!(names.iter().filter(|name| *name == "/ftrace/pi_2").count(), 3, "{names:?}");
    let output = replay(&[&prefix[..], &["--speed", "max"]].concat(), &[&first]);
    assert_eq!(played(&output).len(), 3);
}

#[test]
fn captures_without_time_of_day_and_options_for_one_capture_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let first = capture(folder.path().join("a"), None, Some(WALL), &[(5000, 1)]);
    let second = capture(folder.path().join("timeless"), None, None, &[(5000, 1)]);
    let both: [&Path; 2] = [&first, &second];
    let output = replay(&["--speed", "max"], &both);
    assert_eq!(output.status.code(), Some(2));
    let said = text(&output.stderr);
    assert!(said.contains("timeless was recorded is not known"), "{said}");
    for option in [&["--source-port", "9"][..], &["--page", "--hits"], &["--prefix", "/%x"]] {
        let output = replay(option, &[&first, &first]);
        let option = if option[0] == "--page" { &["--hits"] } else { option };
        assert_eq!(output.status.code(), Some(2), "{option:?}: {}", text(&output.stderr));
        assert!(text(&output.stderr).contains(option[0]), "{option:?}: {}", text(&output.stderr));
    }
}

#[test]
fn the_buffers_of_a_capture_have_their_names() {
    let folder = tempfile::tempdir().unwrap();
    let top = capture(folder.path().join("a"), None, Some(WALL), &[(5000, 1), (5020, 3)]);
    capture(top.join("instances/net"), None, Some(WALL), &[(5010, 2)]);
    let output = replay(&["--speed", "max", "--prefix", "/%h/%b"], &[&top]);
    let all = [("/a/top", 5000.0, 1), ("/a/net", 5010.0, 2), ("/a/top", 5020.0, 3)];
    assert_eq!(played(&output), expected(&all));
}

/// Writes the capture as a trace.dat with these options.
fn dat(capture: &Path, to: &Path, change: impl FnOnce(&mut Options)) {
    let plain = to.with_extension("plain.dat");
    let converted =
        Command::new(env!("CARGO_BIN_EXE_ftrace-live")).arg("convert").arg(capture).arg("-o").arg(&plain).output();
    assert!(converted.unwrap().status.success());
    let read = TraceDat::open(&plain, Open::default()).unwrap();
    let mut description = read.description().unwrap();
    change(&mut description.options);
    let cpus = read.buffers.iter().flat_map(|buffer| read.feeds(buffer)).collect();
    trace_dat::write(to, &description, vec![BufferOut { name: String::new(), clock: None, cpus }], &mut |_| {})
        .unwrap();
}

#[test]
fn a_guest_uses_its_hosts_clock_and_the_name_given_by_its_host() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    for wall in [Some(WALL), None] {
        let host = capture(path("host"), Some("big"), wall, &[(5000, 1), (5020, 3)]);
        // Its own clock is 4000 ms behind its host's; the time of day in its file is wrong.
        let guest = capture(path("guest"), Some("localhost"), wall.map(|_| WALL / 2), &[(1010, 2), (1030, 4)]);
        dat(&host, &path("host.dat"), |options| {
            options.trace_id = Some(7);
            options.guests = vec![Guest { name: "vm1".to_owned(), trace_id: 9, cpus: vec![(0, 100)] }];
        });
        dat(&guest, &path("guest.dat"), |options| {
            options.trace_id = Some(9);
            let sample = ShiftSample { time: 0, offset: 4_000_000_000, scaling: 1, fraction: 0 };
            options.time_shifts = vec![TimeShift { peer: 7, flags: 0, cpus: vec![vec![sample]] }];
        });
        let output =
            replay(&["--speed", "max", "--prefix", "/%h"], &[path("guest.dat").as_path(), path("host.dat").as_path()]);
        let began = if wall.is_some() { 0.0 } else { WALL as f64 / 1e6 };
        let order: Vec<_> = played(&output).into_iter().map(|(name, ms, n)| (name, (ms + began).round(), n)).collect();
        let all = [("/big", 5000.0, 1), ("/vm1", 5010.0, 2), ("/big", 5020.0, 3), ("/vm1", 5030.0, 4)];
        match wall {
            Some(_) => assert_eq!(order, expected(&all)),
            // Without a time of day the host's clock is used: f64 has no digits left for the ms.
            None => assert_eq!(
                order.iter().map(|(name, _, n)| (name.as_str(), *n)).collect::<Vec<_>>(),
                all.map(|(name, _, n)| (name, n))
            ),
        }
        fs::remove_dir_all(path("host")).unwrap();
        fs::remove_dir_all(path("guest")).unwrap();
        ["host", "guest"].iter().for_each(|name| {
            fs::remove_file(path(&format!("{name}.dat"))).unwrap();
            fs::remove_file(path(&format!("{name}.plain.dat"))).unwrap();
        });
    }
}

/// Two machines, one of which began a second later; events at 0, 10, 20, 30, 40 and 50 ms, alternating.
fn two(folder: &Path) -> [PathBuf; 2] {
    let first = capture(folder.join("pi"), None, Some(WALL), &[(5000, 1), (5020, 3), (5050, 6)]);
    let second = capture(folder.join("desk"), None, Some(WALL + 1_000_000_000), &[(4010, 2), (4030, 4), (4040, 5)]);
    [first, second]
}

fn numbers(output: &Output) -> Vec<u32> {
    played(output).into_iter().map(|(.., n)| n).collect()
}

#[test]
fn a_moment_is_its_first_occurrence_on_any_machine() {
    let folder = tempfile::tempdir().unwrap();
    let [first, second] = two(folder.path());
    let part = |arguments: &[&str]| {
        let output = replay(&[&["--speed", "max"], arguments].concat(), &[&first, &second]);
        if output.status.success() { Ok(numbers(&output)) } else { Err((output.status.code(), text(&output.stderr))) }
    };
    assert_eq!(part(&["--from-event", "tick:n==2", "--until-event", "tick:n==5"]), Ok(vec![2, 3, 4, 5]));
    assert_eq!(part(&["--from-event", "tick:n==3"]), Ok(vec![3, 4, 5, 6]));
    // Both have one above 2: the earlier one is used. The next one after it ends the part.
    assert_eq!(part(&["--from-event", "tick:n>2", "--until-event", "tick:n>2"]), Ok(vec![3, 4]));
    assert_eq!(part(&["--around", "tick:n==4", "--margin", "10ms"]), Ok(vec![3, 4, 5]));
    // Searched within --from.
    assert_eq!(part(&["--from", "15ms", "--until-event", "tick:n>0"]), Ok(vec![3]));
    let (code, said) = part(&["--around", "tick:n==99"]).unwrap_err();
    assert!(code == Some(2) && said.contains("tick:n==99 does not occur"), "{said}");
    let (code, _) = part(&["--around", "nosuch"]).unwrap_err();
    assert_eq!(code, Some(2));
    // A window that excludes one of them.
    assert_eq!(part(&["--until", "5ms"]), Ok(vec![1]));
    assert_eq!(part(&["--from", "-5ms"]), Ok(vec![6]));
}

/// The number of the event in a line.
fn number(line: &str) -> Option<u32> {
    line.split_once(" n=")?.1.split(' ').next()?.parse().ok()
}

#[test]
fn a_piece_of_several_machines_is_repeated_without_a_gap() {
    let folder = tempfile::tempdir().unwrap();
    let [first, second] = two(folder.path());
    let listener = common::live::Listener::start();
    let mut command = Command::new(env!("CARGO_BIN_EXE_ftrace-live"));
    let to = format!("liblo@127.0.0.1:{}", listener.port());
    command.arg("replay").args([&first, &second]).args(["--loop", "--speed", "10", "--print", "--to", &to]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let lines: Vec<_> = BufReader::new(child.stdout.take().unwrap()).lines().take(20).map(Result::unwrap).collect();
    let heard: Vec<u32> = lines.iter().filter_map(|line| number(line)).collect();
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(heard, (1..=6).cycle().take(20).collect::<Vec<_>>(), "{lines:#?}");
    let sent: Vec<i64> =
        listener.stop().iter().filter(|heard| heard.address.ends_with("/tick")).map(|heard| heard.int(5)).collect();
    // Simultaneous events are sent machine by machine; each machine has its own order.
    for round in [[1, 3, 6], [2, 4, 5]] {
        let own: Vec<_> = sent.iter().filter(|n| round.contains(n)).collect();
        assert!(
            own.len() >= 6 && own.iter().zip(round.iter().cycle()).all(|(sent, wanted)| *sent == wanted),
            "{own:?}"
        );
    }
}

#[test]
fn one_control_is_for_all_machines() {
    let folder = tempfile::tempdir().unwrap();
    let [first, second] = two(folder.path());
    let port = free_port().to_string();
    let mut command = Command::new(env!("CARGO_BIN_EXE_ftrace-live"));
    // 10 ms of the captures are 1000 s: nothing is sent except what is requested.
    command.arg("replay").args([&first, &second]).args([
        "--raw",
        "--print",
        "--prefix",
        "/ftrace/%h",
        "--speed",
        "0.00001",
    ]);
    command.args(["--control", &port]);
    let mut program = Program::start(command);
    program.wait_for("n=1");
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let say = |word: &str, args: Vec<OscType>| {
        let message = OscPacket::Message(OscMessage { addr: format!("/ftrace/control/{word}"), args });
        socket.send_to(&encoder::encode(&message).unwrap(), format!("127.0.0.1:{port}")).unwrap();
        let mut answer = [0; 1000];
        let len = loop {
            match socket.recv(&mut answer) {
                // A signal for another test.
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                received => break received.unwrap(),
            }
        };
        let answer = String::from_utf8_lossy(&answer[..len]).into_owned();
        assert!(answer.starts_with("/ftrace/control/ok"), "{word}: {answer}");
    };
    say("seek", vec![OscType::Float(0.04)]);
    program.wait_for("/ftrace/desk/made/tick");
    program.wait_for("n=5");
    say("seek", vec![OscType::Float(0.02)]);
    program.wait_for("n=3");
    // A filter applies to both: with n > 4 two events are left, one of each machine.
    say("filter", vec![OscType::String("made:tick".into()), OscType::String("n > 4".into())]);
    say("seek", vec![OscType::Float(0.0)]);
    let before = program.said().iter().filter_map(|line| number(line)).count();
    say("speed", vec![OscType::Float(1.0)]);
    // Plays to the end.
    program.wait_for("/ftrace/pi: ");
    let heard: Vec<u32> = program.said().iter().filter_map(|line| number(line)).skip(before).collect();
    assert_eq!(heard, [5, 6]);
}

#[test]
fn a_page_shows_all_machines() {
    let folder = tempfile::tempdir().unwrap();
    let [first, second] = two(folder.path());
    let mut command = Command::new(env!("CARGO_BIN_EXE_ftrace-live"));
    command.arg("replay").args([&first, &second]).args(["--prefix", "/ftrace/%h", "--page", "127.0.0.1:0"]);
    let mut program = Program::start(command);
    let said = program.wait_for("2 machines to http://127.0.0.1:");
    let address = said.split("http://").nth(1).unwrap().split('/').next().unwrap().to_owned();
    let mut stream = std::net::TcpStream::connect(&address).unwrap();
    let get = format!("GET /ftrace/made/tick HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    std::io::Write::write_all(&mut stream, get.as_bytes()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let (mut answer, mut buffer) = (String::new(), [0; 4096]);
    while !answer.contains("FULL_PATH") {
        let len = std::io::Read::read(&mut stream, &mut buffer).unwrap();
        assert!(len > 0, "{answer}");
        answer.push_str(&String::from_utf8_lossy(&buffer[..len]));
    }
    assert!(answer.contains("\"FULL_PATH\":\"/ftrace/made/tick\""), "{answer}");
}
