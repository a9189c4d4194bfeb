//! What one address carries: its fixed signature, the arguments' names, and what is left out.

use serde::Serialize;

/// One address's fixed signature.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Schema {
    /// The OSC address: `/ftrace/sched/sched_switch`.
    pub address: String,
    /// The type tags without the comma: `tfiisii`. Arrays stand in brackets.
    pub tags: String,
    /// The arguments, in order; an array has one per element (`name[0]` …).
    pub arguments: Vec<Argument>,
    /// The event's fields that are not sent.
    pub omitted: Vec<Omitted>,
    /// The event's system (group).
    pub system: String,
    /// The event's name.
    pub event: String,
}

/// One argument of a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Argument {
    /// The name: a header's (`time`, `dt`, `cpu`, `pid`, `comm`) or the kernel's field name.
    pub name: String,
    /// The type tag.
    pub tag: char,
    /// The C type in the kernel; for a header argument what it is.
    pub kernel_type: String,
}

/// A field that this level of types has no place for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Omitted {
    /// The kernel's field name.
    pub name: String,
    /// The C type in the kernel.
    pub kernel_type: String,
    /// Why it is not sent.
    pub why: &'static str,
}
