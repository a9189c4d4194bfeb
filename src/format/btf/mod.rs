//! BTF, the kernel's compact type information: reads the enums and the parameters of functions.
//!
//! Format files leave enum constants (`TCP_ESTABLISHED`, `I_DIRTY_SYNC`) and enum types of fields as bare names; BTF
//! (`/sys/kernel/btf/vmlinux`) has their values. Layout: Documentation/bpf/btf.rst and include/uapi/linux/btf.h: a
//! header, a section of type records of varying length, a section of strings.
//!
//! Everything needed is copied in one pass, so that the megabytes of types can be dropped. The copy is bounded by the
//! size of the input: an enumerator takes at least eight bytes of it and is kept once.

mod functions;

use byteorder::{BigEndian, ByteOrder, LittleEndian};

pub use functions::{Parameter, ParameterKind, functions};

/// Why bytes could not be read as BTF.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BtfError {
    /// The magic number is 0xeb9f in neither byte order.
    #[error("not BTF: it begins with {0:#06x}, not with 0xeb9f")]
    Magic(u16),
    /// Far longer than the BTF of any kernel.
    #[error("{0} bytes are too many for a kernel's BTF")]
    TooLong(usize),
    /// A version that is not 1.
    #[error("BTF version {0} is not known, only 1 is")]
    Version(u8),
    /// The header ends early, or points past the end of the file.
    #[error("the BTF header wants bytes up to {wanted}, but there are {len}")]
    Header {
        /// Where the last section would end.
        wanted: u64,
        /// The length of the file.
        len: usize,
    },
    /// A type of an unknown kind; its length is unknown, so nothing behind it can be read.
    #[error("type {id} at byte {offset} of the types is of unknown kind {kind}")]
    Kind {
        /// Its number, from 1.
        id: u32,
        /// Where it begins in the type section.
        offset: usize,
        /// The kind.
        kind: u8,
    },
    /// A type that runs past the type section.
    #[error("type {id} at byte {offset} of the types runs past their end")]
    Truncated {
        /// Its number, from 1.
        id: u32,
        /// Where it begins in the type section.
        offset: usize,
    },
}

const MAGIC: u16 = 0xeb9f;

/// A kernel with everything built in has about 8 MiB.
const MAX_LEN: usize = 256 << 20;

/// The kinds of include/uapi/linux/btf.h that are read.
mod kind {
    pub const ENUM: u8 = 6;
    pub const TYPEDEF: u8 = 8;
    pub const ENUM64: u8 = 19;
}

/// Bytes after the three words that every type begins with; `None` for an unknown kind.
fn extra_len(kind: u8, members: usize) -> Option<usize> {
    Some(match kind {
        // INT, VAR, DECL_TAG: one word.
        1 | 14 | 17 => 4,
        // PTR, FWD, TYPEDEF, VOLATILE, CONST, RESTRICT, FUNC, FLOAT, TYPE_TAG.
        2 | 7..=12 | 16 | 18 => 0,
        // ARRAY.
        3 => 12,
        // STRUCT, UNION, DATASEC, ENUM64: three words a member.
        4 | 5 | 15 | kind::ENUM64 => members * 12,
        // ENUM, FUNC_PROTO: two.
        kind::ENUM | 13 => members * 8,
        _ => return None,
    })
}

/// A range of [`Btf::text`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Text {
    start: u32,
    len: u32,
}

#[derive(Debug, Clone, Copy)]
struct Enumerator {
    name: Text,
    value: i64,
}

#[derive(Debug, Clone, Copy)]
struct Enum {
    name: Text,
    /// Its enumerators: a range of `Btf::enumerators`.
    first: u32,
    end: u32,
}

/// The enums of a kernel.
///
/// Two enums may share a name, and so may two enumerators with different values (drivers define their own). The first
/// in the file wins, which is the core kernel's.
#[derive(Debug, Clone, Default)]
pub struct Btf {
    /// All names, concatenated.
    text: String,
    /// In file order.
    enumerators: Vec<Enumerator>,
    /// Indices into `enumerators`, by name, then by place in the file.
    by_name: Vec<u32>,
    /// By name; unnamed enums are not listed.
    enums: Vec<Enum>,
    /// Typedefs of enums: (the typedef's name, an index into `enums`), by name.
    typedefs: Vec<(Text, u32)>,
}

