//! `replay`: a capture, sent as it would have been sent live.

use std::process::ExitCode;

use anyhow::Result;

use super::{Usage, send};
use crate::capture;
use crate::cli::ReplayArgs;
use crate::render::Settings;
use crate::replay::{RealTime, Speed, play};

/// Replays.
pub fn run(args: &ReplayArgs) -> Result<ExitCode> {
    if send::lists_presets(&args.send.form) {
        return Ok(ExitCode::SUCCESS);
    }
    let speed = speed(&args.speed)?;
    let receivers = send::receivers(&args.send)?;
    let capture = capture::open(&args.capture, capture::trace_dat::Open::default())?;
    for (event, error) in &capture.broken {
        eprintln!("ftrace-live: warning: {event} cannot be decoded: {error}");
    }
    let settings = Settings::load(&args.capture, &capture.clock);
    let outputs = send::open(&args.send, &receivers, settings, false)?;
    eprintln!("ftrace-live: {} to {}", args.capture.display(), send::names(&receivers));
    let mut time = RealTime::new()?;
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let (played, outputs) = play(capture, outputs, speed, &host, &mut time)?;
    let sent = outputs.counts();
    let mut summary =
        format!("{} events, {} messages sent in {} datagrams", played.counts.read, sent.sent, sent.datagrams);
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
    eprintln!("ftrace-live: {summary}");
    if let Some((event, error)) = &played.counts.first_error {
        eprintln!("ftrace-live: first malformed record: {event}: {error}");
    }
    for error in &played.errors {
        eprintln!("ftrace-live: {error}");
    }
    Ok(if played.errors.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn speed(text: &str) -> Result<Speed> {
    if text == "max" {
        return Ok(Speed::Max);
    }
    let factor = text.parse().ok().filter(|factor: &f64| factor.is_finite() && (1e-9..=1e9).contains(factor));
    let usage = || Usage(format!("--speed {text:?} is neither max nor a factor such as 1, 0.1 or 20"));
    Ok(Speed::Times(factor.ok_or_else(usage)?))
}
