//! Maps: messages in a receiver's own words. A map says which events become which message to which address, with which
//! arguments; `docs/MAPS.md` has the grammar.
//!
//! [`Map::parse`] reads a map and finds what is wrong with it by itself; [`Map::check`] holds it against the events there
//! are; [`Mapping::compile`] makes flat operations of it, once for each event, so that nothing is looked up or allocated
//! for a message.

mod expression;
mod parse;
mod place;
mod plan;

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
    /// Its file, or its name among the maps that the program brings.
    pub name: String,
    /// What it is for, for people.
    pub about: String,
    /// The UDP port of its receiver.
    pub port: Option<u16>,
    /// How far timetags lie ahead, ms, for receivers that schedule.
    pub latency_ms: Option<f64>,
    /// Messages a second at most.
    pub rate: Option<u32>,
    /// Whether it is one that the program brings: for any kernel, so that an event may be missing.
    pub built_in: bool,
    /// The messages.
    pub messages: Vec<Arc<MessageRule>>,
}

/// The maps that the program brings, by name.
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

/// The names of the maps that the program brings.
pub fn names() -> impl Iterator<Item = &'static str> {
    BUILT_IN.iter().map(|(name, _)| *name)
}

/// The text of a map that the program brings: something to begin with.
pub fn text(name: &str) -> Option<&'static str> {
    BUILT_IN.iter().find(|(known, _)| *known == name).map(|(_, text)| *text)
}

impl Map {
    /// One of the maps that the program brings.
    ///
    /// # Errors
    /// If one is wrong, which a test rules out.
    pub fn built_in(name: &str) -> Option<Result<Map, Mistake>> {
        text(name).map(|text| Map::parse(name, text).map(|map| Map { built_in: true, ..map }))
    }

    /// The pairs of events whose lengths of time its messages have, by their numbers.
    pub fn pairs(&self) -> Vec<&Pair> {
        let by_number: BTreeMap<usize, &Pair> = self.messages.iter().flat_map(|message| message.pairs()).collect();
        by_number.into_values().collect()
    }

    /// Whether any message is made of hits.
    pub fn has_hits(&self) -> bool {
        self.messages.iter().any(|message| matches!(message.trigger, Trigger::Hit(_)))
    }

    /// Checks the map against the names of all events there are, and the formats of those that are traced.
    ///
    /// # Errors
    /// The first pattern that means no event, the first field that an event has not; or that no event is taken.
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
        if taken { Ok(()) } else { Err(Mistake::of_map(&self.name, "takes none of the events that are traced")) }
    }
}
