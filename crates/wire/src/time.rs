//! Times on the wire: GeneralizedTime is written, it and UTCTime are read, as the original does (`docs/protocol.md`).

use crate::der::{DecodeError, Fault, Reader, tag};
use crate::element::Element;
use builder_model::Timestamp;
use builder_model::time::at_offset;
use jiff::civil::DateTime;

impl Reader<'_> {
    pub(crate) fn time(&mut self) -> Result<Timestamp, DecodeError> {
        let (tag, text, offset) = self.time_text()?;
        let time = if tag == tag::UTC_TIME { utc_time(text) } else { generalized_time(text) };
        time.ok_or(DecodeError { offset, fault: Fault::Time })
    }

    /// Only a UTCTime, which is what the oldest state files hold.
    pub(crate) fn utc_time(&mut self) -> Result<Timestamp, DecodeError> {
        if self.peek() != Some(tag::UTC_TIME) {
            return self.no_such_choice("UTCTime");
        }
        self.time()
    }
}

/// `YYYYMMDDHHMMSS[.mmm]Z`: the fraction is there when it is not zero.
pub(crate) fn element(time: Timestamp) -> Element<'static> {
    let civil = time.to_civil();
    let milliseconds = time.milliseconds().rem_euclid(1000);
    let fraction = if milliseconds == 0 { String::new() } else { format!(".{milliseconds:03}") };
    Element::generalized_time(format!(
        "{:04}{:02}{:02}{:02}{:02}{:02}{fraction}Z",
        civil.year(),
        civil.month(),
        civil.day(),
        civil.hour(),
        civil.minute(),
        civil.second()
    ))
}

/// `YYYYMMDDHH[MM[SS[.f…]]]` with `Z`, `±hhmm` or nothing. The fraction counts milliseconds: `.5` is 5 of them.
fn generalized_time(text: &[u8]) -> Option<Timestamp> {
    let mut text = Text(text);
    let year = text.number(4)?;
    let (month, day, hour) = (text.number(2)?, text.number(2)?, text.number(2)?);
    let minute = text.optional_number(2)?;
    let mut second = 0;
    let mut milliseconds = 0;
    if let Some(minute_digits) = minute {
        // The original takes a single digit of seconds, too.
        second = match text.digits_ahead() {
            0 => None,
            1 => Some(text.number(1)?),
            _ => Some(text.number(2)?),
        }
        .unwrap_or(0);
        if text.take(b'.') {
            let digits = text.digits_ahead();
            milliseconds = if digits == 0 { 0 } else { text.number(digits.min(3))? };
            text.skip(digits.saturating_sub(3));
        }
        let offset = if text.0.is_empty() { 0 } else { text.zone()? };
        return build([year, month, day, hour, minute_digits, second], milliseconds, offset);
    }
    let offset = if text.0.is_empty() { 0 } else { text.zone()? };
    build([year, month, day, hour, 0, second], milliseconds, offset)
}

/// `YYMMDDHHMM[SS]` with `Z` or `±hhmm`; 50 to 99 are years of the twentieth century.
fn utc_time(text: &[u8]) -> Option<Timestamp> {
    let mut text = Text(text);
    let year = text.number(2)?;
    let (month, day) = (text.number(2)?, text.number(2)?);
    let (hour, minute) = (text.number(2)?, text.number(2)?);
    let second = text.optional_number(2)?.unwrap_or(0);
    let offset = text.zone()?;
    let century = if year >= 50 { 1900 } else { 2000 };
    build([century + year, month, day, hour, minute, second], 0, offset)
}

/// Second 60 rolls over; an impossible date is none.
fn build(parts: [i64; 6], milliseconds: i64, offset_seconds: i64) -> Option<Timestamp> {
    let [year, month, day, hour, minute, second] = parts;
    let leap = i64::from(second == 60);
    let small = |value: i64| i8::try_from(value).ok();
    let year = i16::try_from(year).ok()?;
    let local =
        DateTime::new(year, small(month)?, small(day)?, small(hour)?, small(minute)?, small(second - leap)?, 0).ok()?;
    let time = at_offset(local, offset_seconds).ok()?;
    Timestamp::from_milliseconds(time.milliseconds() + leap * 1000 + milliseconds).ok()
}

struct Text<'a>(&'a [u8]);

impl Text<'_> {
    fn digits_ahead(&self) -> usize {
        self.0.iter().take_while(|byte| byte.is_ascii_digit()).count()
    }

    fn number(&mut self, digits: usize) -> Option<i64> {
        let (head, rest) = self.0.split_at_checked(digits)?;
        let mut value = 0;
        for byte in head {
            value = value * 10 + i64::from(char::from(*byte).to_digit(10)?);
        }
        self.0 = rest;
        Some(value)
    }

    /// A number, or no digit at all; fewer digits than asked for are an error.
    fn optional_number(&mut self, digits: usize) -> Option<Option<i64>> {
        if self.digits_ahead() == 0 { Some(None) } else { self.number(digits).map(Some) }
    }

    fn take(&mut self, byte: u8) -> bool {
        let taken = self.0.first() == Some(&byte);
        self.skip(usize::from(taken));
        taken
    }

    fn skip(&mut self, count: usize) {
        self.0 = self.0.get(count..).unwrap_or_default();
    }

    /// `Z` or `±hhmm` up to the end, as seconds east of UTC.
    fn zone(&mut self) -> Option<i64> {
        if self.take(b'Z') {
            return self.0.is_empty().then_some(0);
        }
        let sign = if self.take(b'+') { 1 } else { self.take(b'-').then_some(-1)? };
        let seconds = self.number(2)? * 3600 + self.number(2)? * 60;
        self.0.is_empty().then_some(sign * seconds)
    }
}
