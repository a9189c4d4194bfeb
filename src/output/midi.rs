//! Hits as MIDI, to a file or to a port.

use super::midi_file::MidiFile;
use super::midi_port::MidiPort;
use crate::sound::Hit;

/// Where hits are written as MIDI.
pub enum Midi {
    /// To a file.
    File(MidiFile),
    /// To a port, at their times.
    Port(MidiPort),
}

impl Midi {
    pub(super) fn hit(&mut self, hit: &Hit) {
        match self {
            Midi::File(file) => file.hit(hit),
            Midi::Port(port) => port.hit(hit),
        }
    }

    /// When the next message must be sent, ns since 1970.
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

    /// Ends notes that are still on.
    pub(super) fn finish(&mut self) {
        match self {
            Midi::File(file) => file.finish(),
            Midi::Port(port) => port.finish(),
        }
    }

    /// Why the file or port failed, in words.
    pub fn failure(&self) -> Option<String> {
        match self {
            Midi::File(file) => Some(format!("{} cannot be written: {}", file.path().display(), file.failure()?)),
            Midi::Port(port) => Some(format!("the MIDI port {} refused a message: {}", port.name(), port.failure()?)),
        }
    }
}
