//! The C declaration of a field, and what its stored value means.
//!
//! This is not a C parser. In some ten thousand real format files every declaration has the shape `[__data_loc]
//! qualifiers type-words [*…] name [brackets]`. The text in the last brackets is not evaluated (it may be
//! `sizeof(struct …)` or a macro): the number of elements follows from the field's size.

use nom::{
    IResult, Parser,
    branch::alt,
    bytes::complete::{tag, take_while1},
    character::complete::{char, multispace0},
    combinator::{recognize, value},
    multi::many1,
    sequence::{delimited, preceded},
};

use super::LongSize;

/// What one element of a field is.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Base {
    /// An integer of `bits` significant bits, possibly fewer than are stored: a system call's `int` takes eight bytes
    /// in the record, of which 32 bits count (`AT_FDCWD` is −100).
    Integer {
        /// Whether it is read as signed.
        signed: bool,
        /// Significant bits: 8, 16, 32 or 64.
        bits: u8,
    },
    /// `bool`: 0 or 1.
    Bool,
    /// Plain `char`; more than one of them is text.
    Char,
    /// A pointer to anything, including functions.
    Pointer,
    /// `enum NAME`; `bits` as in [`Base::Integer`].
    Enum(String),
    /// `cpumask_t`: a bitmap of CPUs in kernel longs.
    CpuMask,
    /// A structure or union stored by value, or a type whose size is not an integer's.
    Opaque,
}

/// The type of one element.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CType {
    /// What it is.
    pub base: Base,
    /// The C type without qualifiers and with single spaces: `unsigned long`, `pid_t`, `enum zone_type`, `struct page *`.
    pub name: String,
    /// Bytes one element takes in the record.
    pub size: u32,
}

/// Where in the record a field's value lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Place {
    /// One value at the field's offset.
    Scalar,
    /// `count` values at the field's offset.
    Array {
        /// Number of elements, from the field's size.
        count: u32,
    },
    /// `__data_loc`: a u32 at the field's offset, `length << 16 | offset from the start of the record`
    /// (include/trace/stages/stage6_event_callback.h).
    DataLoc,
    /// `__rel_loc`: as `DataLoc`, but the offset counts from the *end* of the field.
    RelLoc,
    /// A two-byte `__data_loc` of kernels before 2.6.32: the offset alone; the value runs to the end of the record.
    DataLocShort,
    /// Several `__data_loc` words, as a kprobe's array of strings has: `count` of them.
    DataLocArray {
        /// How many location words.
        count: u32,
    },
    /// From the field's offset to the end of the record (`size:0`); up to three padding bytes may follow the value.
    Tail,
}

/// A declaration, split into its parts.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Declaration<'a> {
    location: Option<Location>,
    words: Vec<&'a str>,
    stars: usize,
    pub(super) name: &'a str,
    /// The text of each `[…]`, outermost first: before the name for `__data_loc char[] name`.
    brackets: Vec<&'a str>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Location {
    Data,
    Rel,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token<'a> {
    Word(&'a str),
    Star,
    Bracket(&'a str),
}

/// Words that do not affect the form of the value. `__seg_gs` and `__percpu` mark the address space of a pointer.
const QUALIFIERS: [&str; 12] = [
    "const", "volatile", "restrict", "__user", "__kernel", "__iomem", "__rcu", "__percpu", "__seg_gs", "__seg_fs",
    "__force", "register",
];

/// The most elements that a probe's array argument may have (`MAX_ARRAY_LEN`, kernel/trace/trace_probe.h). A file
/// that claims more is not the kernel's, and would otherwise make us compile a plan of a billion texts.
const MAX_PROBE_ARRAY: u32 = 64;

/// Splits `declaration`; `None` if it has no type or no name.
pub(super) fn split(declaration: &str) -> Option<Declaration<'_>> {
    let (rest, mut tokens) =
        many1(preceded(multispace0::<_, nom::error::Error<&str>>, token)).parse(declaration).ok()?;
    if !rest.trim().is_empty() {
        return None;
    }
    let location = match tokens.first() {
        Some(Token::Word("__data_loc")) => Some(Location::Data),
        Some(Token::Word("__rel_loc")) => Some(Location::Rel),
        _ => None,
    };
    if location.is_some() {
        tokens.remove(0);
    }
    // The name is the last word outside of brackets; everything before it belongs to the type.
    let at = tokens.iter().rposition(|t| matches!(t, Token::Word(_)))?;
    let Token::Word(name) = tokens.remove(at) else { return None };
    let mut split = Declaration { location, words: vec![], stars: 0, name, brackets: vec![] };
    for token in tokens {
        match token {
            Token::Word(word) if QUALIFIERS.contains(&word) => {}
            Token::Word(word) => split.words.push(word),
            Token::Star => split.stars += 1,
            Token::Bracket(inside) => split.brackets.push(inside),
        }
    }
    (!split.words.is_empty()).then_some(split)
}

