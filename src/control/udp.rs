//! Control by UDP: a socket that is looked at by the loop it controls, so that what is answered has been done.
//!
//! Each message is answered to its sender, below the stream's prefix: `/control/ok ,s` or `/control/error ,ss`. A sender
//! that asks for it is told the state, for as long as its lease goes.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::time::{Duration, Instant};

use super::desk::{Desk, Settings};
use super::switches::Switches;
use super::{Command, Refused, State};
use crate::follow;

/// How often the socket is looked at; a replay may look around far more often.
const LOOK: Duration = Duration::from_millis(1);
/// Datagrams taken before the stream goes on.
const DATAGRAMS: usize = 64;

/// See the [module](self).
#[derive(Debug)]
pub struct Control {
    socket: UdpSocket,
    desk: Desk,
    looked: Option<Instant>,
    /// There may be more than was taken.
    more: bool,
    buffer: Vec<u8>,
}

impl Control {
    /// Listens at `address` for what is to be done with a stream of these events.
    ///
    /// # Errors
    /// If the address cannot be listened on.
    pub fn open(address: SocketAddr, prefix: &str, switches: Switches, settings: Settings) -> io::Result<Control> {
        let socket = UdpSocket::bind(address)?;
        socket.set_nonblocking(true)?;
        let desk = Desk::new(prefix, switches, settings);
        Ok(Control { socket, desk, looked: None, more: false, buffer: vec![0; 1 << 16] })
    }

    /// Where it listens.
    ///
    /// # Errors
    /// If the system does not say.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// When the socket is to be looked at, or the state told, though nobody says anything.
    pub fn due(&self) -> Option<Instant> {
        if self.more { self.looked } else { self.desk.due() }
    }

    /// Looks at the socket, whenever it was looked at last.
    pub fn look(&mut self) {
        let now = Instant::now();
        self.looked = Some(now);
        self.more = true;
        for _ in 0..DATAGRAMS {
            // An error is that of an answer that nobody took, or there is nothing.
            let (len, from) = match self.socket.recv_from(&mut self.buffer) {
                Ok(received) => received,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.more = false;
                    break;
                }
                Err(_) => continue,
            };
            if let Some(answer) = follow::answer(self.socket.as_fd(), &self.buffer[..len]) {
                let _ = self.socket.send_to(&answer, from);
                continue;
            }
            for answer in self.desk.datagram(&self.buffer[..len], from, now) {
                let _ = self.socket.send_to(&answer, from);
            }
        }
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
            let _ = self.socket.send_to(&answer, to);
        }
    }

    /// Tells how the stream stands, if that is news or a second old.
    pub fn tell(&mut self, state: &State) {
        if let Some((message, listeners)) = self.desk.state(state, Instant::now()) {
            for listener in listeners {
                let _ = self.socket.send_to(&message, listener);
            }
        }
    }
}

impl AsRawFd for Control {
    fn as_raw_fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}
