//! What a server is told when it starts, with the defaults of the original.

use crate::clock::Clock;
use builder_model::{JobName, Platform, limits};
use std::collections::HashMap;
use std::path::PathBuf;
use std::time::Duration;

/// Everything that a server needs to know.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The data folder.
    pub dir: PathBuf,
    /// The configuration folder, where templates lie.
    pub config_dir: PathBuf,
    /// Where finished builds are sent.
    pub upload: Option<String>,
    /// How long an uploaded record is kept.
    pub keep_uploaded: Duration,
    /// The time limit of a build.
    pub timeout: Duration,
    /// Time limits of the builds of some platforms.
    pub platform_timeouts: HashMap<Platform, Duration>,
    /// Time limits of the builds of some jobs.
    pub job_timeouts: HashMap<JobName, Duration>,
    /// How often a build that was lost or ran over its time is tried again.
    pub retries: u32,
    /// How often workers may refuse a build before that is its outcome.
    pub refusals: u32,
    /// Most bytes of all the artifacts of a build together.
    pub artifact_bytes_max: u64,
    /// Most bytes of the console of a build.
    pub console_bytes_max: u64,
    /// Where the time comes from.
    pub clock: Clock,
}

/// How long an uploaded record is kept unless told otherwise: seven days.
pub const KEEP_UPLOADED: Duration = Duration::from_secs(7 * 86_400);

impl Settings {
    /// The defaults, on these folders.
    pub fn new(dir: PathBuf, config_dir: PathBuf) -> Self {
        Self {
            dir,
            config_dir,
            upload: None,
            keep_uploaded: KEEP_UPLOADED,
            timeout: Duration::from_secs(limits::BUILD_SECONDS_MAX),
            platform_timeouts: HashMap::new(),
            job_timeouts: HashMap::new(),
            retries: limits::RETRIES_MAX,
            refusals: limits::REFUSALS_MAX,
            artifact_bytes_max: limits::ARTIFACT_BYTES_MAX,
            console_bytes_max: limits::CONSOLE_BYTES_MAX,
            clock: Clock::default(),
        }
    }

    pub(crate) fn scheduler(&self) -> builder_sched::Settings {
        builder_sched::Settings {
            build_limit: self.timeout,
            platform_limits: self.platform_timeouts.clone(),
            job_limits: self.job_timeouts.clone(),
            retries_max: self.retries,
            refusals_max: self.refusals,
            ..builder_sched::Settings::default()
        }
    }
}
