//! The full name of an event.

use std::fmt;
use std::path::{Path, PathBuf};

/// The system of records that tracers themselves write (`print`, `kernel_stack`, `function`). They have format files,
/// but no switch: they are written by a marker, a stack trace option or a tracer.
pub(super) const FTRACE: &str = "ftrace";

/// The full name of an event, such as `sched:sched_switch`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventName {
    /// The group: the folder below `events/`.
    pub system: String,
    /// The event: the folder below the group.
    pub name: String,
}

impl EventName {
    /// The event `name` of the group `system`.
    pub fn new(system: impl Into<String>, name: impl Into<String>) -> EventName {
        EventName { system: system.into(), name: name.into() }
    }

    /// The event's folder, relative to tracefs or to an instance.
    pub fn folder(&self) -> PathBuf {
        Path::new("events").join(&self.system).join(&self.name)
    }
}

impl fmt::Display for EventName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.system, self.name)
    }
}
