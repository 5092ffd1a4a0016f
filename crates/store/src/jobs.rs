//! The jobs in the database: a script with its platform, a package, or a template with its values.

use crate::database::{job_name, platform};
use builder_model::{Job, JobName, PackageName, ParameterJob, ScriptJob, TemplateName, TemplatedJob, Values};
use rusqlite::{Connection, Row, Transaction, params};
use std::collections::HashMap;

pub(crate) const SCHEMA: &str = "
CREATE TABLE job(name BLOB PRIMARY KEY, platform BLOB, script BLOB, package BLOB, template BLOB,
    CHECK ((script IS NOT NULL) + (package IS NOT NULL) + (template IS NOT NULL) = 1),
    CHECK (script IS NULL OR platform IS NOT NULL), CHECK (package IS NULL OR platform IS NULL));
CREATE TABLE parameter(job BLOB NOT NULL REFERENCES job(name), name TEXT NOT NULL, value TEXT NOT NULL,
    PRIMARY KEY (job, name)) WITHOUT ROWID;
";
/// Before [`SCHEMA`] makes the tables of version 3 out of those of version 2, and after it: the checks of a table cannot
/// be changed, only the table be made anew.
pub(crate) const FROM_2: [&str; 2] = [
    "CREATE TABLE job_2 AS SELECT name, platform, script, package FROM job; DROP TABLE job;",
    "INSERT INTO job SELECT name, platform, script, package, NULL FROM job_2; DROP TABLE job_2;",
];

/// The values of jobs as they were found: names and values.
pub(crate) type Found = HashMap<JobName, Vec<(String, String)>>;

pub(crate) fn put(to: &Transaction<'_>, job: &Job) -> rusqlite::Result<()> {
    remove_values(to, job.name())?;
    let mut statement = to.prepare_cached("INSERT OR REPLACE INTO job VALUES (?1, ?2, ?3, ?4, ?5)")?;
    let none = None::<&[u8]>;
    match job {
        Job::Script(ScriptJob { name, platform, script }) => {
            statement.execute(params![name.as_bytes(), platform.as_bytes(), &script[..], none, none])?;
        }
        Job::Templated(TemplatedJob { name, package }) => {
            statement.execute(params![name.as_bytes(), none, none, package.as_bytes(), none])?;
        }
        Job::Parameter(ParameterJob { name, template, platform, values }) => {
            let platform = platform.as_ref().map(|platform| platform.as_bytes());
            statement.execute(params![name.as_bytes(), platform, none, none, template.as_bytes()])?;
            let mut statement = to.prepare_cached("INSERT INTO parameter VALUES (?1, ?2, ?3)")?;
            for (parameter, value) in values.iter() {
                statement.execute(params![name.as_bytes(), parameter.as_str(), value.as_str()])?;
            }
        }
    }
    Ok(())
}

pub(crate) fn remove(from: &Transaction<'_>, job: &JobName) -> rusqlite::Result<()> {
    remove_values(from, job)?;
    from.prepare_cached("DELETE FROM job WHERE name = ?1")?.execute([job.as_bytes()]).map(drop)
}

fn remove_values(from: &Transaction<'_>, job: &JobName) -> rusqlite::Result<()> {
    from.prepare_cached("DELETE FROM parameter WHERE job = ?1")?.execute([job.as_bytes()]).map(drop)
}

/// The values of all jobs.
pub(crate) fn all_values(from: &Connection) -> rusqlite::Result<Found> {
    let mut found = Found::new();
    let mut statement = from.prepare("SELECT job, name, value FROM parameter")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        found.entry(job_name(row, 0)?).or_default().push((row.get(1)?, row.get(2)?));
    }
    Ok(found)
}

/// The job of a row that begins with the columns of `job`.
pub(crate) fn of_row(row: &Row<'_>, values: &mut Found) -> rusqlite::Result<Job> {
    let name = job_name(row, 0)?;
    if let Some(template) = row.get_ref(4)?.as_blob_or_null()? {
        let pairs = values.remove(&name).unwrap_or_default();
        let pairs = pairs.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes()));
        let values = Values::parse(pairs).map_err(|error| {
            rusqlite::Error::FromSqlConversionFailure(4, rusqlite::types::Type::Text, Box::new(error))
        })?;
        let platform = if row.get_ref(1)?.as_blob_or_null()?.is_some() { Some(platform(row, 1)?) } else { None };
        let template = TemplateName::from_history(template);
        return Ok(Job::Parameter(ParameterJob { name, template, platform, values }));
    }
    if let Some(package) = row.get_ref(3)?.as_blob_or_null()? {
        return Ok(Job::Templated(TemplatedJob { name, package: PackageName::from_history(package) }));
    }
    let script = row.get_ref(2)?.as_blob()?.into();
    Ok(Job::Script(ScriptJob { name, platform: platform(row, 1)?, script }))
}
