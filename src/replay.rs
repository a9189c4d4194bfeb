//! The replay loop: a frozen ring, at the pace it was recorded at, stretched, or as fast as possible.
//!
//! Pace is kept against the time at which the replay began, so that errors do not add up; each pass of a `--loop` begins
//! where the one before ends by its own time, not when its last event happened to be sent. Events that are due together
//! leave together, as they would live.
//!
//! An [`Observer`] may also control it: pause, speed, position, repetition. The capture is then opened again and read up to
//! the position that is sought.

mod obey;
mod part;
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

use byteorder::{BigEndian, ByteOrder, LittleEndian};

use crate::capture::select::{Select, SelectError, Selector};
use crate::capture::{Capture, CaptureError, RingFeed};
use crate::control::{Command, Refused, Switched};
use crate::decode::EventTable;
use crate::format::{Abi, Endian, EventFormat};
use crate::names::Kernel;
use crate::output::audience::{Audience, News};
use crate::output::{CheckError, Output, Outputs};
use crate::pipeline::{Counts, Outcome, Pipeline};
use crate::ring::{Merge, Record};
use crate::tracefs::EventName;
use crate::wall;

use part::Parts;
use voice::Voice;

pub use crate::control::State;
pub use printing::{Printed, can_print, print};
pub use score::score;
pub use start::{StartAt, StartAtError};
pub use time::{JumpingTime, RealTime, Time};
pub use together::{Machine, play_together};

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
    /// How fast.
    pub speed: Speed,
    /// What of it.
    pub select: Select,
    /// When it begins, ns since 1970; at once if not said.
    pub start_at: Option<u64>,
    /// Whether it is played again and again.
    pub repeat: bool,
    /// The name of this machine, for `/ftrace/start`.
    pub host: String,
}

/// What a replay tells on its way, for people.
pub trait Observer {
    /// Something is not as asked.
    fn warn(&mut self, text: &str);

    /// Where it is: ns of the capture's own time since the part that is played began, and the length of that part.
    fn position(&mut self, at: u64, length: u64);

    /// Somebody listens there now, or nobody does: at once, and as `status` as long as it lasts.
    fn audience(&mut self, _news: &News, _status: Option<String>) {}

    /// How it stands, whenever it looks around; `now` is ns since 1970.
    fn state(&mut self, _state: &State, _now: u64) {}

    /// What it is told to do, if it is told something.
    fn command(&mut self) -> Option<Command> {
        None
    }

    /// What became of that.
    fn answer(&mut self, _done: Result<(), Refused>) {}

    /// Whether it waits with the beginning, since nobody is there yet.
    fn waits(&self) -> bool {
        false
    }

    /// Whether it is still there at its end, to be played from somewhere else.
    fn stays(&self) -> bool {
        false
    }

    /// Whether [commands](Observer::command) may come.
    fn obeys(&self) -> bool {
        self.stays()
    }
}

/// Why a pass ends before its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stop {
    /// The replay ends.
    End,
    /// It goes on from there, ns since the beginning of the part.
    Seek(u64),
}

