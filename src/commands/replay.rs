//! `replay`: a capture, sent as it would have been sent live.

use std::io::{self, IsTerminal};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Result;
use jiff::Zoned;

use super::{Usage, captures, progress::Bar, send};
use crate::capture::{self, trace_dat::Open};
use crate::cli::ReplayArgs;
use crate::format::EventFormat;
use crate::replay::{PlayOptions, RealTime, Speed, play};
use crate::terminal;
use crate::tracefs::EventName;

/// Replays.
pub fn run(args: &ReplayArgs) -> Result<ExitCode> {
    if send::lists_presets(&args.send.form)? {
        return Ok(ExitCode::SUCCESS);
    }
    let speed = speed(&args.speed)?;
    let mut select = captures::select(&args.select)?;
    let receivers = send::receivers(&args.send)?;
    let (path, salvage, buffer) = (&args.capture, args.open.salvage, args.open.buffer.as_deref());
    let mut capture = captures::open(path, salvage, buffer)?;
    captures::narrow(&args.select, &mut select, &mut capture, &mut || captures::open_again(path, salvage, buffer))?;
    let name = |format: &EventFormat| EventName::new(format.system.as_str(), format.name.as_str());
    let addresses = match args.send.raw {
        true => send::addresses(&capture.events.iter().map(name).collect::<Vec<_>>(), &args.send.form.prefix),
        false => Arc::default(),
    };
    let settings = captures::settings(path, &capture);
    let mut outputs = send::open(&args.send, &receivers, settings, false, &addresses)?;
    if let (Some(hits), Speed::Times(times)) = (&mut outputs.hits, speed) {
        hits.set_speed(times);
    }
    terminal::say(format_args!("{} to {}", path.display(), send::names(&receivers)));
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let start_at = start_at(args)?;
    let options = PlayOptions { speed, select, start_at, repeat: args.repeat, host };
    // Lines on the same terminal would be torn apart.
    let lines = args.send.print && io::stdout().is_terminal();
    let mut bar = if lines { Bar::none() } else { Bar::over_time() };
    let mut again = || capture::open_buffer(path, Open { salvage }, buffer);
    let mut time = RealTime::new()?;
    let (played, outputs) = play(capture, &mut again, outputs, &options, &mut time, &mut bar)?;
    drop(bar);
    let sent = outputs.counts();
    let mut summary = format!("{} events, {}", played.counts.read, send::done(&receivers, sent));
    for (count, what) in [
        (outputs.thinned(), "thinned"),
        (played.lost, "lost when it was captured"),
        (played.counts.malformed + played.malformed_sub_buffers, "malformed"),
        (played.counts.unknown, "of unknown events"),
        (outputs.too_long(), "too long for a datagram"),
        (sent.unsent, "not sent"),
        (sent.refused, "refused: nobody listens there"),
    ] {
        if count > 0 {
            summary.push_str(&format!(", {count} {what}"));
        }
    }
    terminal::say(summary);
    if let Some((event, error)) = &played.counts.first_error {
        terminal::say(format_args!("first malformed record: {event}: {error}"));
    }
    for error in &played.errors {
        terminal::say(error);
    }
    let written = send::all_written(&[outputs]);
    Ok(if played.errors.is_empty() && written { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// `--start-at`.
fn start_at(args: &ReplayArgs) -> Result<Option<u64>> {
    let over = || Usage("--start-at: that time is over, or there is no such time; name one that is to come".to_owned());
    let now = Zoned::now();
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
