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
fn list_statement(index: &str, condition: &str, build: &str) -> String {
    format!(
        "SELECT {COLUMNS} FROM
             (SELECT id, start_d, start_ps FROM build INDEXED BY {index} WHERE {condition}
              ORDER BY start_d DESC, start_ps DESC LIMIT :limit OFFSET :offset) AS chosen
         CROSS JOIN build b {build} {TABLES}"
    )
}

fn job_statement(which: Which, platform: Option<&str>) -> String {
    let (index, condition) = match (which, platform) {
        (Which::Good, Some(_)) => ("repository_good", "job = :job AND platform = :platform AND result_code = 0"),
        (Which::Good, None) => ("repository_job_good", "job = :job AND result_code = 0"),
        (Which::All, Some(_)) => ("repository_job_platform", "job = :job AND platform = :platform"),
        (Which::All, None) => ("repository_listed", "job = :job"),
    };
    // The rows lie far apart, and have much that lists do not show.
    let build = "INDEXED BY repository_listed
         ON b.job = :job AND b.start_d = chosen.start_d AND b.start_ps = chosen.start_ps AND b.id = chosen.id";
    list_statement(index, condition, build)
}

/// The builds of a job, on one platform or on all, newest first.
pub(crate) fn of_job(
    connection: &Connection,
    job: i64,
    platform: Option<&str>,
    which: Which,
    paging: Paging,
) -> rusqlite::Result<Part> {
    let statement = job_statement(which, platform);
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
            "SELECT EXISTS (SELECT 1 FROM build INDEXED BY repository_good
                            WHERE job = ?1 AND platform = ?2 AND result_code = 0),
                EXISTS (SELECT 1 FROM build INDEXED BY repository_latest
                        WHERE job = ?1 AND platform = ?2 AND result_code = 0 AND main_binary IS NOT NULL)"
        }
        None => {
            "SELECT EXISTS (SELECT 1 FROM build INDEXED BY repository_good WHERE job = ?1 AND result_code = 0),
                EXISTS (SELECT 1 FROM build INDEXED BY repository_latest
                        WHERE job = ?1 AND result_code = 0 AND main_binary IS NOT NULL)"
        }
    }
}

/// The failed builds of all jobs, newest first.
pub(crate) fn failed(connection: &Connection, platform: Option<&str>, paging: Paging) -> rusqlite::Result<Part> {
    part(connection, &failed_statement(platform), &[], platform, paging)
}

fn failed_statement(platform: Option<&str>) -> String {
    let (index, condition) = match platform {
        Some(_) => ("repository_failed_platform", "platform = :platform AND result_code <> 0"),
        None => ("repository_failed", "result_code <> 0"),
    };
    list_statement(index, condition, "ON b.id = chosen.id")
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
        let derived =
            "SEARCH r USING COVERING INDEX repository_build_listed (job=? AND start_d=? AND start_ps=? AND build=?)";
        let of_job = "SEARCH b USING COVERING INDEX repository_listed (job=? AND start_d=? AND start_ps=? AND id=?)";
        let statements = [
            (job_statement(Which::Good, Some("")), "COVERING INDEX repository_good (job=? AND platform=?)", of_job),
            (job_statement(Which::Good, None), "COVERING INDEX repository_job_good (job=?)", of_job),
            (
                job_statement(Which::All, Some("")),
                "COVERING INDEX repository_job_platform (job=? AND platform=?)",
                of_job,
            ),
            (job_statement(Which::All, None), "COVERING INDEX repository_listed (job=?)", of_job),
            (
                failed_statement(Some("")),
                "INDEX repository_failed_platform (platform=?)",
                "SEARCH b USING INTEGER PRIMARY KEY",
            ),
            (failed_statement(None), "INDEX repository_failed", "SEARCH b USING INTEGER PRIMARY KEY"),
        ];
        for (statement, chosen, build) in statements {
            let plan = database.read(|connection| Ok(plan(connection, &statement))).unwrap();
            for step in [chosen, build, derived, "SEARCH a USING INTEGER PRIMARY KEY"] {
                assert!(plan.contains(step), "{step} in\n{plan}");
            }
            assert!(!plan.contains("TEMP B-TREE"), "{plan}");
        }
    }

    #[test]
    fn what_there_is_to_lead_to_is_seen_in_an_index() {
        let folder = tempfile::tempdir().unwrap();
        let database = crate::Database::create(folder.path()).unwrap();
        for platform in [None, Some("")] {
            let plan = database.read(|connection| Ok(plan(connection, latest_statement(platform)))).unwrap();
            let known = if platform.is_some() { "(job=? AND platform=?)" } else { "(job=?)" };
            assert_eq!(plan.matches(&format!("INDEX repository_good {known}")).count(), 1, "{plan}");
            assert_eq!(plan.matches(&format!("INDEX repository_latest {known}")).count(), 1, "{plan}");
        }
    }
}