/// Why a capture cannot be played.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReplayError {
    /// What is asked for cannot be selected from it.
    #[error(transparent)]
    Select(#[from] SelectError),
    /// A field to be aggregated, or that a map names, is not among the capture's.
    #[error(transparent)]
    Check(#[from] CheckError),
    /// It cannot be opened again.
    #[error(transparent)]
    Capture(#[from] CaptureError),
}

impl ReplayError {
    /// Whether the command line is at fault, rather than the machine: exit code 2 instead of 1.
    pub fn is_usage(&self) -> bool {
        match self {
            ReplayError::Select(error) => error.is_usage(),
            ReplayError::Check(_) => true,
            ReplayError::Capture(_) => false,
        }
    }
}

/// Events due within this time of each other leave together, ns: the default tick. A loop is not shorter.
const TOGETHER_NS: u64 = 1_000_000;
/// How long the replay sleeps at most before it looks for a reason to stop.
const LONGEST_SLEEP: Duration = Duration::from_millis(50);
/// How often `/ftrace/stat` is sent.
const STAT_NS: u64 = 1_000_000_000;

/// What became of a replay.
#[derive(Debug, Clone, Default)]
pub struct Played {
    /// Records and errors.
    pub counts: Counts,
    /// Sub-buffers, or rests of them, that could not be walked.
    pub malformed_sub_buffers: u64,
    /// Events that the capture says were lost.
    pub lost: u64,
    /// Feeds that failed, and damaged pieces that were passed over, in words.
    pub errors: Vec<String>,
    /// Whether it was ended before the capture was.
    pub ended: bool,
}

/// Plays `capture` to `outputs`; when it is to be repeated, `again` opens it once more.
///
/// # Errors
/// If the selection, or a field to be aggregated, does not go with the capture, before anything is sent; or if it cannot be opened again.
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
    let (mut played, mut outputs) = perform(vec![machine], again, options, time, observer)?;
    Ok((played.pop().unwrap_or_default(), outputs.pop().unwrap_or_default()))
}

fn perform(
    machines: Vec<Machine>,
    again: &mut dyn FnMut() -> Result<Vec<Capture>, CaptureError>,
    options: &PlayOptions,
    time: &mut impl Time,
    observer: &mut dyn Observer,
) -> Result<(Vec<Played>, Vec<Outputs>), ReplayError> {
    let (mut captures, mut others) = (Vec::new(), Vec::new());
    for Machine { capture, offset, host, outputs } in machines {
        captures.push(capture);
        others.push((offset, host, outputs));
    }
    let offsets: Vec<u64> = others.iter().map(|(offset, ..)| offset.unwrap_or(0)).collect();
    let mut parts = Parts::of(captures, &offsets, &options.select, &mut |warning| observer.warn(warning))?;
    let now = time.now();
    let began = options.start_at.unwrap_or(now);
    let mut voices = Vec::new();
    for (part, (offset, host, outputs)) in parts.parts.iter_mut().zip(others) {
        voices.push((Voice::new(part, outputs, offset, &options.select)?, host, part.capture.rings.len()));
    }
    for (voice, host, cpus) in &mut voices {
        voice.pipeline.outputs().start(host, *cpus, began, now);
        if wall::followed().is_some() {
            voice.pipeline.outputs().clock();
        }
        voice.pipeline.flush();
    }
    let pace = Pace { speed: options.speed, origin: None, began, from: 0, length: parts.length() };
    let mut player = Player {
        voices: voices.into_iter().map(|(voice, ..)| voice).collect(),
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
        // A capture without an event would be repeated without end and without a pause.
        let empty = whole && player.read() == read;
        if end.is_continue() && (!player.repeat || empty) {
            // One that is repeated may be told to play what it does have.
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

/// The way from the records of `capture` to `outputs`, with the names that it keeps.
fn pipeline_of(capture: &mut Capture, outputs: Outputs) -> Pipeline<Outputs> {
    pipeline_to(kernel_of(capture), outputs)
}

/// What is known of the kernel of `capture`.
fn kernel_of(capture: &Capture) -> Arc<Kernel> {
    let (names, _) = capture.names();
    Arc::new(Kernel { abi: Abi { endian: capture.endian, long: capture.header.long_size() }, names })
}

/// The way from the records of `kernel` to `outputs`.
fn pipeline_to<O: Output>(kernel: Arc<Kernel>, outputs: O) -> Pipeline<O> {
    let known = kernel.clone();
    Pipeline::new(kernel, outputs, Box::new(move |pid| known.names.comms.get(pid).map(<[u8]>::to_vec)))
}

/// Plays a record. An event that occurs for the first time is taken up from `table`, and `added` told to the pipeline.
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

/// Checks what is asked of single events against those that are played.
fn check(outputs: &Outputs, capture: &Capture, select: &Select) -> Result<(), CheckError> {
    let known: Vec<_> = capture.events.iter().map(name_of).collect();
    outputs.check(&known, &played_of(capture, select))
}

/// The same, and takes them up where times between events are measured.
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

/// When events are due.
struct Pace {
    speed: Speed,
    /// The time on the trace clock that is played at `began`; the first event's, if the capture does not tell.
    origin: Option<u64>,
    /// When this pass begins, or was last sought, resumed or given another speed, ns since 1970.
    began: u64,
    /// Which time of the pass was played then, ns since its beginning.
    from: u64,
    /// ns of this pass on the trace clock; known at the latest when it is over.
    length: u64,
}

impl Pace {
    /// When an event of this time is played, ns since 1970; `None`: at once.
    #[inline]
    fn due(&mut self, time: u64) -> Option<u64> {
        let since = time.saturating_sub(*self.origin.get_or_insert(time));
        match self.speed {
            Speed::Times(times) => {
                Some(self.began.saturating_add((since.saturating_sub(self.from) as f64 / times) as u64))
            }
            Speed::Max => None,
        }
    }

    /// How far into the capture a moment is, by its pace.
    fn position(&self, now: u64) -> u64 {
        match self.speed {
            Speed::Times(times) => {
                let since = (now.saturating_sub(self.began) as f64 * times) as u64;
                self.from.saturating_add(since).min(self.length)
            }
            Speed::Max => 0,
        }
    }

    fn next_pass(&mut self) {
        if let Speed::Times(times) = self.speed {
            let length = (self.length.saturating_sub(self.from) as f64 / times) as u64;
            self.began = self.began.saturating_add(length.max(TOGETHER_NS));
        }
        (self.origin, self.from) = (None, 0);
    }

    /// Whether a record is before what is played.
    #[inline]
    fn is_before(&mut self, time: u64) -> bool {
        self.from > 0 && time.saturating_sub(*self.origin.get_or_insert(time)) < self.from
    }
}

struct Player<'a, T> {
    /// One for each capture.
    voices: Vec<Voice>,
    pace: Pace,
    time: &'a mut T,
    observer: &'a mut dyn Observer,
    /// Since the beginning of the pass, ns on the trace clock: the last event.
    at: u64,
    last_stat: u64,
    paused: bool,
    /// The last pass is over.
    at_end: bool,
    repeat: bool,
    /// What of it is played, as it was last asked for.
    select: Select,
    /// Events that are not to be heard.
    switched: Arc<Switched>,
    audience: Audience,
}

fn name_of(format: &EventFormat) -> EventName {
    EventName::new(format.system.as_str(), format.name.as_str())
}

fn is_among(names: &BTreeSet<EventName>, format: &EventFormat) -> bool {
    names.contains(&name_of(format))
}

impl<T: Time> Player<'_, T> {
    /// Sleeps until it is time to begin.
    fn wait(&mut self, until: u64) -> ControlFlow<Stop> {
        let mut waited = false;
        loop {
            let now = self.time.now();
            if now >= until && !self.observer.waits() {
                if waited {
                    self.pace.began = now;
                }
                return ControlFlow::Continue(());
            }
            waited |= now >= until;
            self.look_at(now)?;
            self.flush();
            let until = until.max(now + TOGETHER_NS);
            let due = self.outputs_due().map_or(until, |due| due.min(until));
            self.time.sleep_until(if waited { now + TOGETHER_NS } else { due }, LONGEST_SLEEP);
            // Others will not wait for us.
            self.time.paused();
        }
    }

    /// Plays the captures once.
    fn pass(&mut self, parts: &mut Parts, played: &mut [Played]) -> ControlFlow<Stop> {
        self.pace.origin = parts.span.map(|span| span.first);
        self.pace.length = parts.length();
        self.obey()?;
        let mut merges: Vec<_> = parts.parts.iter_mut().map(|part| part.capture.merge()).collect();
        let end = match (merges.as_mut_slice(), parts.parts.as_slice()) {
            ([merge], [part]) => {
                let selector = part.selector.as_ref();
                match (part.capture.endian, self.pace.speed) {
                    (Endian::Little, Speed::Max) => self.run_max::<LittleEndian>(merge, selector),
                    (Endian::Big, Speed::Max) => self.run_max::<BigEndian>(merge, selector),
                    (Endian::Little, Speed::Times(_)) => self.run_paced::<LittleEndian>(merge, selector),
                    (Endian::Big, Speed::Times(_)) => self.run_paced::<BigEndian>(merge, selector),
                }
            }
            (merges, parts) => self.run_together(merges, parts),
        };
        self.pace.length = self.pace.length.max(self.at);
        for (merge, played) in merges.iter_mut().zip(played) {
            // However often it is played, it lost its events once.
            let sum = |of: fn(&crate::ring::Counts) -> u64| merge.counts().map(|(_, counts)| of(counts)).sum::<u64>();
            played.malformed_sub_buffers = played.malformed_sub_buffers.max(sum(|counts| counts.malformed));
            played.lost = played.lost.max(sum(|counts| counts.lost));
            let skipped = merge.feeds_mut().filter_map(|(cpu, feed)| Some((cpu, feed.skipped()?)));
            let skipped =
                skipped.map(|(cpu, (count, first))| format!("CPU {cpu}: {count} pieces passed over: {first}"));
            played.errors = skipped.collect();
            played.errors.extend(merge.take_errors().map(|(cpu, error)| format!("CPU {cpu}: {error}")));
        }
        end
    }

    fn run_max<E: ByteOrder>(&mut self, merge: &mut Merge<RingFeed>, selector: Option<&Selector>) -> ControlFlow<Stop> {
        const LOOK_EVERY: u32 = 4096;
        loop {
            let mut left = LOOK_EVERY;
            let mut past = false;
            let mut last = None;
            let more = merge.for_each::<E, ()>(|record| {
                last = Some(record.time);
                match selector {
                    Some(selector) if selector.is_past(record.time) => past = true,
                    Some(selector) if !selector.takes::<E>(&record) => {}
                    _ if self.pace.is_before(record.time) => {}
                    _ => self.record::<E>(0, record, None),
                }
                left -= 1;
                if left == 0 || past { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            });
            if let Some(last) = last {
                self.pace.due(last);
                self.at = last.saturating_sub(self.pace.origin.unwrap_or(last));
            }
            self.look()?;
            if more.is_continue() || past {
                self.flush();
                return ControlFlow::Continue(());
            }
        }
    }

    fn run_paced<E: ByteOrder>(
        &mut self,
        merge: &mut Merge<RingFeed>,
        selector: Option<&Selector>,
    ) -> ControlFlow<Stop> {
        let mut now = self.time.now();
        while let Some(record) = merge.next_record::<E>() {
            if let Some(selector) = selector {
                if selector.is_past(record.time) {
                    break;
                }
                if !selector.takes::<E>(&record) {
                    continue;
                }
            }
            if self.pace.is_before(record.time) {
                continue;
            }
            let due = self.until_due(record.time, &mut now)?;
            self.at = record.time.saturating_sub(self.pace.origin.unwrap_or(record.time));
            self.record::<E>(0, record, due);
        }
        self.flush();
        ControlFlow::Continue(())
    }

    /// Waits until an event of this time is due, and returns when that is; `None`: at once. What was due before it leaves.
    #[inline]
    fn until_due(&mut self, time: u64, now: &mut u64) -> ControlFlow<Stop, Option<u64>> {
        let Some(mut due) = self.pace.due(time) else { return ControlFlow::Continue(None) };
        if due > *now {
            // A new moment.
            self.flush();
            *now = self.look()?;
            loop {
                // A pause has shifted it.
                due = self.pace.due(time).unwrap_or(*now);
                if due <= *now {
                    break;
                }
                let other = self.outputs_due();
                self.time.sleep_until(other.map_or(due, |other| due.min(other)), LONGEST_SLEEP);
                *now = self.look()?;
                self.voices.iter_mut().for_each(|voice| voice.pipeline.outputs().tick(*now));
                self.flush();
            }
        } else if *now - due > TOGETHER_NS {
            // Late: more is due than can be sent in time.
            *now = self.look()?;
        }
        ControlFlow::Continue(Some(due))
    }

    #[inline]
    fn record<E: ByteOrder>(&mut self, index: usize, record: Record<'_>, play_ns: Option<u64>) {
        if let Some(voice) = self.voices.get_mut(index) {
            voice.record::<E>(record, play_ns, &self.switched);
        }
    }

    /// Sends what waits.
    fn flush(&mut self) {
        self.voices.iter_mut().for_each(|voice| voice.pipeline.flush());
    }

    /// When an output has something to say though no event comes.
    fn outputs_due(&mut self) -> Option<u64> {
        self.voices.iter_mut().filter_map(|voice| voice.pipeline.outputs().due()).min()
    }

    /// Events read so far.
    fn read(&self) -> u64 {
        self.voices.iter().map(|voice| voice.pipeline.counts().read).sum()
    }

    /// What is due besides events, and whether to go on. Returns the time.
    fn look(&mut self) -> ControlFlow<Stop, u64> {
        let paused = self.time.paused();
        if paused > 0 {
            self.pace.began = self.pace.began.saturating_add(paused);
        }
        let now = self.time.now();
        let at = match self.pace.speed {
            Speed::Max => self.at,
            Speed::Times(_) => self.pace.position(now),
        };
        self.observer.position(at, self.pace.length);
        self.look_at(now)?;
        self.obey()?;
        ControlFlow::Continue(self.time.now())
    }

    /// Does what it is told, and while it is paused nothing else; says how it stands.
    fn obey(&mut self) -> ControlFlow<Stop> {
        loop {
            let (mut now, mut to) = (self.time.now(), None);
            while let Some(command) = self.observer.command() {
                let done = self.carry_out(command, now, &mut to);
                self.observer.answer(done);
            }
            if let Some(to) = to {
                self.paused &= !self.at_end;
                return ControlFlow::Break(Stop::Seek(to.min(self.pace.length)));
            }
            self.tell(now);
            if !self.paused {
                return ControlFlow::Continue(());
            }
            self.look_at(now)?;
            // It is silence that goes on now.
            self.voices.iter_mut().for_each(|voice| voice.pipeline.outputs().tick(now));
            self.flush();
            let until = now + LONGEST_SLEEP.as_nanos() as u64 / 2;
            let due = self.outputs_due();
            self.time.sleep_until(due.map_or(until, |due| due.min(until)), LONGEST_SLEEP);
            self.time.paused();
            now = self.time.now();
            self.pace.began = now;
        }
    }

    /// Pauses.
    fn halt(&mut self, now: u64) {
        if !self.paused {
            self.pace.from = match self.pace.speed {
                Speed::Times(_) => self.pace.position(now),
                // What has been played is not played again.
                Speed::Max => self.pace.from,
            };
            self.paused = true;
        }
        self.pace.began = now;
    }

    fn go_on(&mut self, now: u64) {
        self.paused = false;
        self.pace.began = now;
    }

    /// Goes on from there with the next pass.
    fn seek(&mut self, to: u64) {
        (self.pace.began, self.pace.from) = (self.time.now(), to);
    }

    /// At its end, until it is played again or ends.
    fn rest(&mut self) -> ControlFlow<Stop> {
        let now = self.time.now();
        self.halt(now);
        (self.at_end, self.pace.from) = (true, self.pace.length);
        let end = self.obey();
        self.at_end = false;
        end
    }

    fn tell(&mut self, now: u64) {
        let (at, speed) = match self.pace.speed {
            Speed::Times(times) => (if self.paused { self.pace.from } else { self.pace.position(now) }, times),
            Speed::Max => (self.at, 0.0),
        };
        let state = State { at, length: self.pace.length, speed, paused: self.paused, repeat: self.repeat };
        self.observer.state(&state, now);
    }

    fn look_at(&mut self, now: u64) -> ControlFlow<Stop> {
        self.stat_if_due(now);
        let mut ended = self.time.ended();
        for voice in &mut self.voices {
            voice.pipeline.outputs().announce(now);
            ended |= voice.pipeline.outputs().failure().is_some();
        }
        if ended {
            return ControlFlow::Break(Stop::End);
        }
        ControlFlow::Continue(())
    }

    fn stat_if_due(&mut self, now: u64) {
        if now.saturating_sub(self.last_stat) >= STAT_NS {
            self.stat(now);
            self.flush();
            self.look_at_audience();
            wall::news().iter().for_each(|news| self.observer.warn(news.trim_start_matches("warning: ")));
        }
    }

    /// All have the same receivers.
    fn look_at_audience(&mut self) {
        let Some(voice) = self.voices.first_mut() else { return };
        for news in self.audience.look(voice.pipeline.outputs()) {
            self.observer.audience(&news, self.audience.status());
        }
    }

    fn stat(&mut self, now: u64) {
        let seconds = now.saturating_sub(self.last_stat) as f32 / 1e9;
        self.last_stat = now;
        self.voices.iter_mut().for_each(|voice| voice.stat(seconds));
    }
}
