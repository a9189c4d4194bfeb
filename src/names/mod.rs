//! Names for the numbers in a record: enum constants, kernel addresses, tasks.
//!
//! Rendering asks for names through the two traits here, so that it depends on none of the files they come from.
//! [`Constants`] is queried once, when an event's plan is compiled; [`Symbols`] for each record.
//!
//! [`Names`] implements both from a folder with the files of tracefs: `kallsyms`, `printk_formats`, `saved_cmdlines`,
//! `saved_tgids`, and `btf` or `constants`. Each may be absent; numbers are then shown instead of names.

mod comms;
mod enums;
mod fixed;
mod functions;
pub(crate) mod hz;
mod kallsyms;
mod printk_formats;

use std::cell::RefCell;
use std::io;
use std::sync::Arc;

pub use comms::{Comms, Tgids};
pub use enums::Enums;
pub use functions::Functions;
pub use kallsyms::Kallsyms;
pub use printk_formats::PrintkFormats;

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
    pub comms: Comms,
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
            comms: read("saved_cmdlines").map(|b| Comms::parse(&b)).unwrap_or_default(),
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
