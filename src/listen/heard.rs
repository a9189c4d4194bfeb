//! What `listen` received: messages by address, the schemas announced, and what was not OSC.

use std::{
    borrow::Cow,
    collections::BTreeMap,
    fmt::Write as _,
    io::{self, Write},
    time::Duration,
};

use crate::osc::json::write_json;
use crate::{
    escape::Escaped,
    osc::{
        message::{Argument, Message},
        packet, print,
    },
};

/// How many addresses are counted separately; the rest is counted together, since anyone can send any address.
const MOST_ADDRESSES: usize = 10_000;

/// The messages of one address.
#[derive(Debug, Default)]
struct Address {
    /// Messages since the beginning.
    messages: u64,
    /// How many of them were in the last table of rates.
    shown: u64,
    /// The type tags in its schema.
    tags: Option<String>,
    /// The names of arguments in its schema.
    names: Vec<String>,
}

/// A line of the table of rates.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Rate {
    /// The address.
    pub address: String,
    /// Messages since the beginning.
    pub messages: u64,
    /// Messages a second since the last table.
    pub per_second: f64,
}

/// Everything received so far.
#[derive(Debug, Default)]
pub struct Heard {
    /// Whether lines are JSON.
    json: bool,
    datagrams: u64,
    messages: u64,
    addresses: BTreeMap<String, Address>,
    /// Messages to addresses that are not counted separately.
    others: u64,
    /// Messages whose type tags differ from their schema.
    unlike_schema: u64,
    nonsense: BTreeMap<&'static str, Nonsense>,
}

/// Malformed parts of one kind.
#[derive(Debug)]
struct Nonsense {
    count: u64,
    /// The first one: its datagram, counted from 1, its byte, and the error.
    first: (u64, usize, String),
}

/// A message that can only be parsed in part.
const MALFORMED: &str = "malformed message";

impl Heard {
    /// Nothing received yet.
    pub fn new() -> Heard {
        Heard::default()
    }

    /// Sets whether lines are JSON.
    pub fn as_json(mut self, json: bool) -> Heard {
        self.json = json;
        self
    }

    /// Messages decoded so far.
    pub fn messages(&self) -> u64 {
        self.messages
    }

    /// Handles one datagram, and writes a line for each of its messages.
    pub fn datagram(&mut self, datagram: &[u8], lines: &mut dyn Write) -> io::Result<()> {
        self.datagrams += 1;
        let mut end = Ok(());
        let json = self.json;
        packet::messages(datagram, &mut |at, found| {
            let (bytes, time) = match found {
                Ok(found) => found,
                Err(nonsense) => return self.nonsense(nonsense.kind(), at, String::new()),
            };
            let message = Message::read(bytes);
            if let Some(fault) = message.fault {
                self.nonsense(MALFORMED, at + fault.at, fault.what.to_string());
            }
            let names = self.message(&message);
            if end.is_ok() {
                end = match json {
                    true => write_json(lines, &message, time, names),
                    false => print::write_line(lines, &message, time, names),
                };
            }
        });
        end
    }

    fn nonsense(&mut self, kind: &'static str, at: usize, what: String) {
        let first = (self.datagrams, at, what);
        self.nonsense.entry(kind).or_insert_with(|| Nonsense { count: 0, first }).count += 1;
    }

    /// Counts a message, and stores it if it is a schema; returns the names of its arguments if known.
    fn message(&mut self, message: &Message<'_>) -> &[String] {
        if message.fault.is_some() {
            return &[];
        }
        self.messages += 1;
        self.learn(message);
        let name = match std::str::from_utf8(message.address) {
            Ok(name) => Cow::Borrowed(name),
            Err(_) => Cow::Owned(Escaped(message.address).to_string()),
        };
        let room = self.addresses.len() < MOST_ADDRESSES;
        if room && !self.addresses.contains_key(&*name) {
            self.addresses.insert(name.clone().into_owned(), Address::default());
        }
        let Some(address) = self.addresses.get_mut(&*name) else {
            self.others += 1;
            return &[];
        };
        address.messages += 1;
        match &address.tags {
            Some(tags) if tags.as_bytes() != message.tags => {
                self.unlike_schema += 1;
                &[]
            }
            _ => &address.names,
        }
    }

