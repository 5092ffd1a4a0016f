//! Builds of any job by what they have in common, the newest first, in parts that follow each other: a part begins
//! after a place, not after a number of builds, so that builds that arrive meanwhile shift nothing.

use crate::database::columns::time_to_columns;
use crate::database::listed::{COLUMN_COUNT, COLUMNS, Listed, TABLES};
use crate::digest::Digest;
use builder_model::Timestamp;
use rusqlite::{Connection, OptionalExtension, ToSql};
use std::fmt;

/// What builds have in common.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Selection<'a> {
    /// The row of their job.
    pub(crate) job: Option<i64>,
    pub(crate) platform: Option<&'a str>,
    pub(crate) kind: Option<Kind>,
    /// By what their input is identified.
    pub(crate) input: Option<Digest>,
    /// By what their output is identified.
    pub(crate) output: Option<Digest>,
    /// They started then or later.
    pub(crate) since: Option<Timestamp>,
    /// They started before.
    pub(crate) until: Option<Timestamp>,
    /// They come after this place.
    pub(crate) after: Option<Place>,
}

/// How builds ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Their script exited with 0.
    Good,
    /// It did not.
    Failed,
}

impl Kind {
    /// `good` or `failed`.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Failed => "failed",
        }
    }
}

/// The place of a build in the order of all: when it started, and its row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    days: i64,
    picoseconds: i64,
    row: i64,
}

impl Place {
    /// Reads what [`fmt::Display`] writes.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut numbers = text.split('.').map(|number| number.parse().ok());
        let place = Self { days: numbers.next()??, picoseconds: numbers.next()??, row: numbers.next()?? };
        numbers.next().is_none().then_some(place)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.days, self.picoseconds, self.row)
    }
}

/// A part of the builds.
#[derive(Debug)]
pub(crate) struct Part {
    pub(crate) builds: Vec<Listed>,
    /// Where the next part goes on; none when these are the last.
    pub(crate) next: Option<Place>,
}

/// The row of a job.
pub(crate) fn job_row(connection: &Connection, name: &str) -> rusqlite::Result<Option<i64>> {
    connection.prepare_cached("SELECT id FROM job WHERE name = ?1")?.query_row([name], |row| row.get(0)).optional()
}

/// Whether a job was ever built on a platform.
pub(crate) fn was_built_on(connection: &Connection, job: i64, platform: &str) -> rusqlite::Result<bool> {
    connection.prepare_cached("SELECT 1 FROM build WHERE job = ?1 AND platform = ?2 LIMIT 1")?.exists((job, platform))
}

/// The builds are chosen in an index alone; what is told of them is read after that.
fn statement(selection: &Selection<'_>) -> String {
    if selection.input.is_some() || selection.output.is_some() {
        return derived_statement(selection);
    }
    let mut conditions = vec!["1"];
    if selection.job.is_some() {
        conditions.push("job = :job");
    }
    if selection.platform.is_some() {
        conditions.push("platform = :platform");
    }
    match selection.kind {
        Some(Kind::Good) => conditions.push("result_code = 0"),
        Some(Kind::Failed) => conditions.push("result_code <> 0"),
        None => {}
    }
    if selection.since.is_some() {
        conditions.push("(start_d, start_ps) >= (:since_days, :since_picoseconds)");
    }
    if selection.until.is_some() {
        conditions.push("(start_d, start_ps) < (:until_days, :until_picoseconds)");
    }
    if selection.after.is_some() {
        conditions.push("(start_d, start_ps, id) < (:days, :picoseconds, :row)");
    }
    let conditions = conditions.join(" AND ");
    told_of(&format!(
        "SELECT id FROM build INDEXED BY {} WHERE {conditions}
         ORDER BY start_d DESC, start_ps DESC, id DESC LIMIT :limit",
        index(selection)
    ))
}

