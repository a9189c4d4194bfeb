//! The subcommands: each checks its arguments, converts them to options, and runs one object.

mod address;
mod capture;
mod captures;
mod control;
mod convert;
mod describe;
mod example;
mod follow;
mod list;
mod listen;
mod live;
mod page;
mod patch;
mod play;
mod player;
mod progress;
mod render;
mod replay;
pub mod score;
mod send;
mod setup;
mod source;
mod stat;
mod together;
mod toml_file;
pub mod version;
mod written;

use std::io::{self, Write};
use std::process::ExitCode;

use anyhow::Result;

use crate::cli::{Cli, Command, about};
use crate::rights;
use crate::terminal::{self, Verbosity};

/// The command line is wrong: exit code 2.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Usage(pub String);

/// Runs the command line. An error is printed to standard error as one sentence.
pub fn run(cli: Cli) -> ExitCode {
    match dispatch(cli) {
        Ok(code) => code,
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        // The errors of files have their names.
        Err(error) if error.chain().len() == 1 && error.downcast_ref().is_some_and(is_full) => {
            terminal::error(format_args!("cannot write standard output: {error}"));
            ExitCode::FAILURE
        }
        Err(error) => {
            terminal::error(sentence(&error));
            ExitCode::from(code(&error))
        }
    }
}

fn dispatch(mut cli: Cli) -> Result<ExitCode> {
    terminal::set_verbosity(match (cli.quiet, cli.verbose) {
        (true, _) => Verbosity::Quiet,
        (false, false) => Verbosity::Usual,
        (false, true) => Verbosity::Verbose,
    });
    cli.live.take_events_too();
    if let Some(Command::Replay(args)) = &mut cli.command {
        args.take_events_too();
    }
    let asked = match &mut cli.command {
        None => cli.live.send.imply_raw(),
        Some(Command::Replay(args)) => args.send.imply_raw(),
        Some(_) => vec![],
    };
    if !asked.is_empty() {
        terminal::say(format_args!("sending typed messages, as with --raw: implied by {}", asked.join(", ")));
    }
    let tracefs = cli.tracefs.as_deref();
    let opens_tracefs = match &cli.command {
        // These give up rights themselves, once the keeper runs.
        None | Some(Command::Capture(_)) => true,
        Some(Command::List(args)) => source::is_of_tracefs(tracefs, &args.patterns),
        Some(Command::Describe(args)) => source::is_of_tracefs(tracefs, &args.events),
        Some(Command::Patch(args)) => source::is_of_tracefs(tracefs, &args.events),
        Some(_) => false,
    };
    if !opens_tracefs {
        rights::give_up_capabilities()?;
    }
    match cli.command {
        None => {
            let prefix = &mut cli.live.send.form.prefix;
            *prefix = together::with_this_host(prefix)?;
            live::run(&cli.live, tracefs)
        }
        Some(Command::List(args)) => list::run(&args, tracefs),
        Some(Command::Describe(args)) => describe::run(&args, tracefs),
        Some(Command::Capture(args)) => capture::run(&args, tracefs),
        Some(Command::Replay(args)) => replay::run(&args),
        Some(Command::Render(args)) => render::run(&args),
        Some(Command::Stat(args)) => stat::run(&args),
        Some(Command::Convert(args)) => convert::run(&args),
        Some(Command::Page(args)) => page::run(&args),
        Some(Command::Listen(args)) => listen::run(&args),
        Some(Command::Patch(args)) => patch::run(&args, tracefs),
        Some(Command::Completions(args)) => print(|out| about::completions(args.shell, out)),
        Some(Command::Man) => print(|out| about::man(out)),
        Some(Command::Setup(args)) => setup::set_up(&args, tracefs),
        Some(Command::Teardown(args)) => setup::tear_down(&args, tracefs),
    }
}

fn is_full(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::StorageFull
}

/// Prints a text.
fn print(write: impl FnOnce(&mut dyn io::Write) -> io::Result<()>) -> Result<ExitCode> {
    let mut text = Vec::new();
    write(&mut text)?;
    io::stdout().write_all(&text)?;
    Ok(ExitCode::SUCCESS)
}

/// An error with its causes. Many messages already include their cause, which is then not repeated.
fn sentence(error: &anyhow::Error) -> String {
    error.chain().skip(1).fold(error.to_string(), |said, cause| {
        let cause = cause.to_string();
        if said.contains(&cause) { said } else { format!("{said}: {cause}") }
    })
}

/// The exit code of an error: as in a shell if it is about the command to be traced.
fn code(error: &anyhow::Error) -> u8 {
    use crate::capture::FreezeError;
    use crate::live::LiveError;
    use crate::tracefs::TracefsError;
    let command = error.chain().find_map(|cause| {
        // A transparent error hides the one it wraps.
        let tracefs = match (cause.downcast_ref::<LiveError>(), cause.downcast_ref::<FreezeError>()) {
            (Some(LiveError::Tracefs(error)), _) | (_, Some(FreezeError::Tracefs(error))) => Some(error),
            _ => cause.downcast_ref::<TracefsError>(),
        };
        match tracefs {
            Some(TracefsError::NoSuchCommand(_)) => Some(127),
            Some(TracefsError::Command { .. }) => Some(126),
            _ => None,
        }
    });
    command.unwrap_or(if is_usage(error) { 2 } else { 1 })
}

/// Whether the command line is at fault rather than the machine.
fn is_usage(error: &anyhow::Error) -> bool {
    use crate::capture::FreezeError;
    use crate::capture::convert::ConvertError;
    use crate::capture::latency::PairError;
    use crate::capture::moment::FindError;
    use crate::capture::select::SelectError;
    use crate::live::LiveError;
    use crate::map::Mistake;
    use crate::osc::aggregate::AggregateError;
    use crate::osc::patch::PatchError;
    use crate::osc::preset::{TargetError, UnknownPreset};
    use crate::output::CheckError;
    use crate::replay::ReplayError;
    use crate::tracefs::TracefsError;
    error.chain().any(|cause| {
        cause.is::<Usage>()
            || cause.is::<UnknownPreset>()
            || cause.is::<PatchError>()
            || cause.is::<AggregateError>()
            || cause.is::<CheckError>()
            || cause.is::<Mistake>()
            || cause.is::<TargetError>()
            || cause.downcast_ref::<TracefsError>().is_some_and(TracefsError::is_usage)
            || cause.downcast_ref::<FreezeError>().is_some_and(FreezeError::is_usage)
            || cause.downcast_ref::<FindError>().is_some_and(FindError::is_usage)
            || cause.downcast_ref::<PairError>().is_some_and(PairError::is_usage)
            || cause.downcast_ref::<SelectError>().is_some_and(SelectError::is_usage)
            || cause.downcast_ref::<ReplayError>().is_some_and(ReplayError::is_usage)
            || cause.downcast_ref::<ConvertError>().is_some_and(ConvertError::is_usage)
            || cause.downcast_ref::<LiveError>().is_some_and(LiveError::is_usage)
    })
}

/// Whether the reader of our output closed the pipe: `ftrace-live list | head`.
fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let kind = |cause: &(dyn std::error::Error + 'static)| cause.downcast_ref::<std::io::Error>().map(|e| e.kind());
    error.chain().any(|cause| kind(cause) == Some(std::io::ErrorKind::BrokenPipe))
}
