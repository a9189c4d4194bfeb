//! The time namespace of this process: in a container, CLOCK_MONOTONIC and CLOCK_BOOTTIME may be set forward or back
//! (time_namespaces(7)). The trace clocks are not, so the kernel's times are those that clock_gettime(2) returns minus
//! these offsets.

use std::fs;
use std::sync::OnceLock;

use libc::{CLOCK_BOOTTIME, CLOCK_MONOTONIC, CLOCK_MONOTONIC_RAW, clockid_t};

/// How far the clocks of this process are ahead of the kernel's, ns.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Offsets {
    monotonic: i64,
    boottime: i64,
}

/// The kernel's time, for one that clock_gettime(2) returned for `clock`; ns.
pub(crate) fn kernels(clock: clockid_t, ours: u64) -> u64 {
    static OFFSETS: OnceLock<Offsets> = OnceLock::new();
    let offsets = OFFSETS.get_or_init(|| read().unwrap_or_default());
    let offset = match clock {
        CLOCK_MONOTONIC | CLOCK_MONOTONIC_RAW => offsets.monotonic,
        CLOCK_BOOTTIME => offsets.boottime,
        _ => 0,
    };
    ours.saturating_add_signed(offset.saturating_neg())
}

fn read() -> Option<Offsets> {
    // The file has the offsets of the namespace that children get, which is ours unless unshare(2) has just been called.
    let namespace = |link| fs::read_link(format!("/proc/self/ns/{link}")).ok();
    if namespace("time")? != namespace("time_for_children")? {
        return None;
    }
    Some(parse(&fs::read_to_string("/proc/self/timens_offsets").ok()?))
}

/// `monotonic   100000   0`: seconds and nanoseconds (`timens_offsets_show`).
fn parse(text: &str) -> Offsets {
    let mut offsets = Offsets::default();
    for line in text.lines() {
        let mut words = line.split_whitespace();
        let (Some(clock), Some(seconds), Some(ns)) = (words.next(), words.next(), words.next()) else { continue };
        let (Ok(seconds), Ok(ns)) = (seconds.parse::<i64>(), ns.parse::<i64>()) else { continue };
        let offset = seconds.saturating_mul(1_000_000_000).saturating_add(ns);
        match clock {
            "monotonic" => offsets.monotonic = offset,
            "boottime" => offsets.boottime = offset,
            _ => {}
        }
    }
    offsets
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_are_seconds_and_nanoseconds() {
        let text = "monotonic      100000         5\nboottime           -7 500000000\n";
        assert_eq!(parse(text), Offsets { monotonic: 100_000_000_000_005, boottime: -6_500_000_000 });
        assert_eq!(parse(""), Offsets::default());
        assert_eq!(parse("monotonic\nboottime x y\n"), Offsets::default());
    }
}
