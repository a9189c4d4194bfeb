//! The keeper: the only process that keeps root while we trace. It owns the instance, carries out a closed list of
//! requests, and removes the instance however the run ends.
//!
//! ```text
//!  keeper: root, or CAP_DAC_OVERRIDE alone            player: the caller's rights, no capability
//!  ┌───────────────────────────────┐   SOCK_SEQPACKET   ┌──────────────────────────────────────┐
//!  │ instances/ftrace-live-PID     │ ◀── a Request ──── │ decode, OSC, sockets, files, control │
//!  │ writes what a Setting says,   │                    │                                      │
//!  │ opens what may be read        │ ── Answer, file ─▶ │ reads sub-buffers from the file      │
//!  └───────────────────────────────┘     SCM_RIGHTS     └──────────────────────────────────────┘
//! ```
//!
//! It parses no byte of a ring, a format or the network: `Request::decode` splits a message of the player at its NULs
//! and checks each word; anything else is refused. The names of files that it opens are listed in `request`, and what
//! it writes is generated there from typed values. So a player that has been taken over can trace what its caller
//! might trace, and no more.
//!
//! Without a keeper the same list is carried out in our own process (`Hands`), so there is only one way to the
//! control files. How the player gives up root is in [`rights`](crate::rights).

mod hands;
mod holders;
pub(crate) mod lent;
mod link;
mod process;
mod request;
mod stale;
mod teardown;

pub(crate) use hands::Hands;
#[cfg(test)]
pub(crate) use holders::holders;
pub use process::{Keeper, run_if_asked};
pub(crate) use request::{Answer, Base, MOST_TASKS, Request, Setting};
pub(crate) use teardown::{instance_path, remove_instance};
