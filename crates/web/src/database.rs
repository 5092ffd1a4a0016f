//! The database of a data folder: one writer, several readers, the original's tables and our own.
//!
//! WAL with `synchronous=FULL`: what [`Database::write`] has committed, a power cut cannot take back. Another process,
//! such as `builder-db` or the original's, may use the file at the same time.

pub mod artifact;
pub mod build;
pub mod columns;
pub(crate) mod damage;
mod distinct;
pub(crate) mod jobs;
pub(crate) mod latest;
pub(crate) mod listed;
pub(crate) mod lists;
pub mod related;
pub mod schema;
pub(crate) mod search;
pub(crate) mod selected;
pub(crate) mod texts;
pub(crate) mod totals;
pub(crate) mod words;

use crate::depot::FileIdentity;
use crate::error::{Tried, WebError};
use crate::limits::{DATABASE_WAIT, READERS_MAX};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, Transaction, TransactionBehavior};
use schema::{
    APPLICATION_ID, COPIED, COPY, DERIVED_BEFORE_3, LACKS_COLUMN, ORIGINAL, OWN, OWN_VERSION, SCHEMA_VERSION,
};
use std::fs::{File, Permissions};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Condvar, Mutex, PoisonError};

/// Statements that a connection keeps prepared: all that the pages use.
const STATEMENTS_KEPT: usize = 256;

/// The database, open.
#[derive(Debug)]
pub struct Database {
    path: PathBuf,
    /// Which file was opened.
    file: Option<FileIdentity>,
    writer: Mutex<Connection>,
    readers: Mutex<Vec<Connection>>,
    reader_back: Condvar,
    /// Tells whether anything was committed, by whomever.
    watch: Mutex<Connection>,
}

impl Database {
    /// Where the database of a data folder lies.
    pub fn path_of(datadir: &Path) -> PathBuf {
        datadir.join("builder.sqlite3")
    }

    /// Makes the database of a data folder, which must not have one yet.
    pub fn create(datadir: &Path) -> Result<Self, WebError> {
        let path = Self::path_of(datadir);
        if path.exists() {
            return Err(WebError::DatabaseExists { path });
        }
        create_closed(&path)?;
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let made = Connection::open_with_flags(&path, flags).and_then(|mut connection| {
            connection.busy_timeout(DATABASE_WAIT)?;
            let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            transaction.execute_batch(ORIGINAL)?;
            transaction.pragma_update(None, "user_version", SCHEMA_VERSION)?;
            transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
            transaction.commit()
        });
        made.map_err(|source| WebError::Database { action: "create", path, source })?;
        Self::open(datadir)
    }

    /// Opens the database of a data folder, and adds our own tables where they are missing.
    pub fn open(datadir: &Path) -> Result<Self, WebError> {
        let path = Self::path_of(datadir);
        if !path.exists() {
            return Err(WebError::DatabaseMissing { path });
        }
        close_to_others(&path)?;
        let failed = |source| WebError::Database { action: "open", path: path.clone(), source };
        let mut writer = connect(&path, Access::Write).map_err(failed)?;
        let pragma = |name: &str| writer.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
        let (application, version) =
            (pragma("application_id").map_err(failed)?, pragma("user_version").map_err(failed)?);
        if application != APPLICATION_ID || version != SCHEMA_VERSION {
            return Err(WebError::DatabaseVersion { path, application, version });
        }
        let mode: String =
            writer.pragma_update_and_check(None, "journal_mode", "wal", |row| row.get(0)).map_err(failed)?;
        if !mode.eq_ignore_ascii_case("wal") {
            return Err(WebError::Journal { path, mode });
        }
        add_own_tables(&mut writer, &path)?;
        let readers =
            (0..READERS_MAX).map(|_| connect(&path, Access::Read)).collect::<Result<_, _>>().map_err(failed)?;
        let watch = connect(&path, Access::Read).map_err(failed)?;
        let file = FileIdentity::of(&path);
        Ok(Self {
            path,
            file,
            writer: Mutex::new(writer),
            readers: Mutex::new(readers),
            reader_back: Condvar::new(),
            watch: Mutex::new(watch),
        })
    }

