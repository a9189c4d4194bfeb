//! Maps: which events become which messages, in a receiver's own terms. A map lists messages, each with the events it
//! is made of, an address and arguments; `docs/MAPS.md` has the grammar.
//!
//! [`Map::parse`] parses a map and reports errors of the map itself; [`Map::check`] checks it against the kernel's
//! events; [`Mapping::compile`] compiles it to flat operations, once for each event, so that sending a message needs
//! no lookup and no allocation.

mod expression;
mod parse;
mod place;
mod plan;
mod values;

use std::collections::BTreeMap;
use std::sync::Arc;

pub use expression::{Expression, HitValue, Source, Step};
pub use parse::{Argument, Constant, MessageRule, Trigger};
pub(crate) use place::Text;
pub(crate) use place::nearest;
pub use place::{Mistake, Place};
pub use plan::{HitPlan, Mapping, RecordPlan};

use crate::capture::latency::Pair;
use crate::format::EventFormat;
use crate::tracefs::EventName;

/// A map.
#[derive(Debug, Clone)]
pub struct Map {
    /// Its file, or its name among the built-in maps.
    pub name: String,
    /// Its description for the user.
    pub about: String,
    /// The UDP port of its receiver.
    pub port: Option<u16>,
    /// How far in the future timetags are, ms, for receivers that schedule.
    pub latency_ms: Option<f64>,
    /// The most messages a second.
    pub rate: Option<u32>,
    /// Whether the map is built in. It is then meant for any kernel, so events it names may be missing.
    pub built_in: bool,
    /// The messages.
    pub messages: Vec<Arc<MessageRule>>,
}

/// The built-in maps, by name.
const BUILT_IN: [(&str, &str); 10] = [
    ("superdirt", include_str!("maps/superdirt.toml")),
    ("tidal", include_str!("maps/tidal.toml")),
    ("vcv", include_str!("maps/vcv.toml")),
    ("processing", include_str!("maps/processing.toml")),
    ("unity", include_str!("maps/unity.toml")),
    ("openframeworks", include_str!("maps/openframeworks.toml")),
    ("ossia", include_str!("maps/ossia.toml")),
    ("chataigne", include_str!("maps/chataigne.toml")),
    ("resolume", include_str!("maps/resolume.toml")),
    ("faust", include_str!("maps/faust.toml")),
];

/// The names of the built-in maps.
pub fn names() -> impl Iterator<Item = &'static str> {
    BUILT_IN.iter().map(|(name, _)| *name)
}

/// The text of a built-in map, as a starting point for one's own.
pub fn text(name: &str) -> Option<&'static str> {
    BUILT_IN.iter().find(|(known, _)| *known == name).map(|(_, text)| *text)
}

impl Map {
    /// A built-in map.
    ///
    /// # Errors
    /// If it is invalid, which a test excludes.
    pub fn built_in(name: &str) -> Option<Result<Map, Mistake>> {
        text(name).map(|text| Map::parse(name, text).map(|map| Map { built_in: true, ..map }))
    }

    /// The pairs of events whose latencies its messages use, by index.
    pub fn pairs(&self) -> Vec<&Pair> {
        let by_number: BTreeMap<usize, &Pair> = self.messages.iter().flat_map(|message| message.pairs()).collect();
        by_number.into_values().collect()
    }

    /// Whether any message is made from hits.
    pub fn has_hits(&self) -> bool {
        self.messages.iter().any(|message| matches!(message.trigger, Trigger::Hit(_)))
    }

    /// Checks the map against the names of all events, and the formats of those that are traced.
    ///
    /// # Errors
    /// The first pattern that matches no event, or the first missing field; or that no traced event is used.
    pub fn check<'f>(
        &self,
        known: &[EventName],
        traced: impl IntoIterator<Item = &'f EventFormat>,
    ) -> Result<(), Mistake> {
        if !self.built_in {
            self.messages.iter().try_for_each(|message| message.check_names(known))?;
        }
        let mut taken = false;
        for format in traced {
            for message in self.messages.iter().filter(|message| message.takes(format)) {
                message.check_fields(format)?;
                taken = true;
            }
        }
        if taken { Ok(()) } else { Err(Mistake::of_map(&self.name, "uses none of the traced events")) }
    }
}
