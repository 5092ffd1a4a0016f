//! What the farm owes: written down when it accepts something, struck out when it did it.

use builder_model::state::FinishedBuild;
use builder_model::{BuildId, Job, JobName, Platform};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// The book that the farm is held to.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    /// Runs that were accepted and have not begun.
    owed: BTreeSet<(Platform, JobName)>,
    /// Builds that a worker was given.
    begun: BTreeMap<BuildId, (Platform, JobName)>,
}

impl Ledger {
    /// A client was told that this job will run here.
    pub(crate) fn accepted(&mut self, platform: Option<&Platform>, job: &JobName) {
        // Where a templated job runs depends on the templates of the moment: its builds are followed once they begin.
        if let Some(platform) = platform {
            self.owed.insert((platform.clone(), job.clone()));
        }
    }

    /// A client was told that this job is on the schedule.
    pub(crate) fn scheduled(&mut self, job: &Job) {
        self.accepted(job.platform(), job.name());
    }

    /// A client was told that the job is gone.
    pub(crate) fn unscheduled(&mut self, job: &JobName) {
        self.owed.retain(|(_, owed)| owed != job);
    }

    /// A client was told that the platform is gone.
    pub(crate) fn dropped(&mut self, platform: &Platform) {
        self.owed.retain(|(owed, _)| owed != platform);
    }

    /// A worker has the build. Gives whether it is an attempt at a build that had one before.
    pub(crate) fn begins(&mut self, build: BuildId, platform: &Platform, job: &JobName) -> bool {
        self.owed.remove(&(platform.clone(), job.clone()));
        self.begun.insert(build, (platform.clone(), job.clone())).is_some()
    }

    /// How many builds began.
    pub(crate) fn begun(&self) -> u64 {
        self.begun.len() as u64
    }

    /// At the end, when everything had its time: nothing may be open.
    pub(crate) fn settle(&self, finished: &HashMap<BuildId, FinishedBuild>) {
        assert!(self.owed.is_empty(), "LOST: accepted, but never begun: {:?}", self.owed);
        for (build, what) in &self.begun {
            assert!(finished.contains_key(build), "LOST: build {build} of {what:?} began and never ended");
        }
    }
}
