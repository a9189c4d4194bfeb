//! What a test cannot try here: said at once, for whoever runs that test alone, and noted for the end of the run, where
//! `tests/zz_skipped.rs` lists all of it.
//!
//! cargo shows nothing that a passing test writes, so what is said at once is seen with `--nocapture` only.

use std::fmt::Display;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::PathBuf;

/// Says that the running test leaves out something, and why.
pub fn say(why: impl Display) {
    let why = why.to_string().replace('\n', " ");
    eprintln!("SKIPPED: {why}");
    let Some(notes) = notes() else { return };
    let thread = std::thread::current();
    let test = thread.name().unwrap_or("a thread");
    // Of tests at the same time each has its line whole: one write with O_APPEND.
    let line = format!("{}\t{}\t{test}\t{}\n", run(), file(), why.trim());
    if let Ok(mut notes) = OpenOptions::new().append(true).create(true).open(notes) {
        let _ = notes.write_all(line.as_bytes());
    }
}

/// Where they are noted: beside the test programs' folder. A run as another user has notes of its own.
pub fn notes() -> Option<PathBuf> {
    let program = std::env::current_exe().ok()?;
    let user = rustix::process::getuid().as_raw();
    Some(program.parent()?.parent()?.join(format!("skipped-tests-{user}")))
}

/// What the tests of one run have in common: the cargo that started them.
pub fn run() -> String {
    rustix::process::getppid().map_or(0, |cargo| cargo.as_raw_nonzero().get()).to_string()
}

/// The file of this test program, without the hash in its name.
fn file() -> String {
    let program = std::env::current_exe().ok();
    let stem = program.as_deref().and_then(|program| program.file_stem()?.to_str()).unwrap_or("?");
    stem.rsplit_once('-').map_or(stem, |(name, _)| name).to_owned()
}
