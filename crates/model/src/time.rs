//! Points in time, in the range and precision of the wire: years 0000 to 9999, milliseconds, UTC.

use jiff::civil::{self, DateTime};
use jiff::{SignedDuration, tz};
use std::fmt;
use std::str::FromStr;

/// Milliseconds since 1970-01-01T00:00:00Z, within the years 0000 to 9999.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

/// A text or a number that is no time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TimestampError {
    /// Outside the years 0000 to 9999.
    #[error("time is outside the years 0000 to 9999")]
    Range,
    /// Not RFC 3339.
    #[error("{text:?} is not a time: expected RFC 3339 such as 2026-01-31T12:00:00Z or 2026-01-31T12:00:00+02:00")]
    Text {
        /// What was given.
        text: String,
    },
}

const EPOCH: DateTime = civil::date(1970, 1, 1).at(0, 0, 0, 0);

impl Timestamp {
    /// 0000-01-01T00:00:00Z.
    pub const MIN: Self = Self(-62_167_219_200_000);
    /// 9999-12-31T23:59:59.999Z, which a schedule entry that never runs carries.
    pub const MAX: Self = Self(253_402_300_799_999);

    /// From milliseconds since the epoch.
    pub fn from_milliseconds(milliseconds: i64) -> Result<Self, TimestampError> {
        let time = Self(milliseconds);
        if time < Self::MIN || time > Self::MAX { Err(TimestampError::Range) } else { Ok(time) }
    }

    /// Milliseconds since the epoch.
    pub const fn milliseconds(self) -> i64 {
        self.0
    }

    /// The time this many milliseconds later, held within the range.
    #[must_use]
    pub fn plus_milliseconds(self, milliseconds: i64) -> Self {
        Self(self.0.saturating_add(milliseconds).clamp(Self::MIN.0, Self::MAX.0))
    }

    /// Milliseconds from `earlier` to this time; negative when the clock went back in between.
    pub const fn milliseconds_since(self, earlier: Self) -> i64 {
        self.0 - earlier.0
    }

    /// From a date and time of day in UTC; parts below the millisecond are cut.
    pub fn from_civil(time: DateTime) -> Result<Self, TimestampError> {
        let milliseconds = time.duration_since(EPOCH).as_millis();
        Self::from_milliseconds(i64::try_from(milliseconds).map_err(|_| TimestampError::Range)?)
    }

    /// The date and time of day in UTC.
    pub fn to_civil(self) -> DateTime {
        EPOCH.checked_add(SignedDuration::from_millis(self.0)).unwrap_or(EPOCH)
    }
}

impl From<std::time::SystemTime> for Timestamp {
    /// A clock that stands outside the years 0000 to 9999 gives the nearest time within.
    fn from(time: std::time::SystemTime) -> Self {
        let milliseconds = match time.duration_since(std::time::UNIX_EPOCH) {
            Ok(after) => i64::try_from(after.as_millis()).unwrap_or(i64::MAX),
            Err(before) => i64::try_from(before.duration().as_millis()).map_or(i64::MIN, |ms| -ms),
        };
        Self(milliseconds.clamp(Self::MIN.0, Self::MAX.0))
    }
}

impl fmt::Display for Timestamp {
    /// RFC 3339 in UTC: `2024-09-04T12:34:56Z`, with `.789` when there are milliseconds.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = self.to_civil();
        let (date, clock) = (time.date(), time.time());
        let milliseconds = self.0.rem_euclid(1000);
        let fraction = if milliseconds == 0 { String::new() } else { format!(".{milliseconds:03}") };
        f.pad(&format!(
            "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}{fraction}Z",
            date.year(),
            date.month(),
            date.day(),
            clock.hour(),
            clock.minute(),
            clock.second()
        ))
    }
}

impl FromStr for Timestamp {
    type Err = TimestampError;

    /// RFC 3339 with any offset; an offset must be there.
    fn from_str(text: &str) -> Result<Self, TimestampError> {
        let error = || TimestampError::Text { text: text.to_owned() };
        let pieces = jiff::fmt::temporal::DateTimeParser::new().parse_timestamp(text);
        if let Ok(timestamp) = pieces {
            return Self::from_milliseconds(timestamp.as_millisecond()).map_err(|_| error());
        }
        // The last two days of the year 9999 lie beyond jiff's timestamps, but not beyond ours.
        let local: DateTime = text.strip_suffix(['Z', 'z']).ok_or_else(error)?.parse().map_err(|_| error())?;
        Self::from_civil(local).map_err(|_| error())
    }
}

/// The offset of a time zone as `+hhmm` gives it, in seconds, applied to a local time.
pub fn at_offset(local: DateTime, offset_seconds: i64) -> Result<Timestamp, TimestampError> {
    let utc = local.checked_sub(SignedDuration::from_secs(offset_seconds)).map_err(|_| TimestampError::Range)?;
    Timestamp::from_civil(utc)
}

/// The time in the zone of the machine, to the second: `2026-01-31 13:00:00`.
pub fn local_text(time: Timestamp) -> String {
    let Ok(timestamp) = jiff::Timestamp::from_millisecond(time.0) else { return time.to_string() };
    timestamp.to_zoned(tz::TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_of_the_whole_range() {
        for text in
            ["0000-01-01T00:00:00Z", "1969-12-31T23:59:59.999Z", "2024-02-29T00:00:00.500Z", "9999-12-31T23:59:59.999Z"]
        {
            assert_eq!(text.parse::<Timestamp>().unwrap().to_string(), text);
        }
        assert_eq!("9999-12-31T23:59:59.999Z".parse::<Timestamp>().unwrap(), Timestamp::MAX);
        assert_eq!("0000-01-01T00:00:00Z".parse::<Timestamp>().unwrap(), Timestamp::MIN);
        assert_eq!("2026-01-31T12:00:00+02:00".parse::<Timestamp>().unwrap().to_string(), "2026-01-31T10:00:00Z");
        for bad in
            ["", "2026-01-31", "2026-01-31T12:00:00", "2026-02-30T12:00:00Z", "tomorrow", "-0001-01-01T00:00:00Z"]
        {
            assert!(bad.parse::<Timestamp>().is_err(), "{bad}");
        }
    }
}
