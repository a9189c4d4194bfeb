//! Names for the numbers in a record: enum constants, kernel addresses, tasks.
//!
//! Rendering asks for names through the two traits here, so that it depends on none of the files they come from.
//! [`Constants`] is queried once, when an event's plan is compiled; [`Symbols`] for each record.
//!
//! [`Names`] implements both from a folder with the files of tracefs: `kallsyms`, `printk_formats`, `saved_cmdlines`,
//! `saved_tgids`, and `btf` or `constants`. Each may be absent; numbers are then shown instead of names.
//!
//! # Example
//!
//! ```
//! use ftrace_live::names::{Names, Symbols};
//!
//! let (names, errors) = Names::read(|file| {
//!     Ok(match file {
//!         "saved_cmdlines" => Some(b"1234 bash\n".to_vec()),
//!         "kallsyms" => Some(
//!             b"ffffffff81000000 T _stext\nffffffff81000100 T vfs_read\nffffffff81000300 T _etext\n\
//!               ffffffff82000000 B _end\n"
//!                 .to_vec(),
//!         ),
//!         _ => None,
//!     })
//! });
//! assert!(errors.is_empty());
//! assert_eq!(names.comms.shown(1234), b"bash");
//! let symbol = names.symbol(0xffff_ffff_8100_0110).expect("vfs_read is there");
//! assert_eq!((symbol.name, symbol.offset, symbol.size), ("vfs_read", 0x10, 0x200));
//! ```

mod enums;
mod fixed;
mod functions;
pub(crate) mod hz;
mod kallsyms;
mod lazy_kallsyms;
mod printk_formats;
mod saved_cmdlines;

use std::cell::RefCell;
use std::io;
use std::sync::Arc;

pub use enums::Enums;
pub use functions::Functions;
pub use lazy_kallsyms::Kallsyms;
pub use printk_formats::PrintkFormats;
pub use saved_cmdlines::{SavedCmdlines, Tgids};

use crate::format::{
    Abi, HeaderPage,
    btf::{self, Btf, BtfError},
};

/// Names and values of the kernel's enum constants, which format files leave as bare names (`TCP_ESTABLISHED`).
pub trait Constants {
    /// The value of the enum constant `name` of any enum.
    fn value(&self, name: &str) -> Option<i64>;

    /// The constants of `enum enum_name`, in the order of declaration; none if it is not known.
    fn enumerators(&self, enum_name: &str) -> Vec<(&str, i64)>;

    /// The kernel's table of flags for `%pG` with this letter (`g`: allocations, `v`: memory areas, `p`: pages), in
    /// its order; empty if it is not known.
    fn flags_of(&self, _letter: u8) -> &[(u64, String)] {
        &[]
    }

    /// The kernel's release, on which the output of `%pGp` depends.
    fn release(&self) -> (u16, u16) {
        (6, 18)
    }
}

/// What lies at an address of the traced kernel.
pub trait Symbols {
    /// The function or variable that contains `address` (kallsyms).
    fn symbol(&self, address: u64) -> Option<Symbol<'_>>;

    /// The constant string that begins at `address` (printk_formats), without its NUL.
    fn string(&self, address: u64) -> Option<&[u8]>;
}

/// A symbol, and an address relative to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Symbol<'a> {
    /// The function's or variable's name.
    pub name: &'a str,
    /// Bytes from the beginning of the symbol.
    pub offset: u64,
    /// Its size in bytes: to the next symbol.
    pub size: u64,
    /// Its module; none for the kernel itself.
    pub module: Option<&'a str>,
}

/// Knows no names.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct NoNames;

impl Constants for NoNames {
    fn value(&self, _: &str) -> Option<i64> {
        None
    }

    fn enumerators(&self, _: &str) -> Vec<(&str, i64)> {
        vec![]
    }
}

impl Symbols for NoNames {
    fn symbol(&self, _: u64) -> Option<Symbol<'_>> {
        None
    }

    fn string(&self, _: u64) -> Option<&[u8]> {
        None
    }
}

/// All names of one kernel, or of one capture.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Names {
    /// Functions and variables by address; large, so it is shared.
    pub kallsyms: Arc<Kallsyms>,
    /// Strings by address.
    pub printk_formats: PrintkFormats,
    /// Enum constants by name.
    pub enums: Enums,
    /// Parameters of functions by name, if calls are traced with their arguments.
    pub functions: Functions,
    /// Task names by pid.
    pub comms: SavedCmdlines,
    /// Thread groups by pid.
    pub tgids: Tgids,
}

