//! Binds predicates to fields, and checks that operator and value suit the field, as `parse_pred` does
//! (kernel/trace/trace_events_filter.c).

use super::parse::{Expression, Literal, Operator, Predicate};
use super::pattern::Pattern;
use super::{Cpus, FilterError, Node, PidPlace, Spot, Stored, Test, Traced};
use crate::format::{Base, EventFormat, Field, Place};

/// The expression with its predicates bound to the fields of `format`.
pub(super) fn node(expression: &Expression, format: &EventFormat, traced: &Traced<'_>) -> Result<Node, FilterError> {
    let all = |items: &[Expression]| items.iter().map(|item| node(item, format, traced)).collect::<Result<_, _>>();
    Ok(match expression {
        Expression::Or(items) => Node::Or(all(items)?),
        Expression::And(items) => Node::And(all(items)?),
        Expression::Not(item) => Node::Not(Box::new(node(item, format, traced)?)),
        Expression::Predicate(predicate) => Node::Test(test(predicate, format, traced)?),
    })
}

/// The type of a field in the kernel's filters (`filter_assign_type`).
#[derive(Debug, Clone, Copy)]
enum Kind {
    Text(Spot),
    Mask(Spot, usize, Stored),
    /// `char *`: the text it points to was not recorded.
    TextElsewhere,
    Number(Stored),
    Cpu,
    Comm(PidPlace),
}

impl Kind {
    fn of(field: &Field) -> Kind {
        let (offset, size) = (field.offset as usize, field.size as usize);
        let declared = matches!(field.ctype.base, Base::Integer { signed: true, .. } | Base::Enum(_) | Base::Char);
        let stored = Stored { offset, size, signed: field.signed.unwrap_or(declared) };
        let spot = match field.place {
            Place::Scalar if field.ctype.name == "char *" => return Kind::TextElsewhere,
            Place::Scalar => return Kind::Number(stored),
            Place::Array { .. } | Place::Tail => Spot::Fixed(offset, size),
            Place::DataLoc | Place::DataLocShort | Place::DataLocArray { .. } => Spot::Located(offset),
            Place::RelLoc => Spot::Relative(offset),
        };
        // The kernel searches the type for these words.
        match (spot, field.ctype.name.as_str()) {
            (_, name) if name.contains("char") => Kind::Text(spot),
            (Spot::Located(_) | Spot::Relative(_), name) if name.contains("cpumask_t") => {
                Kind::Mask(spot, field.ctype.size as usize, stored)
            }
            _ => Kind::Number(stored),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Kind::Text(_) | Kind::Comm(_) => "a string",
            Kind::Mask(..) => "a set of CPUs",
            Kind::TextElsewhere => "the address of a string",
            Kind::Number(Stored { signed: true, .. }) | Kind::Cpu => "a signed number",
            Kind::Number(_) => "an unsigned number",
        }
    }

    /// Whether a number compared with the field is read as signed.
    fn is_signed(self) -> bool {
        match self {
            Kind::Number(stored) | Kind::Mask(_, _, stored) => stored.signed,
            _ => true,
        }
    }
}

/// The field called `name`, searched in the order of `trace_find_event_field`: the event's own, the generic ones
/// (`CPU`, `COMM`), the common ones.
fn find(format: &EventFormat, name: &str) -> Option<Kind> {
    let among = |fields: &[Field]| fields.iter().find(|field| field.name == name).map(Kind::of);
    among(&format.fields)
        .or(match name {
            "CPU" | "cpu" | "common_cpu" => Some(Kind::Cpu),
            "COMM" | "comm" => Some(Kind::Comm(PidPlace::of(format))),
            _ => None,
        })
        .or_else(|| among(&format.common))
}

fn test(predicate: &Predicate, format: &EventFormat, traced: &Traced<'_>) -> Result<Test, FilterError> {
    let Predicate { field: name, operator, value } = predicate;
    let Some(kind) = find(format, name) else {
        let known: Vec<_> = format.fields.iter().map(|field| field.name.as_str()).collect();
        return Err(FilterError::Field {
            event: format.full_name(),
            field: name.clone(),
            known: if known.is_empty() { "none".to_owned() } else { known.join(", ") },
        });
    };
    let wrong = |why| FilterError::Type { event: format.full_name(), field: name.clone(), is: kind.name(), why };
    match value {
        Literal::Number(word) => number_test(kind, *operator, word),
        Literal::Function(word) => function_test(kind, *operator, word, traced),
        Literal::Text(text) => text_test(kind, *operator, text),
        Literal::Cpus(list) => cpus_test(kind, *operator, list, traced),
    }
    .map_err(wrong)
}

fn number_test(kind: Kind, operator: Operator, word: &str) -> Result<Test, &'static str> {
    if matches!(kind, Kind::Text(_) | Kind::Comm(_) | Kind::TextElsewhere) {
        return Err("a string in quotes is expected");
    }
    if operator == Operator::Like {
        return Err("~ applies to strings only");
    }
    let number = if kind.is_signed() { signed(word) } else { unsigned(word) };
    let number = number.ok_or_else(|| match word.starts_with('-') && !kind.is_signed() {
        true => "it cannot be negative",
        false => "a number is decimal, 0x… or, with a leading 0, octal, and has at most 64 bits",
    })?;
    Ok(match kind {
        Kind::Cpu => Test::Cpu(operator, number as i32),
        Kind::Number(stored) | Kind::Mask(_, _, stored) if stored.is_comparable() => {
            Test::Number(stored, operator, number)
        }
        _ => Test::Never,
    })
}

