//! The durable state of the server in SQLite: what `docs/state.md` lists, saved a batch of changes at a time.
//!
//! WAL with `synchronous=FULL`: when [`Store::save`] returns, a power cut cannot take the batch back.

use crate::error::{StoreError, Tried};
use crate::folder::Folder;
use crate::jobs;
use crate::small::{self, SmallRecord};
use crate::state_file;
use builder_model::state::{Change, FinishedBuild, Queued, Resume, RunningBuild, ScheduleEntry, State};
use builder_model::{BuildId, JobName, Outcome, Period, Platform, Timestamp};
use rusqlite::{CachedStatement, Connection, OpenFlags, OptionalExtension, Row, Transaction, params};
use std::cmp::Ordering;
use std::fs::OpenOptions;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// The version of the tables; SQLite keeps it as `user_version`.
const SCHEMA_VERSION: i64 = 4;
/// What SQLite calls the application: "bldr".
const APPLICATION_ID: i64 = 0x626c_6472;

const SCHEMA: &str = "
CREATE TABLE schedule(job BLOB PRIMARY KEY REFERENCES job(name), period INTEGER NOT NULL, next INTEGER NOT NULL)
    WITHOUT ROWID;
CREATE TABLE queue(platform BLOB PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE queued(platform BLOB NOT NULL, position INTEGER NOT NULL, job BLOB NOT NULL, retries INTEGER NOT NULL,
    build BLOB, attempts INTEGER, started INTEGER, refusals INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (platform, position)) WITHOUT ROWID;
CREATE TABLE running(build BLOB PRIMARY KEY, job BLOB NOT NULL, platform BLOB NOT NULL, attempt INTEGER NOT NULL,
    retries INTEGER NOT NULL, started INTEGER NOT NULL, refusals INTEGER NOT NULL DEFAULT 0) WITHOUT ROWID;
CREATE TABLE dropped(platform BLOB PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE history(number INTEGER PRIMARY KEY AUTOINCREMENT, build BLOB NOT NULL UNIQUE, job BLOB NOT NULL,
    platform BLOB NOT NULL, attempts INTEGER NOT NULL, started INTEGER NOT NULL, finished INTEGER NOT NULL,
    outcome TEXT NOT NULL, outcome_number INTEGER, outcome_reason BLOB, record_bytes INTEGER, uploaded INTEGER);
CREATE INDEX history_job ON history(job, number);
CREATE INDEX history_uploaded ON history(uploaded, number) WHERE uploaded IS NOT NULL AND record_bytes IS NOT NULL;
CREATE TABLE outbox(number INTEGER PRIMARY KEY REFERENCES history(number), build BLOB NOT NULL, job BLOB NOT NULL,
    next_try INTEGER NOT NULL, tries INTEGER NOT NULL, error TEXT);
CREATE INDEX outbox_next ON outbox(next_try, number);
CREATE TABLE imported(digest BLOB PRIMARY KEY, at INTEGER NOT NULL) WITHOUT ROWID;
";

/// What brings tables of version 3 to version 4, which counts how often a build was refused.
const FROM_3: &str = "
ALTER TABLE queued ADD COLUMN refusals INTEGER NOT NULL DEFAULT 0;
ALTER TABLE running ADD COLUMN refusals INTEGER NOT NULL DEFAULT 0;
";

// What the uploader asks, again and again: none of it may cost more when the history or the outbox is long.
const UPLOAD_DUE: &str = "SELECT build, job, tries FROM outbox WHERE next_try <= ?1 ORDER BY next_try, number LIMIT 1";
const UPLOAD_BEYOND: &str =
    "SELECT build, job, tries FROM outbox WHERE next_try > ?1 ORDER BY next_try, number LIMIT 1";
const UPLOAD_NEXT_TRY: &str = "SELECT next_try FROM outbox ORDER BY next_try LIMIT 1";
const UPLOADED_LEAVES: &str = "DELETE FROM outbox WHERE number = (SELECT number FROM history WHERE build = ?1)";
const UPLOADED_NOTED: &str = "UPDATE history SET uploaded = ?2 WHERE build = ?1";
const UPLOAD_FAILED: &str = "UPDATE outbox SET tries = tries + 1, error = ?2, next_try = ?3
    WHERE number = (SELECT number FROM history WHERE build = ?1)";
const UPLOADS_KEPT: &str = "SELECT build, job, uploaded, number FROM history
    WHERE record_bytes IS NOT NULL AND uploaded < ?1 AND (uploaded, number) > (?2, ?3) ORDER BY uploaded, number LIMIT ?4";
const RECORD_REMOVED: &str = "UPDATE history SET record_bytes = NULL WHERE build = ?1";

/// The database, open for writing.
#[derive(Debug)]
pub struct Store {
    connection: Connection,
    path: PathBuf,
    /// Device and inode of the file that is open: what is saved into a file that somebody removed is lost.
    file: Option<(u64, u64)>,
}

/// What happened when the database was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opened {
    /// It was there.
    Existing,
    /// It was made, empty.
    New,
    /// It was made from the original's state file.
    Imported,
    /// It was there, and beside it lies a state file that is not the one that was imported.
    BesideAnotherState,
}

/// Whether finished builds are to be uploaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outbox {
    /// There is a repository: a finished build enters the outbox.
    Fill,
    /// There is none.
    Leave,
}

