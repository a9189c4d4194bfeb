//! The tracer's records: a function entered, a function left.

use byteorder::ByteOrder;

use crate::{format::EventFormat, render::builtin::Number};

/// `ftrace:funcgraph_entry`.
#[derive(Debug, Clone, Copy)]
pub(in crate::render) struct EntryFields {
    func: Number,
    depth: Number,
}

/// `ftrace:funcgraph_exit`.
#[derive(Debug, Clone, Copy)]
pub(in crate::render) struct ExitFields {
    func: Number,
    depth: Number,
    overrun: Number,
    calltime: Number,
    rettime: Number,
}

impl EntryFields {
    pub(in crate::render) fn compile(format: &EventFormat) -> Option<EntryFields> {
        let number = |name| Number::of(format, name);
        Some(EntryFields { func: number("func")?, depth: number("depth")? })
    }

    pub(in crate::render) fn read<E: ByteOrder>(&self, record: &[u8]) -> Entry {
        Entry { func: self.func.unsigned::<E>(record), depth: self.depth.signed::<E>(record) }
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
        })
    }

    pub(in crate::render) fn read<E: ByteOrder>(&self, record: &[u8]) -> Exit {
        Exit {
            func: self.func.unsigned::<E>(record),
            depth: self.depth.signed::<E>(record),
            overrun: self.overrun.unsigned::<E>(record),
            duration: self.rettime.unsigned::<E>(record).wrapping_sub(self.calltime.unsigned::<E>(record)),
        }
    }
}

/// A function was entered.
#[derive(Debug, Clone, Copy)]
pub(in crate::render) struct Entry {
    pub(in crate::render) func: u64,
    pub(in crate::render) depth: i64,
}

/// A function returned.
#[derive(Debug, Clone, Copy)]
pub(in crate::render) struct Exit {
    pub(in crate::render) func: u64,
    pub(in crate::render) depth: i64,
    pub(in crate::render) overrun: u64,
    pub(in crate::render) duration: u64,
}
