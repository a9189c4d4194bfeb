//! Decodes the events that ftrace, the Linux kernel's tracer, records, and sends them as typed OSC messages: the library
//! behind `ftrace-live`.
//!
//! A trace has three parts. For each CPU there is a **ring** of sub-buffers of usually 4 KiB; `header_page` describes
//! the header of a sub-buffer, which has a time and the number of bytes used. The header is followed by **records**,
//! each with the time since the previous one, and a payload that begins with the id of its event. Each event has a
//! **format**, a text file with the offset and the C type of each field of the payload, and the `print fmt` with which
//! the kernel prints it. All three are read from tracefs (`/sys/kernel/tracing`), from a folder that mirrors it, or from
//! a `trace.dat` or `perf.data`.
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
//! // A folder, a trace.dat or a perf.data.
//! let path = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/x86_64-6.18/sched");
//! let mut capture = capture::open(path.as_ref(), Default::default())?;
//! let events = EventTable::new(std::mem::take(&mut capture.events));
//! // The records of all CPUs, in order of time.
//! let mut merge = capture.merge();
//! let mut started = Vec::new();
//! while let Some(record) = merge.next_record::<LittleEndian>() {
//!     let format = EventId::of::<LittleEndian>(record.bytes).and_then(|id| events.get(id));
//!     let Some(format) = format.filter(|format| format.name == "sched_process_exec") else { continue };
//!     // A program that reads many records compiles each event's plan once.
//!     let plan = Plan::compile(format);
//!     for (field, value) in format.fields.iter().zip(plan.values::<LittleEndian>(record.bytes)) {
//!         if let ("filename", Value::Text(name)) = (field.name.as_str(), value?) {
//!             started.push(String::from_utf8_lossy(name).into_owned());
//!         }
//!     }
//! }
//! assert!(started.iter().any(|name| name.ends_with("/sleep")), "{started:?}");
//! // A ring that could not be read to its end.
//! if let Some((cpu, error)) = merge.take_errors().next() {
//!     return Err(format!("CPU {cpu}: {error}").into());
//! }
//! # }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Example: a record from any source as text
//!
//! This needs no feature.
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
//! The records of a capture are in the byte order of its kernel, [`Capture::endian`](capture::Capture::endian): a program for
//! both is generic over `byteorder::ByteOrder`, as the functions here are, and is called with `LittleEndian` or `BigEndian`.
//!
//! The time of a record is that of the trace clock; if the capture has a [`tracefs::ClockPair`], its `realtime_of` converts it
//! to ns since 1970.
//!
//! # Where to begin
//!
//! | you have | feature | begin at |
//! |---|---|---|
//! | a `trace.dat`, a `perf.data` or a folder, and a writer of columns | `capture` | [`capture`]; [`decode::Read`] for the types of columns |
//! | sub-buffers from elsewhere, and format files | – | [`ring::Feed`], [`decode`] |
//! | an OSC receiver, and your own events or messages | `osc` | [`osc`] |
//! | a running kernel | `tracefs` | [`tracefs::Instance`] |
//!
//! `examples/` in the repository has a whole program of 40 lines for each: `columns.rs`, `own_ring.rs`, `own_events.rs`,
//! `live.rs`.
//!
//! # Features and modules
//!
//! The default features are the program; a library user turns them off. What is left is the decoder, which opens no files
//! and depends only on parsers. The functions are generic over `byteorder`'s byte orders. With captures:
//!
//! ```toml
//! [dependencies]
//! ftrace-live = { version = "0.2", default-features = false, features = ["capture"] }
//! byteorder = "1"
//! ```
//!
//! The crate is not on crates.io yet: until then, `git = "…"` or `path = "…"` takes the place of `version`.
//!
//! | feature | module | what it does | independent of |
//! |---|---|---|---|
//! | – | [`mod@format`] | the kernel's descriptions, parsed: `format`, `header_page`, `print fmt`, BTF | files, sockets |
//! | – | [`ring`] | bytes of a sub-buffer → records | events, fields |
//! | – | [`names`] | names for numbers: tasks, addresses, enum constants | records |
//! | – | [`decode`] | format → plan; record and plan → typed values | the source of the bytes |
//! | – | [`render`] | record and print format → the kernel's own text | OSC |
//! | – | [`escape`], [`duration`] | escaping text for a terminal; durations like `1.5s` | everything |
//! | `osc` | [`wall`] | the time of day that messages carry | other machines |
//! | `osc` | [`osc`] | event → address and type tags; values → bytes, bundles, datagrams | tracefs |
//! | `capture` | [`capture`] | captures: folders and `trace.dat`, read and written; `perf.data`, read | outputs |
//! | `capture` | [`tracefs`] | names of events and clocks, selections, in the syntax of the tracefs files | records, OSC |
//! | `zstd-c` | [`capture`] | decompresses zstd in a `trace.dat` by the C library, which takes a third of the time | outputs |
//! | `tracefs` | [`tracefs`] | the running kernel: find, mount, make a private instance, enable, filter, remove | records, OSC |
//! | `tracefs` | [`keeper`], [`rights`] | the process that removes the instance; dropping privileges | what is traced |
//!
//! The feature `cli`, which is on by default, is the program. Its modules are public for the binary and the tests, but are
//! hidden here and not part of the library: they may change in any version.
//!
//! | module of the program | what it does | independent of |
//! |---|---|---|
//! | `cli`, `commands` | the command line, and the code of each command | the insides of the rest |
//! | `live`, `replay` | the two loops that connect a source to the outputs | the insides of both |
//! | `pipeline`, `output` | the path from a record to the outputs | the source of the records |
//! | `map` | events and hits → messages of the user's choice (`--map`) | transport |
//! | `sound` | event → hit; hits → samples | OSC, browsers, sockets |
//! | `page` | the page in a browser: HTTP, WebSocket, OSCQuery, the embedded files | single events, the choice of sounds |
//! | `control` | OSC in → checked commands | their execution |
//! | `meaning` | short descriptions of groups, events and fields | everything |
//! | `follow` | another machine's time of day: asking and answering | what uses it |
//! | `listen` | prints OSC that arrives | the kernel |
//! | `terminal` | the program's messages to the user | their content |
//!
//! # The path of a record
//!
//! ```text
//!  events/*/*/format ──nom──▶ EventFormat ──compile──▶ Plan, MessagePlan   (once for each event)
//!     format                     format                 decode, osc::plan
//!                                                            │
//!  trace_pipe_raw ──▶ sub-buffer ──▶ record ─────────────────┼──▶ message ──▶ bundle ──▶ socket
//!  capture, live       ring::Walk     ring::Merge         pipeline   osc       osc::datagram, osc::transport
//! ```
//!
//! 1. A [`ring::Feed`] returns the sub-buffers of one CPU as bytes: live from tracefs, or from a capture.
//! 2. [`ring::Walk`] finds the records in a sub-buffer with their times and losses; [`ring::Merge`] merges those of all CPUs
//!    in order of time.
//! 3. A record begins with its event's id. `pipeline` looks up the plan, adds the time of day and the task's name, and passes
//!    the record to every output.
//! 4. [`osc::MessagePlan`] appends the message to a datagram; [`decode::Plan`] returns the same fields as values, and
//!    [`render`] as the text that the kernel would print.
//!
//! # Conventions
//!
//! Every byte from a ring, a file or the network is untrusted: an error is counted and reported with its position, and
//! reading continues; nothing panics. Times are in ns: of the trace clock in a [`ring::Record`], since 1970 in a message.
#![warn(missing_docs)]
// Without `cli`, some items that are public within the crate are unused.
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
