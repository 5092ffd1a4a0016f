//! Starting a server on sockets that somebody bound, and stopping it.

use crate::consoles::Consoles;
use crate::engine::{self, Engine, Parts};
use crate::metrics::{self, Metrics};
use crate::records::{self, Records};
use crate::settings::Settings;
use crate::{Shared, listener, upload};
use builder_model::state::{FinishedBuild, RunningBuild, State};
use builder_model::{BuildId, Timestamp};
use builder_store::console::ConsoleWriter;
use builder_store::database::{Opened, Outbox, Store};
use builder_store::{Folder, History, StoreError, record};
use std::collections::HashSet;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Why a server does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The data folder, or something in it.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The upload address.
    #[error(transparent)]
    Upload(#[from] upload::TargetError),
    /// The system.
    #[error("cannot {action}: {source}")]
    System {
        /// What was tried.
        action: String,
        /// Why not.
        source: io::Error,
    },
    /// The engine.
    #[error("{0}")]
    Engine(String),
}

/// A running server.
#[derive(Debug)]
pub struct Server {
    addresses: Vec<SocketAddr>,
    tasks: Vec<JoinHandle<()>>,
    engine: Engine,
    engine_thread: std::thread::JoinHandle<()>,
    records: Arc<Records>,
    record_threads: records::Threads,
    uploader: Option<std::thread::JoinHandle<()>>,
    stop: watch::Sender<bool>,
}

impl Server {
    /// Starts a server that listens on `listeners`, and for metrics on `metrics_listeners`.
    pub async fn start(
        settings: Settings,
        listeners: Vec<TcpListener>,
        metrics_listeners: Vec<TcpListener>,
    ) -> Result<Self, StartError> {
        if !settings.config_dir.is_dir() {
            let path = settings.config_dir.clone();
            return Err(StoreError::Missing { what: "the configuration folder", path }.into());
        }
        let target = settings.upload.as_deref().map(upload::Target::parse).transpose()?;
        let outbox = if target.is_some() { Outbox::Fill } else { Outbox::Leave };
        let folder = Arc::new(Folder::open(&settings.dir)?);
        let now = settings.clock.now().wall;
        let (mut store, state) = open_store(&folder, outbox, now)?;
        let consoles = Arc::new(Consoles::default());
        let history = History::open(folder.root())?;
        mend_consoles(&folder, &state, &consoles, |build| is_kept(&history, build, settings.keep_uploaded, now))?;
        // After the removal of what was left in the folder of incoming records, through which they go.
        let left = records::restore(&folder, &mut store)?;
        let history = Arc::new(Mutex::new(history));
        let metrics = Arc::new(Metrics::default());
        let (upload_waits, waits) = std::sync::mpsc::sync_channel(1);
        let to_place = records::Inbox::new();
        let parts = Parts {
            disk: Box::new(store),
            settings: settings.scheduler(),
            clock: settings.clock.clone(),
            config: settings.config_dir.clone(),
            outbox,
            consoles: consoles.clone(),
            metrics: metrics.clone(),
            place_record: to_place.place(consoles.clone()),
            upload_waits,
            fresh_build: Box::new(engine::fresh_build),
        };
        let (engine, engine_thread) = engine::start(parts).map_err(|error| StartError::Engine(error.to_string()))?;
        let uploader = target
            .map(|target| upload::start(target, engine.clone(), &folder, &metrics, settings.keep_uploaded, waits))
            .transpose()
            .map_err(no_thread)?;
        let (records, record_threads) =
            Records::start(to_place, &folder, consoles.clone(), engine.clone(), left).map_err(no_thread)?;
        let records = Arc::new(records);
        let (stop, stopping) = watch::channel(false);
        let shared = Shared {
            engine: engine.clone(),
            consoles,
            folder,
            history,
            records: records.clone(),
            metrics,
            settings,
            stopping,
            places: listener::places(),
            next_worker: AtomicU64::new(1),
        };
        let (addresses, tasks) = serve(Arc::new(shared), engine.clone(), listeners, metrics_listeners)?;
        Ok(Self { addresses, tasks, engine, engine_thread, records, record_threads, uploader, stop })
    }

    /// Where it listens.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Stops: nobody is accepted any more, sessions end in order, and everything that is known is on disk.
    pub async fn stop(self) {
        self.stop.send_replace(true);
        for task in self.tasks {
            if let Err(error) = task.await {
                tracing::error!("a listener ended badly: {error}");
            }
        }
        let threads = move || {
            self.records.stop(self.record_threads);
            // The uploader and open connections for metrics hold on to the engine: it does not end by itself.
            self.engine.stop();
            if self.engine_thread.join().is_err() {
                tracing::error!("the engine ended badly");
            }
            if let Some(uploader) = self.uploader {
                upload::join(uploader);
            }
        };
        if let Err(error) = tokio::task::spawn_blocking(threads).await {
            tracing::error!("stopping went wrong: {error}");
        }
    }
}

