//! Events that came without having been enabled by us: what somebody writes to `trace_marker`, and events that are made and
//! enabled by others while we read.
//!
//! The ring gives their number alone, and only the `format` files say whose it is. Reading all of them takes the kernel some 100 ms, in
//! which nothing is sent; so the few that can be meant without anybody's doing come first, and the search ends with the one
//! that is found.

use std::collections::BTreeSet;

use crate::format::{EventFormat, EventId, LongSize};
use crate::tracefs::{EventName, Tracefs};

/// Ids that no format explained when it was looked for.
#[derive(Debug, Default)]
pub(super) struct Unknown(BTreeSet<EventId>);

impl Unknown {
    /// The format of the event numbered `id`, if there is one now. Each id is looked for once.
    #[cold]
    pub(super) fn look(&mut self, tracefs: &Tracefs, long: LongSize, id: EventId) -> Option<EventFormat> {
        let format = |event: &EventName| EventFormat::parse(&event.system, &tracefs.format(event).ok()?, long).ok();
        let records = || tracefs.tracer_records().unwrap_or_default();
        self.0.insert(id).then(|| find(id, [&records, &|| tracefs.events().unwrap_or_default()], format)).flatten()
    }
}

/// The first event numbered `id` in these lists, each of which is made only if those before have it not.
fn find(
    id: EventId,
    lists: [&dyn Fn() -> Vec<EventName>; 2],
    mut format: impl FnMut(&EventName) -> Option<EventFormat>,
) -> Option<EventFormat> {
    lists.into_iter().find_map(|list| list().iter().find_map(|event| format(event).filter(|format| format.id == id)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_to_the_trace_needs_none_of_the_events_formats() {
        let text = |id: u16| {
            format!(
                "name: made\nID: {id}\nformat:\n\tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;\n\nprint fmt: \"\"\n"
            )
        };
        let records = || vec![EventName::new("ftrace", "5"), EventName::new("ftrace", "6")];
        let events = || (300..303).map(|id: u16| EventName::new("made", id.to_string())).collect();
        let read = |id| {
            let mut read = Vec::new();
            let found = find(EventId(id), [&records, &events], |event| {
                let number: u16 = event.name.parse().unwrap();
                read.push(number);
                Some(EventFormat::parse(&event.system, &text(number), LongSize::Eight).unwrap())
            });
            (found.map(|format| format.id), read)
        };
        assert_eq!(read(5), (Some(EventId(5)), vec![5]));
        assert_eq!(read(301), (Some(EventId(301)), vec![5, 6, 300, 301]));
        assert_eq!(read(9), (None, vec![5, 6, 300, 301, 302]));
    }
}
