//! Removing builds, with the artifacts that no other build has. Which builds go is the business of [`policy`] and of
//! those who ask.
//!
//! Rows go first, in one transaction, then files; all of it under [`Depot::lock_removal`], so that no upload counts on an
//! artifact that is about to go. A crash in between leaves files that no row names, which `builder-db check --repair`
//! finds, and never a row without its file.

pub mod policy;

use crate::database::Database;
use crate::depot::Depot;
use crate::digest::Digest;
use crate::error::{Tried, WebError};
use crate::limits::REMOVAL_BUILDS_AT_ONCE_MAX;
use rusqlite::{Connection, OptionalExtension};
use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// What went, or would go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Removal {
    /// Builds.
    pub builds: u64,
    /// Builds that were to go, but are pinned.
    pub pinned: u64,
    /// Artifacts that no other build has.
    pub artifacts: u64,
    /// Bytes of those artifacts, and of the folders of the builds.
    pub bytes: u64,
}

impl Removal {
    fn add(&mut self, other: Self) {
        self.builds += other.builds;
        self.pinned += other.pinned;
        self.artifacts += other.artifacts;
        self.bytes += other.bytes;
    }
}

/// How the removal of a job ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobRemoval {
    /// There is no such job.
    Unknown,
    /// So many of its builds are pinned; nothing was changed.
    Pinned(u64),
    /// It is gone, with all its builds.
    Removed(Removal),
}

/// Tells what [`remove_builds`] would remove.
pub fn preview(depot: &Depot, connection: &Connection, builds: &[i64]) -> rusqlite::Result<Removal> {
    let mut removal = Removal::default();
    let mut digests: HashMap<Vec<u8>, i64> = HashMap::new();
    for &build in builds {
        match find(connection, build)? {
            Found::Gone => {}
            Found::Pinned => removal.pinned += 1,
            Found::There { folder } => {
                removal.builds += 1;
                removal.bytes += folder.and_then(|folder| depot.file_of_row(&folder)).map_or(0, |at| bytes_of(&at));
                for digest in digests_of(connection, build)? {
                    *digests.entry(digest).or_default() += 1;
                }
            }
        }
    }
    let mut named = connection.prepare_cached("SELECT count(*) FROM build_artifact WHERE sha256 = ?1")?;
    for (digest, rows) in digests {
        let all: i64 = named.query_row([&digest], |row| row.get(0))?;
        if let (true, Some(digest)) = (all == rows, Digest::from_column(&digest)) {
            removal.artifacts += 1;
            removal.bytes += bytes_of(&depot.artifact(&digest));
        }
    }
    Ok(removal)
}

/// Removes builds, but never a pinned one; those that are gone already are passed over. Safe beside a running server,
/// which can work on between portions. `progress` hears how many are done.
pub fn remove_builds(
    depot: &Depot,
    database: &Database,
    builds: &[i64],
    mut progress: impl FnMut(u64),
) -> Result<Removal, WebError> {
    let mut removal = Removal::default();
    for portion in builds.chunks(REMOVAL_BUILDS_AT_ONCE_MAX) {
        let _lock = depot.lock_removal()?;
        let gone = database.write(|transaction| -> Result<_, WebError> {
            remove_rows(transaction, portion).map_err(|error| database.failed(error))
        })?;
        removal.add(remove_files(depot, &gone)?);
        progress(portion.len() as u64);
    }
    Ok(removal)
}

/// Removes a job with all its builds, rights and texts, in one transaction.
pub fn remove_job(depot: &Depot, database: &Database, name: &str) -> Result<JobRemoval, WebError> {
    let _lock = depot.lock_removal()?;
    let gone = database.write(|transaction| -> Result<_, WebError> {
        remove_job_rows(transaction, name).map_err(|error| database.failed(error))
    })?;
    match gone {
        JobRows::Unknown => Ok(JobRemoval::Unknown),
        JobRows::Pinned(builds) => Ok(JobRemoval::Pinned(builds)),
        JobRows::Gone(gone) => {
            let removal = remove_files(depot, &gone)?;
            if let Some(folder) = depot.file_of_row(name) {
                match fs::remove_dir(&folder) {
                    // What somebody else put there stays.
                    Err(error)
                        if error.kind() != io::ErrorKind::NotFound
                            && error.kind() != io::ErrorKind::DirectoryNotEmpty =>
                    {
                        return Err(error).tried("remove", &folder);
                    }
                    Ok(()) | Err(_) => {}
                }
            }
            Ok(JobRemoval::Removed(removal))
        }
    }
}

