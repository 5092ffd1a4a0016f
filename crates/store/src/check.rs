//! Looking for what is wrong in a data folder, or in a copy of one: the database, every record that it knows, what waits
//! to be uploaded. Nothing is changed, and a server may use the folder meanwhile.

use crate::database::{self, build_id, job_name};
use crate::error::{StoreError, Tried};
use crate::folder::Folder;
use crate::record::{self, Summary};
use builder_model::{BuildId, JobName};
use builder_wire::stream::{RecordEvent, RecordParser};
use rusqlite::{Connection, OpenFlags, OptionalExtension, Row, params};
use std::fmt;
use std::fs::{self, File};
use std::io::{ErrorKind, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How many rows of the history are read at once.
const PAGE_ROWS: i64 = 1024;
/// How many faults of the database itself are told.
const DATABASE_FAULTS_MAX: i64 = 100;
/// How much of a record is read at once, in bytes.
const BUFFER_BYTES: usize = 256 << 10;

const PAGE: &str = "SELECT number, build, job, record_bytes, uploaded IS NOT NULL,
    (SELECT bytes FROM record WHERE record.number = history.number) FROM history
    WHERE number > ?1 AND record_bytes IS NOT NULL ORDER BY number LIMIT ?2";
const KEPT: &str = "SELECT 1 FROM history WHERE number = ?1 AND record_bytes IS NOT NULL";
const WITHOUT_RECORD: &str = "SELECT outbox.build, outbox.job FROM outbox LEFT JOIN history USING (number)
    WHERE history.record_bytes IS NULL";
const KNOWN: &str = "SELECT 1 FROM history WHERE build = ?1 UNION ALL SELECT 1 FROM running WHERE build = ?1
    UNION ALL SELECT 1 FROM queued WHERE build = ?1";

/// What a check saw.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Checked {
    /// Builds in the history.
    pub builds: u64,
    /// Records that were read, and their size in bytes.
    pub records: u64,
    /// The size of those records, in bytes.
    pub record_bytes: u64,
    /// Records that are not there and that the repository has: removed after the database was copied.
    pub uploaded: u64,
    /// Uploads that wait.
    pub waiting: u64,
    /// Records of builds that the database does not know.
    pub unknown: u64,
    /// What is wrong.
    pub faults: u64,
}

/// Something that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// SQLite says so of the database.
    Database(String),
    /// A record that should be there is not.
    Missing(PathBuf),
    /// A record is not what it should be.
    Record {
        /// Its file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A build waits to be uploaded and has no record.
    Upload {
        /// Which build.
        build: BuildId,
        /// Its job.
        job: JobName,
    },
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Database(what) => write!(f, "the database is damaged: {what}"),
            Self::Missing(path) => write!(f, "the record {} is missing", path.display()),
            Self::Record { path, reason } => write!(f, "the record {} is damaged: {reason}", path.display()),
            Self::Upload { build, job } => write!(f, "build {build} of {job} waits to be uploaded and has no record"),
        }
    }
}

/// A build that should have a record.
struct Kept {
    number: i64,
    build: BuildId,
    job: JobName,
    record_bytes: u64,
    uploaded: bool,
    /// The record, while its file may not be on disk.
    small: Option<Vec<u8>>,
}

