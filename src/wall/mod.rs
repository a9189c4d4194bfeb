//! The time of day in messages: this machine's own, or that of another machine which it follows.
//!
//! A process has one such time, as it has one time zone. While another machine's is followed, it is CLOCK_MONOTONIC
//! plus an [offset](Slew), so that setting this machine's own clock meanwhile has no effect. The time of day stored
//! in a capture is always the machine's own.

mod kernel;
mod slew;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

#[cfg(feature = "capture")]
use crate::tracefs::{ClockPair, TraceClock};
use rustix::time::{ClockId, clock_gettime};

pub use kernel::KernelClock;
pub use slew::Slew;

/// The machine whose time is followed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Followed {
    /// Its address, as the user gave it.
    pub host: String,
    /// How far its time of day is ahead of this machine's own, ns.
    pub ahead_ns: i64,
    /// The round trip of the exchange that measured it, ns.
    pub round_trip_ns: u64,
    /// The largest error of the followed time, ns.
    pub bound_ns: u64,
}

#[derive(Debug)]
struct Following {
    slew: Slew,
    followed: Followed,
    /// Messages for the user since the last call of [`news`].
    news: Vec<String>,
}

static FOLLOWS: AtomicBool = AtomicBool::new(false);
static FOLLOWING: Mutex<Option<Following>> = Mutex::new(None);

fn following() -> MutexGuard<'static, Option<Following>> {
    FOLLOWING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Now, ns since 1970. It never goes back while another machine's time is followed.
pub fn now_ns() -> u64 {
    match FOLLOWS.load(Ordering::Acquire) {
        false => own_ns(),
        true => of_mono(mono_ns()).unwrap_or_else(own_ns),
    }
}

/// This machine's own time of day, ns since 1970.
pub fn own_ns() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_nanos() as u64)
}

/// The kernel's CLOCK_MONOTONIC, ns.
pub fn mono_ns() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    let ours = now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64;
    // As the trace clocks have it.
    #[cfg(feature = "capture")]
    let ours = crate::tracefs::time_namespace::kernels(libc::CLOCK_MONOTONIC, ours);
    ours
}

/// The followed machine's time of day at a moment of CLOCK_MONOTONIC, ns since 1970; `None` if none is followed.
fn of_mono(mono_ns: u64) -> Option<u64> {
    following().as_ref().map(|following| following.slew.at(mono_ns))
}

/// One moment on the trace clock and in the time of day of messages.
#[cfg(feature = "capture")]
pub fn pair(clock: &TraceClock) -> Option<ClockPair> {
    if !FOLLOWS.load(Ordering::Acquire) {
        return ClockPair::take(clock);
    }
    let pair = ClockPair::take_with_mono(clock)?;
    Some(ClockPair { realtime_ns: of_mono(pair.realtime_ns)?, ..pair })
}

/// The followed machine, if there is one. What is left of a correction counts in the bound.
pub fn followed() -> Option<Followed> {
    following().as_ref().map(|following| {
        let followed = following.followed.clone();
        let bound_ns = followed.bound_ns.saturating_add(following.slew.left(mono_ns()));
        Followed { bound_ns, ..followed }
    })
}

/// Follows a machine whose time of day is CLOCK_MONOTONIC plus `offset`: at once if none was followed, otherwise
/// gradually.
pub fn follow(offset: i64, followed: Followed) {
    let mono = mono_ns();
    let mut following = following();
    match &mut *following {
        Some(following) => {
            following.slew.correct(mono, offset);
            following.followed = followed;
        }
        none => *none = Some(Following { slew: Slew::new(mono, offset), followed, news: vec![] }),
    }
    FOLLOWS.store(true, Ordering::Release);
}

/// Queues a message about the followed machine for the next call of [`news`].
pub fn tell(news: String) {
    if let Some(following) = &mut *following() {
        following.news.push(news);
    }
}

/// Takes the messages about the followed machine, for the user.
pub fn news() -> Vec<String> {
    match FOLLOWS.load(Ordering::Acquire) {
        false => vec![],
        true => following().as_mut().map(|following| std::mem::take(&mut following.news)).unwrap_or_default(),
    }
}
