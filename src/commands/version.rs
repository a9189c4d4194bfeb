//! `--version`: the program, its build, and what this kernel can trace. Nothing is mounted or changed.

use std::io::{self, Write};
use std::path::Path;

use crate::cli::about;
use crate::escape::Escaped;
use crate::terminal;
use crate::tracefs::{Kind, TraceClocks, Tracefs};

/// Prints it.
pub fn print() -> io::Result<()> {
    let mut out = terminal::stdout();
    writeln!(out, "ftrace-live {}\n{}\n\n{}", about::version(), about::features(), kernel())?;
    out.flush()
}

/// What this kernel can trace.
fn kernel() -> String {
    let uname = rustix::system::uname();
    let name = format!("Linux {} {}", uname.release().to_string_lossy(), uname.machine().to_string_lossy());
    let tracefs = match Tracefs::mounted() {
        Some(Ok(tracefs)) => tracefs,
        Some(Err(error)) => return format!("{name}: {error}"),
        None => return format!("{name}: tracefs is not mounted"),
    };
    let mut lines = vec![format!("{name}, tracefs at {}", tracefs.root().display())];
    if let Ok(events) = tracefs.events() {
        let mut groups: Vec<_> = events.iter().map(|event| event.system.as_str()).collect();
        groups.sort_unstable();
        groups.dedup();
        lines.push(format!("{} events in {} groups", events.len(), groups.len()));
    }
    if let Ok(tracers) = tracefs.tracers() {
        lines.push(format!("tracers: {}", Escaped(tracers.join(" "))));
    }
    if let Some(clocks) = tracefs.read("trace_clock").ok().and_then(|text| TraceClocks::parse(&text)) {
        let names: Vec<_> = clocks.available.iter().map(|clock| clock.name()).collect();
        lines.push(format!("clocks: {}", Escaped(names.join(" "))));
    }
    let has = |there: bool| if there { "yes" } else { "no" };
    let file = |file: &str| tracefs.root().join(file).exists();
    lines.push(format!(
        "instances: {}, sub-buffers of other sizes: {}, BTF: {}",
        has(tracefs.kind() == Kind::Live && file("instances")),
        has(file("buffer_subbuf_size_kb")),
        has(Path::new("/sys/kernel/btf/vmlinux").exists())
    ));
    lines.join("\n")
}
