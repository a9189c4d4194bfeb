//! The kernel's filter expressions, evaluated here: what a filter would have let through live, of a recording.
//!
//! `irq > 3 && name ~ "eth*"`, as `events/<system>/<event>/filter` takes it. [`Filter::parse`] reads the text,
//! [`Filter::compile`] binds it to one event's fields, [`Matcher::matches`] asks one record.
//!
//! Differences from the kernel: narrow values in wide fields (`int dfd` of a system call) are compared as what they are,
//! so `dfd == -100` works; a `char *` is an address, for what it pointed to was not recorded.

mod glob;
mod parse;

use byteorder::ByteOrder;

use super::{Element, FieldPlan, Plan, Read, Value, value::read_value};
use crate::{format::EventFormat, tracefs::CpuList};
use parse::{Expression, Literal, Operator, Predicate};

/// A filter that was read but is not bound to an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter {
    expression: Expression,
}

/// Why a filter cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FilterError {
    /// It is not of the kernel's grammar.
    #[error("filter: a field, an operator and a value expected at column {column}, found {found:?}")]
    Syntax {
        /// Where, in characters from 1.
        column: usize,
        /// What stands there.
        found: String,
    },
    /// It is longer than any filter.
    #[error("filter: {len} bytes are more than {limit}")]
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
        /// The names there are.
        known: String,
    },
    /// The operator or the value does not go with the field.
    #[error("filter: {event}: {field} is {is}: {why}")]
    Type {
        /// The event.
        event: String,
        /// The field.
        field: String,
        /// What the field is.
        is: &'static str,
        /// What is wrong with that.
        why: &'static str,
    },
}

/// What a filter is asked about, besides the record's own bytes.
pub trait Surroundings {
    /// The CPU that the record was written on.
    fn cpu(&self) -> u32;

    /// The name of the task that was running, by its pid.
    fn comm(&self, pid: i32) -> &[u8];
}

impl Filter {
    /// Reads a filter.
    ///
    /// ```
    /// use ftrace_live::decode::Filter;
    /// assert!(Filter::parse("irq > 3 && name ~ \"eth*\"").is_ok());
    /// let error = Filter::parse("irq >").unwrap_err().to_string();
    /// assert_eq!(error, "filter: a field, an operator and a value expected at column 6, found \"\"");
    /// ```
    pub fn parse(text: &str) -> Result<Filter, FilterError> {
        parse::parse(text).map(|expression| Filter { expression })
    }

    /// Binds the filter to the fields of one event.
    pub fn compile(&self, format: &EventFormat) -> Result<Matcher, FilterError> {
        let plan = Plan::compile(format);
        Ok(Matcher { node: node(&self.expression, format, &plan)? })
    }
}

/// A filter bound to one event.
#[derive(Debug, Clone)]
pub struct Matcher {
    node: Node,
}

impl Matcher {
    /// Whether the filter lets `record` through. A field that cannot be read matches nothing, and its negation all.
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
    Test(Subject, Test),
}

/// What a predicate looks at.
#[derive(Debug, Clone)]
enum Subject {
    Field(FieldPlan),
    /// `CPU`: where the record was written.
    Cpu,
    /// `COMM`: the task that was running.
    Comm(FieldPlan),
}

/// What it asks of it.
#[derive(Debug, Clone)]
enum Test {
    Number(Operator, i128),
    /// Equal to the text, or like the glob; the other way round if negated.
    Text {
        pattern: Box<[u8]>,
        like: bool,
        negated: bool,
    },
    /// A mask of CPUs, or the number of one.
    Cpus(Operator, CpuList),
}

