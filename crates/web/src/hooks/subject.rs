//! What hooks are told of a build, read from its rows.

use crate::database::artifact::{self, Artifact};
use crate::database::build::{self, Build};
use crate::database::columns::uuid_from_column;
use crate::digest::Digest;
use builder_model::BuildId;
use rusqlite::{Connection, OptionalExtension};

/// A build that a hook is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Subject {
    pub(super) build: Build,
    pub(super) main_binary: Option<Artifact>,
    pub(super) output: Option<Output>,
    pub(super) previous: Option<Previous>,
}

/// By what an output is identified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Output {
    pub(super) kind: String,
    pub(super) digest: Digest,
}

/// The good build of the same job and platform before another one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Previous {
    pub(super) uuid: BuildId,
    /// What it left; the outer option is none as long as that is not derived.
    pub(super) output: Option<Option<Output>>,
}

/// Reads what is known of a build; none when it was removed.
pub(super) fn read(connection: &Connection, row: i64) -> rusqlite::Result<Option<Subject>> {
    let Some(build) = build::by_id(connection, row)? else { return Ok(None) };
    let main_binary = artifact::main_binary(connection, &build)?;
    let (output, previous) = (output(connection, row)?, previous(connection, row)?);
    Ok(Some(Subject { build, main_binary, output, previous }))
}

/// The output of a build; none when it left nothing, or when that is not derived.
pub(super) fn output(connection: &Connection, build: i64) -> rusqlite::Result<Option<Output>> {
    let text = "SELECT output_kind, output FROM repository_build WHERE build = ?1";
    let found = connection.prepare_cached(text)?.query_row([build], |row| output_from_row(row, 0)).optional()?;
    Ok(found.flatten())
}

/// The good build of the same job and platform that began before this one, the newest of them.
pub(super) fn previous(connection: &Connection, build: i64) -> rusqlite::Result<Option<Previous>> {
    let text = "SELECT p.uuid, r.build IS NOT NULL AND r.build NOT IN (SELECT build FROM repository_stale),
            r.output_kind, r.output
        FROM build b
        JOIN build p ON p.job = b.job AND p.platform = b.platform AND p.result_code = 0
            AND (p.start_d, p.start_ps, p.id) < (b.start_d, b.start_ps, b.id)
        LEFT JOIN repository_build r ON r.build = p.id
        WHERE b.id = ?1 ORDER BY p.start_d DESC, p.start_ps DESC, p.id DESC LIMIT 1";
    let previous = connection.prepare_cached(text)?.query_row([build], |row| {
        let is_derived: bool = row.get(1)?;
        let output = output_from_row(row, 2)?;
        let uuid = uuid_from_column(&row.get::<_, String>(0)?)?;
        Ok(Previous { uuid, output: is_derived.then_some(output) })
    });
    previous.optional()
}

fn output_from_row(row: &rusqlite::Row<'_>, first: usize) -> rusqlite::Result<Option<Output>> {
    let (kind, digest): (Option<String>, Option<Digest>) = (row.get(first)?, row.get(first + 1)?);
    Ok(kind.zip(digest).map(|(kind, digest)| Output { kind, digest }))
}
