//! The three levels of type tags, since receivers differ.

use std::{fmt, str::FromStr};

use serde::Serialize;

/// Which OSC types a receiver decodes. A signature depends on the event and this level, never on a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Types {
    /// Everything exact: `h` for 64-bit integers and u32, `b` for structures, arrays in brackets.
    Full,
    /// 64-bit integers as `d`: exact up to 2^53. For receivers that cannot take `h`.
    Double,
    /// `i`, `f` and `s` only: every receiver decodes them.
    Portable,
}

impl Types {
    /// Every level, the richest first.
    pub const ALL: [Types; 3] = [Types::Full, Types::Double, Types::Portable];

    /// The level's name on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Types::Full => "full",
            Types::Double => "double",
            Types::Portable => "portable",
        }
    }

    /// The number of arguments before an event's own fields: time (one timetag, or seconds and microseconds), `dt`,
    /// `cpu`, `pid`, `comm`.
    pub const fn header_len(self) -> usize {
        match self {
            Types::Full | Types::Double => 5,
            Types::Portable => 6,
        }
    }
}

impl fmt::Display for Types {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Types {
    type Err = UnknownTypes;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Types::ALL.into_iter().find(|t| t.name() == text).ok_or_else(|| UnknownTypes(text.to_owned()))
    }
}

/// No such level of types.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown types {0:?}: use full, double or portable")]
pub struct UnknownTypes(pub String);
