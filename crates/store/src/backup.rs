//! A second data folder of a server, as the first one was at one moment, made while a server may use the first.
//!
//! The database is copied first, then every record and what else lies there is placed, then the copy of the database takes
//! its name, and only then goes what it no longer names. A backup that is broken off therefore leaves the one before it
//! whole, and a record that the first folder lost, or has no longer whole, stays in the second.

use crate::check;
use crate::error::{StoreError, Tried};
use crate::folder::{Folder, OWN_PREFIX};
use builder_model::BuildId;
use rusqlite::{Connection, OptionalExtension};
use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Folders within folders that are copied; those of records are two deep.
const DEPTH_MAX: usize = 16;
/// Whether a build waits for nobody but this folder: its record is nowhere else.
const WANTED: &str = "SELECT 1 FROM history WHERE build = ?1 AND record_bytes IS NOT NULL AND uploaded IS NULL";
/// How long the record of a build is.
const RECORD_BYTES: &str = "SELECT record_bytes FROM history WHERE build = ?1";

/// What a backup has.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BackedUp {
    /// Builds in its history.
    pub builds: u64,
    /// Files beside the database, records most of them.
    pub files: u64,
    /// Bytes that were copied; files that have a second name now, or were there, are none.
    pub copied_bytes: u64,
    /// Records that should be there and are not.
    pub missing: Vec<PathBuf>,
}

/// Brings the backup in `to`, a new or empty folder or an older backup, up to date with the data folder `root`.
///
/// # Errors
///
/// A folder that is something else or in use, a database that cannot be read, a file that cannot be copied.
pub fn backup(root: &Path, to: &Path) -> Result<BackedUp, StoreError> {
    make_ready(root, to)?;
    let target = Folder::open(to)?;
    let fresh = to.join("builder-server.sqlite3.new");
    copy_database(&Folder::database_of(root), &fresh)?;
    let copy = check::open(&fresh)?;
    let folders = BTreeSet::from([to.to_owned()]);
    let mut placing = Placing { root, to, copy: &copy, folders, done: BackedUp::default() };
    placing.place_all(root, 0)?;
    let mut done = placing.finish()?;
    done.builds = copy.query_row("SELECT count(*) FROM history", [], |row| row.get(0)).tried("read", &fresh)?;
    done.missing = check::records_missing(to, &copy).tried("read", &fresh)?;
    // The log of a database that was opened there and not closed would be taken for one of the new database.
    for log in ["builder-server.sqlite3-wal", "builder-server.sqlite3-shm"] {
        remove(&to.join(log))?;
    }
    fs::rename(&fresh, target.database()).tried("rename", &fresh)?;
    sync_folder(to)?;
    remove_gone(root, to, to, &copy)?;
    Ok(done)
}

/// Makes the folder where there is none, and refuses one that holds something else or is not apart from the data folder.
fn make_ready(root: &Path, to: &Path) -> Result<(), StoreError> {
    let refused = |reason: &str| StoreError::Backup { path: to.to_owned(), reason: reason.to_owned() };
    let full = |path: &Path| fs::canonicalize(path).tried("find", path);
    let place = match (to.exists(), to.parent(), to.file_name()) {
        (false, Some(parent), Some(name)) => {
            full(if parent.as_os_str().is_empty() { Path::new(".") } else { parent })?.join(name)
        }
        (_, _, _) => full(to)?,
    };
    let root = full(root)?;
    if place.starts_with(&root) || root.starts_with(&place) {
        return Err(refused("it and the data folder are not apart"));
    }
    if !to.exists() {
        let mut builder = fs::DirBuilder::new();
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o750);
        return builder.create(to).tried("create", to);
    }
    let is_empty = fs::read_dir(to).tried("list", to)?.next().is_none();
    // Folders of our own stand there from the first moment of a backup, also of one that was broken off.
    if is_empty || to.join("builder-server.lock").exists() {
        return Ok(());
    }
    Err(refused("it is neither empty nor a backup"))
}

/// Copies the database as it is at one moment, whatever the server writes meanwhile.
fn copy_database(from: &Path, to: &Path) -> Result<(), StoreError> {
    let connection = check::open(from)?;
    remove(to)?;
    OpenOptions::new().write(true).create_new(true).mode(0o640).open(to).map(drop).tried("create", to)?;
    connection.execute("VACUUM INTO ?1", [to.to_string_lossy()]).tried("copy", from)?;
    File::open(to).and_then(|file| file.sync_all()).tried("sync", to)
}

/// The files of a data folder on their way.
struct Placing<'a> {
    root: &'a Path,
    to: &'a Path,
    /// The database of the backup.
    copy: &'a Connection,
    /// Folders of the backup in which there are new names.
    folders: BTreeSet<PathBuf>,
    done: BackedUp,
}

