//! Makes a received build one that is stored: files synced and renamed first, then the rows that speak of them, in one
//! transaction. Where that stops half way, `reconcile` takes it back at the next start.

use super::facts::{Candidate, Facts, Subject, derive};
use super::receive::{Incoming, IncomingArtifact, ReceiveError};
use super::reconcile::{Intent, take_back};
use crate::accounts::scope::Scope;
use crate::app::App;
use crate::database::columns::{self, outcome_from_columns, outcome_to_columns, time_to_columns};
use crate::database::damage;
use crate::depot::{Depot, make_folder, sync_folder};
use crate::digest::Digest;
use crate::error::{Tried, WebError};
use crate::hooks::{Fresh, Scripts, enqueue};
use crate::name::Name;
use builder_facts::artifact_role;
use builder_model::{Outcome, Timestamp};
use rusqlite::{Connection, OptionalExtension, Transaction, params};
use std::collections::BTreeSet;
use std::fs::File;
use std::path::Path;

/// From so many files on, the whole file system is synced once instead of each file.
const SYNC_EACH_MAX: usize = 32;

/// What lies in the folder of a build.
const BUILD_FILES: [&str; 3] = ["script.txt", "console.txt", "outline.gz"];

/// Who sends a build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sender {
    /// The row of the user.
    pub user: i64,
    /// The name of the user.
    pub name: String,
    /// A restricted user may only upload for jobs that exist and are on the access list.
    pub restricted: bool,
    /// What a token is for.
    pub scope: Scope,
}

/// What became of an upload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stored {
    /// It is a build now.
    New {
        /// Its row.
        row: i64,
    },
    /// The very same build was there already.
    Again,
}

/// Whether somebody may upload for a job; the error says why not.
pub(crate) fn may_upload(
    connection: &Connection,
    sender: &Sender,
    job: &Name,
    platform: &Name,
) -> rusqlite::Result<Result<(), String>> {
    if let Err(reason) = sender.scope.allows(job, platform) {
        return Ok(Err(reason));
    }
    if !sender.restricted {
        return Ok(Ok(()));
    }
    let text = "SELECT 1 FROM access_list a JOIN job j ON j.id = a.job WHERE a.user = ?1 AND j.name = ?2";
    let listed = connection.prepare_cached(text)?.exists(params![sender.user, job.as_str()])?;
    Ok(if listed { Ok(()) } else { Err(format!("{} may not upload for the job {job}", sender.name)) })
}

/// How far the storing of a build has come, for who wants to look at the data folder in between.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// What is new of it is durable in the staging folder.
    Synced,
    /// What will be moved is written down.
    Intended,
    /// An artifact has its name.
    Moved,
    /// The folder of the build has its name.
    Named,
    /// The rows are there in a transaction that is not committed.
    Inserted,
    /// They are committed.
    Committed,
}

/// Stores a received build.
pub(crate) fn store(app: &App, sender: &Sender, incoming: Incoming) -> Result<Stored, ReceiveError> {
    store_watched(app, sender, incoming, &mut |_| {})
}

