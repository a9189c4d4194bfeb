//! Plays hits as MIDI messages at their times on a port of another program or of a synthesizer.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use midly::MidiMessage;

use super::midi_notes::Notes;
use crate::sound::Hit;

/// The most messages that wait for their time: those of a minute.
const WAITING: usize = 1 << 14;

/// A destination of MIDI messages.
pub trait Port: Send {
    /// Sends one message.
    ///
    /// # Errors
    /// The reason, in words.
    fn send(&mut self, message: &[u8]) -> Result<(), String>;
}

/// A waiting message: its time, whether it begins a note, its number, its bytes.
type Waiting = Reverse<(u64, bool, u64, [u8; 3])>;

/// Plays hits on a port.
pub struct MidiPort {
    name: String,
    port: Box<dyn Port>,
    notes: Notes,
    waiting: BinaryHeap<Waiting>,
    count: u64,
    failed: Option<String>,
}

impl MidiPort {
    /// Plays hits on `port`, which the user knows as `name`.
    pub fn new(name: &str, port: Box<dyn Port>) -> MidiPort {
        let (notes, waiting) = (Notes::default(), BinaryHeap::with_capacity(WAITING));
        MidiPort { name: name.to_owned(), port, notes, waiting, count: 0, failed: None }
    }

    /// The port's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Why messages could not be sent.
    pub fn failure(&self) -> Option<&str> {
        self.failed.as_deref()
    }

    /// Queues the messages of a hit until their time.
    pub(super) fn hit(&mut self, hit: &Hit) {
        let MidiPort { notes, waiting, count, .. } = self;
        notes.hit(hit, &mut |at, begins, channel, message| {
            // Ends are never left out, or a note would sound forever.
            if begins && waiting.len() >= WAITING {
                return;
            }
            *count += 1;
            waiting.push(Reverse((at, begins, *count, bytes(channel, message))));
        });
    }

    /// When the next message is to be sent, ns since 1970.
    pub(super) fn due(&self) -> Option<u64> {
        self.waiting.peek().map(|Reverse((at, ..))| *at)
    }

    /// Sends what is due at `now`, in order of time; ends before beginnings.
    pub(super) fn tick(&mut self, now: u64) {
        while let Some(Reverse((at, ..))) = self.waiting.peek()
            && *at <= now
            && let Some(Reverse((.., message))) = self.waiting.pop()
        {
            self.send(message);
        }
    }

    /// Ends notes that are still on, and begins no others.
    pub(super) fn finish(&mut self) {
        let last = self.waiting.iter().map(|Reverse((at, ..))| *at).max().unwrap_or(0);
        let mut ends = vec![];
        self.notes.end(last, &mut |_, _, channel, message| ends.push(bytes(channel, message)));
        while let Some(Reverse((_, begins, _, message))) = self.waiting.pop() {
            if !begins {
                self.send(message);
            }
        }
        ends.into_iter().for_each(|message| self.send(message));
    }

    fn send(&mut self, message: [u8; 3]) {
        if let Err(why) = self.port.send(&message) {
            self.failed.get_or_insert(why);
        }
    }
}

/// The bytes of a message: MIDI 1.0 specification, table 1.
fn bytes(channel: u8, message: MidiMessage) -> [u8; 3] {
    let (status, key, vel) = match message {
        MidiMessage::NoteOn { key, vel } => (0x90, key, vel),
        MidiMessage::Aftertouch { key, vel } => (0xa0, key, vel),
        MidiMessage::NoteOff { key, vel } => (0x80, key, vel),
        // Notes makes no others; this one has no effect.
        _ => (0x80, 0.into(), 0.into()),
    };
    [status | channel, key.as_int(), vel.as_int()]
}

/// The names of the available ports.
///
/// # Errors
/// Why the system's MIDI cannot be queried, in words.
#[cfg(feature = "midi")]
pub fn ports() -> Result<Vec<String>, String> {
    let output = output()?;
    Ok(output.ports().iter().filter_map(|port| output.port_name(port).ok()).collect())
}

