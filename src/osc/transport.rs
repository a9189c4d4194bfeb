//! Sends datagrams to a receiver, over UDP or as WebSocket frames.
//!
//! Sending never waits for a receiver: the socket is non-blocking, and datagrams that it does not accept are counted
//! and dropped. For any other way of sending, take the datagrams of a [`Packer`](super::datagram::Packer) as bytes.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::ops::Add;

use rosc::OscMessage;
use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use super::frames::Frames;
use super::many::{self, BATCH};
use super::schema::Schema;

/// The counts of what was sent to one receiver.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SendCounts {
    /// Messages passed to the network.
    pub sent: u64,
    /// Datagrams passed to the network.
    pub datagrams: u64,
    /// Messages that could not be sent.
    pub unsent: u64,
    /// How often the receiver's machine answered that nobody listens on the port.
    pub refused: u64,
}

impl Add for SendCounts {
    type Output = SendCounts;

    fn add(self, other: SendCounts) -> SendCounts {
        SendCounts {
            sent: self.sent + other.sent,
            datagrams: self.datagrams + other.datagrams,
            unsent: self.unsent + other.unsent,
            refused: self.refused + other.refused,
        }
    }
}

/// The connection to one receiver, or to all clients of a page's server.
#[derive(Debug)]
pub struct Transport {
    way: Way,
    counts: SendCounts,
    /// The counts at the last call of `refused_since`.
    asked: SendCounts,
    last_error: Option<io::ErrorKind>,
    /// Whether datagrams may go in [runs](many).
    runs: bool,
}

#[derive(Debug)]
enum Way {
    /// A socket connected to the target.
    Udp(UdpSocket, SocketAddr),
    /// The clients connected by WebSocket.
    Frames(Frames),
}

/// Send buffer requested for the socket, bytes: a burst of datagrams to a slow link waits there.
const SEND_BUFFER: usize = 1 << 20;

impl Transport {
    /// Opens a socket to `target`, from `source_port` (0: any). Broadcast addresses are allowed.
    pub fn connect(target: SocketAddr, source_port: u16) -> io::Result<Transport> {
        let socket = Socket::new(Domain::for_address(target), Type::DGRAM, Some(Protocol::UDP))?;
        socket.set_broadcast(true)?;
        // A smaller buffer than requested is acceptable.
        let _ = socket.set_send_buffer_size(SEND_BUFFER);
        if source_port != 0 {
            socket.set_reuse_address(true)?;
        }
        let any: SocketAddr = match target {
            SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, source_port).into(),
            SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, source_port).into(),
        };
        socket.bind(&SockAddr::from(any))?;
        socket.connect(&SockAddr::from(target))?;
        socket.set_nonblocking(true)?;
        Ok(Transport::by(Way::Udp(socket.into(), target)))
    }

    /// Sends to the clients connected by WebSocket.
    pub fn frames(frames: Frames) -> Transport {
        Transport::by(Way::Frames(frames))
    }

    fn by(way: Way) -> Transport {
        Transport { way, counts: SendCounts::default(), asked: SendCounts::default(), last_error: None, runs: true }
    }

    /// The receiver, if it is a single address.
    pub fn target(&self) -> Option<SocketAddr> {
        match &self.way {
            Way::Udp(_, target) => Some(*target),
            Way::Frames(_) => None,
        }
    }

    /// Whether there may be a receiver: false for a page's server without clients.
    pub fn is_received(&self) -> bool {
        match &self.way {
            Way::Udp(..) => true,
            Way::Frames(frames) => frames.connected() > 0,
        }
    }

    /// Stores the start of the stream for clients that connect later, if supported.
    pub fn started(&self, prefix: &str, start: &OscMessage) {
        if let Way::Frames(frames) = &self.way {
            frames.started(prefix, start.clone());
        }
    }

    /// Stores the signature of an address for clients that connect later, if supported.
    pub fn add(&self, schema: &Schema) {
        if let Way::Frames(frames) = &self.way {
            frames.add(schema);
        }
    }

    /// The counts of everything sent so far.
    pub fn counts(&self) -> SendCounts {
        self.counts
    }

    /// Whether the receiver's machine answered, since the last call, that nobody listens; `None` if nothing was sent
    /// since, or there are no such answers.
    pub fn refused_since(&mut self) -> Option<bool> {
        let Way::Udp(socket, _) = &self.way else { return None };
        // A refusal is reported by the next send, or by SO_ERROR.
        let waiting =
            socket.take_error().ok().flatten().is_some_and(|error| error.kind() == io::ErrorKind::ConnectionRefused);
        self.counts.refused += u64::from(waiting);
        let asked = std::mem::replace(&mut self.asked, self.counts);
        let sent = self.counts.datagrams > asked.datagrams;
        (sent || self.counts.refused > asked.refused).then_some(self.counts.refused > asked.refused)
    }

    /// Why the last unsent datagram was not sent.
    pub fn last_error(&self) -> Option<io::ErrorKind> {
        self.last_error
    }

    /// Sends datagrams, each given with its number of messages.
    pub fn send<'d>(&mut self, datagrams: impl Iterator<Item = (&'d [u8], u64)>) {
        let Transport { way, counts, last_error, runs, .. } = self;
        let socket = match way {
            Way::Udp(socket, _) => socket,
            Way::Frames(frames) => {
                return frames.send(datagrams, |messages, taken| {
                    counts.datagrams += u64::from(taken);
                    *if taken { &mut counts.sent } else { &mut counts.unsent } += messages;
                });
            }
        };
        let mut sending = Sending { socket, counts, last_error, runs };
        let (mut batch, mut messages, mut len) = ([&[][..]; BATCH], [0; BATCH], 0);
        for (datagram, count) in datagrams {
            (batch[len], messages[len]) = (datagram, count);
            len += 1;
            if len == BATCH {
                sending.send_batch(&batch, &messages);
                len = 0;
            }
        }
        sending.send_batch(&batch[..len], &messages[..len]);
    }
}

