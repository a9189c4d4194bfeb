//! The signature of one address, the names of its arguments, and the omitted fields.

use serde::Serialize;

/// The signature of one address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Schema {
    /// The OSC address: `/ftrace/sched/sched_switch`.
    pub address: String,
    /// The type tags without the comma: `tfiisii`. Arrays are in brackets.
    pub tags: String,
    /// The arguments, in order; an array has one per element (`name[0]` …).
    pub arguments: Vec<Argument>,
    /// The fields of the event that are not sent.
    pub omitted: Vec<Omitted>,
    /// The event's system (group).
    pub system: String,
    /// The event's name.
    pub event: String,
}

impl Schema {
    /// The signature of a message that does not depend on the kernel: a tag, a name and a meaning for each argument.
    pub(super) fn fixed(address: String, system: &str, event: &str, tags: &str, arguments: &[(&str, &str)]) -> Schema {
        let argument = |((name, what), tag): (&(&str, &str), char)| Argument {
            name: (*name).to_owned(),
            tag,
            kernel_type: (*what).to_owned(),
            note: None,
        };
        Schema {
            address,
            tags: tags.to_owned(),
            arguments: arguments.iter().zip(tags.chars()).map(argument).collect(),
            omitted: vec![],
            system: system.to_owned(),
            event: event.to_owned(),
        }
    }
}

/// The note on a 64-bit address, mask or cookie that is sent as `h`.
pub const BITS: &str = "the 64 bits in two's complement: negative from 2^63 on";
/// The note on a 64-bit count that is sent as `h`.
pub const SATURATES: &str = "at most 2^63 - 1";
/// The note on an address that is sent as `d`.
pub const ROUNDED: &str = "rounded to 53 bits";

/// One argument of a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Argument {
    /// The name: a header's (`time`, `dt`, `cpu`, `pid`, `comm`) or the kernel's field name.
    pub name: String,
    /// The type tag.
    pub tag: char,
    /// The C type in the kernel; for a header argument its meaning.
    pub kernel_type: String,
    /// How the value is encoded, if the type tag leaves that open.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<&'static str>,
}

impl Argument {
    /// The C type, and how the value is encoded.
    pub fn meaning(&self) -> String {
        match self.note {
            Some(note) => format!("{} ({note})", self.kernel_type),
            None => self.kernel_type.clone(),
        }
    }
}

/// A field that is not sent at this level of types.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Omitted {
    /// The kernel's field name.
    pub name: String,
    /// The C type in the kernel.
    pub kernel_type: String,
    /// The reason.
    pub why: &'static str,
}