impl Placing<'_> {
    fn place_all(&mut self, folder: &Path, depth: usize) -> Result<(), StoreError> {
        for entry in entries(folder)? {
            let path = entry.path();
            let Ok(kind) = entry.file_type() else { continue };
            if is_own(self.root, &path) {
                continue;
            }
            if kind.is_dir() && depth < DEPTH_MAX {
                self.place_all(&path, depth + 1)?;
            } else if kind.is_file() {
                self.place(&path)?;
            }
        }
        Ok(())
    }

    /// Gives a record a second name in the backup, or copies it where that cannot be: records never change, so one of
    /// the same size is the same. Other files are copied each time.
    fn place(&mut self, from: &Path) -> Result<(), StoreError> {
        let below = from.strip_prefix(self.root).unwrap_or(from);
        let to = self.to.join(below);
        let is_record = from.file_name().is_some_and(|name| name == "full");
        let size = match fs::metadata(from) {
            Ok(metadata) => metadata.len(),
            // It was tidied away meanwhile.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error).tried("read", from),
        };
        // It takes no place of a whole one that an earlier backup brought.
        if is_record && record_bytes(from, self.copy)?.is_some_and(|whole| whole != size) {
            return Ok(());
        }
        self.done.files += 1;
        if is_record && fs::metadata(&to).is_ok_and(|there| there.is_file() && there.len() == size) {
            return Ok(());
        }
        if let Some(folder) = to.parent() {
            fs::create_dir_all(folder).tried("create", folder)?;
            let above = folder.ancestors().take_while(|above| above.starts_with(self.to));
            self.folders.extend(above.map(Path::to_owned));
        }
        if is_record {
            remove(&to)?;
            if fs::hard_link(from, &to).is_ok() {
                return Ok(());
            }
        }
        let part = self.to.join("builder-server.incoming/backup.part");
        let copied = File::open(from).and_then(|mut source| {
            let mut part = OpenOptions::new().write(true).create(true).truncate(true).mode(0o640).open(&part)?;
            let count = io::copy(&mut source, &mut part)?;
            part.sync_all()?;
            Ok(count)
        });
        match copied {
            Ok(count) => self.done.copied_bytes += count,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.done.files -= 1;
                return Ok(());
            }
            Err(error) => return Err(error).tried("copy", from),
        }
        fs::rename(&part, &to).tried("rename", &part)
    }

    /// Makes the names durable.
    fn finish(self) -> Result<BackedUp, StoreError> {
        self.folders.iter().try_for_each(|folder| sync_folder(folder))?;
        Ok(self.done)
    }
}

/// Removes from a folder of the backup what the data folder has no more, unless the record of a build is nowhere else.
fn remove_gone(root: &Path, to: &Path, folder: &Path, copy: &Connection) -> Result<(), StoreError> {
    for entry in entries(folder)? {
        let path = entry.path();
        if is_own(to, &path) {
            continue;
        }
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_gone(root, to, &path, copy)?;
            // One that is not empty stays.
            if fs::remove_dir(&path).is_ok() {
                continue;
            }
        } else if !root.join(path.strip_prefix(to).unwrap_or(&path)).exists() && !is_wanted(&path, copy)? {
            remove(&path)?;
        }
    }
    Ok(())
}

/// The build that a record is of, by the folder that it lies in.
fn build_of(record: &Path) -> Option<BuildId> {
    record.parent().and_then(Path::file_name)?.to_str()?.parse().ok()
}

/// How long this record is when it is whole, as far as that is known.
fn record_bytes(record: &Path, copy: &Connection) -> Result<Option<u64>, StoreError> {
    let Some(build) = build_of(record) else { return Ok(None) };
    let known = copy
        .prepare_cached(RECORD_BYTES)
        .and_then(|mut known| known.query_row([build.as_bytes()], |row| row.get::<_, Option<u64>>(0)).optional());
    known.map(Option::flatten).tried("read", record)
}

/// Whether this is the record of a build that only a record can give to the repository.
fn is_wanted(record: &Path, copy: &Connection) -> Result<bool, StoreError> {
    let Some(build) = build_of(record) else { return Ok(false) };
    let asked = copy.prepare_cached(WANTED).and_then(|mut wanted| wanted.exists([build.as_bytes()]));
    asked.tried("read", record)
}

/// Whether this is one of our own files beside the records.
fn is_own(root: &Path, path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    path.parent() == Some(root) && name.starts_with(OWN_PREFIX)
}

fn entries(folder: &Path) -> Result<Vec<fs::DirEntry>, StoreError> {
    match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        entries => entries.and_then(Iterator::collect).tried("list", folder),
    }
}

/// Removes a file; one that is not there is no error.
fn remove(path: &Path) -> Result<(), StoreError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error).tried("remove", path),
        Ok(()) | Err(_) => Ok(()),
    }
}

fn sync_folder(folder: &Path) -> Result<(), StoreError> {
    File::open(folder).and_then(|folder| folder.sync_all()).tried("sync", folder)
}
