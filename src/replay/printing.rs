//! The lines of a capture as fast as possible, made by several threads: those that [`play`](super::play) makes.
//!
//! A line depends on the events before it in a few ways: how long ago an event of its kind was, what a task was last named,
//! whether its CPU has had a line. That is carried from part to part ([`parts`](crate::capture::parts)), found by a pipeline
//! whose output goes nowhere.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, PoisonError};

use byteorder::ByteOrder;

use super::part::Part;
use super::{Observer, Played, ReplayError, Time, check, kernel_of, pipeline_to};
use crate::capture::parts::{self, Jobs, Told, Work};
use crate::capture::select::{Select, SelectError, Selector};
use crate::capture::{Capture, RingFeed};
use crate::decode::EventTable;
use crate::format::{EventFormat, EventId};
use crate::names::Kernel;
use crate::osc::EncodeError;
use crate::output::{Event, Output, Outputs};
use crate::pipeline::{Counts, Pipeline};
use crate::ring::Merge;
use crate::tracefs::ClockPair;

/// Records between two looks at what has been written.
const LOOK_EVERY: u32 = 256;
/// Bytes of lines that are handed on at once.
const BLOCK: usize = 1 << 16;

/// Whether lines of this form can be made in parts: whether outputs that are made anew in the middle of a capture, and told
/// what was before, go on as one would that was there from the beginning.
pub fn can_print(capture: &Capture, outputs: &Outputs) -> bool {
    let Outputs { streams, lines, text, words, hits, mapped, midi, signals, .. } = outputs;
    let only_lines = streams.is_empty() && words.is_none() && hits.is_none() && mapped.is_none() && midi.is_none();
    let only_lines = only_lines && signals.is_none();
    let plain = lines.as_ref().is_none_or(|lines| lines.goes_on()) && text.as_ref().is_none_or(|text| text.goes_on());
    // Events of ticks are marked with the time of day at which they are played.
    only_lines && outputs.prints() && plain && !capture.counts_ticks()
}

/// What became of the lines.
pub struct Printed {
    /// What was played.
    pub played: Played,
    /// Why lines could not be written to their end.
    pub failure: Option<io::ErrorKind>,
}

