//! The events of a traced kernel by id.

use std::sync::Arc;

use crate::format::{EventFormat, EventId};

/// Formats by event id. Ids are small and dense, so that a lookup is one index.
#[derive(Debug, Clone, Default)]
pub struct EventTable {
    by_id: Vec<Option<Arc<EventFormat>>>,
}

impl EventTable {
    /// A table of `formats`. The later of two with the same id wins, since dynamic events reuse ids.
    pub fn new(formats: impl IntoIterator<Item = EventFormat>) -> EventTable {
        let mut table = EventTable::default();
        for format in formats {
            table.insert(format);
        }
        table
    }

    /// Adds a format, replacing one with the same id.
    pub fn insert(&mut self, format: EventFormat) -> Arc<EventFormat> {
        let index = format.id.index();
        if self.by_id.len() <= index {
            self.by_id.resize(index + 1, None);
        }
        let format = Arc::new(format);
        self.by_id[index] = Some(format.clone());
        format
    }

    /// The format of the records with this id.
    pub fn get(&self, id: EventId) -> Option<&Arc<EventFormat>> {
        self.by_id.get(id.index())?.as_ref()
    }

    /// All formats, by id.
    pub fn iter(&self) -> impl Iterator<Item = &EventFormat> {
        self.shared().map(|format| &**format)
    }

    /// The same, to be kept.
    pub(crate) fn shared(&self) -> impl Iterator<Item = &Arc<EventFormat>> {
        self.by_id.iter().flatten()
    }
}
