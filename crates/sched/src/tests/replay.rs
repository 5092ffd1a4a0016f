//! What a store would hold: changes applied in order, with every surprise a failure.

use builder_model::state::{Change, FinishedBuild, Position, Queued, RunningBuild, ScheduleEntry, State};
use builder_model::{BuildId, JobName, Platform};
use std::collections::{BTreeMap, BTreeSet};

#[derive(Clone, Debug, Default)]
pub(super) struct Replay {
    schedule: BTreeMap<JobName, ScheduleEntry>,
    queues: BTreeMap<Platform, BTreeMap<Position, Queued>>,
    running: BTreeMap<BuildId, RunningBuild>,
    dropped: BTreeSet<Platform>,
    pub(super) finished: BTreeMap<BuildId, FinishedBuild>,
}

impl Replay {
    /// Of an odd state, what a store with keys would keep of it.
    pub(super) fn of(state: State) -> Self {
        let mut replay = Self::default();
        for entry in state.schedule {
            replay.schedule.entry(entry.job.name().clone()).or_insert(entry);
        }
        for (platform, places) in state.queues {
            replay.queues.entry(platform).or_default().extend(places);
        }
        for build in state.running {
            replay.running.entry(build.build).or_insert(build);
        }
        replay.dropped.extend(state.dropped);
        replay
    }

    pub(super) fn apply(&mut self, change: &Change) {
        match change.clone() {
            Change::EntryPut(entry) => {
                let before = self.schedule.insert(entry.job.name().clone(), entry);
                assert!(before.is_none(), "{change:?}: the name was free");
            }
            Change::EntryNext { job, next, period } => {
                let entry = self.schedule.get_mut(&job).unwrap();
                (entry.next, entry.period) = (next, period);
            }
            Change::EntryRemoved(job) => assert!(self.schedule.remove(&job).is_some(), "{change:?}"),
            Change::QueueAdded(platform) => {
                assert!(self.queues.insert(platform, BTreeMap::new()).is_none(), "{change:?}");
            }
            Change::QueueRemoved(platform) => assert!(self.queues.remove(&platform).is_some(), "{change:?}"),
            Change::QueuedPut { platform, position, queued } => {
                let before = self.queues.get_mut(&platform).unwrap().insert(position, queued.clone());
                assert!(before.is_none_or(|before| before.job == queued.job), "{change:?}: nobody is pushed out");
            }
            Change::QueuedRemoved { platform, position } => {
                assert!(self.queues.get_mut(&platform).unwrap().remove(&position).is_some(), "{change:?}");
            }
            Change::PlatformDropped(platform) => assert!(self.dropped.insert(platform), "{change:?}"),
            Change::PlatformUndropped(platform) => assert!(self.dropped.remove(&platform), "{change:?}"),
            Change::RunningPut(build) => {
                assert!(self.running.insert(build.build, build).is_none(), "{change:?}");
            }
            Change::RunningRemoved(build) => assert!(self.running.remove(&build).is_some(), "{change:?}"),
            Change::Finished(row) => {
                assert!(self.finished.insert(row.build, row).is_none(), "{change:?}: stored once");
            }
        }
    }

    pub(super) fn state(&self) -> State {
        let places = |queue: &BTreeMap<Position, Queued>| queue.clone().into_iter().collect();
        State {
            schedule: self.schedule.values().cloned().collect(),
            queues: self.queues.iter().map(|(on, queue)| (on.clone(), places(queue))).collect(),
            running: self.running.values().cloned().collect(),
            dropped: self.dropped.iter().cloned().collect(),
        }
    }

    /// In how many places a build is: running, waiting for another attempt, or finished.
    pub(super) fn whereabouts(&self, build: BuildId) -> usize {
        let waits = |queued: &&Queued| queued.resume.as_ref().is_some_and(|resume| resume.build == build);
        usize::from(self.running.contains_key(&build))
            + usize::from(self.finished.contains_key(&build))
            + self.queues.values().flat_map(BTreeMap::values).filter(waits).count()
    }
}
