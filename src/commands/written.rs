//! Checks the names of output files and folders before the work is done.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use anyhow::Result;

use super::Usage;
use crate::capture::convert::is_dat_name;

/// What will be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// A folder, or a trace.dat if the name ends in .dat.
    Capture,
    /// A trace.dat.
    Dat,
    /// A file of any name.
    File,
}

/// Endings of file formats that we do not write.
const OTHER_FILES: &[&str] = &[
    "trace", "data", "perf", "txt", "log", "json", "csv", "raw", "bin", "ctf", "pcap", "gz", "zst", "xz", "zip", "tar",
    "tgz", "wav",
];

/// Refuses a name that does not suit what will be written.
pub fn check(option: &str, path: &Path, what: What) -> Result<()> {
    let refuse = |why: String| Err(Usage(why).into());
    let shown = path.display();
    if path.as_os_str() == "-" {
        return refuse(match what {
            What::File => format!("{option} - is the default: leave it out"),
            What::Capture | What::Dat => {
                format!(
                    "{option} - is not possible: parts of a capture are written last, so it needs a file, such as {option} x.dat"
                )
            }
        });
    }
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty() && !parent.is_dir());
    if let Some(parent) = parent {
        let parent = parent.display();
        return refuse(format!("{shown}: there is no folder {parent}: create it first (mkdir -p {parent})"));
    }
    if what != What::Capture && path.is_dir() {
        return refuse(format!("{option} {shown} is a folder: give a file in it"));
    }
    // A folder that is missing is created.
    let taken = |path: &Path| std::fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_some());
    if what == What::Capture && taken(path) {
        return refuse(format!("{option} {shown} is not empty: give a new folder, nothing is overwritten"));
    }
    let ending = path.extension().map(|ending| ending.to_string_lossy().to_lowercase());
    match (what, ending.as_deref()) {
        (What::Dat, Some(_)) if !is_dat_name(path) => refuse(format!(
            "{option} {shown}: only a trace.dat can be written: name it {}",
            path.with_extension("dat").display()
        )),
        (What::Capture, Some(ending)) if OTHER_FILES.contains(&ending) && !path.is_dir() => refuse(format!(
            "{option} {shown}: only a trace.dat or a folder can be written: name it {}, or {} for a folder",
            path.with_extension("dat").display(),
            path.with_extension("").display()
        )),
        _ => Ok(()),
    }
}

/// Creates a file, or truncates an existing regular file of ours. Anything else is left alone: a link would redirect
/// us to another file, a pipe would block, a device would swallow the data.
pub fn create(path: &Path) -> io::Result<File> {
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK;
    let options = OpenOptions::new().write(true).create(true).truncate(false).custom_flags(flags).open(path);
    let file = options.map_err(|error| match error.raw_os_error() {
        Some(libc::ELOOP) => io::Error::other("this is a symbolic link: give the file itself"),
        Some(libc::ENXIO) => io::Error::other(NO_FILE),
        _ => error,
    })?;
    let found = file.metadata()?;
    if !found.is_file() {
        return Err(io::Error::other(NO_FILE));
    }
    if found.nlink() > 1 {
        return Err(io::Error::other("this file has other names (hard links), which would be overwritten too"));
    }
    file.set_len(0)?;
    Ok(file)
}

/// Calls `write` for the file at `path`, which is ours, and removes the file if that fails: half a file could be
/// mistaken for a complete one.
pub fn whole_or_gone<T>(path: &Path, write: impl FnOnce() -> Result<T>) -> Result<T> {
    write().inspect_err(|_| {
        // The error of `write` is more important than one of removing.
        let _ = std::fs::remove_file(path);
    })
}

const NO_FILE: &str = "this is a pipe, a device or the like: give a file, or redirect standard output there";
