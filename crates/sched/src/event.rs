//! What the scheduler is told, and what it answers.

use builder_model::state::{Change, RunningBuild};
use builder_model::{BuildId, Job, JobName, Outcome, Period, Platform, ScriptJob, TemplateId, Timestamp};
use builder_template::Misfit;
use std::sync::Arc;
use std::time::Duration;

/// The time, as the edge read it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// The time of day: what the schedule goes by. It may jump.
    pub wall: Timestamp,
    /// Since an arbitrary start of the process: what time limits go by. It never goes back.
    pub monotonic: Duration,
}

/// One connection of a worker. The edge gives each connection a number of its own and never uses it again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WorkerId(pub u64);

/// A template of a platform, as the edge found it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Template {
    /// The platform has none.
    Missing,
    /// There is one, which cannot be read: why.
    Unreadable(String),
    /// It can be filled in.
    Present(TemplateText),
}

/// What is filled in. Its kind is that of the [`TemplateId`] that it is told with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TemplateText {
    /// Of [`TemplateId::Package`]: any bytes.
    Package(Arc<[u8]>),
    /// Of [`TemplateId::Named`].
    Named(Arc<builder_template::Template>),
}

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A client adds a job, which runs once at once and then with its period.
    Schedule {
        /// The job; its name must be free.
        job: Job,
        /// How often.
        period: Period,
    },
    /// A client removes a job from the schedule and from the queues. What runs goes on.
    Unschedule {
        /// The job.
        job: JobName,
    },
    /// A client wants a job to run next.
    Execute {
        /// The job.
        job: JobName,
        /// Only there; for a templated job, everywhere where none is given.
        platform: Option<Platform>,
    },
    /// A client moves the next run of a job.
    Reschedule {
        /// The job.
        job: JobName,
        /// When it runs next; at once if this is past.
        next: Timestamp,
        /// How often from then on, if that changes too.
        period: Option<Period>,
    },
    /// A client refuses a platform from now on.
    DropPlatform(Platform),
    /// A client welcomes a platform again.
    UndropPlatform(Platform),
    /// A worker asks for a job. Saying it twice changes nothing.
    WorkerWaits {
        /// The worker.
        worker: WorkerId,
        /// What it can build for.
        platform: Platform,
    },
    /// The connection of a waiting worker ended. Of a worker that does not wait this changes nothing: the end of one
    /// that has a build is told as [`Event::Lost`].
    WorkerGone {
        /// The worker.
        worker: WorkerId,
    },
    /// An attempt at a build ended without a result. The reply is a verdict: [`Reply::RunAgain`] or [`Reply::Record`].
    Lost {
        /// The build.
        build: BuildId,
        /// What happened.
        why: LostWhy,
    },
    /// A build has its record on disk, or can never have one.
    Finished {
        /// The build.
        build: BuildId,
        /// When it ended.
        finished: Timestamp,
        /// How it ended.
        outcome: Outcome,
        /// The size of the record; none when it could not be written.
        record_bytes: Option<u64>,
    },
    /// [`Scheduler::wake_at`](crate::Scheduler::wake_at) was reached.
    TimePassed,
    /// A template of a platform was read for the first time, or is not what it was.
    TemplateRead {
        /// The platform.
        platform: Platform,
        /// Which of its templates.
        id: TemplateId,
        /// What was found.
        template: Template,
    },
}

/// Why an attempt ended without a result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LostWhy {
    /// The connection to the worker ended, or it said what makes no sense. Costs a retry.
    WorkerVanished,
    /// The worker was done, but its record could not be written: the error of the disk. Costs a retry.
    RecordFailed(String),
    /// The build never reached its worker, which was gone already. Costs nothing, and was no attempt: the build goes to
    /// the front of its queue.
    NotDelivered,
    /// The worker cannot begin the job: why. Costs nothing, as the job is not at fault: the build goes to the front of its
    /// queue, and pauses there, unless it was refused too often already.
    Refused(String),
    /// The server was started again. Costs nothing: the build goes to the front of its queue.
    ServerRestarted,
}

/// What follows from an event. When the reply is a refusal, there are neither changes nor acts that the event caused;
/// what a [`restore_live`](crate::Scheduler::restore_live) left to be handed out may be among them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// The answer to whoever sent the event.
    pub reply: Result<Reply, Refusal>,
    /// What to save, in this order and in one transaction, before anything else.
    pub changes: Vec<Change>,
    /// What to do after that.
    pub acts: Vec<Act>,
}

