//! Messages defined by a [`Map`], made from events and hits, in datagrams or as lines.

use std::collections::HashMap;
use std::io::{self, BufWriter, Write};
use std::sync::Arc;

use byteorder::ByteOrder;

use super::{Event, Output};
use crate::capture::latency::{PairError, Pairing};
use crate::format::{EventFormat, EventId};
use crate::map::{HitPlan, Map, Mapping, RecordPlan};
use crate::names::Kernel;
use crate::osc::EncodeError;
use crate::osc::datagram::{MAX_MTU, Packer, Tag};
use crate::osc::message::Message;
use crate::osc::print::Form;
use crate::osc::thin::Thinner;
use crate::osc::timetag;
use crate::osc::transport::{SendCounts, Transport};
use crate::sound::Hit;

/// Sends the messages that a map makes from events and hits.
pub struct Mapped {
    map: Arc<Map>,
    records: Vec<Vec<RecordPlan>>,
    /// By `system:event`.
    hits: HashMap<String, Vec<HitPlan>>,
    /// The pairs of events whose latencies the map uses, and the last latency of each, ms.
    pairs: Vec<Pairing>,
    lengths: Vec<f64>,
    packer: Packer,
    thinner: Option<Thinner>,
    thinned_before: u64,
    transports: Vec<Transport>,
    lines: Option<(Form, BufWriter<Box<dyn Write + Send>>)>,
    failed: Option<io::ErrorKind>,
    /// Buffer for a message that is printed as well.
    message: Vec<u8>,
    too_long: u64,
}

impl Mapped {
    /// Messages of `map` in datagrams of at most `mtu` bytes, at most `max_rate` a second.
    pub fn new(map: Arc<Map>, mtu: usize, tag: Tag, max_rate: Option<u32>, transports: Vec<Transport>) -> Mapped {
        Mapped {
            map,
            records: vec![],
            hits: HashMap::new(),
            pairs: vec![],
            lengths: vec![],
            packer: Packer::new(mtu, tag),
            thinner: max_rate.map(Thinner::new),
            thinned_before: 0,
            transports,
            lines: None,
            failed: None,
            message: vec![0; MAX_MTU],
            too_long: 0,
        }
    }

    /// The same, with each message printed as a line of this form.
    pub fn to_lines(mut self, form: Form, out: Box<dyn Write + Send>) -> Mapped {
        self.lines = Some((form, BufWriter::with_capacity(1 << 16, out)));
        self
    }

    /// Binds the map's event pairs to the events that may occur.
    pub(super) fn bind(&mut self, traced: &[EventFormat]) -> Result<(), PairError> {
        let pairs = self.map.pairs();
        self.lengths = vec![0.0; pairs.len()];
        self.pairs = pairs.into_iter().map(|pair| Pairing::of(pair, traced)).collect::<Result<_, _>>()?;
        Ok(())
    }

    #[cold]
    fn measure<E: ByteOrder>(&mut self, event: &Event<'_>) {
        for (pair, length) in self.pairs.iter_mut().zip(&mut self.lengths) {
            if let Some(ns) = pair.take::<E>(&event.record, event.moment.comm.as_str().as_bytes()) {
                *length = ns as f64 / 1e6;
            }
        }
    }

    /// The map.
    pub fn map(&self) -> &Arc<Map> {
        &self.map
    }

    /// Sends the messages for a hit of the event `name`.
    pub(super) fn hit(&mut self, hit: &Hit, name: &str) {
        let Mapped { hits, packer, transports, lines, failed, message, too_long, .. } = self;
        let Some(plans) = hits.get_mut(name) else { return };
        for plan in plans.iter_mut().filter(|plan| plan.takes(hit.form)) {
            if let Ok(len) = plan.encode(hit, message) {
                let packed = packer.push(hit.time_ns, |room| {
                    room.get_mut(..len).ok_or(EncodeError::Full)?.copy_from_slice(&message[..len]);
                    Ok(len)
                });
                *too_long += u64::from(packed.is_err());
                print(lines, failed, &message[..len], hit.time_ns);
                send_if_full(packer, transports);
            }
        }
    }

    fn send(&mut self) {
        send(&mut self.packer, &mut self.transports);
    }

