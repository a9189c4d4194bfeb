//! What a control message asks for, checked as far as it can be without knowing the stream.

use rosc::{OscMessage, OscType};

use super::{Command, ControlError, PREFIX};

/// Patterns in one message, and the length of each: a datagram may hold thousands.
const PATTERNS: usize = 64;
const LONGEST: usize = 256;

/// What a message asks for.
#[derive(Debug, Clone, PartialEq)]
pub enum Request {
    /// What a [`Command`] says as it stands.
    Do(Command),
    /// `/control/enable ,s…`: these events on.
    Enable(Vec<String>),
    /// `/control/disable ,s…`: these events off.
    Disable(Vec<String>),
    /// `/control/mute ,s…`: these events silent; with no pattern, none is.
    Mute(Vec<String>),
    /// `/control/solo ,s…`: these events alone; with no pattern, all that are on.
    Solo(Vec<String>),
    /// `/control/hush`: every event silent.
    Hush,
    /// `/control/notify ,i`: whether the sender is told the state.
    Notify(bool),
    /// `/control/query ,s`: a value, or the events that a pattern means.
    Query(String),
}

/// What a message asks for.
///
/// # Errors
/// If there is no such command, if it takes other arguments, or if it cannot be changed once the stream has begun.
pub fn request(message: &OscMessage) -> Result<Request, ControlError> {
    let word = message.addr.strip_prefix(PREFIX).unwrap_or_default();
    let wrong = |takes| ControlError::Arguments { address: message.addr.clone(), takes };
    let patterns = |least: usize| {
        let takes = if least == 0 { "up to 64 patterns, as -e has them" } else { "1 to 64 patterns, as -e has them" };
        let texts: Option<Vec<_>> = message.args.iter().map(text).collect();
        texts.filter(|texts| (least..=PATTERNS).contains(&texts.len())).ok_or_else(|| wrong(takes))
    };
    Ok(match word {
        "enable" => Request::Enable(patterns(1)?),
        "disable" => Request::Disable(patterns(1)?),
        "mute" => Request::Mute(patterns(0)?),
        "solo" => Request::Solo(patterns(0)?),
        "hush" if message.args.is_empty() => Request::Hush,
        "hush" => return Err(wrong("no argument")),
        "notify" => match message.args.as_slice() {
            [argument] => Request::Notify(super::switch(argument).ok_or_else(|| wrong("1 or 0"))?),
            _ => return Err(wrong("1 or 0")),
        },
        "query" => match message.args.as_slice() {
            [argument] => Request::Query(text(argument).ok_or_else(|| wrong("one name or pattern"))?),
            _ => return Err(wrong("one name or pattern")),
        },
        "filter" | "pid" | "aggregate" | "names" => {
            return Err(ControlError::Fixed { address: message.addr.clone(), option: option(word) });
        }
        _ => Request::Do(super::parse(message)?),
    })
}

fn option(word: &str) -> &'static str {
    match word {
        "filter" => "--filter",
        "pid" => "--pid",
        "aggregate" => "--aggregate",
        _ => "--names",
    }
}

fn text(argument: &OscType) -> Option<String> {
    match argument {
        OscType::String(text) if text.len() <= LONGEST => Some(text.clone()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(addr: &str, args: Vec<OscType>) -> Result<Request, ControlError> {
        request(&OscMessage { addr: addr.into(), args })
    }

    #[test]
    fn patterns_are_texts_of_bounded_number_and_length() {
        let texts = |n: usize| vec![OscType::String("irq".into()); n];
        assert_eq!(said("/control/enable", texts(1)), Ok(Request::Enable(vec!["irq".into()])));
        assert_eq!(said("/control/mute", vec![]), Ok(Request::Mute(vec![])));
        assert!(said("/control/enable", vec![]).is_err());
        assert!(said("/control/solo", texts(65)).is_err());
        assert!(said("/control/solo", vec![OscType::String("x".repeat(257))]).is_err());
        assert!(said("/control/disable", vec![OscType::Int(1)]).is_err());
    }

    #[test]
    fn what_is_fixed_once_the_stream_has_begun_names_its_option() {
        let why = said("/control/filter", vec![]).unwrap_err().to_string();
        assert_eq!(
            why,
            "/control/filter: this cannot be changed once a replay has begun; start it again with --filter"
        );
    }

    #[test]
    fn the_transport_is_as_over_the_websocket() {
        assert_eq!(said("/control/speed", vec![OscType::Long(2)]), Ok(Request::Do(Command::Speed(2.0))));
        assert_eq!(said("/control/notify", vec![OscType::Float(1.0)]), Ok(Request::Notify(true)));
        assert!(said("/control/notify", vec![OscType::Int(2)]).is_err());
    }
}
