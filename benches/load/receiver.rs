//! The receiver: counts messages and measures their age, as cheaply as possible.

use std::net::UdpSocket;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::latency::now_ns;

/// Datagrams received with one system call.
const BATCH: usize = 64;
/// Seconds from 1900, where OSC time begins, to 1970.
const NTP: u64 = 2_208_988_800;

/// What was received.
#[derive(Debug, Default)]
pub struct Received {
    /// Messages of events.
    pub messages: AtomicU64,
    /// Datagrams.
    pub datagrams: AtomicU64,
}

/// A receiver in its own thread.
pub struct Receiver {
    /// Its port on 127.0.0.1.
    pub port: u16,
    /// The counts so far.
    pub received: Arc<Received>,
    /// Its thread.
    pub tid: u32,
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Vec<Arrived>>,
}

/// A message that has arrived.
#[derive(Debug, Clone, Copy)]
pub struct Arrived {
    /// How old its event was, ns.
    pub age: u64,
    /// When, on `CLOCK_MONOTONIC`, ns.
    pub at: u64,
}

impl Receiver {
    /// Starts receiving messages whose address begins with `address`. With `ages`, the age of each message on arrival
    /// is stored, ns.
    pub fn start(address: &'static str, ages: bool) -> Receiver {
        // One that loses nothing shows what was sent.
        Receiver::bind(address, ages, 256 << 20)
    }

    /// The same with a socket buffer of this size.
    pub fn with_room(address: &'static str, bytes: libc::c_int) -> Receiver {
        Receiver::bind(address, false, bytes)
    }

    fn bind(address: &'static str, ages: bool, room: libc::c_int) -> Receiver {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        make_room(&socket, room);
        let port = socket.local_addr().unwrap().port();
        let (received, stop) = (Arc::new(Received::default()), Arc::new(AtomicBool::new(false)));
        let (counts, asked) = (received.clone(), stop.clone());
        let (say, said) = std::sync::mpsc::channel();
        let thread = std::thread::spawn(move || {
            say.send(rustix::thread::gettid().as_raw_nonzero().get() as u32).unwrap();
            let mut old = vec![];
            let mut datagrams = vec![vec![0u8; 1 << 16]; if ages { 1 } else { BATCH }];
            let mut lengths = [0; BATCH];
            loop {
                let taken = receive(&socket, &mut datagrams, &mut lengths);
                // An empty one is of `stop`, and comes behind all others.
                let stopped = lengths.iter().take(taken).any(|length| *length == 0);
                let at = now_ns();
                let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64;
                for (datagram, len) in datagrams.iter().zip(lengths).take(taken) {
                    counts.datagrams.fetch_add(u64::from(len > 0), Relaxed);
                    let mut messages = 0;
                    for message in messages_of(&datagram[..len]) {
                        if message.starts_with(address.as_bytes()) {
                            messages += 1;
                            if ages {
                                old.extend(time(message).map(|time| Arrived { age: now.saturating_sub(time), at }));
                            }
                        }
                    }
                    counts.messages.fetch_add(messages, Relaxed);
                }
                if stopped && asked.load(Relaxed) {
                    return old;
                }
            }
        });
        let tid = said.recv().unwrap();
        Receiver { port, received, tid, stop, thread }
    }

    /// Datagrams that the kernel dropped because the buffer was full.
    pub fn dropped(&self) -> u64 {
        let sockets = std::fs::read_to_string("/proc/net/udp").unwrap();
        let port = format!(":{:04X}", self.port);
        let ours = |line: &&str| line.split_whitespace().nth(1).is_some_and(|local| local.ends_with(&port));
        let line = sockets.lines().find(ours).expect("the socket is open");
        line.split_whitespace().last().unwrap().parse().unwrap()
    }

    /// A socket that nobody reads: its datagrams wake nobody.
    pub fn nobody() -> UdpSocket {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        make_room(&socket, 256 << 20);
        socket
    }

    /// Ends, and returns what has arrived. It waits for datagrams without a limit, as a timer of its own twenty times a second
    /// would be part of what is measured.
    pub fn stop(self) -> Vec<Arrived> {
        self.stop.store(true, Relaxed);
        let waker = UdpSocket::bind("127.0.0.1:0").unwrap();
        while !self.thread.is_finished() {
            // Where there is no room it is tried again.
            waker.send_to(&[], ("127.0.0.1", self.port)).unwrap();
            std::thread::sleep(Duration::from_millis(10));
        }
        self.thread.join().unwrap()
    }
}

/// A receive buffer of this size.
fn make_room(socket: &UdpSocket, bytes: libc::c_int) {
    // SAFETY: setsockopt(2) reads one int at the address given, which is that of a live one.
    unsafe {
        let (value, len) = ((&raw const bytes).cast(), size_of_val(&bytes) as libc::socklen_t);
        libc::setsockopt(socket.as_raw_fd(), libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, value, len)
    };
}

/// Receives what is there, at least one datagram.
fn receive(socket: &UdpSocket, datagrams: &mut [Vec<u8>], lengths: &mut [usize; BATCH]) -> usize {
    // SAFETY: `iovec` and `mmsghdr` are plain C structures, for which all zeros is a valid value.
    let (mut parts, mut headers): ([libc::iovec; BATCH], [libc::mmsghdr; BATCH]) = unsafe { std::mem::zeroed() };
    for ((datagram, part), header) in datagrams.iter_mut().zip(&mut parts).zip(&mut headers) {
        part.iov_base = datagram.as_mut_ptr().cast();
        part.iov_len = datagram.len();
        header.msg_hdr.msg_iov = part;
        header.msg_hdr.msg_iovlen = 1;
    }
    // SAFETY: the number of headers given each refer to one part, and each part to a datagram's memory with its
    // length; all live until the call returns.
    let taken = unsafe {
        let flags = libc::MSG_WAITFORONE as _;
        libc::recvmmsg(socket.as_raw_fd(), headers.as_mut_ptr(), datagrams.len() as _, flags, std::ptr::null_mut())
    };
    for (length, header) in lengths.iter_mut().zip(&headers) {
        *length = header.msg_len as usize;
    }
    usize::try_from(taken).unwrap_or(0)
}

/// The messages of a bundle.
fn messages_of(datagram: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = datagram.get(16..).unwrap_or_default();
    std::iter::from_fn(move || {
        let (length, after) = rest.split_first_chunk::<4>()?;
        let (message, after) = after.split_at_checked(u32::from_be_bytes(*length) as usize)?;
        rest = after;
        Some(message)
    })
}

/// The first argument, a timetag, as ns since 1970.
fn time(message: &[u8]) -> Option<u64> {
    let comma = message.iter().position(|&byte| byte == b',')?;
    let tags = message.get(comma..)?.iter().position(|&byte| byte == 0)?;
    let tag = u64::from_be_bytes(*message.get(comma + (tags + 4) / 4 * 4..)?.first_chunk()?);
    let fraction = (u128::from(tag & 0xffff_ffff) * 1_000_000_000) >> 32;
    Some(((tag >> 32).checked_sub(NTP)?) * 1_000_000_000 + fraction as u64)
}