/// The same, and says of each step when it is done.
fn store_watched(
    app: &App,
    sender: &Sender,
    incoming: Incoming,
    reached: &mut dyn FnMut(Step),
) -> Result<Stored, ReceiveError> {
    let depot = app.depot();
    // One that is refused in the end need not be synced first, nor is one read that is here.
    let is_here = known(app, &incoming)?.is_some();
    let main = main_binary(&incoming);
    let facts = (!is_here).then(|| derive_facts(&incoming, main));
    let scripts = Scripts::list(app.settings());
    let fresh = fresh_artifacts(depot, &incoming.artifacts);
    sync_artifacts(&incoming, &fresh)?;
    if !is_here {
        sync_build(&incoming)?;
    }
    reached(Step::Synced);
    // From here on nothing that is counted on may be removed, and no other upload may move files of the same build.
    let _turn = app.commit_turn()?;
    let sharing = depot.lock_sharing()?;
    let stored = known(app, &incoming)?;
    let fresh = fresh_by_now(depot, &incoming, &fresh)?;
    if stored == Some(Stored::Again) {
        // What was lost on disk is healed by whoever sends it again.
        move_artifacts(depot, &incoming, &fresh, reached)?;
        heal_build(depot, &incoming)?;
        tell_healed(app, &fresh)?;
        return Ok(Stored::Again);
    }
    let facts = match facts {
        Some(facts) => facts,
        // It was here, and was removed meanwhile.
        None => {
            sync_build(&incoming)?;
            derive_facts(&incoming, main)
        }
    };
    let digests: Vec<Digest> = fresh.iter().map(|artifact| artifact.digest).collect();
    let intent = Intent { job: &incoming.job, build: incoming.build, artifacts: &digests };
    intent.write(incoming.staging.path())?;
    reached(Step::Intended);
    let moved = move_files(depot, &incoming, &fresh, reached).map_err(ReceiveError::from);
    let row = moved.and_then(|()| {
        app.database().write(|transaction| {
            let failed = |error| ReceiveError::Own(app.database().failed(error));
            let row = insert(transaction, app, sender, &incoming, main, &facts, &scripts).map_err(failed)?;
            reached(Step::Inserted);
            Ok(row)
        })
    });
    if row.is_err() {
        drop(sharing);
        take_back_or_leave(app, &incoming, &intent);
        return row.map(|row| Stored::New { row });
    }
    reached(Step::Committed);
    // It is stored: that somebody is still told of a lost file is no reason to say otherwise.
    if let Err(error) = tell_healed(app, &fresh) {
        tracing::warn!("files that were lost are back, and builds do not say so before the next check: {error}");
    }
    row.map(|row| Stored::New { row })
}

/// Takes back what was told of files that were lost and are here now. Whoever sees that they are missing reads rows that
/// nobody wrote to otherwise, and pages that are kept until somebody does.
fn tell_healed(app: &App, fresh: &[&IncomingArtifact]) -> Result<(), WebError> {
    let digests = || fresh.iter().map(|artifact| artifact.digest);
    if !app.read(|connection| damage::is_known(connection, digests()))? {
        return Ok(());
    }
    let database = app.database();
    database.write(|transaction| damage::healed(transaction, digests()).map_err(|error| database.failed(error)))
}

/// Takes back what was moved, as nobody else moves files in this turn. Where somebody holds the artifacts for longer, as
/// a backup does, the next start takes it back: no other upload waits for that.
fn take_back_or_leave(app: &App, incoming: &Incoming, intent: &Intent<'_>) {
    let taken = app.depot().try_lock_removal().and_then(|lock| match lock {
        Some(lock) => take_back(app, &intent.text(), &lock).map(|()| true),
        None => Ok(false),
    });
    match taken {
        Ok(true) => {}
        Ok(false) => incoming.staging.leave(),
        Err(error) => {
            tracing::warn!("an upload that could not be stored leaves files for the next start: {error}");
            incoming.staging.leave();
        }
    }
}

/// What to say of an upload whose UUID is taken: the same build again, or another one.
fn known(app: &App, incoming: &Incoming) -> Result<Option<Stored>, ReceiveError> {
    let text = "SELECT b.id, j.name, b.platform, b.result_code, b.result_msg, r.outline_sha256
        FROM build b JOIN job j ON j.id = b.job LEFT JOIN repository_build r ON r.build = b.id WHERE b.uuid = ?1";
    let found = app.read(|connection| {
        let found = connection.prepare_cached(text)?.query_row([incoming.build.to_string()], |row| {
            let id: i64 = row.get(0)?;
            let (job, platform) = (columns::text(row, 1)?, columns::text(row, 2)?);
            let outcome = outcome_from_columns(row.get(3)?, columns::optional_text(row, 4)?.as_deref());
            Ok((id, job, platform, outcome, row.get::<_, Option<Digest>>(5)?))
        });
        let Some((id, job, platform, outcome, outline)) = found.optional()? else { return Ok(None) };
        let same = match outline {
            Some(outline) => outline == incoming.record.outline,
            // What the original received has no outline; job, platform, outcome and artifacts must do.
            None => {
                job == incoming.job.as_str()
                    && platform == incoming.platform.as_str()
                    && outcome == incoming.outcome
                    && same_artifacts(connection, id, &incoming.artifacts)?
            }
        };
        Ok(Some((job, same)))
    })?;
    match found {
        None => Ok(None),
        Some((_, true)) => Ok(Some(Stored::Again)),
        Some((job, false)) => Err(ReceiveError::Exists { job, build: incoming.build }),
    }
}

