//! `kallsyms`: kernel addresses → function names.
//!
//! Gives the same answers as the kernel's `kallsyms_lookup` (kernel/kallsyms.c, kernel/module/kallsyms.c): the symbol
//! with the largest address not above the one looked up, the first listed of several at one address, and only inside
//! the sections of the kernel or of a module. The file does not state where a module begins and ends; see [`Module`].

use memchr::memchr;

use super::Symbol;

#[derive(Debug, Clone, Copy)]
struct Entry {
    /// The name: a range of `SymbolTable::text`.
    name: u32,
    len: u16,
    /// An index into `SymbolTable::modules`, from 1; 0 for the kernel itself.
    module: u16,
}

#[derive(Debug, Clone)]
struct Module {
    name: String,
    /// The end of its code: the end of the last function's page. `find_kallsyms_symbol` takes it as the end of every
    /// symbol that no other one follows, even of data, whose size is then negative.
    text_end: u64,
}

/// All symbols of a kernel, sorted by address.
#[derive(Debug, Clone, Default)]
pub(super) struct SymbolTable {
    /// All names, concatenated.
    text: String,
    /// Ascending.
    addresses: Vec<u64>,
    /// One for each address.
    entries: Vec<Entry>,
    /// The index of the first symbol of a module; those before are the kernel's own. Each part is sorted by itself.
    first_module: usize,
    modules: Vec<Module>,
    /// The address ranges of the kernel itself.
    kernel: Vec<std::ops::Range<u64>>,
    /// `_stext`.
    text_start: Option<u64>,
    /// The code of interrupt entries.
    irq_entry: Option<std::ops::Range<u64>>,
    /// Data symbols are listed too (CONFIG_KALLSYMS_ALL).
    all: bool,
}

impl SymbolTable {
    /// Parses the text of `kallsyms` of a kernel with pages of `page_size` bytes. Lines of another form are skipped,
    /// and so are zero addresses, which the kernel shows to unprivileged readers (`kptr_restrict`).
    pub(super) fn parse_with_pages(text: &[u8], page_size: usize) -> SymbolTable {
        let mut parsed = Parser { page: (page_size as u64).max(1), ..Parser::default() };
        let mut rest = text;
        while !rest.is_empty() {
            let end = memchr(b'\n', rest).unwrap_or(rest.len());
            let (line, behind) = rest.split_at(end);
            parsed.line(line);
            rest = behind.get(1..).unwrap_or_default();
        }
        parsed.finish()
    }

    /// How many symbols there are.
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are no symbols: the file was empty, or all addresses were zero.
    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Whether `address` lies in the code of interrupt entries (`__irqentry_text_start` to `__irqentry_text_end`).
    pub(super) fn is_irq_entry(&self, address: u64) -> bool {
        self.irq_entry.as_ref().is_some_and(|range| range.contains(&address))
    }

    /// The address of `_stext`, where the kernel's code begins.
    pub(super) fn text_start(&self) -> Option<u64> {
        self.text_start
    }

    /// The address of the symbol called `name`; the kernel's own take precedence over those of modules.
    pub(super) fn address_of(&self, name: &str) -> Option<u64> {
        let named = |entry: &Entry| {
            let at = entry.name as usize;
            self.text.get(at..at + usize::from(entry.len)) == Some(name)
        };
        self.addresses.get(self.entries.iter().position(named)?).copied()
    }

