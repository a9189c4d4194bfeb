//! Parses a control message, and checks it as far as possible without knowing the stream.

use std::time::Duration;

use rosc::{OscMessage, OscType};

use super::{Command, ControlError, PREFIX, number_of};
use crate::osc::aggregate::{self, AggregateField};

/// The most patterns in one message, and their greatest length: a datagram could contain thousands.
const PATTERNS: usize = 64;
const LONGEST: usize = 256;
/// The longest filter condition, and the most processes: more than anyone types, less than a datagram can contain.
const CONDITION: usize = 1024;
const PIDS: usize = 64;

/// A request in a message.
#[derive(Debug, Clone, PartialEq)]
pub enum Request {
    /// A [`Command`] that needs no further checks.
    Do(Command),
    /// `/control/enable ,s…`: turns these events on.
    Enable(Vec<String>),
    /// `/control/disable ,s…`: turns these events off.
    Disable(Vec<String>),
    /// `/control/mute ,s…`: mutes these events; without a pattern, unmutes all.
    Mute(Vec<String>),
    /// `/control/solo ,s…`: plays only these events; without a pattern, all that are on.
    Solo(Vec<String>),
    /// `/control/hush`: mutes every event.
    Hush,
    /// `/control/notify ,i`: whether to send the state to the sender.
    Notify(bool),
    /// `/control/query ,s`: asks for a value, or for the events that match a pattern.
    Query(String),
    /// `/control/filter ,ss`: sets the condition of these events; empty: none.
    Filter(String, String),
    /// `/control/pid ,i…`: restricts tracing to these processes; without any, all.
    Pids(Vec<u32>),
    /// `/control/aggregate`: a window and the fields to use; without a window: events.
    Aggregate(Option<Duration>, Vec<AggregateField>),
    /// `/control/names ,i`: whether to send enums and flags as names.
    Names(bool),
}

/// Parses a message as a request.
///
/// # Errors
/// If there is no such command, or if it takes other arguments.
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
        "notify" => Request::Notify(switch(&message.args).ok_or_else(|| wrong("1 or 0"))?),
        "names" => Request::Names(switch(&message.args).ok_or_else(|| wrong("1 or 0"))?),
        "filter" => match message.args.as_slice() {
            [OscType::String(pattern), OscType::String(condition)]
                if pattern.len() <= LONGEST && condition.len() <= CONDITION && !condition.contains(['\0', '\n']) =>
            {
                Request::Filter(pattern.clone(), condition.trim().to_owned())
            }
            _ => return Err(wrong("an event and its condition, an empty one for none: two strings")),
        },
        "pid" => {
            let pids: Option<Vec<_>> = message.args.iter().map(pid).collect();
            let pids = pids.filter(|pids| pids.len() <= PIDS);
            Request::Pids(pids.ok_or_else(|| wrong("up to 64 process ids; none for all"))?)
        }
        "aggregate" => window(&message.args)
            .ok_or_else(|| wrong("a window from 1 ms to 1 h, 50 or \"50ms\", and EVENT=FIELD after it; 0 for none"))?,
        "query" => match message.args.as_slice() {
            [argument] => Request::Query(text(argument).ok_or_else(|| wrong("one name or pattern"))?),
            _ => return Err(wrong("one name or pattern")),
        },
        _ => Request::Do(super::parse(message)?),
    })
}

/// 1 or 0, alone.
fn switch(arguments: &[OscType]) -> Option<bool> {
    match arguments {
        [argument] => super::switch(argument),
        _ => None,
    }
}

fn pid(argument: &OscType) -> Option<u32> {
    let number = number_of(argument).filter(|number| (1.0..=f64::from(i32::MAX)).contains(number))?;
    (number.fract() == 0.0).then_some(number as u32)
}

/// A window in ms, or in the form of the option; followed by the fields.
fn window(arguments: &[OscType]) -> Option<Request> {
    let (first, rest) = arguments.split_first()?;
    let window = match (first, number_of(first)) {
        (_, Some(0.0)) => None,
        (_, Some(ms)) => {
            let window = Duration::try_from_secs_f64(ms / 1e3).ok();
            Some(window.filter(|window| (aggregate::MIN_WINDOW..=aggregate::MAX_WINDOW).contains(window))?)
        }
        (OscType::String(text), _) if text == "0" => None,
        (OscType::String(text), _) => Some(aggregate::window(text)?),
        _ => return None,
    };
    if rest.len() > PATTERNS {
        return None;
    }
    let field = |argument| text(argument)?.parse::<AggregateField>().ok();
    Some(Request::Aggregate(window, rest.iter().map(field).collect::<Option<_>>()?))
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
    fn numbers_come_in_any_type_and_only_within_bounds() {
        let pids = |args| said("/control/pid", args);
        let numbers = vec![OscType::Int(1), OscType::Float(2.0), OscType::Double(3.0), OscType::Long(4)];
        assert_eq!(pids(numbers), Ok(Request::Pids(vec![1, 2, 3, 4])));
        assert_eq!(pids(vec![]), Ok(Request::Pids(vec![])));
        for wrong in [OscType::Int(0), OscType::Float(1.5), OscType::Long(1 << 40), OscType::String("1".into())] {
            assert!(pids(vec![wrong.clone()]).is_err(), "{wrong:?}");
        }
        assert!(pids(vec![OscType::Int(1); 65]).is_err());
        assert_eq!(said("/control/names", vec![OscType::Double(1.0)]), Ok(Request::Names(true)));
        assert_eq!(said("/control/notify", vec![OscType::Bool(true)]), Ok(Request::Notify(true)));
        assert!(pids(vec![OscType::Bool(true)]).is_err());
    }

    #[test]
    fn a_window_is_ms_or_what_the_option_takes() {
        let said = |args| said("/control/aggregate", args);
        let text = |text: &str| OscType::String(text.to_owned());
        let window = |ms| Ok(Request::Aggregate(Some(Duration::from_millis(ms)), vec![]));
        assert_eq!(said(vec![text("0.1s")]), window(100));
        assert_eq!(said(vec![OscType::Int(50)]), window(50));
        assert_eq!(said(vec![OscType::Int(0)]), Ok(Request::Aggregate(None, vec![])));
        assert!(
            matches!(said(vec![text("50ms"), text("softirq_entry=vec")]), Ok(Request::Aggregate(_, fields)) if fields.len() == 1)
        );
        for wrong in [
            vec![],
            vec![text("soon")],
            vec![OscType::Float(-1.0)],
            vec![OscType::Float(f32::NAN)],
            vec![text("50ms"), text("x")],
        ] {
            assert!(said(wrong.clone()).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_condition_is_one_line() {
        let filter = |condition: &str| {
            said("/control/filter", vec![OscType::String("irq".into()), OscType::String(condition.into())])
        };
        assert_eq!(filter(" vec == 1 "), Ok(Request::Filter("irq".into(), "vec == 1".into())));
        assert_eq!(filter(""), Ok(Request::Filter("irq".into(), String::new())));
        assert!(filter("vec\n0").is_err() && filter(&"x".repeat(1025)).is_err());
    }

    #[test]
    fn the_transport_is_as_over_the_websocket() {
        assert_eq!(said("/control/speed", vec![OscType::Long(2)]), Ok(Request::Do(Command::Speed(2.0))));
        assert_eq!(said("/control/notify", vec![OscType::Float(1.0)]), Ok(Request::Notify(true)));
        assert!(said("/control/notify", vec![OscType::Int(2)]).is_err());
    }
}
