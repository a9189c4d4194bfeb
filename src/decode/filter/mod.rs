//! The kernel's filter expressions, evaluated on recorded events as the kernel does on live ones.
//!
//! `irq > 3 && name ~ "eth*"`, as `events/<system>/<event>/filter` takes it. [`Filter::parse`] parses the text,
//! [`Filter::compile`] binds it to the fields of one event, [`Matcher::matches`] tests a record.
//!
//! The kernel goes by a field's size and sign in the format file, not by its C type, and truncates the number to that
//! width before it compares. An `int dfd` of a system call is eight unsigned bytes to it. The same is done here.
//!
//! Differences from a live filter: a `char *` cannot be compared with a string, which is not in the record.
//! `.function` needs the kernel's symbols, and `all` and `N` in `CPUS{…}` its number of CPUs ([`Traced`]); without
//! them they are refused.

mod bind;
mod cpus;
mod glob;
mod parse;
mod pattern;

use byteorder::ByteOrder;

use super::{PidPlace, place, unsigned};
use crate::{format::EventFormat, names::Kallsyms, ring::CpuList};
use parse::{Expression, Operator};
use pattern::Pattern;

/// A parsed filter that is not bound to an event yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter {
    expression: Expression,
}

/// Why a filter cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FilterError {
    /// It does not follow the kernel's grammar.
    #[error("filter: expected a field, an operator and a value at column {column}, found {found:?}")]
    Syntax {
        /// The column, in characters from 1.
        column: usize,
        /// The text there.
        found: String,
    },
    /// A string without quotes.
    #[error("filter: expected a number or a string in quotes at column {column}, found {found:?}")]
    Value {
        /// The column, in characters from 1.
        column: usize,
        /// The text there.
        found: String,
    },
    /// It is longer than the limit.
    #[error("filter: it has {len} bytes, more than the limit of {limit}")]
    TooLong {
        /// Its length, bytes.
        len: usize,
        /// The limit, bytes.
        limit: usize,
    },
    /// Its parentheses are nested too deeply.
    #[error("filter: more than {limit} levels of parentheses")]
    TooDeep {
        /// The limit.
        limit: u32,
    },
    /// The event has no field of that name.
    #[error("filter: {event} has no field {field:?}; it has {known}")]
    Field {
        /// The event.
        event: String,
        /// The name in the filter.
        field: String,
        /// The names of its fields.
        known: String,
    },
    /// The operator or the value does not suit the field.
    #[error("filter: {event}: {field} is {is}: {why}")]
    Type {
        /// The event.
        event: String,
        /// The field.
        field: String,
        /// The type of the field.
        is: &'static str,
        /// What does not suit it.
        why: &'static str,
    },
}

/// What is known of the traced kernel besides the event's format.
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
pub struct Traced<'a> {
    /// Its symbols, for `.function`.
    pub kallsyms: Option<&'a Kallsyms>,
    /// How many CPUs it has (`nr_cpu_ids`), for `CPUS{all}` and `CPUS{N}`.
    pub cpus: Option<u32>,
}

/// What a filter needs besides the record itself.
pub trait Surroundings {
    /// The CPU that the record was written on.
    fn cpu(&self) -> u32;

    /// The name of the task that was running, by its pid.
    fn comm(&self, pid: i32) -> &[u8];

    /// The number of CPUs of the traced kernel (`nr_cpu_ids`). A field with a larger number is in no set of CPUs.
    fn cpus(&self) -> u32 {
        u32::MAX
    }
}

impl Filter {
    /// Parses a filter.
    ///
    /// ```
    /// use ftrace_live::decode::Filter;
    /// assert!(Filter::parse("irq > 3 && name ~ \"eth*\"").is_ok());
    /// let error = Filter::parse("irq >").unwrap_err().to_string();
    /// assert_eq!(error, "filter: expected a field, an operator and a value at column 6, found \"\"");
    /// ```
    pub fn parse(text: &str) -> Result<Filter, FilterError> {
        parse::parse(text).map(|expression| Filter { expression })
    }

