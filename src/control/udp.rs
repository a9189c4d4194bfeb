//! Control by UDP: a socket that is looked at by the loop it controls, so that what is answered has been done.
//!
//! Each message is answered to its sender, below the stream's prefix: `/control/ok ,s` or `/control/error ,ss`. A sender
//! that asks for it is told the state, for as long as its lease goes.

use std::collections::VecDeque;
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rosc::{OscMessage, OscPacket, OscType, encoder};

use super::request::{Request, request};
use super::switches::Switches;
use super::{Command, PREFIX, State};
use crate::osc::packet::take_apart;

/// How often the socket is looked at; a replay may look around far more often.
const LOOK: Duration = Duration::from_millis(1);
/// Datagrams taken, and messages obeyed of each, before the stream goes on.
const DATAGRAMS: usize = 64;
const MESSAGES: usize = 64;
/// For how long a sender is told the state.
const LEASE: Duration = Duration::from_secs(60);
const SECOND: Duration = Duration::from_secs(1);
/// How many senders are told the state.
const LISTENERS: usize = 16;
/// The bytes of names in one answer to a query: a datagram that no network splits.
const NAMES: usize = 1200;

/// Somebody who is told the state.
#[derive(Debug)]
struct Listener {
    address: SocketAddr,
    until: Instant,
}

/// See the [module](self).
#[derive(Debug)]
pub struct Control {
    socket: UdpSocket,
    desk: Desk,
    looked: Option<Instant>,
    told: Option<(Instant, State, usize)>,
    buffer: Vec<u8>,
}

impl Control {
    /// Listens at `address` for what is to be done with a stream of these events.
    ///
    /// # Errors
    /// If the address cannot be listened on.
    pub fn open(address: SocketAddr, prefix: &str, switches: Switches) -> io::Result<Control> {
        let socket = UdpSocket::bind(address)?;
        socket.set_nonblocking(true)?;
        let desk = Desk::new(prefix, switches);
        Ok(Control { socket, desk, looked: None, told: None, buffer: vec![0; 1 << 16] })
    }

    /// Where it listens.
    ///
    /// # Errors
    /// If the system does not say.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// What is to be done next, if there is something. It is taken for done.
    pub fn command(&mut self) -> Option<Command> {
        let now = Instant::now();
        if self.desk.commands.is_empty() && self.looked.is_none_or(|looked| now.duration_since(looked) >= LOOK) {
            self.looked = Some(now);
            for _ in 0..DATAGRAMS {
                // An error is that of an answer that nobody took, or there is nothing.
                let (len, from) = match self.socket.recv_from(&mut self.buffer) {
                    Ok(received) => received,
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                    Err(_) => continue,
                };
                for answer in self.desk.datagram(&self.buffer[..len], from, now) {
                    let _ = self.socket.send_to(&answer, from);
                }
            }
        }
        self.desk.commands.pop_front()
    }

    /// Tells how the stream stands, if that is news or a second old.
    pub fn tell(&mut self, state: &State) {
        self.desk.state = Some(*state);
        if self.desk.listeners.is_empty() {
            self.told = None;
            return;
        }
        let now = Instant::now();
        let silent = self.desk.silent;
        let news = std::mem::take(&mut self.desk.joined)
            || self.told.is_none_or(|(at, told, muted)| {
                now.duration_since(at) >= SECOND
                    || muted != silent
                    || State { at: 0, ..told } != State { at: 0, ..*state }
            });
        if !news {
            return;
        }
        self.told = Some((now, *state, silent));
        self.desk.listeners.retain(|listener| listener.until > now);
        let message = self.desk.message("state", self.desk.state_arguments(state));
        for listener in &self.desk.listeners {
            let _ = self.socket.send_to(&message, listener.address);
        }
    }
}

/// What is decided without a socket.
#[derive(Debug)]
pub struct Desk {
    prefix: String,
    switches: Switches,
    /// How many events are not heard.
    silent: usize,
    state: Option<State>,
    rate: Option<u32>,
    listeners: Vec<Listener>,
    /// Somebody is to be told the state at once.
    joined: bool,
    commands: VecDeque<Command>,
}

impl Desk {
    /// For a stream of these events.
    pub fn new(prefix: &str, switches: Switches) -> Desk {
        Desk {
            prefix: prefix.to_owned(),
            switches,
            silent: 0,
            state: None,
            rate: None,
            listeners: vec![],
            joined: false,
            commands: VecDeque::new(),
        }
    }

    /// Takes a datagram. Returns the answers to its sender.
    pub fn datagram(&mut self, datagram: &[u8], from: SocketAddr, now: Instant) -> Vec<Vec<u8>> {
        let mut messages = Vec::new();
        take_apart(datagram, &mut |part| {
            // What is no OSC is not answered: two programs could go on so for ever.
            if let Ok((message, _)) = part
                && messages.len() < MESSAGES
            {
                messages.push(message);
            }
        });
        let mut answers = Vec::new();
        for message in messages {
            let Some(word) = message.addr.strip_prefix(&self.prefix).filter(|rest| rest.starts_with(PREFIX)) else {
                let why = format!("control messages begin with {}{PREFIX}", self.prefix);
                answers.push(self.error(&message.addr, why));
                continue;
            };
            if matches!(word, "/control/ok" | "/control/error") {
                continue;
            }
            let asked = OscMessage { addr: word.to_owned(), args: message.args };
            // Its sentence begins with the address, here without the prefix.
            let done = request(&asked).map_err(|error| format!("{}{error}", self.prefix));
            let done = done.and_then(|request| self.obey(request, from, now, &mut answers));
            answers.push(match done {
                Ok(()) => self.message("ok", vec![OscType::String(message.addr)]),
                Err(why) => self.error(&message.addr, why),
            });
        }
        answers
    }

