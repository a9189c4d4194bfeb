//! Event format → plan; record and plan → typed values.
//!
//! [`Plan::compile`] works out once what follows from the [format](crate::format::EventFormat): for every field a
//! [`Read`], which says where its value is and how to read it. A record's length is checked once ([`Plan::fits`]);
//! only values whose place is in the record itself (`__data_loc`) are checked again.

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