    /// `/ftrace/schema ,sss`: an address, its type tags, the names of its arguments.
    fn learn(&mut self, message: &Message<'_>) {
        let [Argument::Text(address), Argument::Text(tags), Argument::Text(names)] = message.arguments.as_slice()
        else {
            return;
        };
        let [Ok(address), Ok(tags), Ok(names)] = [address, tags, names].map(|text| std::str::from_utf8(text)) else {
            return;
        };
        if !message.address.ends_with(b"/schema") || !address.starts_with('/') {
            return;
        }
        if self.addresses.len() < MOST_ADDRESSES || self.addresses.contains_key(address) {
            let address = self.addresses.entry(address.to_owned()).or_default();
            // It is repeated every ten seconds: usually nothing changes.
            if address.tags.as_deref() != Some(tags) {
                address.tags = Some(tags.to_owned());
                address.names = names.split(' ').filter(|n| !n.is_empty()).map(str::to_owned).collect();
            }
        }
    }

    /// The rates since the last call, `over` ago; the highest first, including silent addresses.
    pub fn rates(&mut self, over: Duration) -> Vec<Rate> {
        let seconds = over.as_secs_f64().max(f64::MIN_POSITIVE);
        let mut rates: Vec<Rate> = self
            .addresses
            .iter_mut()
            .map(|(name, address)| {
                let new = address.messages - std::mem::replace(&mut address.shown, address.messages);
                Rate { address: name.clone(), messages: address.messages, per_second: new as f64 / seconds }
            })
            .collect();
        rates.sort_by(|a, b| {
            let active = b.per_second.total_cmp(&a.per_second).then_with(|| b.messages.cmp(&a.messages));
            active.then_with(|| a.address.cmp(&b.address))
        });
        rates
    }

