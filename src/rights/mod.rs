//! Whose rights a process has: root for as short as possible.
//!
//! A program that traces is started as root (or with `CAP_DAC_OVERRIDE`), needs that for a handful of control files, and then
//! reads bytes that others have a hand in, opens sockets and writes files that a user named. So before it reads the first of
//! those bytes it becomes the [`Caller`] for ever ([`give_up`]), and before it traces, shuts
//! itself out of the file system ([`confine`]). What needs root later, a [keeper](crate::keeper) does.

mod caller;
mod give_up;
mod landlock;

pub use caller::{Caller, CallerError};
pub use give_up::{GiveUpError, as_caller, confine, give_up, give_up_capabilities, is_privileged};
