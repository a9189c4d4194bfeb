//! The rights of a process: root for as short as possible.
//!
//! A program that traces is started as root (or with `CAP_DAC_OVERRIDE`), needs that for a handful of control files,
//! and then reads untrusted bytes, opens sockets and writes files named by a user. So before it reads the first of
//! those bytes it becomes the [`Caller`] permanently ([`give_up`]), and before it traces, restricts its access to the
//! file system ([`confine`]). What needs root later is done by a [keeper](crate::keeper).

mod caller;
mod give_up;
mod landlock;

pub use caller::{Caller, CallerError};
pub use give_up::{GiveUpError, as_caller, confine, give_up, give_up_capabilities, is_privileged};
