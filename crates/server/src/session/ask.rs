//! What only a client of version 14 asks: what queued jobs wait for, finished builds, waiting uploads, artifacts,
//! templates.
//!
//! The database and the records are read off the asynchronous threads, and every reply is bounded.

use super::client::{fail, refuse};
use super::observe;
use super::templates::{self, AskedTemplates};
use crate::Shared;
use crate::connection::{Connection, ConnectionError};
use builder_model::{BuildId, JobName, ParameterJob, Platform, TemplateName, Values};
use builder_sched::{Snapshot, Waits};
use builder_store::history::artifacts::{self, Artifact};
use builder_store::history::{PAGE_BYTES_MAX, Page, PageFilter, WaitingUpload};
use builder_store::small::RecordPlace;
use builder_store::{History, StoreError};
use builder_wire::Message;
use builder_wire::message::{
    ArtifactRow, Ask, AskRender, BUILDS_ASKED_MAX, BuildRow, BuildsReply, REPLY_BYTES_MAX, UploadRow, WaitRow,
};
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError};
use tokio::sync::Semaphore;

/// The rows of a reply have at most this many bytes; the rest is for the headers around them.
const ROWS_BYTES_MAX: u64 = REPLY_BYTES_MAX - 64;
/// How many records are read for their artifacts at once; who asks for one more waits.
const RECORDS_READ_MAX: usize = 2;
static RECORDS_READ: Semaphore = Semaphore::const_new(RECORDS_READ_MAX);

// A page is cut by its texts; what a row has besides them, headers included, takes less than this.
const _: () = assert!(2 * PAGE_BYTES_MAX as u64 + 256 * BUILDS_ASKED_MAX as u64 <= ROWS_BYTES_MAX);

/// A question, owned.
pub(super) enum Question {
    Waits,
    Builds(PageFilter),
    Uploads,
    Artifacts(BuildId),
    Templates(AskedTemplates),
    Render { job: ParameterJob, platform: Platform },
}

impl Question {
    /// A question whose names and values are checked.
    pub(super) fn of(ask: &Ask<'_>) -> Result<Self, String> {
        Ok(match ask {
            Ask::Waits => Self::Waits,
            Ask::Builds(builds) => Self::Builds(PageFilter {
                count: builds.count as usize,
                before: builds.before,
                job: builds.job.map(JobName::from_history),
                platform: builds.platform.map(Platform::from_history),
                failed: builds.failed,
            }),
            Ask::Uploads => Self::Uploads,
            Ask::Artifacts(build) => Self::Artifacts(*build),
            Ask::Templates(ask) => Self::Templates(AskedTemplates::of(ask)?),
            Ask::Render(AskRender { template, platform, values }) => Self::Render {
                job: ParameterJob {
                    // It is not told what the job is called.
                    name: JobName::from_history(b""),
                    template: TemplateName::parse(template).map_err(|error| error.to_string())?,
                    platform: None,
                    values: Values::parse(values.iter().copied()).map_err(|error| error.to_string())?,
                },
                platform: Platform::parse(platform).map_err(|error| error.to_string())?,
            },
        })
    }
}

pub(super) async fn serve(
    connection: &mut Connection,
    question: Question,
    shared: &Shared,
) -> Result<(), ConnectionError> {
    match question {
        Question::Waits => match shared.engine.snapshot().await {
            Ok(snapshot) => reply(connection, &Message::WaitsReply(waits(&snapshot))).await,
            Err(refused) => refuse(connection, &refused).await,
        },
        Question::Builds(filter) => match read(shared, move |history| history.page(&filter)).await {
            Ok(page) => reply(connection, &Message::BuildsReply(builds(&page))).await,
            Err(reason) => fail(connection, &reason).await,
        },
        Question::Uploads => match read(shared, History::uploads).await {
            Ok(waiting) => reply(connection, &Message::UploadsReply(uploads(&waiting))).await,
            Err(reason) => fail(connection, &reason).await,
        },
        Question::Artifacts(build) => artifacts_of(connection, build, shared).await,
        Question::Templates(asked) => templates::list(connection, asked, shared).await,
        Question::Render { job, platform } => templates::render(connection, job, platform, shared).await,
    }
}

