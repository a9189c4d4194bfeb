//! The rings of an instance: clock, sizes and CPUs, recording on and off, and the files to read them from.

use std::io;

use super::Instance;
use crate::keeper::Setting;
use crate::ring::{CpuList, CpuListError};
use crate::tracefs::rlimit::make_room_for_files;
use crate::tracefs::{CpuStats, RawBuffer, TraceClock, TraceClocks, TracefsError};

impl Instance {
    /// The layout of this instance's sub-buffers, which differs from the top level's after
    /// [`set_sub_buffer_kib`](Instance::set_sub_buffer_kib).
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn header_page(&self) -> Result<String, TracefsError> {
        self.read("events/header_page")
    }

    /// Sets the trace clock. This empties the ring, so it comes before the events.
    ///
    /// # Errors
    /// [`TracefsError::NoClock`] if this kernel has no such clock.
    pub fn set_clock(&self, clock: &TraceClock) -> Result<(), TracefsError> {
        let path = self.path.join("trace_clock");
        self.change(Setting::Clock(clock.name().to_owned())).map_err(|e| {
            // EPERM: not a possible name of a clock.
            if !matches!(e.raw_os_error(), Some(libc::EINVAL | libc::EPERM)) {
                return TracefsError::io("write", &path, e);
            }
            let available = self.clocks().map(|clocks| clocks.available).unwrap_or_default();
            let available: Vec<&str> = available.iter().map(TraceClock::name).collect();
            TracefsError::NoClock { clock: clock.name().to_string(), available: available.join(", ") }
        })
    }

    fn clocks(&self) -> Option<TraceClocks> {
        TraceClocks::parse(&self.read("trace_clock").ok()?)
    }

    /// Sets how full a ring must be before a waiting reader is woken, in percent. 0 wakes it for each event; with the
    /// default of 50 an edge-triggered poll, as in mio, is woken once and never again (`ring_buffer_poll_wait`).
    /// Kernels before 5.0 have no such file and behave as with 0.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn set_buffer_percent(&self, percent: u8) -> Result<(), TracefsError> {
        match self.set("buffer_percent", Setting::BufferPercent(percent)) {
            Err(TracefsError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => Ok(()),
            done => done,
        }
    }

    /// Sets the size of each CPU's ring, KiB. Must be set before the events: resizing needs the ring at rest.
    ///
    /// # Errors
    /// [`TracefsError::BufferTooLarge`] if there is not enough memory.
    pub fn set_buffer_kib(&self, kib: u64) -> Result<(), TracefsError> {
        let path = self.path.join("buffer_size_kb");
        self.change(Setting::BufferKib(kib)).map_err(|e| match e.raw_os_error() {
            Some(libc::ENOMEM | libc::EINVAL | libc::EOVERFLOW | libc::ERANGE) => {
                TracefsError::BufferTooLarge { kib, cpus: self.cpus.len() }
            }
            _ => TracefsError::io("write", &path, e),
        })
    }

    /// Sets the size of a sub-buffer, KiB; the kernel rounds it up to a power of two of pages. Since Linux 6.8.
    ///
    /// # Errors
    /// The kernel refuses the size, or has no such file.
    pub fn set_sub_buffer_kib(&self, kib: u32) -> Result<(), TracefsError> {
        match self.set("buffer_subbuf_size_kb", Setting::SubBufferKib(kib)) {
            Err(TracefsError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                Err(TracefsError::NoSubBufferSizes)
            }
            done => done,
        }
    }

    /// Restricts recording to these CPUs.
    ///
    /// # Errors
    /// [`TracefsError::BadCpus`] if the machine has no such CPU.
    pub fn set_cpus(&self, cpus: &CpuList) -> Result<(), TracefsError> {
        if let Some(missing) = cpus.iter().find(|cpu| !self.cpus.contains(cpu)) {
            let there_are: Vec<String> = self.cpus.iter().map(u32::to_string).collect();
            let list: Vec<String> = cpus.iter().map(|cpu| cpu.to_string()).collect();
            let reason = format!("there is no CPU {missing}; there are {}", there_are.join(","));
            return Err(TracefsError::BadCpus(CpuListError { list: list.join(","), reason }));
        }
        self.set("tracing_cpumask", Setting::Cpus(cpus.mask()))
    }

    /// Starts recording.
    ///
    /// # Errors
    /// The switch cannot be written.
    pub fn start(&self) -> Result<(), TracefsError> {
        self.set("tracing_on", Setting::Record(true))
    }

    /// Stops recording, which freezes the ring.
    ///
    /// # Errors
    /// The switch cannot be written.
    pub fn stop(&self) -> Result<(), TracefsError> {
        self.set("tracing_on", Setting::Record(false))
    }

    /// Whether it records.
    ///
    /// # Errors
    /// The switch cannot be read.
    pub fn is_on(&self) -> Result<bool, TracefsError> {
        Ok(self.read("tracing_on")?.trim() == "1")
    }

    /// Writes a text into the ring, as `ftrace:print`, even though our other events are excluded.
    ///
    /// # Errors
    /// The file cannot be written: EBADF while tracing is off.
    pub fn mark(&self, text: &str) -> Result<(), TracefsError> {
        self.set("trace_marker", Setting::Mark(text.to_owned()))
    }

    /// Opens each CPU's `trace_pipe_raw`, ascending by CPU, non-blocking.
    ///
    /// # Errors
    /// One cannot be opened.
    pub fn open_raw(&self) -> Result<Vec<RawBuffer>, TracefsError> {
        // With the counts of each, which stay open, and what wakes who waits for it.
        make_room_for_files(3 * self.cpus.len());
        self.cpus.iter().map(|cpu| self.open_raw_of(*cpu)).collect()
    }

    fn open_raw_of(&self, cpu: u32) -> Result<RawBuffer, TracefsError> {
        self.open(format!("per_cpu/cpu{cpu}/trace_pipe_raw")).map(|file| RawBuffer::new(cpu, file))
    }

    /// The counts of one CPU's ring.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn stats(&self, cpu: u32) -> Result<CpuStats, TracefsError> {
        self.read_again(&format!("per_cpu/cpu{cpu}/stats")).map(|text| CpuStats::parse(&text))
    }
}
