//! `/ftrace/signal/<system>/<event>`: an event as three numbers from 0 to 1, sent every tick.

use super::about;
use super::addresses::Addresses;
use super::schema::Schema;
use crate::sound::Signal;
use rosc::{OscPacket, encoder};

/// The part between the prefix and an event's own address.
pub const SIGNAL: &str = "signal";
/// The type tags.
pub const TAGS: &str = "fff";
/// Argument names, and what they are.
const ARGUMENTS: [(&str, &str); 3] = [
    ("rate", "how often it occurred: 0 never, 1 the maximum of the last minute"),
    ("density", "share of the ticks in which it occurred"),
    ("number", "how large its field is among the values of the last minute"),
];

/// The message for one event. Only its numbers change.
#[derive(Debug)]
pub struct SignalMessage {
    bytes: Vec<u8>,
    schema: Schema,
    announcement: Vec<u8>,
}

impl SignalMessage {
    /// The message for an event with this prefix.
    pub fn new(prefix: &str, addresses: &Addresses, system: &str, event: &str) -> SignalMessage {
        let schema = schema(prefix, addresses, system, event);
        let mut bytes = vec![];
        for part in [schema.address.clone(), format!(",{TAGS}")] {
            bytes.extend(part.as_bytes());
            bytes.resize(bytes.len() + 4 - bytes.len() % 4, 0);
        }
        bytes.resize(bytes.len() + 4 * TAGS.len(), 0);
        // rosc fails only for timetags and bundles.
        let announcement = encoder::encode(&OscPacket::Message(about::schema(prefix, &schema))).unwrap_or_default();
        SignalMessage { bytes, schema, announcement }
    }

    /// Encodes `signal`.
    pub fn encode(&mut self, signal: Signal) -> &[u8] {
        let numbers = [signal.rate, signal.density, signal.number];
        for (place, number) in self.bytes.rchunks_exact_mut(4).zip(numbers.iter().rev()) {
            place.copy_from_slice(&number.to_be_bytes());
        }
        &self.bytes
    }

    /// The signature.
    pub fn schema(&self) -> &Schema {
        &self.schema
    }

    /// Its `/ftrace/schema`.
    pub fn announcement(&self) -> &[u8] {
        &self.announcement
    }
}

/// The signature of an event's signal.
pub fn schema(prefix: &str, addresses: &Addresses, system: &str, event: &str) -> Schema {
    let address = addresses.address(&format!("{prefix}/{SIGNAL}"), system, event);
    Schema::fixed(address, system, event, TAGS, &ARGUMENTS)
}

#[cfg(test)]
mod tests {
    use rosc::{OscType, decoder};

    use super::*;

    #[test]
    fn rosc_reads_what_is_written() {
        for (prefix, event) in [("/ftrace", "softirq_entry"), ("/a", "b"), ("/host/ftrace", "four")] {
            let mut message = SignalMessage::new(prefix, &Addresses::default(), "irq", event);
            let bytes = message.encode(Signal { rate: 1.0, density: 0.25, number: 0.5 });
            let Ok((rest, OscPacket::Message(read))) = decoder::decode_udp(bytes) else { panic!("no message") };
            assert!(rest.is_empty());
            assert_eq!(read.addr, format!("{prefix}/signal/irq/{event}"));
            assert_eq!(read.args, [1.0, 0.25, 0.5].map(OscType::Float));
            let Ok((_, OscPacket::Message(schema))) = decoder::decode_udp(message.announcement()) else { panic!() };
            let texts = [read.addr.as_str(), "fff", "rate density number"];
            assert_eq!(schema.args, texts.map(|text| OscType::String(text.to_owned())));
        }
    }
}
