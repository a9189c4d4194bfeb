//! The answering side: a ping is answered with the time at which it arrived and the time at which the answer is sent.

use std::os::fd::{AsRawFd, BorrowedFd};

use crate::osc::clock::{self, LEN, Pong};
use crate::wall;

/// `SIOCGSTAMPNS_NEW` (include/uapi/asm-generic/sockios.h): two 64-bit numbers on every machine, since Linux 5.1.
const STAMP: u32 = 0x8010_8907;
/// A packet that waited longer is not answered as accurate; or the clock was set meanwhile.
const LONGEST_NS: u64 = 1_000_000_000;

/// The answer to a datagram that was just received from `socket`, if it is a ping.
pub fn answer(socket: BorrowedFd<'_>, datagram: &[u8]) -> Option<[u8; LEN]> {
    let nonce = clock::read_ping(datagram)?;
    let waited = since_arrival(socket);
    let now = wall::now_ns();
    Some(clock::pong(&Pong { nonce, received_ns: now.saturating_sub(waited), sent_ns: now }))
}

/// The time since the last datagram received from `socket` arrived at this machine, ns; 0 if the kernel does not say,
/// as for the first one. With it, a busy or sleeping program causes no error.
pub(super) fn since_arrival(socket: BorrowedFd<'_>) -> u64 {
    let mut stamp = [0i64; 2];
    // SAFETY: the request writes two 64-bit numbers to the given address, which is that of two live ones
    // (`sock_gettstamp`).
    let done = unsafe { libc::ioctl(socket.as_raw_fd(), STAMP as libc::Ioctl, &raw mut stamp) };
    let [seconds, ns] = stamp.map(|number| u64::try_from(number).unwrap_or(0));
    let waited = wall::own_ns().checked_sub(seconds.saturating_mul(1_000_000_000).saturating_add(ns));
    waited.filter(|waited| done == 0 && *waited < LONGEST_NS).unwrap_or(0)
}
