//! The typed stream to receivers of one kind: messages, rate cap, datagrams, sockets.
//!
//! A stream is told its events, announces itself and their addresses with [`Stream::start`], and sends what it was
//! given with [`Stream::flush`]; [`Stream::tick`] and [`Stream::announce`] want to be called a few times a second.
//!
//! ```
//! use std::net::UdpSocket;
//!
//! use byteorder::LittleEndian;
//! use ftrace_live::format::{Abi, Endian, EventFormat, LongSize};
//! use ftrace_live::names::{Kernel, Names};
//! use ftrace_live::osc::stream::{Moment, Stream, StreamOptions};
//! use ftrace_live::osc::transport::Transport;
//! use ftrace_live::osc::{Comm, MessageOptions, Types, timetag};
//!
//! let text = "name: key\nID: 1\nformat:\n\
//!             \tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;\n\n\
//!             \tfield:u8 note;\toffset:2;\tsize:1;\tsigned:0;\n\nprint fmt: \"%u\", REC->note\n";
//! let kernel = Kernel { abi: Abi { endian: Endian::Little, long: LongSize::Eight }, names: Names::default() };
//! let format = EventFormat::parse("piano", text, kernel.abi.long)?;
//! let receiver = UdpSocket::bind("127.0.0.1:0")?;
//!
//! let mut message = MessageOptions::new(Types::Portable);
//! message.prefix = "/my".to_owned();
//! let transport = Transport::connect(receiver.local_addr()?, 0)?;
//! let mut stream = Stream::new(StreamOptions::new(message), vec![transport]);
//! stream.add(&format, &kernel);
//! let now = timetag::unix_now_ns();
//! stream.start("my-machine", 1, now, now);
//! let moment = Moment { event_ns: now, play_ns: now, dt: 0.0, cpu: 0, pid: 0, comm: &Comm::new(b"clara") };
//! stream.event::<LittleEndian>(format.id, &[1, 0, 60, 0], &moment)?;
//! stream.flush();
//!
//! let mut datagram = [0; 1500];
//! let len = receiver.recv(&mut datagram)?;
//! let sent = |address: &[u8]| datagram[..len].windows(address.len()).any(|bytes| bytes == address);
//! assert!(sent(b"/my/start\0") && sent(b"/my/schema\0") && sent(b"/my/piano/key\0"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod messages;

use byteorder::ByteOrder;
use rosc::{OscMessage, OscPacket};

use super::about::{self, Stat};
use super::aggregate::{AggregateError, AggregateOptions, Aggregator};
use super::announce::{self, Announcer};
use super::datagram::{DEFAULT_MTU, Packer, Tag};
use super::options::MessageOptions;
use super::plan::Head;
use super::schema::Schema;
use super::thin::Thinner;
use super::transport::{SendCounts, Transport};
use super::types::Types;
use super::write::EncodeError;
use super::{Comm, timetag};
use crate::format::{EventFormat, EventId};
use crate::names::Kernel;

pub use messages::Messages;

/// The time and place of an event, as sent in its message.
#[derive(Debug, Clone, Copy)]
pub struct Moment<'a> {
    /// When the event occurred, ns since 1970: the message's `time`.
    pub event_ns: u64,
    /// When it is played: the bundle's timetag, and the clock of the rate cap. Live, and in a replay without pacing,
    /// this is `event_ns`.
    pub play_ns: u64,
    /// Milliseconds since the event last occurred.
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

/// How a stream is sent.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct StreamOptions {
    /// The form of its messages.
    pub message: MessageOptions,
    /// The longest datagram, bytes.
    pub mtu: usize,
    /// The timetag of bundles.
    pub tag: Tag,
    /// The most messages a second.
    pub max_rate: Option<u32>,
    /// Aggregates per window, instead of the events or in addition to them.
    pub aggregate: Option<AggregateOptions>,
}

impl StreamOptions {
    /// Messages of this form, each with the time of its event, in datagrams of at most [`DEFAULT_MTU`] bytes; neither
    /// thinned nor aggregated.
    pub fn new(message: MessageOptions) -> StreamOptions {
        StreamOptions { message, mtu: DEFAULT_MTU, tag: Tag::Event { latency_ns: 0 }, max_rate: None, aggregate: None }
    }
}

