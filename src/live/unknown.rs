//! Events that we did not enable: what somebody writes to `trace_marker`, and events that others make and enable
//! while we read.
//!
//! The ring has only their id, and only the `format` files say which event that is. Reading all of them takes the
//! kernel about 100 ms, in which nothing is sent. So the few events that appear without being enabled are tried
//! first, and the search ends when the id is found.

use std::collections::{BTreeMap, BTreeSet};

use crate::format::{EventFormat, EventId, LongSize};
use crate::tracefs::{EventName, Tracefs};

/// Ids for which no format was known.
#[derive(Debug, Default)]
pub(super) struct Unknown {
    looked_up: BTreeSet<EventId>,
    read: Read,
}

impl Unknown {
    /// The format of the event with this `id`, if there is one now. Each id is looked up once.
    #[cold]
    pub(super) fn look(&mut self, tracefs: &Tracefs, long: LongSize, id: EventId) -> Option<EventFormat> {
        if !self.looked_up.insert(id) {
            return None;
        }
        let format = |event: &EventName| EventFormat::parse(&event.system, &tracefs.format(event).ok()?, long).ok();
        let records = || tracefs.tracer_records().unwrap_or_default();
        self.read.find(id, [&records, &|| tracefs.events().unwrap_or_default()], format)
    }
}

/// The formats read so far. If somebody enables all events, hundreds of ids come in one turn, and a search of all files
/// for each of them would take minutes.
#[derive(Debug, Default)]
struct Read {
    names: BTreeSet<EventName>,
    ids: BTreeMap<EventId, EventName>,
}

impl Read {
    /// The first event with this `id` in these lists, each of which is made only if the ones before do not have it.
    fn find(
        &mut self,
        id: EventId,
        lists: [&dyn Fn() -> Vec<EventName>; 2],
        mut format: impl FnMut(&EventName) -> Option<EventFormat>,
    ) -> Option<EventFormat> {
        if let Some(found) = self.ids.get(&id).and_then(&mut format).filter(|format| format.id == id) {
            return Some(found);
        }
        let had_read = !self.names.is_empty();
        let found = self.find_unread(id, lists, &mut format);
        if found.is_some() || !had_read {
            return found;
        }
        // An event that was removed and made again has its old name and a new id.
        self.names.clear();
        self.find_unread(id, lists, &mut format)
    }

    fn find_unread(
        &mut self,
        id: EventId,
        lists: [&dyn Fn() -> Vec<EventName>; 2],
        format: &mut impl FnMut(&EventName) -> Option<EventFormat>,
    ) -> Option<EventFormat> {
        lists.into_iter().find_map(|list| {
            list().into_iter().find_map(|event| {
                if !self.names.insert(event.clone()) {
                    return None;
                }
                let format = format(&event)?;
                self.ids.insert(format.id, event);
                (format.id == id).then_some(format)
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_marker_write_is_found_without_reading_the_events_formats() {
        let text = |id: u16| {
            format!(
                "name: made\nID: {id}\nformat:\n\tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;\n\nprint fmt: \"\"\n"
            )
        };
        let records = || vec![EventName::new("ftrace", "5"), EventName::new("ftrace", "6")];
        let events = || (300..303).map(|id: u16| EventName::new("made", id.to_string())).collect();
        let mut formats = Read::default();
        let mut read = |id| {
            let mut read = Vec::new();
            let found = formats.find(EventId(id), [&records, &events], |event| {
                let number: u16 = event.name.parse().unwrap();
                read.push(number);
                Some(EventFormat::parse(&event.system, &text(number), LongSize::Eight).unwrap())
            });
            (found.map(|format| format.id), read)
        };
        assert_eq!(read(5), (Some(EventId(5)), vec![5]));
        // Each file is read once, and again when its event occurs.
        assert_eq!(read(301), (Some(EventId(301)), vec![6, 300, 301]));
        assert_eq!(read(300), (Some(EventId(300)), vec![300]));
        assert_eq!(read(302), (Some(EventId(302)), vec![302]));
        // An id that none of them has may be that of an event made again since then.
        assert_eq!(read(9), (None, vec![5, 6, 300, 301, 302]));
    }
}
