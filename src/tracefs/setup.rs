//! All settings of an instance, and the only order in which they can be made.

use super::{Enabled, EventFilter, EventName, Instance, TraceClock, TracefsError};
use crate::ring::CpuList;

/// What to trace and how. [`apply`](Setup::apply) prepares an instance for [`open_raw`](Instance::open_raw) and
/// [`start`](Instance::start).
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Setup {
    /// The clock; `mono` by default.
    pub clock: TraceClock,
    /// KiB of ring per CPU; `None` is the kernel's default (about 1.4 MiB).
    pub buffer_kib: Option<u64>,
    /// KiB per sub-buffer; `None` is one page.
    pub sub_buffer_kib: Option<u32>,
    /// Options of `trace_options`, switched on or off.
    pub options: Vec<(String, bool)>,
    /// A tracer (`function`, …).
    pub tracer: Option<String>,
    /// The functions to trace, as globs; if empty, all.
    pub functions: Vec<String>,
    /// The CPUs to record on; `None`: all.
    pub cpus: Option<CpuList>,
    /// The processes to record, with their children; if empty, all.
    pub processes: Vec<u32>,
    /// Tasks to exclude besides ourselves and the keeper, by thread id.
    pub excluded: Vec<u32>,
    /// Filters on the events.
    pub filters: Vec<EventFilter>,
    /// The events to enable.
    pub events: Vec<EventName>,
}

impl Default for Setup {
    fn default() -> Setup {
        Setup {
            clock: TraceClock::Mono,
            buffer_kib: None,
            sub_buffer_kib: None,
            options: Vec::new(),
            tracer: None,
            functions: Vec::new(),
            cpus: None,
            processes: Vec::new(),
            excluded: Vec::new(),
            filters: Vec::new(),
            events: Vec::new(),
        }
    }
}

/// The possible sizes of a sub-buffer in pages (`buffer_subbuf_size_write`, kernel/trace/trace.c): powers of two.
const SUB_BUFFER_PAGES: [u32; 8] = [1, 2, 4, 8, 16, 32, 64, 128];

impl Setup {
    /// Checks whether the requested sizes are supported by kernels. Nothing is changed.
    ///
    /// # Errors
    /// [`TracefsError::BufferSize`], or [`TracefsError::SubBufferSize`] with the supported ones.
    pub fn check(&self) -> Result<(), TracefsError> {
        if let Some(kib @ 0) = self.buffer_kib {
            return Err(TracefsError::BufferSize(kib));
        }
        let page_kib = u32::try_from(rustix::param::page_size() / 1024).unwrap_or(4);
        let sizes = SUB_BUFFER_PAGES.map(|pages| pages * page_kib);
        match self.sub_buffer_kib.filter(|kib| !sizes.contains(kib)) {
            Some(kib) => Err(TracefsError::SubBufferSize { kib, sizes: sizes.to_vec() }),
            None => Ok(()),
        }
    }

    /// Makes all settings in the order that the kernel needs: first those that empty or rebuild the ring, then
    /// restrictions, and the events last. Threads that we start afterwards are excluded as well if
    /// [`processes`](Setup::processes) is not empty, and must be [excluded](Instance::exclude_ourselves) if it is.
    ///
    /// # Errors
    /// The first setting that is refused. Refusals of single events are in the result.
    pub fn apply(&self, instance: &Instance) -> Result<Enabled, TracefsError> {
        self.check()?;
        instance.set_clock(&self.clock)?;
        instance.set_buffer_percent(0)?;
        if let Some(kib) = self.sub_buffer_kib {
            instance.set_sub_buffer_kib(kib)?;
        }
        if let Some(kib) = self.buffer_kib {
            instance.set_buffer_kib(kib)?;
        }
        for (option, on) in &self.options {
            instance.set_option(option, *on)?;
        }
        if let Some(cpus) = &self.cpus {
            instance.set_cpus(cpus)?;
        }
        if !self.processes.is_empty() {
            instance.only_processes(&self.processes)?;
            instance.follow_forks()?;
        }
        instance.exclude_ourselves()?;
        instance.exclude_tasks(self.excluded.iter().copied())?;
        if let Some(tracer) = &self.tracer {
            instance.set_tracer(tracer, &self.functions)?;
        }
        // Before the events, so that no event escapes its filter.
        instance.set_filters(&self.filters, &self.events)?;
        instance.enable(&self.events)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unsupported_size_is_refused_with_the_supported_ones() {
        let page = u32::try_from(rustix::param::page_size() / 1024).unwrap();
        let sub_buffers =
            |kib| Setup { sub_buffer_kib: Some(kib), ..Setup::default() }.check().map_err(|e| e.to_string());
        for kib in [page, 2 * page, 128 * page] {
            assert_eq!(sub_buffers(kib), Ok(()), "{kib}");
        }
        for kib in [0, 1, page + 1, 3 * page, 256 * page, u32::MAX] {
            let said = sub_buffers(kib).unwrap_err();
            assert!(said.contains(&format!("{page}, {}", 2 * page)), "{said}");
            assert!(said.ends_with(&format!(", {} KiB", 128 * page)), "{said}");
        }
        let error = Setup { buffer_kib: Some(0), ..Setup::default() }.check().unwrap_err();
        assert!(error.is_usage() && error.to_string().contains("1 KiB or more"), "{error}");
    }
}