/// A stream and its receivers.
#[derive(Debug)]
pub struct Stream {
    messages: Messages,
    packer: Packer,
    thinner: Option<Thinner>,
    /// Events left out because of earlier rate caps.
    thinned_before: u64,
    /// Whether every event is sent: without rate cap and aggregates.
    all: bool,
    aggregator: Option<Aggregator>,
    announcer: Announcer,
    /// The event with which the next announcements continue.
    next_announced: usize,
    transports: Vec<Transport>,
    /// Whether it has hits in addition to the messages.
    hits: bool,
    /// Whether it has signals; and whether these replace the events.
    signals: bool,
    silent: bool,
    /// Whether it has the kernel's text in addition to the messages.
    text: bool,
    /// Whether the last event was sent, if not every event is.
    admitted: bool,
    /// Messages too long for a datagram, and the addresses for which this was reported.
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

    /// Adds hits to the stream.
    pub fn with_hits(mut self) -> Stream {
        self.hits = true;
        self
    }

    /// Adds [signals](super::signal) to the stream, in addition to the events or in their place.
    pub fn with_signals(mut self, events_too: bool) -> Stream {
        (self.signals, self.silent) = (true, !events_too);
        self.all = self.sends_all();
        self
    }

    /// Adds the kernel's text of each event to the stream.
    pub fn with_text(mut self) -> Stream {
        self.text = true;
        self
    }

    /// Sets the most messages a second from now on; `None`: no limit.
    pub fn set_max_rate(&mut self, max_rate: Option<u32>) {
        self.thinned_before = self.thinned();
        self.thinner = max_rate.map(Thinner::new);
        self.all = self.sends_all();
    }

    /// Sends aggregates instead of events from now on; `None`: events. The events must be [added](Stream::add) again.
    /// The last window is sent.
    pub fn set_aggregate(&mut self, options: Option<AggregateOptions>) {
        self.close_window();
        self.aggregator = options.map(|options| Aggregator::new(options, &self.messages.options.prefix));
        self.all = self.sends_all();
    }

    /// Sends the last window of aggregates, however short it is.
    fn close_window(&mut self) {
        if let Some(aggregator) = &mut self.aggregator {
            let mut rest = Vec::new();
            let at = aggregator.close(&mut |message| rest.push(message));
            rest.into_iter().for_each(|message| self.about_at(message, at));
        }
    }

    fn sends_all(&self) -> bool {
        self.thinner.is_none() && self.aggregator.is_none() && !self.silent
    }

    /// Sends enums and flags as names or as numbers. The events must be [added](Stream::add) again.
    pub fn set_names(&mut self, names: bool) {
        self.messages.set_names(names);
    }

    /// Whether it has hits.
    pub fn has_hits(&self) -> bool {
        self.hits
    }

    /// Whether it has signals.
    pub fn has_signals(&self) -> bool {
        self.signals
    }

    /// Whether it has the kernel's text, sent the last event, and has a receiver.
    pub fn wants_text(&self) -> bool {
        self.text && (self.all || self.admitted) && self.transports.iter().any(Transport::is_received)
    }

    /// The messages it sends.
    pub fn messages(&self) -> &Messages {
        &self.messages
    }

    /// Stores the signature of an address for receivers that connect later.
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

    /// Sends the event `id` in `record`, now or with the next flush. The first event of an address is announced in
    /// the same bundle or before.
    ///
    /// # Errors
    /// If the record does not match its format. An event without a plan, or above the rate cap, is not an error.
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

    /// Sends an event whose address was not announced yet, with its announcement.
    #[cold]
    #[inline(never)]
    fn first_event<E: ByteOrder>(&mut self, id: EventId, record: &[u8], moment: Moment<'_>) -> Result<(), EncodeError> {
        self.announce_event(id, moment.play_ns, usize::MAX);
        self.next_datagram::<E>(id, record, moment)
    }

    /// Sends an event that does not fit into the current datagram. It takes the moment by value: by reference it
    /// would have to be in memory for every event.
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