/// An upload that waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upload {
    /// Which build.
    pub build: BuildId,
    /// Its job.
    pub job: JobName,
    /// How often it was tried.
    pub tries: u32,
}

/// What waits in the outbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NextUpload {
    /// This upload is to be tried now: of those whose time has come it waits longest.
    Due(Upload),
    /// Uploads wait, and the first of them until then.
    Later(Timestamp),
    /// Nothing waits.
    Nothing,
}

/// A build whose record was uploaded and is still kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptUpload {
    /// Which build.
    pub build: BuildId,
    /// Its job.
    pub job: JobName,
    /// When the repository took it.
    pub uploaded: Timestamp,
    /// Its place in the history.
    pub number: i64,
}

impl Store {
    /// Opens the database of a data folder, and makes it where there is none: from the original's state file if that
    /// is there.
    pub fn open(folder: &Folder, now: Timestamp) -> Result<(Self, Opened), StoreError> {
        let path = folder.database();
        create_file(&path).tried("create", &path)?;
        let connection = Connection::open(&path).tried("open", &path)?;
        let mut store = Self { connection, path, file: None };
        store.configure()?;
        let opened = store.migrate(folder, now)?;
        store.file = Some(identity(&store.path).tried("open", &store.path)?);
        Ok((store, opened))
    }

    /// Opens the database of a data folder for reading, beside a server that may be running.
    pub fn open_to_read(root: &Path) -> Result<Self, StoreError> {
        let path = Folder::database_of(root);
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(&path, flags).tried("open", &path)?;
        connection.busy_timeout(std::time::Duration::from_secs(5)).tried("open", &path)?;
        must_be_of_this_version(&connection, &path)?;
        let file = identity(&path).tried("open", &path)?;
        Ok(Self { connection, path, file: Some(file) })
    }

    /// An empty database that lives in memory, for simulations.
    pub fn in_memory() -> Result<Self, StoreError> {
        let path = PathBuf::from(":memory:");
        let mut connection = Connection::open_in_memory().tried("open", &path)?;
        let transaction = connection.transaction().tried("create", &path)?;
        create(&transaction, None, Timestamp::MIN).tried("create", &path)?;
        transaction.commit().tried("create", &path)?;
        connection.set_prepared_statement_cache_capacity(64);
        Ok(Self { connection, path, file: None })
    }

    fn configure(&self) -> Result<(), StoreError> {
        let mode: String =
            self.connection.query_row("PRAGMA journal_mode=WAL", [], |row| row.get(0)).tried("open", &self.path)?;
        if mode != "wal" {
            return Err(StoreError::Journal { path: self.path.clone(), mode });
        }
        self.connection.execute_batch("PRAGMA synchronous=FULL; PRAGMA busy_timeout=5000").tried("open", &self.path)?;
        self.connection.set_prepared_statement_cache_capacity(64);
        Ok(())
    }

