//! Finds the earliest record among many rings: a tournament (winner) tree over the times of their next records.
//!
//! After a step of one ring only its matches are replayed, from leaf to root: log4 of the number of rings. The best
//! time that it beat on the way is how far the ring stays first without another match.
//!
//! ```text
//!               4 cpu1                 keys[1]: the earliest of all
//!        ┌────┬───┴─┬────────┐
//!      4 cpu1 …     …     6 cpu14      keys[n] is the least of keys[4n] … keys[4n + 3]
//!   ┌──┬─┴┬──┐            ┌──┬┴─┬──┐
//!   9  4  7 none                       the heads: cpu0 …
//! ```
//!
//! A key is the time of a head and, in its lowest bits, the ring's number: of equal times the lower CPU wins, as in the
//! kernel's own text (`__find_next_entry`), and one comparison decides a match. Times in keys count from a base that follows
//! the stream, because a key has room for 44 bits of them only (4.9 hours of ns). A head that is further away has the greatest
//! time that a key can hold; when it is first, the base is moved, and all keys are made again.

/// No next record: later than any time.
pub(super) const NONE: u64 = u64::MAX;

/// Bits of a key that hold the ring's number: more than a capture has CPUs.
const BITS: u32 = 20;
/// The greatest time in a key, which stands for all times from there on. The key of a ring without a record is [`NONE`].
const FAR: u64 = (NONE >> BITS) - 1;

/// The distance of a new base from the time it was moved for: a ring that is a little behind does not move it again.
const SLACK: u64 = 1 << 36;

/// The ring with the earliest record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct First {
    pub(super) ring: usize,
    /// The time of that record.
    pub(super) time: u64,
    /// A time for which the ring would still be first; the latest one if its time was just [set](Tournament::set).
    pub(super) limit: u64,
}

/// See the [module](self).
#[derive(Debug)]
pub(super) struct Tournament {
    /// The key of each node's winner.
    keys: Vec<u64>,
    /// The node of ring 0; the others' follow.
    leaves: usize,
    /// The time of each ring's next record.
    times: Vec<u64>,
    /// The time that keys count from; no head is earlier.
    base: u64,
}

impl Tournament {
    /// A tree of `rings` rings without records.
    pub(super) fn new(rings: usize) -> Tournament {
        let mut leaves = 4;
        while leaves < rings {
            leaves *= 4;
        }
        Tournament { keys: vec![NONE; 2 * leaves], leaves, times: vec![NONE; rings], base: 0 }
    }

    /// The time of a ring's next record.
    pub(super) fn of(&self, ring: usize) -> u64 {
        self.times.get(ring).copied().unwrap_or(NONE)
    }

    /// Sets the time of a ring's next record, and returns the ring with the earliest one; `None` if no ring has one.
    #[inline]
    pub(super) fn set(&mut self, ring: usize, time: u64) -> Option<First> {
        *self.times.get_mut(ring)? = time;
        let since = time.wrapping_sub(self.base);
        let own = match time >= self.base && since < FAR {
            true => since << BITS | ring as u64,
            false => self.far_key(ring, time),
        };
        let (mut at, mut first, mut others) = (self.leaves + ring, own, NONE);
        let keys = &mut self.keys[..];
        while at > 1 {
            let group = keys.get_mut(at & !3..)?.first_chunk_mut::<4>()?;
            group[at & 3] = first;
            let best = group[at & 3 ^ 1].min(group[at & 3 ^ 2]).min(group[at & 3 ^ 3]);
            others = others.min(best);
            first = first.min(best);
            at /= 4;
        }
        *keys.get_mut(1)? = first;
        // A branch, not a minimum: where it is predicted, the next ring is known before the time of this one was read.
        if own > others {
            return self.first_of(others);
        }
        if own >> BITS >= FAR {
            return self.first_of(own);
        }
        let lower = u64::from((others & !(NONE << BITS)) < ring as u64);
        let limit = self.base.saturating_add(others >> BITS).wrapping_sub(lower).min(NONE - 1);
        Some(First { ring, time, limit })
    }

