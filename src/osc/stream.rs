//! The typed stream to receivers of one kind: messages, the rate cap, datagrams, sockets.

use byteorder::ByteOrder;
use rosc::{OscMessage, OscPacket};

use super::about::{self, Stat};
use super::aggregate::{AggregateError, AggregateOptions, Aggregator};
use super::datagram::{Packer, Tag};
use super::plan::{EncodeError, Head, MessageOptions, MessagePlan};
use super::schema::Schema;
use super::thin::Thinner;
use super::transport::{SendCounts, Transport};
use super::types::Types;
use super::{Comm, timetag};
use crate::format::{EventFormat, EventId};
use crate::names::Kernel;

/// The messages of all events, by event id.
#[derive(Debug)]
pub struct Messages {
    options: MessageOptions,
    /// In place, not boxed: each step from a record to its operations delays what depends on them.
    plans: Vec<Option<MessagePlan>>,
    schemas: Vec<Option<Schema>>,
}

impl Messages {
    /// No events yet; messages will have the form that `options` say.
    pub fn new(options: MessageOptions) -> Messages {
        Messages { options, plans: vec![], schemas: vec![] }
    }

    /// Adds an event, or replaces the one of its id.
    pub fn add(&mut self, format: &EventFormat, kernel: &Kernel) -> &Schema {
        let index = format.id.index();
        if self.plans.len() <= index {
            self.plans.resize_with(index + 1, || None);
            self.schemas.resize_with(index + 1, || None);
        }
        let (plan, schema) = MessagePlan::compile(format, &self.options, kernel.abi, &kernel.names);
        self.plans[index] = Some(plan);
        self.schemas[index].insert(schema)
    }

    /// The plan for records marked `id`.
    #[inline(always)]
    pub fn plan(&self, id: EventId) -> Option<&MessagePlan> {
        self.plans.get(id.index())?.as_ref()
    }

    /// The signature of records marked `id`.
    pub fn schema(&self, id: EventId) -> Option<&Schema> {
        self.schemas.get(id.index())?.as_ref()
    }

    /// The signatures of all events.
    pub fn schemas(&self) -> impl Iterator<Item = &Schema> {
        self.schemas.iter().flatten()
    }

    /// The form of the messages.
    pub fn options(&self) -> &MessageOptions {
        &self.options
    }
}

/// When and where an event happened, as its message says it.
#[derive(Debug, Clone, Copy)]
pub struct Moment<'a> {
    /// When the event happened, ns since 1970: the message's `time`.
    pub event_ns: u64,
    /// When it is heard: the bundle's timetag, and the clock of the rate cap. Live, and in a replay as fast as possible,
    /// this is `event_ns`.
    pub play_ns: u64,
    /// ms since the event's last occurrence.
    pub dt: f32,
    /// The CPU.
    pub cpu: u32,
    /// The running thread.
    pub pid: i32,
    /// Its name.
    pub comm: &'a Comm,
}

impl<'a> Moment<'a> {
    /// The message's first arguments.
    #[inline(always)]
    pub fn head(&self, types: Types) -> Head<'a> {
        let time = match types {
            Types::Full | Types::Double => timetag::from_unix_ns(self.event_ns),
            Types::Portable => ((self.event_ns / 1_000_000_000) << 32) | (self.event_ns % 1_000_000_000 / 1000),
        };
        Head { time, dt: self.dt, cpu: self.cpu, pid: self.pid, comm: self.comm }
    }
}

/// What decides how a stream is sent.
#[derive(Debug, Clone, PartialEq)]
pub struct StreamOptions {
    /// The form of its messages.
    pub message: MessageOptions,
    /// The longest datagram, bytes.
    pub mtu: usize,
    /// What a bundle's timetag says.
    pub tag: Tag,
    /// Messages a second at most.
    pub max_rate: Option<u32>,
    /// Numbers per window, instead of the events or beside them.
    pub aggregate: Option<AggregateOptions>,
}

/// A stream and those who receive it.
#[derive(Debug)]
pub struct Stream {
    messages: Messages,
    packer: Packer,
    thinner: Option<Thinner>,
    aggregator: Option<Aggregator>,
    transports: Vec<Transport>,
    /// Messages too long for a datagram, and the addresses that this was said of.
    too_long: u64,
    too_long_events: Vec<EventId>,
}

impl Stream {
    /// A stream to `transports`.
    pub fn new(options: StreamOptions, transports: Vec<Transport>) -> Stream {
        Stream {
            packer: Packer::new(options.mtu, options.tag),
            thinner: options.max_rate.map(Thinner::new),
            aggregator: options.aggregate.map(|aggregate| Aggregator::new(aggregate, &options.message.prefix)),
            transports,
            too_long: 0,
            too_long_events: vec![],
            messages: Messages::new(options.message),
        }
    }

    /// The messages it sends.
    pub fn messages(&self) -> &Messages {
        &self.messages
    }

    /// Adds an event.
    pub fn add(&mut self, format: &EventFormat, kernel: &Kernel) {
        self.messages.add(format, kernel);
        if let Some(aggregator) = &mut self.aggregator {
            aggregator.add(format);
        }
    }

