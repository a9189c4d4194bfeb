//! When a replay begins: `--start-at`, so that several machines begin together.

use std::str::FromStr;

use jiff::{Timestamp, ToSpan, Zoned, civil};

/// A moment to begin at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StartAt {
    /// ns since 1970.
    Unix(u64),
    /// The next time that the local clock shows this.
    Clock(civil::Time),
}

/// The text is not a time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a start time: use 20:15, 20:15:30, 2026-05-01T20:15:00Z, or seconds since 1970")]
pub struct StartAtError(String);

impl FromStr for StartAt {
    type Err = StartAtError;

    /// Parses `HH:MM`, `HH:MM:SS`, RFC 3339, or seconds since 1970, each with or without a fraction.
    ///
    /// ```
    /// use ftrace_live::replay::StartAt;
    /// assert_eq!("1.5".parse(), Ok(StartAt::Unix(1_500_000_000)));
    /// assert_eq!("1970-01-01T01:00:02+01:00".parse(), Ok(StartAt::Unix(2_000_000_000)));
    /// assert!("soon".parse::<StartAt>().is_err());
    /// ```
    fn from_str(text: &str) -> Result<StartAt, StartAtError> {
        let text = text.trim();
        let bad = || StartAtError(text.to_owned());
        if let Ok(timestamp) = text.parse::<Timestamp>() {
            return u64::try_from(timestamp.as_nanosecond()).map(StartAt::Unix).map_err(|_| bad());
        }
        if text.contains(':') {
            // Digits only: jiff would also accept a whole date here, and ignore the date.
            let plain = text.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b':' | b'.'));
            let time = text.parse::<civil::Time>().ok().filter(|_| plain);
            return time.map(StartAt::Clock).ok_or_else(bad);
        }
        let (seconds, fraction) = text.split_once('.').unwrap_or((text, ""));
        let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if !digits(seconds) || !digits(fraction) {
            return Err(bad());
        }
        let seconds: u64 = seconds.parse().map_err(|_| bad())?;
        // Nine digits: ns.
        let ns: u64 =
            fraction.chars().chain("000000000".chars()).take(9).collect::<String>().parse().map_err(|_| bad())?;
        let unix_ns = seconds.checked_mul(1_000_000_000).and_then(|whole| whole.checked_add(ns));
        unix_ns.map(StartAt::Unix).ok_or_else(bad)
    }
}

impl StartAt {
    /// The moment, ns since 1970, seen from `now`; `None` if it has passed, or is out of range.
    pub fn unix_ns(self, now: &Zoned) -> Option<u64> {
        let unix = |at: Timestamp| u64::try_from(at.as_nanosecond()).ok();
        match self {
            StartAt::Unix(ns) => Some(ns).filter(|&ns| unix(now.timestamp()).is_some_and(|now| ns >= now)),
            StartAt::Clock(time) => {
                let on = |day: civil::Date| day.to_datetime(time).to_zoned(now.time_zone().clone()).ok();
                let today = on(now.date())?;
                let next = if today >= *now { today } else { on(now.date().checked_add(1.day()).ok()?)? };
                unix(next.timestamp())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> StartAt {
        text.parse().unwrap_or_else(|error| panic!("{error}"))
    }

    fn zoned(text: &str) -> Zoned {
        text.parse().unwrap()
    }

    #[test]
    fn a_time_of_day_is_its_next_occurrence() {
        let now = zoned("2026-05-01T20:00:00+02:00[+02:00]");
        let said =
            |text: &str| at(text).unix_ns(&now).map(|ns| Timestamp::from_nanosecond(ns.into()).unwrap().to_string());
        assert_eq!(said("20:15").as_deref(), Some("2026-05-01T18:15:00Z"));
        assert_eq!(said("20:00:00").as_deref(), Some("2026-05-01T18:00:00Z"));
        assert_eq!(said("19:59:59").as_deref(), Some("2026-05-02T17:59:59Z"));
        assert_eq!(said("00:00:00.25").as_deref(), Some("2026-05-01T22:00:00.25Z"));
    }

    #[test]
    fn a_moment_in_the_past_is_refused() {
        let now = zoned("1970-01-01T00:00:10+00:00[+00:00]");
        assert_eq!(at("10").unix_ns(&now), Some(10_000_000_000));
        assert_eq!(at("9.999").unix_ns(&now), None);
        assert_eq!(at("1970-01-01T00:00:11.5Z").unix_ns(&now), Some(11_500_000_000));
    }

    #[test]
    fn text_that_is_not_a_time_is_refused() {
        for text in
            ["", "-1", "25:00", "12:61", "12", "1e9", "tomorrow", "20:15 tomorrow", "2026-05-01", "99999999999999"]
        {
            let read = text.parse::<StartAt>();
            match text {
                "12" => assert_eq!(read, Ok(StartAt::Unix(12_000_000_000))),
                _ => assert!(read.is_err(), "{text:?}: {read:?}"),
            }
        }
    }
}