    /// Reads in one snapshot, while others may write. Blocks until a reader is free.
    pub fn read<T>(&self, work: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, WebError> {
        let mut reader = self.take_reader();
        let result = reader.connection().and_then(|connection| {
            let transaction = connection.transaction_with_behavior(TransactionBehavior::Deferred)?;
            let value = work(&transaction)?;
            transaction.finish()?;
            Ok(value)
        });
        result.map_err(|source| WebError::Database { action: "read", path: self.path.clone(), source })
    }

    /// Writes in one transaction, which is on disk when this returns. An error of `work` undoes all of it.
    pub fn write<T, E: From<WebError>>(&self, work: impl FnOnce(&Transaction<'_>) -> Result<T, E>) -> Result<T, E> {
        let failed = |source| WebError::Database { action: "write to", path: self.path.clone(), source };
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let transaction = writer.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed)?;
        let value = work(&transaction)?;
        transaction.commit().map_err(failed)?;
        Ok(value)
    }

    /// An error of a statement in [`Self::write`], with its place.
    pub fn failed(&self, source: rusqlite::Error) -> WebError {
        WebError::Database { action: "write to", path: self.path.clone(), source }
    }

    /// A number that changes with every commit, also of another process: what was read before may be old then.
    pub fn version(&self) -> Result<i64, WebError> {
        let watch = self.watch.lock().unwrap_or_else(PoisonError::into_inner);
        let version = watch
            .prepare_cached("PRAGMA data_version")
            .and_then(|mut statement| statement.query_row([], |row| row.get(0)));
        version.map_err(|source| WebError::Database { action: "read", path: self.path.clone(), source })
    }

    /// Whether the file that was opened is the one that lies there still: rows that are written to another one are lost.
    pub(crate) fn check_place(&self) -> Result<(), WebError> {
        if self.file == FileIdentity::of(&self.path) {
            Ok(())
        } else {
            Err(WebError::DatabaseReplaced { path: self.path.clone() })
        }
    }

    fn take_reader(&self) -> Reader<'_> {
        let mut readers = self.readers.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(connection) = readers.pop() {
                return Reader { database: self, connection: Some(connection) };
            }
            readers = self.reader_back.wait(readers).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// The rights on a database, but for what the umask takes: passwords, tokens and what hooks printed are in it.
const MODE: u32 = 0o640;

/// Makes an empty file for a database, which nobody else can read at any moment.
pub(crate) fn create_closed(path: &Path) -> Result<(), WebError> {
    let file = File::options().write(true).create_new(true).mode(MODE).open(path);
    file.map(drop).tried("create", path)
}

/// Takes the rights of all others on a database, and on what SQLite keeps beside it: the original left it open to
/// everybody on the host. The owner and the group keep theirs.
fn close_to_others(path: &Path) -> Result<(), WebError> {
    const OTHERS: u32 = 0o007;
    for suffix in ["", "-wal", "-shm"] {
        let mut file = path.as_os_str().to_owned();
        file.push(suffix);
        let file = PathBuf::from(file);
        let Ok(metadata) = std::fs::metadata(&file) else { continue };
        let mode = metadata.permissions().mode();
        if mode & OTHERS == 0 {
            continue;
        }
        match std::fs::set_permissions(&file, Permissions::from_mode(mode & !OTHERS)) {
            Ok(()) => tracing::info!("{} is closed to other users now; its group may read it still", file.display()),
            // It belongs to somebody else, whose business it is.
            Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
                tracing::warn!("{} can be read by every user of this host, and has passwords in it", file.display());
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(error).tried("change the rights of", &file),
        }
    }
    Ok(())
}

/// A reader that goes back when it is dropped, also by a panic.
struct Reader<'a> {
    database: &'a Database,
    connection: Option<Connection>,
}

impl Reader<'_> {
    fn connection(&mut self) -> rusqlite::Result<&mut Connection> {
        self.connection.as_mut().ok_or(rusqlite::Error::InvalidQuery)
    }
}

