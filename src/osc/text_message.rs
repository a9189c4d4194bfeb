//! `/ftrace/text`: the kernel's own text of the event whose message precedes it.

use super::osc_string;
use super::schema::Schema;
use super::timetag;
use super::write::{Full, Writer};

/// The type tags.
const TAGS: &str = "ts";
/// Argument names, and what they are.
const ARGUMENTS: [(&str, &str); 2] =
    [("time", "the time of the message before it"), ("text", "what the kernel prints of the event")];
/// The longest text, bytes: the kernel's own lines have at most 8 KiB, and nearly all of them less than a tenth of
/// this.
const LONGEST: usize = 2 << 10;

/// Encodes texts as messages.
#[derive(Debug)]
pub struct TextMessage {
    /// Address and type tags.
    head: Vec<u8>,
    bytes: Vec<u8>,
}

impl TextMessage {
    /// Messages with this prefix.
    pub fn new(prefix: &str) -> TextMessage {
        let mut head = vec![];
        for part in [format!("{prefix}/text"), format!(",{TAGS}")] {
            head.extend(part.as_bytes());
            head.resize(head.len() + 4 - head.len() % 4, 0);
        }
        let bytes = vec![0; head.len() + 8 + LONGEST + 4];
        TextMessage { head, bytes }
    }

    /// The message for the text of an event at `unix_ns`.
    ///
    /// # Errors
    /// [`Full`] never occurs: long texts are cut.
    pub fn encode(&mut self, unix_ns: u64, kernel: &[u8]) -> Result<&[u8], Full> {
        let mut writer = Writer::new(&mut self.bytes);
        writer.put_slice(&self.head)?;
        writer.put(timetag::from_unix_ns(unix_ns).to_be_bytes())?;
        let mut len = 0;
        // OSC strings end at a NUL.
        let kernel = kernel.split(|&byte| byte == 0).next().unwrap_or_default();
        osc_string::repair(kernel, LONGEST, |piece| {
            len += piece.len();
            writer.put_slice(piece)
        })?;
        writer.pad(len, true)?;
        let len = writer.written();
        Ok(self.bytes.get(..len).unwrap_or_default())
    }
}

/// The signature of the messages with this prefix.
pub fn schema(prefix: &str) -> Schema {
    Schema::fixed(format!("{prefix}/text"), "ftrace", "text", TAGS, &ARGUMENTS)
}

#[cfg(test)]
mod tests {
    use rosc::{OscPacket, OscType};

    use super::*;

    fn read(kernel: &[u8]) -> String {
        let mut message = TextMessage::new("/ftrace");
        let bytes = message.encode(1_700_000_000_500_000_000, kernel).unwrap();
        let (rest, packet) = rosc::decoder::decode_udp(bytes).unwrap();
        let OscPacket::Message(message) = packet else { panic!() };
        assert_eq!((rest.len(), message.addr.as_str()), (0, "/ftrace/text"));
        let [OscType::Time(time), OscType::String(text)] = &message.args[..] else { panic!("{message:?}") };
        // 1 700 000 000 s and the 2 208 988 800 s from 1900 to 1970; a half is 2³¹.
        assert_eq!((time.seconds, time.fractional), (3_908_988_800, 1 << 31));
        text.clone()
    }

    #[test]
    fn rosc_reads_what_is_written() {
        for text in ["softirq_entry: vec=1 [action=TIMER]", "", "abc", "abcd", "ü"] {
            assert_eq!(read(text.as_bytes()), text);
        }
    }

    #[test]
    fn invalid_text_is_repaired_and_long_text_is_cut() {
        assert_eq!(read(b"a\xffb\0c"), "a?b");
        assert_eq!(read(&[b'x'; 9000]).len(), LONGEST);
    }
}
