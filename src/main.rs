//! The `ftrace-live` program.
use std::process::ExitCode;

fn main() -> ExitCode {
    // First of all: this process may be the guard of another one.
    if ftrace_live::tracefs::guard::run_if_asked() {
        return ExitCode::SUCCESS;
    }
    ExitCode::SUCCESS
}