pub(super) async fn reply(connection: &mut Connection, reply: &Message<'_>) -> Result<(), ConnectionError> {
    connection.send(reply).await?;
    connection.send(&Message::Success).await
}

/// Asks the history, on a thread that may block.
async fn read<T: Send + 'static>(
    shared: &Shared,
    question: impl FnOnce(&History) -> Result<T, StoreError> + Send + 'static,
) -> Result<T, String> {
    let history = shared.history.clone();
    let asked = tokio::task::spawn_blocking(move || {
        let history = history.lock().unwrap_or_else(PoisonError::into_inner);
        question(&history)
    });
    match asked.await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) => {
            tracing::error!("{error}");
            Err("the history cannot be read".to_owned())
        }
        Err(error) => Err(error.to_string()),
    }
}

/// What the queued jobs wait for, as many of the first as a reply holds.
fn waits(snapshot: &Snapshot) -> Vec<WaitRow<'_>> {
    let mut busy: HashMap<&Platform, usize> = HashMap::new();
    for running in &snapshot.running {
        *busy.entry(&running.build.platform).or_default() += 1;
    }
    let rows = snapshot.waits.iter().map(|wait| WaitRow {
        platform: wait.platform.as_bytes(),
        job: wait.job.as_bytes(),
        reason: reason(&wait.waits, busy.get(&wait.platform).copied().unwrap_or(0)).into_bytes().into(),
    });
    fitting(rows, WaitRow::size)
}

/// Nobody waits for a job that waits for a worker: each that is connected is busy.
fn reason(waits: &Waits, busy: usize) -> String {
    match (waits, busy) {
        (Waits::Worker, 0) => "a worker: none is connected".to_owned(),
        (Waits::Worker, 1) => "a free worker: the one that is connected is busy".to_owned(),
        (Waits::Worker, _) => format!("a free worker: all {busy} are busy"),
        (Waits::AfterRefusal { pauses: false, .. }, 0) => format!("{waits}; none is connected"),
        (
            Waits::AfterRefusal { .. }
            | Waits::Template(_)
            | Waits::TemplateUnread(_)
            | Waits::TemplateUnreadable { .. }
            | Waits::Misfit { .. }
            | Waits::ScriptTooLong { .. }
            | Waits::PlatformDropped,
            _,
        ) => waits.to_string(),
    }
}

fn builds(page: &Page) -> BuildsReply<'_> {
    let rows = page.builds.iter().map(|row| BuildRow {
        number: row.number,
        build: row.build.build,
        job: row.build.job.as_bytes(),
        platform: row.build.platform.as_bytes(),
        attempts: row.build.attempts,
        started: row.build.started,
        finished: row.build.finished,
        outcome: row.build.outcome.clone(),
        record_bytes: row.build.record_bytes,
        uploaded: row.uploaded,
    });
    BuildsReply { builds: rows.collect(), next: page.next }
}

/// The uploads that wait, as many of the first as a reply holds.
fn uploads(waiting: &[WaitingUpload]) -> Vec<UploadRow<'_>> {
    let rows = waiting.iter().map(|upload| UploadRow {
        build: upload.build,
        job: upload.job.as_bytes(),
        tries: upload.tries,
        error: upload.error.as_deref().map(str::as_bytes),
    });
    fitting(rows, UploadRow::size)
}

pub(super) fn fitting<T>(rows: impl Iterator<Item = T>, size: impl Fn(&T) -> u64) -> Vec<T> {
    let mut left = ROWS_BYTES_MAX;
    let fits = |row: &T| {
        let rest = left.checked_sub(size(row));
        left = rest.unwrap_or(0);
        rest.is_some()
    };
    rows.take_while(fits).collect()
}

