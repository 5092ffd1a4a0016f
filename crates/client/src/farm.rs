//! What a server says about itself, owned: the answer to `info`.

use builder_model::state::ScheduleEntry;
use builder_model::{BuildId, Job, JobName, ParameterError, Platform, Shown, Timestamp};
use builder_wire::Info;
use builder_wire::message::WaitRow;
use std::collections::HashMap;

/// The state of a server. Names are as the server holds them; an old server may hold names that ours would refuse.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Farm {
    /// Platforms that are refused.
    pub dropped: Vec<Platform>,
    /// The schedule, in the server's order.
    pub schedule: Vec<ScheduleEntry>,
    /// A queue for each platform.
    pub queues: Vec<Queue>,
    /// The builds that workers have now.
    pub running: Vec<Running>,
}

/// The queue of one platform.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Queue {
    /// Whose it is.
    pub platform: Platform,
    /// Who waits; the first is the next to run.
    pub jobs: Vec<Job>,
    /// What they wait for, in the server's words; a job is missing where the server did not tell.
    pub waits: HashMap<JobName, String>,
}

/// A build that a worker has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Running {
    /// The build.
    pub build: BuildId,
    /// Its job.
    pub job: JobName,
    /// Where it runs.
    pub platform: Platform,
    /// When it was handed out.
    pub started: Timestamp,
}

/// A queued job, and what it waits for.
#[derive(Debug)]
pub(crate) struct Wait {
    platform: Platform,
    job: JobName,
    reason: String,
}

impl From<&WaitRow<'_>> for Wait {
    fn from(row: &WaitRow<'_>) -> Self {
        let reason = Shown(&row.reason).to_string();
        Self { platform: Platform::from_history(row.platform), job: JobName::from_history(row.job), reason }
    }
}

impl Farm {
    /// Notes what queued jobs wait for. A queue that is not there any more, or not yet, is passed over.
    pub(crate) fn take_waits(&mut self, waits: Vec<Wait>) {
        let mut queues: HashMap<Platform, &mut Queue> =
            self.queues.iter_mut().map(|queue| (queue.platform.clone(), queue)).collect();
        for Wait { platform, job, reason } in waits {
            if let Some(queue) = queues.get_mut(&platform) {
                queue.waits.insert(job, reason);
            }
        }
    }

    /// The build that was handed out last, of those on this platform and of this job if they are given.
    pub fn latest(&self, platform: Option<&str>, job: Option<&str>) -> Option<&Running> {
        let wanted = |running: &&Running| {
            platform.is_none_or(|platform| running.platform.as_bytes() == platform.as_bytes())
                && job.is_none_or(|job| running.job.as_bytes() == job.as_bytes())
        };
        self.running.iter().filter(wanted).max_by_key(|running| running.started)
    }
}

impl TryFrom<&Info<'_>> for Farm {
    type Error = ParameterError;

    fn try_from(info: &Info<'_>) -> Result<Self, ParameterError> {
        let entry = |entry: &builder_wire::ScheduleEntry<'_>| {
            Ok(ScheduleEntry { job: entry.job.to_model()?, period: entry.period, next: entry.next })
        };
        let queue = |queue: &builder_wire::InfoQueue<'_>| {
            Ok(Queue {
                platform: Platform::from_history(queue.platform),
                jobs: queue.jobs.iter().map(builder_wire::Job::to_model).collect::<Result<_, _>>()?,
                waits: HashMap::new(),
            })
        };
        let running = |running: &builder_wire::InfoRunning<'_>| Running {
            build: running.build,
            job: JobName::from_history(running.job.name),
            platform: Platform::from_history(running.job.platform),
            started: running.started,
        };
        Ok(Self {
            dropped: info.dropped.iter().map(|platform| Platform::from_history(platform)).collect(),
            schedule: info.schedule.iter().map(entry).collect::<Result<_, _>>()?,
            queues: info.queues.iter().map(queue).collect::<Result<_, _>>()?,
            running: info.running.iter().map(running).collect(),
        })
    }
}
