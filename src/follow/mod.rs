//! Follows the clock of another machine, whose time of day is then used in messages: asks for it with ping and pong.
//!
//! As in NTP (RFC 5905, section 8): with *t1* and *t4* the times at which a ping was sent and its pong arrived, by
//! our clock, and *t2* and *t3* those at which it arrived there and was answered, by theirs, their clock is ahead by
//! ((t2 − t1) + (t3 − t4)) / 2. The error is at most half of the round trip, (t4 − t1) − (t3 − t2), so of many
//! exchanges the one with the shortest is used.

mod answer;
mod samples;

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::osc::clock::{self, LEN};
use crate::tracefs::{ClockPair, TraceClock};
use crate::wall::{self, Followed};

pub use answer::answer;
use samples::{Sample, Samples};

/// Exchanges at the beginning.
const FIRST: u32 = 12;
/// Time between them.
const BETWEEN: Duration = Duration::from_millis(10);
/// Unanswered exchanges at the beginning after which we give up.
const SILENT: u32 = 4;
/// How long an answer may take.
const LONGEST: Duration = Duration::from_millis(300);
/// Time between two exchanges afterwards.
const EVERY: Duration = Duration::from_secs(1);
/// Unanswered exchanges in a row that are reported.
const LOST: u32 = 10;
/// The smallest correction that is reported, ns.
const JUMP_NS: u64 = 50_000_000;

/// Why a clock cannot be followed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FollowError {
    /// Nobody listens at the port.
    #[error("--clock-from {0}: nobody answers there: start `ftrace-live listen {port}` on that machine, or a run with --control", port = .0.port())]
    Refused(SocketAddr),
    /// There is no answer.
    #[error(
        "--clock-from {0}: no answer: `ftrace-live listen {port}` there answers, if no firewall is between; other programs do not",
        port = .0.port()
    )]
    Silent(SocketAddr),
    /// The socket could not be opened.
    #[error("--clock-from {address}: cannot ask it: {source}")]
    Socket {
        /// The machine.
        address: SocketAddr,
        /// The kernel's error.
        source: io::Error,
    },
}

/// Follows a clock until it is dropped.
#[derive(Debug)]
pub struct Follower {
    ended: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        self.thread.thread().unpark();
    }
}

/// Asks the machine at `address` for its time of day and [follows](wall::follow) it; repeats that each second in a
/// thread.
///
/// # Errors
/// There is no answer.
pub fn start(address: SocketAddr) -> Result<Follower, FollowError> {
    let failed = |source| FollowError::Socket { address, source };
    let mut exchange = Exchange::new(address).map_err(failed)?;
    let (mut samples, mut silent) = (Samples::default(), 0);
    for _ in 0..FIRST {
        match exchange.sample() {
            Ok(Some(sample)) => samples.push(sample),
            Ok(None) => silent += 1,
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                return Err(FollowError::Refused(address));
            }
            Err(error) => return Err(failed(error)),
        }
        if silent >= SILENT {
            break;
        }
        std::thread::sleep(BETWEEN);
    }
    follow(address, &samples).ok_or(FollowError::Silent(address))?;
    let ended = Arc::new(AtomicBool::new(false));
    let told = ended.clone();
    let thread = std::thread::Builder::new().name("clock".to_owned());
    let thread = thread.spawn(move || go_on(address, exchange, samples, &told)).map_err(failed)?;
    Ok(Follower { ended, thread })
}

/// Follows the clock according to the samples; `None` if there are none.
fn follow(address: SocketAddr, samples: &Samples) -> Option<()> {
    let own = ClockPair::take(&TraceClock::Mono)?;
    let (best, bound_ns) = samples.best(own.trace_ns)?;
    let own_offset = own.realtime_ns.wrapping_sub(own.trace_ns).cast_signed();
    let ahead_ns = best.offset.saturating_sub(own_offset);
    let followed = Followed { host: address.to_string(), ahead_ns, round_trip_ns: best.round_trip_ns, bound_ns };
    wall::follow(best.offset, followed);
    Some(())
}

fn go_on(address: SocketAddr, mut exchange: Exchange, mut samples: Samples, ended: &AtomicBool) {
    let mut silent = 0;
    let mut next = Instant::now() + EVERY;
    loop {
        while let Some(left) = next.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
            std::thread::park_timeout(left);
            if ended.load(Ordering::Relaxed) {
                return;
            }
        }
        next = Instant::now() + EVERY;
        // An error means that nobody listens there, as if there were no answer.
        let Some(sample) = exchange.sample().unwrap_or(None) else {
            silent += 1;
            if silent == LOST {
                wall::tell(format!("warning: {address} does not answer any more; its last known offset is used"));
            }
            continue;
        };
        if std::mem::take(&mut silent) >= LOST {
            wall::tell(format!("{address} answers again"));
        }
        if let Some(jump) = samples.jump(&sample, JUMP_NS) {
            // Earlier samples are invalid now.
            samples = Samples::default();
            let by = jump as f64 / 1e9;
            wall::tell(format!("warning: the clock of {address} was set by {by:+.3} s; messages follow gradually"));
        }
        samples.push(sample);
        follow(address, &samples);
    }
}

