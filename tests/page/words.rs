//! The kernel's own text with each message.

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use rosc::{OscMessage, OscPacket, OscType, decoder};
use tungstenite::Message;

use crate::common::kernel_text::body;
use crate::common::program::{PATIENCE, Program};
use crate::server;

#[test]
fn each_message_is_followed_by_the_kernels_text() {
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/x86_64-6.18/irq-exceptions");
    let mut command = Command::new(env!("CARGO_BIN_EXE_ftrace-live"));
    command.arg("replay").arg(&fixture).args(["--page", "127.0.0.1:0", "--max-rate", "0"]);
    let mut program = Program::start(command);
    let url = program.wait_for("http://127.0.0.1:");
    let mut socket = server::open(&url[url.find("http://").unwrap()..]);

    let mut messages = vec![];
    let count = |messages: &[OscMessage]| messages.iter().filter(|message| is_event(message)).count();
    let trace = std::fs::read_to_string(fixture.join("trace")).unwrap();
    let mut texts =
        std::str::from_utf8(body(trace.as_bytes())).unwrap().lines().map(|line| line.split_once(": ").unwrap().1);
    let lines = texts.clone().count();
    let end = Instant::now() + PATIENCE;
    while count(&messages) < lines || messages.last().is_none_or(|last| last.addr != "/ftrace/text") {
        assert!(Instant::now() < end, "{} of {lines}; {:?}", count(&messages), messages.last());
        let Message::Binary(bytes) = socket.read().unwrap() else { continue };
        take(decoder::decode_udp(&bytes).unwrap().1, &mut messages);
    }
    messages.retain(|message| is_event(message) || message.addr == "/ftrace/text");
    for (k, two) in messages.chunks(2).enumerate() {
        let [event, text] = two else { panic!("{two:?}") };
        assert_eq!(event.args[0], text.args[0], "the time, {k}");
        let OscType::String(said) = &text.args[1] else { panic!("{text:?}") };
        assert_eq!(Some(without_place(said)), texts.next().map(without_place), "{k}");
    }
    assert_eq!(texts.next(), None);
}

/// A text without the place in the kernel's code, for which the capture has no names.
fn without_place(text: &str) -> String {
    text.split(' ').filter(|word| !word.starts_with("ip=")).collect::<Vec<_>>().join(" ")
}

fn is_event(message: &OscMessage) -> bool {
    message.addr.split('/').count() == 4
}

fn take(packet: OscPacket, messages: &mut Vec<OscMessage>) {
    match packet {
        OscPacket::Message(message) => messages.push(message),
        OscPacket::Bundle(bundle) => bundle.content.into_iter().for_each(|packet| take(packet, messages)),
    }
}
