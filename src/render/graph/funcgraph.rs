//! The tracer's records: function entry and return.

use byteorder::ByteOrder;

use crate::{
    format::EventFormat,
    render::{
        arguments::{Arguments, ArgumentsPlace},
        builtin::Number,
    },
};

/// `ftrace:funcgraph_entry`.
#[derive(Debug, Clone, Copy)]
pub(in crate::render) struct EntryFields {
    func: Number,
    depth: Number,
    /// Only in `ftrace:fgraph_retaddr_entry` (6.13).
    retaddr: Option<Number>,
    args: Option<ArgumentsPlace>,
}

/// `ftrace:funcgraph_exit`.
#[derive(Debug, Clone, Copy)]
pub(in crate::render) struct ExitFields {
    func: Number,
    depth: Number,
    overrun: Number,
    calltime: Number,
    rettime: Number,
    /// Since 6.5, if configured.
    retval: Option<Number>,
}

impl EntryFields {
    pub(in crate::render) fn compile(format: &EventFormat) -> Option<EntryFields> {
        let number = |name| Number::of(format, name);
        Some(EntryFields {
            func: number("func")?,
            depth: number("depth")?,
            retaddr: number("retaddr"),
            args: ArgumentsPlace::of(format),
        })
    }

    pub(in crate::render) fn read<E: ByteOrder>(&self, record: &[u8]) -> Entry {
        Entry {
            func: self.func.unsigned::<E>(record),
            depth: self.depth.signed::<E>(record),
            retaddr: self.retaddr.map(|number| number.unsigned::<E>(record)),
            args: self.args.and_then(|args| args.read::<E>(record)),
            long: self.func.size,
        }
    }
}

impl ExitFields {
    pub(in crate::render) fn compile(format: &EventFormat) -> Option<ExitFields> {
        let number = |name| Number::of(format, name);
        Some(ExitFields {
            func: number("func")?,
            depth: number("depth")?,
            overrun: number("overrun")?,
            calltime: number("calltime")?,
            rettime: number("rettime")?,
            retval: number("retval"),
        })
    }

    pub(in crate::render) fn read<E: ByteOrder>(&self, record: &[u8]) -> Exit {
        Exit {
            func: self.func.unsigned::<E>(record),
            depth: self.depth.signed::<E>(record),
            overrun: self.overrun.unsigned::<E>(record),
            duration: self.rettime.unsigned::<E>(record).wrapping_sub(self.calltime.unsigned::<E>(record)),
            retval: self.retval.map(|number| number.unsigned::<E>(record)),
            long: self.func.size,
        }
    }
}

/// A function's entry.
#[derive(Debug, Clone, Copy)]
pub(in crate::render) struct Entry {
    pub(in crate::render) func: u64,
    pub(in crate::render) depth: i64,
    /// The return address.
    pub(in crate::render) retaddr: Option<u64>,
    pub(in crate::render) args: Option<Arguments>,
    /// The size of an address.
    pub(in crate::render) long: usize,
}

/// A function's return.
#[derive(Debug, Clone, Copy)]
pub(in crate::render) struct Exit {
    pub(in crate::render) func: u64,
    pub(in crate::render) depth: i64,
    pub(in crate::render) overrun: u64,
    pub(in crate::render) duration: u64,
    pub(in crate::render) retval: Option<u64>,
    /// The size of an address.
    pub(in crate::render) long: usize,
}
