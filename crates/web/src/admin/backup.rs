//! `backup` and `check-backup`: a second data folder, as the first one was at one moment.
//!
//! Files are placed first, then the copy of the database takes its name, then what it no longer names goes. A backup
//! that is broken off therefore leaves the one before it whole.

use crate::admin::Exit;
use crate::admin::args::{Common, Format};
use crate::admin::audit::{Mode, Report, Scope, audit, sweep};
use crate::admin::folder::Folder;
use crate::admin::screen::{Screen, Unit, bytes_text, count_text};
use crate::database::{Database, create_closed};
use crate::depot::{Depot, make_folder, sync_folder};
use crate::digest::Digest;
use crate::error::{Tried, WebError};
use crate::outline;
use anyhow::{Context, bail};
use rusqlite::{Connection, OpenFlags};
use serde_json::json;
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

/// Copy the data folder as it is at one moment, beside a running server
///
/// Files become hard links where DIR is on the same file system, and copies elsewhere. A backup that is in DIR already is
/// brought up to date: only what is new is copied, and what is gone goes. DIR is a whole data folder; builder-web can run
/// on it. Removals wait until the backup is done, uploads do not.
///
/// In JSON: `builds`, `artifacts`, `copied_bytes`, and `missing`, the files that rows name and that are not there, or are
/// cut off. Exit status 1 when there are such.
#[derive(Debug, clap::Args)]
pub(crate) struct Backup {
    /// Where to: a new or empty folder, or an older backup
    dir: PathBuf,
}

/// Check a backup as `check` checks a data folder
///
/// In JSON: as `check`.
#[derive(Debug, clap::Args)]
pub(crate) struct CheckBackup {
    /// Where the backup is
    dir: PathBuf,
}

impl CheckBackup {
    pub(crate) fn run(self, screen: &mut Screen) -> anyhow::Result<Exit> {
        let report = audit(&Folder::open_at(&self.dir)?, Scope::All, Mode::Look, screen)?;
        report.show(screen)?;
        Ok(if report.is_clean() { Exit::Success } else { Exit::Findings })
    }
}

impl Backup {
    pub(crate) fn run(self, common: &Common, screen: &mut Screen) -> anyhow::Result<Exit> {
        let folder = Folder::open(common)?;
        let dir = &self.dir;
        make_ready(&folder.depot, dir)?;
        let to = Depot::open(dir)?;
        let _server = to.lock_server().with_context(|| format!("cannot write a backup to {}", dir.display()))?;
        // A mirror that stores builds there notices afterwards that the database is another one.
        let _turn = to.lock_turn()?;
        // What the copy of the database names is not removed before it is placed.
        let sharing = folder.depot.lock_sharing()?;
        let fresh = dir.join("builder.sqlite3.new");
        copy_database(&Database::path_of(&common.datadir), &fresh)?;
        let mut placing =
            Placing { from: &folder.depot, to: &to, folders: BTreeSet::new(), copied: 0, missing: vec![] };
        place_files(&mut placing, &read_names(&fresh)?, screen)?;
        drop(sharing);
        placing.folders.iter().try_for_each(|folder| sync_folder(folder))?;
        let path = Database::path_of(dir);
        // The log of a database that was opened and not closed would be taken for one of the new database.
        for log in ["builder.sqlite3-wal", "builder.sqlite3-shm"] {
            Depot::remove(&dir.join(log))?;
        }
        fs::rename(&fresh, &path).tried("rename", &fresh)?;
        sync_folder(dir)?;
        let (copied, missing) = (placing.copied, placing.missing);
        let report = sweep(&Folder::open_at(dir)?)?;
        show(dir, &report, copied, &missing, screen)?;
        Ok(if missing.is_empty() { Exit::Success } else { Exit::Findings })
    }
}

