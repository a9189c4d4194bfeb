//! The kernel's type information: it parses or is an error, and the result can be queried.
//!
//! The input is the blob, in the form of `/sys/kernel/btf/vmlinux`.

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
