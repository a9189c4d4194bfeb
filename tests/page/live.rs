//! `sudo ftrace-live --page`: the running kernel, served without root's rights, to a client that reads and to one
//! that does not.

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use rosc::{OscPacket, decoder};
use tungstenite::Message;

use crate::common::live::tracefs;
use crate::common::program::{PATIENCE, Program};
use crate::devtools::Browser;
use crate::server;

fn start(arguments: &[&str]) -> (Program, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ftrace-live"));
    command.args(["--page", "127.0.0.1:0"]).args(arguments);
    let mut program = Program::start(command);
    let line = program.wait_for("http://127.0.0.1:");
    (program, line[line.find("http://").unwrap()..].to_owned())
}

fn addresses(packet: &OscPacket, each: &mut dyn FnMut(&str)) {
    match packet {
        OscPacket::Message(message) => each(&message.addr),
        OscPacket::Bundle(bundle) => bundle.content.iter().for_each(|packet| addresses(packet, each)),
    }
}

/// The process that listens at this port of 127.0.0.1, by the socket's number.
fn process_at(port: u16) -> Option<u32> {
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let local = format!("0100007F:{port:04X}");
    let number = table.lines().find_map(|line| {
        let words: Vec<_> = line.split_ascii_whitespace().collect();
        // State 0A listens.
        (words.get(1) == Some(&&*local) && words.get(3) == Some(&"0A")).then(|| words[9].to_owned())
    })?;
    let link = format!("socket:[{number}]");
    let processes =
        std::fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let has = |pid: &u32| {
        let open = std::fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
        open.into_iter().any(|fd| std::fs::read_link(fd.path()).is_ok_and(|to| to == Path::new(&link)))
    };
    processes.filter(has).last()
}

#[test]
fn the_running_kernel_is_served_without_root() {
    if tracefs().is_none() {
        return;
    }
    let (mut program, url) = start(&["-e", "sched:sched_switch"]);
    let mut socket = server::open(&url);
    let mut missing = vec![
        "/ftrace/start",
        "/ftrace/schema",
        "/ftrace/sched/sched_switch",
        "/ftrace/text",
        "/ftrace/hit",
        "/ftrace/stat",
    ];
    let end = Instant::now() + PATIENCE;
    while !missing.is_empty() {
        assert!(Instant::now() < end, "{missing:?} did not come");
        let Message::Binary(bytes) = socket.read().unwrap() else { continue };
        addresses(&decoder::decode_udp(&bytes).unwrap().1, &mut |address| missing.retain(|wanted| *wanted != address));
    }
    let port = url.split(':').nth(2).unwrap().split('/').next().unwrap().parse().unwrap();
    let pid = process_at(port).expect("nobody listens there");
    let mut names = vec![];
    for thread in std::fs::read_dir(format!("/proc/{pid}/task")).unwrap() {
        let status = std::fs::read_to_string(thread.unwrap().path().join("status")).unwrap();
        let line = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).unwrap().trim().to_owned();
        assert!(!line("Uid:").split_ascii_whitespace().any(|uid| uid == "0"), "{status}");
        assert_eq!(line("CapEff:"), "0000000000000000", "{status}");
        assert_eq!(line("NoNewPrivs:"), "1", "{status}");
        names.push(line("Name:"));
    }
    assert!(names.iter().any(|name| name == "page"), "{names:?}");
    assert_eq!(program.end(libc::SIGINT), Some(0));
}

#[test]
fn a_page_that_does_not_read_does_not_delay_the_reader() {
    if tracefs().is_none() {
        return;
    }
    let command = ["dd", "if=/dev/zero", "of=/dev/null", "bs=1", "count=300000", "status=none"];
    let (mut program, url) = start(&[&["--max-rate", "0", "-e", "raw_syscalls", "--"], &command[..]].concat());
    let _silent = server::open(&url);
    let summary = program.wait_for("events read");
    // A read and a write for each byte, each with entry and exit.
    let number = |text: &str| text.split_ascii_whitespace().last().unwrap().parse::<u64>().unwrap();
    let part = |what: &str| number(summary.split(what).next().unwrap());
    assert!(part(" events read") + part(" lost by the kernel") >= 1_200_000, "{summary}");
    // More than a ring holds: it was read while it was written.
    assert!(part(" events read") >= 100_000, "{summary}");
    // Sockets and buffers hold a few MB; these are a hundred.
    program.wait_for("datagrams for which a page had no room");
}

#[test]
fn the_page_keeps_drawing_under_a_flood() {
    if tracefs().is_none() {
        return;
    }
    let Some(browser) = Browser::start() else { return };
    let command = ["sh", "-c", "while dd if=/dev/zero of=/dev/null bs=1 count=100000 status=none; do :; done"];
    let (mut program, url) =
        start(&[&["-e", "raw_syscalls", "exceptions", "irq", "sched", "--"], &command[..]].concat());
    let tab = browser.tab(1280, 800);
    tab.open(&url);
    tab.click("#start");
    tab.until("much arrives", "ftraceLive.totals.messages > 4000");
    tab.get("ftraceLive.totals.drawn = ftraceLive.totals.drawing = 0, window.began = performance.now()");
    tab.until("it draws on", "ftraceLive.totals.drawn > 30 && performance.now() > began + 2000");
    tab.until("it is heard", "ftraceLive.sound.level() > 0.001");
    let said = |id: &str| tab.text(&format!("document.getElementById('{id}').textContent"));
    eprintln!(
        "{} events/s, {} thinned, {} lost; {:.2} ms to draw a frame, {:.0} frames/s",
        said("n-read"),
        said("n-thinned"),
        said("n-lost"),
        tab.number("ftraceLive.totals.drawing / ftraceLive.totals.drawn"),
        tab.number("1000 * ftraceLive.totals.drawn / (performance.now() - began)"),
    );
    tab.assert_no_complaint();
    program.end(libc::SIGINT);
}
