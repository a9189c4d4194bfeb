//! One WebSocket: its permission, what it receives, and what it loses.
//!
//! A page shows the token and receives every datagram unchanged. An OSCQuery client subscribes to addresses
//! (`{"COMMAND":"LISTEN","DATA":"/ftrace/irq/softirq_entry"}`) and receives their messages, one a frame.

use std::collections::BTreeSet;
use std::io;
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use rosc::{OscMessage, OscPacket, OscType, encoder};
use serde_json::Value;
use tungstenite::protocol::{Role, WebSocketConfig};
use tungstenite::{Bytes, Error, Message, WebSocket};

use super::calls::Calls;
use crate::osc::frames::{Frames, Known};

/// The longest message accepted from a client, bytes.
const LONGEST: usize = 4 << 10;
/// The most bytes waiting to be written to a client, besides those in its socket.
const PENDING: usize = 256 << 10;
/// Room for data that must not be lost: all addresses of a kernel.
const FIRST: usize = 4 << 20;
/// The most addresses that a client may subscribe to.
const ADDRESSES: usize = 4096;
/// How long a client may take to show its token or to subscribe.
const TO_BEGIN: Duration = Duration::from_secs(5);
/// How often a client is pinged, and how long it may be silent.
const PING: Duration = Duration::from_secs(10);
const SILENT: Duration = Duration::from_secs(30);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// It has not sent anything yet.
    Unknown,
    /// It has shown the token: a page.
    Page,
    /// It subscribes to addresses.
    Listener,
}

/// Why a client is disconnected.
#[derive(Debug)]
pub struct Gone;

/// See the [module](self).
pub struct Client {
    socket: WebSocket<TcpStream>,
    standing: Standing,
    /// Whether it may subscribe without a token.
    ours: bool,
    addresses: BTreeSet<String>,
    began: Instant,
    heard: Instant,
    pinged: Instant,
    sent: u64,
    lost: u64,
    /// The numbers that it was last sent.
    told: (u64, u64),
}

impl Client {
    /// A client after its handshake; `rest` are the bytes received after it. `ours`: it runs as the server's user,
    /// and is not a browser.
    pub fn new(stream: TcpStream, rest: Vec<u8>, ours: bool, now: Instant) -> Client {
        let config = WebSocketConfig::default()
            .read_buffer_size(LONGEST)
            .write_buffer_size(32 << 10)
            .max_write_buffer_size(FIRST)
            .max_message_size(Some(LONGEST))
            .max_frame_size(Some(LONGEST));
        let socket = WebSocket::from_partially_read(stream, rest, Role::Server, Some(config));
        Client {
            socket,
            standing: Standing::Unknown,
            ours,
            addresses: BTreeSet::new(),
            began: now,
            heard: now,
            pinged: now,
            sent: 0,
            lost: 0,
            told: (0, 0),
        }
    }

    /// Whether it receives datagrams.
    pub fn receives(&self) -> bool {
        self.standing != Standing::Unknown
    }

    /// Datagrams for which it had no room.
    pub fn lost(&self) -> u64 {
        self.lost
    }

    /// Reads and handles its messages, and writes what waits.
    pub fn progress(
        &mut self,
        token: &str,
        frames: &Frames,
        (number, calls): (u64, &Calls),
        now: Instant,
    ) -> Result<(), Gone> {
        loop {
            match self.socket.read() {
                Ok(Message::Text(text)) => self.text(&text, token, frames)?,
                Ok(Message::Binary(bytes)) if self.standing == Standing::Page => {
                    // One or several control messages; dropped if too many wait.
                    calls.pass_on(number, &bytes);
                }
                // A client that sends packets first has not shown a token.
                Ok(Message::Binary(_)) if self.standing == Standing::Unknown => return Err(Gone),
                Ok(Message::Close(_)) => {
                    // The next flush answers it.
                    let _ = self.socket.flush();
                    return Err(Gone);
                }
                Ok(_) => {}
                Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(_) => return Err(Gone),
            }
            self.heard = now;
        }
        self.flush()
    }