fn token(input: &str) -> IResult<&str, Token<'_>> {
    alt((
        value(Token::Star, char('*')),
        bracket.map(Token::Bracket),
        // `__attribute__((user))` is one word with an argument, and a qualifier.
        recognize((tag("__attribute__"), multispace0, parentheses)).map(|_| Token::Word("volatile")),
        word.map(Token::Word),
    ))
    .parse(input)
}

/// A C identifier; old `ftrace/*` formats also wrote `args.a` there.
fn word(input: &str) -> IResult<&str, &str> {
    take_while1(|c: char| c.is_ascii_alphanumeric() || c == '_' || c == '.').parse(input)
}

fn bracket(input: &str) -> IResult<&str, &str> {
    delimited(char('['), |i| balanced(i, '[', ']'), char(']')).parse(input)
}

fn parentheses(input: &str) -> IResult<&str, &str> {
    delimited(char('('), |i| balanced(i, '(', ')'), char(')')).parse(input)
}

/// Everything up to the `close` that matches an `open` already consumed.
fn balanced(input: &str, open: char, close: char) -> IResult<&str, &str> {
    let mut depth = 0usize;
    for (at, c) in input.char_indices() {
        match c {
            c if c == open => depth += 1,
            c if c == close && depth == 0 => return Ok((&input[at..], &input[..at])),
            c if c == close => depth -= 1,
            _ => {}
        }
    }
    Err(nom::Err::Error(nom::error::Error::new(input, nom::error::ErrorKind::TakeUntil)))
}

