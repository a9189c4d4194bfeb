//! Announces the page's server by multicast DNS, for OSCQuery clients: `_oscjson._tcp` (RFC 6762, RFC 6763).
//!
//! A server that is local to this machine is announced on the loopback interface only.

use std::net::{IpAddr, SocketAddr};

use mdns_sd::{Error, IfKind, ServiceDaemon, ServiceInfo};

const TYPE: &str = "_oscjson._tcp.local.";

/// The announcement, until it is dropped.
pub struct Announced(ServiceDaemon);

impl Announced {
    /// Announces the server at `address` of this `host`.
    pub fn new(host: &str, address: SocketAddr) -> Result<Announced, Error> {
        let daemon = ServiceDaemon::new()?;
        let ip = address.ip();
        if ip.is_loopback() {
            daemon.disable_interface(IfKind::All)?;
            daemon.enable_interface(if ip.is_ipv4() { IfKind::LoopbackV4 } else { IfKind::LoopbackV6 })?;
        }
        // A DNS label has at most 63 bytes; the port in it distinguishes several servers.
        let host: String = host.split('.').next().unwrap_or_default().chars().take(40).collect();
        let name = format!("ftrace-live on {host} {}", address.port());
        // Without an address of its own it is announced with those of each interface.
        let ips: &[IpAddr] = if ip.is_unspecified() { &[] } else { &[ip] };
        let service = ServiceInfo::new(TYPE, &name, &format!("{host}.local."), ips, address.port(), None)?;
        daemon.register(if ip.is_unspecified() { service.enable_addr_auto() } else { service })?;
        Ok(Announced(daemon))
    }
}

impl Drop for Announced {
    fn drop(&mut self) {
        // It sends a goodbye before it ends.
        drop(self.0.shutdown());
    }
}
