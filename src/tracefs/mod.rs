//! The kernel's tracing control files: find or mount tracefs, create a private instance, enable events, set filters,
//! clean up.
//!
//! Settings are only changed inside an [`Instance`] of our own, which is removed at the end; the top level is only
//! read. Nothing here knows the form of a record: sub-buffers and descriptions are returned as bytes and text.
//!
//! The usual order; each step can also be used alone:
//!
//! 1. [`Tracefs::find`] (or [`Tracefs::at`]) and [`Tracefs::events`];
//! 2. [`Selection::parse`] and [`Selection::resolve`]: select events, before anything is changed;
//! 3. [`Keeper::start`](crate::keeper::Keeper::start): the small process that owns the instance, and removes it in
//!    any case;
//! 4. [`remove_stale`]: removes instances whose owner was killed together with its keeper;
//! 5. [`Instance::create`], its `set_…` functions, [`Instance::enable`], [`Instance::open_raw`],
//!    [`Instance::start`];
//! 6. [`Instance::close`], or its `Drop`.
//!
//! `examples/live.rs` is a whole program. Without a kernel, selections work on the events of a capture:
//!
//! ```
//! use ftrace_live::tracefs::{Among, EventName, Selection};
//!
//! let available = ["sched:sched_switch", "sched:sched_waking", "irq:softirq_entry"];
//! let available: Vec<EventName> = available.iter().map(|name| name.parse()).collect::<Result<_, _>>()?;
//! let selected = Selection::parse(&["sched,!*_waking"])?.resolve_among(&available, Among::Capture)?;
//! assert_eq!(selected.events, [EventName::new("sched", "sched_switch")]);
//! # Ok::<(), ftrace_live::tracefs::TracefsError>(())
//! ```

// Available for captures and for the running kernel.
mod among;
mod clock;
mod control;
mod error;
mod files;
mod filter;
mod name;
mod set_event;
mod stats;
pub(crate) mod time_namespace;

pub use among::Among;
pub use clock::{ClockPair, TraceClock, TraceClocks};
pub use error::TracefsError;
pub(crate) use files::Files;
pub use filter::{EventFilter, conditions};
pub use name::EventName;
pub use set_event::{Selected, Selection, Unmatched};
pub use stats::CpuStats;

// Available for the running kernel only.
#[cfg(feature = "tracefs")]
mod command;
#[cfg(feature = "tracefs")]
mod events;
#[cfg(feature = "tracefs")]
mod instance;
#[cfg(feature = "tracefs")]
mod instances;
#[cfg(feature = "tracefs")]
mod last_boot;
#[cfg(feature = "tracefs")]
mod lent;
mod looked_at;
#[cfg(feature = "tracefs")]
mod mapped;
#[cfg(feature = "tracefs")]
mod mount;
#[cfg(feature = "tracefs")]
mod pids;
#[cfg(feature = "tracefs")]
mod raw;
#[cfg(feature = "tracefs")]
mod rlimit;
#[cfg(feature = "tracefs")]
mod settings;
#[cfg(feature = "tracefs")]
mod setup;
#[cfg(feature = "tracefs")]
mod stale;
#[cfg(feature = "tracefs")]
mod timeline;

#[cfg(feature = "tracefs")]
pub use command::{StoppedCommand, exit_code};
#[cfg(feature = "tracefs")]
pub use instance::{EnableFailure, Enabled, Instance};
#[cfg(feature = "tracefs")]
pub use instances::InstanceState;
#[cfg(feature = "tracefs")]
pub use last_boot::{KernelThen, LastBoot, Moved};
#[cfg(feature = "tracefs")]
pub use lent::{LendError, Lent};
#[cfg(feature = "tracefs")]
pub(crate) use looked_at::LookedAt;
#[cfg(feature = "tracefs")]
pub use mapped::MappedRing;
#[cfg(feature = "tracefs")]
pub(crate) use mount::is_tracefs;
#[cfg(feature = "tracefs")]
pub use mount::{Kind, Tracefs};
#[cfg(feature = "tracefs")]
pub use pids::{PidView, tasks_of};
#[cfg(feature = "tracefs")]
pub use raw::{RawBuffer, RawRead};
#[cfg(feature = "tracefs")]
pub(crate) use rlimit::make_room_for_files;
#[cfg(feature = "tracefs")]
pub use setup::Setup;
#[cfg(feature = "tracefs")]
pub use stale::{Stale, remove_stale};
#[cfg(feature = "tracefs")]
pub use timeline::{Noted, Timeline};