impl Declaration<'_> {
    /// The C type of one element, as written but without qualifiers.
    fn type_name(&self) -> String {
        let mut name = self.words.join(" ");
        if self.stars > 0 {
            name.push(' ');
            name.extend(std::iter::repeat_n('*', self.stars));
        }
        name
    }

    /// The element type and place of the field, from the declaration and the `size:` and `signed:` columns.
    pub(super) fn deduce(&self, size: u32, signed: Option<bool>, long: LongSize) -> (CType, Place) {
        let name = self.type_name();
        let natural = self.natural_size(long);
        let (element_size, place) = match self.location {
            Some(location) => {
                let place = match (location, size, self.location_words(size)) {
                    (Location::Rel, ..) => Place::RelLoc,
                    (Location::Data, 2, _) => Place::DataLocShort,
                    (Location::Data, _, Some(count)) => Place::DataLocArray { count },
                    // One word, whatever the size: a synthetic event's field has eight bytes, of which the location
                    // word takes the first four (`trace_string`, kernel/trace/trace_events_synth.c).
                    (Location::Data, _, None) => Place::DataLoc,
                };
                (natural.unwrap_or(1), place)
            }
            None if size == 0 => (natural.unwrap_or(1), Place::Tail),
            // A mask by value: as many longs as its CPUs need.
            None if self.is_cpu_mask() && size > long.bytes() && size.is_multiple_of(long.bytes()) => {
                (long.bytes(), Place::Array { count: size / long.bytes() })
            }
            None if self.brackets.is_empty() => (size, Place::Scalar),
            None => match natural {
                Some(element) if element <= size => (element, Place::Array { count: size / element }),
                // The size of an element is unknown, but the brackets may hold plain numbers that divide the field's
                // size.
                None => match self.elements() {
                    Some(count) if count > 0 && size.is_multiple_of(count) => (size / count, Place::Array { count }),
                    _ => (size, Place::Array { count: 1 }),
                },
                Some(_) => (size, Place::Array { count: 1 }),
            },
        };
        let base = self.base(element_size, signed, long);
        (CType { base, name, size: element_size }, place)
    }

    /// How many location words a kprobe's `string[N]` argument has, declared `char[][N]` (`traceprobe_define_arg_fields`,
    /// kernel/trace/trace_probe.c).
    fn location_words(&self, size: u32) -> Option<u32> {
        let [_, count] = self.brackets[..] else { return None };
        let count = count.trim().parse().ok().filter(|&count| count <= MAX_PROBE_ARRAY)?;
        (self.words[..] == ["char"] && size.checked_div(4) == Some(count)).then_some(count)
    }

    /// The product of the numbers in the brackets, if all of them are plain numbers.
    fn elements(&self) -> Option<u32> {
        self.brackets.iter().try_fold(1u32, |product, count| product.checked_mul(count.trim().parse().ok()?))
    }

    fn is_cpu_mask(&self) -> bool {
        self.stars == 0 && self.brackets.is_empty() && self.words[..] == ["cpumask_t"]
    }

    /// The size of one element in C on a kernel with these longs; `None` if the type's name does not tell.
    fn natural_size(&self, long: LongSize) -> Option<u32> {
        if self.stars > 0 {
            return Some(long.bytes());
        }
        integer_type(&self.words, long).map(|(bits, _)| u32::from(bits) / 8).or(match self.words[..] {
            ["bool" | "_Bool"] => Some(1),
            ["enum", _] => Some(4),
            ["cpumask_t"] => Some(long.bytes()),
            ["uuid_t" | "guid_t"] => Some(16),
            _ => None,
        })
    }

    fn base(&self, element_size: u32, signed: Option<bool>, long: LongSize) -> Base {
        if self.stars > 0 {
            return Base::Pointer;
        }
        let stored = match element_size {
            1 | 2 | 4 | 8 => (element_size * 8) as u8,
            _ => return Base::Opaque,
        };
        match self.words[..] {
            ["bool" | "_Bool"] => Base::Bool,
            ["cpumask_t"] => Base::CpuMask,
            ["char"] if element_size == 1 => Base::Char,
            ["enum", name] => Base::Enum(name.to_owned()),
            ["struct" | "union", ..] => Base::Opaque,
            _ => match integer_type(&self.words, long) {
                // A known type name takes precedence: `signed:` is 0 for a system call's `long` and `int`.
                Some((bits, declared)) => Base::Integer { signed: declared, bits: bits.min(stored) },
                None => Base::Integer { signed: signed.unwrap_or(false), bits: stored },
            },
        }
    }
}

/// Width in bits and signedness of the integer types that mean the same on every kernel. Others (`dev_t`, `gfp_t`,
/// `sector_t`, those of file systems) are read as the `size:` and `signed:` columns say.
pub(crate) fn integer_type(words: &[&str], long: LongSize) -> Option<(u8, bool)> {
    let long_bits = (long.bytes() * 8) as u8;
    if let [name] = words {
        return Some(match *name {
            "char" => (8, true),
            "s8" | "__s8" | "int8_t" => (8, true),
            "u8" | "__u8" | "uint8_t" | "u_char" => (8, false),
            "s16" | "__s16" | "int16_t" => (16, true),
            "u16" | "__u16" | "uint16_t" | "__le16" | "__be16" | "umode_t" => (16, false),
            "s32" | "__s32" | "int32_t" => (32, true),
            "pid_t" | "clockid_t" | "__kernel_clockid_t" | "mqd_t" | "key_serial_t" | "timer_t" | "rwf_t" => (32, true),
            "u32" | "__u32" | "uint32_t" | "uint" | "__le32" | "__be32" | "uid_t" | "gid_t" | "qid_t" => (32, false),
            "s64" | "__s64" | "int64_t" | "loff_t" => (64, true),
            "u64" | "__u64" | "uint64_t" | "__le64" | "__be64" => (64, false),
            "size_t" | "ulong" | "aio_context_t" => (long_bits, false),
            "ssize_t" | "off_t" => (long_bits, true),
            _ => return word_integer(words, long_bits),
        });
    }
    word_integer(words, long_bits)
}

