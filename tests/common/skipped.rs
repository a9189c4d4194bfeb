//! What a test cannot check here: printed at once, for whoever runs only that test, and recorded for the end of the
//! run, where `tests/zz_skipped.rs` lists all of it.
//!
//! cargo hides the output of passing tests, so what is printed at once is visible with `--nocapture` only.

use std::fmt::Display;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::PathBuf;

/// Says that the running test skips something, and why.
pub fn say(why: impl Display) {
    let why = why.to_string().replace('\n', " ");
    eprintln!("SKIPPED: {why}");
    let Some(notes) = notes() else { return };
    let thread = std::thread::current();
    let test = thread.name().unwrap_or("a thread");
    // One write with O_APPEND, so that lines of concurrent tests do not mix.
    let line = format!("{}\t{}\t{test}\t{}\n", run(), file(), why.trim());
    if let Ok(mut notes) = OpenOptions::new().append(true).create(true).open(notes) {
        let _ = notes.write_all(line.as_bytes());
    }
}

/// The file of the records: beside the folder of test programs. A run as another user has its own.
pub fn notes() -> Option<PathBuf> {
    let program = std::env::current_exe().ok()?;
    let user = rustix::process::getuid().as_raw();
    Some(program.parent()?.parent()?.join(format!("skipped-tests-{user}")))
}

/// An identifier common to the tests of one run: the cargo process that started them.
pub fn run() -> String {
    rustix::process::getppid().map_or(0, |cargo| cargo.as_raw_nonzero().get()).to_string()
}

/// The file of this test program, without the hash in its name.
fn file() -> String {
    let program = std::env::current_exe().ok();
    let stem = program.as_deref().and_then(|program| program.file_stem()?.to_str()).unwrap_or("?");
    stem.rsplit_once('-').map_or(stem, |(name, _)| name).to_owned()
}
