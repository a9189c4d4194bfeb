//! Several captures as one piece, in one order of the time of day. Each has outputs of its own, so that each keeps its name.

use std::ops::ControlFlow;

use byteorder::{BigEndian, ByteOrder, LittleEndian};

use super::{
    LONGEST_SLEEP, Observer, PlayOptions, Played, ReplayError, STAT_NS, Speed, Time, pipeline_of, play_record, prepare,
};
use crate::capture::select::{SelectError, Selector};
use crate::capture::window::{Span, Window, skip_to};
use crate::capture::{Capture, RingFeed};
use crate::decode::EventTable;
use crate::format::Endian;
use crate::output::{Outputs, Window as Told};
use crate::pipeline::{Counts, Pipeline};
use crate::ring::Merge;
use crate::wall;

/// One of several captures.
pub struct Machine {
    /// What is played.
    pub capture: Capture,
    /// Added to a time of its trace clock, it is the time of day, or that of the clock that all of them have.
    pub offset: u64,
    /// Whose it is, for `/ftrace/start`.
    pub host: String,
    /// Where its events go.
    pub outputs: Outputs,
}

struct Voice {
    pipeline: Pipeline<Outputs>,
    table: EventTable,
    merge: Merge<RingFeed>,
    endian: Endian,
    /// `None`: all of it.
    selector: Option<Selector>,
    offset: u64,
    told: Counts,
}

impl Voice {
    /// When its next event happened, on the common clock.
    fn next(&mut self) -> Option<u64> {
        let time = match self.endian {
            Endian::Little => self.merge.peek::<LittleEndian>(),
            Endian::Big => self.merge.peek::<BigEndian>(),
        };
        time.map(|time| time.wrapping_add(self.offset))
    }

    /// Plays its next event, or passes it over.
    fn play(&mut self, play_ns: Option<u64>, heard: bool) {
        match self.endian {
            Endian::Little => self.record::<LittleEndian>(play_ns, heard),
            Endian::Big => self.record::<BigEndian>(play_ns, heard),
        }
    }

    fn record<E: ByteOrder>(&mut self, play_ns: Option<u64>, heard: bool) {
        let Some(record) = self.merge.next_record::<E>() else { return };
        if !heard || self.selector.as_ref().is_some_and(|selector| !selector.takes::<E>(&record)) {
            return;
        }
        play_record::<E, _>(&mut self.pipeline, &self.table, record, play_ns, |_| {});
    }

    fn stat(&mut self, seconds: f32) {
        let counts = self.pipeline.counts().clone();
        let told = Told {
            read: counts.read - self.told.read,
            kernel_lost: 0,
            malformed: counts.malformed + counts.unknown - self.told.malformed - self.told.unknown,
            seconds,
        };
        self.told = counts;
        let outputs = self.pipeline.outputs();
        let counts: Vec<_> = outputs.stream_counts().collect();
        outputs.stat(&told, &counts, |_| 0);
        self.pipeline.flush();
    }

    /// Whether what it says stands on lines, whose order is that of all machines.
    fn has_lines(&mut self) -> bool {
        let outputs = self.pipeline.outputs();
        outputs.lines.is_some() || outputs.text.is_some()
    }
}

/// Plays `machines` together, once. Of the options, the host and the repetition are not for several captures.
///
/// # Errors
/// If the selection, or a field to be aggregated, goes with none of the captures, before anything is sent.
pub fn play_together(
    machines: Vec<Machine>,
    options: &PlayOptions,
    time: &mut impl Time,
    observer: &mut dyn Observer,
) -> Result<(Vec<Played>, Vec<Outputs>), ReplayError> {
    let mut machines = machines;
    let mut whole: Option<Span> = None;
    for Machine { capture, offset, .. } in &mut machines {
        let Some(Span { first, last }) = Span::of(capture).map_err(SelectError::from)? else { continue };
        let (first, last) = (first.wrapping_add(*offset), last.wrapping_add(*offset));
        let so_far = whole.unwrap_or(Span { first, last });
        whole = Some(Span { first: so_far.first.min(first), last: so_far.last.max(last) });
    }
    let (from, until) = options.select.window.within(whole);
    let now = time.now();
    let began = options.start_at.unwrap_or(now);
    let mut voices = Vec::new();
    let mut refused = None;
    for machine in machines {
        match voice(machine, options, from, observer) {
            Ok(voice) => voices.push(voice),
            // What one of the machines has not, another may have.
            Err(ReplayError::Select(error @ (SelectError::Events(_) | SelectError::NoEvent(_)))) => {
                observer.warn(&error.to_string());
                refused.get_or_insert(error);
            }
            Err(error) => return Err(error),
        }
    }
    if let (true, Some(error)) = (voices.is_empty(), refused) {
        return Err(error.into());
    }
    for (voice, host) in &mut voices {
        let cpus = voice.merge.counts().count();
        voice.pipeline.outputs().start(host, cpus, began, now);
        if wall::followed().is_some() {
            voice.pipeline.outputs().clock();
        }
        voice.pipeline.flush();
    }
    let mut voices: Vec<Voice> = voices.into_iter().map(|(voice, _)| voice).collect();
    let origin = whole.map_or(0, |whole| whole.first.max(from));
    let length = whole.map_or(0, |whole| whole.last.min(until).saturating_sub(origin));
    let mut stage = Stage { time, observer, began, origin, length, speed: options.speed, last_stat: now, now };
    let end = stage.wait(&mut voices).is_break() || stage.run(&mut voices, (from, until)).is_break();
    let seconds = stage.time.now().saturating_sub(stage.last_stat) as f32 / 1e9;
    let done = voices.into_iter().map(|mut voice| {
        voice.stat(seconds);
        voice.pipeline.outputs().stop();
        let sum = |of: fn(&crate::ring::Counts) -> u64| voice.merge.counts().map(|(_, counts)| of(counts)).sum();
        let (malformed_sub_buffers, lost) = (sum(|counts| counts.malformed), sum(|counts| counts.lost));
        let errors = voice.merge.take_errors().map(|(cpu, error)| format!("CPU {cpu}: {error}")).collect();
        let counts = voice.pipeline.counts().clone();
        let played = Played { counts, malformed_sub_buffers, lost, errors, ended: end };
        (played, std::mem::take(voice.pipeline.outputs()))
    });
    Ok(done.unzip())
}

