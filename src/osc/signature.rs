//! Field → type tag, argument name and operation: builds the signature of an event's messages.

use super::arguments::{Op, Other, Wire};
use super::options::{MessageOptions, Strings};
use super::schema::{Argument, BITS, Omitted, ROUNDED, SATURATES};
use super::types::Types;
use crate::decode::{Element, FieldPlan, Read};
use crate::format::Field;

/// The longest fixed array that is sent as separate numbers.
const MAX_FLAT: u32 = 8;

/// A signature under construction.
pub(super) struct Signature<'a> {
    options: &'a MessageOptions,
    pub(super) tags: String,
    pub(super) arguments: Vec<Argument>,
    pub(super) omitted: Vec<Omitted>,
    pub(super) ops: Vec<Op>,
}

impl<'a> Signature<'a> {
    /// The arguments at the beginning of every event's message.
    pub(super) fn new(options: &'a MessageOptions) -> Self {
        let mut signature =
            Signature { options, tags: String::new(), arguments: vec![], omitted: vec![], ops: Vec::new() };
        let time: &[_] = match options.types {
            Types::Portable => &[('i', "sec", "wall-clock seconds since 1970"), ('i', "usec", "microseconds")],
            Types::Full | Types::Double => &[('t', "time", "wall-clock time")],
        };
        let rest = [
            ('f', "dt", "ms since this event last occurred"),
            ('i', "cpu", "CPU number"),
            ('i', "pid", "running thread"),
            ('s', "comm", "its name"),
        ];
        for (tag, name, what) in time.iter().chain(&rest) {
            signature.argument(*tag, name, what);
        }
        signature
    }

    fn argument(&mut self, tag: char, name: &str, kernel_type: &str) {
        self.tags.push(tag);
        self.arguments.push(Argument { name: name.to_owned(), tag, kernel_type: kernel_type.to_owned(), note: None });
    }

    /// Adds an argument for one element of a field, or for a whole field.
    fn push(&mut self, tag: char, name: &str, field: &Field, op: Op) {
        self.argument(tag, name, &if name == field.name { field.type_name() } else { field.ctype.name.clone() });
        self.ops.push(op);
    }

    fn omit(&mut self, field: &Field, why: &'static str) {
        let kernel_type = field.type_name();
        self.omitted.push(Omitted { name: field.name.clone(), kernel_type, why });
    }

    /// Adds a note to the last argument on how its value is encoded.
    fn note(&mut self, note: &'static str) {
        if let Some(argument) = self.arguments.last_mut() {
            argument.note = Some(note);
        }
    }

    /// `bits`: whether the print format shows the field as a bit pattern.
    pub(super) fn field(&mut self, plan: &FieldPlan, field: &Field, bits: bool) {
        let name = &field.name;
        let (at, number) = (plan.offset as u32, plan.index as u16);
        match plan.read {
            Read::Scalar(element @ Element::Pointer { .. }) => self.pointer(name, field, at, element),
            Read::Scalar(element) => self.number(name, field, at, element, bits),
            Read::Array(Element::Char, count) => {
                let op = if count == 16 { Op::Text16(at) } else { Op::Other(Other::Text(number)) };
                self.text(name, field, op);
            }
            Read::DataLoc(Element::Char) => self.text(name, field, Op::LocatedText(at)),
            Read::RelLoc(Element::Char) | Read::DataLocShort(Element::Char) | Read::Tail(Element::Char) => {
                self.text(name, field, Op::Other(Other::Text(number)))
            }
            Read::DataLocTexts(count) => self.array(name, count, |s, name, index| {
                s.text(name, field, Op::Other(Other::TextOf(at.saturating_add(4 * index))));
            }),
            Read::Array(Element::Byte, _) if field.ctype.base == crate::format::Base::Opaque => {
                match self.options.types {
                    Types::Full => self.push('b', name, field, Op::Other(Other::Blob(number))),
                    Types::Double | Types::Portable => self.omit(field, "a structure by value"),
                }
            }
            Read::Array(Element::Pointer { .. }, _) if self.options.types != Types::Full && !self.options.pointers => {
                self.omit(field, "pointers");
            }
            Read::Array(element, count) if element != Element::Byte && count <= MAX_FLAT => {
                self.array(name, count, |s, name, index| {
                    // An offset beyond any record saturates, and so is its element's.
                    let at = at.saturating_add(element.size() * index);
                    match element {
                        Element::Pointer { .. } => s.pointer(name, field, at, element),
                        _ => s.number(name, field, at, element, bits),
                    }
                });
            }
            _ => match self.options.types {
                Types::Full | Types::Double => self.push('b', name, field, Op::Other(Other::Blob(number))),
                Types::Portable => self.push('i', name, field, Op::Other(Other::Count(number))),
            },
        }
    }

    /// Adds `count` arguments named `name[0]` …, in brackets if the level and the receiver support them.
    fn array(&mut self, name: &str, count: u32, mut element: impl FnMut(&mut Self, &str, u32)) {
        let brackets = self.options.types == Types::Full && self.options.brackets;
        self.tags.extend(brackets.then_some('['));
        for index in 0..count {
            element(self, &format!("{name}[{index}]"), index);
        }
        self.tags.extend(brackets.then_some(']'));
    }

    pub(super) fn text(&mut self, name: &str, field: &Field, op: Op) {
        let sent = match self.options.strings {
            Strings::All => true,
            Strings::Comm => field.name.ends_with("comm"),
            Strings::None => false,
        };
        self.push('s', name, field, if sent { op } else { Op::Other(Other::NoText) });
    }

    fn pointer(&mut self, name: &str, field: &Field, at: u32, element: Element) {
        match (self.options.types, self.options.pointers) {
            (Types::Full, _) => {
                self.push('h', name, field, Op::number(at, element, Wire::Bits));
                if element.size() == 8 {
                    self.note(BITS);
                }
            }
            (Types::Double, true) => {
                self.push('d', name, field, Op::number(at, element, Wire::Double));
                if element.size() == 8 {
                    self.note(ROUNDED);
                }
            }
            (Types::Portable, true) => self.push('s', name, field, Op::Other(Other::Hexadecimal(at, element))),
            (_, false) => self.omit(field, "a pointer"),
        }
    }

    fn number(&mut self, name: &str, field: &Field, at: u32, element: Element, bits: bool) {
        let exceeds_long = matches!(element, Element::Integer { bits: 64, signed: false, .. });
        let types = self.options.types;
        let wire = match element {
            Element::Integer { bits: 0..=16, .. } | Element::Bool { .. } => Wire::Int,
            Element::Integer { bits: 17..=32, signed: true, .. } => Wire::Int,
            Element::Integer { bits: 17..=32, .. } => match types {
                Types::Full => Wire::Long,
                Types::Double => Wire::Double,
                Types::Portable => Wire::Int,
            },
            _ => match types {
                Types::Full if bits && exceeds_long => Wire::Bits,
                Types::Full => Wire::Long,
                Types::Double => Wire::Double,
                Types::Portable => Wire::Float,
            },
        };
        self.push(wire.tag(), name, field, Op::number(at, element, wire));
        match wire {
            Wire::Bits => self.note(BITS),
            Wire::Long if exceeds_long => self.note(SATURATES),
            _ => {}
        }
    }
}
