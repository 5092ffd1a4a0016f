//! Small records: saved in the database together with the end of their builds, which is one sync for many of them, and
//! kept there until their files are known to be on disk.
//!
//! The file is written behind, without a sync of its own. While its row is there, a power cut takes nothing: the next
//! start writes the file again.

use crate::database::{Store, build_id, job_name};
use crate::error::{StoreError, Tried};
use crate::folder::Folder;
use crate::history::History;
use crate::record::{self, Temporary};
use builder_model::{BuildId, JobName};
use rusqlite::{Connection, OptionalExtension, Transaction, params};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Cursor, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// The largest small record, in bytes: writing it a second time, into the database, takes less time than the syncs that
/// this saves.
pub const SMALL_RECORD_BYTES_MAX: u64 = 64 << 10;
/// From this many files on, one sync of the whole file system is cheaper than one of each file and its folders. For
/// fewer, it is not done: it also writes whatever else builds on this machine left in memory.
#[cfg(target_os = "linux")]
const SYNC_TOGETHER_MIN: usize = 32;

// A row is as old as its build's row in the history, so the table is written at its end only.
pub(crate) const SCHEMA: &str =
    "CREATE TABLE record(number INTEGER PRIMARY KEY REFERENCES history(number), bytes BLOB NOT NULL);";
const ADD: &str = "INSERT INTO record(number, bytes) SELECT number, ?2 FROM history WHERE build = ?1";
const FIND: &str = "SELECT bytes FROM record WHERE number = (SELECT number FROM history WHERE build = ?1)";
pub(crate) const REMOVE: &str = "DELETE FROM record WHERE number = (SELECT number FROM history WHERE build = ?1)";
const FIRST: &str = "SELECT build, job, bytes FROM record JOIN history USING (number) ORDER BY number LIMIT ?1";

/// A whole record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SmallRecord {
    /// Whose.
    pub build: BuildId,
    /// Its job.
    pub job: JobName,
    /// What the file will hold.
    pub bytes: Vec<u8>,
}

impl SmallRecord {
    /// Writes the file under its name, where everybody finds it; a power cut may still take it.
    pub fn place(&self, folder: &Folder) -> Result<(), StoreError> {
        self.write(folder, |written| {
            let target = folder.record(&self.job, &self.build);
            create_parents(&target)?;
            fs::rename(written, &target).tried("rename", written)
        })
    }

    /// Writes the file and waits until it is on disk: for a record that has no row.
    pub fn store(&self, folder: &Folder) -> Result<(), StoreError> {
        self.write(folder, |written| record::publish(folder, written, &self.job, &self.build))
    }

    fn write(&self, folder: &Folder, rename: impl FnOnce(&Path) -> Result<(), StoreError>) -> Result<(), StoreError> {
        let path = folder.incoming_record(&self.build);
        let mut options = OpenOptions::new();
        let mut file =
            options.write(true).create(true).truncate(true).mode(0o640).open(&path).tried("create", &path)?;
        let mut temporary = Temporary::new(&path);
        file.write_all(&self.bytes).tried("write", &path)?;
        rename(&path)?;
        temporary.keep();
        Ok(())
    }
}

/// Most builds have a job that had builds before: so the folder of the build is tried first.
fn create_parents(target: &Path) -> Result<(), StoreError> {
    let Some(build) = target.parent() else { return Ok(()) };
    match record::create_folder(build) {
        Err(StoreError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
            if let Some(job) = build.parent() {
                record::create_folder(job)?;
            }
            record::create_folder(build).map(drop)
        }
        result => result.map(drop),
    }
}

/// Waits until the files of these builds, and the folders that they lie in, are on disk.
pub fn sync(folder: &Folder, records: &[(BuildId, JobName)]) -> Result<(), StoreError> {
    #[cfg(target_os = "linux")]
    if records.len() >= SYNC_TOGETHER_MIN {
        let root = File::open(folder.root()).tried("open", folder.root())?;
        return nix::unistd::syncfs(&root).map_err(io::Error::from).tried("sync", folder.root());
    }
    let mut jobs: Vec<PathBuf> = Vec::new();
    for (build, job) in records {
        let path = folder.record(job, build);
        sync_path(&path)?;
        if let Some(build) = path.parent() {
            sync_path(build)?;
        }
        jobs.push(folder.job(job));
    }
    jobs.sort_unstable();
    jobs.dedup();
    jobs.iter().try_for_each(|job| sync_path(job))?;
    sync_path(folder.root())
}

