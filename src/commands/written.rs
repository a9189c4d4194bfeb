//! Names of files and folders to be written: what is wrong with one is said before the work is done.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use anyhow::Result;

use super::Usage;
use crate::capture::convert::is_dat_name;

/// What is to be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// A folder, or a trace.dat if the name ends so.
    Capture,
    /// A trace.dat.
    Dat,
    /// A file of any name.
    File,
}

/// Endings that say that a file is meant which we do not write.
const OTHER_FILES: &[&str] = &[
    "trace", "data", "perf", "txt", "log", "json", "csv", "raw", "bin", "ctf", "pcap", "gz", "zst", "xz", "zip", "tar",
    "tgz", "wav",
];

/// Refuses a name that is none of a thing to be written.
pub fn check(option: &str, path: &Path, what: What) -> Result<()> {
    let refuse = |why: String| Err(Usage(why).into());
    let shown = path.display();
    if path.as_os_str() == "-" {
        return refuse(match what {
            What::File => format!("{option} - is what happens without {option}: leave it out"),
            What::Capture | What::Dat => {
                format!(
                    "{option} - cannot be: parts of a capture are written last, so it needs a file, such as {option} x.dat"
                )
            }
        });
    }
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty() && !parent.is_dir());
    if let Some(parent) = parent {
        let parent = parent.display();
        return refuse(format!("{shown}: there is no folder {parent}: make it first (mkdir -p {parent})"));
    }
    if what != What::Capture && path.is_dir() {
        return refuse(format!("{option} {shown} is a folder: name a file in it"));
    }
    let ending = path.extension().map(|ending| ending.to_string_lossy().to_lowercase());
    match (what, ending.as_deref()) {
        (What::Dat, Some(_)) if !is_dat_name(path) => refuse(format!(
            "{option} {shown}: a trace.dat is written: name it {}",
            path.with_extension("dat").display()
        )),
        (What::Capture, Some(ending)) if OTHER_FILES.contains(&ending) && !path.is_dir() => refuse(format!(
            "{option} {shown}: a folder is written, or a trace.dat: name it {}, or {} for a folder",
            path.with_extension("dat").display(),
            path.with_extension("").display()
        )),
        _ => Ok(()),
    }
}

/// Makes a file, or writes one over that is ours alone. What else stands in its place stays as it is: a link would lead us to
/// another file, a pipe would keep us waiting, a device would take all and keep nothing.
pub fn create(path: &Path) -> io::Result<File> {
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK;
    let options = OpenOptions::new().write(true).create(true).truncate(false).custom_flags(flags).open(path);
    let file = options.map_err(|error| match error.raw_os_error() {
        Some(libc::ELOOP) => io::Error::other("this is a symbolic link: name the file itself"),
        Some(libc::ENXIO) => io::Error::other(NO_FILE),
        _ => error,
    })?;
    let found = file.metadata()?;
    if !found.is_file() {
        return Err(io::Error::other(NO_FILE));
    }
    if found.nlink() > 1 {
        return Err(io::Error::other("this file has other names (hard links), which would be written over too"));
    }
    file.set_len(0)?;
    Ok(file)
}

/// Does what writes the file at `path`, which is ours, and removes it if that fails: half a file would be taken for a whole one.
pub fn whole_or_gone<T>(path: &Path, write: impl FnOnce() -> Result<T>) -> Result<T> {
    write().inspect_err(|_| {
        // That it stays is no more than what was to be said anyway.
        let _ = std::fs::remove_file(path);
    })
}

const NO_FILE: &str = "this is a pipe, a device or the like: name a file, or lead standard output there";