fn voice(
    machine: Machine,
    options: &PlayOptions,
    from: u64,
    observer: &mut dyn Observer,
) -> Result<(Voice, String), ReplayError> {
    let Machine { mut capture, offset, host, outputs } = machine;
    // The window is on the clock of all.
    let select = crate::capture::select::Select { window: Window::default(), ..options.select.clone() };
    let selector = if select.is_all() { None } else { Some(select.bind(&mut capture)?) };
    selector.iter().flat_map(Selector::warnings).for_each(|warning| observer.warn(warning));
    if !options.select.window.is_all() {
        skip_to(&mut capture, from.saturating_sub(offset)).map_err(SelectError::from)?;
    }
    let mut pipeline = pipeline_of(&mut capture, outputs);
    prepare(pipeline.outputs(), &capture, &options.select)?;
    pipeline.pair_clocks(0, offset);
    let table = EventTable::new(std::mem::take(&mut capture.events));
    let (endian, merge) = (capture.endian, capture.merge());
    Ok((Voice { pipeline, table, merge, endian, selector, offset, told: Counts::default() }, host))
}

struct Stage<'a, T> {
    time: &'a mut T,
    observer: &'a mut dyn Observer,
    began: u64,
    /// What is played at `began`, on the common clock.
    origin: u64,
    length: u64,
    speed: Speed,
    last_stat: u64,
    now: u64,
}

impl<T: Time> Stage<'_, T> {
    /// When an event of this time is played.
    fn due(&self, time: u64) -> Option<u64> {
        let Speed::Times(times) = self.speed else { return None };
        Some(self.began.saturating_add((time.saturating_sub(self.origin) as f64 / times) as u64))
    }

    /// Sleeps until it is time to begin.
    fn wait(&mut self, voices: &mut [Voice]) -> ControlFlow<()> {
        while self.time.now() < self.began {
            self.time.sleep_until(self.began, LONGEST_SLEEP);
            self.look(voices)?;
        }
        self.time.paused();
        self.look(voices)
    }

    fn run(&mut self, voices: &mut [Voice], (from, until): (u64, u64)) -> ControlFlow<()> {
        let lines = voices.iter_mut().any(Voice::has_lines);
        let mut heads: Vec<Option<u64>> = voices.iter_mut().map(Voice::next).collect();
        let (mut last, mut turns) = (0, 0u32);
        // Few: to look at all of them costs less than to keep them in order.
        while let Some((index, at)) =
            heads.iter().enumerate().filter_map(|(index, head)| Some((index, (*head)?))).min_by_key(|&(_, at)| at)
        {
            if at > until {
                break;
            }
            if index != last && lines {
                // Each has a buffer of its own; the order of lines is that of events.
                voices.get_mut(last).into_iter().for_each(|voice| voice.pipeline.flush());
            }
            last = index;
            if at >= from {
                match self.due(at) {
                    Some(_) => self.until_due(voices, at)?,
                    None => {
                        turns = turns.wrapping_add(1);
                        if turns.is_multiple_of(4096) {
                            self.look(voices)?;
                        }
                    }
                }
            }
            let play_ns = self.due(at);
            if let (Some(voice), Some(head)) = (voices.get_mut(index), heads.get_mut(index)) {
                voice.play(play_ns, at >= from);
                *head = voice.next();
            }
        }
        voices.iter_mut().for_each(|voice| voice.pipeline.flush());
        ControlFlow::Continue(())
    }

    /// Waits until an event of this time is due. What was due before it leaves.
    fn until_due(&mut self, voices: &mut [Voice], at: u64) -> ControlFlow<()> {
        let mut first = true;
        while self.due(at).is_some_and(|due| due > self.now) {
            if std::mem::take(&mut first) {
                voices.iter_mut().for_each(|voice| voice.pipeline.flush());
                self.look(voices)?;
                continue;
            }
            let due = self.due(at).unwrap_or(self.now);
            let others = voices.iter_mut().filter_map(|voice| voice.pipeline.outputs().due()).min();
            self.time.sleep_until(others.map_or(due, |other| due.min(other)), LONGEST_SLEEP);
            self.look(voices)?;
            for voice in voices.iter_mut() {
                voice.pipeline.outputs().tick(self.now);
                voice.pipeline.flush();
            }
            let played = (self.now.saturating_sub(self.began)) as f64;
            let at = if let Speed::Times(times) = self.speed { (played * times) as u64 } else { 0 };
            self.observer.position(at.min(self.length), self.length);
        }
        ControlFlow::Continue(())
    }

    /// What is due besides events, and whether to go on.
    fn look(&mut self, voices: &mut [Voice]) -> ControlFlow<()> {
        self.began = self.began.saturating_add(self.time.paused());
        self.now = self.time.now();
        let since = self.now.saturating_sub(self.last_stat);
        if since >= STAT_NS {
            self.last_stat = self.now;
            voices.iter_mut().for_each(|voice| voice.stat(since as f32 / 1e9));
        }
        let mut failed = self.time.ended();
        for voice in voices {
            voice.pipeline.outputs().announce(self.now);
            failed |= voice.pipeline.outputs().failure().is_some();
        }
        if failed { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}
