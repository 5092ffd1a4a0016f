//! Small records on their way to disk: their builds have ended, and they are in the database, until their files have
//! been synced here, many at a time.

use crate::consoles::Consoles;
use crate::engine::{Engine, Refused};
use builder_model::state::FinishedBuild;
use builder_model::{BuildId, JobName};
use builder_store::database::Store;
use builder_store::small::{self, SMALL_RECORD_BYTES_MAX, SmallRecord};
use builder_store::{Folder, StoreError};
use std::sync::mpsc::{Receiver, SendError, SyncSender, sync_channel};
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

/// Most records that wait for their files to be written; the engine waits with one more.
const TO_PLACE_MAX: usize = 1024;

/// The small records of a server.
#[derive(Debug)]
pub(crate) struct Records {
    work: SyncSender<Work>,
    gathering: Arc<Gathering>,
}

/// The threads behind [`Records`].
#[derive(Debug)]
pub(crate) struct Threads([JoinHandle<()>; 2]);

#[derive(Debug)]
enum Work {
    Place { record: Arc<SmallRecord>, ended: FinishedBuild },
    Stop,
}

/// Where the engine hands in the small records that it saved, before there are threads.
#[derive(Debug)]
pub(crate) struct Inbox {
    work: SyncSender<Work>,
    to_do: Receiver<Work>,
}

impl Inbox {
    pub(crate) fn new() -> Self {
        let (work, to_do) = sync_channel(TO_PLACE_MAX);
        Self { work, to_do }
    }

    /// What the engine calls for each: the file is written on a thread of its own, as a file system makes files one
    /// after the other. Who observes the build hears of its end when the file is there.
    pub(crate) fn place(&self, consoles: Arc<Consoles>) -> Box<dyn FnMut(Arc<SmallRecord>, FinishedBuild) + Send> {
        let work = self.work.clone();
        Box::new(move |record, ended| {
            if let Err(SendError(Work::Place { ended, .. })) = work.send(Work::Place { record, ended }) {
                // The server stops: the next one writes the file.
                consoles.finished(&ended);
            }
        })
    }
}

/// The small records whose files are not yet known to be on disk.
#[derive(Debug)]
struct Gathering {
    gathered: Mutex<Gathered>,
    news: Condvar,
}

#[derive(Debug)]
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
    /// Starts the threads; `left` is what [`restore`] left.
    pub(crate) fn start(
        Inbox { work, to_do }: Inbox,
        folder: &Arc<Folder>,
        consoles: Arc<Consoles>,
        engine: Engine,
        left: Vec<SmallRecord>,
    ) -> std::io::Result<(Self, Threads)> {
        let waiting: Vec<Waiting> = left.into_iter().map(Waiting::Unplaced).collect();
        let bytes = waiting.iter().map(Waiting::bytes).sum();
        let gathered = Mutex::new(Gathered { waiting, bytes, stopping: false });
        let gathering = Arc::new(Gathering { gathered, news: Condvar::new() });
        let (placing, syncing) = (gathering.clone(), gathering.clone());
        let (placing_folder, syncing_folder) = (folder.clone(), folder.clone());
        let thread = |name: &str| thread::Builder::new().name(name.to_owned());
        let threads = [
            thread("records").spawn(move || placing.place_all(&placing_folder, &consoles, &to_do))?,
            thread("records-sync").spawn(move || syncing.sync_all(&syncing_folder, &engine))?,
        ];
        Ok((Self { work, gathering }, Threads(threads)))
    }

    /// Up to which size a record that is begun now is small, in bytes.
    pub(crate) fn small_bytes_max(&self) -> u64 {
        if self.gathering.lock().bytes < GATHERED_BYTES_MAX { SMALL_RECORD_BYTES_MAX } else { 0 }
    }

    /// Ends the threads after they have brought to disk what there is. Blocks.
    pub(crate) fn stop(&self, threads: Threads) {
        // A thread that has ended needs no word.
        let _ended: Result<(), _> = self.work.send(Work::Stop);
        let Threads([placing, syncing]) = threads;
        let placed = placing.join();
        self.gathering.lock().stopping = true;
        self.gathering.news.notify_one();
        if placed.and(syncing.join()).is_err() {
            tracing::error!("a thread of the small records ended badly");
        }
    }
}

/// Gives the records that were left in the database by a server that did not end in order their files; gives back those
/// that the disk refuses, for another try later.
pub(crate) fn restore(folder: &Folder, store: &mut Store) -> Result<Vec<SmallRecord>, StoreError> {
    loop {
        let records = store.small_records(RESTORED_MAX)?;
        if records.is_empty() {
            return Ok(records);
        }
        let files: Vec<(BuildId, JobName)> = records.iter().map(|record| (record.build, record.job.clone())).collect();
        let placed = records.iter().try_for_each(|record| record.place(folder));
        if let Err(error) = placed.and_then(|()| small::sync(folder, &files)) {
            tracing::error!("{error}; trying again later");
            return store.small_records(usize::MAX);
        }
        let builds: Vec<BuildId> = files.into_iter().map(|(build, _)| build).collect();
        store.records_synced(&builds)?;
        tracing::info!("wrote {} small records again", builds.len());
    }
}

impl Gathering {
    /// Writes files until the server stops. One that cannot be written is tried again later: the record is safe, and
    /// readers find it.
    fn place_all(&self, folder: &Folder, consoles: &Consoles, work: &Receiver<Work>) {
        while let Ok(Work::Place { record, ended }) = work.recv() {
            let waiting = placed(folder, Arc::unwrap_or_clone(record));
            consoles.finished(&ended);
            let mut gathered = self.lock();
            gathered.bytes += waiting.bytes();
            gathered.waiting.push(waiting);
            if gathered.waiting.len() == 1 {
                self.news.notify_one();
            }
        }
    }

    /// Syncs files until the server stops, and a last time then.
    fn sync_all(&self, folder: &Folder, engine: &Engine) {
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
