//! `listen`: prints what arrives.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result};

use super::Usage;
use super::address::refused;
use super::written::{self, What};
use crate::cli::{LinesFormat, ListenArgs};
use crate::listen::{self, ListenError, ListenOptions};

/// Listens.
pub fn run(args: &ListenArgs) -> Result<ExitCode> {
    let any = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
    let address = args.port.parse::<u16>().map(|port| SocketAddr::new(any, port)).or_else(|_| args.port.parse());
    let usage = || Usage(format!("{:?} is neither a UDP port (1 to 65535) nor ADDRESS:PORT", args.port));
    let address: SocketAddr = address.ok().filter(|address| address.port() != 0).ok_or_else(usage)?;
    if let Some(file) = &args.write {
        written::check("--write", file, What::File)?;
    }
    let socket = listen::open(address).map_err(|error| match error {
        ListenError::Bind { source, .. } => refused(&format!("cannot listen on {address}"), source),
        error => error.into(),
    })?;
    let create = |path| written::create(path).with_context(|| format!("cannot write to {}", Path::display(path)));
    let write = args.write.as_deref().map(create).transpose()?;
    let options = ListenOptions {
        rates: args.rates,
        write,
        count: args.count,
        json: args.json || args.format == LinesFormat::Json,
    };
    listen::run(socket, options).map_err(|error| match (error, &args.write) {
        (ListenError::Io(error), Some(file)) => {
            anyhow::Error::from(error).context(format!("cannot write to {}", file.display()))
        }
        (ListenError::Io(error), None) => error.into(),
        (error, _) => error.into(),
    })?;
    Ok(ExitCode::SUCCESS)
}
