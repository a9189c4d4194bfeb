//! A receiver that decodes datagrams with rosc.

use std::net::{SocketAddr, UdpSocket};
use std::thread::JoinHandle;
use std::time::Duration;

use rosc::{OscMessage, OscPacket, OscTime, OscType};

/// A message, with its bundle's time in ns since 1970.
#[derive(Debug, Clone)]
pub struct Message {
    pub bundle_ns: u64,
    pub address: String,
    pub tags: String,
    pub arguments: Vec<OscType>,
}

impl Message {
    /// `,tfiisdd…`: the event's wall-clock time, ns since 1970.
    pub fn time_ns(&self) -> u64 {
        match self.arguments[0] {
            OscType::Time(time) => unix_ns(time),
            ref other => panic!("time is {other:?}"),
        }
    }

    /// The n-th argument, an `i`.
    pub fn int(&self, n: usize) -> i32 {
        self.arguments[n].clone().int().unwrap_or_else(|| panic!("argument {n} of {self:?}"))
    }

    /// The n-th argument, a `d`.
    pub fn double(&self, n: usize) -> f64 {
        self.arguments[n].clone().double().unwrap_or_else(|| panic!("argument {n} of {self:?}"))
    }

    /// The n-th argument, an `s`.
    pub fn text(&self, n: usize) -> &str {
        match &self.arguments[n] {
            OscType::String(text) => text,
            _ => panic!("argument {n} of {self:?}"),
        }
    }

    /// Whether it is an event's message, and not about the stream.
    pub fn is_event(&self) -> bool {
        self.address.matches('/').count() == 3
    }
}

/// NTP's seconds since 1900 and fractions of 2^-32 s.
fn unix_ns(time: OscTime) -> u64 {
    let fraction = (u64::from(time.fractional) * 1_000_000_000 + (1 << 31)) >> 32;
    (u64::from(time.seconds) - 2_208_988_800) * 1_000_000_000 + fraction
}

/// Listens in its own thread until `/ftrace/stop` arrives.
pub struct Receiver {
    address: SocketAddr,
    thread: JoinHandle<Vec<Message>>,
}

impl Receiver {
    /// A receiver on a free port of 127.0.0.1.
    pub fn local() -> Receiver {
        Receiver::bind("127.0.0.1:0").unwrap()
    }

    /// A receiver on that address.
    pub fn bind(address: &str) -> std::io::Result<Receiver> {
        let socket = UdpSocket::bind(address)?;
        let _ = rustix::net::sockopt::set_socket_recv_buffer_size_force(&socket, 8 << 20);
        socket.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        let address = socket.local_addr().unwrap();
        Ok(Receiver { address, thread: std::thread::spawn(move || listen(&socket)) })
    }

    /// For `--to`.
    pub fn target(&self) -> String {
        self.address.to_string()
    }

    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// All messages; `/ftrace/stop` is the last one.
    pub fn messages(self) -> Vec<Message> {
        self.thread.join().unwrap()
    }
}

fn listen(socket: &UdpSocket) -> Vec<Message> {
    let mut messages: Vec<Message> = Vec::new();
    let mut datagram = [0; 65536];
    while messages.last().is_none_or(|last| last.address != "/ftrace/stop") {
        let len = socket.recv(&mut datagram).expect("datagrams until /ftrace/stop");
        let (rest, packet) = rosc::decoder::decode_udp(&datagram[..len]).unwrap();
        assert!(rest.is_empty(), "bytes behind the bundle");
        let OscPacket::Bundle(bundle) = packet else { panic!("no bundle: {packet:?}") };
        let bundle_ns = unix_ns(bundle.timetag);
        messages.extend(bundle.content.into_iter().map(|packet| {
            let OscPacket::Message(OscMessage { addr, args }) = packet else { panic!("a bundle in a bundle") };
            Message { bundle_ns, tags: ftrace_live::osc::print::tags(&args), address: addr, arguments: args }
        }));
    }
    messages
}

/// The events among the messages.
pub fn events(messages: &[Message]) -> Vec<&Message> {
    messages.iter().filter(|message| message.is_event()).collect()
}
