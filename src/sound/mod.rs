//! How events sound: event → [`Hit`], by the eight rules in `docs/SOUND.md`; and hits → samples.
//!
//! This is the only mapping. [`Mapper`] decides which events are heard, and how; its hits are played by `render`, by
//! the patches, and by any other receiver of `/ftrace/hit`. This module does not depend on OSC, a browser, or the
//! source of events.
//!
//! | file | what it decides |
//! |---|---|
//! | `timbre` | the family of an event's group |
//! | `telling` | which field of an event is heard, what begins and ends, what is an error |
//! | `range` | how large a number is among those of the last minute |
//! | `size` | how large an event is: by its duration, its number, or the time since the last one |
//! | `density` | how often an event occurs, the form that follows, how many sounds begin in a second |
//! | `attention` | how loud an event is once one is used to it |
//! | `scale` | the notes |
//! | `mapper` | the hit |
//! | `signal` | an event as three numbers from 0 to 1, every tick, for parameters |
//! | `recipe` | how each timbre is synthesized |
//! | `voice` | the sound of a hit |
//! | `limiter` | the ceiling of loudness |
//! | `score` | the samples of a whole piece |

mod attention;
mod density;
mod limiter;
mod mapper;
mod range;
mod recipe;
mod scale;
mod score;
mod signal;
mod size;
mod telling;
mod timbre;
mod voice;

pub use density::MAX_ONSETS;
pub use mapper::{Mapper, MapperOptions, TEXTURE_NS};
pub use recipe::Recipe;
pub use score::{MAX_VOICES, Score};
pub use signal::{Signal, Signals};
pub use timbre::Timbre;
pub use voice::SAMPLE_RATE;

/// When and where an event occurred.
#[derive(Debug, Clone, Copy)]
pub struct When {
    /// In the kernel's time, ns: for durations.
    pub event_ns: u64,
    /// When it is played, ns since 1970.
    pub play_ns: u64,
    /// The CPU.
    pub cpu: u32,
    /// The running thread.
    pub pid: i32,
}

/// The sound of an event.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Hit {
    /// When it begins: ns since 1970, on the clock by which events are played.
    pub time_ns: u64,
    /// The index of the event: for [`Mapper::name`], and the key of its texture.
    pub event: u16,
    /// A single sound, or the state of a continuous one.
    pub form: Form,
    /// The family of its sound.
    pub timbre: Timbre,
    /// The MIDI note number, with fractions.
    pub note: f32,
    /// Amplitude, 0 to 1. 0 ends a texture.
    pub level: f32,
    /// Length, ms.
    pub length_ms: f32,
    /// Position: −1 left, 0 middle, 1 right.
    pub pan: f32,
    /// Brightness, 0 to 1.
    pub brightness: f32,
}

/// How an event is heard, depending on how often it occurs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Form {
    /// A note for each event.
    Note,
    /// A short grain for some of the events.
    Grain,
    /// One continuous voice for all events, which follows their rate: a hit every 100 ms.
    Texture,
}

impl Form {
    /// Its number in `/ftrace/hit`.
    pub const fn number(self) -> i32 {
        match self {
            Form::Note => 0,
            Form::Grain => 1,
            Form::Texture => 2,
        }
    }
}
