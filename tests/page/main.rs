//! The page: its server through sockets, and the page itself in a real browser, if there is one.
//!
//! `FTRACE_LIVE_DEEP=1` sends datagrams for a minute instead of some seconds. `docs/screenshots` takes the pictures.

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
