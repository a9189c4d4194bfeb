//! Events as Open Sound Control: messages, datagrams, receivers, and patches for the receiving programs.
//!
//! Each event has an address, `/ftrace/SYSTEM/EVENT`, and a fixed signature: time, milliseconds since it last
//! occurred, CPU, pid and task name, followed by the event's own fields. docs/WIRE.md specifies all messages.
//!
//! [`plan`] encodes a record as a message, [`datagram`] packs messages into bundles, [`transport`] sends these;
//! [`stream`] combines the three for one kind of receiver. [`schema`](Schema) describes a message, [`about`] has the
//! messages about the stream itself.
//!
//! * Messages of your own, whose bytes you write: [`Packer`](datagram::Packer) and [`Writer`].
//! * Records that a format describes, the kernel's or your own, over any transport: the example here.
//! * The whole stream, which describes itself to its receivers, with a rate cap: [`stream`].
//! * A receiver with other needs: [`MessageOptions`] sets the types that it decodes, [`StreamOptions`](stream::StreamOptions)
//!   the size and the timetags of its datagrams.
//!
//! # Example
//!
//! ```
//! use byteorder::LittleEndian;
//! use ftrace_live::format::{Abi, Endian, EventFormat, LongSize};
//! use ftrace_live::names::NoNames;
//! use ftrace_live::osc::datagram::{Packer, Tag};
//! use ftrace_live::osc::{Comm, Head, MessageOptions, MessagePlan, timetag};
//!
//! let text = "name: irq_handler_entry\nID: 7\nformat:\n\
//!             \tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;\n\
//!             \tfield:int common_pid;\toffset:4;\tsize:4;\tsigned:1;\n\n\
//!             \tfield:int irq;\toffset:8;\tsize:4;\tsigned:1;\n\n\
//!             print fmt: \"irq=%d\", REC->irq\n";
//! let abi = Abi { endian: Endian::Little, long: LongSize::Eight };
//! let format = EventFormat::parse("irq", text, abi.long)?;
//! let (plan, schema) = MessagePlan::compile(&format, &MessageOptions::default(), abi, &NoNames);
//! assert_eq!(schema.address, "/ftrace/irq/irq_handler_entry");
//!
//! let now = 1_800_000_000_000_000_000;
//! let head = Head { time: timetag::from_unix_ns(now), dt: 0.5, cpu: 1, pid: 77, comm: &Comm::new(b"bash") };
//! let mut packer = Packer::new(1472, Tag::Event { latency_ns: 0 });
//! let record = [7, 0, 0, 0, 77, 0, 0, 0, 36, 0, 0, 0];
//! packer.push(now, |room| plan.encode::<LittleEndian>(&record, &head, room))?;
//! let (datagram, messages) = packer.take().next().ok_or("no datagram")?;
//! assert!(datagram.starts_with(b"#bundle\0"));
//! assert_eq!(messages, 1);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

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
mod many;
pub mod message;
mod options;
pub(crate) mod osc_string;
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
pub mod text_message;
pub mod text_stream;
pub mod thin;
pub mod timetag;
pub mod transport;
mod types;

mod write;

pub use comms::{Comm, Comms};
pub use options::{MessageOptions, Strings};
pub(crate) use osc_string::address_part;
pub use plan::{Head, MessagePlan};
/// The crate whose messages [`about`], [`packet`] and [`stream`] take and return.
pub use rosc;
pub use schema::{Argument, Omitted, Schema};
pub use types::Types;
pub use write::{EncodeError, Full, Writer};
