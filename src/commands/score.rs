//! `--score`, `--save-score` and the file of defaults: read and written with the caller's rights, even under sudo.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::{Usage, toml_file};
use crate::cli::score::{self, Asked};
use crate::rights;

/// Adds the options of the score and of the file of defaults to the command line, except those that it sets itself.
///
/// # Errors
/// A file cannot be read or contains an error.
pub fn apply(words: Vec<OsString>) -> Result<Vec<OsString>> {
    let Asked { score, save, no_config } = score::asked(&words);
    let mut words = words;
    if let Some(file) = &score {
        let file = Path::new(file);
        let instead = || " (--save-score writes one)".to_owned();
        let toml = toml_file::read("--score", file, ("score", "docs/SCORES.md"), instead)?;
        words = score::with_score(&words, &file.display().to_string(), &toml)?;
    }
    // Without any words, help is printed.
    if !no_config
        && words.len() > 1
        && let Some(file) = defaults()
    {
        match rights::as_caller(|| fs::read_to_string(&file)) {
            Ok(toml) => words = score::with_score(&words, &file.display().to_string(), &toml)?,
            // A folder that we may not read is ignored: HOME may be another user's.
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied) => {}
            Err(error) => return Err(Usage(format!("{}: {error} (--no-config does without)", file.display())).into()),
        }
    }
    if let Some(file) = &save {
        let shown = Path::new(file).display();
        let score = score::of_words(&words).unwrap_or_default();
        let write = || {
            let mut created = File::create_new(file)?;
            created.write_all(score.as_bytes()).inspect_err(|_| {
                // An empty file would be in the way of a second try.
                let _ = fs::remove_file(file);
            })
        };
        rights::as_caller(write)
            .map_err(|error| match error.kind() {
                io::ErrorKind::AlreadyExists => {
                    Usage(format!("{shown} exists: give another name, nothing is overwritten")).into()
                }
                _ => anyhow::Error::from(error),
            })
            .with_context(|| format!("--save-score {shown}"))?;
    }
    Ok(words)
}

/// `~/.config/ftrace-live/config.toml` of the user behind sudo, for whom HOME may be root's.
fn defaults() -> Option<PathBuf> {
    if let Some(home) = rights::Caller::behind_sudo().and_then(|user| user.home) {
        return Some(PathBuf::from(home).join(".config/ftrace-live/config.toml"));
    }
    let folder = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|folder| folder.is_absolute());
    let config = folder("XDG_CONFIG_HOME").or_else(|| Some(folder("HOME")?.join(".config")))?;
    Some(config.join("ftrace-live/config.toml"))
}
