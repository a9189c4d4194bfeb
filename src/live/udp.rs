//! The receivers on this machine, from `/proc/net/udp` and `udp6`, and the processes that hold their sockets.
//!
//! Own code rather than the `procfs` crate, whose `UdpNetEntry` leaves out the last column, `drops`.

use std::collections::BTreeMap;
use std::fs::File;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use crate::tracefs::LookedAt;

/// A UDP socket of this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Socket {
    /// The address it receives at.
    pub(super) local: SocketAddr,
    /// The inode of the socket, as `/proc/PID/fd` shows it; 0 if no process holds it any more.
    pub(super) inode: u64,
    /// Datagrams that it dropped since it was made (`sk_drops`).
    pub(super) drops: u64,
}

impl Socket {
    /// Whether it receives datagrams to `target`.
    fn receives(&self, target: &SocketAddr) -> bool {
        let (local, to) = (self.local.ip().to_canonical(), target.ip().to_canonical());
        let everybody = match to {
            IpAddr::V4(ip) => ip.is_broadcast() || ip.is_multicast(),
            IpAddr::V6(ip) => ip.is_multicast(),
        };
        // A wildcard IPv6 socket also receives IPv4 datagrams (unless IPV6_V6ONLY is set, which the table does not
        // show).
        let wildcard = local.is_unspecified() && (self.local.is_ipv6() || to.is_ipv4());
        self.local.port() == target.port() && (local == to || wildcard || everybody || to.is_unspecified())
    }
}

/// The kernel's tables of UDP sockets, which are looked at once a second and stay open.
#[derive(Debug, Default)]
pub(super) struct Tables(LookedAt);

impl Tables {
    /// The UDP sockets of our network namespace; none if the tables cannot be read.
    pub(super) fn sockets(&self) -> Vec<Socket> {
        let table = |file: &str| self.0.read(file, |file| File::open(file)).unwrap_or_default();
        let tables = [table("/proc/net/udp"), table("/proc/net/udp6")];
        tables.iter().flat_map(|table| parse(&String::from_utf8_lossy(table)).collect::<Vec<_>>()).collect()
    }
}

/// Those of `sockets` that receive datagrams to `target`.
pub(super) fn receivers<'s>(sockets: &'s [Socket], target: &SocketAddr) -> impl Iterator<Item = &'s Socket> {
    sockets.iter().filter(move |socket| socket.receives(target))
}

/// Whether `address` is an address of this machine, or one that reaches it among others (broadcast, multicast).
pub(super) fn is_local(address: IpAddr) -> bool {
    // The kernel refuses to bind to an address that is not local.
    address.is_loopback() || UdpSocket::bind((address, 0)).is_ok()
}

/// What the sockets of local targets have dropped.
#[derive(Debug)]
pub(super) struct Drops {
    targets: Vec<SocketAddr>,
    /// The counts at the last look, by inode. `None` before the first look.
    last: Option<BTreeMap<u64, u64>>,
    total: u64,
}

impl Drops {
    /// For the ones of `targets` that are on this machine.
    pub(super) fn new(targets: &[SocketAddr]) -> Drops {
        let targets = targets.iter().copied().filter(|target| is_local(target.ip())).collect();
        Drops { targets, last: None, total: 0 }
    }

    /// Whether any target is on this machine.
    pub(super) fn any_local(&self) -> bool {
        !self.targets.is_empty()
    }

    /// The targets on this machine.
    pub(super) fn targets(&self) -> &[SocketAddr] {
        &self.targets
    }

    /// What each target dropped since the last call; `sockets` are the current ones. What a socket dropped before the
    /// first call is not ours; a socket that is made later drops only because of us.
    pub(super) fn since_last(&mut self, sockets: &[Socket]) -> BTreeMap<SocketAddr, u64> {
        let (mut counts, mut by_target) = (BTreeMap::new(), BTreeMap::new());
        for target in &self.targets {
            for socket in receivers(sockets, target) {
                let before = match &self.last {
                    Some(last) => last.get(&socket.inode).copied().unwrap_or(0),
                    None => socket.drops,
                };
                let new = socket.drops.saturating_sub(before);
                *by_target.entry(*target).or_insert(0) += new;
                if counts.insert(socket.inode, socket.drops).is_none() {
                    self.total += new;
                }
            }
        }
        self.last = Some(counts);
        by_target
    }

    /// The drops of all sockets.
    pub(super) fn total(&self) -> u64 {
        self.total
    }
}

/// The lines of a table (`udp4_format_sock`, `__ip6_dgram_sock_seq_show`); other lines are skipped.
fn parse(table: &str) -> impl Iterator<Item = Socket> {
    table.lines().filter_map(|line| {
        let mut words = line.split_ascii_whitespace();
        // The header's second word is `local_address`.
        let (address, port) = words.nth(1)?.split_once(':')?;
        let ip = ip(address)?;
        let port = u16::from_str_radix(port, 16).ok()?;
        let inode = words.nth(7)?.parse().ok()?;
        let drops = words.nth(2)?.parse().ok()?;
        Some(Socket { local: (ip, port).into(), inode, drops })
    })
}

