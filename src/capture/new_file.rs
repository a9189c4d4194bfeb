//! A file that is being written, by its place in a folder that was opened once.
//!
//! A path means another file as soon as somebody renames one of its folders or puts a link there. Where we write for a user
//! behind sudo, that somebody may be this user, and the other file one that only root may touch. So the folder is opened
//! once, files in it are made anew by their own names (`O_EXCL`, `O_NOFOLLOW`), and what is given to the user is a
//! descriptor of ours, never what a path names later.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Once};

use rustix::fs::{AtFlags, CWD, Mode, OFlags, openat, renameat, unlinkat};

/// The place of a file: a folder, open, and a name in it.
#[derive(Debug, Clone)]
pub(super) struct Place {
    folder: Arc<OwnedFd>,
    name: OsString,
    path: PathBuf,
}

impl Place {
    /// The place that `path` names now.
    ///
    /// # Errors
    /// There is no such folder, or the path ends in no name.
    pub(super) fn of(path: &Path) -> io::Result<Place> {
        let name = path.file_name().ok_or_else(|| io::Error::from(io::ErrorKind::IsADirectory))?.to_owned();
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let folder = openat(CWD, folder, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
        Ok(Place { folder: Arc::new(folder), name, path: path.to_owned() })
    }

    /// The place beside it whose name ends in `suffix`.
    pub(super) fn beside(&self, suffix: &str) -> Place {
        let (mut name, mut path) = (self.name.clone(), self.path.clone().into_os_string());
        name.push(suffix);
        path.push(suffix);
        Place { folder: self.folder.clone(), name, path: path.into() }
    }

    /// The path, for people.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Makes the file, for reading and writing. It belongs to the user behind sudo, where there is one.
    ///
    /// # Errors
    /// Something of that name is there (also a link that leads nowhere), or the folder refuses.
    pub(super) fn create(&self) -> io::Result<File> {
        survive_file_size_limit();
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = File::from(openat(&self.folder, &self.name, flags, Mode::from_raw_mode(0o666))?);
        if let Some((user, group)) = behind_sudo() {
            // Where that cannot be, root's file is better than none.
            let _ = std::os::unix::fs::fchown(&file, Some(user), Some(group));
        }
        Ok(file)
    }

    /// Gives the file the name of another one in the same folder, which it replaces.
    pub(super) fn rename_to(&self, other: &Place) -> io::Result<()> {
        Ok(renameat(&self.folder, &self.name, &other.folder, &other.name)?)
    }

    /// Removes the file, if it is there.
    pub(super) fn remove(&self) -> io::Result<()> {
        match unlinkat(&self.folder, &self.name, AtFlags::empty()) {
            Err(rustix::io::Errno::NOENT) => Ok(()),
            done => Ok(done?),
        }
    }
}

/// A write beyond the file-size limit ends the process with SIGXFSZ, unless someone handles that: then it is an error of
/// the write like any other.
pub(super) fn survive_file_size_limit() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // If this fails, the signal does what it always does.
        let _ = signal_hook::flag::register(signal_hook::consts::SIGXFSZ, Arc::new(AtomicBool::new(false)));
    });
}

/// The user and group that called sudo, where we are root on their behalf.
pub(super) fn behind_sudo() -> Option<(u32, u32)> {
    if !rustix::process::geteuid().is_root() {
        return None;
    }
    let number = |name| std::env::var(name).ok()?.parse().ok();
    Some((number("SUDO_UID")?, number("SUDO_GID")?))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn nothing_that_is_there_is_opened_whatever_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        fs::write(path("file"), "precious").unwrap();
        symlink(path("file"), path("link")).unwrap();
        symlink(path("nowhere"), path("dangling")).unwrap();
        fs::hard_link(path("file"), path("hard")).unwrap();
        fs::create_dir(path("folder")).unwrap();
        for name in ["file", "link", "dangling", "hard", "folder"] {
            let error = Place::of(&path(name)).unwrap().create().unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::AlreadyExists, "{name}");
        }
        assert_eq!(fs::read_to_string(path("file")).unwrap(), "precious");
        assert!(!path("nowhere").exists());
    }

    #[test]
    fn a_place_stays_in_its_folder_when_the_path_comes_to_lead_elsewhere() {
        let dir = tempfile::tempdir().unwrap();
        let (ours, theirs) = (dir.path().join("ours"), dir.path().join("theirs"));
        fs::create_dir(&ours).unwrap();
        fs::create_dir(&theirs).unwrap();
        let place = Place::of(&ours.join("x.dat")).unwrap();
        place.create().unwrap();
        fs::rename(&ours, dir.path().join("moved")).unwrap();
        symlink(&theirs, &ours).unwrap();
        let part = place.beside(".part");
        part.create().unwrap();
        part.rename_to(&place).unwrap();
        assert_eq!(fs::read_dir(theirs).unwrap().count(), 0);
        assert_eq!(fs::read_dir(dir.path().join("moved")).unwrap().count(), 1);
    }
}