/// What somebody removed needs no sync.
fn sync_path(path: &Path) -> Result<(), StoreError> {
    match File::open(path).and_then(|file| file.sync_all()) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result.tried("sync", path),
    }
}

/// Adds the rows of builds that the same transaction brings into the history.
pub(crate) fn add(to: &Transaction<'_>, records: &[&SmallRecord]) -> rusqlite::Result<()> {
    for record in records {
        to.prepare_cached(ADD)?.execute(params![record.build.as_bytes(), record.bytes])?;
    }
    Ok(())
}

impl Store {
    /// The record of a build, if it is in the database.
    pub fn small_record(&self, build: &BuildId) -> Result<Option<Vec<u8>>, StoreError> {
        find(self.connection(), build).tried("read", self.path())
    }

    /// The files of these builds are on disk: their rows go.
    pub fn records_synced(&mut self, builds: &[BuildId]) -> Result<(), StoreError> {
        self.write(|transaction| {
            let mut statement = transaction.prepare_cached(REMOVE)?;
            builds.iter().try_for_each(|build| statement.execute([build.as_bytes()]).map(drop))
        })
    }

    /// The small records that have waited longest, at most `count`.
    pub fn small_records(&self, count: usize) -> Result<Vec<SmallRecord>, StoreError> {
        let first = || {
            let mut statement = self.connection().prepare_cached(FIRST)?;
            let rows = statement.query_map([i64::try_from(count).unwrap_or(i64::MAX)], |row| {
                Ok(SmallRecord { build: build_id(row, 0)?, job: job_name(row, 1)?, bytes: row.get(2)? })
            })?;
            rows.collect::<rusqlite::Result<Vec<_>>>()
        };
        first().tried("read", self.path())
    }
}

fn find(connection: &Connection, build: &BuildId) -> rusqlite::Result<Option<Vec<u8>>> {
    connection.prepare_cached(FIND)?.query_row([build.as_bytes()], |row| row.get(0)).optional()
}

/// Where a record is read from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordPlace {
    path: PathBuf,
    /// Its bytes, when the file was not there.
    bytes: Option<Vec<u8>>,
}

impl From<&Path> for RecordPlace {
    fn from(path: &Path) -> Self {
        Self { path: path.to_owned(), bytes: None }
    }
}

impl History {
    /// Where the record of a finished build is: in its file or, while that is not written, in the database.
    pub fn record(&self, folder: &Folder, job: &JobName, build: &BuildId) -> Result<RecordPlace, StoreError> {
        let path = folder.record(job, build);
        // In this order: a row goes only when the file is there.
        let bytes = if path.exists() { None } else { self.store().small_record(build)? };
        Ok(RecordPlace::new(path, bytes))
    }
}

impl RecordPlace {
    /// A record whose file is there, or else has these bytes.
    pub fn new(path: PathBuf, bytes: Option<Vec<u8>>) -> Self {
        Self { path, bytes }
    }

    /// The file that it is, or will be.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Opens it.
    pub fn open(&self) -> Result<RecordReader, StoreError> {
        match &self.bytes {
            None => File::open(&self.path).map(RecordReader::File).tried("open", &self.path),
            Some(bytes) => Ok(RecordReader::Bytes(Cursor::new(bytes.clone()))),
        }
    }
}

/// A record that is being read.
#[derive(Debug)]
pub enum RecordReader {
    /// From its file.
    File(File),
    /// From the database.
    Bytes(Cursor<Vec<u8>>),
}

impl RecordReader {
    /// How long it is, in bytes.
    pub fn bytes(&self) -> io::Result<u64> {
        match self {
            Self::File(file) => Ok(file.metadata()?.len()),
            Self::Bytes(bytes) => Ok(bytes.get_ref().len() as u64),
        }
    }
}

impl Read for RecordReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::File(file) => file.read(buffer),
            Self::Bytes(bytes) => bytes.read(buffer),
        }
    }
}

impl Seek for RecordReader {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        match self {
            Self::File(file) => file.seek(to),
            Self::Bytes(bytes) => bytes.seek(to),
        }
    }
}
