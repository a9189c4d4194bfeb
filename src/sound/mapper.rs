//! Events → hits. `docs/SOUND.md` explains the rules; they are applied here, one event at a time, without allocation.

use byteorder::ByteOrder;

use super::attention::Attention;
use super::density::{Cause, Onsets, Rate, Thresholds};
use super::scale::{self, MAGNITUDE_STEPS, OCTAVE, Random};
use super::size::{Begun, Size};
use super::telling::{Part, Telling};
use super::{Form, Hit, Timbre, When};
use crate::format::{EventFormat, EventId};

/// The interval between hits of a texture, ns.
pub const TEXTURE_NS: u64 = 100_000_000;
/// The most textures at once: the rest of the 64 voices is for new sounds.
const MAX_TEXTURES: usize = 24;
/// Windows without events after which a texture ends: it fades within a second.
const FADES: u32 = 10;
/// Windows that are processed late after time has jumped: by then all textures have ended.
const MAX_CATCH_UP: u64 = FADES as u64 + 2;
/// Errors of one event are heard at least this far apart, ns.
const ERRORS_APART_NS: u64 = 200_000_000;
/// The shortest interval between grains of one event, ns, if it is the only event with grains.
const GRAINS_APART_NS: u64 = 40_000_000;
/// The longest grain, ms, however slow the replay.
const LONGEST_GRAIN: f32 = 200.0;
/// The position of the outermost CPUs: both ears hear everything.
const WIDTH: f32 = 0.8;
/// How far a note is detuned, semitones, so that none becomes a drone.
const JITTER: f32 = 0.06;
/// The amplitude of a note of medium size with full attention, of a grain, and of a texture of 60 events a second.
const NOTE_LEVEL: f32 = 0.4;
const GRAIN_LEVEL: f32 = 0.25;
const TEXTURE_LEVEL: f32 = 0.12;

/// Options of the mapping.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MapperOptions {
    /// The number of CPUs, which are spread from left to right.
    pub cpus: u32,
    /// From 0, calm, to 1: the higher, the longer an event is heard as single notes.
    pub detail: f32,
    /// The speed of playback relative to the kernel's time: slower playback makes grains longer.
    pub speed: f64,
    /// The seed of random numbers.
    pub seed: u64,
}

impl Default for MapperOptions {
    fn default() -> MapperOptions {
        MapperOptions { cpus: 1, detail: 0.5, speed: 1.0, seed: 0 }
    }
}

/// Decides which events are heard, and how.
pub struct Mapper {
    options: MapperOptions,
    thresholds: Thresholds,
    by_id: Vec<Option<u16>>,
    sounds: Vec<Sound>,
    onsets: Onsets,
    random: Random,
    begun: Begun,
    /// The end of the current window of textures; none before the first event or tick.
    window_end: Option<u64>,
    textures: usize,
    /// Events heard as grains in the last window, and in this one.
    graining: (u32, u32),
    hits: Vec<Hit>,
}

/// How one event is heard.
struct Sound {
    name: String,
    timbre: Timbre,
    /// The centre of its notes, in steps of the scale.
    home: f32,
    size: Size,
    rate: Rate<1>,
    attention: Attention,
    form: Form,
    /// Events since its last hit that were not heard separately.
    unheard: u32,
    next_grain_ns: u64,
    next_error_ns: u64,
    grained: bool,
    texture: Texture,
}

/// The state of an event's texture.
#[derive(Debug, Clone, Copy, Default)]
struct Texture {
    /// Events in this window, and the sums of their ranks and positions.
    count: u32,
    ranks: f32,
    pans: f32,
    /// Smoothed over some windows.
    rate: f32,
    rank: f32,
    pan: f32,
    /// The step of the scale that it sounds at.
    step: f32,
    /// Windows without events.
    empty: u32,
}

impl Mapper {
    /// No events yet.
    pub fn new(options: MapperOptions) -> Mapper {
        Mapper {
            options,
            thresholds: Thresholds::new(options.detail),
            by_id: vec![],
            sounds: vec![],
            onsets: Onsets::new(),
            random: Random::new(options.seed),
            begun: Begun::new(),
            window_end: None,
            textures: 0,
            graining: (0, 0),
            hits: Vec::with_capacity(MAX_TEXTURES * MAX_CATCH_UP as usize + 8),
        }
    }

