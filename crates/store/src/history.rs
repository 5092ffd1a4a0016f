//! Questions about finished builds, asked beside the engine over a connection that only reads.

use crate::database::{Store, build_id, job_name, platform, timestamp};
use crate::error::{StoreError, Tried};
use builder_model::state::FinishedBuild;
use builder_model::{BuildId, Outcome};
use rusqlite::{OptionalExtension, Row};
use std::path::Path;

/// The finished builds of a server.
#[derive(Debug)]
pub struct History {
    store: Store,
}

const COLUMNS: &str =
    "build, job, platform, attempts, started, finished, outcome, outcome_number, outcome_reason, record_bytes";

impl History {
    /// Opens the history of a data folder.
    pub fn open(root: &Path) -> Result<Self, StoreError> {
        Ok(Self { store: Store::open_to_read(root)? })
    }

    /// One finished build.
    pub fn find(&self, build: &BuildId) -> Result<Option<FinishedBuild>, StoreError> {
        let query = format!("SELECT {COLUMNS} FROM history WHERE build = ?1");
        let mut statement = self.store.connection().prepare_cached(&query).tried("read", self.store.path())?;
        statement.query_row([build.as_bytes()], finished_build).optional().tried("read", self.store.path())
    }

    /// The newest builds first, at most `count`.
    pub fn newest(&self, count: usize) -> Result<Vec<FinishedBuild>, StoreError> {
        let query = format!("SELECT {COLUMNS} FROM history ORDER BY number DESC LIMIT ?1");
        let mut statement = self.store.connection().prepare_cached(&query).tried("read", self.store.path())?;
        let rows = statement.query_map([i64::try_from(count).unwrap_or(i64::MAX)], finished_build);
        rows.and_then(Iterator::collect).tried("read", self.store.path())
    }
}

fn finished_build(row: &Row<'_>) -> rusqlite::Result<FinishedBuild> {
    let kind: String = row.get(6)?;
    let number = || row.get::<_, i64>(7);
    let outcome = match kind.as_str() {
        "exited" => Outcome::Exited(number()?),
        "signalled" => Outcome::Signalled(number()?),
        "stopped" => Outcome::Stopped(number()?),
        _ => Outcome::Aborted(row.get(8)?),
    };
    Ok(FinishedBuild {
        build: build_id(row, 0)?,
        job: job_name(row, 1)?,
        platform: platform(row, 2)?,
        attempts: row.get(3)?,
        started: timestamp(row, 4)?,
        finished: timestamp(row, 5)?,
        outcome,
        record_bytes: row.get(9)?,
    })
}
