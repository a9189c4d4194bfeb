//! The kernel's type information: parses or is an error, and what is found can be asked for.
//!
//! The input is the blob, as `/sys/kernel/btf/vmlinux` has it.

use ftrace_live::format::btf::Btf;
use ftrace_live::names::Enums;

pub fn run(input: &[u8]) {
    let Ok(btf) = Btf::parse(input) else { return };
    assert!(btf.constants_len() <= input.len() && btf.enums_len() <= input.len());
    for name in ["", "a", "HRTIMER_MODE_REL", "zone_type"] {
        _ = btf.constant(name);
        if let Some(enumerators) = btf.enumerators(name) {
            for (name, value) in enumerators {
                _ = (name.len(), btf.constant(name), value);
            }
        }
    }
    let enums = Enums::from(btf);
    _ = enums.value("a");
}
