//! The latest build of a job: the newest good one with a main binary, or, where there is none such, the newest good one.
//! It costs a look or two into an index for each platform, however many builds there are and failed since.

use super::build::{self, Build};
use super::columns::text;
use super::distinct;
use rusqlite::{Connection, OptionalExtension, named_params};

/// The beginning of a statement, with a table `known` of the platforms that a job, `:job`, was ever built on.
fn known_platforms() -> String {
    distinct::known("platform", "build", "job = :job")
}

/// The row of the latest build of a job on a platform, both given as expressions of SQL. The indices are named, as
/// SQLite would rather walk one that has the failed builds, too.
pub(super) fn row_of(job: &str, platform: &str) -> String {
    format!(
        "coalesce(
             (SELECT id FROM build INDEXED BY repository_latest
              WHERE result_code = 0 AND main_binary IS NOT NULL AND job = {job} AND platform = {platform}
              ORDER BY start_d DESC, start_ps DESC LIMIT 1),
             (SELECT id FROM build INDEXED BY repository_good
              WHERE result_code = 0 AND job = {job} AND platform = {platform}
              ORDER BY start_d DESC, start_ps DESC LIMIT 1))"
    )
}

fn on_platform_statement() -> String {
    format!("SELECT {}", row_of(":job", ":platform"))
}

fn on_all_statement() -> String {
    format!(
        "{}
         SELECT b.id FROM (SELECT {} AS id FROM known WHERE value IS NOT NULL) AS latest
         CROSS JOIN build b ON b.id = latest.id
         ORDER BY b.main_binary IS NULL, b.start_d DESC, b.start_ps DESC LIMIT 1",
        known_platforms(),
        row_of(":job", "known.value")
    )
}

/// The latest build of a job, of one platform where that is given.
pub(crate) fn of_job(connection: &Connection, job: &str, platform: Option<&str>) -> rusqlite::Result<Option<Build>> {
    let mut known = connection.prepare_cached("SELECT id FROM job WHERE name = ?1")?;
    let Some(job) = known.query_row([job], |row| row.get::<_, i64>(0)).optional()? else { return Ok(None) };
    let row: Option<i64> = match platform {
        Some(platform) => connection
            .prepare_cached(&on_platform_statement())?
            .query_row(named_params! {":job": job, ":platform": platform}, |row| row.get(0))?,
        None => connection
            .prepare_cached(&on_all_statement())?
            .query_row(named_params! {":job": job}, |row| row.get(0))
            .optional()?,
    };
    row.map_or(Ok(None), |row| build::by_id(connection, row))
}

fn by_platform_statement() -> String {
    format!(
        "{}
         SELECT {} FROM (SELECT :first AS platform UNION ALL SELECT value FROM known WHERE value <> :first) AS one
         LIMIT :most",
        known_platforms(),
        row_of(":job", "one.platform")
    )
}

/// The rows of the latest builds of a job on at most so many platforms: this one first, then the others by name; none
/// for a platform without a good build.
pub(super) fn by_platform(
    connection: &Connection,
    job: i64,
    first: &str,
    most: usize,
) -> rusqlite::Result<Vec<Option<i64>>> {
    let mut statement = connection.prepare_cached(&by_platform_statement())?;
    let parameters = named_params! {":job": job, ":first": first, ":most": most};
    statement.query_map(parameters, |row| row.get(0))?.collect()
}

/// The platforms that a job was ever built on, by name.
pub(crate) fn platforms(connection: &Connection, job: i64) -> rusqlite::Result<Vec<String>> {
    let query = format!("{} SELECT value FROM known WHERE value IS NOT NULL", known_platforms());
    connection.prepare_cached(&query)?.query_map(named_params! {":job": job}, |row| text(row, 0))?.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::database::jobs::tests::plan;

    #[test]
    fn failed_builds_are_not_walked_over() {
        let folder = tempfile::tempdir().unwrap();
        let database = crate::Database::create(folder.path()).unwrap();
        for statement in [on_platform_statement(), on_all_statement(), by_platform_statement()] {
            let plan = database.read(|connection| Ok(plan(connection, &statement))).unwrap();
            for index in
                ["INDEX repository_latest (job=? AND platform=?)", "INDEX repository_good (job=? AND platform=?)"]
            {
                assert!(plan.contains(index), "{plan}");
            }
            for scanned in ["SCAN build", "SCAN b\n", "RIGHT PART OF ORDER BY"] {
                assert!(!plan.contains(scanned), "{scanned} in\n{plan}");
            }
        }
    }
}
