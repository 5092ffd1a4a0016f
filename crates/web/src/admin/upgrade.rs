//! From the original's versions 16 and 17 to 18: artifacts move from the folder of each build to one place for each
//! content, and builds without a main binary get an index.
//!
//! Files are linked to their new places first, then rows change in one transaction, and only after that the old places
//! go. A crash at any point leaves a folder of the old version that can be upgraded again, or one of the new version
//! with some old files left: a list of them, written before, is there until they are gone.

use crate::admin::screen::{Screen, Unit};
use crate::database::schema::SCHEMA_VERSION;
use crate::depot::{Depot, make_folder, sync_folder};
use crate::digest::Digest;
use crate::error::{Tried, WebError};
use crate::limits::DATABASE_WAIT;
use anyhow::bail;
use rusqlite::{Connection, OpenFlags, Transaction, TransactionBehavior};
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// The versions that can be upgraded.
pub(super) const UPGRADABLE: [i64; 2] = [16, 17];

/// What the original's migration to version 17 does. Folders that were rolled back have an index of this name with
/// another condition.
const TO_17: &str = "
DROP INDEX IF EXISTS idx_build_failed;
CREATE INDEX idx_build_failed ON build(job, start_d DESC, start_ps DESC) WHERE main_binary IS NULL;
";

/// What its migration to version 18 does to rows.
const TO_18: &str = "
CREATE TABLE new_build_artifact (
    id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    filepath TEXT NOT NULL,
    sha256 BLOB NOT NULL,
    size INTEGER NOT NULL,
    build INTEGER NOT NULL,
    FOREIGN KEY(build) REFERENCES build(id),
    UNIQUE(build, filepath)
);
INSERT INTO new_build_artifact(id, filepath, sha256, size, build)
    SELECT id, filepath, sha256, size, build FROM build_artifact;
DROP TABLE build_artifact;
ALTER TABLE new_build_artifact RENAME TO build_artifact;
CREATE INDEX idx_build_artifact_sha256 ON build_artifact(sha256);
CREATE INDEX idx_build_artifact_build ON build_artifact(build);
";

/// The list of files at old places, each ended by a NUL. A name with a dot at its front is no job's.
const OLD_PLACES: &str = ".builder-db-migrate";

/// What an upgrade met.
pub(super) struct Upgraded {
    /// Files that rows spoke of, and that were not there.
    pub(super) missing: Vec<String>,
}

/// Upgrades the database at `path`, which is of one of [`UPGRADABLE`].
pub(super) fn upgrade(depot: &Depot, path: &Path, screen: &Screen) -> anyhow::Result<Upgraded> {
    let _server = depot.lock_server()?;
    let _lock = depot.lock_removal()?;
    let failed = |source| WebError::Database { action: "upgrade", path: path.to_owned(), source };
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(path, flags).map_err(failed)?;
    connection.busy_timeout(DATABASE_WAIT).map_err(failed)?;
    // A table that is dropped would take the main binaries of builds along.
    connection.pragma_update(None, "foreign_keys", false).map_err(failed)?;
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed)?;
    let artifacts = read_artifacts(&transaction).map_err(failed)?;
    let bar = screen.progress(artifacts.len() as u64, Unit::Files);
    let (mut missing, mut folders) = (Vec::new(), BTreeSet::new());
    for Artifact { digest, localpath } in &artifacts {
        let Some(digest) = Digest::from_column(digest) else {
            bail!("the row of {localpath:?} has no SHA-256; nothing was changed");
        };
        let target = depot.artifact(&digest);
        match depot.file_of_row(localpath).filter(|source| is_file(source)) {
            Some(source) => place(depot, &source, &target)?,
            None if is_file(&target) => {}
            None => missing.push(localpath.clone()),
        }
        folders.extend(target.parent().filter(|folder| folder.is_dir()).map(Path::to_owned));
        bar.inc(1);
    }
    bar.finish_and_clear();
    folders.iter().try_for_each(|folder| sync_folder(folder))?;
    sync_folder(&depot.artifacts())?;
    rewrite_rows(&transaction).map_err(failed)?;
    list_old_places(depot, &artifacts)?;
    transaction.commit().map_err(failed)?;
    remove_old_places(depot)?;
    Ok(Upgraded { missing })
}

