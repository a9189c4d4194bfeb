//! The arguments of a traced call: `print_function_args` (kernel/trace/trace_output.c, since 6.15).

use byteorder::ByteOrder;

use super::{
    graph::With,
    line::{write_hex, write_signed},
};
use crate::{
    decode::unsigned,
    format::{
        EventFormat, Place,
        btf::{Parameter, ParameterKind},
    },
    names::Symbols,
};

/// FTRACE_REGS_MAX_ARGS: the number of words recorded.
const WORDS: usize = 6;

/// The first release that prints unsigned integers in hexadecimal.
const UNSIGNED_HEX: (u16, u16) = (6, 17);

/// The place of the arguments in a record: `unsigned long args[]`.
#[derive(Debug, Clone, Copy)]
pub(super) struct ArgumentsPlace {
    offset: usize,
    size: usize,
}

/// The first words of a call's arguments, sign-extended.
pub(super) type Arguments = [u64; WORDS];

impl ArgumentsPlace {
    pub(super) fn of(format: &EventFormat) -> Option<ArgumentsPlace> {
        let field = format.fields.iter().find(|field| field.name == "args" && field.place == Place::Tail)?;
        let size = field.ctype.size as usize;
        matches!(size, 4 | 8).then_some(ArgumentsPlace { offset: field.offset as usize, size })
    }

    /// The arguments; none for a record without them.
    pub(super) fn read<E: ByteOrder>(self, record: &[u8]) -> Option<Arguments> {
        let bytes = record.get(self.offset..)?.get(..WORDS * self.size)?;
        let mut arguments = [0; WORDS];
        for (argument, bytes) in arguments.iter_mut().zip(bytes.chunks_exact(self.size)) {
            let value = unsigned::<E>(bytes);
            *argument = if self.size == 4 { value as u32 as i32 as u64 } else { value };
        }
        Some(arguments)
    }
}

/// Appends `(file=0xffff888000001000, count=0x40)` for a call of the function at `func`; `()` if its parameters are
/// not known. `long` is the size of a word.
pub(super) fn write(out: &mut Vec<u8>, arguments: &Arguments, func: u64, long: usize, with: With<'_>) {
    let symbol = with.names.symbol(func);
    let parameters = symbol.and_then(|symbol| with.names.functions.parameters(symbol.name));
    out.push(b'(');
    write_list(out, arguments, parameters.unwrap_or_default(), long, with.options.release >= UNSIGNED_HEX);
    out.push(b')');
}

fn write_list(out: &mut Vec<u8>, arguments: &Arguments, parameters: &[Parameter], long: usize, unsigned_hex: bool) {
    let hex = |out: &mut Vec<u8>, value: u64| {
        out.extend_from_slice(b"0x");
        write_hex(out, if long == 4 { value & u64::from(u32::MAX) } else { value }, 1);
    };
    let mut words = arguments.iter().copied();
    for (index, Parameter { name, kind }) in parameters.iter().enumerate() {
        if index > 0 {
            out.extend_from_slice(b", ");
        }
        let Some(value) = words.next() else { return out.extend_from_slice(b"...") };
        out.extend_from_slice(name.as_bytes());
        out.push(b'=');
        match kind {
            ParameterKind::Pointer => hex(out, value),
            ParameterKind::Unknown => {
                out.push(b'?');
                hex(out, value);
            }
            ParameterKind::Unsigned if unsigned_hex => hex(out, value),
            ParameterKind::Signed | ParameterKind::Unsigned | ParameterKind::Enum => write_signed(out, value as i64),
            ParameterKind::Other(kind, size) => {
                out.push(b'(');
                out.extend_from_slice(kind.as_bytes());
                out.extend_from_slice(b")[");
                hex(out, value);
                for _ in (long..*size as usize).step_by(long) {
                    out.push(b':');
                    // The kernel stops here, whatever parameters follow.
                    let Some(value) = words.next() else { return out.extend_from_slice(b"...]") };
                    hex(out, value);
                }
                out.push(b']');
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::Functions;

    const WORDS_OF_CALL: Arguments = [0xffff_8880_0000_1000, 0x7ffe_0000, 64, 0xffff_ffff_ffff_fffb, 5, 6];

    fn text(parameters: &str, long: usize, unsigned_hex: bool) -> String {
        let functions = Functions::parse(&format!("f {parameters}"));
        let mut out = vec![];
        let known = functions.parameters("f").unwrap_or_default();
        write_list(&mut out, &WORDS_OF_CALL, known, long, unsigned_hex);
        String::from_utf8(out).unwrap()
    }

    // Values worked out by hand from `print_function_args`.
    #[test]
    fn values_print_according_to_their_types() {
        let parameters = "file ptr buf ptr count unsigned err signed";
        let want = "file=0xffff888000001000, buf=0x7ffe0000, count=0x40, err=-5";
        assert_eq!(text(parameters, 8, true), want);
        // 6.15 and 6.16.
        assert_eq!(text(parameters, 8, false), want.replace("0x40", "64"));
        assert_eq!(text("a enum - unknown", 8, true), "a=-131391639515136, =?0x7ffe0000");
        assert_eq!(text("a ptr b ptr c ptr d ptr", 4, true), "a=0x1000, b=0x7ffe0000, c=0x40, d=0xfffffffb");
        assert_eq!(text("", 8, true), "");
    }

    #[test]
    fn a_structure_takes_as_many_words_as_it_is_long() {
        assert_eq!(text("s STRUCT/16 n signed", 8, true), "s=(STRUCT)[0xffff888000001000:0x7ffe0000], n=64");
        assert_eq!(text("e ENUM64/8", 8, true), "e=(ENUM64)[0xffff888000001000]");
    }

    #[test]
    fn the_seventh_word_is_not_recorded() {
        let want = "a=1, b=2, c=64, d=-5, e=5, f=6, ...".replace("a=1, b=2", "a=0xffff888000001000, b=0x7ffe0000");
        assert_eq!(text("a ptr b ptr c signed d signed e signed f signed g signed", 8, true), want);
        let want = "s=(STRUCT)[0xffff888000001000:0x7ffe0000:0x40:0xfffffffffffffffb:0x5:0x6:...]";
        assert_eq!(text("s STRUCT/64 n signed", 8, true), want);
    }
}
