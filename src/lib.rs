//! Reads what the Linux kernel's tracer, ftrace, records, and sends it as typed OSC messages: the library behind
//! `ftrace-live`.
//!
//! A trace has three parts. For each CPU there is a **ring** of sub-buffers of usually 4 KiB; `header_page` describes
//! the header of a sub-buffer, which holds a time and how much is filled. Behind the header stand **records**, each
//! with the time since the one before it, and a payload that begins with the number of its event. For each event there
//! is a **format**, a text file that says at which offset of the payload each field lies, of which C type it is, and
//! how the kernel prints it. All three come from tracefs (`/sys/kernel/tracing`), from a folder that mirrors it, or
//! from a `trace.dat` or `perf.data`.
//!
//! # Example: values from a capture
//!
//! ```
//! # #[cfg(feature = "capture")] {
//! use byteorder::LittleEndian;
//! use ftrace_live::capture;
//! use ftrace_live::decode::{EventTable, Plan, Value};
//! use ftrace_live::format::EventId;
//!
//! // A folder as here, a trace.dat or a perf.data.
//! let path = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/x86_64-6.18/sched");
//! let mut capture = capture::open(path.as_ref(), Default::default())?;
//! let events = EventTable::new(std::mem::take(&mut capture.events));
//! // The records of all CPUs, in order of time.
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
//! # }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Example: a record of one's own as text
//!
//! Needs no feature. The bytes may come from anywhere.
//!
//! ```
//! use byteorder::LittleEndian;
//! use ftrace_live::format::{Endian, EventFormat, LongSize};
//! use ftrace_live::names::{Names, NoNames};
//! use ftrace_live::render::Settings;
//! use ftrace_live::ring::{Lost, Record};
//!
//! let text = "name: irq_handler_entry\nID: 7\nformat:\n\
//!             \tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;\n\
//!             \tfield:int common_pid;\toffset:4;\tsize:4;\tsigned:1;\n\n\
//!             \tfield:int irq;\toffset:8;\tsize:4;\tsigned:1;\n\n\
//!             print fmt: \"irq=%d\", REC->irq\n";
//! let format = EventFormat::parse("irq", text, LongSize::Eight)?;
//! let trace = Settings::default().text([&format], LongSize::Eight, Endian::Little, &NoNames);
//! let bytes = [7, 0, 0, 0, 1, 0, 0, 0, 36, 0, 0, 0];
//! let record = Record { cpu: 0, time: 1_000, ticks: 1_000, lost: Lost::Nothing, bytes: &bytes };
//! let mut out = Vec::new();
//! trace.write_text::<LittleEndian>(&mut out, &record, &Names::default());
//! assert_eq!(out, b"irq_handler_entry: irq=36");
//! # Ok::<(), ftrace_live::format::FormatError>(())
//! ```
//!
//! Four more stand in `examples/`: a capture as columns, a ring of one's own, events of one's own as OSC, and the running
//! kernel.
//!
//! # Features and modules
//!
//! Without the default features the library is the decoder, which opens no files and depends on parsers alone.
//!
//! | feature | module | what it does | and does not know |
//! |---|---|---|---|
//! | – | [`mod@format`] | the kernel's descriptions, parsed: `format`, `header_page`, `print fmt`, BTF | files, sockets |
//! | – | [`ring`] | bytes of a sub-buffer → records | events, fields |
//! | – | [`names`] | names for numbers: tasks, addresses, enum constants | who asks |
//! | – | [`decode`] | format → plan; record and plan → typed values | where bytes come from |
//! | – | [`render`] | record and print format → the kernel's own text | OSC |
//! | – | [`escape`], [`duration`] | text made safe to show; spans of time as people write them | anything |
//! | `osc` | [`wall`] | the time of day that messages say | who else has which |
//! | `osc` | [`osc`] | event → address and type tags; values → bytes, bundles, datagrams | tracefs |
//! | `capture` | [`capture`] | frozen rings: folders, `trace.dat` and `perf.data`, read and written | sinks |
//! | `capture` | [`tracefs`] | names of events and clocks, selections, as the control files have them | records, OSC |
//! | `tracefs` | [`tracefs`] | the running kernel's: find, mount, a private instance, enable, filter, tear down | records, OSC |
//! | `tracefs` | [`keeper`], [`rights`] | the process that removes the instance; rights given up | what is traced |
//!
//! The feature `cli`, which is on by default, is the program. Its modules are public for the binary and its tests; they are
//! hidden here and no part of the library: they change in any version.
//!
//! | module of the program | what it does | and does not know |
//! |---|---|---|
//! | `cli`, `commands` | what can be said, and which parts do it | how they do it |
//! | `live`, `replay` | the two loops that join a source to the outputs | the insides of either |
//! | `pipeline`, `output` | the one way from record to outputs | where records come from |
//! | `map` | events and hits → messages in a receiver's own words | where they go |
//! | `sound` | event → hit; hits → samples | OSC, browsers, sockets |
//! | `page` | the page in a browser: HTTP, WebSocket, OSCQuery, the embedded files | events of one kernel, how sound is chosen |
//! | `control` | OSC in → checked commands | how they are carried out |
//! | `meaning` | groups, events and fields in a few words | anything |
//! | `follow` | another machine's time of day, asked for and answered | what is sent by it |
//! | `listen` | what arrives, printed | the kernel |
//! | `terminal` | what the program says, and to whom | what it is about |
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
//! 3. A record begins with its event's id. `pipeline` finds the plan by it, adds the time of day and the task's name, and
//!    hands the record to every output.
//! 4. [`osc::MessagePlan`] appends the message to a datagram; [`decode::Plan`] gives the same fields as values, and
//!    [`render`] as the text that the kernel itself would print.
//!
//! # What holds everywhere
//!
//! Every byte from a ring, a file or the network is untrusted: what is wrong is counted and named with its place, and the
//! rest goes on. Nothing panics on it. Times are ns: of the trace clock in a [`ring::Record`], since 1970 in a message.
#![warn(missing_docs)]
// What is public within the crate alone may be there for a feature that is off.
#![cfg_attr(not(feature = "cli"), allow(dead_code, unused_imports))]
pub mod decode;
pub mod duration;
pub mod escape;
pub mod format;
pub mod names;
pub mod render;
pub mod ring;

