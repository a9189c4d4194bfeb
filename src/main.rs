//! The `ftrace-live` program.

use std::process::ExitCode;

use clap::Parser;
use ftrace_live::{cli::Cli, commands, tracefs::guard};

fn main() -> ExitCode {
    // First of all: this process may be the guard of another one.
    if guard::run_if_asked() {
        return ExitCode::SUCCESS;
    }
    commands::run(Cli::parse())
}
