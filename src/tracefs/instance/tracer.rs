//! An instance's tracer (`current_tracer`) and the options of `options/`.

use std::io;

use super::Instance;
use crate::keeper::Setting;
use crate::tracefs::TracefsError;

impl Instance {
    /// Switches an option of `options/` on or off.
    ///
    /// # Errors
    /// The kernel has no such option, or refuses it.
    pub fn set_option(&self, option: &str, on: bool) -> Result<(), TracefsError> {
        self.set(&format!("options/{option}"), Setting::Option(option.to_owned(), on))
    }

    /// Sets the tracer (`function`, `blk`, `nop`, …); a `function` tracer is limited to the functions that match
    /// `functions`. Call it before [`open_raw`](Instance::open_raw): the kernel does not change the tracer while a
    /// ring is open.
    ///
    /// # Errors
    /// [`TracefsError::TracerRefused`] with the kernel's message.
    pub fn set_tracer(&self, tracer: &str, functions: &[String]) -> Result<(), TracefsError> {
        let refused = |what: &str, e: io::Error| {
            let log = self.last_error();
            let reason = if log.is_empty() { format!("{what}: {e}") } else { format!("{what}: {e}\n{log}") };
            let available = self.read("available_tracers").unwrap_or_default();
            let why = match e.raw_os_error() {
                // `trace_ok_for_array`: a tracer states whether it supports several rings (`allow_instances`).
                Some(libc::EINVAL) if !available.split_whitespace().any(|word| word == tracer) => {
                    "; it works for the whole machine only, but we trace in an instance"
                }
                Some(libc::EPERM) => "; the kernel has it, but may not patch its own code here (a hardened machine)",
                _ => "",
            };
            let reason = reason + why;
            TracefsError::TracerRefused { tracer: tracer.to_string(), reason, available: available.trim().to_string() }
        };
        for function in functions {
            self.change(Setting::Function(function.clone()))
                .map_err(|e| refused(&format!("set_ftrace_filter {function:?}"), e))?;
        }
        self.change(Setting::Tracer(tracer.to_owned())).map_err(|e| refused("current_tracer", e))
    }
}
