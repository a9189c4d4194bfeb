//! `convert`: converts a capture to another container.

use std::fs::File;
use std::io::{self, BufWriter};
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};

use super::written::{self, What};
use super::{Usage, captures, progress::Bar};
use crate::capture::Capture;
use crate::capture::convert::{ConvertError, convert, is_dat_name};
use crate::capture::{trace_dat::Open, trace_json};
use crate::cli::ConvertArgs;
use crate::terminal;

/// Converts.
pub fn run(args: &ConvertArgs) -> Result<ExitCode> {
    let output = &args.output;
    if output.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("json")) && !output.is_dir() {
        written::check("-o", output, What::File)?;
        return to_json(args);
    }
    written::check("-o", output, What::Capture)?;
    if is_dat_name(output) && output.symlink_metadata().is_ok() && !is_same(&args.capture, output) {
        let how = "give another name, nothing is overwritten";
        return Err(Usage(format!("{} exists: {how}", output.display())).into());
    }
    let total = total(captures::open(&args.capture, args.salvage, None)?);
    let mut bar = Bar::over_bytes();
    let mut progress = |bytes: u64| bar.show(bytes, total, String::new);
    let converted = convert(&args.capture, output, Open { salvage: args.salvage }, &mut progress);
    let converted = converted.map_err(|error| match error {
        ConvertError::Capture(error) => captures::remedy(error, args.salvage),
        error => error.into(),
    })?;
    drop(bar);
    let written = converted.written;
    let (sub_buffers, bytes) = (written.sub_buffers, written.bytes);
    terminal::say(format_args!("{}: {sub_buffers} sub-buffers, {} KiB", output.display(), bytes.div_ceil(1024)));
    if written.incomplete > 0 {
        terminal::warn(format_args!("{} truncated sub-buffers were filled with zeros", written.incomplete));
    }
    Ok(ExitCode::SUCCESS)
}

/// Writes JSON for Perfetto and Chrome's trace viewer.
fn to_json(args: &ConvertArgs) -> Result<ExitCode> {
    let (output, how) = (args.output.display(), "give another name, nothing is overwritten");
    let capture = captures::open(&args.capture, args.salvage, None)?;
    let file = File::create_new(&args.output).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => anyhow::Error::from(Usage(format!("{output} exists: {how}"))),
        _ => anyhow::Error::from(error).context(format!("cannot write {output}")),
    })?;
    let written = written::whole_or_gone(&args.output, || {
        let written = trace_json::write(capture, args.jobs.jobs(), BufWriter::new(file))
            .with_context(|| format!("cannot write {output}"))?;
        match written.errors.first() {
            Some(error) if !args.salvage => bail!("{}: {error}; {}", args.capture.display(), captures::SALVAGE),
            _ => Ok(written),
        }
    })?;
    terminal::say(format_args!("{output}: {} events", written.events));
    written.errors.iter().for_each(terminal::warn);
    for (count, what) in [
        (written.lost, "events were lost when it was captured"),
        (written.gaps, "gaps of unknown size are in it: events were lost"),
        (written.malformed_sub_buffers, "sub-buffers could not be read to their end"),
        (written.malformed, "records are malformed, or of unknown events"),
    ] {
        if count > 0 {
            terminal::warn(format_args!("{count} {what}"));
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The size of all sub-buffers, as far as known without reading them.
fn total(capture: Capture) -> u64 {
    let size = capture.header.sub_buffer_size() as u64;
    let count = |mut ring: crate::capture::CpuRing| ring.feed.sub_buffers().ok().flatten().unwrap_or(0);
    capture.rings.into_iter().map(count).fold(0u64, u64::saturating_add).saturating_mul(size)
}

/// A file may be converted in place, which compacts a recording that was killed.
fn is_same(a: &Path, b: &Path) -> bool {
    matches!((a.canonicalize(), b.canonicalize()), (Ok(a), Ok(b)) if a == b)
}