fn same_artifacts(connection: &Connection, build: i64, artifacts: &[IncomingArtifact]) -> rusqlite::Result<bool> {
    let mut statement = connection.prepare_cached("SELECT filepath, sha256 FROM build_artifact WHERE build = ?1")?;
    let stored = statement.query_map([build], |row| Ok((columns::text(row, 0)?, row.get::<_, Digest>(1)?)))?;
    let stored = stored.collect::<rusqlite::Result<BTreeSet<_>>>()?;
    Ok(stored == artifacts.iter().map(|artifact| (artifact.path.clone(), artifact.digest)).collect())
}

/// The place of the main binary among the artifacts.
fn main_binary(incoming: &Incoming) -> Option<usize> {
    let paths = || incoming.artifacts.iter().map(|artifact| artifact.path.as_str());
    match artifact_role::main_binary(incoming.job.as_str(), paths()) {
        Ok(path) => paths().position(|known| known == path),
        Err(_) => None,
    }
}

fn derive_facts(incoming: &Incoming, main_binary: Option<usize>) -> Facts {
    let artifacts: Vec<Candidate<'_>> = incoming
        .artifacts
        .iter()
        .map(|artifact| Candidate { path: &artifact.path, digest: artifact.digest, bytes: artifact.bytes })
        .collect();
    derive(&Subject {
        job: incoming.job.as_str(),
        platform: incoming.platform.as_str(),
        script: Some(incoming.script),
        artifacts: &artifacts,
        main_binary,
        open: &|place| {
            let missing = || std::io::Error::from(std::io::ErrorKind::NotFound);
            File::open(incoming.staging.artifact(incoming.artifacts.get(place).ok_or_else(missing)?.number))
        },
        console: &incoming.staging.build().join("console.txt"),
    })
}

/// Makes artifacts durable in the staging folder, before any name outside it is. Those that the depot has already are
/// dropped with the folder, and never need to be.
fn sync_artifacts(incoming: &Incoming, fresh: &[&IncomingArtifact]) -> Result<(), WebError> {
    let staging = &incoming.staging;
    if fresh.len() > SYNC_EACH_MAX && sync_file_system(staging.path())? {
        return Ok(());
    }
    fresh.iter().try_for_each(|artifact| sync_file(&staging.artifact(artifact.number)))
}

/// Does the same for what becomes the folder of the build.
fn sync_build(incoming: &Incoming) -> Result<(), WebError> {
    let build = incoming.staging.build();
    BUILD_FILES.into_iter().try_for_each(|name| sync_file(&build.join(name)))?;
    sync_folder(&build)
}

fn sync_file(path: &Path) -> Result<(), WebError> {
    File::open(path).and_then(|file| file.sync_all()).tried("sync", path)
}

/// Syncs all that waits on the file system of this path; says whether the system can do that.
#[cfg(target_os = "linux")]
fn sync_file_system(path: &Path) -> Result<bool, WebError> {
    let folder = File::open(path).tried("open", path)?;
    nix::unistd::syncfs(&folder).map_err(std::io::Error::from).tried("sync", path)?;
    Ok(true)
}

#[cfg(not(target_os = "linux"))]
fn sync_file_system(_: &Path) -> Result<bool, WebError> {
    Ok(false)
}

/// The artifacts that the depot does not have yet, each content once. One whose file was lost, or has another size, is
/// healed by being fresh again.
fn fresh_artifacts<'a>(depot: &Depot, artifacts: &'a [IncomingArtifact]) -> Vec<&'a IncomingArtifact> {
    let mut seen = BTreeSet::new();
    let is_there = |artifact: &IncomingArtifact| {
        std::fs::metadata(depot.artifact(&artifact.digest)).is_ok_and(|file| file.len() == artifact.bytes)
    };
    artifacts.iter().filter(|artifact| seen.insert(artifact.digest) && !is_there(artifact)).collect()
}

