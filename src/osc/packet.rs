//! Splits a datagram from outside into its messages.
//!
//! Bundles are parsed here; [`take_apart`] has the messages decoded by rosc, [`messages`] leaves that to the caller.
//! rosc recurses into nested bundles and arrays without a limit, and silently drops the rest of a bundle after a
//! malformed element; neither is acceptable for bytes from the network.

use rosc::{OscMessage, OscPacket, OscTime};

/// The deepest nesting of bundles, and of arrays.
pub(super) const MAX_DEPTH: usize = 64;

/// Why a part of a datagram is not OSC.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Nonsense {
    /// An empty datagram or bundle element.
    #[error("empty packet")]
    Empty,
    /// It is neither a bundle nor a message.
    #[error("neither a message nor a bundle")]
    NotOsc,
    /// A bundle that ends before its timetag or within an element's size.
    #[error("bundle cut short")]
    Short,
    /// An element's size exceeds the bundle or is not a multiple of four.
    #[error("bundle element of an impossible size")]
    ElementSize,
    /// Bundles or arrays nested too deeply.
    #[error("nested too deeply")]
    Depth,
    /// A message that rosc cannot decode.
    #[error("malformed message")]
    Message(String),
    /// Bytes after a message's last argument.
    #[error("bytes after the last argument")]
    Trailing,
}

impl Nonsense {
    /// The error in words that are the same for all of its kind, for counting.
    pub const fn kind(&self) -> &'static str {
        match self {
            Nonsense::Empty => "empty packet",
            Nonsense::NotOsc => "neither a message nor a bundle",
            Nonsense::Short => "bundle cut short",
            Nonsense::ElementSize => "bundle element of an impossible size",
            Nonsense::Depth => "nested too deeply",
            Nonsense::Message(_) => "malformed message",
            Nonsense::Trailing => "bytes after the last argument",
        }
    }
}

/// A message with the timetag of its bundle, or the error in its place.
pub type Part = Result<(OscMessage, Option<OscTime>), Nonsense>;

/// Passes every message of `datagram` to `each`, with the timetag of its bundle, and an error for every malformed
/// part. The parts around it are still parsed.
pub fn take_apart(datagram: &[u8], each: &mut dyn FnMut(Part)) {
    messages(datagram, &mut |_, found| {
        each(found.and_then(|(bytes, time)| message(bytes).map(|message| (message, time))));
    });
}

/// The bytes of a message with the timetag of its bundle, or the error in its place.
pub type Found<'a> = Result<(&'a [u8], Option<OscTime>), Nonsense>;

/// Passes the bytes of every message of `datagram`, and every malformed part, to `each`; the number is its offset in
/// the datagram.
pub fn messages<'a>(datagram: &'a [u8], each: &mut dyn FnMut(usize, Found<'a>)) {
    packet(datagram, 0, None, 0, each);
}

fn packet<'a>(bytes: &'a [u8], at: usize, time: Option<OscTime>, depth: usize, each: &mut dyn FnMut(usize, Found<'a>)) {
    match bytes.first() {
        None => each(at, Err(Nonsense::Empty)),
        Some(b'/') => each(at, Ok((bytes, time))),
        Some(_) => match bytes.strip_prefix(b"#bundle\0") {
            None if is_without_slash(bytes) => each(at, Ok((bytes, time))),
            None => each(at, Err(Nonsense::NotOsc)),
            Some(_) if depth == MAX_DEPTH => each(at, Err(Nonsense::Depth)),
            Some(bundle) => elements(bundle, at + 8, depth + 1, each),
        },
    }
}

/// Whether these bytes are a message but for the `/` at its beginning, as sclang's `sendMsg(\foo)` and others send it: a
/// word, its padding, and a comma.
fn is_without_slash(bytes: &[u8]) -> bool {
    let end = memchr::memchr(0, bytes).filter(|&end| end > 0);
    end.is_some_and(|end| {
        let word = bytes.get(..end).unwrap_or_default();
        word.iter().all(|byte| !byte.is_ascii_control()) && bytes.get(super::osc_string::padded(end)) == Some(&b',')
    })
}

/// The elements of a bundle: its timetag, then packets, each preceded by its size.
fn elements<'a>(bundle: &'a [u8], mut at: usize, depth: usize, each: &mut dyn FnMut(usize, Found<'a>)) {
    let Some((tag, mut rest)) = bundle.split_first_chunk::<8>() else {
        return each(at, Err(Nonsense::Short));
    };
    at += 8;
    let tag = u64::from_be_bytes(*tag);
    let time = OscTime { seconds: (tag >> 32) as u32, fractional: tag as u32 };
    while !rest.is_empty() {
        let Some((size, behind)) = rest.split_first_chunk::<4>() else {
            return each(at, Err(Nonsense::Short));
        };
        let size = u32::from_be_bytes(*size) as usize;
        if !size.is_multiple_of(4) || size > behind.len() {
            return each(at, Err(Nonsense::ElementSize));
        }
        let (element, behind) = behind.split_at(size);
        packet(element, at + 4, Some(time), depth, each);
        at += 4 + size;
        rest = behind;
    }
}

