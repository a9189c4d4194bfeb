//! The corpus: captures of other kernels, kept beside the project and not part of it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The unpacked corpus; if there is none, a line on stderr says why.
///
/// `FTRACE_LIVE_CORPUS` is the path of an unpacked one; otherwise `../shared/corpus` is unpacked once into
/// `target/corpus`.
pub fn folder() -> Option<&'static Path> {
    static FOLDER: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    match FOLDER.get_or_init(find) {
        Ok(folder) => Some(folder),
        Err(why) => {
            crate::common::skipped::say(format_args!("{why}"));
            None
        }
    }
}

fn find() -> Result<PathBuf, String> {
    if let Some(folder) = std::env::var_os("FTRACE_LIVE_CORPUS") {
        return Ok(folder.into());
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let unpack = root.join("../shared/corpus/unpack");
    if !unpack.is_file() {
        return Err("no corpus of other kernels beside the project (../shared/corpus)".into());
    }
    let folder = root.join("target/corpus");
    let status = Command::new("sh").arg(unpack).arg(&folder).status().map_err(|e| format!("corpus: sh: {e}"))?;
    status.success().then_some(folder).ok_or_else(|| format!("corpus: unpack failed: {status}"))
}

/// The captures of one machine of the corpus: folders with a ring in them, sorted.
pub fn captures(machine: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(machine).into_iter().flatten().flatten();
    let mut captures: Vec<_> = entries.map(|e| e.path()).filter(|path| path.join("per_cpu").is_dir()).collect();
    captures.sort();
    captures
}

/// The machines of the corpus, sorted: folders with captures in them.
pub fn machines(corpus: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(corpus).into_iter().flatten().flatten();
    let mut machines: Vec<_> = entries.map(|e| e.path()).filter(|path| path.join("CHECK.txt").is_file()).collect();
    machines.sort();
    machines
}
