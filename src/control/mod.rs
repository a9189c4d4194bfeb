//! Control messages: parses OSC into checked [`Command`]s.
//!
//! The loops of `live` and `replay` carry commands out; [`udp`] and the page's server receive the messages.

pub mod desk;
pub mod request;
pub mod switches;
pub mod udp;

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::net::SocketAddr;
use std::sync::Arc;

use rosc::{OscMessage, OscType};

use crate::osc::aggregate::AggregateOptions;
use crate::tracefs::EventName;

/// The beginning of every control message's address, after the prefix.
pub const PREFIX: &str = "/control/";

/// A command to a stream.
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    /// `/control/pause`: stops playing until it is resumed; live, stops recording.
    Pause,
    /// `/control/resume`: continues; a replay at its end restarts from the beginning.
    Resume,
    /// `/control/speed ,f`: sets the speed relative to the recorded one.
    Speed(f64),
    /// `/control/seek ,f`: continues at this position, seconds from the beginning of the part being played.
    Seek(f64),
    /// `/control/loop ,i`: whether to repeat.
    Loop(bool),
    /// `/control/rate ,i`: the most messages a second; `None` (0 on the wire) means no limit.
    Rate(Option<u32>),
    /// The combined result of enable, disable, mute, solo and hush.
    Switch(Arc<Switched>),
    /// `/control/filter ,ss`: sets the kernel's filter of these events; `None` removes it.
    Filter(Vec<EventName>, Option<String>),
    /// `/control/pid ,i…`: restricts tracing to these processes; none means all.
    Pids(Vec<u32>),
    /// `/control/aggregate`: aggregates instead of events; `None`: events.
    Aggregate(Option<AggregateOptions>),
    /// `/control/names ,i`: enums and flags as the kernel's names.
    Names(bool),
}

impl Command {
    /// Whether `later`, received at the same time, makes this one unnecessary.
    fn gives_way_to(&self, later: &Command) -> bool {
        use Command::{Aggregate, Filter, Loop, Names, Pause, Pids, Rate, Resume, Seek, Speed, Switch};
        match (self, later) {
            (Pause | Resume, Pause | Resume)
            | (Speed(_), Speed(_))
            | (Seek(_), Seek(_))
            | (Loop(_), Loop(_))
            | (Rate(_), Rate(_))
            | (Switch(_), Switch(_))
            | (Pids(_), Pids(_))
            | (Aggregate(_), Aggregate(_))
            | (Names(_), Names(_)) => true,
            (Filter(events, _), Filter(others, _)) => events == others,
            _ => false,
        }
    }
}

/// A sender of commands, who is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Caller {
    /// A program, by UDP.
    Udp(SocketAddr),
    /// A client of a page's server, by its number.
    Client(u64),
}

impl From<SocketAddr> for Caller {
    fn from(address: SocketAddr) -> Caller {
        Caller::Udp(address)
    }
}

/// Clients of a server that pass on commands: the page's.
pub trait Clients: Debug + Send {
    /// The next message of a client: its number, and one packet.
    fn take(&mut self) -> Option<(u64, Vec<u8>)>;

    /// Sends a packet to a client, if it is still connected.
    fn answer(&mut self, client: u64, packet: &[u8]);

    /// Sets a function that is called when there is a message to take.
    fn wake_by(&mut self, wake: Box<dyn Fn() + Send + Sync>);
}

/// Which events are on, and which are heard.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Switched {
    /// The events that are on: live, enabled in the kernel.
    pub on: BTreeSet<EventName>,
    /// The events that are not heard, including all that are not on.
    pub silent: BTreeSet<EventName>,
}

/// Why a command could not be carried out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Refused {
    /// The reason, as a sentence.
    pub why: String,
    /// The events that could not be turned on; the rest of the command was carried out. If empty, nothing was.
    pub events: Vec<EventName>,
}

impl<E: std::error::Error> From<E> for Refused {
    fn from(error: E) -> Refused {
        Refused { why: error.to_string(), events: vec![] }
    }
}

/// The state of a stream.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct State {
    /// The position in the part being played, ns of the capture's time; live, ns since tracing began.
    pub at: u64,
    /// The length of that part, ns; live 0.
    pub length: u64,
    /// The speed relative to the recorded one; 0 means as fast as possible.
    pub speed: f64,
    /// Whether it is paused, or at its end.
    pub paused: bool,
    /// Whether it repeats.
    pub repeat: bool,
}