/// Writes to `out` the lines of `capture` that `outputs`, which are given something to write to, have of it.
///
/// # Errors
/// As those of [`play`](super::play).
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
    let printing = Printing {
        outputs,
        carries: example.lines.is_some() || example.text.as_ref().is_some_and(|text| text.depends_on_before()),
        kernel: kernel_of(capture),
        pair: capture.clock_pair,
        table: EventTable::new(std::mem::take(&mut capture.events)),
        selector: part.selector.as_ref(),
    };
    let (mut failure, mut ended, mut lost_time) = (None, false, 0);
    let (first, length) = (span.map_or(0, |span| span.first), span.map_or(0, |span| span.length()));
    let total = parts::work(capture, part.selector.as_ref(), jobs, &printing, &mut |told| {
        match told {
            Told::Block(block) => failure = out.write_all(&block).err().map(|error| error.kind()),
            Told::Time(now) => lost_time = now,
            Told::Nothing => {}
        }
        observer.position(lost_time.saturating_sub(first), length);
        // However long it was stopped, nothing is late.
        time.paused();
        ended |= time.ended() || failure.is_some();
        if ended { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    let total = total.map_err(SelectError::from)?;
    failure = failure.or(out.flush().err().map(|error| error.kind()));
    let mut played = Played { ended, ..Played::default() };
    for counts in total.parts {
        played.counts.read += counts.read;
        played.counts.malformed += counts.malformed;
        played.counts.unknown += counts.unknown;
        played.counts.first_error = played.counts.first_error.or(counts.first_error);
    }
    played.malformed_sub_buffers = total.read.iter().map(|read| read.counts.malformed).sum();
    played.lost = total.read.iter().map(|read| read.counts.lost).sum();
    let skipped = total.read.iter().filter_map(|read| Some((read.cpu, read.skipped.as_ref()?)));
    played.errors = skipped.map(|(cpu, skipped)| format!("CPU {cpu}: {skipped}")).collect();
    let errors = total.read.iter().filter_map(|read| Some((read.cpu, read.error.as_ref()?)));
    played.errors.extend(errors.map(|(cpu, error)| format!("CPU {cpu}: {error}")));
    Ok(Printed { played, failure })
}

struct Printing<'a> {
    outputs: &'a (dyn Fn(Box<dyn Write + Send>) -> Outputs + Sync),
    /// Whether lines depend on the events before them.
    carries: bool,
    kernel: Arc<Kernel>,
    pair: Option<ClockPair>,
    table: EventTable,
    selector: Option<&'a Selector>,
}

/// What lines depend on of the events before them.
#[derive(Clone, Default)]
struct Carry {
    /// When each event last occurred.
    last: BTreeMap<EventId, u64>,
    /// The event that occurred first, `Some(None)` where it was none that is known: the text is guessed by it where the
    /// kernel's release is not known.
    first: Option<Option<EventId>>,
    /// What tasks were last named, where an event told of it.
    names: BTreeMap<i32, Vec<u8>>,
    /// CPUs that had a line, and how many lines there were.
    cpus: BTreeSet<u32>,
    lines: u64,
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
    type Carry = Carry;
    type Done = Counts;

    fn hand(&self) -> Hand {
        let spool = Spool::default();
        let pipeline = self.pipeline((self.outputs)(Box::new(spool.clone())));
        Hand { pipeline, spool }
    }

    fn carries(&self) -> bool {
        self.carries
    }

    fn look<E: ByteOrder>(&self, merge: &mut Merge<RingFeed>, carry: &mut Carry) {
        let mut pipeline = self.pipeline(Nowhere::default());
        let names = Arc::new(Mutex::new(BTreeMap::new()));
        let told = names.clone();
        pipeline.tell_names(Box::new(move |pid, name| {
            told.lock().unwrap_or_else(PoisonError::into_inner).insert(pid, name.to_vec());
        }));
        let _ = self.records::<E, _>(merge, &mut pipeline, &mut |_| ControlFlow::Continue(()));
        carry.last = pipeline.last_times().collect();
        carry.names = std::mem::take(&mut *names.lock().unwrap_or_else(PoisonError::into_inner));
        let Nowhere { first, cpus, lines } = std::mem::take(pipeline.outputs());
        (carry.first, carry.cpus, carry.lines) = (first, cpus, lines);
    }

    fn carry(&self, before: &mut Carry, part: Carry) {
        before.last.extend(part.last);
        before.names.extend(part.names);
        before.cpus.extend(part.cpus);
        before.first = before.first.or(part.first);
        before.lines += part.lines;
    }

    fn work<E: ByteOrder>(
        &self,
        hand: &mut Hand,
        merge: &mut Merge<RingFeed>,
        before: &Carry,
        out: &mut dyn FnMut(Told) -> ControlFlow<()>,
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
        let mut flow = self.records::<E, _>(merge, pipeline, &mut |time| match spool.take(BLOCK) {
            Some(block) => out(Told::Block(block)),
            None => out(Told::Time(time)),
        });
        pipeline.outputs().stop();
        if flow != ControlFlow::Break(Why::Stopped)
            && let Some(rest) = spool.take(1)
            && out(Told::Block(rest)).is_break()
        {
            flow = ControlFlow::Break(Why::Stopped);
        }
        (pipeline.take_counts(), flow.map_break(|_| ()))
    }
}

/// Why a part ends before its end.
#[derive(PartialEq, Eq)]
enum Why {
    /// No later event is taken.
    Past,
    /// Nothing more is wanted.
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

    /// Takes the records that are selected through `pipeline`, and looks up now and then.
    fn records<E: ByteOrder, O: Output>(
        &self,
        merge: &mut Merge<RingFeed>,
        pipeline: &mut Pipeline<O>,
        look: &mut dyn FnMut(u64) -> ControlFlow<()>,
    ) -> ControlFlow<Why> {
        let mut left = LOOK_EVERY;
        merge.for_each::<E, _>(|record| {
            match self.selector {
                Some(selector) if selector.is_past(record.time) => return ControlFlow::Break(Why::Past),
                Some(selector) if !selector.takes::<E>(&record) => {}
                _ => super::play_record::<E, O>(pipeline, &self.table, record, None, |_| {}),
            }
            left -= 1;
            if left > 0 {
                return ControlFlow::Continue(());
            }
            left = LOOK_EVERY;
            look(record.time).map_break(|()| Why::Stopped)
        })
    }
}

impl Spool {
    /// All of it, if it is `least` bytes or more.
    fn take(&self, least: usize) -> Option<Vec<u8>> {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if held.len() < least {
            return None;
        }
        let room = Vec::with_capacity(held.capacity());
        Some(std::mem::replace(&mut *held, room))
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

/// An output that notes what later lines depend on.
#[derive(Default)]
struct Nowhere {
    first: Option<Option<EventId>>,
    cpus: BTreeSet<u32>,
    lines: u64,
}

impl Nowhere {
    fn line(&mut self, id: Option<EventId>, cpu: u32) {
        self.lines += 1;
        self.first.get_or_insert(id);
        self.cpus.insert(cpu);
    }
}

impl Output for Nowhere {
    fn add(&mut self, _: &Arc<EventFormat>, _: &Kernel) {}

    #[inline]
    fn event<E: ByteOrder>(&mut self, event: &Event<'_>) -> Result<(), EncodeError> {
        self.line(Some(event.id), event.record.cpu);
        Ok(())
    }

    fn unknown<E: ByteOrder>(&mut self, event: &Event<'_>, _: &Kernel) {
        self.line(None, event.record.cpu);
    }

    fn flush(&mut self) {}
}