#[cfg(feature = "osc")]
pub mod osc;
#[cfg(feature = "osc")]
pub mod wall;

#[cfg(feature = "capture")]
pub mod capture;
#[cfg(feature = "capture")]
pub mod tracefs;

#[cfg(feature = "tracefs")]
pub mod keeper;
#[cfg(feature = "tracefs")]
pub mod rights;

#[cfg(feature = "cli")]
#[doc(hidden)]
pub mod cli;
#[cfg(feature = "cli")]
#[doc(hidden)]
pub mod commands;
#[cfg(feature = "cli")]
#[doc(hidden)]
pub mod control;
#[cfg(feature = "cli")]
#[doc(hidden)]
pub mod follow;
#[cfg(feature = "cli")]
#[doc(hidden)]
pub mod listen;
#[cfg(feature = "cli")]
#[doc(hidden)]
pub mod live;
#[cfg(feature = "cli")]
#[doc(hidden)]
pub mod map;
#[cfg(feature = "cli")]
#[doc(hidden)]
pub mod meaning;
#[cfg(feature = "cli")]
#[doc(hidden)]
pub mod output;
#[cfg(feature = "cli")]
#[doc(hidden)]
pub mod page;
#[cfg(feature = "cli")]
#[doc(hidden)]
pub mod pipeline;
#[cfg(feature = "cli")]
#[doc(hidden)]
pub mod replay;
#[cfg(feature = "cli")]
#[doc(hidden)]
pub mod sound;
#[cfg(feature = "cli")]
#[doc(hidden)]
pub mod terminal;