/// Datagrams being sent through a socket.
struct Sending<'t> {
    socket: &'t UdpSocket,
    counts: &'t mut SendCounts,
    last_error: &'t mut Option<io::ErrorKind>,
    runs: &'t mut bool,
}

impl Sending<'_> {
    fn send_batch(&mut self, mut batch: &[&[u8]], mut messages: &[u64]) {
        // A refusal belongs to an earlier datagram and is reported once; the current datagram gets a try of its own.
        let mut tries = 0;
        while let Some((first, _)) = batch.split_first() {
            let result = match batch {
                [_] => self.socket.send(first).map(|_| 1),
                _ => many::send(self.socket, batch, *self.runs),
            };
            let taken = match result {
                Ok(n) => {
                    tries = 0;
                    self.counts.datagrams += n as u64;
                    self.counts.sent += messages[..n].iter().sum::<u64>();
                    n
                }
                Err(error) if batch.len() > 1 && *self.runs && many::takes_no_runs(&error) => {
                    *self.runs = false;
                    continue;
                }
                Err(error) => {
                    let refused = error.kind() == io::ErrorKind::ConnectionRefused;
                    self.counts.refused += u64::from(refused);
                    tries += 1;
                    if (refused || error.kind() == io::ErrorKind::Interrupted) && tries < 3 {
                        continue;
                    }
                    tries = 0;
                    *self.last_error = Some(error.kind());
                    self.counts.unsent += messages[0];
                    1
                }
            };
            (batch, messages) = (&batch[taken..], &messages[taken..]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn datagrams_arrive_whole_and_in_order() {
        let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
        let mut transport = Transport::connect(receiver.local_addr().unwrap(), 0).unwrap();
        let datagrams: Vec<Vec<u8>> = (0..70).map(|n| vec![n; 4 * n as usize + 4]).collect();
        transport.send(datagrams.iter().map(|d| (d.as_slice(), 2)));
        for want in &datagrams {
            let mut got = [0; 512];
            let len = receiver.recv(&mut got).unwrap();
            assert_eq!(&got[..len], want);
        }
        assert_eq!(transport.counts(), SendCounts { sent: 140, datagrams: 70, unsent: 0, refused: 0 });
    }

    #[test]
    fn nobody_listening_is_counted_and_a_receiver_that_comes_back_is_used_again() {
        let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = receiver.local_addr().unwrap();
        drop(receiver);
        let mut transport = Transport::connect(address, 0).unwrap();
        assert_eq!(transport.refused_since(), None);
        transport.send([(&b"/x\0\0,\0\0\0"[..], 1)].into_iter());
        // Without another send: the answer has already arrived.
        assert_eq!(transport.refused_since(), Some(true));
        for _ in 0..10 {
            transport.send([(&b"/x\0\0,\0\0\0"[..], 1)].into_iter());
        }
        assert!(transport.counts().refused >= 5, "{:?}", transport.counts());
        let receiver = UdpSocket::bind(address).unwrap();
        transport.send([(&b"/y\0\0,\0\0\0"[..], 1)].into_iter());
        let mut got = [0; 16];
        assert_eq!(receiver.recv(&mut got).unwrap(), 8);
        assert_eq!(&got[..2], b"/y");
        assert_eq!(transport.refused_since(), Some(true));
        transport.send([(&b"/y\0\0,\0\0\0"[..], 1)].into_iter());
        assert_eq!(transport.refused_since(), Some(false));
        assert_eq!(transport.refused_since(), None);
    }
}