    /// Sends the event `id` as `record`, now or with the next flush.
    ///
    /// # Errors
    /// If the record is not what its format says. An event without a plan, or beyond the rate cap, is no error.
    #[inline(always)]
    pub fn event<E: ByteOrder>(&mut self, id: EventId, record: &[u8], moment: &Moment<'_>) -> Result<(), EncodeError> {
        if self.aggregator.is_some() && !self.aggregate::<E>(id, record, moment.play_ns) {
            return Ok(());
        }
        let Some(plan) = self.messages.plan(id) else { return Ok(()) };
        if let Some(thinner) = &mut self.thinner
            && !thinner.admit(id.index(), moment.play_ns)
        {
            return Ok(());
        }
        let head = moment.head(self.messages.options.types);
        let room = self.packer.reserve(moment.play_ns, plan.least_len());
        match plan.encode::<E>(record, &head, room).and_then(|len| Ok(self.packer.commit(len)?)) {
            Ok(()) if self.packer.is_full() => self.flush(),
            Ok(()) => {}
            Err(EncodeError::Full) => self.next_datagram::<E>(id, record, *moment)?,
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Sends an event for which there is no room left in the datagram. It takes the moment itself: one lent would have to
    /// lie in memory for every event.
    #[inline(never)]
    fn next_datagram<E: ByteOrder>(
        &mut self,
        id: EventId,
        record: &[u8],
        moment: Moment<'_>,
    ) -> Result<(), EncodeError> {
        let Some(plan) = self.messages.plan(id) else { return Ok(()) };
        let head = moment.head(self.messages.options.types);
        match self.packer.push(moment.play_ns, |room| plan.encode::<E>(record, &head, room)) {
            Err(EncodeError::Full) => self.name_too_long(id),
            done => done?,
        }
        if self.packer.is_full() {
            self.flush();
        }
        Ok(())
    }

    /// Counts the event in its window; whether it is sent itself as well.
    #[inline(never)]
    fn aggregate<E: ByteOrder>(&mut self, id: EventId, record: &[u8], now: u64) -> bool {
        self.tick(now);
        let Some(aggregator) = &mut self.aggregator else { return true };
        aggregator.event::<E>(id, record);
        aggregator.events_too()
    }

    /// Checks the fields to be aggregated against the events there are.
    pub fn check(&self, formats: &[EventFormat]) -> Result<(), AggregateError> {
        self.aggregator.as_ref().map_or(Ok(()), |aggregator| aggregator.check(formats))
    }

    /// When the stream has something to say though no event comes, ns since 1970.
    pub fn due(&self) -> Option<u64> {
        self.aggregator.as_ref().and_then(Aggregator::due)
    }

    /// Says what is due at `now`, ns since 1970 on the clock that events are played by.
    pub fn tick(&mut self, now: u64) {
        let Some(aggregator) = &mut self.aggregator else { return };
        let mut due = Vec::new();
        aggregator.tick(now, |message| due.push(message));
        for message in due {
            self.about_at(message, now);
        }
    }

    #[cold]
    #[inline(never)]
    fn name_too_long(&mut self, id: EventId) {
        self.too_long += 1;
        if !self.too_long_events.contains(&id) {
            self.too_long_events.push(id);
        }
    }

    /// Sends a message about the stream, with the next flush.
    pub fn about(&mut self, message: OscMessage) {
        self.about_at(message, timetag::unix_now_ns());
    }

    fn about_at(&mut self, message: OscMessage, unix_ns: u64) {
        let Ok(bytes) = rosc::encoder::encode(&OscPacket::Message(message)) else { return };
        if self
            .packer
            .push(unix_ns, |room| {
                room.get_mut(..bytes.len()).ok_or(EncodeError::Full)?.copy_from_slice(&bytes);
                Ok(bytes.len())
            })
            .is_err()
        {
            self.too_long += 1;
        }
        if self.packer.is_full() {
            self.flush();
        }
    }

    /// Announces every address.
    pub fn announce(&mut self) {
        let prefix = &self.messages.options.prefix;
        let schemas: Vec<_> = self.messages.schemas().map(|schema| about::schema(prefix, schema)).collect();
        for schema in schemas {
            self.about(schema);
        }
    }

    /// Announces the address of one event, in a bundle of the time `unix_ns`: that of its first message.
    pub fn announce_event(&mut self, id: EventId, unix_ns: u64) {
        if let Some(schema) = self.messages.schema(id) {
            self.about_at(about::schema(&self.messages.options.prefix, schema), unix_ns);
        }
    }

    /// Announces the beginning.
    pub fn start(&mut self, host: &str, cpus: usize, unix_ns: u64) {
        let MessageOptions { prefix, types, .. } = &self.messages.options;
        self.about(about::start(prefix, *types, host, cpus, unix_ns));
        self.announce();
    }

    /// Says what became of the stream in the last window.
    pub fn stat(&mut self, stat: &Stat) {
        self.about(about::stat(&self.messages.options.prefix, stat));
    }

    /// Announces the end and sends what is left.
    pub fn stop(&mut self) {
        self.about(about::stop(&self.messages.options.prefix));
        self.flush();
    }

    /// Sends what is packed.
    #[inline(never)]
    pub fn flush(&mut self) {
        let datagrams = self.packer.take();
        for transport in &mut self.transports {
            transport.send(datagrams.clone());
        }
    }

    /// Those who receive it.
    pub fn transports(&self) -> &[Transport] {
        &self.transports
    }

    /// What became of everything sent, over all receivers.
    pub fn counts(&self) -> SendCounts {
        self.transports.iter().fold(SendCounts::default(), |sum, transport| sum + transport.counts())
    }

    /// Events left out to keep below the rate cap.
    pub fn thinned(&self) -> u64 {
        self.thinner.as_ref().map_or(0, Thinner::thinned)
    }

    /// Messages that were too long for a datagram.
    pub fn too_long(&self) -> u64 {
        self.too_long
    }

    /// The events whose messages were too long.
    pub fn too_long_events(&self) -> &[EventId] {
        &self.too_long_events
    }
}