    /// Sets the number of CPUs.
    pub fn set_cpus(&mut self, cpus: u32) {
        self.options.cpus = cpus;
    }

    /// Sets the speed of playback relative to the kernel's time.
    pub fn set_speed(&mut self, speed: f64) {
        self.options.speed = speed;
    }

    /// Adds an event, replacing one with the same id.
    pub fn add(&mut self, format: &EventFormat) {
        let index = format.id.index();
        if self.by_id.len() <= index {
            self.by_id.resize(index + 1, None);
        }
        // An id has 16 bits, so there are no more events than that, except for replaced ones.
        self.by_id[index] = u16::try_from(self.sounds.len()).ok();
        self.sounds.push(Sound::of(format));
    }

    /// The event of a hit: `system:event`.
    pub fn name(&self, event: u16) -> &str {
        self.sounds.get(usize::from(event)).map_or("", |sound| &sound.name)
    }

    /// Processes an event. Its hits are [taken](Mapper::take) afterwards.
    pub fn event<E: ByteOrder>(&mut self, id: EventId, record: &[u8], when: When) {
        self.tick(when.play_ns);
        let Some(event) = self.by_id.get(id.index()).copied().flatten() else { return };
        let pan = self.pan(when.cpu);
        let Some(sound) = self.sounds.get_mut(usize::from(event)) else { return };
        let now = when.play_ns;
        sound.rate.event(now);
        let new = sound.attention.event(&sound.rate, now);
        let rank = sound.size.rank::<E>(record, &when, &mut self.begun);
        let rate = sound.rate.at(now);
        let mut form = self.thresholds.next(sound.form, rate);
        if form == Form::Texture && sound.form != Form::Texture {
            if self.textures == MAX_TEXTURES {
                form = Form::Grain;
            } else {
                self.textures += 1;
                sound.texture = Texture { rank, pan, step: sound.step(rank), rate, ..Texture::default() };
            }
        }
        // A texture ends at the end of a window.
        if sound.form != Form::Texture {
            sound.form = form;
        }
        sound.texture.add(rank, pan);
        if sound.size.telling().is_error::<E>(record) && now >= sound.next_error_ns {
            if self.onsets.take(Cause::Error, now) {
                sound.next_error_ns = now + ERRORS_APART_NS;
                let hit = sound.note(event, now, rank, new, pan, &mut self.random);
                // A semitone apart: the only two notes that clash, since no scale has both.
                let clash = Hit { note: hit.note.round() + 1.0, level: hit.level.max(NOTE_LEVEL), ..hit };
                self.hits.push(Hit { note: hit.note.round(), ..clash });
                self.hits.push(clash);
                sound.unheard = 0;
            }
            return;
        }
        let hit = match sound.form {
            Form::Texture => return,
            Form::Note if self.onsets.take(Cause::Note, now) => {
                sound.note(event, now, rank, new, pan, &mut self.random)
            }
            Form::Grain if now >= sound.next_grain_ns && self.onsets.take(Cause::Grain, now) => {
                sound.next_grain_ns = now + GRAINS_APART_NS * u64::from(self.graining.0.max(1));
                self.graining.1 += u32::from(!std::mem::replace(&mut sound.grained, true));
                sound.grain(event, now, rank, pan, self.options.speed, &mut self.random)
            }
            Form::Note | Form::Grain => {
                sound.unheard = sound.unheard.saturating_add(1);
                return;
            }
        };
        sound.unheard = 0;
        self.hits.push(hit);
    }

    /// The kernel lost events on a CPU: reported as an error of the current event, whichever it is.
    pub fn lost(&mut self, id: EventId, when: When) {
        let Some(event) = self.by_id.get(id.index()).copied().flatten() else { return };
        let pan = self.pan(when.cpu);
        let Some(sound) = self.sounds.get_mut(usize::from(event)) else { return };
        let now = when.play_ns;
        if now >= sound.next_error_ns && self.onsets.take(Cause::Error, now) {
            sound.next_error_ns = now + ERRORS_APART_NS;
            let hit = sound.note(event, now, 1.0, true, pan, &mut self.random);
            self.hits.push(Hit { note: hit.note.round(), ..hit });
            self.hits.push(Hit { note: hit.note.round() + 1.0, ..hit });
        }
    }

