//! `listen` on loopback: what `replay` sends, and what no OSC program would send.

mod common;

use std::{net::UdpSocket, path::Path, process::Command, time::Duration};

use common::{
    corpus,
    program::{self, Program},
};

/// The program's `listen` on `port`, once it listens.
fn listen(port: u16, arguments: &[&str], folder: &Path) -> Program {
    let mut command = program::command(env!("CARGO_BIN_EXE_ftrace-live"), folder);
    command.arg("listen").arg(format!("127.0.0.1:{port}")).args(arguments);
    let mut listen = Program::start(command);
    listen.wait_for("listening on");
    listen
}

fn send(port: u16, packets: &[&[u8]]) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    for packet in packets {
        socket.send_to(packet, ("127.0.0.1", port)).unwrap();
    }
}

const PING: &[u8] = b"/ping\0\0\0,i\0\0\0\0\0\x07";

#[test]
fn it_prints_the_lines_that_replay_says_it_sends() {
    let Some(corpus) = corpus::folder() else { return };
    let folder = tempfile::tempdir().unwrap();
    let port = program::free_port();
    let mut listen = listen(port, &["--write", "heard.txt"], folder.path());
    let mut replay = Command::new(env!("CARGO_BIN_EXE_ftrace-live"));
    replay.arg("replay").arg(corpus.join("x86_64-6.1.176/kprobe"));
    let replay =
        replay.args(["--raw", "--for", "rust", "--to", &format!("127.0.0.1:{port}"), "--print"]).output().unwrap();
    let heard = folder.path().join("heard.txt");
    let read = || std::fs::read_to_string(&heard).unwrap_or_default();
    let end = std::time::Instant::now() + program::PATIENCE;
    while !read().contains(" /ftrace/stop ,") {
        assert!(std::time::Instant::now() < end, "the end was not heard");
        std::thread::sleep(Duration::from_millis(50));
    }
    listen.end(libc::SIGINT);

    // A bundle has one time, that of its first event; `--print` gives each event its own.
    let untimed = |line: &str| line.split_once(' ').unwrap_or_default().1.to_owned();
    let about = ["/ftrace/start ", "/ftrace/schema ", "/ftrace/stat ", "/ftrace/stop "];
    let heard: Vec<String> =
        read().lines().map(untimed).filter(|line| !about.iter().any(|a| line.starts_with(a))).collect();
    let printed: Vec<String> = String::from_utf8(replay.stdout).unwrap().lines().map(untimed).collect();
    assert_eq!(printed.len(), 661, "the capture's events");
    for (heard, printed) in heard.iter().zip(&printed) {
        assert_eq!(heard, printed);
    }
    assert_eq!(heard.len(), printed.len());
    assert!(listen.said().iter().any(|line| line.starts_with("heard ")), "a summary: {:?}", listen.said());
}

#[test]
fn it_overwrites_only_a_regular_file_of_that_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    std::fs::write(path("precious"), "precious").unwrap();
    std::os::unix::fs::symlink(path("precious"), path("link")).unwrap();
    std::os::unix::fs::symlink(path("nowhere"), path("dangling")).unwrap();
    std::fs::hard_link(path("precious"), path("hard")).unwrap();
    assert!(Command::new("mkfifo").arg(path("fifo")).status().unwrap().success());
    let port = program::free_port();
    for (name, why) in [
        ("link", "symbolic link"),
        ("dangling", "symbolic link"),
        ("hard", "hard links"),
        ("fifo", "a pipe, a device"),
        ("/dev/null", "a pipe, a device"),
    ] {
        let mut command = program::command(env!("CARGO_BIN_EXE_ftrace-live"), folder.path());
        // If it is not refused, the test ends nevertheless.
        command.args(["listen", &format!("127.0.0.1:{port}"), "--write", name]);
        let mut listen = Program::start(command);
        listen.wait_for(why);
        assert!(listen.said().iter().all(|line| !line.starts_with("listening")), "{name}: {:?}", listen.said());
    }
    assert_eq!(std::fs::read_to_string(path("precious")).unwrap(), "precious");
    assert!(!path("nowhere").exists());
    std::fs::write(path("heard.txt"), "of yesterday").unwrap();
    // An existing file is kept until the port is ours.
    let taken = UdpSocket::bind("127.0.0.1:0").unwrap();
    let at = taken.local_addr().unwrap().to_string();
    let mut second = Command::new(env!("CARGO_BIN_EXE_ftrace-live"));
    let refused = second.args(["listen", &at, "--write"]).arg(path("heard.txt")).output().unwrap();
    assert!(!refused.status.success());
    assert_eq!(std::fs::read_to_string(path("heard.txt")).unwrap(), "of yesterday");
    let mut listen = listen(port, &["--write", "heard.txt", "--count", "1"], folder.path());
    send(port, &[PING]);
    listen.wait_for("heard 1 message");
    assert!(std::fs::read_to_string(path("heard.txt")).unwrap().ends_with(" /ping ,i 7\n"));
}

