//! How values read in a page: times, spans, sizes, counts.

use builder_model::{Outcome, Timestamp};

const MINUTE_SECONDS: i64 = 60;
const HOUR_SECONDS: i64 = 60 * MINUTE_SECONDS;
const DAY_MILLISECONDS: i64 = 24 * HOUR_SECONDS * 1000;

/// `2024-09-05 12:34:56Z`.
pub(crate) fn time(time: Timestamp) -> String {
    with_clock(time, ' ', "Z")
}

/// `2024-09-05`.
pub(crate) fn day(time: Timestamp) -> String {
    let mut text = String::with_capacity(TIME_BYTES);
    push_day(&mut text, time.to_civil().date());
    text
}

/// RFC 3339 in whole seconds, with the offset as the original writes it: `2024-09-05T12:34:56-00:00`.
pub(crate) fn rfc3339(time: Timestamp) -> String {
    with_clock(time, 'T', "-00:00")
}

/// The longest of the three.
const TIME_BYTES: usize = 25;

/// Digit by digit: a list of builds shows hundreds of times, and a formatter for each field costs more than their rows.
fn with_clock(time: Timestamp, between: char, end: &str) -> String {
    let mut text = String::with_capacity(TIME_BYTES);
    let (date, clock) = (time.to_civil().date(), time.milliseconds().rem_euclid(DAY_MILLISECONDS) / 1000);
    push_day(&mut text, date);
    text.push(between);
    push_two(&mut text, clock / HOUR_SECONDS);
    text.push(':');
    push_two(&mut text, clock % HOUR_SECONDS / MINUTE_SECONDS);
    text.push(':');
    push_two(&mut text, clock % MINUTE_SECONDS);
    text.push_str(end);
    text
}

fn push_day(text: &mut String, date: jiff::civil::Date) {
    let year = i64::from(date.year());
    push_two(text, year / 100);
    push_two(text, year % 100);
    text.push('-');
    push_two(text, date.month().into());
    text.push('-');
    push_two(text, date.day().into());
}

/// Two digits; of a number that has more, the last two.
fn push_two(text: &mut String, number: i64) {
    for digit in [number / 10 % 10, number % 10] {
        text.push(char::from(b'0' + u8::try_from(digit).unwrap_or(0)));
    }
}

/// `18 ms`, `0.4 s`, `12 s`, `3 min 05 s`, `2 h 07 min`.
pub(crate) fn span(milliseconds: i64) -> String {
    let seconds = milliseconds / 1000;
    let mut text = String::with_capacity(SHORT_BYTES);
    if milliseconds < 0 {
        return "unknown".into();
    }
    if milliseconds < 100 {
        push_number(&mut text, milliseconds);
        text.push_str(if milliseconds == 0 { " s" } else { " ms" });
        return text;
    }
    match seconds {
        ..10 => {
            push_number(&mut text, seconds);
            text.push('.');
            push_number(&mut text, milliseconds.rem_euclid(1000) / 100);
            text.push_str(" s");
        }
        10..MINUTE_SECONDS => {
            push_number(&mut text, seconds);
            text.push_str(" s");
        }
        MINUTE_SECONDS..HOUR_SECONDS => {
            push_number(&mut text, seconds / MINUTE_SECONDS);
            text.push_str(" min ");
            push_two(&mut text, seconds % MINUTE_SECONDS);
            text.push_str(" s");
        }
        HOUR_SECONDS.. => {
            push_number(&mut text, seconds / HOUR_SECONDS);
            text.push_str(" h ");
            push_two(&mut text, seconds % HOUR_SECONDS / MINUTE_SECONDS);
            text.push_str(" min");
        }
    }
    text
}

/// Enough for nearly every span and size.
const SHORT_BYTES: usize = 16;

/// `512 B`, `1.5 KiB`, `12.0 MiB`: powers of two, as limits have them.
pub(crate) fn bytes(count: u64) -> String {
    let (mut value, mut unit) = (count, "B");
    let mut tenths = 0;
    for larger in ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"] {
        if value < 1024 {
            break;
        }
        (tenths, value, unit) = (value % 1024 * 10 / 1024, value / 1024, larger);
    }
    let mut text = String::with_capacity(SHORT_BYTES);
    // Less than 1024 by now.
    push_number(&mut text, i64::try_from(value).unwrap_or(i64::MAX));
    if unit != "B" {
        text.push('.');
        push_number(&mut text, i64::try_from(tenths).unwrap_or(0));
    }
    text.push(' ');
    text.push_str(unit);
    text
}

/// A number in decimal, without a formatter.
pub(crate) fn push_number(text: &mut String, number: i64) {
    if number < 0 {
        text.push('-');
    }
    let number = number.unsigned_abs();
    let mut place = 1;
    while number / place >= 10 {
        place *= 10;
    }
    while place > 0 {
        text.push(char::from(b'0' + u8::try_from(number / place % 10).unwrap_or(0)));
        place /= 10;
    }
}

