//! Jobs: all of them with what they built last, and what is told of one.

use crate::database::columns::{optional_text, outcome_from_columns, text, time_from_columns};
use crate::database::latest;
use crate::database::listed::{COLUMN_COUNT, COLUMNS, Listed, TABLES};
use builder_model::{Outcome, Timestamp};
use rusqlite::{Connection, OptionalExtension, Row};
use std::collections::HashMap;

/// A job and what it built last.
#[derive(Debug)]
pub(crate) struct JobState {
    pub(crate) name: String,
    /// The section that it was given, if any.
    pub(crate) section: Option<String>,
    pub(crate) synopsis: String,
    /// Its platforms with a good build, by name.
    pub(crate) platforms: Vec<PlatformState>,
    /// The newest build on each platform where none was ever good, by the platform's name.
    pub(crate) never_good: Vec<Listed>,
}

impl JobState {
    /// Its newest good build with a main binary, else its newest good build, on whatever platform.
    pub(crate) fn latest(&self) -> Option<&PlatformState> {
        self.platforms.iter().max_by_key(|state| (state.latest.main_binary.is_some(), state.latest.start))
    }
}

/// What a job built last on one platform.
#[derive(Debug)]
pub(crate) struct PlatformState {
    /// Its newest good build with a main binary, else its newest good build.
    pub(crate) latest: Listed,
    /// What the main binary of `latest` says of itself.
    pub(crate) solo5: Option<Solo5Json>,
    /// The newest build of all, when that one failed.
    pub(crate) failing: Option<Failing>,
}

/// The notes of a unikernel, as JSON.
#[derive(Debug, Clone)]
pub(crate) struct Solo5Json {
    pub(crate) manifest: String,
    pub(crate) abi: String,
}

/// A build that failed after the latest good one.
#[derive(Debug)]
pub(crate) struct Failing {
    pub(crate) uuid: String,
    pub(crate) start: Timestamp,
    pub(crate) outcome: Outcome,
}

/// What is told of one job.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) id: i64,
    pub(crate) name: String,
    pub(crate) section: Option<String>,
    pub(crate) synopsis: String,
    pub(crate) description: Option<String>,
    /// Markdown.
    pub(crate) readme: Option<String>,
    /// All platforms that it was ever built on, by name.
    pub(crate) platforms: Vec<String>,
}

impl Job {
    /// Whether it was ever built on this platform; on none in particular it was.
    pub(crate) fn was_built_on(&self, platform: Option<&str>) -> bool {
        platform.is_none_or(|platform| self.platforms.iter().any(|known| known == platform))
    }
}

/// The value that a job `j` has under a tag.
macro_rules! tag {
    ($name:literal) => {
        concat!(
            "(SELECT value FROM job_tag WHERE tag = (SELECT id FROM tag WHERE tag = '",
            $name,
            "') AND job_tag.job = j.id)"
        )
    };
}

const JOBS: &str = concat!("SELECT j.id, j.name, ", tag!("section"), ", ", tag!("synopsis"), " FROM job j");

const ONE_JOB: &str = "job WHERE job.id = ?1";

/// Each step of the recursion is one look into an index: from a platform of a job to its next one.
fn states_statement(jobs: &str) -> String {
    let latest = latest::row_of("pair.job", "pair.platform");
    let newest = "(SELECT id FROM build WHERE job = pair.job AND platform = pair.platform
                   ORDER BY start_d DESC, start_ps DESC LIMIT 1)";
    format!(
        "WITH RECURSIVE pair(job, platform) AS (
             SELECT id, (SELECT min(platform) FROM build WHERE build.job = job.id) FROM {jobs}
             UNION ALL
             SELECT job, (SELECT min(platform) FROM build
                          WHERE build.job = pair.job AND build.platform > pair.platform)
             FROM pair WHERE platform IS NOT NULL
         )
         SELECT {COLUMNS}, b.job, s.solo5_manifest, s.solo5_abi,
                n.uuid, n.start_d, n.start_ps, n.result_code, n.result_msg
         FROM pair
         CROSS JOIN build b ON b.id = coalesce({latest}, {newest})
         CROSS JOIN build n ON n.id = {newest}
         {TABLES}
         LEFT JOIN repository_binary s ON s.sha256 = a.sha256
         WHERE pair.platform IS NOT NULL"
    )
}

