//! Finds the earliest record among many rings: a tournament (winner) tree over the times of their next records.
//!
//! After a step of one ring only its matches are replayed, from leaf to root: log2 of the number of rings. The best
//! time that it beat on the way is how far the ring stays first without another match.
//!
//! ```text
//!            4 cpu1               nodes[1]: the earliest of all
//!        ┌─────┴─────┐
//!      4 cpu1      6 cpu2         nodes[n] beat one of nodes[2n], nodes[2n + 1]
//!     ┌──┴──┐     ┌──┴──┐
//!    9     4     6    none        the heads: cpu0 … cpu3
//! ```

use std::hint::select_unpredictable;

/// No next record: later than any time.
pub(super) const NONE: u64 = u64::MAX;

/// See the [module](self).
///
/// Times and rings are in two arrays: a node with both would be written as two words and read back as one, which
/// stalls store forwarding.
#[derive(Debug)]
pub(super) struct Tournament {
    /// The time of each node's winner; the second half are the leaves.
    times: Vec<u64>,
    /// The ring of each node's winner.
    rings: Vec<u32>,
}

impl Tournament {
    /// A tree of `rings` rings without records.
    pub(super) fn new(rings: usize) -> Tournament {
        let leaves = rings.max(1).next_power_of_two();
        let ring_of = |node: usize| node.saturating_sub(leaves) as u32;
        Tournament { times: vec![NONE; 2 * leaves], rings: (0..2 * leaves).map(ring_of).collect() }
    }

    fn leaf(&self, ring: usize) -> usize {
        self.times.len() / 2 + ring
    }

    /// The time of a ring's next record.
    pub(super) fn of(&self, ring: usize) -> u64 {
        self.times.get(self.leaf(ring)).copied().unwrap_or(NONE)
    }

    /// Sets the time of a ring's next record. If it is the earliest of all, returns the latest time for which it
    /// would still be.
    #[inline]
    pub(super) fn set(&mut self, ring: usize, time: u64) -> Option<u64> {
        let mut at = self.leaf(ring);
        let (mut first, mut first_ring, mut limit) = (time, ring as u32, NONE - 1);
        let (times, rings) = (&mut self.times[..], &mut self.rings[..]);
        loop {
            let (node, node_ring) = (times.get_mut(at)?, rings.get_mut(at)?);
            (*node, *node_ring) = (first, first_ring);
            if at <= 1 {
                return (first_ring == ring as u32 && first != NONE).then_some(limit);
            }
            let (&other, &other_ring) = (times.get(at ^ 1)?, rings.get(at ^ 1)?);
            // Of equal times the lower CPU wins, as in the kernel's own text (`__find_next_entry`); at an even place
            // that is us.
            let lower = u64::from(at & 1 == 0);
            let beaten = other.saturating_add(lower) <= first;
            // A lower CPU that we beat has a later time, so there is a time before it.
            limit = limit.min(other.wrapping_sub(1 - lower));
            // The winner is as good as random; a branch would be mispredicted at every other match.
            first = select_unpredictable(beaten, other, first);
            first_ring = select_unpredictable(beaten, other_ring, first_ring);
            at /= 2;
        }
    }

    /// The ring with the earliest record, and its time; `None` if no ring has one.
    #[inline]
    pub(super) fn first(&self) -> Option<(usize, u64)> {
        let (&time, &ring) = (self.times.get(1)?, self.rings.get(1)?);
        (time != NONE).then_some((ring as usize, time))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Compared with a linear search at each step.
        #[test]
        fn the_winner_and_its_limit_are_those_of_a_search(
            rings in 1usize..20,
            steps in proptest::collection::vec((any::<prop::sample::Index>(), prop_oneof![0u64..6, Just(NONE - 1), Just(NONE)]), 1..80),
        ) {
            let mut heads = vec![NONE; rings];
            let mut tree = Tournament::new(rings);
            prop_assert_eq!(tree.first(), None);
            let search = |heads: &[u64]| {
                let (ring, time) = heads.iter().enumerate().min_by_key(|(ring, time)| (**time, *ring)).unwrap();
                (*time != NONE).then_some((ring, *time))
            };
            for (ring, time) in steps {
                let ring = ring.index(rings);
                heads[ring] = time;
                let limit = tree.set(ring, time);
                let first = search(&heads);
                prop_assert_eq!(tree.first(), first);
                prop_assert_eq!(limit.is_some(), first.is_some_and(|(first, _)| first == ring));
                let Some(limit) = limit else { continue };
                // At the limit it is still first; one later it is not.
                prop_assert!(time <= limit);
                let still = |time: u64| {
                    let mut later = heads.clone();
                    later[ring] = time;
                    search(&later).is_some_and(|(first, _)| first == ring)
                };
                prop_assert!(still(limit));
                prop_assert!(limit == NONE - 1 || !still(limit + 1));
            }
        }
    }
}
