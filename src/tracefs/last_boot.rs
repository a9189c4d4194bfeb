//! `last_boot_info` of an instance whose ring is kept over reboots (`trace_instance=NAME@…` on the kernel's command line): where
//! the kernel that wrote the ring lay in memory, so that its addresses get names.
//!
//! What the file says has changed (`show_last_boot_header` in kernel/trace/trace.c):
//!
//! | Linux | text |
//! |---|---|
//! | 6.12 | `text delta:` and `data delta:`, this boot's addresses less the last one's |
//! | 6.14.6 | `39000000 [kernel]`: by how much KASLR had moved the kernel |
//! | 6.15 | `ffffffff9a000000 [kernel]`: the address of `_text`; then a line for each module; later kernels put `trace_clock:` first |
//!
//! `# Current` instead of all that says that this boot has recorded in the ring meanwhile.

use std::collections::BTreeMap;
use std::fmt::Write;

/// What `last_boot_info` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LastBoot {
    /// What the ring has is of this boot.
    Current,
    /// It is of the last boot.
    Last {
        /// Where the kernel was.
        kernel: KernelThen,
        /// Where the code of each module was.
        modules: BTreeMap<String, u64>,
        /// The trace clock, where it says so.
        clock: Option<String>,
    },
}

/// Where the kernel was when the ring was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KernelThen {
    /// This boot's addresses are greater by so much.
    Delta(i64),
    /// KASLR had moved it by so much.
    Offset(u64),
    /// `_text` was there.
    Text(u64),
}

/// `_text` of an x86-64 kernel that is not moved (`__START_KERNEL` in arch/x86/include/asm/page_types.h).
const X86_TEXT: u64 = 0xffff_ffff_8100_0000;
/// No kernel is moved by more, and none lies below.
const MOST_OFFSET: u64 = 1 << 40;

impl LastBoot {
    /// Reads the text of the file; `None` where it is of a form that is not known.
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

    /// The symbols of the kernel that wrote the ring: those of this boot, which is the same kernel, moved to where they were.
    /// `kallsyms` and `modules` are the texts of `/proc/kallsyms` and `/proc/modules`; the code of a module that is not loaded now has no
    /// names. `None`: where the kernel was cannot be known.
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
            // By how much its code was elsewhere.
            Some((name.to_owned(), then.get(name)?.wrapping_sub(address)))
        };
        let moved: BTreeMap<String, u64> = modules.lines().filter_map(base).collect();
        let mut out = String::with_capacity(kallsyms.len());
        for symbol in symbols() {
            let address = match symbol.module {
                // Of no place in memory: offsets into what each CPU has of its own.
                None if matches!(symbol.kind, "A" | "a") => symbol.address,
                None => symbol.address.wrapping_sub(delta.cast_unsigned()),
                // The rest of a module may have moved otherwise: the kernel knows no more of it either.
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

/// Symbols that were moved to where they were.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moved {
    /// As the text of `kallsyms`.
    pub kallsyms: String,
    /// How much greater this boot's addresses are.
    pub delta: i64,
    /// Where the kernel is now.
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
    /// `address type name`, and `[module]` behind those of modules.
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

    // The texts are those that the commits of the kernel which made the file show; no kernel here has such an instance.
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
    fn symbols_go_where_they_were() {
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
