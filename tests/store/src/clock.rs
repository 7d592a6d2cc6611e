//! Dates in the forms that HTTP and the listings of object stores use.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// A time in UTC, to the second.
struct Utc {
    year: i64,
    /// From 1.
    month: usize,
    day: i64,
    weekday: &'static str,
    hour: u64,
    minute: u64,
    second: u64,
}

impl Utc {
    /// Returns the given time; times before 1970 are its start.
    fn of(time: SystemTime) -> Self {
        let seconds = time.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs();
        let (days, rest) = (seconds / 86_400, seconds % 86_400);
        let (year, month, day) = date(days as i64);
        Self {
            year,
            month,
            day,
            weekday: DAYS[(days % 7) as usize],
            hour: rest / 3600,
            minute: rest % 3600 / 60,
            second: rest % 60,
        }
    }
}

/// Returns year, month (from 1) and day of the given day since 1970-01-01. Years are counted from March, so
/// that the leap day is the last of its year, in eras of 400 years.
fn date(days: i64) -> (i64, usize, i64) {
    let days = days + 719_468;
    let (era, day) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (month, later) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    (era * 400 + year + later, month as usize, day)
}

/// Returns the form of `Last-Modified`: `Sun, 06 Nov 1994 08:49:37 GMT`.
pub(crate) fn http_date(time: SystemTime) -> String {
    let Utc { year, month, day, weekday, hour, minute, second } = Utc::of(time);
    format!("{weekday}, {day:02} {} {year} {hour:02}:{minute:02}:{second:02} GMT", MONTHS[month - 1])
}

/// Returns the form of S3's listings: `1994-11-06T08:49:37.000Z`.
pub(crate) fn iso_date(time: SystemTime) -> String {
    let Utc { year, month, day, hour, minute, second, .. } = Utc::of(time);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.000Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        let at = |seconds| UNIX_EPOCH + Duration::from_secs(seconds);
        assert_eq!(http_date(at(0)), "Thu, 01 Jan 1970 00:00:00 GMT");
        assert_eq!(http_date(at(784_111_777)), "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(iso_date(at(784_111_777)), "1994-11-06T08:49:37.000Z");
        assert_eq!(iso_date(at(951_782_400)), "2000-02-29T00:00:00.000Z");
        assert_eq!(http_date(at(1_709_251_199)), "Thu, 29 Feb 2024 23:59:59 GMT");
        assert_eq!(iso_date(at(4_107_542_400)), "2100-03-01T00:00:00.000Z");
    }
}
