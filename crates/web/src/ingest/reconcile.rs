//! What a crash left between the files of an upload and its rows, put right at the next start.
//!
//! Before an upload moves files out of its staging folder it writes down which. A staging folder that is there at a
//! start, and that nobody has a lock on, is what is left of an upload that did not end: if its build has rows, everything
//! else is there, too; if not, its files are taken back. Nothing was acknowledged then, and the sender sends again.

use crate::app::App;
use crate::depot::{ArtifactsLock, Depot};
use crate::digest::Digest;
use crate::error::{Tried, WebError};
use crate::name::Name;
use builder_model::BuildId;
use std::fs::File;
use std::io::{ErrorKind, Write};
use std::path::Path;

/// The file in a staging folder that says what was moved out of it.
const INTENT: &str = "intent";

/// What an upload is about to move.
pub(crate) struct Intent<'a> {
    pub(crate) job: &'a Name,
    pub(crate) build: BuildId,
    pub(crate) artifacts: &'a [Digest],
}

impl Intent<'_> {
    /// The UUID, the job and the digests, a line each.
    pub(crate) fn text(&self) -> String {
        let mut text = format!("{}\n{}\n", self.build, self.job);
        for digest in self.artifacts {
            text.push_str(&digest.to_string());
            text.push('\n');
        }
        text
    }

    /// Writes it down, durably.
    pub(crate) fn write(&self, staging: &Path) -> Result<(), WebError> {
        let (path, text) = (staging.join(INTENT), self.text());
        let mut file = File::create_new(&path).tried("create", &path)?;
        file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).tried("write", &path)?;
        crate::depot::sync_folder(staging)
    }
}

/// Takes back what no build has; gives how many uploads that were. What others receive meanwhile is left alone.
pub(crate) fn reconcile(app: &App) -> Result<usize, WebError> {
    let stagings = app.depot().stagings();
    let mut count = 0;
    for entry in std::fs::read_dir(&stagings).tried("list", &stagings)? {
        let staging = entry.tried("list", &stagings)?.path();
        match end(app, &staging) {
            Ok(Ended::Gone) => count += 1,
            Ok(Ended::Left) => {}
            // One that somebody else made, as a mirror that root ran, harms nobody; that nothing is served would.
            Err(error @ WebError::Io { .. }) => {
                tracing::warn!("what an upload left in {} stays there: {error}", staging.display());
            }
            Err(error) => return Err(error),
        }
    }
    Ok(count)
}

/// What became of a staging folder.
enum Ended {
    Gone,
    /// Somebody is at work in it, or on all artifacts.
    Left,
}

/// Ends an upload that nobody is at work on.
fn end(app: &App, staging: &Path) -> Result<Ended, WebError> {
    let Some(_lock) = Depot::try_lock_staging(staging)? else { return Ok(Ended::Left) };
    match std::fs::read_to_string(staging.join(INTENT)) {
        Ok(text) => match app.depot().try_lock_removal()? {
            Some(lock) => take_back(app, &text, &lock)?,
            None => {
                tracing::info!("a backup holds the artifacts; what an upload left is taken back at the next start");
                return Ok(Ended::Left);
            }
        },
        // Nothing was moved yet; or it is no folder, but what a binary that was made by hand came to.
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {}
        Err(error) => return Err(error).tried("read", &staging.join(INTENT)),
    }
    Depot::remove(staging)?;
    Ok(Ended::Gone)
}

/// Takes back what an upload moved, unless its build has rows.
pub(crate) fn take_back(app: &App, intent: &str, _: &ArtifactsLock) -> Result<(), WebError> {
    let mut lines = intent.lines();
    let build = lines.next().and_then(|text| text.parse::<BuildId>().ok());
    let job = lines.next().and_then(|text| Name::stored_job(text.as_bytes()).ok());
    // An intent that was cut off was never acted on.
    let (Some(build), Some(job)) = (build, job) else { return Ok(()) };
    let is_stored = app.read(|connection| {
        connection.prepare_cached("SELECT 1 FROM build WHERE uuid = ?1")?.exists([build.to_string()])
    })?;
    if is_stored {
        return Ok(());
    }
    Depot::remove(&app.depot().root().join(Depot::build_folder(&job, &build)))?;
    for digest in lines.filter_map(|text| text.parse::<Digest>().ok()) {
        let is_shared = app.read(|connection| {
            connection.prepare_cached("SELECT 1 FROM build_artifact WHERE sha256 = ?1")?.exists([digest])
        })?;
        if !is_shared {
            Depot::remove(&app.depot().artifact(&digest))?;
        }
    }
    Ok(())
}