impl Btf {
    /// Parses the raw bytes of `/sys/kernel/btf/vmlinux`, in either byte order.
    pub fn parse(bytes: &[u8]) -> Result<Btf, BtfError> {
        if bytes.len() > MAX_LEN {
            return Err(BtfError::TooLong(bytes.len()));
        }
        match bytes.first_chunk::<2>() {
            Some(&magic) if LittleEndian::read_u16(&magic) == MAGIC => parse::<LittleEndian>(bytes),
            Some(&magic) if BigEndian::read_u16(&magic) == MAGIC => parse::<BigEndian>(bytes),
            Some(&magic) => Err(BtfError::Magic(LittleEndian::read_u16(&magic))),
            None => Err(BtfError::Header { wanted: 24, len: bytes.len() }),
        }
    }

    /// The value of the enumerator `name`.
    pub fn constant(&self, name: &str) -> Option<i64> {
        let at = self.by_name.partition_point(|&i| self.enumerator_name(i) < name);
        let &index = self.by_name.get(at)?;
        let found = self.enumerators.get(index as usize)?;
        (self.str(found.name) == name).then_some(found.value)
    }

    /// The enumerators of `enum NAME`, or of the enum that the typedef `NAME` stands for, in the order of declaration.
    pub fn enumerators(&self, name: &str) -> Option<impl ExactSizeIterator<Item = (&str, i64)> + use<'_>> {
        if name.is_empty() {
            return None; // An unnamed enum.
        }
        let found = self.find(&self.enums, |e| e.name, name).or_else(|| {
            let (_, index) = self.find(&self.typedefs, |t| t.0, name)?;
            self.enums.get(*index as usize)
        })?;
        let members = self.enumerators.get(found.first as usize..found.end as usize).unwrap_or_default();
        Some(members.iter().map(|e| (self.str(e.name), e.value)))
    }

    /// How many enumerators there are.
    pub fn constants_len(&self) -> usize {
        self.enumerators.len()
    }

    /// How many named enums there are.
    pub fn enums_len(&self) -> usize {
        self.enums.len()
    }

    fn str(&self, text: Text) -> &str {
        self.text.get(text.start as usize..(text.start + text.len) as usize).unwrap_or_default()
    }

    /// The first entry of `sorted` (sorted by `name`) whose name is `wanted`.
    fn find<'a, T>(&self, sorted: &'a [T], name: impl Fn(&T) -> Text, wanted: &str) -> Option<&'a T> {
        let at = sorted.partition_point(|t| self.str(name(t)) < wanted);
        sorted.get(at).filter(|t| self.str(name(t)) == wanted)
    }

    fn enumerator_name(&self, index: u32) -> &str {
        self.enumerators.get(index as usize).map_or("", |e| self.str(e.name))
    }

    fn keep(&mut self, name: &str) -> Text {
        let start = self.text.len() as u32;
        self.text.push_str(name);
        Text { start, len: name.len() as u32 }
    }
}

/// `bytes[at..at + 4]`, or zero past the end. Callers have checked the range.
fn word<B: ByteOrder>(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..at + 4).map_or(0, B::read_u32)
}

/// The string at `offset` of the string section: up to its NUL.
fn string(strings: &[u8], offset: u32) -> &str {
    let rest = strings.get(offset as usize..).unwrap_or_default();
    // No identifier of the kernel is longer. Without the bound, hostile offsets into one long string would make the
    // copied text quadratic in the size of the file.
    let rest = rest.get(..MAX_NAME).unwrap_or(rest);
    let end = memchr::memchr(0, rest).unwrap_or(rest.len());
    std::str::from_utf8(&rest[..end]).unwrap_or_default()
}

/// KSYM_NAME_LEN, the kernel's own bound for names.
const MAX_NAME: usize = 512;

/// The two sections that the header describes.
struct Header<'a> {
    types: &'a [u8],
    strings: &'a [u8],
}

impl Header<'_> {
    fn parse<B: ByteOrder>(bytes: &[u8]) -> Result<Header<'_>, BtfError> {
        // btf_header: magic, version, flags, hdr_len, then type_off, type_len, str_off, str_len. Offsets count from
        // the end of the header.
        const HEADER: usize = 24;
        let too_short = |wanted: u64| BtfError::Header { wanted, len: bytes.len() };
        if bytes.len() < HEADER {
            return Err(too_short(HEADER as u64));
        }
        if bytes[2] != 1 {
            return Err(BtfError::Version(bytes[2]));
        }
        let header_len = word::<B>(bytes, 4) as usize;
        let section = |at: usize| {
            let start = header_len as u64 + u64::from(word::<B>(bytes, at));
            let end = start + u64::from(word::<B>(bytes, at + 4));
            bytes.get(start as usize..end as usize).ok_or(too_short(end))
        };
        Ok(Header { types: section(8)?, strings: section(16)? })
    }
}

