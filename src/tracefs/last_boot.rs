//! `last_boot_info` of an instance whose ring is kept over reboots (`trace_instance=NAME@…` on the kernel's command
//! line): the address of the kernel that wrote the ring, from which its addresses get names.
//!
//! The format of the file has changed (`show_last_boot_header` in kernel/trace/trace.c):
//!
//! | Linux | text |
//! |---|---|
//! | 6.12 | `text delta:` and `data delta:`, this boot's addresses minus the last one's |
//! | 6.14.6 | `39000000 [kernel]`: the offset by which KASLR had moved the kernel |
//! | 6.15 | `ffffffff9a000000 [kernel]`: the address of `_text`; then a line for each module; later kernels put `trace_clock:` first |
//!
//! `# Current` in place of all this means that this boot has recorded in the ring meanwhile.

use std::collections::BTreeMap;
use std::fmt::Write;

/// The contents of `last_boot_info`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum LastBoot {
    /// The ring has events of this boot.
    Current,
    /// The ring has events of the last boot.
    Last {
        /// The address of the kernel.
        kernel: KernelThen,
        /// The address of each module's code.
        modules: BTreeMap<String, u64>,
        /// The trace clock, if stated.
        clock: Option<String>,
    },
}

/// The address of the kernel that wrote the ring.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KernelThen {
    /// This boot's addresses are greater by this.
    Delta(i64),
    /// KASLR had moved it by this.
    Offset(u64),
    /// The address of `_text`.
    Text(u64),
}

/// `_text` of an x86-64 kernel that was not moved (`__START_KERNEL` in arch/x86/include/asm/page_types.h).
const X86_TEXT: u64 = 0xffff_ffff_8100_0000;
/// No kernel is moved by more, and none is below.
const MOST_OFFSET: u64 = 1 << 40;

impl LastBoot {
    /// Parses the file; `None` if its format is not known.
    pub fn parse(text: &str) -> Option<LastBoot> {
        let (mut kernel, mut modules, mut clock) = (None, BTreeMap::new(), None);
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
            if line == "# Current" {
                return Some(LastBoot::Current);
            }
            if let Some((what, value)) = line.split_once(':') {
                match what {
                    "text delta" => kernel = Some(KernelThen::Delta(value.trim().parse().ok()?)),
                    "trace_clock" => clock = Some(value.trim().to_owned()),
                    // `data delta`, and what later kernels may add.
                    _ => {}
                }
                continue;
            }
            let (address, name) = line.split_once(char::is_whitespace)?;
            let address = u64::from_str_radix(address, 16).ok()?;
            match name.trim() {
                "[kernel]" if address < MOST_OFFSET => kernel = Some(KernelThen::Offset(address)),
                "[kernel]" => kernel = Some(KernelThen::Text(address)),
                module => drop(modules.insert(module.to_owned(), address)),
            }
        }
        Some(LastBoot::Last { kernel: kernel?, modules, clock })
    }

    /// The symbols of the kernel that wrote the ring: those of this boot, which runs the same kernel, moved to their
    /// addresses then. `kallsyms` and `modules` are the texts of `/proc/kallsyms` and `/proc/modules`; a module that
    /// is not loaded now has no names. `None` if the kernel's address then is not known.
    pub fn symbols_then(&self, kallsyms: &str, modules: &str) -> Option<Moved> {
        let LastBoot::Last { kernel, modules: then, .. } = self else { return None };
        let symbols = || kallsyms.lines().filter_map(Symbol::parse);
        let address = |name: &str| symbols().find(|symbol| symbol.name == name).map(|symbol| symbol.address);
        let (text, end) = (address("_text")?, address("_end").unwrap_or(u64::MAX));
        let delta = match *kernel {
            KernelThen::Delta(delta) => delta,
            KernelThen::Text(address) => text.wrapping_sub(address).cast_signed(),
            KernelThen::Offset(offset) if cfg!(target_arch = "x86_64") => {
                text.wrapping_sub(X86_TEXT).wrapping_sub(offset).cast_signed()
            }
            KernelThen::Offset(_) => return None,
        };
        // `name size users names state 0xaddress`
        let base = |line: &str| {
            let mut words = line.split_whitespace();
            let name = words.next()?;
            let address = u64::from_str_radix(words.nth(4)?.strip_prefix("0x")?, 16).ok()?;
            // The offset by which its code was moved.
            Some((name.to_owned(), then.get(name)?.wrapping_sub(address)))
        };
        let moved: BTreeMap<String, u64> = modules.lines().filter_map(base).collect();
        let mut out = String::with_capacity(kallsyms.len());
        for symbol in symbols() {
            let address = match symbol.module {
                // Not an address in memory, but an offset in per-CPU data.
                None if matches!(symbol.kind, "A" | "a") => symbol.address,
                None => symbol.address.wrapping_sub(delta.cast_unsigned()),
                // Other parts of a module may have moved differently, and the kernel does not know more either.
                Some(module) if matches!(symbol.kind, "t" | "T" | "w" | "W") => match moved.get(module) {
                    Some(by) => symbol.address.wrapping_add(*by),
                    None => continue,
                },
                Some(_) => continue,
            };
            let Symbol { kind, name, .. } = symbol;
            let _ = match symbol.module {
                None => writeln!(out, "{address:016x} {kind} {name}"),
                Some(module) => writeln!(out, "{address:016x} {kind} {name}\t[{module}]"),
            };
        }
        Some(Moved { kallsyms: out, delta, kernel: text..end })
    }
}

