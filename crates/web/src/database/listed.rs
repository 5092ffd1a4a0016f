//! A build as lists show it. Every list of builds selects [`COLUMNS`] `FROM` [`TABLES`], so that they read alike.

use crate::database::artifact::is_sound;
use crate::database::columns::{optional_text, outcome_from_columns, text, time_from_columns};
use crate::digest::Digest;
use builder_model::{Outcome, Timestamp};
use rusqlite::Row;

/// What is selected of a build `b`, its job `j`, its main binary `a` and what was derived from it, `r`.
pub(crate) const COLUMNS: &str = "b.uuid, j.name, b.platform, b.start_d, b.start_ps, b.finish_d, b.finish_ps, \
     b.result_code, b.result_msg, a.filepath, a.sha256, a.size, r.output, r.artifact_count, r.artifact_bytes";
/// How many [`COLUMNS`] there are: what else is selected begins here.
pub(crate) const COLUMN_COUNT: usize = 15;
/// Joins what was derived from a build `b`, as `r`, read in an index in which builds of one job lie side by side: it has
/// only what lists show, and the output.
macro_rules! derived {
    () => {
        "LEFT JOIN repository_build r INDEXED BY repository_build_listed
             ON r.job = b.job AND r.start_d = b.start_d AND r.start_ps = b.start_ps AND r.build = b.id"
    };
}
pub(super) use derived;

/// What is joined to a build `b`, each by its key.
pub(crate) const TABLES: &str = concat!(
    "CROSS JOIN job j ON j.id = b.job
     LEFT JOIN build_artifact a ON a.id = b.main_binary AND ",
    is_sound!("a.sha256"),
    "
     ",
    derived!()
);

/// A build as lists show it.
#[derive(Debug, Clone)]
pub(crate) struct Listed {
    pub(crate) uuid: String,
    pub(crate) job: String,
    pub(crate) platform: String,
    pub(crate) start: Timestamp,
    pub(crate) finish: Timestamp,
    pub(crate) outcome: Outcome,
    pub(crate) main_binary: Option<Binary>,
    /// By what its output is identified; none before that was derived, and for a build that left nothing.
    pub(crate) output: Option<Digest>,
    /// How many artifacts it left, and their size; none before that was derived.
    pub(crate) artifacts: Option<Artifacts>,
}

/// The main binary of a build.
#[derive(Debug, Clone)]
pub(crate) struct Binary {
    pub(crate) filepath: String,
    pub(crate) sha256: Digest,
    pub(crate) size: u64,
}

/// What a build left.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Artifacts {
    pub(crate) count: u64,
    pub(crate) bytes: u64,
}

impl Listed {
    /// Reads [`COLUMNS`].
    pub(crate) fn of(row: &Row<'_>) -> rusqlite::Result<Self> {
        let main_binary = match (optional_text(row, 9)?, row.get(10)?) {
            (Some(filepath), Some(sha256)) => Some(Binary { filepath, sha256, size: size(row, 11)? }),
            (Some(_) | None, _) => None,
        };
        let artifacts = match row.get::<_, Option<i64>>(13)? {
            Some(_) => Some(Artifacts { count: size(row, 13)?, bytes: size(row, 14)? }),
            None => None,
        };
        Ok(Self {
            uuid: row.get(0)?,
            job: text(row, 1)?,
            platform: text(row, 2)?,
            start: time_from_columns(row.get(3)?, row.get(4)?),
            finish: time_from_columns(row.get(5)?, row.get(6)?),
            outcome: outcome_from_columns(row.get(7)?, optional_text(row, 8)?.as_deref()),
            main_binary,
            output: row.get(12)?,
            artifacts,
        })
    }

    /// Whether its script exited with 0.
    pub(crate) fn is_good(&self) -> bool {
        self.outcome.is_success()
    }

    /// How long it took, in milliseconds.
    pub(crate) fn duration(&self) -> i64 {
        self.finish.milliseconds_since(self.start)
    }

    /// The size that stands for it: that of its main binary, else of all it left.
    pub(crate) fn size(&self) -> Option<u64> {
        self.main_binary.as_ref().map(|binary| binary.size).or(self.artifacts.map(|artifacts| artifacts.bytes))
    }
}

/// A column that is never negative; the original's could be.
fn size(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    Ok(u64::try_from(row.get::<_, i64>(column)?).unwrap_or(0))
}