impl Node {
    fn matches<E: ByteOrder>(&self, record: &[u8], around: &impl Surroundings) -> bool {
        match self {
            Node::Or(nodes) => nodes.iter().any(|node| node.matches::<E>(record, around)),
            Node::And(nodes) => nodes.iter().all(|node| node.matches::<E>(record, around)),
            Node::Not(node) => !node.matches::<E>(record, around),
            Node::Test(Subject::Field(field), test) => {
                read_value::<E>(field, record).is_ok_and(|value| test.matches(value))
            }
            Node::Test(Subject::Cpu, test) => test.matches(Value::Unsigned(u64::from(around.cpu()))),
            Node::Test(Subject::Comm(pid), test) => match read_value::<E>(pid, record) {
                Ok(Value::Signed(pid)) => test.matches(Value::Text(around.comm(pid as i32))),
                _ => false,
            },
        }
    }
}

impl Test {
    fn matches(&self, value: Value<'_>) -> bool {
        match self {
            Test::Number(operator, wanted) => number(value).is_some_and(|found| compare(*operator, found, *wanted)),
            Test::Text { pattern, like, negated } => {
                let Value::Text(text) = value else { return false };
                (if *like { glob::matches(pattern, text) } else { **pattern == *text }) != *negated
            }
            Test::Cpus(operator, wanted) => cpus_match(*operator, value, wanted),
        }
    }
}

fn number(value: Value<'_>) -> Option<i128> {
    match value {
        Value::Signed(v) => Some(v.into()),
        Value::Unsigned(v) | Value::Pointer(v) => Some(v.into()),
        Value::Bool(v) => Some(v.into()),
        _ => None,
    }
}

fn compare(operator: Operator, found: i128, wanted: i128) -> bool {
    match operator {
        Operator::Bits => (found as u64) & (wanted as u64) != 0,
        Operator::NotEqual => found != wanted,
        Operator::Less => found < wanted,
        Operator::LessEqual => found <= wanted,
        Operator::Greater => found > wanted,
        Operator::GreaterEqual => found >= wanted,
        Operator::Equal | Operator::Like => found == wanted,
    }
}

/// As `do_filter_cpumask` and `do_filter_scalar_cpumask`: `&` any in common, `==` the same set, `!=` another one. A number
/// is the set of that one CPU.
fn cpus_match(operator: Operator, value: Value<'_>, wanted: &CpuList) -> bool {
    let (mut common, mut found, mut wanted_count) = (0, 0, 0);
    let mut count = |cpu: u32| {
        found += 1;
        common += usize::from(wanted.contains(cpu));
    };
    match value {
        Value::Array(words) => {
            let Element::Integer { size, .. } = words.element() else { return false };
            for (index, word) in words.iter().enumerate() {
                let (Value::Unsigned(word), bits) = (word, u32::from(size) * 8) else { return false };
                (0..bits.min(64)).filter(|bit| word >> bit & 1 != 0).for_each(|bit| count(index as u32 * bits + bit));
            }
        }
        other => match number(other).and_then(|cpu| u32::try_from(cpu).ok()) {
            Some(cpu) => count(cpu),
            None => return false,
        },
    }
    wanted_count += wanted.iter().count();
    let same = common == found && common == wanted_count;
    match operator {
        Operator::Bits => common > 0,
        Operator::NotEqual => !same,
        _ => same,
    }
}

fn node(expression: &Expression, format: &EventFormat, plan: &Plan) -> Result<Node, FilterError> {
    let all = |items: &[Expression]| items.iter().map(|item| node(item, format, plan)).collect::<Result<_, _>>();
    Ok(match expression {
        Expression::Or(items) => Node::Or(all(items)?),
        Expression::And(items) => Node::And(all(items)?),
        Expression::Not(item) => Node::Not(Box::new(node(item, format, plan)?)),
        Expression::Predicate(predicate) => bind(predicate, format, plan)?,
    })
}

/// What a subject is, as far as operators care.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Signed,
    Unsigned,
    Text,
    Mask,
    Other,
}

