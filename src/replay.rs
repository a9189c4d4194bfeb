//! The replay loop: plays a capture at the pace it was recorded at, scaled, or as fast as possible.
//!
//! Times are relative to the start of the replay, so errors do not add up; each pass of a `--loop` begins where the
//! pass before ends by its own time, not when its last event was sent. Events that are due together are sent
//! together, as in a live run.
//!
//! An [`Observer`] may also control it: pause, speed, position, repetition. To seek, the capture is opened again and
//! read up to the position.

mod before;
mod obey;
mod pace;
mod part;
mod player;
mod printing;
mod score;
mod start;
mod time;
mod together;
mod voice;

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use byteorder::ByteOrder;

use crate::capture::select::{Select, SelectError};
use crate::capture::{Capture, CaptureError};
use crate::control::{Command, Refused};
use crate::decode::EventTable;
use crate::format::{Abi, EventFormat};
use crate::names::Kernel;
use crate::output::audience::{Audience, News};
use crate::output::{CheckError, Output, Outputs};
use crate::pipeline::{Counts, Outcome, Pipeline};
use crate::ring::Record;
use crate::tracefs::EventName;
use crate::wall;

use pace::Pace;
use part::Parts;
use player::Player;
use voice::Voice;

pub use crate::control::State;
pub use printing::{Printed, can_print, print};
pub use score::score;
pub use start::{StartAt, StartAtError};
pub use time::{JumpingTime, RealTime, Time};
pub use together::Machine;

/// How fast a capture is played.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Speed {
    /// This many times its own pace.
    Times(f64),
    /// As fast as possible. Timetags are then the times at which events happened.
    Max,
}

/// How a capture is played.
#[derive(Debug, Clone)]
pub struct PlayOptions {
    /// The speed.
    pub speed: Speed,
    /// The selected part.
    pub select: Select,
    /// When it begins, ns since 1970; at once if `None`.
    pub start_at: Option<u64>,
    /// Whether it is repeated.
    pub repeat: bool,
    /// The name of this machine, for `/ftrace/start`.
    pub host: String,
}

/// What a replay reports to its caller.
pub trait Observer {
    /// A warning.
    fn warn(&mut self, text: &str);

    /// The position: ns of the capture's own time since the selected part began, and the length of that part.
    fn position(&mut self, at: u64, length: u64);

    /// A target has gained or lost its receiver: at once, and as `status` for as long as it lasts.
    fn audience(&mut self, _news: &News, _status: Option<String>) {}

    /// The state, each time the loop looks around; `now` is ns since 1970.
    fn state(&mut self, _state: &State, _now: u64) {}

    /// The next command, if there is one.
    fn command(&mut self) -> Option<Command> {
        None
    }

    /// The result of that command.
    fn answer(&mut self, _done: Result<(), Refused>) {}

    /// Whether to wait with the beginning because no receiver is there yet.
    fn waits(&self) -> bool {
        false
    }

    /// Whether the replay stays at its end, so that it can be continued from another position.
    fn stays(&self) -> bool {
        false
    }

    /// Whether [commands](Observer::command) may come.
    fn obeys(&self) -> bool {
        self.stays()
    }
}

/// Why a pass ends early.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stop {
    /// The replay ends.
    End,
    /// Continue from there, ns since the beginning of the part.
    Seek(u64),
}