fn show(dir: &Path, report: &Report, copied: u64, missing: &[String], screen: &mut Screen) -> io::Result<()> {
    let Report { builds, artifacts, .. } = report;
    if screen.format() == Format::Text {
        missing.iter().for_each(|path| screen.note(&format!("there is no whole file {path}, of which a row speaks")));
    }
    let (builds_text, artifacts_text) = (count_text(*builds, "build"), count_text(*artifacts, "artifact"));
    let text = format!("{} has {builds_text} and {artifacts_text}; copied {}", dir.display(), bytes_text(copied));
    screen.done(&text, &json!({ "builds": builds, "artifacts": artifacts, "copied_bytes": copied, "missing": missing }))
}

/// Makes the folder where there is none, and refuses one that holds something else.
fn make_ready(from: &Depot, dir: &Path) -> anyhow::Result<()> {
    let full = |path: &Path| fs::canonicalize(path).tried("find", path);
    let root = full(from.root())?;
    let target = match (dir.exists(), dir.parent(), dir.file_name()) {
        (false, Some(parent), Some(name)) => {
            full(if parent.as_os_str().is_empty() { Path::new(".") } else { parent })?.join(name)
        }
        (_, _, _) => full(dir)?,
    };
    if target.starts_with(&root) || root.starts_with(&target) {
        bail!("{} and the data folder {} are not apart; choose another folder", target.display(), root.display());
    }
    make_folder(dir)?;
    let begun = dir.join("_artifacts").is_dir() && dir.join("_staging").is_dir();
    let empty = fs::read_dir(dir).tried("read", dir)?.next().is_none();
    if !empty && !begun {
        bail!("{} is neither empty nor a backup; nothing was changed", dir.display());
    }
    Ok(())
}

/// Copies the database as it is at one moment, whatever others write meanwhile.
fn copy_database(from: &Path, to: &Path) -> Result<(), WebError> {
    Depot::remove(to)?;
    create_closed(to)?;
    let failed = |source| WebError::Database { action: "copy", path: from.to_owned(), source };
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(from, flags).map_err(failed)?;
    connection.busy_timeout(crate::limits::DATABASE_WAIT).map_err(failed)?;
    connection.execute("VACUUM INTO ?1", [to.to_string_lossy()]).map_err(failed)?;
    File::open(to).and_then(|file| file.sync_all()).tried("sync", to)
}

/// What a database names.
struct Names {
    artifacts: Vec<(Digest, u64)>,
    builds: Vec<Files>,
}

/// The files of a build, and what is known of them when it was received here.
struct Files {
    console: String,
    script: String,
    console_bytes: Option<u64>,
    outline: Option<Digest>,
}

fn read_names(database: &Path) -> Result<Names, WebError> {
    let read = || {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(database, flags)?;
        let artifacts = connection
            .prepare("SELECT sha256, max(size) FROM build_artifact WHERE length(sha256) = 32 GROUP BY sha256")?
            .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
            .collect::<rusqlite::Result<_>>()?;
        let builds = connection
            .prepare(
                "SELECT b.console, b.script, iif(r.console_bytes > 0, r.console_bytes, NULL), r.outline_sha256 FROM build b
                 LEFT JOIN repository_build r ON r.build = b.id AND length(r.outline_sha256) = 32",
            )?
            .query_map([], |row| {
                let (console, script) = (row.get(0)?, row.get(1)?);
                Ok(Files { console, script, console_bytes: row.get(2)?, outline: row.get(3)? })
            })?
            .collect::<rusqlite::Result<_>>()?;
        Ok(Names { artifacts, builds })
    };
    read().map_err(|source| WebError::Database { action: "read", path: database.to_owned(), source })
}

struct Placing<'a> {
    from: &'a Depot,
    to: &'a Depot,
    folders: BTreeSet<PathBuf>,
    copied: u64,
    missing: Vec<String>,
}

