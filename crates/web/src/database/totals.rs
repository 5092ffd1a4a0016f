//! How much there is: numbers of the whole repository, for its operator.

use rusqlite::Connection;

/// How much is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Totals {
    pub(crate) builds: u64,
    /// Artifacts that builds name, each as often as it is named.
    pub(crate) artifacts: u64,
    /// Their sizes together.
    pub(crate) artifact_bytes: u64,
}

/// Counts what is stored: one look at each row of an artifact, so not for every request.
pub(crate) fn totals(connection: &Connection) -> rusqlite::Result<Totals> {
    let builds = connection.prepare_cached("SELECT count(*) FROM build")?.query_row([], |row| row.get(0))?;
    let text = "SELECT count(*), coalesce(sum(max(size, 0)), 0) FROM build_artifact";
    let (artifacts, artifact_bytes) =
        connection.prepare_cached(text)?.query_row([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(Totals { builds, artifacts, artifact_bytes })
}

/// Hooks that are not done, by state; each state is counted up to `most`.
pub(crate) fn hook_runs(connection: &Connection, most: u32) -> rusqlite::Result<Vec<(String, u64)>> {
    let text = "SELECT count(*) FROM
        (SELECT 1 FROM repository_hook_run WHERE state IN ('waiting', 'running') AND state = ?1 LIMIT ?2)";
    let mut statement = connection.prepare_cached(text)?;
    ["waiting", "running"]
        .into_iter()
        .map(|state| Ok((state.to_owned(), statement.query_row(rusqlite::params![state, most], |row| row.get(0))?)))
        .collect()
}

/// Reads a row: whether the database can be read.
pub(crate) fn probe(connection: &Connection) -> rusqlite::Result<i64> {
    connection.prepare_cached("SELECT count(*) FROM (SELECT 1 FROM build LIMIT 1)")?.query_row([], |row| row.get(0))
}
