//! `list`: lists the available events.

use std::collections::BTreeMap;
use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::process::ExitCode;

use anyhow::Result;
use serde_json::json;

use super::{Usage, source::Source};
use crate::cli::{LinesFormat, ListArgs};
use crate::escape::{self, Escaped};
use crate::meaning;
use crate::terminal;
use crate::tracefs::{Among, EventName, InstanceState, LastBoot, Selection, Tracefs};

/// Lists.
pub fn run(args: &ListArgs, tracefs: Option<&Path>) -> Result<ExitCode> {
    let json = args.json || args.format == LinesFormat::Json;
    let patterns = [&args.patterns[..], &args.named].concat();
    let (source, patterns) = Source::open(tracefs, &patterns)?;
    let mut out = std::io::stdout().lock();
    if args.tracers {
        let Source::Tracefs(tracefs) = source else {
            return Err(Usage("a trace.dat has no tracers to list: leave out --tracers".to_owned()).into());
        };
        for tracer in tracefs.tracers()? {
            if json {
                writeln!(out, "{}", escape::escape_json(&json!({ "tracer": tracer }).to_string()))?;
                continue;
            }
            writeln!(out, "{}", Escaped(tracer))?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    if args.instances {
        let Source::Tracefs(tracefs) = source else {
            return Err(Usage("a trace.dat has no instances to list: leave out --instances".to_owned()).into());
        };
        instances(&mut out, &tracefs, args.json)?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut events = source.events()?;
    events.sort_unstable();
    if args.start {
        return start(&mut out, &events, json);
    }
    // A pipe gets all of them; at a terminal, first an overview.
    let people = io::stdout().is_terminal() && !json;
    let events = select_among(events, patterns, source.among())?;
    match people {
        true if patterns.is_empty() => list_groups(&mut out, &events)?,
        true => list_events(&mut out, &events)?,
        false => {}
    }
    for event in events.iter().filter(|_| !people) {
        if json {
            let meaning = meaning::of_event(&event.to_string());
            let row = json!({ "system": event.system, "name": event.name, "meaning": meaning });
            writeln!(out, "{}", escape::escape_json(&row.to_string()))?;
            continue;
        }
        writeln!(out, "{}", Escaped(event.to_string()))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// All instances, ours or not.
fn instances(out: &mut impl Write, tracefs: &Tracefs, json: bool) -> io::Result<()> {
    for InstanceState { name, recording, kept } in tracefs.instances() {
        let boot = kept.as_ref().map(|kept| if *kept == LastBoot::Current { "this" } else { "last" });
        if json {
            let row = json!({ "instance": name, "recording": recording, "kept_of_boot": boot });
            writeln!(out, "{}", escape::escape_json(&row.to_string()))?;
            continue;
        }
        let state = if recording { "records" } else { "stopped" };
        let boot = boot.map(|boot| if boot == "last" { "the last" } else { boot });
        let kept = boot.map(|boot| format!(", kept over reboots: its events are from {boot} boot")).unwrap_or_default();
        writeln!(out, "{}: {state}{kept}", Escaped(&name))?;
    }
    Ok(())
}

/// The events to try first, as far as they are available.
fn start(out: &mut impl Write, events: &[EventName], json: bool) -> Result<ExitCode> {
    let there = meaning::first().filter(|(event, _)| events.iter().any(|known| known.to_string() == *event));
    if json {
        for (event, sound) in there {
            writeln!(out, "{}", json!({ "event": event, "sounds_like": sound }))?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    for (event, sound) in there {
        let when = meaning::of_event(event).unwrap_or_default();
        writeln!(out, "{event}\n    {when}: {sound}")?;
    }
    writeln!(out, "\nHear one: sudo ftrace-live --page -e irq_handler_entry (docs/RECEIVERS.md has other ways)")?;
    Ok(ExitCode::SUCCESS)
}

/// A line cut to the terminal's width.
fn line(out: &mut impl Write, text: &str) -> io::Result<()> {
    let width = terminal_size::terminal_size().map_or(80, |(width, _)| usize::from(width.0));
    match text.chars().count() > width {
        true => writeln!(out, "{}…", text.chars().take(width.saturating_sub(1)).collect::<String>().trim_end()),
        false => writeln!(out, "{}", text.trim_end()),
    }
}

fn list_groups(out: &mut impl Write, events: &[EventName]) -> io::Result<()> {
    let mut counts = BTreeMap::new();
    events.iter().for_each(|event| *counts.entry(event.system.as_str()).or_insert(0) += 1);
    for (group, count) in &counts {
        line(out, &format!("{:<20} {count:>4}  {}", Escaped(group), meaning::of_group(group).unwrap_or_default()))?;
    }
    writeln!(out, "\n{} events in {} groups. One group: ftrace-live list irq; ten to", events.len(), counts.len())?;
    writeln!(out, "try first: ftrace-live list --start; all: ftrace-live list '*'")
}

fn list_events(out: &mut impl Write, events: &[EventName]) -> io::Result<()> {
    let mut group = "";
    for event in events {
        if event.system != group {
            group = &event.system;
            if let Some(meaning) = meaning::of_group(group) {
                line(out, &format!("{}: {meaning}", Escaped(group)))?;
            }
        }
        let name = event.to_string();
        line(out, &format!("  {:<36} {}", Escaped(&name), meaning::of_event(&name).unwrap_or_default()))?;
    }
    Ok(())
}

/// The events that match `patterns`; by default all. A pattern that matches nothing is reported.
pub fn select(tracefs: &Tracefs, patterns: &[String]) -> Result<Vec<EventName>> {
    select_among(tracefs.events()?, patterns, Among::Kernel)
}

/// The same for the given events.
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
