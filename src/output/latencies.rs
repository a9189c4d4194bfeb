//! The time from one event to another, as numbers for each window: `--aggregate-latency BEGIN..END`.

use std::time::Duration;

use byteorder::ByteOrder;
use hdrhistogram::Histogram;
use rosc::{OscMessage, OscType};

use super::{Event, Lines};
use crate::capture::latency::{Pair, PairError, Pairing};
use crate::format::EventFormat;
use crate::osc::address_part;
use crate::osc::plan::AGGREGATE;
use crate::osc::stream::Stream;

/// Windows in a row that are sent late after time has jumped; more are skipped.
const MAX_CATCH_UP: u64 = 100;

/// The arguments.
const NAMES: [&str; 4] = ["count", "p50", "p99", "max"];

/// Where they go.
pub(super) type To<'a> = (&'a mut [Stream], Option<&'a mut Lines>);

/// The pairs of events, and the current window.
pub struct Latencies {
    window: u64,
    pairs: Vec<Lengths>,
    /// The end of the current window, ns since 1970; none before the first event or tick.
    end: Option<u64>,
}

struct Lengths {
    pair: Pair,
    /// The end of its address.
    name: String,
    /// Set once the events are known.
    pairing: Option<Pairing>,
    /// The latencies in this window, ns.
    lengths: Histogram<u64>,
    longest: u64,
}

impl Latencies {
    /// Computes numbers of these pairs for each `window`.
    pub fn new(window: Duration, pairs: Vec<Pair>) -> Latencies {
        let lengths = |pair: Pair| Lengths {
            name: pair.to_string().split("..").map(address_part).collect::<Vec<_>>().join(".."),
            pair,
            pairing: None,
            lengths: Histogram::new(3).unwrap_or_else(|_| unreachable!("three digits are within 0 to 5")),
            longest: 0,
        };
        Latencies { window: window.as_nanos() as u64, pairs: pairs.into_iter().map(lengths).collect(), end: None }
    }

    /// Binds the pairs to the events that may occur.
    ///
    /// # Errors
    /// An event of a pair is not traced, or lacks a field.
    pub(super) fn bind(&mut self, traced: &[EventFormat]) -> Result<(), PairError> {
        self.pairs.iter_mut().try_for_each(|lengths| {
            lengths.pairing = Some(Pairing::of(&lengths.pair, traced)?);
            Ok(())
        })
    }

    #[inline(never)]
    pub(super) fn event<E: ByteOrder>(&mut self, event: Event<'_>, to: To<'_>) {
        self.tick(event.moment.play_ns, to);
        for lengths in &mut self.pairs {
            let Some(pairing) = &mut lengths.pairing else { continue };
            if let Some(ns) = pairing.take::<E>(&event.record, event.moment.comm.as_str().as_bytes()) {
                // A histogram that grows by itself accepts every number.
                let _ = lengths.lengths.record(ns);
                lengths.longest = lengths.longest.max(ns);
            }
        }
    }

    /// The end of the current window, ns since 1970.
    pub(super) fn due(&self) -> Option<u64> {
        self.end
    }

    /// Sends the numbers of all windows that ended by `now`.
    pub(super) fn tick(&mut self, now: u64, (streams, mut lines): To<'_>) {
        let mut end = *self.end.get_or_insert(now.saturating_add(self.window));
        for _ in 0..MAX_CATCH_UP {
            if now < end {
                break;
            }
            self.close(now, streams, &mut lines);
            end = end.saturating_add(self.window);
        }
        if now >= end {
            // The clock was set, or the machine was suspended.
            end = now.saturating_add(self.window);
        }
        self.end = Some(end);
    }

    /// Sends the numbers of the last window, however short it is.
    pub(super) fn stop(&mut self, (streams, mut lines): To<'_>) {
        if let Some(end) = self.end.take() {
            self.close(end, streams, &mut lines);
        }
    }

    fn close(&mut self, now: u64, streams: &mut [Stream], lines: &mut Option<&mut Lines>) {
        for Lengths { name, lengths, longest, .. } in &mut self.pairs {
            let of = |quantile| lengths.value_at_quantile(quantile).min(*longest);
            let ms = [of(0.5), of(0.99), *longest].map(|ns| OscType::Float((ns as f64 / 1e6) as f32));
            let count = OscType::Int(i32::try_from(lengths.len()).unwrap_or(i32::MAX));
            let message = |prefix: &str| {
                let addr = format!("{prefix}/{AGGREGATE}/latency/{name}");
                OscMessage { addr, args: [count.clone()].into_iter().chain(ms.clone()).collect() }
            };
            for stream in &mut *streams {
                let message = message(&stream.messages().options().prefix);
                stream.about_at(message, now);
            }
            if let Some(lines) = lines {
                let message = message(lines.prefix());
                lines.encode(message, &NAMES, now);
            }
            lengths.reset();
            *longest = 0;
        }
    }
}
