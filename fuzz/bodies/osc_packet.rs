//! A datagram from the network, as split and printed by `listen`.
//!
//! The input is the datagram.

use ftrace_live::listen::Heard;

pub fn run(input: &[u8]) {
    let mut lines = Vec::new();
    let mut heard = Heard::new();
    for _ in 0..2 {
        heard.datagram(input, &mut lines).expect("memory can be written");
    }
    assert!(heard.messages().is_multiple_of(2), "the same datagram is heard the same");
    _ = heard.summary(std::time::Duration::from_secs(1), None);
    _ = heard.rates(std::time::Duration::from_secs(1));
}
