//! What fields mean according to their event's print format: an address, a UUID, a word from a table.
//!
//! The format file declares a MAC address as six bytes and a set of flags as a number. Only the print format says
//! more.

use super::{
    pointer::Pointee,
    printf::{self, Amount, Conversion, Part, Radix},
};
use crate::format::{
    Base, EventFormat, Field, Place,
    print_fmt::{Argument, Expr, PrintFmt},
};

/// What a field means beyond its C type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Meaning {
    /// A UUID: `%pU`.
    Uuid,
    /// A MAC address: `%pM`.
    Mac,
    /// An IPv4 address: `%pI4`.
    Ipv4,
    /// An IPv6 address: `%pI6c`.
    Ipv6,
    /// A `struct sockaddr` of either family: `%pISpc`, `__get_sockaddr`.
    SockAddr,
    /// A bitmap of CPUs or nodes: `%*pbl`, `__get_cpumask`.
    Bitmap,
    /// Text in an array of bytes: `%s` of `u8[16]`.
    Text,
    /// A number with a name: `__print_symbolic`, an enum.
    Enum,
    /// Bits with names: `__print_flags`.
    Flags,
    /// An address of the kernel's code or data: `%pS`, `%ps`.
    Symbol,
}

impl Meaning {
    /// Whether the field is a number with a name, or bits with names.
    pub const fn is_name(self) -> bool {
        matches!(self, Meaning::Enum | Meaning::Flags)
    }

    /// Whether the field itself is text, as opposed to a number that also has a name.
    pub const fn is_text(self) -> bool {
        !matches!(self, Meaning::Enum | Meaning::Flags | Meaning::Symbol)
    }
}

/// Whether `parts`, the literal of the print format of `format`, can give any field one of the `wanted` meanings. If
/// not, its arguments need not be parsed.
pub(super) fn may_be_shown(parts: &[Part], format: &EventFormat, wanted: &dyn Fn(Meaning) -> bool) -> bool {
    let has = |text: &str| memchr::memmem::find(format.print_fmt.as_bytes(), text.as_bytes()).is_some();
    let by_helper = || {
        let helpers =
            [(Meaning::Enum, "__print_symbolic"), (Meaning::Flags, "__print_flags"), (Meaning::Bitmap, "mask(")];
        helpers.iter().any(|(meaning, helper)| wanted(*meaning) && has(helper))
            || wanted(Meaning::Text) && format.fields.iter().any(is_bytes)
    };
    parts.iter().any(|part| match part {
        Part::Conversion { conversion: Conversion::Pointer(letters), .. } => pointed_at(letters).is_some_and(wanted),
        Part::Conversion { conversion: Conversion::Text, .. } => by_helper(),
        _ => false,
    })
}

/// For each field, whether the print format shows it in hexadecimal, as flags or as a pointer. Such a field is a bit
/// pattern (an address, a mask, a cookie), not a number to calculate with.
pub(crate) fn shown_as_bits(format: &EventFormat) -> Vec<bool> {
    let mut bits = vec![false; format.fields.len()];
    let shows_bits = |conversion: &Conversion| {
        matches!(conversion, Conversion::Number(Radix::LowerHex | Radix::UpperHex, _) | Conversion::Pointer(_))
    };
    let parts = printf::parse(&PrintFmt::parse_literal(&format.meant_print_fmt()));
    // Most print formats have none of these, and then their arguments need not be parsed.
    let flags = memchr::memmem::find(format.print_fmt.as_bytes(), b"__print_flags").is_some();
    if !flags && !parts.iter().any(|part| matches!(part, Part::Conversion { conversion, .. } if shows_bits(conversion)))
    {
        return bits;
    }
    let arguments = PrintFmt::parse(&format.meant_print_fmt()).args;
    let mut arguments = arguments.iter();
    for part in &parts {
        let Part::Conversion { width, precision, conversion, .. } = part else { continue };
        for _ in [width, precision].into_iter().filter(|amount| **amount == Amount::Argument) {
            arguments.next();
        }
        let Some(argument) = arguments.next() else { break };
        if let Ok(expr) = &argument.expr {
            let mut names = Vec::new();
            if shows_bits(conversion) {
                collect_fields(expr, &mut names);
            } else if *conversion == Conversion::Text {
                let mut tables = Vec::new();
                collect_tables(expr, &mut tables);
                tables.retain(|(meaning, _)| *meaning == Meaning::Flags);
                tables.iter().for_each(|(_, value)| collect_fields(value, &mut names));
            }
            names.into_iter().filter_map(|name| index(name, format)).for_each(|field| bits[field] = true);
        }
    }
    bits
}

/// The meaning of an argument printed by `%p` with these letters.
fn pointed_at(letters: &str) -> Option<Meaning> {
    Some(match Pointee::of(letters)? {
        Pointee::Uuid { .. } => Meaning::Uuid,
        Pointee::Mac { .. } => Meaning::Mac,
        Pointee::Ip4 { .. } => Meaning::Ipv4,
        Pointee::Ip6(_) => Meaning::Ipv6,
        Pointee::SockAddr(_) => Meaning::SockAddr,
        Pointee::Bitmap(_) => Meaning::Bitmap,
        Pointee::Symbol { .. } => Meaning::Symbol,
        _ => return None,
    })
}

/// An array of bytes, not of characters.
fn is_bytes(field: &Field) -> bool {
    field.place != Place::Scalar && field.ctype.size == 1 && field.ctype.base != Base::Char
}