    /// When there is next a sound without an event, ns since 1970.
    pub fn due(&self) -> Option<u64> {
        if self.textures > 0 { self.window_end } else { None }
    }

    /// The end of the current window, ns since 1970; `None` before the first event.
    pub fn now(&self) -> Option<u64> {
        self.window_end
    }

    /// Closes the windows that are over at `now_ns`: textures report their state.
    pub fn tick(&mut self, now_ns: u64) {
        let Some(mut end) = self.window_end else {
            self.window_end = Some(now_ns + TEXTURE_NS);
            return;
        };
        let mut windows = 0;
        while end <= now_ns && windows < MAX_CATCH_UP {
            self.close_window(end);
            end += TEXTURE_NS;
            windows += 1;
        }
        if end <= now_ns {
            end += (now_ns - end) / TEXTURE_NS * TEXTURE_NS + TEXTURE_NS;
        }
        self.window_end = Some(end);
    }

    fn close_window(&mut self, end: u64) {
        self.graining = (self.graining.1, 0);
        // Without frequent events, nothing in windows is used.
        for (event, sound) in self.sounds.iter_mut().enumerate() {
            sound.grained = false;
            let texture = &mut sound.texture;
            if sound.form != Form::Texture {
                (texture.count, texture.ranks, texture.pans) = (0, 0.0, 0.0);
                continue;
            }
            texture.close();
            let form = self.thresholds.next(Form::Texture, sound.rate.at(end));
            let ends = texture.empty >= FADES || (form != Form::Texture && texture.empty == 0);
            let hit = sound.texture(event as u16, end, ends);
            self.hits.push(hit);
            if ends {
                sound.form = form.min(Form::Grain);
                self.textures -= 1;
            }
        }
    }

    /// Takes the hits since the last call, each with its event's name.
    pub fn take(&mut self, mut each: impl FnMut(&Hit, &str)) {
        for hit in &self.hits {
            each(hit, self.sounds.get(usize::from(hit.event)).map_or("", |sound| &sound.name));
        }
        self.hits.clear();
    }

    /// Whether there are no hits to take.
    #[inline]
    pub fn is_silent(&self) -> bool {
        self.hits.is_empty()
    }

    /// Ends sounds that are still on.
    pub fn stop(&mut self, now_ns: u64) {
        for (event, sound) in self.sounds.iter_mut().enumerate() {
            if sound.form == Form::Texture {
                let hit = sound.texture(event as u16, now_ns, true);
                self.hits.push(hit);
                sound.form = Form::Note;
            }
        }
        self.textures = 0;
    }

    /// The position of a CPU from left to right.
    fn pan(&self, cpu: u32) -> f32 {
        let last = self.options.cpus.saturating_sub(1);
        if last == 0 { 0.0 } else { WIDTH * (2.0 * cpu.min(last) as f32 / last as f32 - 1.0) }
    }
}

impl Sound {
    fn of(format: &EventFormat) -> Sound {
        let name = format.full_name();
        let telling = Telling::of(format);
        // A begin and its end have the same home, an octave apart.
        let home = match telling.part {
            Part::Whole => scale::home(&name),
            Part::Begin(_) => scale::home(stem(&name)),
            Part::End(_) => scale::home(stem(&name)) - OCTAVE,
        };
        Sound {
            timbre: Timbre::of(&format.system),
            home,
            size: Size::new(telling),
            name,
            rate: Rate::default(),
            attention: Attention::default(),
            form: Form::Note,
            unheard: 0,
            next_grain_ns: 0,
            next_error_ns: 0,
            grained: false,
            texture: Texture::default(),
        }
    }

    /// The step of the scale: larger is lower, over three octaves.
    fn step(&self, rank: f32) -> f32 {
        self.home + MAGNITUDE_STEPS * (0.5 - rank)
    }

    /// Events that were not heard separately make the next hit louder: 3 dB per factor of ten.
    fn louder(&self) -> f32 {
        (1.0 + self.unheard as f32).powf(0.15)
    }

