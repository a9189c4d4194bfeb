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
    /// The text of `set_event` that names just these; unknown after we have changed them.
    text: Option<String>,
    /// How often was looked at them.
    looks: u32,
}

/// The settings as they are found.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) on: bool,
    pub(super) clock: Option<TraceClock>,
    pub(super) kib: Option<u64>,
    /// The text of `set_event`, if it was read: parsed only if it is another one.
    pub(super) events: Option<String>,
}

/// `set_event` is read once in so many looks: the kernel walks all its events to write it (`s_next`), 200 µs of each second
/// for 800 of them, as much as all else that is looked at.
const EVENTS_EVERY: u32 = 4;

/// How many events are named in a sentence.
const NAMED: usize = 3;

impl Settings {
    /// Records a setting that we made.
    pub(super) fn note(&mut self, setting: &Setting) {
        match setting {
            Setting::Record(on) => self.on = Some(*on),
            Setting::Clock(clock) => self.clock = Some(TraceClock::from_name(clock)),
            Setting::BufferKib(_) | Setting::SubBufferKib(_) => self.kib = None,
            Setting::NoEvents => self.events_now(|events| events.clear()),
            Setting::Event(event, true) => self.events_now(|events| events.extend([event.clone()])),
            Setting::Event(event, false) => self.events_now(|events| events.retain(|on| on != event)),
            Setting::Group(group, false) => self.events_now(|events| events.retain(|event| event.system != *group)),
            // Whoever enables a group knows its events.
            _ => {}
        }
    }

    /// Whether this look is one at the events too.
    pub(super) fn looks_at_events(&mut self) -> bool {
        let now = self.looks.is_multiple_of(EVENTS_EVERY);
        self.looks = self.looks.wrapping_add(1);
        now
    }

    fn events_now(&mut self, change: impl FnOnce(&mut BTreeSet<EventName>)) {
        change(&mut self.events);
        self.text = None;
    }

    /// The differences between what is `found` and this, as sentences. What is found counts as ours from now on.
    pub(super) fn changes(&mut self, found: Found) -> Vec<String> {
        let mut changes = Vec::new();
        match self.on.replace(found.on) {
            Some(true) if !found.on => {
                changes.push(
                    "somebody else stopped tracing (tracing_on): no events arrive until it is 1 again".to_owned(),
                );
            }
            Some(false) if found.on => {
                changes.push("somebody else started tracing again (tracing_on)".to_owned());
            }
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
        self.clock = found.clock;
        if let (Some(ours), Some(now)) = (self.kib, found.kib)
            && ours != now
        {
            changes.push(format!("somebody else changed the ring's size from {ours} to {now} KiB for each CPU"));
        }
        self.kib = found.kib;
        let Some(text) = found.events.filter(|text| self.text.as_ref() != Some(text)) else { return changes };
        let now: BTreeSet<EventName> = text.lines().filter_map(|line| line.parse().ok()).collect();
        let differing = [
            (&self.events - &now, "off: they do not arrive any more"),
            (&now - &self.events, "on: they count as events without a format"),
        ];
        for (events, how) in differing.iter().filter(|(events, _)| !events.is_empty()) {
            let named: Vec<String> = events.iter().take(NAMED).map(EventName::to_string).collect();
            let more = if events.len() > NAMED { ", …" } else { "" };
            changes.push(format!("somebody else switched {} events ({}{more}) {how}", events.len(), named.join(", ")));
        }
        (self.events, self.text) = (now, Some(text));
        changes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(name: &str) -> EventName {
        EventName::new("sched", name)
    }

    fn found(on: bool, clock: TraceClock, kib: u64, events: &str) -> Found {
        Found { on, clock: Some(clock), kib: Some(kib), events: Some(events.to_owned()) }
    }

    #[test]
    fn changes_by_others_are_reported_once_and_our_own_are_not() {
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
        let unchanged = || found(true, TraceClock::Mono, 8193, "sched:sched_switch\n");
        assert_eq!(ours.changes(unchanged()), [""; 0]);
        assert_eq!(ours.changes(unchanged()), [""; 0]);
        let changed = || found(false, TraceClock::Boot, 7, "sched:a\nsched:b\nsched:c\nsched:d\n");
        let told = ours.changes(changed());
        assert_eq!(told.len(), 5, "{told:#?}");
        assert!(told[0].contains("stopped tracing"));
        assert!(told[1].contains("from mono to boot"));
        assert!(told[2].contains("from 8193 to 7 KiB"));
        assert!(told[3].contains("1 events (sched:sched_switch) off"));
        assert!(told[4].contains("4 events (sched:a, sched:b, sched:c, …) on"));
        assert_eq!(ours.changes(changed()), [""; 0]);
    }

    #[test]
    fn the_events_are_looked_at_first_and_then_now_and_again() {
        let mut ours = Settings::default();
        let looks: Vec<_> = (0..9).map(|_| ours.looks_at_events()).collect();
        assert_eq!(looks, [true, false, false, false, true, false, false, false, true]);
    }

    #[test]
    fn an_event_that_we_switched_and_the_kernel_did_not_is_reported() {
        let mut ours = Settings::default();
        let none = || found(true, TraceClock::Mono, 8, "");
        let both = || found(true, TraceClock::Mono, 8, "sched:a\nirq:b\n");
        ours.note(&Setting::Event(event("a"), true));
        ours.note(&Setting::Event(EventName::new("irq", "b"), true));
        assert_eq!(ours.changes(both()), [""; 0]);
        // The same text as before, which does not name what is ours any more.
        ours.note(&Setting::Group("sched".to_owned(), false));
        assert!(ours.changes(both())[0].contains("1 events (sched:a) on"));
        ours.note(&Setting::NoEvents);
        assert_eq!(ours.changes(Found { events: None, ..both() }), [""; 0]);
        assert_eq!(ours.changes(none()), [""; 0]);
        assert_eq!(ours.events, BTreeSet::new());
    }
}
