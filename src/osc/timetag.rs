//! OSC timetags: NTP time, 32 bits of seconds since 1900 and 32 bits of fraction.
//!
//! OSC 1.0 uses the format of NTP (RFC 5905, section 6). The value 1 means "immediately" and is never sent: sclang
//! turns it into a time 290 million seconds ahead.

/// Seconds from 1900-01-01 (NTP) to 1970-01-01 (Unix).
const NTP_TO_UNIX: u64 = 2_208_988_800;

/// 2^32 / 10^9 with 61 bits of fraction, rounded.
const FRACTIONS_PER_NS: u64 = (((1u128 << 93) + 500_000_000) / 1_000_000_000) as u64;

/// The timetag for ns since 1970.
///
/// The unit of a timetag is 0.23 ns. The value is rounded, so that converting back to ns is exact.
///
/// ```
/// use ftrace_live::osc::timetag;
/// assert_eq!(timetag::from_unix_ns(500_000_000), 2_208_988_800 << 32 | 1 << 31);
/// assert_eq!(timetag::to_unix_ns(timetag::from_unix_ns(1_790_000_000_123_456_789)), 1_790_000_000_123_456_789);
/// ```
#[inline]
pub fn from_unix_ns(ns: u64) -> u64 {
    let scaled = u128::from(ns) * u128::from(FRACTIONS_PER_NS);
    // Seconds after 2036 wrap into the next NTP era (RFC 5905).
    (((scaled + (1 << 60)) >> 61) as u64).wrapping_add(NTP_TO_UNIX << 32)
}

/// The ns since 1970 of a timetag.
pub fn to_unix_ns(timetag: u64) -> u64 {
    let since_unix = timetag.wrapping_sub(NTP_TO_UNIX << 32);
    let fraction = u128::from(since_unix & 0xffff_ffff) * 1_000_000_000;
    (since_unix >> 32) * 1_000_000_000 + ((fraction + (1 << 31)) >> 32) as u64
}

/// The timetag for ns since 1970, as rosc's type.
pub fn osc_time(unix_ns: u64) -> rosc::OscTime {
    let tag = from_unix_ns(unix_ns);
    rosc::OscTime { seconds: (tag >> 32) as u32, fractional: tag as u32 }
}

/// Now, ns since 1970, by the clock used for messages: see [`wall`](crate::wall).
pub fn unix_now_ns() -> u64 {
    crate::wall::now_ns()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_epochs_are_seventy_years_apart() {
        // 70 years with 17 leap days.
        assert_eq!(NTP_TO_UNIX, (70 * 365 + 17) * 86_400);
        assert_eq!(from_unix_ns(0), NTP_TO_UNIX << 32);
    }

    proptest! {
        #[test]
        fn every_nanosecond_up_to_2036_survives_the_way_there_and_back(ns in 0u64..2_085_978_496_000_000_000) {
            prop_assert_eq!(to_unix_ns(from_unix_ns(ns)), ns);
        }
    }
}