    /// The symbol that `address` lies in.
    pub(super) fn lookup(&self, address: u64) -> Option<Symbol<'_>> {
        let range = match self.kernel.iter().any(|part| part.contains(&address)) {
            true => 0..self.first_module,
            false => self.first_module..self.entries.len(),
        };
        let addresses = self.addresses.get(range.clone())?;
        let above = addresses.partition_point(|&a| a <= address);
        let start = *addresses.get(above.checked_sub(1)?)?;
        // Of several symbols at one address the kernel names the one listed first.
        let first = range.start + addresses.partition_point(|&a| a < start);
        let entry = self.entries.get(first)?;
        let following = addresses.get(above).zip(self.entries.get(range.start + above));
        let (end, module) = match usize::from(entry.module).checked_sub(1) {
            // `get_symbol_pos`: the last symbol reaches to the end of its section.
            None => {
                let section = self.kernel.iter().find(|part| part.contains(&start)).map(|part| part.end);
                (following.map(|(&next, _)| next).or(section)?, None)
            }
            Some(module) => {
                let module = self.modules.get(module)?;
                (self.module_end(module, entry.module, start, address, following)?, Some(module.name.as_str()))
            }
        };
        Some(Symbol {
            name: self.text.get(entry.name as usize..entry.name as usize + usize::from(entry.len))?,
            offset: address - start,
            size: end.wrapping_sub(start),
            module,
        })
    }

    /// The end of a module's symbol that begins at `start`; none if `address` lies past the module.
    fn module_end(
        &self,
        module: &Module,
        number: u16,
        start: u64,
        address: u64,
        following: Option<(&u64, &Entry)>,
    ) -> Option<u64> {
        let next_of_module = following.filter(|(_, next)| next.module == number).map(|(&next, _)| next);
        let near = |address: u64| address.checked_sub(start).is_some_and(|distance| distance <= MODULE_DATA);
        // A symbol further away belongs to another part of the module (`struct module_memory`), or to none.
        let outside = match next_of_module.filter(|&next| near(next)) {
            Some(_) => false,
            None if !near(address) => true,
            // Only functions are listed; the module's data follow them unlisted.
            None if !self.all => false,
            None => {
                let page_end = (start | 0xfff).saturating_add(1);
                let text_end = Some(module.text_end).filter(|&end| near(end));
                address >= text_end.map_or(page_end, |end| end.max(page_end))
            }
        };
        let end = next_of_module.filter(|&next| next < module.text_end).unwrap_or(module.text_end);
        (!outside).then_some(end)
    }
}

/// No architecture has its modules below this address.
const LOWEST_MODULE: u64 = 1 << 24;

/// The largest size of a module's symbol, and of its data if they are not listed.
const MODULE_DATA: u64 = 1 << 20;

#[derive(Default)]
struct Parser {
    out: SymbolTable,
    /// (address, entry) of the kernel itself and of modules.
    core: Vec<(u64, Entry)>,
    in_modules: Vec<(u64, Entry)>,
    stext: Option<u64>,
    etext: Option<u64>,
    end: Option<u64>,
    sinittext: Option<u64>,
    einittext: Option<u64>,
    irq_start: Option<u64>,
    irq_end: Option<u64>,
    page: u64,
}

impl Parser {
    /// `ffffffff81000000 T _stext`, `ffffffffc0201000 t init\t[ext4]`.
    fn line(&mut self, line: &[u8]) {
        let Some((address, rest)) = hex(line) else { return };
        let [b' ', kind, b' ', rest @ ..] = rest else { return };
        let (name, module) = match memchr(b'\t', rest) {
            Some(tab) => (&rest[..tab], rest[tab + 1..].strip_prefix(b"[").and_then(|m| m.strip_suffix(b"]"))),
            None => (rest, None),
        };
        let Ok(name) = std::str::from_utf8(name) else { return };
        let Ok(place) = u32::try_from(self.out.text.len()) else { return };
        if address == 0 || name.is_empty() || name.len() > 1024 {
            return;
        }
        let text = matches!(kind, b't' | b'T' | b'w' | b'W');
        let mut entry = Entry { name: place, len: name.len() as u16, module: 0 };
        match module {
            None => {
                self.section(name, address);
                self.core.push((address, entry));
            }
            Some(module) => {
                // `is_mapping_symbol`: `$a`, `$d`, `$x` and `.L…` mark code and data for the assembler. The kernel
                // lists the modules `__builtin__ftrace` and `__builtin__kprobes`, but does not look symbols up in
                // them. Per-CPU variables of modules have small offsets for addresses.
                let offset = address < LOWEST_MODULE && self.stext.is_none_or(|stext| address < stext);
                if offset || name.starts_with('$') || name.starts_with(".L") || module.starts_with(b"__builtin__") {
                    return;
                }
                let Some(index) = self.module(module) else { return };
                entry.module = index;
                if let Some(module) = self.out.modules.get_mut(usize::from(index) - 1).filter(|_| text) {
                    let page_end = address.checked_next_multiple_of(self.page).unwrap_or(u64::MAX);
                    // A function at the start of a page lies in that page.
                    let end = if page_end == address { address.saturating_add(self.page) } else { page_end };
                    module.text_end = module.text_end.max(end);
                }
                self.in_modules.push((address, entry));
            }
        }
        self.out.text.push_str(name);
    }