    /// Counts the event for its window and the rate cap; returns whether the event itself is sent.
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
        // Events that are not sent do not count for the rate cap.
        self.admitted = !self.silent
            && self.messages.plan(id).is_some()
            && self.thinner.as_mut().is_none_or(|thinner| thinner.admit(id.index(), now));
        self.admitted
    }

    /// Checks the fields to be aggregated against the traced events.
    pub fn check(&self, formats: &[EventFormat]) -> Result<(), AggregateError> {
        self.aggregator.as_ref().map_or(Ok(()), |aggregator| aggregator.check(formats))
    }

    /// When the stream next has something to send without an event, ns since 1970.
    pub fn due(&self) -> Option<u64> {
        self.due_exactly().into_iter().chain(self.announcer.due()).min()
    }

    /// The same, without announcements of what was announced before.
    pub(crate) fn due_exactly(&self) -> Option<u64> {
        let aggregates = self.aggregator.as_ref().and_then(Aggregator::due);
        let first = self.announcer.due().filter(|_| self.announcer.turn().0);
        aggregates.into_iter().chain(first).min()
    }

    /// Sends the aggregates that are due at `now`, ns since 1970 on the clock by which events are played.
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

    /// Queues a message about the stream.
    pub fn about(&mut self, message: OscMessage) {
        self.about_at(message, timetag::unix_now_ns());
    }

    /// Queues an encoded message with the time `unix_ns`.
    pub fn message(&mut self, bytes: &[u8], unix_ns: u64) {
        self.push(bytes, unix_ns);
    }

    /// Queues a message about the stream in a bundle with the time `unix_ns`.
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

    /// Sends the announcements that are due at `now`, ns since 1970 by the time of day: at most a datagram, possibly
    /// shared with events. Nothing is due before the [start](Stream::start).
    pub fn announce(&mut self, now: u64) {
        if !self.announcer.is_due(now) {
            return;
        }
        let (untold, count) = self.announcer.turn();
        let (mut room, mut sent) = (announce::BYTES.min(self.packer.mtu()), 0);
        while sent < count
            && let Some(id) = self.messages.next(self.next_announced, untold)
        {
            // A longer announcement is sent alone.
            let most = if sent == 0 { usize::MAX } else { room };
            let Some(len) = self.announce_event(id, now, most) else { break };
            room = room.saturating_sub(len);
            self.next_announced = id.index() + 1;
            sent += 1;
        }
        self.announcer.went_out(sent, now);
    }

    /// Announces the address of one event in a bundle with the time `unix_ns`, if that takes at most `most` bytes;
    /// returns how many.
    fn announce_event(&mut self, id: EventId, unix_ns: u64, most: usize) -> Option<usize> {
        let schema = about::schema(&self.messages.options.prefix, self.messages.schema(id)?);
        let bytes = rosc::encoder::encode(&OscPacket::Message(schema)).unwrap_or_default();
        // The size precedes it in the bundle.
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

    /// Announces the start, at `began_ns`, and the first addresses; `now` as for [`announce`](Stream::announce).
    pub fn start(&mut self, host: &str, cpus: usize, began_ns: u64, now: u64) {
        let MessageOptions { prefix, types, .. } = &self.messages.options;
        let start = about::start(prefix, *types, host, cpus, began_ns);
        self.transports.iter().for_each(|transport| transport.started(prefix, &start));
        self.about_at(start, now);
        self.announcer.start(now);
        self.announce(now);
    }

    /// Sends the statistics of the last window.
    pub fn stat(&mut self, stat: &Stat) {
        self.about(about::stat(&self.messages.options.prefix, stat));
    }

    /// Announces the end and sends what is queued.
    pub fn stop(&mut self) {
        self.close_window();
        self.about(about::stop(&self.messages.options.prefix));
        self.flush();
    }

    /// Sends what is queued.
    #[inline(never)]
    pub fn flush(&mut self) {
        let datagrams = self.packer.take();
        for transport in &mut self.transports {
            transport.send(datagrams.clone());
        }
    }

    /// Its receivers.
    pub fn transports(&self) -> &[Transport] {
        &self.transports
    }

    pub(crate) fn transports_mut(&mut self) -> &mut [Transport] {
        &mut self.transports
    }

    /// The counts of everything sent, over all receivers.
    pub fn counts(&self) -> SendCounts {
        self.transports.iter().fold(SendCounts::default(), |sum, transport| sum + transport.counts())
    }

    /// Events left out because of the rate cap.
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