    fn migrate(&mut self, folder: &Folder, now: Timestamp) -> Result<Opened, StoreError> {
        let found: i64 =
            self.connection.query_row("PRAGMA user_version", [], |row| row.get(0)).tried("read", &self.path)?;
        if found > SCHEMA_VERSION {
            return Err(StoreError::Newer { path: self.path.clone(), found, known: SCHEMA_VERSION });
        }
        self.migrate_tables(found)?;
        let imported = state_file::read(&folder.state_file());
        if found >= 1 {
            // A state file that was imported long ago may rot: only a whole one that differs is worth a word.
            let Ok(Some(imported)) = imported else { return Ok(Opened::Existing) };
            let known: Option<i64> = self
                .connection
                .query_row("SELECT at FROM imported WHERE digest = ?1", [&imported.digest[..]], |row| row.get(0))
                .optional()
                .tried("read", &self.path)?;
            return Ok(if known.is_some() { Opened::Existing } else { Opened::BesideAnotherState });
        }
        let imported = imported?;
        let transaction = self.connection.transaction().tried("create", &self.path)?;
        create(&transaction, imported.as_ref(), now).tried("create", &self.path)?;
        transaction.commit().tried("create", &self.path)?;
        if let Some(imported) = imported.as_ref().filter(|imported| imported.left_out > 0) {
            tracing::warn!("{} queued jobs of an old version in the state file were left out", imported.left_out);
        }
        Ok(if imported.is_some() { Opened::Imported } else { Opened::New })
    }

    /// Brings the tables of an older version, if there are any, to this one, a version at a time.
    fn migrate_tables(&mut self, found: i64) -> Result<(), StoreError> {
        if found == 1 {
            // Version 2 keeps small records.
            self.write(|transaction| {
                transaction.execute_batch(small::SCHEMA)?;
                transaction.pragma_update(None, "user_version", 2)
            })?;
        }
        if found == 1 || found == 2 {
            // Version 3 keeps jobs of templates with parameters. The schedule refers to the table that is made anew.
            self.foreign_keys(false)?;
            self.write(|transaction| {
                let [before, after] = jobs::FROM_2;
                [before, jobs::SCHEMA, after].into_iter().try_for_each(|sql| transaction.execute_batch(sql))?;
                transaction.pragma_update(None, "user_version", 3)
            })?;
            self.foreign_keys(true)?;
        }
        if (1..=3).contains(&found) {
            self.write(|transaction| {
                transaction.execute_batch(FROM_3)?;
                transaction.pragma_update(None, "user_version", 4)
            })?;
        }
        Ok(())
    }

    /// SQLite heeds this between transactions only.
    fn foreign_keys(&self, checked: bool) -> Result<(), StoreError> {
        self.connection.pragma_update(None, "foreign_keys", checked).tried("write to", &self.path)
    }