fn parse<B: ByteOrder>(bytes: &[u8]) -> Result<Btf, BtfError> {
    let Header { types, strings } = Header::parse::<B>(bytes)?;
    let mut btf = Btf::default();
    // Unless names are shared, enumerators' names are together no longer than the string section.
    let text_limit = strings.len().saturating_mul(2);
    // (name, index into `enums` in file order) of named enums; typedefs as (name, type id).
    let mut ids_of_enums: Vec<(u32, u32)> = Vec::new();
    let mut typedefs: Vec<(u32, u32)> = Vec::new();
    let mut signed_is_told = false;
    let (mut offset, mut id) = (0, 1u32);
    while offset < types.len() {
        let truncated = BtfError::Truncated { id, offset };
        let Some(head) = types.get(offset..offset + 12) else { return Err(truncated) };
        let (name, info) = (word::<B>(head, 0), word::<B>(head, 4));
        // info: bits 0-15 count of members, 24-28 kind, 31 the kind's flag.
        let (members, kind, flag) = ((info & 0xffff) as usize, (info >> 24 & 0x1f) as u8, info >> 31 != 0);
        let len = extra_len(kind, members).ok_or(BtfError::Kind { id, offset, kind })?;
        let Some(extra) = types.get(offset + 12..offset + 12 + len) else { return Err(truncated) };
        match kind {
            kind::ENUM | kind::ENUM64 => {
                signed_is_told |= flag || kind == kind::ENUM64;
                let first = btf.enumerators.len() as u32;
                for member in extra.chunks_exact(if kind == kind::ENUM { 8 } else { 12 }) {
                    if btf.text.len() > text_limit {
                        break;
                    }
                    let low = word::<B>(member, 4);
                    let value = match (kind, flag) {
                        (kind::ENUM, true) => i64::from(low as i32),
                        (kind::ENUM, false) => i64::from(low),
                        _ => (u64::from(word::<B>(member, 8)) << 32 | u64::from(low)) as i64,
                    };
                    let name = btf.keep(string(strings, word::<B>(member, 0)));
                    btf.enumerators.push(Enumerator { name, value });
                }
                let name = btf.keep(string(strings, name));
                ids_of_enums.push((id, btf.enums.len() as u32));
                btf.enums.push(Enum { name, first, end: btf.enumerators.len() as u32 });
            }
            kind::TYPEDEF => typedefs.push((name, word::<B>(head, 8))),
            _ => {}
        }
        offset += 12 + len;
        id += 1;
    }
    if !signed_is_told {
        // pahole before 1.24 knew neither the flag nor ENUM64, and values were always signed (btf.rst: "val: __s32").
        btf.enumerators.iter_mut().for_each(|e| e.value = i64::from(e.value as i32));
    }
    index(&mut btf, strings, &ids_of_enums, &typedefs);
    Ok(btf)
}

