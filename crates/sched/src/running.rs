//! The builds that workers have, and until when they may have them.

use crate::event::WorkerId;
use builder_model::state::{Change, RunningBuild};
use builder_model::{BuildId, Outcome, Platform, ScriptJob};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// A running build and what is known of it only while the server lives.
#[derive(Clone, Debug)]
pub(crate) struct Running {
    pub(crate) build: RunningBuild,
    pub(crate) worker: WorkerId,
    pub(crate) script: ScriptJob,
    pub(crate) phase: Phase,
}

/// How far a running build is.
#[derive(Clone, Debug)]
pub(crate) enum Phase {
    /// Its worker has until then.
    Until(Duration),
    /// It ran over its time, which ended then; its session ends it.
    RanOver(Duration),
    /// The verdict on it was to write this record; its session does.
    Ending(Outcome),
}

/// A build is in `deadlines` while its phase is [`Phase::Until`]. A worker has at most one build.
#[derive(Debug, Default)]
pub(crate) struct RunningBuilds {
    by_id: BTreeMap<BuildId, Running>,
    deadlines: BTreeSet<(Duration, BuildId)>,
    by_worker: BTreeMap<WorkerId, BuildId>,
    per_platform: BTreeMap<Platform, usize>,
    /// What stopped running since the last save: it still runs if the next one fails.
    ended: Vec<Running>,
}

impl RunningBuilds {
    /// Everything is saved.
    pub(crate) fn saved(&mut self) {
        self.ended.clear();
    }

    /// What stopped running since the last save.
    pub(crate) fn ended(&self) -> &[Running] {
        &self.ended
    }

    pub(crate) fn get(&self, build: BuildId) -> Option<&Running> {
        self.by_id.get(&build)
    }

    /// Whether a worker has a build.
    pub(crate) fn is_busy(&self, worker: WorkerId) -> bool {
        self.by_worker.contains_key(&worker)
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = &Running> {
        self.by_id.values()
    }

    pub(crate) fn count(&self, platform: &Platform) -> usize {
        self.per_platform.get(platform).copied().unwrap_or(0)
    }

    /// The platforms that have a running build.
    pub(crate) fn platforms(&self) -> impl Iterator<Item = &Platform> {
        self.per_platform.keys()
    }

    pub(crate) fn add(&mut self, running: Running, changes: &mut Vec<Change>) {
        let id = running.build.build;
        assert!(!self.by_id.contains_key(&id), "build {id} is running already");
        let busy_with = self.by_worker.insert(running.worker, id);
        assert!(busy_with.is_none(), "worker {} has a build already: {busy_with:?}", running.worker.0);
        match &running.phase {
            Phase::Until(deadline) => {
                self.deadlines.insert((*deadline, id));
            }
            Phase::RanOver(_) | Phase::Ending(_) => {}
        }
        *self.per_platform.entry(running.build.platform.clone()).or_default() += 1;
        changes.push(Change::RunningPut(running.build.clone()));
        self.by_id.insert(id, running);
    }

    pub(crate) fn remove(&mut self, build: BuildId, changes: &mut Vec<Change>) -> Option<Running> {
        self.stop_clock(build);
        let running = self.by_id.remove(&build)?;
        self.by_worker.remove(&running.worker);
        if let Some(count) = self.per_platform.get_mut(&running.build.platform) {
            *count -= 1;
            if *count == 0 {
                self.per_platform.remove(&running.build.platform);
            }
        }
        changes.push(Change::RunningRemoved(build));
        self.ended.push(running.clone());
        Some(running)
    }

    /// The verdict on a build was to write a record with this outcome: no deadline holds any more.
    pub(crate) fn end(&mut self, build: BuildId, outcome: Outcome) {
        self.stop_clock(build);
        if let Some(running) = self.by_id.get_mut(&build) {
            running.phase = Phase::Ending(outcome);
        }
    }

    pub(crate) fn first_deadline(&self) -> Option<Duration> {
        self.deadlines.first().map(|(deadline, _)| *deadline)
    }

    /// The next build that is over its time now; it is named once.
    pub(crate) fn run_over(&mut self, now: Duration) -> Option<&Running> {
        let (deadline, build) = self.deadlines.first().copied().filter(|(deadline, _)| *deadline <= now)?;
        self.deadlines.remove(&(deadline, build));
        let running = self.by_id.get_mut(&build)?;
        running.phase = Phase::RanOver(deadline);
        Some(running)
    }

    fn stop_clock(&mut self, build: BuildId) {
        let Some(running) = self.by_id.get(&build) else { return };
        match &running.phase {
            Phase::Until(deadline) => {
                self.deadlines.remove(&(*deadline, build));
            }
            Phase::RanOver(_) | Phase::Ending(_) => {}
        }
    }

    /// Panics if the indexes do not agree with the builds.
    pub(crate) fn check(&self) {
        let mut clocks = 0;
        let mut per_platform: BTreeMap<Platform, usize> = BTreeMap::new();
        for (id, running) in &self.by_id {
            assert_eq!(*id, running.build.build, "a build stands under its id");
            assert!(running.build.attempt >= 1, "attempts count from 1");
            assert_eq!(self.by_worker.get(&running.worker), Some(id), "the worker of build {id} has it");
            *per_platform.entry(running.build.platform.clone()).or_default() += 1;
            match &running.phase {
                Phase::Until(deadline) => {
                    assert!(self.deadlines.contains(&(*deadline, *id)), "build {id} has its deadline");
                    clocks += 1;
                }
                Phase::RanOver(_) | Phase::Ending(_) => {}
            }
        }
        assert_eq!(self.by_worker.len(), self.by_id.len(), "no worker has a build that is not running");
        assert_eq!(clocks, self.deadlines.len(), "no stale deadlines");
        assert_eq!(per_platform, self.per_platform, "running builds are counted");
    }
}