    /// Saves a batch of changes, all or none. When this returns `Ok`, they survive a power cut.
    pub fn save<'a>(
        &mut self,
        changes: impl IntoIterator<Item = &'a Change>,
        outbox: Outbox,
    ) -> Result<(), StoreError> {
        self.save_with_records(changes, outbox, &[])
    }

    /// As [`Store::save`], with the small records of builds that end in this batch.
    pub fn save_with_records<'a>(
        &mut self,
        changes: impl IntoIterator<Item = &'a Change>,
        outbox: Outbox,
        records: &[&SmallRecord],
    ) -> Result<(), StoreError> {
        if let Some(file) = self.file
            && identity(&self.path).tried("find", &self.path)? != file
        {
            return Err(StoreError::Replaced { path: self.path.clone() });
        }
        self.write(|transaction| {
            changes.into_iter().try_for_each(|change| apply(transaction, change, outbox))?;
            small::add(transaction, records)
        })
    }

    /// Does all of something, or nothing.
    pub(crate) fn write(
        &mut self,
        all: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<()>,
    ) -> Result<(), StoreError> {
        let transaction = self.connection.transaction().tried("write to", &self.path)?;
        all(&transaction).tried("write to", &self.path)?;
        transaction.commit().tried("write to", &self.path)
    }

    /// The whole durable state.
    pub fn load(&self) -> Result<State, StoreError> {
        load(&self.connection).tried("read", &self.path)
    }

    /// The upload that is to be tried next. What waits until after `horizon` was noted by a clock that was ahead, and
    /// is due as well.
    pub fn next_upload(&self, now: Timestamp, horizon: Timestamp) -> Result<NextUpload, StoreError> {
        let first = |query: &str, time: Timestamp| {
            let mut statement = self.connection.prepare_cached(query)?;
            statement.query_row([time.milliseconds()], upload).optional()
        };
        let next = || -> rusqlite::Result<NextUpload> {
            if let Some(due) = first(UPLOAD_DUE, now)? {
                return Ok(NextUpload::Due(due));
            }
            if let Some(due) = first(UPLOAD_BEYOND, horizon)? {
                return Ok(NextUpload::Due(due));
            }
            let mut statement = self.connection.prepare_cached(UPLOAD_NEXT_TRY)?;
            let next_try = statement.query_row([], |row| timestamp(row, 0)).optional()?;
            Ok(next_try.map_or(NextUpload::Nothing, NextUpload::Later))
        };
        next().tried("read", &self.path)
    }

    /// How many uploads wait.
    pub fn uploads_waiting(&self) -> Result<u64, StoreError> {
        self.connection.query_row("SELECT count(*) FROM outbox", [], |row| row.get(0)).tried("read", &self.path)
    }

    /// The repository has the build: it leaves the outbox.
    pub fn uploaded(&mut self, build: &BuildId, at: Timestamp) -> Result<(), StoreError> {
        self.write(|transaction| {
            transaction.execute(UPLOADED_LEAVES, [build.as_bytes()])?;
            transaction.execute(UPLOADED_NOTED, params![build.as_bytes(), at.milliseconds()]).map(drop)
        })
    }

    /// An upload failed: it stays in the outbox, with the reason and the time of its next try.
    pub fn upload_failed(&mut self, build: &BuildId, error: &str, next_try: Timestamp) -> Result<(), StoreError> {
        self.connection
            .execute(UPLOAD_FAILED, params![build.as_bytes(), error, next_try.milliseconds()])
            .tried("write to", &self.path)?;
        Ok(())
    }

    /// Builds whose records were uploaded before `before` and are still kept: the first `count`, or the first behind
    /// the last of another page.
    pub fn kept_uploads(
        &self,
        before: Timestamp,
        after: Option<&KeptUpload>,
        count: usize,
    ) -> Result<Vec<KeptUpload>, StoreError> {
        let (uploaded, number) = after.map_or((i64::MIN, 0), |kept| (kept.uploaded.milliseconds(), kept.number));
        let limits = params![before.milliseconds(), uploaded, number, i64::try_from(count).unwrap_or(i64::MAX)];
        let mut statement = self.connection.prepare_cached(UPLOADS_KEPT).tried("read", &self.path)?;
        let kept = |row: &Row<'_>| {
            let (build, job) = (build_id(row, 0)?, job_name(row, 1)?);
            Ok(KeptUpload { build, job, uploaded: timestamp(row, 2)?, number: row.get(3)? })
        };
        statement.query_map(limits, kept).and_then(Iterator::collect).tried("read", &self.path)
    }

    /// The record of a build is gone.
    pub fn record_removed(&mut self, build: &BuildId) -> Result<(), StoreError> {
        self.write(|transaction| {
            transaction.execute(small::REMOVE, [build.as_bytes()])?;
            transaction.execute(RECORD_REMOVED, [build.as_bytes()]).map(drop)
        })
    }

    pub(crate) fn connection(&self) -> &Connection {
        &self.connection
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

/// Who only reads brings no database to this version.
pub(crate) fn must_be_of_this_version(connection: &Connection, path: &Path) -> Result<(), StoreError> {
    let found: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0)).tried("read", path)?;
    let (path, known) = (path.to_owned(), SCHEMA_VERSION);
    match found.cmp(&known) {
        Ordering::Greater => Err(StoreError::Newer { path, found, known }),
        Ordering::Less => Err(StoreError::Older { path, found, known }),
        Ordering::Equal => Ok(()),
    }
}

