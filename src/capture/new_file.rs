//! Creates a file in a folder that was opened once, so that its path cannot be redirected.
//!
//! A path leads to another file as soon as somebody renames one of its folders or puts a link there. If we run as
//! root behind sudo, that somebody may be the user, and the other file one that only root may write. So the folder is
//! opened once, files in it are created by name (`O_EXCL`, `O_NOFOLLOW`), and ownership is given by descriptor, never
//! by a path.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Once};

use rustix::fs::{AtFlags, CWD, Mode, OFlags, openat, renameat, unlinkat};

/// The place of a file: an open folder and a name in it.
#[derive(Debug, Clone)]
pub(super) struct Place {
    folder: Arc<OwnedFd>,
    name: OsString,
    path: PathBuf,
}

impl Place {
    /// The place that `path` means now.
    ///
    /// # Errors
    /// There is no such folder, or the path has no file name.
    pub(super) fn of(path: &Path) -> io::Result<Place> {
        let name = path.file_name().ok_or_else(|| io::Error::from(io::ErrorKind::IsADirectory))?.to_owned();
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let folder = openat(CWD, folder, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
        Ok(Place { folder: Arc::new(folder), name, path: path.to_owned() })
    }

    /// The place in the same folder with `suffix` appended to the name.
    pub(super) fn beside(&self, suffix: &str) -> Place {
        let (mut name, mut path) = (self.name.clone(), self.path.clone().into_os_string());
        name.push(suffix);
        path.push(suffix);
        Place { folder: self.folder.clone(), name, path: path.into() }
    }

    /// The path, for messages.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Creates the file for reading and writing. It is owned by the user behind sudo, if there is one.
    ///
    /// # Errors
    /// The name exists (even as a dangling link), or the folder refuses.
    pub(super) fn create(&self) -> io::Result<File> {
        survive_file_size_limit();
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = File::from(openat(&self.folder, &self.name, flags, Mode::from_raw_mode(0o666))?);
        if let Some((user, group)) = behind_sudo() {
            // If that fails, a file owned by root is better than none.
            let _ = std::os::unix::fs::fchown(&file, Some(user), Some(group));
        }
        Ok(file)
    }

    /// Renames the file to another name in the same folder, replacing that file.
    pub(super) fn rename_to(&self, other: &Place) -> io::Result<()> {
        Ok(renameat(&self.folder, &self.name, &other.folder, &other.name)?)
    }

    /// Removes the file, if it exists.
    pub(super) fn remove(&self) -> io::Result<()> {
        match unlinkat(&self.folder, &self.name, AtFlags::empty()) {
            Err(rustix::io::Errno::NOENT) => Ok(()),
            done => Ok(done?),
        }
    }
}

/// Makes a write beyond the file-size limit an ordinary error instead of ending the process: SIGXFSZ is handled.
pub(super) fn survive_file_size_limit() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // If this fails, the signal keeps its default action.
        let _ = signal_hook::flag::register(signal_hook::consts::SIGXFSZ, Arc::new(AtomicBool::new(false)));
    });
}

/// The user and group that called sudo, if we are root on their behalf.
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
    fn an_existing_name_of_any_kind_is_never_opened() {
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
    fn a_place_stays_in_its_folder_when_the_path_is_redirected() {
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

    #[test]
    fn a_file_is_no_folder_and_a_created_file_is_not_inherited() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("file"), "").unwrap();
        assert!(Place::of(&dir.path().join("file/x")).is_err());
        let file = Place::of(&dir.path().join("x")).unwrap();
        let inherited = |fd: &dyn std::os::fd::AsFd| {
            !rustix::io::fcntl_getfd(fd.as_fd()).unwrap().contains(rustix::io::FdFlags::CLOEXEC)
        };
        assert!(!inherited(&file.create().unwrap()) && !inherited(&*file.folder));
    }

    #[test]
    fn removing_a_file_that_does_not_exist_is_no_error() {
        let dir = tempfile::tempdir().unwrap();
        let place = Place::of(&dir.path().join("x")).unwrap();
        place.create().unwrap();
        place.remove().unwrap();
        assert!(!dir.path().join("x").exists());
        place.remove().unwrap();
        fs::create_dir(dir.path().join("x")).unwrap();
        assert!(place.remove().is_err());
    }

    #[test]
    fn the_signal_of_the_file_size_limit_is_handled() {
        survive_file_size_limit();
        let status = fs::read_to_string("/proc/self/status").unwrap();
        let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap();
        let caught = u64::from_str_radix(caught.trim(), 16).unwrap();
        assert_ne!(caught & 1 << (libc::SIGXFSZ - 1), 0);
    }

    /// The environment belongs to the whole process: the test runs itself in others.
    #[test]
    fn the_user_behind_sudo_is_known_to_root_alone() {
        const CHILD: &str = "FTRACE_LIVE_TEST_BEHIND_SUDO";
        let root = rustix::process::geteuid().is_root();
        match std::env::var(CHILD).as_deref() {
            Ok("both") => return assert_eq!(behind_sudo(), root.then_some((1234, 567))),
            Ok(_) => return assert_eq!(behind_sudo(), None),
            Err(_) => {}
        }
        for (child, variables) in
            [("both", &[("SUDO_UID", "1234"), ("SUDO_GID", "567")][..]), ("user", &[("SUDO_UID", "1234")])]
        {
            let mut test = std::process::Command::new(std::env::current_exe().unwrap());
            test.args(["--exact", "capture::new_file::tests::the_user_behind_sudo_is_known_to_root_alone"]);
            test.env_remove("SUDO_UID").env_remove("SUDO_GID").env(CHILD, child).envs(variables.iter().copied());
            let out = test.output().unwrap();
            assert!(out.status.success(), "{child}: {}", String::from_utf8_lossy(&out.stdout));
        }
    }
}
