//! The available events and their `format` files, of a live tracefs and of a capture folder alike.

use std::io;
use std::path::Path;

use super::files::Files;
use super::name::FTRACE;
use super::{EventName, Kind, Tracefs, TracefsError};

impl Tracefs {
    /// All events that can be enabled, in the kernel's order; for a lent instance and a capture folder, those with a
    /// format, sorted. The tracers' own records (`ftrace:*`) are not included: see
    /// [`tracer_records`](Tracefs::tracer_records).
    ///
    /// # Errors
    /// `available_events` or `events/` cannot be read.
    pub fn events(&self) -> Result<Vec<EventName>, TracefsError> {
        // A capture may share its boot's formats and have no available_events, or have a list without the formats:
        // the formats decide. A lent instance has no such list.
        if self.kind() == Kind::Live && !self.is_lent() {
            let text = self.read("available_events")?;
            return Ok(text.lines().filter_map(|line| line.trim().parse().ok()).collect());
        }
        let mut events = Vec::new();
        for system in self.folders_in(Path::new("events"))? {
            if system != FTRACE {
                events.extend(self.events_of(&system)?);
            }
        }
        events.sort_unstable();
        Ok(events)
    }

    /// The records written by tracers themselves: `ftrace:print`, `ftrace:kernel_stack`, …, sorted.
    ///
    /// # Errors
    /// `events/ftrace` cannot be read. If it is missing there are none.
    pub fn tracer_records(&self) -> Result<Vec<EventName>, TracefsError> {
        let mut events = match self.events_of(FTRACE) {
            Err(TracefsError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => Vec::new(),
            events => events?,
        };
        events.sort_unstable();
        Ok(events)
    }

    fn events_of(&self, system: &str) -> Result<Vec<EventName>, TracefsError> {
        let dir = Path::new("events").join(system);
        // In a running kernel, every folder of a group is an event.
        let is_event =
            |name: &String| self.kind() == Kind::Live || self.root().join(&dir).join(name).join("format").is_file();
        let names = self.folders_in(&dir)?.into_iter().filter(is_event);
        Ok(names.map(|name| EventName::new(system, name)).collect())
    }

    fn folders_in(&self, dir: &Path) -> Result<Vec<String>, TracefsError> {
        self.folders(dir).map_err(|e| TracefsError::io("read", &self.root().join(dir), e))
    }

    /// The text of an event's `format` file, which is the same for the top level and for each instance.
    ///
    /// # Errors
    /// There is no such event, or the file cannot be read.
    pub fn format(&self, event: &EventName) -> Result<String, TracefsError> {
        self.read(event.folder().join("format"))
    }

    /// The names in `available_tracers`.
    ///
    /// # Errors
    /// The file cannot be read (a capture has none).
    pub fn tracers(&self) -> Result<Vec<String>, TracefsError> {
        Ok(self.read("available_tracers")?.split_whitespace().map(str::to_string).collect())
    }
}
