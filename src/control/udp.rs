//! Control by UDP and by a page's clients, at one desk. They are heard by the loop that is controlled, so that what is answered
//! has been done.
//!
//! Each message is answered to its sender, below the stream's prefix: `/control/ok ,s` or `/control/error ,ss`. A sender
//! that asks for it is told the state, for as long as its lease goes.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::time::{Duration, Instant};

use super::desk::{Desk, EventsNow, Settings};
use super::switches::Switches;
use super::{Caller, Clients, Command, Refused, State};
use crate::follow;

/// How often it is looked who says something; a replay may look around far more often.
const LOOK: Duration = Duration::from_millis(1);
/// Datagrams taken before the stream goes on, and packets of clients.
const DATAGRAMS: usize = 64;

/// See the [module](self).
#[derive(Debug)]
pub struct Control {
    ways: Ways,
    desk: Desk,
    looked: Option<Instant>,
    /// There may be more than was taken.
    more: bool,
    buffer: Vec<u8>,
}

/// How those who say something are reached.
#[derive(Debug)]
struct Ways {
    socket: Option<UdpSocket>,
    clients: Option<Box<dyn Clients>>,
}

impl Ways {
    fn send(&mut self, to: Caller, message: &[u8]) {
        match to {
            // Nobody may be there to take it.
            Caller::Udp(address) => self.socket.iter().for_each(|socket| drop(socket.send_to(message, address))),
            Caller::Client(client) => self.clients.iter_mut().for_each(|clients| clients.answer(client, message)),
        }
    }
}

impl Control {
    /// What is to be done with a stream of these events, said by nobody yet.
    pub fn new(prefix: &str, switches: Switches, settings: Settings) -> Control {
        let desk = Desk::new(prefix, switches, settings);
        let ways = Ways { socket: None, clients: None };
        Control { ways, desk, looked: None, more: false, buffer: vec![0; 1 << 16] }
    }

    /// Listens at `address` by UDP, too.
    ///
    /// # Errors
    /// If the address cannot be listened on.
    pub fn listen(&mut self, address: SocketAddr) -> io::Result<()> {
        let socket = UdpSocket::bind(address)?;
        socket.set_nonblocking(true)?;
        self.ways.socket = Some(socket);
        Ok(())
    }

    /// Hears a server's clients, too.
    pub fn hear(&mut self, clients: Box<dyn Clients>) {
        self.ways.clients = Some(clients);
    }

    /// Events come and go: `events` says which there are by now.
    pub fn look_at(&mut self, events: EventsNow) {
        self.desk.look_at(events);
    }

    /// Where it listens by UDP, if it does.
    pub fn address(&self) -> Option<SocketAddr> {
        self.ways.socket.as_ref()?.local_addr().ok()
    }

    /// The UDP socket, if there is one: something to be read is something to be [looked](Control::look) at.
    pub fn socket(&self) -> Option<RawFd> {
        self.ways.socket.as_ref().map(AsRawFd::as_raw_fd)
    }

    /// `wake` is called when a client has said something.
    pub fn wake_by(&mut self, wake: Box<dyn Fn() + Send + Sync>) {
        if let Some(clients) = &mut self.ways.clients {
            clients.wake_by(wake);
        }
    }

    /// When it is to be looked who says something, or the state told, though nobody says anything.
    pub fn due(&self) -> Option<Instant> {
        if self.more { self.looked } else { self.desk.due() }
    }

    /// Looks who says something, whenever that was done last.
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
            // An error is that of an answer that nobody took, or there is nothing.
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

    /// What is to be done next, if there is something; what became of it is to be [answered](Control::answer).
    pub fn command(&mut self) -> Option<Command> {
        let waiting = self.desk.command();
        if waiting.is_some() || self.looked.is_some_and(|looked| looked.elapsed() < LOOK) {
            return waiting;
        }
        self.look();
        self.desk.command()
    }

    /// What became of the last command.
    pub fn answer(&mut self, done: Result<(), Refused>) {
        for (to, answer) in self.desk.answer(done) {
            self.ways.send(to, &answer);
        }
    }

    /// Tells how the stream stands, if that is news or a second old.
    pub fn tell(&mut self, state: &State) {
        if let Some((message, listeners)) = self.desk.state(state, Instant::now()) {
            for listener in listeners {
                self.ways.send(listener, &message);
            }
        }
    }
}
