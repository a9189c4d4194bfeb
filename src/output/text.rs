//! The kernel's own text of events: as `/ftrace ,dsii` messages, as lines on standard output, or both.

use std::collections::BTreeSet;
use std::io::{self, BufWriter, Write};
use std::sync::Arc;

use byteorder::ByteOrder;

use super::Event;
use super::calm::Turns;
use super::kernel_text::KernelText;
use crate::format::EventFormat;
use crate::names::Kernel;
use crate::osc::text_stream::TextStream;
use crate::osc::thin::Thinner;
use crate::osc::transport::{SendCounts, Transport};
use crate::render::Settings;

/// Bytes of lines buffered before they are written.
const BUFFER: usize = 1 << 16;

/// Formats the text and sends or prints it.
pub struct Text {
    text: KernelText,
    live: bool,
    stream: Option<(TextStream, Option<Thinner>)>,
    /// Lines left out because of earlier rate caps.
    thinned_before: u64,
    lines: Option<BufWriter<Box<dyn Write + Send>>>,
    /// Decides which events get a line on a terminal.
    turns: Option<Turns>,
    failed: Option<io::ErrorKind>,
    scratch: Vec<u8>,
    first_ns: Option<u64>,
}

impl Text {
    /// Text with these settings. `live`: task names come with the events, not from a capture.
    pub fn new(settings: Settings, live: bool) -> Text {
        Text {
            text: KernelText::new(settings),
            live,
            stream: None,
            thinned_before: 0,
            lines: None,
            turns: None,
            failed: None,
            scratch: Vec::with_capacity(BUFFER),
            first_ns: None,
        }
    }

    /// Sends the text to `stream`, at most `max_rate` messages a second.
    pub fn to_stream(mut self, stream: TextStream, max_rate: Option<u32>) -> Text {
        self.stream = Some((stream, max_rate.map(Thinner::new)));
        self
    }

    /// Prints the kernel's lines to `out`.
    pub fn to_lines(mut self, out: Box<dyn Write + Send>) -> Text {
        self.lines = Some(BufWriter::with_capacity(BUFFER, out));
        self
    }

    /// The same on a terminal, about `max_rate` lines a second.
    pub fn calm(mut self, max_rate: Option<u32>) -> Text {
        self.turns = max_rate.map(Turns::new);
        self
    }

    /// Whether another writer can continue in the middle: not if one line waits for another, as with the graph
    /// tracer.
    pub(crate) fn goes_on(&self) -> bool {
        self.turns.is_none() && !self.live && self.stream.is_none() && !self.text.settings().is_graph()
    }

    /// Whether a line depends on the events before it.
    pub(crate) fn depends_on_before(&self) -> bool {
        let settings = self.text.settings();
        settings.overrun || settings.release.is_none()
    }

    /// Continues after a record of an unknown event.
    pub(crate) fn begin(&mut self, kernel: &Kernel) {
        self.text.begin(None, kernel);
    }

    /// Continues after `lines` lines that another writer printed for these CPUs.
    pub(crate) fn go_on(&mut self, cpus: &BTreeSet<u32>, lines: u64) {
        if let Some((text, _)) = self.text.parts() {
            text.go_on(cpus, lines);
        }
    }

    pub(crate) fn not_shown(&self) -> u64 {
        self.turns.as_ref().map_or(0, Turns::passed)
    }

    pub(crate) fn add(&mut self, format: &Arc<EventFormat>, kernel: &Kernel) {
        self.text.add(format, kernel);
    }

    /// A record of an event that `kernel` does not know any more, such as that of an unloaded module.
    #[cold]
    pub(crate) fn unknown<E: ByteOrder>(&mut self, event: Event<'_>, kernel: &Kernel) {
        self.text.begin(None, kernel);
        self.event::<E>(event);
    }

    #[inline(never)]
    pub(crate) fn event<E: ByteOrder>(&mut self, event: Event<'_>) {
        let Some((text, names)) = self.text.of(event.id) else { return };
        let moment = &event.moment;
        if self.live {
            let comm = moment.comm.as_str().as_bytes();
            if moment.pid != 0 && names.comms.get(moment.pid) != Some(comm) {
                names.comms.insert(moment.pid, comm);
            }
        }
        let turn = self.turns.as_mut().is_none_or(|turns| turns.admit(event.id.index(), moment.play_ns));
        if let Some(lines) = self.lines.as_mut().filter(|_| turn) {
            self.scratch.clear();
            text.write::<E>(&mut self.scratch, &event.record, names);
            let written = lines.write_all(&self.scratch);
            self.failed = self.failed.or(written.err().map(|error| error.kind()));
        }
        if let Some((stream, thinner)) = &mut self.stream {
            if let Some(thinner) = thinner
                && !thinner.admit(event.id.index(), moment.play_ns)
            {
                return;
            }
            self.scratch.clear();
            text.write_text::<E>(&mut self.scratch, &event.record, names);
            let first = *self.first_ns.get_or_insert(event.record.time);
            let micros = event.record.time.saturating_sub(first) as f64 / 1000.0;
            stream.event(micros, &self.scratch, moment.pid, moment.cpu);
        }
    }

    pub(crate) fn start(&mut self) {
        if let Some((stream, _)) = &mut self.stream {
            stream.start();
        }
    }

    pub(crate) fn flush(&mut self) {
        if let Some((stream, _)) = &mut self.stream {
            stream.flush();
        }
        if let Some(lines) = &mut self.lines {
            // Live, lines are flushed at once; a file need not be.
            let flushed = if self.live { lines.flush() } else { Ok(()) };
            self.failed = self.failed.or(flushed.err().map(|error| error.kind()));
        }
    }

    /// Writes buffered lines, before another writer's.
    pub(super) fn flush_lines(&mut self) {
        let flushed = self.lines.as_mut().map_or(Ok(()), |lines| lines.flush());
        self.failed = self.failed.or(flushed.err().map(|error| error.kind()));
    }

    pub(crate) fn stop(&mut self) {
        if let (Some((text, names)), Some(lines)) = (self.text.parts(), &mut self.lines) {
            self.scratch.clear();
            text.finish(&mut self.scratch, names);
            let written = lines.write_all(&self.scratch).and_then(|()| lines.flush());
            self.failed = self.failed.or(written.err().map(|error| error.kind()));
        }
        self.flush();
    }

    pub(crate) fn transports(&self) -> &[Transport] {
        self.stream.as_ref().map_or(&[], |(stream, _)| stream.transports())
    }

    pub(crate) fn transports_mut(&mut self) -> &mut [Transport] {
        self.stream.as_mut().map_or(&mut [], |(stream, _)| stream.transports_mut())
    }

    pub(crate) fn counts(&self) -> SendCounts {
        self.stream.as_ref().map_or(SendCounts::default(), |(stream, _)| stream.counts())
    }

    pub(super) fn set_max_rate(&mut self, max_rate: Option<u32>) {
        self.thinned_before = self.thinned();
        self.stream.iter_mut().for_each(|(_, thinner)| *thinner = max_rate.map(Thinner::new));
    }

    pub(crate) fn thinned(&self) -> u64 {
        let now = self.stream.as_ref().and_then(|(_, thinner)| thinner.as_ref()).map_or(0, Thinner::thinned);
        self.thinned_before + now
    }

    pub(crate) fn too_long(&self) -> u64 {
        self.stream.as_ref().map_or(0, |(stream, _)| stream.too_long())
    }

    pub(crate) fn prints(&self) -> bool {
        self.lines.is_some()
    }

    pub(crate) fn failure(&self) -> Option<io::ErrorKind> {
        self.failed
    }
}