    /// Binds the filter to the fields of one event.
    pub fn compile(&self, format: &EventFormat) -> Result<Matcher, FilterError> {
        self.compile_for(format, &Traced::default())
    }

    /// The same, for a kernel of which more is known.
    pub fn compile_for(&self, format: &EventFormat, traced: &Traced<'_>) -> Result<Matcher, FilterError> {
        Ok(Matcher { node: bind::node(&self.expression, format, traced)? })
    }
}

/// A filter bound to one event.
#[derive(Debug, Clone)]
pub struct Matcher {
    node: Node,
}

impl Matcher {
    /// Whether the filter accepts `record`. A predicate on a field that cannot be read is false, and its negation
    /// true.
    #[inline]
    pub fn matches<E: ByteOrder>(&self, record: &[u8], around: &impl Surroundings) -> bool {
        self.node.matches::<E>(record, around)
    }
}

/// Depth is bounded by the parser.
#[derive(Debug, Clone)]
enum Node {
    Or(Box<[Node]>),
    And(Box<[Node]>),
    Not(Box<Node>),
    Test(Test),
}

/// An integer in a record, as the format file's columns state it.
#[derive(Debug, Clone, Copy)]
struct Stored {
    offset: usize,
    size: usize,
    signed: bool,
}

/// The place of a text or a mask in a record.
#[derive(Debug, Clone, Copy)]
enum Spot {
    /// At an offset, with this length; with length 0, up to its NUL.
    Fixed(usize, usize),
    /// At the place given by the `__data_loc` word at this offset.
    Located(usize),
    /// At the place given by the `__rel_loc` word at this offset.
    Relative(usize),
}

/// A set of CPUs in a record.
#[derive(Debug, Clone, Copy)]
enum Cpus {
    /// The CPU that the record was written on.
    Own,
    /// The CPU whose number a field holds.
    Number(Stored),
    /// A mask of longs of this size.
    Mask(Spot, usize),
}

/// One predicate, bound to a field.
#[derive(Debug, Clone)]
enum Test {
    /// The kernel has no comparison for a field of this size: never true, not even with `!=`.
    Never,
    Number(Stored, Operator, u64),
    /// An address within a function, from its first byte to this one; negated if true.
    Function(Stored, std::ops::Range<u64>, bool),
    /// `CPU`: the CPU that the record was written on.
    Cpu(Operator, i32),
    /// Whether the text matches the pattern; negated if true.
    Text(Spot, Pattern, bool),
    /// The same for `COMM`, the name of the running task.
    Comm(PidPlace, Pattern, bool),
    Cpus(Cpus, Operator, CpuList),
}

impl Node {
    fn matches<E: ByteOrder>(&self, record: &[u8], around: &impl Surroundings) -> bool {
        match self {
            Node::Or(nodes) => nodes.iter().any(|node| node.matches::<E>(record, around)),
            Node::And(nodes) => nodes.iter().all(|node| node.matches::<E>(record, around)),
            Node::Not(node) => !node.matches::<E>(record, around),
            Node::Test(test) => test.matches::<E>(record, around).unwrap_or(false),
        }
    }
}