/// Removes what an upgrade left that was cut off after its rows were there; gives whether there was such.
pub(super) fn finish(depot: &Depot) -> Result<bool, WebError> {
    let is_left = depot.root().join(OLD_PLACES).exists();
    // Nobody looks there any more, so that a server may run.
    if is_left {
        remove_old_places(depot)?;
    }
    Ok(is_left)
}

fn list_old_places(depot: &Depot, artifacts: &[Artifact]) -> Result<(), WebError> {
    let path = depot.root().join(OLD_PLACES);
    let list: String = artifacts.iter().flat_map(|artifact| [artifact.localpath.as_str(), "\0"]).collect();
    let written = File::create(&path).and_then(|mut file| {
        file.write_all(list.as_bytes())?;
        file.sync_all()
    });
    written.tried("write", &path)?;
    sync_folder(depot.root())
}

/// Removes the files at old places, and then their list. The rows that name them at their new ones are there.
fn remove_old_places(depot: &Depot) -> Result<(), WebError> {
    let path = depot.root().join(OLD_PLACES);
    let list = match fs::read_to_string(&path) {
        // Another run was faster.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        list => list.tried("read", &path)?,
    };
    for localpath in list.split_terminator('\0') {
        // What is no file was placed nowhere: a row without a name would name the whole data folder.
        if let Some(source) = depot.file_of_row(localpath).filter(|source| is_file(source)) {
            Depot::remove(&source)?;
            remove_empty_above(&source, localpath);
        }
    }
    Depot::remove(&path)
}

struct Artifact {
    digest: Vec<u8>,
    localpath: String,
}

fn read_artifacts(transaction: &Transaction<'_>) -> rusqlite::Result<Vec<Artifact>> {
    transaction
        .prepare("SELECT sha256, localpath FROM build_artifact ORDER BY id")?
        .query_map([], |row| Ok(Artifact { digest: row.get(0)?, localpath: row.get(1)? }))?
        .collect()
}

fn rewrite_rows(transaction: &Transaction<'_>) -> rusqlite::Result<()> {
    transaction.execute_batch(TO_17)?;
    transaction.execute_batch(TO_18)?;
    transaction.pragma_update(None, "user_version", SCHEMA_VERSION)
}

fn is_file(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_file())
}

/// Gives a file a second name, or copies it where the file system has no second names.
fn place(depot: &Depot, source: &Path, target: &Path) -> anyhow::Result<()> {
    if is_file(target) {
        return Ok(());
    }
    if let Some(folder) = target.parent() {
        make_folder(folder)?;
    }
    if fs::hard_link(source, target).is_ok() {
        return Ok(());
    }
    let part = depot.stagings().join("upgrade.part");
    let copied = File::open(source).and_then(|mut from| {
        let mut to = File::create(&part)?;
        io::copy(&mut from, &mut to)?;
        to.sync_all()
    });
    copied.tried("copy", source)?;
    Ok(fs::rename(&part, target).tried("rename", &part)?)
}

/// Removes the folders above a file that is gone, as far as they are empty, up to the folder of the build, which stays.
fn remove_empty_above(source: &Path, localpath: &str) {
    let depth = Path::new(localpath).components().count().saturating_sub(3);
    let mut folder: Option<PathBuf> = source.parent().map(Path::to_owned);
    for _ in 0..depth {
        // One that is not empty stays, and so do those above it.
        let Some(path) = folder.filter(|path| fs::remove_dir(path).is_ok()) else { return };
        folder = path.parent().map(Path::to_owned);
    }
}
