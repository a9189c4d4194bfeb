//! What the running kernel says about itself, for captures.

use super::new_folder::{NewFolder, NewFolderError};
use crate::format::EventFormat;
use crate::format::btf::Btf;
use crate::names::{Enums, hz};
use crate::tracefs::Tracefs;

/// Writes the `constants` file for these formats; adds a warning if they are not known.
pub(super) fn write_constants(
    tracefs: &Tracefs,
    formats: &[EventFormat],
    folder: &mut NewFolder,
    warnings: &mut Vec<String>,
) -> Result<(), NewFolderError> {
    match constants(tracefs, formats) {
        Ok(text) if !text.is_empty() => folder.write("constants", text.as_bytes())?,
        Ok(_) => {}
        Err(error) => {
            warnings.push(format!("enum constants are shown as numbers in a replay: /sys/kernel/btf/vmlinux: {error}"));
        }
    }
    Ok(())
}

/// The text of a `constants` file for these formats.
fn constants(tracefs: &Tracefs, formats: &[EventFormat]) -> Result<String, Box<dyn std::error::Error>> {
    let btf = Btf::parse(&std::fs::read("/sys/kernel/btf/vmlinux")?)?;
    let mut enums = Enums::from(btf);
    enums.set_hz(hz::told_among(|file| tracefs.read_bytes(file).ok()));
    Ok(enums.text_for(formats))
}

/// As printed by `uname -srvm`: without the host name, which a capture need not reveal.
pub(super) fn uname() -> String {
    let uname = rustix::system::uname();
    let words = [uname.sysname(), uname.release(), uname.version(), uname.machine()];
    let words: Vec<_> = words.iter().map(|word| word.to_string_lossy()).collect();
    format!("{}\n", words.join(" "))
}
