//! The plan of an event: how to read each of its fields.

use byteorder::ByteOrder;

use super::element::Element;
use super::error::DecodeError;
use super::field::{FieldPlan, Read};
use super::value::{Value, read_value};
use crate::format::{EventFormat, EventId, Field};

impl FieldPlan {
    /// The value of the field in `record`.
    #[inline]
    pub fn value<'r, E: ByteOrder>(&self, record: &'r [u8]) -> Result<Value<'r>, DecodeError> {
        read_value::<E>(self, record)
    }
}

/// The place of `common_pid`, the pid of the running thread, in the records of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PidPlace(u32);

impl PidPlace {
    /// The place given by `format`.
    pub fn of(format: &EventFormat) -> PidPlace {
        let pid = format.common.iter().find(|f| f.name == "common_pid" && f.size == 4);
        PidPlace(pid.map_or(u32::MAX, |f| f.offset))
    }

    /// The pid; 0 in a record without one.
    #[inline(always)]
    pub fn read<E: ByteOrder>(self, record: &[u8]) -> i32 {
        let at = self.0 as usize;
        record.get(at..at + 4).map_or(0, |bytes| E::read_i32(bytes))
    }
}

/// How to read the records of one event.
#[derive(Debug, Clone)]
pub struct Plan {
    id: EventId,
    pid: PidPlace,
    min_len: usize,
    fields: Box<[FieldPlan]>,
}

impl Plan {
    /// Compiles the plan for records of `format`.
    pub fn compile(format: &EventFormat) -> Plan {
        let field = |(index, field): (usize, &Field)| {
            let mut read = Read::of(field);
            if (format.system.as_str(), format.name.as_str()) == ("ftrace", "raw_data")
                && read == Read::Tail(Element::Char)
            {
                // Data written to trace_marker_raw are binary, whatever the declaration says.
                read = Read::Tail(Element::Byte);
            }
            FieldPlan::new(index, field.offset as usize, read)
        };
        let fields: Box<[_]> = format.fields.iter().enumerate().map(field).collect();
        let common_end = format.common.iter().map(|f| f.offset.saturating_add(f.size)).max().unwrap_or(0);
        let end = |f: &FieldPlan| f.offset.saturating_add(f.read.fixed_size() as usize);
        let min_len = fields.iter().map(end).max().unwrap_or(0).max(common_end as usize);
        Plan { id: format.id, pid: PidPlace::of(format), min_len, fields }
    }

    /// The id of the event's records.
    pub fn id(&self) -> EventId {
        self.id
    }

    /// How each field is read, in the order of the format file.
    pub fn fields(&self) -> &[FieldPlan] {
        &self.fields
    }

    /// The length that a record must have for all fields at fixed places.
    pub fn min_len(&self) -> usize {
        self.min_len
    }

    /// Checks the length of `record` once for all fields at fixed places.
    #[inline]
    pub fn fits(&self, record: &[u8]) -> Result<(), DecodeError> {
        if record.len() < self.min_len {
            return Err(DecodeError::short(record, self.min_len));
        }
        Ok(())
    }

    /// `common_pid`: the running thread.
    #[inline]
    pub fn pid<E: ByteOrder>(&self, record: &[u8]) -> i32 {
        self.pid.read::<E>(record)
    }

    /// The value of one field of `record`.
    #[inline(always)]
    pub fn value<'r, E: ByteOrder>(&self, field: &FieldPlan, record: &'r [u8]) -> Result<Value<'r>, DecodeError> {
        read_value::<E>(field, record)
    }

    /// The values of `record`, in the order of the format file.
    #[inline(always)]
    pub fn values<'r, E: ByteOrder>(&self, record: &'r [u8]) -> impl Iterator<Item = Result<Value<'r>, DecodeError>> {
        self.fields.iter().map(move |field| read_value::<E>(field, record))
    }
}
