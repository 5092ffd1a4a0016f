//! Builds that belong to one build: with the same input or output, before and after it, the newest of its job.
//!
//! A build is good when its script exited with 0; only good builds are shown as related, and only a good build is
//! judged. The output of a build of which nothing was derived yet is that of its main binary.

use crate::database::artifact::{self, Artifact, Listing, is_sound};
use crate::database::build::{self, Build, Derived};
use crate::database::latest;
use crate::database::listed::derived;
use crate::digest::Digest;
use crate::limits::{RELATED_ARTIFACTS_MAX, RELATED_COUNTED_MAX};
use builder_facts::identity::is_output;
use rusqlite::{Connection, params};
use std::collections::{BTreeMap, HashSet};

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
    /// Whether the build is still to be judged by the rules of today.
    pub(crate) is_stale: bool,
}

/// How the artifacts that came out of two builds differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Difference {
    /// Paths that one of them has, or both.
    pub(crate) paths: u64,
    /// Those that only one has, or with another content.
    pub(crate) differing: u64,
    /// Whether both have the same main binary; none if neither has any.
    pub(crate) same_main_binary: Option<bool>,
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
    let stale = "SELECT 1 FROM repository_stale WHERE build = ?1";
    if connection.prepare_cached(stale)?.exists([build.id])? {
        return Ok(Reproduction { is_stale: true, ..Reproduction::default() });
    }
    Ok(Reproduction {
        is_stale: false,
        reproduced_by: reproduced_by(connection, build.id, input, output, shown)?,
        other_outputs: newest_of_each(connection, OTHER_OUTPUTS, input, output, shown)?,
        other_inputs: newest_of_each(connection, OTHER_INPUTS, output, input, shown)?,
    })
}

/// How what came out of a build differs from what came out of those with the same input that are shown, by their rows.
/// Nothing is said of builds with more than [`RELATED_ARTIFACTS_MAX`] artifacts: that is what a comparison is for.
pub(crate) fn differences(
    connection: &Connection,
    listing: &Listing<'_>,
    reproduction: &Reproduction,
) -> rusqlite::Result<BTreeMap<i64, Difference>> {
    let mut differences = BTreeMap::new();
    let others: Vec<&Build> =
        reproduction.reproduced_by.builds.iter().chain(&reproduction.other_outputs.builds).collect();
    if others.is_empty() {
        return Ok(differences);
    }
    let build = listing.build();
    let own = match listing.all().filter(|_| has_few(build)) {
        Some(artifacts) => Some(Outputs::of(build, artifacts)),
        None => outputs(connection, build)?,
    };
    let Some(own) = own else { return Ok(differences) };
    for other in others {
        if let Some(theirs) = outputs(connection, other)? {
            differences.insert(other.id, own.difference(&theirs));
        }
    }
    Ok(differences)
}

/// What came out of a build.
struct Outputs {
    main_binary: Option<Digest>,
    artifacts: BTreeMap<String, Digest>,
}

fn outputs(connection: &Connection, build: &Build) -> rusqlite::Result<Option<Outputs>> {
    if !has_few(build) {
        return Ok(None);
    }
    let artifacts = artifact::some(connection, build.id, 0, RELATED_ARTIFACTS_MAX)?;
    Ok(Some(Outputs::of(build, &artifacts)))
}

/// Whether a build has so few artifacts that they are compared.
fn has_few(build: &Build) -> bool {
    let is_few = |count: u64| count <= u64::from(RELATED_ARTIFACTS_MAX);
    build.derived.as_ref().is_some_and(|derived| is_few(derived.artifact_count))
}

impl Outputs {
    fn of(build: &Build, artifacts: &[Artifact]) -> Self {
        let main_binary = artifacts.iter().find(|artifact| Some(artifact.id) == build.main_binary);
        let outputs = artifacts.iter().filter(|artifact| is_output(&artifact.path));
        Self {
            main_binary: main_binary.map(|artifact| artifact.sha256),
            artifacts: outputs.map(|artifact| (artifact.path.clone(), artifact.sha256)).collect(),
        }
    }

