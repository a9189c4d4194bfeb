//! The time of day that messages say: this machine's own, or that of another machine, which it then follows.
//!
//! A process has one such time, as it has one time zone. While another machine's is followed, it is CLOCK_MONOTONIC and an
//! [offset](Slew) to it, so that what sets this machine's own clock meanwhile changes nothing. What a capture notes of the time of
//! day is always the machine's own.

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
    /// Its address, as it was asked for.
    pub host: String,
    /// How far its time of day is ahead of this machine's own, ns.
    pub ahead_ns: i64,
    /// The way there and back of the exchange that says so, ns.
    pub round_trip_ns: u64,
    /// How far the times that are given may be from that machine's, ns.
    pub bound_ns: u64,
}

#[derive(Debug)]
struct Following {
    slew: Slew,
    followed: Followed,
    /// What happened since somebody last asked, for people.
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

/// Now by this machine's own clock, ns since 1970.
pub fn own_ns() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_nanos() as u64)
}

/// CLOCK_MONOTONIC, ns.
pub fn mono_ns() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

/// The followed machine's time of day at a moment of CLOCK_MONOTONIC, ns since 1970; `None` where none is followed.
fn of_mono(mono_ns: u64) -> Option<u64> {
    following().as_ref().map(|following| following.slew.at(mono_ns))
}

/// A moment on the trace clock and in the time of day that messages say.
#[cfg(feature = "capture")]
pub fn pair(clock: &TraceClock) -> Option<ClockPair> {
    if !FOLLOWS.load(Ordering::Acquire) {
        return ClockPair::take(clock);
    }
    let pair = ClockPair::take_with_mono(clock)?;
    Some(ClockPair { realtime_ns: of_mono(pair.realtime_ns)?, ..pair })
}

/// The machine whose time is followed, if one is. A correction that is not at its end yet counts in the bound.
pub fn followed() -> Option<Followed> {
    following().as_ref().map(|following| {
        let followed = following.followed.clone();
        let bound_ns = followed.bound_ns.saturating_add(following.slew.left(mono_ns()));
        Followed { bound_ns, ..followed }
    })
}

/// Follows a machine whose time of day is CLOCK_MONOTONIC and `offset`: at once, where none was followed; else by and by.
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

/// Keeps a message about the machine that is followed for the next call of [`news`].
pub fn tell(news: String) {
    if let Some(following) = &mut *following() {
        following.news.push(news);
    }
}

/// The messages about the machine that is followed since the last call, for people.
pub fn news() -> Vec<String> {
    match FOLLOWS.load(Ordering::Acquire) {
        false => vec![],
        true => following().as_mut().map(|following| std::mem::take(&mut following.news)).unwrap_or_default(),
    }
}
