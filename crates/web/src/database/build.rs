//! One build as the rows have it: what the original stored, and what was derived from it. Its artifacts are `artifact`'s
//! business, how builds are related that of `related`, what a page makes of them the page's.

use crate::database::columns::{optional_text, outcome_from_columns, text, time_from_columns, uuid_from_column};
use crate::digest::Digest;
use crate::limits::{BUILDS_OF_DIGEST_MAX, PINS_SHOWN_MAX};
use builder_facts::identity::{InputKind, NoInput, OutputKind};
use builder_model::{BuildId, Outcome, Timestamp};
use rusqlite::{Connection, OptionalExtension, Params, Row, params};

/// A build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Build {
    /// Its row.
    pub(crate) id: i64,
    /// Its UUID.
    pub(crate) uuid: BuildId,
    /// The row of its job.
    pub(crate) job_id: i64,
    /// The name of its job.
    pub(crate) job: String,
    /// Its platform.
    pub(crate) platform: String,
    /// When it was handed out, as the columns have it: builds are ordered by exactly this.
    pub(crate) start_columns: (i64, i64),
    /// When it was handed out.
    pub(crate) start: Timestamp,
    /// When it ended.
    pub(crate) finish: Timestamp,
    /// How it ended.
    pub(crate) outcome: Outcome,
    /// The console's file, relative to the data folder.
    pub(crate) console: String,
    /// The script's file, likewise.
    pub(crate) script: String,
    /// The row of its main binary.
    pub(crate) main_binary: Option<i64>,
    /// What was derived from it; nothing yet for a build of the original that was not looked at so far.
    pub(crate) derived: Option<Derived>,
}

/// What was derived from a build when it arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Derived {
    /// What the input is identified by.
    pub(crate) input: Option<(InputKind, Digest)>,
    /// Why it has none.
    pub(crate) no_input: Option<NoInput>,
    /// What the output is identified by.
    pub(crate) output: Option<(OutputKind, Digest)>,
    /// Lines of the console.
    pub(crate) console_lines: u64,
    /// Bytes of the console's file.
    pub(crate) console_bytes: u64,
    /// How many artifacts there are.
    pub(crate) artifact_count: u64,
    /// Bytes of all artifacts together.
    pub(crate) artifact_bytes: u64,
    /// What could not be read; a line each.
    pub(crate) notes: Vec<String>,
}

/// What a binary says of itself, as JSON.
#[derive(Debug, Clone, Default)]
pub(crate) struct BinaryNotes {
    /// The devices it wants.
    pub(crate) solo5_manifest: Option<String>,
    /// What runs it.
    pub(crate) solo5_abi: Option<String>,
}

/// A package that an opam switch or a list of system packages names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ListedPackage {
    /// Its name.
    pub(crate) name: String,
    /// Its version.
    pub(crate) version: String,
    /// Whether it was pinned.
    pub(crate) pinned: bool,
}

/// The packages of a file that lists them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Inventory {
    /// Ascending by name.
    pub(crate) packages: Vec<ListedPackage>,
    /// Why the file could not be read.
    pub(crate) error: Option<String>,
}

/// A hook or webhook that ran, or will, because of a build.
#[derive(Debug, Clone)]
pub(crate) struct HookRun {
    /// What happened that it is told of.
    pub(crate) event: String,
    /// The file name of a hook, or the address of a webhook.
    pub(crate) target: String,
    /// `waiting`, `running`, `done` or `failed`.
    pub(crate) state: String,
    /// How often it was tried.
    pub(crate) tries: i64,
    /// When it last ended.
    pub(crate) finished: Option<Timestamp>,
    /// With what it ended.
    pub(crate) status: Option<i64>,
    /// What it said.
    pub(crate) log: String,
}

/// The columns that [`from_row`] reads, in its order.
const COLUMNS: &str = "b.id, b.uuid, b.job, j.name, b.platform, b.start_d, b.start_ps, b.finish_d, \
    b.finish_ps, b.result_code, b.result_msg, b.console, b.main_binary, r.build, r.input_kind, r.input, \
    r.output_kind, r.output, r.console_lines, r.console_bytes, r.artifact_count, r.artifact_bytes, r.notes, \
    b.script";

/// The tables of [`COLUMNS`].
const TABLES: &str = "build b JOIN job j ON j.id = b.job LEFT JOIN repository_build r ON r.build = b.id";

/// The build with this UUID.
pub fn by_uuid(connection: &Connection, uuid: &BuildId) -> rusqlite::Result<Option<Build>> {
    // The original stores the text of a UUID in lower case, which is how it is written here.
    select(connection, "b.uuid = ?1", [uuid.to_string()])
}

/// The build of this row; none when it was removed.
pub(crate) fn by_id(connection: &Connection, id: i64) -> rusqlite::Result<Option<Build>> {
    select(connection, "b.id = ?1", [id])
}

/// The newest build that has an artifact with this content: of those that were stored last, when very many have it.
pub(crate) fn by_digest(connection: &Connection, digest: &Digest) -> rusqlite::Result<Option<Build>> {
    let condition = format!(
        "b.id IN (SELECT build FROM build_artifact WHERE sha256 = ?1 ORDER BY id DESC LIMIT {BUILDS_OF_DIGEST_MAX}) \
         ORDER BY b.start_d DESC, b.start_ps DESC, b.id DESC LIMIT 1"
    );
    select(connection, &condition, [digest])
}

fn select(connection: &Connection, condition: &str, values: impl Params) -> rusqlite::Result<Option<Build>> {
    let query = format!("SELECT {COLUMNS} FROM {TABLES} WHERE {condition}");
    connection.prepare_cached(&query)?.query_row(values, from_row).optional()
}