fn function_test(kind: Kind, operator: Operator, word: &str, traced: &Traced<'_>) -> Result<Test, &'static str> {
    let Kind::Number(stored) = kind else { return Err(".function applies to addresses only") };
    let negated = match operator {
        Operator::Equal => false,
        Operator::NotEqual => true,
        _ => return Err(".function can be compared with == and != only"),
    };
    let Some(kallsyms) = traced.kallsyms.filter(|kallsyms| !kallsyms.is_empty()) else {
        return Err("the recording has no symbols (kallsyms), so .function can be used in a live filter only");
    };
    let long = if kallsyms.text_start().is_some_and(|start| start <= u32::MAX.into()) { 4 } else { 8 };
    if stored.size != long {
        return Err(".function applies to addresses only");
    }
    let address = match word.starts_with(|c: char| c.is_ascii_digit()) {
        true => unsigned(word),
        false => kallsyms.address_of(word),
    };
    let function = address.and_then(|address| {
        let symbol = kallsyms.lookup(address)?;
        let start = address - symbol.offset;
        Some(start..start.wrapping_add(symbol.size))
    });
    let function = function.ok_or("there is no such function")?;
    Ok(Test::Function(stored, function, negated))
}

fn text_test(kind: Kind, operator: Operator, text: &str) -> Result<Test, &'static str> {
    let (pattern, negated) = match operator {
        Operator::Like => Pattern::like(text),
        Operator::Equal => (Pattern::whole(text), false),
        Operator::NotEqual => (Pattern::whole(text), true),
        _ => return Err("strings can be compared with ==, != and ~"),
    };
    if text.len() >= MAX_TEXT {
        return Err("a string may have at most 255 bytes");
    }
    match kind {
        Kind::Text(spot) => Ok(Test::Text(spot, pattern, negated)),
        Kind::Comm(pid) => Ok(Test::Comm(pid, pattern, negated)),
        Kind::TextElsewhere => Err("the string itself was not recorded, so it can be used in a live filter only"),
        _ => Err("a number is expected"),
    }
}

fn cpus_test(kind: Kind, operator: Operator, list: &str, traced: &Traced<'_>) -> Result<Test, &'static str> {
    let cpus = match kind {
        Kind::Text(_) | Kind::Comm(_) | Kind::TextElsewhere => {
            return Err("CPUS{…} applies to CPU numbers and masks only");
        }
        Kind::Cpu => Cpus::Own,
        Kind::Mask(spot, long, _) => Cpus::Mask(spot, long),
        Kind::Number(stored) => Cpus::Number(stored),
    };
    if !matches!(operator, Operator::Bits | Operator::Equal | Operator::NotEqual) {
        return Err("CPUS{…} can be compared with &, == and != only");
    }
    let list = super::cpus::parse(list, traced.cpus);
    let list = list.ok_or("CPUS{…} must contain a list of the kernel's CPUs, such as 0,2-3")?;
    let only = list.iter().next().filter(|_| list.iter().nth(1).is_none());
    Ok(match (cpus, only) {
        (Cpus::Number(stored), _) if !stored.is_comparable() => Test::Never,
        // A single CPU and a number field are compared as numbers of the field's width.
        (Cpus::Number(stored), Some(cpu)) => {
            let operator = if operator == Operator::Bits { Operator::Equal } else { operator };
            Test::Number(stored, operator, cpu.into())
        }
        _ => Test::Cpus(cpus, operator, list),
    })
}

/// `MAX_FILTER_STR_VAL`.
const MAX_TEXT: usize = 256;

/// As `kstrtoull` with base 0: decimal, `0x…`, or octal with a leading zero.
fn unsigned(word: &str) -> Option<u64> {
    let hex = word.strip_prefix("0x").or_else(|| word.strip_prefix("0X"));
    let (digits, radix) = match (hex, word.strip_prefix('0')) {
        (Some(hex), _) => (hex, 16),
        (None, Some(octal)) if !octal.is_empty() => (octal, 8),
        _ => (word, 10),
    };
    // `from_str_radix` would accept a sign.
    if !digits.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        return None;
    }
    u64::from_str_radix(digits, radix).ok()
}

/// As `kstrtoll` with base 0; returns the bits of the number.
fn signed(word: &str) -> Option<u64> {
    let number = match word.strip_prefix('-') {
        Some(magnitude) => 0i64.checked_sub_unsigned(unsigned(magnitude)?)?,
        None => i64::try_from(unsigned(word)?).ok()?,
    };
    Some(number as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_kstrtoll_and_kstrtoull_do() {
        assert_eq!(unsigned("18446744073709551615"), Some(u64::MAX));
        assert_eq!(unsigned("0xfffffffa"), Some(0xffff_fffa));
        assert_eq!(unsigned("0X1F"), Some(31));
        assert_eq!((unsigned("017"), unsigned("0"), unsigned("00")), (Some(15), Some(0), Some(0)));
        for word in ["-1", "+1", "18446744073709551616", "08", "0x", "0xg", "0b1", "0o7", "", "1x", "0x-1"] {
            assert_eq!(unsigned(word), None, "{word}");
        }
        assert_eq!(signed("-9223372036854775808"), Some(1 << 63));
        assert_eq!(signed("9223372036854775807"), Some(i64::MAX as u64));
        assert_eq!((signed("-0x1"), signed("-010"), signed("-0")), (Some(u64::MAX), Some(-8i64 as u64), Some(0)));
        for word in ["9223372036854775808", "-9223372036854775809", "0xffffffffffffffff", "-", "--1", "-08"] {
            assert_eq!(signed(word), None, "{word}");
        }
    }
}
