//! A running Linux kernel as a stream of typed OSC messages: the library behind `ftrace-live`.
//!
//! The kernel's trace ring holds binary records; text files in tracefs describe their form. This library parses the
//! descriptions, compiles one small plan for each event, and reads or sends the records by these plans. It needs neither
//! the program nor a running tracefs: what [`capture`] reads from a folder or a `trace.dat` takes the same way.
//!
//! # The way of one record
//!
//! ```text
//!  events/*/*/format ──nom──▶ EventFormat ──compile──▶ Plan, MessagePlan   (once for each event)
//!     format                     format                 decode, osc::plan
//!                                                            │
//!  trace_pipe_raw ──▶ sub-buffer ──▶ record ─────────────────┼──▶ message ──▶ bundle ──▶ socket
//!  capture, live       ring::Walk     ring::Merge         pipeline   osc       osc::datagram, osc::transport
//! ```
//!
//! 1. A [`ring::Feed`] gives the sub-buffers of one CPU as bytes: live from tracefs, or from a capture.
//! 2. [`ring::Walk`] finds the records in a sub-buffer with their times and losses; [`ring::Merge`] puts those of all CPUs
//!    into one order.
//! 3. A record begins with its event's id. [`pipeline`] finds the plan by it, adds the time of day and the task's name, and
//!    hands the record to every output.
//! 4. [`osc::MessagePlan`] appends the message to a datagram; [`decode::Plan`] gives the same fields as values, and
//!    [`render`] as the text that the kernel itself would print.
//!
//! # Rooms
//!
//! | room | what it does | and does not know |
//! |---|---|---|
//! | [`cli`], [`commands`] | what can be said, and which parts do it | how they do it |
//! | [`tracefs`] | the control files: find, mount, a private instance, enable, filter, tear down | records, OSC |
//! | [`mod@format`] | the kernel's descriptions, parsed: `format`, `header_page`, `print fmt`, BTF | files, sockets |
//! | [`ring`] | bytes of a sub-buffer → records | events, fields |
//! | [`decode`] | format → plan; record and plan → typed values | where bytes come from |
//! | [`names`] | names for numbers: tasks, addresses, enum constants | who asks |
//! | [`render`] | record and print format → the kernel's own text | OSC |
//! | [`osc`] | event → address and type tags; values → bytes, bundles, datagrams | tracefs |
//! | [`capture`] | frozen rings: folders and `trace.dat`, read and written | sinks |
//! | [`live`], [`replay`] | the two loops that join a source to the outputs | the insides of either |
//! | [`pipeline`], [`output`] | the one way from record to outputs | where records come from |
//! | [`map`] | events and hits → messages in a receiver's own words | where they go |
//! | [`sound`] | event → hit; hits → samples | OSC, browsers, sockets |
//! | [`page`] | the page in a browser: HTTP, WebSocket, OSCQuery, the embedded files | events of one kernel, how sound is chosen |
//! | [`control`] | OSC in → checked commands | how they are carried out |
//! | [`meaning`] | groups, events and fields in a few words | anything |
//! | [`listen`] | what arrives, printed | the kernel |
//! | [`escape`] | text made safe to show | whose text it is |
//! | [`duration`] | spans of time as people write them | anything |
//! | [`wall`] | the time of day that messages say | who else has which |
//! | [`follow`] | another machine's time of day, asked for and answered | what is sent by it |
//! | [`terminal`] | what the program says, and to whom | what it is about |
//!
//! # Reading a capture
//!
//! ```
//! use byteorder::LittleEndian;
//! use ftrace_live::capture;
//! use ftrace_live::decode::{EventTable, Plan, Value};
//! use ftrace_live::format::EventId;
//!
//! let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/x86_64-6.18/sched");
//! let mut capture = capture::open(folder.as_ref(), Default::default())?;
//! let events = EventTable::new(std::mem::take(&mut capture.events));
//! let mut merge = capture.merge();
//! let mut started = Vec::new();
//! while let Some(record) = merge.next_record::<LittleEndian>() {
//!     let Some(id) = record.bytes.first_chunk().map(|id| EventId(u16::from_le_bytes(*id))) else { continue };
//!     let Some(format) = events.get(id).filter(|format| format.name == "sched_process_exec") else { continue };
//!     // A program that reads many records compiles each event's plan once.
//!     let plan = Plan::compile(format);
//!     for (field, value) in format.fields.iter().zip(plan.values::<LittleEndian>(record.bytes)) {
//!         if let ("filename", Value::Text(name)) = (field.name.as_str(), value?) {
//!             started.push(String::from_utf8_lossy(name).into_owned());
//!         }
//!     }
//! }
//! assert!(started.iter().any(|name| name.ends_with("/sleep")), "{started:?}");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What holds everywhere
//!
//! Every byte from a ring, a file or the network is untrusted: what is wrong is counted and named with its place, and the
//! rest goes on. Nothing panics on it. Times are ns: of the trace clock in a [`ring::Record`], since 1970 in a message.
#![warn(missing_docs)]
pub mod capture;
pub mod cli;
pub mod commands;
pub mod control;
pub mod decode;
pub mod duration;
pub mod escape;
pub mod follow;
pub mod format;
pub mod keeper;
pub mod listen;
pub mod live;
pub mod map;
pub mod meaning;
pub mod names;
pub mod osc;
pub mod output;
pub mod page;
pub mod pipeline;
pub mod render;
pub mod replay;
pub mod rights;
pub mod ring;
pub mod sound;
pub mod terminal;
pub mod tracefs;
pub mod wall;
