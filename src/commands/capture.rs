//! `capture`: records to a folder or a `trace.dat`.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use anyhow::Result;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use super::written::{self, What};
use super::{Usage, live, player, source};
use crate::capture::convert::is_dat_name;
use crate::capture::{self, CaptureOptions, CommandEnd, CopyOptions, WhatOf};
use crate::cli::CaptureArgs;
use crate::keeper::Keeper;
use crate::terminal::{self, Verbosity};
use crate::tracefs::{Kind, PidView, exit_code, remove_stale};

/// Captures.
pub fn run(args: &CaptureArgs, tracefs: Option<&Path>) -> Result<ExitCode> {
    written::check("-o", &args.output, What::Capture)?;
    if let Some(name) = &args.instance {
        return copy(args, name, tracefs);
    }
    let duration = args.trace.seconds;
    let player = player::start(&args.trace, tracefs, Some(&args.output))?;
    let tracefs = player.tracefs.clone();
    let setup = live::setup(&args.trace, &tracefs)?;
    setup.check()?;
    PidView::ours().note().into_iter().for_each(terminal::say);
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        signal_hook::flag::register(signal, stop.clone())?;
    }
    let keeper = player.keeper.clone().map_or_else(|| Keeper::start(&tracefs), Ok)?;
    for stale in remove_stale(&tracefs)? {
        terminal::say(format_args!("removed {}, left behind by an earlier run", stale.name));
    }
    terminal::say(format_args!("capturing {} events into {}", setup.events.len(), args.output.display()));
    player.confine(Some(&args.output))?;
    let (folder, command, kallsyms) = (args.output.clone(), args.trace.command.clone(), args.kallsyms);
    let options = CaptureOptions { folder, setup, command, stopped: player.command, duration, kallsyms };
    let frozen = capture::capture(&tracefs, Some(&keeper), options, &stop)?;
    for failure in &frozen.failures {
        terminal::warn(failure);
    }
    for warning in &frozen.warnings {
        terminal::warn(warning);
    }
    let recorded = frozen.recorded;
    let lost: u64 = frozen.stats.iter().map(|(_, stats)| stats.lost()).sum();
    terminal::say(format_args!(
        "{recorded} events in {} KiB, {lost} lost; play them with: ftrace-live replay {} --raw",
        frozen.bytes / 1024,
        frozen.folder.display()
    ));
    if lost > 0 && !terminal::says(Verbosity::Usual) {
        terminal::lost(format_args!("{lost} lost"));
    }
    if let Some(why) = &frozen.cut {
        terminal::warn(format_args!("the recording ended early: {why}; what was recorded up to then can be played"));
        return Ok(ExitCode::FAILURE);
    }
    Ok(match frozen.command {
        CommandEnd::Ended(status) => ExitCode::from(exit_code(status) as u8),
        CommandEnd::None | CommandEnd::Running(_) => ExitCode::SUCCESS,
    })
}

/// Copies what another instance has recorded.
fn copy(args: &CaptureArgs, name: &str, tracefs: Option<&Path>) -> Result<ExitCode> {
    if is_dat_name(&args.output) {
        let how = "give a folder; ftrace-live convert makes a trace.dat from it";
        return Err(Usage(format!(
            "--instance is copied to a folder, and {} is not one: {how}",
            args.output.display()
        ))
        .into());
    }
    let tracefs = source::open_tracefs(tracefs)?;
    if tracefs.kind() != Kind::Live || tracefs.is_lent() {
        return Err(Usage("--instance needs a tracefs with instances, and root: run this with sudo".to_owned()).into());
    }
    let what = match (args.snapshot, args.take) {
        (true, _) => WhatOf::Snapshot,
        (false, true) => WhatOf::Taken,
        (false, false) => WhatOf::Ring,
    };
    let options = CopyOptions { what, kallsyms: args.kallsyms };
    let copied = capture::copy_instance(&tracefs, name, &args.output, options)?;
    copied.notes.iter().for_each(terminal::say);
    copied.warnings.iter().for_each(terminal::warn);
    let lost: u64 = copied.stats.iter().map(|(_, stats)| stats.lost()).sum();
    terminal::say(format_args!(
        "{} events of {name} in {} KiB, {lost} had been lost; play them with: ftrace-live replay {} --raw",
        copied.recorded,
        copied.bytes / 1024,
        copied.folder.display()
    ));
    Ok(ExitCode::SUCCESS)
}
