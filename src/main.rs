//! The `ftrace-live` program.

use std::io::{self, Write};
use std::process::ExitCode;

use clap::Parser;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use ftrace_live::{
    cli::{Cli, words},
    commands, escape, keeper, terminal,
};

fn main() -> ExitCode {
    // First of all: this process may have been started as a keeper.
    if keeper::run_if_asked() {
        return ExitCode::SUCCESS;
    }
    let words = words::arrange(std::env::args_os());
    if let Some(sentence) = words::misspelt(&words) {
        terminal::error(sentence);
        return ExitCode::from(2);
    }
    let words = match commands::score::apply(words) {
        Ok(words) => words,
        Err(error) => {
            terminal::error(format!("{error:#}"));
            return ExitCode::from(2);
        }
    };
    match Cli::try_parse_from(&words) {
        Ok(cli) => commands::run(cli),
        Err(error)
            if error.kind() == ErrorKind::DisplayVersion && std::env::args_os().any(|arg| arg == "--version") =>
        {
            // -V prints the version only.
            printed(commands::version::print())
        }
        Err(error) if !error.use_stderr() => printed(error.print().and_then(|()| io::stdout().flush())),
        Err(error) => match unexpected(&error).and_then(|word| words::unexpected(&words, word)) {
            Some(sentence) => {
                terminal::error(sentence);
                ExitCode::from(2)
            }
            None => usage_error(&error),
        },
    }
}

/// The word that clap did not expect.
fn unexpected(error: &clap::Error) -> Option<&str> {
    match (error.kind(), error.get(ContextKind::InvalidArg)) {
        (ErrorKind::UnknownArgument, Some(ContextValue::String(word))) => Some(word),
        _ => None,
    }
}

/// Help or a version was printed. It is not an error if nobody reads it all, but one if it cannot be written.
fn printed(done: io::Result<()>) -> ExitCode {
    match done {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            terminal::error(format_args!("cannot write standard output: {}", error.kind()));
            ExitCode::FAILURE
        }
        _ => ExitCode::SUCCESS,
    }
}

/// Prints an error of clap. Its colours are kept, unless it would print a word that is not plain text (`ftrace-live
/// *` in a folder of somebody else's file names) or a very long one, or would advise to write `-- VALUE`: after `--`
/// comes a command.
fn usage_error(error: &clap::Error) -> ExitCode {
    let advice = |line: &&str| !line.contains("to pass '");
    let without_advice =
        |text: &str| text.lines().filter(advice).collect::<Vec<_>>().join("\n").replace("\n\n\n", "\n\n");
    let text = error.render().to_string();
    let plain = escape::escape_lines(&text) == text && escape::shorten(&text) == text;
    let said = match plain && terminal::coloured() {
        _ if plain && without_advice(&text) == text.trim_end_matches('\n') => error.exit(),
        true => without_advice(&error.render().ansi().to_string()),
        false => escape::shorten(&escape::escape_lines(&without_advice(&text))).into_owned(),
    };
    let _ = writeln!(io::stderr(), "{said}");
    ExitCode::from(error.exit_code() as u8)
}
