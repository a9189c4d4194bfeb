//! The settings of an instance that others may change: as we made them, and what differs.

use std::collections::BTreeSet;

use super::{EventName, TraceClock};
use crate::keeper::Setting;

/// Settings, as far as they are known.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Settings {
    pub(super) on: Option<bool>,
    pub(super) clock: Option<TraceClock>,
    /// KiB of each ring, as rounded by the kernel: not known before it was read.
    pub(super) kib: Option<u64>,
    pub(super) events: BTreeSet<EventName>,
}

/// How many events are named in a sentence.
const NAMED: usize = 3;

impl Settings {
    /// Records a setting that we made.
    pub(super) fn note(&mut self, setting: &Setting) {
        match setting {
            Setting::Record(on) => self.on = Some(*on),
            Setting::Clock(clock) => self.clock = Some(TraceClock::from_name(clock)),
            Setting::BufferKib(_) | Setting::SubBufferKib(_) => self.kib = None,
            Setting::NoEvents => self.events.clear(),
            Setting::Event(event, true) => drop(self.events.insert(event.clone())),
            Setting::Event(event, false) => drop(self.events.remove(event)),
            Setting::Group(group, false) => self.events.retain(|event| event.system != *group),
            // Whoever enables a group knows its events.
            _ => {}
        }
    }

    /// The differences between `found` and this, as sentences.
    pub(super) fn changes(&self, found: &Settings) -> Vec<String> {
        let mut changes = Vec::new();
        match (self.on, found.on) {
            (Some(true), Some(false)) => {
                changes.push(
                    "somebody else stopped tracing (tracing_on): no events arrive until it is 1 again".to_owned(),
                );
            }
            (Some(false), Some(true)) => changes.push("somebody else started tracing again (tracing_on)".to_owned()),
            _ => {}
        }
        if let (Some(ours), Some(now)) = (&self.clock, &found.clock)
            && ours != now
        {
            let said = "so times jump, and the contents of the ring are lost";
            changes.push(format!(
                "somebody else changed the trace clock from {} to {}, {said}",
                ours.name(),
                now.name()
            ));
        }
        if let (Some(ours), Some(now)) = (self.kib, found.kib)
            && ours != now
        {
            changes.push(format!("somebody else changed the ring's size from {ours} to {now} KiB for each CPU"));
        }
        let differing = [
            (&self.events - &found.events, "off: they do not arrive any more"),
            (&found.events - &self.events, "on: they count as events without a format"),
        ];
        for (events, how) in differing.iter().filter(|(events, _)| !events.is_empty()) {
            let named: Vec<String> = events.iter().take(NAMED).map(EventName::to_string).collect();
            let more = if events.len() > NAMED { ", …" } else { "" };
            changes.push(format!("somebody else switched {} events ({}{more}) {how}", events.len(), named.join(", ")));
        }
        changes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(name: &str) -> EventName {
        EventName::new("sched", name)
    }

    #[test]
    fn changes_by_others_are_reported_and_our_own_are_not() {
        let mut ours = Settings::default();
        for setting in [
            Setting::Clock("mono".to_owned()),
            Setting::BufferKib(8192),
            Setting::Event(event("sched_switch"), true),
            Setting::Event(event("sched_waking"), true),
            Setting::Event(event("sched_waking"), false),
            Setting::Record(true),
        ] {
            ours.note(&setting);
        }
        let mut found = Settings {
            on: Some(true),
            clock: Some(TraceClock::Mono),
            kib: Some(8193),
            events: [event("sched_switch")].into(),
        };
        assert_eq!(ours.changes(&found), [""; 0]);
        ours.kib = Some(8193);
        found = Settings {
            on: Some(false),
            clock: Some(TraceClock::Boot),
            kib: Some(7),
            events: ["a", "b", "c", "d"].map(event).into(),
        };
        let told = ours.changes(&found);
        assert_eq!(told.len(), 5, "{told:#?}");
        assert!(told[0].contains("stopped tracing"));
        assert!(told[1].contains("from mono to boot"));
        assert!(told[2].contains("from 8193 to 7 KiB"));
        assert!(told[3].contains("1 events (sched:sched_switch) off"));
        assert!(told[4].contains("4 events (sched:a, sched:b, sched:c, …) on"));
        found.note(&Setting::Group("sched".to_owned(), false));
        assert!(found.events.is_empty());
        found.note(&Setting::Record(true));
        assert_eq!(found.on, Some(true));
    }
}
