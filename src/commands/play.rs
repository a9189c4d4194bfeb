//! Common parts of `replay`, for one or several captures, and `page`.

use std::path::Path;
use std::sync::Arc;

use anyhow::Result;
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};

use super::Usage;
use super::send;
use crate::capture::select::Select;
use crate::capture::{self, Capture, trace_dat::Open};
use crate::cli::ReplayArgs;
use crate::format::EventFormat;
use crate::osc::addresses::Addresses;
use crate::osc::timetag;
use crate::output::Outputs;
use crate::replay::{Observer, PlayOptions, Played, RealTime, Speed};
use crate::terminal::{self, Verbosity};
use crate::tracefs::EventName;

/// Reports what was played and left out: in one line, or, if no summary is wanted, one line for each loss.
pub(super) fn say_played(summary: String, left_out: Vec<String>) {
    if terminal::says(Verbosity::Usual) {
        terminal::say([vec![summary], left_out].concat().join(", "));
    } else {
        left_out.iter().for_each(terminal::lost);
    }
}

/// What was not played or not sent, as messages: `3 thinned` and the like.
pub(super) fn left_out(played: &Played, outputs: &Outputs) -> Vec<String> {
    let sent = outputs.counts();
    let counts = [
        (outputs.thinned(), "thinned"),
        (played.lost, "lost when it was captured"),
        (played.gaps, "gaps of unknown size in it"),
        (played.counts.malformed + played.malformed_sub_buffers, "malformed"),
        (played.counts.unknown, "of unknown events"),
        (outputs.too_long(), "too long for a datagram"),
        (sent.unsent, "not sent"),
        (sent.refused, "refused: nobody listens there"),
    ];
    counts.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}")).collect()
}

/// The events that a replay plays.
pub fn events(select: &Select, capture: &Capture) -> Vec<EventName> {
    let names = capture.events.iter().map(|format| EventName::new(format.system.as_str(), format.name.as_str()));
    let names: Vec<_> = names.collect();
    // Patterns that match nothing are reported when it is played.
    let selected = select.events.as_ref().and_then(|events| events.resolve(&names).ok());
    selected.map_or(names, |selected| selected.events)
}

/// The addresses of a capture's events.
pub fn addresses(capture: &Capture, prefix: &str) -> Arc<Addresses> {
    let name = |format: &EventFormat| EventName::new(format.system.as_str(), format.name.as_str());
    send::addresses(&capture.events.iter().map(name).collect::<Vec<_>>(), prefix)
}

/// The options to play a capture.
pub fn options(speed: Speed, select: Select, start_at: Option<u64>, repeat: bool) -> PlayOptions {
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    PlayOptions { speed, select, start_at, repeat, host }
}

/// Plays a capture, reopened with `how` (salvage, buffer) if it is repeated or sought in.
pub fn play(
    path: &Path,
    (salvage, buffer): (bool, Option<&str>),
    capture: Capture,
    outputs: Outputs,
    options: &PlayOptions,
    observer: &mut dyn Observer,
) -> Result<(Played, Outputs)> {
    let mut again = || capture::open_buffer(path, Open { salvage }, buffer);
    let mut time = RealTime::new()?;
    Ok(crate::replay::play(capture, &mut again, outputs, options, &mut time, observer)?)
}

/// `--start-at`.
pub fn start_at(args: &ReplayArgs) -> Result<Option<u64>> {
    let over = || Usage("--start-at: that time is in the past, or invalid; give one in the future".to_owned());
    // By the followed clock, if there is one.
    let now = i128::from(timetag::unix_now_ns());
    let now = Timestamp::from_nanosecond(now).map_or_else(|_| Zoned::now(), |now| now.to_zoned(TimeZone::system()));
    Ok(args.start_at.map(|at| at.unix_ns(&now).ok_or_else(over)).transpose()?)
}

/// `--speed`: `max`, a number, or a fraction such as `1/170000`.
pub fn speed(text: &str) -> Result<Speed> {
    if text == "max" {
        return Ok(Speed::Max);
    }
    let factor = match text.split_once('/') {
        Some((above, below)) => above.parse::<f64>().ok().zip(below.parse::<f64>().ok()).map(|(a, b)| a / b),
        None => text.parse().ok(),
    };
    let factor = factor.filter(|factor| factor.is_finite() && (1e-9..=1e9).contains(factor));
    let usage = || Usage(format!("--speed {text:?} must be max or a factor such as 1, 0.1, 1/10 or 20"));
    Ok(Speed::Times(factor.ok_or_else(usage)?))
}
