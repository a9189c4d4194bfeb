//! What a replay at the recorded speed sends to a receiver.

use std::net::UdpSocket;
use std::process::Command;
use std::time::{Duration, Instant};

use rosc::{OscMessage, OscPacket, OscTime, decoder};

/// All messages of `replay` with these arguments until its end, with their bundles' times. At the recorded speed the
/// socket buffers what is not read in time.
pub fn heard(arguments: &[&str]) -> Vec<(OscTime, OscMessage)> {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    let to = socket.local_addr().unwrap().to_string();
    let mut command = Command::new(env!("CARGO_BIN_EXE_ftrace-live"));
    let mut child = command.arg("replay").args(arguments).args(["-q", "--to", &to]).spawn().unwrap();
    let (mut heard, mut bytes) = (vec![], vec![0; 65536]);
    let give_up = Instant::now() + Duration::from_secs(30);
    loop {
        match socket.recv(&mut bytes) {
            Ok(len) => match decoder::decode_udp(&bytes[..len]).unwrap().1 {
                OscPacket::Bundle(bundle) => heard.extend(bundle.content.into_iter().map(|packet| match packet {
                    OscPacket::Message(message) => (bundle.timetag, message),
                    OscPacket::Bundle(_) => panic!("a bundle in a bundle"),
                })),
                OscPacket::Message(message) => panic!("{message:?} stands alone"),
            },
            Err(_) if child.try_wait().unwrap().is_some() => break,
            Err(_) => assert!(Instant::now() < give_up),
        }
    }
    assert!(child.wait().unwrap().success());
    heard
}