    /// A text frame: the token, or an OSCQuery command.
    fn text(&mut self, text: &str, token: &str, frames: &Frames) -> Result<(), Gone> {
        if self.standing == Standing::Unknown && same(text.trim().as_bytes(), token.as_bytes()) {
            self.standing = Standing::Page;
            return self.first(&frames.known());
        }
        let command = serde_json::from_str::<Value>(text).ok();
        let word = |name| command.as_ref().and_then(|command| command.get(name)?.as_str());
        if !self.ours && self.standing != Standing::Page {
            return Err(Gone);
        }
        match (word("COMMAND"), word("DATA")) {
            (Some("LISTEN"), Some(address)) if address.len() < 512 && self.addresses.len() < ADDRESSES => {
                self.addresses.insert(address.to_owned());
            }
            (Some("IGNORE"), Some(address)) => drop(self.addresses.remove(address)),
            // Unknown commands are extensions, which the proposal says to ignore.
            (Some(_), _) => {}
            (None, _) => return Err(Gone),
        }
        if self.standing == Standing::Unknown {
            self.standing = Standing::Listener;
        }
        Ok(())
    }

    /// Queues a packet for this client only, for the next [flush](Client::flush).
    pub fn answer(&mut self, packet: &[u8]) -> Result<(), Gone> {
        self.write(Bytes::copy_from_slice(packet))
    }

    /// What a page needs first. It is never dropped, however slow the page is.
    fn first(&mut self, known: &Known) -> Result<(), Gone> {
        for packet in known.packets() {
            self.write(packet.into())?;
        }
        self.socket.set_config(|config| config.max_write_buffer_size = PENDING);
        self.flush()
    }

    /// Queues a datagram, or the messages in it that the client subscribed to, for the next [flush](Client::flush).
    pub fn send(&mut self, datagram: &Bytes) -> Result<(), Gone> {
        match self.standing {
            Standing::Unknown => Ok(()),
            Standing::Page => self.write(datagram.clone()),
            Standing::Listener => {
                for message in messages(datagram) {
                    let address = message.split(|&byte| byte == 0).next().unwrap_or_default();
                    let listens = std::str::from_utf8(address).is_ok_and(|address| self.addresses.contains(address));
                    if listens {
                        self.write(datagram.slice_ref(message))?;
                    }
                }
                Ok(())
            }
        }
    }

    fn write(&mut self, bytes: Bytes) -> Result<(), Gone> {
        match self.socket.write(Message::Binary(bytes)) {
            Ok(()) => self.sent += 1,
            // It is buffered nevertheless.
            Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => self.sent += 1,
            Err(Error::WriteBufferFull(_)) => self.lost += 1,
            Err(_) => return Err(Gone),
        }
        Ok(())
    }

    /// Writes what the socket accepts.
    pub fn flush(&mut self) -> Result<(), Gone> {
        match self.socket.flush() {
            Ok(()) | Err(Error::WriteBufferFull(_)) => Ok(()),
            Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
            Err(_) => Err(Gone),
        }
    }

    /// Timers: once a second it is sent its counts; now and then it is pinged.
    pub fn tick(&mut self, prefix: &str, clients: usize, now: Instant) -> Result<(), Gone> {
        match self.standing {
            Standing::Unknown if now.duration_since(self.began) > TO_BEGIN => return Err(Gone),
            Standing::Page => {
                let (sent, lost) = (self.sent, self.lost);
                let counts = [sent - self.told.0, lost - self.told.1, clients as u64];
                self.told = (sent, lost);
                let args = counts.iter().map(|&count| OscType::Int(i32::try_from(count).unwrap_or(i32::MAX))).collect();
                let message = OscMessage { addr: format!("{prefix}/page"), args };
                if let Ok(packet) = encoder::encode(&OscPacket::Message(message)) {
                    self.write(packet.into())?;
                }
            }
            _ => {}
        }
        if now.duration_since(self.heard) > SILENT {
            return Err(Gone);
        }
        if now.duration_since(self.pinged) > PING {
            self.pinged = now;
            match self.socket.write(Message::Ping(Bytes::new())) {
                Ok(()) | Err(Error::WriteBufferFull(_)) => {}
                Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => return Err(Gone),
            }
        }
        self.flush()
    }

    /// Sends the end of the connection.
    pub fn close(&mut self) {
        let _ = self.socket.close(None);
        let _ = self.socket.flush();
    }
}

/// Compares two texts in constant time.
fn same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |all, (a, b)| all | (a ^ b)) == 0
}

