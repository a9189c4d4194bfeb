//! Files of tracefs and /proc that are looked at again and again, as the counts of a ring are once a second: they stay open.
//!
//! Opening one is the keeper's to do: two messages, two switches of tasks and a dozen system calls each time, for every CPU. A file of
//! tracefs or of /proc/net that is read at offset 0 again is made anew (`tracing_stats_read`, `seq_read_iter`).

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use rustix::process::{Resource, getrlimit};

/// Longer than most of these files.
const CHUNK: usize = 4096;
/// Descriptors that are left to everything else: where the limit is as low as that, nothing stays open.
const SPARE: u64 = 32;

/// The files that were looked at, by name.
#[derive(Debug, Default)]
pub(crate) struct LookedAt(Mutex<BTreeMap<String, File>>);

impl LookedAt {
    /// The bytes of `name` now, which is opened the first time, and each time where there is no room to keep it open.
    ///
    /// # Errors
    /// It cannot be opened, or read.
    pub(crate) fn read(&self, name: &str, open: impl FnOnce(&Path) -> io::Result<File>) -> io::Result<Vec<u8>> {
        let mut files = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(file) = files.get(name) {
            return whole(file);
        }
        let file = open(Path::new(name))?;
        let bytes = whole(&file)?;
        if has_room(file.as_raw_fd(), getrlimit(Resource::Nofile).current) {
            files.insert(name.to_owned(), file);
        }
        Ok(bytes)
    }

    /// Closes them all.
    pub(crate) fn close(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

/// Whether `fd` may stay open below the limit of RLIMIT_NOFILE; `None`: there is none. The kernel gives out the lowest number that is
/// free, so that it tells how many are in use.
fn has_room(fd: RawFd, limit: Option<u64>) -> bool {
    limit.is_none_or(|limit| u64::try_from(fd).is_ok_and(|fd| fd.saturating_add(SPARE) < limit))
}

/// All of a file, from its beginning, wherever it was read to.
fn whole(file: &File) -> io::Result<Vec<u8>> {
    let (mut bytes, mut len) = (vec![0; CHUNK], 0);
    loop {
        match file.read_at(bytes.get_mut(len..).unwrap_or_default(), len as u64) {
            Ok(0) => break,
            Ok(more) => len += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
        if len + CHUNK / 2 > bytes.len() {
            bytes.resize(bytes.len() + CHUNK, 0);
        }
    }
    bytes.truncate(len);
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn where_few_descriptors_are_allowed_none_stays_open() {
        // `ulimit -n 16`, the usual 1024 with few and with nearly all in use, and no limit.
        assert!(!has_room(9, Some(16)));
        assert!(has_room(9, Some(1024)) && !has_room(1000, Some(1024)));
        assert!(has_room(100_000, None));
    }

    #[test]
    fn a_file_is_opened_once_and_read_whole_as_it_is_now() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        let path = file.path().to_owned();
        let looked_at = LookedAt::default();
        let mut opened = 0;
        let mut read = || {
            looked_at.read("stats", |_| {
                opened += 1;
                File::open(&path)
            })
        };
        file.write_all(&[7; 3 * CHUNK + 5]).unwrap();
        assert_eq!(read().unwrap(), [7; 3 * CHUNK + 5]);
        file.as_file().set_len(0).unwrap();
        file.as_file().write_at(b"entries: 1", 0).unwrap();
        assert_eq!(read().unwrap(), b"entries: 1");
        looked_at.close();
        assert_eq!(read().unwrap(), b"entries: 1");
        assert_eq!(opened, 2);
    }
}
