//! Parses a message from another program, however malformed.
//!
//! rosc gives up a whole message because of one string that is not UTF-8, one unknown type tag, or one missing byte.
//! To show what a sender does, everything that can be parsed is: strings are bytes, and if parsing must stop, the
//! reason and the place are reported.

use rosc::{OscColor, OscMessage, OscMidiMessage, OscTime, OscType};

use super::packet::MAX_DEPTH;

/// A message: an address, type tags, and one argument for each tag.
#[derive(Debug, Clone, PartialEq)]
pub struct Message<'a> {
    /// The address.
    pub address: &'a [u8],
    /// The type tags without their comma.
    pub tags: &'a [u8],
    /// The arguments up to the first that cannot be parsed.
    pub arguments: Vec<Argument<'a>>,
    /// The first error in it.
    pub fault: Option<Fault>,
}

/// An argument.
#[derive(Debug, Clone, PartialEq)]
pub enum Argument<'a> {
    /// A string or a symbol (`s`, `S`): the bytes before its NUL.
    Text(&'a [u8]),
    /// An array.
    Array(Vec<Argument<'a>>),
    /// Any other type.
    Value(OscType),
}

/// An error in a message, and its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault {
    /// The byte, counted from the beginning of the address.
    pub at: usize,
    /// The error.
    pub what: Wrong,
}

/// The errors of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Wrong {
    /// A string without terminating NUL.
    #[error("an unterminated string")]
    Unended,
    /// No type tags follow the address. The bytes there are shown as a blob.
    #[error("no type tags")]
    NoTags,
    /// Type tags without their comma follow the address.
    #[error("type tags without their comma")]
    NoComma,
    /// An argument with missing bytes.
    #[error("a truncated argument '{}'", char::from(*.0))]
    Short(u8),
    /// An unknown type tag, whose argument has an unknown length.
    #[error("an unknown type tag '{}'", crate::escape::Escaped([*.0]))]
    Tag(u8),
    /// `[` without `]`.
    #[error("an unclosed array")]
    Open,
    /// `]` without `[`.
    #[error("a ']' without an array")]
    Close,
    /// More than 64 nested arrays.
    #[error("arrays nested too deeply")]
    Depth,
    /// An address that does not begin with `/`.
    #[error("an address without its /")]
    NoSlash,
    /// Bytes behind the last argument.
    #[error("bytes after the last argument")]
    Trailing,
}

impl<'a> Message<'a> {
    /// Parses `bytes`, which should begin with `/`, as far as possible.
    ///
    /// ```
    /// use ftrace_live::osc::message::{Argument, Message};
    /// let message = Message::read(b"/a\0\0,s\0\0caf\xe9\0\0\0\0");
    /// assert_eq!(message.arguments, [Argument::Text(b"caf\xe9")]);
    /// assert_eq!(message.fault, None);
    /// ```
    pub fn read(bytes: &'a [u8]) -> Message<'a> {
        let mut reader = Reader { bytes, at: 0, fault: None };
        let address = reader.text();
        let mut message = Message { address, tags: b"", arguments: Vec::new(), fault: None };
        if reader.fault.is_none() {
            let at = reader.at;
            match bytes.get(at) {
                Some(b',') => {
                    message.tags = reader.text().get(1..).unwrap_or_default();
                    message.arguments = reader.arguments(message.tags, at + 1);
                }
                _ => message.arguments = reader.untagged(&mut message.tags),
            }
        }
        if reader.fault.is_none() && reader.at < bytes.len() {
            reader.note(reader.at, Wrong::Trailing);
        }
        if !bytes.starts_with(b"/") {
            reader.note(0, Wrong::NoSlash);
        }
        message.fault = reader.fault;
        message
    }

    /// The message with its symbols as strings, invalid UTF-8 replaced, and the values of arrays one after the other.
    pub fn flat(&self) -> OscMessage {
        fn add(arguments: &[Argument<'_>], to: &mut Vec<OscType>) {
            arguments.iter().for_each(|argument| match argument {
                Argument::Text(text) => to.push(OscType::String(String::from_utf8_lossy(text).into_owned())),
                Argument::Array(array) => add(array, to),
                Argument::Value(value) => to.push(value.clone()),
            });
        }
        let mut args = Vec::new();
        add(&self.arguments, &mut args);
        OscMessage { addr: String::from_utf8_lossy(self.address).into_owned(), args }
    }

    /// Whether it has all its arguments: some senders leave out the type tags of a message without any.
    pub fn is_whole(&self) -> bool {
        self.fault.is_none_or(|fault| fault.what == Wrong::NoTags && self.arguments.is_empty())
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    fault: Option<Fault>,
}

impl<'a> Reader<'a> {
    fn note(&mut self, at: usize, what: Wrong) {
        self.fault.get_or_insert(Fault { at, what });
    }

    /// A string and its padding. Missing padding at the end of a datagram is accepted.
    fn text(&mut self) -> &'a [u8] {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        match memchr::memchr(0, rest) {
            Some(end) => {
                self.at = (self.at + super::osc_string::padded(end)).min(self.bytes.len());
                &rest[..end]
            }
            None => {
                self.note(self.at, Wrong::Unended);
                self.at = self.bytes.len();
                rest
            }
        }
    }

    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let taken = self.bytes.get(self.at..)?.first_chunk::<N>()?;
        self.at += N;
        Some(*taken)
    }

