//! `/ftrace/hit`: sounds derived from events, for receivers that only play them.

use super::schema::Schema;
use super::write::{Full, Writer};
use crate::sound::Hit;

/// The type tags.
pub const TAGS: &str = "siifffff";
/// Argument names, and what they are.
const ARGUMENTS: [(&str, &str); 8] = [
    ("event", "system:event; the key of a texture"),
    ("form", "0 note, 1 grain, 2 texture"),
    ("timbre", "family of the sound: 0 irq, 1 sched, 2 block, 3 net, 4 syscalls, 5 mm, 6 fs, 7 other"),
    ("note", "MIDI note number, with fractions"),
    ("level", "amplitude, 0 to 1; 0 ends a texture"),
    ("length", "ms"),
    ("pan", "-1 left, 1 right"),
    ("brightness", "0 to 1"),
];
/// The argument names.
pub const NAMES: [&str; 8] = {
    let mut names = [""; 8];
    let mut at = 0;
    while at < names.len() {
        names[at] = ARGUMENTS[at].0;
        at += 1;
    }
    names
};
/// The longest event name, such that it fits with argument names and tags. No kernel's is longer than 128 bytes.
const LONGEST_NAME: usize = 255;

/// Encodes hits as messages.
#[derive(Debug)]
pub struct HitMessage {
    /// Address and type tags.
    head: Vec<u8>,
    bytes: Vec<u8>,
    prefix: String,
}

impl HitMessage {
    /// Messages with this prefix.
    pub fn new(prefix: &str) -> HitMessage {
        let mut head = vec![];
        for part in [format!("{prefix}/hit"), format!(",{TAGS}")] {
            head.extend(part.as_bytes());
            head.resize(head.len() + 4 - head.len() % 4, 0);
        }
        let bytes = vec![0; head.len() + LONGEST_NAME + 1 + 4 * ARGUMENTS.len()];
        HitMessage { head, bytes, prefix: prefix.to_owned() }
    }

    /// The message for a hit of the event `name`.
    ///
    /// # Errors
    /// [`Full`] if the name is longer than any kernel's.
    pub fn encode(&mut self, hit: &Hit, name: &str) -> Result<&[u8], Full> {
        let mut writer = Writer::new(&mut self.bytes);
        writer.put_slice(&self.head)?;
        writer.put_string(name.as_bytes())?;
        writer.put(hit.form.number().to_be_bytes())?;
        writer.put(hit.timbre.number().to_be_bytes())?;
        for number in [hit.note, hit.level, hit.length_ms, hit.pan, hit.brightness] {
            writer.put(number.to_be_bytes())?;
        }
        let len = writer.written();
        Ok(self.bytes.get(..len).unwrap_or_default())
    }

    /// The signature, for `/ftrace/schema`.
    pub fn schema(&self) -> Schema {
        schema(&self.prefix)
    }
}

/// The signature of the messages with this prefix.
pub fn schema(prefix: &str) -> Schema {
    Schema::fixed(format!("{prefix}/hit"), "ftrace", "hit", TAGS, &ARGUMENTS)
}

#[cfg(test)]
mod tests {
    use rosc::{OscPacket, OscType};

    use super::*;
    use crate::sound::{Form, Timbre};

    #[test]
    fn rosc_reads_what_is_written() {
        for prefix in ["/ftrace", "/a", "/host/ftrace"] {
            for name in ["irq:softirq_entry", "a:b", "four:fou", "exceptions:page_fault_kernel_which_is_long"] {
                let hit = Hit {
                    time_ns: 1,
                    event: 3,
                    form: Form::Texture,
                    timbre: Timbre::Mm,
                    note: 57.25,
                    level: 0.5,
                    length_ms: 120.0,
                    pan: -0.75,
                    brightness: 0.125,
                };
                let mut messages = HitMessage::new(prefix);
                let bytes = messages.encode(&hit, name).unwrap();
                let (rest, packet) = rosc::decoder::decode_udp(bytes).unwrap();
                let OscPacket::Message(message) = packet else { panic!() };
                assert_eq!((rest.len(), message.addr.as_str()), (0, format!("{prefix}/hit").as_str()));
                use OscType::{Float, Int};
                let numbers = [57.25, 0.5, 120.0, -0.75, 0.125].map(Float);
                let mut want = vec![OscType::String(name.to_owned()), Int(2), Int(5)];
                want.extend(numbers);
                assert_eq!(message.args, want);
            }
        }
    }

    #[test]
    fn an_overlong_name_gives_no_message() {
        let hit = Hit {
            time_ns: 0,
            event: 0,
            form: Form::Note,
            timbre: Timbre::Irq,
            note: 60.0,
            level: 1.0,
            length_ms: 1.0,
            pan: 0.0,
            brightness: 0.0,
        };
        assert_eq!(HitMessage::new("/ftrace").encode(&hit, &"x".repeat(1000)), Err(Full));
    }
}
