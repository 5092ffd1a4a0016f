//! One build as its files are served: where they lie, and which of its artifacts matter.

use super::columns::{text, time_from_columns, uuid_from_column};
use crate::digest::Digest;
use crate::limits::BUILDS_OF_DIGEST_MAX;
use builder_model::{BuildId, Timestamp};
use rusqlite::{Connection, OptionalExtension, params};

/// The rows of a build, as far as its files need them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredBuild {
    /// Its row.
    pub row: i64,
    /// Its UUID.
    pub uuid: BuildId,
    /// The name of its job.
    pub job: String,
    /// Its platform.
    pub platform: String,
    /// Its console, relative to the data folder.
    pub console: String,
    /// Its script, relative to the data folder.
    pub script: String,
    /// When it began.
    pub started: Timestamp,
    /// When it ended.
    pub finished: Timestamp,
    /// The row of its main binary.
    pub main_binary: Option<i64>,
}

/// An artifact of a build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredArtifact {
    /// Its row.
    pub row: i64,
    /// Its path in the build.
    pub path: String,
    /// Its content.
    pub digest: Digest,
    /// Its size.
    pub bytes: u64,
}

const BUILD: &str = "b.id, b.uuid, j.name, b.platform, b.console, b.script, b.start_d, b.start_ps, b.finish_d,
    b.finish_ps, b.main_binary FROM build b JOIN job j ON j.id = b.job";

fn build(row: &rusqlite::Row<'_>) -> rusqlite::Result<StoredBuild> {
    Ok(StoredBuild {
        row: row.get(0)?,
        uuid: uuid_from_column(&row.get::<_, String>(1)?)?,
        job: text(row, 2)?,
        platform: text(row, 3)?,
        console: text(row, 4)?,
        script: text(row, 5)?,
        started: time_from_columns(row.get(6)?, row.get(7)?),
        finished: time_from_columns(row.get(8)?, row.get(9)?),
        main_binary: row.get(10)?,
    })
}

/// The build with this UUID.
pub fn by_uuid(connection: &Connection, uuid: &BuildId) -> rusqlite::Result<Option<StoredBuild>> {
    let text = format!("SELECT {BUILD} WHERE b.uuid = ?1");
    connection.prepare_cached(&text)?.query_row([uuid.to_string()], build).optional()
}

/// The build in this row.
pub fn by_row(connection: &Connection, row: i64) -> rusqlite::Result<Option<StoredBuild>> {
    let text = format!("SELECT {BUILD} WHERE b.id = ?1");
    connection.prepare_cached(&text)?.query_row([row], build).optional()
}

/// The newest good build of a job with a main binary, or, where the job has none such, the newest good one; of one
/// platform where that is given.
pub fn latest(connection: &Connection, job: &str, platform: Option<&str>) -> rusqlite::Result<Option<StoredBuild>> {
    for binary in ["AND b.main_binary IS NOT NULL", ""] {
        let of_platform = if platform.is_some() { "AND b.platform = ?2" } else { "AND ?2 IS NULL" };
        let text = format!(
            "SELECT {BUILD} WHERE b.job = (SELECT id FROM job WHERE name = ?1) AND b.result_code = 0 {binary}
                {of_platform} ORDER BY b.start_d DESC, b.start_ps DESC, b.id DESC LIMIT 1"
        );
        let found = connection.prepare_cached(&text)?.query_row(params![job, platform], build).optional()?;
        if found.is_some() {
            return Ok(found);
        }
    }
    Ok(None)
}

/// The newest build that has an artifact with this content: of those that were stored last, when very many have it.
pub fn by_digest(connection: &Connection, digest: &Digest) -> rusqlite::Result<Option<StoredBuild>> {
    let text = format!(
        "SELECT {BUILD} WHERE b.id IN
            (SELECT build FROM build_artifact WHERE sha256 = ?1 ORDER BY id DESC LIMIT {BUILDS_OF_DIGEST_MAX})
            ORDER BY b.start_d DESC, b.start_ps DESC, b.id DESC LIMIT 1"
    );
    connection.prepare_cached(&text)?.query_row([digest], build).optional()
}

fn artifact_of_row(row: &rusqlite::Row<'_>) -> rusqlite::Result<StoredArtifact> {
    Ok(StoredArtifact { row: row.get(0)?, path: text(row, 1)?, digest: row.get(2)?, bytes: row.get(3)? })
}

/// The artifact of a build at a path.
pub fn artifact(connection: &Connection, build: i64, path: &str) -> rusqlite::Result<Option<StoredArtifact>> {
    let text = "SELECT id, filepath, sha256, size FROM build_artifact WHERE build = ?1 AND filepath = ?2";
    connection.prepare_cached(text)?.query_row(params![build, path], artifact_of_row).optional()
}

/// All artifacts of a build, in the order of their rows.
pub fn artifacts(connection: &Connection, build: i64) -> rusqlite::Result<Vec<StoredArtifact>> {
    let text = "SELECT id, filepath, sha256, size FROM build_artifact WHERE build = ?1 ORDER BY id";
    connection.prepare_cached(text)?.query_map([build], artifact_of_row)?.collect()
}

/// The main binary of a build.
pub fn main_binary(connection: &Connection, build: &StoredBuild) -> rusqlite::Result<Option<StoredArtifact>> {
    let Some(row) = build.main_binary else { return Ok(None) };
    let text = "SELECT id, filepath, sha256, size FROM build_artifact WHERE id = ?1";
    connection.prepare_cached(text)?.query_row([row], artifact_of_row).optional()
}
