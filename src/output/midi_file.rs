//! Hits as a MIDI file. A tick is a millisecond.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use midly::num::{u4, u15, u24, u28};
use midly::{Format, Header, MetaMessage, MidiMessage, Smf, Timing, Track, TrackEvent, TrackEventKind};

use super::midi_notes::Notes;
use crate::sound::Hit;

/// Ticks per quarter note, which lasts a second: a tick is a millisecond.
const TICKS: u16 = 1000;
const QUARTER_US: u32 = 1_000_000;

/// Writes hits into a MIDI file.
pub struct MidiFile {
    path: PathBuf,
    file: File,
    /// The time of the first hit, ns since 1970.
    began: Option<u64>,
    notes: Notes,
    /// By tick; ends before beginnings.
    events: Vec<(u64, bool, u8, MidiMessage)>,
    last: u64,
    failed: Option<io::Error>,
}

impl MidiFile {
    /// Writes hits to a new file.
    ///
    /// # Errors
    /// If it already exists, or cannot be created.
    pub fn create(path: &Path) -> io::Result<MidiFile> {
        let file = File::create_new(path)?;
        let (path, notes) = (path.to_owned(), Notes::default());
        Ok(MidiFile { path, file, began: None, notes, events: vec![], last: 0, failed: None })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Why it could not be written.
    pub fn failure(&self) -> Option<&io::Error> {
        self.failed.as_ref()
    }

    /// Adds a hit.
    pub(super) fn hit(&mut self, hit: &Hit) {
        let began = *self.began.get_or_insert(hit.time_ns);
        let MidiFile { notes, events, last, .. } = self;
        notes.hit(hit, &mut |ns, begins, channel, message| {
            let at = ns.saturating_sub(began) / 1_000_000;
            *last = (*last).max(at);
            events.push((at, begins, channel, message));
        });
    }

    /// Ends notes that are still on, and writes the file.
    pub(super) fn finish(&mut self) {
        let MidiFile { notes, events, last, .. } = self;
        notes.end(0, &mut |_, begins, channel, message| events.push((*last, begins, channel, message)));
        let mut events = std::mem::take(&mut self.events);
        // Within a tick, notes end before others begin.
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
