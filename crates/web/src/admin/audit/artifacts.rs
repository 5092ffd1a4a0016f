//! Artifacts against rows: each is read once.

use super::{Kind, Mode, Report};
use crate::admin::folder::Folder;
use crate::admin::screen::{Screen, Unit};
use crate::database::damage::Damage;
use crate::depot::{Depot, make_folder};
use crate::digest::Digest;
use crate::error::{Tried, WebError};
use crate::removal::{cache_folders, remove_artifact};
use indicatif::ProgressBar;
use rusqlite::Connection;
use sha2::{Digest as _, Sha256};
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

/// How much of an artifact is read at a time, in bytes.
const BUFFER_BYTES: usize = 256 << 10;
/// Builds that are named beside a fault.
const BUILDS_NAMED_MAX: u32 = 3;
/// Where damaged artifacts go, so that nobody is served one, and another upload of it is not taken for a repetition.
pub(super) const DAMAGED: &str = "_damaged";

struct Expected {
    digest: Digest,
    size: u64,
}

/// Looks at all artifacts, and gives those that are missing or damaged.
pub(super) fn audit(
    folder: &Folder,
    mode: Mode,
    screen: &Screen,
    report: &mut Report,
) -> anyhow::Result<Vec<(Digest, Damage)>> {
    let expected = expected(folder, mode, report)?;
    let bar = screen.progress(expected.iter().map(|artifact| artifact.size).sum(), Unit::Bytes);
    let mut damaged = Vec::new();
    for artifact in &expected {
        let (bytes, fault) = look(folder, artifact, &bar);
        report.artifacts += 1;
        report.bytes += bytes;
        if fault.is_none() {
            continue;
        }
        // A build that was removed meanwhile took its artifact along, and an upload brought it back.
        let _lock = folder.depot.lock_removal()?;
        let (_, fault) = look(folder, artifact, &ProgressBar::hidden());
        let builds = folder.read(|connection| named_by(connection, &artifact.digest))?;
        let Some((kind, what)) = fault.filter(|_| !builds.is_empty()) else { continue };
        let moved = kind == Kind::ArtifactDamaged && mode == Mode::Repair;
        if moved {
            set_aside(&folder.depot, &artifact.digest)?;
        }
        let at = below(&folder.depot, &folder.depot.artifact(&artifact.digest));
        let moved = if moved { format!("; moved to {DAMAGED}") } else { String::new() };
        report.find(kind, at, format!("{what}; {builds}{moved}"), false);
        match kind {
            Kind::ArtifactMissing => damaged.push((artifact.digest, Damage::Missing)),
            Kind::ArtifactDamaged => damaged.push((artifact.digest, Damage::Damaged)),
            Kind::ArtifactUnreadable
            | Kind::ArtifactOrphan
            | Kind::BuildFileMissing
            | Kind::BuildFileDamaged
            | Kind::BuildFileElsewhere
            | Kind::FolderOrphan
            | Kind::Untracked
            | Kind::StagingStale
            | Kind::RowDangling
            | Kind::RowInvalid
            | Kind::DatabaseDamaged => {}
        }
    }
    bar.finish_and_clear();
    audit_orphans(folder, mode, &expected, report)?;
    Ok(damaged)
}

/// Removes artifacts that no row names.
pub(super) fn sweep(folder: &Folder, report: &mut Report) -> Result<(), WebError> {
    let expected = expected(folder, Mode::Look, report)?;
    report.artifacts = expected.len() as u64;
    audit_orphans(folder, Mode::Repair, &expected, report)
}

/// What rows say of artifacts, by digest.
fn expected(folder: &Folder, mode: Mode, report: &mut Report) -> Result<Vec<Expected>, WebError> {
    let rows = folder.read(|connection| {
        connection
            .prepare(
                "SELECT sha256, min(size), max(size), min(build) FROM build_artifact GROUP BY sha256 ORDER BY sha256",
            )?
            .query_map([], |row| {
                Ok((row.get::<_, Vec<u8>>(0)?, row.get::<_, i64>(1)?, row.get::<_, i64>(2)?, row.get::<_, i64>(3)?))
            })?
            .collect::<rusqlite::Result<Vec<_>>>()
    })?;
    let mut expected = Vec::with_capacity(rows.len());
    for (bytes, least, most, build) in rows {
        match (Digest::from_column(&bytes), u64::try_from(least)) {
            (Some(digest), Ok(size)) if least == most => expected.push(Expected { digest, size }),
            (Some(digest), _) => {
                let what = format!("{digest} has sizes from {least} to {most} bytes in its rows");
                let size = if mode == Mode::Repair { mend_sizes(folder, &digest)? } else { None };
                report.find(Kind::RowInvalid, "build_artifact", what, size.is_some());
                expected.extend(size.map(|size| Expected { digest, size }));
            }
            (None, _) => {
                let what = format!("a row of build number {build} has a SHA-256 of {} bytes", bytes.len());
                report.find(Kind::RowInvalid, "build_artifact", what, false);
            }
        }
    }
    Ok(expected)
}