/// Checks a data folder, and tells each fault as it is found.
///
/// # Errors
///
/// There is no such folder or no database in it, or it is one that cannot be read at all.
pub fn check(root: &Path, mut on_fault: impl FnMut(&Fault)) -> Result<Checked, StoreError> {
    let path = Folder::database_of(root);
    let connection = open(&path)?;
    let mut checked = Checked::default();
    let mut tell = |checked: &mut Checked, fault: Fault| {
        checked.faults += 1;
        on_fault(&fault);
    };
    for fault in database_faults(&connection).tried("check", &path)? {
        tell(&mut checked, Fault::Database(fault));
    }
    // Whether every name, time and UUID in it can be read.
    if let Err(error) = database::load(&connection) {
        tell(&mut checked, Fault::Database(error.to_string()));
    }
    let count = |query| connection.query_row(query, [], |row| row.get::<_, u64>(0)).tried("read", &path);
    checked.builds = count("SELECT count(*) FROM history")?;
    checked.waiting = count("SELECT count(*) FROM outbox")?;
    let mut last = 0;
    loop {
        let page = page(&connection, last).tried("read", &path)?;
        let Some(end) = page.last() else { break };
        last = end.number;
        for kept in &page {
            match examine(root, &connection, kept).tried("read", &path)? {
                Examined::Whole => {
                    checked.records += 1;
                    checked.record_bytes += kept.record_bytes;
                }
                Examined::Gone => {}
                Examined::Uploaded => checked.uploaded += 1,
                Examined::Wrong(fault) => tell(&mut checked, fault),
            }
        }
    }
    for (build, job) in uploads_without_record(&connection).tried("read", &path)? {
        tell(&mut checked, Fault::Upload { build, job });
    }
    checked.unknown = unknown(root, &connection)?;
    Ok(checked)
}

/// Opens a database without changing the folder that it lies in.
pub(crate) fn open(path: &Path) -> Result<Connection, StoreError> {
    if let Err(error) = fs::metadata(path) {
        return Err(error).tried("find", path);
    }
    // Beside a copy there is no log, and none must be made: it may lie where nobody may write, and belongs to somebody.
    let mut wal = path.as_os_str().to_owned();
    wal.push("-wal");
    let immutable = if Path::new(&wal).exists() { "" } else { "?immutable=1" };
    let mut address = "file:".to_owned();
    for &byte in path.as_os_str().as_bytes() {
        if byte.is_ascii_alphanumeric() || b"/._-".contains(&byte) {
            address.push(char::from(byte));
        } else {
            address.push_str(&format!("%{byte:02x}"));
        }
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_URI;
    let connection = Connection::open_with_flags(address + immutable, flags).tried("open", path)?;
    connection.busy_timeout(Duration::from_secs(5)).tried("open", path)?;
    database::must_be_of_this_version(&connection, path)?;
    Ok(connection)
}

fn database_faults(connection: &Connection) -> rusqlite::Result<Vec<String>> {
    let mut faults = Vec::new();
    let mut statement = connection.prepare(&format!("PRAGMA integrity_check({DATABASE_FAULTS_MAX})"))?;
    let said = statement.query_map([], |row| row.get::<_, String>(0))?;
    faults.extend(said.filter(|said| said.as_ref().map_or(true, |said| said != "ok")).collect::<Result<Vec<_>, _>>()?);
    let mut statement = connection.prepare("PRAGMA foreign_key_check")?;
    let said = statement.query_map([], |row| {
        let (table, parent): (String, String) = (row.get(0)?, row.get(2)?);
        Ok(format!("a row of {table} has none in {parent}"))
    })?;
    faults.extend(said.collect::<Result<Vec<_>, _>>()?);
    Ok(faults)
}

fn page(connection: &Connection, after: i64) -> rusqlite::Result<Vec<Kept>> {
    let kept = |row: &Row<'_>| {
        Ok(Kept {
            number: row.get(0)?,
            build: build_id(row, 1)?,
            job: job_name(row, 2)?,
            record_bytes: row.get(3)?,
            uploaded: row.get(4)?,
            small: row.get(5)?,
        })
    };
    connection.prepare_cached(PAGE)?.query_map(params![after, PAGE_ROWS], kept)?.collect()
}

/// The records that a folder should have whole and has not; nobody else has them.
pub(crate) fn records_missing(root: &Path, connection: &Connection) -> rusqlite::Result<Vec<PathBuf>> {
    let (mut missing, mut last) = (Vec::new(), 0);
    loop {
        let page = page(connection, last)?;
        let Some(end) = page.last() else { return Ok(missing) };
        last = end.number;
        let alone = page.iter().filter(|kept| kept.small.is_none() && !kept.uploaded);
        let is_whole =
            |record: &Path, bytes| fs::metadata(record).is_ok_and(|there| there.is_file() && there.len() == bytes);
        let records = alone.map(|kept| (Folder::record_of(root, &kept.job, &kept.build), kept.record_bytes));
        missing.extend(records.filter(|(record, bytes)| !is_whole(record, *bytes)).map(|(record, _)| record));
    }
}

