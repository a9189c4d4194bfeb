//! The lines of a capture as fast as possible, made by several threads: the same lines as those of
//! [`play`](super::play).
//!
//! A line depends on the events before it in a few ways: the time since the last event of its kind, the last name of
//! a task, whether its CPU has had a line. This state is carried from part to part
//! ([`parts`](crate::capture::parts)), and found by a first look through each part (`before`).

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, PoisonError};

use byteorder::ByteOrder;

use super::before::{Before, Look, task_events};
use super::part::Part;
use super::{Observer, Played, ReplayError, Time, check, kernel_of, pipeline_to};
use crate::capture::parts::{self, BLOCK, Jobs, Told, Work};
use crate::capture::select::{Select, SelectError, Selector};
use crate::capture::{Capture, RingFeed};
use crate::decode::EventTable;
use crate::format::EventId;
use crate::names::Kernel;
use crate::output::{Output, Outputs};
use crate::pipeline::{Counts, Pipeline, TaskEvent};
use crate::ring::{Merge, Record};
use crate::tracefs::ClockPair;

/// The number of records between two checks of what has been written.
const LOOK_EVERY: u32 = 256;

/// Whether lines of this form can be made in parts: whether new outputs that start in the middle of a capture with
/// the state before it continue exactly like outputs that were there from the beginning.
pub fn can_print(capture: &Capture, outputs: &Outputs) -> bool {
    let Outputs { streams, lines, text, words, hits, mapped, midi, signals, latencies, .. } = outputs;
    let only_lines = streams.is_empty() && words.is_none() && hits.is_none() && mapped.is_none() && midi.is_none();
    let only_lines = only_lines && signals.is_none() && latencies.is_none();
    let plain = lines.as_ref().is_none_or(|lines| lines.goes_on()) && text.as_ref().is_none_or(|text| text.goes_on());
    // With a clock in ticks, events are marked with the time of day at which they are played.
    only_lines && outputs.prints() && plain && !capture.counts_ticks()
}

/// The result of printing.
pub struct Printed {
    /// What was played.
    pub played: Played,
    /// Why the output could not be written to its end.
    pub failure: Option<io::ErrorKind>,
}

