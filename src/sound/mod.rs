//! What an event sounds like: event → [`Hit`], by eight rules that stand in `docs/SOUND.md`; and hits → samples.
//!
//! This is the only mapping there is. [`Mapper`] decides which events are heard, and as what; every maker of sound plays its
//! hits: `render` off-line, the patches and any other receiver from `/ftrace/hit`. The room knows neither OSC
//! nor a browser nor where events come from.
//!
//! | file | what it decides |
//! |---|---|
//! | `timbre` | which family an event's group belongs to |
//! | `telling` | which number of an event is heard, what begins and ends, what is an error |
//! | `range` | how large a number is among those of the last minute |
//! | `size` | how large an event is: by its duration, its number, or the time since the last one |
//! | `density` | how often an event comes, the form that follows from it, how many sounds begin in a second |
//! | `attention` | how much of an event is left once one is used to it |
//! | `scale` | the notes |
//! | `mapper` | the hit |
//! | `signal` | an event as three numbers from 0 to 1, tick by tick, for what has knobs |
//! | `recipe` | how each timbre is made |
//! | `voice` | what a hit sounds like |
//! | `limiter` | that nothing is too loud |
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

/// When and where an event happened.
#[derive(Debug, Clone, Copy)]
pub struct When {
    /// In the kernel, ns: what lasted how long.
    pub event_ns: u64,
    /// When it is heard, ns since 1970.
    pub play_ns: u64,
    /// The CPU.
    pub cpu: u32,
    /// The running thread.
    pub pid: i32,
}

/// What an event becomes where it is heard.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Hit {
    /// When it sounds: ns since 1970, on the clock that events are played by.
    pub time_ns: u64,
    /// Which event it is: for [`Mapper::name`], and the key of its texture.
    pub event: u16,
    /// A single sound, or the state of one that goes on.
    pub form: Form,
    /// The family of its sound.
    pub timbre: Timbre,
    /// The MIDI note number, with fractions.
    pub note: f32,
    /// Amplitude, 0 to 1. 0 ends a texture.
    pub level: f32,
    /// Length, ms.
    pub length_ms: f32,
    /// Place: −1 left, 0 middle, 1 right.
    pub pan: f32,
    /// How bright, 0 to 1.
    pub brightness: f32,
}

/// How an event is heard: decided by how often it comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Form {
    /// A note for each.
    Note,
    /// A short grain for some of them.
    Grain,
    /// One voice for all of them, which follows their rate: a hit every 100 ms while it lasts.
    Texture,
}

impl Form {
    /// The number it has in `/ftrace/hit`.
    pub const fn number(self) -> i32 {
        match self {
            Form::Note => 0,
            Form::Grain => 1,
            Form::Texture => 2,
        }
    }
}