fn no_thread(source: io::Error) -> StartError {
    StartError::System { action: "start a thread".to_owned(), source }
}

type Serving = (Vec<SocketAddr>, Vec<JoinHandle<()>>);

fn serve(
    shared: Arc<Shared>,
    engine: Engine,
    listeners: Vec<TcpListener>,
    metrics_listeners: Vec<TcpListener>,
) -> Result<Serving, StartError> {
    let failed = |source| StartError::System { action: "listen".to_owned(), source };
    let adopt = |listener: TcpListener| {
        listener.set_nonblocking(true)?;
        tokio::net::TcpListener::from_std(listener)
    };
    let (mut addresses, mut tasks) = (Vec::new(), Vec::new());
    for listener in listeners {
        addresses.push(listener.local_addr().map_err(failed)?);
        tasks.push(tokio::spawn(listener::serve(adopt(listener).map_err(failed)?, shared.clone())));
    }
    for listener in metrics_listeners {
        let listener = adopt(listener).map_err(failed)?;
        let routes = metrics::routes(shared.metrics.clone(), engine.clone());
        let mut stopping = shared.stopping.clone();
        tasks.push(tokio::spawn(async move {
            let served = async { axum::serve(listener, routes).await };
            tokio::select! {
                ended = served => if let Err(error) = ended {
                    tracing::error!("metrics are not served any more: {error}");
                },
                _ = stopping.wait_for(|stopping| *stopping) => {}
            }
        }));
    }
    Ok((addresses, tasks))
}

/// Opens the database, and adopts the records of builds that were finished but not yet noted when the server ended.
fn open_store(folder: &Folder, outbox: Outbox, now: Timestamp) -> Result<(Store, State), StoreError> {
    let (mut store, opened) = Store::open(folder, now)?;
    match opened {
        Opened::Imported => tracing::info!("imported {}", folder.state_file().display()),
        Opened::BesideAnotherState => tracing::warn!(
            "{} is not the file that was imported; it is ignored, the state is in {}",
            folder.state_file().display(),
            folder.database().display()
        ),
        Opened::New | Opened::Existing => {}
    }
    let state = engine::adopt(&mut store, outbox, |running| found_record(folder, running))?;
    Ok((store, state))
}

fn found_record(folder: &Folder, running: &RunningBuild) -> Option<FinishedBuild> {
    let path = folder.record(&running.job, &running.build);
    if !path.exists() {
        return None;
    }
    match record::read_summary(&path) {
        Ok((summary, bytes)) => {
            tracing::info!(build = %running.build, "adopted the record of {}", running.job);
            Some(FinishedBuild {
                build: running.build,
                job: running.job.clone(),
                platform: running.platform.clone(),
                attempts: running.attempt,
                started: summary.started,
                finished: summary.finished,
                outcome: summary.outcome,
                record_bytes: Some(bytes),
            })
        }
        Err(error) => {
            tracing::error!("{error}; the build runs again");
            None
        }
    }
}

/// Removes what a crash left behind, and mends the consoles of builds that go on, and of those that `is_kept` knows.
fn mend_consoles(
    folder: &Folder,
    state: &State,
    consoles: &Consoles,
    is_kept: impl Fn(&BuildId) -> bool,
) -> Result<(), StoreError> {
    let running = state.running.iter().map(|running| running.build);
    let places = state.queues.iter().flat_map(|(_, places)| places);
    let queued = places.filter_map(|(_, queued)| queued.resume.as_ref().map(|resume| resume.build));
    let builds: HashSet<BuildId> = running.chain(queued).collect();
    let mut ended = Vec::new();
    let removed = folder.remove_leftovers(|build| {
        let goes_on = builds.contains(build);
        let kept = goes_on || is_kept(build);
        ended.extend((kept && !goes_on).then_some(*build));
        kept
    })?;
    if removed > 0 {
        tracing::info!("removed {removed} files that a crash left behind, or that were kept long enough");
    }
    for build in builds {
        let feed = consoles.feed(&build);
        let path = folder.console(&build);
        if path.exists() {
            feed.announce(ConsoleWriter::open(&path)?.extent().log_bytes());
        }
    }
    for path in ended.iter().map(|build| folder.console(build)).filter(|path| path.exists()) {
        // A torn tail is cut off, as observers read to the end of the file.
        drop(ConsoleWriter::open(&path)?);
    }
    Ok(())
}

/// Whether the console of a build is all that is left of it, and not older than a record that was uploaded may be.
fn is_kept(history: &History, build: &BuildId, keep: Duration, now: Timestamp) -> bool {
    match history.find(build) {
        Ok(Some(finished)) if finished.record_bytes.is_none() => {
            let age = u64::try_from(now.milliseconds_since(finished.finished)).unwrap_or(0);
            Duration::from_millis(age) <= keep
        }
        Ok(_) => false,
        Err(error) => {
            tracing::error!("{error}; the console of build {build} stays");
            true
        }
    }
}
