//! Files by their path below a folder: tracefs, an instance, or a capture that mirrors one.

use std::fs;
#[cfg(feature = "tracefs")]
use std::fs::File;
use std::io;
use std::path::Path;

#[cfg(feature = "tracefs")]
use rustix::fs::{Dir, FileType};

use super::control::read_control;
#[cfg(feature = "tracefs")]
use super::control::read_open;

/// A folder of control files, however it is opened.
pub(crate) trait Files {
    /// The bytes of a file.
    fn bytes(&self, file: &Path) -> io::Result<Vec<u8>>;

    /// The names of the subfolders, in no order; names that are not UTF-8 are skipped.
    fn folders(&self, folder: &Path) -> io::Result<Vec<String>>;
}

impl Files for Path {
    fn bytes(&self, file: &Path) -> io::Result<Vec<u8>> {
        read_control(&self.join(file))
    }

    // Links to folders are included: a capture may share its formats with others.
    fn folders(&self, folder: &Path) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(self.join(folder))? {
            let entry = entry?;
            if let Ok(name) = entry.file_name().into_string()
                && entry.path().is_dir()
            {
                names.push(name);
            }
        }
        Ok(names)
    }
}

/// The same for a file that a keeper opened.
#[cfg(feature = "tracefs")]
pub(super) fn bytes_of(mut file: File) -> io::Result<Vec<u8>> {
    read_open(&mut file)
}

/// The same for a folder that a keeper opened: we cannot open its files, but its entries have their types.
#[cfg(feature = "tracefs")]
pub(super) fn folders_of(folder: File) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    // Not `Dir::read_from`, which would open it again.
    for entry in Dir::new(folder)? {
        let entry = entry?;
        if let Ok(name) = entry.file_name().to_str()
            && entry.file_type() == FileType::Directory
            && !matches!(name, "." | "..")
        {
            names.push(name.to_owned());
        }
    }
    Ok(names)
}