impl Drop for Reader<'_> {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.take() {
            self.database.readers.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
            self.database.reader_back.notify_one();
        }
    }
}

enum Access {
    Read,
    Write,
}

fn connect(path: &Path, access: Access) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(DATABASE_WAIT)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS_KEPT);
    // Plans must not hang on bound values: with partial indices SQLite would plan nearly every statement anew each
    // time it is run, which was half of what a page costs.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update(None, "synchronous", "full")?;
    match access {
        Access::Read => connection.pragma_update(None, "query_only", true)?,
        Access::Write => {}
    }
    Ok(connection)
}

/// Adds what is missing of our own tables, whatever version they are of, and brings in what other programs wrote.
fn add_own_tables(writer: &mut Connection, path: &Path) -> Result<(), WebError> {
    let failed = |source| WebError::Database { action: "prepare", path: path.to_owned(), source };
    let transaction = writer.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed)?;
    let found = own_version(&transaction).map_err(failed)?;
    if found.is_some_and(|found| found > OWN_VERSION) {
        let found = found.unwrap_or_default();
        return Err(WebError::OwnVersion { path: path.to_owned(), found, known: OWN_VERSION });
    }
    let prepare = || {
        if found != Some(OWN_VERSION) {
            add_copied_columns(&transaction)?;
            transaction.execute_batch(OWN)?;
            if found.is_some_and(|found| found < 3) {
                transaction.execute(DERIVED_BEFORE_3, [])?;
            }
            if found.is_some_and(|found| found < 5) {
                damage::take_over_notes(&transaction)?;
            }
            transaction.execute("DELETE FROM repository_version", [])?;
            transaction.execute("INSERT INTO repository_version VALUES (?1)", [OWN_VERSION])?;
        }
        // The original removes builds without looking at our tables.
        transaction.execute("DELETE FROM repository_stale WHERE build NOT IN (SELECT id FROM build)", [])?;
        texts::catch_up(&transaction)
    };
    prepare().map_err(failed)?;
    transaction.commit().map_err(failed)?;
    texts::follow(writer).map_err(failed)
}

/// Adds the columns of builds that an earlier version did not copy.
fn add_copied_columns(connection: &Connection) -> rusqlite::Result<()> {
    let mut is_changed = false;
    for column in COPIED {
        if connection.query_row(LACKS_COLUMN, [column], |row| row.get(0))? {
            connection.execute_batch(&format!("ALTER TABLE repository_build ADD COLUMN {column} INTEGER"))?;
            is_changed = true;
        }
    }
    if is_changed {
        connection.execute(COPY, [])?;
    }
    Ok(())
}

