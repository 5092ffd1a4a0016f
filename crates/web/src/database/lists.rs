//! Lists of builds, newest first: those of a job, and all that failed.

use crate::database::listed::{COLUMNS, Listed, TABLES};
use crate::http::paging::Paging;
use rusqlite::{Connection, ToSql};

/// Which builds of a job are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Which {
    /// Those whose script exited with 0.
    Good,
    /// All.
    All,
}

/// A part of a list.
#[derive(Debug)]
pub(crate) struct Part {
    pub(crate) builds: Vec<Listed>,
    /// Whether there are more after these.
    pub(crate) more: bool,
}

/// The builds of a list are chosen in an index alone; what is shown of them is read after that. They are put in their
/// order here: SQLite would write all columns of each into a sorter and read them back.
fn list_statement(condition: &str) -> String {
    format!(
        "SELECT {COLUMNS} FROM
             (SELECT id FROM build WHERE {condition} ORDER BY start_d DESC, start_ps DESC LIMIT :limit OFFSET :offset)
             AS chosen
         CROSS JOIN build b ON b.id = chosen.id {TABLES}"
    )
}

fn job_condition(which: Which, platform: Option<&str>) -> &'static str {
    match (which, platform) {
        (Which::Good, Some(_)) => "job = :job AND platform = :platform AND result_code = 0",
        // The plus keeps SQLite from an index that would have to be sorted.
        (Which::Good, None) => "job = :job AND +result_code = 0",
        (Which::All, Some(_)) => "job = :job AND platform = :platform",
        (Which::All, None) => "job = :job",
    }
}

/// The builds of a job, on one platform or on all, newest first.
pub(crate) fn of_job(
    connection: &Connection,
    job: i64,
    platform: Option<&str>,
    which: Which,
    paging: Paging,
) -> rusqlite::Result<Part> {
    let statement = list_statement(job_condition(which, platform));
    part(connection, &statement, &[(":job", &job)], platform, paging)
}

/// What there is of a job, on one platform or on all, to lead to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Latest {
    /// No good build.
    Nothing,
    /// A good build, but none with a main binary.
    Build,
    /// A good build with a main binary.
    MainBinary,
}

/// What there is to lead to, beside a part of the list. Usually the part shows it, and nothing is asked.
pub(crate) fn latest(
    connection: &Connection,
    job: i64,
    platform: Option<&str>,
    part: &Part,
) -> rusqlite::Result<Latest> {
    if part.builds.iter().any(|build| build.is_good() && build.main_binary.is_some()) {
        return Ok(Latest::MainBinary);
    }
    let mut statement = connection.prepare_cached(latest_statement(platform))?;
    let (good, main_binary) = match platform {
        Some(platform) => statement.query_row((job, platform), |row| Ok((row.get(0)?, row.get(1)?)))?,
        None => statement.query_row([job], |row| Ok((row.get(0)?, row.get(1)?)))?,
    };
    Ok(match (good, main_binary) {
        (_, true) => Latest::MainBinary,
        (true, false) => Latest::Build,
        (false, false) => Latest::Nothing,
    })
}

fn latest_statement(platform: Option<&str>) -> &'static str {
    match platform {
        Some(_) => {
            "SELECT EXISTS (SELECT 1 FROM build WHERE job = ?1 AND platform = ?2 AND result_code = 0),
                EXISTS (SELECT 1 FROM build
                        WHERE job = ?1 AND platform = ?2 AND result_code = 0 AND main_binary IS NOT NULL)"
        }
        None => {
            "SELECT EXISTS (SELECT 1 FROM build WHERE job = ?1 AND result_code = 0),
                EXISTS (SELECT 1 FROM build WHERE job = ?1 AND result_code = 0 AND main_binary IS NOT NULL)"
        }
    }
}

/// The failed builds of all jobs, newest first.
pub(crate) fn failed(connection: &Connection, platform: Option<&str>, paging: Paging) -> rusqlite::Result<Part> {
    let statement = list_statement(failed_condition(platform));
    part(connection, &statement, &[], platform, paging)
}

fn failed_condition(platform: Option<&str>) -> &'static str {
    match platform {
        Some(_) => "platform = :platform AND result_code <> 0",
        None => "result_code <> 0",
    }
}

fn part(
    connection: &Connection,
    statement: &str,
    known: &[(&str, &dyn ToSql)],
    platform: Option<&str>,
    paging: Paging,
) -> rusqlite::Result<Part> {
    let (limit, offset) = (paging.count + 1, paging.start);
    let mut parameters = known.to_vec();
    parameters.push((":limit", &limit));
    parameters.push((":offset", &offset));
    if let Some(platform) = &platform {
        parameters.push((":platform", platform));
    }
    let mut builds = connection
        .prepare_cached(statement)?
        .query_map(parameters.as_slice(), Listed::of)?
        .collect::<rusqlite::Result<Vec<_>>>()?;
    // Stable: those of one millisecond stay as they were chosen.
    builds.sort_by_key(|build| std::cmp::Reverse(build.start));
    let count = usize::try_from(paging.count).unwrap_or(usize::MAX);
    let more = builds.len() > count;
    builds.truncate(count);
    Ok(Part { builds, more })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::database::jobs::tests::plan;

    #[test]
    fn lists_are_read_in_the_order_of_an_index() {
        let folder = tempfile::tempdir().unwrap();
        let database = crate::Database::create(folder.path()).unwrap();
        let conditions = [
            (job_condition(Which::Good, Some("")), "repository_good"),
            (job_condition(Which::Good, None), "idx_build_job_start"),
            (job_condition(Which::All, Some("")), "repository_job_platform"),
            (job_condition(Which::All, None), "idx_build_job_start"),
            (failed_condition(Some("")), "repository_failed_platform"),
            (failed_condition(None), "repository_failed"),
        ];
        for (condition, index) in conditions {
            let plan = database.read(|connection| Ok(plan(connection, &list_statement(condition)))).unwrap();
            assert!(plan.contains(index), "{condition}:\n{plan}");
            assert!(!plan.contains("SCAN a\n") && !plan.contains("SCAN b\n"), "{condition}:\n{plan}");
            assert!(!plan.contains("TEMP B-TREE"), "{condition}:\n{plan}");
        }
    }

    #[test]
    fn what_there_is_to_lead_to_is_seen_in_an_index() {
        let folder = tempfile::tempdir().unwrap();
        let database = crate::Database::create(folder.path()).unwrap();
        for platform in [None, Some("")] {
            let plan = database.read(|connection| Ok(plan(connection, latest_statement(platform)))).unwrap();
            assert_eq!(plan.matches("INDEX repository_").count(), 2, "{plan}");
        }
    }
}
