//! The page: its server spoken to by sockets, and itself in a real browser, which is skipped where there is none.
//!
//! `FTRACE_LIVE_DEEP=1` sends a minute's datagrams instead of some seconds'. `docs/screenshots` takes the pictures.

#[path = "../common/mod.rs"]
mod common;

mod demo;
mod desk;
mod devtools;
mod flood;
mod layout;
mod live;
#[cfg(feature = "mdns")]
mod mdns;
mod pictures;
mod server;
mod strangers;
mod transport;
mod voices;
mod words;
