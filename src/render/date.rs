//! `%ptR` and `%ptT`: a date and a time of day in UTC (`time_and_date` in lib/vsprintf.c).

use std::io::Write;

/// The format selected by the letters after `%pt`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct DateStyle {
    date: bool,
    time: bool,
    /// `r`: year and month as stored in `struct rtc_time`, that is less 1900 and less 1.
    raw: bool,
    /// `s`: a space between date and time instead of `T`.
    blank: bool,
}

/// The first fields of `struct rtc_time` (include/uapi/linux/rtc.h): the year counts from 1900, the month from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Moment {
    pub(super) second: i32,
    pub(super) minute: i32,
    pub(super) hour: i32,
    pub(super) day: i32,
    pub(super) month: i32,
    pub(super) year: i32,
}

impl DateStyle {
    /// Parses the letters after `R` or `T`.
    pub(super) fn of(letters: &str) -> DateStyle {
        let (date, time) = (!letters.starts_with('t'), !letters.starts_with('d'));
        let rest = letters.strip_prefix(['t', 'd']).unwrap_or(letters);
        let rest = &rest[..rest.find(|c| !matches!(c, 'r' | 's')).unwrap_or(rest.len())];
        DateStyle { date, time, raw: rest.contains('r'), blank: rest.contains('s') }
    }

    /// Appends `2026-11-24T11:14:28`.
    pub(super) fn write(self, out: &mut Vec<u8>, at: Moment) {
        let (since, first) = if self.raw { (0, 0) } else { (1900, 1) };
        if self.date {
            let year = i64::from(at.year) + since;
            let month = i64::from(at.month) + first;
            write_fields(out, b'-', &[(year, 4), (month, 2), (at.day.into(), 2)]);
        }
        if self.date && self.time {
            out.push(if self.blank { b' ' } else { b'T' });
        }
        if self.time {
            write_fields(out, b':', &[(at.hour.into(), 2), (at.minute.into(), 2), (at.second.into(), 2)]);
        }
    }
}

/// Numbers with leading zeros.
fn write_fields(out: &mut Vec<u8>, separator: u8, fields: &[(i64, usize)]) {
    for (i, &(value, width)) in fields.iter().enumerate() {
        if i > 0 {
            out.push(separator);
        }
        // Writing to memory cannot fail.
        _ = write!(out, "{value:0width$}");
    }
}

impl Moment {
    /// From seconds since 1970 (`time64_to_tm`).
    pub(super) fn of_seconds(seconds: i64) -> Moment {
        let (days, of_day) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400) as i32);
        // Years begin in March, so that a leap day is the last of its year; an era has 400 of them.
        let days = days + 719_468;
        let (era, day) = (days.div_euclid(146_097), days.rem_euclid(146_097));
        let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
        let day = day - (365 * year + year / 4 - year / 100);
        let month = (5 * day + 2) / 153;
        let day_of_month = day - (153 * month + 2) / 5 + 1;
        let (month, next) = if month < 10 { (month + 2, 0) } else { (month - 10, 1) };
        let year = era * 400 + year + next - 1900;
        Moment {
            second: of_day % 60,
            minute: of_day / 60 % 60,
            hour: of_day / 3600,
            day: day_of_month as i32,
            month: month as i32,
            year: year as i32,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(letters: &str, seconds: i64) -> String {
        let mut out = vec![];
        DateStyle::of(letters).write(&mut out, Moment::of_seconds(seconds));
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn seconds_become_a_date_and_a_time_of_day() {
        // As printed by `date -u -d @SECONDS`.
        for (seconds, want) in [
            (0, "1970-01-01T00:00:00"),
            (1_546_615_094, "2019-01-04T15:18:14"),
            (951_782_399, "2000-02-28T23:59:59"),
            (951_868_799, "2000-02-29T23:59:59"),
            (951_868_800, "2000-03-01T00:00:00"),
            (4_107_542_399, "2100-02-28T23:59:59"),
            (4_107_542_400, "2100-03-01T00:00:00"),
            (-1, "1969-12-31T23:59:59"),
            (-11_670_998_401, "1600-02-28T23:59:59"),
        ] {
            assert_eq!(shown("", seconds), want, "{seconds}");
        }
        shown("", i64::MAX);
        shown("", i64::MIN);
    }

    #[test]
    fn letters_select_the_parts_and_their_form() {
        let seconds = 1_546_615_094;
        for (letters, want) in [
            ("d", "2019-01-04"),
            ("t", "15:18:14"),
            ("r", "0119-00-04T15:18:14"),
            ("dr", "0119-00-04"),
            ("tr", "15:18:14"),
            ("s", "2019-01-04 15:18:14"),
            ("rs", "0119-00-04 15:18:14"),
            ("xr", "2019-01-04T15:18:14"),
        ] {
            assert_eq!(shown(letters, seconds), want, "{letters}");
        }
    }
}