/// The answer to an event that was not refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// It is so.
    Done,
    /// To [`Event::Lost`]: the build is queued again under its id; there is no record yet.
    RunAgain,
    /// To [`Event::Lost`]: the build is over. Write a record with this outcome, then send [`Event::Finished`]; until
    /// then it counts as running.
    Record(Outcome),
}

/// What the edge does once the changes are saved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    /// Hand a build to a worker that waited.
    Assign {
        /// The worker.
        worker: WorkerId,
        /// The build.
        running: RunningBuild,
        /// What it runs; a templated job is filled in.
        script: ScriptJob,
    },
    /// A build ran over its time: end its worker, write a record aborted [`TIMEOUT`](builder_model::outcome::TIMEOUT),
    /// then send [`Event::Finished`]. After a [`restore_live`](crate::Scheduler::restore_live) it may come again.
    TimedOut {
        /// The worker.
        worker: WorkerId,
        /// Its build.
        build: BuildId,
    },
}

/// Why an event changes nothing. The texts go to clients; the first five, and those of [`ExecuteRefusal`] up to
/// `OtherPlatform`, are the original's (`docs/protocol.md`, section 7).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Schedule: the name is taken.
    #[error("job name already used")]
    NameUsed,
    /// Schedule: the script's platform is refused.
    #[error("platform dropped; can't schedule jobs")]
    PlatformDropped,
    /// Unschedule: no such job.
    #[error("unknown job {0}")]
    UnknownJob(JobName),
    /// Drop or undrop: nothing is known of the platform.
    #[error("unknown platform {0}")]
    UnknownPlatform(Platform),
    /// Reschedule: no such job.
    #[error("couldn't find job {0}")]
    JobNotFound(JobName),
    /// Execute: why not.
    #[error("execute failed: {0}")]
    Execute(#[from] ExecuteRefusal),
    /// Schedule: the limit is reached.
    #[error("the schedule is full: at most {0} jobs")]
    ScheduleFull(usize),
    /// Schedule: the job would use one template more than is allowed.
    #[error("the jobs on the schedule use too many templates: at most {0}")]
    TemplatesFull(usize),
    /// A new platform: the limit is reached.
    #[error("there are too many platforms: at most {0}, dropped ones included")]
    PlatformsFull(usize),
    /// A worker that has a build cannot wait for another.
    #[error("worker has a build already")]
    WorkerBusy,
    /// Lost or finished: nothing is known of the build.
    #[error("build {0} is not running")]
    NotRunning(BuildId),
}

/// Why a job cannot run next.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExecuteRefusal {
    /// No such job on the schedule.
    #[error("job not found")]
    JobNotFound,
    /// The platform has no queue.
    #[error("no such platform")]
    NoSuchPlatform,
    /// A script for this platform, not for the one asked for.
    #[error("job is for a different platform: {0}")]
    OtherPlatform(Platform),
    /// A job of a template, and no platform with a queue has it.
    #[error("no platform has {}", a_template(.0))]
    NoTemplate(TemplateId),
    /// A job of a template, and the platform does not have it.
    #[error("platform {platform} has no template{}", named(.id))]
    PlatformWithoutTemplate {
        /// The platform.
        platform: Platform,
        /// The template.
        id: TemplateId,
    },
    /// A job of a template, and that of the platform cannot be read.
    #[error("the template{} of platform {platform} cannot be read: {why}", named(.id))]
    TemplateUnreadable {
        /// The platform.
        platform: Platform,
        /// The template.
        id: TemplateId,
        /// What went wrong.
        why: String,
    },
    /// A job of a template that does not take its values any more.
    #[error("the template{} of platform {platform} does not take the values of the job: {why}", named(.id))]
    Misfit {
        /// The platform.
        platform: Platform,
        /// The template.
        id: TemplateId,
        /// Why not.
        why: Misfit,
    },
}

/// The name of a template behind the word, where it has one.
pub(crate) fn named(id: &TemplateId) -> String {
    match id {
        TemplateId::Package => String::new(),
        TemplateId::Named(name) => format!(" {name}"),
    }
}

/// Any template of packages, but only that one of those with a name.
pub(crate) fn a_template(id: &TemplateId) -> String {
    match id {
        TemplateId::Package => "a template".to_owned(),
        TemplateId::Named(name) => format!("the template {name}"),
    }
}
