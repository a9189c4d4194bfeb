//! `patch`: a program for a receiver.

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Result;

use super::{Usage, describe, send, source::Source};
use crate::cli::PatchArgs;
use crate::osc::patch::{self, Control, Language, Listen};
use crate::terminal;

/// Prints the program.
pub fn run(args: &PatchArgs, tracefs: Option<&Path>) -> Result<ExitCode> {
    if send::lists_presets(&args.form)? {
        return Ok(ExitCode::SUCCESS);
    }
    let language = Language::named(args.form.preset.as_deref().unwrap_or(Language::SuperCollider.name()))?;
    let patterns = [&args.events[..], &args.named].concat();
    let (source, events) = Source::open(tracefs, &patterns)?;
    let schemas = describe::schemas(&source, events, &args.form)?;
    let port = args.port.as_deref().map_or(Ok(language.preset().port), send::port)?;
    let control = args.control.as_deref().map(control).transpose()?;
    let listen = Listen { port, bind: args.bind, prefix: &args.form.prefix, control };
    let program = patch::patch(language, &schemas, listen)?;
    let mut out = terminal::stdout();
    out.write_all(program.as_bytes())?;
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}

/// `--control`: `[HOST:]PORT`.
fn control(at: &str) -> Result<Control<'_>> {
    let (host, port) = at.rsplit_once(':').unwrap_or(("127.0.0.1", at));
    let usage = || Usage(format!("--control {at:?} is neither a UDP port nor HOST:PORT: write 9000, or studio:9000"));
    let port = port.parse().ok().filter(|port| *port != 0 && !host.is_empty()).ok_or_else(usage)?;
    Ok(Control { host, port })
}
