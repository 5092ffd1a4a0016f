//! The engine: the one thread that owns the scheduler and the database.
//!
//! It takes whatever events wait, decides all of them, saves once, and only then acts and answers. When a save fails,
//! nothing of the batch happens: everybody in it is refused, and the scheduler is rebuilt from what the disk holds.

mod core;
mod disk;

pub use self::core::Core;
pub use disk::{Disk, adopt};

use crate::clock::Clock;
use crate::consoles::{ConsoleFeed, Consoles};
use crate::metrics::Metrics;
use builder_model::state::{FinishedBuild, RunningBuild};
use builder_model::{BuildId, Platform, ScriptJob};
use builder_sched::{Counts, Event, Reply, Settings, Snapshot, WorkerId};
use builder_store::StoreError;
use builder_store::database::{KeptUpload, Outbox, Upload};
use builder_store::small::SmallRecord;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{Notify, mpsc, oneshot};

/// Most events that are decided and saved together.
const BATCH_EVENTS_MAX: usize = 1024;
/// Most events that wait for the engine; who has one more waits with it.
const WAITING_EVENTS_MAX: usize = 4096;
/// Most uploaded builds that are named at once.
pub const KEPT_UPLOADS_MAX: usize = 1024;
/// The longest pause between two tries of an upload.
pub const UPLOAD_PAUSE_MAX: Duration = Duration::from_secs(600);
/// How long the engine sleeps at most: a clock that was set is noticed within this time.
const SLEEP_MAX: Duration = Duration::from_secs(5);

/// Why the engine did not do what was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The scheduler refuses.
    #[error("{0}")]
    Refusal(builder_sched::Refusal),
    /// The disk refuses: nothing happened, and the same request may succeed later.
    #[error("the server could not save the request: {0}")]
    NotSaved(String),
    /// The server stops.
    #[error("the server is stopping")]
    Stopping,
}

/// A build for a worker.
#[derive(Debug)]
pub struct Assignment {
    /// The build.
    pub running: RunningBuild,
    /// What to run.
    pub script: ScriptJob,
    /// Where its console is announced.
    pub feed: Arc<ConsoleFeed>,
    /// Fires when its time is over.
    pub timed_out: oneshot::Receiver<()>,
}

/// What the engine is asked.
#[derive(Debug)]
#[expect(missing_docs, reason = "each is a method of `Engine`")]
pub enum Request {
    Event {
        event: Event,
        /// The record of the build that it ends, if that is small: saved with the event.
        record: Option<Arc<SmallRecord>>,
        reply: oneshot::Sender<Result<Reply, Refused>>,
    },
    WorkerWaits {
        worker: WorkerId,
        platform: Platform,
        assign: oneshot::Sender<Assignment>,
        reply: oneshot::Sender<Result<Reply, Refused>>,
    },
    Question(Question),
}

/// What is answered after the save, from the scheduler and the database as they then are.
#[derive(Debug)]
#[expect(missing_docs, reason = "each is a method of `Engine`")]
pub enum Question {
    Snapshot(oneshot::Sender<Snapshot>),
    Counts(oneshot::Sender<Counts>),
    UploadsWaiting(oneshot::Sender<Result<u64, StoreError>>),
    NextUpload {
        reply: oneshot::Sender<Result<NextTry, StoreError>>,
    },
    Uploaded {
        build: BuildId,
        result: Result<(), FailedUpload>,
        reply: oneshot::Sender<Result<(), StoreError>>,
    },
    KeptUploads {
        keep: Duration,
        after: Option<KeptUpload>,
        reply: oneshot::Sender<Result<Vec<KeptUpload>, StoreError>>,
    },
    RecordRemoved {
        build: BuildId,
        reply: oneshot::Sender<Result<(), StoreError>>,
    },
    SmallRecord {
        build: BuildId,
        reply: oneshot::Sender<Result<Option<Vec<u8>>, StoreError>>,
    },
    RecordsSynced {
        builds: Vec<BuildId>,
        reply: oneshot::Sender<Result<(), StoreError>>,
    },
}

/// What the uploader is to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NextTry {
    /// Try this upload.
    Due(Upload),
    /// Wait this long, unless a build ends before.
    Later(Duration),
    /// Wait until a build ends.
    Nothing,
}

/// An upload that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailedUpload {
    /// Why.
    pub why: String,
    /// When to try again, from now on; at most [`UPLOAD_PAUSE_MAX`].
    pub pause: Duration,
}

/// How everybody else talks to the engine.
#[derive(Debug, Clone)]
pub struct Engine {
    requests: mpsc::Sender<(Instant, Request)>,
    stop: Arc<Notify>,
}

impl Engine {
    async fn ask<T>(&self, request: impl FnOnce(oneshot::Sender<T>) -> Request) -> Result<T, Refused> {
        let (reply, answer) = oneshot::channel();
        self.requests.send((Instant::now(), request(reply))).await.map_err(|_| Refused::Stopping)?;
        answer.await.map_err(|_| Refused::Stopping)
    }

    /// Ends the engine once it has answered who asked before; whoever asks later hears that the server stops.
    pub fn stop(&self) {
        self.stop.notify_one();
    }

    /// Lets an event happen; gives what came of it once that is saved.
    pub async fn event(&self, event: Event) -> Result<Reply, Refused> {
        self.event_with_record(event, None).await
    }

    /// As [`Engine::event`], for the end of a build whose record is small, and is saved with it.
    pub async fn event_with_record(&self, event: Event, record: Option<Arc<SmallRecord>>) -> Result<Reply, Refused> {
        self.ask(|reply| Request::Event { event, record, reply }).await?
    }

