//! A preset's stream of a real capture: its datagrams as they go over the wire, and the messages in them.

use std::{net::UdpSocket, sync::Arc, thread, time::Duration};

use byteorder::LittleEndian;
use ftrace_live::{
    capture::folder,
    format::EventId,
    osc::{
        MessageOptions, Schema,
        about::Stat,
        datagram::Tag,
        packet::take_apart,
        preset::Preset,
        stream::{Stream, StreamOptions},
        timetag,
        transport::Transport,
    },
    pipeline::Pipeline,
};
use rosc::{OscMessage, OscTime, OscType};

use crate::{
    common::corpus,
    seen::{Seen, Value},
};

/// Of each event, so many are sent: many kinds rather than many of a kind.
const OF_EACH: usize = 4;

/// What goes to a receiver, and what is in it.
pub struct Recorded {
    pub datagrams: Vec<Vec<u8>>,
    pub messages: Vec<(OscMessage, OscTime)>,
    pub schemas: Vec<Schema>,
}

/// The stream for `--for preset`, or a line that says why there is none.
pub fn of(preset: &str) -> Option<Recorded> {
    let preset = Preset::named(preset).unwrap();
    let path = corpus::folder()?.join("x86_64-6.1.176/fs");
    let mut capture = folder::open(&path).unwrap();

    let wire = UdpSocket::bind("127.0.0.1:0").unwrap();
    let _ = socket2::SockRef::from(&wire).set_recv_buffer_size(4 << 20);
    let transport = Transport::connect(wire.local_addr().unwrap(), 0).unwrap();
    let options = StreamOptions {
        message: MessageOptions { types: preset.types, ..MessageOptions::default() },
        mtu: preset.mtu,
        tag: Tag::Event { latency_ns: 0 },
        max_rate: None,
    };
    let mut pipeline = Pipeline::new(Stream::new(options, vec![transport]), Box::new(|_| None));
    let mut counts = std::collections::HashMap::<EventId, usize>::new();
    let formats: std::collections::HashMap<_, _> = capture.events.drain(..).map(|f| (f.id, Arc::new(f))).collect();
    let mut chosen = Vec::new();
    let mut merge = capture.merge();
    let mut datagrams = Vec::new();
    while let Some(record) = merge.next_record::<LittleEndian>() {
        let id = EventId(u16::from_le_bytes([record.bytes[0], record.bytes[1]]));
        let Some(format) = formats.get(&id) else { continue };
        let count = counts.entry(id).or_default();
        *count += 1;
        if *count > OF_EACH {
            continue;
        }
        if *count == 1 {
            pipeline.add(format, false);
            chosen.push(id);
        }
        if chosen.len() == 1 && *count == 1 {
            pipeline.pair_clocks(record.time, timetag::unix_now_ns());
            pipeline.outputs().start("host", 2, timetag::unix_now_ns());
        }
        pipeline.record::<LittleEndian>(record, None);
        pipeline.flush();
        drain(&wire, &mut datagrams);
    }
    let stream = pipeline.outputs();
    stream.announce();
    stream.stat(&Stat { read: 10, sent: 9, thinned: 1, window_s: 1.0, ..Stat::default() });
    stream.stop();
    pipeline.flush();
    thread::sleep(Duration::from_millis(50));
    drain(&wire, &mut datagrams);

    let mut messages = Vec::new();
    for datagram in &datagrams {
        take_apart(datagram, &mut |part| {
            let (message, time) = part.unwrap();
            messages.push((message, time.expect("every datagram is a bundle")));
        });
    }
    let schemas: Vec<Schema> = pipeline.outputs().messages().schemas().cloned().collect();
    assert!(schemas.len() > 80 && messages.len() > 300, "{} events, {} messages", schemas.len(), messages.len());
    Some(Recorded { datagrams, messages, schemas })
}

fn drain(wire: &UdpSocket, datagrams: &mut Vec<Vec<u8>>) {
    wire.set_nonblocking(true).unwrap();
    let mut buffer = [0; 65_535];
    while let Ok(length) = wire.recv(&mut buffer) {
        datagrams.push(buffer[..length].to_vec());
    }
}

impl Recorded {
    /// Sends everything to `port`, no faster than any receiver can take.
    pub fn send(&self, port: u16) {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        for datagram in &self.datagrams {
            socket.send_to(datagram, ("127.0.0.1", port)).unwrap();
            thread::sleep(Duration::from_millis(2));
        }
    }

    /// Sends the first datagram, in which the stream says that it starts.
    pub fn send_first(&self, port: u16) {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.send_to(&self.datagrams[0], ("127.0.0.1", port)).unwrap();
    }

    /// The messages as a receiver should see them, numbers passed through `number` (what its own type of number keeps).
    pub fn as_seen(&self, number: impl Fn(f64) -> f64) -> Vec<Seen> {
        self.messages.iter().map(|(message, _)| seen(message, &number)).collect()
    }
}

fn seen(message: &OscMessage, number: &impl Fn(f64) -> f64) -> Seen {
    let values = message.args.iter().map(|argument| match argument {
        OscType::Int(v) => Value::Number(number(f64::from(*v))),
        OscType::Float(v) => Value::Number(number(f64::from(*v))),
        OscType::Double(v) => Value::Number(number(*v)),
        OscType::String(v) => Value::Text(v.clone()),
        OscType::Blob(v) => Value::Bytes(v.clone()),
        // A timetag: every receiver has its own clock; the tests that get one look at it themselves.
        OscType::Time(_) => Value::Number(0.0),
        other => panic!("no preset below full sends {other:?}"),
    });
    Seen { address: message.addr.clone(), values: values.collect() }
}
