//! An address for each event, even if two names clean to the same one.
//!
//! Bytes of a name that OSC or a receiver could misinterpret are replaced by `_` in the address. The kernel has no
//! such names, but a capture may: `net:a.b c` and `net:a.b_c` both clean to `/ftrace/net/a.b_c`. An address has one
//! signature, so the second gets `_2` appended. Which is the first depends on the names alone, not on the selection
//! or the order of events.

use std::collections::{BTreeMap, BTreeSet};

use super::osc_string::address_part;

/// Replacement names for events whose addresses would collide.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Addresses {
    /// The last part of its address, by system and event.
    renamed: BTreeMap<(String, String), String>,
}

impl Addresses {
    /// Assigns addresses to `events`, each a system and a name: all events of a kernel, whatever is selected.
    pub fn of<'n>(events: impl IntoIterator<Item = (&'n str, &'n str)>) -> Addresses {
        let names: BTreeSet<_> = events.into_iter().collect();
        let clean = |(system, event)| (address_part(system), address_part(event));
        // An event whose name is its address keeps it; then all others follow in order of their names.
        let (plain, odd): (Vec<_>, Vec<_>) = names.into_iter().partition(|&(system, event)| {
            let (clean_system, clean_event) = clean((system, event));
            clean_system == system && clean_event == event
        });
        let mut taken: BTreeSet<_> = plain.into_iter().map(clean).collect();
        let mut renamed = BTreeMap::new();
        for (system, event) in odd {
            let (clean_system, clean_event) = clean((system, event));
            if taken.insert((clean_system.clone(), clean_event.clone())) {
                continue;
            }
            let free = (2u32..).map(|n| format!("{clean_event}_{n}"));
            for part in free {
                if taken.insert((clean_system.clone(), part.clone())) {
                    renamed.insert((system.to_owned(), event.to_owned()), part);
                    break;
                }
            }
        }
        Addresses { renamed }
    }

    /// `/ftrace/<system>/<event>`.
    pub fn address(&self, prefix: &str, system: &str, event: &str) -> String {
        let part = match self.renamed.is_empty() {
            true => None,
            false => self.renamed.get(&(system.to_owned(), event.to_owned())).cloned(),
        };
        format!("{prefix}/{}/{}", address_part(system), part.unwrap_or_else(|| address_part(event)))
    }

    /// A message for each event whose address differs from its name.
    pub fn notes(&self, prefix: &str) -> impl Iterator<Item = String> {
        self.renamed.keys().map(move |(system, event)| {
            let (has, wanted) =
                (self.address(prefix, system, event), Addresses::default().address(prefix, system, event));
            format!("{system}:{event} is sent as {has}, since another event has the address {wanted}")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: [(&str, &str); 6] =
        [("s", "a b"), ("s", "a:b"), ("s", "a_b"), ("s", "a_b_2"), ("s p", "x"), ("other", "a b")];

    #[test]
    fn events_that_would_share_an_address_get_a_number() {
        let addresses = Addresses::of(NAMES);
        let of = |system, event| addresses.address("/ftrace", system, event);
        assert_eq!(of("s", "a_b"), "/ftrace/s/a_b");
        // `_2` is another event's name.
        assert_eq!((of("s", "a b"), of("s", "a:b")), ("/ftrace/s/a_b_3".into(), "/ftrace/s/a_b_4".into()));
        assert_eq!((of("s", "a_b_2"), of("s p", "x")), ("/ftrace/s/a_b_2".into(), "/ftrace/s_p/x".into()));
        assert_eq!(of("other", "a b"), "/ftrace/other/a_b");
        let notes: Vec<_> = addresses.notes("/k").collect();
        assert_eq!(notes[0], "s:a b is sent as /k/s/a_b_3, since another event has the address /k/s/a_b");
        assert_eq!(notes.len(), 2);
    }

    #[test]
    fn the_order_of_events_changes_nothing() {
        let mut names = NAMES;
        names.reverse();
        assert_eq!(Addresses::of(names), Addresses::of(NAMES));
    }

    #[test]
    fn events_of_systems_that_clean_to_one_name_get_a_number() {
        let addresses = Addresses::of([("a b", "e"), ("a_b", "e"), ("a_b", "f")]);
        assert_eq!(addresses.address("", "a b", "e"), "/a_b/e_2");
        assert_eq!(addresses.address("", "a_b", "e"), "/a_b/e");
    }
}