#[test]
fn malformed_packets_are_counted_and_later_ones_are_received() {
    let folder = tempfile::tempdir().unwrap();
    let port = program::free_port();
    let mut listen = listen(port, &["--count", "2"], folder.path());
    send(port, &[b"", b"\0", b"GET / HTTP/1.1", b"/x\0\0,?\0\0", &[b'['; 4000], b"#bundle\0", PING, PING]);
    listen.wait_for("heard 2 messages from 1 addresses in 8 datagrams");
    let said = listen.said().join("\n");
    assert_eq!(said.matches("- /ping ,i 7").count(), 2, "{said}");
    for nonsense in
        ["1 × empty packet", "3 × neither a message nor a bundle", "1 × malformed message", "1 × bundle cut short"]
    {
        assert!(said.contains(&format!("not understood: {nonsense}")), "{nonsense} in\n{said}");
    }
}

#[test]
fn messages_of_other_programs_are_printed_as_far_as_possible() {
    let folder = tempfile::tempdir().unwrap();
    let port = program::free_port();
    let mut listen = listen(port, &["--count", "4"], folder.path());
    let latin_1 = b"/cue\0\0\0\0,sSi\0\0\0\0caf\xe9\0\0\0\0f\xfcr\0\0\0\0\x05";
    // As sclang sends it with sendMsg(\foo, 7).
    let bare = b"foo\0,i\0\0\0\0\0\x07";
    let open = b"/open\0\0\0,[ii\0\0\0\0\0\0\0\x01\0\0\0\x02";
    send(port, &[latin_1, open, b"/short\0\0,ii\0\0\0\0\x03\0\0", bare, b"GET / HTTP/1.1\r\n\r\n", PING, PING, PING]);
    listen.wait_for("heard 4 messages from 2 addresses in 8 datagrams");
    let said = listen.said();
    for line in [
        r#"- /cue ,sSi "caf\xe9" "f\xfcr" 5"#,
        "- /open ,[ii [1 2] <byte 9: an unclosed array>",
        "- /short ,ii 3 <byte 16: a truncated argument 'i'>",
        "- foo ,i 7 <byte 0: an address without its />",
        "not understood: 1 × neither a message nor a bundle (at byte 0 of datagram 5)",
        "not understood: 3 × malformed message (the first at byte 9 of datagram 2: an unclosed array)",
    ] {
        assert!(said.iter().any(|said| said == line), "{line} in\n{}", said.join("\n"));
    }
}

#[test]
fn ctrl_c_ends_it_with_a_summary_and_success() {
    let folder = tempfile::tempdir().unwrap();
    let port = program::free_port();
    let mut listen = listen(port, &[], folder.path());
    send(port, &[PING]);
    listen.wait_for("- /ping ,i 7");
    assert_eq!(listen.end(libc::SIGINT), Some(0));
    listen.wait_for("heard 1 messages from 1 addresses in 1 datagrams");
}

#[test]
fn rates_are_a_table_of_addresses() {
    let folder = tempfile::tempdir().unwrap();
    let port = program::free_port();
    let mut listen = listen(port, &["--rates"], folder.path());
    send(port, &[PING, PING, PING]);
    listen.wait_for("  /ping");
    let row = listen.said().iter().find(|line| line.ends_with("  /ping")).unwrap().clone();
    assert_eq!(row.split_whitespace().nth(1), Some("3"), "messages so far: {row}");
}

#[test]
fn a_taken_port_is_refused_with_the_remedy() {
    let taken = UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let mut listen = Command::new(env!("CARGO_BIN_EXE_ftrace-live"));
    let output = listen.args(["listen", &format!("127.0.0.1:{port}")]).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success());
    assert!(
        said.contains(&format!("another program already listens on 127.0.0.1:{port}: give another port")),
        "{said}"
    );
}
