//! Creates a folder of files: it must be new or empty, nothing is overwritten, and under sudo it is owned by the
//! user. Unless it is [kept](NewFolder::keep), everything created in it is removed again.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, fchown};
use std::path::{Path, PathBuf};

use super::new_file::{behind_sudo, survive_file_size_limit};

/// Why a folder could not be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NewFolderError {
    /// It is not empty.
    #[error("{} exists and is not empty: give a new folder, nothing is overwritten", .0.display())]
    NotEmpty(PathBuf),
    /// A file in it could not be written.
    #[error("cannot write {}: {source}", .path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// The reason.
        source: io::Error,
    },
}

/// A folder that did not exist or was empty. Dropped without [`keep`](NewFolder::keep), it is removed or emptied
/// again.
#[derive(Debug)]
pub(super) struct NewFolder {
    path: PathBuf,
    /// The subfolder in which files are created.
    within: PathBuf,
    /// The user and group behind sudo, who own the files.
    owner: Option<(u32, u32)>,
    /// The folders and files created, in order.
    made: Vec<PathBuf>,
}

impl Drop for NewFolder {
    fn drop(&mut self) {
        for path in self.made.iter().rev() {
            // A folder into which somebody else has put something is not removed, and should not be. An error here
            // would hide the reason why the folder is given up.
            let _ = fs::remove_file(path).or_else(|_| fs::remove_dir(path));
        }
    }
}