    /// What was received in `time`, and what was lost: `drops` datagrams found the socket's buffer full.
    pub fn summary(&self, time: Duration, drops: Option<u64>) -> String {
        // Writing to a String cannot fail.
        let mut out = String::new();
        let seconds = time.as_secs_f64();
        let _ = writeln!(
            out,
            "heard {} messages from {} addresses in {} datagrams in {seconds:.1} s",
            self.messages,
            self.addresses.values().filter(|a| a.messages > 0).count(),
            self.datagrams
        );
        if self.others > 0 {
            let _ = writeln!(
                out,
                "{} were to addresses beyond the {MOST_ADDRESSES} that are counted separately",
                self.others
            );
        }
        if self.unlike_schema > 0 {
            let _ = writeln!(out, "{} messages differed from their schema", self.unlike_schema);
        }
        for (kind, Nonsense { count, first: (datagram, at, what) }) in &self.nonsense {
            let _ = write!(out, "not understood: {count} × {kind}");
            let colon = if what.is_empty() { "" } else { ": " };
            let first = if *count > 1 { "the first " } else { "" };
            let _ = writeln!(out, " ({first}at byte {at} of datagram {datagram}{colon}{what})");
        }
        if let Some(drops @ 1..) = drops {
            let _ = writeln!(
                out,
                "{drops} datagrams were lost here, as the socket's buffer was full (sysctl net.core.rmem_max allows a larger one)"
            );
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rosc::{OscMessage, OscPacket, OscType, encoder};

    fn encoded(addr: &str, args: Vec<OscType>) -> Vec<u8> {
        encoder::encode(&OscPacket::Message(OscMessage { addr: addr.into(), args })).unwrap()
    }

    fn strings(args: [&str; 3]) -> Vec<OscType> {
        args.map(|s| OscType::String(s.into())).to_vec()
    }

    fn lines(heard: &mut Heard, datagram: &[u8]) -> String {
        let mut out = Vec::new();
        heard.datagram(datagram, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn arguments_have_names_once_the_schema_was_received() {
        let mut heard = Heard::new();
        let event = encoded("/ftrace/a/b", vec![OscType::Int(3), OscType::Int(4)]);
        assert_eq!(lines(&mut heard, &event), "- /ftrace/a/b ,ii 3 4\n");
        lines(&mut heard, &encoded("/ftrace/schema", strings(["/ftrace/a/b", "ii", "cpu pid"])));
        assert_eq!(lines(&mut heard, &event), "- /ftrace/a/b ,ii cpu=3 pid=4\n");
    }

    #[test]
    fn a_message_that_differs_from_its_schema_is_counted_and_has_no_names() {
        let mut heard = Heard::new();
        lines(&mut heard, &encoded("/ftrace/schema", strings(["/ftrace/a/b", "if", "cpu dt"])));
        let event = encoded("/ftrace/a/b", vec![OscType::Int(3), OscType::Int(4)]);
        assert_eq!(lines(&mut heard, &event), "- /ftrace/a/b ,ii 3 4\n");
        let said = heard.summary(Duration::from_secs(1), None);
        assert!(said.contains("1 messages differed from their schema"), "{said}");
    }

    #[test]
    fn errors_have_their_offset_in_the_datagram() {
        let mut heard = Heard::new();
        let mut bundle = b"#bundle\0\0\0\0\0\0\0\0\x01".to_vec();
        for element in [&b"/a\0\0,s\0\0caf\xe9\0\0\0\0"[..], b"/b\0\0,ii\0\0\0\0\x05", b"/c\0\0,\0\0\0"] {
            bundle.extend((element.len() as u32).to_be_bytes());
            bundle.extend(element);
        }
        let printed = lines(&mut heard, &bundle);
        let end = "immediately /b ,ii 5 <byte 12: a truncated argument 'i'>\nimmediately /c ,\n";
        assert_eq!(printed, format!("immediately /a ,s \"caf\\xe9\"\n{end}"));
        let said = heard.summary(Duration::from_secs(1), None);
        // 16 bytes of bundle, 4 + 16 of the first element, 4 of the second one's size, and its own 12.
        let place = "1 × malformed message (at byte 52 of datagram 1: a truncated argument 'i')";
        assert!(said.contains(place), "{said}");
        assert!(said.starts_with("heard 2 messages from 2 addresses"), "{said}");
    }

    #[test]
    fn malformed_parts_are_counted_by_kind_and_the_rest_is_printed() {
        let mut heard = Heard::new();
        for junk in [b"".as_slice(), b"hello", b"HELLO"] {
            assert_eq!(lines(&mut heard, junk), "");
        }
        assert_eq!(lines(&mut heard, b"/x\0\0"), "- /x , <byte 4: no type tags>\n");
        assert_eq!(lines(&mut heard, &encoded("/x", vec![])), "- /x ,\n");
        let said = heard.summary(Duration::from_secs(2), Some(7));
        assert_eq!(
            said.lines().collect::<Vec<_>>(),
            [
                "heard 1 messages from 1 addresses in 5 datagrams in 2.0 s",
                "not understood: 1 × empty packet (at byte 0 of datagram 1)",
                "not understood: 1 × malformed message (at byte 4 of datagram 4: no type tags)",
                "not understood: 2 × neither a message nor a bundle (the first at byte 0 of datagram 2)",
                "7 datagrams were lost here, as the socket's buffer was full (sysctl net.core.rmem_max allows a larger one)",
            ]
        );
    }

    #[test]
    fn rates_are_since_the_last_table_and_include_silent_addresses() {
        let mut heard = Heard::new();
        for _ in 0..10 {
            lines(&mut heard, &encoded("/a", vec![]));
        }
        lines(&mut heard, &encoded("/b", vec![]));
        let rate = |address: &str, messages, per_second| Rate { address: address.into(), messages, per_second };
        assert_eq!(heard.rates(Duration::from_secs(2)), [rate("/a", 10, 5.0), rate("/b", 1, 0.5)]);
        lines(&mut heard, &encoded("/b", vec![]));
        assert_eq!(heard.rates(Duration::from_secs(1)), [rate("/b", 2, 1.0), rate("/a", 10, 0.0)]);
    }

    #[test]
    fn a_schema_that_changes_replaces_the_one_before() {
        let mut heard = Heard::new();
        let schema = |tags, names| encoded("/ftrace/schema", strings(["/ftrace/a/b", tags, names]));
        lines(&mut heard, &schema("i", "cpu"));
        lines(&mut heard, &schema("ii", "pid prio"));
        let event = encoded("/ftrace/a/b", vec![OscType::Int(3), OscType::Int(4)]);
        assert_eq!(lines(&mut heard, &event), "- /ftrace/a/b ,ii pid=3 prio=4\n");
        assert_eq!(heard.unlike_schema, 0);
    }

    #[test]
    fn a_flood_of_addresses_takes_no_more_memory() {
        let mut heard = Heard::new();
        for n in 0..MOST_ADDRESSES + 5 {
            lines(&mut heard, &encoded(&format!("/{n}"), vec![]));
        }
        assert_eq!((heard.addresses.len(), heard.others), (MOST_ADDRESSES, 5));
        // Those that are known still learn their names, and no others do.
        for address in ["/7", "/new"] {
            lines(&mut heard, &encoded("/ftrace/schema", strings([address, "i", "cpu"])));
        }
        assert_eq!(lines(&mut heard, &encoded("/7", vec![OscType::Int(1)])), "- /7 ,i cpu=1\n");
        assert_eq!(lines(&mut heard, &encoded("/new", vec![OscType::Int(1)])), "- /new ,i 1\n");
    }
}
