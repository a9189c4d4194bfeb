//! Where events go: an [`Output`] processes each event; [`Outputs`] holds those of one run.
//!
//! A new output is a file here and a field of [`Outputs`].

pub mod audience;
pub mod calm;
mod hits;
mod kernel_text;
mod latencies;
mod lines;
mod mapped;
mod midi;
mod midi_file;
mod midi_notes;
pub mod midi_port;
mod signals;
mod text;
mod text_messages;
mod typed;

use std::io;
use std::net::SocketAddr;
use std::ops::Add;
use std::sync::Arc;

use byteorder::ByteOrder;

use crate::capture::latency::PairError;
use crate::format::{EventFormat, EventId};
use crate::map::Mistake;
use crate::names::Kernel;
use crate::osc::EncodeError;
use crate::osc::about::Stat;
use crate::osc::aggregate::{AggregateError, AggregateOptions};
use crate::osc::clock;
use crate::osc::stream::{Moment, Stream};
use crate::osc::transport::{SendCounts, Transport};
use crate::ring::Record;
use crate::tracefs::EventName;
use crate::wall::{self, KernelClock};

pub use hits::Hits;
pub use latencies::Latencies;
pub use lines::Lines;
pub use mapped::Mapped;
pub use midi::Midi;
pub use midi_file::MidiFile;
pub use signals::{MIN_TICK, Signals, TICK};
pub use text::Text;
pub use text_messages::TextMessages;

/// A destination of events.
pub trait Output {
    /// Adds an event, replacing one with the same id.
    fn add(&mut self, format: &Arc<EventFormat>, kernel: &Kernel);

    /// Processes one event.
    ///
    /// # Errors
    /// If the record does not match its format.
    fn event<E: ByteOrder>(&mut self, event: &Event<'_>) -> Result<(), EncodeError>;

    /// Processes a record of an unknown event. It has a text, but no message.
    fn unknown<E: ByteOrder>(&mut self, _event: &Event<'_>, _kernel: &Kernel) {}

    /// The end of a turn: sends what is queued.
    fn flush(&mut self);
}

/// One event, as it is passed to the outputs.
#[derive(Debug, Clone, Copy)]
pub struct Event<'a> {
    /// Its id.
    pub id: EventId,
    /// Its record: CPU, time of the trace clock, bytes.
    pub record: Record<'a>,
    /// When it occurred in the time of day, and which task was running.
    pub moment: Moment<'a>,
}

/// All outputs of one run.
#[derive(Default)]
pub struct Outputs {
    /// One typed stream for each form of messages.
    pub streams: Vec<Stream>,
    /// Typed messages as lines.
    pub lines: Option<Lines>,
    /// The kernel's own text, as messages, as lines, or both.
    pub text: Option<Text>,
    /// The kernel's own text, in addition to the messages of the streams.
    pub words: Option<TextMessages>,
    /// Hits, in addition to the messages of the streams.
    pub hits: Option<Hits>,
    /// Each event as numbers from 0 to 1, tick by tick.
    pub signals: Option<Signals>,
    /// Messages defined by a map.
    pub mapped: Option<Mapped>,
    /// Latencies between events, in addition to the messages of the streams.
    pub latencies: Option<Latencies>,
    /// Hits as MIDI.
    pub midi: Option<Midi>,
    /// The counts at the last `/ftrace/stat`, by stream.
    last_sent: Vec<(u64, u64)>,
}

impl Output for Outputs {
    fn add(&mut self, format: &Arc<EventFormat>, kernel: &Kernel) {
        self.streams.iter_mut().for_each(|stream| Output::add(stream, format, kernel));
        self.lines.iter_mut().for_each(|lines| lines.add(format, kernel));
        self.text.iter_mut().for_each(|text| text.add(format, kernel));
        self.words.iter_mut().for_each(|words| words.add(format, kernel));
        self.hits.iter_mut().for_each(|hits| hits.add(format, kernel));
        self.signals.iter_mut().for_each(|signals| signals.add(format, &self.streams));
        self.mapped.iter_mut().for_each(|mapped| mapped.add(format, kernel));
    }