    fn obey(
        &mut self,
        request: Request,
        from: SocketAddr,
        now: Instant,
        answers: &mut Vec<Vec<u8>>,
    ) -> Result<(), String> {
        match request {
            Request::Do(Command::Speed(_)) if self.state.is_some_and(|state| state.speed == 0.0) => {
                return Err(
                    "a replay as fast as possible has no pace; start it with another --speed than max".to_owned()
                );
            }
            Request::Do(command) => {
                if let Command::Rate(rate) = &command {
                    self.rate = *rate;
                }
                self.commands.push_back(command);
                return Ok(());
            }
            Request::Notify(on) => return self.notify(on, from, now),
            Request::Query(what) => return self.query(&what, answers),
            Request::Enable(patterns) => self.switches.enable(self.switches.find(&patterns)?),
            Request::Disable(patterns) => self.switches.disable(self.switches.find(&patterns)?),
            Request::Mute(patterns) => self.switches.mute(self.switches.find(&patterns)?),
            Request::Solo(patterns) => self.switches.solo(self.switches.find(&patterns)?),
            Request::Hush => self.switches.hush(),
        }
        let silent = self.switches.silent();
        self.silent = silent.len();
        // Of several that wait, the last holds.
        self.commands.retain(|command| !matches!(command, Command::Silence(_)));
        self.commands.push_back(Command::Silence(Arc::new(silent)));
        Ok(())
    }

    fn notify(&mut self, on: bool, address: SocketAddr, now: Instant) -> Result<(), String> {
        self.listeners.retain(|listener| listener.address != address && listener.until > now);
        if on {
            if self.listeners.len() >= LISTENERS {
                return Err(format!("{LISTENERS} others are told the state already; try again in a minute"));
            }
            self.listeners.push(Listener { address, until: now + LEASE });
            self.joined = true;
        }
        Ok(())
    }

    fn query(&self, what: &str, answers: &mut Vec<Vec<u8>>) -> Result<(), String> {
        let state = self.state.unwrap_or_default();
        let value = match what {
            "at" => Some(OscType::Float((state.at as f64 / 1e9) as f32)),
            "length" => Some(OscType::Float((state.length as f64 / 1e9) as f32)),
            "speed" => Some(OscType::Float(state.speed as f32)),
            "paused" => Some(OscType::Int(i32::from(state.paused))),
            "loop" => Some(OscType::Int(i32::from(state.repeat))),
            "rate" => match self.rate {
                Some(rate) => Some(OscType::Int(i32::try_from(rate).unwrap_or(i32::MAX))),
                None => return Err("no rate has been set by /control/rate: that of the options holds".to_owned()),
            },
            _ => None,
        };
        if let Some(value) = value {
            answers.push(self.message("value", vec![OscType::String(what.to_owned()), value]));
            return Ok(());
        }
        let (mut names, mut bytes) = (Vec::new(), 0);
        for event in self.switches.find(&[what.to_owned()])? {
            let name = event.to_string();
            bytes += name.len() + 8;
            names.push(OscType::String(name));
            if bytes >= NAMES {
                answers.push(self.message("events", std::mem::take(&mut names)));
                bytes = 0;
            }
        }
        if !names.is_empty() {
            answers.push(self.message("events", names));
        }
        Ok(())
    }

    /// `at`, `length` in s, `speed`, `paused`, `loop`, events on: types that every receiver takes.
    fn state_arguments(&self, state: &State) -> Vec<OscType> {
        let seconds = |ns: u64| OscType::Float((ns as f64 / 1e9) as f32);
        let heard = self.switches.len().saturating_sub(self.silent);
        vec![
            seconds(state.at),
            seconds(state.length),
            OscType::Float(state.speed as f32),
            OscType::Int(i32::from(state.paused)),
            OscType::Int(i32::from(state.repeat)),
            OscType::Int(i32::try_from(heard).unwrap_or(i32::MAX)),
        ]
    }

    fn error(&self, address: &str, why: String) -> Vec<u8> {
        let address = address.chars().take(80).collect();
        // Patterns are quoted in it.
        let why = why.chars().take(500).collect();
        self.message("error", vec![OscType::String(address), OscType::String(why)])
    }

    fn message(&self, word: &str, args: Vec<OscType>) -> Vec<u8> {
        let message = OscMessage { addr: format!("{}{PREFIX}{word}", self.prefix), args };
        // rosc fails on time tags and bundles alone.
        encoder::encode(&OscPacket::Message(message)).unwrap_or_default()
    }
}
