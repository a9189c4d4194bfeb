//! `render`: the options of a sound file.

use std::path::PathBuf;

use clap::Args;

use super::value::{share, whole};
use super::{OpenArgs, SelectArgs};

/// `render`.
#[derive(Debug, Args)]
pub struct RenderArgs {
    /// A capture folder, or a trace.dat of trace-cmd's
    pub capture: PathBuf,

    /// The WAV file to write; - is standard output: ftrace-live render x.dat -o - | aplay
    #[arg(short = 'o', long, value_name = "FILE")]
    pub output: PathBuf,

    /// 1 is the recorded speed, 0.1 or 1/10 ten times slower
    #[arg(long, value_name = "FACTOR", default_value = "1", allow_negative_numbers = true, help_heading = "Sound")]
    pub speed: String,

    /// How long events are heard one by one: 0 is calm, 1 all detail
    #[arg(long, value_name = "0…1", default_value_t = 0.5, allow_negative_numbers = true, help_heading = "Sound")]
    #[arg(value_parser = share)]
    pub detail: f32,

    /// Seed of the random numbers: the same seed gives the same file, byte for byte
    #[arg(long, value_name = "N", default_value_t = 0, allow_negative_numbers = true, help_heading = "Sound")]
    #[arg(value_parser = whole::<u64>(0, u64::MAX))]
    pub seed: u64,

    /// The part to use.
    #[command(flatten)]
    pub select: SelectArgs,

    /// How it is opened.
    #[command(flatten)]
    pub open: OpenArgs,
}