    fn difference(&self, other: &Self) -> Difference {
        let number = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
        let only_theirs = other.artifacts.keys().filter(|path| !self.artifacts.contains_key(*path)).count();
        let changed = self.artifacts.iter().filter(|(path, digest)| other.artifacts.get(*path) != Some(digest)).count();
        let has_main_binary = self.main_binary.is_some() || other.main_binary.is_some();
        Difference {
            paths: number(self.artifacts.len() + only_theirs),
            differing: number(changed + only_theirs),
            same_main_binary: has_main_binary.then(|| self.main_binary == other.main_binary),
        }
    }
}

const REPRODUCED_BY: &str = "SELECT r.build FROM repository_build r CROSS JOIN build b ON b.id = r.build \
    WHERE r.input = ?1 AND r.output = ?2 AND r.build <> ?3 AND b.result_code = 0 \
    AND r.build NOT IN (SELECT build FROM repository_stale) ORDER BY r.start_d DESC, r.start_ps DESC LIMIT ?4";

fn reproduced_by(
    connection: &Connection,
    build: i64,
    input: &Digest,
    output: &Digest,
    shown: usize,
) -> rusqlite::Result<Related> {
    let mut statement = connection.prepare_cached(REPRODUCED_BY)?;
    let rows = statement.query_map(params![input, output, build, RELATED_COUNTED_MAX], |row| row.get(0))?;
    some(connection, rows.collect::<rusqlite::Result<_>>()?, shown)
}

// Both stop looking after so many builds: one job may have built thousands of outputs from one input.
const OTHER_OUTPUTS: &str = "SELECT r.build, r.output FROM repository_build r CROSS JOIN build b ON b.id = r.build \
    WHERE r.input = ?1 AND r.output IS NOT NULL AND r.output <> ?2 AND b.result_code = 0 \
    AND r.build NOT IN (SELECT build FROM repository_stale) ORDER BY r.start_d DESC, r.start_ps DESC LIMIT ?3";
const OTHER_INPUTS: &str = "SELECT r.build, r.input FROM repository_build r CROSS JOIN build b ON b.id = r.build \
    WHERE r.output = ?1 AND r.input IS NOT NULL AND r.input <> ?2 AND b.result_code = 0 \
    AND r.build NOT IN (SELECT build FROM repository_stale) ORDER BY r.start_d DESC, r.start_ps DESC LIMIT ?3";

fn newest_of_each(
    connection: &Connection,
    query: &str,
    same: &Digest,
    other: &Digest,
    shown: usize,
) -> rusqlite::Result<Related> {
    let mut statement = connection.prepare_cached(query)?;
    let mut rows = statement.query(params![same, other, RELATED_COUNTED_MAX])?;
    let (mut seen, mut newest) = (HashSet::new(), Vec::new());
    while let Some(row) = rows.next()? {
        if seen.insert(row.get::<_, Digest>(1)?) {
            newest.push(row.get(0)?);
        }
    }
    some(connection, newest, shown)
}

fn some(connection: &Connection, ids: Vec<i64>, shown: usize) -> rusqlite::Result<Related> {
    let builds = ids.iter().take(shown).filter_map(|id| build::by_id(connection, *id).transpose());
    Ok(Related { builds: builds.collect::<rusqlite::Result<_>>()?, count: ids.len().try_into().unwrap_or(u64::MAX) })
}

