//! `--clock-from`: follows the clock of another machine.

use std::net::SocketAddr;

use anyhow::Result;

use super::Usage;
use crate::cli::SendArgs;
use crate::follow::{self, Follower};
use crate::osc::preset::{Preset, Target};
use crate::terminal;
use crate::wall;

/// The address of the machine whose clock is followed, if given.
pub fn address(args: &SendArgs) -> Result<Option<SocketAddr>> {
    let Some(text) = args.clock_from.as_deref() else { return Ok(None) };
    let target: Target = text.parse()?;
    if target.preset.is_some() {
        return Err(Usage(format!("--clock-from {text:?}: write HOST or HOST:PORT")).into());
    }
    // The port on which `listen` listens.
    Ok(Some(target.resolve(Preset::default_preset())?))
}

/// Follows that clock until the result is dropped, and reports its difference from this machine's.
pub fn start(address: Option<SocketAddr>) -> Result<Option<Follower>> {
    let Some(address) = address else { return Ok(None) };
    let follower = follow::start(address)?;
    if let Some(followed) = wall::followed() {
        let ms = |ns: u64| ns as f64 / 1e6;
        let side = if followed.ahead_ns < 0 { "behind" } else { "ahead of" };
        terminal::say(format_args!(
            "times are those of {address}, whose clock is {:.3} ms {side} this machine's, ± {:.3} ms (a round trip of {:.3} ms)",
            ms(followed.ahead_ns.unsigned_abs()),
            ms(followed.bound_ns),
            ms(followed.round_trip_ns)
        ));
    }
    Ok(Some(follower))
}
