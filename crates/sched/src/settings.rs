//! What an operator may set.

use builder_model::limits::{
    BUILD_SECONDS_MAX, JOBS_MAX, PLATFORMS_MAX, REFUSALS_MAX, RETRIES_MAX, TEMPLATES_USED_MAX,
};
use builder_model::{JobName, Platform};
use std::collections::HashMap;
use std::time::Duration;

/// The limits that the scheduler keeps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// How long an attempt at a build may take, when neither its job nor its platform has a limit of its own.
    pub build_limit: Duration,
    /// How long an attempt may take on these platforms.
    pub platform_limits: HashMap<Platform, Duration>,
    /// How long an attempt at these jobs may take, wherever it runs.
    pub job_limits: HashMap<JobName, Duration>,
    /// How often a run of a job is tried again after its worker vanished or it ran over its time.
    pub retries_max: u32,
    /// How often workers may refuse a build before that is its outcome.
    pub refusals_max: u32,
    /// Most jobs on the schedule.
    pub jobs_max: usize,
    /// Most platforms that have a queue or are dropped.
    pub platforms_max: usize,
    /// Most templates that the jobs on the schedule use.
    pub templates_max: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            build_limit: Duration::from_secs(BUILD_SECONDS_MAX),
            platform_limits: HashMap::new(),
            job_limits: HashMap::new(),
            retries_max: RETRIES_MAX,
            refusals_max: REFUSALS_MAX,
            jobs_max: JOBS_MAX,
            platforms_max: PLATFORMS_MAX,
            templates_max: TEMPLATES_USED_MAX,
        }
    }
}

impl Settings {
    /// The time limit of one attempt: the job's, else the platform's, else the general one.
    pub fn limit(&self, job: &JobName, platform: &Platform) -> Duration {
        let own = self.job_limits.get(job).or_else(|| self.platform_limits.get(platform));
        own.copied().unwrap_or(self.build_limit)
    }
}