/// Builds of the same job to compare with; those on other platforms are at most `platforms`.
pub(crate) fn neighbours(connection: &Connection, build: &Build, platforms: usize) -> rusqlite::Result<Neighbours> {
    let mut rows = latest::by_platform(connection, build.job_id, &build.platform, platforms + 1)?.into_iter();
    let by_row = |row: i64| build::by_id(connection, row);
    let latest = rows.next().flatten().filter(|row| *row != build.id).map_or(Ok(None), by_row)?;
    let other_platforms = rows.flatten().filter_map(|row| by_row(row).transpose()).collect::<rusqlite::Result<_>>()?;
    let (later_different, earlier_different) = match output_of(connection, build)? {
        Some(output) if build.outcome.is_success() => (
            different(connection, build, &output, Direction::Later)?,
            different(connection, build, &output, Direction::Earlier)?,
        ),
        Some(_) | None => (None, None),
    };
    Ok(Neighbours { latest, later_different, earlier_different, other_platforms })
}

fn output_of(connection: &Connection, build: &Build) -> rusqlite::Result<Option<Digest>> {
    let derived = build.derived.as_ref().and_then(|derived| derived.output).map(|(_, digest)| digest);
    if derived.is_some() {
        return Ok(derived);
    }
    Ok(artifact::main_binary(connection, build)?.map(|artifact| artifact.sha256))
}

#[derive(Debug, Clone, Copy)]
enum Direction {
    Earlier,
    Later,
}

/// The next build on that side whose output is another one, among the [`RELATED_COUNTED_MAX`] good ones there: a job
/// may have given the same output for years.
fn different(
    connection: &Connection,
    build: &Build,
    output: &Digest,
    direction: Direction,
) -> rusqlite::Result<Option<Build>> {
    let mut statement = connection.prepare_cached(&outputs_statement(direction))?;
    let (days, picoseconds) = build.start_columns;
    let mut rows = statement.query(params![build.job_id, build.platform, days, picoseconds, RELATED_COUNTED_MAX])?;
    while let Some(row) = rows.next()? {
        if row.get::<_, Option<Digest>>(1)?.is_some_and(|other| other != *output) {
            return build::by_id(connection, row.get(0)?);
        }
    }
    Ok(None)
}

/// Good builds with their outputs, the nearest first: read one by one, in the order of an index.
fn outputs_statement(direction: Direction) -> String {
    let (compared, order) = match direction {
        Direction::Earlier => ("<", "DESC"),
        Direction::Later => (">", "ASC"),
    };
    format!(
        "SELECT b.id, coalesce(r.output, (SELECT sha256 FROM build_artifact WHERE id = b.main_binary AND {}))
         FROM build b INDEXED BY repository_good {}
         WHERE b.job = ?1 AND b.platform = ?2 AND b.result_code = 0 AND (b.start_d, b.start_ps) {compared} (?3, ?4)
         ORDER BY b.start_d {order}, b.start_ps {order} LIMIT ?5",
        is_sound!("sha256"),
        derived!()
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::database::jobs::tests::plan;

    #[test]
    fn builds_of_one_input_or_output_are_read_in_the_order_of_an_index() {
        let folder = tempfile::tempdir().unwrap();
        let database = crate::Database::create(folder.path()).unwrap();
        for statement in [REPRODUCED_BY, OTHER_OUTPUTS, OTHER_INPUTS] {
            let plan = database.read(|connection| Ok(plan(connection, statement))).unwrap();
            assert!(plan.contains("SEARCH r USING COVERING INDEX repository_build_of_"), "{plan}");
            assert!(!plan.contains("TEMP B-TREE") && !plan.contains("SCAN"), "{plan}");
        }
    }

    #[test]
    fn neighbours_are_read_in_the_order_of_an_index() {
        let folder = tempfile::tempdir().unwrap();
        let database = crate::Database::create(folder.path()).unwrap();
        for direction in [Direction::Earlier, Direction::Later] {
            let plan = database.read(|connection| Ok(plan(connection, &outputs_statement(direction)))).unwrap();
            assert!(plan.contains("SEARCH b USING INDEX repository_good (job=? AND platform=?"), "{plan}");
            assert!(plan.contains("SEARCH r USING COVERING INDEX") && !plan.contains("TEMP B-TREE"), "{plan}");
        }
    }
}