/// The asking side.
struct Exchange {
    socket: UdpSocket,
}

impl Exchange {
    fn new(address: SocketAddr) -> io::Result<Exchange> {
        let any = match address {
            SocketAddr::V4(_) => SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
            SocketAddr::V6(_) => SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)),
        };
        let socket = UdpSocket::bind(any)?;
        // The kernel then drops packets from other addresses.
        socket.connect(address)?;
        Ok(Exchange { socket })
    }

    /// Sends one ping and waits for its pong; `None`: no answer. Packets that are not the answer to this ping are
    /// ignored.
    fn sample(&mut self) -> io::Result<Option<Sample>> {
        let nonce = nonce()?;
        let asked = wall::mono_ns();
        self.socket.send(&clock::ping(nonce))?;
        let deadline = Instant::now() + LONGEST;
        let mut datagram = [0; LEN + 1];
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(None);
            }
            self.socket.set_read_timeout(Some(left))?;
            let len = match self.socket.recv(&mut datagram) {
                Ok(len) => len,
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                    return Ok(None);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            // In this order: if this thread is held up in between, the way seems longer than it was, never shorter.
            let waited = answer::since_arrival(self.socket.as_fd());
            let came = wall::mono_ns().saturating_sub(waited);
            let pong = datagram.get(..len).and_then(clock::read_pong).filter(|pong| pong.nonce == nonce);
            if let Some(sample) = pong.and_then(|pong| Sample::of(asked, came, &pong)) {
                return Ok(Some(sample));
            }
        }
    }
}

/// A number that cannot be guessed.
fn nonce() -> io::Result<u64> {
    let mut bytes = [0; 8];
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())?;
    Ok(u64::from_ne_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::osc::clock::Pong;

    #[test]
    fn only_the_answer_of_the_asked_machine_to_this_ping_is_accepted() {
        let asked = UdpSocket::bind("127.0.0.1:0").unwrap();
        let stranger = UdpSocket::bind("127.0.0.1:0").unwrap();
        let mut exchange = Exchange::new(asked.local_addr().unwrap()).unwrap();
        let far = 4_000_000_000_000_000_000;
        let (there, done) = (asked.try_clone().unwrap(), Arc::new(AtomicBool::new(false)));
        let ended = done.clone();
        let answers = std::thread::spawn(move || {
            let mut bytes = [0; 100];
            let (len, from) = there.recv_from(&mut bytes).unwrap();
            let nonce = clock::read_ping(&bytes[..len]).unwrap();
            let hostile = |nonce| clock::pong(&Pong { nonce, received_ns: far, sent_ns: far });
            // From another address; to another ping; truncated; noise; an answer that took longer than the whole
            // exchange; one sent before the ping arrived.
            stranger.send_to(&hostile(nonce), from).unwrap();
            there.send_to(&hostile(nonce.wrapping_add(1)), from).unwrap();
            there.send_to(&hostile(nonce)[..40], from).unwrap();
            there.send_to(b"#bundle\0nonsense", from).unwrap();
            there.send_to(&clock::pong(&Pong { nonce, received_ns: 1, sent_ns: far }), from).unwrap();
            there.send_to(&clock::pong(&Pong { nonce, received_ns: far, sent_ns: 1 }), from).unwrap();
            there.send_to(&answer(there.as_fd(), &bytes[..len]).unwrap(), from).unwrap();
            ended.store(true, Ordering::Relaxed);
        });
        let sample = exchange.sample().unwrap().unwrap();
        answers.join().unwrap();
        assert!(done.load(Ordering::Relaxed));
        // Both have the same clock: the offset is that between CLOCK_MONOTONIC and the time of day, which may change
        // slightly meanwhile.
        let own = wall::own_ns().wrapping_sub(wall::mono_ns()).cast_signed();
        assert!(sample.offset.abs_diff(own) < 200_000_000, "{sample:?} {own}");
    }

    #[test]
    fn a_port_without_listener_is_reported_at_once() {
        let free = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let error = start(free).unwrap_err();
        assert!(matches!(error, FollowError::Refused(address) if address == free), "{error}");
        assert!(error.to_string().contains(&format!("ftrace-live listen {}", free.port())), "{error}");
        // One that listens, but does not answer.
        let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
        assert!(matches!(start(silent.local_addr().unwrap()), Err(FollowError::Silent(_))));
    }
}
