//! Names of flags that only the kernel has a table of (`%pGg`), where another event's print format has the same one.

use super::compile::Compiler;
use crate::{
    format::{
        Endian, EventFormat, LongSize,
        print_fmt::{Expr, PrintFmt},
    },
    names::Constants,
};

/// A kernel's constants, and its names of allocation flags.
pub(super) struct WithFlags<'a> {
    constants: &'a dyn Constants,
    gfp: Vec<(u64, String)>,
}

impl<'a> WithFlags<'a> {
    /// Looks for the table in the print formats of `formats`, if one of them needs it. It is `gfpflag_names` (lib/vsprintf.c),
    /// which `show_gfp_flags` (include/trace/events/mmflags.h) spells out in the print formats of `kmem`.
    pub(super) fn new(formats: &[&EventFormat], long: LongSize, constants: &'a dyn Constants) -> WithFlags<'a> {
        let needed = formats.iter().any(|format| format.print_fmt.contains("%pGg"));
        let of_gfp = formats.iter().filter(|format| needed && format.print_fmt.contains("\"GFP_KERNEL\""));
        let gfp = of_gfp.filter_map(|format| table(format, long, constants)).next().unwrap_or_default();
        WithFlags { constants, gfp }
    }
}

impl Constants for WithFlags<'_> {
    fn value(&self, name: &str) -> Option<i64> {
        self.constants.value(name)
    }

    fn enumerators(&self, enum_name: &str) -> Vec<(&str, i64)> {
        self.constants.enumerators(enum_name)
    }

    fn gfp_flags(&self) -> &[(u64, String)] {
        &self.gfp
    }
}

/// The rows of the `__print_flags` of `format` that has GFP_KERNEL.
fn table(format: &EventFormat, long: LongSize, constants: &dyn Constants) -> Option<Vec<(u64, String)>> {
    let parsed = PrintFmt::parse(&format.print_fmt);
    let rows = parsed.args.iter().find_map(|argument| rows(argument.expr.as_ref().ok()?))?;
    let mut compiler = Compiler::new(format, long, Endian::Little, constants);
    let table = compiler.flag_table(rows);
    let name = |start: usize, len: usize| compiler.pool.get(start..start + len).map(String::from_utf8_lossy);
    table
        .into_iter()
        .map(|(mask, span)| Some((mask, name(span.start as usize, span.len as usize)?.into_owned())))
        .collect()
}

/// The table in `expr`, which may be a choice: `flags ? __print_flags(flags, "|", …) : "none"`.
fn rows(expr: &Expr) -> Option<&[Expr]> {
    match expr {
        Expr::Call(name, args) if name == "__print_flags" => {
            let is_gfp = |row: &Expr| match row {
                Expr::Braces(row) => matches!(row.get(1), Some(Expr::Str(name)) if name == b"GFP_KERNEL"),
                _ => false,
            };
            args.get(2..).filter(|rows| rows.iter().any(is_gfp))
        }
        Expr::Ternary(_, yes, no) => rows(yes).or_else(|| rows(no)),
        _ => None,
    }
}