impl Kind {
    fn of(read: Read) -> Kind {
        match read {
            Read::Scalar(Element::Integer { signed: true, .. }) => Kind::Signed,
            Read::Scalar(Element::Integer { .. } | Element::Bool { .. } | Element::Pointer { .. }) => Kind::Unsigned,
            Read::Array(Element::Char, _)
            | Read::DataLoc(Element::Char)
            | Read::RelLoc(Element::Char)
            | Read::DataLocShort(Element::Char)
            | Read::Tail(Element::Char) => Kind::Text,
            Read::DataLoc(Element::Integer { signed: false, .. })
            | Read::RelLoc(Element::Integer { signed: false, .. }) => Kind::Mask,
            _ => Kind::Other,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Kind::Signed => "a signed number",
            Kind::Unsigned => "an unsigned number",
            Kind::Text => "a text",
            Kind::Mask => "a set of CPUs",
            Kind::Other => "neither a number nor a text",
        }
    }
}

/// Finds what the predicate names and checks that its operator and value go with it.
fn bind(predicate: &Predicate, format: &EventFormat, plan: &Plan) -> Result<Node, FilterError> {
    let Predicate { field: name, operator, value } = predicate;
    // The order of `trace_find_event_field`: the event's own fields, then those that every event is given, then the common
    // ones.
    let own = format.fields.iter().position(|field| field.name == *name).and_then(|index| plan.fields().get(index));
    let common = |name: &str| {
        let field = format.common.iter().find(|field| field.name == name)?;
        Some(FieldPlan::common(field))
    };
    let (subject, kind) = if let Some(own) = own {
        (Subject::Field(*own), Kind::of(own.read))
    } else if matches!(name.as_str(), "CPU" | "cpu") {
        (Subject::Cpu, Kind::Unsigned)
    } else if let ("COMM" | "comm", Some(pid)) = (name.as_str(), common("common_pid")) {
        (Subject::Comm(pid), Kind::Text)
    } else if let Some(field) = common(name) {
        (Subject::Field(field), Kind::of(field.read))
    } else {
        let known: Vec<_> = format.fields.iter().map(|field| field.name.as_str()).collect();
        return Err(FilterError::Field {
            event: format.full_name(),
            field: name.clone(),
            known: if known.is_empty() { "none".to_owned() } else { known.join(", ") },
        });
    };
    let wrong = |why| FilterError::Type { event: format.full_name(), field: name.clone(), is: kind.name(), why };
    let test = match (kind, value) {
        (Kind::Signed | Kind::Unsigned, Literal::Number(number)) => {
            if *operator == Operator::Like {
                return Err(wrong("~ is for texts"));
            }
            if kind == Kind::Unsigned && *number < 0 {
                return Err(wrong("it cannot be negative"));
            }
            Test::Number(*operator, *number)
        }
        (Kind::Signed | Kind::Unsigned | Kind::Mask, Literal::Cpus(list)) => {
            let list = list.parse().map_err(|_| wrong("CPUS{…} holds a list such as 0,2-3"))?;
            if !matches!(operator, Operator::Bits | Operator::Equal | Operator::NotEqual) {
                return Err(wrong("CPUS{…} goes with &, == and !="));
            }
            Test::Cpus(*operator, list)
        }
        (Kind::Signed | Kind::Unsigned, Literal::Text(_)) => return Err(wrong("a number is wanted")),
        (Kind::Text, Literal::Cpus(_)) => return Err(wrong("CPUS{…} is for CPUs")),
        (Kind::Text, value) => {
            let text = match value {
                Literal::Text(text) => text.clone(),
                // Digits without quotes are a text here.
                Literal::Number(number) => number.to_string(),
                Literal::Cpus(_) => String::new(),
            };
            let (like, negated) = match operator {
                Operator::Like => (true, false),
                Operator::Equal => (false, false),
                Operator::NotEqual => (false, true),
                _ => return Err(wrong("texts go with ==, != and ~")),
            };
            Test::Text { pattern: text.into_bytes().into(), like, negated }
        }
        (Kind::Mask, _) => return Err(wrong("a set of CPUs, as CPUS{0,2-3}, is wanted")),
        (Kind::Other, _) => return Err(wrong("it cannot be filtered by")),
    };
    Ok(Node::Test(subject, test))
}

#[cfg(test)]
mod tests;
