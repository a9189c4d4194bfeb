//! Event format → plan; record + plan → typed values.
//!
//! What can be known from the [format](crate::format::EventFormat) is worked out once, by [`Plan::compile`]: for every
//! field a [`Read`], which says where its value lies and how to read it. A plan is checked against a record once
//! ([`Plan::fits`]); only values whose place stands in the record itself (`__data_loc`) are checked again.

mod element;
mod error;
mod field;
pub mod filter;
mod number;
mod plan;
mod short_text;
mod table;
mod value;

pub use element::Element;
pub use error::DecodeError;
pub use field::{FieldPlan, Read};
pub use filter::{Filter, FilterError, Matcher, Surroundings, Traced};
pub(crate) use number::Number;
pub use plan::{PidPlace, Plan};
pub(crate) use short_text::ShortText;
pub use table::EventTable;
pub use value::{Array, Texts, Value};
pub(crate) use value::{located, place, unsigned, until_nul};

#[cfg(test)]
mod tests;
