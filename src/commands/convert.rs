//! `convert`: a capture in another container.

use std::path::Path;
use std::process::ExitCode;

use anyhow::Result;

use super::written::{self, What};
use super::{Usage, captures, progress::Bar};
use crate::capture::Capture;
use crate::capture::convert::{ConvertError, convert, is_dat_name};
use crate::capture::trace_dat::Open;
use crate::cli::ConvertArgs;
use crate::terminal;

/// Converts.
pub fn run(args: &ConvertArgs) -> Result<ExitCode> {
    let output = &args.output;
    written::check("-o", output, What::Capture)?;
    if is_dat_name(output) && output.symlink_metadata().is_ok() && !is_same(&args.capture, output) {
        let how = "name another one, nothing is written over";
        return Err(Usage(format!("{} is there already: {how}", output.display())).into());
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
        terminal::warn(format_args!("{} sub-buffers were cut off and are filled up with nothing", written.incomplete));
    }
    Ok(ExitCode::SUCCESS)
}

/// Bytes of sub-buffers, as far as that is known without reading them.
fn total(capture: Capture) -> u64 {
    let size = capture.header.sub_buffer_size() as u64;
    let count = |mut ring: crate::capture::CpuRing| ring.feed.sub_buffers().ok().flatten().unwrap_or(0);
    capture.rings.into_iter().map(count).fold(0u64, u64::saturating_add).saturating_mul(size)
}

/// A file may be written anew in its own place: a recording that was killed becomes compact by that.
fn is_same(a: &Path, b: &Path) -> bool {
    matches!((a.canonicalize(), b.canonicalize()), (Ok(a), Ok(b)) if a == b)
}