/// Scripts may hold secrets: others do not read them, nor the files beside it, which SQLite makes with the same mode.
fn create_file(path: &Path) -> std::io::Result<()> {
    match OpenOptions::new().write(true).create_new(true).mode(0o640).open(path) {
        Ok(_empty) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
    }
}

fn identity(path: &Path) -> std::io::Result<(u64, u64)> {
    let metadata = std::fs::metadata(path)?;
    Ok((metadata.dev(), metadata.ino()))
}

fn create(to: &Transaction<'_>, imported: Option<&state_file::Imported>, now: Timestamp) -> rusqlite::Result<()> {
    to.execute_batch(jobs::SCHEMA)?;
    to.execute_batch(SCHEMA)?;
    to.execute_batch(small::SCHEMA)?;
    to.pragma_update(None, "user_version", SCHEMA_VERSION)?;
    to.pragma_update(None, "application_id", APPLICATION_ID)?;
    let Some(imported) = imported else { return Ok(()) };
    let state = &imported.state;
    for entry in &state.schedule {
        apply(to, &Change::EntryPut(entry.clone()), Outbox::Leave)?;
    }
    for platform in &state.dropped {
        apply(to, &Change::PlatformDropped(platform.clone()), Outbox::Leave)?;
    }
    for (platform, places) in &state.queues {
        apply(to, &Change::QueueAdded(platform.clone()), Outbox::Leave)?;
        for (position, queued) in places {
            let put = Change::QueuedPut { platform: platform.clone(), position: *position, queued: queued.clone() };
            apply(to, &put, Outbox::Leave)?;
        }
    }
    to.execute("INSERT INTO imported VALUES (?1, ?2)", params![&imported.digest[..], now.milliseconds()])?;
    Ok(())
}

fn apply(to: &Transaction<'_>, change: &Change, outbox: Outbox) -> rusqlite::Result<()> {
    let run = |sql: &str, parameters: &[&dyn rusqlite::ToSql]| {
        let statement: rusqlite::Result<CachedStatement<'_>> = to.prepare_cached(sql);
        statement.and_then(|mut statement| statement.execute(parameters)).map(drop)
    };
    match change {
        Change::EntryPut(ScheduleEntry { job, period, next }) => {
            jobs::put(to, job)?;
            let next = next.milliseconds();
            run(
                "INSERT OR REPLACE INTO schedule VALUES (?1, ?2, ?3)",
                &[&job.name().as_bytes(), &(*period as i64), &next],
            )
        }
        Change::EntryNext { job, next, period } => run(
            "UPDATE schedule SET next = ?2, period = ?3 WHERE job = ?1",
            &[&job.as_bytes(), &next.milliseconds(), &(*period as i64)],
        ),
        Change::EntryRemoved(job) => {
            run("DELETE FROM schedule WHERE job = ?1", &[&job.as_bytes()])?;
            jobs::remove(to, job)
        }
        Change::QueueAdded(platform) => run("INSERT OR IGNORE INTO queue VALUES (?1)", &[&platform.as_bytes()]),
        Change::QueueRemoved(platform) => {
            run("DELETE FROM queued WHERE platform = ?1", &[&platform.as_bytes()])?;
            run("DELETE FROM queue WHERE platform = ?1", &[&platform.as_bytes()])
        }
        Change::QueuedPut { platform, position, queued: Queued { job, retries, resume } } => run(
            "INSERT OR REPLACE INTO queued VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
            &[
                &platform.as_bytes(),
                position,
                &job.as_bytes(),
                retries,
                &resume.as_ref().map(|resume| *resume.build.as_bytes()),
                &resume.as_ref().map(|resume| resume.attempts),
                &resume.as_ref().map(|resume| resume.started.milliseconds()),
                &resume.as_ref().map_or(0, |resume| resume.refusals),
            ],
        ),
        Change::QueuedRemoved { platform, position } => {
            run("DELETE FROM queued WHERE platform = ?1 AND position = ?2", &[&platform.as_bytes(), position])
        }
        Change::PlatformDropped(platform) => run("INSERT OR IGNORE INTO dropped VALUES (?1)", &[&platform.as_bytes()]),
        Change::PlatformUndropped(platform) => run("DELETE FROM dropped WHERE platform = ?1", &[&platform.as_bytes()]),
        Change::RunningPut(running) => put_running(to, running),
        Change::RunningRemoved(build) => run("DELETE FROM running WHERE build = ?1", &[build.as_bytes()]),
        Change::Finished(finished) => {
            put_finished(to, finished)?;
            match (outbox, finished.record_bytes) {
                (Outbox::Fill, Some(_)) => {
                    let FinishedBuild { build, job, finished, .. } = finished;
                    run(
                        "INSERT INTO outbox VALUES (?1, ?2, ?3, ?4, 0, NULL)",
                        &[&to.last_insert_rowid(), build.as_bytes(), &job.as_bytes(), &finished.milliseconds()],
                    )
                }
                (Outbox::Fill, None) | (Outbox::Leave, _) => Ok(()),
            }
        }
    }
}

