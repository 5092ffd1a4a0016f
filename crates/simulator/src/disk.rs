//! The server's own database in memory, on a disk that refuses or loses power when it is told to, and the records of
//! builds beside it.

use builder_model::state::{Change, FinishedBuild, State};
use builder_model::{BuildId, Timestamp};
use builder_server::engine::Disk;
use builder_store::StoreError;
use builder_store::database::{KeptUpload, NextUpload, Outbox, Store};
use std::collections::HashMap;
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
    /// Records that are under their final names.
    pub(crate) records: HashMap<BuildId, FinishedBuild>,
    /// How often a build entered the history.
    pub(crate) finished: HashMap<BuildId, FinishedBuild>,
}

/// A handle on the disk, which outlives the engine.
#[derive(Clone)]
pub(crate) struct SimulatedDisk(Arc<Mutex<Platter>>);

impl SimulatedDisk {
    pub(crate) fn new() -> Self {
        let store = Store::in_memory().unwrap();
        Self(Arc::new(Mutex::new(Platter { store, fault: None, records: HashMap::new(), finished: HashMap::new() })))
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

    fn save(&mut self, changes: &[Change], outbox: Outbox) -> Result<(), StoreError> {
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
        platter.store.save(changes, outbox)?;
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
}
