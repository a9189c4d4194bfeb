//! The files beside the rings in a folder that mirrors tracefs: names, and the settings of its text.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

use crate::names::{Names, NamesError};
use crate::render::Settings;

/// Kernels' symbol files have 4 to 15 MB, BTF 4 to 8; a much longer file is neither and is not read.
const MAX_NAMES: u64 = 256 << 20;

/// Definitions of some thousand probes; a longer file is not a control file.
const MAX_SETTINGS: u64 = 4 << 20;

impl Names {
    /// Loads the names from the files in `folder`: [`Names::read`]. A file that is too long is not read.
    pub fn load(folder: &Path) -> (Names, Vec<NamesError>) {
        Names::read(|name| read_file(&folder.join(name)))
    }
}

impl Settings {
    /// Loads the settings of `folder`, a tracefs instance or a capture: [`Settings::read`]. `clock` is the name of
    /// the trace clock.
    pub fn load(folder: &Path, clock: &str) -> Settings {
        let cpus: Vec<u32> = cpus(folder).collect();
        Settings::read(clock, &cpus, |name| {
            let mut bytes = Vec::new();
            let file = File::open(folder.join(name)).map(|file| file.take(MAX_SETTINGS).read_to_end(&mut bytes));
            file.map_or_else(|_| String::new(), |_| String::from_utf8_lossy(&bytes).into_owned())
        })
    }
}

/// The file's bytes; none if there is no such file.
fn read_file(path: &Path) -> io::Result<Option<Vec<u8>>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(e),
    };
    // The kernel's files report size 0, and a device is endless: the limit applies while reading.
    let mut bytes = Vec::with_capacity(file.metadata()?.len().min(MAX_NAMES) as usize);
    match file.take(MAX_NAMES + 1).read_to_end(&mut bytes)? {
        len if len as u64 > MAX_NAMES => Err(io::Error::other(format!("longer than the limit of {MAX_NAMES} bytes"))),
        _ => Ok(Some(bytes)),
    }
}

/// The numbers of the folder's CPUs.
fn cpus(folder: &Path) -> impl Iterator<Item = u32> {
    let entries = fs::read_dir(folder.join("per_cpu")).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.strip_prefix("cpu")?.parse().ok())
}