/// Opens the port with this name, or the first whose name contains it.
///
/// # Errors
/// The reason, in words.
#[cfg(feature = "midi")]
pub fn open(name: &str) -> Result<MidiPort, String> {
    let output = output()?;
    let ports = output.ports();
    let named = |port: &&midir::MidiOutputPort| output.port_name(port).is_ok_and(|known| known == name);
    let has = |port: &&midir::MidiOutputPort| {
        output.port_name(port).is_ok_and(|known| known.to_lowercase().contains(&name.to_lowercase()))
    };
    let Some(port) = ports.iter().find(named).or_else(|| ports.iter().find(has)).cloned() else {
        return Err(format!("there is no port of that name; there are: {}", self::ports()?.join(", ")));
    };
    let name = output.port_name(&port).unwrap_or_else(|_| name.to_owned());
    let connection = output.connect(&port, "ftrace-live").map_err(|error| error.to_string())?;
    Ok(MidiPort::new(&name, Box::new(connection)))
}

#[cfg(feature = "midi")]
fn output() -> Result<midir::MidiOutput, String> {
    midir::MidiOutput::new("ftrace-live").map_err(|error| error.to_string())
}

#[cfg(feature = "midi")]
impl Port for midir::MidiOutputConnection {
    fn send(&mut self, message: &[u8]) -> Result<(), String> {
        midir::MidiOutputConnection::send(self, message).map_err(|error| error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::sound::{Form, Timbre};

    /// A port that stores what it is sent.
    struct Double(Arc<Mutex<Vec<[u8; 3]>>>);

    impl Port for Double {
        fn send(&mut self, message: &[u8]) -> Result<(), String> {
            self.0.lock().unwrap().push(message.try_into().map_err(|_| "three bytes")?);
            Ok(())
        }
    }

    const MS: u64 = 1_000_000;

    fn hit(ms: u64, form: Form, timbre: Timbre, note: f32, level: f32, length_ms: f32) -> Hit {
        let (pan, brightness) = (0.0, 0.5);
        Hit { time_ns: ms * MS, event: 3, form, timbre, note, level, length_ms, pan, brightness }
    }

    #[test]
    fn notes_begin_and_end_at_their_times_and_a_texture_follows_its_level() {
        let sent = Arc::new(Mutex::new(vec![]));
        let mut port = MidiPort::new("a test's", Box::new(Double(sent.clone())));
        let at = |port: &mut MidiPort, ms: u64| {
            port.tick(ms * MS);
            std::mem::take(&mut *sent.lock().unwrap())
        };
        // 0.5 of 127 is 64, rounded; timbre 2 is channel 3, which is 2 on the wire.
        port.hit(&hit(1000, Form::Note, Timbre::ALL[2], 69.4, 0.5, 100.0));
        assert_eq!(port.due(), Some(1000 * MS));
        assert_eq!(at(&mut port, 999), [[0; 3]; 0]);
        assert_eq!(at(&mut port, 1000), [[0x92, 69, 64]]);
        // The same note again when the first one ends: its end comes first.
        port.hit(&hit(1100, Form::Note, Timbre::ALL[2], 69.0, 1.0, 50.0));
        assert_eq!(at(&mut port, 1120), [[0x82, 69, 0], [0x92, 69, 127]]);
        port.hit(&hit(1120, Form::Texture, Timbre::ALL[0], 50.0, 0.25, 0.0));
        port.hit(&hit(1220, Form::Texture, Timbre::ALL[0], 50.0, 0.5, 0.0));
        assert_eq!(at(&mut port, 1300), [[0x90, 50, 32], [0x82, 69, 0], [0xa0, 50, 64]]);
        // At the end everything ends, and what has not begun does not begin.
        port.hit(&hit(2000, Form::Note, Timbre::ALL[1], 60.0, 1.0, 10.0));
        port.finish();
        let ends = at(&mut port, 5000);
        assert!(ends.contains(&[0x80, 50, 0]) && ends.iter().all(|message| message[0] & 0xf0 == 0x80), "{ends:?}");
        assert_eq!((port.due(), port.failure()), (None, None));
    }
}
