//! The keeper: the one process that keeps root while we trace. It owns the instance, does what a closed list of requests
//! says, and removes the instance at whatever end.
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
//! It parses no byte of a ring, a format or the network: `Request::decode` splits a message of the player's at its NULs and
//! checks each word; anything else is refused. What it opens is in `request`'s list of names; what it writes is made from
//! typed values there. So a player that has been taken over can trace what the caller might trace, and no more.
//!
//! The same list serves where no keeper is asked (`Hands` within our own process), so there is one way to the control
//! files. How the player gives up root is in [`rights`](crate::rights).

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
