//! Events as text, in the format of the original `ftrace-live`: `/start_transmission` once, then `/ftrace ,dsii` for
//! each event, one message a datagram.

use rosc::{OscMessage, OscPacket, encoder};

use super::osc_string::{self, padded};
use super::transport::{SendCounts, Transport};

/// The most datagrams kept to be sent together.
const BATCH: usize = 32;
/// The longest UDP payload over IPv4.
const LONGEST: usize = super::datagram::MAX_MTU;

/// The text stream and its receivers.
#[derive(Debug)]
pub struct TextStream {
    /// `/ftrace` and its type tags, as OSC strings.
    prefix: Vec<u8>,
    transports: Vec<Transport>,
    datagrams: Vec<Vec<u8>>,
    filled: usize,
    too_long: u64,
}

impl TextStream {
    /// A stream to `transports`, of messages to the address `address` (`/ftrace`).
    pub fn new(address: &str, transports: Vec<Transport>) -> TextStream {
        let mut prefix = Vec::new();
        osc_string::push(&mut prefix, address);
        osc_string::push(&mut prefix, ",dsii");
        TextStream { prefix, transports, datagrams: vec![Vec::new(); BATCH], filled: 0, too_long: 0 }
    }

    /// Announces the start of the stream.
    pub fn start(&mut self) {
        let start = OscMessage { addr: "/start_transmission".to_owned(), args: vec![] };
        if let Ok(bytes) = encoder::encode(&OscPacket::Message(start)) {
            self.next().extend_from_slice(&bytes);
            self.flush();
        }
    }

    fn next(&mut self) -> &mut Vec<u8> {
        if self.filled == BATCH {
            self.flush();
        }
        let datagram = &mut self.datagrams[self.filled];
        self.filled += 1;
        datagram.clear();
        datagram
    }

    /// Sends one event: microseconds since the first one, its text, pid and CPU.
    pub fn event(&mut self, micros: f64, event: &[u8], pid: i32, cpu: u32) {
        let event = crate::decode::until_nul(event);
        if self.prefix.len() + 8 + padded(event.len()) + 8 > LONGEST {
            self.too_long += 1;
            return;
        }
        let prefix = std::mem::take(&mut self.prefix);
        let datagram = self.next();
        datagram.extend_from_slice(&prefix);
        datagram.extend_from_slice(&micros.to_be_bytes());
        let start = datagram.len();
        let Ok(()) = osc_string::repair(event, LONGEST, |piece| {
            datagram.extend_from_slice(piece);
            Ok::<(), std::convert::Infallible>(())
        });
        let end = start + padded(datagram.len() - start);
        datagram.resize(end, 0);
        datagram.extend_from_slice(&pid.to_be_bytes());
        datagram.extend_from_slice(&cpu.to_be_bytes());
        self.prefix = prefix;
    }

    /// Sends what is queued.
    pub fn flush(&mut self) {
        let filled = std::mem::take(&mut self.filled);
        for transport in &mut self.transports {
            transport.send(self.datagrams[..filled].iter().map(|datagram| (datagram.as_slice(), 1)));
        }
    }

    /// The counts of everything sent, over all receivers.
    pub fn counts(&self) -> SendCounts {
        self.transports.iter().fold(SendCounts::default(), |sum, transport| sum + transport.counts())
    }

    /// Texts that were too long for a datagram.
    pub fn too_long(&self) -> u64 {
        self.too_long
    }

    /// Its receivers.
    pub fn transports(&self) -> &[Transport] {
        &self.transports
    }

    pub(crate) fn transports_mut(&mut self) -> &mut [Transport] {
        &mut self.transports
    }
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;

    use rosc::{OscType, decoder};

    use super::*;

    #[test]
    fn messages_equal_those_of_the_original_ftrace_live() {
        let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
        let transport = Transport::connect(receiver.local_addr().unwrap(), 0).unwrap();
        let mut stream = TextStream::new("/ftrace", vec![transport]);
        stream.start();
        stream.event(1234.5, b"sched_waking: comm=a pid=7\xff", 77, 1);
        stream.flush();
        let heard = || {
            let mut bytes = [0; 256];
            let len = receiver.recv(&mut bytes).unwrap();
            match decoder::decode_udp(&bytes[..len]).unwrap().1 {
                OscPacket::Message(message) => message,
                OscPacket::Bundle(_) => panic!("a bundle"),
            }
        };
        assert_eq!(heard(), OscMessage { addr: "/start_transmission".into(), args: vec![] });
        let text = OscType::String("sched_waking: comm=a pid=7?".into());
        let args = vec![OscType::Double(1234.5), text, OscType::Int(77), OscType::Int(1)];
        assert_eq!(heard(), OscMessage { addr: "/ftrace".into(), args });
    }
}
