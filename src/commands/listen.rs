//! `listen`: what arrives, as lines.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::process::ExitCode;

use anyhow::Result;

use super::Usage;
use super::written::{self, What};
use crate::cli::ListenArgs;
use crate::listen::{self, ListenOptions};

/// Listens.
pub fn run(args: &ListenArgs) -> Result<ExitCode> {
    let any = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
    let address = args.port.parse::<u16>().map(|port| SocketAddr::new(any, port)).or_else(|_| args.port.parse());
    let usage = || Usage(format!("{:?} is neither a UDP port (1 to 65535) nor ADDRESS:PORT", args.port));
    let address: SocketAddr = address.ok().filter(|address| address.port() != 0).ok_or_else(usage)?;
    let (rates, write, count) = (args.rates, args.write.clone(), args.count);
    if let Some(file) = &write {
        written::check("--write", file, What::File)?;
    }
    let json = args.json;
    listen::run(&ListenOptions { address, rates, write, count, json })?;
    Ok(ExitCode::SUCCESS)
}
