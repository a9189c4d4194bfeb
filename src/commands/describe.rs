//! `describe`: explains the message of an event.

use std::borrow::Cow;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use anyhow::Result;

use super::example::Examples;
use super::{list, send, source, source::Source};
use crate::cli::{DescribeArgs, DescribeFormat, FormArgs};
use crate::escape::{self, Escaped};
use crate::format::{Abi, Endian};
use crate::map::{Map, Mapping};
use crate::meaning;
use crate::names::Names;
use crate::osc::{MessagePlan, Schema, oscquery};
use crate::terminal;

/// Describes.
pub fn run(args: &DescribeArgs, tracefs: Option<&Path>) -> Result<ExitCode> {
    if send::lists_presets(&args.form)? {
        return Ok(ExitCode::SUCCESS);
    }
    let patterns = [&args.events[..], &args.named].concat();
    let all = patterns;
    let (source, patterns) = Source::open(tracefs, &all)?;
    let schemas = match send::map(args.map.as_deref())? {
        Some(map) => mapped(&source, patterns, &map)?,
        None => schemas(&source, patterns, &args.form)?,
    };
    let mut out = io::BufWriter::new(io::stdout().lock());
    if args.json {
        for schema in &schemas {
            let row = serde_json::to_string(schema).map_err(io::Error::from)?;
            writeln!(out, "{}", escape::escape_json(&row))?;
        }
        out.flush()?;
        return Ok(ExitCode::SUCCESS);
    }
    match args.format {
        DescribeFormat::Text => {
            let examples = match args.map {
                Some(_) => Examples::default(),
                None => Examples::find(&schemas, source::path_of(tracefs, &all).0, &args.form),
            };
            schemas.iter().try_for_each(|schema| text(&mut out, schema, &examples))?;
        }
        DescribeFormat::Json => {
            let json = serde_json::to_string_pretty(&schemas).map_err(io::Error::from)?;
            writeln!(out, "{}", escape::escape_json(&json))?;
        }
        DescribeFormat::Oscquery => {
            let types = send::message_options(&args.form, send::preset_of(&args.form)?)?.types;
            let tree = oscquery::tree(&schemas, &args.form.prefix, types);
            let json = serde_json::to_string_pretty(&tree).map_err(io::Error::from)?;
            writeln!(out, "{}", escape::escape_json(&json))?;
        }
    }
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}

/// The signatures of the events that match `patterns`; by default of all.
pub fn schemas(source: &Source, patterns: &[String], args: &FormArgs) -> Result<Vec<Schema>> {
    let mut options = send::message_options(args, send::preset_of(args)?)?;
    let events = source.all_events()?;
    options.addresses = send::addresses(&events, &args.prefix);
    let events = list::select_among(events, patterns, source.among())?;
    // With the names that the stream would use, so that the signatures are the same.
    let names = if options.names { source.names() } else { Names::default() };
    let long = source.long_size()?;
    // A running kernel has this machine's byte order; for a capture the signature does not depend on it.
    let abi = Abi { endian: Endian::NATIVE, long };
    let mut schemas = Vec::with_capacity(events.len());
    for event in &events {
        match source.format(event, long)? {
            Ok(format) => schemas.push(MessagePlan::compile(&format, &options, abi, &names).1),
            Err(error) => terminal::warn(format_args!("{event} cannot be decoded: {error}")),
        }
    }
    Ok(schemas)
}

/// The messages that a map makes from the events.
fn mapped(source: &Source, patterns: &[String], map: &Map) -> Result<Vec<Schema>> {
    let known = source.all_events()?;
    let events = list::select_among(known.clone(), patterns, source.among())?;
    let long = source.long_size()?;
    let mut formats = Vec::with_capacity(events.len());
    for event in &events {
        formats.extend(source.format(event, long)?.ok().map(Cow::into_owned));
    }
    map.check(&known, &formats)?;
    let messages = || map.messages.iter().map(|message| &**message);
    Ok(formats.iter().flat_map(|format| Mapping::compile(messages(), format).schemas).collect())
}

fn text(out: &mut impl Write, schema: &Schema, examples: &Examples) -> io::Result<()> {
    writeln!(out, "{} ,{}", Escaped(&schema.address), Escaped(&schema.tags))?;
    if let Some(meaning) = meaning::of_event(&format!("{}:{}", schema.system, schema.event)) {
        writeln!(out, "  {meaning}")?;
    }
    let width = schema.arguments.iter().map(|a| a.name.len()).max().unwrap_or(0);
    for argument in &schema.arguments {
        let (name, kernel_type) = (Escaped(&argument.name), Escaped(argument.meaning()));
        // Arguments before an event's own fields are self-explanatory.
        let own = !matches!(argument.name.as_str(), "time" | "dt" | "cpu" | "pid" | "comm");
        let meaning =
            meaning::of_field(&argument.name).filter(|_| own).map(|meaning| format!(": {meaning}")).unwrap_or_default();
        let example = examples.of(&schema.address, &argument.name).filter(|_| own);
        let example = example.map(|value| format!(", e.g. {}", Escaped(value))).unwrap_or_default();
        writeln!(out, "  {} {name:width$}  {kernel_type}{meaning}{example}", argument.tag)?;
    }
    for omitted in &schema.omitted {
        let (name, kernel_type) = (Escaped(&omitted.name), Escaped(&omitted.kernel_type));
        writeln!(out, "  - {name:width$}  {kernel_type}: left out, {}", Escaped(&omitted.why))?;
    }
    writeln!(out)
}
