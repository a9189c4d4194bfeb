//! Finds the user at the other end of a local TCP connection.
//!
//! `/proc/net/tcp` has both ends of a loopback connection, each with its user (`tcp4_seq_show` in
//! net/ipv4/tcp_ipv4.c); addresses are hexadecimal numbers in the machine's byte order.

use std::net::{IpAddr, SocketAddr};

/// Whether the socket at `peer` that is connected to `ours` belongs to root, to this process's user, or to the user
/// who called `sudo`.
pub fn is_ours(peer: SocketAddr, ours: SocketAddr) -> bool {
    let file = if peer.is_ipv4() { "/proc/net/tcp" } else { "/proc/net/tcp6" };
    let Some(user) = std::fs::read_to_string(file).ok().and_then(|table| owner(&table, peer, ours)) else {
        return false;
    };
    let caller = std::env::var("SUDO_UID").ok().and_then(|uid| uid.parse().ok());
    user == 0 || user == rustix::process::geteuid().as_raw() || Some(user) == caller
}

/// The owner of the socket at `local` that is connected to `remote`.
fn owner(table: &str, local: SocketAddr, remote: SocketAddr) -> Option<u32> {
    let (local, remote) = (written(local), written(remote));
    table.lines().skip(1).find_map(|line| {
        let mut words = line.split_ascii_whitespace().skip(1);
        let here = words.next()? == local && words.next()? == remote;
        // State, queues, timers and retransmissions are in between.
        here.then(|| words.nth(4)?.parse().ok()).flatten()
    })
}

/// An address as the kernel prints it there.
fn written(address: SocketAddr) -> String {
    let word = |bytes: [u8; 4]| format!("{:08X}", u32::from_ne_bytes(bytes));
    let ip = match address.ip() {
        IpAddr::V4(ip) => word(ip.octets()),
        IpAddr::V6(ip) => ip.octets().as_chunks::<4>().0.iter().map(|bytes| word(*bytes)).collect(),
    };
    format!("{ip}:{:04X}", address.port())
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn a_connection_of_our_own_is_ours() {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let Ok(listener) = TcpListener::bind(address) else { continue };
            let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            let (server, peer) = listener.accept().unwrap();
            assert_eq!(client.local_addr().unwrap(), peer);
            assert!(is_ours(peer, server.local_addr().unwrap()), "{address}");
            let nobody = SocketAddr::new(peer.ip(), 1);
            assert!(!is_ours(nobody, server.local_addr().unwrap()));
        }
    }

    #[test]
    #[cfg(target_endian = "little")]
    fn the_user_is_in_the_eighth_column() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n   \
                     0: 0100007F:A2B4 0100007F:DF5C 01 00000000:00000000 00:00000000 00000000  1000        0 42 1\n";
        let (local, remote) = ("127.0.0.1:41652".parse().unwrap(), "127.0.0.1:57180".parse().unwrap());
        assert_eq!(owner(table, local, remote), Some(1000));
        assert_eq!(owner(table, remote, local), None);
    }
}
