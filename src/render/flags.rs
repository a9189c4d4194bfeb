//! Names of flags for which only the kernel has a table (`%pGg` and the like). They are taken from another event's
//! print format with the same table, and those of pages from an enum.

use super::compile::Compiler;
use crate::{
    format::{
        Endian, EventFormat, LongSize,
        print_fmt::{Expr, PrintFmt},
    },
    names::Constants,
};

/// The letters after `%pG`, and a name that occurs only in the table of each (include/trace/events/mmflags.h).
const TABLES: [(u8, &[u8]); 3] = [(b'g', b"GFP_KERNEL"), (b'v', b"mayread"), (b'p', b"uptodate")];

/// The names of page flags in the order of the kernel's table (`__def_pageflag_names`). Which of them exist, and at
/// which bits, depends on the kernel's configuration; of two at one bit the table has the first.
const PAGE_FLAGS: &[&str] = &[
    "locked",
    "waiters",
    "error",
    "referenced",
    "uptodate",
    "dirty",
    "lru",
    "active",
    "workingset",
    "slab",
    "owner_priv_1",
    "owner_2",
    "arch_1",
    "reserved",
    "private",
    "private_2",
    "writeback",
    "head",
    "swapcache",
    "mappedtodisk",
    "reclaim",
    "swapbacked",
    "unevictable",
    "dropbehind",
    "mlocked",
    "uncached",
    "hwpoison",
    "idle",
    "young",
    "arch_2",
    "arch_3",
    "skip_kasan_poison",
];

/// A kernel's constants and names of flags.
pub(super) struct WithFlags<'a> {
    constants: &'a dyn Constants,
    tables: [Vec<(u64, String)>; 3],
    release: (u16, u16),
}

impl<'a> WithFlags<'a> {
    /// Searches the print formats of `formats` for the tables, if one of them needs them: `show_gfp_flags` and the
    /// like spell out the tables of `format_flags` (lib/vsprintf.c).
    pub(super) fn new(
        formats: &[&EventFormat],
        long: LongSize,
        constants: &'a dyn Constants,
        release: (u16, u16),
    ) -> WithFlags<'a> {
        // `print_synth_event` prints the names of the flags in a `gfp_t`.
        let synthetic = |format: &EventFormat| {
            format.system == "synthetic" && format.fields.iter().any(|field| field.ctype.name == "gfp_t")
        };
        let tables = TABLES.map(|(letter, mark)| {
            let conversion = format!("%pG{}", char::from(letter));
            let needs =
                |format: &&EventFormat| format.print_fmt.contains(&conversion) || letter == b'g' && synthetic(format);
            if !formats.iter().any(needs) {
                return vec![];
            }
            let spelled = |format: &&&EventFormat| memchr::memmem::find(format.print_fmt.as_bytes(), mark).is_some();
            let table = formats.iter().filter(spelled).find_map(|format| table(format, long, constants, mark));
            match letter {
                b'p' => table.unwrap_or_else(|| page_flags(constants)),
                _ => table.unwrap_or_default(),
            }
        });
        WithFlags { constants, tables, release }
    }
}

impl Constants for WithFlags<'_> {
    fn value(&self, name: &str) -> Option<i64> {
        self.constants.value(name)
    }

    fn enumerators(&self, enum_name: &str) -> Vec<(&str, i64)> {
        self.constants.enumerators(enum_name)
    }

    fn flags_of(&self, letter: u8) -> &[(u64, String)] {
        let at = TABLES.iter().position(|(known, _)| *known == letter);
        at.and_then(|at| self.tables.get(at)).map_or(&[], Vec::as_slice)
    }

    fn release(&self) -> (u16, u16) {
        self.release
    }
}

/// The table of page flags, from `enum pageflags`.
fn page_flags(constants: &dyn Constants) -> Vec<(u64, String)> {
    let bits = constants.enumerators("pageflags");
    let bit = |name: &str| bits.iter().find(|(known, _)| known.strip_prefix("PG_") == Some(name)).map(|(_, bit)| *bit);
    let mut table: Vec<(u64, String)> = vec![];
    for name in PAGE_FLAGS {
        let mask = bit(name).and_then(|bit| 1u64.checked_shl(bit.try_into().ok()?));
        if let Some(mask) = mask.filter(|mask| table.iter().all(|(other, _)| other != mask)) {
            table.push((mask, (*name).to_owned()));
        }
    }
    table
}

/// The rows of the `__print_flags` of `format` that contains the name `mark`.
fn table(format: &EventFormat, long: LongSize, constants: &dyn Constants, mark: &[u8]) -> Option<Vec<(u64, String)>> {
    let parsed = PrintFmt::parse(&format.meant_print_fmt());
    let rows = parsed.args.iter().find_map(|argument| rows(argument.expr.as_ref().ok()?, mark))?;
    let mut compiler = Compiler::new(format, long, Endian::Little, constants);
    let table = compiler.flag_table(rows);
    let name = |start: usize, len: usize| compiler.pool.get(start..start + len).map(String::from_utf8_lossy);
    table
        .into_iter()
        .map(|(mask, span)| Some((mask, name(span.start as usize, span.len as usize)?.into_owned())))
        .collect()
}

/// The table in `expr`, which may be conditional: `flags ? __print_flags(flags, "|", …) : "none"`.
fn rows<'e>(expr: &'e Expr, mark: &[u8]) -> Option<&'e [Expr]> {
    match expr {
        Expr::Call(name, args) if name == "__print_flags" => {
            let is_it = |row: &Expr| match row {
                Expr::Braces(row) => matches!(row.get(1), Some(Expr::Str(name)) if name == mark),
                _ => false,
            };
            args.get(2..).filter(|rows| rows.iter().any(is_it))
        }
        Expr::Ternary(_, yes, no) => rows(yes, mark).or_else(|| rows(no, mark)),
        _ => None,
    }
}
