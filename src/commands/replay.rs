//! `replay`: a capture, sent as it would have been sent live.

use std::io::{self, IsTerminal};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Result;
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};

use super::page::{self, Shown};
use super::{Usage, captures, control, follow, progress::Bar, send, together};
use crate::capture::select::Select;
use crate::capture::{self, Capture, trace_dat::Open};
use crate::cli::ReplayArgs;
use crate::control::switches::Switches;
use crate::format::EventFormat;
use crate::osc::addresses::Addresses;
use crate::osc::timetag;
use crate::output::Outputs;
use crate::replay::{PlayOptions, Played, RealTime, Speed, can_print, print};
use crate::terminal::{self, Verbosity};
use crate::tracefs::EventName;

/// Replays.
pub fn run(args: &ReplayArgs) -> Result<ExitCode> {
    if send::lists_presets(&args.send.form)? {
        return Ok(ExitCode::SUCCESS);
    }
    if together::is_asked(args) {
        return together::run(args);
    }
    let _follower = follow::start(follow::address(&args.send)?)?;
    let speed = speed(&args.speed)?;
    let mut select = captures::select(&args.select)?;
    let map = send::map(args.send.map.as_deref())?;
    let receivers = send::receivers(&args.send, map.as_deref())?;
    let (path, salvage, buffer) = (&args.capture, args.open.salvage, args.open.buffer.as_deref());
    let mut capture = captures::open(path, salvage, buffer)?;
    captures::narrow(&args.select, &mut select, &mut capture, &mut || captures::open_again(path, salvage, buffer))?;
    let addresses = match args.send.raw || args.send.page.is_some() {
        true => addresses(&capture, &args.send.form.prefix),
        false => Arc::default(),
    };
    let settings = captures::settings(path, &capture);
    let printed_settings = settings.clone();
    let mut outputs = send::open(&args.send, map.as_ref(), &receivers, settings.clone(), false, &addresses)?;
    let mut page = args.send.page.as_deref().map(page::open).transpose()?;
    let control = {
        let events = events(&select, &capture);
        let pids: Vec<_> = select.pids.iter().filter_map(|pid| u32::try_from(*pid).ok()).collect();
        let settings = control::settings(&args.send, false, &pids, &select.filters, &events)?;
        let desk = (Switches::new(events), settings);
        control::open(args.control.as_deref(), page.as_mut(), &args.send.form.prefix, desk)?
    };
    if let Some(page) = &page {
        page::add(&mut outputs, page, &args.send, settings, &addresses)?;
        page::know(page, &capture, &args.send.form.prefix, &addresses);
    }
    if let (Some(hits), Speed::Times(times)) = (&mut outputs.hits, speed) {
        hits.set_speed(times);
    }
    terminal::say(format_args!("{} to {}", path.display(), send::names(&args.send, &receivers, page.as_ref())));
    if terminal::says(Verbosity::Verbose) {
        receivers.iter().for_each(|receiver| terminal::detail(receiver.described(args.send.raw)));
    }
    let options = options(speed, select, start_at(args)?, args.repeat);
    // Lines on the same terminal would be torn apart.
    let lines = args.send.print && io::stdout().is_terminal();
    let mut shown = Shown::new(if lines { Bar::none() } else { Bar::over_time() }, page).with_control(control);
    // Others do not wait until somebody opens the page.
    shown.waits &= receivers.is_empty() && !args.send.print && args.start_at.is_none();
    let jobs = args.jobs.jobs();
    let alone = shown.is_bar() && !options.repeat && options.start_at.is_none() && speed == Speed::Max;
    let (mut failure, printed) = (None, jobs.number() > 1 && alone && can_print(&capture, &outputs));
    let (played, outputs) = if printed {
        let (printers, mut time) = (send::printers(&args.send, &printed_settings, &addresses)?, RealTime::new()?);
        let mut out = terminal::stdout();
        let printed = print(capture, &options.select, jobs, &printers, &mut out, &mut time, &mut shown)?;
        failure = printed.failure;
        (printed.played, Outputs::default())
    } else {
        play(path, (salvage, buffer), capture, outputs, &options, &mut shown)?
    };
    let done = send::done(&args.send, &receivers, outputs.counts());
    let summary = format!("{} events, {done}", played.counts.read);
    let mut left_out = left_out(&played, &outputs);
    left_out.splice(..0, shown.close());
    say_played(summary, left_out);
    if let Some((event, error)) = &played.counts.first_error {
        terminal::say(format_args!("first malformed record: {event}: {error}"));
    }
    captures::say_errors(&played.errors, salvage);
    send::say_not_shown([&outputs]);
    if outputs.thinned() > 0 && args.send.max_rate.is_none() {
        terminal::say("thinned to what the receiver takes (--for); --max-rate 0 sends everything");
    }
    if !played.ended {
        captures::refuse_empty(&args.select, path, played.counts.read)?;
    }
    let written = send::all_written(&[outputs]) && send::are_written(failure);
    Ok(if played.errors.is_empty() && written { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Says what was played, and what was left out: in one line, or, where that is not asked for, one line for each loss.
pub(super) fn say_played(summary: String, left_out: Vec<String>) {
    if terminal::says(Verbosity::Usual) {
        terminal::say([vec![summary], left_out].concat().join(", "));
    } else {
        left_out.iter().for_each(terminal::lost);
    }
}

/// What was not played and not sent, for people: `3 thinned` and its like.
pub(super) fn left_out(played: &Played, outputs: &Outputs) -> Vec<String> {
    let sent = outputs.counts();
    let counts = [
        (outputs.thinned(), "thinned"),
        (played.lost, "lost when it was captured"),
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
    // What cannot be selected is told of where it is played.
    let selected = select.events.as_ref().and_then(|events| events.resolve(&names).ok());
    selected.map_or(names, |selected| selected.events)
}

/// The addresses of a capture's events.
pub fn addresses(capture: &Capture, prefix: &str) -> Arc<Addresses> {
    let name = |format: &EventFormat| EventName::new(format.system.as_str(), format.name.as_str());
    send::addresses(&capture.events.iter().map(name).collect::<Vec<_>>(), prefix)
}

/// How a capture is played by this machine.
pub fn options(speed: Speed, select: Select, start_at: Option<u64>, repeat: bool) -> PlayOptions {
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    PlayOptions { speed, select, start_at, repeat, host }
}

/// Plays a capture, opened anew as `how` says (salvage, buffer) where it is repeated or sought in.
pub fn play(
    path: &Path,
    (salvage, buffer): (bool, Option<&str>),
    capture: Capture,
    outputs: Outputs,
    options: &PlayOptions,
    shown: &mut Shown,
) -> Result<(Played, Outputs)> {
    let mut again = || capture::open_buffer(path, Open { salvage }, buffer);
    let mut time = RealTime::new()?;
    Ok(crate::replay::play(capture, &mut again, outputs, options, &mut time, shown)?)
}

/// `--start-at`.
pub fn start_at(args: &ReplayArgs) -> Result<Option<u64>> {
    let over = || Usage("--start-at: that time is over, or there is no such time; name one that is to come".to_owned());
    // Of the clock that is followed, where one is.
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
    let usage = || Usage(format!("--speed {text:?} is neither max nor a factor such as 1, 0.1, 1/10 or 20"));
    Ok(Speed::Times(factor.ok_or_else(usage)?))
}
