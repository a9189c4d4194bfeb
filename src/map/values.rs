//! The values that a message's operations read: those of a record, or of a hit.

use byteorder::ByteOrder;

use super::expression::HitValue;
use crate::decode::{self, DecodeError, Element, FieldPlan, Read, Value};
use crate::osc::Comm;
use crate::osc::stream::Moment;
use crate::sound::Hit;

/// Where a number comes from.
#[derive(Debug, Clone, Copy)]
pub(super) enum Number {
    /// An integer of any width, read without a branch; and whether it is an unsigned one of 64 bits.
    Integer(decode::Number, bool),
    Field(FieldPlan),
    Hit(HitValue),
    Cpu,
    Pid,
    Dt,
    /// The last latency of this pair of events, ms.
    Latency(usize),
}

impl Number {
    pub(super) fn of(field: &FieldPlan) -> Number {
        let number = match field.read {
            Read::Scalar(element @ Element::Integer { .. }) => decode::Number::new(field.offset, element),
            _ => None,
        };
        number.map_or(Number::Field(*field), |number| Number::Integer(number, !number.fits_i64()))
    }
}

/// What a number can be taken from.
pub(super) trait From {
    fn number<E: ByteOrder>(&self, number: &Number) -> Result<f64, DecodeError>;
    fn text<E: ByteOrder>(&self, field: &FieldPlan) -> Result<&[u8], DecodeError>;
    fn comm(&self) -> &Comm;
    fn cpu(&self) -> u32;
    fn pid(&self) -> i32;
    fn dt(&self) -> f32;
}

pub(super) struct OfRecord<'a>(pub(super) &'a [u8], pub(super) &'a Moment<'a>, pub(super) &'a [f64]);

impl From for OfRecord<'_> {
    #[inline(always)]
    fn number<E: ByteOrder>(&self, number: &Number) -> Result<f64, DecodeError> {
        Ok(match number {
            Number::Integer(number, false) => number.read::<E>(self.0)? as i64 as f64,
            Number::Integer(number, true) => number.read::<E>(self.0)? as f64,
            Number::Field(field) => match field.value::<E>(self.0)? {
                Value::Signed(number) => number as f64,
                Value::Unsigned(number) | Value::Pointer(number) => number as f64,
                Value::Bool(truth) => f64::from(u8::from(truth)),
                _ => 0.0,
            },
            Number::Cpu => f64::from(self.1.cpu),
            Number::Pid => f64::from(self.1.pid),
            Number::Dt => f64::from(self.1.dt),
            Number::Latency(index) => self.2.get(*index).copied().unwrap_or(0.0),
            Number::Hit(_) => 0.0,
        })
    }

    fn text<E: ByteOrder>(&self, field: &FieldPlan) -> Result<&[u8], DecodeError> {
        Ok(match field.value::<E>(self.0)? {
            Value::Text(text) => text,
            _ => &[],
        })
    }

    #[inline(always)]
    fn comm(&self) -> &Comm {
        self.1.comm
    }

    #[inline(always)]
    fn cpu(&self) -> u32 {
        self.1.cpu
    }

    #[inline(always)]
    fn pid(&self) -> i32 {
        self.1.pid
    }

    #[inline(always)]
    fn dt(&self) -> f32 {
        self.1.dt
    }
}

pub(super) struct OfHit<'a>(pub(super) &'a Hit);

impl From for OfHit<'_> {
    fn number<E: ByteOrder>(&self, number: &Number) -> Result<f64, DecodeError> {
        let Number::Hit(value) = number else { return Ok(0.0) };
        let hit = self.0;
        Ok(match value {
            HitValue::Form => f64::from(hit.form.number()),
            HitValue::Timbre => f64::from(hit.timbre.number()),
            HitValue::Note => f64::from(hit.note),
            HitValue::Level => f64::from(hit.level),
            HitValue::Length => f64::from(hit.length_ms),
            HitValue::Seconds => f64::from(hit.length_ms) / 1e3,
            HitValue::Pan => f64::from(hit.pan),
            HitValue::Brightness => f64::from(hit.brightness),
        })
    }

    fn text<E: ByteOrder>(&self, _: &FieldPlan) -> Result<&[u8], DecodeError> {
        Ok(&[])
    }

    fn comm(&self) -> &Comm {
        &Comm::EMPTY
    }

    fn cpu(&self) -> u32 {
        0
    }

    fn pid(&self) -> i32 {
        0
    }

    fn dt(&self) -> f32 {
        0.0
    }
}