/// The artifacts that are fresh now that nothing can be removed: those that were before, and those whose files went
/// meanwhile, which are made durable here.
fn fresh_by_now<'a>(
    depot: &Depot,
    incoming: &'a Incoming,
    before: &[&IncomingArtifact],
) -> Result<Vec<&'a IncomingArtifact>, WebError> {
    let synced: BTreeSet<usize> = before.iter().map(|artifact| artifact.number).collect();
    let fresh = fresh_artifacts(depot, &incoming.artifacts);
    let late: Vec<_> = fresh.iter().copied().filter(|artifact| !synced.contains(&artifact.number)).collect();
    sync_artifacts(incoming, &late)?;
    Ok(fresh)
}

/// Gives the files of a build their names, and makes the names durable.
fn move_files(
    depot: &Depot,
    incoming: &Incoming,
    fresh: &[&IncomingArtifact],
    reached: &mut dyn FnMut(Step),
) -> Result<(), WebError> {
    move_artifacts(depot, incoming, fresh, reached)?;
    let job = depot.root().join(incoming.job.as_str());
    make_folder(&job)?;
    let (from, to) = (incoming.staging.build(), depot.root().join(Depot::build_folder(&incoming.job, &incoming.build)));
    // What lies there belongs to no row: we looked.
    Depot::remove(&to)?;
    std::fs::rename(&from, &to).tried("rename", &from)?;
    [&job, depot.root()].into_iter().try_for_each(sync_folder)?;
    reached(Step::Named);
    Ok(())
}

/// Gives artifacts their names, and makes the names durable.
fn move_artifacts(
    depot: &Depot,
    incoming: &Incoming,
    fresh: &[&IncomingArtifact],
    reached: &mut dyn FnMut(Step),
) -> Result<(), WebError> {
    let mut folders = BTreeSet::new();
    for artifact in fresh {
        let (from, to) = (incoming.staging.artifact(artifact.number), depot.artifact(&artifact.digest));
        let folder = to.parent().unwrap_or(depot.root());
        if folders.insert(folder.to_owned()) {
            make_folder(folder)?;
        }
        std::fs::rename(&from, &to).tried("rename", &from)?;
        reached(Step::Moved);
    }
    if folders.is_empty() || folders.len() > SYNC_EACH_MAX && sync_file_system(depot.root())? {
        return Ok(());
    }
    folders.insert(depot.artifacts());
    folders.iter().try_for_each(|folder| sync_folder(folder))
}

/// Brings back those files of a stored build's folder that were lost.
fn heal_build(depot: &Depot, incoming: &Incoming) -> Result<(), WebError> {
    let folder = depot.root().join(Depot::build_folder(&incoming.job, &incoming.build));
    let lost: Vec<_> = BUILD_FILES.into_iter().filter(|name| !folder.join(name).exists()).collect();
    if lost.is_empty() {
        return Ok(());
    }
    let job = depot.root().join(incoming.job.as_str());
    make_folder(&job)?;
    make_folder(&folder)?;
    for name in lost {
        let from = incoming.staging.build().join(name);
        sync_file(&from)?;
        std::fs::rename(&from, folder.join(name)).tried("rename", &from)?;
    }
    [&folder, &job, depot.root()].into_iter().try_for_each(sync_folder)
}

/// Inserts all rows of a build; gives its row.
fn insert(
    transaction: &Transaction<'_>,
    app: &App,
    sender: &Sender,
    incoming: &Incoming,
    main_binary: Option<usize>,
    facts: &Facts,
    scripts: &Scripts,
) -> rusqlite::Result<i64> {
    let job = job_row(transaction, &incoming.job)?;
    let build = insert_build(transaction, sender, incoming, job, facts)?;
    let mut insert = transaction
        .prepare_cached("INSERT INTO build_artifact(filepath, sha256, size, build) VALUES (?1, ?2, ?3, ?4)")?;
    let mut insert_artifact =
        |artifact: &IncomingArtifact| insert.insert(params![artifact.path, artifact.digest, artifact.bytes, build]);
    // The main binary first, as the original has it.
    if let Some(main) = main_binary.and_then(|main| incoming.artifacts.get(main)) {
        let row = insert_artifact(main)?;
        transaction.prepare_cached("UPDATE build SET main_binary = ?1 WHERE id = ?2")?.execute([row, build])?;
    }
    for (place, artifact) in incoming.artifacts.iter().enumerate() {
        if main_binary != Some(place) {
            insert_artifact(artifact)?;
        }
    }
    let now = Timestamp::from(app.now());
    facts.insert(transaction, build, Some((incoming.record, now.milliseconds())))?;
    let is_good = incoming.outcome == Outcome::Exited(0);
    let fresh = Fresh { row: build, job: &incoming.job, is_good, has_main_binary: main_binary.is_some(), now };
    enqueue(transaction, app.settings(), scripts, fresh)?;
    if is_good && is_newest_good(transaction, job, build)? {
        describe_job(transaction, job, incoming.readme.as_deref(), facts)?;
    }
    Ok(build)
}

