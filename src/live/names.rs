//! The running kernel's names for numbers, as far as the outputs and the given events need them.
//!
//! Reading BTF takes 50 ms and kallsyms 100 ms; typed messages of most events need neither.

use crate::format::btf::Btf;
use crate::format::{EventFormat, LongSize};
use crate::names::{Enums, Kallsyms, Names, PrintkFormats, SavedCmdlines, hz};
use crate::output::Outputs;
use crate::pipeline::AskComm;
use crate::tracefs::{EventName, PidView, Tracefs};

/// The kernel's own types: a data file, no eBPF.
const BTF: &str = "/sys/kernel/btf/vmlinux";
/// Conversions that print the symbol of an address, and events whose text prints one without such a conversion.
const SYMBOLIC: [&str; 6] = ["%pS", "%ps", "%pB", "%pf", "%pF", "%pR"];

/// Events whose format, or text, is a constant string of the kernel; the ring has only its address.
const CONSTANT: [&str; 2] = ["bprint", "bputs"];

/// The names that the texts of `formats` need; reports the ones that cannot be read.
pub(super) fn of_events(
    tracefs: &Tracefs,
    formats: &[EventFormat],
    outputs: &Outputs,
    say: &mut dyn FnMut(String),
) -> Names {
    let mut names = Names::default();
    if !outputs.says_names() {
        return names;
    }
    names.enums = enums();
    if formats.iter().any(|format| hz::is_needed_by(&format.print_fmt)) {
        names.enums.set_hz(hz::told_among(|file| tracefs.read_bytes(file).ok()));
    }
    if outputs.has_text() {
        let symbolic = |format: &EventFormat| {
            format.system == "ftrace"
                || SYMBOLIC.iter().any(|conversion| format.print_fmt.contains(conversion))
                || format.field("__probe_ip").is_some()
        };
        if formats.iter().any(symbolic) {
            match tracefs.read_proc("kallsyms") {
                Ok(text) => names.kallsyms = Kallsyms::parse(&text).into(),
                Err(error) => {
                    say(format!("kernel addresses are shown as numbers: cannot read /proc/kallsyms: {error}"))
                }
            }
        }
        names.printk_formats =
            tracefs.read_bytes("printk_formats").map(|text| PrintkFormats::parse(&text)).unwrap_or_default();
        // The addresses of their strings are named only in this file of the top-level tracefs directory.
        if tracefs.is_lent() && formats.iter().any(|format| CONSTANT.contains(&format.name.as_str())) {
            say("constant strings of bprint and bputs are shown as addresses: only root may read printk_formats"
                .to_owned());
        }
    }
    names
}

/// The running kernel's enum constants. Without BTF, numbers are shown instead of their names.
pub(crate) fn enums() -> Enums {
    let btf = std::fs::read(BTF).ok().and_then(|bytes| Btf::parse(&bytes).ok());
    btf.map(Enums::from).unwrap_or_default()
}

/// The formats of the tracer's own records (`ftrace:print`, stacks), which appear without being enabled.
pub(super) fn tracer_records(tracefs: &Tracefs, long: LongSize) -> Vec<EventFormat> {
    let records = tracefs.tracer_records().unwrap_or_default();
    let format = |event: &EventName| EventFormat::parse(&event.system, &tracefs.format(event).ok()?, long).ok();
    records.iter().filter_map(format).collect()
}

/// Names tasks that existed before tracing began: from /proc, or, if that has other pids than the kernel, from
/// `saved_cmdlines`.
pub(super) fn of_tasks(tracefs: &Tracefs, pids: PidView) -> AskComm {
    if pids != PidView::Hidden {
        return Box::new(|tid| {
            let mut comm = std::fs::read(format!("/proc/{tid}/comm")).ok()?;
            comm.pop_if(|last| *last == b'\n');
            Some(comm)
        });
    }
    let tracefs = tracefs.clone();
    Box::new(move |tid| {
        let noted = SavedCmdlines::parse(&tracefs.read_bytes("saved_cmdlines").ok()?);
        noted.get(tid).filter(|name| *name != b"<...>").map(<[u8]>::to_vec)
    })
}

/// The events of the group `task` that tell of task names.
pub(super) const TASK_EVENTS: [&str; 2] = ["task_rename", "task_newtask"];

/// The events that carry task names, as far as the kernel has them and they are not asked for anyway.
///
/// The kernel counts overwritten events without saying which they were. So if a ring overflows, the number of lost
/// events includes these hidden ones, while the number of events read never does.
pub(super) fn hidden_events(tracefs: &Tracefs, asked: &[EventName]) -> Vec<EventName> {
    let events = TASK_EVENTS.map(|name| EventName::new("task", name));
    events.into_iter().filter(|event| !asked.contains(event) && tracefs.format(event).is_ok()).collect()
}