    pub(super) fn set_max_rate(&mut self, max_rate: Option<u32>) {
        self.thinned_before = self.thinned();
        self.thinner = max_rate.map(Thinner::new);
    }

    pub(super) fn transports(&self) -> &[Transport] {
        &self.transports
    }

    pub(super) fn transports_mut(&mut self) -> &mut [Transport] {
        &mut self.transports
    }

    pub(super) fn counts(&self) -> SendCounts {
        self.transports.iter().fold(SendCounts::default(), |sum, transport| sum + transport.counts())
    }

    pub(super) fn thinned(&self) -> u64 {
        self.thinned_before + self.thinner.as_ref().map_or(0, Thinner::thinned)
    }

    pub(super) fn too_long(&self) -> u64 {
        self.too_long
    }

    pub(super) fn failure(&self) -> Option<io::ErrorKind> {
        self.failed
    }
}

impl Output for Mapped {
    fn add(&mut self, format: &Arc<EventFormat>, _: &Kernel) {
        let mapping = Mapping::compile(self.map.messages.iter().map(|message| &**message), format);
        let index = format.id.index();
        if self.records.len() <= index {
            self.records.resize_with(index + 1, Vec::new);
        }
        self.records[index] = mapping.records;
        if !mapping.hits.is_empty() {
            self.hits.insert(format.full_name(), mapping.hits);
        }
    }

    #[inline(always)]
    fn event<E: ByteOrder>(&mut self, event: &Event<'_>) -> Result<(), EncodeError> {
        if !self.pairs.is_empty() {
            self.measure::<E>(event);
        }
        match self.records.get(event.id.index()) {
            Some(plans) if !plans.is_empty() => self.messages::<E>(event.id, *event),
            _ => Ok(()),
        }
    }

    fn flush(&mut self) {
        self.send();
        self.flush_lines();
    }
}

impl Mapped {
    /// Writes buffered lines.
    pub(super) fn flush_lines(&mut self) {
        if let Some((_, lines)) = &mut self.lines {
            self.failed = self.failed.or(lines.flush().err().map(|error| error.kind()));
        }
    }

    #[inline(always)]
    fn messages<E: ByteOrder>(&mut self, id: EventId, event: Event<'_>) -> Result<(), EncodeError> {
        let moment = &event.moment;
        if self.thinner.as_mut().is_some_and(|thinner| !thinner.admit(id.index(), moment.play_ns)) {
            return Ok(());
        }
        let Mapped { records, lengths, packer, transports, lines, failed, message, too_long, .. } = self;
        for plan in records.get_mut(id.index()).into_iter().flatten() {
            let packed = if lines.is_some() {
                let len = plan.encode::<E>(event.record.bytes, (moment, lengths), message)?;
                print(lines, failed, &message[..len], moment.play_ns);
                packer.push(moment.play_ns, |room| {
                    room.get_mut(..len).ok_or(EncodeError::Full)?.copy_from_slice(&message[..len]);
                    Ok(len)
                })
            } else {
                packer.push(moment.play_ns, |room| plan.encode::<E>(event.record.bytes, (moment, lengths), room))
            };
            match packed {
                Err(EncodeError::Full) => *too_long += 1,
                done => done?,
            }
            send_if_full(packer, transports);
        }
        Ok(())
    }
}

fn send(packer: &mut Packer, transports: &mut [Transport]) {
    let datagrams = packer.take();
    for transport in transports {
        transport.send(datagrams.clone());
    }
}

/// Called after each message: a full packer takes no other.
fn send_if_full(packer: &mut Packer, transports: &mut [Transport]) {
    if packer.is_full() {
        send(packer, transports);
    }
}

/// Prints a message, if messages are printed.
fn print(
    lines: &mut Option<(Form, BufWriter<Box<dyn Write + Send>>)>,
    failed: &mut Option<io::ErrorKind>,
    message: &[u8],
    play_ns: u64,
) {
    let Some((form, lines)) = lines else { return };
    let written = form.write(lines, &Message::read(message), Some(timetag::osc_time(play_ns)), &[]);
    *failed = failed.or(written.err().map(|error| error.kind()));
}
