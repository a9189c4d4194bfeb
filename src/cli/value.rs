//! Values of options: numbers and times. An error says which values are valid.

use std::net::IpAddr;
use std::time::Duration;

use crate::duration::nanoseconds;

/// A whole number from `least` to `most`; `u64::MAX` means no limit.
pub fn whole<T: TryFrom<u64>>(least: u64, most: u64) -> impl Fn(&str) -> Result<T, String> + Clone + Send + Sync {
    move |text| {
        let number = text.parse::<u64>().ok().filter(|number| (least..=most).contains(number));
        number.and_then(|number| T::try_from(number).ok()).ok_or_else(|| match most {
            u64::MAX => format!("it must be a whole number, {least} or more"),
            most => format!("it must be a whole number from {least} to {most}"),
        })
    }
}

/// An IP address to listen at.
pub fn address(text: &str) -> Result<IpAddr, String> {
    text.parse().map_err(|_| {
        "it must be an IP address of that machine, such as 10.0.0.5, or 0.0.0.0 for all of them".to_owned()
    })
}

/// A number from 0 to 1.
pub fn share(text: &str) -> Result<f32, String> {
    let number = text.parse::<f32>().ok().filter(|number| (0.0..=1.0).contains(number));
    number.ok_or_else(|| "it must be a number from 0 to 1, such as 0.5".to_owned())
}

/// The unit of a number without one.
#[derive(Debug, Clone, Copy)]
pub enum Bare {
    /// Seconds.
    Seconds,
    /// Milliseconds.
    Milliseconds,
}

/// A time from `least` to `most`, such as `50ms`.
pub fn time(
    bare: Bare,
    least: Duration,
    most: Duration,
) -> impl Fn(&str) -> Result<Duration, String> + Clone + Send + Sync {
    move |text| {
        let (unit, name) = match bare {
            Bare::Seconds => (1_000_000_000, "seconds"),
            Bare::Milliseconds => (1_000_000, "milliseconds"),
        };
        let time = nanoseconds(text, unit).map(Duration::from_nanos);
        time.filter(|time| (least..=most).contains(time)).ok_or_else(|| {
            let range = match (least, most) {
                (_, Duration::MAX) => "a time".to_owned(),
                (least, most) => format!("a time from {least:?} to {most:?}"),
            };
            format!("it must be {range}: write 50ms, 0.5s or 2m; a number alone is of {name}")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_a_unit_or_the_default_one() {
        let seconds = time(Bare::Seconds, Duration::ZERO, Duration::MAX);
        let tick = time(Bare::Milliseconds, Duration::ZERO, Duration::from_secs(10));
        for (text, ms) in [("1", 1000), ("0.5", 500), ("50ms", 50), ("2m", 120_000), ("1s", 1000)] {
            assert_eq!(seconds(text), Ok(Duration::from_millis(ms)), "{text}");
        }
        assert_eq!(tick("1"), Ok(Duration::from_millis(1)));
        assert_eq!(tick("1s"), Ok(Duration::from_secs(1)));
        for text in ["-1", "11s", "soon", "", "NaN", "1e3"] {
            let error = tick(text).unwrap_err();
            assert!(error.contains("from 0ns to 10s") && error.contains("of milliseconds"), "{error}");
        }
    }

    #[test]
    fn errors_of_whole_numbers_state_the_range() {
        assert_eq!(whole::<u16>(1, 65535)("80"), Ok(80));
        assert_eq!(whole::<u16>(1, 65535)("0").unwrap_err(), "it must be a whole number from 1 to 65535");
        assert_eq!(whole::<u64>(0, u64::MAX)("x").unwrap_err(), "it must be a whole number, 0 or more");
        assert!(whole::<u8>(0, 1000)("256").is_err());
        assert_eq!(share("0.5"), Ok(0.5));
        assert!(share("2").is_err() && share("NaN").is_err());
    }
}
