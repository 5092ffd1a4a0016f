//! Small records on their way to disk: their builds have ended, and they are in the database, until their files have
//! been synced here, many at a time.

use crate::engine::{Engine, Refused};
use builder_model::{BuildId, JobName};
use builder_store::database::Store;
use builder_store::small::{self, SMALL_RECORD_BYTES_MAX, SmallRecord};
use builder_store::{Folder, StoreError};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// How long records gather before they are synced.
const GATHER_PAUSE: Duration = Duration::from_millis(500);
/// How long to wait after the disk refused.
const FAILURE_PAUSE: Duration = Duration::from_secs(10);
/// What may gather, in bytes; beyond that, records go to disk one by one, before their builds end.
const GATHERED_BYTES_MAX: u64 = 16 << 20;
/// What a record counts for beside its own bytes.
const OVERHEAD_BYTES: u64 = 256;
/// How many are restored at once at the start.
const RESTORED_MAX: usize = 1000;

/// The small records whose files are not yet known to be on disk.
#[derive(Debug, Default)]
pub(crate) struct Records {
    gathered: Mutex<Gathered>,
    news: Condvar,
}

#[derive(Debug, Default)]
struct Gathered {
    waiting: Vec<Waiting>,
    /// The size of those that wait, and of those that are being synced.
    bytes: u64,
    stopping: bool,
}

/// A record whose row is in the database.
#[derive(Debug)]
enum Waiting {
    /// Its file is written.
    Placed { build: BuildId, job: JobName, bytes: u64 },
    /// The file could not be written; it is tried again.
    Unplaced(SmallRecord),
}

impl Waiting {
    fn bytes(&self) -> u64 {
        OVERHEAD_BYTES
            + match self {
                Self::Placed { bytes, .. } => *bytes,
                Self::Unplaced(record) => record.bytes.len() as u64,
            }
    }
}

impl Records {
    /// Up to which size a record that is begun now is small, in bytes.
    pub(crate) fn small_bytes_max(&self) -> u64 {
        if self.lock().bytes < GATHERED_BYTES_MAX { SMALL_RECORD_BYTES_MAX } else { 0 }
    }

    /// Writes the file of a record that was saved in the database. When that fails, it is tried again later: the record
    /// is safe, and readers find it.
    pub(crate) fn place(&self, folder: &Folder, record: Arc<SmallRecord>) {
        let waiting = placed(folder, Arc::unwrap_or_clone(record));
        let mut gathered = self.lock();
        gathered.bytes += waiting.bytes();
        gathered.waiting.push(waiting);
        if gathered.waiting.len() == 1 {
            self.news.notify_one();
        }
    }

    /// What was left in the database by a server that did not end in order gets its files. What the disk refuses is
    /// tried again later.
    pub(crate) fn restore(&self, folder: &Folder, store: &mut Store) -> Result<(), StoreError> {
        loop {
            let records = store.small_records(RESTORED_MAX)?;
            if records.is_empty() {
                return Ok(());
            }
            let builds: Vec<(BuildId, JobName)> =
                records.iter().map(|record| (record.build, record.job.clone())).collect();
            let restored = records.iter().try_for_each(|record| record.place(folder));
            if let Err(error) = restored.and_then(|()| small::sync(folder, &builds)) {
                tracing::error!("{error}; trying again later");
                let mut gathered = self.lock();
                gathered.waiting = store.small_records(usize::MAX)?.into_iter().map(Waiting::Unplaced).collect();
                gathered.bytes = gathered.waiting.iter().map(Waiting::bytes).sum();
                return Ok(());
            }
            let builds: Vec<BuildId> = builds.into_iter().map(|(build, _)| build).collect();
            store.records_synced(&builds)?;
            tracing::info!("wrote {} small records again", builds.len());
        }
    }

    /// Starts the thread that syncs. It ends with [`Records::stop`].
    pub(crate) fn start(self: Arc<Self>, folder: Arc<Folder>, engine: Engine) -> std::io::Result<JoinHandle<()>> {
        thread::Builder::new().name("records".to_owned()).spawn(move || self.run(&folder, &engine))
    }

    /// Ends the thread after it has synced what there is.
    pub(crate) fn stop(&self) {
        self.lock().stopping = true;
        self.news.notify_one();
    }

    fn run(&self, folder: &Folder, engine: &Engine) {
        loop {
            let last = self.gather();
            let waiting = std::mem::take(&mut self.lock().waiting);
            let bytes: u64 = waiting.iter().map(Waiting::bytes).sum();
            let left = bring_to_disk(folder, engine, waiting);
            let failed = !left.is_empty();
            {
                let mut gathered = self.lock();
                gathered.bytes = gathered.bytes.saturating_sub(bytes) + left.iter().map(Waiting::bytes).sum::<u64>();
                gathered.waiting.extend(left);
            }
            if last {
                return;
            }
            if failed {
                self.pause(FAILURE_PAUSE);
            }
        }
    }

    /// Waits until there are records, and until more have joined them; says whether the server stops.
    fn gather(&self) -> bool {
        let idle = |gathered: &mut Gathered| gathered.waiting.is_empty() && !gathered.stopping;
        drop(self.news.wait_while(self.lock(), idle).unwrap_or_else(PoisonError::into_inner));
        self.pause(GATHER_PAUSE)
    }

    /// Waits; says whether the server stops, and does so at once.
    fn pause(&self, pause: Duration) -> bool {
        let going_on = |gathered: &mut Gathered| !gathered.stopping;
        let waited = self.news.wait_timeout_while(self.lock(), pause, going_on);
        waited.unwrap_or_else(PoisonError::into_inner).0.stopping
    }

    fn lock(&self) -> MutexGuard<'_, Gathered> {
        // Nothing panics while it holds the lock.
        self.gathered.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn placed(folder: &Folder, record: SmallRecord) -> Waiting {
    match record.place(folder) {
        Ok(()) => Waiting::Placed { build: record.build, job: record.job, bytes: record.bytes.len() as u64 },
        Err(error) => {
            tracing::error!(build = %record.build, "{error}; the record is in the database, trying again");
            Waiting::Unplaced(record)
        }
    }
}

/// Syncs the files and takes their rows away; gives what has to be tried again.
fn bring_to_disk(folder: &Folder, engine: &Engine, waiting: Vec<Waiting>) -> Vec<Waiting> {
    let mut left = Vec::new();
    let mut written = Vec::new();
    for waiting in waiting {
        let waiting = match waiting {
            Waiting::Unplaced(record) => placed(folder, record),
            waiting @ Waiting::Placed { .. } => waiting,
        };
        match waiting {
            Waiting::Placed { build, job, bytes } => written.push((build, job, bytes)),
            waiting @ Waiting::Unplaced(_) => left.push(waiting),
        }
    }
    if written.is_empty() {
        return left;
    }
    let files: Vec<(BuildId, JobName)> = written.iter().map(|(build, job, _)| (*build, job.clone())).collect();
    let synced = small::sync(folder, &files).map_err(|error| error.to_string());
    let builds = files.into_iter().map(|(build, _)| build).collect();
    let noted = synced.and_then(|()| match engine.records_synced(builds) {
        // The next start does it.
        Ok(()) | Err(Refused::Stopping) => Ok(()),
        Err(error) => Err(error.to_string()),
    });
    if let Err(error) = noted {
        tracing::error!("{error}; {} small records stay in the database, trying again", written.len());
        left.extend(written.into_iter().map(|(build, job, bytes)| Waiting::Placed { build, job, bytes }));
    }
    left
}
