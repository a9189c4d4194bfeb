//! The kernel's estimate of the error of its own time of day: adjtimex(2).

/// The kernel's estimate of the error of CLOCK_REALTIME, as the program that sets it (NTP, PTP) told the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KernelClock {
    /// Whether a program keeps the clock synchronised (not `STA_UNSYNC`).
    pub synchronised: bool,
    /// The largest error, µs (`maxerror`). It grows by 500 µs a second, up to 16 s, until the clock is set again.
    pub max_error_us: u64,
    /// The likely error, µs (`esterror`).
    pub likely_error_us: u64,
}

impl KernelClock {
    /// The current estimate; `None` if adjtimex(2) is not permitted.
    pub fn now() -> Option<KernelClock> {
        // SAFETY: `timex` is plain integers, for which zeros are valid; with `modes` 0 adjtimex(2) changes nothing
        // and only fills it.
        let (answer, timex) = unsafe {
            let mut timex: libc::timex = std::mem::zeroed();
            (libc::adjtimex(&mut timex), timex)
        };
        (answer >= 0).then_some(KernelClock {
            synchronised: timex.status & libc::STA_UNSYNC == 0,
            max_error_us: u64::try_from(timex.maxerror).unwrap_or(0),
            likely_error_us: u64::try_from(timex.esterror).unwrap_or(0),
        })
    }
}
