//! The server's own database in memory, on a disk that refuses or loses power when it is told to, and the records of
//! builds beside it.

use builder_model::state::{Change, FinishedBuild, State};
use builder_model::{BuildId, Timestamp};
use builder_server::engine::Disk;
use builder_store::StoreError;
use builder_store::database::{KeptUpload, NextUpload, Outbox, Store};
use builder_store::small::SmallRecord;
use std::collections::{BTreeSet, HashMap};
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};

/// What the next save meets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SaveFault {
    /// The disk is full: nothing is saved.
    Refused,
    /// The power goes before the save.
    CrashBefore,
    /// The power goes after the save and before anything follows from it.
    CrashAfter,
}

/// What a panic carries when the power goes.
pub(crate) struct PowerCut;

/// What lies on the disk.
pub(crate) struct Platter {
    pub(crate) store: Store,
    pub(crate) fault: Option<SaveFault>,
    /// Records that are under their final names, whatever happens to the power.
    pub(crate) records: HashMap<BuildId, FinishedBuild>,
    /// Small records that are under their final names until the power goes.
    pub(crate) unsynced: BTreeSet<BuildId>,
    /// How often a build entered the history.
    pub(crate) finished: HashMap<BuildId, FinishedBuild>,
}

impl Platter {
    /// Whether the record of a build outlives a power cut that comes now.
    pub(crate) fn keeps(&self, build: &BuildId) -> bool {
        self.records.contains_key(build) || matches!(self.store.small_record(build), Ok(Some(_)))
    }

    /// The files of these builds are synced.
    pub(crate) fn sync(&mut self, builds: &[BuildId]) {
        for build in builds {
            let was_written = self.unsynced.remove(build);
            assert!(was_written, "only what was written is synced");
            let row = self.finished.get(build).cloned();
            self.records.extend(row.map(|row| (*build, row)));
        }
    }

    /// What a server does at its start: records of which only the row is sure get their files again.
    pub(crate) fn restore(&mut self) {
        self.unsynced.clear();
        let records = self.store.small_records(usize::MAX).unwrap();
        let builds: Vec<BuildId> = records.into_iter().map(|record| record.build).collect();
        self.unsynced.extend(&builds);
        self.sync(&builds);
        self.store.records_synced(&builds).unwrap();
    }
}

/// A handle on the disk, which outlives the engine.
#[derive(Clone)]
pub(crate) struct SimulatedDisk(Arc<Mutex<Platter>>);

impl SimulatedDisk {
    pub(crate) fn new() -> Self {
        let store = Store::in_memory().unwrap();
        Self(Arc::new(Mutex::new(Platter {
            store,
            fault: None,
            records: HashMap::new(),
            unsynced: BTreeSet::new(),
            finished: HashMap::new(),
        })))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Platter> {
        // A power cut is a panic while the disk is locked; what is on it is what was committed.
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Disk for SimulatedDisk {
    fn load(&self) -> Result<State, StoreError> {
        self.lock().store.load()
    }

    fn save(&mut self, changes: &[Change], outbox: Outbox, records: &[&SmallRecord]) -> Result<(), StoreError> {
        let mut platter = self.lock();
        let fault = platter.fault.take();
        match fault {
            Some(SaveFault::Refused) => {
                let source = io::Error::from(io::ErrorKind::StorageFull);
                return Err(StoreError::Io { action: "write to", path: PathBuf::from("the disk"), source });
            }
            Some(SaveFault::CrashBefore) => std::panic::resume_unwind(Box::new(PowerCut)),
            Some(SaveFault::CrashAfter) | None => {}
        }
        platter.store.save_with_records(changes, outbox, records)?;
        for change in changes {
            if let Change::Finished(build) = change {
                let twice = platter.finished.insert(build.build, build.clone());
                assert!(twice.is_none(), "DOUBLED: build {} entered the history twice", build.build);
            }
        }
        if fault.is_some() {
            std::panic::resume_unwind(Box::new(PowerCut));
        }
        Ok(())
    }

    fn next_upload(&self, now: Timestamp, horizon: Timestamp) -> Result<NextUpload, StoreError> {
        self.lock().store.next_upload(now, horizon)
    }

    fn uploads_waiting(&self) -> Result<u64, StoreError> {
        self.lock().store.uploads_waiting()
    }

    fn uploaded(&mut self, build: &BuildId, at: Timestamp) -> Result<(), StoreError> {
        self.lock().store.uploaded(build, at)
    }

    fn upload_failed(&mut self, build: &BuildId, error: &str, next_try: Timestamp) -> Result<(), StoreError> {
        self.lock().store.upload_failed(build, error, next_try)
    }

    fn kept_uploads(
        &self,
        before: Timestamp,
        after: Option<&KeptUpload>,
        count: usize,
    ) -> Result<Vec<KeptUpload>, StoreError> {
        self.lock().store.kept_uploads(before, after, count)
    }

    fn record_removed(&mut self, build: &BuildId) -> Result<(), StoreError> {
        self.lock().store.record_removed(build)
    }

    fn small_record(&self, build: &BuildId) -> Result<Option<Vec<u8>>, StoreError> {
        self.lock().store.small_record(build)
    }

    fn records_synced(&mut self, builds: &[BuildId]) -> Result<(), StoreError> {
        self.lock().store.records_synced(builds)
    }
}