fn message(bytes: &[u8]) -> Result<OscMessage, Nonsense> {
    if !bytes.starts_with(b"/") {
        return Err(Nonsense::NotOsc);
    }
    if array_depth(bytes) > MAX_DEPTH {
        return Err(Nonsense::Depth);
    }
    match rosc::decoder::decode_udp(bytes) {
        Ok(([], OscPacket::Message(message))) => Ok(message),
        Ok((_, OscPacket::Message(_))) => Err(Nonsense::Trailing),
        Ok((_, OscPacket::Bundle(_))) => Err(Nonsense::NotOsc),
        Err(error) => Err(Nonsense::Message(error.to_string())),
    }
}

/// How deeply the type tags of a message nest arrays. Nested vectors are dropped recursively, so thousands of levels
/// would overflow the stack.
fn array_depth(message: &[u8]) -> usize {
    let Some(end) = message.iter().position(|&b| b == 0) else { return 0 };
    let tags = message.get((end / 4 + 1) * 4..).unwrap_or_default();
    let mut depth = 0usize;
    let mut deepest = 0;
    for &tag in tags.iter().take_while(|&&b| b != 0) {
        match tag {
            b'[' => depth += 1,
            b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    deepest
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rosc::{OscBundle, OscType, encoder};

    fn taken(datagram: &[u8]) -> Vec<Result<(String, Option<u32>), &'static str>> {
        let mut out = Vec::new();
        take_apart(datagram, &mut |part| {
            out.push(match part {
                Ok((message, time)) => Ok((message.addr, time.map(|t| t.seconds))),
                Err(nonsense) => Err(nonsense.kind()),
            });
        });
        out
    }

    fn message(address: &str) -> OscPacket {
        OscPacket::Message(OscMessage { addr: address.into(), args: vec![OscType::Int(1)] })
    }

    fn bundle(seconds: u32, content: Vec<OscPacket>) -> OscPacket {
        OscPacket::Bundle(OscBundle { timetag: OscTime { seconds, fractional: 0 }, content })
    }

    #[test]
    fn messages_come_with_their_own_bundles_time() {
        let nested = bundle(5, vec![message("/a"), bundle(7, vec![message("/b")]), message("/c")]);
        let bytes = encoder::encode(&nested).unwrap();
        assert_eq!(taken(&bytes), [Ok(("/a".into(), Some(5))), Ok(("/b".into(), Some(7))), Ok(("/c".into(), Some(5)))]);
        assert_eq!(taken(&encoder::encode(&message("/d")).unwrap()), [Ok(("/d".into(), None))]);
    }

    #[test]
    fn a_malformed_element_does_not_affect_the_others() {
        let mut bytes = encoder::encode(&bundle(5, vec![message("/a"), message("/b")])).unwrap();
        let tag = bytes.iter().position(|&b| b == b'i').unwrap();
        bytes[tag] = b'?';
        assert_eq!(taken(&bytes), [Err("malformed message"), Ok(("/b".into(), Some(5)))]);
    }

    #[test]
    fn every_kind_of_malformed_packet_is_named() {
        assert_eq!(taken(b""), [Err("empty packet")]);
        assert_eq!(taken(b"GET / HTTP/1.1\r\n"), [Err("neither a message nor a bundle")]);
        assert_eq!(taken(b"#bundle\0abc"), [Err("bundle cut short")]);
        assert_eq!(
            taken(b"#bundle\0\0\0\0\0\0\0\0\x02\0\0\0\x08/a\0\0"),
            [Err("bundle element of an impossible size")]
        );
        assert_eq!(taken(b"/a\0\0"), [Err("malformed message")], "no type tags");
        assert_eq!(taken(b"/a\0\0,\0\0\0\0\0\0\0"), [Err("bytes after the last argument")]);
    }

    #[test]
    fn nesting_has_a_limit() {
        // As deep as a datagram allows: 65507 / 20 bundles, or 65 500 brackets.
        let mut bytes = b"/a\0\0,i\0\0\0\0\0\x01".to_vec();
        while bytes.len() < 65_000 {
            let mut outer = b"#bundle\0\0\0\0\0\0\0\0\x02".to_vec();
            outer.extend((bytes.len() as u32).to_be_bytes());
            outer.extend(bytes);
            bytes = outer;
        }
        assert_eq!(taken(&bytes), [Err("nested too deeply")]);
        let brackets = [b"/a\0\0,".as_slice(), &[b'['; 32_001], &[b']'; 32_001], b"\0"].concat();
        assert_eq!(brackets.len() % 4, 0);
        assert_eq!(taken(&brackets), [Err("nested too deeply")]);
    }

    proptest! {
        #[test]
        fn no_datagram_makes_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            taken(&bytes);
            taken(&[b"#bundle\0\0\0\0\0\0\0\0\x02", bytes.as_slice()].concat());
            taken(&[b"/a\0\0,", bytes.as_slice()].concat());
        }
    }
}
