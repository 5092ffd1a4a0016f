//! Builds that belong to one build: with the same input or output, before and after it, the newest of its job.
//!
//! A build is good when its script exited with 0; only good builds are shown as related, and only a good build is
//! judged. The output of a build of which nothing was derived yet is that of its main binary.

use crate::database::build::{Build, COLUMNS, Derived, TABLES, by_id, from_row};
use crate::database::columns::text;
use crate::database::stored;
use crate::digest::Digest;
use crate::limits::RELATED_COUNTED_MAX;
use rusqlite::{Connection, OptionalExtension, params};

/// Some builds, and how many there are.
#[derive(Debug, Clone, Default)]
pub(crate) struct Related {
    /// The newest of them.
    pub(crate) builds: Vec<Build>,
    /// How many there are; [`RELATED_COUNTED_MAX`] when there may be more.
    pub(crate) count: u64,
}

/// What tells how far a build can be reproduced.
#[derive(Debug, Clone, Default)]
pub(crate) struct Reproduction {
    /// Other builds with the same input and the same output.
    pub(crate) reproduced_by: Related,
    /// One build for each other output that came of the same input.
    pub(crate) other_outputs: Related,
    /// One build for each other input that gave the same output.
    pub(crate) other_inputs: Related,
}

/// Builds of the same job to compare with.
#[derive(Debug, Clone, Default)]
pub(crate) struct Neighbours {
    /// The latest one on the same platform, when it is another one.
    pub(crate) latest: Option<Build>,
    /// The next later one on the same platform whose output differs.
    pub(crate) later_different: Option<Build>,
    /// The next earlier one on the same platform whose output differs.
    pub(crate) earlier_different: Option<Build>,
    /// The latest ones on other platforms.
    pub(crate) other_platforms: Vec<Build>,
}

/// How far a build can be reproduced, with at most `shown` builds of each kind.
pub(crate) fn reproduction(connection: &Connection, build: &Build, shown: usize) -> rusqlite::Result<Reproduction> {
    let Some(Derived { input: Some((_, input)), output: Some((_, output)), .. }) = &build.derived else {
        return Ok(Reproduction::default());
    };
    Ok(Reproduction {
        reproduced_by: reproduced_by(connection, build.id, input, output, shown)?,
        other_outputs: newest_of_each(connection, OTHER_OUTPUTS, input, output, shown)?,
        other_inputs: newest_of_each(connection, OTHER_INPUTS, output, input, shown)?,
    })
}

fn reproduced_by(
    connection: &Connection,
    build: i64,
    input: &Digest,
    output: &Digest,
    shown: usize,
) -> rusqlite::Result<Related> {
    let query = "SELECT build FROM repository_build JOIN build ON build.id = repository_build.build \
                 WHERE input = ?1 AND output = ?2 AND repository_build.build <> ?3 AND result_code = 0 \
                 ORDER BY repository_build.build DESC LIMIT ?4";
    let mut statement = connection.prepare_cached(query)?;
    let rows = statement.query_map(params![input, output, build, RELATED_COUNTED_MAX], |row| row.get(0))?;
    some(connection, rows.collect::<rusqlite::Result<_>>()?, shown)
}

// Both stop looking after so many builds: one job may have built thousands of outputs from one input.
const OTHER_OUTPUTS: &str = "SELECT max(id) FROM (SELECT b.id, r.output AS other FROM repository_build r \
    JOIN build b ON b.id = r.build \
    WHERE r.input = ?1 AND r.output IS NOT NULL AND r.output <> ?2 AND b.result_code = 0 LIMIT ?3) \
    GROUP BY other ORDER BY 1 DESC";
const OTHER_INPUTS: &str = "SELECT max(id) FROM (SELECT b.id, r.input AS other FROM repository_build r \
    JOIN build b ON b.id = r.build \
    WHERE r.output = ?1 AND r.input IS NOT NULL AND r.input <> ?2 AND b.result_code = 0 LIMIT ?3) \
    GROUP BY other ORDER BY 1 DESC";

