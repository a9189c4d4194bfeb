//! Parsers for the kernel's descriptions of its own binary records.
//!
//! tracefs describes itself in text: [`header_page`](HeaderPage) says how a sub-buffer is laid out, and one `format`
//! file per event ([`EventFormat`]) says which fields a record has, at which offset and of which size. Nothing here
//! opens files: text in, description out.
//!
//! A field keeps what the file *says* ([`Field::declaration`], offset, size, `signed`), byte for byte, so that a
//! parsed file prints back unchanged, and what it *means* ([`Field::ctype`], [`Field::place`]), deduced once. Both
//! are needed where they differ, as for an `int` stored in eight bytes.
//!
//! # Example
//!
//! ```
//! use ftrace_live::format::{EventFormat, HeaderPage, LongSize, Place};
//!
//! let layout = HeaderPage::parse(
//!     "\tfield: u64 timestamp;\toffset:0;\tsize:8;\tsigned:0;\n\
//!      \tfield: local_t commit;\toffset:8;\tsize:8;\tsigned:1;\n\
//!      \tfield: char data;\toffset:16;\tsize:4080;\tsigned:1;\n",
//! )?;
//! assert_eq!((layout.sub_buffer_size(), layout.long_size()), (4096, LongSize::Eight));
//!
//! let text = "name: sched_process_exec\nID: 310\nformat:\n\
//!             \tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;\n\n\
//!             \tfield:__data_loc char[] filename;\toffset:8;\tsize:4;\tsigned:0;\n\
//!             \tfield:pid_t pid;\toffset:12;\tsize:4;\tsigned:1;\n\n\
//!             print fmt: \"filename=%s pid=%d\", __get_str(filename), REC->pid\n";
//! let format = EventFormat::parse("sched", text, layout.long_size())?;
//! let [filename, pid] = &format.fields[..] else { panic!("two fields") };
//! assert_eq!((&filename.place, &*filename.ctype.name), (&Place::DataLoc, "char"));
//! assert_eq!((&*pid.name, &*pid.ctype.name, pid.offset), ("pid", "pid_t", 12));
//! assert_eq!(format.to_string(), text);
//! # Ok::<(), ftrace_live::format::FormatError>(())
//! ```
//!
//! | file of the kernel | parsed by |
//! |---|---|
//! | `events/header_page` | [`HeaderPage`] |
//! | `events/SYSTEM/EVENT/format` | [`EventFormat`] |
//! | its `print fmt` | [`print_fmt::PrintFmt`] |
//! | `/sys/kernel/btf/vmlinux` | [`btf::Btf`] |

pub mod btf;
mod declaration;
mod event;
mod header_page;
pub mod print_fmt;

pub(crate) use declaration::integer_type;
pub use declaration::{Base, CType, Place};
pub(crate) use event::FieldLines;
pub use event::{EventFormat, EventId, Field};
pub use header_page::{HeaderField, HeaderPage};

/// The size of a kernel `long` and of its pointers: that of the traced kernel, never of the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LongSize {
    /// A 32-bit kernel.
    Four,
    /// A 64-bit kernel.
    Eight,
}

impl LongSize {
    /// The size in bytes: 4 or 8.
    pub const fn bytes(self) -> u32 {
        match self {
            LongSize::Four => 4,
            LongSize::Eight => 8,
        }
    }
}

/// The byte order of the traced kernel. No description file states it: see
/// [`ring::detect_byte_order`](crate::ring::detect_byte_order).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Endian {
    /// Least significant byte first.
    Little,
    /// Most significant byte first (s390x, some MIPS and POWER).
    Big,
}

impl Endian {
    /// The byte order of this machine, which is that of the kernel it traces live.
    pub const NATIVE: Endian = if cfg!(target_endian = "big") { Endian::Big } else { Endian::Little };
}

/// How the traced kernel lays out numbers: byte order and size of `long`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Abi {
    /// Its byte order.
    pub endian: Endian,
    /// The width of its longs and pointers.
    pub long: LongSize,
}

/// Why one of the kernel's descriptions could not be parsed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FormatError {
    /// The text is not in the form that the kernel writes.
    #[error("line {line}: expected {expected}, found {found:?}")]
    Syntax {
        /// Line of the text, from 1.
        line: usize,
        /// What was expected there.
        expected: &'static str,
        /// The beginning of what was found.
        found: String,
    },
    /// Far longer than any format file of the kernel. Processing a format takes time quadratic in its number of
    /// parts.
    #[error("{0} bytes are too many for an event's format")]
    TooLong(usize),
    /// `header_page` lacks a part that the layout of a sub-buffer depends on.
    #[error("header_page has no usable field {0:?}")]
    HeaderField(&'static str),
    /// A field declaration has no name or no type.
    #[error("line {line}: no type and name in the declaration {declaration:?}")]
    Declaration {
        /// Line of the text, from 1.
        line: usize,
        /// The declaration as the file has it.
        declaration: String,
    },
}

/// The line number of `rest` within `whole`, of which it is a suffix; from 1.
fn line_of(whole: &str, rest: &str) -> usize {
    let consumed = whole.len().saturating_sub(rest.len());
    whole.as_bytes()[..consumed].iter().filter(|&&b| b == b'\n').count() + 1
}

/// The first characters of `rest`, for an error message.
fn excerpt(rest: &str) -> String {
    rest.chars().take(40).collect()
}

/// A syntax error at `rest` within `whole`.
fn syntax(whole: &str, rest: &str, expected: &'static str) -> FormatError {
    FormatError::Syntax { line: line_of(whole, rest), expected, found: excerpt(rest) }
}