fn job_row(transaction: &Transaction<'_>, name: &Name) -> rusqlite::Result<i64> {
    transaction.prepare_cached("INSERT OR IGNORE INTO job(name) VALUES (?1)")?.execute([name.as_str()])?;
    transaction.prepare_cached("SELECT id FROM job WHERE name = ?1")?.query_row([name.as_str()], |row| row.get(0))
}

fn insert_build(
    transaction: &Transaction<'_>,
    sender: &Sender,
    incoming: &Incoming,
    job: i64,
    facts: &Facts,
) -> rusqlite::Result<i64> {
    let text = "INSERT INTO build(uuid, start_d, start_ps, finish_d, finish_ps, result_code, result_msg, console,
        script, platform, main_binary, user, job, input_id)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, NULL, ?11, ?12, ?13)";
    let (start_d, start_ps) = time_to_columns(incoming.started);
    let (finish_d, finish_ps) = time_to_columns(incoming.finished);
    let (code, message) = outcome_to_columns(&incoming.outcome);
    let folder = Depot::build_folder(&incoming.job, &incoming.build);
    let file = |name: &str| folder.join(name).to_string_lossy().into_owned();
    transaction.prepare_cached(text)?.insert(params![
        incoming.build.to_string(),
        start_d,
        start_ps,
        finish_d,
        finish_ps,
        code,
        message,
        file("console.txt"),
        file("script.txt"),
        incoming.platform.as_str(),
        sender.user,
        job,
        facts.input_id(),
    ])
}

/// Whether no good build of the job began later: an old build that is uploaded late describes nothing.
fn is_newest_good(connection: &Connection, job: i64, build: i64) -> rusqlite::Result<bool> {
    let text = "SELECT id = ?2 FROM build WHERE job = ?1 AND result_code = 0 ORDER BY start_d DESC, start_ps DESC, id DESC LIMIT 1";
    let newest = connection.prepare_cached(text)?.query_row([job, build], |row| row.get(0)).optional()?;
    Ok(newest == Some(true))
}

/// Says of the job what its newest good build says. What this build knows nothing of stays as it was; what it does
/// know, and has not, goes.
fn describe_job(transaction: &Transaction<'_>, job: i64, readme: Option<&[u8]>, facts: &Facts) -> rusqlite::Result<()> {
    if let Some(job_facts) = &facts.job {
        set_tag(transaction, job, "section", Some(job_facts.section))?;
        set_tag(transaction, job, "synopsis", job_facts.synopsis.as_deref())?;
        set_tag(transaction, job, "description", job_facts.description.as_deref())?;
    }
    match readme {
        Some(readme) => set_tag(transaction, job, "readme.md", Some(&String::from_utf8_lossy(readme))),
        None => Ok(()),
    }
}

fn set_tag(transaction: &Transaction<'_>, job: i64, tag: &str, value: Option<&str>) -> rusqlite::Result<()> {
    transaction.prepare_cached("INSERT OR IGNORE INTO tag(tag) VALUES (?1)")?.execute([tag])?;
    let text = match value {
        Some(_) => {
            "INSERT INTO job_tag(tag, value, job) VALUES ((SELECT id FROM tag WHERE tag = ?1), ?2, ?3)
                ON CONFLICT(tag, job) DO UPDATE SET value = excluded.value"
        }
        None => "DELETE FROM job_tag WHERE tag = (SELECT id FROM tag WHERE tag = ?1) AND ?2 IS NULL AND job = ?3",
    };
    transaction.prepare_cached(text)?.execute(params![tag, value, job]).map(|_| ())
}

#[cfg(test)]
mod tests;
