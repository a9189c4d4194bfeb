//! Events as Open Sound Control: what goes over the wire, to whom, and help for the person at the other end.

pub mod patch;
pub mod preset;
mod schema;
mod types;

pub use schema::{Argument, Omitted, Schema};
pub use types::Types;
