//! Each event as numbers from 0 to 1, every tick: [`crate::sound::Signals`] as messages of the typed streams and as
//! lines.

use std::sync::Arc;
use std::time::Duration;

use byteorder::ByteOrder;

use super::{Event, Lines};
use crate::format::EventFormat;
use crate::osc::addresses::Addresses;
use crate::osc::signal::SignalMessage;
use crate::osc::stream::Stream;
use crate::sound::{Signal, When};

/// The default tick.
pub const TICK: Duration = Duration::from_millis(20);
/// The shortest tick.
pub const MIN_TICK: Duration = Duration::from_millis(1);
/// Time between two announcements of an address, ns.
const ANNOUNCED_NS: u64 = 10_000_000_000;

/// Where signals go.
pub(super) type To<'a> = (&'a mut [Stream], Option<&'a mut Lines>);

/// Makes signals from events.
pub struct Signals {
    signals: crate::sound::Signals,
    prefix: String,
    addresses: Arc<Addresses>,
    /// By the event's number; and whether it was announced.
    messages: Vec<(SignalMessage, bool)>,
    /// When the next address is announced again, ns since 1970, and its index.
    next: (u64, usize),
}

impl Signals {
    /// Signals every `tick`, but at least [`MIN_TICK`] apart, with `prefix`. `addresses` are those of all events.
    pub fn new(tick: Duration, prefix: &str, addresses: &Arc<Addresses>) -> Signals {
        let tick = u64::try_from(tick.max(MIN_TICK).as_nanos()).unwrap_or(u64::MAX);
        Signals {
            signals: crate::sound::Signals::new(tick),
            prefix: prefix.to_owned(),
            addresses: addresses.clone(),
            messages: vec![],
            next: (0, 0),
        }
    }

    pub(super) fn add(&mut self, format: &EventFormat, streams: &[Stream]) {
        if self.signals.add(format).is_some() {
            let message = SignalMessage::new(&self.prefix, &self.addresses, &format.system, &format.name);
            hearing(streams).for_each(|stream| stream.know(message.schema()));
            self.messages.push((message, false));
        }
    }

    #[inline(never)]
    pub(super) fn event<E: ByteOrder>(&mut self, event: Event<'_>, to: To<'_>) {
        let moment = &event.moment;
        self.tick(moment.play_ns, to);
        let (event_ns, play_ns) = (moment.event_ns, moment.play_ns);
        let when = When { event_ns, play_ns, cpu: moment.cpu, pid: moment.pid };
        self.signals.event::<E>(event.id, event.record.bytes, when);
    }

    pub(super) fn due(&self) -> Option<u64> {
        self.signals.due()
    }

    pub(super) fn tick(&mut self, now: u64, (streams, mut lines): To<'_>) {
        let messages = &mut self.messages;
        self.signals.tick(now, |number, end, signal| say(messages, (number, end, signal), streams, &mut lines));
    }

    /// Announces the next address: each once in ten seconds.
    pub(super) fn announce(&mut self, now: u64, streams: &mut [Stream]) {
        let (due, at) = self.next;
        if now < due || self.messages.is_empty() {
            return;
        }
        let at = at % self.messages.len();
        self.next = (now.saturating_add(ANNOUNCED_NS / self.messages.len() as u64), at + 1);
        if let Some((message, true)) = self.messages.get(at) {
            streams.iter_mut().filter(|stream| stream.has_signals()).for_each(|stream| {
                stream.message(message.announcement(), now);
            });
        }
    }

    /// Ends signals that are still on.
    pub(super) fn stop(&mut self, (streams, mut lines): To<'_>) {
        let messages = &mut self.messages;
        self.signals.stop(&mut |number, end, signal| say(messages, (number, end, signal), streams, &mut lines));
    }
}

fn hearing(streams: &[Stream]) -> impl Iterator<Item = &Stream> {
    streams.iter().filter(|stream| stream.has_signals())
}

/// Sends a signal to all; the first of an address is announced.
fn say(
    messages: &mut [(SignalMessage, bool)],
    (number, end, signal): (u16, u64, Signal),
    streams: &mut [Stream],
    lines: &mut Option<&mut Lines>,
) {
    let Some((message, announced)) = messages.get_mut(usize::from(number)) else { return };
    for stream in streams.iter_mut().filter(|stream| stream.has_signals()) {
        if !*announced {
            stream.message(message.announcement(), end);
        }
        stream.message(message.encode(signal), end);
    }
    *announced = true;
    if let Some(lines) = lines {
        lines.signal(number, end, message, signal);
    }
}