/// The field that `expr`, printed by `conversion`, refers to, and its meaning. `args` are all arguments of the print
/// format.
pub(super) fn shown(
    conversion: &Conversion,
    expr: &Expr,
    args: &[Argument],
    format: &EventFormat,
) -> Option<(usize, Meaning)> {
    match conversion {
        Conversion::Pointer(letters) => Some((index(bare_field(expr)?, format)?, pointed_at(letters)?)),
        Conversion::Text => {
            let mut tables = Vec::new();
            collect_tables(expr, &mut tables);
            if let Some((meaning, _)) = tables.first() {
                let mut fields = Vec::new();
                tables.iter().for_each(|(_, value)| collect_fields(value, &mut fields));
                let name = only(&fields)?;
                let whole = tables.iter().all(|(_, value)| bare_field(value).is_some());
                return (whole || !has_a_number_of(name, args)).then_some((index(name, format)?, *meaning));
            }
            if let Expr::Call(name, args) = expr
                && matches!(
                    name.as_str(),
                    "__get_bitmask" | "__get_cpumask" | "__get_rel_bitmask" | "__get_rel_cpumask"
                )
                && let [Expr::Name(field)] = &args[..]
            {
                return Some((index(field, format)?, Meaning::Bitmap));
            }
            let at = index(bare_field(expr)?, format)?;
            is_bytes(format.fields.get(at)?).then_some((at, Meaning::Text))
        }
        _ => None,
    }
}

/// Whether some argument is a number made from the field `name`. If another argument names a part of the field
/// (`REC->ioprio >> 13 & 7`), the name does not stand for its whole value: the field is a number with several parts.
fn has_a_number_of(name: &str, args: &[Argument]) -> bool {
    args.iter().filter_map(|argument| argument.expr.as_ref().ok()).any(|expr| {
        let mut fields = Vec::new();
        collect_fields(expr, &mut fields);
        fields.contains(&name) && !is_text(expr)
    })
}

/// Whether `expr` is a string: a literal, a table, or a choice of these.
fn is_text(expr: &Expr) -> bool {
    match expr {
        Expr::Str(_) => true,
        Expr::Call(name, _) => name.starts_with("__print_") || name.starts_with("__get_"),
        Expr::Ternary(_, yes, no) => is_text(yes) || is_text(no),
        Expr::Cast(_, inner) => is_text(inner),
        _ => false,
    }
}

/// Whether `expr` refers to the field at `at` and to no other.
pub(super) fn speaks_only_of(expr: &Expr, at: usize, format: &EventFormat) -> bool {
    let mut fields = Vec::new();
    collect_fields(expr, &mut fields);
    only(&fields).and_then(|name| index(name, format)) == Some(at)
}

fn index(name: &str, format: &EventFormat) -> Option<usize> {
    format.fields.iter().position(|f| f.name == name)
}

/// The only distinct name in `names`.
fn only<'a>(names: &[&'a str]) -> Option<&'a str> {
    let (first, rest) = names.split_first()?;
    rest.iter().all(|name| name == first).then_some(first)
}

/// The field of `REC->f`, `&REC->f`, `(void *)REC->f`, `__get_str(f)` and the like.
fn bare_field(expr: &Expr) -> Option<&str> {
    match expr {
        Expr::Field(name) => Some(name),
        Expr::Cast(_, inner) | Expr::Unary(crate::format::print_fmt::UnaryOp::AddressOf, inner) => bare_field(inner),
        Expr::Call(name, args) if name.starts_with("__get_") => match &args[..] {
            [Expr::Name(field)] => Some(field),
            _ => None,
        },
        _ => None,
    }
}

/// The tables in `expr`: their meaning, and the expression that is looked up in each.
fn collect_tables<'a>(expr: &'a Expr, found: &mut Vec<(Meaning, &'a Expr)>) {
    match expr {
        Expr::Call(name, args) => {
            let meaning = match name.as_str() {
                "__print_symbolic" | "__print_symbolic_u64" => Meaning::Enum,
                "__print_flags" | "__print_flags_u64" => Meaning::Flags,
                _ => return,
            };
            found.extend(args.first().map(|value| (meaning, value)));
        }
        Expr::Ternary(_, yes, no) => {
            collect_tables(yes, found);
            collect_tables(no, found);
        }
        Expr::Cast(_, inner) => collect_tables(inner, found),
        _ => {}
    }
}

/// The names of all fields in `expr`, except in tables, which contain constants.
fn collect_fields<'a>(expr: &'a Expr, found: &mut Vec<&'a str>) {
    let mut each = |exprs: &[&'a Expr]| exprs.iter().for_each(|e| collect_fields(e, found));
    match expr {
        Expr::Field(name) => found.push(name),
        Expr::Call(name, args) => match &args[..] {
            [Expr::Name(field)] if name.starts_with("__get_") => found.push(field),
            args => args.iter().filter(|a| !matches!(a, Expr::Braces(_))).for_each(|e| collect_fields(e, found)),
        },
        Expr::Member(a, _) | Expr::Unary(_, a) | Expr::Cast(_, a) | Expr::SizeofExpr(a) | Expr::Compound(_, a) => {
            each(&[a])
        }
        Expr::Index(a, b) | Expr::Binary(_, a, b) | Expr::OrElse(a, b) => each(&[a, b]),
        Expr::Ternary(a, b, c) => each(&[a, b, c]),
        Expr::Block(bindings, value) => {
            bindings.iter().for_each(|b| collect_fields(&b.value, found));
            collect_fields(value, found);
        }
        Expr::Braces(items) => items.iter().for_each(|e| collect_fields(e, found)),
        Expr::Integer(_) | Expr::Str(_) | Expr::Record | Expr::Name(_) | Expr::SizeofType(_) | Expr::Type(_) => {}
    }
}
