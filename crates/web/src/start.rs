//! A repository at work: its data folder, its listeners, and what goes on in the background.

use crate::app::App;
use crate::error::WebError;
use crate::ingest::catch_up::derive_missing;
use crate::ingest::reconcile::reconcile;
use crate::settings::Settings;
use std::net::{SocketAddr, TcpListener};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Builds whose facts are derived in one go, between which others write.
const DERIVED_AT_ONCE_MAX: u32 = 50;

/// A repository that serves.
#[derive(Debug)]
pub struct Repository {
    app: App,
    addresses: Vec<SocketAddr>,
    stop: watch::Sender<bool>,
    tasks: Vec<JoinHandle<()>>,
    _lock: crate::depot::ServerLock,
}

/// Why a repository does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Its data folder.
    #[error(transparent)]
    Own(#[from] WebError),
    /// Its listeners.
    #[error("cannot listen: {0}")]
    Listen(#[from] std::io::Error),
}

impl Repository {
    /// Takes the data folder, mends what a crash left, and serves. Within a tokio runtime.
    pub async fn start(settings: Settings, listeners: Vec<TcpListener>) -> Result<Self, StartError> {
        let app = App::open(settings)?;
        let lock = app.depot().lock_server()?;
        let left = reconcile(&app)?;
        if left > 0 {
            tracing::info!("{left} uploads did not end before the last stop; their senders send them again");
        }
        let mut addresses = Vec::new();
        let mut sockets = Vec::new();
        for listener in listeners {
            listener.set_nonblocking(true)?;
            let listener = tokio::net::TcpListener::from_std(listener)?;
            addresses.push(listener.local_addr()?);
            sockets.push(listener);
        }
        let (stop, stopping) = watch::channel(false);
        let router = crate::http::router(app.clone());
        let tasks = vec![
            tokio::spawn(crate::http::serve(sockets, router, stopped(stopping.clone()))),
            tokio::spawn(derive_all(app.clone(), stopping.clone())),
            tokio::spawn(crate::hooks::run(app.clone(), stopping)),
        ];
        Ok(Self { app, addresses, stop, tasks, _lock: lock })
    }

    /// Where it listens.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// What it works on.
    pub fn app(&self) -> &App {
        &self.app
    }

    /// Lets open requests end, and ends.
    pub async fn stop(self) {
        self.stop.send_replace(true);
        for task in self.tasks {
            if let Err(error) = task.await {
                tracing::error!("a task of the repository ended badly: {error}");
            }
        }
    }
}

/// Waits until the repository is asked to stop.
pub(crate) async fn stopped(mut stopping: watch::Receiver<bool>) {
    // That the other end is gone means the same.
    match stopping.wait_for(|stopping| *stopping).await {
        Ok(_) | Err(_) => {}
    }
}

/// Derives what is not known yet of builds that are there: those that the original stored, or an earlier version of this
/// program. Gives how many.
pub fn derive_facts(app: &App) -> Result<usize, WebError> {
    let mut count = 0;
    loop {
        match derive_missing(app, DERIVED_AT_ONCE_MAX)? {
            0 => return Ok(count),
            derived => count += derived,
        }
    }
}

/// The same in the background, as long as the repository is not asked to stop.
async fn derive_all(app: App, stopping: watch::Receiver<bool>) {
    let mut count = 0;
    while !*stopping.borrow() {
        let app = app.clone();
        match tokio::task::spawn_blocking(move || derive_missing(&app, DERIVED_AT_ONCE_MAX)).await {
            Ok(Ok(0)) => break,
            Ok(Ok(derived)) => count += derived,
            Ok(Err(error)) => {
                tracing::error!("the facts of some builds are not derived before the next start: {error}");
                break;
            }
            Err(error) => {
                tracing::error!("deriving facts ended in a panic: {error}");
                break;
            }
        }
    }
    if count > 0 {
        tracing::info!("derived the facts of {count} builds that were here already");
    }
}