/// The messages in a bundle of ours, which is never nested; or the single message that it is.
fn messages(datagram: &[u8]) -> impl Iterator<Item = &[u8]> {
    let (mut rest, mut alone) = match datagram.strip_prefix(b"#bundle\0") {
        Some(rest) => (rest.get(8..).unwrap_or_default(), None),
        None => (&[][..], Some(datagram)),
    };
    std::iter::from_fn(move || {
        if let Some(message) = alone.take() {
            return Some(message);
        }
        let (size, behind) = rest.split_first_chunk::<4>()?;
        let (message, behind) = behind.split_at_checked(u32::from_be_bytes(*size) as usize)?;
        rest = behind;
        Some(message)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_messages_of_a_bundle_are_found_except_a_truncated_one() {
        let mut bundle = b"#bundle\0\0\0\0\0\0\0\0\x01".to_vec();
        for message in [&b"/a\0\0,\0\0\0"[..], b"/b\0\0,\0\0\0"] {
            bundle.extend_from_slice(&(message.len() as u32).to_be_bytes());
            bundle.extend_from_slice(message);
        }
        assert_eq!(messages(&bundle).collect::<Vec<_>>(), [b"/a\0\0,\0\0\0", b"/b\0\0,\0\0\0"]);
        assert_eq!(messages(&bundle[..bundle.len() - 1]).count(), 1);
        assert_eq!(messages(b"/a\0\0,\0\0\0").collect::<Vec<_>>(), [b"/a\0\0,\0\0\0"]);
        assert_eq!(messages(b"#bundle\0").count(), 0);
    }

    /// A client, and its end of the connection.
    fn connected() -> (Client, WebSocket<std::net::TcpStream>) {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let there = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (here, _) = listener.accept().unwrap();
        here.set_nonblocking(true).unwrap();
        let client = Client::new(TcpStream::from_std(here), Vec::new(), true, Instant::now());
        (client, WebSocket::from_raw_socket(there, Role::Client, None))
    }

    #[test]
    fn a_client_subscribes_to_4096_addresses_of_511_bytes_at_most() {
        let (mut client, _there) = connected();
        let frames = Frames::new(|| {});
        let mut say = |command: &str, address: &str| {
            let text = format!("{{\"COMMAND\":\"{command}\",\"DATA\":\"{address}\"}}");
            client.text(&text, "token", &frames).unwrap();
            client.addresses.len()
        };
        assert_eq!(say("LISTEN", &"/".repeat(512)), 0);
        assert_eq!(say("LISTEN", &"/".repeat(511)), 1);
        for count in 2..=4096 {
            assert_eq!(say("LISTEN", &format!("/{count}")), count);
        }
        assert_eq!(say("LISTEN", "/one/more"), 4096);
        assert_eq!(say("IGNORE", "/7"), 4095);
        assert_eq!(say("LISTEN", "/one/more"), 4096);
        assert!(client.addresses.contains("/one/more") && !client.addresses.contains("/7"));
    }

    #[test]
    fn a_page_is_told_each_second_what_it_was_sent_and_what_was_lost_since() {
        let (mut client, mut there) = connected();
        client.standing = Standing::Page;
        let mut told = |sent, lost, clients| {
            (client.sent, client.lost) = (client.sent + sent, client.lost + lost);
            client.tick("/p", clients, Instant::now()).unwrap();
            let Message::Binary(packet) = there.read().unwrap() else { panic!("no packet") };
            let (_, packet) = rosc::decoder::decode_udp(&packet).unwrap();
            let OscPacket::Message(OscMessage { addr, args }) = packet else { panic!("{packet:?}") };
            assert_eq!(addr, "/p/page");
            args.into_iter().map(|arg| arg.int().unwrap()).collect::<Vec<_>>()
        };
        assert_eq!(told(10, 3, 2), [10, 3, 2]);
        // With this message itself.
        assert_eq!(told(20, 4, 1), [21, 4, 1]);
        assert_eq!(told(0, 0, 1), [1, 0, 1]);
    }

    #[test]
    fn tokens_are_compared() {
        assert!(same(b"0123", b"0123"));
        assert!(!same(b"0123", b"0124") && !same(b"012", b"0123") && !same(b"", b"0"));
    }
}
