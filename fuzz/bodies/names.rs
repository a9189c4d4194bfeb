//! The kernel's lists of names: `last_boot_info`, `kallsyms`, `printk_formats`, `saved_cmdlines`, `saved_tgids`, enum constants.
//!
//! The input is a list; it is read as each of them.

use ftrace_live::names::{Enums, Kallsyms, PrintkFormats, SavedCmdlines, Tgids};
use ftrace_live::tracefs::LastBoot;

pub fn run(input: &[u8]) {
    let kallsyms = Kallsyms::parse(input);
    for address in [0, 1, 0xffff_ffff_8100_0010, 0xc010_0000, u64::MAX] {
        if let Some(symbol) = kallsyms.lookup(address) {
            assert!(symbol.offset <= address && symbol.name.len() <= input.len());
        }
        _ = kallsyms.is_irq_entry(address);
    }
    _ = PrintkFormats::parse(input).get(0xffff_ffff_8200_0000);
    let comms = SavedCmdlines::parse(input);
    _ = (comms.shown(1).len(), comms.get(-1), Tgids::parse(input).get(1));
    let text = String::from_utf8_lossy(input);
    if let Some(last) = LastBoot::parse(&text)
        && let Some(moved) = last.symbols_then(&text, &text)
    {
        _ = Kallsyms::parse(moved.kallsyms.as_bytes());
        _ = moved.printk_formats(&text);
    }
    let enums = Enums::parse(&text);
    _ = (enums.value("A"), enums.enumerators("e"));
}
