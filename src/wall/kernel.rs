//! What the kernel knows of the error of its own time of day: adjtimex(2).

/// The kernel's estimate of the error of CLOCK_REALTIME, as the program that sets it (NTP, PTP) told the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KernelClock {
    /// Whether somebody keeps it (not `STA_UNSYNC`).
    pub synchronised: bool,
    /// The largest error, µs (`maxerror`). It grows by 500 µs a second, up to 16 s, until the clock is set anew.
    pub max_error_us: u64,
    /// The likely error, µs (`esterror`).
    pub likely_error_us: u64,
}

impl KernelClock {
    /// What the kernel says now; `None` where it may not be asked.
    pub fn now() -> Option<KernelClock> {
        // SAFETY: `timex` is plain numbers, for which zeros are values; with `modes` 0 adjtimex(2) changes nothing and fills
        // the one it is given.
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
