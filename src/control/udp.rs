//! Commands by UDP and from a page's clients. They are received by the loop that they control, so that they have been
//! carried out when they are answered.
//!
//! Each message is answered to its sender, below the stream's prefix: `/control/ok ,s` or `/control/error ,ss`. A
//! sender that subscribes receives the state until its lease expires.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::time::{Duration, Instant};

use super::desk::{Desk, EventsNow, Settings};
use super::switches::Switches;
use super::{Caller, Clients, Command, Refused, State};
use crate::follow;

/// How often messages are received; a replay may call much more often.
const LOOK: Duration = Duration::from_millis(1);
/// How many datagrams and packets of clients are handled before the stream continues.
const DATAGRAMS: usize = 64;

/// See the [module](self).
#[derive(Debug)]
pub struct Control {
    ways: Ways,
    desk: Desk,
    looked: Option<Instant>,
    /// There may be more to receive.
    more: bool,
    buffer: Vec<u8>,
}

/// The channels to the senders.
#[derive(Debug)]
struct Ways {
    socket: Option<UdpSocket>,
    clients: Option<Box<dyn Clients>>,
}

impl Ways {
    fn send(&mut self, to: Caller, message: &[u8]) {
        match to {
            // There may be nobody to receive it.
            Caller::Udp(address) => self.socket.iter().for_each(|socket| drop(socket.send_to(message, address))),
            Caller::Client(client) => self.clients.iter_mut().for_each(|clients| clients.answer(client, message)),
        }
    }
}

impl Control {
    /// Control for a stream with these events, without any source of commands yet.
    pub fn new(prefix: &str, switches: Switches, settings: Settings) -> Control {
        let desk = Desk::new(prefix, switches, settings);
        let ways = Ways { socket: None, clients: None };
        Control { ways, desk, looked: None, more: false, buffer: vec![0; 1 << 16] }
    }

    /// Also listens at `address` by UDP.
    ///
    /// # Errors
    /// If the address cannot be listened on.
    pub fn listen(&mut self, address: SocketAddr) -> io::Result<()> {
        let socket = UdpSocket::bind(address)?;
        socket.set_nonblocking(true)?;
        self.ways.socket = Some(socket);
        Ok(())
    }

    /// Also handles commands of a server's clients.
    pub fn hear(&mut self, clients: Box<dyn Clients>) {
        self.ways.clients = Some(clients);
    }

    /// Sets the function that returns the available events, which may change.
    pub fn look_at(&mut self, events: EventsNow) {
        self.desk.look_at(events);
    }

    /// Its UDP address, if it listens.
    pub fn address(&self) -> Option<SocketAddr> {
        self.ways.socket.as_ref()?.local_addr().ok()
    }

    /// The UDP socket, if there is one: when it is readable, call [`look`](Control::look).
    pub fn socket(&self) -> Option<RawFd> {
        self.ways.socket.as_ref().map(AsRawFd::as_raw_fd)
    }

    /// Sets a function that is called when a client has sent something.
    pub fn wake_by(&mut self, wake: Box<dyn Fn() + Send + Sync>) {
        if let Some(clients) = &mut self.ways.clients {
            clients.wake_by(wake);
        }
    }

    /// When to receive messages or send the state without an event on the socket.
    pub fn due(&self) -> Option<Instant> {
        if self.more { self.looked } else { self.desk.due() }
    }

    /// Receives messages now.
    pub fn look(&mut self) {
        let now = Instant::now();
        self.looked = Some(now);
        let datagrams = self.look_at_socket(now);
        let packets = self.look_at_clients(now);
        self.more = datagrams || packets;
    }

    /// Returns whether there may be more.
    fn look_at_socket(&mut self, now: Instant) -> bool {
        for _ in 0..DATAGRAMS {
            let Some(socket) = &self.ways.socket else { return false };
            // An error is that of an answer that nobody received, or there is nothing to receive.
            let (len, from) = match socket.recv_from(&mut self.buffer) {
                Ok(received) => received,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return false,
                Err(_) => continue,
            };
            if let Some(answer) = follow::answer(socket.as_fd(), &self.buffer[..len]) {
                let _ = socket.send_to(&answer, from);
                continue;
            }
            for answer in self.desk.datagram(&self.buffer[..len], from, now) {
                let _ = socket.send_to(&answer, from);
            }
        }
        true
    }

    fn look_at_clients(&mut self, now: Instant) -> bool {
        for _ in 0..DATAGRAMS {
            let Some((client, packet)) = self.ways.clients.as_mut().and_then(|clients| clients.take()) else {
                return false;
            };
            for answer in self.desk.datagram(&packet, Caller::Client(client), now) {
                self.ways.send(Caller::Client(client), &answer);
            }
        }
        true
    }

    /// The next command to carry out, if there is one; its result must be passed to [`answer`](Control::answer).
    pub fn command(&mut self) -> Option<Command> {
        let waiting = self.desk.command();
        if waiting.is_some() || self.looked.is_some_and(|looked| looked.elapsed() < LOOK) {
            return waiting;
        }
        self.look();
        self.desk.command()
    }

    /// Handles the result of the last command.
    pub fn answer(&mut self, done: Result<(), Refused>) {
        for (to, answer) in self.desk.answer(done) {
            self.ways.send(to, &answer);
        }
    }

    /// Sends the state of the stream, if it changed or a second has passed.
    pub fn tell(&mut self, state: &State) {
        if let Some((message, listeners)) = self.desk.state(state, Instant::now()) {
            for listener in listeners {
                self.ways.send(listener, &message);
            }
        }
    }
}
