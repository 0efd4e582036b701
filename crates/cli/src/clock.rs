//! The time of day, for the record and for people.

use std::time::{SystemTime, UNIX_EPOCH};

use time::OffsetDateTime;
use uphaul_core::ports::Clock;

/// The clock of this machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now_us(&self) -> i64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
    }
}

fn at(us: i64) -> Option<OffsetDateTime> {
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(us) * 1000).ok()
}

/// Date and time in UTC, to the second.
pub fn date_time(us: i64) -> String {
    let Some(at) = at(us) else { return "?".to_owned() };
    let (year, month, day) = at.to_calendar_date();
    format!("{year:04}-{:02}-{day:02} {}Z", u8::from(month), time_of_day(us))
}

/// Time of day in UTC.
pub fn time_of_day(us: i64) -> String {
    let Some((hour, minute, second)) = at(us).map(|at| at.to_hms()) else { return "?".to_owned() };
    format!("{hour:02}:{minute:02}:{second:02}")
}

/// RFC 3339 with microseconds, for JSON.
pub fn rfc3339(us: i64) -> String {
    let Some(at) = at(us) else { return "?".to_owned() };
    let (year, month, day) = at.to_calendar_date();
    format!("{year:04}-{:02}-{day:02}T{}.{:06}Z", u8::from(month), time_of_day(us), at.microsecond())
}

/// How long ago, in one unit.
pub fn ago(us: i64, now_us: i64) -> String {
    let seconds = now_us.saturating_sub(us) / 1_000_000;
    match seconds {
        ..0 => "in the future".to_owned(),
        0..60 => format!("{seconds} s ago"),
        60..3600 => format!("{} min ago", seconds / 60),
        3600..172_800 => format!("{} h ago", seconds / 3600),
        _ => format!("{} days ago", seconds / 86_400),
    }
}

/// A length of time for people: `850 ms`, `12 s`, `3 min 20 s`, `2 h 5 min`.
pub fn length(duration: std::time::Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0 => format!("{} ms", duration.subsec_millis()),
        1..120 => format!("{seconds} s"),
        120..7200 => format!("{} min {} s", seconds / 60, seconds % 60),
        _ => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn times_are_told_in_utc() {
        let us = 1_767_323_045_123_456;
        assert_eq!(date_time(us), "2026-01-02 03:04:05Z");
        assert_eq!(time_of_day(us), "03:04:05");
        assert_eq!(rfc3339(us), "2026-01-02T03:04:05.123456Z");
        assert_eq!(date_time(i64::MAX), "?");
    }

    #[test]
    fn lengths_have_two_units_at_most() {
        let told: Vec<String> = [0, 59, 120, 3599, 7500].map(|s| length(Duration::from_secs(s))).into();
        assert_eq!(told, ["0 ms", "59 s", "2 min 0 s", "59 min 59 s", "2 h 5 min"]);
        let told: Vec<String> = [5, 65, 7200, 200_000, -5].map(|s| ago(0, s * 1_000_000)).into();
        assert_eq!(told, ["5 s ago", "1 min ago", "2 h ago", "2 days ago", "in the future"]);
    }
}