/// The version of our own tables; none where there are none.
fn own_version(connection: &Connection) -> rusqlite::Result<Option<i64>> {
    let text = "SELECT count(*) FROM sqlite_master WHERE name = 'repository_version'";
    match connection.query_row(text, [], |row| row.get(0))? {
        0_i64 => Ok(None),
        _ => connection.query_row("SELECT version FROM repository_version", [], |row| row.get(0)).map(Some),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(database: &Database) -> Vec<String> {
        let text = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name";
        let read = |connection: &Connection| {
            connection.prepare(text)?.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<Vec<String>>>()
        };
        database.read(read).unwrap()
    }

    #[test]
    fn a_new_database_is_one_of_the_original_with_tables_of_our_own() {
        let folder = tempfile::tempdir().unwrap();
        let database = Database::create(folder.path()).unwrap();
        let (own, original): (Vec<_>, Vec<_>) =
            names(&database).into_iter().partition(|name| name.starts_with("repository_"));
        assert_eq!(original, ["access_list", "build", "build_artifact", "job", "job_tag", "tag", "user"]);
        // One of them, for texts, is made of five.
        assert_eq!(own.len(), 11 + 6, "{own:?}");
        assert!(matches!(Database::create(folder.path()), Err(WebError::DatabaseExists { .. })));
        drop(database);
        let opened = names(&Database::open(folder.path()).unwrap());
        assert_eq!(opened.len(), own.len() + original.len(), "opened again, nothing is added");
    }

    #[test]
    fn a_folder_of_an_earlier_version_gets_what_it_lacks() {
        let folder = tempfile::tempdir().unwrap();
        let whole = "SELECT group_concat(name) FROM (SELECT name FROM sqlite_master ORDER BY name)";
        let schema = |database: &Database| {
            database.read(|connection| connection.query_row(whole, [], |row| row.get::<_, String>(0))).unwrap()
        };
        let known = schema(&Database::create(folder.path()).unwrap());
        let connection = Connection::open(Database::path_of(folder.path())).unwrap();
        let older =
            "DROP TABLE repository_text; DROP INDEX repository_latest; UPDATE repository_version SET version = 1;
            INSERT INTO job(name) VALUES ('kept')";
        connection.execute_batch(older).unwrap();
        let database = Database::open(folder.path()).unwrap();
        assert_eq!(schema(&database), known);
        let jobs =
            |connection: &Connection| connection.query_row("SELECT name FROM job", [], |row| row.get::<_, String>(0));
        assert_eq!(database.read(jobs).unwrap(), "kept");
        drop(database);
        connection.execute("UPDATE repository_version SET version = ?1", [OWN_VERSION + 1]).unwrap();
        let error = Database::open(folder.path()).unwrap_err();
        assert!(matches!(error, WebError::OwnVersion { found, .. } if found == OWN_VERSION + 1), "{error}");
    }

    #[test]
    fn builds_of_an_earlier_version_get_their_starts_and_jobs() {
        let folder = tempfile::tempdir().unwrap();
        drop(Database::create(folder.path()).unwrap());
        let connection = Connection::open(Database::path_of(folder.path())).unwrap();
        let earlier = "DROP TRIGGER repository_build_place; DROP INDEX repository_build_of_input;
            DROP INDEX repository_build_of_output; DROP INDEX repository_build_listed;
            ALTER TABLE repository_build DROP COLUMN start_d; ALTER TABLE repository_build DROP COLUMN start_ps;
            ALTER TABLE repository_build DROP COLUMN job;
            CREATE INDEX repository_build_input ON repository_build(input, output) WHERE input IS NOT NULL;
            UPDATE repository_version SET version = 3;
            INSERT INTO job(name) VALUES ('a');
            INSERT INTO user VALUES (1, 'farm', x'', x'', 16, 1, 1, 0);";
        connection.execute_batch(earlier).unwrap();
        let add = |start: i64| {
            let build = "INSERT INTO build(uuid, start_d, start_ps, finish_d, finish_ps, result_code, console, script,
                platform, user, job) VALUES (?1, ?1, ?1 + 1, ?1, ?1, 0, 'c', 's', 'p', 1, 1)";
            connection.execute(build, [start]).unwrap();
            let derived = "INSERT INTO repository_build(build, console_lines, console_bytes, console_index,
                artifact_count, artifact_bytes) VALUES (?1, 0, 0, x'', 0, 0)";
            connection.execute(derived, [connection.last_insert_rowid()]).unwrap();
        };
        add(10);
        drop(Database::open(folder.path()).unwrap());
        add(20);
        let text = "SELECT start_d, start_ps, job FROM repository_build ORDER BY build";
        let mut places = connection.prepare(text).unwrap();
        let places = places.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).unwrap();
        assert_eq!(places.collect::<rusqlite::Result<Vec<(i64, i64, i64)>>>().unwrap(), [(10, 11, 1), (20, 21, 1)]);
        let indices = "SELECT count(*) FROM sqlite_master WHERE name = 'repository_build_input'";
        assert_eq!(connection.query_row(indices, [], |row| row.get::<_, i64>(0)).unwrap(), 0, "nothing asks it");
        // Of those before version 7, some have all but the jobs.
        let earlier = "DROP TRIGGER repository_build_place; DROP INDEX repository_build_listed;
            ALTER TABLE repository_build DROP COLUMN job; UPDATE repository_version SET version = 6";
        connection.execute_batch(earlier).unwrap();
        drop(Database::open(folder.path()).unwrap());
        let jobs = "SELECT count(*) FROM repository_build WHERE job = 1 AND start_d = build * 10";
        assert_eq!(connection.query_row(jobs, [], |row| row.get::<_, i64>(0)).unwrap(), 2);
    }

    #[test]
    fn nobody_else_on_the_host_reads_it() {
        let folder = tempfile::tempdir().unwrap();
        let mode = |suffix: &str| {
            let path = folder.path().join(format!("builder.sqlite3{suffix}"));
            std::fs::metadata(path).unwrap().permissions().mode() & 0o777
        };
        let modes = || ["", "-wal", "-shm"].map(mode);
        let database = Database::create(folder.path()).unwrap();
        assert_eq!(modes(), [MODE; 3]);
        drop(database);
        // As the original leaves it.
        let path = Database::path_of(folder.path());
        std::fs::set_permissions(&path, Permissions::from_mode(0o664)).unwrap();
        let database = Database::open(folder.path()).unwrap();
        assert_eq!(modes(), [0o660; 3], "what the group had, it keeps");
        drop(database);
    }

    #[test]
    fn other_databases_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        assert!(matches!(Database::open(folder.path()), Err(WebError::DatabaseMissing { .. })));
        drop(Database::create(folder.path()).unwrap());
        let connection = Connection::open(Database::path_of(folder.path())).unwrap();
        connection.pragma_update(None, "user_version", 16).unwrap();
        let error = Database::open(folder.path()).unwrap_err().to_string();
        assert!(error.contains("version 16") && error.contains("hint:"), "{error}");
    }

    #[test]
    fn a_statement_is_planned_once() {
        let folder = tempfile::tempdir().unwrap();
        let database = Database::create(folder.path()).unwrap();
        let text = "SELECT b.id FROM build b LEFT JOIN repository_build r ON r.build = b.id WHERE b.uuid = ?1";
        let planned_again = |connection: &Connection| {
            let mut statement = connection.prepare_cached(text)?;
            for uuid in ["one", "another", "a third"] {
                assert!(!statement.exists([uuid])?);
            }
            Ok(statement.get_status(rusqlite::StatementStatus::RePrepare))
        };
        assert_eq!(database.read(planned_again).unwrap(), 0);
    }

    #[test]
    fn another_file_in_its_place_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let database = Database::create(folder.path()).unwrap();
        database.check_place().unwrap();
        let (path, copy) = (Database::path_of(folder.path()), folder.path().join("copy"));
        std::fs::copy(&path, &copy).unwrap();
        std::fs::rename(&copy, &path).unwrap();
        let error = database.check_place().unwrap_err().to_string();
        assert!(error.contains("was replaced") && error.contains("hint:"), "{error}");
    }

    #[test]
    fn every_commit_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let database = Database::create(folder.path()).unwrap();
        let before = database.version().unwrap();
        assert_eq!(database.version().unwrap(), before);
        let add = |transaction: &Transaction<'_>| {
            transaction.execute("INSERT INTO job(name) VALUES ('a')", []).map_err(|error| database.failed(error))
        };
        database.write(add).unwrap();
        assert_ne!(database.version().unwrap(), before);
        let failing = |transaction: &Transaction<'_>| {
            transaction.execute("INSERT INTO job(name) VALUES ('b')", []).map_err(|error| database.failed(error))?;
            transaction.execute("INSERT INTO job(name) VALUES ('a')", []).map_err(|error| database.failed(error))
        };
        assert!(database.write(failing).is_err());
        let count =
            |connection: &Connection| connection.query_row("SELECT count(*) FROM job", [], |row| row.get::<_, i64>(0));
        assert_eq!(database.read(count).unwrap(), 1, "all or nothing");
    }
}
