//! A kernel filter for events.

use std::collections::BTreeMap;
use std::str::FromStr;

use super::{EventName, Selection, TracefsError};

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

/// The condition of each of `events` that has one, in the kernel's filter syntax: all filters given for it hold. Filters
/// for other events are left out.
///
/// An event has one filter file, and a second write to it would replace the first.
pub fn conditions(filters: &[EventFilter], events: &[EventName]) -> BTreeMap<EventName, String> {
    let mut all: BTreeMap<EventName, Vec<&str>> = BTreeMap::new();
    for filter in filters {
        let selected = filter.events.resolve(events).map(|selected| selected.events).unwrap_or_default();
        selected.into_iter().for_each(|event| all.entry(event).or_default().push(&filter.condition));
    }
    all.into_iter().map(|(event, conditions)| (event, joined(conditions))).collect()
}

/// `0` removes a filter (`apply_event_filter`), so it is no condition.
fn joined(mut conditions: Vec<&str>) -> String {
    conditions.retain(|condition| *condition != "0");
    match conditions[..] {
        [] => "0".to_owned(),
        [one] => one.to_owned(),
        // The name after `.function` ends at a space, not at the parenthesis (`parse_pred`).
        _ => conditions.iter().map(|condition| format!("({condition} )")).collect::<Vec<_>>().join(" && "),
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

    #[test]
    fn all_filters_of_an_event_hold() {
        let events = [("irq", "a"), ("irq", "b"), ("sched", "c"), ("sched", "d")].map(|(s, e)| EventName::new(s, e));
        let filters = ["irq:a=x==1 || x==2", "irq=y>3", "sched:c=0", "sched:c=z&1", "sched:d=0", "net:e=q==1"];
        let filters: Vec<EventFilter> = filters.iter().map(|filter| filter.parse().unwrap()).collect();
        let found: Vec<_> = conditions(&filters, &events).into_iter().map(|(event, text)| (event.name, text)).collect();
        let wanted = [("a", "(x==1 || x==2 ) && (y>3 )"), ("b", "y>3"), ("c", "z&1"), ("d", "0")];
        assert_eq!(found, wanted.map(|(event, text)| (event.to_owned(), text.to_owned())));
    }
}