async fn artifacts_of(connection: &mut Connection, build: BuildId, shared: &Shared) -> Result<(), ConnectionError> {
    if shared.consoles.find(&build).is_some() {
        return fail(connection, "the build has not ended yet").await;
    }
    let (place, ended) = match observe::find_record(build, shared).await {
        Ok(Some(found)) => found,
        Ok(None) => return fail(connection, "uuid not found").await,
        Err(error) => {
            tracing::error!("{error}");
            return fail(connection, "the history cannot be read").await;
        }
    };
    let mut stopping = shared.stopping.clone();
    let listed = tokio::select! {
        listed = list(place) => Some(listed),
        error = gone(connection) => return Err(error),
        _ = stopping.wait_for(|stopping| *stopping) => None,
    };
    let Some(listed) = listed else { return fail(connection, "the server is stopping").await };
    match listed {
        Ok(artifacts) => {
            let rows = artifacts.iter().map(|Artifact { path, bytes, sha256 }| row(path, *bytes, *sha256));
            reply(connection, &Message::ArtifactsReply(rows.collect())).await
        }
        Err(Unlisted::NotKept) => fail(connection, &observe::not_kept(&ended)).await,
        Err(Unlisted::Many) => fail(connection, "the build has more artifacts than a reply can list").await,
        Err(Unlisted::Unreadable(error)) => {
            tracing::error!("{error}");
            fail(connection, "the record of the build cannot be read").await
        }
    }
}

fn row(path: &[u8], bytes: u64, sha256: [u8; 32]) -> ArtifactRow<'_> {
    ArtifactRow { path, bytes, sha256 }
}

/// Why there is no list of artifacts.
enum Unlisted {
    NotKept,
    Many,
    Unreadable(String),
}

/// Reads a record for its artifacts, which takes as long as hashing all of them. When this is dropped, the reading
/// ends.
async fn list(place: RecordPlace) -> Result<Vec<Artifact>, Unlisted> {
    let wanted = Wanted(Arc::new(AtomicBool::new(true)));
    let still_wanted = wanted.0.clone();
    // Nobody closes the semaphore.
    let turn = RECORDS_READ.acquire().await.map_err(|closed| Unlisted::Unreadable(closed.to_string()))?;
    let reading = tokio::task::spawn_blocking(move || {
        let listed = list_blocking(&place, &still_wanted);
        drop(turn);
        listed
    });
    reading.await.unwrap_or_else(|error| Err(Unlisted::Unreadable(error.to_string())))
}

fn list_blocking(place: &RecordPlace, wanted: &AtomicBool) -> Result<Vec<Artifact>, Unlisted> {
    let (mut all, mut left) = (Vec::new(), Some(ROWS_BYTES_MAX));
    let take = |artifact: Artifact| {
        let size = row(&artifact.path, artifact.bytes, artifact.sha256).size();
        left = left.and_then(|left| left.checked_sub(size));
        all.push(artifact);
        left.is_some()
    };
    match artifacts::list(place, || wanted.load(Ordering::Relaxed), take) {
        Ok(true) => Ok(all),
        // Where nobody wants it any more, nobody reads this either.
        Ok(false) => Err(Unlisted::Many),
        Err(StoreError::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => Err(Unlisted::NotKept),
        Err(error) => Err(Unlisted::Unreadable(error.to_string())),
    }
}

/// Says when it is dropped that nobody waits any more.
struct Wanted(Arc<AtomicBool>);

impl Drop for Wanted {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

/// Waits until the client is gone; what it says meanwhile is thrown away.
async fn gone(connection: &mut Connection) -> ConnectionError {
    loop {
        if let Err(error) = connection.fill().await {
            return error;
        }
        let count = connection.inbox.bytes().len();
        connection.inbox.consume(count);
        connection.inbox.release();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_are_cut_at_their_limit() {
        let size = |bytes: &u64| *bytes;
        assert_eq!(fitting([ROWS_BYTES_MAX - 1, 1, 1].into_iter(), size).len(), 2);
        assert_eq!(
            fitting([ROWS_BYTES_MAX + 1, 1].into_iter(), size),
            Vec::<u64>::new(),
            "what follows is not pulled forward"
        );
    }
}
