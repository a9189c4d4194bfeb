//! `stat`: statistics of a capture.

use std::io::{self, Write};
use std::process::ExitCode;

use anyhow::Result;
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::{Usage, captures, progress::Bar};
use crate::capture::latency::{Latency, Pair};
use crate::capture::stat::{Stat, SystemActivity};
use crate::capture::window::Span;
use crate::cli::{StatArgs, StatFormat};
use crate::escape;

/// The plot's width if there is no terminal.
const WIDTH: usize = 100;
/// How many events are listed as text by default: those that fit into a window.
const TOP: usize = 30;
/// The intervals of the activity in JSON: enough to plot it at any size.
const INTERVALS: usize = 1000;

/// Counts and prints.
pub fn run(args: &StatArgs) -> Result<ExitCode> {
    let mut select = captures::select(&args.select)?;
    let pair = args.latency.as_deref().map(str::parse::<Pair>).transpose()?;
    let (path, salvage, buffer) = (&args.capture, args.open.salvage, args.open.buffer.as_deref());
    let mut capture = captures::open(path, salvage, buffer)?;
    captures::narrow(&args.select, &mut select, &mut capture, &mut || captures::open_again(path, salvage, buffer))?;
    if pair.is_some() && capture.counts_ticks() {
        return Err(Usage(format!("--latency: the trace clock {} counts ticks, not time", capture.clock)).into());
    }
    if let Some(pair) = pair {
        return latency(args, &Latency::of(capture, &pair, &select)?);
    }
    let span = Span::of(&mut capture)?;
    let mut bar = Bar::over_time();
    let mut progress = |time: u64| {
        if let Some(span) = span {
            bar.show_time(time.saturating_sub(span.first), span.length());
        }
    };
    let mut stat = Stat::of(capture, &select, INTERVALS, args.jobs.jobs(), &mut progress)?;
    drop(bar);
    captures::refuse_empty(&args.select, path, stat.events)?;
    let mut out = io::BufWriter::new(io::stdout().lock());
    if args.json || args.format == StatFormat::Json {
        // Programs get all of them unless they ask for fewer. The most frequent ones come first.
        stat.by_event.truncate(args.top.unwrap_or(usize::MAX));
    }
    if args.json {
        rows(&stat, &mut out)?;
        out.flush()?;
        return Ok(ExitCode::SUCCESS);
    }
    match args.format {
        StatFormat::Json => {
            let json = serde_json::to_string_pretty(&stat).map_err(io::Error::from)?;
            writeln!(out, "{}", escape::escape_json(&json))?;
        }
        StatFormat::Text => {
            out.write_all(stat.text(args.top.unwrap_or(TOP)).as_bytes())?;
            if args.plot {
                let width = terminal_size::terminal_size().map_or(WIDTH, |(width, _)| usize::from(width.0));
                write!(out, "\n{}", stat.plot(width))?;
            }
        }
    }
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}

/// A line of JSON for each row: its kind, and its contents.
fn rows(stat: &Stat, out: &mut impl Write) -> Result<()> {
    let Stat { by_event, cpus, losses, activity, .. } = stat;
    let mut capture = serde_json::to_value(stat).map_err(io::Error::from)?;
    if let Some(capture) = capture.as_object_mut() {
        capture.retain(|key, _| !matches!(key.as_str(), "by_event" | "cpus" | "losses" | "activity"));
    }
    row(out, "capture", &capture)?;
    by_event.iter().try_for_each(|event| row(out, "event", event))?;
    cpus.iter().try_for_each(|cpu| row(out, "cpu", cpu))?;
    losses.iter().try_for_each(|loss| row(out, "loss", loss))?;
    let (start, interval) = (activity.start, activity.interval);
    for SystemActivity { system, counts } in &activity.systems {
        row(out, "activity", &json!({"system": system, "start": start, "interval": interval, "counts": counts}))?;
    }
    Ok(())
}

fn row(out: &mut impl Write, kind: &str, what: &impl Serialize) -> Result<()> {
    let what = serde_json::to_value(what).map_err(io::Error::from)?;
    let kind = [("row".to_owned(), Value::from(kind))];
    let row: Map<_, _> =
        kind.into_iter().chain(what.as_object().into_iter().flatten().map(|(k, v)| (k.clone(), v.clone()))).collect();
    writeln!(out, "{}", escape::escape_json(&Value::from(row).to_string()))?;
    Ok(())
}

/// Prints the latencies between two events.
fn latency(args: &StatArgs, latency: &Latency) -> Result<ExitCode> {
    if args.json {
        row(&mut io::stdout(), "latency", latency)?;
        return Ok(ExitCode::SUCCESS);
    }
    let text = match args.format {
        StatFormat::Json => {
            let json = serde_json::to_string_pretty(latency).map_err(io::Error::from)?;
            format!("{}\n", escape::escape_json(&json))
        }
        StatFormat::Text => latency.text(),
    };
    io::stdout().write_all(text.as_bytes())?;
    Ok(ExitCode::SUCCESS)
}
