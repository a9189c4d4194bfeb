//! The running kernel's names for numbers, as far as the outputs and the events at hand need them.
//!
//! BTF takes 50 ms to read and kallsyms 100 ms; typed messages of most events need neither.

use crate::format::btf::Btf;
use crate::format::{EventFormat, LongSize};
use crate::names::{Enums, Kallsyms, Names, PrintkFormats, hz};
use crate::output::Outputs;
use crate::tracefs::Tracefs;

/// The kernel's own types: a data file, no eBPF.
const BTF: &str = "/sys/kernel/btf/vmlinux";
/// Conversions that print the name of an address, and events that print one without saying so.
const SYMBOLIC: [&str; 6] = ["%pS", "%ps", "%pB", "%pf", "%pF", "%pR"];

/// The names that texts of `formats` need.
pub(super) fn of_events(tracefs: &Tracefs, formats: &[EventFormat], outputs: &Outputs) -> Names {
    let mut names = Names::default();
    if !outputs.says_names() {
        return names;
    }
    names.enums = enums();
    if formats.iter().any(|format| hz::is_needed_by(&format.print_fmt)) {
        names.enums.set_hz(hz::of_folder(tracefs));
    }
    if outputs.text.is_some() {
        let symbolic = |format: &EventFormat| {
            format.system == "ftrace"
                || SYMBOLIC.iter().any(|conversion| format.print_fmt.contains(conversion))
                || format.field("__probe_ip").is_some()
        };
        if formats.iter().any(symbolic) {
            names.kallsyms = tracefs.read_proc("kallsyms").map(|text| Kallsyms::parse(&text)).unwrap_or_default();
        }
        names.printk_formats =
            tracefs.read_bytes("printk_formats").map(|text| PrintkFormats::parse(&text)).unwrap_or_default();
    }
    names
}

/// The running kernel's enum constants. Without BTF the number stands where the name would.
pub(crate) fn enums() -> Enums {
    let btf = std::fs::read(BTF).ok().and_then(|bytes| Btf::parse(&bytes).ok());
    btf.map(Enums::from).unwrap_or_default()
}

/// The formats of the tracer's own records (`ftrace:print`, stacks), which come without being enabled.
pub(super) fn tracer_records(tracefs: &Tracefs, long: LongSize) -> Vec<EventFormat> {
    let records = tracefs.tracer_records().unwrap_or_default();
    let format =
        |event: &crate::tracefs::EventName| EventFormat::parse(&event.system, &tracefs.format(event).ok()?, long).ok();
    records.iter().filter_map(format).collect()
}
