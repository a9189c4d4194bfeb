//! The trace options of the function-graph tracer.

/// The tracer's own options in `trace_options`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct GraphOptions {
    /// `funcgraph-cpu`: the CPU's column.
    pub cpu: bool,
    /// `funcgraph-overhead`: `+`, `!`, `#` … before long durations.
    pub overhead: bool,
    /// `funcgraph-proc`: the task's column.
    pub proc: bool,
    /// `funcgraph-duration`: the duration's column.
    pub duration: bool,
    /// `funcgraph-abstime`: the time's column.
    pub abstime: bool,
    /// `funcgraph-tail`: the function's name after every closing brace.
    pub tail: bool,
    /// `funcgraph-overrun`: how many calls exceeded the depth.
    pub overrun: bool,
    /// `funcgraph-retval`: the return value.
    pub retval: bool,
    /// `funcgraph-retval-hex`: in hexadecimal, even for an error number.
    pub retval_hex: bool,
    /// `funcgraph-retaddr`: the return address.
    pub retaddr: bool,
    /// The width of a CPU's number.
    pub cpu_width: usize,
}

impl Default for GraphOptions {
    /// The kernel's defaults.
    fn default() -> GraphOptions {
        GraphOptions {
            cpu: true,
            overhead: true,
            proc: false,
            duration: true,
            abstime: false,
            tail: false,
            overrun: false,
            retval: false,
            retval_hex: false,
            retaddr: false,
            cpu_width: 1,
        }
    }
}

impl GraphOptions {
    /// Applies the text of a `trace_options` file.
    pub fn set_trace_options(&mut self, text: &str) {
        for word in text.split_whitespace() {
            let (name, on) = word.strip_prefix("no").map_or((word, true), |name| (name, false));
            let option = match name {
                "funcgraph-cpu" => &mut self.cpu,
                "funcgraph-overhead" => &mut self.overhead,
                "funcgraph-proc" => &mut self.proc,
                "funcgraph-duration" => &mut self.duration,
                "funcgraph-abstime" => &mut self.abstime,
                "funcgraph-tail" => &mut self.tail,
                "funcgraph-overrun" => &mut self.overrun,
                "funcgraph-retval" => &mut self.retval,
                "funcgraph-retval-hex" => &mut self.retval_hex,
                "funcgraph-retaddr" => &mut self.retaddr,
                _ => continue,
            };
            *option = on;
        }
    }
}