/// Gives all rows of an artifact the size that its file has, if that is the right one by its SHA-256.
fn mend_sizes(folder: &Folder, digest: &Digest) -> Result<Option<u64>, WebError> {
    let Ok((found, size)) = read(&folder.depot.artifact(digest), &ProgressBar::hidden()) else { return Ok(None) };
    if found != *digest {
        return Ok(None);
    }
    folder.database.write(|transaction| {
        let update = "UPDATE build_artifact SET size = ?2 WHERE sha256 = ?1";
        let updated = transaction.execute(update, rusqlite::params![digest, i64::try_from(size).unwrap_or(i64::MAX)]);
        updated.map(|_| Some(size)).map_err(|error| folder.database.failed(error))
    })
}

/// Reads an artifact; tells how many bytes that were, and what is wrong with it.
fn look(folder: &Folder, artifact: &Expected, bar: &ProgressBar) -> (u64, Option<(Kind, String)>) {
    match read(&folder.depot.artifact(&artifact.digest), bar) {
        Ok((_, size)) if size != artifact.size => {
            (size, Some((Kind::ArtifactDamaged, format!("it has {size} bytes instead of {}", artifact.size))))
        }
        Ok((digest, size)) if digest != artifact.digest => {
            (size, Some((Kind::ArtifactDamaged, format!("its SHA-256 is {digest}"))))
        }
        Ok((_, size)) => (size, None),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            (0, Some((Kind::ArtifactMissing, "there is no such file".to_owned())))
        }
        Err(error) => (0, Some((Kind::ArtifactUnreadable, format!("cannot read it: {error}")))),
    }
}

fn read(path: &Path, bar: &ProgressBar) -> io::Result<(Digest, u64)> {
    let mut file = File::open(path)?;
    let (mut hash, mut size) = (Sha256::new(), 0);
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        let count = match file.read(&mut buffer) {
            Ok(0) => return Ok((Digest::finish(hash), size)),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        hash.update(&buffer[..count]);
        size += count as u64;
        bar.inc(count as u64);
    }
}

/// Some of the builds that name an artifact, as text; none is an empty one.
fn named_by(connection: &Connection, digest: &Digest) -> rusqlite::Result<String> {
    let named = connection
        .prepare_cached(
            "SELECT filepath || ' of ' || coalesce(job.name, '?') || '/' || uuid FROM build_artifact
             JOIN build ON build.id = build_artifact.build LEFT JOIN job ON job.id = build.job
             WHERE sha256 = ?1 ORDER BY build.id LIMIT ?2",
        )?
        .query_map(rusqlite::params![digest, BUILDS_NAMED_MAX + 1], |row| row.get(0))?
        .collect::<rusqlite::Result<Vec<String>>>()?;
    let most = usize::try_from(BUILDS_NAMED_MAX).unwrap_or(usize::MAX);
    let more = if named.len() > most { " and others" } else { "" };
    let first: Vec<String> = named.into_iter().take(most).collect();
    Ok(if first.is_empty() { String::new() } else { format!("{}{more}", first.join(", ")) })
}

fn set_aside(depot: &Depot, digest: &Digest) -> Result<(), WebError> {
    let aside = depot.root().join(DAMAGED);
    make_folder(&aside)?;
    let path = depot.artifact(digest);
    fs::rename(&path, aside.join(digest.to_string())).tried("move", &path)
}

/// Looks for files below the folder of artifacts that no row names.
fn audit_orphans(folder: &Folder, mode: Mode, expected: &[Expected], report: &mut Report) -> Result<(), WebError> {
    let mut orphans = Vec::new();
    for prefix in super::folders::entries(&folder.depot.artifacts())? {
        if !prefix.is_dir() {
            report.find(Kind::Untracked, below(&folder.depot, &prefix), "no folder of artifacts", false);
            continue;
        }
        for path in super::folders::entries(&prefix)? {
            let digest = path.file_name().and_then(|name| name.to_str()?.parse::<Digest>().ok());
            match digest.filter(|digest| folder.depot.artifact(digest) == path) {
                Some(digest) if expected.binary_search_by(|artifact| artifact.digest.cmp(&digest)).is_ok() => {}
                Some(digest) => orphans.push(digest),
                None => report.find(Kind::Untracked, below(&folder.depot, &path), "no artifact", false),
            }
        }
    }
    if orphans.is_empty() {
        return Ok(());
    }
    // No upload is on its way to name one of them while this is held.
    let _lock = folder.depot.lock_removal()?;
    let caches = cache_folders(&folder.depot)?;
    for digest in orphans {
        let path = folder.depot.artifact(&digest);
        let named = folder.read(|connection| {
            let named = "SELECT EXISTS(SELECT 1 FROM build_artifact WHERE sha256 = ?1)";
            connection.prepare_cached(named)?.query_row([digest], |row| row.get::<_, bool>(0))
        })?;
        if named || !path.exists() {
            continue;
        }
        let remove = || remove_artifact(&folder.depot, &caches, &digest);
        report.find_orphan(mode, Kind::ArtifactOrphan, below(&folder.depot, &path), "no build has it", remove);
    }
    Ok(())
}

/// A path as it is below the data folder.
pub(super) fn below(depot: &Depot, path: &Path) -> String {
    path.strip_prefix(depot.root()).unwrap_or(path).display().to_string()
}