/// Why a capture cannot be played.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReplayError {
    /// The selection does not fit the capture.
    #[error(transparent)]
    Select(#[from] SelectError),
    /// The capture does not have a field that is to be aggregated, or that a map names.
    #[error(transparent)]
    Check(#[from] CheckError),
    /// It cannot be opened again.
    #[error(transparent)]
    Capture(#[from] CaptureError),
}

impl ReplayError {
    /// Whether the command line is wrong rather than the machine: exit code 2 instead of 1.
    pub fn is_usage(&self) -> bool {
        match self {
            ReplayError::Select(error) => error.is_usage(),
            ReplayError::Check(_) => true,
            ReplayError::Capture(_) => false,
        }
    }
}

/// Events due within this time of each other are sent together, ns: the default tick. A loop is at least this long.
const TOGETHER_NS: u64 = 1_000_000;
/// How long the replay sleeps at most before it looks for a reason to stop.
const LONGEST_SLEEP: Duration = Duration::from_millis(50);
/// How often `/ftrace/stat` is sent.
const STAT_NS: u64 = 1_000_000_000;

/// The result of a replay.
#[derive(Debug, Clone, Default)]
pub struct Played {
    /// Records and errors.
    pub counts: Counts,
    /// Sub-buffers, or remainders of them, that could not be parsed.
    pub malformed_sub_buffers: u64,
    /// Events that were lost, according to the capture.
    pub lost: u64,
    /// Gaps in it of unknown size: the kernel counts what it overwrites only where a sub-buffer has room for the number.
    pub gaps: u64,
    /// Feeds that failed, and damaged pieces that were skipped, as text.
    pub errors: Vec<String>,
    /// Whether it was ended before the end of the capture.
    pub ended: bool,
}

/// Plays `capture` to `outputs`; `again` reopens it for each repetition.
///
/// # Errors
/// The selection, or a field to be aggregated, does not fit the capture (before anything is sent), or it cannot be
/// reopened.
pub fn play(
    capture: Capture,
    again: &mut dyn FnMut() -> Result<Capture, CaptureError>,
    outputs: Outputs,
    options: &PlayOptions,
    time: &mut impl Time,
    observer: &mut dyn Observer,
) -> Result<(Played, Outputs), ReplayError> {
    let machine = Machine { capture, offset: None, host: options.host.clone(), outputs };
    let again = &mut || Ok(vec![again()?]);
    let (mut played, mut outputs) = play_together(vec![machine], again, options, time, observer)?;
    Ok((played.pop().unwrap_or_default(), outputs.pop().unwrap_or_default()))
}

/// Plays `machines` together; `again` reopens all their captures, in the same order, for each repetition. The `host`
/// of the options applies to a single capture only.
///
/// # Errors
/// The selection fits none of the captures, or a field to be aggregated does not exist (before anything is sent), or
/// they cannot be reopened.
pub fn play_together(
    machines: Vec<Machine>,
    again: &mut dyn FnMut() -> Result<Vec<Capture>, CaptureError>,
    options: &PlayOptions,
    time: &mut impl Time,
    observer: &mut dyn Observer,
) -> Result<(Vec<Played>, Vec<Outputs>), ReplayError> {
    let apart = |Machine { capture, offset, host, outputs }| (capture, (offset, host, outputs));
    let (captures, others): (Vec<_>, Vec<_>) = machines.into_iter().map(apart).unzip();
    let offsets: Vec<u64> = others.iter().map(|(offset, ..)| offset.unwrap_or(0)).collect();
    let mut parts = Parts::of(captures, &offsets, &options.select, &mut |warning| observer.warn(warning))?;
    let now = time.now();
    let began = options.start_at.unwrap_or(now);
    let pace = Pace { speed: options.speed, origin: None, began, from: 0, length: parts.length() };
    let mut player = Player {
        voices: begin_voices(&mut parts, others, &options.select, (began, now))?,
        pace,
        time,
        observer,
        at: 0,
        last_stat: now,
        paused: false,
        at_end: false,
        repeat: options.repeat,
        select: options.select.clone(),
        switched: Arc::default(),
        audience: Audience::default(),
    };
    player.look_at_audience();
    let mut played = vec![Played::default(); player.voices.len()];
    let mut end = player.wait(began);
    while end != ControlFlow::Break(Stop::End) {
        let (read, whole) = (player.read(), player.pace.from == 0);
        if end.is_continue() {
            end = player.pass(&mut parts, &mut played);
        }
        // A capture without events would be repeated endlessly without a pause.
        let empty = whole && player.read() == read;
        if end.is_continue() && (!player.repeat || empty) {
            // With a command, one that is repeated may be told to play another part.
            let stays = player.observer.stays() || player.repeat && player.observer.obeys();
            end = if stays { player.rest() } else { break };
        }
        match end {
            ControlFlow::Break(Stop::End) => break,
            ControlFlow::Break(Stop::Seek(to)) => player.seek(to),
            ControlFlow::Continue(()) => player.pace.next_pass(),
        }
        end = ControlFlow::Continue(());
        parts = Parts::of(again()?, &offsets, &player.select, &mut |_| {})?;
    }
    let now = player.time.now();
    player.stat(now);
    for (voice, played) in player.voices.iter_mut().zip(&mut played) {
        voice.pipeline.outputs().stop();
        played.counts = voice.pipeline.counts().clone();
        played.ended = end == ControlFlow::Break(Stop::End);
    }
    Ok((played, player.voices.iter_mut().map(|voice| std::mem::take(voice.pipeline.outputs())).collect()))
}

/// A voice for each part, and the messages that every stream begins with.
fn begin_voices(
    parts: &mut Parts,
    machines: Vec<(Option<u64>, String, Outputs)>,
    select: &Select,
    (began, now): (u64, u64),
) -> Result<Vec<Voice>, ReplayError> {
    let mut voices = Vec::new();
    for (part, (offset, host, outputs)) in parts.parts.iter_mut().zip(machines) {
        voices.push((Voice::new(part, outputs, offset, select)?, host, part.capture.rings.len()));
    }
    for (voice, host, cpus) in &mut voices {
        voice.pipeline.outputs().start(host, *cpus, began, now);
        if wall::followed().is_some() {
            voice.pipeline.outputs().clock(now);
        }
        voice.pipeline.flush();
    }
    Ok(voices.into_iter().map(|(voice, ..)| voice).collect())
}

/// The pipeline from the records of `capture` to `outputs`, with the task names that it has.
fn pipeline_of(capture: &mut Capture, outputs: Outputs) -> Pipeline<Outputs> {
    pipeline_to(kernel_of(capture), outputs)
}

/// The names and types of the kernel of `capture`.
fn kernel_of(capture: &Capture) -> Arc<Kernel> {
    let (names, _) = capture.names();
    Arc::new(Kernel { abi: Abi { endian: capture.endian, long: capture.header.long_size() }, names })
}

/// The pipeline from the records of `kernel` to `outputs`.
fn pipeline_to<O: Output>(kernel: Arc<Kernel>, outputs: O) -> Pipeline<O> {
    let known = kernel.clone();
    Pipeline::new(kernel, outputs, Box::new(move |pid| known.names.comms.get(pid).map(<[u8]>::to_vec)))
}

/// Plays a record. An event that occurs for the first time is taken from `table`, and added to the pipeline.
#[inline]
fn play_record<E: ByteOrder, O: Output>(
    pipeline: &mut Pipeline<O>,
    table: &EventTable,
    record: Record<'_>,
    play_ns: Option<u64>,
    added: impl FnOnce(&mut Pipeline<O>),
) {
    let Outcome::Unknown(id) = pipeline.record::<E>(record, play_ns) else { return };
    match table.get(id) {
        Some(format) => {
            pipeline.add(format, false);
            added(pipeline);
            pipeline.offer_again();
            pipeline.record::<E>(record, play_ns);
        }
        None => pipeline.unknown::<E>(id, record, play_ns),
    }
}

/// Checks the options about single events against the events that are played.
fn check(outputs: &Outputs, capture: &Capture, select: &Select) -> Result<(), CheckError> {
    // The formats of a whole kernel are some thousand.
    if !outputs.names_events() {
        return Ok(());
    }
    let known: Vec<_> = capture.events.iter().map(name_of).collect();
    outputs.check(&known, &played_of(capture, select))
}

/// The same, and adds them where times between events are measured.
fn prepare(outputs: &mut Outputs, capture: &Capture, select: &Select) -> Result<(), CheckError> {
    check(outputs, capture, select)?;
    outputs.pair(&played_of(capture, select))
}

/// The events of a capture that are played.
fn played_of(capture: &Capture, select: &Select) -> Vec<EventFormat> {
    let known: Vec<_> = capture.events.iter().map(name_of).collect();
    let selected = select.events.as_ref().and_then(|events| events.resolve(&known).ok());
    let plays =
        |format: &&EventFormat| selected.as_ref().is_none_or(|selected| selected.events.contains(&name_of(format)));
    capture.events.iter().filter(plays).cloned().collect()
}

fn name_of(format: &EventFormat) -> EventName {
    EventName::new(format.system.as_str(), format.name.as_str())
}

fn is_among(names: &BTreeSet<EventName>, format: &EventFormat) -> bool {
    names.contains(&name_of(format))
}
