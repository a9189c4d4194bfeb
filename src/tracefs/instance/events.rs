//! Which events an instance records, and the kernel's filters on them.

use std::collections::{BTreeMap, BTreeSet};
use std::{fmt, io};

use super::Instance;
use crate::keeper::Setting;
use crate::tracefs::{EventFilter, EventName, TracefsError, conditions};

/// The result of [`Instance::enable`].
#[derive(Debug)]
#[non_exhaustive]
pub struct Enabled {
    /// The enabled events, in the given order.
    pub events: Vec<EventName>,
    /// The events that the kernel refused.
    pub failures: Vec<EnableFailure>,
}

/// An event that could not be enabled. Its `Display` is the warning.
#[derive(Debug)]
#[non_exhaustive]
pub struct EnableFailure {
    /// The event.
    pub event: EventName,
    /// The kernel's error.
    pub source: io::Error,
}

impl fmt::Display for EnableFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} cannot be enabled ({})", self.event, self.source)
    }
}

impl Instance {
    /// Sets the kernel's filter on those of `selected` that filters are for: all of an event's must hold.
    ///
    /// # Errors
    /// [`TracefsError::FilterUnmatched`], or [`TracefsError::FilterRefused`] with the kernel's message.
    pub fn set_filters(&self, filters: &[EventFilter], selected: &[EventName]) -> Result<(), TracefsError> {
        if let Some(filter) = filters.iter().find(|filter| filter.events().resolve(selected).is_err()) {
            return Err(TracefsError::FilterUnmatched(filter.text().to_owned()));
        }
        let conditions = conditions(filters, selected);
        conditions.iter().try_for_each(|(event, condition)| self.replace_filter(event, Some(condition)))
    }

    /// Replaces the filter of an event; `None` removes it.
    ///
    /// # Errors
    /// [`TracefsError::FilterRefused`] with the kernel's message; the event then has no effective filter.
    pub fn replace_filter(&self, event: &EventName, condition: Option<&str>) -> Result<(), TracefsError> {
        // `apply_event_filter`: "0" removes the filter.
        let condition = condition.unwrap_or("0").to_owned();
        self.change(Setting::Filter(event.clone(), condition)).map_err(|e| {
            let file = event.folder().join("filter");
            // After a refusal the file has the condition, a caret and the reason, or its number (`append_filter_err`).
            // The errno says nothing: `vec==1;` is refused with EPERM, `((vec==1)` with ENOENT.
            let said = self.read(&file).unwrap_or_default();
            let kernel = match e.raw_os_error() {
                _ if ["\nparse_error: ", "\nError: ("].iter().any(|reason| said.contains(reason)) => {
                    said.trim_end().trim_end_matches("\nError: (0)").to_string()
                }
                Some(libc::EINVAL) => self.last_error(),
                _ => return TracefsError::io("write", &self.path.join(file), e),
            };
            TracefsError::FilterRefused { event: event.clone(), kernel }
        })
    }

    /// The condition of an event's filter, `None` if it has none.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn condition(&self, event: &EventName) -> Result<Option<String>, TracefsError> {
        let text = self.read(event.folder().join("filter"))?;
        Ok(Some(text.trim().to_string()).filter(|text| text != "none"))
    }

    /// Replaces the condition of an event's filter.
    ///
    /// # Errors
    /// The kernel refuses it.
    pub fn set_condition(&self, event: &EventName, condition: &str) -> Result<(), TracefsError> {
        self.change(Setting::Filter(event.clone(), condition.to_owned()))
            .map_err(|e| TracefsError::io("write", &self.path.join(event.folder()).join("filter"), e))
    }

    /// Enables events. A group of which all events are requested takes one write instead of one for each.
    ///
    /// # Errors
    /// [`TracefsError::NothingEnabled`] if the kernel refuses all of them. Refusals of some are in the result.
    pub fn enable(&self, events: &[EventName]) -> Result<Enabled, TracefsError> {
        let mut in_group: BTreeMap<String, usize> = BTreeMap::new();
        for event in self.tracefs.events()? {
            *in_group.entry(event.system).or_default() += 1;
        }
        let mut asked: BTreeMap<&str, BTreeSet<&EventName>> = BTreeMap::new();
        for event in events {
            asked.entry(&event.system).or_default().insert(event);
        }
        let mut failures = Vec::new();
        for (system, group) in asked {
            let whole = in_group.get(system) == Some(&group.len());
            if whole && self.change(Setting::Group(system.to_owned(), true)).is_ok() {
                self.ours().events.extend(group.into_iter().cloned());
                continue;
            }
            // The group's switch continues after a refusal without saying which event it was, so enable each one
            // separately.
            for event in group {
                if let Err(source) = self.change(Setting::Event(event.clone(), true)) {
                    failures.push(EnableFailure { event: event.clone(), source });
                }
            }
        }
        let refused: BTreeSet<&EventName> = failures.iter().map(|failure| &failure.event).collect();
        let on: Vec<EventName> = events.iter().filter(|event| !refused.contains(event)).cloned().collect();
        if on.is_empty() && !events.is_empty() {
            return Err(TracefsError::NothingEnabled(failures.iter().map(EnableFailure::to_string).collect()));
        }
        Ok(Enabled { events: on, failures })
    }

    /// Switches one event off.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn disable(&self, event: &EventName) -> Result<(), TracefsError> {
        self.change(Setting::Event(event.clone(), false))
            .map_err(|e| TracefsError::io("write", &self.path.join(event.folder()).join("enable"), e))
    }

    /// Switches all events off.
    ///
    /// # Errors
    /// The switch cannot be written.
    pub fn disable_all(&self) -> Result<(), TracefsError> {
        self.set("events/enable", Setting::NoEvents)
    }
}
