//! Which events of a stream are on and heard.

use std::collections::BTreeSet;

use super::Switched;
use crate::tracefs::{EventName, Selection};

/// The events of a stream, each with its switches. An event is heard if it is on, not muted, and, if there are soloed
/// events, one of them.
#[derive(Debug, Default)]
pub struct Switches {
    events: Vec<EventName>,
    off: BTreeSet<EventName>,
    muted: BTreeSet<EventName>,
    solo: Option<BTreeSet<EventName>>,
}

impl Switches {
    /// All events on.
    pub fn new(mut events: Vec<EventName>) -> Switches {
        events.sort_unstable();
        Switches { events, ..Switches::default() }
    }

    /// The same with only these on.
    pub fn with_on(mut self, on: &[EventName]) -> Switches {
        let on: BTreeSet<_> = on.iter().collect();
        self.off = self.events.iter().filter(|event| !on.contains(event)).cloned().collect();
        self
    }

    /// Adds the new ones of `events`, which are off. Removed events are kept; enabling them fails when it is tried.
    pub fn take_up(&mut self, events: Vec<EventName>) {
        let known: BTreeSet<_> = self.events.iter().cloned().collect();
        let new: Vec<_> = events.into_iter().filter(|event| !known.contains(event)).collect();
        if !new.is_empty() {
            self.off.extend(new.iter().cloned());
            self.events.extend(new);
            self.events.sort_unstable();
            self.events.dedup();
        }
    }

    /// The events that match `patterns`.
    ///
    /// # Errors
    /// A message, if one of them is invalid or matches no event of this stream.
    pub fn find(&self, patterns: &[String]) -> Result<Vec<EventName>, String> {
        if patterns.is_empty() {
            return Ok(vec![]);
        }
        let selected = Selection::parse(patterns).and_then(|selection| selection.resolve(&self.events));
        let selected = selected.map_err(|error| error.to_string())?;
        match selected.unmatched.first() {
            Some(unmatched) => Err(unmatched.to_string()),
            None => Ok(selected.events),
        }
    }

    /// Turns events on, and unmutes them.
    pub fn enable(&mut self, events: Vec<EventName>) {
        for event in events {
            self.off.remove(&event);
            self.muted.remove(&event);
            if let Some(solo) = &mut self.solo {
                solo.insert(event);
            }
        }
    }

    /// Turns events off.
    pub fn disable(&mut self, events: Vec<EventName>) {
        self.off.extend(events);
    }

    /// Mutes events; without any, unmutes all.
    pub fn mute(&mut self, events: Vec<EventName>) {
        if events.is_empty() {
            self.muted.clear();
        }
        self.muted.extend(events);
    }

    /// Mutes all.
    pub fn hush(&mut self) {
        self.muted.extend(self.events.iter().cloned());
    }

    /// Plays only these; without any, all that are on.
    pub fn solo(&mut self, events: Vec<EventName>) {
        self.solo = (!events.is_empty()).then(|| events.into_iter().collect());
    }

    /// The events that are on.
    pub fn on(&self) -> BTreeSet<EventName> {
        self.events.iter().filter(|event| !self.off.contains(*event)).cloned().collect()
    }

    /// The events that are on, and those that are not heard.
    pub fn switched(&self) -> Switched {
        Switched { on: self.on(), silent: self.silent() }
    }

    /// The events that are not heard.
    pub fn silent(&self) -> BTreeSet<EventName> {
        let silent = |event: &&EventName| {
            self.off.contains(event)
                || self.muted.contains(event)
                || self.solo.as_ref().is_some_and(|solo| !solo.contains(event))
        };
        self.events.iter().filter(silent).cloned().collect()
    }

    /// How many events there are.
    pub fn len(&self) -> usize {
        self.events.len()
    }

    /// Whether there is no event.
    pub fn is_empty(&self) -> bool {
        self.events.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(switches: &Switches) -> Vec<String> {
        let silent = switches.silent();
        switches.events.iter().filter(|event| !silent.contains(event)).map(|event| event.name.clone()).collect()
    }

    #[test]
    fn mute_solo_hush_and_enable_combine() {
        let names = [("irq", "softirq_entry"), ("irq", "softirq_exit"), ("sched", "sched_switch")];
        let mut switches = Switches::new(names.map(|(system, name)| EventName::new(system, name)).to_vec());
        let find = |switches: &Switches, pattern: &str| switches.find(&[pattern.to_owned()]).unwrap();
        switches.mute(find(&switches, "irq"));
        assert_eq!(heard(&switches), ["sched_switch"]);
        switches.enable(find(&switches, "softirq_e?it"));
        assert_eq!(heard(&switches), ["softirq_exit", "sched_switch"]);
        switches.solo(find(&switches, "irq"));
        assert_eq!(heard(&switches), ["softirq_exit"], "a muted event stays muted in a solo");
        switches.solo(vec![]);
        switches.hush();
        assert!(heard(&switches).is_empty());
        switches.mute(vec![]);
        assert_eq!(heard(&switches).len(), 3);
        switches.disable(find(&switches, "sched"));
        switches.mute(vec![]);
        assert_eq!(heard(&switches), ["softirq_entry", "softirq_exit"], "unmuting does not turn events on");
        switches.take_up(vec![EventName::new("uprobes", "mine"), EventName::new("sched", "sched_switch")]);
        assert_eq!((switches.len(), heard(&switches).len()), (4, 2), "new events are off, and nothing else changes");
        switches.enable(find(&switches, "uprobes"));
        assert_eq!(heard(&switches), ["softirq_entry", "softirq_exit", "mine"]);
        assert!(switches.find(&["softirq_entri".to_owned()]).unwrap_err().contains("softirq_entry"));
    }
}
