//! A datagram to the control port: the command, and the answers.
//!
//! The input is the datagram; it is tried again with the prefix.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Instant;

use ftrace_live::control::desk::{Desk, Settings};
use ftrace_live::control::{Refused, switches::Switches};
use ftrace_live::osc::packet::take_apart;
use ftrace_live::tracefs::EventName;

/// Two strings, cut to 80 and 500 characters of up to four bytes, and their address.
const LONGEST_ANSWER: usize = 4 * 580 + 64;

pub fn run(input: &[u8]) {
    let events = [("irq", "softirq_entry"), ("irq", "softirq_exit"), ("sched", "sched_switch")];
    let events = events.map(|(system, name)| EventName::new(system, name));
    let from = SocketAddr::from((Ipv4Addr::LOCALHOST, 1));
    for live in [false, true] {
        let settings = Settings { live, typed: true, ..Settings::default() };
        let mut desk = Desk::new("/ftrace", Switches::new(events.to_vec()), settings);
        let mut answers = Vec::new();
        for datagram in [input.to_vec(), [b"/ftrace/control/", input].concat()] {
            answers.extend(desk.datagram(&datagram, from, Instant::now()));
            // Every second one is done, the others refused.
            let mut refuse = live;
            while desk.command().is_some() {
                refuse = !refuse;
                let refused = Refused { why: "no".to_owned(), events: events.to_vec() };
                answers.extend(
                    desk.answer(if refuse { Err(refused) } else { Ok(()) }).into_iter().map(|(_, answer)| answer),
                );
            }
        }
        for answer in answers {
            assert!(answer.len() <= LONGEST_ANSWER, "an answer of {} bytes", answer.len());
            take_apart(&answer, &mut |part| {
                let (message, _) = part.expect("an answer is OSC");
                assert!(message.addr.starts_with("/ftrace/control/"), "{}", message.addr);
            });
        }
    }
}
