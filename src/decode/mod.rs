//! Event format → plan; record + plan → typed values.
//!
//! What can be known from the [format](crate::format::EventFormat) is worked out once, by [`Plan::compile`]: for every
//! field a [`Read`], which says where its value lies and how to read it. A plan is checked against a record once
//! ([`Plan::fits`]); only values whose place stands in the record itself (`__data_loc`) are checked again.

pub mod filter;
mod plan;
mod table;
mod value;

pub use filter::{Filter, FilterError, Matcher, Surroundings};
pub use plan::{Element, FieldPlan, Plan, Read};
pub use table::EventTable;
pub use value::{Array, DecodeError, Texts, Value};
pub(crate) use value::{located, unsigned, until_nul, zero_bytes};

#[cfg(test)]
mod tests;