    /// Records the symbols that bound the kernel's sections (include/asm-generic/sections.h).
    fn section(&mut self, name: &str, address: u64) {
        let bound = match name {
            "_stext" => &mut self.stext,
            "_etext" => &mut self.etext,
            "_end" => &mut self.end,
            "_sinittext" => &mut self.sinittext,
            "_einittext" => &mut self.einittext,
            "__irqentry_text_start" => &mut self.irq_start,
            "__irqentry_text_end" => &mut self.irq_end,
            _ => return,
        };
        *bound = Some(address);
    }

    /// The number of the module, from 1. The symbols of one module are adjacent.
    fn module(&mut self, name: &[u8]) -> Option<u16> {
        let modules = &mut self.out.modules;
        if modules.last().is_none_or(|last| last.name.as_bytes() != name) {
            let name = std::str::from_utf8(name).ok()?;
            if let Some(known) = modules.iter().position(|m| m.name == name) {
                return u16::try_from(known + 1).ok();
            }
            modules.push(Module { name: name.to_owned(), text_end: 0 });
        }
        u16::try_from(modules.len()).ok()
    }

    fn finish(self) -> SymbolTable {
        let Parser { mut out, mut core, mut in_modules, .. } = self;
        // Stable: symbols at one address keep the order of the file.
        core.sort_by_key(|&(address, _)| address);
        in_modules.sort_by_key(|&(address, _)| address);
        let range = |from: Option<u64>, to: Option<u64>| Some(from?..to?);
        // `is_ksym_addr`: with CONFIG_KALLSYMS_ALL (then `_end` is listed) the whole kernel, otherwise only its text.
        let whole = range(self.stext, self.end);
        let text = [range(self.stext, self.etext), range(self.sinittext, self.einittext)];
        out.all = whole.is_some();
        out.kernel = match whole {
            Some(whole) => vec![whole],
            None => text.into_iter().flatten().collect(),
        };
        if let ([], Some((first, _)), Some((last, _))) = (&out.kernel[..], core.first(), core.last()) {
            out.kernel.push(*first..last.saturating_add(1));
        }
        out.text_start = self.stext;
        out.irq_entry = range(self.irq_start, self.irq_end);
        out.first_module = core.len();
        (out.addresses, out.entries) = core.into_iter().chain(in_modules).unzip();
        out.text.shrink_to_fit();
        out
    }
}

