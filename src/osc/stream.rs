//! The typed stream to receivers of one kind: messages, the rate cap, datagrams, sockets.

use byteorder::ByteOrder;
use rosc::{OscMessage, OscPacket};

use super::about::{self, Stat};
use super::aggregate::{AggregateError, AggregateOptions, Aggregator};
use super::announce::{self, Announcer};
use super::datagram::{Packer, Tag};
use super::options::MessageOptions;
use super::plan::{Head, MessagePlan};
use super::schema::Schema;
use super::thin::Thinner;
use super::transport::{SendCounts, Transport};
use super::types::Types;
use super::write::EncodeError;
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

    /// The first event from number `from` on, and round from the beginning again; with `untold`, of those that were not
    /// announced yet.
    fn next(&self, from: usize, untold: bool) -> Option<EventId> {
        let wanted = |index: &usize| {
            let plan = self.plans.get(*index).and_then(Option::as_ref);
            plan.is_some_and(|plan| !(untold && plan.announced))
        };
        let mut round = (from..self.plans.len()).chain(0..from);
        round.find(wanted).and_then(|index| u16::try_from(index).ok()).map(EventId)
    }

    /// The form of the messages.
    pub fn options(&self) -> &MessageOptions {
        &self.options
    }

    /// Whether enums and flags are words, of the events that are added from here on.
    pub fn set_names(&mut self, names: bool) {
        self.options.names = names;
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
    /// Events left out under caps that hold no longer.
    thinned_before: u64,
    /// Whether every event is sent: there is no cap, and nothing is aggregated.
    all: bool,
    aggregator: Option<Aggregator>,
    announcer: Announcer,
    /// The event from which the next announcements go on.
    next_announced: usize,
    transports: Vec<Transport>,
    /// Whether it has what is to be heard beside the messages.
    hits: bool,
    /// Whether it has signals; and whether nothing else of the events.
    signals: bool,
    silent: bool,
    /// Whether it has the kernel's text beside the messages.
    text: bool,
    /// Whether the last event was sent, where not every one is.
    admitted: bool,
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
            thinned_before: 0,
            all: options.max_rate.is_none() && options.aggregate.is_none(),
            aggregator: options.aggregate.map(|aggregate| Aggregator::new(aggregate, &options.message.prefix)),
            announcer: Announcer::default(),
            next_announced: 0,
            transports,
            hits: false,
            signals: false,
            silent: false,
            text: false,
            admitted: false,
            too_long: 0,
            too_long_events: vec![],
            messages: Messages::new(options.message),
        }
    }

    /// The same stream, with what is to be heard beside the messages.
    pub fn with_hits(mut self) -> Stream {
        self.hits = true;
        self
    }

    /// The same stream, with [signals](super::signal) beside the messages of events, or instead of them.
    pub fn with_signals(mut self, events_too: bool) -> Stream {
        (self.signals, self.silent) = (true, !events_too);
        self.all = self.sends_all();
        self
    }

    /// The same stream, with the kernel's text of each event beside its message.
    pub fn with_text(mut self) -> Stream {
        self.text = true;
        self
    }

    /// Sends so many messages a second at most from here on; `None`: all.
    pub fn set_max_rate(&mut self, max_rate: Option<u32>) {
        self.thinned_before = self.thinned();
        self.thinner = max_rate.map(Thinner::new);
        self.all = self.sends_all();
    }

    /// Sends numbers for each window instead of events from here on; `None`: events. The events must be
    /// [added](Stream::add) again. What the last window holds goes out.
    pub fn set_aggregate(&mut self, options: Option<AggregateOptions>) {
        if let Some(aggregator) = &mut self.aggregator {
            let mut rest = Vec::new();
            aggregator.close(&mut |message| rest.push(message));
            rest.into_iter().for_each(|message| self.about(message));
        }
        self.aggregator = options.map(|options| Aggregator::new(options, &self.messages.options.prefix));
        self.all = self.sends_all();
    }

    fn sends_all(&self) -> bool {
        self.thinner.is_none() && self.aggregator.is_none() && !self.silent
    }

    /// Sends enums and flags as words, or as numbers. The events must be [added](Stream::add) again.
    pub fn set_names(&mut self, names: bool) {
        self.messages.set_names(names);
    }

    /// Whether it has what is to be heard beside the messages.
    pub fn has_hits(&self) -> bool {
        self.hits
    }

    /// Whether it has signals.
    pub fn has_signals(&self) -> bool {
        self.signals
    }

    /// Whether it has the kernel's text beside the messages, has sent the last event, and somebody receives it.
    pub fn wants_text(&self) -> bool {
        self.text && (self.all || self.admitted) && self.transports.iter().any(Transport::is_received)
    }

    /// The messages it sends.
    pub fn messages(&self) -> &Messages {
        &self.messages
    }

    /// Keeps an address's signature for those who connect later.
    pub fn know(&self, schema: &Schema) {
        self.transports.iter().for_each(|transport| transport.add(schema));
    }

    /// Adds an event.
    pub fn add(&mut self, format: &EventFormat, kernel: &Kernel) {
        self.announcer.added(self.messages.plan(format.id).map(|plan| plan.announced));
        let schema = self.messages.add(format, kernel);
        self.transports.iter().for_each(|transport| transport.add(schema));
        if let Some(aggregator) = &mut self.aggregator {
            aggregator.add(format, &schema.address);
        }
    }

    /// Sends the event `id` as `record`, now or with the next flush. The first of an address brings its announcement, in
    /// the same bundle or before it.
    ///
    /// # Errors
    /// If the record is not what its format says. An event without a plan, or beyond the rate cap, is no error.
    #[inline(always)]
    pub fn event<E: ByteOrder>(&mut self, id: EventId, record: &[u8], moment: &Moment<'_>) -> Result<(), EncodeError> {
        if !self.all && !self.admit::<E>(id, record, moment.play_ns) {
            return Ok(());
        }
        let Some(plan) = self.messages.plan(id) else { return Ok(()) };
        if !plan.announced {
            return self.first_event::<E>(id, record, *moment);
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

    /// Sends an event whose address was not announced yet, and announces it.
    #[cold]
    #[inline(never)]
    fn first_event<E: ByteOrder>(&mut self, id: EventId, record: &[u8], moment: Moment<'_>) -> Result<(), EncodeError> {
        self.announce_event(id, moment.play_ns, usize::MAX);
        self.next_datagram::<E>(id, record, moment)
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

    /// Counts the event in its window and against the rate cap; whether it is sent itself as well.
    #[inline(never)]
    fn admit<E: ByteOrder>(&mut self, id: EventId, record: &[u8], now: u64) -> bool {
        if self.aggregator.is_some() {
            self.tick(now);
        }
        if let Some(aggregator) = &mut self.aggregator {
            aggregator.event::<E>(id, record);
            if !aggregator.events_too() {
                self.admitted = false;
                return false;
            }
        }
        // What is not sent anyway takes nothing of the cap.
        self.admitted = !self.silent
            && self.messages.plan(id).is_some()
            && self.thinner.as_mut().is_none_or(|thinner| thinner.admit(id.index(), now));
        self.admitted
    }

    /// Checks the fields to be aggregated against the events there are.
    pub fn check(&self, formats: &[EventFormat]) -> Result<(), AggregateError> {
        self.aggregator.as_ref().map_or(Ok(()), |aggregator| aggregator.check(formats))
    }

    /// When the stream has something to say though no event comes, ns since 1970.
    pub fn due(&self) -> Option<u64> {
        let aggregates = self.aggregator.as_ref().and_then(Aggregator::due);
        aggregates.into_iter().chain(self.announcer.due()).min()
    }

    /// Sends the aggregates that are due at `now`, ns since 1970 on the clock that events are played by.
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

    /// Sends an encoded message whose time is `unix_ns`, with the next flush.
    pub fn message(&mut self, bytes: &[u8], unix_ns: u64) {
        self.push(bytes, unix_ns);
    }

    /// Sends a message about the stream, in a bundle of the time `unix_ns`.
    pub(crate) fn about_at(&mut self, message: OscMessage, unix_ns: u64) {
        if let Ok(bytes) = rosc::encoder::encode(&OscPacket::Message(message)) {
            self.push(&bytes, unix_ns);
        }
    }

    /// Packs an encoded message.
    fn push(&mut self, bytes: &[u8], unix_ns: u64) {
        if self
            .packer
            .push(unix_ns, |room| {
                room.get_mut(..bytes.len()).ok_or(EncodeError::Full)?.copy_from_slice(bytes);
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

    /// Announces what is due to be announced at `now`, ns since 1970 on the clock of the day: a datagram at most, or part
    /// of one that has events in it as well. Nothing is due before the [start](Stream::start).
    pub fn announce(&mut self, now: u64) {
        if !self.announcer.is_due(now) {
            return;
        }
        let (untold, count) = self.announcer.turn();
        let (mut room, mut sent) = (announce::BYTES.min(self.packer.mtu()), 0);
        while sent < count
            && let Some(id) = self.messages.next(self.next_announced, untold)
        {
            // One that is longer than this goes alone.
            let most = if sent == 0 { usize::MAX } else { room };
            let Some(len) = self.announce_event(id, now, most) else { break };
            room = room.saturating_sub(len);
            self.next_announced = id.index() + 1;
            sent += 1;
        }
        self.announcer.went_out(sent, now);
    }

    /// Announces the address of one event in a bundle of the time `unix_ns`, if that takes no more than `most` bytes; how
    /// many it took.
    fn announce_event(&mut self, id: EventId, unix_ns: u64, most: usize) -> Option<usize> {
        let schema = about::schema(&self.messages.options.prefix, self.messages.schema(id)?);
        let bytes = rosc::encoder::encode(&OscPacket::Message(schema)).unwrap_or_default();
        // The size stands before it in the bundle.
        let len = bytes.len() + 4;
        if len > most {
            return None;
        }
        self.push(&bytes, unix_ns);
        if let Some(Some(plan)) = self.messages.plans.get_mut(id.index())
            && !std::mem::replace(&mut plan.announced, true)
        {
            self.announcer.told();
        }
        Some(len)
    }

    /// Announces the beginning, at `began_ns`, and the first addresses; `now` as for [`announce`](Stream::announce).
    pub fn start(&mut self, host: &str, cpus: usize, began_ns: u64, now: u64) {
        let MessageOptions { prefix, types, .. } = &self.messages.options;
        let start = about::start(prefix, *types, host, cpus, began_ns);
        self.transports.iter().for_each(|transport| transport.started(prefix, &start));
        self.about_at(start, now);
        self.announcer.start(now);
        self.announce(now);
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

    pub(crate) fn transports_mut(&mut self) -> &mut [Transport] {
        &mut self.transports
    }

    /// What became of everything sent, over all receivers.
    pub fn counts(&self) -> SendCounts {
        self.transports.iter().fold(SendCounts::default(), |sum, transport| sum + transport.counts())
    }

    /// Events left out to keep below the rate cap.
    pub fn thinned(&self) -> u64 {
        self.thinned_before + self.thinner.as_ref().map_or(0, Thinner::thinned)
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