/// The build of a row of [`COLUMNS`].
fn from_row(row: &Row<'_>) -> rusqlite::Result<Build> {
    let start_columns = (row.get(5)?, row.get(6)?);
    let message = optional_text(row, 10)?;
    Ok(Build {
        id: row.get(0)?,
        uuid: uuid_from_column(row.get_ref(1)?.as_str()?)?,
        job_id: row.get(2)?,
        job: text(row, 3)?,
        platform: text(row, 4)?,
        start_columns,
        start: time_from_columns(start_columns.0, start_columns.1),
        finish: time_from_columns(row.get(7)?, row.get(8)?),
        outcome: outcome_from_columns(row.get(9)?, message.as_deref()),
        console: text(row, 11)?,
        script: text(row, 23)?,
        main_binary: row.get(12)?,
        derived: row.get::<_, Option<i64>>(13)?.map(|_| derived(row)).transpose()?,
    })
}

fn derived(row: &Row<'_>) -> rusqlite::Result<Derived> {
    let word = |index| Ok::<_, rusqlite::Error>(row.get_ref(index)?.as_str_or_null()?);
    let input = word(14)?.and_then(InputKind::parse).zip(row.get(15)?);
    let no_input = word(14)?.and_then(NoInput::parse);
    let output = word(16)?.and_then(OutputKind::parse).zip(row.get(17)?);
    let notes = optional_text(row, 22)?.unwrap_or_default();
    Ok(Derived {
        input,
        no_input,
        output,
        console_lines: row.get(18)?,
        console_bytes: row.get(19)?,
        artifact_count: row.get(20)?,
        artifact_bytes: row.get(21)?,
        notes: notes.lines().filter(|line| !line.trim().is_empty()).map(str::to_owned).collect(),
    })
}

/// Where the parts of a build's console begin; none when it was not looked at yet.
pub(crate) fn console_index(connection: &Connection, build: i64) -> rusqlite::Result<Option<Vec<u8>>> {
    let query = "SELECT console_index FROM repository_build WHERE build = ?1";
    connection.prepare_cached(query)?.query_row([build], |row| row.get(0)).optional()
}

/// The words that a build is kept under, whatever the retention policy says.
pub(crate) fn pins(connection: &Connection, build: i64) -> rusqlite::Result<Vec<String>> {
    let query = "SELECT tag FROM repository_pin WHERE build = ?1 ORDER BY tag LIMIT ?2";
    let mut statement = connection.prepare_cached(query)?;
    statement.query_map(params![build, PINS_SHOWN_MAX], |row| text(row, 0))?.collect()
}

/// What a binary says of itself.
pub(crate) fn binary_notes(connection: &Connection, sha256: &Digest) -> rusqlite::Result<BinaryNotes> {
    let query = "SELECT solo5_manifest, solo5_abi FROM repository_binary WHERE sha256 = ?1";
    let read = |row: &Row<'_>| Ok(BinaryNotes { solo5_manifest: row.get(0)?, solo5_abi: row.get(1)? });
    Ok(connection.prepare_cached(query)?.query_row([sha256], read).optional()?.unwrap_or_default())
}

/// The packages of a file, of kind `opam` or `system`, at most so many; none when it was not read yet.
pub(crate) fn inventory(
    connection: &Connection,
    sha256: &Digest,
    kind: &str,
    count: usize,
) -> rusqlite::Result<Option<Inventory>> {
    let query = "SELECT id, error FROM repository_inventory WHERE sha256 = ?1 AND kind = ?2";
    let found = connection
        .prepare_cached(query)?
        .query_row(params![sha256, kind], |row| Ok((row.get::<_, i64>(0)?, row.get(1)?)))
        .optional()?;
    let Some((id, error)) = found else { return Ok(None) };
    let query = "SELECT name, version, pinned FROM repository_package WHERE inventory = ?1 ORDER BY name LIMIT ?2";
    let mut statement = connection.prepare_cached(query)?;
    let read = |row: &Row<'_>| Ok(ListedPackage { name: text(row, 0)?, version: text(row, 1)?, pinned: row.get(2)? });
    let packages = statement.query_map(params![id, count], read)?.collect::<rusqlite::Result<_>>()?;
    Ok(Some(Inventory { packages, error }))
}

/// The newest runs of hooks because of a build, at most so many, the newest first.
pub(crate) fn hook_runs(connection: &Connection, build: i64, count: usize) -> rusqlite::Result<Vec<HookRun>> {
    let query = "SELECT event, target, state, tries, finished, status, log FROM repository_hook_run \
                 WHERE build = ?1 ORDER BY id DESC LIMIT ?2";
    let mut statement = connection.prepare_cached(query)?;
    let read = |row: &Row<'_>| {
        let finished: Option<i64> = row.get(4)?;
        Ok(HookRun {
            event: text(row, 0)?,
            target: text(row, 1)?,
            state: text(row, 2)?,
            tries: row.get(3)?,
            finished: finished.and_then(|milliseconds| Timestamp::from_milliseconds(milliseconds).ok()),
            status: row.get(5)?,
            log: optional_text(row, 6)?.unwrap_or_default(),
        })
    };
    statement.query_map(params![build, count], read)?.collect()
}

/// Whether a hook ran, or will, because of a build.
pub(crate) fn has_hook_runs(connection: &Connection, build: i64) -> rusqlite::Result<bool> {
    let query = "SELECT EXISTS (SELECT 1 FROM repository_hook_run WHERE build = ?1)";
    connection.prepare_cached(query)?.query_row([build], |row| row.get(0))
}