    // The event is passed by value: a reference to a function that is not inlined would force it into memory, used or
    // not.
    #[inline(always)]
    fn event<E: ByteOrder>(&mut self, event: &Event<'_>) -> Result<(), EncodeError> {
        if let Some(lines) = &mut self.lines {
            lines.event::<E>(*event)?;
        }
        for stream in &mut self.streams {
            Output::event::<E>(stream, event)?;
        }
        if let Some(text) = &mut self.text {
            text.event::<E>(*event);
        }
        if let Some(words) = &mut self.words {
            words.event::<E>(*event, &mut self.streams);
        }
        if let Some(latencies) = &mut self.latencies {
            latencies.event::<E>(*event, (&mut self.streams, self.lines.as_mut()));
        }
        if let Some(mapped) = &mut self.mapped {
            mapped.event::<E>(event)?;
        }
        if let Some(signals) = &mut self.signals {
            signals.event::<E>(*event, (&mut self.streams, self.lines.as_mut()));
        }
        if let Some(hits) = &mut self.hits {
            hits.event::<E>(*event, (&mut self.streams, self.lines.as_mut(), self.mapped.as_mut(), self.midi.as_mut()));
        }
        Ok(())
    }

    #[cold]
    fn unknown<E: ByteOrder>(&mut self, event: &Event<'_>, kernel: &Kernel) {
        if let Some(text) = &mut self.text {
            text.unknown::<E>(*event, kernel);
        }
    }

