//! Real receivers on loopback: each gets its preset's stream of a real capture, and every value must arrive in order,
//! without complaints; each runs the patch generated for it, and it must produce sound.
//!
//! A receiver that is not installed is skipped by name (`.ci/install-receivers` installs those available from Debian
//! and PyPI).

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
