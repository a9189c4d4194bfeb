//! What a receiver got: each driver program sends every message back, or prints it.

use std::{
    net::UdpSocket,
    time::{Duration, Instant},
};

use rosc::{OscMessage, OscPacket, OscType, decoder};

use crate::common::program::PATIENCE;

/// A value as seen by a receiver.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Any number.
    Number(f64),
    /// A string or symbol.
    Text(String),
    /// A blob.
    Bytes(Vec<u8>),
}

/// A message as seen by a receiver.
#[derive(Debug, Clone, PartialEq)]
pub struct Seen {
    /// The address.
    pub address: String,
    /// The values in order.
    pub values: Vec<Value>,
}

/// The address of messages that probe whether a driver listens.
pub const AWAKE: &str = "/awake";

/// Where a driver sends back what it received.
pub struct Echo {
    socket: UdpSocket,
    buffer: Vec<u8>,
}

impl Echo {
    pub fn new() -> Echo {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let _ = socket2::SockRef::from(&socket).set_recv_buffer_size(4 << 20);
        Echo { socket, buffer: vec![0; 65_535] }
    }

    pub fn port(&self) -> u16 {
        self.socket.local_addr().unwrap().port()
    }

    /// Sends the driver at `port` a message until it is returned: then it listens, and nothing will be lost.
    pub fn awaken(&mut self, port: u16) {
        let message = OscPacket::Message(OscMessage { addr: AWAKE.into(), args: vec![OscType::Int(1)] });
        let message = rosc::encoder::encode(&message).unwrap();
        let end = Instant::now() + PATIENCE;
        self.socket.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
        loop {
            assert!(Instant::now() < end, "nothing comes back from the driver");
            self.socket.send_to(&message, ("127.0.0.1", port)).unwrap();
            if self.socket.recv(&mut self.buffer).is_ok() {
                return;
            }
        }
    }

    /// Up to `count` messages; fewer if no more arrive.
    pub fn receive(&mut self, count: usize) -> Vec<OscMessage> {
        let mut messages = Vec::new();
        while messages.len() < count {
            self.socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
            let Ok(length) = self.socket.recv(&mut self.buffer) else { break };
            let (_, packet) = decoder::decode_udp(&self.buffer[..length]).unwrap();
            flatten(packet, &mut messages);
            messages.retain(|m| !is_awake(m));
        }
        messages
    }
}

/// Whether a message is the echo of a probe.
fn is_awake(message: &OscMessage) -> bool {
    let names_it = |a: &OscType| matches!(a, OscType::String(s) if s.trim_start_matches('/') == &AWAKE[1..]);
    message.addr == AWAKE || message.args.first().is_some_and(names_it)
}

fn flatten(packet: OscPacket, out: &mut Vec<OscMessage>) {
    match packet {
        OscPacket::Message(message) => out.push(message),
        OscPacket::Bundle(bundle) => bundle.content.into_iter().for_each(|p| flatten(p, out)),
    }
}

/// A value of an echoed message.
pub fn value(argument: &OscType) -> Value {
    match argument {
        OscType::Int(v) => Value::Number(f64::from(*v)),
        OscType::Float(v) => Value::Number(f64::from(*v)),
        OscType::Double(v) => Value::Number(*v),
        OscType::String(v) => Value::Text(v.clone()),
        OscType::Blob(v) => Value::Bytes(v.clone()),
        other => panic!("no driver sends {other:?}"),
    }
}

/// Fails with the first difference.
pub fn assert_same(seen: &[Seen], sent: &[Seen]) {
    for (k, (seen, sent)) in seen.iter().zip(sent).enumerate() {
        assert_eq!(seen, sent, "message {k} of {} (left: as it arrived, right: as it was sent)", sent.address);
    }
    assert_eq!(seen.len(), sent.len(), "messages that arrived, and messages sent");
}