    fn note(&self, event: u16, now: u64, rank: f32, new: bool, pan: f32, random: &mut Random) -> Hit {
        let attention = self.attention.factor(new).max(0.2);
        // From 120 ms to 1 s; but not so long that a frequent event overlaps itself.
        let length = (120.0 * 8f32.powf(rank)).min(4000.0 / self.rate.at(now).max(1.0));
        Hit {
            time_ns: now,
            event,
            form: Form::Note,
            timbre: self.timbre,
            note: scale::note(self.step(rank)) + JITTER * random.signed(),
            level: (NOTE_LEVEL * (0.7 + 0.6 * rank) * attention * self.louder()).min(1.0),
            length_ms: length,
            pan,
            brightness: (0.25 + 0.35 * self.attention.level() + 0.2 * (1.0 - rank)).min(1.0),
        }
    }

    fn grain(&self, event: u16, now: u64, rank: f32, pan: f32, speed: f64, random: &mut Random) -> Hit {
        let rate = self.rate.at(now);
        Hit {
            time_ns: now,
            event,
            form: Form::Grain,
            timbre: self.timbre,
            note: scale::note(self.step(rank)) + JITTER * random.signed(),
            level: (GRAIN_LEVEL * (0.7 + 0.6 * rank) * self.attention.factor(false) * self.louder()).min(1.0),
            length_ms: (f64::from(30.0 + 50.0 * rank) * (1.0 / speed).max(1.0)).min(LONGEST_GRAIN.into()) as f32,
            pan: (pan + 0.1 * random.signed()).clamp(-1.0, 1.0),
            brightness: (0.2 + 0.25 * rate.max(1.0).log10()).min(1.0),
        }
    }

    fn texture(&mut self, event: u16, now: u64, ends: bool) -> Hit {
        let Texture { rate, rank, pan, empty, .. } = self.texture;
        // It changes to another note only if that is much nearer: a texture must not trill.
        let step = self.step(rank);
        if (step - self.texture.step).abs() > 0.8 {
            self.texture.step = step.round();
        }
        // 3 dB per factor of ten above 60/s, and a second to fade.
        let decades = (rate / 60.0).max(0.1).log10();
        let fade = 1.0 - empty as f32 / FADES as f32;
        let level = TEXTURE_LEVEL * 10f32.powf(0.15 * decades) * self.attention.factor(false) * fade;
        Hit {
            time_ns: now,
            event,
            form: Form::Texture,
            timbre: self.timbre,
            note: scale::note(self.texture.step),
            level: if ends { 0.0 } else { level.clamp(1e-4, 1.0) },
            length_ms: (TEXTURE_NS / 1_000_000) as f32,
            pan,
            brightness: (0.15 + 0.2 * decades + 0.1 * (0.5 - rank)).clamp(0.05, 1.0),
        }
    }
}

impl Texture {
    fn add(&mut self, rank: f32, pan: f32) {
        self.count += 1;
        self.ranks += rank;
        self.pans += pan;
    }

    /// Ends a window.
    fn close(&mut self) {
        let count = self.count as f32;
        if self.count == 0 {
            self.empty += 1;
        } else {
            self.empty = 0;
            self.rank += 0.25 * (self.ranks / count - self.rank);
            self.pan += 0.25 * (self.pans / count - self.pan);
            // The first count of a texture may be for a part of a window only; the next one corrects it.
            self.rate += 0.5 * (count * (1e9 / TEXTURE_NS as f32) - self.rate);
        }
        (self.count, self.ranks, self.pans) = (0, 0.0, 0.0);
    }
}

/// `system:event` without the word that marks a begin or an end.
fn stem(name: &str) -> &str {
    // `sys_enter_read` and `sys_exit_read` share what comes after.
    if let Some(at) = name.find(":sys_enter").or_else(|| name.find(":sys_exit")) {
        let rest = &name[at + 1..];
        return rest.strip_prefix("sys_enter").or_else(|| rest.strip_prefix("sys_exit")).unwrap_or(rest);
    }
    name.rfind('_').map_or(name, |at| &name[..at])
}