    /// A worker waits; the receiver gets its assignment.
    pub async fn worker_waits(
        &self,
        worker: WorkerId,
        platform: Platform,
    ) -> Result<oneshot::Receiver<Assignment>, Refused> {
        let (assign, assignment) = oneshot::channel();
        self.ask(|reply| Request::WorkerWaits { worker, platform, assign, reply }).await??;
        Ok(assignment)
    }

    /// What is going on.
    pub async fn snapshot(&self) -> Result<Snapshot, Refused> {
        self.ask(|reply| Request::Question(Question::Snapshot(reply))).await
    }

    /// How much is going on: cheap, and so also the question whether the engine lives.
    pub async fn counts(&self) -> Result<Counts, Refused> {
        self.ask(|reply| Request::Question(Question::Counts(reply))).await
    }

    /// How many uploads wait.
    pub async fn uploads_waiting(&self) -> Result<u64, Refused> {
        let waiting = self.ask(|reply| Request::Question(Question::UploadsWaiting(reply))).await?;
        waiting.map_err(|error| Refused::NotSaved(error.to_string()))
    }

    fn ask_blocking<T>(
        &self,
        question: impl FnOnce(oneshot::Sender<Result<T, StoreError>>) -> Question,
    ) -> Result<T, Refused> {
        let (reply, answer) = oneshot::channel();
        let request = Request::Question(question(reply));
        self.requests.blocking_send((Instant::now(), request)).map_err(|_| Refused::Stopping)?;
        let result = answer.blocking_recv().map_err(|_| Refused::Stopping)?;
        result.map_err(|error| Refused::NotSaved(error.to_string()))
    }

    /// The upload that is to be tried next, for a thread of its own.
    pub fn next_upload(&self) -> Result<NextTry, Refused> {
        self.ask_blocking(|reply| Question::NextUpload { reply })
    }

    /// How an upload went.
    pub fn uploaded(&self, build: BuildId, result: Result<(), FailedUpload>) -> Result<(), Refused> {
        self.ask_blocking(|reply| Question::Uploaded { build, result, reply })
    }

    /// Builds whose records were uploaded longer ago than `keep` and are still there: the first [`KEPT_UPLOADS_MAX`], or
    /// the first behind the last of another page.
    pub fn kept_uploads(&self, keep: Duration, after: Option<KeptUpload>) -> Result<Vec<KeptUpload>, Refused> {
        self.ask_blocking(|reply| Question::KeptUploads { keep, after, reply })
    }

    /// The record of a build, if it is in the database.
    pub fn small_record(&self, build: BuildId) -> Result<Option<Vec<u8>>, Refused> {
        self.ask_blocking(|reply| Question::SmallRecord { build, reply })
    }

    /// The files of these builds are on disk.
    pub fn records_synced(&self, builds: Vec<BuildId>) -> Result<(), Refused> {
        self.ask_blocking(|reply| Question::RecordsSynced { builds, reply })
    }

    /// The record of a build was removed.
    pub fn record_removed(&self, build: BuildId) -> Result<(), Refused> {
        self.ask_blocking(|reply| Question::RecordRemoved { build, reply })
    }
}

/// What the engine needs to start.
pub struct Parts {
    /// The database.
    pub disk: Box<dyn Disk>,
    /// The scheduler's settings.
    pub settings: Settings,
    /// Where the time comes from.
    pub clock: Clock,
    /// Where templates lie.
    pub config: PathBuf,
    /// Whether finished builds are to be uploaded.
    pub outbox: Outbox,
    /// The consoles of builds that have no record yet.
    pub consoles: Arc<Consoles>,
    /// Where to count.
    pub metrics: Arc<Metrics>,
    /// Called when a build has ended whose small record was saved: writes the file, and then tells the observers.
    pub place_record: Box<dyn FnMut(Arc<SmallRecord>, FinishedBuild) + Send>,
    /// Told when an upload may wait.
    pub upload_waits: std::sync::mpsc::SyncSender<()>,
    /// Makes ids that no build had before.
    pub fresh_build: Box<dyn FnMut() -> BuildId + Send>,
}

/// Starts the engine on a thread of its own. It ends when it is stopped, or when every [`Engine`] is gone.
pub fn start(parts: Parts) -> Result<(Engine, std::thread::JoinHandle<()>), anyhow::Error> {
    let (requests, inbox) = mpsc::channel(WAITING_EVENTS_MAX);
    let mut engine = Core::new(parts)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
    let stop = Arc::new(Notify::new());
    let stopped = stop.clone();
    let thread = std::thread::Builder::new().name("engine".to_owned()).spawn(move || {
        runtime.block_on(run(&mut engine, inbox, &stopped));
    })?;
    Ok((Engine { requests, stop }, thread))
}

/// Feeds the engine until it is stopped, or nobody is left who could ask it.
async fn run(core: &mut Core, mut inbox: mpsc::Receiver<(Instant, Request)>, stop: &Notify) {
    let mut batch = Vec::with_capacity(BATCH_EVENTS_MAX);
    loop {
        batch.clear();
        let wait = core.time_to_wait();
        if !wait.is_zero() {
            tokio::select! {
                biased;
                received = inbox.recv_many(&mut batch, BATCH_EVENTS_MAX) => if received == 0 {
                    return;
                },
                () = stop.notified() => inbox.close(),
                () = core.clock().wait(wait, SLEEP_MAX) => {}
            }
        } else {
            while batch.len() < BATCH_EVENTS_MAX
                && let Ok(request) = inbox.try_recv()
            {
                batch.push(request);
            }
        }
        core.step(&mut batch);
    }
}

/// A random id.
pub(crate) fn fresh_build() -> BuildId {
    let mut bytes = [0; 16];
    // The system has randomness from its start on; without it no id would be safe to use.
    assert!(getrandom::fill(&mut bytes).is_ok(), "the system gives random bytes");
    BuildId::from_random(bytes)
}
