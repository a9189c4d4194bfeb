//! Control messages: OSC in → a checked [`Command`].
//!
//! The loops of `live` and `replay` carry a command out; [`udp`] and the page's server receive the messages.

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

/// What every control message's address begins with.
pub const PREFIX: &str = "/control/";

/// What a stream can be told.
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    /// `/control/pause`: nothing more is played until it is resumed; live, nothing more is recorded.
    Pause,
    /// `/control/resume`: it goes on; a replay at its end from the beginning.
    Resume,
    /// `/control/speed ,f`: so many times its own pace, from here on.
    Speed(f64),
    /// `/control/seek ,f`: goes on from there, seconds since the beginning of what is played.
    Seek(f64),
    /// `/control/loop ,i`: whether it begins again at its end.
    Loop(bool),
    /// `/control/rate ,i`: messages a second at most; `None`, which is 0 on the wire, is all of them.
    Rate(Option<u32>),
    /// What enable, disable, mute, solo and hush come to.
    Switch(Arc<Switched>),
    /// `/control/filter ,ss`: the kernel's filter of these events; `None` takes it away.
    Filter(Vec<EventName>, Option<String>),
    /// `/control/pid ,i…`: these processes alone; all, if there are none.
    Pids(Vec<u32>),
    /// `/control/aggregate`: numbers for each window instead of events; `None`: events.
    Aggregate(Option<AggregateOptions>),
    /// `/control/names ,i`: enums and flags as the kernel's own words.
    Names(bool),
}

impl Command {
    /// Whether `later`, said in the same moment, makes this one needless.
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

/// Who says something, and is answered.
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

/// Clients of a server that pass on what they say: the page's.
pub trait Clients: Debug + Send {
    /// What a client has said, if one has said something: its number, and one packet.
    fn take(&mut self) -> Option<(u64, Vec<u8>)>;

    /// Sends one packet to a client. One that is gone does not hear it.
    fn answer(&mut self, client: u64, packet: &[u8]);

    /// `wake` is to be called whenever there is something to be taken.
    fn wake_by(&mut self, wake: Box<dyn Fn() + Send + Sync>);
}

/// Which events are on, and which are heard.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Switched {
    /// Those that are on: live, in the kernel.
    pub on: BTreeSet<EventName>,
    /// Those that are not heard; these include all that are not on.
    pub silent: BTreeSet<EventName>,
}

/// Why a command could not be carried out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Refused {
    /// In one sentence.
    pub why: String,
    /// The events that could not be turned on; the rest of the command was done. None: nothing was.
    pub events: Vec<EventName>,
}

impl<E: std::error::Error> From<E> for Refused {
    fn from(error: E) -> Refused {
        Refused { why: error.to_string(), events: vec![] }
    }
}

/// How a stream stands.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct State {
    /// ns of the capture's own time since the part that is played began; live, since tracing began.
    pub at: u64,
    /// The length of that part, ns; live 0.
    pub length: u64,
    /// How many times its own pace; 0 as fast as possible.
    pub speed: f64,
    /// Whether it is paused, or at its end.
    pub paused: bool,
    /// Whether it begins again at its end.
    pub repeat: bool,
}

/// Why a message is no command.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ControlError {
    /// No command has this address.
    #[error("{0}: there is no such command")]
    Unknown(String),
    /// The command takes other arguments.
    #[error("{address} takes {takes}")]
    Arguments {
        /// The command.
        address: String,
        /// What it takes, in words.
        takes: &'static str,
    },
}

/// The slowest and the fastest pace.
const SPEEDS: std::ops::RangeInclusive<f64> = 1e-6..=1e6;
/// The latest moment that can be sought, s: about 30 years.
const LATEST: f64 = 1e9;

/// The command that a message says.
///
/// # Errors
/// If there is no such command, or if it takes other arguments.
pub fn parse(message: &OscMessage) -> Result<Command, ControlError> {
    let number = |range: std::ops::RangeInclusive<f64>| {
        match message.args.as_slice() {
            [argument] => number_of(argument),
            _ => None,
        }
        // Not a number is in no range.
        .filter(|number| range.contains(number))
    };
    let none = message.args.is_empty().then_some(());
    let (command, takes) = match message.addr.strip_prefix(PREFIX) {
        Some("pause") => (none.map(|()| Command::Pause), "no argument"),
        Some("resume") => (none.map(|()| Command::Resume), "no argument"),
        Some("speed") => (number(SPEEDS).map(Command::Speed), "one number from 0.000001 to 1000000"),
        Some("seek") => (number(0.0..=LATEST).map(Command::Seek), "one number of seconds, not below 0"),
        Some("loop") => (number(0.0..=1.0).map(|on| Command::Loop(on != 0.0)), "1 or 0"),
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

/// 1 or 0.
fn switch(argument: &OscType) -> Option<bool> {
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
    }

    #[test]
    fn what_is_no_number_or_beyond_all_bounds_is_refused() {
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