/// What is known of the traced kernel besides its formats.
#[derive(Debug, Clone)]
pub struct Kernel {
    /// How it lays out numbers.
    pub abi: Abi,
    /// Its names for numbers.
    pub names: Names,
}

impl Names {
    /// Reads the names from files like those of tracefs: `kallsyms`, `printk_formats`, `saved_cmdlines`,
    /// `saved_tgids`, and `btf` or `constants`. `read` returns a file by its name, or none if there is no such file;
    /// large files are read only if needed. A file that cannot be read or parsed leaves its names unknown and adds an
    /// error to the result.
    pub fn read(read: impl FnMut(&str) -> io::Result<Option<Vec<u8>>>) -> (Names, Vec<NamesError>) {
        let mut errors = Vec::new();
        // Errors of files that only may exist are not reported.
        let files = RefCell::new(read);
        let hint = |name: &str| files.borrow_mut()(name).ok().flatten();
        let mut read = |name: &str| match files.borrow_mut()(name) {
            Ok(bytes) => bytes,
            Err(source) => {
                errors.push(NamesError::Read { name: name.to_owned(), source });
                None
            }
        };
        // Sub-buffers are one page, unless their size was changed.
        let header = read("events/header_page").and_then(|b| HeaderPage::parse(&String::from_utf8_lossy(&b)).ok());
        let page_size = header.map_or(4096, |header| header.sub_buffer_size());
        let mut names = Names {
            kallsyms: read("kallsyms").map(|b| Arc::new(Kallsyms::parse_with_pages(&b, page_size))).unwrap_or_default(),
            printk_formats: read("printk_formats").map(|b| PrintkFormats::parse(&b)).unwrap_or_default(),
            comms: read("saved_cmdlines").map(|b| SavedCmdlines::parse(&b)).unwrap_or_default(),
            tgids: read("saved_tgids").map(|b| Tgids::parse(&b)).unwrap_or_default(),
            enums: Enums::default(),
            functions: Functions::default(),
        };
        // The small file first: a capture that has `constants` needs BTF at most for the functions.
        let constants = read("constants");
        let with_arguments = functions::are_shown_in(hint);
        let btf = if constants.is_none() || with_arguments { read("btf") } else { None };
        if let Some(bytes) = btf.as_ref().filter(|_| with_arguments) {
            names.functions = btf::functions(bytes).map(Functions::from).unwrap_or_default();
        }
        if let Some(text) = constants {
            names.enums = Enums::parse(&String::from_utf8_lossy(&text));
        } else if let Some(bytes) = btf {
            match Btf::parse(&bytes) {
                Ok(btf) => names.enums = btf.into(),
                Err(source) => errors.push(NamesError::Btf(source)),
            }
        }
        if names.enums.value(hz::NAME).is_none() {
            names.enums.set_hz(hz::told_among(hint));
        }
        (names, errors)
    }
}

impl Constants for Names {
    fn value(&self, name: &str) -> Option<i64> {
        self.enums.value(name)
    }

    fn enumerators(&self, enum_name: &str) -> Vec<(&str, i64)> {
        self.enums.enumerators(enum_name).unwrap_or_default()
    }
}

impl Symbols for Names {
    fn symbol(&self, address: u64) -> Option<Symbol<'_>> {
        self.kallsyms.lookup(address)
    }

    fn string(&self, address: u64) -> Option<&[u8]> {
        self.printk_formats.get(address)
    }
}

/// Why a file of names could not be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NamesError {
    /// The file exists but could not be read.
    #[error("{name}: {source}")]
    Read {
        /// The file's name.
        name: String,
        /// The reason.
        source: io::Error,
    },
    /// `btf` is not BTF.
    #[error("btf: {0}")]
    Btf(#[from] BtfError),
}

#[cfg(test)]
mod tests {
    use super::*;

    /// BTF of `enum state { STATE_UP = 3 }`: a header of 24 bytes, one type, its strings (Documentation/bpf/btf.rst).
    fn btf() -> Vec<u8> {
        let types = [1, 6 << 24 | 1, 4, 7, 3u32];
        let strings = b"\0state\0STATE_UP\0";
        let (types_len, strings_len) = (4 * types.len() as u32, strings.len() as u32);
        let words = [24, 0, types_len, types_len, strings_len].into_iter().chain(types);
        let bytes = words.flat_map(u32::to_le_bytes);
        [0x9f, 0xeb, 1, 0].into_iter().chain(bytes).chain(strings.iter().copied()).collect()
    }

