//! `--control` and the page: opens the sources of commands.

use std::net::{Ipv4Addr, SocketAddr, ToSocketAddrs};

use anyhow::{Context, Result};

use super::address::refused;
use super::{Usage, send};
use crate::capture::select::Select;
use crate::cli::{ReplayArgs, SendArgs};
use crate::control::desk::Settings;
use crate::control::switches::Switches;
use crate::control::udp::Control;
use crate::page::Page;
use crate::terminal;
use crate::tracefs::{EventFilter, EventName, conditions};

/// Accepts commands for a stream of these events: from clients of a page, and by UDP at `[HOST:]PORT`, where a bare
/// port accepts them from this machine only. `None`: there are no commands.
pub fn open(
    at: Option<&str>,
    page: Option<&mut Page>,
    prefix: &str,
    (switches, settings): (Switches, Settings),
) -> Result<Option<Control>> {
    let clients = page.and_then(Page::clients);
    if at.is_none() && clients.is_none() {
        return Ok(None);
    }
    let live = settings.live;
    let mut control = Control::new(prefix, switches, settings);
    clients.into_iter().for_each(|clients| control.hear(Box::new(clients)));
    at.map_or(Ok(()), |at| listen(&mut control, at, prefix, live))?;
    Ok(Some(control))
}

/// The same for a replay of those of `events` that `select` takes.
pub fn open_for_replay(
    args: &ReplayArgs,
    select: &Select,
    events: Vec<EventName>,
    page: Option<&mut Page>,
    prefix: &str,
) -> Result<Option<Control>> {
    let pids: Vec<_> = select.pids.iter().filter_map(|pid| u32::try_from(*pid).ok()).collect();
    let settings = settings(&args.send, false, &pids, &select.filters, &events)?;
    open(args.control.as_deref(), page, prefix, (Switches::new(events), settings))
}

fn listen(control: &mut Control, at: &str, prefix: &str, live: bool) -> Result<()> {
    let usage = || Usage(format!("--control {at:?} is neither a UDP port nor HOST:PORT: write 9000, or 0.0.0.0:9000"));
    let address = match at.parse::<u16>() {
        Ok(port) => SocketAddr::from((Ipv4Addr::LOCALHOST, port)),
        Err(_) => at.to_socket_addrs().ok().and_then(|mut found| found.next()).ok_or_else(usage)?,
    };
    let what = if live { "what is traced" } else { "this replay" };
    control.listen(address).map_err(|error| refused(&format!("cannot listen for commands at {address}"), error))?;
    let address = control.address().context("cannot take commands")?;
    if !address.ip().is_loopback() {
        terminal::warn(format_args!("everybody who can reach UDP {address} can control {what}"));
    }
    terminal::say(format_args!("accepts commands at UDP {address}: {prefix}/control/…"));
    Ok(())
}

/// The settings that commands can change. `filters` are for some of `events`.
pub fn settings(
    args: &SendArgs,
    live: bool,
    pids: &[u32],
    filters: &[EventFilter],
    events: &[EventName],
) -> Result<Settings> {
    Ok(Settings {
        live,
        typed: args.page.is_some() || args.raw && args.map.is_none(),
        rate: args.max_rate,
        pids: pids.to_vec(),
        aggregate: send::aggregate(args)?,
        names: args.form.names || args.page.is_some() && args.to.is_empty(),
        filters: conditions(filters, events).into_iter().collect(),
    })
}