enum Examined {
    Whole,
    /// It was removed while we looked, as it should be.
    Gone,
    /// It is not there, and the repository has it.
    Uploaded,
    Wrong(Fault),
}

fn examine(root: &Path, connection: &Connection, kept: &Kept) -> rusqlite::Result<Examined> {
    let path = Folder::record_of(root, &kept.job, &kept.build);
    let read = match &kept.small {
        // It is the same octets in the file, which may not be there yet.
        Some(bytes) => read_whole(&bytes[..]).map(|summary| (summary, bytes.len() as u64)),
        None => match File::open(&path) {
            Ok(file) => {
                let length = file.metadata().map(|metadata| metadata.len()).map_err(|error| error.to_string());
                length.and_then(|length| read_whole(file).map(|summary| (summary, length)))
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let still = connection.prepare_cached(KEPT)?.exists([kept.number])?;
                return Ok(match (still, kept.uploaded) {
                    (false, _) => Examined::Gone,
                    (true, true) => Examined::Uploaded,
                    (true, false) => Examined::Wrong(Fault::Missing(path)),
                });
            }
            Err(error) => Err(error.to_string()),
        },
    };
    let reason = match read {
        Ok((summary, _)) if summary.build != kept.build || summary.job.name != kept.job => {
            format!("it is of build {} of {}", summary.build, summary.job.name)
        }
        Ok((_, length)) if length != kept.record_bytes => {
            format!("it has {length} bytes, and the history says {}", kept.record_bytes)
        }
        Ok(_) => return Ok(Examined::Whole),
        Err(reason) => reason,
    };
    Ok(Examined::Wrong(Fault::Record { path, reason }))
}

/// Reads a record to its end.
fn read_whole(mut from: impl Read) -> Result<Summary, String> {
    let mut parser = RecordParser::new();
    let mut block = vec![0; BUFFER_BYTES];
    let (mut start, mut summary) = (None, None);
    loop {
        let count = from.read(&mut block).map_err(|error| error.to_string())?;
        if count == 0 {
            break;
        }
        let mut input = &block[..count];
        while let Some(event) = parser.next(&mut input).map_err(|error| error.to_string())? {
            match event {
                RecordEvent::Start { job, build } => start = Some((job, build)),
                RecordEvent::Ended { started, finished, outcome } => {
                    let ended = |(job, build)| Summary { job, build, started, finished, outcome };
                    summary = start.take().map(ended);
                }
                RecordEvent::Line { .. } | RecordEvent::File(_) | RecordEvent::End => {}
            }
        }
    }
    if !parser.is_done() {
        return Err(record::TOO_EARLY.to_owned());
    }
    summary.ok_or_else(|| "it has no job".to_owned())
}

fn uploads_without_record(connection: &Connection) -> rusqlite::Result<Vec<(BuildId, JobName)>> {
    let mut statement = connection.prepare(WITHOUT_RECORD)?;
    statement.query_map([], |row| Ok((build_id(row, 0)?, job_name(row, 1)?)))?.collect()
}

/// How many records lie in the folder of which the database knows nothing: of later builds, or of the original's.
fn unknown(root: &Path, connection: &Connection) -> Result<u64, StoreError> {
    let mut count = 0;
    for job in folders(root)? {
        for folder in folders(&job)? {
            let name = folder.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            let Ok(build) = name.parse::<BuildId>() else { continue };
            let ask = || connection.prepare_cached(KNOWN)?.query_row([build.as_bytes()], |_| Ok(())).optional();
            let known: rusqlite::Result<Option<()>> = ask();
            if known.tried("read", &Folder::database_of(root))?.is_none() && folder.join("full").exists() {
                count += 1;
            }
        }
    }
    Ok(count)
}

/// The folders in a folder; what is removed meanwhile has none.
fn folders(of: &Path) -> Result<Vec<PathBuf>, StoreError> {
    let entries = match fs::read_dir(of) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.tried("list", of)?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry.tried("list", of)?;
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            found.push(entry.path());
        }
    }
    Ok(found)
}