/// The built-in C integer types, whose words may come in any order.
fn word_integer(words: &[&str], long_bits: u8) -> Option<(u8, bool)> {
    let count = |word| words.iter().filter(|w| **w == word).count();
    if words.iter().any(|w| !matches!(*w, "unsigned" | "signed" | "char" | "short" | "int" | "long")) {
        return None;
    }
    let signed = count("unsigned") == 0;
    let bits = match (count("char"), count("short"), count("long")) {
        (1.., _, _) => 8,
        (_, 1.., _) => 16,
        (_, _, 0) => 32,
        (_, _, 1) => long_bits,
        _ => 64,
    };
    Some((bits, signed))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The meaning of `field:DECL; size:SIZE; signed:SIGNED;` on a 64-bit kernel: (name, type, base, element size,
    /// place).
    fn meaning(declaration: &str, size: u32, signed: bool) -> (String, String, Base, u32, Place) {
        let split = split(declaration).unwrap();
        let (ctype, place) = split.deduce(size, Some(signed), LongSize::Eight);
        (split.name.to_owned(), ctype.name, ctype.base, ctype.size, place)
    }

    const fn int(signed: bool, bits: u8) -> Base {
        Base::Integer { signed, bits }
    }

    #[test]
    fn every_declaration_form_of_real_format_files() {
        use Base::*;
        use Place::*;
        type Row = (&'static str, u32, bool, &'static str, &'static str, Base, u32, Place);
        #[rustfmt::skip]
        let table: &[Row] = &[
            ("int prev_prio", 4, true, "prev_prio", "int", int(true, 32), 4, Scalar),
            ("unsigned flags", 4, false, "flags", "unsigned", int(false, 32), 4, Scalar),
            ("long unsigned int x", 8, false, "x", "long unsigned int", int(false, 64), 8, Scalar),
            ("char comm[16]", 16, true, "comm", "char", Char, 1, Array { count: 16 }),
            ("char comm[TASK_COMM_LEN]", 16, true, "comm", "char", Char, 1, Array { count: 16 }),
            ("u8 ht_capa[(int)sizeof(struct ieee80211_ht_cap)]", 26, false, "ht_capa", "u8", int(false, 8), 1, Array { count: 26 }),
            ("char ssid[32 + 1]", 33, false, "ssid", "char", Char, 1, Array { count: 33 }),
            ("u64 x[(4 * sizeof(u64)) / sizeof(u64)]", 32, false, "x", "u64", int(false, 64), 8, Array { count: 4 }),
            ("u32 bands[NUM_NL80211_BANDS]", 12, false, "bands", "u32", int(false, 32), 4, Array { count: 3 }),
            ("unsigned long args[6]", 48, false, "args", "unsigned long", int(false, 64), 8, Array { count: 6 }),
            ("__data_loc char[] name", 4, false, "name", "char", Char, 1, DataLoc),
            ("__data_loc u64[] dma_addrs", 4, false, "dma_addrs", "u64", int(false, 64), 8, DataLoc),
            ("__data_loc unsigned long[] target_cpus", 4, false, "target_cpus", "unsigned long", int(false, 64), 8, DataLoc),
            ("__data_loc cpumask_t cpumask", 4, false, "cpumask", "cpumask_t", CpuMask, 8, DataLoc),
            ("cpumask_t mask", 8, false, "mask", "cpumask_t", CpuMask, 8, Scalar),
            ("cpumask_t mask", 128, false, "mask", "cpumask_t", CpuMask, 8, Array { count: 16 }),
            ("cpumask_t mask", 89, false, "mask", "cpumask_t", Opaque, 89, Scalar),
            ("__data_loc struct nvmap_handle *[] h", 4, false, "h", "struct nvmap_handle *", Pointer, 8, DataLoc),
            ("__data_loc char[][2] arg1", 8, true, "arg1", "char", Char, 1, DataLocArray { count: 2 }),
            ("__data_loc char[][9] liar", 4_000_000_000, true, "liar", "char", Char, 1, DataLoc),
            ("__data_loc char[][65] liar", 260, true, "liar", "char", Char, 1, DataLoc),
            ("__data_loc char[][64] most", 256, true, "most", "char", Char, 1, DataLocArray { count: 64 }),
            ("__data_loc char[][1] one", 4, true, "one", "char", Char, 1, DataLocArray { count: 1 }),
            // A synthetic event's field: one word in eight bytes.
            ("__data_loc char[] comm", 8, true, "comm", "char", Char, 1, DataLoc),
            ("__data_loc unsigned long[] stack", 8, false, "stack", "unsigned long", int(false, 64), 8, DataLoc),
            ("__data_loc long[] stack", 8, true, "stack", "long", int(true, 64), 8, DataLoc),
            ("__rel_loc char[] msg", 4, false, "msg", "char", Char, 1, RelLoc),
            ("__data_loc char[] old", 2, false, "old", "char", Char, 1, DataLocShort),
            ("const char *const * argv", 8, false, "argv", "char **", Pointer, 8, Scalar),
            ("const void* ip", 8, false, "ip", "void *", Pointer, 8, Scalar),
            ("void __seg_gs * ptr", 8, false, "ptr", "void *", Pointer, 8, Scalar),
            ("void __attribute__((user)) * ptr", 8, false, "ptr", "void *", Pointer, 8, Scalar),
            ("union bpf_attr * uattr", 8, false, "uattr", "union bpf_attr *", Pointer, 8, Scalar),
            ("const enum landlock_rule_type t", 8, false, "t", "enum landlock_rule_type", Enum("landlock_rule_type".into()), 8, Scalar),
            ("enum xfs_group_type t", 1, false, "t", "enum xfs_group_type", Enum("xfs_group_type".into()), 1, Scalar),
            ("struct crw crw", 4, false, "crw", "struct crw", Opaque, 4, Scalar),
            ("union orb orb", 32, false, "orb", "union orb", Opaque, 32, Scalar),
            ("unsigned long args[]", 0, false, "args", "unsigned long", int(false, 64), 8, Tail),
            ("char buf[]", 0, false, "buf", "char", Char, 1, Tail),
            ("bool x", 1, false, "x", "bool", Bool, 1, Scalar),
            ("char correct", 1, false, "correct", "char", Char, 1, Scalar),
            ("uuid_t id", 16, false, "id", "uuid_t", Opaque, 16, Scalar),
            ("dev_t dev", 4, false, "dev", "dev_t", int(false, 32), 4, Scalar),
            ("xfs_daddr_t d", 8, true, "d", "xfs_daddr_t", int(true, 64), 8, Scalar),
        ];
        for (declaration, size, signed, name, ctype, base, element, place) in table {
            let want = (name.to_string(), ctype.to_string(), base.clone(), *element, *place);
            assert_eq!(meaning(declaration, *size, *signed), want, "{declaration}");
        }
    }

    #[test]
    fn a_narrow_system_call_argument_keeps_its_own_width_and_sign() {
        let base = |declaration, size| meaning(declaration, size, false).2;
        assert_eq!(base("int dfd", 8), int(true, 32));
        assert_eq!(base("unsigned int fd", 8), int(false, 32));
        assert_eq!(base("umode_t mode", 8), int(false, 16));
        assert_eq!(base("loff_t pos", 8), int(true, 64));
        assert_eq!(base("long arg", 8), int(true, 64));
        // A 32-bit kernel stores a system call's 64-bit argument in four bytes; the rest is lost.
        assert_eq!(base("loff_t pos", 4), int(true, 32));
    }

    #[test]
    fn longs_and_pointers_have_the_width_of_the_traced_kernel() {
        let (ctype, place) = split("__data_loc unsigned long[] m").unwrap().deduce(4, None, LongSize::Four);
        assert_eq!((ctype.size, place), (4, Place::DataLoc));
        let (ctype, place) = split("unsigned long a[6]").unwrap().deduce(24, None, LongSize::Four);
        assert_eq!((ctype.size, place), (4, Place::Array { count: 6 }));
    }

    #[test]
    fn text_that_is_not_a_declaration_is_refused() {
        for text in ["", "   ", "x", "*", "int a[", "[3]", "int )"] {
            assert_eq!(split(text), None, "{text:?}");
        }
    }
}