impl NewFolder {
    /// Creates the folder and missing parents.
    ///
    /// # Errors
    /// [`NewFolderError::NotEmpty`], or it cannot be created.
    pub(super) fn create(path: &Path) -> Result<NewFolder, NewFolderError> {
        survive_file_size_limit();
        let mut folder =
            NewFolder { path: path.to_path_buf(), within: PathBuf::new(), owner: behind_sudo(), made: Vec::new() };
        match fs::read_dir(path).map(|mut entries| entries.next().is_none()) {
            Ok(true) => {}
            Ok(false) => return Err(NewFolderError::NotEmpty(path.to_path_buf())),
            Err(e) if e.kind() == io::ErrorKind::NotADirectory => {
                return Err(NewFolderError::NotEmpty(path.to_path_buf()));
            }
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                let made = folder.create_folders(path);
                made.map_err(|source| NewFolderError::Write { path: path.to_path_buf(), source })?;
            }
            Err(source) => return Err(NewFolderError::Write { path: path.to_path_buf(), source }),
        }
        Ok(folder)
    }

    /// Keeps the folder, which is complete. Returns its path.
    pub(super) fn keep(mut self) -> PathBuf {
        self.made.clear();
        std::mem::take(&mut self.path)
    }

    /// Creates further files in the subfolder `within`.
    pub(super) fn enter(&mut self, within: PathBuf) {
        self.within = within;
    }

    /// Writes a file.
    pub(super) fn write(&mut self, file: impl AsRef<Path>, bytes: &[u8]) -> Result<(), NewFolderError> {
        let (path, mut out) = self.file(file)?;
        out.write_all(bytes).map_err(|source| NewFolderError::Write { path, source })
    }

    /// Creates a file; also returns its whole path for errors.
    pub(super) fn file(&mut self, file: impl AsRef<Path>) -> Result<(PathBuf, File), NewFolderError> {
        let path = self.path.join(&self.within).join(file);
        let parent = path.parent().map(Path::to_path_buf).unwrap_or_default();
        let opened = self.create_folders(&parent).and_then(|()| {
            // Never overwrites a file or follows a link.
            let out = OpenOptions::new().write(true).create_new(true).open(&path)?;
            self.made.push(path.clone());
            if let Some((user, group)) = self.owner {
                fchown(&out, Some(user), Some(group))?;
            }
            Ok(out)
        });
        match opened {
            Ok(out) => Ok((path, out)),
            Err(source) => Err(NewFolderError::Write { path, source }),
        }
    }

    /// Like `create_dir_all`, but records what it creates, and gives it to the owner.
    fn create_folders(&mut self, path: &Path) -> io::Result<()> {
        if path.as_os_str().is_empty() || path.is_dir() {
            return Ok(());
        }
        if let Some(parent) = path.parent() {
            self.create_folders(parent)?;
        }
        fs::create_dir(path)?;
        self.made.push(path.to_path_buf());
        match self.owner {
            // By descriptor, without following a link: the user may have replaced it meanwhile.
            Some((user, group)) => {
                let flags = libc::O_NOFOLLOW | libc::O_DIRECTORY;
                let folder = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
                fchown(&folder, Some(user), Some(group))
            }
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_is_not_empty_or_a_file_is_refused_and_unchanged() {
        let dir = tempfile::tempdir().unwrap();
        let theirs = dir.path().join("theirs");
        fs::write(&theirs, "precious").unwrap();
        for path in [dir.path(), &theirs] {
            let error = NewFolder::create(path).unwrap_err();
            assert!(matches!(error, NewFolderError::NotEmpty(_)), "{error}");
        }
        assert_eq!(fs::read_to_string(theirs).unwrap(), "precious");
    }

    #[test]
    fn a_folder_not_kept_is_removed_with_what_was_created_for_it_only() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a/b/c");
        let mut folder = NewFolder::create(&path).unwrap();
        folder.write("d/e", b"text").unwrap();
        folder.enter("instances/x".into());
        folder.write("d", b"text").unwrap();
        assert_eq!(fs::read(path.join("instances/x/d")).unwrap(), b"text");
        drop(folder);
        assert!(!dir.path().join("a").exists() && dir.path().exists());

        let mut folder = NewFolder::create(&path).unwrap();
        folder.write("d/e", b"text").unwrap();
        fs::write(path.join("d/theirs"), "precious").unwrap();
        drop(folder);
        assert_eq!(fs::read_to_string(path.join("d/theirs")).unwrap(), "precious");
        assert!(!path.join("d/e").exists());
    }

    #[test]
    fn a_folder_that_is_kept_stays() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        let mut folder = NewFolder::create(&path).unwrap();
        folder.write("d/e", b"text").unwrap();
        assert_eq!(folder.keep(), path);
        assert_eq!(fs::read(path.join("d/e")).unwrap(), b"text");
    }

    #[test]
    fn under_sudo_everything_created_is_owned_by_the_user() {
        use std::os::unix::fs::MetadataExt;
        if !rustix::process::geteuid().is_root() {
            eprintln!("SKIPPED: only root can give files away");
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        let mut folder =
            NewFolder { path: path.clone(), within: PathBuf::new(), owner: Some((1234, 567)), made: Vec::new() };
        folder.write("b/c", b"").unwrap();
        for made in [path.clone(), path.join("b"), path.join("b/c")] {
            let metadata = fs::metadata(&made).unwrap();
            assert_eq!((metadata.uid(), metadata.gid()), (1234, 567), "{}", made.display());
        }
        assert_ne!(fs::metadata(dir.path()).unwrap().uid(), 1234);
    }

    #[test]
    fn an_empty_folder_is_used_and_no_file_in_it_is_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let mut folder = NewFolder::create(dir.path()).unwrap();
        folder.write("trace", b"one").unwrap();
        assert!(folder.write("trace", b"two").is_err());
        assert_eq!(fs::read(dir.path().join("trace")).unwrap(), b"one");
    }

    #[test]
    fn a_path_that_cannot_be_looked_at_is_refused_with_the_kernels_reason() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("loop");
        std::os::unix::fs::symlink(&path, &path).unwrap();
        match NewFolder::create(&path).unwrap_err() {
            NewFolderError::Write { source, .. } => assert_eq!(source.raw_os_error(), Some(libc::ELOOP)),
            error => panic!("{error}"),
        }
    }
}
