//! Names for the numbers in a record: enum constants, kernel addresses, task names.
//!
//! A record holds numbers; the kernel that wrote it knows their names. What knows names implements the two traits here, so
//! that rendering depends on none of the files they come from. [`Constants`] is asked once, when an event's plan is
//! compiled; [`Symbols`] for each record.

/// Names and values of the kernel's enum constants, which format files leave as bare names (`TCP_ESTABLISHED`).
pub trait Constants {
    /// The value of the enum constant `name`, in whichever enum it stands.
    fn value(&self, name: &str) -> Option<i64>;

    /// The name of `value` in `enum enum_name`.
    fn enumerator(&self, enum_name: &str, value: i64) -> Option<&str>;
}

/// What lies at an address of the traced kernel.
pub trait Symbols {
    /// The function or variable that `address` falls in (kallsyms).
    fn symbol(&self, address: u64) -> Option<Symbol<'_>>;

    /// The constant string that begins at `address` (printk_formats), without its NUL.
    fn string(&self, address: u64) -> Option<&[u8]>;
}

/// Where an address lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Symbol<'a> {
    /// The function's or variable's name.
    pub name: &'a str,
    /// Bytes from its beginning.
    pub offset: u64,
    /// Its size in bytes: to the next symbol.
    pub size: u64,
    /// The module it belongs to; none for the kernel itself.
    pub module: Option<&'a str>,
}

/// Knows no name at all.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct NoNames;

impl Constants for NoNames {
    fn value(&self, _: &str) -> Option<i64> {
        None
    }

    fn enumerator(&self, _: &str, _: i64) -> Option<&str> {
        None
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
