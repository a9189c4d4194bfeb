//! Hits as MIDI, to a file or to a port.

use super::midi_file::MidiFile;
use super::midi_port::MidiPort;
use crate::sound::Hit;

/// Where hits go as MIDI.
pub enum Midi {
    /// A file.
    File(MidiFile),
    /// A port, at their times.
    Port(MidiPort),
}

impl Midi {
    pub(super) fn hit(&mut self, hit: &Hit) {
        match self {
            Midi::File(file) => file.hit(hit),
            Midi::Port(port) => port.hit(hit),
        }
    }

    /// When there is something to send, ns since 1970.
    pub(super) fn due(&self) -> Option<u64> {
        match self {
            Midi::File(_) => None,
            Midi::Port(port) => port.due(),
        }
    }

    pub(super) fn tick(&mut self, now: u64) {
        if let Midi::Port(port) = self {
            port.tick(now);
        }
    }

    /// Ends what goes on.
    pub(super) fn finish(&mut self) {
        match self {
            Midi::File(file) => file.finish(),
            Midi::Port(port) => port.finish(),
        }
    }

    /// What could not be written or sent to, and why, in words.
    pub fn failure(&self) -> Option<String> {
        match self {
            Midi::File(file) => Some(format!("{} cannot be written: {}", file.path().display(), file.failure()?)),
            Midi::Port(port) => Some(format!("the MIDI port {} does not take it: {}", port.name(), port.failure()?)),
        }
    }
}
