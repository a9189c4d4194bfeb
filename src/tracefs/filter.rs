//! A kernel filter for events.

use std::str::FromStr;

use super::{Selection, TracefsError};

/// A kernel filter, parsed from `irq:irq_handler_entry=irq>3`.
#[derive(Debug, Clone)]
pub struct EventFilter {
    text: String,
    events: Selection,
    condition: String,
}

impl FromStr for EventFilter {
    type Err = TracefsError;

    /// The part before the first `=` selects events like `-e`; the rest is passed to the kernel.
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

    /// The part before the first `=`: the events it is for.
    pub fn events(&self) -> &Selection {
        &self.events
    }

    /// The part after it, in the kernel's filter syntax.
    pub fn condition(&self) -> &str {
        &self.condition
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_events_are_before_the_first_equals_sign() {
        let filter: EventFilter = "irq:irq_handler_entry=irq == 3 && name != \"x\"".parse().unwrap();
        assert_eq!(filter.condition, "irq == 3 && name != \"x\"");
        for text in ["", "irq>3", "=irq>3", "irq:irq_handler_entry=", "a=b\nc", "a[=3"] {
            assert!(matches!(text.parse::<EventFilter>(), Err(TracefsError::BadFilter(_))), "{text:?}");
        }
    }
}
