//! A thread that empties the rings of some CPUs into memory, for the one that merges and sends (`--merged`).
//!
//! What a machine of many busy CPUs costs beside its events is reads: two for each busy ring in each tick. These are what
//! several threads share; the events go through one pipeline, in one order of time. Each thread takes turns as a reader
//! does, with a pace of its own, and looks at no more of an event than when it was.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mio::Waker;

use super::SECOND;
use super::feed::{InstanceFeed, Limited};
use super::queue::Emptied;
use super::reader::{END, Shared};
use super::rings::Rings;
use super::turns::{Turns, until_quiet};
use crate::format::HeaderPage;
use crate::tracefs::TraceClock;

/// See the [module](self).
pub(super) struct Emptier {
    shared: Arc<Shared>,
    turns: Turns<Emptied<Limited<InstanceFeed>>>,
    waker: Arc<Waker>,
    tick: Duration,
}

impl Emptier {
    /// Of these rings, by CPU, each of which holds `ring_kib` KiB.
    pub(super) fn new(
        shared: Arc<Shared>,
        header: HeaderPage,
        rings: Vec<(u32, Emptied<Limited<InstanceFeed>>)>,
        (clock, tick, ring_kib): (TraceClock, Duration, u64),
    ) -> io::Result<Emptier> {
        let rings = Rings::new(header, rings)?;
        let waker = Arc::new(Waker::new(rings.poll.registry(), END)?);
        let mut emptier = Emptier { shared, turns: Turns::new(rings, clock, tick, ring_kib), waker, tick };
        emptier.pair_clocks();
        Ok(emptier)
    }

    /// Wakes it when it sleeps.
    pub(super) fn waker(&self) -> Arc<Waker> {
        self.waker.clone()
    }

    /// Empties the rings until recording has stopped, and then of what is left.
    pub(super) fn follow(mut self) -> io::Result<()> {
        let mut last = Instant::now();
        while !self.shared.has_ended() {
            let left = (last + SECOND).saturating_duration_since(Instant::now());
            let apart = self.turns.sleep(left, left)?;
            self.turn(apart);
            if last.elapsed() >= SECOND {
                last = Instant::now();
                self.pair_clocks();
                // As a reader does: a wake-up that a kernel forgets costs a second at most.
                self.turns.rings.all();
            }
        }
        until_quiet(|| {
            self.turns.rings.all();
            self.turn(0..0)
        });
        Ok(())
    }

    fn turn(&mut self, apart: std::ops::Range<u64>) -> (u64, bool) {
        let mut read = 0;
        let turn = self.turns.read(apart, |_| read += 1);
        let more = turn.more;
        self.turns.end(turn, read);
        if more && read == 0 {
            // The sender has not made room yet.
            std::thread::sleep(self.tick.max(Duration::from_micros(100)));
        }
        (read, more)
    }

    fn pair_clocks(&mut self) {
        if let Some(times) = self.shared.times(false) {
            self.turns.set_times(times);
        }
    }
}