/// Rows that are gone, and what they named.
#[derive(Default)]
struct GoneRows {
    builds: u64,
    pinned: u64,
    folders: Vec<String>,
    artifacts: Vec<Digest>,
}

enum JobRows {
    Unknown,
    Pinned(u64),
    Gone(GoneRows),
}

/// The builds that go with a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JobBuilds {
    /// There is no such job.
    Unknown,
    /// So many of them are pinned: it stays.
    Pinned(u64),
    /// None is.
    Free {
        /// The row of the job.
        job: i64,
        /// Their rows, the oldest first.
        builds: Vec<i64>,
    },
}

/// Finds the builds that [`remove_job`] would remove.
pub fn builds_of_job(connection: &Connection, name: &str) -> rusqlite::Result<JobBuilds> {
    let job = connection.query_row("SELECT id FROM job WHERE name = ?1", [name], |row| row.get::<_, i64>(0));
    let Some(job) = job.optional()? else { return Ok(JobBuilds::Unknown) };
    let pinned: u64 = connection.query_row(
        "SELECT count(*) FROM build WHERE job = ?1 AND id IN (SELECT build FROM repository_pin)",
        [job],
        |row| row.get(0),
    )?;
    if pinned > 0 {
        return Ok(JobBuilds::Pinned(pinned));
    }
    let builds = connection
        .prepare("SELECT id FROM build WHERE job = ?1 ORDER BY start_d, start_ps")?
        .query_map([job], |row| row.get(0))?
        .collect::<rusqlite::Result<Vec<i64>>>()?;
    Ok(JobBuilds::Free { job, builds })
}

fn remove_job_rows(transaction: &Connection, name: &str) -> rusqlite::Result<JobRows> {
    let (job, builds) = match builds_of_job(transaction, name)? {
        JobBuilds::Unknown => return Ok(JobRows::Unknown),
        JobBuilds::Pinned(builds) => return Ok(JobRows::Pinned(builds)),
        JobBuilds::Free { job, builds } => (job, builds),
    };
    let gone = remove_rows(transaction, &builds)?;
    transaction.execute("DELETE FROM access_list WHERE job = ?1", [job])?;
    transaction.execute("DELETE FROM job_tag WHERE job = ?1", [job])?;
    // A right to upload for a name must not wait for somebody else's job of that name.
    // A token that is for nothing else goes with it: without a name in its list it would be for all jobs.
    let others = "token IN (SELECT token FROM repository_token_scope WHERE kind = 'job' AND name <> ?1)";
    let named = "SELECT token FROM repository_token_scope WHERE kind = 'job' AND name = ?1";
    let alone = format!("DELETE FROM repository_token WHERE id IN ({named} AND NOT {others})");
    transaction.execute(&alone, [name])?;
    transaction.execute("DELETE FROM repository_token_scope WHERE kind = 'job' AND name = ?1", [name])?;
    transaction.execute("DELETE FROM job WHERE id = ?1", [job])?;
    Ok(JobRows::Gone(gone))
}

fn remove_rows(transaction: &Connection, builds: &[i64]) -> rusqlite::Result<GoneRows> {
    let mut gone = GoneRows::default();
    let mut digests = Vec::new();
    for &build in builds {
        match find(transaction, build)? {
            Found::Gone => {}
            Found::Pinned => gone.pinned += 1,
            Found::There { folder } => {
                gone.builds += 1;
                gone.folders.extend(folder);
                digests.extend(digests_of(transaction, build)?);
                // The main binary of a build is one of these rows, and its key waits for the end of the transaction.
                transaction.prepare_cached("DELETE FROM build_artifact WHERE build = ?1")?.execute([build])?;
                transaction.prepare_cached("DELETE FROM build WHERE id = ?1")?.execute([build])?;
            }
        }
    }
    digests.sort_unstable();
    digests.dedup();
    let mut named = transaction.prepare_cached("SELECT EXISTS(SELECT 1 FROM build_artifact WHERE sha256 = ?1)")?;
    for digest in digests {
        if !named.query_row([&digest], |row| row.get::<_, bool>(0))? {
            transaction.prepare_cached("DELETE FROM repository_binary WHERE sha256 = ?1")?.execute([&digest])?;
            transaction.prepare_cached("DELETE FROM repository_inventory WHERE sha256 = ?1")?.execute([&digest])?;
            gone.artifacts.extend(Digest::from_column(&digest));
        }
    }
    Ok(gone)
}

