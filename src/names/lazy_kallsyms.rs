//! [`Kallsyms`]: the text of `kallsyms`, which is parsed when the first address is looked up.
//!
//! It has some hundred thousand lines, and parsing them takes as long as opening most captures; few events hold addresses of
//! functions.

use std::sync::{Mutex, OnceLock, PoisonError};

use super::Symbol;
use super::kallsyms::SymbolTable;

/// All symbols of a kernel, by address.
#[derive(Debug, Default)]
pub struct Kallsyms {
    /// The text; empty once it is parsed.
    text: Mutex<Vec<u8>>,
    page_size: usize,
    table: OnceLock<SymbolTable>,
}

impl Kallsyms {
    /// Reads the text of `kallsyms` of a kernel with pages of 4 KiB; see [`parse_with_pages`](Kallsyms::parse_with_pages).
    pub fn parse(text: &[u8]) -> Kallsyms {
        Kallsyms::parse_with_pages(text, 4096)
    }

    /// Reads the text of `kallsyms` of a kernel with pages of `page_size` bytes. Lines that are no symbols are skipped, and so
    /// are addresses of zero, which the kernel writes for readers that it does not trust (`kptr_restrict`).
    pub fn parse_with_pages(text: &[u8], page_size: usize) -> Kallsyms {
        let table = OnceLock::from(SymbolTable::parse_with_pages(text, page_size));
        Kallsyms { text: Mutex::default(), page_size, table }
    }

    /// Like [`parse`](Kallsyms::parse), but the text is parsed when the first symbol is asked for.
    pub fn parse_later(text: Vec<u8>) -> Kallsyms {
        Kallsyms { text: Mutex::new(text), page_size: 4096, table: OnceLock::new() }
    }

    fn table(&self) -> &SymbolTable {
        self.table.get_or_init(|| {
            let text = std::mem::take(&mut *self.text.lock().unwrap_or_else(PoisonError::into_inner));
            SymbolTable::parse_with_pages(&text, self.page_size)
        })
    }

    /// How many symbols there are.
    pub fn len(&self) -> usize {
        self.table().len()
    }

    /// Whether there are none: the file was empty, or held zeros only.
    pub fn is_empty(&self) -> bool {
        self.table().is_empty()
    }

    /// Whether `address` lies in the code that interrupts enter by (`__irqentry_text_start` to `__irqentry_text_end`).
    pub fn is_irq_entry(&self, address: u64) -> bool {
        self.table().is_irq_entry(address)
    }

    /// The address of `_stext`, where the kernel's code begins.
    pub fn text_start(&self) -> Option<u64> {
        self.table().text_start()
    }

    /// The address of the symbol of that name: the kernel's own before those of modules.
    pub fn address_of(&self, name: &str) -> Option<u64> {
        self.table().address_of(name)
    }

    /// The symbol that `address` lies in.
    pub fn lookup(&self, address: u64) -> Option<Symbol<'_>> {
        self.table().lookup(address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_that_is_parsed_later_answers_as_one_that_was_parsed_at_once() {
        let text = b"c0300000 T _stext\nc0300100 T vfs_read\nc0300300 D _end\n";
        let (now, later) = (Kallsyms::parse(text), Kallsyms::parse_later(text.to_vec()));
        assert_eq!((now.len(), now.address_of("vfs_read")), (3, Some(0xc030_0100)));
        assert!(later.table.get().is_none());
        assert_eq!(later.lookup(0xc030_0104).map(|symbol| symbol.name), Some("vfs_read"));
        assert_eq!((later.len(), later.text_start()), (3, now.text_start()));
        assert!(later.text.lock().unwrap().is_empty());
    }
}
