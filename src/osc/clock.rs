//! The messages about clocks: `/clock/ping` and `/clock/pong`, with which one machine asks another for its time of
//! day, and `/ftrace/clock`, which describes the clock of a stream.
//!
//! A ping is as long as its answer, so that forged pings cannot be used to amplify traffic. Both consist of exactly
//! these bytes and are never in a bundle.

use rosc::{OscMessage, OscType};

use super::osc_string;
use super::timetag;
use crate::wall::{Followed, KernelClock};

const PING: [u8; 20] = *b"/clock/ping\0,htt\0\0\0\0";
const PONG: [u8; 20] = *b"/clock/pong\0,htt\0\0\0\0";
/// The length of a ping and of a pong.
pub const LEN: usize = 44;

/// The contents of a pong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pong {
    /// The ping's number.
    pub nonce: u64,
    /// When the ping arrived, ns since 1970 by the clock of the answering machine.
    pub received_ns: u64,
    /// When the pong was sent.
    pub sent_ns: u64,
}

fn message(head: [u8; 20], arguments: [u64; 3]) -> [u8; LEN] {
    let mut bytes = [0; LEN];
    bytes[..20].copy_from_slice(&head);
    for (place, argument) in bytes[20..].chunks_exact_mut(8).zip(arguments) {
        place.copy_from_slice(&argument.to_be_bytes());
    }
    bytes
}

fn arguments(head: [u8; 20], bytes: &[u8]) -> Option<[u64; 3]> {
    let (begin, rest) = bytes.split_first_chunk::<20>()?;
    if *begin != head || rest.len() != LEN - 20 {
        return None;
    }
    let mut words = rest.chunks_exact(8).filter_map(|word| Some(u64::from_be_bytes(word.try_into().ok()?)));
    Some([words.next()?, words.next()?, words.next()?])
}

/// A ping with this number.
pub fn ping(nonce: u64) -> [u8; LEN] {
    message(PING, [nonce, 0, 0])
}

/// The number of the ping in a datagram; `None` if it is not a ping.
pub fn read_ping(datagram: &[u8]) -> Option<u64> {
    arguments(PING, datagram).map(|[nonce, ..]| nonce)
}

/// The pong as bytes.
pub fn pong(pong: &Pong) -> [u8; LEN] {
    let tag = timetag::from_unix_ns;
    message(PONG, [pong.nonce, tag(pong.received_ns), tag(pong.sent_ns)])
}

/// Parses a pong; `None` if the datagram is not a pong.
pub fn read_pong(datagram: &[u8]) -> Option<Pong> {
    let [nonce, received, sent] = arguments(PONG, datagram)?;
    Some(Pong { nonce, received_ns: timetag::to_unix_ns(received), sent_ns: timetag::to_unix_ns(sent) })
}

/// `/ftrace/clock`: the followed machine, how far its clock is ahead in s and µs, round trip and error bound in ms;
/// whether the kernel's clock is synchronised, its largest and its likely error in ms.
pub fn clock(prefix: &str, followed: Option<&Followed>, kernel: Option<&KernelClock>) -> OscMessage {
    let ms = |ns: u64| OscType::Float((ns as f64 / 1e6) as f32);
    let ahead_us = followed.map_or(0, |followed| followed.ahead_ns.div_euclid(1000));
    let whole = i32::try_from(ahead_us.div_euclid(1_000_000)).unwrap_or(i32::MAX);
    let host = followed.map_or(String::new(), |followed| osc_string::repaired(followed.host.as_bytes(), 64));
    let (round_trip, bound) = followed.map_or((0, 0), |followed| (followed.round_trip_ns, followed.bound_ns));
    let args = vec![
        OscType::String(host),
        OscType::Int(whole),
        OscType::Int(ahead_us.rem_euclid(1_000_000) as i32),
        ms(round_trip),
        ms(bound),
        OscType::Int(kernel.is_some_and(|kernel| kernel.synchronised).into()),
        ms(kernel.map_or(0, |kernel| kernel.max_error_us.saturating_mul(1000))),
        ms(kernel.map_or(0, |kernel| kernel.likely_error_us.saturating_mul(1000))),
    ];
    OscMessage { addr: format!("{prefix}/clock"), args }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rosc::{OscPacket, decoder, encoder};

    #[test]
    fn both_are_osc_as_rosc_has_it() {
        let unix = 1_700_000_000_123_456_789;
        let time = |ns| OscType::Time(timetag::osc_time(ns));
        let args = vec![OscType::Long(-2), time(unix), time(unix + 5000)];
        let by_rosc = encoder::encode(&OscPacket::Message(OscMessage { addr: "/clock/pong".into(), args })).unwrap();
        let ours = Pong { nonce: u64::MAX - 1, received_ns: unix, sent_ns: unix + 5000 };
        assert_eq!(pong(&ours).as_slice(), by_rosc);
        assert_eq!(read_pong(&by_rosc), Some(ours));
        let seven = ping(7);
        let (rest, packet) = decoder::decode_udp(&seven).unwrap();
        let OscPacket::Message(message) = packet else { panic!("{packet:?}") };
        assert!(rest.is_empty() && message.addr == "/clock/ping" && message.args[0] == OscType::Long(7));
        assert_eq!(read_ping(&ping(7)), Some(7));
    }

    #[test]
    fn other_datagrams_are_neither() {
        let (ping, pong) = (ping(7), pong(&Pong { nonce: 7, received_ns: 1, sent_ns: 2 }));
        assert_eq!((read_pong(&ping), read_ping(&pong)), (None, None));
        for len in 0..LEN {
            assert_eq!((read_ping(&ping[..len]), read_pong(&pong[..len])), (None, None));
        }
        assert_eq!(read_ping(&[&ping[..], &[0; 4]].concat()), None);
    }

    #[test]
    fn an_offset_is_whole_seconds_and_microseconds_to_add() {
        let followed = Followed {
            host: "10.0.0.5:57120".into(),
            ahead_ns: -1_500_000_000,
            round_trip_ns: 250_000,
            bound_ns: 125_000,
        };
        let kernel = KernelClock { synchronised: true, max_error_us: 1500, likely_error_us: 20 };
        let message = clock("/ftrace", Some(&followed), Some(&kernel));
        let (int, float) = (OscType::Int, OscType::Float);
        let host = OscType::String("10.0.0.5:57120".into());
        // A part of a µs counts to the earlier one: -1 ns = -1 s + 999 999 µs.
        let just_behind = clock("/ftrace", Some(&Followed { ahead_ns: -1, ..followed.clone() }), Some(&kernel));
        assert_eq!(just_behind.args[1..3], [OscType::Int(-1), OscType::Int(999_999)]);
        // -1.5 s = -2 s + 500 000 µs.
        let args = vec![host, int(-2), int(500_000), float(0.25), float(0.125), int(1), float(1.5), float(0.02)];
        assert_eq!(message, OscMessage { addr: "/ftrace/clock".into(), args });
    }
}