/// Removes the files of rows that are gone. The caller holds the lock since before it looked at the rows. One that cannot
/// be removed is an error in the end, and keeps the others from nothing.
fn remove_files(depot: &Depot, gone: &GoneRows) -> Result<Removal, WebError> {
    let mut removal = Removal { builds: gone.builds, pinned: gone.pinned, ..Removal::default() };
    let mut failure = None;
    for folder in gone.folders.iter().filter_map(|folder| depot.file_of_row(folder)) {
        removal.bytes += bytes_of(&folder);
        failure = failure.or(Depot::remove(&folder).err());
    }
    let caches = cache_folders(depot)?;
    for digest in &gone.artifacts {
        removal.artifacts += 1;
        removal.bytes += bytes_of(&depot.artifact(digest));
        failure = failure.or(remove_artifact(depot, &caches, digest).err());
    }
    failure.map_or(Ok(removal), Err)
}

/// Removes an artifact with its visualizations, and itself at last: as long as it is there, `check` finds it. The caller
/// holds the lock, and knows that no row names it.
pub(crate) fn remove_artifact(depot: &Depot, caches: &[PathBuf], digest: &Digest) -> Result<(), WebError> {
    for cache in caches {
        Depot::remove(&cache.join(format!("{digest}.html")))?;
    }
    Depot::remove(&depot.artifact(digest))
}

enum Found {
    Gone,
    Pinned,
    /// Its folder below the data folder; none when the row has no job or a UUID that is none.
    There {
        folder: Option<String>,
    },
}

fn find(connection: &Connection, build: i64) -> rusqlite::Result<Found> {
    let mut statement = connection.prepare_cached(
        "SELECT job.name, build.uuid, EXISTS(SELECT 1 FROM repository_pin WHERE build = build.id)
         FROM build LEFT JOIN job ON job.id = build.job WHERE build.id = ?1",
    )?;
    let found = statement.query_row([build], |row| {
        let (job, uuid, pinned): (Option<String>, String, bool) = (row.get(0)?, row.get(1)?, row.get(2)?);
        if pinned {
            return Ok(Found::Pinned);
        }
        // A name that is several folders deep, or none, was never one of a job; what lies there is not ours.
        let folder = job.filter(|job| Path::new(job).components().count() == 1);
        let sound = uuid.parse::<builder_model::BuildId>().is_ok();
        Ok(Found::There { folder: folder.filter(|_| sound).map(|job| format!("{job}/{uuid}")) })
    });
    Ok(found.optional()?.unwrap_or(Found::Gone))
}

fn digests_of(connection: &Connection, build: i64) -> rusqlite::Result<Vec<Vec<u8>>> {
    let mut statement = connection.prepare_cached("SELECT sha256 FROM build_artifact WHERE build = ?1")?;
    statement.query_map([build], |row| row.get(0))?.collect()
}

/// The folders of visualizations, which are named by the digest of what they show.
pub(crate) fn cache_folders(depot: &Depot) -> Result<Vec<PathBuf>, WebError> {
    let cache = depot.cache();
    match fs::read_dir(&cache) {
        Ok(entries) => {
            entries.map(|entry| entry.map(|entry| entry.path())).collect::<io::Result<_>>().tried("read", &cache)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error).tried("read", &cache),
    }
}

/// Bytes of a file, or of all files of a folder and its folders. What cannot be read counts as nothing.
fn bytes_of(path: &Path) -> u64 {
    match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_dir() => match fs::read_dir(path) {
            Ok(entries) => entries.filter_map(Result::ok).map(|entry| bytes_of(&entry.path())).sum(),
            Err(_) => 0,
        },
        Ok(metadata) => metadata.len(),
        Err(_) => 0,
    }
}
