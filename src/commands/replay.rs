//! `replay`: sends a capture as it would have been sent live.

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Result;

use super::play::{addresses, events, left_out, options, play, say_played, speed, start_at};
use super::send::{self, Receiver};
use super::{captures, control, follow, page, together};
use crate::cli::ReplayArgs;
use crate::output::Outputs;
use crate::replay::{Played, RealTime, Speed, can_print, print};
use crate::terminal::{self, Verbosity};

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
    let (prefix, events) = (&args.send.form.prefix, events(&select, &capture));
    let control = control::open_for_replay(args, &select, events, page.as_mut(), prefix)?;
    if let Some(page) = &page {
        page::add(&mut outputs, page, &args.send, settings, &addresses)?;
        page::know(page, &capture, prefix, &addresses);
    }
    if let (Some(hits), Speed::Times(times)) = (&mut outputs.hits, speed) {
        hits.set_speed(times);
    }
    terminal::say(format_args!("{} to {}", path.display(), send::names(&args.send, &receivers, page.as_ref())));
    if terminal::says(Verbosity::Verbose) {
        receivers.iter().for_each(|receiver| terminal::detail(receiver.described(args.send.raw)));
    }
    let options = options(speed, select, start_at(args)?, args.repeat);
    let mut shown = page::shown(args, &receivers, page, control);
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
    let whole = failure.is_none() && outputs.is_whole();
    say_end(args, &played, (&outputs, whole), &receivers, shown.close());
    if !played.ended {
        captures::refuse_empty(&args.select, path, played.counts.read)?;
    }
    let written = send::all_written(&[outputs]) && send::are_written(failure);
    Ok(if played.errors.is_empty() && written { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Prints what was played, and what is missing from it.
fn say_end(
    args: &ReplayArgs,
    played: &Played,
    (outputs, whole): (&Outputs, bool),
    receivers: &[Receiver],
    lost_by_page: Option<String>,
) {
    let events = format!("{} events", played.counts.read);
    let done = send::done(&args.send, receivers, outputs.counts(), &events, whole);
    let mut left_out = left_out(played, outputs);
    left_out.splice(..0, lost_by_page);
    say_played(done, left_out);
    if let Some((event, error)) = &played.counts.first_error {
        terminal::say(format_args!("first malformed record: {event}: {error}"));
    }
    captures::say_errors(&played.errors, args.open.salvage);
    send::say_not_shown([outputs]);
    if outputs.thinned() > 0 && args.send.max_rate.is_none() {
        terminal::say("thinned to the receiver's rate (--for); --max-rate 0 sends everything");
    }
}