/// Why a message is not a command.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ControlError {
    /// There is no command with this address.
    #[error("{0}: there is no such command")]
    Unknown(String),
    /// The command takes other arguments.
    #[error("{address} takes {takes}")]
    Arguments {
        /// The command.
        address: String,
        /// Its arguments, in words.
        takes: &'static str,
    },
}

/// The slowest and the fastest speed.
const SPEEDS: std::ops::RangeInclusive<f64> = 1e-6..=1e6;
/// The latest position that can be sought, s: about 30 years.
const LATEST: f64 = 1e9;

/// Parses a message as a command.
///
/// # Errors
/// If there is no such command, or if it takes other arguments.
pub fn parse(message: &OscMessage) -> Result<Command, ControlError> {
    let number = |range: std::ops::RangeInclusive<f64>| {
        match message.args.as_slice() {
            [argument] => number_of(argument),
            _ => None,
        }
        // NaN is in no range.
        .filter(|number| range.contains(number))
    };
    let none = message.args.is_empty().then_some(());
    let (command, takes) = match message.addr.strip_prefix(PREFIX) {
        Some("pause") => (none.map(|()| Command::Pause), "no argument"),
        Some("resume") => (none.map(|()| Command::Resume), "no argument"),
        Some("speed") => (number(SPEEDS).map(Command::Speed), "one number from 0.000001 to 1000000"),
        Some("seek") => (number(0.0..=LATEST).map(Command::Seek), "one number of seconds, not below 0"),
        Some("loop") => {
            let truth = match message.args.as_slice() {
                [OscType::Bool(on)] => Some(*on),
                _ => number(0.0..=1.0).map(|on| on != 0.0),
            };
            (truth.map(Command::Loop), "1 or 0")
        }
        Some("rate") => {
            let rate = number(0.0..=f64::from(u32::MAX)).map(|rate| rate as u32);
            (rate.map(|rate| Command::Rate((rate > 0).then_some(rate))), "one number of messages a second, 0 for all")
        }
        _ => return Err(ControlError::Unknown(message.addr.chars().take(80).collect())),
    };
    command.ok_or_else(|| ControlError::Arguments { address: message.addr.clone(), takes })
}

/// A number of any type.
fn number_of(argument: &OscType) -> Option<f64> {
    match argument {
        OscType::Float(number) => Some(f64::from(*number)),
        OscType::Double(number) => Some(*number),
        OscType::Int(number) => Some(f64::from(*number)),
        OscType::Long(number) => Some(*number as f64),
        _ => None,
    }
}

/// 1 or 0; python-osc and osc.js send their own truth values, `T` and `F`.
fn switch(argument: &OscType) -> Option<bool> {
    if let OscType::Bool(on) = argument {
        return Some(*on);
    }
    match number_of(argument) {
        Some(1.0) => Some(true),
        Some(0.0) => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(addr: &str, args: Vec<OscType>) -> Result<Command, ControlError> {
        parse(&OscMessage { addr: addr.into(), args })
    }

    #[test]
    fn each_command_with_its_argument() {
        assert_eq!(said("/control/pause", vec![]), Ok(Command::Pause));
        assert_eq!(said("/control/resume", vec![]), Ok(Command::Resume));
        assert_eq!(said("/control/speed", vec![OscType::Float(0.5)]), Ok(Command::Speed(0.5)));
        assert_eq!(said("/control/speed", vec![OscType::Int(2)]), Ok(Command::Speed(2.0)));
        assert_eq!(said("/control/seek", vec![OscType::Double(1.25)]), Ok(Command::Seek(1.25)));
        assert_eq!(said("/control/loop", vec![OscType::Int(1)]), Ok(Command::Loop(true)));
        assert_eq!(said("/control/loop", vec![OscType::Bool(false)]), Ok(Command::Loop(false)));
    }

    #[test]
    fn invalid_and_out_of_range_numbers_are_refused() {
        for number in [0.0, -1.0, f32::NAN, f32::INFINITY, 1e30] {
            assert!(said("/control/speed", vec![OscType::Float(number)]).is_err(), "{number}");
        }
        assert!(said("/control/seek", vec![OscType::Float(-0.5)]).is_err());
        assert!(said("/control/seek", vec![OscType::String("1".into())]).is_err());
        assert!(said("/control/seek", vec![]).is_err());
        assert!(said("/control/pause", vec![OscType::Int(1)]).is_err());
        let why = said("/control/speed", vec![]).unwrap_err().to_string();
        assert_eq!(why, "/control/speed takes one number from 0.000001 to 1000000");
        assert_eq!(said("/ftrace/stop", vec![]), Err(ControlError::Unknown("/ftrace/stop".into())));
    }
}