/// `1 build`, `2 builds`, `12 345 builds` (with narrow spaces).
pub(crate) fn count(number: u64, one: &str, many: &str) -> String {
    format!("{} {}", number_text(number), if number == 1 { one } else { many })
}

/// A number with narrow spaces between groups of three digits, from five digits on.
pub(crate) fn number_text(number: u64) -> String {
    let digits = number.to_string();
    if digits.len() < 5 {
        return digits;
    }
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push('\u{202f}');
        }
        text.push(digit);
    }
    text
}

/// How a build ended; a signal also by its name, for nobody knows OCaml's numbers.
pub(crate) fn outcome(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Signalled(number) | Outcome::Stopped(number) => match Outcome::signal_name(*number) {
            Some(name) => format!("{outcome} (SIG{name})"),
            None => outcome.to_string(),
        },
        Outcome::Exited(_) | Outcome::Aborted(_) => outcome.to_string(),
    }
}

/// Characters of a reason that stand in a headline or a list; the whole is among the facts on the page of the build.
const REASON_SHOWN_MAX: usize = 200;
/// Characters of a synopsis that a list shows; the whole is on the page of the job.
const SYNOPSIS_SHOWN_MAX: usize = 300;

/// How a build ended, for a list of builds: a reason may be as long as a page.
pub(crate) fn outcome_in_list(ended: &Outcome) -> String {
    let text = outcome(ended);
    if text.len() <= REASON_SHOWN_MAX { text } else { beginning(&text, REASON_SHOWN_MAX) }
}

/// What a job is about, for a list of jobs.
pub(crate) fn synopsis_in_list(synopsis: &str) -> String {
    beginning(synopsis, SYNOPSIS_SHOWN_MAX)
}

/// So many characters at most, with an ellipsis where more were.
fn beginning(text: &str, characters_max: usize) -> String {
    match text.char_indices().nth(characters_max) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.into(),
    }
}

/// `good`, or `failed` and how, for a headline.
pub(crate) fn verdict(ended: &Outcome) -> String {
    if ended.is_success() {
        return "good".into();
    }
    format!("failed: {}", outcome_in_list(ended))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_decimal() {
        let mut text = String::new();
        for number in [0, 7, 10, 999, 1000, -12, i64::MAX, i64::MIN] {
            push_number(&mut text, number);
            text.push(' ');
        }
        assert_eq!(text, "0 7 10 999 1000 -12 9223372036854775807 -9223372036854775808 ");
    }

    #[test]
    fn values_read_well() {
        let moment: Timestamp = "2024-09-05T12:34:56.789Z".parse().unwrap();
        assert_eq!(time(moment), "2024-09-05 12:34:56Z");
        assert_eq!(rfc3339(moment), "2024-09-05T12:34:56-00:00");
        assert_eq!(day(moment), "2024-09-05");
        assert_eq!(time(Timestamp::MIN), "0000-01-01 00:00:00Z");
        assert_eq!(time(Timestamp::from_milliseconds(-1).unwrap()), "1969-12-31 23:59:59Z");
        assert_eq!([450, 12_000, 185_000, 7_620_000].map(span), ["0.4 s", "12 s", "3 min 05 s", "2 h 07 min"]);
        assert_eq!([0, 18, 99, 100].map(span), ["0 s", "18 ms", "99 ms", "0.1 s"]);
        assert_eq!([-500, -5000].map(span), ["unknown", "unknown"]);
        assert_eq!(
            [0, 1023, 1024, 1_600_000, 12 << 30].map(bytes),
            ["0 B", "1023 B", "1.0 KiB", "1.5 MiB", "12.0 GiB"]
        );
        assert_eq!(bytes(u64::MAX), "15.9 EiB");
        assert_eq!((count(1, "build", "builds"), number_text(12_345)), ("1 build".into(), "12\u{202f}345".into()));
        assert_eq!(outcome(&Outcome::Signalled(-7)), "signalled -7 (SIGKILL)");
        assert_eq!(verdict(&Outcome::Exited(0)), "good");
        assert_eq!(verdict(&Outcome::Signalled(-7)), "failed: signalled -7 (SIGKILL)");
        let long = verdict(&Outcome::aborted("x".repeat(1000)));
        assert!(long.ends_with("xx…") && long.len() < 220, "{long}");
        let exactly = "ü".repeat(SYNOPSIS_SHOWN_MAX);
        assert_eq!(synopsis_in_list(&exactly), exactly);
        assert_eq!(synopsis_in_list(&format!("{exactly}ü")), format!("{exactly}…"));
    }
}
