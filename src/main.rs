//! The `ftrace-live` program.

use std::io::{self, Write};
use std::process::ExitCode;

use clap::Parser;
use clap::error::ErrorKind;
use ftrace_live::{
    cli::{Cli, words},
    commands, keeper, terminal,
};

fn main() -> ExitCode {
    // First of all: this process may be the keeper of another one.
    if keeper::run_if_asked() {
        return ExitCode::SUCCESS;
    }
    match Cli::try_parse_from(words::arrange(std::env::args_os())) {
        Ok(cli) => commands::run(cli),
        Err(error)
            if error.kind() == ErrorKind::DisplayVersion && std::env::args_os().any(|arg| arg == "--version") =>
        {
            // -V prints the version alone. That nobody reads it to its end is no failure.
            let _ = commands::version::print();
            ExitCode::SUCCESS
        }
        Err(error) => usage_error(&error),
    }
}

/// Says what clap says. Its colours stay, unless it would show a word that is no plain text: `ftrace-live *` in a folder of
/// somebody else's file names.
fn usage_error(error: &clap::Error) -> ExitCode {
    let text = error.render().to_string();
    let escaped = terminal::escape_lines(&text);
    if escaped == text {
        error.exit();
    }
    let _ = write!(io::stderr(), "{escaped}");
    ExitCode::from(error.exit_code() as u8)
}
