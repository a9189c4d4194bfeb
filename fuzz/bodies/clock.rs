//! A datagram to whoever asks for the time of day, or answers: `/clock/ping` and `/clock/pong`.
//!
//! What is taken is the one form there is: encoded again, it is the same bytes but for what a ping leaves free.

use ftrace_live::osc::clock::{self, LEN};

pub fn run(input: &[u8]) {
    if let Some(nonce) = clock::read_ping(input) {
        assert_eq!(input.len(), LEN);
        assert_eq!(clock::read_ping(&clock::ping(nonce)), Some(nonce));
    }
    if let Some(pong) = clock::read_pong(input) {
        assert_eq!(input.len(), LEN);
        let again = clock::read_pong(&clock::pong(&pong)).expect("what was read can be written");
        // A timetag has a finer fraction than a ns: the first reading rounds, the second has nothing to round.
        assert_eq!(clock::read_pong(&clock::pong(&again)), Some(again));
    }
}
