//! Hits as a MIDI file: a channel for each timbre, notes and grains as notes, a texture as one note that goes on and follows
//! its level by polyphonic aftertouch. A tick is a millisecond.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use midly::num::{u4, u7, u15, u24, u28};
use midly::{Format, Header, MetaMessage, MidiMessage, Smf, Timing, Track, TrackEvent, TrackEventKind};

use crate::sound::{Form, Hit};

/// Ticks a quarter, each of which lasts a second: a tick is a millisecond.
const TICKS: u16 = 1000;
const QUARTER_US: u32 = 1_000_000;

/// Writes hits into a MIDI file.
pub struct Midi {
    path: PathBuf,
    file: File,
    /// When the first hit sounded, ns since 1970.
    began: Option<u64>,
    /// By tick, what begins behind what ends.
    events: Vec<(u64, bool, u8, MidiMessage)>,
    /// The channel and key of each texture.
    textures: HashMap<u16, (u8, u7)>,
    last: u64,
    notes: u64,
    failed: Option<io::Error>,
}

impl Midi {
    /// Hits into a new file.
    ///
    /// # Errors
    /// If it is there already, or cannot be made.
    pub fn create(path: &Path) -> io::Result<Midi> {
        let file = File::create_new(path)?;
        let (path, events, textures) = (path.to_owned(), vec![], HashMap::new());
        Ok(Midi { path, file, began: None, events, textures, last: 0, notes: 0, failed: None })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Notes so far, a texture as one.
    pub fn notes(&self) -> u64 {
        self.notes
    }

    /// Why it could not be written.
    pub fn failure(&self) -> Option<&io::Error> {
        self.failed.as_ref()
    }

    /// Takes a hit.
    pub(super) fn hit(&mut self, hit: &Hit) {
        let began = *self.began.get_or_insert(hit.time_ns);
        let at = hit.time_ns.saturating_sub(began) / 1_000_000;
        let channel = u8::try_from(hit.timbre.number()).unwrap_or(0) & 15;
        let key = u7::from_int_lossy(hit.note.round().clamp(0.0, 127.0) as u8);
        let vel = u7::from_int_lossy((hit.level * 127.0).round().clamp(1.0, 127.0) as u8);
        if hit.form != Form::Texture {
            let end = at + (hit.length_ms.max(1.0) as u64);
            self.note(at, end, channel, key, vel);
            return;
        }
        let before = self.textures.get(&hit.event).copied();
        let goes_on = hit.level > 0.0;
        match before {
            Some(same) if goes_on && same == (channel, key) => {
                self.push(at, true, channel, MidiMessage::Aftertouch { key, vel });
                return;
            }
            Some((channel, key)) => {
                self.textures.remove(&hit.event);
                self.push(at, false, channel, MidiMessage::NoteOff { key, vel: u7::from_int_lossy(0) });
            }
            None => {}
        }
        if goes_on {
            self.textures.insert(hit.event, (channel, key));
            self.notes += 1;
            self.push(at, true, channel, MidiMessage::NoteOn { key, vel });
        }
    }

    fn note(&mut self, at: u64, end: u64, channel: u8, key: u7, vel: u7) {
        self.notes += 1;
        self.push(at, true, channel, MidiMessage::NoteOn { key, vel });
        self.push(end, false, channel, MidiMessage::NoteOff { key, vel: u7::from_int_lossy(0) });
    }

    fn push(&mut self, at: u64, begins: bool, channel: u8, message: MidiMessage) {
        self.last = self.last.max(at);
        self.events.push((at, begins, channel, message));
    }

    /// Ends what goes on and writes the file.
    pub(super) fn finish(&mut self) {
        for (channel, key) in std::mem::take(&mut self.textures).into_values() {
            self.push(self.last, false, channel, MidiMessage::NoteOff { key, vel: u7::from_int_lossy(0) });
        }
        let mut events = std::mem::take(&mut self.events);
        // What ends at a tick ends before something begins there.
        events.sort_by_key(|(at, begins, ..)| (*at, *begins));
        let mut track: Track<'_> = vec![TrackEvent {
            delta: u28::from_int_lossy(0),
            kind: TrackEventKind::Meta(MetaMessage::Tempo(u24::from_int_lossy(QUARTER_US))),
        }];
        let mut now = 0;
        for (at, _, channel, message) in events {
            let delta = u28::from_int_lossy(u32::try_from(at.saturating_sub(now)).unwrap_or(u32::MAX));
            now = at;
            track.push(TrackEvent {
                delta,
                kind: TrackEventKind::Midi { channel: u4::from_int_lossy(channel), message },
            });
        }
        track.push(TrackEvent { delta: u28::from_int_lossy(0), kind: TrackEventKind::Meta(MetaMessage::EndOfTrack) });
        let mut smf = Smf::new(Header::new(Format::SingleTrack, Timing::Metrical(u15::from_int_lossy(TICKS))));
        smf.tracks.push(track);
        self.failed = smf.write_std(&mut self.file).err();
    }
}