/// The index that has the builds of a selection in their order, and the fewest of those that do not belong to it. SQLite
/// would now and then take another one, which has to be sorted or walked over.
fn index(selection: &Selection<'_>) -> &'static str {
    match (selection.job, selection.platform, selection.kind) {
        (None, None, None | Some(Kind::Good)) => "repository_newest",
        (None, None, Some(Kind::Failed)) => "repository_failed",
        (None, Some(_), None | Some(Kind::Good)) => "repository_platform",
        (None, Some(_), Some(Kind::Failed)) => "repository_failed_platform",
        (Some(_), None, None) => "repository_listed",
        (Some(_), None, Some(Kind::Good)) => "repository_job_good",
        // Of those that failed on another platform there are few.
        (Some(_), _, Some(Kind::Failed)) => "repository_job_failed",
        (Some(_), Some(_), None) => "repository_job_platform",
        (Some(_), Some(_), Some(Kind::Good)) => "repository_good",
    }
}

/// The same for builds of one input or output: an index over what was derived has them in their order.
fn derived_statement(selection: &Selection<'_>) -> String {
    let conditions = [
        selection.output.map(|_| "r.output = :output"),
        // A plus leaves the choice of the index to the output, which tells more.
        selection.input.map(|_| if selection.output.is_some() { "+r.input = :input" } else { "r.input = :input" }),
        selection.job.map(|_| "build.job = :job"),
        selection.platform.map(|_| "build.platform = :platform"),
        selection.kind.map(|kind| match kind {
            Kind::Good => "build.result_code = 0",
            Kind::Failed => "build.result_code <> 0",
        }),
        selection.since.map(|_| "(r.start_d, r.start_ps) >= (:since_days, :since_picoseconds)"),
        selection.until.map(|_| "(r.start_d, r.start_ps) < (:until_days, :until_picoseconds)"),
        selection.after.map(|_| "(r.start_d, r.start_ps, r.build) < (:days, :picoseconds, :row)"),
    ];
    let conditions = conditions.into_iter().flatten().collect::<Vec<_>>().join(" AND ");
    told_of(&format!(
        "SELECT r.build AS id FROM repository_build r CROSS JOIN build ON build.id = r.build
         WHERE {conditions} ORDER BY r.start_d DESC, r.start_ps DESC, r.build DESC LIMIT :limit"
    ))
}

/// What is told of the builds that a statement chooses.
fn told_of(chosen: &str) -> String {
    format!(
        "SELECT {COLUMNS}, b.id, b.start_d, b.start_ps FROM ({chosen}) AS chosen
         CROSS JOIN build b ON b.id = chosen.id {TABLES}
         ORDER BY b.start_d DESC, b.start_ps DESC, b.id DESC"
    )
}

/// So many of the builds that are selected.
pub(crate) fn builds(connection: &Connection, selection: &Selection<'_>, count: u32) -> rusqlite::Result<Part> {
    let limit = i64::from(count) + 1;
    let (since, until) = (selection.since.map(time_to_columns), selection.until.map(time_to_columns));
    let mut parameters: Vec<(&str, &dyn ToSql)> = vec![(":limit", &limit)];
    if let Some(job) = &selection.job {
        parameters.push((":job", job));
    }
    if let Some(platform) = &selection.platform {
        parameters.push((":platform", platform));
    }
    if let Some(input) = &selection.input {
        parameters.push((":input", input));
    }
    if let Some(output) = &selection.output {
        parameters.push((":output", output));
    }
    if let Some((days, picoseconds)) = &since {
        parameters.extend([(":since_days", days as &dyn ToSql), (":since_picoseconds", picoseconds)]);
    }
    if let Some((days, picoseconds)) = &until {
        parameters.extend([(":until_days", days as &dyn ToSql), (":until_picoseconds", picoseconds)]);
    }
    if let Some(Place { days, picoseconds, row }) = &selection.after {
        parameters.extend([(":days", days as &dyn ToSql), (":picoseconds", picoseconds), (":row", row)]);
    }
    let mut found = connection
        .prepare_cached(&statement(selection))?
        .query_map(parameters.as_slice(), |row| {
            let (days, picoseconds) = (row.get(COLUMN_COUNT + 1)?, row.get(COLUMN_COUNT + 2)?);
            Ok((Place { row: row.get(COLUMN_COUNT)?, days, picoseconds }, Listed::of(row)?))
        })?
        .collect::<rusqlite::Result<Vec<_>>>()?;
    let most = usize::try_from(count).unwrap_or(usize::MAX);
    let more = found.len() > most;
    found.truncate(most);
    let next = found.last().filter(|_| more).map(|(place, _)| *place);
    Ok(Part { builds: found.into_iter().map(|(_, build)| build).collect(), next })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::database::jobs::tests::plan;

    #[test]
    fn places_are_read_as_they_are_written() {
        let place = Place { days: 19971, picoseconds: 45_296_000_000_000_000, row: 7 };
        assert_eq!(Place::parse(&place.to_string()), Some(place));
        for bad in ["", "1", "1.2", "1.2.3.4", "1.2.x", "1.2.99999999999999999999"] {
            assert_eq!(Place::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn builds_are_chosen_in_the_order_of_an_index() {
        let folder = tempfile::tempdir().unwrap();
        let database = crate::Database::create(folder.path()).unwrap();
        let place = Place { days: 1, picoseconds: 1, row: 1 };
        for (job, platform, kind, looked_for) in [
            (None, None, None, ""),
            (Some(1), None, None, "(job=?"),
            (Some(1), Some("p"), None, "(job=? AND platform=?"),
            (None, Some("p"), None, "(platform=?"),
            (None, None, Some(Kind::Good), ""),
            (Some(1), None, Some(Kind::Good), "(job=?"),
            (Some(1), Some("p"), Some(Kind::Good), "(job=? AND platform=?"),
            (None, Some("p"), Some(Kind::Good), "(platform=?"),
            (None, None, Some(Kind::Failed), ""),
            (Some(1), None, Some(Kind::Failed), "(job=?"),
            (Some(1), Some("p"), Some(Kind::Failed), "(job=?"),
            (None, Some("p"), Some(Kind::Failed), "(platform=?"),
        ] {
            for after in [None, Some(place)] {
                let since = after.map(|_| Timestamp::from_milliseconds(0).unwrap());
                let selection = Selection { job, platform, kind, after, since, until: since, ..Selection::default() };
                let plan = database.read(|connection| Ok(plan(connection, &statement(&selection)))).unwrap();
                let step = format!("INDEX {} {looked_for}", index(&selection));
                assert!(plan.contains(step.trim_end()), "{step} in {selection:?}:\n{plan}");
                // Those that started at the same instant are put in the order of their rows, and the few that were
                // chosen are sorted once more; the choice itself is not.
                let sorted = plan.matches("TEMP B-TREE FOR ORDER BY").count();
                assert!(sorted <= 1, "{selection:?}:\n{plan}");
            }
        }
    }

    #[test]
    fn builds_of_one_input_or_output_are_chosen_in_the_order_of_an_index() {
        let folder = tempfile::tempdir().unwrap();
        let database = crate::Database::create(folder.path()).unwrap();
        let digest = Some(Digest::of(b"x"));
        for (input, output, index) in [
            (digest, None, "repository_build_of_input"),
            (None, digest, "repository_build_of_output"),
            (digest, digest, "repository_build_of_output"),
        ] {
            for after in [None, Some(Place { days: 1, picoseconds: 1, row: 1 })] {
                let kind = Some(Kind::Good);
                let selection = Selection { input, output, after, job: Some(1), kind, ..Selection::default() };
                let plan = database.read(|connection| Ok(plan(connection, &statement(&selection)))).unwrap();
                assert!(plan.split_whitespace().any(|word| word == index), "{selection:?}:\n{plan}");
                assert!(plan.matches("TEMP B-TREE").count() <= 2 && !plan.contains("SCAN r"), "{plan}");
            }
        }
    }
}