fn newest_of_each(
    connection: &Connection,
    query: &str,
    same: &Digest,
    other: &Digest,
    shown: usize,
) -> rusqlite::Result<Related> {
    let mut statement = connection.prepare_cached(query)?;
    let rows = statement.query_map(params![same, other, RELATED_COUNTED_MAX], |row| row.get(0))?;
    some(connection, rows.collect::<rusqlite::Result<_>>()?, shown)
}

fn some(connection: &Connection, ids: Vec<i64>, shown: usize) -> rusqlite::Result<Related> {
    let builds = ids.iter().take(shown).map(|id| by_id(connection, *id));
    Ok(Related { builds: builds.collect::<rusqlite::Result<_>>()?, count: ids.len().try_into().unwrap_or(u64::MAX) })
}

/// Builds of the same job to compare with; those on other platforms are at most `platforms`.
pub(crate) fn neighbours(connection: &Connection, build: &Build, platforms: usize) -> rusqlite::Result<Neighbours> {
    let latest = latest(connection, build, &build.platform)?.filter(|latest| latest.id != build.id);
    let (later_different, earlier_different) = match output_of(connection, build)? {
        Some(output) if build.outcome.is_success() => (
            different(connection, build, &output, Direction::Later)?,
            different(connection, build, &output, Direction::Earlier)?,
        ),
        Some(_) | None => (None, None),
    };
    let query = "SELECT DISTINCT platform FROM build WHERE job = ?1 AND platform <> ?2 ORDER BY platform LIMIT ?3";
    let mut statement = connection.prepare_cached(query)?;
    let names = statement
        .query_map(params![build.job_id, build.platform, platforms], |row| text(row, 0))?
        .collect::<rusqlite::Result<Vec<_>>>()?;
    let others = names.iter().map(|platform| self::latest(connection, build, platform));
    let other_platforms = others.filter_map(Result::transpose).collect::<rusqlite::Result<_>>()?;
    Ok(Neighbours { latest, later_different, earlier_different, other_platforms })
}

/// The newest good build of a job on a platform that has a main binary; if none has one, the newest good build.
fn latest(connection: &Connection, build: &Build, platform: &str) -> rusqlite::Result<Option<Build>> {
    let found = stored::latest(connection, &build.job, Some(platform))?;
    found.map(|found| by_id(connection, found.row)).transpose()
}

fn output_of(connection: &Connection, build: &Build) -> rusqlite::Result<Option<Digest>> {
    let derived = build.derived.as_ref().and_then(|derived| derived.output).map(|(_, digest)| digest);
    let (None, Some(main_binary)) = (derived, build.main_binary) else { return Ok(derived) };
    Ok(crate::database::build::artifact(connection, main_binary)?.map(|artifact| artifact.sha256))
}

#[derive(Debug, Clone, Copy)]
enum Direction {
    Earlier,
    Later,
}

fn different(
    connection: &Connection,
    build: &Build,
    output: &Digest,
    direction: Direction,
) -> rusqlite::Result<Option<Build>> {
    let (compared, order) = match direction {
        Direction::Earlier => ("<", "DESC"),
        Direction::Later => (">", "ASC"),
    };
    let query = format!(
        "SELECT {COLUMNS} FROM {TABLES} WHERE b.job = ?1 AND b.platform = ?2 AND b.result_code = 0 \
         AND (b.start_d, b.start_ps) {compared} (?3, ?4) \
         AND coalesce(r.output, (SELECT sha256 FROM build_artifact WHERE id = b.main_binary)) <> ?5 \
         ORDER BY b.start_d {order}, b.start_ps {order} LIMIT 1"
    );
    let (days, picoseconds) = build.start_columns;
    let parameters = params![build.job_id, build.platform, days, picoseconds, output];
    connection.prepare_cached(&query)?.query_row(parameters, from_row).optional()
}
