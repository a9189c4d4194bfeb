//! Which of many rings has the earliest record: a tournament (winner) tree over the times of their heads.
//!
//! A step of one ring plays its matches anew, from its leaf to the root: as many as the number of rings has binary digits,
//! whatever the others do. The best of those that it beat on its way is how far it stays ahead without a further match.
//!
//! ```text
//!            4 cpu1               nodes[1]: the earliest of all
//!        ┌─────┴─────┐
//!      4 cpu1      6 cpu2         nodes[n] beat one of nodes[2n], nodes[2n + 1]
//!     ┌──┴──┐     ┌──┴──┐
//!    9     4     6    none        the heads: cpu0 … cpu3
//! ```

use std::hint::select_unpredictable;

/// No head: later than any time.
pub(super) const NONE: u64 = u64::MAX;

/// See the [module](self).
///
/// Times and rings stand apart: a node of both would be written in two pieces and read back as one, for which a processor
/// waits.
#[derive(Debug)]
pub(super) struct Tournament {
    /// The time of each node's winner; the leaves are the second half.
    times: Vec<u64>,
    /// Whose that is.
    rings: Vec<u32>,
}

impl Tournament {
    /// `rings` rings without a head.
    pub(super) fn new(rings: usize) -> Tournament {
        let leaves = rings.max(1).next_power_of_two();
        let ring_of = |node: usize| node.saturating_sub(leaves) as u32;
        Tournament { times: vec![NONE; 2 * leaves], rings: (0..2 * leaves).map(ring_of).collect() }
    }

    fn leaf(&self, ring: usize) -> usize {
        self.times.len() / 2 + ring
    }

    /// The time of a ring's head.
    pub(super) fn of(&self, ring: usize) -> u64 {
        self.times.get(self.leaf(ring)).copied().unwrap_or(NONE)
    }

    /// Gives a ring another head. Where it is the earliest of all, returns the latest time that it may have and still be.
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
            // Of equal times the lower CPU's goes first, as in the kernel's own text (`__find_next_entry`): at an even
            // place we are the lower one.
            let lower = u64::from(at & 1 == 0);
            let beaten = other.saturating_add(lower) <= first;
            // One that we beat though it is lower has a later time, so there is one before it.
            limit = limit.min(other.wrapping_sub(1 - lower));
            // Who wins is as good as random; a branch would be mispredicted at every other match.
            first = select_unpredictable(beaten, other, first);
            first_ring = select_unpredictable(beaten, other_ring, first_ring);
            at /= 2;
        }
    }

    /// The ring with the earliest head, and its time; `None` when no ring has one.
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
        /// Against a search of all heads at each step.
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
                // With a head at the limit it is still first; one later, it is not.
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