    /// The ring with the earliest record; `None` if no ring has one.
    #[inline]
    pub(super) fn first(&mut self) -> Option<First> {
        self.first_of(*self.keys.get(1)?)
    }

    #[inline(always)]
    fn first_of(&mut self, mut key: u64) -> Option<First> {
        if key >> BITS >= FAR {
            key = self.first_far()?;
        }
        let time = self.base.wrapping_add(key >> BITS);
        Some(First { ring: (key & !(NONE << BITS)) as usize, time, limit: time })
    }

    /// The key of a time before the base, or too far behind it.
    #[cold]
    fn far_key(&mut self, ring: usize, time: u64) -> u64 {
        if time < self.base {
            self.count_from(time.saturating_sub(SLACK));
        }
        self.key(ring, time)
    }

    /// Moves the base to the earliest record, and returns its key.
    #[cold]
    fn first_far(&mut self) -> Option<u64> {
        let earliest = self.times.iter().copied().min().filter(|time| *time != NONE)?;
        self.count_from(earliest.saturating_sub(SLACK));
        self.keys.get(1).copied()
    }

    fn key(&self, ring: usize, time: u64) -> u64 {
        match time {
            NONE => NONE,
            _ => time.saturating_sub(self.base).min(FAR) << BITS | ring as u64,
        }
    }

    /// Makes all keys again, counted from another base, which is not later than any time.
    fn count_from(&mut self, base: u64) {
        // So that no time is taken for none.
        self.base = base.min(NONE - FAR);
        for ring in 0..self.times.len() {
            let key = self.key(ring, self.of(ring));
            if let Some(leaf) = self.keys.get_mut(self.leaves + ring) {
                *leaf = key;
            }
        }
        for node in (1..self.leaves).rev() {
            let best = self.keys.get(4 * node..4 * node + 4).and_then(|group| group.iter().min());
            if let Some(best) = best.copied() {
                self.keys[node] = best;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Times near each other and far apart, near both ends, and no record.
    fn time() -> impl Strategy<Value = u64> {
        prop_oneof![
            4 => 0u64..6,
            1 => FAR - 3..FAR + 3,
            1 => (NONE - 6)..NONE,
            1 => any::<u64>(),
            1 => 0u64..1 << 50,
            2 => Just(NONE),
        ]
    }

    proptest! {
        /// Compared with a linear search at each step.
        #[test]
        fn the_winner_and_its_limit_are_those_of_a_search(
            rings in 1usize..40,
            steps in proptest::collection::vec((any::<prop::sample::Index>(), time()), 1..80),
        ) {
            let mut heads = vec![NONE; rings];
            let mut tree = Tournament::new(rings);
            prop_assert_eq!(tree.first(), None);
            let search = |heads: &[u64]| {
                let (ring, time) = heads.iter().enumerate().min_by_key(|(ring, time)| (**time, *ring)).unwrap();
                (*time != NONE).then_some((ring, *time))
            };
            let found = |first: Option<First>| first.map(|first| (first.ring, first.time));
            for (ring, time) in steps {
                let ring = ring.index(rings);
                heads[ring] = time;
                let set = tree.set(ring, time);
                prop_assert_eq!(found(set), search(&heads));
                prop_assert_eq!(found(tree.first()), search(&heads));
                prop_assert!((0..rings).all(|ring| tree.of(ring) == heads[ring]));
                let Some(First { ring: first, time, limit }) = set else { continue };
                prop_assert!(time <= limit);
                let still = |time: u64| {
                    let mut later = heads.clone();
                    later[first] = time;
                    search(&later).is_some_and(|(ring, _)| ring == first)
                };
                prop_assert!(still(limit));
                // Of times that keys tell apart it is the latest.
                let near = heads.iter().all(|time| *time < 1 << 40 || *time == NONE);
                prop_assert!(first != ring || !near || limit >= FAR || !still(limit + 1));
            }
        }
    }
}
