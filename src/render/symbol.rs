//! Addresses as the kernel's text shows them.

use super::line::{LineOptions, write_hex};
use crate::{
    format::LongSize,
    names::{Symbol, Symbols},
};

/// Appends `name+0x10/0x40 [module]`, or `0x` and the address if there is no symbol: `%pS`, `sprint_symbol`
/// (kernel/kallsyms.c).
pub fn write_with_offset(out: &mut Vec<u8>, address: u64, symbols: &(impl Symbols + ?Sized)) {
    write_looked_up(out, address, 0, symbols);
}

/// Like [`write_with_offset`] for a return address, which may be the first byte after its function: `%pB`,
/// `sprint_backtrace`.
pub fn write_backtrace(out: &mut Vec<u8>, address: u64, symbols: &(impl Symbols + ?Sized)) {
    write_looked_up(out, address, 1, symbols);
}

/// Looks up the address minus `back`.
fn write_looked_up(out: &mut Vec<u8>, address: u64, back: u64, symbols: &(impl Symbols + ?Sized)) {
    match symbols.symbol(address.wrapping_sub(back)) {
        Some(symbol) => {
            out.extend_from_slice(symbol.name.as_bytes());
            out.extend_from_slice(b"+0x");
            write_hex(out, symbol.offset.wrapping_add(back), 1);
            out.extend_from_slice(b"/0x");
            write_hex(out, symbol.size, 1);
            write_module(out, &symbol);
        }
        None => write_number(out, address, 1),
    }
}

/// Appends `name [module]`, or `0x` and the address: `%ps`, `sprint_symbol_no_offset`.
pub fn write_name(out: &mut Vec<u8>, address: u64, symbols: &(impl Symbols + ?Sized)) {
    match symbols.symbol(address) {
        Some(symbol) => {
            out.extend_from_slice(symbol.name.as_bytes());
            write_module(out, &symbol);
        }
        None => write_number(out, address, 1),
    }
}

/// Appends a traced function: `seq_print_ip_sym` (kernel/trace/trace_output.c). Unlike `%ps` it omits the module, and
/// it follows the options `sym-offset` and `sym-addr`.
pub fn write_ip(out: &mut Vec<u8>, ip: u64, symbols: &(impl Symbols + ?Sized), options: &LineOptions, long: LongSize) {
    if ip == 0 {
        out.push(b'0');
        return;
    }
    match symbols.symbol(ip) {
        // `kretprobed`: a return probe replaced the caller's address by its trampoline.
        Some(Symbol { name: "arch_rethook_trampoline" | "__kretprobe_trampoline", offset: 0, .. }) => {
            out.extend_from_slice(b"[unknown/kretprobe'd]");
        }
        // Before 5.16 it compared the name, to which `sprint_symbol` may append an offset.
        Some(Symbol { name: "kretprobe_trampoline", .. }) if !options.sym_offset => {
            out.extend_from_slice(b"[unknown/kretprobe'd]");
        }
        Some(_) if options.sym_offset => write_with_offset(out, ip, symbols),
        Some(symbol) => out.extend_from_slice(symbol.name.as_bytes()),
        None if options.sym_offset => write_number(out, ip, 1),
        None => write_number(out, ip, 8),
    }
    if options.sym_addr {
        write_address(out, ip, long);
    }
}

/// Appends ` <0000000000461000>`: IP_FMT.
pub(super) fn write_address(out: &mut Vec<u8>, ip: u64, long: LongSize) {
    out.extend_from_slice(b" <");
    write_hex(out, ip, 2 * long.bytes() as usize);
    out.push(b'>');
}

fn write_module(out: &mut Vec<u8>, symbol: &Symbol<'_>) {
    if let Some(module) = symbol.module {
        out.extend_from_slice(b" [");
        out.extend_from_slice(module.as_bytes());
        out.push(b']');
    }
}

fn write_number(out: &mut Vec<u8>, address: u64, width: usize) {
    out.extend_from_slice(b"0x");
    write_hex(out, address, width);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::{Kallsyms, Names};

    fn names() -> Names {
        let text = b"c0300000 T _stext\nc0300100 T f\nc0300200 T arch_rethook_trampoline\nc0300280 T kretprobe_trampoline\nc0300300 D _end\n\
                     bf000000 t init\t[ext4]\n";
        Names { kallsyms: Kallsyms::parse(text).into(), ..Names::default() }
    }

    fn text(write: impl Fn(&mut Vec<u8>, &Names)) -> String {
        let mut out = vec![];
        write(&mut out, &names());
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn pointers_print_as_name_offset_and_size_or_as_the_number() {
        assert_eq!(text(|out, n| write_with_offset(out, 0xc030_0110, n)), "f+0x10/0x100");
        assert_eq!(text(|out, n| write_with_offset(out, 0xbf00_0004, n)), "init+0x4/0x1000 [ext4]");
        assert_eq!(text(|out, n| write_with_offset(out, 0x1234, n)), "0x1234");
        assert_eq!(text(|out, n| write_name(out, 0xbf00_0004, n)), "init [ext4]");
    }

    #[test]
    fn traced_functions_print_without_module_and_unknown_ones_with_eight_digits() {
        let options = LineOptions::default();
        let ip = |ip| text(|out, n| write_ip(out, ip, n, &options, LongSize::Four));
        assert_eq!(ip(0xbf00_0004), "init");
        assert_eq!(ip(0x1234), "0x00001234");
        assert_eq!(ip(0), "0");
        assert_eq!(ip(0xc030_0200), "[unknown/kretprobe'd]");
        assert_eq!(ip(0xc030_0204), "arch_rethook_trampoline");
        assert_eq!(ip(0xc030_0284), "[unknown/kretprobe'd]");
        let options = LineOptions { sym_offset: true, sym_addr: true, ..options };
        let ip = |ip| text(|out, n| write_ip(out, ip, n, &options, LongSize::Four));
        assert_eq!(ip(0xc030_0104), "f+0x4/0x100 <c0300104>");
        assert_eq!(ip(0x1234), "0x1234 <00001234>");
    }
}
