//! A filter of the kernel's own, for events.

use std::str::FromStr;

use super::{Selection, TracefsError};

/// A filter of the kernel's own, read from `irq:irq_handler_entry=irq>3`.
#[derive(Debug, Clone)]
pub struct EventFilter {
    text: String,
    events: Selection,
    condition: String,
}

impl FromStr for EventFilter {
    type Err = TracefsError;

    /// What stands before the first `=` names events as `-e` does; the rest is for the kernel.
    fn from_str(text: &str) -> Result<EventFilter, TracefsError> {
        let bad = || TracefsError::BadFilter(text.to_string());
        let (events, condition) = text.split_once('=').ok_or_else(bad)?;
        let condition = condition.trim();
        if events.trim().is_empty() || condition.is_empty() || condition.contains('\n') {
            return Err(bad());
        }
        let events = Selection::parse(&[events]).map_err(|_| bad())?;
        Ok(EventFilter { text: text.to_string(), events, condition: condition.to_string() })
    }
}

impl EventFilter {
    /// The filter as it was given.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// What stands before the first `=`: the events it is for.
    pub fn events(&self) -> &Selection {
        &self.events
    }

    /// What stands behind it, in the kernel's language of filters.
    pub fn condition(&self) -> &str {
        &self.condition
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_names_events_before_its_first_equals_sign() {
        let filter: EventFilter = "irq:irq_handler_entry=irq == 3 && name != \"x\"".parse().unwrap();
        assert_eq!(filter.condition, "irq == 3 && name != \"x\"");
        for text in ["", "irq>3", "=irq>3", "irq:irq_handler_entry=", "a=b\nc", "a[=3"] {
            assert!(matches!(text.parse::<EventFilter>(), Err(TracefsError::BadFilter(_))), "{text:?}");
        }
    }
}
