//! What the engine asks of the disk: the database, or in a simulation one that fails when it should.

use builder_model::state::{Change, FinishedBuild, Queued, Resume, RunningBuild, State};
use builder_model::{BuildId, Platform, Timestamp};
use builder_store::StoreError;
use builder_store::database::{KeptUpload, NextUpload, Outbox, Store};
use builder_store::small::SmallRecord;

/// Durable state, with the meaning that [`Store`] gives to each method.
#[expect(missing_docs, reason = "each is documented at `Store`")]
pub trait Disk: Send {
    fn load(&self) -> Result<State, StoreError>;
    fn save(&mut self, changes: &[Change], outbox: Outbox, records: &[&SmallRecord]) -> Result<(), StoreError>;
    fn next_upload(&self, now: Timestamp, horizon: Timestamp) -> Result<NextUpload, StoreError>;
    fn uploads_waiting(&self) -> Result<u64, StoreError>;
    fn uploaded(&mut self, build: &BuildId, at: Timestamp) -> Result<(), StoreError>;
    fn upload_failed(&mut self, build: &BuildId, error: &str, next_try: Timestamp) -> Result<(), StoreError>;
    fn kept_uploads(
        &self,
        before: Timestamp,
        after: Option<&KeptUpload>,
        count: usize,
    ) -> Result<Vec<KeptUpload>, StoreError>;
    fn record_removed(&mut self, build: &BuildId) -> Result<(), StoreError>;
    fn small_record(&self, build: &BuildId) -> Result<Option<Vec<u8>>, StoreError>;
    fn records_synced(&mut self, builds: &[BuildId]) -> Result<(), StoreError>;
}

impl Disk for Store {
    fn load(&self) -> Result<State, StoreError> {
        Self::load(self)
    }

    fn save(&mut self, changes: &[Change], outbox: Outbox, records: &[&SmallRecord]) -> Result<(), StoreError> {
        self.save_with_records(changes, outbox, records)
    }

    fn next_upload(&self, now: Timestamp, horizon: Timestamp) -> Result<NextUpload, StoreError> {
        Self::next_upload(self, now, horizon)
    }

    fn uploads_waiting(&self) -> Result<u64, StoreError> {
        Self::uploads_waiting(self)
    }

    fn uploaded(&mut self, build: &BuildId, at: Timestamp) -> Result<(), StoreError> {
        Self::uploaded(self, build, at)
    }

    fn upload_failed(&mut self, build: &BuildId, error: &str, next_try: Timestamp) -> Result<(), StoreError> {
        Self::upload_failed(self, build, error, next_try)
    }

    fn kept_uploads(
        &self,
        before: Timestamp,
        after: Option<&KeptUpload>,
        count: usize,
    ) -> Result<Vec<KeptUpload>, StoreError> {
        Self::kept_uploads(self, before, after, count)
    }

    fn record_removed(&mut self, build: &BuildId) -> Result<(), StoreError> {
        Self::record_removed(self, build)
    }

    fn small_record(&self, build: &BuildId) -> Result<Option<Vec<u8>>, StoreError> {
        Self::small_record(self, build)
    }

    fn records_synced(&mut self, builds: &[BuildId]) -> Result<(), StoreError> {
        Self::records_synced(self, builds)
    }
}

/// The durable state as a server finds it, after the builds were finished whose records were on disk before their rows:
/// `record_of` looks for the record of a build that was running, or that waits to run again.
pub fn adopt(
    disk: &mut dyn Disk,
    outbox: Outbox,
    record_of: impl Fn(&RunningBuild) -> Option<FinishedBuild>,
) -> Result<State, StoreError> {
    let state = disk.load()?;
    let running = state.running.iter().filter_map(|running| {
        record_of(running).map(|record| [Change::RunningRemoved(record.build), Change::Finished(record)])
    });
    let places = state.queues.iter().flat_map(|(platform, places)| places.iter().map(move |place| (platform, place)));
    let queued = places.filter_map(|(platform, (position, queued))| {
        let record = record_of(&as_running(platform, queued)?)?;
        let removed = Change::QueuedRemoved { platform: platform.clone(), position: *position };
        Some([removed, Change::Finished(record)])
    });
    let adopted: Vec<Change> = running.chain(queued).flatten().collect();
    if adopted.is_empty() {
        return Ok(state);
    }
    disk.save(&adopted, outbox, &[])?;
    disk.load()
}

/// The last attempt at a build that waits to run again.
fn as_running(platform: &Platform, queued: &Queued) -> Option<RunningBuild> {
    let Resume { build, attempts, started, refusals } = queued.resume.clone()?;
    let (job, platform) = (queued.job.clone(), platform.clone());
    Some(RunningBuild { build, job, platform, attempt: attempts, retries: queued.retries, started, refusals })
}
