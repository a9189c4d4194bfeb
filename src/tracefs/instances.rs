//! All instances of a tracefs and their state, read without changing anything.

use std::path::Path;

use super::{Files, LastBoot, Tracefs};

/// One instance.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct InstanceState {
    /// Its name.
    pub name: String,
    /// Whether it records.
    pub recording: bool,
    /// Whose its events are, if its ring is kept over reboots.
    pub kept: Option<LastBoot>,
}

impl Tracefs {
    /// The existing instances, by name.
    pub fn instances(&self) -> Vec<InstanceState> {
        let folder = Path::new("instances");
        let mut names = self.folders(folder).unwrap_or_default();
        names.sort_unstable();
        let text = |name: &str, file: &str| {
            let bytes = self.bytes(&folder.join(name).join(file)).ok()?;
            Some(String::from_utf8_lossy(&bytes).into_owned())
        };
        let state = |name: String| InstanceState {
            recording: text(&name, "tracing_on").is_some_and(|text| text.trim() == "1"),
            kept: text(&name, "last_boot_info").and_then(|text| LastBoot::parse(&text)),
            name,
        };
        names.into_iter().map(state).collect()
    }
}
