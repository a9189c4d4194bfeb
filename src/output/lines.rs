//! Prints typed messages as lines on standard output, in the format of `listen`.

use std::io::{self, BufWriter, Write};

use byteorder::ByteOrder;
use rosc::{OscMessage, OscPacket};

use super::Event;
use super::calm::Calm;
use crate::format::EventFormat;
use crate::names::Kernel;
use crate::osc::aggregate::{self, AggregateError, AggregateOptions, Aggregator};
use crate::osc::message::Message;
use crate::osc::print::Form;
use crate::osc::signal::SignalMessage;
use crate::osc::stream::Messages;
use crate::osc::{EncodeError, MessageOptions};
use crate::sound::Signal;

/// Prints typed messages as lines on standard output, in the format of `listen`.
pub struct Lines {
    messages: Messages,
    form: Form,
    out: BufWriter<Box<dyn Write + Send>>,
    message: Vec<u8>,
    /// Argument names, by event id.
    names: Vec<Vec<String>>,
    /// Prints lines for people instead.
    calm: Option<Calm>,
    /// Whether signals are printed, not events.
    silent: bool,
    aggregator: Option<Aggregator>,
    /// Whether hits are printed, in addition to the events.
    hits: bool,
    failed: Option<io::ErrorKind>,
}

/// The longest message printed; a sub-buffer cannot hold a longer one.
const LONGEST: usize = 1 << 17;

impl Lines {
    /// Messages with these `options`, each a line of this form, to `out`.
    pub fn new(options: MessageOptions, form: Form, out: Box<dyn Write + Send>) -> Lines {
        let (message, names) = (vec![0; LONGEST], vec![]);
        Lines {
            messages: Messages::new(options),
            form,
            out: BufWriter::with_capacity(1 << 16, out),
            message,
            names,
            calm: None,
            silent: false,
            aggregator: None,
            hits: false,
            failed: None,
        }
    }

    /// Prints hits too.
    pub fn with_hits(mut self) -> Lines {
        self.hits = true;
        self
    }

    pub(super) fn has_hits(&self) -> bool {
        self.hits
    }

    /// Prints aggregates instead of events from now on, or in addition to them; `None`: events. All events must be
    /// added again.
    pub fn set_aggregate(&mut self, options: Option<AggregateOptions>) {
        self.close_window();
        self.aggregator = options.map(|options| Aggregator::new(options, &self.messages.options().prefix));
    }

    /// Whether it prints aggregates.
    pub(crate) fn aggregates(&self) -> bool {
        self.aggregator.is_some()
    }

    /// Checks the fields to be aggregated against the traced events.
    pub(super) fn check(&self, formats: &[EventFormat]) -> Result<(), AggregateError> {
        self.aggregator.as_ref().map_or(Ok(()), |aggregator| aggregator.check(formats))
    }

    /// The same on a terminal, for people, at most `max_rate` lines a second.
    pub fn calm(mut self, max_rate: Option<u32>) -> Lines {
        self.calm = Some(Calm::new(self.messages.options(), max_rate));
        self
    }

    /// The same, with lines for signals only.
    pub fn without_events(mut self) -> Lines {
        self.silent = true;
        self
    }

    /// Whether a line depends on its event only.
    pub(crate) fn goes_on(&self) -> bool {
        self.calm.is_none() && !self.aggregates()
    }

    pub(super) fn not_shown(&self) -> u64 {
        self.calm.as_ref().map_or(0, Calm::not_shown)
    }

    pub(super) fn says_names(&self) -> bool {
        self.calm.is_some() || self.messages.options().names
    }

    pub(super) fn add(&mut self, format: &EventFormat, kernel: &Kernel) {
        if let Some(calm) = &mut self.calm {
            calm.add(format, kernel);
        }
        let schema = self.messages.add(format, kernel);
        if let Some(aggregator) = &mut self.aggregator {
            aggregator.add(format, &schema.address);
        }
        let names = schema.arguments.iter().map(|argument| argument.name.clone()).collect();
        let index = format.id.index();
        if self.names.len() <= index {
            self.names.resize_with(index + 1, Vec::new);
        }
        self.names[index] = names;
    }

