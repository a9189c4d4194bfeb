//! The kernel's tracing control files: find or mount tracefs, a private instance, enabling, filters, tear down.
//!
//! Everything that is written is written inside an [`Instance`] of our own, which goes away with us; the top level is
//! only read. Nothing here knows what a record looks like: sub-buffers and descriptions leave this room as bytes and
//! text.
//!
//! The usual order, each step of which can stand alone:
//!
//! 1. [`Tracefs::find`] (or [`Tracefs::at`]) and [`Tracefs::events`];
//! 2. [`Selection::parse`] and [`Selection::resolve`]: which events, before anything is touched;
//! 3. [`Keeper::start`](crate::keeper::Keeper::start): the small process which owns the instance, and removes it at whatever end;
//! 4. [`remove_stale`]: instances whose owner was killed together with its guard;
//! 5. [`Instance::create`], its `set_…` functions, [`Instance::enable`], [`Instance::open_raw`],
//!    [`Instance::start`];
//! 6. [`Instance::close`], or its `Drop`.

// What captures have as well as the running kernel.
mod among;
mod clock;
mod control;
mod error;
mod files;
mod filter;
mod name;
mod select;
mod stats;

pub use among::Among;
pub use clock::{ClockPair, TraceClock, TraceClocks};
pub use error::TracefsError;
pub(crate) use files::Files;
pub use filter::EventFilter;
pub use name::EventName;
pub use select::{Selected, Selection, Unmatched};
pub use stats::CpuStats;

// What only the running kernel has.
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
