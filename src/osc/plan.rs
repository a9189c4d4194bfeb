//! Event → message: the address, type tags and argument operations of one event, compiled once.
//!
//! A signature depends on the event's format and the options, never on a value. The hot path is
//! [`MessagePlan::encode`]: it copies a prebuilt prefix (address and type tags), writes the arguments common to all
//! events, and appends the event's own (`Arguments`). It neither allocates nor formats.

use byteorder::ByteOrder;

use super::arguments::{Arguments, Op, Other};
use super::comms::Comm;
use super::options::{MessageOptions, Strings};
use super::osc_string;
use super::schema::Schema;
use super::signature::Signature;
use super::types::Types;
use super::write::{EncodeError, Writer};
use crate::decode::Plan;
use crate::format::{Abi, EventFormat};
use crate::names::Constants;
use crate::render::{FieldText, Meaning, TextPlan, shown_as_bits};

/// The version of addresses and signatures, sent in `/ftrace/start`. It changes when any of them does.
pub const SCHEMA_VERSION: i32 = 1;

/// The part between prefix and system in the address of an aggregate.
pub const AGGREGATE: &str = "agg";

/// The arguments before an event's own fields.
#[derive(Debug, Clone, Copy)]
pub struct Head<'a> {
    /// The event's time of day: a timetag, or seconds and microseconds as two `i` with [`Types::Portable`].
    pub time: u64,
    /// Milliseconds since the event last occurred on any CPU.
    pub dt: f32,
    /// The CPU.
    pub cpu: u32,
    /// The running thread.
    pub pid: i32,
    /// Its name.
    pub comm: &'a Comm,
}

/// Size of the copy for address and type tags, however many bytes are used: most prefixes are not longer.
const PREFIX: usize = 64;
/// Size of time, dt, CPU and pid.
const FIXED: usize = 20;
/// Size of the longest task name.
const COMM: usize = 16;

/// How the records of one event become messages.
#[derive(Debug, Clone)]
pub struct MessagePlan {
    /// The beginning of address and type tags as OSC strings that does not fit into `prefix`.
    long_prefix: Box<[u8]>,
    /// The rest, filled with zeros.
    prefix: [u8; PREFIX],
    /// Bytes of `prefix` that are used, minus four: at least one word is.
    prefix_len: u8,
    /// Whether the stream has announced it. Kept here because this struct is read for every event anyway.
    pub(super) announced: bool,
    arguments: Arguments,
    send_comm: bool,
    /// The smallest size of a message, bytes.
    least_len: usize,
}

impl MessagePlan {
    /// Compiles the message for records of `format`, and its description.
    ///
    /// `constants` has the names of enum values, for [`MessageOptions::names`].
    pub fn compile(
        format: &EventFormat,
        options: &MessageOptions,
        abi: Abi,
        constants: &dyn Constants,
    ) -> (MessagePlan, Schema) {
        let decode = Plan::compile(format);
        // The meaning of a field beyond its C type is only in the print format.
        let wanted = |meaning: Meaning| meaning.is_text() || options.names && meaning.is_name();
        let texts = TextPlan::compile_fields(format, abi.long, abi.endian, constants, &wanted);
        let mut signature = Signature::new(options);
        // It matters only for `h`, which is wide enough.
        let bits = if options.types == Types::Full { shown_as_bits(format) } else { vec![] };
        for field in decode.fields() {
            let words = |text: &FieldText| text.field == field.index;
            match texts.fields().iter().position(words) {
                Some(text) => signature.text(
                    &format.fields[field.index].name,
                    &format.fields[field.index],
                    Op::Other(Other::Words(text as u16)),
                ),
                None => {
                    let bits = bits.get(field.index).copied().unwrap_or(false);
                    signature.field(field, &format.fields[field.index], bits);
                }
            }
        }
        let Signature { tags, arguments: described, omitted, ops, .. } = signature;
        let address = options.addresses.address(&options.prefix, &format.system, &format.name);
        let mut prefix = Vec::new();
        osc_string::push(&mut prefix, &address);
        osc_string::push(&mut prefix, &format!(",{tags}"));
        let arguments = Arguments::new(ops, decode, texts, options.types, options.string_limit);
        let least_len = prefix.len() + FIXED + 4 + arguments.least_len();
        let rest = prefix.split_off((prefix.len() - 4) / PREFIX * PREFIX);
        let mut filled = [0; PREFIX];
        filled[..rest.len()].copy_from_slice(&rest);
        let plan = MessagePlan {
            long_prefix: prefix.into(),
            prefix: filled,
            prefix_len: (rest.len() - 4) as u8,
            announced: false,
            arguments,
            send_comm: options.strings != Strings::None,
            least_len,
        };
        let (system, event) = (format.system.clone(), format.name.clone());
        (plan, Schema { address, tags, arguments: described, omitted, system, event })
    }

    /// The plan that reads the record's fields.
    pub fn decode(&self) -> &Plan {
        self.arguments.fields()
    }

    /// The smallest size of a message, bytes: with every text empty.
    #[inline(always)]
    pub fn least_len(&self) -> usize {
        self.least_len
    }

    /// Writes the message for `record` to the beginning of `room`; returns its length, bytes. After an error the
    /// contents of `room` are undefined.
    ///
    /// Short parts are written as whole words: room that is not 64 bytes longer than the message may be treated as
    /// full.
    #[inline(always)]
    pub fn encode<E: ByteOrder>(&self, record: &[u8], head: &Head<'_>, room: &mut [u8]) -> Result<usize, EncodeError> {
        self.arguments.fields().fits(record)?;
        let mut out = Writer::new(room);
        if !self.long_prefix.is_empty() {
            out.put_slice(&self.long_prefix)?;
        }
        // One bounds check for the beginning of every message. The masks have no effect except to show the compiler
        // that all writes are within the window.
        let window = out.window::<{ PREFIX + FIXED + COMM }>()?;
        let at = usize::from(self.prefix_len & (PREFIX as u8 - 4)) + 4;
        window[..PREFIX].copy_from_slice(&self.prefix);
        let comm = if self.send_comm { head.comm } else { &Comm::EMPTY };
        // Each part is written in place: assembled first, they would be loaded before the stores have completed.
        window[at..at + 8].copy_from_slice(&head.time.to_be_bytes());
        window[at + 8..at + 12].copy_from_slice(&head.dt.to_be_bytes());
        window[at + 12..at + 16].copy_from_slice(&head.cpu.to_be_bytes());
        window[at + 16..at + FIXED].copy_from_slice(&head.pid.to_be_bytes());
        window[at + FIXED..at + FIXED + COMM].copy_from_slice(comm.bytes());
        out.skip(at + FIXED + ((comm.padded() - 4) & (COMM - 4)) + 4)?;
        Ok(self.arguments.append::<E>(record, out)?.written())
    }
}