fn place_files(placing: &mut Placing<'_>, names: &Names, screen: &Screen) -> Result<(), WebError> {
    let (from, to) = (placing.from, placing.to);
    let bar = screen.progress(names.artifacts.len() as u64 + names.builds.len() as u64, Unit::Files);
    for (digest, size) in &names.artifacts {
        let path = from.artifact(digest);
        // One that was cut off does not take the place of a whole one that an earlier backup brought.
        let is_whole = fs::metadata(&path).is_ok_and(|metadata| metadata.len() == *size);
        if !is_whole || !placing.place(&path, &to.artifact(digest))? {
            placing.missing.push(path.strip_prefix(from.root()).unwrap_or(&path).display().to_string());
        }
        bar.inc(1);
    }
    for Files { console, script, console_bytes, outline } in &names.builds {
        for (name, bytes) in [(console, *console_bytes), (script, None)] {
            let placed = match (from.file_of_row(name), to.file_of_row(name)) {
                (Some(from), Some(to)) => placing.place_of_size(&from, &to, bytes)?,
                (Some(_) | None, _) => false,
            };
            if !placed {
                placing.missing.push(name.clone());
            }
        }
        // Builds that the original received have none.
        if let (Some(from), Some(to)) = (from.outline_of_row(console), to.outline_of_row(console)) {
            placing.place_outline(&from, &to, outline.as_ref())?;
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok(())
}

impl Placing<'_> {
    /// Places a file that should have so many bytes, where that is known; tells whether it has. What is left of one that
    /// was cut off is better than nothing, but takes no place of what an earlier backup brought.
    fn place_of_size(&mut self, from: &Path, to: &Path, bytes: Option<u64>) -> Result<bool, WebError> {
        let is_cut = bytes.is_some_and(|bytes| fs::metadata(from).is_ok_and(|metadata| metadata.len() != bytes));
        if is_cut && to.exists() {
            return Ok(false);
        }
        Ok(self.place(from, to)? && !is_cut)
    }

    /// Places an outline, unless it is damaged and would take the place of another one.
    fn place_outline(&mut self, from: &Path, to: &Path, digest: Option<&Digest>) -> Result<(), WebError> {
        let bytes = |path: &Path| fs::metadata(path).map(|metadata| metadata.len()).ok();
        let takes_place = bytes(from).zip(bytes(to)).is_some_and(|(new, old)| new != old);
        if takes_place && digest.is_some() && outline::digest(from).ok().as_ref() != digest {
            self.missing.push(from.strip_prefix(self.from.root()).unwrap_or(from).display().to_string());
            return Ok(());
        }
        self.place(from, to).map(drop)
    }

    /// Gives a file a second name, or copies it where that cannot be; false when there is no such file. Files of a data
    /// folder never change, so one of the same size is the same.
    fn place(&mut self, from: &Path, to: &Path) -> Result<bool, WebError> {
        let size = match fs::symlink_metadata(from) {
            Ok(metadata) if metadata.is_file() => metadata.len(),
            Ok(_) => return Ok(false),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(error).tried("read", from),
        };
        match fs::symlink_metadata(to) {
            Ok(metadata) if metadata.is_file() && metadata.len() == size => return Ok(true),
            Ok(_) => Depot::remove(to)?,
            Err(_) => {}
        }
        if let Some(folder) = to.parent() {
            fs::create_dir_all(folder).tried("create", folder)?;
            self.folders.extend(folder.ancestors().take_while(|at| at.starts_with(self.to.root())).map(Path::to_owned));
        }
        if fs::hard_link(from, to).is_ok() {
            return Ok(true);
        }
        let part = self.to.stagings().join("backup.part");
        let copied = File::open(from).and_then(|mut source| {
            let mut target = File::create(&part)?;
            let count = io::copy(&mut source, &mut target)?;
            target.sync_all()?;
            Ok(count)
        });
        self.copied += copied.tried("copy", from)?;
        fs::rename(&part, to).tried("rename", &part)?;
        Ok(true)
    }
}
