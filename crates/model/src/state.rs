//! What must survive a power cut: the nouns that the scheduler decides over and the store keeps.

use crate::build::BuildId;
use crate::job::{Job, Period};
use crate::name::{JobName, Platform};
use crate::outcome::Outcome;
use crate::time::Timestamp;

/// A job on the schedule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScheduleEntry {
    /// What runs.
    pub job: Job,
    /// How often.
    pub period: Period,
    /// When next; [`Timestamp::MAX`] for never.
    pub next: Timestamp,
}

/// A place in the queue of a platform. A job stands at most once in each queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Queued {
    /// The job, by its name on the schedule.
    pub job: JobName,
    /// How many retries were already spent on this run of the job.
    pub retries: u32,
    /// The build to go on with, when an attempt at it ended without a record; a new build otherwise.
    pub resume: Option<Resume>,
}

/// A build that had an attempt and will have another, under the same id and with the same console.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resume {
    /// The build.
    pub build: BuildId,
    /// How many attempts it had.
    pub attempts: u32,
    /// When the first attempt was handed out.
    pub started: Timestamp,
    /// How many of the attempts were refused: no retry was spent on these.
    pub refusals: u32,
}

/// The order of a queue: lower runs earlier. New places are made below the lowest and above the highest.
pub type Position = i64;

/// A build that a worker has, or had when the server ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunningBuild {
    /// The build.
    pub build: BuildId,
    /// The job, by its name on the schedule.
    pub job: JobName,
    /// Where it runs.
    pub platform: Platform,
    /// Which attempt this is: 1 for the first.
    pub attempt: u32,
    /// How many retries were spent before this attempt.
    pub retries: u32,
    /// When the first attempt was handed out: the start that the record will have.
    pub started: Timestamp,
    /// How many attempts before this one were refused.
    pub refusals: u32,
}

/// A build with a record: a row of the history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FinishedBuild {
    /// The build.
    pub build: BuildId,
    /// The name of its job.
    pub job: JobName,
    /// Where it ran.
    pub platform: Platform,
    /// How many attempts it took.
    pub attempts: u32,
    /// When the first attempt was handed out.
    pub started: Timestamp,
    /// When it ended.
    pub finished: Timestamp,
    /// How it ended.
    pub outcome: Outcome,
    /// The size of its record in bytes; none when the record could not be written.
    pub record_bytes: Option<u64>,
}

/// One change of the durable state. A batch of them is saved whole or not at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A job came onto the schedule, or its period or next time changed.
    EntryPut(ScheduleEntry),
    /// Only the next time of a job changed: cheaper than writing its script again.
    EntryNext {
        /// The job.
        job: JobName,
        /// When it runs next.
        next: Timestamp,
        /// How often from then on.
        period: Period,
    },
    /// A job left the schedule.
    EntryRemoved(JobName),
    /// A platform has a queue from now on.
    QueueAdded(Platform),
    /// A platform has no queue any more; its places are gone with it.
    QueueRemoved(Platform),
    /// A job got a place in a queue.
    QueuedPut {
        /// Which queue.
        platform: Platform,
        /// Where in it.
        position: Position,
        /// What stands there.
        queued: Queued,
    },
    /// A place in a queue is gone.
    QueuedRemoved {
        /// Which queue.
        platform: Platform,
        /// Where in it.
        position: Position,
    },
    /// A platform is refused from now on.
    PlatformDropped(Platform),
    /// A platform is welcome again.
    PlatformUndropped(Platform),
    /// A build was handed to a worker.
    RunningPut(RunningBuild),
    /// A build is running no more.
    RunningRemoved(BuildId),
    /// A build has a record: it enters the history and, where there is a repository, the outbox.
    Finished(FinishedBuild),
}

/// The durable state as a whole: what a scheduler starts from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// The schedule, in any order.
    pub schedule: Vec<ScheduleEntry>,
    /// The queues, each with its places in any order.
    pub queues: Vec<(Platform, Vec<(Position, Queued)>)>,
    /// Builds that were running when the state was saved last.
    pub running: Vec<RunningBuild>,
    /// Platforms that are refused.
    pub dropped: Vec<Platform>,
}