    #[inline(never)]
    pub(super) fn event<E: ByteOrder>(&mut self, event: Event<'_>) -> Result<(), EncodeError> {
        if self.aggregator.is_some() {
            self.tick(event.moment.play_ns);
        }
        let events_too = self.aggregator.as_mut().is_none_or(|aggregator| {
            aggregator.event::<E>(event.id, event.record.bytes);
            aggregator.events_too()
        });
        if self.silent || !events_too {
            return Ok(());
        }
        if let Some(calm) = &mut self.calm {
            let written = calm.event::<E>(&event, &mut self.out)?;
            self.failed = self.failed.or(written.err().map(|error| error.kind()));
            return Ok(());
        }
        let Some(plan) = self.messages.plan(event.id) else { return Ok(()) };
        let head = event.moment.head(self.messages.options().types);
        let len = plan.encode::<E>(event.record.bytes, &head, &mut self.message)?;
        let message = Message::read(self.message.get(..len).unwrap_or_default());
        let names = self.names.get(event.id.index()).map_or(&[][..], Vec::as_slice);
        let time = crate::osc::timetag::osc_time(event.moment.play_ns);
        let written = self.form.write(&mut self.out, &message, Some(time), names);
        self.failed = self.failed.or(written.err().map(|error| error.kind()));
        Ok(())
    }

    /// When the current window of aggregates ends, ns since 1970.
    pub(super) fn due(&self) -> Option<u64> {
        self.aggregator.as_ref().and_then(Aggregator::due)
    }

    /// Prints the aggregates that are due at `now`.
    pub(super) fn tick(&mut self, now: u64) {
        let Some(aggregator) = &mut self.aggregator else { return };
        let mut due = Vec::new();
        aggregator.tick(now, |message| due.push(message));
        due.into_iter().for_each(|message| self.encode(message, &aggregate::NAMES, now));
    }

    /// Prints the last window of aggregates, however short it is.
    fn close_window(&mut self) {
        let Some(aggregator) = &mut self.aggregator else { return };
        let mut rest = Vec::new();
        let at = aggregator.close(&mut |message| rest.push(message));
        rest.into_iter().for_each(|message| self.encode(message, &aggregate::NAMES, at));
    }

    pub(super) fn stop(&mut self) {
        self.close_window();
        self.flush();
    }

    /// The beginning of all addresses.
    pub(super) fn prefix(&self) -> &str {
        &self.messages.options().prefix
    }

    /// Prints a message computed from events, whose arguments have these names.
    pub(super) fn encode(&mut self, message: OscMessage, names: &[&str], at_ns: u64) {
        if let Ok(bytes) = rosc::encoder::encode(&OscPacket::Message(message)) {
            self.message(&bytes, names, at_ns);
        }
    }

    /// The same, encoded.
    pub(super) fn message(&mut self, bytes: &[u8], names: &[&str], at_ns: u64) {
        let message = Message::read(bytes);
        let written = match &mut self.calm {
            Some(calm) => calm.message(&message, names, at_ns, &mut self.out),
            None => {
                let names: Vec<_> = names.iter().map(|&name| name.to_owned()).collect();
                self.form.write(&mut self.out, &message, Some(crate::osc::timetag::osc_time(at_ns)), &names)
            }
        };
        self.failed = self.failed.or(written.err().map(|error| error.kind()));
    }

    /// Prints the signal of the event `number` at the end of a tick.
    pub(super) fn signal(&mut self, number: u16, end_ns: u64, message: &mut SignalMessage, signal: Signal) {
        let written = match &mut self.calm {
            Some(calm) => calm.signal(number, end_ns, message.schema(), signal, &mut self.out),
            None => {
                let bytes = message.encode(signal).to_vec();
                let names: Vec<_> = message.schema().arguments.iter().map(|argument| argument.name.clone()).collect();
                let time = crate::osc::timetag::osc_time(end_ns);
                self.form.write(&mut self.out, &Message::read(&bytes), Some(time), &names)
            }
        };
        self.failed = self.failed.or(written.err().map(|error| error.kind()));
    }

    pub(super) fn flush(&mut self) {
        self.failed = self.failed.or(self.out.flush().err().map(|error| error.kind()));
    }

    pub(super) fn set_names(&mut self, names: bool) {
        self.messages.set_names(names);
    }

    pub(super) fn failure(&self) -> Option<io::ErrorKind> {
        self.failed
    }
}