    /// Reads names from `files`; also the names of the files that were asked for, and the errors.
    fn read(files: &[(&str, &[u8])]) -> (Names, Vec<String>, Vec<String>) {
        let mut asked = Vec::new();
        let (names, errors) = Names::read(|name| {
            asked.push(name.to_owned());
            match files.iter().find(|(file, _)| *file == name) {
                Some((_, b"unreadable")) => Err(io::ErrorKind::PermissionDenied.into()),
                file => Ok(file.map(|(_, bytes)| bytes.to_vec())),
            }
        });
        (names, asked, errors.iter().map(|error| error.to_string()).collect())
    }

    #[test]
    fn each_file_names_what_it_is_for() {
        let (names, _, errors) = read(&[
            ("kallsyms", b"ffffffff81000000 T _stext\nffffffff81000100 T f\nffffffff81000200 D _end\n"),
            ("printk_formats", b"0xffffffff82000000 : \"CPU_ON\"\n"),
            ("saved_cmdlines", b"7 kthreadd\n"),
            ("saved_tgids", b"7 5\n"),
            ("constants", b"TCP_CLOSE 7\nenum state\nSTATE_UP 3\n"),
        ]);
        let symbol = Symbol { name: "f", offset: 2, size: 0x100, module: None };
        assert_eq!(names.symbol(0xffff_ffff_8100_0102), Some(symbol));
        assert_eq!(names.string(0xffff_ffff_8200_0000), Some(&b"CPU_ON"[..]));
        assert_eq!((names.comms.shown(7), names.tgids.get(7)), (&b"kthreadd"[..], Some(5)));
        assert_eq!((names.value("TCP_CLOSE"), names.value("STATE_UP"), names.value("TCP_X")), (Some(7), Some(3), None));
        assert_eq!((names.enumerators("state"), names.enumerators("other")), (vec![("STATE_UP", 3)], vec![]));
        assert_eq!(errors, [""; 0]);
    }

    #[test]
    fn btf_is_read_only_where_the_constants_are_missing_or_arguments_are_shown() {
        let btf = btf();
        let (names, asked, errors) = read(&[("btf", &btf)]);
        assert!(asked.contains(&"btf".to_owned()) && errors.is_empty(), "{asked:?} {errors:?}");
        assert_eq!((names.value("STATE_UP"), names.enumerators("state")), (Some(3), vec![("STATE_UP", 3)]));
        let constants = ("constants", &b"STATE_UP 4\n"[..]);
        let (names, asked, _) = read(&[("btf", &btf), constants]);
        assert_eq!((names.value("STATE_UP"), asked.contains(&"btf".to_owned())), (Some(4), false));
        let arguments = ("events/ftrace/function/format", &b"field:unsigned long args[];"[..]);
        let (names, asked, _) = read(&[("btf", &btf), constants, arguments]);
        assert_eq!((names.value("STATE_UP"), asked.contains(&"btf".to_owned())), (Some(4), true));
    }

    #[test]
    fn hz_is_told_by_a_format_where_no_constant_does() {
        let format = b"print fmt: \"%lu\", (jiffies - REC->dirtied_when) / 250, REC->index\n";
        let format = ("events/writeback/writeback_single_inode/format", &format[..]);
        assert_eq!(read(&[format]).0.value("HZ"), Some(250));
        assert_eq!(read(&[format, ("constants", b"HZ 1000\n")]).0.value("HZ"), Some(1000));
    }

    #[test]
    fn a_file_that_cannot_be_used_is_an_error_and_leaves_its_names_unknown() {
        let (names, _, errors) = read(&[("kallsyms", b"unreadable"), ("btf", b"no BTF"), ("saved_cmdlines", b"7 a\n")]);
        assert!(names.kallsyms.is_empty() && names.comms.get(7) == Some(b"a"));
        assert!(matches!(&errors[..], [a, b] if a.starts_with("kallsyms: ") && b.starts_with("btf: ")), "{errors:?}");
    }

    #[test]
    fn who_knows_no_names_gives_none() {
        assert_eq!((NoNames.value("TCP_CLOSE"), NoNames.enumerators("state")), (None, vec![]));
        assert_eq!((NoNames.symbol(1), NoNames.string(1), NoNames.flags_of(b'g')), (None, None, &[][..]));
    }
}
