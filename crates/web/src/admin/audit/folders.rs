//! The folders of builds against rows, and uploads that a crash left.

use super::artifacts::{DAMAGED, below};
use super::{Kind, Mode, Report};
use crate::admin::folder::Folder;
use crate::admin::screen::Screen;
use crate::database::Database;
use crate::depot::Depot;
use crate::error::{Tried, WebError};
use builder_model::BuildId;
use rusqlite::OptionalExtension;
use std::collections::{HashMap, HashSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// What stands in the data folder beside the folders of jobs.
const KNOWN: [&str; 5] = ["_artifacts", "_staging", "_cache", DAMAGED, "lost+found"];

/// The files of a build.
struct BuildFiles {
    id: i64,
    console: String,
    script: String,
}

/// Looks at the console and the script of each build, and at what else lies there.
pub(super) fn audit(folder: &Folder, mode: Mode, report: &mut Report) -> Result<(), WebError> {
    let builds = folder.read(|connection| {
        let mut statement = connection.prepare(
            "SELECT coalesce(job.name, '') || '/' || uuid, build.id, console, script
             FROM build LEFT JOIN job ON job.id = build.job",
        )?;
        let row = |row: &rusqlite::Row<'_>| {
            Ok((row.get(0)?, BuildFiles { id: row.get(1)?, console: row.get(2)?, script: row.get(3)? }))
        };
        statement.query_map([], row)?.collect::<rusqlite::Result<HashMap<String, BuildFiles>>>()
    })?;
    report.builds = builds.len() as u64;
    for (at, build) in &builds {
        for file in [&build.console, &build.script] {
            audit_file(folder, at, build.id, file, report)?;
        }
    }
    let mut orphans = Vec::new();
    for job in entries(folder.depot.root())? {
        let name = job.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let database = Database::path_of(folder.depot.root());
        let of_database = database.file_name().is_some_and(|file| name.starts_with(&*file.to_string_lossy()));
        if KNOWN.contains(&name.as_str()) || name.starts_with('.') || of_database {
            continue;
        }
        if !job.is_dir() {
            untracked(folder, &job, "nothing that a repository knows", report);
            continue;
        }
        for path in entries(&job)? {
            audit_folder(folder, &builds, &path, &mut orphans, report)?;
        }
    }
    audit_orphans(folder, mode, orphans, report)
}

/// Looks at a file that the row of a build names.
fn audit_file(folder: &Folder, at: &str, id: i64, file: &str, report: &mut Report) -> Result<(), WebError> {
    if Path::new(file).parent() != Some(Path::new(at)) {
        report.find(Kind::BuildFileElsewhere, file, format!("the row of {at} names it, outside of its folder"), false);
    }
    if folder.depot.file_of_row(file).is_some_and(|path| path.is_file()) {
        return Ok(());
    }
    // A build that was removed meanwhile took its files along.
    let row = |connection: &rusqlite::Connection| {
        connection.query_row("SELECT id FROM build WHERE id = ?1", [id], |row| row.get::<_, i64>(0)).optional()
    };
    let _lock = folder.depot.lock_removal()?;
    if folder.read(row)?.is_some() {
        report.find(Kind::BuildFileMissing, file, format!("{at} has no such file"), false);
    }
    Ok(())
}

/// Looks at what lies in the folder of a job.
fn audit_folder(
    folder: &Folder,
    builds: &HashMap<String, BuildFiles>,
    path: &Path,
    orphans: &mut Vec<(PathBuf, String)>,
    report: &mut Report,
) -> Result<(), WebError> {
    let at = below(&folder.depot, path);
    let uuid = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let is_build = uuid.parse::<BuildId>().is_ok() && fs::symlink_metadata(path).is_ok_and(|what| what.is_dir());
    match builds.get(&at) {
        Some(build) => {
            let known: HashSet<PathBuf> = [&build.console, &build.script]
                .into_iter()
                .filter_map(|file| folder.depot.file_of_row(file))
                .chain(folder.depot.outline_of_row(&build.console))
                .collect();
            for file in entries(path)?.into_iter().filter(|file| !known.contains(file)) {
                untracked(folder, &file, "no file of a build", report);
            }
        }
        None if is_build => orphans.push((path.to_owned(), uuid.to_owned())),
        None => untracked(folder, path, "no folder of a build", report),
    }
    Ok(())
}

