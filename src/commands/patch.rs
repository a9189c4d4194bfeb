//! `patch`: a program for a receiver.

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Result;

use super::{describe, send, source::Source};
use crate::cli::PatchArgs;
use crate::osc::patch::{self, Language, Listen};
use crate::terminal;

/// Prints the program.
pub fn run(args: &PatchArgs, tracefs: Option<&Path>) -> Result<ExitCode> {
    if send::lists_presets(&args.form)? {
        return Ok(ExitCode::SUCCESS);
    }
    let language = Language::named(args.form.preset.as_deref().unwrap_or(Language::SuperCollider.name()))?;
    let (source, events) = Source::open(tracefs, &args.events)?;
    let schemas = describe::schemas(&source, events, &args.form)?;
    let port = args.port.as_deref().map_or(Ok(language.preset().port), send::port)?;
    let program = patch::patch(language, &schemas, Listen { port, prefix: &args.form.prefix })?;
    let mut out = terminal::stdout();
    out.write_all(program.as_bytes())?;
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}
