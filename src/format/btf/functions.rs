//! Function parameters from BTF. The kernel prints them where it records the arguments of traced calls.

use byteorder::{BigEndian, ByteOrder, LittleEndian};

use super::{BtfError, Header, MAGIC, MAX_LEN, extra_len, string, word};

/// A parameter of a function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameter {
    /// Its name; empty if it has none.
    pub name: String,
    /// Its type, as far as it affects how the kernel prints a value.
    pub kind: ParameterKind,
}

/// What a parameter is, behind typedefs and qualifiers.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ParameterKind {
    /// A pointer.
    Pointer,
    /// A signed integer.
    Signed,
    /// An unsigned integer, including `bool`.
    Unsigned,
    /// An `enum` of up to 32 bits.
    Enum,
    /// `void` (as for the `...` of a variadic function), or a type id that does not exist.
    Unknown,
    /// Anything else: the name of its kind as the kernel spells it (`STRUCT`), and its size in bytes.
    Other(String, u32),
}

/// The kernel's names for the kinds (`btf_kind_str` in kernel/bpf/btf.c).
const KINDS: [&str; 20] = [
    "UNKNOWN",
    "INT",
    "PTR",
    "ARRAY",
    "STRUCT",
    "UNION",
    "ENUM",
    "FWD",
    "TYPEDEF",
    "VOLATILE",
    "CONST",
    "RESTRICT",
    "FUNC",
    "FUNC_PROTO",
    "VAR",
    "DATASEC",
    "FLOAT",
    "DECL_TAG",
    "TYPE_TAG",
    "ENUM64",
];

/// How many typedefs and qualifiers are followed. The kernel's own chains are a handful long.
const MAX_MODIFIERS: usize = 32;

/// Reads the functions from the raw bytes of `/sys/kernel/btf/vmlinux`, in file order.
pub fn functions(bytes: &[u8]) -> Result<Vec<(String, Vec<Parameter>)>, BtfError> {
    if bytes.len() > MAX_LEN {
        return Err(BtfError::TooLong(bytes.len()));
    }
    match bytes.first_chunk::<2>() {
        Some(&magic) if BigEndian::read_u16(&magic) == MAGIC => read::<BigEndian>(bytes),
        _ => read::<LittleEndian>(bytes),
    }
}

fn read<B: ByteOrder>(bytes: &[u8]) -> Result<Vec<(String, Vec<Parameter>)>, BtfError> {
    let Header { types, strings } = Header::parse::<B>(bytes)?;
    let types = Types { bytes: types, starts: starts::<B>(types)? };
    // A valid file has fewer parameters than bytes; a hostile one could share one prototype among many functions.
    let mut left = bytes.len();
    let mut found = Vec::new();
    for id in 1..types.starts.len() as u32 {
        let Some((12, head)) = types.get::<B>(id) else { continue };
        let name = string(strings, word::<B>(head, 0));
        let Some((13, prototype)) = types.get::<B>(word::<B>(head, 8)) else { continue };
        let count = (word::<B>(prototype, 4) & 0xffff) as usize;
        left = left.saturating_sub(16 + 16 * count);
        if left == 0 {
            break;
        }
        let parameters = prototype.get(12..12 + 8 * count).unwrap_or_default().chunks_exact(8);
        let parameters = parameters.map(|parameter| Parameter {
            name: string(strings, word::<B>(parameter, 0)).to_owned(),
            kind: types.kind::<B>(word::<B>(parameter, 4)),
        });
        found.push((name.to_owned(), parameters.collect()));
    }
    Ok(found)
}

/// Where each type begins. Type 0, `void`, is not in the file.
fn starts<B: ByteOrder>(types: &[u8]) -> Result<Vec<usize>, BtfError> {
    let mut starts = vec![0];
    let mut offset = 0;
    while offset < types.len() {
        let id = starts.len() as u32;
        let head = types.get(offset..offset + 12).ok_or(BtfError::Truncated { id, offset })?;
        let info = word::<B>(head, 4);
        let kind = (info >> 24 & 0x1f) as u8;
        let len = extra_len(kind, (info & 0xffff) as usize).ok_or(BtfError::Kind { id, offset, kind })?;
        starts.push(offset);
        offset += 12 + len;
    }
    Ok(starts)
}

struct Types<'a> {
    bytes: &'a [u8],
    starts: Vec<usize>,
}

impl<'a> Types<'a> {
    /// The kind of type `id`, and its bytes, starting with its three header words.
    fn get<B: ByteOrder>(&self, id: u32) -> Option<(u8, &'a [u8])> {
        let start = *self.starts.get(id as usize).filter(|_| id != 0)?;
        let bytes = self.bytes.get(start..)?;
        Some(((word::<B>(bytes, 4) >> 24 & 0x1f) as u8, bytes))
    }

    /// Follows `btf_type_skip_modifiers`; distinguishes what `print_function_args` does.
    fn kind<B: ByteOrder>(&self, mut id: u32) -> ParameterKind {
        for _ in 0..MAX_MODIFIERS {
            let Some((kind, bytes)) = self.get::<B>(id) else { break };
            match kind {
                8..=11 | 18 => id = word::<B>(bytes, 8),
                1 if word::<B>(bytes, 12) >> 24 & 1 != 0 => return ParameterKind::Signed,
                1 => return ParameterKind::Unsigned,
                2 => return ParameterKind::Pointer,
                6 => return ParameterKind::Enum,
                kind => {
                    let name = KINDS.get(usize::from(kind)).copied().unwrap_or("UNKNOWN");
                    return ParameterKind::Other(name.to_owned(), word::<B>(bytes, 8));
                }
            }
        }
        ParameterKind::Unknown
    }
}
