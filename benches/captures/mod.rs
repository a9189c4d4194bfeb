//! The captures measured by a bench of text: those on its command line, or two of the project's own.

use std::path::PathBuf;

/// Their folders or files. Arguments with `--` are cargo's.
pub fn asked() -> Vec<PathBuf> {
    let named: Vec<_> = std::env::args().skip(1).filter(|word| !word.starts_with("--")).map(PathBuf::from).collect();
    if !named.is_empty() {
        return named;
    }
    let fixtures = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/x86_64-6.18"));
    ["sched", "syscalls"].map(|name| fixtures.join(name)).into()
}