fn put_running(to: &Transaction<'_>, running: &RunningBuild) -> rusqlite::Result<()> {
    let RunningBuild { build, job, platform, attempt, retries, started, refusals } = running;
    to.prepare_cached("INSERT OR REPLACE INTO running VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)")?
        .execute(params![
            build.as_bytes(),
            job.as_bytes(),
            platform.as_bytes(),
            attempt,
            retries,
            started.milliseconds(),
            refusals,
        ])
        .map(drop)
}

fn put_finished(to: &Transaction<'_>, build: &FinishedBuild) -> rusqlite::Result<()> {
    let (number, reason) = match &build.outcome {
        Outcome::Exited(number) | Outcome::Signalled(number) | Outcome::Stopped(number) => (Some(*number), None),
        Outcome::Aborted(reason) => (None, Some(&reason[..])),
    };
    to.prepare_cached(
        "INSERT INTO history(build, job, platform, attempts, started, finished, outcome, outcome_number, outcome_reason,
             record_bytes) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
    )?
    .execute(params![
        build.build.as_bytes(),
        build.job.as_bytes(),
        build.platform.as_bytes(),
        build.attempts,
        build.started.milliseconds(),
        build.finished.milliseconds(),
        build.outcome.kind(),
        number,
        reason,
        build.record_bytes,
    ])
    .map(drop)
}

pub(crate) fn load(from: &Connection) -> rusqlite::Result<State> {
    let mut state = State::default();
    let mut values = jobs::all_values(from)?;
    let mut statement = from.prepare(
        "SELECT name, platform, script, package, template, period, next FROM schedule JOIN job ON job = name",
    )?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let period: usize = row.get(5)?;
        let period = Period::ALL.get(period).copied().ok_or(rusqlite::Error::IntegralValueOutOfRange(5, -1))?;
        let (job, next) = (jobs::of_row(row, &mut values)?, timestamp(row, 6)?);
        state.schedule.push(ScheduleEntry { job, period, next });
    }
    let mut statement = from.prepare("SELECT platform FROM queue")?;
    let queues: Vec<Platform> = statement.query_map([], |row| platform(row, 0))?.collect::<Result<_, _>>()?;
    let mut statement = from.prepare(
        "SELECT position, job, retries, build, attempts, started, refusals FROM queued WHERE platform = ?1 ORDER BY position",
    )?;
    for queue in queues {
        let places = statement.query_map([queue.as_bytes()], |row| Ok((row.get(0)?, queued(row)?)))?;
        let places = places.collect::<Result<_, _>>()?;
        state.queues.push((queue, places));
    }
    let mut statement =
        from.prepare("SELECT build, job, platform, attempt, retries, started, refusals FROM running ORDER BY started")?;
    state.running = statement.query_map([], running)?.collect::<Result<_, _>>()?;
    let mut statement = from.prepare("SELECT platform FROM dropped")?;
    state.dropped = statement.query_map([], |row| platform(row, 0))?.collect::<Result<_, _>>()?;
    Ok(state)
}