/// Tells of a file that nobody knows, unless it went since the folder was listed, as a job does that is removed.
fn untracked(folder: &Folder, path: &Path, what: &str, report: &mut Report) {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Ok(_) | Err(_) => report.find(Kind::Untracked, below(&folder.depot, path), what, false),
    }
}

fn audit_orphans(
    folder: &Folder,
    mode: Mode,
    orphans: Vec<(PathBuf, String)>,
    report: &mut Report,
) -> Result<(), WebError> {
    if orphans.is_empty() {
        return Ok(());
    }
    // No upload is on its way to name one of them while this is held.
    let _lock = folder.depot.lock_removal()?;
    for (path, uuid) in orphans {
        let at = below(&folder.depot, &path);
        let named = folder.read(|connection| {
            let named = "SELECT EXISTS(SELECT 1 FROM build JOIN job ON job.id = build.job
                         WHERE uuid = ?1 AND name || '/' || uuid = ?2)";
            connection.prepare_cached(named)?.query_row([&uuid, &at], |row| row.get::<_, bool>(0))
        })?;
        if named || !path.exists() {
            continue;
        }
        report.find_orphan(mode, Kind::FolderOrphan, at, "there is no such build", || Depot::remove(&path));
    }
    Ok(())
}

/// Looks for uploads that a crash left. Those of a running server are its own business.
pub(super) fn audit_stagings(
    folder: &Folder,
    mode: Mode,
    screen: &Screen,
    report: &mut Report,
) -> Result<(), WebError> {
    let _server = match folder.depot.lock_server() {
        Ok(lock) => lock,
        Err(WebError::Locked { .. }) => {
            screen.note("builder-web runs: what is in _staging is its business");
            return Ok(());
        }
        Err(error) => return Err(error),
    };
    for path in entries(&folder.depot.stagings())? {
        // A mirror is at work in it, or it is gone.
        let Some(_lock) = Depot::try_lock_staging(&path)? else { continue };
        let at = below(&folder.depot, &path);
        let what = "an upload that did not end";
        report.find_orphan(mode, Kind::StagingStale, at, what, || Depot::remove(&path));
    }
    Ok(())
}

/// What is in a folder, by name; one that is gone has nothing in it.
pub(super) fn entries(folder: &Path) -> Result<Vec<PathBuf>, WebError> {
    let listed = match fs::read_dir(folder) {
        Ok(entries) => entries.map(|entry| entry.map(|entry| entry.path())).collect::<io::Result<Vec<_>>>(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    };
    let mut listed = listed.tried("read", folder)?;
    listed.sort_unstable();
    Ok(listed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_went_since_it_was_listed_is_nothing_that_nobody_knows() {
        let data = tempfile::tempdir().unwrap();
        drop(Database::create(data.path()).unwrap());
        let folder = Folder::open_at(data.path()).unwrap();
        let path = data.path().join("hello/notes");
        let (mut report, mut orphans) = (Report::default(), Vec::new());
        audit_folder(&folder, &HashMap::new(), &path, &mut orphans, &mut report).unwrap();
        assert!(report.is_clean() && orphans.is_empty());
        fs::create_dir_all(&path).unwrap();
        audit_folder(&folder, &HashMap::new(), &path, &mut orphans, &mut report).unwrap();
        assert_eq!(report.findings.iter().map(|found| found.at.as_str()).collect::<Vec<_>>(), ["hello/notes"]);
    }
}