    fn flush(&mut self) {
        self.streams.iter_mut().for_each(Output::flush);
        self.lines.iter_mut().for_each(Lines::flush);
        self.text.iter_mut().for_each(Text::flush);
        self.mapped.iter_mut().for_each(Output::flush);
    }
}

/// An option or a map does not fit the events.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckError {
    /// A field to be aggregated.
    #[error(transparent)]
    Aggregate(#[from] AggregateError),
    /// A map.
    #[error(transparent)]
    Map(#[from] Mistake),
    /// Two events between which the time is measured.
    #[error(transparent)]
    Pair(#[from] PairError),
}

/// The loop's counts for a window; [`Stat`] adds those of a single stream.
#[derive(Debug, Clone, Copy, Default)]
pub struct Window {
    /// Events read.
    pub read: u64,
    /// Events the kernel lost.
    pub kernel_lost: u64,
    /// Records that do not match their format.
    pub malformed: u64,
    /// Length, s.
    pub seconds: f32,
}

impl Outputs {
    /// Announces the start, at `began_ns`, to all receivers; `now` is the time of day, ns since 1970.
    pub fn start(&mut self, host: &str, cpus: usize, began_ns: u64, now: u64) {
        self.streams.iter_mut().for_each(|stream| stream.start(host, cpus, began_ns, now));
        self.text.iter_mut().for_each(Text::start);
        if let Some(hits) = &mut self.hits {
            hits.start(cpus, now, &mut self.streams);
        }
    }

    /// Sends to all receivers of typed messages which clock the stream follows, and its error; `now` is the time of
    /// day of the messages around it, ns since 1970.
    pub fn clock(&mut self, now: u64) {
        let (followed, kernel) = (wall::followed(), KernelClock::now());
        for stream in &mut self.streams {
            let message = clock::clock(&stream.messages().options().prefix, followed.as_ref(), kernel.as_ref());
            stream.about_at(message, now);
        }
    }

    /// Sets the most messages a second for every receiver from now on; `None`: no limit.
    pub fn set_max_rate(&mut self, max_rate: Option<u32>) {
        self.streams.iter_mut().for_each(|stream| stream.set_max_rate(max_rate));
        self.text.iter_mut().for_each(|text| text.set_max_rate(max_rate));
        self.mapped.iter_mut().for_each(|mapped| mapped.set_max_rate(max_rate));
    }

    /// Sends aggregates instead of events from now on; `None`: events. The pipeline must
    /// [add](crate::pipeline::Pipeline::add_again) all events again.
    pub fn set_aggregate(&mut self, options: Option<&AggregateOptions>) {
        self.streams.iter_mut().for_each(|stream| stream.set_aggregate(options.cloned()));
        self.lines.iter_mut().for_each(|lines| lines.set_aggregate(options.cloned()));
    }

    /// Sends enums and flags as names or as numbers. The pipeline must [add](crate::pipeline::Pipeline::add_again)
    /// all events again.
    pub fn set_names(&mut self, names: bool) {
        self.streams.iter_mut().for_each(|stream| stream.set_names(names));
        self.lines.iter_mut().for_each(|lines| lines.set_names(names));
    }

    /// Writes buffered lines, before another run's outputs print theirs.
    pub(crate) fn flush_lines(&mut self) {
        self.lines.iter_mut().for_each(Lines::flush);
        self.text.iter_mut().for_each(Text::flush_lines);
        self.mapped.iter_mut().for_each(Mapped::flush_lines);
    }

    /// Checks the options and the map against the events: `known` are the names of all of them, `traced` those that
    /// may occur.
    ///
    /// # Errors
    /// The first field or pattern that matches nothing.
    pub fn check(&self, known: &[EventName], traced: &[EventFormat]) -> Result<(), CheckError> {
        self.streams.iter().try_for_each(|stream| stream.check(traced))?;
        self.lines.iter().try_for_each(|lines| lines.check(traced))?;
        self.mapped.iter().try_for_each(|mapped| mapped.map().check(known, traced))?;
        Ok(())
    }

    /// Binds pairs of events to the events that may occur.
    ///
    /// # Errors
    /// An event of a pair is not traced, or lacks the field that it is paired by.
    pub fn pair(&mut self, traced: &[EventFormat]) -> Result<(), CheckError> {
        self.latencies.iter_mut().try_for_each(|latencies| latencies.bind(traced))?;
        self.mapped.iter_mut().try_for_each(|mapped| mapped.bind(traced))?;
        Ok(())
    }

    /// When there is next something to send without an event, ns since 1970.
    pub fn due(&self) -> Option<u64> {
        self.streams.iter().filter_map(Stream::due).chain(self.due_exactly()).min()
    }

    /// The same, without what may be late by a rest: announcements that are repeated.
    pub fn due_exactly(&self) -> Option<u64> {
        let midi = self.midi.as_ref().and_then(Midi::due);
        let signals = self.signals.as_ref().and_then(Signals::due);
        let latencies = self.latencies.as_ref().and_then(Latencies::due);
        let hits = self.hits.as_ref().and_then(Hits::due);
        self.streams
            .iter()
            .filter_map(Stream::due_exactly)
            .chain(hits)
            .chain(signals)
            .chain(latencies)
            .chain(midi)
            .chain(self.lines.as_ref().and_then(Lines::due))
            .min()
    }

    /// Sends the aggregates, hits and signals that are due at `now`, on the clock by which events are played.
    pub fn tick(&mut self, now: u64) {
        self.streams.iter_mut().for_each(|stream| stream.tick(now));
        self.lines.iter_mut().for_each(|lines| lines.tick(now));
        if let Some(latencies) = &mut self.latencies {
            latencies.tick(now, (&mut self.streams, self.lines.as_mut()));
        }
        if let Some(hits) = &mut self.hits {
            hits.tick(now, (&mut self.streams, self.lines.as_mut(), self.mapped.as_mut(), self.midi.as_mut()));
        }
        self.midi.iter_mut().for_each(|midi| midi.tick(now));
        if let Some(signals) = &mut self.signals {
            signals.tick(now, (&mut self.streams, self.lines.as_mut()));
        }
    }

    /// Announces the addresses that are due at `now`, ns since 1970.
    pub fn announce(&mut self, now: u64) {
        self.streams.iter_mut().for_each(|stream| stream.announce(now));
        if let Some(hits) = &mut self.hits {
            hits.announce(now, &mut self.streams);
        }
        if let Some(signals) = &mut self.signals {
            signals.announce(now, &mut self.streams);
        }
    }

    /// Messages sent and left out so far, by stream.
    pub fn stream_counts(&self) -> impl Iterator<Item = (u64, u64)> {
        self.streams.iter().map(|stream| (stream.counts().sent, stream.thinned()))
    }

    /// Sends the statistics of the last window to all receivers. `counts` are the
    /// [`stream_counts`](Outputs::stream_counts), including those of other readers' streams; `drops` are those of
    /// each stream's receivers.
    pub fn stat(&mut self, window: &Window, counts: &[(u64, u64)], drops: impl Fn(&Stream) -> u64) {
        self.last_sent.resize(self.streams.len(), (0, 0));
        for ((stream, last), &(sent, thinned)) in self.streams.iter_mut().zip(&mut self.last_sent).zip(counts) {
            let stat = Stat {
                read: window.read,
                sent: sent.saturating_sub(last.0),
                thinned: thinned.saturating_sub(last.1),
                kernel_lost: window.kernel_lost,
                malformed: window.malformed,
                receiver_drops: drops(stream),
                window_s: window.seconds,
            };
            *last = (sent, thinned);
            stream.stat(&stat);
        }
    }

    /// Announces the end to all receivers and sends what is queued.
    pub fn stop(&mut self) {
        if let Some(hits) = &mut self.hits {
            hits.stop((&mut self.streams, self.lines.as_mut(), self.mapped.as_mut(), self.midi.as_mut()));
        }
        if let Some(signals) = &mut self.signals {
            signals.stop((&mut self.streams, self.lines.as_mut()));
        }
        if let Some(latencies) = &mut self.latencies {
            latencies.stop((&mut self.streams, self.lines.as_mut()));
        }
        self.streams.iter_mut().for_each(Stream::stop);
        self.lines.iter_mut().for_each(Lines::stop);
        self.text.iter_mut().for_each(Text::stop);
        self.midi.iter_mut().for_each(Midi::finish);
        self.mapped.iter_mut().for_each(Output::flush);
    }

    /// The targets of datagrams.
    pub fn targets(&self) -> impl Iterator<Item = SocketAddr> {
        let text = self.text.iter().flat_map(Text::transports);
        let mapped = self.mapped.iter().flat_map(Mapped::transports);
        self.streams.iter().flat_map(Stream::transports).chain(text).chain(mapped).filter_map(Transport::target)
    }

    /// The transports to all receivers.
    pub(crate) fn transports_mut(&mut self) -> impl Iterator<Item = &mut Transport> {
        let text = self.text.iter_mut().flat_map(|text| text.transports_mut());
        let mapped = self.mapped.iter_mut().flat_map(|mapped| mapped.transports_mut());
        self.streams.iter_mut().flat_map(|stream| stream.transports_mut()).chain(text).chain(mapped)
    }

    /// The counts of everything sent, over all receivers.
    pub fn counts(&self) -> SendCounts {
        let text = self.text.iter().map(Text::counts).chain(self.mapped.iter().map(Mapped::counts));
        self.streams.iter().map(Stream::counts).chain(text).fold(SendCounts::default(), SendCounts::add)
    }

    /// Events left out because of rate caps, over all streams.
    pub fn thinned(&self) -> u64 {
        self.streams.iter().map(Stream::thinned).sum::<u64>()
            + self.text.iter().map(Text::thinned).sum::<u64>()
            + self.mapped.as_ref().map_or(0, Mapped::thinned)
    }

    /// Messages that were too long for a datagram, over all streams.
    pub fn too_long(&self) -> u64 {
        self.streams.iter().map(Stream::too_long).sum::<u64>()
            + self.text.iter().map(Text::too_long).sum::<u64>()
            + self.mapped.as_ref().map_or(0, Mapped::too_long)
    }

    /// Whether an output has the kernel's own text.
    pub fn has_text(&self) -> bool {
        self.text.is_some() || self.words.is_some()
    }

    /// Whether an output prints the names of numbers, so that they must be known.
    pub fn says_names(&self) -> bool {
        self.has_text()
            || self.streams.iter().any(|stream| stream.messages().options().names)
            || self.lines.as_ref().is_some_and(Lines::says_names)
    }

    /// Whether there may be options about single events, which [`check`](Outputs::check) looks at. Lines of events have none.
    pub(crate) fn names_events(&self) -> bool {
        let sums = self.lines.as_ref().is_some_and(Lines::aggregates);
        !self.streams.is_empty() || self.mapped.is_some() || sums
    }

    /// Whether lines are written to standard output.
    pub fn prints(&self) -> bool {
        self.lines.is_some() || self.text.as_ref().is_some_and(Text::prints)
    }

    /// Events for which a terminal got no line.
    pub fn not_shown(&self) -> u64 {
        self.lines.as_ref().map_or(0, Lines::not_shown) + self.text.as_ref().map_or(0, Text::not_shown)
    }

    /// Why lines cannot be written any more: `BrokenPipe` if their reader has closed the pipe. The run then ends.
    pub fn failure(&self) -> Option<io::ErrorKind> {
        let lines = self.lines.as_ref().and_then(Lines::failure).or(self.text.as_ref().and_then(Text::failure));
        lines.or(self.mapped.as_ref().and_then(Mapped::failure))
    }

    /// Whether all lines and notes could be written to standard output, a file or a port.
    pub fn is_whole(&self) -> bool {
        self.failure().is_none() && self.midi.as_ref().is_none_or(|midi| midi.failure().is_none())
    }
}
