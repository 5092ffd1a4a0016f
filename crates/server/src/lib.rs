//! builder-server: the schedule, the queues, and the builds that workers run.
//!
//! Connections are served by asynchronous tasks; the scheduler and the database belong to one thread (`engine`);
//! uploads go out from another. What is large goes from socket to disk and from disk to socket, never through the
//! engine.

pub mod cli;
pub mod clock;
mod connection;
pub mod consoles;
pub mod engine;
mod listener;
pub mod metrics;
mod records;
mod session;
pub mod settings;
mod start;
mod templates;
mod upload;

pub use settings::Settings;
pub use start::{Server, StartError};

use builder_store::{Folder, History};
use consoles::Consoles;
use engine::Engine;
use metrics::Metrics;
use records::Records;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex};
use tokio::sync::{Semaphore, watch};

/// What every connection shares.
#[derive(Debug)]
struct Shared {
    engine: Engine,
    consoles: Arc<Consoles>,
    folder: Arc<Folder>,
    /// Only read, and only off the asynchronous threads.
    history: Arc<Mutex<History>>,
    records: Arc<Records>,
    metrics: Arc<Metrics>,
    settings: Settings,
    stopping: watch::Receiver<bool>,
    /// How many more connections there may be.
    places: Arc<Semaphore>,
    next_worker: AtomicU64,
}
