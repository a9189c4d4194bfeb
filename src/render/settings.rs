//! The control files of a tracefs folder that affect the text of its `trace` file.

use super::{GraphOptions, LineOptions, TraceText, flags::WithFlags};
use crate::{
    format::{Endian, EventFormat, LongSize},
    names::Constants,
};

/// What the control files of a folder say about the text of its trace. Missing files mean the kernel's defaults.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Settings {
    /// `trace_options`, the clock and the kernel's release.
    pub line: LineOptions,
    /// The kernel's release, if a file says it: (6, 1).
    pub release: Option<(u16, u16)>,
    /// Set if `current_tracer` is function_graph.
    pub graph: Option<GraphOptions>,
    /// The text of `dynamic_events`: how probes were defined.
    pub dynamic_events: String,
    /// Trace options that are on and replace the ordinary lines: `raw`, `hex`, `bin`, `latency-format`.
    pub other_forms: Vec<&'static str>,
    /// A ring was overwritten before its first record (`per_cpu/cpuN/stats`).
    pub overrun: bool,
}

/// Trace options with which the kernel prints numbers, bytes or another context instead of its ordinary lines
/// (`print_trace_line`, kernel/trace/trace.c).
const OTHER_FORMS: [&str; 4] = ["raw", "hex", "bin", "latency-format"];

impl Settings {
    /// Reads the settings from control files. `read` returns a file by its path below the instance, or an empty text
    /// if it does not exist; `cpus` are the numbers of its rings, `clock` is the name of the trace clock.
    pub fn read(clock: &str, cpus: &[u32], mut read: impl FnMut(&str) -> String) -> Settings {
        let options = read("trace_options");
        let mut settings = Settings { dynamic_events: read("dynamic_events"), ..Settings::default() };
        settings.line.set_trace_options(&options);
        settings.other_forms =
            OTHER_FORMS.into_iter().filter(|form| options.lines().any(|on| on.trim() == *form)).collect();
        settings.line.set_clock(clock);
        // Captures of one boot may share files in the folder that contains them.
        settings.release = release(&read("uname")).or_else(|| release(&read("../uname")));
        if read("current_tracer").trim() == "function_graph" {
            let mut graph = GraphOptions::default();
            graph.set_trace_options(&options);
            graph.cpu_width = cpus.iter().max().map_or(1, |last| last.to_string().len());
            settings.graph = Some(graph);
        }
        settings.overrun = cpus.iter().any(|cpu| {
            let stats = read(&format!("per_cpu/cpu{cpu}/stats"));
            stats.lines().any(|line| line.strip_prefix("overrun: ").is_some_and(|count| count.trim() != "0"))
        });
        settings
    }

    /// Whether the tracer is function_graph.
    pub fn is_graph(&self) -> bool {
        self.graph.is_some()
    }

    /// Sets the release from that of uname(2), such as `6.18.44`.
    pub fn set_release(&mut self, text: &str) {
        self.release = release(text);
    }

    /// The text of a trace with these settings, of a kernel with `formats`, longs of size `long` and byte order
    /// `endian`.
    pub fn text<'f>(
        &self,
        formats: impl IntoIterator<Item = &'f EventFormat>,
        long: LongSize,
        endian: Endian,
        constants: &dyn Constants,
    ) -> TraceText {
        let formats: Vec<_> = formats.into_iter().collect();
        let mut line = self.line;
        // If no file states the release, the formats give a hint: traced functions have arguments since 6.15.
        let has_args = |format: &&EventFormat| {
            format.system == "ftrace" && format.name == "function" && format.fields.iter().any(|f| f.name == "args")
        };
        // Synthetic events have stacks since 6.3, and since 6.6 without their count.
        let has_stack = |format: &&EventFormat| format.print_fmt.contains("__get_stacktrace(");
        let guess = match (formats.iter().any(has_args), formats.iter().any(has_stack)) {
            (true, _) => (6, 15),
            (false, true) => (6, 6),
            (false, false) => (6, 1),
        };
        line.set_release(self.release.unwrap_or(guess), endian);
        let release = line.release;
        let mut text = TraceText::new(line, long).with_overrun(self.overrun);
        if let Some(graph) = self.graph {
            text = text.with_graph(graph);
        }
        let constants = WithFlags::new(&formats, long, constants, release);
        formats.iter().for_each(|format| text.insert(format, endian, &constants, &self.dynamic_events));
        text
    }
}

/// The release in the output of `uname -a` or in `/proc/version`: the first word that begins with two numbers.
fn release(text: &str) -> Option<(u16, u16)> {
    text.split_whitespace().find_map(|word| {
        let (major, rest) = word.split_once('.')?;
        let minor = rest.split(|c: char| !c.is_ascii_digit()).next()?;
        Some((major.parse().ok()?, minor.parse().ok()?))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_release_is_found_in_the_output_of_uname() {
        assert_eq!(release("Linux (none) 6.12.107+deb13-arm64-16k #1 SMP Debian 6.12.107-1 aarch64"), Some((6, 12)));
        assert_eq!(release("Linux version 6.18.44 (gcc 12.2.0)"), Some((6, 18)));
        assert_eq!(release(""), None);
    }
}