/// Sorts what was read, for lookups by name.
fn index(btf: &mut Btf, strings: &[u8], ids_of_enums: &[(u32, u32)], typedefs: &[(u32, u32)]) {
    // Type ids ascend in file order, so `ids_of_enums` is sorted by id.
    let enum_of = |id: u32| {
        let at = ids_of_enums.binary_search_by_key(&id, |&(id, _)| id).ok()?;
        ids_of_enums.get(at).map(|&(_, index)| index)
    };
    let mut named = Vec::new();
    for &(name, target) in typedefs {
        if let Some(index) = enum_of(target) {
            let name = btf.keep(string(strings, name));
            named.push((name, index));
        }
    }
    // Typedefs refer to enums by index: sort indices first, then map the typedefs to the new places.
    let mut order: Vec<u32> = (0..btf.enums.len() as u32).collect();
    order.sort_by(|&a, &b| btf.str(btf.enums[a as usize].name).cmp(btf.str(btf.enums[b as usize].name)));
    let mut place = vec![0u32; order.len()];
    for (new, &old) in order.iter().enumerate() {
        place[old as usize] = new as u32;
    }
    named.iter_mut().for_each(|(_, index)| *index = place[*index as usize]);
    named.sort_by(|a, b| btf.str(a.0).cmp(btf.str(b.0)));
    btf.typedefs = named;
    btf.enums = order.iter().map(|&old| btf.enums[old as usize]).collect();

    let mut by_name: Vec<u32> = (0..btf.enumerators.len() as u32).collect();
    by_name.sort_by(|&a, &b| btf.enumerator_name(a).cmp(btf.enumerator_name(b)));
    btf.by_name = by_name;
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Writes BTF as pahole does: types one after the other, strings collected.
    struct Writer {
        big: bool,
        types: Vec<u8>,
        strings: Vec<u8>,
    }

    impl Writer {
        fn new(big: bool) -> Writer {
            Writer { big, types: vec![], strings: vec![0] }
        }

        fn words(&mut self, words: &[u32]) -> &mut Writer {
            for w in words {
                self.types.extend(if self.big { w.to_be_bytes() } else { w.to_le_bytes() });
            }
            self
        }

        fn name(&mut self, name: &str) -> u32 {
            let at = self.strings.len() as u32;
            self.strings.extend(name.as_bytes());
            self.strings.push(0);
            at
        }

        fn enumeration(&mut self, name: &str, flag: bool, members: &[(&str, u32)]) -> &mut Writer {
            let name = if name.is_empty() { 0 } else { self.name(name) };
            self.words(&[name, u32::from(flag) << 31 | 6 << 24 | members.len() as u32, 4]);
            for (name, value) in members {
                let name = self.name(name);
                self.words(&[name, *value]);
            }
            self
        }

        fn finish(&self) -> Vec<u8> {
            let mut out = vec![];
            let half = |v: u16| if self.big { v.to_be_bytes() } else { v.to_le_bytes() };
            let word = |v: u32| if self.big { v.to_be_bytes() } else { v.to_le_bytes() };
            out.extend(half(0xeb9f));
            out.extend([1, 0]);
            out.extend(word(24));
            for v in [0, self.types.len() as u32, self.types.len() as u32, self.strings.len() as u32] {
                out.extend(word(v));
            }
            out.extend(&self.types);
            out.extend(&self.strings);
            out
        }
    }

    #[test]
    fn enumerators_are_found_by_name_in_both_byte_orders() {
        for big in [false, true] {
            let mut w = Writer::new(big);
            // A struct with two members and an int come first and must be skipped.
            w.words(&[0, 4 << 24 | 2, 8, 0, 0, 0, 0, 0, 32]).words(&[0, 1 << 24, 4, 32]);
            w.enumeration("hrtimer_mode", false, &[("HRTIMER_MODE_ABS", 0), ("HRTIMER_MODE_REL", 1)]);
            // `typedef enum hrtimer_mode mode_t`: the enum is type 3.
            let name = w.name("mode_t");
            w.words(&[name, 8 << 24, 3]);
            let btf = Btf::parse(&w.finish()).unwrap();
            assert_eq!(btf.constant("HRTIMER_MODE_REL"), Some(1));
            assert_eq!(btf.constant("HRTIMER_MODE"), None);
            for name in ["hrtimer_mode", "mode_t"] {
                let members: Vec<_> = btf.enumerators(name).unwrap().collect();
                assert_eq!(members, [("HRTIMER_MODE_ABS", 0), ("HRTIMER_MODE_REL", 1)]);
            }
            assert!(btf.enumerators("").is_none());
        }
    }

    #[test]
    fn the_first_of_two_enumerators_with_one_name_wins() {
        let mut w = Writer::new(false);
        w.enumeration("a", false, &[("AT", 9), ("UP", 1), ("Z", 4)]);
        w.enumeration("b", false, &[("UP", 2)]);
        w.enumeration("c", false, &[("UP", 3)]);
        assert_eq!(Btf::parse(&w.finish()).unwrap().constant("UP"), Some(1));
    }

    #[test]
    fn values_are_signed_where_the_kind_flag_says_so_or_no_enum_uses_the_flag() {
        let mut w = Writer::new(false);
        w.enumeration("a", false, &[("OLD", u32::MAX)]);
        assert_eq!(Btf::parse(&w.finish()).unwrap().constant("OLD"), Some(-1));
        w.enumeration("b", true, &[("NEGATIVE", u32::MAX)]);
        let btf = Btf::parse(&w.finish()).unwrap();
        assert_eq!((btf.constant("OLD"), btf.constant("NEGATIVE")), (Some(0xffff_ffff), Some(-1)));
    }

    #[test]
    fn an_enum64_has_values_of_two_words() {
        let mut w = Writer::new(true);
        let (name, member) = (w.name("wide"), w.name("WIDE"));
        w.words(&[name, 19 << 24 | 1, 8, member, 0x89ab_cdef, 0x0123_4567]);
        assert_eq!(Btf::parse(&w.finish()).unwrap().constant("WIDE"), Some(0x0123_4567_89ab_cdef));
    }

    #[test]
    fn the_first_of_two_constants_with_one_name_wins() {
        let mut w = Writer::new(false);
        w.enumeration("a", false, &[("X", 1)]).enumeration("b", false, &[("X", 2)]);
        assert_eq!(Btf::parse(&w.finish()).unwrap().constant("X"), Some(1));
    }

    #[test]
    fn bytes_that_are_not_btf_are_an_error() {
        assert_eq!(Btf::parse(b"ELF").unwrap_err(), BtfError::Magic(u16::from_le_bytes(*b"EL")));
        assert_eq!(Btf::parse(&[]).unwrap_err(), BtfError::Header { wanted: 24, len: 0 });
        let mut w = Writer::new(false);
        w.words(&[0, 31 << 24, 0]);
        assert_eq!(Btf::parse(&w.finish()).unwrap_err(), BtfError::Kind { id: 1, offset: 0, kind: 31 });
        let mut w = Writer::new(false);
        w.words(&[0, 6 << 24 | 2, 4, 0, 0]);
        assert_eq!(Btf::parse(&w.finish()).unwrap_err(), BtfError::Truncated { id: 1, offset: 0 });
    }

    #[test]
    fn a_file_cut_anywhere_or_with_any_byte_changed_never_panics() {
        let mut w = Writer::new(false);
        w.enumeration("a", false, &[("X", 1), ("Y", 2)]);
        let name = w.name("t");
        w.words(&[name, 8 << 24, 1]);
        let whole = w.finish();
        for end in 0..whole.len() {
            assert!(Btf::parse(&whole[..end]).is_err(), "cut at {end}");
        }
        for at in 0..whole.len() {
            for value in [0, 1, 0x7f, 0xff] {
                let mut changed = whole.clone();
                changed[at] = value;
                if let Ok(btf) = Btf::parse(&changed) {
                    let _ = (btf.constant("X"), btf.enumerators("a").map(|e| e.count()));
                }
            }
        }
    }

    #[test]
    fn names_shared_by_many_enumerators_do_not_multiply() {
        let mut w = Writer::new(false);
        let long = w.name(&"x".repeat(500));
        w.words(&[0, 6 << 24 | 0xffff, 4]);
        (0..0xffff).for_each(|_| {
            w.words(&[long, 0]);
        });
        let bytes = w.finish();
        assert!(Btf::parse(&bytes).unwrap().text.len() < bytes.len());
    }

    #[test]
    fn a_function_s_parameters_have_names_and_kinds_behind_typedefs_and_qualifiers() {
        for big in [false, true] {
            let mut w = Writer::new(big);
            let names = ["vfs_read", "file", "count", "size_t", "s", "two"].map(|name| w.name(name));
            let [vfs_read, file, count, size_t, s, two] = names;
            w.words(&[0, 1 << 24, 8, 64]); // 1: unsigned long, no encoding bit.
            w.words(&[size_t, 8 << 24, 1]); // 2: typedef of it.
            w.words(&[0, 10 << 24, 2]); // 3: const size_t.
            w.words(&[0, 2 << 24, 0]); // 4: void *.
            w.words(&[0, 1 << 24, 4, 1 << 24 | 32]); // 5: int.
            w.words(&[two, 4 << 24, 16]); // 6: a struct of 16 bytes.
            w.words(&[0, 13 << 24 | 5, 5, file, 4, count, 3, s, 5, s, 6, 0, 0]); // 7: the prototype.
            w.words(&[vfs_read, 12 << 24, 7]);
            w.words(&[two, 12 << 24, 99]); // Its prototype does not exist.
            let found = functions(&w.finish()).unwrap();
            let [(name, parameters)] = &found[..] else { panic!("{found:?}") };
            assert_eq!(name, "vfs_read");
            let parameter = |name: &str, kind| Parameter { name: name.to_owned(), kind };
            let want = [
                parameter("file", ParameterKind::Pointer),
                parameter("count", ParameterKind::Unsigned),
                parameter("s", ParameterKind::Signed),
                parameter("s", ParameterKind::Other("STRUCT".to_owned(), 16)),
                parameter("", ParameterKind::Unknown),
            ];
            assert_eq!(parameters[..], want);
            let whole = w.finish();
            (0..whole.len()).for_each(|end| assert!(functions(&whole[..end]).is_err(), "cut at {end}"));
        }
    }

    #[test]
    fn a_typedef_of_itself_is_unknown() {
        let mut w = Writer::new(false);
        let f = w.name("f");
        w.words(&[f, 8 << 24, 1]).words(&[0, 13 << 24 | 1, 0, f, 1]).words(&[f, 12 << 24, 2]);
        assert_eq!(functions(&w.finish()).unwrap()[0].1[0].kind, ParameterKind::Unknown);
    }
}
