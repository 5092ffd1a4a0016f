//! How values read in a page: times, spans, sizes, counts.

use builder_model::{Outcome, Timestamp};

const MINUTE_SECONDS: i64 = 60;
const HOUR_SECONDS: i64 = 60 * MINUTE_SECONDS;

/// `2024-09-05 12:34:56Z`.
pub(crate) fn time(time: Timestamp) -> String {
    let civil = time.to_civil();
    format!("{} {}Z", civil.date(), civil.time().strftime("%H:%M:%S"))
}

/// `2024-09-05`.
pub(crate) fn day(time: Timestamp) -> String {
    time.to_civil().date().to_string()
}

/// RFC 3339 in whole seconds, with the offset as the original writes it: `2024-09-05T12:34:56-00:00`.
pub(crate) fn rfc3339(time: Timestamp) -> String {
    let civil = time.to_civil();
    format!("{}T{}-00:00", civil.date(), civil.time().strftime("%H:%M:%S"))
}

/// `0.4 s`, `12 s`, `3 min 05 s`, `2 h 07 min`.
pub(crate) fn span(milliseconds: i64) -> String {
    let seconds = milliseconds / 1000;
    match seconds {
        ..=-1 => "unknown".into(),
        0..10 => format!("{seconds}.{} s", milliseconds.rem_euclid(1000) / 100),
        10..MINUTE_SECONDS => format!("{seconds} s"),
        MINUTE_SECONDS..HOUR_SECONDS => format!("{} min {:02} s", seconds / MINUTE_SECONDS, seconds % MINUTE_SECONDS),
        HOUR_SECONDS.. => {
            format!("{} h {:02} min", seconds / HOUR_SECONDS, seconds % HOUR_SECONDS / MINUTE_SECONDS)
        }
    }
}

/// `512 B`, `1.5 kB`, `12.0 MB`: powers of ten.
pub(crate) fn bytes(count: u64) -> String {
    let (mut value, mut unit) = (count, "B");
    let mut tenths = 0;
    for larger in ["kB", "MB", "GB", "TB", "PB", "EB"] {
        if value < 1000 {
            break;
        }
        (tenths, value, unit) = (value % 1000 / 100, value / 1000, larger);
    }
    if unit == "B" { format!("{count} B") } else { format!("{value}.{tenths} {unit}") }
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

/// The first twelve digits of a digest, enough for the eye.
pub(crate) fn short(digest: &crate::Digest) -> String {
    let mut text = digest.to_string();
    text.truncate(12);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_read_well() {
        let moment: Timestamp = "2024-09-05T12:34:56.789Z".parse().unwrap();
        assert_eq!(time(moment), "2024-09-05 12:34:56Z");
        assert_eq!(rfc3339(moment), "2024-09-05T12:34:56-00:00");
        assert_eq!([450, 12_000, 185_000, 7_620_000].map(span), ["0.4 s", "12 s", "3 min 05 s", "2 h 07 min"]);
        assert_eq!(span(-5000), "unknown");
        assert_eq!(
            [0, 999, 1000, 1_550_000, 12_000_000_000].map(bytes),
            ["0 B", "999 B", "1.0 kB", "1.5 MB", "12.0 GB"]
        );
        assert_eq!(bytes(u64::MAX), "18.4 EB");
        assert_eq!((count(1, "build", "builds"), number_text(12_345)), ("1 build".into(), "12\u{202f}345".into()));
        assert_eq!(outcome(&Outcome::Signalled(-7)), "signalled -7 (SIGKILL)");
    }
}
