//! Targets: several receivers, IPv6, broadcast, nobody; and lines on standard output.

use std::net::UdpSocket;

use crate::live;
use crate::program::run;
use crate::receiver::{Message, Receiver, events};

/// A command with few, predictable events.
const COMMAND: [&str; 8] = ["-e", "sched_process_exec", "sched_process_exit", "--", "sh", "-c", "/bin/true", "x"];

/// Address and the arguments that are the same in each run: without CPU.
fn told(messages: &[Message]) -> Vec<(String, i32, String)> {
    let told = events(messages).into_iter().map(|m| (m.address.clone(), m.int(3), m.text(4).to_owned()));
    told.collect()
}

fn traced(targets: &[&str]) -> (String, String) {
    let live = live().unwrap();
    let mut arguments = vec!["--raw", "--max-rate", "0"];
    for target in targets {
        arguments.extend(["--to", target]);
    }
    arguments.extend(COMMAND);
    let ended = run(&live.tracefs, &arguments);
    assert_eq!(ended.status.code(), Some(0), "{}", ended.said);
    (ended.out, ended.said)
}

#[test]
fn two_receivers_get_the_same() {
    if live().is_none() {
        return;
    }
    let (one, other) = (Receiver::local(), Receiver::local());
    traced(&[&one.target(), &other.target()]);
    let (one, other) = (told(&one.messages()), told(&other.messages()));
    assert_eq!(one, other);
    assert_eq!(one.len(), 4, "{one:?}");
}

#[test]
fn two_receivers_of_different_kinds_get_each_its_own_types() {
    if live().is_none() {
        return;
    }
    let (one, other) = (Receiver::local(), Receiver::local());
    traced(&[&format!("sc@{}", one.target()), &format!("pd@{}", other.target())]);
    let tags = |messages: Vec<Message>| {
        let exec = messages.into_iter().find(|message| message.address == "/ftrace/sched/sched_process_exec");
        exec.unwrap().tags
    };
    assert_eq!(tags(one.messages()), "tfiissii");
    assert_eq!(tags(other.messages()), "iifiissii");
}

#[test]
fn a_receiver_on_ipv6_and_one_that_listens_to_a_broadcast_address_are_reached() {
    if live().is_none() {
        return;
    }
    match Receiver::bind("[::1]:0") {
        Ok(receiver) => {
            traced(&[&receiver.target()]);
            assert_eq!(told(&receiver.messages()).len(), 4);
        }
        Err(error) => crate::common::skipped::say(format_args!("no IPv6 here: {error}")),
    }
    let receiver = Receiver::bind("0.0.0.0:0").unwrap();
    traced(&[&format!("127.255.255.255:{}", receiver.port())]);
    assert_eq!(told(&receiver.messages()).len(), 4);
}

#[test]
fn a_target_without_listener_is_reported_and_the_others_get_everything() {
    if live().is_none() {
        return;
    }
    let closed = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let receiver = Receiver::local();
    let (_, said) = traced(&[&closed, &receiver.target()]);
    assert_eq!(told(&receiver.messages()).len(), 4);
    assert!(said.contains(&format!("nobody listens at {closed}")), "{said}");
}

#[test]
fn with_print_each_message_is_a_line_on_standard_output_and_nothing_else_is() {
    let Some(live) = live() else { return };
    let mut arguments = vec!["--raw", "--print"];
    arguments.extend(COMMAND);
    let ended = run(&live.tracefs, &arguments);
    assert_eq!(ended.status.code(), Some(0), "{}", ended.said);
    let lines: Vec<_> = ended.out.lines().collect();
    assert_eq!(lines.len(), 4, "{}", ended.out);
    for line in &lines {
        let words: Vec<_> = line.split(' ').collect();
        let time = words[0].strip_prefix(|c: char| c.is_ascii_digit()).expect(line);
        assert!(time.contains('.') && words[1].starts_with("/ftrace/sched/sched_process_e"), "{line}");
        assert!(words[2].starts_with(",tfiis") && words[3] == format!("time={}", words[0]), "{line}");
    }
    assert!(lines[0].contains(" comm=\"sh\" filename=\"") && lines[0].contains("/sh\" pid="), "{}", lines[0]);
    assert!(ended.said.contains("sending to standard output"), "{}", ended.said);
}

#[test]
fn with_print_and_a_receiver_both_get_each_message() {
    let Some(live) = live() else { return };
    let receiver = Receiver::local();
    let target = receiver.target();
    let mut arguments = vec!["--raw", "--print", "--max-rate", "0", "--to", &target];
    arguments.extend(COMMAND);
    let ended = run(&live.tracefs, &arguments);
    assert_eq!(ended.status.code(), Some(0), "{}", ended.said);
    let printed: Vec<_> = ended.out.lines().map(|line| line.split(' ').nth(1).unwrap().to_owned()).collect();
    let sent: Vec<_> = told(&receiver.messages()).into_iter().map(|(address, ..)| address).collect();
    assert_eq!(printed, sent);
    assert_eq!(printed.len(), 4);
}