/// Writes to `out` the lines that `outputs` make of `capture`.
///
/// # Errors
/// The same as those of [`play`](super::play).
pub fn print(
    capture: Capture,
    select: &Select,
    jobs: Jobs,
    outputs: &(dyn Fn(Box<dyn Write + Send>) -> Outputs + Sync),
    out: &mut dyn Write,
    time: &mut impl Time,
    observer: &mut dyn Observer,
) -> Result<Printed, ReplayError> {
    let (mut part, span) = Part::alone(capture, select)?;
    part.selector.iter().flat_map(Selector::warnings).for_each(|warning| observer.warn(warning));
    let capture = &mut part.capture;
    let example = outputs(Box::new(io::sink()));
    check(&example, capture, select)?;
    let table = EventTable::new(std::mem::take(&mut capture.events));
    let printing = Printing {
        outputs,
        types: example.lines.is_some(),
        carries: example.lines.is_some() || example.text.as_ref().is_some_and(|text| text.depends_on_before()),
        kernel: kernel_of(capture),
        pair: capture.clock_pair,
        tasks: task_events(&table),
        table,
        selector: part.selector.as_ref(),
    };
    let (mut failure, mut ended, mut lost_time) = (None, false, 0);
    let (first, length) = (span.map_or(0, |span| span.first), span.map_or(0, |span| span.length()));
    let total = parts::work(capture, part.selector.as_ref(), jobs, &printing, &mut |told| {
        match told {
            Told::Block(block) => failure = out.write_all(block).err().map(|error| error.kind()),
            Told::Time(now) => lost_time = now,
            Told::Nothing => {}
        }
        observer.position(lost_time.saturating_sub(first), length);
        // However long it was stopped, no event is late.
        time.paused();
        ended |= time.ended() || failure.is_some();
        if ended { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    let total = total.map_err(SelectError::from)?;
    failure = failure.or(out.flush().err().map(|error| error.kind()));
    let mut played = Played { ended, errors: total.errors(), ..Played::default() };
    played.malformed_sub_buffers = total.sum(|counts| counts.malformed);
    played.lost = total.sum(|counts| counts.lost);
    played.gaps = total.sum(|counts| counts.gaps);
    for counts in total.parts {
        played.counts.read += counts.read;
        played.counts.malformed += counts.malformed;
        played.counts.unknown += counts.unknown;
        played.counts.first_error = played.counts.first_error.or(counts.first_error);
    }
    Ok(Printed { played, failure })
}

struct Printing<'a> {
    outputs: &'a (dyn Fn(Box<dyn Write + Send>) -> Outputs + Sync),
    /// Whether there are lines of typed messages, which tell how long ago an event was and name its task.
    types: bool,
    /// Whether lines depend on the events before them.
    carries: bool,
    kernel: Arc<Kernel>,
    pair: Option<ClockPair>,
    table: EventTable,
    /// The events that carry task names.
    tasks: BTreeMap<EventId, TaskEvent>,
    selector: Option<&'a Selector>,
}

/// Lines that wait to be handed on.
#[derive(Clone, Default)]
struct Spool(Arc<Mutex<Vec<u8>>>);

struct Hand {
    pipeline: Pipeline<Outputs>,
    spool: Spool,
}

impl Work for Printing<'_> {
    type Hand = Hand;
    type Carry = Before;
    type Done = Counts;

    fn hand(&self) -> Hand {
        let spool = Spool::default();
        let pipeline = self.pipeline((self.outputs)(Box::new(spool.clone())));
        Hand { pipeline, spool }
    }

    fn carries(&self) -> bool {
        self.carries
    }

    fn look<E: ByteOrder>(&self, merge: &mut Merge<RingFeed>, before: &mut Before) {
        let text_of = (!self.types).then(|| merge.counts().count());
        let mut look = Look::new(&self.table, &self.tasks, text_of);
        let _ = self.records::<E>(merge, &mut |record| look.record::<E>(&record));
        *before = look.end();
    }

    fn carry(&self, before: &mut Before, part: Before) {
        before.then(part);
    }

    fn work<E: ByteOrder>(
        &self,
        hand: &mut Hand,
        merge: &mut Merge<RingFeed>,
        before: &Before,
        out: &mut dyn FnMut(Told<'_>) -> ControlFlow<()>,
    ) -> (Counts, ControlFlow<()>) {
        let Hand { pipeline, spool } = hand;
        if let (Some(None), Some(text)) = (before.first, &mut pipeline.outputs().text) {
            text.begin(&self.kernel);
        }
        for id in before.first.iter().flatten().chain(before.last.keys()) {
            if let Some(format) = self.table.get(*id).filter(|_| !pipeline.knows(*id)) {
                pipeline.add(format, false);
            }
        }
        pipeline.go_on(before.last.iter().map(|(id, time)| (*id, *time)));
        before.names.iter().for_each(|(pid, name)| pipeline.name(*pid, name));
        if let Some(text) = &mut pipeline.outputs().text {
            text.go_on(&before.cpus, before.lines);
        }
        let mut left = LOOK_EVERY;
        let mut flow = self.records::<E>(merge, &mut |record| {
            super::play_record::<E, Outputs>(pipeline, &self.table, record, None, |_| {});
            left -= 1;
            if left > 0 {
                return ControlFlow::Continue(());
            }
            left = LOOK_EVERY;
            spool.hand_on(BLOCK, out).unwrap_or_else(|| out(Told::Time(record.time)))
        });
        pipeline.outputs().stop();
        if flow != ControlFlow::Break(Why::Stopped) && spool.hand_on(1, out).is_some_and(|flow| flow.is_break()) {
            flow = ControlFlow::Break(Why::Stopped);
        }
        (pipeline.take_counts(), flow.map_break(|_| ()))
    }
}

/// Why a part ends early.
#[derive(PartialEq, Eq)]
enum Why {
    /// No later event is taken.
    Past,
    /// Nothing more is needed.
    Stopped,
}

impl Printing<'_> {
    fn pipeline<O: Output>(&self, outputs: O) -> Pipeline<O> {
        let mut pipeline = pipeline_to(self.kernel.clone(), outputs);
        if let Some(pair) = self.pair {
            pipeline.pair_clocks(pair.trace_ns, pair.realtime_ns);
        }
        pipeline
    }

    /// Hands the selected records to `each`.
    fn records<E: ByteOrder>(
        &self,
        merge: &mut Merge<RingFeed>,
        each: &mut impl FnMut(Record<'_>) -> ControlFlow<()>,
    ) -> ControlFlow<Why> {
        merge.for_each::<E, _>(|record| match self.selector {
            Some(selector) if selector.is_past(record.time) => ControlFlow::Break(Why::Past),
            Some(selector) if !selector.takes::<E>(&record) => ControlFlow::Continue(()),
            _ => each(record).map_break(|()| Why::Stopped),
        })
    }
}

impl Spool {
    /// Hands the buffered lines on if they are `least` bytes or more.
    fn hand_on(&self, least: usize, out: &mut dyn FnMut(Told<'_>) -> ControlFlow<()>) -> Option<ControlFlow<()>> {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        (held.len() >= least).then(|| out(Told::Block(&mut held)))
    }
}

impl Write for Spool {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
