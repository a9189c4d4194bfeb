//! Real receivers on loopback: each gets its preset's stream of a real capture, and every value must arrive, in order,
//! without a word of complaint; each runs the patch that is generated for it, and something must be heard.
//!
//! A receiver that is not installed is skipped by name (`.ci/install-receivers` installs those that Debian and PyPI have).

#[path = "../common/mod.rs"]
mod common;

mod chuck;
mod control;
mod csound;
mod launch;
mod liblo;
mod maps;
mod puredata;
mod python;
mod rosc_itself;
mod seen;
mod sound;
mod stream;
mod supercollider;
