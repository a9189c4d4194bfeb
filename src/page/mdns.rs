//! The page's server announced by multicast DNS, as OSCQuery clients look for it: `_oscjson._tcp` (RFC 6762, RFC 6763).
//!
//! What is served on this machine alone is announced on its loopback interface alone.

use std::net::{IpAddr, SocketAddr};

use mdns_sd::{Error, IfKind, ServiceDaemon, ServiceInfo};

const TYPE: &str = "_oscjson._tcp.local.";

/// The announcement, for as long as this lives.
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
        // A label of DNS has at most 63 bytes, of which the port tells several servers apart.
        let host: String = host.split('.').next().unwrap_or_default().chars().take(40).collect();
        let name = format!("ftrace-live on {host} {}", address.port());
        // With no address of its own it is announced with those of each interface.
        let ips: &[IpAddr] = if ip.is_unspecified() { &[] } else { &[ip] };
        let service = ServiceInfo::new(TYPE, &name, &format!("{host}.local."), ips, address.port(), None)?;
        daemon.register(if ip.is_unspecified() { service.enable_addr_auto() } else { service })?;
        Ok(Announced(daemon))
    }
}

impl Drop for Announced {
    fn drop(&mut self) {
        // It says goodbye to the network before it ends.
        drop(self.0.shutdown());
    }
}
