//! `render`: renders a capture to a sound file.

use std::io::{self, BufWriter, IsTerminal, Write};
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use hound::{SampleFormat, WavSpec, WavWriter};

use super::written::{self, What};
use super::{Usage, captures, play, progress::Bar};
use crate::capture::{self, trace_dat::Open};
use crate::cli::RenderArgs;
use crate::output::Outputs;
use crate::replay::{Speed, score};
use crate::sound::{MapperOptions, SAMPLE_RATE, Score};

/// A WAV file has 32 bits for its length.
const MOST_FRAMES: u64 = (u32::MAX as u64 - 4096) / 6;
/// 48 kHz, two channels, 24 bits.
const SPEC: WavSpec =
    WavSpec { channels: 2, sample_rate: SAMPLE_RATE, bits_per_sample: 24, sample_format: SampleFormat::Int };
/// The largest sample of 24 bits.
const FULL_SCALE: f32 = 8_388_607.0;

/// Renders.
pub fn run(args: &RenderArgs) -> Result<ExitCode> {
    let Speed::Times(speed) = play::speed(&args.speed)? else {
        return Err(Usage("--speed max works for replay only; give a factor such as 1 or 1/10".into()).into());
    };
    let detail = args.detail;
    let select = captures::select(&args.select)?;
    let to_stdout = args.output.as_os_str() == "-";
    check_output(&args.output, to_stdout)?;
    let (path, salvage, buffer) = (&args.capture, args.open.salvage, args.open.buffer.as_deref());
    let capture = captures::open(path, salvage, buffer)?;
    let options = MapperOptions { detail, speed, seed: args.seed, ..MapperOptions::default() };
    let mut again = || capture::open_buffer(path, Open { salvage }, buffer);
    let (played, score) = score(capture, &mut again, select, options, &mut Bar::none())?;
    captures::say_errors(&played.errors, salvage);
    captures::refuse_empty(&args.select, path, played.counts.read)?;
    if played.counts.read == 0 {
        bail!(Usage(format!("{} has no events, so there is nothing to render", path.display())));
    }
    let seconds = score.frames() as f64 / f64::from(SAMPLE_RATE);
    if score.frames() > MOST_FRAMES {
        let why = "a WAV file holds four hours: increase --speed, or select a part (--from, --until)";
        bail!(Usage(format!("the sound would be {:.1} hours long: {why}", seconds / 3600.0)));
    }
    let gain = score.gain(args.seed)?;
    let written = if to_stdout {
        write_stream(&score, gain, args.seed, io::stdout().lock())
    } else {
        write_file(&score, gain, args.seed, &args.output).with_context(|| args.output.display().to_string())
    };
    written?;
    let name = if to_stdout { "standard output".to_owned() } else { args.output.display().to_string() };
    play::say_played(
        format!("{name}: {seconds:.1} s, {} sounds", score.hits().len()),
        play::left_out(&played, &Outputs::default()),
    );
    Ok(if played.errors.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Errors of the file's name are reported before the work is done.
fn check_output(output: &Path, to_stdout: bool) -> Result<()> {
    if to_stdout && io::stdout().is_terminal() {
        let how = "give a file (-o x.wav), or pipe it to a player: -o - | aplay";
        return Err(Usage(format!("-o - would write samples to the terminal: {how}")).into());
    }
    let extension = output.extension().map(|extension| extension.to_string_lossy().to_lowercase());
    if let Some(other @ ("ogg" | "oga" | "mp3" | "flac" | "opus" | "aiff" | "m4a" | "dat" | "raw")) =
        extension.as_deref()
    {
        let how = format!("write x.wav and convert it: ffmpeg -i x.wav x.{other}");
        return Err(Usage(format!("{}: render writes WAV files; {how}", output.display())).into());
    }
    if to_stdout { Ok(()) } else { written::check("-o", output, What::File) }
}

fn write_file(score: &Score, gain: f32, seed: u64, path: &Path) -> Result<()> {
    let file = written::create(path)?;
    written::whole_or_gone(path, || {
        let mut wav = WavWriter::new(BufWriter::new(file), SPEC)?;
        score.play(gain, true, seed, |frames| {
            frames.iter().flatten().try_for_each(|sample| wav.write_sample((sample * FULL_SCALE).round() as i32))
        })?;
        Ok(wav.finalize()?)
    })
}

/// A pipe cannot be rewound to write the length once it is known, so the header states an unlimited length.
fn write_stream(score: &Score, gain: f32, seed: u64, out: impl Write) -> Result<()> {
    let mut out = BufWriter::new(out);
    out.write_all(&SPEC.into_header_for_infinite_file())?;
    score.play(gain, true, seed, |frames| {
        frames.iter().flatten().try_for_each(|sample| {
            let [a, b, c, _] = ((sample * FULL_SCALE).round() as i32).to_le_bytes();
            out.write_all(&[a, b, c])
        })
    })?;
    Ok(out.flush()?)
}
