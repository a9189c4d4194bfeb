//! What to do about an address at which no socket can be opened.

use std::io;

/// An error with its remedy: `what` ("cannot listen at ADDRESS") failed.
pub fn refused(what: &str, error: io::Error) -> anyhow::Error {
    let how = match error.kind() {
        io::ErrorKind::AddrInUse => "another program uses this port: give another one (ss -lntup lists who uses which)",
        io::ErrorKind::AddrNotAvailable => "this machine does not have this address: `ip address` lists those it has",
        io::ErrorKind::PermissionDenied => "only root may use this port: give one from 1024 on",
        _ => return anyhow::Error::from(error).context(what.to_owned()),
    };
    anyhow::anyhow!("{what}: {how}")
}
