//! `list`: the events there are.

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Result;
use serde_json::json;

use super::{Usage, source::Source};
use crate::cli::ListArgs;
use crate::terminal::{self, Escaped};
use crate::tracefs::{Among, EventName, Selection, Tracefs};

/// Lists.
pub fn run(args: &ListArgs, tracefs: Option<&Path>) -> Result<ExitCode> {
    let patterns = [&args.patterns[..], &args.named].concat();
    let (source, patterns) = Source::open(tracefs, &patterns)?;
    let mut out = std::io::stdout().lock();
    if args.tracers {
        let Source::Tracefs(tracefs) = source else {
            return Err(Usage("a trace.dat has no tracers to list: leave out --tracers".to_owned()).into());
        };
        for tracer in tracefs.tracers()? {
            if args.json {
                writeln!(out, "{}", terminal::escape_json(&json!({ "tracer": tracer }).to_string()))?;
                continue;
            }
            writeln!(out, "{}", Escaped(tracer))?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    for event in select_among(source.events()?, patterns, source.among())? {
        if args.json {
            let row = json!({ "system": event.system, "name": event.name });
            writeln!(out, "{}", terminal::escape_json(&row.to_string()))?;
            continue;
        }
        writeln!(out, "{}", Escaped(event.to_string()))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The tracefs that `--tracefs` names, or the kernel's.
pub fn open(dir: Option<&Path>) -> Result<Tracefs> {
    let tracefs = match dir {
        Some(dir) => Tracefs::at(dir)?,
        None => Tracefs::find()?,
    };
    if tracefs.mounted_by_us() {
        terminal::say(format_args!("mounted tracefs at {}", tracefs.root().display()));
    }
    Ok(tracefs)
}

/// The events that `patterns` name, all without one. What names nothing is told of.
pub fn select(tracefs: &Tracefs, patterns: &[String]) -> Result<Vec<EventName>> {
    select_among(tracefs.events()?, patterns, Among::Kernel)
}

/// The same among the events given.
pub fn select_among(events: Vec<EventName>, patterns: &[String], among: Among) -> Result<Vec<EventName>> {
    if patterns.is_empty() {
        return Ok(events);
    }
    let selected = Selection::parse(patterns)?.resolve_among(&events, among)?;
    for unmatched in &selected.unmatched {
        terminal::warn(unmatched);
    }
    Ok(selected.events)
}
