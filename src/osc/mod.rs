//! Events as Open Sound Control: messages, datagrams, receivers, and patches for the receiving programs.
//!
//! [`plan`] encodes a record as a message, [`datagram`] packs messages into bundles, [`transport`] sends these;
//! [`stream`] combines the three for one kind of receiver. [`schema`](Schema) describes a message, [`about`] has the
//! messages about the stream itself.

pub mod about;
pub mod addresses;
pub mod aggregate;
pub mod announce;
mod arguments;
pub mod clock;
mod comms;
pub mod datagram;
pub mod frames;
#[cfg(feature = "cli")]
#[doc(hidden)]
pub mod hit;
#[cfg(feature = "cli")]
#[doc(hidden)]
pub mod json;
pub mod message;
mod options;
#[cfg(feature = "cli")]
#[doc(hidden)]
pub mod oscquery;
pub mod packet;
#[cfg(feature = "cli")]
#[doc(hidden)]
pub mod patch;
pub mod plan;
#[cfg(feature = "cli")]
#[doc(hidden)]
pub mod preset;
#[cfg(feature = "cli")]
#[doc(hidden)]
pub mod print;
pub(crate) mod schema;
#[cfg(feature = "cli")]
#[doc(hidden)]
pub mod signal;
mod signature;
pub mod stream;
pub(crate) mod text;
pub mod text_stream;
pub mod thin;
pub mod timetag;
pub mod transport;
mod types;
pub mod words;
mod write;

pub use comms::{Comm, Comms};
pub use options::{MessageOptions, Strings};
pub use plan::{Head, MessagePlan};
pub use schema::{Argument, Omitted, Schema};
pub(crate) use text::address_part;
pub use types::Types;
pub use write::{EncodeError, Full, Writer};
