//! Hits as MIDI messages: a channel for each timbre, notes and grains as notes, a texture as a sustained note that
//! follows its level by polyphonic aftertouch.

use std::collections::HashMap;

use midly::MidiMessage;
use midly::num::u7;

use crate::sound::{Form, Hit};

/// Called for each message: its time, ns since 1970; whether it begins a note; its channel.
pub(super) type Each<'a> = &'a mut dyn FnMut(u64, bool, u8, MidiMessage);

/// Converts hits to MIDI messages.
#[derive(Debug, Default)]
pub(super) struct Notes {
    /// The channel and key of each texture.
    textures: HashMap<u16, (u8, u7)>,
}

impl Notes {
    /// The messages of a hit.
    pub(super) fn hit(&mut self, hit: &Hit, each: Each<'_>) {
        let at = hit.time_ns;
        let channel = u8::try_from(hit.timbre.number()).unwrap_or(0) & 15;
        let key = u7::from_int_lossy(hit.note.round().clamp(0.0, 127.0) as u8);
        let vel = u7::from_int_lossy((hit.level * 127.0).round().clamp(1.0, 127.0) as u8);
        let off = |key| MidiMessage::NoteOff { key, vel: u7::from_int_lossy(0) };
        if hit.form != Form::Texture {
            each(at, true, channel, MidiMessage::NoteOn { key, vel });
            each(at.saturating_add(hit.length_ms.max(1.0) as u64 * 1_000_000), false, channel, off(key));
            return;
        }
        let goes_on = hit.level > 0.0;
        match self.textures.get(&hit.event).copied() {
            Some(same) if goes_on && same == (channel, key) => {
                each(at, true, channel, MidiMessage::Aftertouch { key, vel });
                return;
            }
            Some((channel, key)) => {
                self.textures.remove(&hit.event);
                each(at, false, channel, off(key));
            }
            None => {}
        }
        if goes_on {
            self.textures.insert(hit.event, (channel, key));
            each(at, true, channel, MidiMessage::NoteOn { key, vel });
        }
    }

    /// Ends notes that are still on.
    pub(super) fn end(&mut self, at: u64, each: Each<'_>) {
        for (channel, key) in std::mem::take(&mut self.textures).into_values() {
            each(at, false, channel, MidiMessage::NoteOff { key, vel: u7::from_int_lossy(0) });
        }
    }
}