impl Test {
    /// `None` if the record ends before the field.
    fn matches<E: ByteOrder>(&self, record: &[u8], around: &impl Surroundings) -> Option<bool> {
        Some(match self {
            Test::Never => false,
            Test::Number(stored, operator, wanted) => stored.compare(*operator, stored.read::<E>(record)?, *wanted),
            Test::Function(stored, function, negated) => function.contains(&stored.read::<E>(record)?) != *negated,
            Test::Cpu(operator, wanted) => compare_cpu(*operator, around.cpu() as i32, *wanted),
            Test::Text(spot, pattern, negated) => {
                let (text, len) = spot.text::<E>(record)?;
                pattern.matches(text, len) != *negated
            }
            Test::Comm(pid, pattern, negated) => {
                // `current->comm`: 16 bytes, filled with NULs.
                let comm = around.comm(pid.read::<E>(record));
                let mut filled = [0; 16];
                let len = comm.len().min(filled.len());
                filled[..len].copy_from_slice(&comm[..len]);
                pattern.matches(&filled, filled.len()) != *negated
            }
            Test::Cpus(cpus, operator, wanted) => match cpus {
                Cpus::Own => same_cpus(*operator, std::iter::once(around.cpu()), wanted),
                Cpus::Number(stored) => {
                    let cpu = stored.read::<E>(record)? as u32;
                    cpu < around.cpus() && same_cpus(*operator, std::iter::once(cpu), wanted)
                }
                Cpus::Mask(spot, long) => {
                    let (bytes, _) = spot.text::<E>(record)?;
                    let words = bytes.chunks_exact(*long).map(unsigned::<E>).enumerate();
                    let bits = *long as u32 * 8;
                    let cpus = words.flat_map(|(index, word)| {
                        let set = move |bit: &u32| word >> bit & 1 != 0;
                        (0..bits).filter(set).map(move |bit| index as u32 * bits + bit)
                    });
                    same_cpus(*operator, cpus, wanted)
                }
            },
        })
    }
}

impl Stored {
    /// Whether the kernel has comparisons of this size (`select_comparison_fn`).
    fn is_comparable(self) -> bool {
        matches!(self.size, 1 | 2 | 4 | 8)
    }

    fn read<E: ByteOrder>(self, record: &[u8]) -> Option<u64> {
        record.get(self.offset..self.offset.checked_add(self.size)?).map(unsigned::<E>)
    }

    /// As `DEFINE_COMPARISON_PRED` and `DEFINE_EQUALITY_PRED`: both sides have the field's width and sign.
    fn compare(self, operator: Operator, found: u64, wanted: u64) -> bool {
        let unused = 64 - 8 * self.size.clamp(1, 8) as u32;
        let (found, wanted) = (found << unused, wanted << unused);
        let order = match self.signed {
            true => (found as i64).cmp(&(wanted as i64)),
            false => found.cmp(&wanted),
        };
        match operator {
            Operator::Bits => found & wanted != 0,
            Operator::NotEqual => order.is_ne(),
            Operator::Less => order.is_lt(),
            Operator::LessEqual => order.is_le(),
            Operator::Greater => order.is_gt(),
            Operator::GreaterEqual => order.is_ge(),
            Operator::Equal | Operator::Like => order.is_eq(),
        }
    }
}

impl Spot {
    /// The bytes from the text or mask on, and how many of them the kernel compares. Of a mask no more than those.
    fn text<E: ByteOrder>(self, record: &[u8]) -> Option<(&[u8], usize)> {
        let (word, base) = match self {
            Spot::Fixed(offset, len) => return Some((record.get(offset..)?, len)),
            Spot::Located(word) => (word, 0),
            Spot::Relative(word) => (word, word.checked_add(4)?),
        };
        let place = place::<E>(record, word, base).ok()?;
        Some((&record[place.clone()], place.len()))
    }
}

/// As `filter_pred_cpu`, which has no `&`.
fn compare_cpu(operator: Operator, cpu: i32, wanted: i32) -> bool {
    match operator {
        Operator::Equal => cpu == wanted,
        Operator::NotEqual => cpu != wanted,
        Operator::Less => cpu < wanted,
        Operator::LessEqual => cpu <= wanted,
        Operator::Greater => cpu > wanted,
        Operator::GreaterEqual => cpu >= wanted,
        Operator::Bits | Operator::Like => false,
    }
}

/// As `do_filter_cpumask` and the like: `&` any in common, `==` the same set, `!=` another set.
fn same_cpus(operator: Operator, cpus: impl Iterator<Item = u32>, wanted: &CpuList) -> bool {
    let (mut common, mut found) = (0, 0);
    for cpu in cpus {
        found += 1;
        common += usize::from(wanted.contains(cpu));
    }
    let same = common == found && common == wanted.iter().count();
    match operator {
        Operator::Bits => common > 0,
        Operator::NotEqual => !same,
        _ => same,
    }
}

#[cfg(test)]
mod tests;
