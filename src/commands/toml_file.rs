//! Reads a TOML file that an option names: a score, a map.

use std::fs;
use std::io;
use std::path::Path;

use super::Usage;
use crate::rights;

/// The text of `file`, read with the caller's rights, even under sudo. It is a `kind` ("score"), which `document` describes.
///
/// # Errors
/// It cannot be read; if there is no such file, `instead` ends the sentence.
pub fn read(
    option: &str,
    file: &Path,
    (kind, document): (&str, &str),
    instead: impl FnOnce() -> String,
) -> Result<String, Usage> {
    let shown = file.display();
    rights::as_caller(|| fs::read_to_string(file)).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => Usage(format!("{option} {shown}: there is no such file{}", instead())),
        io::ErrorKind::InvalidData => Usage(format!("{option} {shown} is not text: a {kind} is TOML ({document})")),
        _ => Usage(format!("{option} {shown} cannot be read: {error}")),
    })
}