/// An address as the tables write it: 32-bit words in hex, each in the byte order of the machine.
fn ip(text: &str) -> Option<IpAddr> {
    let word = |at: usize| Some(u32::from_str_radix(text.get(at..at + 8)?, 16).ok()?.to_ne_bytes());
    match text.len() {
        8 => Some(Ipv4Addr::from(word(0)?).into()),
        32 => {
            let mut bytes = [0; 16];
            for (index, chunk) in bytes.chunks_exact_mut(4).enumerate() {
                chunk.copy_from_slice(&word(8 * index)?);
            }
            Some(Ipv6Addr::from(bytes).into())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[cfg(target_endian = "little")]
    #[test]
    fn a_table_of_a_real_kernel_is_read() {
        let udp = "   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops            \n\
                   \x20 117: 0100007F:DF20 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 31337 2 0000000000000000 744         \n";
        let udp6 = "  sl  local_address                         remote_address                        st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops\n\
                    \x20 117: 00000000000000000000000001000000:DF20 00000000000000000000000000000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 31338 2 0000000000000000 0\n\
                    nonsense\n";
        let read = |table| parse(table).collect::<Vec<_>>();
        assert_eq!(read(udp), [Socket { local: "127.0.0.1:57120".parse().unwrap(), inode: 31337, drops: 744 }]);
        assert_eq!(read(udp6), [Socket { local: "[::1]:57120".parse().unwrap(), inode: 31338, drops: 0 }]);
    }

    #[test]
    fn a_socket_receives_datagrams_to_its_address_or_to_any_if_it_has_none() {
        let receives = |local: &str, to: &str| {
            let socket = Socket { local: local.parse().unwrap(), inode: 1, drops: 0 };
            socket.receives(&to.parse().unwrap())
        };
        for (local, to, expected) in [
            ("127.0.0.1:9", "127.0.0.1:9", true),
            ("127.0.0.1:9", "127.0.0.1:8", false),
            ("127.0.0.1:9", "10.0.0.5:9", false),
            ("0.0.0.0:9", "127.0.0.1:9", true),
            ("0.0.0.0:9", "[::1]:9", false),
            ("[::]:9", "127.0.0.1:9", true),
            ("[::1]:9", "[::1]:9", true),
            ("[::ffff:127.0.0.1]:9", "127.0.0.1:9", true),
            ("10.0.0.5:9", "255.255.255.255:9", true),
        ] {
            assert_eq!(receives(local, to), expected, "{local} {to}");
        }
    }

    #[test]
    fn a_socket_of_ours_is_in_the_table_and_a_child_that_holds_it_is_found() {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        let list = Tables::default().sockets();
        let found: Vec<_> = receivers(&list, &address).collect();
        assert_eq!(found.iter().map(|socket| socket.local).collect::<Vec<_>>(), [address]);
        let inodes = BTreeSet::from([found[0].inode]);
        let owners = |inodes| crate::keeper::holders(inodes, Some(std::process::id()));
        assert_eq!(owners(&inodes), BTreeSet::new(), "we are not our own receiver");

        let held = std::os::fd::OwnedFd::from(socket);
        let mut child = std::process::Command::new("cat").stdin(held).stdout(std::process::Stdio::piped()).spawn();
        let child = child.as_mut().unwrap();
        assert_eq!(owners(&inodes), BTreeSet::from([child.id()]));
        child.kill().unwrap();
        child.wait().unwrap();
    }

    #[test]
    fn drops_are_counted_from_the_beginning_and_for_each_socket_once() {
        let socket = |inode, drops| Socket { local: "0.0.0.0:9".parse().unwrap(), inode, drops };
        let (a, b) = ("127.0.0.1:9".parse().unwrap(), "127.0.0.2:9".parse().unwrap());
        let mut drops = Drops::new(&[a, b, "192.0.2.1:9".parse().unwrap()]);
        assert_eq!(drops.since_last(&[socket(1, 744)]), BTreeMap::from([(a, 0), (b, 0)]));
        assert_eq!(drops.since_last(&[socket(1, 750)]), BTreeMap::from([(a, 6), (b, 6)]));
        // The receiver restarts: its socket is a new one.
        assert_eq!(drops.since_last(&[socket(2, 5)]), BTreeMap::from([(a, 5), (b, 5)]));
        assert_eq!(drops.total(), 11);
    }

    #[test]
    fn addresses_of_this_machine_are_distinguished_from_others() {
        assert!(is_local("127.0.0.1".parse().unwrap()));
        assert!(is_local("::1".parse().unwrap()));
        assert!(!is_local("192.0.2.1".parse().unwrap()));
    }
}