/// Symbols moved to their addresses in the last boot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moved {
    /// In the format of `kallsyms`.
    pub kallsyms: String,
    /// This boot's addresses minus those.
    pub delta: i64,
    /// The current address range of the kernel.
    kernel: std::ops::Range<u64>,
}

impl Moved {
    /// The text of `printk_formats`, moved as well: the kernel's own strings.
    pub fn printk_formats(&self, text: &str) -> String {
        let mut out = String::with_capacity(text.len());
        for line in text.lines() {
            let Some((address, rest)) = line.strip_prefix("0x").and_then(|line| line.split_once(' ')) else { continue };
            let Ok(address) = u64::from_str_radix(address, 16) else { continue };
            if self.kernel.contains(&address) {
                let _ = writeln!(out, "{:#x} {rest}", address.wrapping_sub(self.delta.cast_unsigned()));
            }
        }
        out
    }
}

struct Symbol<'t> {
    address: u64,
    kind: &'t str,
    name: &'t str,
    module: Option<&'t str>,
}

impl<'t> Symbol<'t> {
    /// `address type name`, followed by `[module]` for those of modules.
    fn parse(line: &'t str) -> Option<Symbol<'t>> {
        let mut words = line.split_whitespace();
        let (address, kind, name) = (words.next()?, words.next()?, words.next()?);
        let module = words.next().and_then(|word| word.strip_prefix('[')?.strip_suffix(']'));
        Some(Symbol { address: u64::from_str_radix(address, 16).ok()?, kind, name, module })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn last(kernel: KernelThen) -> LastBoot {
        LastBoot::Last { kernel, modules: BTreeMap::new(), clock: None }
    }

    // The texts are from the commits that created the file; no kernel here has such an instance.
    #[test]
    fn each_form_of_the_file() {
        let parse = LastBoot::parse;
        assert_eq!(
            parse("text delta:\t-268435456\ndata delta:\t-268435456\n"),
            Some(last(KernelThen::Delta(-268_435_456)))
        );
        assert_eq!(parse("39000000\t[kernel]\n"), Some(last(KernelThen::Offset(0x3900_0000))));
        assert_eq!(parse("# Current\n"), Some(LastBoot::Current));
        let text = "trace_clock: boot\nffffffff9a000000\t[kernel]\nffffffffc00ca000\tusb_serial_simple\nffffffffc00ae000\t\tusbserial\n";
        let modules = [("usb_serial_simple", 0xffff_ffff_c00c_a000), ("usbserial", 0xffff_ffff_c00a_e000)];
        let modules = modules.map(|(name, address)| (name.to_owned(), address)).into();
        let (kernel, clock) = (KernelThen::Text(0xffff_ffff_9a00_0000), Some("boot".to_owned()));
        assert_eq!(parse(text), Some(LastBoot::Last { kernel, modules, clock }));
        assert_eq!((parse(""), parse("nonsense\n"), parse("xyz\t[kernel]")), (None, None, None));
    }

    #[test]
    fn symbols_are_moved_to_their_former_addresses() {
        let now = "0000000000001000 A cpu_hot\nffffffff81000000 T _text\nffffffff81000040 t run\nffffffff82000000 B _end\n\
                   ffffffffc0001010 t mod_go\t[usbserial]\nffffffffc0009000 d mod_data\t[usbserial]\nffffffffc0100000 t new\t[other]\n";
        let modules =
            "usbserial 45056 1 usb_serial_simple, Live 0xffffffffc0001000\nother 4096 0 - Live 0xffffffffc0100000\n";
        let text = "ffffffff9a000000\t[kernel]\nffffffffc00ae000\tusbserial\n";
        let moved = LastBoot::parse(text).unwrap().symbols_then(now, modules).unwrap();
        let then = "0000000000001000 A cpu_hot\nffffffff9a000000 T _text\nffffffff9a000040 t run\nffffffff9b000000 B _end\n\
                    ffffffffc00ae010 t mod_go\t[usbserial]\n";
        assert_eq!((moved.kallsyms.as_str(), moved.delta), (then, -0x1900_0000));
        let formats = "0xffffffff81800000 : \"text\\n\"\n0xffffffffc0002000 : \"of a module\"\n";
        assert_eq!(moved.printk_formats(formats), "0xffffffff9a800000 : \"text\\n\"\n");
        // This boot's addresses are greater by 0x1000.
        let moved = last(KernelThen::Delta(0x1000)).symbols_then(now, modules).unwrap();
        assert!(moved.kallsyms.contains("ffffffff80fff040 t run\n"), "{}", moved.kallsyms);
        if cfg!(target_arch = "x86_64") {
            let moved = last(KernelThen::Offset(0x3900_0000)).symbols_then(now, modules).unwrap();
            assert!(moved.kallsyms.contains("ffffffffba000000 T _text\n"), "{}", moved.kallsyms);
        }
        assert_eq!(LastBoot::Current.symbols_then(now, modules), None);
    }
}