/// All jobs with what they built last, by section (those without one last) and name. Two statements, whatever there is.
pub(crate) fn states(connection: &Connection) -> rusqlite::Result<Vec<JobState>> {
    let mut by_id: HashMap<i64, JobState> = connection
        .prepare_cached(JOBS)?
        .query_map([], |row| {
            let (section, synopsis) = (optional_text(row, 2)?, optional_text(row, 3)?);
            let state = JobState {
                name: text(row, 1)?,
                section: section.filter(|section| !section.is_empty()),
                synopsis: synopsis.unwrap_or_default(),
                platforms: Vec::new(),
                never_good: Vec::new(),
            };
            Ok((row.get(0)?, state))
        })?
        .collect::<rusqlite::Result<_>>()?;
    let mut statement = connection.prepare_cached(&states_statement("job"))?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        if let Some(job) = by_id.get_mut(&row.get(COLUMN_COUNT)?) {
            let state = platform_state(row)?;
            if state.latest.is_good() {
                job.platforms.push(state);
            } else {
                job.never_good.push(state.latest);
            }
        }
    }
    let mut jobs: Vec<_> = by_id.into_values().collect();
    for job in &mut jobs {
        job.platforms.sort_by(|one, other| one.latest.platform.cmp(&other.latest.platform));
        job.never_good.sort_by(|one, other| one.platform.cmp(&other.platform));
    }
    jobs.sort_by(|one, other| {
        let key = |job: &JobState| (job.section.is_none(), job.section.clone(), job.name.clone());
        key(one).cmp(&key(other))
    });
    Ok(jobs)
}

/// What one job built last, by platform; platforms where none was ever good are left out.
pub(crate) fn states_of(connection: &Connection, job: &Job) -> rusqlite::Result<Vec<PlatformState>> {
    let mut statement = connection.prepare_cached(&states_statement(ONE_JOB))?;
    let mut states = statement.query_map([job.id], platform_state)?.collect::<rusqlite::Result<Vec<_>>>()?;
    states.retain(|state| state.latest.is_good());
    states.sort_by(|one, other| one.latest.platform.cmp(&other.latest.platform));
    Ok(states)
}

fn platform_state(row: &Row<'_>) -> rusqlite::Result<PlatformState> {
    let solo5 = match (row.get(COLUMN_COUNT + 1)?, row.get(COLUMN_COUNT + 2)?) {
        (Some(manifest), Some(abi)) => Some(Solo5Json { manifest, abi }),
        (Some(_) | None, _) => None,
    };
    let message = optional_text(row, COLUMN_COUNT + 7)?;
    let newest = outcome_from_columns(row.get(COLUMN_COUNT + 6)?, message.as_deref());
    let failing = if newest.is_success() {
        None
    } else {
        let start = time_from_columns(row.get(COLUMN_COUNT + 4)?, row.get(COLUMN_COUNT + 5)?);
        Some(Failing { uuid: row.get(COLUMN_COUNT + 3)?, start, outcome: newest })
    };
    Ok(PlatformState { latest: Listed::of(row)?, solo5, failing })
}

const JOB: &str = concat!(
    "SELECT j.id, j.name, ",
    tag!("section"),
    ", ",
    tag!("synopsis"),
    ", ",
    tag!("description"),
    ", coalesce(",
    tag!("readme.md"),
    ", ",
    tag!("readme"),
    ") FROM job j WHERE j.name = ?1"
);

/// What is told of the job of this name.
pub(crate) fn job(connection: &Connection, name: &str) -> rusqlite::Result<Option<Job>> {
    let filled = |text: Option<String>| text.filter(|text| !text.trim().is_empty());
    let found = connection
        .prepare_cached(JOB)?
        .query_row([name], |row| {
            Ok(Job {
                id: row.get(0)?,
                name: text(row, 1)?,
                section: filled(optional_text(row, 2)?),
                synopsis: optional_text(row, 3)?.unwrap_or_default(),
                description: filled(optional_text(row, 4)?),
                readme: filled(optional_text(row, 5)?),
                platforms: Vec::new(),
            })
        })
        .optional()?;
    let Some(mut job) = found else { return Ok(None) };
    job.platforms = latest::platforms(connection, job.id)?;
    Ok(Some(job))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// The plan of a statement, a line for each step.
    pub(crate) fn plan(connection: &Connection, statement: &str) -> String {
        let mut explained = connection.prepare(&format!("EXPLAIN QUERY PLAN {statement}")).unwrap();
        let count = explained.parameter_count();
        (1..=count).for_each(|index| explained.raw_bind_parameter(index, 1).unwrap());
        let mut rows = explained.raw_query();
        let mut lines = Vec::new();
        while let Some(row) = rows.next().unwrap() {
            lines.push(row.get::<_, String>(3).unwrap());
        }
        lines.join("\n")
    }

    #[test]
    fn the_front_page_looks_into_indices_only() {
        let folder = tempfile::tempdir().unwrap();
        let database = crate::Database::create(folder.path()).unwrap();
        let plans = |connection: &Connection| {
            Ok([&states_statement("job"), &states_statement(ONE_JOB), JOB].map(|statement| plan(connection, statement)))
        };
        for plan in database.read(plans).unwrap() {
            for scanned in ["SCAN build", "SCAN b\n", "SCAN a\n", "SCAN n\n", "SCAN job_tag", "TEMP B-TREE"] {
                assert!(!plan.contains(scanned), "{scanned} in\n{plan}");
            }
        }
    }
}
