//! `stat`: a capture in numbers.

use std::io::{self, Write};
use std::process::ExitCode;

use anyhow::Result;

use super::{Usage, captures, progress::Bar};
use crate::capture::latency::{Latency, Pair};
use crate::capture::stat::Stat;
use crate::capture::window::Span;
use crate::cli::{StatArgs, StatFormat};
use crate::terminal;

/// The plot's width where no terminal says it.
const WIDTH: usize = 100;
/// Parts of the activity in JSON: enough to draw it at any size.
const INTERVALS: usize = 1000;

/// Counts.
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
    let stat = Stat::of(capture, &select, INTERVALS, &mut progress)?;
    drop(bar);
    captures::refuse_empty(&args.select, path, stat.events)?;
    let mut out = io::BufWriter::new(io::stdout().lock());
    match args.format {
        StatFormat::Json => {
            let json = serde_json::to_string_pretty(&stat).map_err(io::Error::from)?;
            writeln!(out, "{}", terminal::escape_json(&json))?;
        }
        StatFormat::Text => {
            out.write_all(stat.text(args.top).as_bytes())?;
            if args.plot {
                let width = terminal_size::terminal_size().map_or(WIDTH, |(width, _)| usize::from(width.0));
                write!(out, "\n{}", stat.plot(width))?;
            }
        }
    }
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}

/// Writes how long it takes from one event to another.
fn latency(args: &StatArgs, latency: &Latency) -> Result<ExitCode> {
    let text = match args.format {
        StatFormat::Json => {
            let json = serde_json::to_string_pretty(latency).map_err(io::Error::from)?;
            format!("{}\n", terminal::escape_json(&json))
        }
        StatFormat::Text => latency.text(),
    };
    io::stdout().write_all(text.as_bytes())?;
    Ok(ExitCode::SUCCESS)
}
