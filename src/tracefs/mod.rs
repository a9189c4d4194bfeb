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

mod clock;
mod command;
mod control;
mod error;
mod events;
mod files;
mod instance;
mod instances;
mod last_boot;
mod lent;
mod mapped;
mod mount;
mod pids;
mod raw;
mod select;
mod settings;
mod setup;
mod stale;
mod timeline;

pub use clock::{ClockPair, TraceClock, TraceClocks};
pub use command::{StoppedCommand, exit_code};
pub use error::TracefsError;
pub use events::EventName;
pub(crate) use files::Files;
pub(crate) use instance::make_room_for_files;
pub use instance::{EnableFailure, Enabled, EventFilter, Instance};
pub use instances::InstanceState;
pub use last_boot::{KernelThen, LastBoot, Moved};
pub use lent::{LendError, Lent};
pub use mapped::MappedRing;
pub(crate) use mount::is_tracefs;
pub use mount::{Kind, Tracefs};
pub use pids::{PidView, tasks_of};
pub use raw::{CpuStats, RawBuffer, RawRead};
pub use select::{Among, Selected, Selection, Unmatched};
pub use setup::Setup;
pub use stale::{Stale, remove_stale};
pub use timeline::{Noted, Timeline};