fn queued(row: &Row<'_>) -> rusqlite::Result<Queued> {
    let resume = match row.get_ref(3)?.as_blob_or_null()? {
        None => None,
        Some(_) => Some(Resume {
            build: build_id(row, 3)?,
            attempts: row.get(4)?,
            started: timestamp(row, 5)?,
            refusals: row.get(6)?,
        }),
    };
    Ok(Queued { job: job_name(row, 1)?, retries: row.get(2)?, resume })
}

fn running(row: &Row<'_>) -> rusqlite::Result<RunningBuild> {
    Ok(RunningBuild {
        build: build_id(row, 0)?,
        job: job_name(row, 1)?,
        platform: platform(row, 2)?,
        attempt: row.get(3)?,
        retries: row.get(4)?,
        started: timestamp(row, 5)?,
        refusals: row.get(6)?,
    })
}

fn upload(row: &Row<'_>) -> rusqlite::Result<Upload> {
    Ok(Upload { build: build_id(row, 0)?, job: job_name(row, 1)?, tries: row.get(2)? })
}

pub(crate) fn build_id(row: &Row<'_>, column: usize) -> rusqlite::Result<BuildId> {
    row.get(column).map(BuildId::from_bytes)
}

pub(crate) fn job_name(row: &Row<'_>, column: usize) -> rusqlite::Result<JobName> {
    Ok(JobName::from_history(row.get_ref(column)?.as_blob()?))
}

pub(crate) fn platform(row: &Row<'_>, column: usize) -> rusqlite::Result<Platform> {
    Ok(Platform::from_history(row.get_ref(column)?.as_blob()?))
}

pub(crate) fn timestamp(row: &Row<'_>, column: usize) -> rusqlite::Result<Timestamp> {
    let milliseconds: i64 = row.get(column)?;
    Timestamp::from_milliseconds(milliseconds)
        .map_err(|_| rusqlite::Error::IntegralValueOutOfRange(column, milliseconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_uploader_asks_scans_nothing() {
        let store = Store::in_memory().unwrap();
        for query in [
            UPLOAD_DUE,
            UPLOAD_BEYOND,
            UPLOAD_NEXT_TRY,
            UPLOADED_LEAVES,
            UPLOADED_NOTED,
            UPLOAD_FAILED,
            UPLOADS_KEPT,
            RECORD_REMOVED,
            small::REMOVE,
        ] {
            let mut statement = store.connection.prepare(&format!("EXPLAIN QUERY PLAN {query}")).unwrap();
            let parameters = vec![0_i64; statement.parameter_count()];
            let plan = statement.query_map(rusqlite::params_from_iter(parameters), |row| row.get(3)).unwrap();
            let plan: Vec<String> = plan.collect::<Result<_, _>>().unwrap();
            let cheap = |step: &String| {
                // Reading an index from its beginning, up to the limit, is as good as a search.
                step.starts_with("SEARCH") || step.starts_with("SCALAR") || step.contains("outbox USING COVERING INDEX")
            };
            assert!(!plan.is_empty() && plan.iter().all(cheap), "{query}: {plan:?}");
        }
    }

    #[test]
    fn a_file_system_without_write_ahead_logs_is_refused() {
        let error = Store::in_memory().unwrap().configure().unwrap_err().to_string();
        assert!(error.contains("\"memory\"\nhint: the data folder"), "{error}");
    }
}