/// The hexadecimal number that `text` begins with, and the rest.
fn hex(text: &[u8]) -> Option<(u64, &[u8])> {
    let mut value = 0u64;
    let mut digits = 0;
    for &byte in text {
        let digit = match byte {
            b'0'..=b'9' => byte - b'0',
            b'a'..=b'f' => byte - b'a' + 10,
            _ => break,
        };
        value = value << 4 | u64::from(digit);
        digits += 1;
    }
    (1..=16).contains(&digits).then(|| (value, &text[digits..]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::Kallsyms;

    fn parse(text: &str) -> SymbolTable {
        SymbolTable::parse_with_pages(text.as_bytes(), 4096)
    }

    /// Lines in the form of a 6.1 kernel's file.
    const FILE: &str = "0000000000000000 A fixed_percpu_data\n\
        0000000000001000 A cpu_debug_store\n\
        ffffffff81000000 T _stext\n\
        ffffffff81000000 T _text\n\
        ffffffff81000100 t helper.part.0\n\
        ffffffff81000140 t helper.cold\n\
        ffffffff81000200 T vfs_read\n\
        ffffffff81000200 T alias\n\
        ffffffff81000300 T _etext\n\
        ffffffff82000000 d table\n\
        ffffffff82000100 B _end\n\
        0000000000034ece d ext4_counter\t[ext4]\n\
        ffffffffc0201000 t ext4_a\t[ext4]\n\
        ffffffffc0201080 t $x\t[ext4]\n\
        ffffffffc0201100 t ext4_b\t[ext4]\n\
        ffffffffc0202010 d ext4_data\t[ext4]\n\
        ffffffffc0285000 t ftrace_trampoline\t[__builtin__ftrace]\n";

    fn name(address: u64) -> Option<String> {
        let symbols = parse(FILE);
        let Symbol { name, offset, size, module } = symbols.lookup(address)?;
        let module = module.map(|m| format!(" [{m}]")).unwrap_or_default();
        Some(format!("{name}+{offset:#x}/{size:#x}{module}"))
    }

    #[test]
    fn an_address_is_named_by_the_symbol_below_it() {
        assert_eq!(name(0xffff_ffff_8100_0210).as_deref(), Some("vfs_read+0x10/0x100"));
        assert_eq!(name(0xffff_ffff_8100_0200).as_deref(), Some("vfs_read+0x0/0x100"));
    }

    #[test]
    fn the_compiler_s_part_and_cold_symbols_count_as_symbols() {
        assert_eq!(name(0xffff_ffff_8100_0120).as_deref(), Some("helper.part.0+0x20/0x40"));
        assert_eq!(name(0xffff_ffff_8100_0141).as_deref(), Some("helper.cold+0x1/0xc0"));
    }

    #[test]
    fn the_first_listed_of_several_symbols_at_one_address_wins() {
        assert_eq!(name(0xffff_ffff_8100_0001).as_deref(), Some("_stext+0x1/0x100"));
    }

    #[test]
    fn an_address_outside_of_the_kernel_and_its_modules_has_no_name() {
        // A user address (per-CPU offsets are listed below it); past the end of the kernel; past a module's last
        // page.
        for address in [0, 0x46_10d3, 0xffff_ffff_8200_0100, 0xffff_ffff_c020_3000, u64::MAX] {
            assert_eq!(name(address), None, "{address:#x}");
        }
    }

    #[test]
    fn a_module_s_symbols_carry_its_name_and_its_assembler_marks_are_not_symbols() {
        assert_eq!(name(0xffff_ffff_c020_1090).as_deref(), Some("ext4_a+0x90/0x100 [ext4]"));
        // The text ends with its page, before the data.
        assert_eq!(name(0xffff_ffff_c020_1110).as_deref(), Some("ext4_b+0x10/0xf00 [ext4]"));
    }

    #[test]
    fn data_of_a_module_have_the_negative_size_that_the_kernel_computes() {
        assert_eq!(name(0xffff_ffff_c020_2014).as_deref(), Some("ext4_data+0x4/0xfffffffffffffff0 [ext4]"));
    }

    #[test]
    fn where_only_functions_are_listed_a_module_s_data_belong_to_its_last_function() {
        // As a 6.1 s390x kernel printed it.
        let text = "0000000000100000 T _stext\n0000000000ae1000 T _etext\n000003ff7fdfc158 t ext4_exit_fs\t[ext4]\n";
        let symbols = parse(text);
        let symbol = symbols.lookup(0x3ff_7fe1_7a00).unwrap();
        assert_eq!((symbol.name, symbol.offset, symbol.size), ("ext4_exit_fs", 0x1b8a8, 0xea8));
        assert_eq!(symbols.lookup(0x3ff_8fe1_7a00), None);
    }

    #[test]
    fn a_trampoline_is_listed_but_the_kernel_does_not_name_it() {
        assert_eq!(name(0xffff_ffff_c028_5083), None);
    }

    #[test]
    fn a_file_of_zeros_or_garbage_and_an_empty_file_have_no_symbols() {
        for text in ["", "\n\n", "0000000000000000 T a\n0000000000000000 T b\n", "zzz", "ffffffff81000000", "12 T"] {
            let symbols = parse(text);
            assert!(symbols.is_empty() && symbols.lookup(0x10).is_none(), "{text:?}");
        }
    }

    #[test]
    fn an_address_far_past_a_module_is_not_in_it() {
        // Text and data lie apart, as since 6.4 (`struct module_memory`); a BPF program lies between them.
        const APART: &str = "ffffffff81000000 T _stext\nffffffff82000100 B _end\n\
            10000000 t text_a\t[m]\n10000100 t text_b\t[m]\n80000000 d data\t[m]\n";
        let symbols = parse(APART);
        let found = |address| symbols.lookup(address).map(|symbol| (symbol.name, symbol.offset));
        assert_eq!(found(0x1000_0104), Some(("text_b", 4)));
        assert_eq!(found(0x1000_0ff0), Some(("text_b", 0xef0)));
        assert_eq!(found(0x1000_1000), None);
        assert_eq!(found(0x77bf_d8a8), None);
        assert_eq!(found(0x8000_0010), Some(("data", 0x10)));
        assert_eq!(found(0x8000_1000), None);
        assert_eq!(found(0xf000_0000), None);
    }

    #[test]
    fn without_data_symbols_no_address_past_the_text_has_a_name() {
        let text = "c0300000 T _stext\nc0300100 T f\nc0e00000 D _etext\nc12003c0 T _sinittext\nc1200400 t init_f\n\
                    c128aae8 T _einittext\n";
        let symbols = parse(text);
        assert_eq!(symbols.lookup(0xc030_0104).unwrap().size, 0xc0e0_0000 - 0xc030_0100);
        assert_eq!(symbols.lookup(0xc0e0_0004), None);
        assert_eq!(symbols.lookup(0xc120_0404).unwrap().name, "init_f");
    }

    #[test]
    fn symbols_are_counted_and_found_by_name_the_kernel_s_own_first() {
        let symbols = Kallsyms::parse(FILE.as_bytes());
        // All lines but an address of zero, an offset, a mark of the assembler and a trampoline.
        assert_eq!((symbols.len(), symbols.is_empty()), (13, false));
        assert_eq!(symbols.text_start(), Some(0xffff_ffff_8100_0000));
        assert_eq!(symbols.address_of("vfs_read"), Some(0xffff_ffff_8100_0200));
        assert_eq!(symbols.address_of("ext4_b"), Some(0xffff_ffff_c020_1100));
        assert_eq!((symbols.address_of("vfs"), symbols.address_of("ext4_counter")), (None, None));
        assert_eq!((Kallsyms::default().text_start(), Kallsyms::default().is_empty()), (None, true));
    }

    #[test]
    fn interrupts_enter_between_two_symbols_of_the_linker() {
        let text = "ffffffff81000000 T _stext\nffffffff81000100 T __irqentry_text_start\n\
            ffffffff81000180 T __irqentry_text_end\n";
        let symbols = Kallsyms::parse(text.as_bytes());
        for (address, inside) in [(0xff, false), (0x100, true), (0x17f, true), (0x180, false)] {
            assert_eq!(symbols.is_irq_entry(0xffff_ffff_8100_0000 + address), inside, "{address:#x}");
        }
        assert!(!Kallsyms::parse(FILE.as_bytes()).is_irq_entry(0xffff_ffff_8100_0210));
    }

    #[test]
    fn a_module_s_symbol_reaches_to_the_next_of_the_module_wherever_its_lines_stand() {
        let text = "ffffffff81000000 T _stext\nffffffff82000100 B _end\n\
            ffffffffc0201000 t a1\t[a]\nffffffffc0201100 t a2\t[a]\nffffffffc0202000 t b1\t[b]\n\
            ffffffffc0202040 t b2\t[b]\nffffffffc0201180 t a3\t[a]\nffffffffc0202084 d b_data\t[b]\n";
        let symbols = Kallsyms::parse(text.as_bytes());
        let found = |low: u64| {
            let symbol = symbols.lookup(0xffff_ffff_c020_0000 + low)?;
            Some((symbol.name, symbol.offset, symbol.size, symbol.module?))
        };
        assert_eq!(found(0x1110), Some(("a2", 0x10, 0x80, "a")));
        // The last function of a module: to the end of its page.
        assert_eq!(found(0x1190), Some(("a3", 0x10, 0xe80, "a")));
        assert_eq!(found(0x2044), Some(("b2", 4, 0x44, "b")));
        // Behind the last symbol: to the end of the page.
        assert_eq!(found(0x2ffe).map(|found| found.0), Some("b_data"));
        assert_eq!(found(0x3000), None);
    }

    #[test]
    fn a_per_cpu_variable_s_offset_is_no_address_unless_the_kernel_lies_lower() {
        assert_eq!(name(0x34ed0), None);
        // On s390x the kernel begins at 1 MiB, and a module may lie anywhere behind it.
        let text = "0000000000100000 T _stext\n0000000000300000 B _end\n0000000000800010 t f\t[m]\n";
        assert_eq!(Kallsyms::parse(text.as_bytes()).lookup(0x80_0014).map(|symbol| symbol.name), Some("f"));
        let text = "ffffffff81000000 T _stext\n0000000001000000 t f\t[m]\n0000000000ffffff t g\t[m]\n";
        assert_eq!(Kallsyms::parse(text.as_bytes()).len(), 2);
    }

    #[test]
    fn a_name_longer_than_any_kernel_s_is_passed_over() {
        // KSYM_NAME_LEN is 512.
        let symbols =
            |len: usize| Kallsyms::parse(format!("ffffffff81000000 T {}\n", "f".repeat(len)).as_bytes()).len();
        assert_eq!((symbols(512), symbols(1024), symbols(1025)), (1, 1, 0));
    }
}