    fn blob(&mut self) -> Option<&'a [u8]> {
        let start = self.at + 4;
        let length = u32::from_be_bytes(*self.bytes.get(self.at..)?.first_chunk()?) as usize;
        let blob = self.bytes.get(start..start.checked_add(length)?)?;
        self.at = start.checked_add(length.next_multiple_of(4))?.min(self.bytes.len());
        Some(blob)
    }

    /// The arguments for `tags`, which are at offset `place`.
    fn arguments(&mut self, tags: &'a [u8], place: usize) -> Vec<Argument<'a>> {
        // For each open array, the arguments before it and the place of its bracket.
        let mut open: Vec<(Vec<Argument<'a>>, usize)> = Vec::new();
        let mut arguments = Vec::new();
        for (index, &tag) in tags.iter().enumerate() {
            match tag {
                b'[' if open.len() == MAX_DEPTH => {
                    self.note(place + index, Wrong::Depth);
                    break;
                }
                b'[' => open.push((std::mem::take(&mut arguments), place + index)),
                b']' => match open.pop() {
                    Some((before, _)) => {
                        let array = Argument::Array(std::mem::replace(&mut arguments, before));
                        arguments.push(array);
                    }
                    None => self.note(place + index, Wrong::Close),
                },
                b's' | b'S' if self.at >= self.bytes.len() => {
                    self.note(self.at, Wrong::Short(tag));
                    break;
                }
                b's' | b'S' => arguments.push(Argument::Text(self.text())),
                _ => {
                    let at = self.at;
                    match self.value(tag) {
                        Some(value) => arguments.push(Argument::Value(value)),
                        None if b"ihftdcrmb".contains(&tag) => {
                            self.note(at, Wrong::Short(tag));
                            break;
                        }
                        None => {
                            self.note(place + index, Wrong::Tag(tag));
                            break;
                        }
                    }
                }
            }
        }
        if let Some((_, first)) = open.first() {
            self.note(*first, Wrong::Open);
        }
        while let Some((before, _)) = open.pop() {
            let array = Argument::Array(std::mem::replace(&mut arguments, before));
            arguments.push(array);
        }
        arguments
    }

    /// Handles an address that is not followed by a comma: arguments, if the next string fits as type tags and
    /// consumes the message to its last byte; otherwise a blob, as from senders that predate type tags.
    fn untagged(&mut self, tags: &mut &'a [u8]) -> Vec<Argument<'a>> {
        let mut attempt = Reader { bytes: self.bytes, at: self.at, fault: None };
        let word = attempt.text();
        let arguments = attempt.arguments(word, self.at);
        if attempt.fault.is_none() && !arguments.is_empty() && attempt.at == self.bytes.len() {
            self.note(self.at, Wrong::NoComma);
            (*tags, self.at) = (word, attempt.at);
            return arguments;
        }
        self.note(self.at, Wrong::NoTags);
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        self.at = self.bytes.len();
        if rest.is_empty() { vec![] } else { vec![Argument::Value(OscType::Blob(rest.to_vec()))] }
    }

    fn value(&mut self, tag: u8) -> Option<OscType> {
        Some(match tag {
            b'i' => OscType::Int(i32::from_be_bytes(self.take()?)),
            b'h' => OscType::Long(i64::from_be_bytes(self.take()?)),
            b'f' => OscType::Float(f32::from_be_bytes(self.take()?)),
            b'd' => OscType::Double(f64::from_be_bytes(self.take()?)),
            b't' => {
                let tag = u64::from_be_bytes(self.take()?);
                OscType::Time(OscTime { seconds: (tag >> 32) as u32, fractional: tag as u32 })
            }
            b'c' => {
                let word = self.take()?;
                // An invalid character is shown as its bytes.
                char::from_u32(u32::from_be_bytes(word)).map_or(OscType::Blob(word.to_vec()), OscType::Char)
            }
            b'r' => {
                let [red, green, blue, alpha] = self.take()?;
                OscType::Color(OscColor { red, green, blue, alpha })
            }
            b'm' => {
                let [port, status, data1, data2] = self.take()?;
                OscType::Midi(OscMidiMessage { port, status, data1, data2 })
            }
            b'b' => OscType::Blob(self.blob()?.to_vec()),
            b'T' => OscType::Bool(true),
            b'F' => OscType::Bool(false),
            b'N' => OscType::Nil,
            b'I' => OscType::Inf,
            _ => return None,
        })
    }
}

/// The arguments of a message decoded by rosc.
pub(super) fn borrowed(arguments: &[OscType]) -> Vec<Argument<'_>> {
    let mut out = Vec::with_capacity(arguments.len());
    for argument in arguments {
        out.push(match argument {
            OscType::String(text) => Argument::Text(text.as_bytes()),
            OscType::Array(array) => Argument::Array(borrowed(&array.content)),
            other => Argument::Value(other.clone()),
        });
    }
    out
}

impl<'a> Message<'a> {
    /// A message decoded by rosc, with the `tags` of its arguments ([`tags`](super::print::tags)).
    pub fn of_rosc(message: &'a OscMessage, tags: &'a str) -> Message<'a> {
        let arguments = borrowed(&message.args);
        Message { address: message.addr.as_bytes(), tags: tags.as_bytes(), arguments, fault: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rosc::{OscPacket, encoder};

    fn bytes(tags: &[u8], arguments: &[u8]) -> Vec<u8> {
        let mut out = b"/a\0\0,".to_vec();
        out.extend(tags);
        out.resize(4 + super::super::osc_string::padded(1 + tags.len()), 0);
        out.extend(arguments);
        out
    }

    fn int(value: i32) -> Argument<'static> {
        Argument::Value(OscType::Int(value))
    }

    #[test]
    fn an_unclosed_array_keeps_its_values_and_the_place_of_its_bracket() {
        let datagram = bytes(b"i[i[i", &[0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3]);
        let message = Message::read(&datagram);
        let inner = Argument::Array(vec![int(3)]);
        assert_eq!(message.arguments, [int(1), Argument::Array(vec![int(2), inner])]);
        assert_eq!(message.fault, Some(Fault { at: 6, what: Wrong::Open }));
        let datagram = bytes(b"i]i", &[0, 0, 0, 1, 0, 0, 0, 2]);
        let message = Message::read(&datagram);
        assert_eq!(message.arguments, [int(1), int(2)]);
        assert_eq!(message.fault, Some(Fault { at: 6, what: Wrong::Close }));
    }

    #[test]
    fn strings_and_symbols_are_bytes() {
        let datagram = bytes(b"sSi", b"caf\xe9\0\0\0\0sym\0\0\0\0\x05");
        let message = Message::read(&datagram);
        assert_eq!(message.arguments, [Argument::Text(b"caf\xe9"), Argument::Text(b"sym"), int(5)]);
        assert_eq!(message.fault, None);
    }

    #[test]
    fn behind_a_blob_the_next_argument_begins_at_a_whole_word() {
        for len in 0..=4_u8 {
            let blob: Vec<u8> = (1..=len).collect();
            let mut arguments = [&[0, 0, 0, len][..], &blob].concat();
            arguments.resize(arguments.len().next_multiple_of(4), 0);
            let datagram = bytes(b"bi", &[&arguments[..], &[0, 0, 0, 7]].concat());
            let message = Message::read(&datagram);
            assert_eq!(message.arguments, [Argument::Value(OscType::Blob(blob)), int(7)], "{len}");
            assert_eq!(message.fault, None);
        }
    }

    #[test]
    fn errors_have_the_offset_of_their_byte() {
        let fault = |datagram: &[u8]| Message::read(datagram).fault.map(|fault| (fault.at, fault.what));
        assert_eq!(fault(b"/abc"), Some((0, Wrong::Unended)));
        assert_eq!(fault(b"/a\0\0"), Some((4, Wrong::NoTags)));
        assert_eq!(fault(b"/a\0\0ii\0\0"), Some((4, Wrong::NoTags)));
        assert_eq!(fault(b"/a\0\0ii\0\0\0\0\0\x01\0\0\0\x02"), Some((4, Wrong::NoComma)));
        assert_eq!(fault(&bytes(b"ii", &[0, 0, 0, 1, 0, 0])), Some((12, Wrong::Short(b'i'))));
        assert_eq!(fault(&bytes(b"ii", &[0, 0, 0, 1])), Some((12, Wrong::Short(b'i'))));
        assert_eq!(fault(&bytes(b"s", b"")), Some((8, Wrong::Short(b's'))));
        assert_eq!(fault(&bytes(b"s", b"never")), Some((8, Wrong::Unended)));
        assert_eq!(fault(&bytes(b"b", &[0, 0, 0, 9, 1, 2, 3, 4])), Some((8, Wrong::Short(b'b'))));
        assert_eq!(fault(&bytes(b"b", &[0xff; 8])), Some((8, Wrong::Short(b'b'))));
        assert_eq!(fault(&bytes(b"i?i", &[0; 12])), Some((6, Wrong::Tag(b'?'))));
        assert_eq!(fault(&bytes(&[b'['; 65], b"")), Some((5 + 64, Wrong::Depth)));
        assert_eq!(fault(&bytes(b"", &[0; 4])), Some((8, Wrong::Trailing)));
        assert_eq!(fault(&bytes(b"i", &[0, 0, 0, 1])), None);
        assert_eq!(fault(&bytes(b"i", &[0, 0, 0, 1, 0])), Some((12, Wrong::Trailing)));
        assert_eq!(Message::read(&bytes(b"ii", &[0, 0, 0, 1, 0, 0])).arguments, [int(1)]);
    }

    #[test]
    fn bytes_after_an_address_without_type_tags_are_shown() {
        let shown = |datagram: &'static [u8]| {
            let message = Message::read(datagram);
            (message.tags, message.arguments)
        };
        assert_eq!(shown(b"/a\0\0ii\0\0\0\0\0\x01\0\0\0\x02"), (&b"ii"[..], vec![int(1), int(2)]));
        // A message of senders that predate type tags: one int. And a string that happens to look like type tags.
        let blob = |bytes: &[u8]| vec![Argument::Value(OscType::Blob(bytes.to_vec()))];
        assert_eq!(shown(b"/a\0\0\0\0\0\x07"), (&b""[..], blob(&[0, 0, 0, 7])));
        assert_eq!(shown(b"/a\0\0fish\0\0\0\0"), (&b""[..], blob(b"fish\0\0\0\0")));
        // Type tags that leave bytes over are none.
        let over = b"/a\0\0ii\0\0\0\0\0\x01\0\0\0\x02\0\0\0\x03";
        assert_eq!(shown(over), (&b""[..], blob(&over[4..])));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic_and_what_rosc_reads_is_read_the_same(
            tags in proptest::collection::vec(proptest::sample::select(&b"ihfdtcrmbsSTFNI[]?"[..]), 0..12),
            arguments in proptest::collection::vec(any::<u8>(), 0..80),
        ) {
            let datagram = bytes(&tags, &arguments);
            let message = Message::read(&datagram);
            if let Ok(([], OscPacket::Message(theirs))) = rosc::decoder::decode_udp(&datagram) {
                let again = encoder::encode(&OscPacket::Message(theirs.clone())).unwrap();
                // NaN is not equal to itself, so compare texts.
                if message.fault.is_none() {
                    prop_assert_eq!(format!("{:?}", message.arguments), format!("{:?}", borrowed(&theirs.args)));
                    prop_assert_eq!(Message::read(&again).fault, None);
                }
            }
            Message::read(&arguments);
        }
    }
}
