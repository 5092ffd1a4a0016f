//! How times, outcomes and UUIDs stand in the original's columns.

use crate::digest::Digest;
use builder_model::{BuildId, Outcome, Timestamp};
use rusqlite::Row;
use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSql, ToSqlOutput, ValueRef};

const DAY_MILLISECONDS: i64 = 86_400_000;
const MILLISECOND_PICOSECONDS: i64 = 1_000_000_000;
/// The code of an aborted build; its reason is in the message.
const ABORTED: i64 = 65_536;

/// A time as two columns: days since 1970-01-01, and picoseconds within the day.
pub fn time_to_columns(time: Timestamp) -> (i64, i64) {
    let milliseconds = time.milliseconds();
    (milliseconds.div_euclid(DAY_MILLISECONDS), milliseconds.rem_euclid(DAY_MILLISECONDS) * MILLISECOND_PICOSECONDS)
}

/// The time in two columns; one that no calendar has is held within the years 0000 to 9999.
pub fn time_from_columns(days: i64, picoseconds: i64) -> Timestamp {
    let milliseconds = days.saturating_mul(DAY_MILLISECONDS).saturating_add(picoseconds / MILLISECOND_PICOSECONDS);
    Timestamp::from_milliseconds(milliseconds.clamp(Timestamp::MIN.milliseconds(), Timestamp::MAX.milliseconds()))
        .unwrap_or(Timestamp::MIN)
}

/// An outcome as two columns, `result_code` and `result_msg`.
pub fn outcome_to_columns(outcome: &Outcome) -> (i64, Option<String>) {
    match outcome {
        Outcome::Exited(status) => (*status, None),
        Outcome::Signalled(number) => (number.saturating_mul(1 << 8), None),
        Outcome::Stopped(number) => (number.saturating_mul(1 << 16), None),
        Outcome::Aborted(reason) => (ABORTED, Some(lossy(reason))),
    }
}

/// The outcome in two columns. The original reads an aborted build as a stopped one, and a signal, whose number is
/// negative, as an exit; the columns tell enough to know better.
pub fn outcome_from_columns(code: i64, message: Option<&str>) -> Outcome {
    match (code, message) {
        (ABORTED, Some(reason)) => Outcome::Aborted(reason.as_bytes().into()),
        (0..=0xff, _) => Outcome::Exited(code),
        (0x100..=0xffff, _) => Outcome::Signalled(code >> 8),
        (0x1_0000.., _) => Outcome::Stopped(code >> 16),
        (..=-1, _) if code % (1 << 16) == 0 => Outcome::Stopped(code >> 16),
        (..=-1, _) => Outcome::Signalled(code >> 8),
    }
}

impl FromSql for Digest {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        let bytes = value.as_blob()?;
        Self::from_column(bytes).ok_or(FromSqlError::InvalidBlobSize { expected_size: 32, blob_size: bytes.len() })
    }
}

impl ToSql for Digest {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(ValueRef::Blob(&self.0)))
    }
}

/// Text of a column. The original stores whatever bytes came; those that are no UTF-8 become replacement characters.
pub fn text(row: &Row<'_>, index: usize) -> rusqlite::Result<String> {
    Ok(lossy(row.get_ref(index)?.as_bytes()?))
}

/// The same of a column that may be NULL.
pub fn optional_text(row: &Row<'_>, index: usize) -> rusqlite::Result<Option<String>> {
    Ok(row.get_ref(index)?.as_bytes_or_null()?.map(lossy))
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The UUID in a column: 36 characters.
pub fn uuid_from_column(text: &str) -> rusqlite::Result<BuildId> {
    text.parse()
        .map_err(|error| rusqlite::Error::FromSqlConversionFailure(0, rusqlite::types::Type::Text, Box::new(error)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outcomes_come_back_as_they_were() {
        for outcome in [
            Outcome::Exited(0),
            Outcome::Exited(255),
            Outcome::Signalled(-7),
            Outcome::Signalled(9),
            Outcome::Stopped(-16),
            Outcome::Stopped(1),
            Outcome::Aborted(b"timeout"[..].into()),
        ] {
            let (code, message) = outcome_to_columns(&outcome);
            assert_eq!(outcome_from_columns(code, message.as_deref()), outcome);
        }
        assert_eq!(outcome_to_columns(&Outcome::Signalled(-7)), (-1792, None), "as the original writes it");
        assert_eq!(outcome_from_columns(65_536, None), Outcome::Stopped(1));
    }

    #[test]
    fn times_come_back_to_the_millisecond() {
        for text in ["1970-01-01T00:00:00Z", "2024-09-05T12:35:57.250Z", "1969-12-31T23:59:59.999Z"] {
            let time: Timestamp = text.parse().unwrap();
            let (days, picoseconds) = time_to_columns(time);
            assert_eq!(time_from_columns(days, picoseconds), time);
        }
        assert_eq!(time_to_columns("1970-01-02T00:00:01Z".parse().unwrap()), (1, 1_000_000_000_000));
        assert_eq!(time_from_columns(i64::MAX, i64::MAX), Timestamp::MAX);
    }
}
