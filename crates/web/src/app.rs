//! What every request has at hand: the open data folder and the settings.

use crate::accounts::gate::Gate;
use crate::comparison::Comparisons;
use crate::database::Database;
use crate::depot::{Depot, TurnLock};
use crate::error::WebError;
use crate::http::page_cache::PageCache;
use crate::limits::{COMPRESSING_AT_ONCE_MAX, MAKING_AT_ONCE_MAX, READERS_MAX, UPLOADS_AT_ONCE_MAX};
use crate::metrics::Metrics;
use crate::pages::look::Look;
use crate::pages::readmes::Readmes;
use crate::settings::Settings;
use crate::turns::{Broken, Turns};
use axum::response::Response;
use rusqlite::Connection;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

/// A repository that is open. Cheap to clone.
#[derive(Debug, Clone)]
pub struct App(Arc<Parts>);

/// The turn to make a build durable, until it is dropped: among the threads of this process, and among all processes.
#[derive(Debug)]
pub(crate) struct CommitTurn<'a> {
    _across: TurnLock,
    _within: MutexGuard<'a, ()>,
}

#[derive(Debug)]
struct Parts {
    settings: Settings,
    depot: Depot,
    database: Database,
    look: Look,
    readmes: Readmes,
    page_cache: PageCache,
    /// Held while the files and rows of one build become durable.
    commit: Mutex<()>,
    gate: Gate,
    metrics: Metrics,
    /// Turns of requests that are answered out of rows and files. With more of them than readers, threads would wait for
    /// each other, and take turns on the processors meanwhile.
    turns: Turns,
    /// Places for uploads.
    uploads: Arc<Semaphore>,
    /// Places for files that are put together while they are sent.
    making: Arc<Semaphore>,
    /// Places for texts that are compressed while they are sent.
    compressing: Arc<Semaphore>,
    /// Told after each upload.
    uploaded: Notify,
    comparisons: Comparisons,
}

impl App {
    /// Opens the data folder of the settings, whose database must be there.
    pub fn open(settings: Settings) -> Result<Self, WebError> {
        let depot = Depot::open(&settings.datadir)?;
        let database = Database::open(&settings.datadir)?;
        let look = Look::of(&settings.site);
        Ok(Self(Arc::new(Parts {
            settings,
            depot,
            database,
            look,
            readmes: Readmes::default(),
            page_cache: PageCache::default(),
            commit: Mutex::new(()),
            gate: Gate::default(),
            metrics: Metrics::default(),
            turns: Turns::new(READERS_MAX),
            uploads: Arc::new(Semaphore::new(UPLOADS_AT_ONCE_MAX)),
            making: Arc::new(Semaphore::new(MAKING_AT_ONCE_MAX)),
            compressing: Arc::new(Semaphore::new(COMPRESSING_AT_ONCE_MAX)),
            uploaded: Notify::new(),
            comparisons: Comparisons::default(),
        })))
    }

    /// What the repository was told.
    pub fn settings(&self) -> &Settings {
        &self.0.settings
    }

    /// Its files.
    pub fn depot(&self) -> &Depot {
        &self.0.depot
    }

    /// Its rows.
    pub fn database(&self) -> &Database {
        &self.0.database
    }

    /// What is the same on every page.
    pub(crate) fn look(&self) -> &Look {
        &self.0.look
    }

    /// Readmes that were rendered.
    pub(crate) fn readmes(&self) -> &Readmes {
        &self.0.readmes
    }

    /// Pages that are kept until the next commit.
    pub(crate) fn page_cache(&self) -> &PageCache {
        &self.0.page_cache
    }

    /// Waits for the turn to make the files and rows of one build durable.
    pub(crate) fn commit_turn(&self) -> Result<CommitTurn<'_>, WebError> {
        let within = self.0.commit.lock().unwrap_or_else(PoisonError::into_inner);
        let across = self.0.depot.lock_turn()?;
        // A backup that is written here waits for its turn, too.
        self.0.database.check_place()?;
        Ok(CommitTurn { _across: across, _within: within })
    }

    /// Who may come in.
    pub(crate) fn gate(&self) -> &Gate {
        &self.0.gate
    }

    /// What is counted.
    pub(crate) fn metrics(&self) -> &Metrics {
        &self.0.metrics
    }

    /// A place for an upload; none when too many are under way.
    pub(crate) fn upload_place(&self) -> Option<OwnedSemaphorePermit> {
        self.0.uploads.clone().try_acquire_owned().ok()
    }

    /// A place for a file that is put together while it is sent; none when too many are.
    pub(crate) fn making_place(&self) -> Option<OwnedSemaphorePermit> {
        self.0.making.clone().try_acquire_owned().ok()
    }

    /// A place for a text that is compressed while it is sent; none when too many are.
    pub(crate) fn compressing_place(&self) -> Option<OwnedSemaphorePermit> {
        self.0.compressing.clone().try_acquire_owned().ok()
    }

    /// Says that a build was stored.
    pub(crate) fn uploaded(&self) {
        self.0.uploaded.notify_one();
    }

    /// Tells of builds that were stored; for the one task that runs hooks.
    pub(crate) fn uploads(&self) -> &Notify {
        &self.0.uploaded
    }

    /// The time of this machine.
    pub(crate) fn now(&self) -> SystemTime {
        SystemTime::now()
    }

    /// Comparisons of what builds were made from.
    pub(crate) fn comparisons(&self) -> &Comparisons {
        &self.0.comparisons
    }

    /// Reads rows in one snapshot; for code that may block.
    pub fn read<T>(&self, work: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, WebError> {
        self.0.database.read(work)
    }

    /// Answers a request with work that may block: every handler that touches rows or files goes through here.
    pub(crate) async fn answer(
        self,
        work: impl FnOnce(&Self) -> Result<Response, crate::http::Refusal> + Send + 'static,
    ) -> Response {
        let turns = self.0.turns.clone();
        match turns.run(move || work(&self)).await {
            Ok(answer) => answer.unwrap_or_else(axum::response::IntoResponse::into_response),
            Err(Broken) => {
                tracing::error!("a request ended in a panic");
                axum::response::IntoResponse::into_response(crate::http::Refusal::Broken)
            }
        }
    }
}
