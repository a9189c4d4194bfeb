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
        Names::read(|name| read_file(&folder.join(name), MAX_NAMES))
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

/// The file's bytes, at most `limit`; none if there is no such file.
fn read_file(path: &Path, limit: u64) -> io::Result<Option<Vec<u8>>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(e),
    };
    // The kernel's files report size 0, and a device is endless: the limit applies while reading.
    let mut bytes = Vec::with_capacity(file.metadata()?.len().min(limit) as usize);
    match file.take(limit + 1).read_to_end(&mut bytes)? {
        len if len as u64 > limit => Err(io::Error::other(format!("longer than the limit of {limit} bytes"))),
        _ => Ok(Some(bytes)),
    }
}

/// The numbers of the folder's CPUs.
fn cpus(folder: &Path) -> impl Iterator<Item = u32> {
    let entries = fs::read_dir(folder.join("per_cpu")).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.strip_prefix("cpu")?.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_settings_are_those_of_the_folders_files() {
        let dir = tempfile::tempdir().unwrap();
        let write = |file: &str, text: &str| fs::write(dir.path().join(file), text).unwrap();
        for folder in ["per_cpu/cpu0", "per_cpu/cpu12", "per_cpu/cpux", "per_cpu/other3"] {
            fs::create_dir_all(dir.path().join(folder)).unwrap();
        }
        write("saved_cmdlines", "12 sh\n");
        write("current_tracer", "function_graph\n");
        write("per_cpu/cpu12/stats", "entries: 1\noverrun: 2\n");
        let (names, errors) = Names::load(dir.path());
        assert_eq!((names.comms.get(12), errors.len()), (Some(&b"sh"[..]), 0));
        let mut numbers: Vec<_> = cpus(dir.path()).collect();
        numbers.sort_unstable();
        assert_eq!(numbers, [0, 12]);
        let settings = Settings::load(dir.path(), "mono");
        // The width of "12", which the kernel pads CPU numbers to.
        assert_eq!(settings.graph.map(|graph| graph.cpu_width), Some(2));
        assert!(settings.overrun);
    }

    #[test]
    fn a_file_is_read_up_to_its_limit_and_only_a_missing_one_is_no_error() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        fs::write(&file, "four").unwrap();
        assert_eq!(read_file(&file, 4).unwrap().as_deref(), Some(&b"four"[..]));
        assert_eq!(read_file(&file, 5).unwrap().as_deref(), Some(&b"four"[..]));
        assert_eq!(read_file(&file, 3).unwrap_err().to_string(), "longer than the limit of 3 bytes");
        assert_eq!(read_file(&dir.path().join("none"), 4).unwrap(), None);
        // ENOTDIR from open(2), EISDIR from read(2).
        assert!(read_file(&file.join("below"), 4).is_err());
        assert!(read_file(dir.path(), 4).is_err());
    }
}
